"""Popups on the user's desktop, with receipts: org.freedesktop.Notifications over the session bus.

One connection lives as long as the daemon, because GNOME takes down popups whose sender left and because a popup's
buttons answer only to the connection that showed it.

Everything runs on the daemon's loop and nothing blocks it; callbacks are called from the loop and must not block.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jeepney import DBusAddress  # type: ignore[import-untyped]  # jeepney ships no types

from thanksd.channels import Popup, Receipt
from thanksd.channels.popups import DRAWS_DEFAULT, sayable
from thanksd.channels.wire import BUS, Wire, dial
from thanksd.errors import UnavailableError

LIMIT = 5.0  # seconds for any one exchange with the bus or the server; D-Bus alone would wait 25 and more
ACTIVATION_PAUSE = 60.0  # seconds between attempts to have the bus start a server

_log = logging.getLogger(__name__)
_NAME = "org.freedesktop.Notifications"
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
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()
        self._owner = ""
        self._first_keys: dict[int, str] = {}
        self._tokens: dict[int, str] = {}
        self._activate_after = 0.0

    @property
    def server(self) -> str:
        """The unique bus name of the notification server that is there, "" for none."""
        return self._owner

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
        wire = await dial(self._environ, self._on_signal, self._on_lost)
        try:
            for match in _MATCHES:
                await wire.call(BUS, "AddMatch", "s", (match,))
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

    async def _notify(self, wire: Wire, server: str, popup: Popup, capabilities: list[str]) -> int:
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

    def _take_back(self, wire: Wire, server: str, reply: asyncio.Future[tuple[Any, ...]]) -> None:
        if reply.cancelled() or reply.exception():
            return
        (popup_id,) = reply.result()
        self._first_keys.pop(popup_id, None)
        wire.ask(_at(server), "CloseNotification", "u", (popup_id,)).add_done_callback(_look)

    async def _activate(self, wire: Wire) -> str:
        """Have the bus start a notification server, and give its unique name.

        Many desktops start theirs on the first call only. But a start before there is a display fails and, through
        systemd, blocks later ones for most of a minute: so not before a display is known, and not often.
        """
        (activatable,) = await wire.call(BUS, "ListActivatableNames")
        if _NAME not in activatable:
            raise UnavailableError("No notification server is running.")
        if not await self._has_display(wire):
            raise UnavailableError("No notification server is running, and no graphical session is known yet.")
        now = asyncio.get_running_loop().time()
        if now < self._activate_after:
            raise UnavailableError("The notification server could not be started; the next try is within a minute.")
        self._activate_after = now + ACTIVATION_PAUSE
        await wire.call(BUS, "StartServiceByName", "su", (_NAME, 0))
        self._activate_after = 0.0
        return await _owner_of_name(wire)

    async def _has_display(self, wire: Wire) -> bool:
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


def _look(reply: asyncio.Future[tuple[Any, ...]]) -> None:
    """Log the failure of a call that nobody waits for."""
    if not reply.cancelled() and reply.exception():
        _log.debug("a late popup was not closed: %s", reply.exception())


def _at(server: str) -> DBusAddress:
    """Address one running server: by its unique name a call can reach no other, and start none."""
    return DBusAddress("/org/freedesktop/Notifications", server, _NAME)


async def _owner_of_name(wire: Wire) -> str:
    """Give the unique name of the notification server, or "" where none runs."""
    (is_owned,) = await wire.call(BUS, "NameHasOwner", "s", (_NAME,))
    if not is_owned:
        return ""
    (owner,) = await wire.call(BUS, "GetNameOwner", "s", (_NAME,))
    return str(owner)


def _arguments(popup: Popup, server: str, capabilities: list[str]) -> tuple[Any, ...]:
    """Give the arguments of Notify (Desktop Notifications Specification): normal urgency."""
    said = sayable(popup, capabilities)
    replaces = popup.replaces if popup.server == server else 0
    hints = {"desktop-entry": ("s", "thanksd"), "urgency": ("y", 1)}
    return ("thanksd", replaces, "", said.title, said.body, said.actions, hints, popup.expires)
