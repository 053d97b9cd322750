"""Brings nudges to channels that take their time, push and mail: beside the passes, for each channel one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from thanksd.channels import Button, Popup, Receipt
from thanksd.config import Config
from thanksd.errors import ThanksdError
from thanksd.health import Healths

# Seconds after which no further nudge of a run is begun: each takes up to 30, and its claim ends after a minute.
_LONGEST_RUN = 25.0
_WAITS = "It waited for the nudge before it."
# Seconds for which a channel is left alone whose secret lies in a locked keyring: each try opens a window that asks.
_ASKING_PAUSE = 3600.0
_ASKING = ("locked", "closed", "timeout")

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

log = logging.getLogger("thanksd")


class _Tried(NamedTuple):
    """What became of one try, and how many seconds at least the channel is to be left alone where it failed."""

    receipt: Receipt
    pause: float = 0.0


class Messenger:
    """The channels that are not on this desktop.

    `call` runs a verb, `wake` asks for a pass, `on_shown` is told of each nudge that was shown.
    """

    def __init__(
        self,
        call: Call,
        wake: Callable[[], None],
        config: Callable[[], Config],
        config_file: str,
        environ: Mapping[str, str],
        health: Healths,
        on_shown: Callable[[], object] = bool,
    ) -> None:
        self._on_shown = on_shown
        self._call, self._wake, self._config, self._environ, self._health = call, wake, config, environ, health
        self._config_file = config_file
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, nudges: list[dict[str, Any]]) -> None:
        """Begin to bring these to their channels; each is busy until its own are done."""
        for channel in dict.fromkeys(nudge["channel"] for nudge in nudges):
            self._health[channel].is_busy = True
            task = asyncio.ensure_future(self._run(channel, [one for one in nudges if one["channel"] == channel]))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    @property
    def is_under_way(self) -> bool:
        """Whether something is still to get its receipt."""
        return any(not task.done() for task in self._tasks)

    async def finish(self) -> None:
        """Wait until all are done."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Give up what is under way: it has no receipt, and comes again."""
        for task in self._tasks:
            task.cancel()
        await self.finish()

    async def _run(self, channel: str, nudges: list[dict[str, Any]]) -> None:
        rest, began, works = deque(nudges), time.monotonic(), True
        try:
            while rest and works and time.monotonic() - began <= _LONGEST_RUN:
                works = await self._bring(channel, rest.popleft())
        finally:
            self._health[channel].is_busy = False
            try:
                await give_back(self._call, list(rest))
            finally:
                self._wake()

    async def _bring(self, channel: str, nudge: dict[str, Any]) -> bool:
        """Bring one nudge, note what became of it, and say whether it was shown."""
        receipt, pause = await self._try(channel, nudge)
        if receipt.error:
            log.info("%s, thanks %s: %s", channel, nudge["thanks"], receipt.error)
        ids = {"ids": nudge["ids"]}
        if receipt.shown:
            self._health.shown(channel, told=nudge["tells"])
            self._on_shown()
            await self._note("nudges_shown", ids)
        else:
            self._health[channel].failed(receipt.error, pause)
            await self._note("nudges_failed", {**ids, "error": receipt.error, "channel": channel})
        return receipt.shown

    async def _note(self, verb: str, params: dict[str, Any]) -> None:
        """Note a receipt. Where the ledger can't be written the nudge comes again; those after it don't wait for that.

        Tried twice: a weekly question whose failure is not noted would not be asked.
        """
        try:
            await self._call(verb, params)
        except ThanksdError:
            try:
                await self._call(verb, params)
            except ThanksdError as error:
                log.warning("what became of a nudge could not be noted: %s %s", error.message, error.hint)

    async def _try(self, channel: str, nudge: Mapping[str, Any]) -> _Tried:
        try:
            return await (self._push(popup_of(nudge)) if channel == "push" else self._mail(nudge))
        except ThanksdError as error:
            pause = _ASKING_PAUSE if getattr(error, "reason", "") in _ASKING else 0.0
            return _Tried(_not_shown(f"{error.message} {error.hint}".strip()), pause)
        except Exception as error:
            # A mistake of ours, or a machine that has no thread left: a failure like any other, and left alone.
            log.exception("%s failed", channel)
            return _Tried(_not_shown(f"The channel failed: {type(error).__name__}."))

    async def _push(self, popup: Popup) -> _Tried:
        from thanksd import credentials  # noqa: PLC0415  only who has such a channel needs them
        from thanksd.channels import push  # noqa: PLC0415  as above

        nudge = self._config().nudge
        title, line = push.words(popup, nudge.phone)
        # In a thread: a keyring may take its ten seconds.
        addresses = await asyncio.to_thread(credentials.push_reader(nudge.push_command, self._environ))
        return _Tried(await push.show(title, line, addresses, self._environ))

    async def _mail(self, nudge: Mapping[str, Any]) -> _Tried:
        from thanksd.channels import mail  # noqa: PLC0415  as above

        alone = nudge["thanks"][0] if len(nudge["thanks"]) == 1 else 0
        event = await self._event(alone) if alone else None
        mailed = await mail.show(popup_of(nudge), self._page(alone), event, self._config_file, self._environ)
        return _Tried(mailed.receipt, _ASKING_PAUSE if mailed.wants_password else 0.0)

    def _page(self, thanks: int) -> str:
        """Give where the review page shows a thanks, or (0) all; "" where its address is another one at each start."""
        page = self._config().page
        if not (page.enabled and page.port):
            return ""
        return f"http://127.0.0.1:{page.port}/" + (f"thanks/{thanks}" if thanks else "")

    async def _event(self, thanks: int) -> dict[str, Any] | None:
        """Give the calendar's entry of a thanks, at its best-by; None where that has passed, or none can be had."""
        try:
            found = await self._call("feed", {"thanks": thanks})
        except ThanksdError:
            return None
        own = [one for one in found["events"] if one["what"] == "thanks"]
        if not own or own[0]["due_by"] <= found["now"]:
            return None
        return {**own[0], "at": own[0]["due_by"], "zone": found["zone"]}

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a nudge could not be noted", exc_info=task.exception())


async def give_back(call: Call, nudges: list[dict[str, Any]]) -> None:
    """Let nudges be due again that were claimed, and not even tried."""
    if nudges:
        ids = [number for nudge in nudges for number in nudge["ids"]]
        await call("nudges_failed", {"ids": ids, "error": _WAITS, "tried": False})


def _not_shown(error: str) -> Receipt:
    return Receipt(shown=False, popup_id=0, server="", error=error)


def popup_of(nudge: Mapping[str, Any]) -> Popup:
    """Give a nudge's popup, which came as plain values."""
    plain = nudge["popup"]
    return Popup(**{**plain, "buttons": tuple(Button(*button) for button in plain["buttons"])})
