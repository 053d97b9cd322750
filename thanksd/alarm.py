"""The word that no daemon runs: one popup on the user's desktop, while systemd has given the daemon up.

The unit thanksd-failed.service runs this, and ends it with SIGTERM as soon as the daemon is started again.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from thanksd.channels import Popup, Receipt
from thanksd.channels.desktop import Desktop

# Without buttons: what starts the daemon must be read where it fails again, and a popup shows no output.
POPUP = Popup(
    title="Nobody will remind you",
    body="The daemon is not running.\nStart it: thanksd service install",
    buttons=(),
)
# Seconds between attempts where no notification server answers: at a login the desktop comes later than the units.
PAUSE = 30.0

_NOT_SHOWN = Receipt(shown=False, popup_id=0, server="", error="")


class Alarm:
    """The popup, and the connection that has to stay as long as it does."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._desktop = Desktop(self._pressed, self._closed, self._server, environ)
        self._shown = _NOT_SHOWN
        self._ended = False
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Show the popup as soon as there is a desktop; return when it was closed, or at SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        while not self._ended:
            if not self._shown.shown:
                self._shown = await self._desktop.show(POPUP)
            await self._wait()
        if self._shown.shown:
            await self._desktop.close(self._shown.popup_id, self._shown.server)
        await self._desktop.stop()

    async def _wait(self) -> None:
        """Wait for a change, and while nothing is shown for the next attempt."""
        try:
            await asyncio.wait_for(self._wake.wait(), None if self._shown.shown else PAUSE)
        except TimeoutError:
            return
        self._wake.clear()

    def _pressed(self, _popup_id: int, _key: str, _token: str) -> None:
        self._end()

    def _closed(self, _popup_id: int, _reason: int) -> None:
        self._end()

    def _server(self, _appeared: bool) -> None:  # noqa: FBT001  the channel's signature
        # Its popups went with a server that left; one that came knows nothing of them.
        self._shown = _NOT_SHOWN
        self._wake.set()

    def _end(self) -> None:
        self._ended = True
        self._wake.set()


async def ring(environ: Mapping[str, str]) -> None:
    """Say on the desktop that no daemon runs, until somebody closes the popup."""
    await Alarm(environ).run()
