"""Popups on the user's desktop, with receipts: org.freedesktop.Notifications over the session bus.

One connection lives as long as the daemon, because GNOME takes down popups whose sender left and because a popup's
buttons answer only to the connection that showed it. The bytes of D-Bus are jeepney's; its asyncio router is not used:
when the bus dies while a reply is awaited it raises KeyError, a reply that crosses a timeout stops it for good, and its
one-place queues lose signals.

Everything runs on the daemon's loop and nothing blocks it; callbacks are called from the loop and must not block.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
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

from thanksd.channels import Popup, Receipt
from thanksd.channels.popups import DRAWS_DEFAULT, sayable
from thanksd.errors import UnavailableError

LIMIT = 5.0  # seconds for any one exchange with the bus or the server; D-Bus alone would wait 25 and more
ACTIVATION_PAUSE = 60.0  # seconds between attempts to have the bus start a server

_log = logging.getLogger(__name__)
_NAME = "org.freedesktop.Notifications"
_BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
_MANAGER = DBusAddress("/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.DBus.Properties")
_MATCHES = (
    f"type='signal',sender='{_NAME}',interface='{_NAME}'",
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_NAME}'",
)
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


# These draw the default action as a button of its own, where others bind it to a click on the popup.
_DRAWS_DEFAULT = ("Xfce Notify Daemon",)


class Desktop:
    """The desktop channel: `ensure` before use and on each pass, `show`, `close`, and at the end `stop`.

    on_action(popup_id, key, activation_token): a button was pressed; pressing the popup itself counts as its first
    button. on_closed(popup_id, reason): it is gone (1 expired, 2 dismissed, 3 closed by a call, 4 unknown).
    on_server(there): a notification server appeared or vanished; with it vanish its popups, so show them again.
    `trouble` says in a sentence why there is no connection, and is empty while there is one.
    """

    def __init__(
        self,
        on_action: Callable[[int, str, str], None],
        on_closed: Callable[[int, int], None],
        on_server: Callable[[bool], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.trouble = ""
        self._on_action, self._on_closed, self._on_server = on_action, on_closed, on_server
        self._environ = environ
        self._wire: _Wire | None = None
        self._connecting = asyncio.Lock()
        self._owner = ""
        self._first_keys: dict[int, str] = {}
        self._tokens: dict[int, str] = {}
        self._activate_after = 0.0

    async def start(self) -> None:
        """Connect for the first time; never raises, a missing bus is told by `trouble`."""
        await self.ensure()

    async def ensure(self) -> None:
        """Connect again if the connection is gone; cheap on every pass, never raises."""
        async with self._connecting:
            if self._wire is not None:
                return
            try:
                async with asyncio.timeout(LIMIT):
                    await self._connect()
            except TimeoutError:
                self.trouble = "The session bus does not answer."
            except UnavailableError as error:
                self.trouble = error.message

    async def stop(self) -> None:
        """Hang up, without another callback; some desktops take the popups down with it."""
        async with self._connecting:
            wire, self._wire, self._owner = self._wire, None, ""
        if wire is not None:
            await wire.close()

    async def show(self, popup: Popup) -> Receipt:
        """Show a popup, or say within about 5 seconds why not; never raises."""
        try:
            async with asyncio.timeout(LIMIT):
                return await self._show(popup)
        except TimeoutError:
            why = "The notification server did not answer within 5 seconds."
        except UnavailableError as error:
            why = error.message
        return Receipt(shown=False, popup_id=0, server="", error=why)

    async def close(self, popup_id: int, server: str) -> None:
        """Take a popup down as well as may be: one that stays is a nuisance, not an error."""
        if self._wire is None:
            return
        try:
            async with asyncio.timeout(LIMIT):
                await self._wire.call(_at(server), "CloseNotification", "u", (popup_id,))
        except (TimeoutError, UnavailableError) as error:
            _log.debug("popup %d was not closed: %s", popup_id, error)

    async def _connect(self) -> None:
        wire = await _dial(self._environ, self._on_signal, self._on_lost)
        try:
            for match in _MATCHES:
                await wire.call(_BUS, "AddMatch", "s", (match,))
            owner = await _owner_of_name(wire)
        except BaseException:
            await wire.close()
            raise
        self._wire, self.trouble = wire, ""
        if owner != self._owner:
            self._change_server(owner)

    async def _show(self, popup: Popup) -> Receipt:
        await self.ensure()
        wire = self._wire
        if wire is None:
            raise UnavailableError(self.trouble)
        server = self._owner or await _owner_of_name(wire) or await self._activate(wire)
        # Asked each time, not kept: a server that hangs is found out here, before a popup can pile up in its queue.
        (capabilities,) = await wire.call(_at(server), "GetCapabilities")
        program, *_ = await wire.call(_at(server), "GetServerInformation")
        if program in _DRAWS_DEFAULT:
            capabilities = [*capabilities, DRAWS_DEFAULT]
        return Receipt(
            shown=True, popup_id=await self._notify(wire, server, popup, capabilities), server=server, error=""
        )

    async def _notify(self, wire: _Wire, server: str, popup: Popup, capabilities: list[str]) -> int:
        reply = wire.ask(_at(server), "Notify", "susssasa{sv}i", _arguments(popup, server, capabilities))
        # A callback of the reply itself runs before any signal that follows it on the wire; a task may wake too late.
        reply.add_done_callback(partial(self._remember, popup, server))
        try:
            (popup_id,) = await asyncio.shield(reply)
        except asyncio.CancelledError:
            # Recorded as not shown, it will be shown again: should it still appear, it would be a second popup.
            reply.add_done_callback(partial(self._take_back, wire, server))
            raise
        return int(popup_id)

    def _remember(self, popup: Popup, server: str, reply: asyncio.Future[tuple[Any, ...]]) -> None:
        if reply.cancelled() or reply.exception() or server != self._owner:
            return
        (popup_id,) = reply.result()
        self._first_keys[popup_id] = popup.buttons[0].key if popup.buttons else ""

    def _take_back(self, wire: _Wire, server: str, reply: asyncio.Future[tuple[Any, ...]]) -> None:
        if reply.cancelled() or reply.exception():
            return
        (popup_id,) = reply.result()
        self._first_keys.pop(popup_id, None)
        wire.ask(_at(server), "CloseNotification", "u", (popup_id,)).add_done_callback(_look)

    async def _activate(self, wire: _Wire) -> str:
        """Have the bus start a notification server, and give its unique name.

        Many desktops start theirs on the first call only. But a start before there is a display fails and, through
        systemd, blocks later ones for most of a minute: so not before a display is known, and not often.
        """
        (activatable,) = await wire.call(_BUS, "ListActivatableNames")
        if _NAME not in activatable:
            raise UnavailableError("No notification server is running.")
        if not await self._has_display(wire):
            raise UnavailableError("No notification server is running, and no graphical session is known yet.")
        now = asyncio.get_running_loop().time()
        if now < self._activate_after:
            raise UnavailableError("The notification server could not be started; the next try is within a minute.")
        self._activate_after = now + ACTIVATION_PAUSE
        await wire.call(_BUS, "StartServiceByName", "su", (_NAME, 0))
        self._activate_after = 0.0
        return await _owner_of_name(wire)

    async def _has_display(self, wire: _Wire) -> bool:
        """Say whether a display is known to us, or to the user manager, which learns of one at login."""
        if any(self._environ.get(name) for name in _DISPLAYS):
            return True
        try:
            body = ("org.freedesktop.systemd1.Manager", "Environment")
            ((_, variables),) = await wire.call(_MANAGER, "Get", "ss", body)
        except UnavailableError:
            return False  # no user manager on this bus: nobody else could know
        return any(variable.startswith(f"{name}=") for variable in variables for name in _DISPLAYS)

    def _on_signal(self, sender: str, member: str, body: tuple[Any, ...]) -> None:
        """Sort one signal; the sender is checked, since anybody on the bus can send any signal to us."""
        match sender, member, body:
            case "org.freedesktop.DBus", "NameOwnerChanged", (str(name), _, str(owner)) if name == _NAME:
                self._change_server(owner)
            case self._owner, "ActivationToken", (int(popup_id), str(token)) if popup_id in self._first_keys:
                self._tokens[popup_id] = token
            case self._owner, "ActionInvoked", (int(popup_id), str(key)) if popup_id in self._first_keys:
                key = self._first_keys[popup_id] if key == "default" else key
                self._on_action(popup_id, key, self._tokens.pop(popup_id, ""))
            case self._owner, "NotificationClosed", (int(popup_id), int(reason)) if popup_id in self._first_keys:
                self._on_closed(popup_id, reason)

    def _change_server(self, owner: str) -> None:
        before, self._owner = self._owner, owner
        self._first_keys.clear()
        self._tokens.clear()
        # Through the loop, so that a fault in the callback is reported and touches no connection.
        loop = asyncio.get_running_loop()
        if before:
            loop.call_soon(self._on_server, False)  # noqa: FBT003  the callback's one argument
        if owner:
            loop.call_soon(self._on_server, True)  # noqa: FBT003  the callback's one argument

    def _on_lost(self) -> None:
        self._wire, self.trouble = None, "The session bus closed the connection."
        self._change_server("")


class _Wire:
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
        except (OSError, ValueError) as error:
            _log.warning("the session bus was lost: %s", error)
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


def _look(reply: asyncio.Future[tuple[Any, ...]]) -> None:
    """Log the failure of a call that nobody waits for."""
    if not reply.cancelled() and reply.exception():
        _log.debug("a late popup was not closed: %s", reply.exception())


async def _dial(
    environ: Mapping[str, str], on_signal: Callable[[str, str, tuple[Any, ...]], None], on_lost: Callable[[], None]
) -> _Wire:
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
) -> _Wire:
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
    wire = _Wire(reader, writer, on_signal, on_lost)
    try:
        await wire.call(_BUS, "Hello")
    except BaseException:
        await wire.close()
        raise
    return wire


def _at(server: str) -> DBusAddress:
    """Address one running server: by its unique name a call can reach no other, and start none."""
    return DBusAddress("/org/freedesktop/Notifications", server, _NAME)


async def _owner_of_name(wire: _Wire) -> str:
    """Give the unique name of the notification server, or "" where none runs."""
    (is_owned,) = await wire.call(_BUS, "NameHasOwner", "s", (_NAME,))
    if not is_owned:
        return ""
    (owner,) = await wire.call(_BUS, "GetNameOwner", "s", (_NAME,))
    return str(owner)


def _arguments(popup: Popup, server: str, capabilities: list[str]) -> tuple[Any, ...]:
    """Give the arguments of Notify (Desktop Notifications Specification): normal urgency, and never to expire."""
    said = sayable(popup, capabilities)
    replaces = popup.replaces if popup.server == server else 0
    hints = {"desktop-entry": ("s", "thanksd"), "urgency": ("y", 1)}
    return ("thanksd", replaces, "", said.title, said.body, said.actions, hints, 0)
