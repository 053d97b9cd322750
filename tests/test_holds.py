"""The hold before a letter leaves, and --at: kept over killed daemons, stopped ones, and clocks that are set."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import parts
import pytest
from cli_rigs import new_ledger, thanksd
from daemon_rigs import add, client, confirm, daemon, settings, value, wait_for

from thanksd.moments import from_iso

SOON = 12.0
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.fixture(autouse=True)
def ledger() -> Path:
    return new_ledger()


def moment(column: str) -> datetime:
    """Give a moment of the only letter."""
    return datetime.fromisoformat(value(f"SELECT {column} FROM letter")).replace(tzinfo=UTC)  # noqa: S608  a column's name


def is_sent() -> bool:
    return bool(value("SELECT state FROM letter") == "sent")


def check_that_it_left_once(mail: Path) -> None:
    assert moment("sent_at") >= moment("leaves_at")
    assert (len(list((mail / "new").iterdir())), value("SELECT attempts FROM letter")) == (1, 1)


def test_a_daemon_killed_in_the_hold_is_followed_by_one_that_lets_the_letter_go_once_at_its_moment() -> None:
    mail = settings(undo="2s")
    with daemon() as first:
        confirm(add())
        first.stop(signal.SIGKILL)
    assert not mail.exists()
    with daemon():
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)


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


def test_a_daemon_that_is_stopped_over_the_moment_lets_the_letter_go_once_when_it_goes_on() -> None:
    mail = settings(undo="1s")
    with daemon() as running:
        confirm(add())
        with running.frozen():
            wait_for(lambda: datetime.now(UTC) > moment("leaves_at") + timedelta(seconds=1))
            assert not is_sent()
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)


def test_a_letter_for_tomorrow_leaves_once_also_where_the_machine_slept_or_the_clock_was_set(short_dir: Path) -> None:
    parts.need("faketime")
    mail, clock = settings(), short_dir / "clock"
    clock.write_text("+0")
    environ = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    number = add()
    with daemon(quick=True, environ=environ) as first:
        done = thanksd("send", str(number), "--yes", "--at", "tomorrow 09:00")
        assert (done.code, value("SELECT state FROM letter")) == (0, "queued")
        first.stop(signal.SIGKILL)
    wait = moment("leaves_at") - datetime.now(UTC)
    with daemon(quick=True, environ=environ) as running:
        step = timedelta(hours=-1)
        with running.frozen():
            clock.write_text(f"{step.total_seconds():+.0f}")
        wait_for(lambda: _has_passed(step), SOON)
        assert value("SELECT state FROM letter") == "queued"
        with running.frozen():
            clock.write_text(f"{wait.total_seconds() + 60:+.0f}")
        wait_for(is_sent, SOON)
    check_that_it_left_once(mail)


def _has_passed(step: timedelta) -> bool:
    """Say whether a pass was finished on a clock that is so far from ours."""
    found = (client().ask_status() or {}).get("last_pass_at")
    return bool(found) and abs(from_iso(str(found)) - datetime.now(UTC) - step) < timedelta(minutes=1)
