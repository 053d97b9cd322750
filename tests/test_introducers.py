"""Whoever brought you together with somebody is owed thanks at once, and again with what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from store_rigs import Desk


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def owed(desk: Desk) -> list[tuple[str, str, str | None]]:
    found: list[dict[str, Any]] = desk("owed")["thanks"]
    return [(one["person"]["name"], one["meeting"]["kind"], one["meeting"]["about"]) for one in found]


def test_via_owes_the_introducer_thanks_at_once(desk: Desk) -> None:
    told = desk("add", who="Ada Lovelace", kind="coffee", via="Tom Ray")
    assert told["notes"] == [
        "Thanks 2 is for Tom Ray, who brought you together; one more when you can say what came of it."
    ]
    assert sorted(owed(desk)) == [("Ada Lovelace", "coffee", None), ("Tom Ray", "introduction", "Ada Lovelace")]
    note = desk("draft", ref="2")["draft"]["body"]
    assert "Thank you for introducing me to Ada Lovelace" in note


def test_several_people_met_through_somebody_are_one_introduction(desk: Desk) -> None:
    desk("add", who="Ada Lovelace", kind="panel", via="Tom Ray", others=["Bob Ray", "Cy Young"])
    assert ("Tom Ray", "introduction", "Ada Lovelace, Bob Ray, Cy Young") in owed(desk)


def test_the_same_introduction_is_owed_once(desk: Desk) -> None:
    desk("add", who="Ada Lovelace", kind="coffee", via="Tom Ray")
    assert desk("add", who="Ada Lovelace", kind="meal", via="Tom Ray")["notes"] == []
    assert [kind for _, kind, _ in owed(desk)].count("introduction") == 1


@pytest.mark.parametrize("by", ["letter", "done"])
def test_once_the_meeting_was_thanked_for_the_introducer_is_owed_what_came_of_it(desk: Desk, by: str) -> None:
    number = desk.add(via="Tom Ray tom@elsewhere.example")
    first = desk("draft", ref="2")["draft"]["body"]
    desk("done", ref="2")
    if by == "letter":
        desk.confirm(number)
        desk("dispatch")
    else:
        told = desk("done", ref=str(number))
        assert told["notes"] == ["Thanks 3 is for Tom Ray, who brought you together: say what came of it."]
    assert owed(desk) == [("Tom Ray", "introduction", "Ada Lovelace")]
    desk("edit", ref="3", details=["that Ada knew the old compiler by heart"])
    note = desk("draft", ref="3")["draft"]
    assert "Ada Lovelace" in note["body"]
    assert note["body"].split("\n\n")[1:] != first.split("\n\n")[1:]
    assert [one["code"] for one in note["findings"] if one["severity"] == "block"] == []
    # Nothing more follows from that one, and it is owed once.
    desk("done", ref="3")
    desk("dispatch")
    assert owed(desk) == []


def test_without_an_introducer_nothing_more_is_owed(desk: Desk) -> None:
    desk("done", ref=str(desk.add()))
    assert owed(desk) == []


def test_what_was_told_of_an_introduction_is_known_in_another_ledger_too(desk: Desk, short_dir: Path) -> None:
    number = desk.add(via="Tom Ray tom@elsewhere.example")
    desk("done", ref="2")
    desk("done", ref=str(number))
    desk("done", ref="3")
    other = Desk(short_dir / "other")
    other("take_in", parcel=desk("export"))
    other("done", ref=str(other.add("Bob Ray")))
    assert owed(other) == []


def test_an_introducer_who_is_named_later_is_owed_thanks_then(desk: Desk) -> None:
    number = desk.add()
    told = desk("edit", ref=str(number), via="Tom Ray")
    assert told["notes"] == [
        "Thanks 2 is for Tom Ray, who brought you together; one more when you can say what came of it."
    ]


# --- a panel whose coordinator passes thanks on ---


def panel(desk: Desk) -> None:
    others = ["Bob Ray bob@globex.com", "Cy Young", "Dee Doe"]
    desk("add", who="Ada Lovelace ada@globex.com", kind="panel", others=others, details=["the question about lifetimes"],
         coordinator="Eva Hall eva@globex.com")  # fmt: skip


def test_the_coordinator_is_thanked_too_and_asked_to_pass_thanks_on_to_whom_nobody_can_write(desk: Desk) -> None:
    panel(desk)
    assert len(owed(desk)) == 5
    shown = desk("draft", ref="5")["draft"]
    assert "Please pass my thanks on to Cy Young and Dee Doe too." in shown["body"]
    assert [one for one in shown["findings"] if one["severity"] == "block"] == []
    assert all("pass my thanks" not in desk("draft", ref=str(number))["draft"]["body"] for number in (1, 2, 3, 4))
    # Whoever has an address by now is written to.
    desk("edit", ref="4", email="dee@globex.com")
    assert "on to Cy Young too." in desk("draft", ref="5")["draft"]["body"]


@pytest.mark.parametrize("by", ["letter", "done"])
def test_what_the_coordinator_passes_on_is_thanked_for_and_the_rest_is_owed(desk: Desk, by: str) -> None:
    panel(desk)
    if by == "letter":
        desk.confirm(5)
        desk("dispatch")
    else:
        desk("done", ref="5")
    assert sorted(name for name, _, _ in owed(desk)) == ["Ada Lovelace", "Bob Ray"]
    assert desk.thanks(3)["how"] == "through Eva Hall"
    assert desk("undo", ref="3")["thanks"][0]["state"] != "thanked"
