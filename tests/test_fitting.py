"""What is fitting for a person follows what is known of them: the moments of what is owed, and the note's own words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from store_rigs import Desk

from thanksd.config import KindRule
from thanksd.errors import UsageError

# 10 March 2026 is a Tuesday; New York is on summer time since the 8th, Berlin is not.
BERLIN_NINE, NEW_YORK_NINE = "2026-03-11 08:00:00.000000", "2026-03-11 13:00:00.000000"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def moments(desk: Desk, number: int) -> tuple[str, str]:
    row = desk.thanks(number)
    return row["nudge_at"], row["due_by"]


def test_next_day_at_nine_is_that_of_the_place_where_they_live_if_it_is_known(desk: Desk) -> None:
    here = desk.add("Ada Lovelace", kind="event")
    there = desk.add("Bob Ray", kind="event", tz="America/New_York")
    assert (moments(desk, here)[0], moments(desk, there)[0]) == (BERLIN_NINE, NEW_YORK_NINE)


def test_another_zone_of_a_person_moves_what_is_still_owed_to_them_and_says_so(desk: Desk) -> None:
    number, due_by = desk.add(kind="event"), moments(desk, desk.add("Bob Ray", kind="event"))[1]
    desk("edit_person", who="Ada", tz="America/New_York")
    assert moments(desk, number) == (NEW_YORK_NINE, due_by)
    assert desk.thanks(number)["popup_at"] == NEW_YORK_NINE
    assert desk.words(number) == ["added", "rescheduled"]
    # The same said again moves nothing.
    desk("edit_person", who="Ada", tz="America/New_York")
    assert desk.words(number) == ["added", "rescheduled"]


def test_a_zone_said_of_one_thanks_moves_what_else_is_owed_to_the_same_person(desk: Desk) -> None:
    first, second = desk.add(kind="event"), desk.add(kind="meal")
    desk("edit", ref=str(second), tz="America/New_York")
    assert [moments(desk, number)[0] for number in (first, second)] == [NEW_YORK_NINE, NEW_YORK_NINE]


def test_what_the_user_named_outright_snoozed_or_closed_stays_where_it_is(desk: Desk) -> None:
    outright = desk.add(kind="event", after="2h")
    snoozed, waived = desk.add(kind="meal"), desk.add(kind="gift")
    desk("snooze", ref=str(snoozed), delay="5h")
    desk("waive", ref=str(waived))
    before = [moments(desk, number) for number in (outright, snoozed, waived)]
    desk("edit_person", who="Ada", tz="America/New_York")
    assert [moments(desk, number) for number in (outright, snoozed, waived)] == before


def test_what_a_pause_added_to_best_by_stays_when_the_rest_moves(desk: Desk) -> None:
    number = desk.add(kind="event")
    desk("pause", until="20 March")
    paused = moments(desk, number)[1]
    desk("edit_person", who="Ada", tz="America/New_York")
    assert moments(desk, number) == (NEW_YORK_NINE, paused)


def test_many_added_at_once_have_the_moments_of_the_people_that_are_known(desk: Desk) -> None:
    desk.add(kind="coffee", tz="America/New_York")
    lines = [{"line": 1, "name": "Ada Lovelace", "email": "ada@example.com"}, {"line": 2, "name": "Bob Ray"}]
    desk("add_many", lines=lines, kind="event")
    assert [moments(desk, number)[0] for number in (2, 3)] == [NEW_YORK_NINE, BERLIN_NINE]


def test_the_users_own_fields_of_a_kind_are_in_the_note(desk: Desk) -> None:
    own = KindRule(greeting="Servus {first},", closing="Bis bald,", shortest=500, template="event")
    desk.set(config=replace(desk.context.config, kind={"coffee": own}))
    draft = desk("draft", ref=str(desk.add()))["draft"]
    assert draft["body"].startswith("Servus Ada,\n\nIt was good to meet you")
    assert draft["body"].endswith("\n\nBis bald,\nSam Lee")
    assert "at least 500 are better" in " ".join(one["message"] for one in draft["findings"])


def test_a_note_to_somebody_above_greets_by_the_full_name_and_blocks_an_invitation(desk: Desk) -> None:
    number = desk.add(seniority="above")
    body = desk("draft", ref=str(number))["draft"]["body"]
    assert body.startswith("Dear Ada Lovelace,")
    invited = body.replace("\n\nWith kind", " I'd love to buy you a coffee soon.\n\nWith kind")
    found = [one for one in desk("draft", ref=str(number), body=invited)["draft"]["findings"] if one["code"] == "offer"]
    assert [(one["severity"], one["where"]) for one in found] == [("block", "I'd love to buy you a coffee")]
    # To a peer it is welcome.
    desk("edit_person", who="Ada", seniority="peer")
    assert "offer" not in [one["code"] for one in desk("draft", ref=str(number))["draft"]["findings"]]


def test_a_note_says_that_it_is_late_some_days_after_best_by_and_not_at_once(desk: Desk) -> None:
    number = desk.add()
    desk.clock.forward(days=3)
    assert "You should have had this note sooner" not in desk("draft", ref=str(number))["draft"]["body"]
    desk.clock.forward(days=2)
    assert "You should have had this note sooner" in desk("draft", ref=str(number))["draft"]["body"]


# --- wordings ---


def opening(desk: Desk, number: int) -> str:
    body: str = desk("draft", ref=str(number))["draft"]["body"]
    return " ".join(body.split("\n\n")[1].split()[:4])


def test_the_same_person_is_not_thanked_twice_in_the_same_words_while_there_are_others(desk: Desk) -> None:
    names, openings = [], set()
    for _ in range(4):
        number = desk.add()
        names.append(desk("draft", ref=str(number))["draft"]["template"])
        openings.add(opening(desk, number))
        desk.clock.forward(days=1)
    assert names == ["coffee", "coffee/2", "coffee/3", "coffee"]
    assert len(openings) == 3
    # Somebody else has the first again, a colleague has not, and a wording is the same each time it is looked at.
    other, colleague = desk.add("Bob Ray", email="bob@elsewhere.example"), desk.add("Cy Young")
    assert [desk("draft", ref=str(other))["draft"]["template"] for _ in range(2)] == ["coffee", "coffee"]
    assert desk("draft", ref=str(colleague))["draft"]["template"] == "coffee/2"


def test_another_wording_steps_through_all_and_back_to_the_first(desk: Desk) -> None:
    ref = str(desk.add())
    found = [desk("draft", ref=ref, another=True)["draft"] for _ in range(3)]
    assert [one["template"] for one in found] == ["coffee/2", "coffee/3", "coffee"]
    assert len({one["body"] for one in found}) == 3
    assert desk("draft", ref=ref)["draft"] == found[-1]


def test_a_template_of_ones_own_with_one_wording_gives_way_to_the_general_ones(desk: Desk) -> None:
    desk.context.templates.mkdir()
    text = "{% block subject %}Mine for you{% endblock %}{% block body %}Own.{% endblock %}"
    (desk.context.templates / "coffee.txt.j2").write_text(text, encoding="utf-8")
    ref = str(desk.add())
    assert desk("draft", ref=ref)["draft"]["subject"] == "Mine for you"
    names = [desk("draft", ref=ref, another=True)["draft"]["template"] for _ in range(4)]
    assert names == ["general", "general/2", "general/3", "coffee"]


def test_a_wording_can_be_named_outright_and_one_that_is_not_there_is_refused(desk: Desk) -> None:
    ref = str(desk.add(template="coffee/3"))
    assert desk("draft", ref=ref)["draft"]["template"] == "coffee/3"
    with pytest.raises(UsageError, match="no wording 'coffee/4'"):
        desk("draft", ref=ref, template="coffee/4")
    assert desk("draft", ref=ref)["draft"]["template"] == "coffee/3"


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Pacific/Auckland", True),
        ("America/Los_Angeles", True),
        ("Asia/Tokyo", False),
        ("America/New_York", False),
        ("", False),
    ],
)
def test_a_letter_that_would_arrive_at_night_where_they_live_is_warned_of(desk: Desk, zone: str, *, told: bool) -> None:
    number = desk.add(tz=zone)
    found = desk("draft", ref=str(number))["draft"]["findings"]
    assert ("timing" in [one["code"] for one in found]) is told


def test_a_letter_for_the_morning_is_no_letter_at_night(desk: Desk) -> None:
    number = desk.add(tz="America/Los_Angeles")
    findings = desk("prepare", ref=str(number), at="18:00")["prepared"]["findings"]
    assert "timing" not in [one["code"] for one in findings]
