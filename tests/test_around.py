"""What the ledger knows beside one thanks: other people's names, earlier notes, unanswered letters, what they care about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from store_rigs import Desk

from thanksd.config import KindRule
from thanksd.errors import DataError, UsageError

DETAIL = "why you left Rust"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def findings(desk: Desk, number: int) -> dict[str, str]:
    return {one["code"]: one["where"] for one in desk("draft", ref=str(number))["draft"]["findings"]}


def write(desk: Desk, number: int, sentence: str) -> dict[str, str]:
    """Put a sentence into a note, and give its findings."""
    body = desk("draft", ref=str(number))["draft"]["body"]
    desk("draft", ref=str(number), body=body.replace("\n\nWith ", f" {sentence}\n\nWith "))
    return findings(desk, number)


def sent(desk: Desk, *numbers: int, overrides: Sequence[str] = ()) -> None:
    shown = [desk("prepare", ref=str(number), at_once=True)["prepared"]["sha256"] for number in numbers]
    letters = [{"thanks": number, "sha256": sha} for number, sha in zip(numbers, shown, strict=True)]
    desk("confirm", letters=letters, at_once=True, overrides=list(overrides))
    desk("dispatch")


# --- names ---


@pytest.mark.parametrize(
    ("sentence", "where"),
    [
        ("You and Bob Ray would agree.", "Bob Ray"),
        ("You answered straight, Bob, and you asked well.", "Bob"),
        ("You know how things are at Globex.", "Globex"),
    ],
)
def test_a_note_that_names_somebody_else_of_the_ledger_or_their_company_is_blocked(
    desk: Desk, sentence: str, where: str
) -> None:
    desk.add("Bob Ray", email="bob@globex.com")
    assert write(desk, desk.add(), sentence) == {"person": where}


def test_whoever_was_there_or_is_noted_may_be_named(desk: Desk) -> None:
    desk.add("Bob Ray", email="bob@globex.com")
    with_bob = desk.add(others=["Bob Ray bob@globex.com"], kind="meal")
    assert write(desk, with_bob, "You and Bob Ray were patient.") == {}
    noted = desk.add("Cy Young", details=[DETAIL, "how you and Bob Ray met at Globex"], email="cy@elsewhere.example")
    assert write(desk, noted, "You and Bob Ray were lucky.") == {}


def test_a_name_that_nobody_in_the_ledger_has_is_not_known_and_only_warned_of(desk: Desk) -> None:
    assert write(desk, desk.add(), "You and Peter Cross would agree.") == {"grounding": "Peter, Cross"}


def test_a_name_in_characters_is_found_without_spaces_around_it(desk: Desk) -> None:
    desk.add("陈大文", email="chen@elsewhere.example")
    number = desk.add("王小明", email="wang@example.com", lang="zh-hans", details=["怎样带新人"])
    body = desk("draft", ref=str(number))["draft"]["body"]
    desk("draft", ref=str(number), body=body.replace("\n\n祝好", "您和陈大文都很用心。\n\n祝好"))
    assert findings(desk, number).get("person") == "陈大文"


# --- earlier notes ---


def test_the_same_words_again_to_the_same_person_are_warned_of(desk: Desk) -> None:
    sent(desk, desk.add())
    desk.clock.forward(days=20)
    second = desk.add()
    assert findings(desk, second) == {}
    desk("draft", ref=str(second), template="coffee")
    assert findings(desk, second) == {"reuse": "body"}


def test_a_colleague_gets_another_wording_and_a_stranger_may_have_the_same(desk: Desk) -> None:
    first = desk.add(email="ada@globex.com")
    colleague = desk.add("Bob Ray", email="bob@globex.com")
    same_provider = desk.add("Cy Young", email="cy@gmail.com"), desk.add("Dee Doe", email="dee@gmail.com")
    names = [desk("draft", ref=str(one))["draft"]["template"] for one in (first, colleague, *same_provider)]
    assert names == ["coffee", "coffee/2", "coffee", "coffee"]


def test_a_panel_gets_three_wordings_and_two_notes_alike_are_refused_even_in_one_go(desk: Desk) -> None:
    others = ["Bob Ray bob@globex.com", "Cy Young cy@globex.com"]
    desk("add", who="Ada Lovelace ada@globex.com", kind="panel", others=others, details=[DETAIL])
    names = [desk("draft", ref=str(number))["draft"]["template"] for number in (1, 2, 3)]
    assert names == ["panel", "panel/2", "panel/3"]
    body = desk("draft", ref="1")["draft"]["body"]
    desk("draft", ref="2", body=body.replace("Ada", "Bob"))
    with pytest.raises(DataError, match="reuse"):
        sent(desk, 1, 2)
    assert desk.rows("SELECT * FROM letter") == []
    sent(desk, 1)
    assert findings(desk, 2)["reuse"] == "body"
    sent(desk, 2, overrides=["reuse"])
    assert "overridden" in desk.words(2)


# --- too often ---


def introductions(desk: Desk, count: int, seniority: str) -> list[int]:
    """Owe somebody thanks several times without having met them; each with a detail of its own."""
    things = ["the baker", "your old boss", "the choir", "that lawyer", "the vet", "the printer"]
    return [
        desk.add(
            kind="introduction", seniority=seniority, about=f"to somebody {place}", details=[things[place]], again=True
        )
        for place in range(count)
    ]


@pytest.mark.parametrize(("seniority", "most"), [("peer", 4), ("above", 2)])
def test_letters_that_went_unanswered_have_a_limit_lower_upwards(desk: Desk, seniority: str, most: int) -> None:
    *allowed, last = introductions(desk, most + 1, seniority)
    for number in allowed:
        assert "often" not in findings(desk, number)
        sent(desk, number, overrides=["reuse", "person"])
    blocked = next(one for one in desk("draft", ref=str(last))["draft"]["findings"] if one["code"] == "often")
    assert blocked["severity"] == "block"
    assert blocked["message"].startswith(f"{most} letters to them are unanswered. Fitting again Thu 9 Apr")
    with pytest.raises(DataError, match="often"):
        sent(desk, last)
    desk.clock.forward(days=30)
    assert "often" not in findings(desk, last)


@pytest.mark.parametrize("answer", ["replied", "met"])
def test_a_reply_or_another_meeting_answers_what_went_before(desk: Desk, answer: str) -> None:
    *allowed, last = introductions(desk, 3, "above")
    for number in allowed:
        sent(desk, number, overrides=["reuse"])
    assert "often" in findings(desk, last)
    desk.clock.forward(hours=1)
    if answer == "replied":
        desk("edit_person", who="Ada", replied=True)
    else:
        desk.add(kind="coffee")
    assert "often" not in findings(desk, last)


def test_the_limit_is_the_users_to_set_and_an_override_is_written_down(desk: Desk) -> None:
    *allowed, last = introductions(desk, 3, "above")
    for number in allowed:
        sent(desk, number, overrides=["reuse"])
    sent(desk, last, overrides=["often", "reuse"])
    assert "overridden" in desk.words(last)
    own = {"introduction": KindRule(most=9)}
    desk.set(config=replace(desk.context.config, kind=own))
    assert "often" not in findings(desk, desk.add(kind="introduction", again=True))


# --- what they care about ---


def person(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = desk("person", who="Ada")["people"][0]
    return found


def test_an_interest_has_its_source_and_day_and_is_stale_after_half_a_year(desk: Desk) -> None:
    desk.add()
    desk("edit_person", who="Ada", cares_about=["open compilers"], source="coffee in March")
    (one,) = person(desk)["interests"]
    assert (one["text"], one["source"], one["stale"]) == ("open compilers", "coffee in March", False)
    desk.clock.forward(days=181)
    assert person(desk)["interests"][0]["stale"] is True
    desk("edit_person", who="Ada", cares_about=["Open Compilers"])
    assert [(one["text"], one["stale"]) for one in person(desk)["interests"]] == [("Open Compilers", False)]
    desk("edit_person", who="Ada", no_longer=["open"])
    assert person(desk)["interests"] == []
    with pytest.raises(UsageError, match="No interest begins with 'open'"):
        desk("edit_person", who="Ada", no_longer=["open"])


def test_a_note_gets_a_hint_of_one_thing_to_give_until_it_has_it_and_none_of_a_stale_one(desk: Desk) -> None:
    number = desk.add()
    desk("edit_person", who="Ada", cares_about=["sea shanties", "open compilers"])
    assert findings(desk, number) == {"give": "open compilers"}
    assert write(desk, number, "You may like the new paper on open compilers.") == {}
    other = desk.add(kind="meal")
    desk.clock.forward(days=181)
    assert findings(desk, other) == {}


def test_what_went_to_somebody_is_counted_as_thanks_given_or_asked(desk: Desk) -> None:
    first, second, third = desk.add(), desk.add(kind="meal"), desk.add(kind="event")
    sent(desk, first)
    desk("edit_person", who="Ada", cares_about=["open compilers"])
    write(desk, second, "You may like the new paper on open compilers.")
    sent(desk, second)
    write(desk, third, "Could you refer me to your team?")
    sent(desk, third, overrides=["ask"])
    assert person(desk)["balance"] == {"thanks": 1, "give": 1, "ask": 1}


def test_interests_and_replies_go_along_into_another_ledger(desk: Desk, short_dir: Path) -> None:
    desk.add()
    desk("edit_person", who="Ada", cares_about=["open compilers"], source="coffee", replied=True)
    other = Desk(short_dir / "other")
    other("take_in", parcel=desk("export"))
    there = other("person", who="Ada")["people"][0]
    assert [one["text"] for one in there["interests"]] == ["open compilers"]
    assert there["replied_at"] == "2026-03-10T11:00:00Z"


def test_somebody_forgotten_leaves_no_interest_behind(desk: Desk) -> None:
    desk.add()
    desk("edit_person", who="Ada", cares_about=["open compilers"])
    desk("forget_person", who="Ada")
    assert desk.rows("SELECT * FROM interest") == []
