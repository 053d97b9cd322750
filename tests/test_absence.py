"""Back from sleep, a pause or a daemon that did not run: one digest, a while after; and nothing lost in that while."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import desktop_rigs
import pytest
from cells import Say
from cli_rigs import change, new_ledger, store_file
from daemon_rigs import Ledger, add, client, daemon, query, settings, value, wait_for
from desktop_rigs import Desk

from thanksd.absence import AWAY, SETTLE, Absence

# --- what it knows ---


def _looked(*passes: tuple[float, float, bool]) -> Absence:
    """Give what it makes of passes: when, how long the first popup has waited, and if it is paused."""
    absence = Absence()
    for now, waited, paused in passes:
        absence.look(now, waited=waited, paused=paused)
    return absence


@pytest.mark.parametrize(
    ("passes", "is_over"),
    [
        ([(1000, 0, False), (1030, 0, False)], False),
        ([(1000, 0, False), (1000 + AWAY, 0, False)], False),
        ([(1000, 0, False), (1001 + AWAY, 0, False)], True),
        # What waits while everybody is awake (no desktop) is no absence; what waited before the start is.
        ([(1000, 10, False), (1030, 10 * AWAY, False)], False),
        ([(1000, AWAY + 1, False)], True),
        ([(1000, 0, True), (1030, 0, True)], False),
        ([(1000, 0, True), (1030, 0, True), (1060, 0, False)], True),
    ],
)
def test_an_absence_is_a_gap_an_old_popup_at_the_start_or_the_end_of_a_pause(
    passes: list[tuple[float, float, bool]], is_over: bool
) -> None:
    assert _looked(*passes).is_over is is_over


def test_popups_wait_from_the_return_or_from_the_desktops_coming_on() -> None:
    absence = _looked((1000, 0, False), (1001 + AWAY, 0, False))
    back = 1001 + AWAY
    assert absence.left(back, None) == SETTLE
    assert absence.left(back + 50, 3.0) == SETTLE - 50
    assert absence.left(back + SETTLE, 3.0) == 0
    assert absence.left(back + SETTLE + 5, back + SETTLE) == SETTLE - 5
    absence.end()
    assert (absence.is_over, absence.left(back, None)) == (False, 0)


# --- what is claimed then, with a clock of ours ---


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger; quiet hours by default. It is Wednesday 12 March 2025, 10:00 in Berlin."""
    return Ledger(tmp_path / "t.db")


def _together(ledger: Ledger) -> list[tuple[str, list[int]]]:
    found = ledger.call("due_nudges", channel="desktop", together=True)["nudges"]
    return [(one["popup"]["title"], one["thanks"]) for one in found]


