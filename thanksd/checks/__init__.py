"""What may be wrong on this machine, looked at without changing anything: one small check for each part.

Each check runs in a thread of its own with a limit in seconds and knows nothing of the others, because a doctor is
called when things are broken: one that fails or hangs is a finding, and the rest are looked at all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from thanksd import config, paths
from thanksd.addresses import fold
from thanksd.errors import ConfigError, ThanksdError

OK, WARN, BAD = "ok", "warn", "bad"


class Finding(NamedTuple):
    """What one check found: `state` ok, warn or bad, a sentence, and the one command or act that mends it."""

    name: str
    state: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Place:
    """What is looked at: the store's URL, the config file, the environment, the moment (UTC).

    `offline` keeps to this machine.
    """

    store: str
    config_file: Path
    environ: Mapping[str, str]
    now: datetime
    offline: bool

    @property
    def is_shared(self) -> bool:
        """Say whether a server keeps the ledger, for several people."""
        return paths.is_server(self.store)

    def owner(self) -> str:
        """Give whose thanks are the user's here, as `Context.owner` does. Raises NotLookedAtError where nobody said."""
        if not self.is_shared:
            return ""
        if not (address := self.settings().me.email):
            raise NotLookedAtError("Not looked at: your own address is not set.")
        return fold(address)

    def settings(self) -> config.Config:
        """Read the config. Raises NotLookedAtError where it can't be: the check `config` says why."""
        try:
            return config.load(self.config_file)
        except ConfigError as error:
            raise NotLookedAtError("Not looked at: the config can't be read.") from error


class NotLookedAtError(Exception):
    """A check has to wait until something is mended that another check names."""


Look = Callable[[Place], Iterator[Finding]]


class Check(NamedTuple):
    """One row of the table: a check's name, the module of this package it is in, and its limit in seconds."""

    name: str
    module: str
    seconds: float


# In the order they are told in. A check is the function of its module that has its name.
CHECKS = (
    Check("config", "settings", 5),
    Check("store", "ledger", 20),
    Check("folder", "places", 5),
    Check("disk", "places", 5),
    Check("clock", "system", 10),
    Check("states", "rules", 25),
    Check("letters", "ledger", 10),
    Check("nudges", "rules", 10),
    Check("copies", "rules", 10),
    Check("transport", "account", 45),
    Check("notifications", "desktop", 10),
    Check("terminal", "desktop", 5),
    Check("channels", "reaching", 25),
    Check("daemon", "running", 15),
    Check("unit", "running", 15),
    Check("environment", "system", 5),
)
# What is looked at of a ledger that a server keeps, in the place of the file's own.
_OF_A_SERVER = {
    "store": (Check("store", "shared", 20), Check("connection", "shared", 15), Check("durability", "shared", 15)),
    "folder": (),
    "disk": (),
    "letters": (Check("letters", "ledger", 15), Check("team", "team", 15), Check("sessions", "team", 15)),
    "copies": (Check("copies", "shared", 15),),
}
SHARED = tuple(one for check in CHECKS for one in _OF_A_SERVER.get(check.name, (check,)))


def examine(place: Place, checks: tuple[Check, ...] = ()) -> Iterator[Finding]:
    """Run these checks at once, every one of this kind of ledger if none is named.

    What each found is given in the order of the table, as soon as it is known.
    """
    wanted = checks or (SHARED if place.is_shared else CHECKS)
    for one in [_Running(check, place) for check in wanted]:
        yield from one.wait()


class _Running:
    """A check at work. One that hangs is left behind: its thread ends with the program."""

    def __init__(self, check: Check, place: Place) -> None:
        self._check, self._place = check, place
        self._found: list[Finding] = []
        self._ends_at = time.monotonic() + check.seconds
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def wait(self) -> list[Finding]:
        self._thread.join(max(0.0, self._ends_at - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            late = f"No answer within {self._check.seconds:g} seconds."
            found.append(Finding(self._check.name, BAD, late, "Try again: thanksd doctor"))
        return found

    def _run(self) -> None:
        name = self._check.name
        try:
            look: Look = getattr(import_module(f"{__name__}.{self._check.module}"), name)
            for finding in look(self._place):
                self._found.append(finding)
        except NotLookedAtError as error:
            self._found.append(Finding(name, WARN, str(error), "Mend that first."))
        except ThanksdError as error:
            self._found.append(Finding(name, BAD, error.message, error.hint))
        except Exception as error:  # noqa: BLE001  what nobody thought of is a finding too, and the other checks go on
            words = f"The check itself failed: {type(error).__name__}: {error}."
            self._found.append(Finding(name, BAD, words, "Try again: thanksd doctor"))


def ok(name: str, message: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(name, OK, message)


def look_at(name: str, message: str, remedy: str) -> Finding:
    """Say that something works, or can wait, but is not as it should be."""
    return Finding(name, WARN, message, remedy)


def mend(name: str, message: str, remedy: str) -> Finding:
    """Say that something is broken: until it is mended, reminders or letters fail."""
    return Finding(name, BAD, message, remedy)
