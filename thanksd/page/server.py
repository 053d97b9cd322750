"""Listens for the owner's browser. What answers it, uvicorn and Starlette, is loaded at the first visit.

A daemon whose page nobody opens keeps its size and its sleep: until then one listening socket waits in its loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanksd.config import Config
from thanksd.errors import ConfigError, UnavailableError
from thanksd.page import secret
from thanksd.page.visits import Link, Visits

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
# uvicorn looks at its clock ten times a second: not for nobody, for longer than a person leaves a page alone.
IDLE_SECONDS = 900.0
# What is in hand may end before the listener goes.
_GOODBYE_SECONDS = 3

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

log = logging.getLogger("thanksd")


class PageServer:
    """The page of one daemon. `call` runs a verb and tells the daemon what changed; `state` is our own folder."""

    def __init__(self, call: Call, config: Callable[[], Config], state: Path) -> None:
        self._call, self._config, self._state = call, config, state
        self._visits = Visits(time.monotonic)
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._server: uvicorn.Server | None = None
        self._is_ending = False
        self._asked = asyncio.Event()

    def start(self) -> None:
        """Listen, where the settings want a page. One that can't listen is said in the log: nudges go on without it."""
        page = self._config().page
        if not page.enabled:
            return
        try:
            self._socket = self._listen(page.port)
        except OSError as error:
            log.warning("there is no review page: port %d can't be had: %s", page.port, error)
            return
        self._socket.setblocking(False)  # noqa: FBT003  socket's signature
        self._wait_for_visit(self._socket)

    def _listen(self, port: int) -> socket.socket:
        """Listen at this port; where any will do at the one of before, so that pages which are open find it again."""
        kept = self._state / "page-port"
        if port not in range(1 << 16):
            # Said here, as create_server would leave its socket open behind this one.
            raise OSError("there is no such port")
        if port:
            return socket.create_server((HOST, port))
        try:
            return socket.create_server((HOST, int(kept.read_text(encoding="ascii"))))
        except (OSError, ValueError, OverflowError):
            made = socket.create_server((HOST, 0))
            with contextlib.suppress(OSError):
                kept.write_text(f"{made.getsockname()[1]}\n", encoding="ascii")
            return made

    async def stop(self) -> None:
        """Stop listening, once what is in hand was answered."""
        if self._socket is None:
            return
        self._is_ending = True
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._server is not None:
            self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait([self._serving], timeout=_GOODBYE_SECONDS + 1)
        self._close()

    @property
    def port(self) -> int:
        """Where it listens; 0 where it does not."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    def link(self, target: str) -> tuple[str, Link]:
        """Give a URL that opens the page at `target`, such as /thanks/7, once; `opened` of the link tells when it did.

        Raises UnavailableError where there is no page.
        """
        if not (self.port and self._config().page.enabled):
            raise _no_page()
        key, link = self._visits.link(target)
        return f"http://{HOST}:{self.port}/enter/{key}", link

    def feed(self) -> str:
        """Give the URL of the calendar feed, which lasts. Raises ConfigError where the port changes at each start."""
        if not self._config().page.port:
            raise ConfigError(
                "A calendar asks for ever at the same address, and the page's port is another one at each start.",
                "thanksd config set page.port 8455, then: systemctl --user restart thanksd",
            )
        if not (self.port and self._config().page.enabled):
            raise _no_page()
        if self.port != self._config().page.port:
            raise ConfigError("The page has still another port.", "systemctl --user restart thanksd")
        return f"http://{HOST}:{self.port}/feed/{secret.make(self._state)}.ics"

    def _wait_for_visit(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._come, listening)

    def _come(self, listening: socket.socket) -> None:
        """Somebody connected, and waits in the socket's queue: load what answers."""
        asyncio.get_running_loop().remove_reader(listening)
        self._serving = asyncio.ensure_future(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        """Answer until nobody asked for a while, then wait for the next visit."""
        watch: asyncio.Task[None] | None = None
        try:
            server = self._server = await asyncio.get_running_loop().run_in_executor(None, self._make)
            if self._is_ending:
                return
            watch = asyncio.ensure_future(self._watch(server))
            # A copy, as uvicorn closes what it was given.
            await server.serve(sockets=[listening.dup()])
        except Exception:
            log.exception("the review page failed; it is there again at the next start")
            # Whoever comes is refused at once, and no link is given any more.
            self._close()
            return
        finally:
            self._server = None
            if watch is not None:
                watch.cancel()
        if not self._is_ending:
            self._wait_for_visit(listening)

    def _close(self) -> None:
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()

    async def _watch(self, server: uvicorn.Server) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                self._asked.clear()
                await asyncio.wait_for(self._asked.wait(), IDLE_SECONDS)
        server.should_exit = True

    def _make(self) -> uvicorn.Server:
        from thanksd.page import app  # noqa: PLC0415  see above: the first visit pays for it

        made = app.make(self._call, self._config, self._visits, self.port, self._state, self._asked.set)
        return app.server(made, self.port)


def _no_page() -> UnavailableError:
    return UnavailableError(
        "There is no review page: it is switched off, or its port is taken.", "thanksd config set page.enabled true"
    )


def page_path(params: dict[str, Any]) -> str:
    """Give the path of the page that somebody asks for: that of a thanks, or the first one."""
    number = params.get("thanks")
    return f"/thanks/{number}" if isinstance(number, int) and number > 0 else "/"
