"""The popup after an answer: "Not needed" can be taken back there, and "Later" moved to another moment."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from thanksd.channels import Popup, popups
from thanksd.channels.desktop import Desktop
from thanksd.errors import NotFoundError, UsageError

log = logging.getLogger("thanksd")

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Amending:
    """The popups that follow an answer on one desktop; they are of no nudge, and vanish by themselves."""

    def __init__(self, call: Call, desktop: Desktop) -> None:
        self._call, self._desktop = call, desktop
        self._offered: dict[int, list[int]] = {}

    async def offer(self, key: str, done: dict[str, Any]) -> None:
        """Show what can still be changed of the answer `key`, as `answer` gave it; of most there is nothing."""
        numbers, names = done["thanks"], done["names"]
        # A server may send keys that its popup does not have: the weekly question is about no thanks.
        if not (done["done"] and numbers):
            return
        if key == "waive":
            await self._show(popups.waived_popup(numbers[0], names[0]), numbers)
        elif key == "later":
            await self._show(popups.later_popup(numbers[0], names, done["until"]), numbers)

    async def _show(self, popup: Popup, numbers: list[int]) -> None:
        receipt = await self._desktop.show(popup)
        if receipt.shown:
            self._offered[receipt.popup_id] = numbers

    def take(self, popup_id: int) -> list[int]:
        """Give the thanks that a pressed popup is about, once; none where it is not one of these.

        At once, not in a task: the word that the popup is gone may follow the press on the wire.
        """
        return self._offered.pop(popup_id, [])

    async def change(self, numbers: list[int], key: str) -> None:
        """Do what was pressed about these thanks."""
        if key == "undo":
            await self._call("undo", {"ref": str(numbers[0])})
        elif key in popups.DELAYS:
            for number in numbers:
                await self._move(number, key)

    async def _move(self, number: int, delay: str) -> None:
        try:
            await self._call("snooze", {"ref": str(number), "delay": delay})
        except (UsageError, NotFoundError) as error:
            log.info("thanks %s was answered elsewhere, which is newer: %s", number, error)

    def closed(self, popup_id: int) -> None:
        """Forget a popup that is gone: its number may come back as another's."""
        self._offered.pop(popup_id, None)

    def forget(self) -> None:
        """Forget all of them: their server is gone, and the next one counts anew."""
        self._offered.clear()
