"""The hold before a letter leaves, and --at: kept over killed daemons, stopped ones, and clocks that are set."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cells import Say
from cli_rigs import new_ledger, thanksd
from clock_rigs import WallClock, letter
from daemon_rigs import add, client, confirm, daemon, settings, value, wait_for

SOON = 12.0


@pytest.fixture(autouse=True)
def ledger() -> Path:
    return new_ledger()


def is_sent() -> bool:
    return bool(value("SELECT state FROM letter") == "sent")


def check_that_it_left_once(mail: Path) -> None:
    assert letter("sent_at") >= letter("leaves_at")
    assert (len(list((mail / "new").iterdir())), value("SELECT attempts FROM letter")) == (1, 1)


@pytest.mark.cell("Clock", "No daemon over the moment of a letter", "killed in the undo window, then another")
def test_a_daemon_killed_in_the_hold_is_followed_by_one_that_lets_the_letter_go_once_at_its_moment(seen: Say) -> None:
    mail = settings(undo="2s")
    with daemon() as first:
        confirm(add())
        first.stop(signal.SIGKILL)
    assert not mail.exists()
    with daemon():
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)
    seen("leaves once, at its moment")


def test_after_a_restart_a_letter_is_taken_back_as_before_and_never_leaves() -> None:
    mail = settings(undo="10m")
    with daemon() as first:
        number = add()
        confirm(number)
        first.stop(signal.SIGKILL)
    with daemon(quick=True):
        done = thanksd("undo", str(number))
        assert (done.code, done.out.startswith("Taken back: Ada's letter. Your text is kept.")) == (0, True)
        client().call("add", who="Bob Ray")
    assert (value("SELECT state FROM letter"), value("SELECT state FROM thanks WHERE id = 1")) == ("cancelled", "owed")
    assert not mail.exists()


@pytest.mark.cell("Clock", "Stopped over the moment of a letter (SIGSTOP)", "then on")
def test_a_daemon_that_is_stopped_over_the_moment_lets_the_letter_go_once_when_it_goes_on(seen: Say) -> None:
    mail = settings(undo="1s")
    with daemon() as running:
        confirm(add())
        with running.frozen():
            wait_for(lambda: datetime.now(UTC) > letter("leaves_at") + timedelta(seconds=1))
            assert not is_sent()
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)
    seen("leaves once, when it goes on")


@pytest.mark.cell("Clock", "Clock set while letters are held", "--at tomorrow 09:00, its daemon killed, then -1 h")
@pytest.mark.matrix
def test_a_letter_for_tomorrow_leaves_once_also_where_the_machine_slept_or_the_clock_was_set(
    short_dir: Path, seen: Say
) -> None:
    mail, clock = settings(), WallClock(short_dir)
    number = add()
    with daemon(quick=True, environ=clock.environ) as first:
        done = thanksd("send", str(number), "--yes", "--at", "tomorrow 09:00")
        assert (done.code, value("SELECT state FROM letter")) == (0, "queued")
        first.stop(signal.SIGKILL)
    with daemon(quick=True, environ=clock.environ) as running:
        with running.frozen():
            clock.step(timedelta(hours=-1))
        clock.is_looked_at()
        assert value("SELECT state FROM letter") == "queued"
        with running.frozen():
            clock.set(letter("leaves_at") + timedelta(minutes=1))
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)
    seen("leaves once, at its moment, by the daemon that came after")
