"""The table of kinds, and the words it accepts."""

from __future__ import annotations

import subprocess
import sys
import zoneinfo
from collections.abc import Callable

import pytest

from thanksd import policy
from thanksd.errors import UsageError


def test_the_table_has_the_ten_kinds_and_their_times() -> None:
    assert policy.KINDS == {
        "coffee": ("3h", "24h"),
        "interview": ("2h", "24h"),
        "event": ("next day 09:00", "72h"),
        "introduction": ("15min", "24h"),
        "referral": ("15min", "24h"),
        "mentoring": ("3h", "24h"),
        "meal": ("next day 09:00", "48h"),
        "gift": ("next day 09:00", "7d"),
        "speaker": ("3h", "48h"),
        "general": ("next day 09:00", "48h"),
    }


@pytest.mark.parametrize(
    ("nudge", "best_by", "expected"),
    [
        ("", "", ("2h", "24h")),
        ("5h", "", ("5h", "24h")),
        ("", "3d", ("2h", "3d")),
        ("next day 08:00", "3d", ("next day 08:00", "3d")),
    ],
)
def test_the_users_own_words_replace_the_tables_where_given(
    nudge: str, best_by: str, expected: tuple[str, str]
) -> None:
    assert policy.rule("interview", nudge, best_by) == expected


def test_a_kind_is_known_in_any_case() -> None:
    assert policy.known_kind(" Coffee ") == "coffee"
    assert policy.rule("GIFT") == policy.KINDS["gift"]


@pytest.mark.parametrize(
    ("word", "nearest"), [("cofee", "coffee"), ("intervew", "interview"), ("intros", "introduction"), ("GIFTS", "gift")]
)
def test_an_unknown_kind_is_refused_with_the_nearest_and_all_kinds(word: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy.known_kind(word)
    assert f"Did you mean {nearest}?" in caught.value.hint
    assert all(kind in caught.value.hint for kind in policy.KINDS)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(("mentor", "mentoring"), ("intro", "introduction"), ("c", "coffee"), ("Gen", "general")),
        *(("lunch", "meal"), ("Dinner", "meal"), ("talk", "speaker"), ("job  interview", "interview")),
        *(("conference", "event"), ("reference", "referral"), ("present", "gift"), ("call", "general")),
    ],
)
def test_a_kind_is_known_by_how_its_name_begins_and_by_what_people_call_it(word: str, kind: str) -> None:
    assert policy.known_kind(word) == kind


def test_a_beginning_that_two_kinds_share_is_refused_naming_both() -> None:
    with pytest.raises(UsageError, match="'int' may be interview or introduction") as caught:
        policy.known_kind(" INT ")
    assert caught.value.hint == "Say a letter more."


def test_every_usual_word_stands_for_a_kind_and_for_nothing_else() -> None:
    assert set(policy.SYNONYMS.values()) <= set(policy.KINDS)
    assert not set(policy.SYNONYMS) & set(policy.KINDS)
    # A word that is also the beginning of a kind's name would hide that kind.
    assert not [word for word in policy.SYNONYMS for kind in policy.KINDS if kind.startswith(word)]


def test_seniority_is_peer_or_above() -> None:
    assert policy.known_seniority("Above") == "above"
    with pytest.raises(UsageError, match="no seniority 'below'") as caught:
        policy.known_seniority("below")
    assert "peer, above" in caught.value.hint


@pytest.mark.parametrize(
    ("word", "tag"), [("en", "en"), (" EN ", "en"), ("en-GB", "en-gb"), ("en_US", "en-us"), ("en-150", "en-150")]
)
def test_a_language_is_taken_with_or_without_its_region(word: str, tag: str) -> None:
    assert policy.known_language(word) == tag


@pytest.mark.parametrize("word", ["", "xx", "eng", "english", "en-", "en-x", "en-12", "en-a1", "en-GB-oed", "de-DE"])
def test_a_language_without_templates_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="no language") as caught:
        policy.known_language(word)
    assert "Only English ships so far." in caught.value.hint
    assert "There are: en." in caught.value.hint


def test_a_users_own_templates_may_add_a_language() -> None:
    assert policy.known_language("de-AT", ("en", "de")) == "de-at"


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        (" AMERICA/NEW_YORK ", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_zone_is_spelled_as_the_tz_database_does(name: str, zone: str) -> None:
    assert policy.known_zone(name) == zone


def test_an_unknown_zone_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no time zone 'Europe/Berln'") as caught:
        policy.known_zone("Europe/Berln")
    assert caught.value.hint == "Did you mean Europe/Berlin?"


@pytest.mark.parametrize(
    "name",
    [
        *("", "Europe", "../Europe/Berlin", "Europe/../Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"),
        *("localtime", "posix/Europe/Berlin", "right/Europe/Berlin", "a\0b", "\ud800", "x" * 10_000, "\u202eUTC"),
    ],
)
def test_a_zone_that_is_a_path_or_hostile_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy.known_zone(name)
    assert caught.value.hint
    assert len(caught.value.message) < 400


def test_every_zone_of_the_database_is_known() -> None:
    no_place = {"localtime", "posixrules", "Factory"}
    for name in sorted(zoneinfo.available_timezones() - no_place)[::20]:
        assert policy.known_zone(name) == name


@pytest.mark.parametrize("known", [policy.known_kind, policy.known_seniority, policy.known_language, policy.known_zone])
def test_an_unknown_word_is_shown_without_its_control_characters(known: Callable[[str], str]) -> None:
    with pytest.raises(UsageError) as caught:
        known("a\x1b[2J\u202e\ud800\n" + "b" * 10_000)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


def test_the_table_costs_a_command_no_slow_import() -> None:
    code = "import sys; import thanksd.policy; print(*sorted({'difflib', 'zoneinfo', 'dataclasses'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
