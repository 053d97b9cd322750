"""A daemon that can't do its work: it hangs, its ledger goes away under it, its settings can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cells import Say, cell
from cli_rigs import config_file, configure, new_ledger
from clock_rigs import shown, world
from daemon_rigs import add, confirm, query, settings, wait_for

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

# Shorter than the unit's, and longer than the tick that feeds it.
_SHORT = "[Service]\nWatchdogSec=34s\n"
_STOPPED = r"""
value() { systemctl --user show thanksd -p "$1" --value; }
another() { [ "$(value MainPID)" != 0 ] && [ "$(value MainPID)" != "$1" ] && [ "$(value ActiveState)" = active ]; }
thanksd service install >&2 || exit 1
first=$(value MainPID)
kill -STOP "$first"; began=$(date +%s)
for _ in $(seq 300); do if another "$first"; then break; fi; sleep 0.5; done
took=$(( $(date +%s) - began ))
echo "$took $(value NRestarts) $(value ActiveState)"
thanksd add 'Ada Lovelace' -k coffee -d Rust --after 0s >&2
thanksd owed --json | grep -c '"due"'
"""


@pytest.mark.parametrize(
    ("drop_in", "most"),
    [
        cell("Clock", "A daemon that is stuck", "it hangs (SIGSTOP), watchdog shortened to 34 s", _SHORT, 60),
        cell("Clock", "A daemon that is stuck", "it hangs (SIGSTOP), the unit as it is", "", 120),
    ],
)  # fmt: skip
def test_a_daemon_that_hangs_is_started_anew_by_a_real_systemd(
    machine_user: MachineUser, seen: Say, drop_in: str, most: int
) -> None:
    if drop_in:
        machine_user.write(".config/systemd/user/thanksd.service.d/short.conf", drop_in)
    done = machine_user.run(_STOPPED, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (took, restarts, state), due = done.stdout.splitlines()[0].split(), done.stdout.splitlines()[1]
    assert (int(restarts), state, due) == (1, "active", "1")
    assert int(took) <= most
    seen("a new one runs within two minutes" if not drop_in else "a new one runs after that time and 5 s")


@pytest.fixture
def ledger() -> Path:
    settings()
    return new_ledger()


def _away(file: Path, *, garbage: bytes) -> Path:
    """Put the ledger away, as somebody would who cleans up, and garbage in its place where some is given."""
    kept = file.rename(file.with_name("kept"))
    if garbage:
        file.write_bytes(garbage)
    return kept


@pytest.mark.parametrize(
    ("garbage", "words"),
    [
        cell("Clock", "A daemon that is stuck", "its ledger is moved away while it runs, and back", b"", "nothing is made in its place"),
        cell("Clock", "A daemon that is stuck", "its ledger is written over while it runs, and put back", b"garbage" * 1000, "it is left as it is"),
    ],
)  # fmt: skip
def test_a_ledger_that_goes_away_is_missed_and_when_it_is_back_its_nudge_comes_once(
    ledger: Path, short_dir: Path, seen: Say, garbage: bytes, words: str
) -> None:
    add(after="0s")
    with world(short_dir) as one:
        shown()
        add("Chen Wei", after="3s")
        kept = _away(ledger, garbage=garbage)
        wait_for(lambda: "ledger" in one.daemon.log.casefold().partition("is running")[2])
        assert (ledger.read_bytes() if ledger.exists() else None) == (garbage or None)
        # It is tried again, and no more is made of it.
        before = one.daemon.log.count("\n")
        wait_for(lambda: one.daemon.log.count("\n") > before)
        assert (ledger.read_bytes() if ledger.exists() else None) == (garbage or None), one.daemon.log
        kept.replace(ledger)
        shown(2)
        one.is_quiet()
        assert one.screen.titles == ["Thank Ada Lovelace?", "Thank Chen Wei?"]
    seen(f"said in its log, {words}; put back, all goes on and nothing is shown twice")


@pytest.mark.parametrize(
    ("line", "name", "shows"),
    [
        cell("Clock", "A daemon that is stuck", "nudge.ask that can't be read", 'ask = "frday 4pm"', "nudge.ask", True, daily=True),
        cell("Clock", "A daemon that is stuck", "nudge.quiet_hours that can't be read", 'quiet_hours = "nine to five"', "nudge.quiet_hours", False),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_read_is_said_once_and_stops_nothing_else(
    ledger: Path, short_dir: Path, seen: Say, line: str, name: str, shows: bool
) -> None:
    assert ledger.exists()
    good = config_file().read_text(encoding="utf-8")
    with world(short_dir) as one:
        text = good.replace('quiet_hours = ""\n', "") if name.endswith("hours") else good
        add("Chen Wei", after="8s")
        number = add()
        configure(text.replace("[nudge]", f"[nudge]\n{line}"))
        wait_for(lambda: name in one.daemon.log)
        confirm(number)
        wait_for(lambda: query("SELECT state FROM letter") == [("sent",)])
        if shows:
            shown()
        one.clock.is_looked_at()
        one.clock.is_looked_at()
        assert len(one.screen.titles) == int(shows)
        assert one.daemon.log.count("can't be") == 1, one.daemon.log
        configure(good)
        shown()
        assert one.screen.titles == ["Thank Chen Wei?"]
    waits = (
        "nudges and letters go on"
        if shows
        else "letters go on, nudges wait until it is mended, as nobody knows when to be quiet"
    )
    seen(f"said once, with the line that mends it; {waits}")
