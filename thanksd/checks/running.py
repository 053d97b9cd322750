"""The checks `daemon` and `unit`: does it run, is it this version, does it look at the ledger, will it start again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from thanksd import __version__, service
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.client import Client
from thanksd.errors import TryLaterError
from thanksd.moments import from_iso, say_span

_INSTALL = "Start it: thanksd service install"
_ANEW = "Write it anew: thanksd service install"
_WHY = "See why: journalctl --user -u thanksd"
_RESTART = "Restart it: thanksd service install"
_BY_HAND = "Without systemd, start it with your session: thanksd run"
# A pass comes at least every half minute.
_STILL = timedelta(minutes=1)
_FIRST_PASS_SECONDS = 3.0


def daemon(place: Place) -> Iterator[Finding]:
    """Ask the daemon of this ledger how it is."""
    try:
        said = _status(Client(place.store, str(place.config_file), lines_wanted=False))
    except TryLaterError as error:
        yield mend("daemon", f"It is there, and does not answer. {error.message}", _RESTART)
        return
    yield _absent(place) if said is None else _present(said, place)


def _status(client: Client) -> dict[str, Any] | None:
    """Ask until the daemon has made its first pass, for a few seconds where it just started."""
    ends_at = time.monotonic() + _FIRST_PASS_SECONDS
    while (said := client.ask_status()) and said.get("last_pass_at") is None and time.monotonic() < ends_at:
        time.sleep(0.1)
    return said


def _absent(place: Place) -> Finding:
    unit = service.status(place.environ)
    if unit["active"] == "active":
        words = "Nobody will remind you: the daemon that runs keeps another ledger."
        return mend("daemon", words, "Have it keep this one: thanksd service install")
    words = "Nobody will remind you: the daemon is not running."
    return mend("daemon", words, _BY_HAND if unit["active"] == "unknown" else _INSTALL)


def _present(said: Mapping[str, Any], place: Place) -> Finding:
    last = said.get("last_pass_at")
    still = place.now - from_iso(last) if last else None
    if said.get("version") != __version__:
        words = f"The daemon is thanksd {said.get('version')}, this is {__version__}."
        return look_at("daemon", words, _RESTART)
    if still is None or still > _STILL:
        since = f"for {say_span(still)}" if still else "since it started"
        return mend("daemon", f"It runs, but has not looked at the ledger {since}.", _WHY)
    return ok("daemon", f"Running: thanksd {said['version']}, process {said['pid']}.")


def unit(place: Place) -> Iterator[Finding]:
    """Look whether systemd starts the daemon at each login, and whether what it would start is there."""
    found = service.status(place.environ)
    if not found["installed"]:
        remedy = _BY_HAND if found["active"] == "unknown" else _INSTALL
        yield look_at("unit", "Nothing starts the daemon at login.", remedy)
        return
    problems = [*_program(found), *_state(found)]
    words = f"Started at each login, {found['active']}; reminders come while you are logged in."
    yield from problems or [ok("unit", words)]


def _program(found: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what is wrong with what the unit starts: moved, uninstalled, or without its Python after an upgrade."""
    start = found["exec_start"]
    if start is None:
        yield look_at("unit", f"It was changed by hand: {found['unit']}", _ANEW)
    elif not found["program_exists"]:
        yield mend("unit", f"The program it starts is gone: {start}.", _ANEW)
    elif found["program_version"] is None:
        yield mend("unit", f"The program it starts does not run any more: {start}.", "Install thanksd anew.")
    elif not found["unit_current"]:
        yield look_at("unit", f"It was written by another version: {found['unit']}", _ANEW)


def _state(found: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what systemd thinks of it."""
    if found["active"] == "unknown":
        yield look_at("unit", f"It is written, but no systemd user manager answers here: {found['unit']}", _BY_HAND)
    elif found["active"] == "failed":
        yield mend("unit", "It failed, and stays down.", _WHY)
    elif not found["enabled"]:
        yield mend("unit", f"It is written, but not started at login: {found['unit']}", _INSTALL)
