"""The table of kinds, and the words it accepts."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tomllib
import zoneinfo
from collections.abc import Callable
from pathlib import Path

import pytest

from thanksd import policy
from thanksd.errors import UsageError

TIMES = {
    "coffee": ("1h", "3h", "24h", "4d"),
    "informational": ("1h", "3h", "24h", "4d"),
    "interview": ("1h", "2h", "24h", "48h"),
    "panel": ("1h", "2h", "24h", "48h"),
    "event": ("1h", "next day 09:00", "72h", "7d"),
    "introduction": ("0min", "15min", "24h", "7d"),
    "referral": ("0min", "15min", "24h", "7d"),
    "mentoring": ("1h", "3h", "24h", "4d"),
    "meal": ("2h", "next day 09:00", "48h", "5d"),
    "gift": ("0min", "next day 09:00", "7d", "14d"),
    "donation": ("0min", "3h", "48h", "7d"),
    "speaker": ("1h", "3h", "48h", "7d"),
    "reference": ("0min", "3h", "48h", "7d"),
    "general": ("1h", "next day 09:00", "48h", "7d"),
}


def test_the_table_has_fourteen_kinds_and_their_times() -> None:
    assert {kind: policy.rule(kind)[:4] for kind in policy.kinds()} == TIMES


def test_every_row_of_every_language_is_whole_and_says_its_own_greeting_and_closing() -> None:
    english = {words for seniority in policy.SENIORITIES for words in policy.rule("coffee", "en", seniority)[6:10]}
    for lang in policy.cultures():
        for kind, seniority in itertools.product(policy.kinds(), policy.SENIORITIES):
            row = policy.rule(kind, lang, seniority)
            assert set(row.offers) <= set(policy.OFFERS)
            assert 0 < row.shortest < row.longest
            assert any(part in row.greeting for part in ("{first}", "{last}", "{full}"))
            assert lang == "en" or not {row.greeting, row.greeting_he, row.closing} & (english - {""}), (kind, lang)


def test_the_tables_file_has_no_table_or_field_that_nothing_reads() -> None:
    table = tomllib.loads(Path(policy.__file__).with_name("policy.toml").read_text(encoding="utf-8"))
    assert set(table) == {"any", "kind", "language"}
    known = {*policy.Rule._fields, "above", "kind"}
    parts = [table["any"], *table["kind"].values(), *table["language"].values()]
    parts += [part for one in table["language"].values() for part in one.get("kind", {}).values()]
    assert all(set(part) <= known and set(part.get("above", {})) <= known - {"above", "kind"} for part in parts)
    assert all(set(one.get("kind", {})) <= set(policy.kinds()) for one in table["language"].values())


@pytest.mark.parametrize("kind", policy.kinds())
def test_somebody_above_is_offered_nothing_that_costs_them_time(kind: str) -> None:
    for lang in policy.cultures():
        assert set(policy.rule(kind, lang, "above").offers) <= {"help"}


@pytest.mark.parametrize(
    ("tag", "rows"),
    [
        *(("en", "en"), ("en-gb", "en"), ("de-AT", "de"), ("fr-ca", "fr"), ("ja", "ja"), ("xx", "en")),
        *(("zh", "zh-hans"), ("zh-CN", "zh-hans"), ("zh-hk", "zh-hant"), ("zh-TW", "zh-hant")),
        *(("zh-hant-hk", "zh-hant"), ("zh-Hans-SG", "zh-hans")),
    ],
)
def test_a_language_tag_has_the_rows_of_its_language_and_chinese_those_of_its_script(tag: str, rows: str) -> None:
    assert policy.culture(tag) == rows


def test_a_language_without_rows_is_refused_where_its_rows_are_asked_for() -> None:
    assert policy.known_culture("zh_HK") == "zh-hant"
    with pytest.raises(UsageError, match="no language 'xx'"):
        policy.known_culture("xx")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ("2h", "24h")),
        ({"nudge": "5h", "best_by": ""}, ("5h", "24h")),
        ({"nudge": "", "best_by": "3d"}, ("2h", "3d")),
        ({"nudge": "next day 08:00", "best_by": "3d"}, ("next day 08:00", "3d")),
    ],
)
def test_the_users_own_words_replace_the_tables_where_given(own: dict[str, str], expected: tuple[str, str]) -> None:
    assert policy.rule("interview", own=own)[1:3] == expected


def test_a_greeting_of_the_users_own_holds_for_everybody_and_none_takes_offers_away() -> None:
    row = policy.rule("coffee", "de", "above", {"greeting": "Servus {first},", "offers": ("none",)})
    assert (row.greeting, row.greeting_he, row.greeting_she, row.offers) == ("Servus {first},", "", "", ())


def test_a_kind_is_known_in_any_case() -> None:
    assert policy.known_kind(" Coffee ") == "coffee"
    assert policy.rule("GIFT") == policy.rule("gift")


@pytest.mark.parametrize(
    ("word", "nearest"), [("cofee", "coffee"), ("intervew", "interview"), ("intros", "introduction"), ("GIFTS", "gift")]
)
def test_an_unknown_kind_is_refused_with_the_nearest_and_all_kinds(word: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy.known_kind(word)
    assert f"Did you mean {nearest}?" in caught.value.hint
    assert all(kind in caught.value.hint for kind in policy.kinds())


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(("mentor", "mentoring"), ("intro", "introduction"), ("c", "coffee"), ("Gen", "general")),
        *(("lunch", "meal"), ("Dinner", "meal"), ("talk", "speaker"), ("job  interview", "interview")),
        *(("conference", "event"), ("Recommendation", "reference"), ("present", "gift"), ("call", "general")),
    ],
)
def test_a_kind_is_known_by_how_its_name_begins_and_by_what_people_call_it(word: str, kind: str) -> None:
    assert policy.known_kind(word) == kind


def test_a_beginning_that_two_kinds_share_is_refused_naming_both() -> None:
    with pytest.raises(UsageError, match="'int' may be interview or introduction") as caught:
        policy.known_kind(" INT ")
    assert caught.value.hint == "Say a letter more."


def test_every_usual_word_stands_for_a_kind_and_for_nothing_else() -> None:
    assert set(policy.SYNONYMS.values()) <= set(policy.kinds())
    assert not set(policy.SYNONYMS) & set(policy.kinds())
    # A word that is also the beginning of a kind's name would hide that kind.
    assert not [word for word in policy.SYNONYMS for kind in policy.kinds() if kind.startswith(word)]


def test_seniority_is_peer_or_above() -> None:
    assert policy.known_seniority("Above") == "above"
    with pytest.raises(UsageError, match="no seniority 'below'") as caught:
        policy.known_seniority("below")
    assert "peer, above" in caught.value.hint


@pytest.mark.parametrize(
    ("word", "tag"),
    [
        *(("en", "en"), (" EN ", "en"), ("en-GB", "en-gb"), ("en_US", "en-us"), ("en-150", "en-150")),
        *(("de-AT", "de-at"), ("zh_HK", "zh-hk"), ("zh-Hant", "zh-hant"), ("zh-Hans-SG", "zh-hans-sg")),
    ],
)
def test_a_language_is_taken_with_or_without_its_script_and_region(word: str, tag: str) -> None:
    assert policy.known_language(word) == tag


@pytest.mark.parametrize(
    "word", ["", "xx", "eng", "english", "en-", "en-x", "en-12", "en-a1", "en-GB-oed", "ja-Hant", "zh-x"]
)
def test_a_language_without_templates_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="no language") as caught:
        policy.known_language(word)
    assert "There are: en, de, fr, es, ja, zh." in caught.value.hint


def test_every_language_that_may_be_written_in_has_rows_of_its_own() -> None:
    assert {policy.culture(one).partition("-")[0] for one in policy.LANGUAGES} == set(policy.LANGUAGES)
    assert {one.partition("-")[0] for one in policy.cultures()} == set(policy.LANGUAGES)


def test_swiss_german_has_no_sharp_s() -> None:
    assert policy.rule("coffee", "de-CH").closing == "Herzliche Grüsse"
    assert policy.rule("coffee", "de-AT").closing == "Herzliche Grüße"


def test_a_users_own_templates_may_add_a_language() -> None:
    assert policy.known_language("nl-BE", ("en", "nl")) == "nl-be"


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
