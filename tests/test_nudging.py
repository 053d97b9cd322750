"""Nudges: which are due and what an answer does, with a clock of ours; then on a real dunst, really pressed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import desktop_rigs
import parts
import pytest
from cli_rigs import configure, new_ledger
from clock_rigs import popup_at, shown, world
from daemon_rigs import Ledger, add, client, confirm, daemon, query, settings, value, wait_for
from desktop_rigs import Desk
from smtp_rigs import DROP, Authority, Scripted, mail_server

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


def test_a_popup_that_took_anothers_place_counts_in_the_cadence(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.later(hours=4)
    (again,) = ledger.show(1)
    assert again["popup"]["replaces"] == 1
    ledger.call("show_again")
    ledger.show(1, server=":1.2")
    assert _berlin(ledger.popup_at(1)) == "Thu 09:00"


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


def _confirmed(ledger: Ledger, **letter: str) -> None:
    """Have Ada's letter confirmed and her popup due, with the letter's row as given."""
    ledger.add("Ada Lovelace ada@example.com")
    sha256 = ledger.call("prepare", ref="1")["prepared"]["sha256"]
    ledger.call("confirm", letters=[{"thanks": 1, "sha256": sha256}])
    with ledger.store.write() as connection:
        for name, text in letter.items():
            connection.exec_driver_sql(f"UPDATE letter SET {name} = ?", (text,))  # noqa: S608  our own columns
        connection.exec_driver_sql("UPDATE thanks SET popup_at = '2025-03-12 09:00:00.000000'")


@pytest.mark.parametrize(
    ("state", "reason", "title"),
    [
        ("held", "unknown", "Did Ada's letter arrive?"),
        ("deferred", "credentials", "/nowhere refused the password"),
    ],
)
def test_a_letter_that_needs_its_owner_is_a_reason_of_its_own(
    ledger: Ledger, state: str, reason: str, title: str
) -> None:
    _confirmed(ledger, state=state, reason=reason)
    assert [one["popup"]["title"] for one in ledger.due()] == [title]


def test_a_letter_that_goes_on_by_itself_is_no_reason_for_a_popup(ledger: Ledger) -> None:
    _confirmed(ledger, state="deferred", reason="greylisted")
    assert ledger.due() == []
    assert ledger.call("next_moment")["popup"] is None


def test_after_all_is_said_nothing_is_planned(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    assert ledger.call("next_moment")["popup"] == "2025-03-12T09:00:01Z"
    ledger.call("done", ref="1")
    assert ledger.call("next_moment") == {"popup": None, "letter": None, "paused": False, "mistake": ""}


# --- on a real notification server ---


@pytest.fixture
def desk(short_dir: Path) -> Iterator[Desk]:
    """A bus and a screen; a ledger and its settings in the home."""
    with desktop_rigs.desk(short_dir) as found:
        settings()
        new_ledger()
        yield found


def _session(desk: Desk) -> dict[str, str]:
    """Give what a program of this desktop's session knows of it."""
    return {name: desk.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}


def _state(thanks: int = 1) -> str:
    return str(client().call("show", ref=str(thanks))["thanks"][0]["state"])


def _shown(count: int = 1) -> None:
    """Wait until so many nudges have their receipt."""
    wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == count)


def _read_popups(desk: Desk, count: int = 1) -> dict[str, str]:
    """Close the popups, once so many are on the screen, and give the bodies by title."""
    wait_for(lambda: desk.displayed() == count)
    desk.ctl("close-all")
    wait_for(lambda: len(desk.history()) == count)
    return {one["summary"]: one["body"] for one in desk.history()}


def test_a_due_thanks_pops_up_and_later_snoozes_it(desk: Desk) -> None:
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        assert desk.displayed() == 1
        assert query("SELECT channel, popup_id > 0, server LIKE ':%', closed_at FROM nudge") == [
            ("desktop", 1, 1, None)
        ]
        assert _state() == "due"
        desk.press("Later")
        wait_for(lambda: _state() == "snoozed")
        assert query("SELECT answer FROM nudge") == [("later",)]


def _followed(desk: Desk) -> None:
    """Wait until the nudge that was answered is gone, and the popup after it stands alone."""
    wait_for(lambda: len(desk.history()) == 1 and desk.displayed() == 1)


