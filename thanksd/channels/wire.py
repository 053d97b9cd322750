"""A connection to the session bus: calls with their replies, and signals handed on. For desktop alone.

The bytes of D-Bus and the login are jeepney's; its asyncio router is not used: when the bus dies while a reply is
awaited it raises KeyError, a reply that crosses a timeout stops it for good, and its one-place queues lose signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jeepney import (  # type: ignore[import-untyped]  # jeepney ships no types
    DBusAddress,
    HeaderFields,
    Message,
    MessageFlag,
    MessageType,
    Parser,
    new_method_call,
)
from jeepney.auth import BEGIN, Authenticator  # type: ignore[import-untyped]  # as above
from jeepney.bus import get_connectable_addresses  # type: ignore[import-untyped]  # as above

from thanksd.errors import UnavailableError

BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")

_log = logging.getLogger(__name__)


class Wire:
    """A connection to the session bus that said Hello: calls with their replies, and signals handed on."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_signal: Callable[[str, str, tuple[Any, ...]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._on_signal, self._on_lost = on_signal, on_lost
        self._serials = itertools.count(1)
        self._pending: dict[int, asyncio.Future[tuple[Any, ...]]] = {}
        self._reading = asyncio.create_task(self._read())

    def ask(
        self, to: DBusAddress, member: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> asyncio.Future[tuple[Any, ...]]:
        """Send a call and give its reply to come: its values, or UnavailableError with what was answered."""
        message = new_method_call(to, member, signature, body)
        # Nobody is started by a call: starting a server is a decision of its own, see _activate.
        message.header.flags |= MessageFlag.no_auto_start
        serial = next(self._serials)
        reply: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            reply.set_exception(UnavailableError("The session bus closed the connection."))
            return reply
        self._pending[serial] = reply
        reply.add_done_callback(lambda _: self._pending.pop(serial, None))
        self._writer.write(message.serialise(serial))
        return reply

    async def call(
        self, to: DBusAddress, member: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> tuple[Any, ...]:
        """Send a call and wait for its reply; the caller sets the limit. Raises UnavailableError."""
        return await self.ask(to, member, signature, body)

    async def close(self) -> None:
        """Hang up; whoever still waits for a reply is told, `on_lost` is not."""
        self._on_lost = _nothing
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._end()
        # The other side may have hung up first; nothing is left to do about it.
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        parser = Parser()
        try:
            while data := await self._reader.read(65536):
                for message in parser.feed(data):
                    self._sort(message)
        except Exception as error:  # noqa: BLE001  jeepney raises whatever broken bytes lead it to, KeyError too
            _log.warning("the session bus was lost: %r", error)
        finally:
            self._end()

    def _sort(self, message: Message) -> None:
        fields, kind = message.header.fields, message.header.message_type
        if kind is MessageType.signal:
            # Through the loop, so that a fault in a callback is reported and the connection lives on.
            sender, member = fields.get(HeaderFields.sender, ""), fields.get(HeaderFields.member, "")
            asyncio.get_running_loop().call_soon(self._on_signal, sender, member, message.body)
            return
        reply = self._pending.get(fields.get(HeaderFields.reply_serial, 0))
        if reply is None or reply.done():
            return
        if kind is MessageType.error:
            text = message.body[0] if message.body else fields.get(HeaderFields.error_name)
            reply.set_exception(UnavailableError(f"The desktop answered: {text}"))
        else:
            reply.set_result(message.body)

    def _end(self) -> None:
        self._writer.close()
        for reply in list(self._pending.values()):
            if not reply.done():
                reply.set_exception(UnavailableError("The session bus closed the connection."))
        self._on_lost()


def _nothing() -> None:
    """Stand in for a callback that is wanted no more."""


async def dial(
    environ: Mapping[str, str], on_signal: Callable[[str, str, tuple[Any, ...]], None], on_lost: Callable[[], None]
) -> Wire:
    """Connect to the first address that answers and say Hello. Raises UnavailableError."""
    why = "There is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)."
    for path in _paths(environ):
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            why = f"The session bus can't be reached: {error.strerror or error}."
            continue
        return await _greet(reader, writer, on_signal, on_lost)
    raise UnavailableError(why)


def _paths(environ: Mapping[str, str]) -> list[str]:
    """Give the sockets a session bus may listen on; cron, su and ssh leave the variable unset where there is one."""
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if address:
        try:
            return list(get_connectable_addresses(address))
        except (ValueError, RuntimeError) as error:
            raise UnavailableError(f"DBUS_SESSION_BUS_ADDRESS is not an address we can use: {address}") from error
    socket = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "bus"
    return [str(socket)] if socket.exists() else []


async def _greet(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    on_signal: Callable[[str, str, tuple[Any, ...]], None],
    on_lost: Callable[[], None],
) -> Wire:
    """Log in as our user and say Hello, which must be the first message (D-Bus Specification)."""
    try:
        login = Authenticator()
        for line in login:
            writer.write(line)
            login.feed(await reader.readuntil(b"\r\n"))
        writer.write(BEGIN)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise UnavailableError(f"The session bus refused us: {error}.") from error
    except BaseException:
        writer.close()
        raise
    wire = Wire(reader, writer, on_signal, on_lost)
    try:
        await wire.call(BUS, "Hello")
    except BaseException:
        await wire.close()
        raise
    return wire
