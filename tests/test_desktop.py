"""The desktop channel against a real dunst; a scripted server only for faults that the real one can't show."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import desktop_rigs as rigs
import parts

from thanksd.channels import Button, Popup, desktop
from thanksd.channels.desktop import Desktop
from thanksd.channels.popups import thanks_popup

if TYPE_CHECKING:
    import pytest

POPUP = thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", "why you left Rust", "today 15:00")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def test_a_pressed_button_of_a_real_popup_comes_back_with_its_key(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            receipt = await heard.desktop.show(POPUP)
            assert receipt.shown
            assert receipt.server.startswith(":")
            assert receipt.error == ""
            assert desk.displayed() == 1
            desk.press("Later")
            await rigs.until(lambda: bool(heard.actions))
            assert heard.actions == [(receipt.popup_id, "later", "")]

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))


def test_a_click_on_the_popup_itself_is_its_first_button(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            receipt = await heard.desktop.show(POPUP)
            desk.click(700, 90)
            await rigs.until(lambda: bool(heard.actions))
            assert heard.actions == [(receipt.popup_id, "review", "")]

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))


def test_a_dismissed_popup_is_told_with_its_reason(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            receipt = await heard.desktop.show(POPUP)
            desk.ctl("close")
            await rigs.until(lambda: bool(heard.closed))
            assert heard.closed == [(receipt.popup_id, 2)]
            assert heard.actions == []

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))


def test_close_takes_the_popup_down(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            receipt = await heard.desktop.show(POPUP)
            await heard.desktop.close(receipt.popup_id, ":0.0")
            assert desk.displayed() == 1
            await heard.desktop.close(receipt.popup_id, receipt.server)
            assert desk.displayed() == 0
            await rigs.until(lambda: heard.closed == [(receipt.popup_id, 3)])

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))


def test_a_popup_that_replaces_another_leaves_one_on_the_screen(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            first = await heard.desktop.show(POPUP)
            again = await heard.desktop.show(POPUP._replace(replaces=first.popup_id, server=first.server))
            assert again.popup_id == first.popup_id
            assert desk.displayed() == 1
            other = await heard.desktop.show(
                POPUP._replace(title="Thank Grace?", replaces=first.popup_id, server=":0.0")
            )
            assert other.popup_id != first.popup_id
            assert desk.displayed() == 2

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))


def test_popups_are_shown_as_they_were_written_whatever_a_name_contains(tmp_path: Path) -> None:
    hostile = thanks_popup(
        7, "<b>Bob</b> & \x1b\x00\ud800\u202eevil\n" + "x" * 10_000, "coffee", "Tue", "<i>a & b</i>", ""
    )

    async def test(desk: rigs.Desk) -> None:
        async with rigs.Heard(desk.environ) as heard:
            assert (await heard.desktop.show(hostile)).shown
            desk.ctl("close")
            await rigs.until(lambda: bool(heard.closed))

    with rigs.desk(tmp_path) as desk, desk.dunst():
        run(test(desk))
        (row,) = desk.history()
    assert row["summary"].startswith("Thank <b>Bob</b> & evil x")
    assert row["body"].startswith("Coffee Tue · &lt;i&gt;a &amp; b&lt;/i&gt;\n")
    # What dunst draws: its own bold title, and inside it no markup but entities.
    assert row["message"].startswith("<b>Thank &lt;b&gt;Bob&lt;/b&gt; &amp; evil x")
    assert "· &lt;i&gt;a &amp; b&lt;/i&gt;\n" in row["message"]
    assert (row["appname"], row["timeout"]) == ("thanksd", 0)


def test_a_killed_server_is_noticed_and_so_is_its_return(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk) -> None:
        with desk.dunst() as pid:
            heard = rigs.Heard(desk.environ)
            await heard.desktop.start()
            first = await heard.desktop.show(POPUP)
            os.kill(pid, signal.SIGKILL)
            await rigs.until(lambda: heard.servers == [True, False])
        assert not (await heard.desktop.show(POPUP)).shown
        with desk.dunst():
            await rigs.until(lambda: heard.servers == [True, False, True])
            again = await heard.desktop.show(POPUP)
            assert again.shown
            assert again.server != first.server
            desk.press("Not needed")
            await rigs.until(lambda: heard.actions == [(again.popup_id, "waive", "")])
            await heard.desktop.stop()

    with rigs.desk(tmp_path) as desk:
        run(test(desk))


def test_without_a_bus_nothing_is_shown_and_the_reason_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        for environ, why in (
            ({"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/none"}, "No such file or directory"),
            ({"DBUS_SESSION_BUS_ADDRESS": "disabled:"}, "disabled:"),
            ({"XDG_RUNTIME_DIR": str(tmp_path)}, "not set"),
        ):
            async with rigs.Heard(environ) as heard:
                assert why in heard.desktop.trouble
                receipt = await heard.desktop.show(POPUP)
                assert receipt == (False, 0, "", heard.desktop.trouble)

    begun = time.monotonic()
    run(test())
    assert time.monotonic() - begun < desktop.LIMIT


def test_the_bus_of_the_runtime_folder_is_found_without_its_variable(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.Heard({"XDG_RUNTIME_DIR": str(tmp_path)}) as heard, rigs.ScriptedServer(environ, []):
            assert (await heard.desktop.show(POPUP)).shown

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_a_bus_without_a_server_shows_nothing_and_starts_nothing(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.Heard({**environ, "DISPLAY": ":77"}) as heard:
            assert heard.desktop.trouble == ""
            receipt = await heard.desktop.show(POPUP)
            assert not receipt.shown
            assert receipt.error == "No notification server is running."

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_a_server_that_the_bus_can_start_is_started_once_there_is_a_display(tmp_path: Path) -> None:
    async def test(desk: rigs.Desk, environ: dict[str, str]) -> None:
        async with rigs.Heard(environ) as heard:
            receipt = await heard.desktop.show(POPUP)
            assert "no graphical session" in receipt.error
            assert heard.servers == []
        async with rigs.Heard(desk.environ) as heard:
            assert (await heard.desktop.show(POPUP)).shown
            assert heard.servers == [True]
            assert desk.displayed() == 1

    rigs.need()
    with rigs.screen() as display:
        desk = rigs.Desk(tmp_path, {"DISPLAY": display})
        with rigs.bus(tmp_path, {rigs.NAME: desk.dunst_command}) as environ:
            desk.environ |= environ
            run(test(desk, environ))


def test_a_server_that_hangs_at_its_start_is_given_up_after_five_seconds(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = tmp_path / "hang.sh"
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 300\n")
    script.chmod(0o700)

    async def test(environ: dict[str, str]) -> None:
        async with rigs.Heard({**environ, "DISPLAY": ":77"}) as heard:
            begun = time.monotonic()
            receipt = await heard.desktop.show(POPUP)
            assert not receipt.shown
            assert "5 seconds" in receipt.error
            assert desktop.LIMIT - 0.5 < time.monotonic() - begun < desktop.LIMIT + 3
            receipt = await heard.desktop.show(POPUP)
            assert "within a minute" in receipt.error

    parts.need("dbus-daemon", "setpriv")
    try:
        with rigs.bus(tmp_path, {rigs.NAME: str(script)}) as environ:
            run(test(environ))
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_stopped_server_is_given_up_and_gets_no_popup_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "LIMIT", 0.5)

    async def test(desk: rigs.Desk, pid: int) -> None:
        async with rigs.Heard(desk.environ) as heard:
            os.kill(pid, signal.SIGSTOP)
            assert not (await heard.desktop.show(POPUP)).shown
            assert not (await heard.desktop.show(POPUP)).shown
            os.kill(pid, signal.SIGCONT)
            assert desk.displayed() == 0
            monkeypatch.setattr(desktop, "LIMIT", 5.0)
            assert (await heard.desktop.show(POPUP)).shown

    with rigs.desk(tmp_path) as desk, desk.dunst() as pid:
        run(test(desk, pid))


def test_a_popup_that_appears_after_it_was_given_up_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "LIMIT", 1.5)

    async def test(environ: dict[str, str]) -> None:
        async with rigs.ScriptedServer(environ, ["actions"]) as server, rigs.Heard(environ) as heard:
            server.gate.clear()
            assert not (await heard.desktop.show(POPUP)).shown
            assert len(server.shown) == 1
            server.gate.set()
            await rigs.until(lambda: server.closed == [1])
            assert (await heard.desktop.show(POPUP)).popup_id == 2

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_the_popup_carries_what_desktops_need_to_keep_it(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.ScriptedServer(environ, ["actions", "body"]) as server, rigs.Heard(environ) as heard:
            await heard.desktop.show(POPUP)
        app, replaces, _, title, body, actions, hints, expires = server.shown[0]
        assert (app, replaces, title, expires) == ("thanksd", 0, "Thank Ada Lovelace?", 0)
        assert body == POPUP.body
        assert actions[::2] == ["default", "review", "later", "waive"]
        assert actions[1::2] == ["Review", "Review", "Later", "Not needed"]
        assert hints == {"desktop-entry": ("s", "thanksd"), "urgency": ("y", 1)}

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_a_button_pressed_at_once_is_heard_with_the_token_sent_before_it(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.ScriptedServer(environ, ["actions"]) as server, rigs.Heard(environ) as heard:
            server.at_once = [
                ("ActivationToken", "us", (1, "token-1")),
                ("ActionInvoked", "us", (1, "default")),
                ("ActionInvoked", "us", (1, "default")),
                ("NotificationClosed", "uu", (1, 2)),
            ]
            assert (await heard.desktop.show(POPUP)).popup_id == 1
            await rigs.until(lambda: heard.closed == [(1, 2)])
            assert heard.actions == [(1, "review", "token-1"), (1, "review", "")]

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_signals_of_strangers_and_about_others_popups_are_not_believed(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.ScriptedServer(environ, ["actions"]) as server, rigs.Heard(environ) as heard:
            assert (await heard.desktop.show(POPUP)).popup_id == 1
            await rigs.signal_as_stranger(environ, server.client, "ActionInvoked", "us", (1, "waive"))
            server.at_once = [
                ("ActionInvoked", "us", (99, "waive")),
                ("ActionInvoked", "ss", ("1", "waive")),
                ("ActionInvoked", "us", (1, "later")),
            ]
            await heard.desktop.show(POPUP)
            await rigs.until(lambda: bool(heard.actions))
            assert heard.actions == [(1, "later", "")]

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))


def test_a_bus_that_dies_while_a_reply_is_awaited_is_noticed_and_a_new_one_is_used(tmp_path: Path) -> None:
    async def test() -> None:
        heard = rigs.Heard({"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/bus"})
        with rigs.bus(tmp_path) as environ:
            server = await rigs.ScriptedServer(environ, ["actions"]).__aenter__()
            await heard.desktop.start()
            server.gate.clear()
            showing = asyncio.create_task(heard.desktop.show(POPUP))
            await rigs.until(lambda: len(server.shown) == 1)
        receipt = await showing
        assert receipt == (False, 0, "", "The session bus closed the connection.")
        await rigs.until(lambda: heard.servers == [True, False])
        assert heard.desktop.trouble
        await server.__aexit__()
        with rigs.bus(tmp_path) as environ:
            async with rigs.ScriptedServer(environ, ["actions"]):
                await heard.desktop.ensure()
                assert heard.desktop.trouble == ""
                await rigs.until(lambda: heard.servers == [True, False, True])
                assert (await heard.desktop.show(POPUP)).shown
                await heard.desktop.stop()

    parts.need("dbus-daemon", "setpriv")
    run(test())


def test_a_fault_in_a_callback_is_reported_and_the_channel_lives_on(tmp_path: Path) -> None:
    reported: list[dict[str, Any]] = []

    def faulty(*_: object) -> None:
        raise ZeroDivisionError

    async def test(environ: dict[str, str]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        channel = Desktop(faulty, faulty, lambda _: None, environ)
        async with rigs.ScriptedServer(environ, ["actions"]) as server:
            server.at_once = [("ActionInvoked", "us", (1, "later"))]
            assert (await channel.show(POPUP)).shown
            await rigs.until(lambda: len(reported) == 1)
            assert (await channel.show(POPUP)).shown
            await channel.stop()

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


def test_a_popup_without_buttons_offers_nothing_to_press_and_its_end_is_told(tmp_path: Path) -> None:
    async def test(environ: dict[str, str]) -> None:
        async with rigs.ScriptedServer(environ, ["actions"]) as server, rigs.Heard(environ) as heard:
            server.at_once = [("NotificationClosed", "uu", (1, 1))]
            await heard.desktop.show(Popup("Could not open a terminal", "Run: thanksd review 7", ()))
            await rigs.until(lambda: heard.closed == [(1, 1)])
            await heard.desktop.show(Popup("One", "", (Button("fix", "Fix it"),)))
            assert [shown[5] for shown in server.shown] == [[], ["default", "Fix it", "fix", "Fix it"]]

    parts.need("dbus-daemon", "setpriv")
    with rigs.bus(tmp_path) as environ:
        run(test(environ))
