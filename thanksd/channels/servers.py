"""Which notification server shows popups on this desktop: asked, not started. For those who look for what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from jeepney import DBusAddress  # type: ignore[import-untyped]  # jeepney ships no types

from thanksd.channels.wire import BUS, Wire, dial
from thanksd.errors import UnavailableError

LIMIT = 5.0  # seconds for the bus and the server to answer

_NAME = "org.freedesktop.Notifications"


class Server(NamedTuple):
    """What a notification server says of itself (Desktop Notifications Specification, GetServerInformation)."""

    name: str
    version: str
    capabilities: tuple[str, ...]


class Found(NamedTuple):
    """The server that runs, if one does; and whether the bus knows how to start one."""

    server: Server | None
    can_start: bool


async def look(environ: Mapping[str, str]) -> Found:
    """Ask who shows popups. Raises UnavailableError, within 5 seconds, where bus or server don't answer."""
    try:
        async with asyncio.timeout(LIMIT):
            wire = await dial(environ, _ignore, _nothing)
            try:
                return await _look(wire)
            finally:
                await wire.close()
    except TimeoutError:
        raise UnavailableError("The session bus or its notification server does not answer.") from None


async def _look(wire: Wire) -> Found:
    (activatable,) = await wire.call(BUS, "ListActivatableNames")
    (is_owned,) = await wire.call(BUS, "NameHasOwner", "s", (_NAME,))
    if not is_owned:
        return Found(None, _NAME in activatable)
    at = DBusAddress("/org/freedesktop/Notifications", _NAME, _NAME)
    name, _vendor, version, _specification = await wire.call(at, "GetServerInformation")
    (capabilities,) = await wire.call(at, "GetCapabilities")
    return Found(Server(str(name), str(version), tuple(capabilities)), _NAME in activatable)


def _ignore(_sender: str, _member: str, _body: tuple[object, ...]) -> None:
    """Let a signal pass: nothing is shown by this connection."""


def _nothing() -> None:
    """Let the connection go: a call in hand has been told."""
