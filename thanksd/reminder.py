"""Brings due nudges to their owner, and what the owner presses on a popup back to the verbs. No rules of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from thanksd import absence
from thanksd.addresses import display_safe
from thanksd.amending import Amending, Call
from thanksd.channels import popups
from thanksd.channels.desktop import Desktop
from thanksd.channels.opener import browser_argv, has_screen, open_page, open_terminal
from thanksd.config import Config
from thanksd.errors import ThanksdError
from thanksd.health import Healths
from thanksd.messenger import Messenger, give_back, popup_of
from thanksd.page.visits import Link
from thanksd.verbs.climbing import disturbing

# The channels whose answer the pass waits for.
_HERE = ("desktop", "terminal")
# A window that Review opened calls `reviewing` at once; if nothing came by then, nothing opened.
_OPENED_SECONDS = 5.0
# The command that a button opens, "fix" of a refused password apart.
_OPENING = {"review": ["review"], "fix": ["review"], "resolve": ["resolve"], "add": ["add"]}
_PASSWORD = ["credentials", "set"]

# A browser that has to start first takes its time.
_BROWSER_SECONDS = 15.0

PageLink = Callable[[str], tuple[str, Link]]

log = logging.getLogger("thanksd")


class Reminder:
    """One desktop, and the popups on it.

    `call` runs a verb, `wake` asks for a pass, `program` is our command, `page_link` gives a link that opens the review
    page once, `on_shown` is told of each nudge that was shown by itself.
    """

    def __init__(
        self,
        call: Call,
        wake: Callable[[], None],
        config: Callable[[], Config],
        program: list[str],
        environ: Mapping[str, str],
        config_file: str,
        page_link: PageLink,
        on_shown: Callable[[], object] = bool,
    ) -> None:
        self._page_link = page_link
        self._call, self._wake, self._config, self._program, self._environ = call, wake, config, program, environ
        self.desktop = Desktop(self._pressed, self._closed, self._server, environ)
        self._servers: dict[int, str] = {}
        self._showing = asyncio.Lock()
        self._amending = Amending(call, self.desktop)
        self.health = Healths()
        # The channels that the ledger says must not be tried, when it was last asked.
        self.closed: list[str] = []
        self.messenger = Messenger(call, wake, config, config_file, environ, self.health, on_shown)
        self._on_shown = on_shown
        self._opening: dict[int, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.shows_again = True
        # When the notification server came, as absence.clock tells it; None where there is none.
        self.there_since: float | None = None

    async def connect(self) -> None:
        """Connect to the session bus if popups are wanted and there is no connection: it may have come by now."""
        if "desktop" in self._config().nudge.channels:
            await self.desktop.ensure()

    async def stop(self) -> None:
        """Leave the bus; popups that stand stay, and lose their buttons until the next start shows them again."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.messenger.stop()
        await self.desktop.stop()

    def can_try(self) -> list[str]:
        """Give the channels that can be tried now, the terminal apart."""
        return [name for name in self._disturbing() if self.health[name].can_be_tried]

    @property
    def prints(self) -> bool:
        """Whether nudges are printed where the daemon runs: on a terminal, while they don't come by themselves."""
        return not self.works and "terminal" in self._config().nudge.channels and sys.stdout.isatty()

    @property
    def works(self) -> bool:
        """Whether the owner's first channel works, as far as is known: then no line on a terminal is needed."""
        first = next(iter(self._disturbing()), "")
        return bool(first) and self.health[first].is_well and first not in self.closed

    def news(self) -> dict[str, str]:
        """Give since when channels are sick, by name (ISO 8601), of which their owner was not told yet."""
        return self.health.news(self._disturbing())

    def sick(self) -> list[dict[str, str]]:
        """Give the owner's channels that are sick: {"channel", "since" (ISO 8601), "error"}."""
        return self.health.sick(self._disturbing())

    def _disturbing(self) -> tuple[str, ...]:
        return disturbing(self._config())

    async def remind(self, nudges: list[dict[str, Any]]) -> bool:
        """Show each nudge on its channel, and note its receipt; False where one of the channels does not work.

        What takes its time goes on beside the passes, and asks for one when it is done.
        """
        self.messenger.send([one for one in nudges if one["channel"] not in _HERE])
        rest, works = deque(one for one in nudges if one["channel"] in _HERE), True
        try:
            while rest and works:
                works = await self._show(rest.popleft())
        finally:
            await give_back(self._call, list(rest))
        return works

    async def _show(self, nudge: dict[str, Any]) -> bool:
        """Show one nudge here, and say whether it was shown."""
        if nudge["channel"] == "desktop":
            async with self._showing:
                return await self._pop_up(nudge)
        print(display_safe(nudge["line"]), flush=True)  # noqa: T201  the terminal is this channel
        await self._call("nudges_shown", {"ids": nudge["ids"]})
        return True

    async def _pop_up(self, nudge: dict[str, Any]) -> bool:
        receipt = await self.desktop.show(popup_of(nudge))
        if not receipt.shown:
            log.info("no popup for thanks %s: %s", nudge["thanks"], receipt.error)
            self.health["desktop"].failed(receipt.error)
            await self._call("nudges_failed", {"ids": nudge["ids"], "error": receipt.error, "channel": "desktop"})
            return False
        self._servers[receipt.popup_id] = receipt.server
        self.health.shown("desktop", told=nudge["tells"])
        self._on_shown()
        ids = {"popup_id": receipt.popup_id, "server": receipt.server}
        await self._call("nudges_shown", {"ids": nudge["ids"], **ids})
        return True

    async def close(self, stale: list[list[Any]]) -> None:
        """Close popups that nobody needs any more, or whose buttons are dead."""
        for popup_id, server in stale:
            await self.desktop.close(popup_id, server)

    def opened(self, thanks: list[int]) -> None:
        """Note that a review of these thanks was opened somewhere."""
        for number in thanks:
            if number in self._opening:
                self._opening[number].set()

    def _pressed(self, popup_id: int, key: str, token: str) -> None:
        numbers = self._amending.take(popup_id)
        self._start(self._amend(numbers, popup_id, key) if numbers else self._answer(popup_id, key, token))

    def _closed(self, popup_id: int, _reason: int) -> None:
        self._amending.closed(popup_id)
        self._start(self._note_closed(popup_id))

    def _server(self, appeared: bool) -> None:  # noqa: FBT001  the channel's signature
        """Show again what a new server knows nothing of, or what lost its buttons with the daemon before this one."""
        self.there_since = absence.clock() if appeared else None
        self._amending.forget()
        if not appeared:
            return
        self.health["desktop"].works()
        if self.shows_again:
            self._start(self._show_again())

    async def _show_again(self) -> None:
        await self.close((await self._call("show_again", {}))["popups"])
        self._wake()

    async def _note_closed(self, popup_id: int) -> None:
        await self._call("nudges_closed", {"popup_id": popup_id, "server": await self._server_of(popup_id)})

    async def _server_of(self, popup_id: int) -> str:
        """Give the server of a popup, once its receipt is written: what happens to it at once is told sooner."""
        async with self._showing:
            return self._servers.get(popup_id, "")

    async def _amend(self, numbers: list[int], popup_id: int, key: str) -> None:
        await self._amending.change(numbers, key)
        await self.desktop.close(popup_id, self.desktop.server)
        self._wake()

    async def _answer(self, popup_id: int, key: str, token: str) -> None:
        server = await self._server_of(popup_id)
        done = await self._call("answer", {"popup_id": popup_id, "server": server, "key": key})
        if key in _OPENING:
            words = _PASSWORD if done["occasion"] == "password" else _OPENING[key]
            if key == "add":
                # The question is answered; what else a button opens is still to be done, and its popup stays.
                await self.desktop.close(popup_id, server)
            await self._open(done["thanks"], words, token)
            return
        await self.desktop.close(popup_id, server)
        await self._amending.offer(key, done)
        self._wake()

    async def _open(self, thanks: list[int], words: list[str], token: str) -> None:
        """Open the page or the user's terminal on our command `words`, at these thanks; say so where nothing opened."""
        numbers = {"review": thanks, "resolve": thanks[:1]}.get(words[0], [])
        if not numbers and words[0] in ("review", "resolve"):
            return
        if numbers and numbers[0] in self._opening:
            # Pressed again before the window came up: one is enough.
            return
        words = [*words, *map(str, numbers)]
        opened = self._expect(numbers[0] if words[0] == "review" else 0)
        try:
            if not await self._open_page(words, numbers, token):
                await self._open_terminal(words, token, opened)
        except (ThanksdError, TimeoutError) as error:
            log.warning("no window opened: %s", error)
            what = "page" if self._config().nudge.review == "page" else "terminal"
            await self.desktop.show(popups.not_opened_popup(words, what))
        finally:
            self._opening.pop(numbers[0] if numbers else 0, None)

    async def _open_page(self, words: list[str], numbers: list[int], token: str) -> bool:
        """Open the review page in the browser, and say whether that came up; False where a terminal is wanted."""
        config, path = self._config(), {"add": "/add"}.get(words[0], f"/thanks/{numbers[0]}" if numbers else "")
        path = "/" if len(numbers) > 1 else path
        if config.nudge.review == "terminal" or not config.page.enabled or not path:
            return False
        if config.nudge.review == "auto" and not self._has_browser(config.page.browser):
            return False
        try:
            url, link = self._page_link(path)
            await open_page(config.page.browser, url, token, self._environ)
            await asyncio.wait_for(link.opened.wait(), _BROWSER_SECONDS)
        except (ThanksdError, TimeoutError) as error:
            # Where the user lets us choose, the terminal is there too. A browser may still come: it starts slowly.
            if config.nudge.review == "page":
                raise
            log.warning("no browser came to the page: %s", error or f"not within {_BROWSER_SECONDS:.0f} s")
            return False
        return True

    def _has_browser(self, setting: str) -> bool:
        return has_screen(self._environ) and browser_argv(setting, self._environ) is not None

    async def _open_terminal(self, words: list[str], token: str, opened: asyncio.Event) -> None:
        # Told to the command: keys that were typed before its window came up are not meant for it.
        command = ["env", "THANKSD_OPENED=popup", *self._program, *words]
        await open_terminal(self._config().nudge.terminal, command, token, self._environ)
        if words[0] == "review":
            await asyncio.wait_for(opened.wait(), _OPENED_SECONDS)

    def _expect(self, number: int) -> asyncio.Event:
        """Give what is set once a review of this thanks was opened."""
        opened = self._opening.setdefault(number, asyncio.Event())
        opened.clear()
        return opened

    def _start(self, work: Any) -> None:  # noqa: ANN401  a coroutine of ours
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a popup's answer could not be noted", exc_info=task.exception())
