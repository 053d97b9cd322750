"""Clocks that a test sets: a wall clock that goes wrong under a real program, and a screen that counts its popups."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import desktop_rigs
import parts
from daemon_rigs import DEADLINE, Daemon, client, daemon, query, value, wait_for
from desktop_rigs import ScriptedServer

from thanksd.moments import from_iso

# The daemon's own: between two passes lies no more than this, with a second for the pass itself.
TICK = timedelta(seconds=31)


def faketime() -> str:
    """Give the library that is preloaded for another clock; skip, or fail with CI=true, where it is not installed."""
    parts.need("faketime")
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))


class WallClock:
    """The wall clock of the programs that have `environ`: this machine's, and an offset that a test steps.

    What counts since the boot (CLOCK_MONOTONIC, CLOCK_BOOTTIME) stays as it is, as when somebody sets the clock.
    """

    def __init__(self, folder: Path, at: datetime | None = None) -> None:
        self._file, self.offset = folder / "clock", timedelta()
        self.environ = {
            "LD_PRELOAD": faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(at or self.now)

    @property
    def now(self) -> datetime:
        """What it shows, in UTC."""
        return datetime.now(UTC) + self.offset

    def set(self, moment: datetime) -> None:
        """Let it show this moment, and go on from there."""
        self.step(moment - self.now)

    def step(self, by: timedelta) -> None:
        """Set it ahead or back; nobody ever reads half an offset."""
        self.offset += by
        new = self._file.with_suffix(".new")
        new.write_text(f"{self.offset.total_seconds():+.3f}")
        new.replace(self._file)

    def wait_until(self, moment: datetime) -> None:
        """Wait until it shows this moment; it is the caller's to have set it near."""
        wait_for(lambda: self.now >= moment)

    def is_looked_at(self, *, poked: bool = False) -> None:
        """Wait until the daemon has begun and finished a pass on this clock as it is now; `poked` for one without tick."""
        begun = self.now + timedelta(seconds=1)

        def looked() -> bool:
            # Seldom, as each question is work for the daemon.
            time.sleep(0.1)
            if poked:
                client().poke()
            said = (client().ask_status() or {}).get("last_pass_at")
            return bool(said) and begun <= from_iso(str(said)) < begun + timedelta(minutes=10)

        wait_for(looked)


class Screen:
    """A notification server on a bus of its own, and all that it was asked to show."""

    def __init__(self, server: ScriptedServer, environ: dict[str, str]) -> None:
        self._server, self.environ = server, environ

    @property
    def titles(self) -> list[str]:
        """The titles of the popups so far, one for each call of Notify."""
        return [str(words[3]) for words in self._server.shown]


@contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    """Run a bus and a notification server until the block ends; `environ` of what is given is its session's."""
    parts.need("dbus-daemon", "setpriv")
    with desktop_rigs.bus(folder) as environ:
        server, started, loop = (
            ScriptedServer(environ, ["actions", "body"]),
            threading.Event(),
            asyncio.new_event_loop(),
        )
        ended = asyncio.Event()

        async def serve() -> None:
            async with server:
                started.set()
                await ended.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            assert started.wait(20), "the notification server did not start"
            # An address of an X server that is never asked: popups are wanted in a session that has one.
            yield Screen(server, {"DBUS_SESSION_BUS_ADDRESS": environ["DBUS_SESSION_BUS_ADDRESS"], "DISPLAY": ":0"})
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(20)
            loop.close()


@dataclass
class World:
    """A daemon on a clock that a test sets, and the screen it nudges on."""

    clock: WallClock
    screen: Screen
    daemon: Daemon

    def step(self, by: timedelta) -> datetime:
        """Step the clock, without a pass between that and the moment given, which is the first on the new clock."""
        with self.daemon.frozen():
            self.clock.step(by)
            return self.clock.now

    def is_quiet(self) -> None:
        """See a whole pass bring nothing more to the screen."""
        before = self.screen.titles
        self.clock.is_looked_at()
        assert self.screen.titles == before

    def has_nudged_once(
        self, first: datetime, titles: tuple[str, ...] = ("Thank Ada Lovelace?",), seconds: float = 20
    ) -> None:
        """See that what may be shown from this moment on was: once, within a tick."""
        tried = shown(seconds=seconds)
        assert all(first <= moment < first + TICK for moment in tried)
        self.is_quiet()
        assert self.screen.titles == list(titles)
        assert value("SELECT count(*) FROM nudge") == len(tried)


@contextmanager
def world(folder: Path, at: datetime | None = None, *, quick: bool = True, **options: Any) -> Iterator[World]:
    """Run a daemon with a clock and a screen; with `quick` it ticks each second."""
    clock = WallClock(folder, at)
    with screen(folder) as there:
        environ = {**clock.environ, **there.environ}
        with daemon(environ=environ, quick=quick, **options) as running:
            yield World(clock, there, running)


def shown(count: int = 1, seconds: float = DEADLINE) -> list[datetime]:
    """Wait until so many nudges have their receipt, and give when each was tried, on the daemon's clock."""
    wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") >= count, seconds)
    return [_moment(text) for (text,) in query("SELECT attempted_at FROM nudge WHERE shown_at IS NOT NULL ORDER BY id")]


def popup_at(thanks: int = 1) -> datetime:
    """Give when the next popup of a thanks may come."""
    return _moment(value("SELECT popup_at FROM thanks WHERE id = ?", thanks))


def letter(column: str) -> datetime:
    """Give a moment of the only letter."""
    return _moment(value(f"SELECT {column} FROM letter"))  # noqa: S608  a column's name


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
