"""The page as one ASGI program, and the server for it: loaded at the first visit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from thanksd.config import Config
from thanksd.page import owner
from thanksd.page.gate import App, Gate, Receive, Scope, Send
from thanksd.page.routes import Routes
from thanksd.page.visit import Call
from thanksd.page.visits import Visits

_GOODBYE_SECONDS = 3
_KEEP_ALIVE_SECONDS = 30
# Many more than a browser opens; another user's connections are closed at once.
_CONNECTIONS = 60


def make(
    call: Call, config: Callable[[], Config], visits: Visits, port: int, state: Path, asked: Callable[[], None]
) -> App:
    """Give the page: the gate, and behind it the routes. `asked` is told of each request that came in."""
    routes = Routes(call, config, visits, port, state)
    inner = Starlette(routes=routes.table(), exception_handlers=routes.handlers())
    gate = Gate(inner, routes.refused, visits, port, lambda: config().page.enabled)
    routes.cookie = gate.cookie

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        asked()
        await gate(scope, receive, send)

    return noted


class _OwnersOnly(H11Protocol):
    """HTTP for the programs of this user: any other's connection is closed before a byte of it is read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not owner.is_ours(peer[:2], here[:2]):
            transport.abort()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End it; one that was never taken up has nothing to end."""
        if getattr(self, "transport", None) is not None:
            super().connection_lost(exc)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon, whose part this is."""
        yield


def server(app: App, port: int) -> uvicorn.Server:
    """Give a server for the page, that says nothing in the log and nothing of itself."""
    config = uvicorn.Config(
        partial(app),
        host="127.0.0.1",
        port=port,
        http=_OwnersOnly,
        ws="none",
        lifespan="off",
        loop="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=16_384,
    )
    config.load()
    # What anybody's page makes a browser send must not fill the log; our own routes say what fails.
    quiet = logging.getLogger("uvicorn.error")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return _Server(config)
