"""The daemon: APScheduler as the clock, one loop, the socket, signals, systemd's notify protocol.

It has no rules of its own: each pass asks the verbs what is due. One worker thread runs verbs, one carries letters;
nothing blocks the loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from thanksd import __version__, absence, paths
from thanksd.absence import Absence
from thanksd.copier import Copier
from thanksd.database import open_store
from thanksd.errors import ConfigError, ThanksdError, TryLaterError
from thanksd.instance import how_to_stop
from thanksd.listener import Listener
from thanksd.moments import from_iso, to_iso
from thanksd.page.server import PageServer, page_path
from thanksd.reminder import Reminder
from thanksd.verbs import LOOKING
from thanksd.wakeup import Wakeup
from thanksd.world import World, now

# The longest time between two passes, in seconds: a resume or a step of the clock is noticed by then.
TICK = 30

log = logging.getLogger("thanksd")


class Daemon:
    """One store's daemon in this process."""

    def __init__(self, store: str, config_file: str, environ: Mapping[str, str], program: list[str]) -> None:
        self._ending = threading.Event()
        self._world = World(store, config_file, keep_connections=True)
        self._sending_world = World(store, config_file, keep_connections=True, stopping=self._ending.is_set)
        self._environ = environ
        self._verbs = ThreadPoolExecutor(1, "verbs")
        self._letters = ThreadPoolExecutor(1, "letters")
        self._wake = asyncio.Event()
        self._sending: asyncio.Future[Any] | None = None
        self._copier = Copier(store, config_file)
        self._wakeup = Wakeup(self._world.store, self._wake.set)
        self._last_pass: datetime | None = None
        self._mistake = ""
        self._absence = Absence()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._page = PageServer(self._call_for_page, lambda: self._world.settings, paths.state_folder())
        self._reminder = Reminder(
            self._call,
            self._wake.set,
            lambda: self._world.settings,
            program,
            environ,
            config_file,
            self._page.link,
            self._absence.end,
        )
        self._listener = Listener(
            paths.socket_file(store), Path(config_file), self._call, self._lines, self._changed, self._asked
        )

    async def run(self, *, once: bool = False) -> None:
        """Run until SIGTERM or SIGINT; with `once` do one full pass, letters included, and end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        await self._reminder.connect()
        try:
            if once:
                # Popups that stand would be shown anew at each such run.
                self._reminder.shows_again = False
                await self._pass_once()
                await self._letters_are_carried()
            else:
                await self._serve()
        finally:
            await self._close()

    async def _pass_once(self) -> None:
        """Do one pass, and another one for what a slow channel did not take: no later run knows that it failed."""
        self._complain(await self._pass())
        while self._reminder.messenger.is_under_way:
            await self._reminder.messenger.finish()
            self._complain(await self._pass())

    async def _serve(self) -> None:
        await self._listener.start()
        self._page.start()
        # A clock and nothing more: a job that only wakes the loop can't be dropped or run twice. It is a coroutine, as
        # APScheduler would call a plain function in a thread.
        self._scheduler.add_job(
            self._tick, "interval", seconds=TICK, id="tick", coalesce=True, max_instances=1, misfire_grace_time=None
        )
        self._scheduler.start()
        _tell_systemd(self._environ, "READY=1")
        log.info("thanksd %s is running, pid %d", __version__, os.getpid())
        while not self._ending.is_set():
            await self._pass_or_complain()
            await self._wait()

    async def _tick(self) -> None:
        self._wake.set()

    async def _wait(self) -> None:
        """Wait for the clock or a change.

        APScheduler compares wall clocks: a step back would silence it until the old hour comes again. The wait itself
        ends on the monotonic clock, and then the scheduler is set right.
        """
        try:
            await asyncio.wait_for(self._wake.wait(), TICK + 1)
        except TimeoutError:
            self._scheduler.modify_job("tick", next_run_time=now() + timedelta(seconds=TICK))
        self._wake.clear()

    async def _pass_or_complain(self) -> None:
        """Do one pass; only a finished one feeds the watchdog, so that a daemon that can't work is restarted.

        A mistake in the config is its owner's to mend: a daemon started anew would refuse it and stay down.
        """
        try:
            self._complain(await self._pass())
            self._last_pass = now()
        except ConfigError as error:
            self._complain(f"{error.message} {error.hint}")
        except ThanksdError as error:
            log.warning("%s %s", error.message, error.hint)
            return
        except Exception:
            log.exception("a pass failed")
            return
        _tell_systemd(self._environ, "WATCHDOG=1")

    def _complain(self, mistake: str) -> None:
        """Say a mistake in the settings once, until it is mended or another one; "" is none."""
        if mistake and mistake != self._mistake:
            log.warning("%s", mistake)
        self._mistake = mistake

    async def _pass(self) -> str:
        """Free what dead workers held, show what is due, let letters go, and plan the next pass.

        Gives what in the settings kept something from being shown, "" for nothing: letters go all the same.
        """
        await self._reminder.connect()
        await self._wakeup.listen()
        seen = await self._look()
        held, mistake = self._held_until(seen), str(seen["mistake"])
        if held is None and _is_past(seen["popup"]):
            mistake = await self._remind_unless_mistaken() or mistake
            seen = await self._look()
        self._let_go(seen["letter"])
        self._copier.look()
        self._plan((seen["popup"] if held is None else to_iso(held), seen["letter"]))
        return mistake

    async def _remind_unless_mistaken(self) -> str:
        try:
            await self._remind()
        except ConfigError as error:
            return f"{error.message} {error.hint}"
        return ""

    def _held_until(self, seen: dict[str, Any]) -> datetime | None:
        """Give the moment up to which popups wait because their owner is only just back; None where they don't."""
        paused, here = bool(seen["paused"]), absence.clock()
        waited = (now() - from_iso(seen["popup"])).total_seconds() if _is_past(seen["popup"]) else 0.0
        self._absence.look(here, waited=waited, paused=paused)
        # A single pass comes from its owner's hand, or from a timer of theirs: it can't wait.
        left = self._absence.left(here, self._reminder.there_since) if self._scheduler.running else 0.0
        # What is under way may come back, and is of the absence still.
        if not left and not paused and not waited and not self._reminder.messenger.is_under_way:
            self._absence.end()
        return now() + timedelta(seconds=left) if left else None

    async def _look(self) -> dict[str, Any]:
        """Free what dead workers held, close the popups that nobody needs any more, and give the next moments."""
        seen = await asyncio.get_running_loop().run_in_executor(self._verbs, self._look_around)
        await self._reminder.close(seen["popups"])
        return seen

    def _look_around(self) -> dict[str, Any]:
        # In one trip to the worker: each trip wakes two threads, and most passes find nothing to do.
        self._world.call("recover", {})
        stale = self._world.call("answered_popups", {})
        return stale | self._world.call("next_moment", {})

    async def _remind(self) -> None:
        """Show what is due, each on its channel; where one turns out not to work, ask what goes on another."""
        while can := self._reminder.can_try():
            sick, together = self._reminder.news(), self._absence.is_over
            found = await self._call("due_nudges", {"channel": can, "together": together, "sick": sick})
            due, self._reminder.closed = found["nudges"], found["closed"]
            if await self._reminder.remind(due):
                if not due and self._reminder.works and not self._reminder.messenger.is_under_way:
                    self._absence.end()
                break
        if self._reminder.prints:
            await self._reminder.remind((await self._call("due_nudges", {"channel": "terminal"}))["nudges"])

    def _let_go(self, letter: str | None) -> None:
        """Start the sender if a letter may leave; it works beside the passes, as a server may take its time."""
        if not _is_past(letter) or (self._sending and not self._sending.done()):
            return
        loop = asyncio.get_running_loop()
        self._sending = loop.run_in_executor(self._letters, self._sending_world.call, "dispatch", {})
        self._sending.add_done_callback(self._carried)

    def _carried(self, sending: asyncio.Future[Any]) -> None:
        error = sending.exception()
        if error is None:
            self._wake.set()
            return
        # Not tried again at once: a full disk would make that a race. The next tick does.
        known = isinstance(error, ThanksdError)
        log.error("letters could not be carried: %s", error, exc_info=None if known else error)

    async def _letters_are_carried(self) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending])

    def _plan(self, planned: tuple[str | None, str | None]) -> None:
        """Set the clock to the next moment, at most a tick away. What is past was just tried, and waits for a tick."""
        if not self._scheduler.running:
            return
        # Moments come here cut to whole seconds: the row is surely due a second later, and may not be before.
        popup, letter = (one and from_iso(one) + timedelta(seconds=1) for one in planned)
        # A letter whose second this is was tried, and what could not be stored waits for a tick.
        letter = letter if letter and letter - timedelta(seconds=1) > now() else None
        coming = [one for one in (popup, letter) if one and one > now()]
        self._scheduler.modify_job("tick", next_run_time=min([*coming, now() + timedelta(seconds=TICK)]))

    async def _call(self, verb: str, params: dict[str, Any], tz: str | None = None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._verbs, partial(self._world.call, verb, params, tz=tz))

    async def _lines(self) -> list[dict[str, Any]]:
        """Give the due nudges for somebody's terminal, where they don't come by themselves."""
        if self._reminder.works or "terminal" not in self._world.settings.nudge.channels:
            return []
        nudges: list[dict[str, Any]] = (await self._call("due_nudges", {"channel": "terminal"}))["nudges"]
        return nudges

    def _changed(self, verb: str, result: dict[str, Any]) -> None:
        if verb == "opened":
            # As a client said them: what they should be, the verb will say.
            refs = result.get("refs")
            self._reminder.opened([int(ref) for ref in refs if str(ref).isdecimal()] if isinstance(refs, list) else [])
            return
        if verb == "release":
            # The login works, as its owner has just seen.
            self._reminder.health["mail"].works()
        if verb not in LOOKING:
            self._wake.set()

    async def _call_for_page(self, verb: str, params: dict[str, Any]) -> dict[str, Any]:
        result = await self._call(verb, params)
        self._changed(verb, result)
        return result

    def _asked(self, what: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer what is asked of the daemon itself: how it is, or a link to its page."""
        if what == "page":
            return {"url": self._page.feed() if params.get("feed") else self._page.link(page_path(params))[0]}
        last = to_iso(self._last_pass) if self._last_pass else None
        known = {"running": True, "pid": os.getpid(), "version": __version__, "last_pass_at": last}
        return known | {"sick": self._reminder.sick()}

    def _end(self) -> None:
        """Begin no letter any more, finish the one in hand, and end."""
        _tell_systemd(self._environ, "STOPPING=1")
        self._ending.set()
        self._wake.set()

    async def _close(self) -> None:
        self._ending.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await self._listener.stop()
        await self._page.stop()
        await self._letters_are_carried()
        await self._reminder.stop()
        await self._copier.stop()
        self._wakeup.close()
        self._letters.shutdown()
        self._verbs.shutdown()
        self._world.store.close()
        self._sending_world.store.close()


def _is_past(moment: str | None) -> bool:
    return moment is not None and from_iso(moment) <= now()


def run(store: str, config_file: str, program: list[str], *, once: bool = False) -> None:
    """Run the daemon in the foreground; one per store on this machine.

    Raises TryLaterError naming the pid of the one that runs already.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    _upgrade_in_child(store)
    opened = World(store, config_file).store
    opened.check_ours()
    lock = opened.lock
    if not lock.acquire("daemon"):
        role, pid = lock.holder()
        raise TryLaterError(
            f"It runs already: process {pid} ({role}) has this ledger.", f"Stop it first: {how_to_stop(pid)}"
        )
    try:
        asyncio.run(_run(store, config_file, program, once=once))
    finally:
        lock.release()


def _upgrade_in_child(store: str) -> None:
    """Let a forked child bring the schema up to date: Alembic would stay in a daemon's memory for good.

    What goes wrong there goes wrong here too a moment later, and is said here.
    """
    child = os.fork()
    if child == 0:
        try:
            open_store(store)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


async def _run(store: str, config_file: str, program: list[str], *, once: bool) -> None:
    # The scheduler and the locks of asyncio belong to the running loop, so the daemon is made inside it.
    await Daemon(store, config_file, os.environ, program).run(once=once)


def _tell_systemd(environ: Mapping[str, str], words: str) -> None:
    """Send one message of systemd's notify protocol (sd_notify(3)), where a manager listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ means the abstract namespace, whose first byte is zero (unix(7)).
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        try:
            notify.sendto(words.encode(), address)
        except OSError as error:
            log.warning("the service manager does not listen: %s", error)
