"""Which nudges are due, when, and what an answer does: the verbs, on a real store, with a clock of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from daemon_rigs import Ledger

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger; no quiet hours. It is Wednesday 12 March 2025, 10:00 in Berlin."""
    return Ledger(tmp_path / "t.db", quiet_hours="")


def _labels(nudge: dict[str, Any]) -> list[str]:
    return [label for _, label in nudge["popup"]["buttons"]]


def _berlin(moment: datetime) -> str:
    return moment.astimezone(BERLIN).strftime("%a %H:%M")


def test_a_due_thanks_is_given_to_one_asker_only(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    assert ledger.due() == []
    ledger.later(seconds=2)
    (nudge,) = ledger.due()
    assert (nudge["thanks"], nudge["popup"]["title"]) == ([1], "Thank Ada Lovelace?")
    assert _labels(nudge) == ["Review", "Later", "Not needed"]
    assert ledger.due() == []


def test_a_nudge_that_was_never_shown_is_due_again_within_a_minute_or_so(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    (lost,) = ledger.due()
    ledger.later(seconds=61)
    (again,) = ledger.due()
    assert again["ids"] == lost["ids"]


def test_what_could_not_be_shown_is_due_at_once_and_its_state_is_due_all_the_time(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    (nudge,) = ledger.due()
    ledger.call("nudges_failed", ids=nudge["ids"], error="The server hangs.")
    assert ledger.state(1) == "due"
    assert [one["ids"] for one in ledger.due()] == [nudge["ids"]]


def test_unanswered_it_comes_again_after_four_hours_then_daily_then_on_mondays(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    seen = []
    for number in range(8):
        ledger.show(number)
        ledger.now = ledger.popup_at(1)
        seen.append(_berlin(ledger.now))
    assert seen[:1] == ["Wed 14:00"]
    # Best by is Thursday 10:00; three days after that is Sunday 10:00.
    assert seen[1:5] == ["Thu 09:00", "Fri 09:00", "Sat 09:00", "Sun 09:00"]
    assert seen[5:] == ["Mon 09:00", "Mon 09:00", "Mon 09:00"]


def test_two_due_together_are_two_popups(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.add("Chen Wei")
    ledger.later(seconds=2)
    assert [one["thanks"] for one in ledger.due()] == [[1], [2]]


def test_three_due_together_are_one_digest_that_can_not_be_waived(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    (digest,) = ledger.show(1)
    assert (digest["thanks"], digest["popup"]["title"]) == ([1, 2, 3], "3 people to thank")
    assert _labels(digest) == ["Review", "Later"]


def test_later_on_a_digest_moves_all_of_them(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    ledger.show(1)
    done = ledger.call("answer", popup_id=1, server=":1.1", key="later")
    assert (done["thanks"], done["done"]) == ([1, 2, 3], True)
    assert [ledger.state(number) for number in (1, 2, 3)] == ["snoozed"] * 3


def test_a_digest_takes_the_place_of_the_one_before_it(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.later(hours=4)
    (again,) = ledger.due()
    assert (again["popup"]["replaces"], again["popup"]["server"]) == (1, ":1.1")


def test_the_single_popups_of_those_in_a_new_digest_are_taken_down(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.add("Chen Wei")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.add("Tom Jones", after="4h")
    ledger.later(hours=4, seconds=2)
    (digest,) = ledger.due()
    assert digest["popup"]["replaces"] == 2
    ledger.call("nudges_shown", ids=digest["ids"], popup_id=2, server=":1.1")
    assert ledger.call("answered_popups")["popups"] == [[1, ":1.1"]]
    assert ledger.call("answered_popups")["popups"] == []


def test_a_popup_of_one_out_of_a_digest_speaks_of_that_one_alone(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("snooze", ref="1", delay="1h")
    ledger.call("snooze", ref="2", delay="2h")
    ledger.later(hours=1, seconds=1)
    (single,) = ledger.due()
    # The digest still is Tom's reminder.
    assert (single["thanks"], single["popup"]["replaces"]) == ([1], 0)
    ledger.call("nudges_shown", ids=single["ids"], popup_id=2, server=":1.1")
    ledger.call("answer", popup_id=2, server=":1.1", key="waive")
    assert [ledger.state(number) for number in (1, 2, 3)] == ["waived", "snoozed", "due"]


def test_a_button_means_what_the_popup_says_now_not_what_it_said_before(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("done", ref="2")
    ledger.call("snooze", ref="3", delay="6h")
    ledger.later(hours=4)
    (single,) = ledger.due()
    # Nobody else waits on the digest any more: it becomes Ada's.
    assert (single["thanks"], single["popup"]["replaces"]) == ([1], 1)
    ledger.call("nudges_shown", ids=single["ids"], popup_id=1, server=":1.1")
    assert ledger.call("answer", popup_id=1, server=":1.1", key="waive")["thanks"] == [1]
    assert [ledger.state(number) for number in (1, 2, 3)] == ["waived", "thanked", "snoozed"]


def test_the_same_number_of_another_server_is_another_popup(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1, server=":1.7")
    assert ledger.call("answer", popup_id=1, server=":1.9", key="waive")["thanks"] == []
    assert ledger.state(1) == "due"


def test_a_button_pressed_twice_does_nothing_more(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    assert ledger.call("answer", popup_id=1, server=":1.1", key="waive")["done"]
    ledger.call("undo", ref="1")
    again = ledger.call("answer", popup_id=1, server=":1.1", key="waive")
    assert (again["done"], ledger.state(1)) == (False, "due")


@pytest.mark.parametrize("key", ["review", "fix"])
def test_opening_is_no_answer(ledger: Ledger, key: str) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("answer", popup_id=1, server=":1.1", key=key)
    assert ledger.state(1) == "due"
    assert _berlin(ledger.popup_at(1)) == "Wed 14:00"
    assert [one["what"] for one in ledger.call("log")["events"]] == ["added", "nudged", "opened"]


def test_closing_is_no_answer(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    assert ledger.call("nudges_closed", popup_id=1, server=":1.1") == {"nudges": 1}
    assert ledger.state(1) == "due"
    ledger.later(hours=4)
    (again,) = ledger.due()
    assert again["popup"]["replaces"] == 0


def test_a_press_whose_closing_was_told_first_still_counts(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("nudges_closed", popup_id=1, server=":1.1")
    ledger.call("answer", popup_id=1, server=":1.1", key="waive")
    assert ledger.state(1) == "waived"


def test_what_was_answered_elsewhere_leaves_no_popup_on_the_screen(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    assert ledger.call("answered_popups")["popups"] == []
    ledger.call("done", ref="1")
    assert ledger.call("answered_popups")["popups"] == [[1, ":1.1"]]
    assert ledger.call("answered_popups")["popups"] == []


def test_a_digest_stays_while_one_of_its_thanks_waits(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        ledger.add(name)
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("done", ref="1")
    ledger.call("waive", ref="2")
    assert ledger.call("answered_popups")["popups"] == []
    ledger.call("snooze", ref="3")
    assert ledger.call("answered_popups")["popups"] == [[1, ":1.1"]]


def test_a_snooze_while_the_popup_is_on_its_way_is_kept(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.add("Chen Wei")
    ledger.later(seconds=2)
    shown, failed = ledger.due()
    ledger.call("snooze", ref="1", delay="2h")
    ledger.call("snooze", ref="2", delay="2h")
    ledger.call("nudges_shown", ids=shown["ids"], popup_id=1, server=":1.1")
    ledger.call("nudges_failed", ids=failed["ids"], error="The server hangs.")
    assert [_berlin(ledger.popup_at(number)) for number in (1, 2)] == ["Wed 12:00", "Wed 12:00"]
    assert ledger.due() == []


def test_popups_that_lost_their_buttons_are_due_again_and_their_old_ones_are_named(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    (first,) = ledger.show(1)
    assert ledger.call("show_again") == {"popups": [[1, ":1.1"]]}
    (again,) = ledger.due()
    assert (again["thanks"], again["popup"]["replaces"]) == ([1], 0)
    assert again["ids"] != first["ids"]
    assert ledger.call("show_again") == {"popups": []}


def test_what_is_shown_again_after_a_restart_follows_the_first_cadence(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("show_again")
    ledger.show(1, server=":1.2")
    assert _berlin(ledger.popup_at(1)) == "Wed 14:00"


def test_quiet_hours_delay_the_popup_and_not_the_state(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="21:00-08:30")
    ledger.now = datetime(2025, 3, 12, 18, 30, tzinfo=UTC)
    ledger.add("Ada Lovelace", after="")
    ledger.now = datetime(2025, 3, 12, 21, 31, tzinfo=UTC)
    assert ledger.state(1) == "due"
    assert ledger.due() == []
    assert _berlin(ledger.popup_at(1)) == "Thu 08:30"


def test_quiet_hours_hold_for_a_popup_that_comes_due_in_them_by_waiting(tmp_path: Path) -> None:
    """A popup that no desktop could show in the evening must not come in the night."""
    ledger = Ledger(tmp_path / "t.db", quiet_hours="21:00-08:30")
    ledger.add("Ada Lovelace", after="")
    ledger.now = datetime(2025, 3, 12, 21, 31, tzinfo=UTC)
    assert ledger.due() == []
    assert _berlin(ledger.popup_at(1)) == "Thu 08:30"
    assert [one["thanks"] for one in ledger.due("terminal")] == []


def test_what_was_said_outright_is_not_delayed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="21:00-08:30")
    ledger.now = datetime(2025, 3, 12, 21, 30, tzinfo=UTC)
    ledger.add("Ada Lovelace", after="1m")
    ledger.add("Chen Wei", after="")
    ledger.call("snooze", ref="2", delay="1m")
    ledger.later(minutes=2)
    assert [one["thanks"] for one in ledger.due()] == [[1], [2]]


def test_a_line_in_a_terminal_disturbs_nobody_at_night(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="21:00-08:30")
    ledger.add("Ada Lovelace", after="")
    ledger.now = datetime(2025, 3, 12, 21, 31, tzinfo=UTC)
    assert [one["thanks"] for one in ledger.due("terminal")] == [[1]]


def test_weekends_are_free_where_the_user_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="", weekdays_only=True)
    ledger.now = datetime(2025, 3, 14, 22, tzinfo=UTC)
    ledger.add("Ada Lovelace", after="")
    ledger.later(hours=4)
    assert (ledger.state(1), ledger.due()) == ("due", [])
    assert _berlin(ledger.popup_at(1)) == "Mon 09:00"


def _add_by_the_table(ledger: Ledger, *names: str) -> None:
    for name in names:
        ledger.add(name, after="")
    ledger.later(hours=3, seconds=1)


def test_there_are_at_most_three_popups_a_day(ledger: Ledger) -> None:
    _add_by_the_table(ledger, "Ada Lovelace")
    assert len(ledger.show(1)) == 1
    ledger.call("done", ref="1")
    _add_by_the_table(ledger, "Chen Wei", "Tom Jones")
    for nudge in ledger.due():
        ledger.later(seconds=1)
        ledger.call("nudges_shown", ids=nudge["ids"], popup_id=nudge["thanks"][0], server=":1.1")
    _add_by_the_table(ledger, "Grace Hopper")
    assert ledger.state(4) == "due"
    assert ledger.due() == []
    assert _berlin(ledger.popup_at(4)) == "Thu 09:00"


def test_where_only_one_popup_is_left_for_today_only_one_comes(ledger: Ledger) -> None:
    for number, name in enumerate(("Ada Lovelace", "Chen Wei")):
        ledger.add(name)
        ledger.later(seconds=2)
        ledger.show(number)
    _add_by_the_table(ledger, "Tom Jones", "Grace Hopper")
    assert [one["thanks"] for one in ledger.due()] == [[3]]
    assert _berlin(ledger.popup_at(4)) == "Thu 09:00"


def test_a_digest_counts_as_one_popup(ledger: Ledger) -> None:
    for number, name in enumerate(("Ada Lovelace", "Chen Wei")):
        ledger.add(name)
        ledger.later(seconds=2)
        ledger.show(number)
    _add_by_the_table(ledger, "Tom Jones", "Grace Hopper", "Jean Bartik")
    assert [one["thanks"] for one in ledger.due()] == [[3, 4, 5]]


def test_popups_that_a_restart_swallowed_do_not_use_up_the_day(ledger: Ledger) -> None:
    _add_by_the_table(ledger, "Ada Lovelace", "Chen Wei")
    for nudge in ledger.due():
        ledger.later(seconds=1)
        ledger.call("nudges_shown", ids=nudge["ids"], popup_id=nudge["thanks"][0], server=":1.1")
    ledger.call("show_again")
    for nudge in ledger.due():
        ledger.later(seconds=1)
        ledger.call("nudges_shown", ids=nudge["ids"], popup_id=nudge["thanks"][0], server=":1.2")
    ledger.call("show_again")
    assert [one["thanks"] for one in ledger.due()] == [[1], [2]]


def test_a_forgotten_one_waits_for_mondays_digest(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.add("Chen Wei")
    ledger.later(seconds=2)
    for number in range(10):
        ledger.show(number)
        ledger.now = max(ledger.popup_at(1), ledger.popup_at(2))
    (digest,) = ledger.due()
    assert (digest["thanks"], digest["popup"]["title"]) == ([1, 2], "2 people to thank")
    assert _berlin(ledger.now) == "Mon 09:00"


def test_after_all_is_said_nothing_is_planned(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    assert ledger.call("next_moment")["popup"] == "2025-03-12T09:00:01Z"
    ledger.call("done", ref="1")
    assert ledger.call("next_moment") == {"popup": None, "letter": None}
