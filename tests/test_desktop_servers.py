"""The popup on the notification servers of other desktops than dunst: real windows, real clicks."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import desktop_rigs as rigs
import parts
import pytest

from thanksd.channels import Popup
from thanksd.channels.popups import later_popup, thanks_popup

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_XFCONF = "/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd"
POPUP = thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", "why you left Rust", "today 15:00")


class Server(NamedTuple):
    """A notification server: its name, its program, and where in its popup the buttons are drawn: `up` from the
    bottom, and from the left those of a nudge by key, and "tomorrow" of the popup after Later."""

    name: str
    program: str
    up: int
    places: dict[str, int]


SERVERS = (
    Server(
        "xfce4-notifyd",
        "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd",
        31,
        {"review": 60, "later": 160, "waive": 260, "tomorrow": 160},
    ),
    Server(
        "notification-daemon",
        "/usr/lib/notification-daemon/notification-daemon",
        39,
        {"review": 168, "later": 228, "waive": 302, "tomorrow": 228},
    ),
)


class Seat:
    """A screen with one of these servers on it."""

    def __init__(self, environ: dict[str, str], pid: int, server: Server) -> None:
        self.environ, self.pid, self.server = environ, pid, server

    def popup(self) -> tuple[int, int, int, int]:
        """Give left, top, width and height of the popup: the widest window that the server shows."""
        tree = subprocess.run(
            ["xwininfo", "-root", "-tree"], env=self.environ, capture_output=True, text=True, check=True
        )
        found = re.findall(r'^ +0x\w+ "[^"]+".*?  (\d+)x(\d+)\+(\d+)\+(\d+)', tree.stdout, re.MULTILINE)
        wide = [(int(x), int(y), int(w), int(h)) for w, h, x, y in found if int(w) > 100]
        return max(wide, key=lambda one: one[2], default=(0, 0, 0, 0))

    async def stands_still(self) -> None:
        """Wait until the popup has its place: it fades in, and a window that grows moves its buttons."""
        for _ in range(20):
            before = self.popup()
            await asyncio.sleep(0.3)
            if self.popup() == before:
                return
        raise AssertionError("the popup does not stand still")

    def click(self, button: str) -> None:
        """Click where the server draws this button, once the popup is there and stands still."""
        left, top, _, height = self.popup()
        place = left + self.server.places[button], top + height - self.server.up
        words = ["xdotool", "mousemove", *map(str, place), "sleep", "0.2", "click", "1"]
        subprocess.run(words, env=self.environ, check=True)

    def picture(self, name: str) -> None:
        """Draw the popup into a file of the docs."""
        left, top, width, height = self.popup()
        area = f"{left - 6},{max(top - 6, 0)},{width + 12},{height + 12}"
        subprocess.run(["scrot", "-o", "-a", area, str(_DOCS / name)], env=self.environ, check=True)


class Heard(rigs.Heard):
    """A Desktop whose popups are seen as windows."""

    @property
    def keys(self) -> list[str]:
        """What was pressed."""
        return [key for _, key, _ in self.actions]

    async def show(self, seat: Seat, popup: Popup) -> int:
        """Show a popup, and wait until its window is on the screen."""
        await self.desktop.ensure()
        await rigs.until(lambda: bool(self.desktop.server))
        receipt = await self.desktop.show(popup)
        assert receipt.shown, receipt.error
        await rigs.until(lambda: seat.popup()[2] > 0)
        await seat.stands_still()
        return receipt.popup_id


@pytest.fixture(params=SERVERS, ids=lambda one: one.name)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.param
    return found


@contextmanager
def _running(server: Server, environ: dict[str, str]) -> Iterator[Seat]:
    with rigs.process(server.program, environ=environ) as pid:
        yield Seat(environ, pid, server)


@pytest.fixture
def environ(tmp_path: Path, server: Server) -> Iterator[dict[str, str]]:
    """A bus and a screen, with what Xfce's server reads its settings from."""
    rigs.need()
    parts.need("xwininfo", "scrot", server.program)
    with rigs.screen() as display, rigs.bus(tmp_path, {"org.xfce.Xfconf": _XFCONF}) as environ:
        yield {**environ, "DISPLAY": display, "XDG_RUNTIME_DIR": str(tmp_path), "NO_AT_BRIDGE": "1"}


def test_each_button_is_drawn_once_and_a_click_on_it_comes_back(server: Server, environ: dict[str, str]) -> None:
    async def test(seat: Seat) -> None:
        heard = Heard(environ)
        for count, button in enumerate(("review", "later", "waive"), start=1):
            shown = await heard.show(seat, POPUP)
            seat.click(button)
            await rigs.until(lambda count=count: len(heard.keys) == count)  # type: ignore[misc]  # bound now
            await heard.desktop.close(shown, heard.desktop.server)
            await rigs.until(lambda: seat.popup()[2] == 0)
        assert heard.keys == ["review", "later", "waive"]
        await heard.desktop.stop()

    with _running(server, environ) as seat:
        asyncio.run(asyncio.wait_for(test(seat), 60))


def test_another_moment_can_be_chosen_after_later(server: Server, environ: dict[str, str]) -> None:
    async def test(seat: Seat) -> None:
        heard = Heard(environ)
        await heard.show(seat, later_popup(7, ["Ada Lovelace"], "today 15:00"))
        seat.click("tomorrow")
        await rigs.until(lambda: bool(heard.keys))
        assert heard.keys == ["tomorrow 9:00"]
        await heard.desktop.stop()

    with _running(server, environ) as seat:
        asyncio.run(asyncio.wait_for(test(seat), 60))


def test_a_server_that_was_killed_is_missed_and_the_next_one_shows_the_popup(
    server: Server, environ: dict[str, str]
) -> None:
    async def test() -> None:
        heard = Heard(environ)
        with _running(server, environ) as seat:
            await heard.show(seat, POPUP)
            os.kill(seat.pid, signal.SIGKILL)
            await rigs.until(lambda: heard.servers[-1:] == [False])
        assert not (await heard.desktop.show(POPUP)).shown
        with _running(server, environ) as seat:
            await rigs.until(lambda: heard.servers[-1:] == [True])
            await heard.show(seat, POPUP)
            seat.click("waive")
            await rigs.until(lambda: heard.keys == ["waive"])
        await heard.desktop.stop()

    asyncio.run(asyncio.wait_for(test(), 60))


@pytest.mark.skipif(os.environ.get("PICTURES") != "1", reason="PICTURES=1 writes the pictures in docs/ anew")
def test_the_pictures_in_the_docs_are_of_these_servers(server: Server, environ: dict[str, str]) -> None:
    async def test(seat: Seat) -> None:
        heard = Heard(environ)
        await heard.show(seat, POPUP)
        seat.picture(f"nudge-{server.name}.png")
        await heard.desktop.stop()

    with _running(server, environ) as seat:
        asyncio.run(asyncio.wait_for(test(seat), 60))
    assert (_DOCS / f"nudge-{server.name}.png").stat().st_size > 0