def test_a_pressed_later_can_be_moved_to_another_day_by_one_more_press(desk: Desk) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        add(name, after="0s")
    with desk.dunst(), daemon(environ=_session(desk)):
        _shown(3)
        desk.press("Later")
        wait_for(lambda: _state(3) == "snoozed")
        soon = value("SELECT max(nudge_at) FROM thanks")
        _followed(desk)
        desk.press("In a week")
        wait_for(lambda: value("SELECT min(nudge_at) FROM thanks") > soon)
        wait_for(lambda: desk.displayed() == 0)


def test_a_click_on_the_popup_after_later_leaves_the_moment_as_it_is(desk: Desk) -> None:
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        desk.press("Later")
        wait_for(lambda: _state() == "snoozed")
        soon = value("SELECT nudge_at FROM thanks")
        _followed(desk)
        desk.click(700, 90)
        wait_for(lambda: desk.displayed() == 0)
        assert value("SELECT nudge_at FROM thanks") == soon


def test_not_needed_waives_and_can_be_taken_back_in_a_popup(desk: Desk) -> None:
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        desk.press("Not needed")
        wait_for(lambda: _state() == "waived")
        _followed(desk)
        desk.press("Undo")
        wait_for(lambda: _state() == "due")


def test_a_popup_of_a_server_that_came_back_is_not_taken_for_one_of_before(desk: Desk) -> None:
    with daemon(environ=_session(desk)):
        with desk.dunst():
            add(after="0s")
            _shown()
            desk.press("Not needed")
            wait_for(lambda: _state() == "waived")
            _followed(desk)
            # A server counts its popups.
            undo = value("SELECT popup_id FROM nudge") + 1
        with desk.dunst():
            second = add("Bob Ray", after="0s")
            wait_for(lambda: desk.displayed() == 1)
            client().call("waive", ref=str(second))
            wait_for(lambda: desk.displayed() == 0)
            third = add("Cy Young", after="0s")
            wait_for(lambda: desk.displayed() == 1)
            wait_for(lambda: value("SELECT popup_id FROM nudge WHERE thanks_id = ? AND shown_at > 0", third) == undo)
            desk.press("Later")
            wait_for(lambda: _state(third) == "snoozed")
    assert _state() == "waived"


def _terminal(home: Path, runs: str) -> Path:
    """Make a terminal program that notes its words and then `runs` something."""
    script = home / "terminal"
    script.write_text(f'#!/bin/sh\necho "$@" >> {home}/opened\nshift\n{runs}\n')
    script.chmod(0o700)
    return script


def test_review_opens_the_users_terminal_and_is_no_answer(desk: Desk, home: Path) -> None:
    parts.need("script")
    settings(terminal=str(_terminal(home, 'exec script -qec "$*" /dev/null')))
    with desk.dunst(), daemon(environ=_session(desk)) as running:
        add(after="0s")
        _shown()
        desk.press("Review")
        wait_for(lambda: query("SELECT 1 FROM event WHERE what = 'opened'"))
        opened = wait_for(lambda: (home / "opened").exists() and (home / "opened").read_text())
        assert opened.startswith("-e env THANKSD_OPENED=popup ")
        assert opened.endswith(" review 1\n")
        # `prepare` comes from the review that really runs in it.
        wait_for(lambda: query("SELECT 1 FROM draft WHERE prepared_sha256 IS NOT NULL"))
        assert _state() == "due"
        assert query("SELECT answered_at FROM nudge") == [(None,)]
        assert "no terminal opened" not in running.log


def test_where_no_terminal_opens_a_popup_says_what_to_type(desk: Desk) -> None:
    settings(terminal="no-such-terminal")
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        desk.press("Review")
        wait_for(lambda: query("SELECT 1 FROM event WHERE what = 'opened'"))
        assert _read_popups(desk, 2)["Could not open a terminal"] == "Run: thanksd review 1"


def test_a_terminal_in_which_nothing_comes_up_is_noticed(desk: Desk, home: Path) -> None:
    settings(terminal=str(_terminal(home, "exec sleep 30")))
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        desk.press("Review")
        wait_for((home / "opened").exists)
        assert "Could not open a terminal" in _read_popups(desk, 2)


def test_a_popup_that_is_closed_is_not_answered(desk: Desk) -> None:
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        desk.ctl("close")
        wait_for(lambda: value("SELECT closed_at FROM nudge") is not None)
        assert _state() == "due"
        assert value("SELECT popup_at > datetime('now') FROM thanks") == 1


