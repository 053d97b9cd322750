"""A desktop for one test: a private bus, an X server, a real dunst. All of it dies with the test, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import parts
from jeepney import (  # type: ignore[import-untyped]  # jeepney ships no types
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.io.asyncio import DBusConnection, open_dbus_connection  # type: ignore[import-untyped]  # as above

from thanksd.channels.desktop import Desktop

NAME = "org.freedesktop.Notifications"
_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""
_DUNSTRC = """[global]
    font = Sans 11
    origin = top-right
    format = "<b>%s</b>\\n%b"
    markup = full
    idle_threshold = 0
    dmenu = {pick}
    mouse_left_click = do_action
    mouse_middle_click = context
    mouse_right_click = close_current
"""
# dunst's "dmenu": the lines on stdin look like "#Later (Thank Ada?) [3,later]"; one of them is the answer.
_PICK = """#!/bin/sh
grep -F "#$(cat {wanted}) " | head -1
"""


def need() -> None:
    """Skip, or fail with CI=true, where the desktop's parts are not installed."""
    parts.need("dbus-daemon", "dbus-send", "dunst", "dunstctl", "busctl", "Xvfb", "xdotool", "setpriv")


@contextmanager
def process(*words: str, environ: Mapping[str, str] | None = None, fds: tuple[int, ...] = ()) -> Iterator[int]:
    """Run a program until the block ends, and give its pid; a test run that is killed takes it along (pdeathsig)."""
    argv = ["setpriv", "--pdeathsig", "KILL", *words]
    with subprocess.Popen(
        argv, env=environ, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield child.pid
        finally:
            child.kill()


@contextmanager
def bus(folder: Path, services: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Run a session bus of its own, and give the environment to reach it; `services` are bus names and what starts them."""
    path, config, service_folder = folder / "bus", folder / "bus.conf", folder / "services"
    service_folder.mkdir(exist_ok=True)
    for name, command in (services or {}).items():
        (service_folder / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec={command}\n")
    config.write_text(_BUS_CONFIG.format(socket=path, services=service_folder))
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"}
    path.unlink(missing_ok=True)
    with process("dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", environ=environ):
        wait_for(lambda: _listens(path))
        yield environ


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def screen() -> Iterator[str]:
    """Run an X server that draws into memory, and give its DISPLAY once it listens; it picks a free number itself."""
    told, tell = os.pipe()
    try:
        with process("Xvfb", "-displayfd", str(tell), "-screen", "0", "800x600x24", "-nolisten", "tcp", fds=(tell,)):
            assert select.select([told], [], [], 20)[0], "Xvfb did not start"
            yield f":{os.read(told, 16).decode().strip()}"
    finally:
        os.close(told)
        os.close(tell)


class Desk:
    """A bus, a screen and the means to run dunst on them and to press its buttons."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.environ = environ
        self._wanted, self._rc, pick = folder / "wanted", folder / "dunstrc", folder / "pick.sh"
        self._rc.write_text(_DUNSTRC.format(pick=pick))
        pick.write_text(_PICK.format(wanted=self._wanted))
        pick.chmod(0o700)

    @property
    def dunst_command(self) -> str:
        """Give the line that starts dunst, for a bus that starts it itself."""
        return f"/usr/bin/env DISPLAY={self.environ['DISPLAY']} dunst -conf {self._rc}"

    @contextmanager
    def dunst(self) -> Iterator[int]:
        """Run dunst until the block ends, and give its pid once it answers."""
        with process("dunst", "-conf", str(self._rc), environ=self.environ) as pid:
            wait_for(lambda: self.ctl("count") is not None)
            yield pid

    def ctl(self, *words: str) -> str | None:
        """Run dunstctl and give what it says, or None where it failed."""
        done = subprocess.run(["dunstctl", *words], env=self.environ, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def displayed(self) -> int:
        return int(self.ctl("count", "displayed") or -1)

    def history(self) -> list[dict[str, Any]]:
        """Give dunst's closed popups, newest first, as {"summary", "body", "appname", "id", "urgency", ...}."""
        rows = json.loads(self.ctl("history") or "{}")["data"][0]
        return [{key: value["data"] for key, value in row.items()} for row in rows]

    def press(self, label: str) -> None:
        """Press the button with this label in dunst's menu."""
        self._wanted.write_text(label)
        assert self.ctl("context") is not None

    def click(self, x: int, y: int) -> None:
        """Click the left mouse button there, once the popup is on the screen."""
        seek = ["xdotool", "search", "--onlyvisible", "--class", "dunst"]
        wait_for(lambda: subprocess.run(seek, env=self.environ, capture_output=True, check=False).returncode == 0)
        words = ["xdotool", "mousemove", str(x), str(y), "click", "1"]
        subprocess.run(words, env=self.environ, check=True, capture_output=True)


class Heard:
    """A Desktop and what it called back."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.actions: list[tuple[int, str, str]] = []
        self.closed: list[tuple[int, int]] = []
        self.servers: list[bool] = []
        self.desktop = Desktop(
            lambda *action: self.actions.append(action),
            lambda *closed: self.closed.append(closed),
            self.servers.append,
            environ,
        )

    async def __aenter__(self) -> Self:
        await self.desktop.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.desktop.stop()


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """Run a bus without services and a screen, on which a test runs dunst."""
    need()
    with screen() as display, bus(folder) as environ:
        yield Desk(folder, {**environ, "DISPLAY": display})


class ScriptedServer:
    """A notification server that can do what the real ones don't do on demand: lack buttons, stall, hurry, forge."""

    def __init__(self, environ: Mapping[str, str], capabilities: list[str]) -> None:
        self._address, self._capabilities = environ["DBUS_SESSION_BUS_ADDRESS"], capabilities
        self.client = ""
        self.shown: list[tuple[Any, ...]] = []
        self.closed: list[int] = []
        self.at_once: list[tuple[str, str, tuple[Any, ...]]] = []
        self.refuses = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._connection: DBusConnection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await open_dbus_connection(self._address)
        driver = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        await self._connection.send(new_method_call(driver, "RequestName", "su", (NAME, 4)))
        while (await self._connection.receive()).header.message_type is not MessageType.method_return:
            pass
        self._serving = asyncio.create_task(self._serve(self._connection))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._serving.cancel()
        await asyncio.wait([self._serving])
        assert self._connection is not None
        await self._connection.close()

    async def _serve(self, connection: DBusConnection) -> None:
        while True:
            message = await connection.receive()
            match message.header.fields.get(HeaderFields.member):
                case "GetCapabilities":
                    await connection.send(new_method_return(message, "as", (self._capabilities,)))
                case "GetServerInformation":
                    await connection.send(new_method_return(message, "ssss", ("scripted", "tests", "1", "1.2")))
                case "Notify":
                    await self._show(connection, message)
                case "CloseNotification":
                    self.closed.append(message.body[0])
                    await connection.send(new_method_return(message))

    async def _show(self, connection: DBusConnection, message: Message) -> None:
        self.client = message.header.fields[HeaderFields.sender]
        self.shown.append(message.body)
        await self.gate.wait()
        if self.refuses:
            await connection.send(new_error(message, f"{NAME}.Error.Full", "s", ("there are too many",)))
            return
        signals = [new_signal(_emitter(), name, types, body) for name, types, body in self.at_once]
        # In one write, so that the signals are there before anybody has looked at the reply.
        messages = [new_method_return(message, "u", (len(self.shown),)), *signals]
        data = b"".join(each.serialise(next(connection.outgoing_serial)) for each in messages)
        connection.writer.write(data)


async def signal_as_stranger(environ: Mapping[str, str], to: str, name: str, types: str, body: tuple[Any, ...]) -> None:
    """Send somebody a signal that only looks like the notification server's."""
    message = new_signal(_emitter(), name, types, body)
    message.header.fields[HeaderFields.destination] = to
    async with await open_dbus_connection(environ["DBUS_SESSION_BUS_ADDRESS"]) as connection:
        await connection.send(message)


def _emitter() -> DBusAddress:
    return DBusAddress("/org/freedesktop/Notifications", interface=NAME)


def wait_for(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something happened, or fail."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


async def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait on the loop until something happened, or fail."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