def test_two_make_a_digest_then_and_one_comes_as_its_own(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(days=1)
    assert _together(ledger) == [("Thank Ada Lovelace?", [1])]
    ledger.add("Chen Wei")
    ledger.later(days=1)
    assert _together(ledger) == [("2 people to thank", [1, 2])]


def test_quiet_hours_hold_then_too_also_for_what_was_said_outright(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.add("Chen Wei", after="")
    ledger.later(hours=13)
    assert _together(ledger) == []
    ledger.now = ledger.popup_at(1)
    assert (ledger.popup_at(2), ledger.now.hour, ledger.now.minute) == (ledger.now, 7, 30)
    assert _together(ledger) == [("2 people to thank", [1, 2])]


def test_a_digest_holds_what_a_review_answers_and_letters_that_need_more_stay_alone(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones", "Grace Hopper"):
        ledger.add(f"{name} {name.split()[0].lower()}@example.com")
    ledger.later(seconds=2)
    for number in (2, 3, 4):
        sha256 = ledger.call("prepare", ref=str(number))["prepared"]["sha256"]
        ledger.call("confirm", letters=[{"thanks": number, "sha256": sha256}])
    _letter(ledger, 2, "failed", "address", reply="550 5.1.1 no such user")
    _letter(ledger, 3, "cancelled", "stale")
    _letter(ledger, 4, "held", "unknown")
    assert _together(ledger) == [("3 people to thank", [1, 2, 3]), ("Did Grace's letter arrive?", [4])]
    ledger.later(minutes=2)
    assert [title for title, _ in _alone(ledger)] == [
        "Thank Ada Lovelace?",
        "Chen's address was refused",
        "Tom's letter did not leave",
        "Did Grace's letter arrive?",
    ]


def _alone(ledger: Ledger) -> list[tuple[str, str]]:
    return [(one["popup"]["title"], one["popup"]["body"]) for one in ledger.due()]


def _letter(ledger: Ledger, thanks: int, state: str, reason: str, reply: str = "") -> None:
    """Put a thanks' letter into a state, as the sender or a person would, and its popup to now."""
    owed = state in ("failed", "cancelled")
    with ledger.store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE letter SET state = ?, reason = ?, server_reply = ?, leaves_at = ? WHERE thanks_id = ?",
            (state, reason, reply, "2025-03-07 16:00:00.000000", thanks),
        )
        connection.exec_driver_sql(
            "UPDATE thanks SET popup_at = ?, state = ? WHERE id = ?",
            (ledger.now.strftime("%Y-%m-%d %H:%M:%S.%f"), "owed" if owed else "confirmed", thanks),
        )


@pytest.mark.parametrize(
    ("state", "reason", "title", "body"),
    [
        ("failed", "address", "Ada's address was refused", "ada@example.com: no such user"),
        ("failed", "", "Ada's letter was refused", "ada@example.com: no such user"),
        ("cancelled", "stale", "Ada's letter did not leave", "It was to go Fri 17:00. Text is kept."),
        ("held", "unknown", "Did Ada's letter arrive?", "The line broke at the end. Check Sent."),
        ("held", "adopted", "Did Ada's letter arrive?", "It came with another machine's ledger.\nCheck Sent."),
        ("held", "handed-off", "Did you send Ada's letter?", "It waits in your mail program."),
    ],
)
def test_each_letter_that_has_a_word_to_say_says_its_own(
    ledger: Ledger, state: str, reason: str, title: str, body: str
) -> None:
    ledger.add("Ada Lovelace ada@example.com")
    sha256 = ledger.call("prepare", ref="1")["prepared"]["sha256"]
    ledger.call("confirm", letters=[{"thanks": 1, "sha256": sha256}])
    _letter(ledger, 1, state, reason, "550 5.1.1 no such user")
    ledger.later(seconds=1)
    found = ledger.show(7)
    assert [(one["popup"]["title"], one["popup"]["body"]) for one in found] == [(title, body)]
    # One question about what was handed over; all else comes again by the cadence.
    assert (ledger.call("next_moment")["popup"] is None) == (reason == "handed-off")


# --- the daemon and a real notification server ---


@pytest.fixture
def desk(short_dir: Path) -> Iterator[Desk]:
    """A bus and a screen; a ledger and its settings in the home."""
    with desktop_rigs.desk(short_dir) as found:
        settings()
        new_ledger()
        yield found


def _session(desk: Desk) -> dict[str, str]:
    return {name: desk.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}


def _digest(desk: Desk) -> None:
    """Wait until one popup, a digest of two, is on the screen and noted."""
    wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == 2)
    assert desk.displayed() == 1
    desk.ctl("close-all")
    wait_for(lambda: [one["summary"] for one in desk.history()] == ["2 people to thank"])


@pytest.mark.cell("Clock", "Suspended over the due moment", "two due, on a real dunst")
def test_what_came_due_while_the_daemon_stood_still_is_one_popup_a_while_after(desk: Desk, seen: Say) -> None:
    with desk.dunst(), daemon(environ=_session(desk), quick=True, absence=(4, 2)) as running:
        for name in ("Ada Lovelace", "Chen Wei"):
            add(name, after="3s")
        with running.frozen():
            asleep = time.monotonic() + 6
            wait_for(lambda: time.monotonic() > asleep)
        back = datetime.now(UTC)
        _digest(desk)
        first = datetime.fromisoformat(value("SELECT min(attempted_at) FROM nudge")).replace(tzinfo=UTC)
        assert first >= back + timedelta(seconds=1.9)
        # Awake as before: two that come due now are two popups.
        for name in ("Tom Jones", "Grace Hopper"):
            add(name, after="0s")
        wait_for(lambda: desk.displayed() == 2)
    seen("both nudged once, in one popup, two minutes after it goes on", cases=2)


def test_a_daemon_that_dies_before_the_digest_leaves_it_to_the_next_one(desk: Desk) -> None:
    for name in ("Ada Lovelace", "Chen Wei"):
        add(name, after="0s")
    change(store_file(), "UPDATE thanks SET popup_at = datetime('now', '-1 hour') || '.000000'")
    with desk.dunst():
        with daemon(environ=_session(desk), quick=True, absence=(60, 300)) as running:
            wait_for(lambda: (client().ask_status() or {})["last_pass_at"])
            running.stop(signal.SIGKILL)
        assert query("SELECT 1 FROM nudge") == []
        with daemon(environ=_session(desk), quick=True, absence=(60, 1)):
            _digest(desk)
