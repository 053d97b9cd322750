"""The daemon's hand that keeps a copy of the ledger each day, in a thread of its own beside the passes."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from thanksd.errors import ThanksdError
from thanksd.moments import local
from thanksd.world import World, now

# Seconds after a start in which none is made: a login has better to do, and so has a daemon that is restarted.
SETTLE = 120.0

log = logging.getLogger("thanksd")


class Copier:
    """Asks once for each day and each change of the ledger's file; what is to be kept is the verb's to say."""

    def __init__(self, store: str, config_file: str) -> None:
        self._where = store, config_file
        self._world: World | None = None
        self._thread = ThreadPoolExecutor(1, "copies")
        self._working: asyncio.Future[Any] | None = None
        self._seen: tuple[date, int] | None = None
        self._complained: date | None = None
        self._settled_at = time.monotonic() + SETTLE

    def look(self) -> None:
        """Begin where a day or a change is new; it ends by itself. Only on the loop."""
        is_working = self._working is not None and not self._working.done()
        if is_working or time.monotonic() < self._settled_at:
            return
        self._working = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        self._working.add_done_callback(self._looked)

    def _look(self) -> None:
        self._world = self._world or World(*self._where)
        context = self._world.context()
        if context.store.file is None:
            return
        seen = local(context.now, context.zone).date(), context.store.file.stat().st_mtime_ns
        if seen == self._seen:
            return
        found = self._world.call("keep_copy", {})
        self._seen = seen
        if found["kept"]:
            log.info("a copy of the ledger is kept: %s", found["kept"])

    def _looked(self, working: asyncio.Future[Any]) -> None:
        error = working.exception()
        if error is None or self._complained == now().date():
            return
        # Once a day: what keeps a copy from being made (a full disk) is tried again with each pass.
        self._complained = now().date()
        known = isinstance(error, ThanksdError)
        words = f"{error.message} {error.hint}" if isinstance(error, ThanksdError) else str(error)
        log.error("%s", words, exc_info=None if known else error)

    async def stop(self) -> None:
        """Wait for a copy that is being made: it is a moment's work, and the next start would make it anew."""
        if self._working is not None:
            await asyncio.wait([self._working])
        self._thread.shutdown()
        if self._world is not None:
            self._world.store.close()
