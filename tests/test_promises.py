"""What was promised is listed, asked for by popups of its own until it is kept, and goes with whom it was promised to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_rigs import Desk

from thanksd.errors import NotFoundError, UsageError

# The clock's day is a Tuesday; Friday nine o'clock in Berlin is eight in UTC.
THURSDAY_NINE = datetime(2026, 3, 12, 8, 0, tzinfo=UTC)


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def open_ones(desk: Desk) -> list[tuple[str, str]]:
    return [(one["person"], one["text"]) for one in desk("promises")["promises"]]


def popups(desk: Desk, channel: str = "desktop") -> list[dict[str, Any]]:
    """Give what is due of promises, and take it as shown."""
    found = [one for one in desk("due_nudges", channel=channel)["nudges"] if one["occasion"] == "promise"]
    for place, one in enumerate(found, 70):
        desk("nudges_shown", ids=one["ids"], popup_id=place, server=":1.1")
    return found


def at(desk: Desk, moment: datetime) -> None:
    desk.clock.moment = moment


def test_open_promises_are_listed_the_most_pressing_first_and_kept_ones_on_demand(desk: Desk) -> None:
    desk.add(promises=["an intro to Tom", "the paper by friday"])
    desk.add("Bob Ray", promises=["the slides by thursday"])
    assert open_ones(desk) == [
        ("Bob Ray", "the slides"),
        ("Ada Lovelace", "the paper"),
        ("Ada Lovelace", "an intro to Tom"),
    ]
    kept = desk("promise_done", number=2)["promises"][0]
    assert (kept["text"], kept["done_at"]) == ("the paper", "2026-03-10T11:00:00Z")
    assert len(open_ones(desk)) == 2
    assert [one["text"] for one in desk("promises", every=True)["promises"]][-1] == "the paper"
    assert "promise kept" in desk.words(1)


def test_a_promise_is_kept_once_and_can_be_opened_again(desk: Desk) -> None:
    desk.add(promises=["the paper by friday"])
    desk("promise_done", number=1)
    with pytest.raises(UsageError, match="Promise 1 is kept already"):
        desk("promise_done", number=1)
    desk("promise_done", number=1, undo=True)
    assert open_ones(desk) == [("Ada Lovelace", "the paper")]
    with pytest.raises(UsageError, match="Promise 1 is open already"):
        desk("promise_done", number=1, undo=True)
    for number in (9, -1, 10**30):
        with pytest.raises(NotFoundError, match="There is no promise"):
            desk("promise_done", number=number)


def test_a_dated_promise_is_asked_for_a_day_before_and_daily_until_it_is_kept(desk: Desk) -> None:
    number = desk.add(promises=["the paper by friday"])
    desk("done", ref=str(number))
    assert desk("next_moment")["popup"] == "2026-03-12T08:00:00Z"
    at(desk, THURSDAY_NINE - timedelta(minutes=1))
    assert popups(desk) == []
    at(desk, THURSDAY_NINE)
    (one,) = popups(desk)
    assert (one["popup"]["title"], one["thanks"]) == ("You promised Ada Lovelace", [number])
    assert one["popup"]["body"] == "the paper\nby tomorrow 09:00"
    assert popups(desk) == []
    at(desk, THURSDAY_NINE + timedelta(days=1))
    assert len(popups(desk)) == 1
    desk("promise_done", number=1)
    at(desk, THURSDAY_NINE + timedelta(days=9))
    assert popups(desk) == []
    assert desk("next_moment")["popup"] is None


def test_a_promise_without_a_day_is_asked_for_weekly(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["an intro to Tom"])))
    desk.clock.forward(days=6)
    assert popups(desk) == []
    desk.clock.forward(days=1)
    assert len(popups(desk)) == 1
    desk.clock.forward(days=6)
    assert popups(desk) == []
    desk.clock.forward(days=1)
    assert len(popups(desk)) == 1


def test_several_promises_make_one_popup_and_all_done_keeps_them_all(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    desk("done", ref=str(desk.add("Bob Ray", promises=["the slides by friday"])))
    at(desk, THURSDAY_NINE)
    (one,) = popups(desk)
    assert one["popup"]["title"] == "2 promises to keep"
    answered = desk("answer", popup_id=70, server=":1.1", key="done")
    assert (answered["occasion"], answered["done"]) == ("promise", True)
    assert open_ones(desk) == []
    assert desk("answer", popup_id=70, server=":1.1", key="done")["done"] is False


def test_later_asks_again_tomorrow(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["an intro to Tom"])))
    desk.clock.forward(days=7)
    popups(desk)
    desk("answer", popup_id=70, server=":1.1", key="later")
    desk.clock.forward(hours=23)
    assert popups(desk) == []
    desk.clock.forward(hours=1)
    assert len(popups(desk)) == 1


def test_in_quiet_hours_a_promise_waits_and_a_terminal_gets_its_line(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    at(desk, THURSDAY_NINE + timedelta(hours=13))
    assert popups(desk) == []
    assert desk("next_moment")["popup"] == "2026-03-13T07:30:00Z"
    at(desk, datetime(2026, 3, 13, 7, 30, tzinfo=UTC))
    (one,) = popups(desk, "terminal")
    assert one["line"].startswith("You promised Ada Lovelace.")


def test_a_popup_that_was_not_shown_or_lost_its_buttons_comes_again(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    at(desk, THURSDAY_NINE)
    (one,) = [one for one in desk("due_nudges", channel="desktop")["nudges"] if one["occasion"] == "promise"]
    desk("nudges_failed", ids=one["ids"], error="no server")
    again = popups(desk)
    assert [shown["ids"] for shown in again] == [one["ids"]]
    desk("show_again")
    assert len(popups(desk)) == 1


def test_one_kept_and_taken_back_while_its_popup_could_not_be_shown_comes_once(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    at(desk, THURSDAY_NINE)
    (one,) = [one for one in desk("due_nudges", channel="desktop")["nudges"] if one["occasion"] == "promise"]
    desk("nudges_failed", ids=one["ids"], error="no server")
    desk("promise_done", number=1)
    desk("promise_done", number=1, undo=True)
    desk.clock.forward(days=1)
    assert len(popups(desk)) == 1
    desk.clock.forward(seconds=61)
    assert popups(desk) == []


def test_of_two_the_one_that_has_a_day_is_named_first(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["an intro to Tom"])))
    desk("done", ref=str(desk.add("Bob Ray", promises=["the slides"])))
    desk("done", ref=str(desk.add("Cy Young", promises=["the paper by friday"])))
    desk.clock.forward(days=7)
    (one,) = popups(desk)
    assert one["popup"]["body"].startswith("the paper\n")


def test_a_promise_kept_elsewhere_takes_its_popup_from_the_screen(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    at(desk, THURSDAY_NINE)
    popups(desk)
    assert desk("answered_popups")["popups"] == []
    desk("promise_done", number=1)
    assert desk("answered_popups")["popups"] == [[70, ":1.1"]]


def test_somebody_forgotten_takes_their_promises_along_and_the_popup_goes(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    at(desk, THURSDAY_NINE)
    popups(desk)
    desk("forget_person", who="Ada")
    assert open_ones(desk) == []
    assert desk("answered_popups")["popups"] == [[70, ":1.1"]]
    desk.clock.forward(days=3)
    assert popups(desk) == []


def test_other_promises_of_a_thanks_take_the_place_of_those_before(desk: Desk) -> None:
    number = desk.add(promises=["the paper by friday"])
    desk("edit", ref=str(number), promises=["the slides by thursday"])
    assert open_ones(desk) == [("Ada Lovelace", "the slides")]
    # Not before a day went by, though its own is the day after.
    assert desk.rows("SELECT popup_at FROM promise")[0]["popup_at"] == "2026-03-11 11:00:00.000000"


def test_a_pause_holds_the_popups_of_promises_too(desk: Desk) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    desk("pause", until="2w")
    at(desk, THURSDAY_NINE)
    assert popups(desk) == []
    assert desk("next_moment")["paused"] is True


def test_an_imported_promise_is_asked_for_too(desk: Desk, short_dir: Path) -> None:
    desk("done", ref=str(desk.add(promises=["the paper by friday"])))
    other = Desk(short_dir / "other")
    other("take_in", parcel=desk("export"))
    at(other, THURSDAY_NINE)
    assert open_ones(other) == [("Ada Lovelace", "the paper")]
    assert len(popups(other)) == 1