def test_three_that_came_due_while_nobody_looked_are_one_popup(desk: Desk) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        add(name, after="0s")
    with desk.dunst(), daemon(environ=_session(desk)):
        _shown(3)
        ((title, body),) = _read_popups(desk).items()
    assert (title, body.split(".")[0]) == ("3 people to thank", "Ada, Chen, Tom")


def test_what_is_answered_on_the_command_line_takes_its_popup_down(desk: Desk) -> None:
    with desk.dunst(), daemon(environ=_session(desk)):
        add(after="0s")
        _shown()
        assert desk.displayed() == 1
        client().call("done", ref="1", how="in person")
        wait_for(lambda: desk.displayed() == 0)


def test_after_a_restart_of_the_daemon_there_is_one_popup_and_its_buttons_work(desk: Desk) -> None:
    with desk.dunst():
        with daemon(environ=_session(desk)):
            add(after="0s")
            _shown()
        with daemon(environ=_session(desk)):
            _shown(2)
            wait_for(lambda: desk.displayed() == 1)
            desk.press("Later")
            wait_for(lambda: _state() == "snoozed")


_ACCOUNT = """\
[me]
name = "Sam Lee"
email = "ada@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "{host}"
port = {port}
security = "{security}"
auth = "{auth}"
password_command = "echo wrong"
[nudge]
quiet_hours = "00:00-23:59"
review = "terminal"
terminal = "{terminal}"
[send]
undo = "0s"
"""


def _account(
    port: int, host: str = "127.0.0.1", security: str = "none", auth: str = "none", terminal: str = ""
) -> None:
    configure(_ACCOUNT.format(port=port, host=host, security=security, auth=auth, terminal=terminal))


def test_a_refused_letter_pops_up_with_the_servers_words(desk: Desk) -> None:
    with mail_server(login=False) as box, desk.dunst(), daemon(environ=_session(desk)):
        box.answers["RCPT"] = "550 5.1.1 no such user"
        _account(box.port)
        confirm(add())
        _shown()
        assert _state() == "due"
        ((title, body),) = _read_popups(desk).items()
    assert title == "Ada's address was refused"
    assert body.startswith("ada@example.com: ")
    assert "no such user" in body


def test_a_held_letter_pops_up_and_asks(desk: Desk, home: Path) -> None:
    with Scripted({".": DROP}) as server, desk.dunst(), daemon(environ=_session(desk)):
        _account(server.port, terminal=str(_terminal(home, "exec true")))
        confirm(add())
        _shown()
        assert value("SELECT state FROM letter") == "held"
        desk.press("Look into it")
        opened = wait_for(lambda: (home / "opened").exists() and (home / "opened").read_text())
        assert opened.endswith(" resolve 1\n")
        assert list(_read_popups(desk)) == ["Did Ada's letter arrive?"]


def test_a_refused_password_pops_up_once_and_opens_what_mends_it(desk: Desk, home: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    session = _session(desk) | {"SSL_CERT_FILE": str(authority.file)}
    with mail_server(authority.context()) as box, desk.dunst(), daemon(environ=session):
        terminal = str(_terminal(home, "exec true"))
        _account(box.port, "localhost", "starttls", "password", terminal)
        confirm(add())
        wait_for(lambda: value("SELECT reason FROM letter") == "credentials")
        confirm(add("Chen Wei"))
        _shown()
        assert desk.displayed() == 1
        desk.press("Fix it")
        opened = wait_for(lambda: (home / "opened").exists() and (home / "opened").read_text())
        assert opened.endswith(" credentials set\n")
        assert list(_read_popups(desk)) == ["localhost refused the password"]
        assert box.seen.count(b"AUTH") == 1


def test_a_look_in_the_second_of_a_nudge_does_not_put_it_off_to_the_next_tick(short_dir: Path) -> None:
    settings()
    new_ledger()
    with world(short_dir, quick=False) as there:
        there.clock.wait_until(there.clock.now.replace(microsecond=400_000) + timedelta(seconds=1))
        add(after="1s")
        # Its moment is told in whole seconds, so for a while it seems past and is not.
        assert popup_at().microsecond > 200_000
        there.clock.wait_until(popup_at().replace(microsecond=20_000))
        client().poke()
        shown(seconds=10)
