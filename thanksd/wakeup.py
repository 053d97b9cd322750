"""Wakes a daemon when another program changed a shared ledger.

As long as it hears it also holds the lock that says "a daemon of this version runs", so that nobody upgrades the schema
under it. What it misses while the line is cut is seen by the next tick, as everything else is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from thanksd.errors import ThanksdError

if TYPE_CHECKING:
    from thanksd.store import Ear, Store

log = logging.getLogger("thanksd")


class Wakeup:
    """One daemon's ear at its store; `wake` asks for a pass. A ledger of one's own has none: its socket tells."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self._wake = store, wake
        self._ear: Ear | None = None

    async def listen(self) -> None:
        """Begin to hear, if that is not done already. Never raises: the pass itself says what is wrong."""
        if not self._store.is_shared or self._ear is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            ear = await loop.run_in_executor(None, self._store.listen)
        except ThanksdError as error:
            log.info("Changes elsewhere are seen at the next tick only. %s", error.message)
            return
        if ear is not None:
            loop.add_reader(ear.fileno(), self._heard)
            self._ear = ear

    def _heard(self) -> None:
        if self._ear is None:
            return
        handle = self._ear.fileno()
        try:
            if self._ear.heard():
                self._wake()
        except ThanksdError:
            # The next pass finds the server again, or says that it can't.
            asyncio.get_running_loop().remove_reader(handle)
            self._ear = None
            self._wake()

    def close(self) -> None:
        """Hear no more, and let go of the lock."""
        if self._ear is not None:
            asyncio.get_running_loop().remove_reader(self._ear.fileno())
            self._ear.close()
            self._ear = None
