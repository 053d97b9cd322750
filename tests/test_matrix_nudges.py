"""The fault matrix, table "Notification server": what shows popups is away, hangs, dies or lies; the nudge stays due."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import desktop_rigs
import pytest
from cells import Say, cell
from cli_rigs import new_ledger
from daemon_rigs import SCRIPT, add, client, daemon, query, settings, value, wait_for
from desktop_rigs import Desk, ScriptedServer

_TABLE: Final = "Notification server"
_SHOWN = "SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL"
_UNTOLD = "SELECT error FROM nudge WHERE shown_at IS NULL AND error IS NOT NULL"


@pytest.fixture
def display() -> Iterator[str]:
    """A screen; a ledger and its settings in the home."""
    desktop_rigs.need()
    settings()
    new_ledger()
    with desktop_rigs.screen() as display:
        yield display


@pytest.fixture
def desk(display: str, short_dir: Path) -> Iterator[Desk]:
    """A session: a bus and that screen, and no notification server yet."""
    with desktop_rigs.bus(short_dir) as environ:
        yield Desk(short_dir, {**environ, "DISPLAY": display})


def _session(environ: Mapping[str, str]) -> dict[str, str]:
    """Give what a program of this session knows of it."""
    return {name: environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}


def _state(thanks: int = 1) -> str:
    return str(client().call("show", ref=str(thanks))["thanks"][0]["state"])


def _is_shown(count: int = 1) -> None:
    """Wait until so many nudges have their receipt."""
    wait_for(lambda: value(_SHOWN) == count)


def _stays_due(why: str) -> None:
    """Wait until a popup could not be shown, for this reason; the nudge has no receipt, and the thanks is due."""
    wait_for(lambda: query(_UNTOLD))
    assert why in value(_UNTOLD)
    assert value(_SHOWN) == 0
    assert _state() == "due"


def _works(desk: Desk) -> None:
    """There is one popup on the screen, and its button is heard."""
    wait_for(lambda: desk.displayed() == 1)
    desk.press("Later")
    wait_for(lambda: _state() == "snoozed")


@contextmanager
def _scripted(environ: Mapping[str, str], *capabilities: str) -> Iterator[ScriptedServer]:
    """Run a server that can misbehave, on a loop of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> ScriptedServer:
        return await ScriptedServer(environ, list(capabilities)).__aenter__()

    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.mark.parametrize((), [cell(_TABLE, "Absent", "no session bus", daily=True)])
def test_a_session_that_begins_after_the_daemon_is_found_and_the_next_one_too(
    display: str, short_dir: Path, seen: Say
) -> None:
    environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={short_dir}/bus", "DISPLAY": display}
    with daemon(environ=environ, quick=True):
        add(after="0s")
        _stays_due("The session bus can't be reached")
        for count in (1, 2):
            with desktop_rigs.bus(short_dir) as bus:
                desk = Desk(short_dir, {**bus, "DISPLAY": display})
                with desk.dunst():
                    _is_shown(count)
                    assert desk.displayed() == 1
    seen("due; shown once a session begins, and again in the next one", 2)


@pytest.mark.parametrize((), [cell(_TABLE, "Absent", "a bus without a server")])
def test_a_server_that_comes_after_the_nudge_was_due_shows_it_then(desk: Desk, seen: Say) -> None:
    with daemon(environ=_session(desk.environ)):
        add(after="0s")
        _stays_due("No notification server is running.")
        # Sooner than the clock would try again.
        with desk.dunst():
            wait_for(lambda: value(_SHOWN) == 1, 15)
            _works(desk)
    seen("due; shown as soon as one comes, with buttons that work")


@pytest.mark.parametrize((), [cell(_TABLE, "Hangs", "while the bus starts it")])
def test_a_server_that_hangs_at_its_start_is_given_up_and_another_one_shows_it(
    display: str, short_dir: Path, seen: Say
) -> None:
    with desktop_rigs.bus(short_dir, {desktop_rigs.NAME: "/bin/sleep 20"}) as environ:
        desk = Desk(short_dir, {**environ, "DISPLAY": display})
        with daemon(environ=_session(desk.environ), quick=True):
            add(after="0s")
            _stays_due("did not answer within 5 seconds")
            assert desk.ctl("count") is None
            with desk.dunst():
                _is_shown()
                _works(desk)
    seen("given up after 5 s, due; shown once one runs")


@pytest.mark.parametrize((), [cell(_TABLE, "Hangs", "SIGSTOP", daily=True)])
def test_a_server_that_hangs_loses_nothing_and_keeps_no_command_waiting(desk: Desk, seen: Say) -> None:
    with desk.dunst() as pid, daemon(environ=_session(desk.environ), quick=True):
        os.kill(pid, signal.SIGSTOP)
        try:
            add(after="0s")
            wait_for(lambda: query("SELECT 1 FROM nudge"))
            assert _state() == "due"
            _stays_due("did not answer")
        finally:
            os.kill(pid, signal.SIGCONT)
        _is_shown()
        assert value("SELECT count(*) FROM nudge") == 1
        _works(desk)
    seen("given up after 5 s, due, commands answered meanwhile; shown once when it goes on")


@pytest.mark.parametrize((), [cell(_TABLE, "Killed", "a popup stands", daily=True)])
def test_after_a_server_was_killed_there_is_one_popup_and_its_buttons_work(desk: Desk, seen: Say) -> None:
    with daemon(environ=_session(desk.environ)):
        with desk.dunst() as pid:
            add(after="0s")
            _is_shown()
            os.kill(pid, signal.SIGKILL)
        assert _state() == "due"
        with desk.dunst():
            _is_shown(2)
            _works(desk)
    seen("due; shown again by the next one, once, with buttons that work")


@pytest.mark.parametrize((), [cell(_TABLE, "Killed", "in the middle of showing")])
def test_a_server_that_dies_before_it_answered_has_shown_nothing(desk: Desk, seen: Say) -> None:
    with daemon(environ=_session(desk.environ)):
        with _scripted(desk.environ, "actions") as server:
            server.gate.clear()
            add(after="0s")
            wait_for(lambda: server.shown)
            assert value(_SHOWN) == 0
        _stays_due("")
        with desk.dunst():
            _is_shown()
            _works(desk)
    seen("no receipt, so due; shown by the next one")


@pytest.mark.parametrize((), [cell(_TABLE, "Restarted", "a digest of three stands", daily=True)])
def test_a_restarted_server_shows_the_digest_again(desk: Desk, seen: Say) -> None:
    for name in ("Ada Lovelace", "Chen Wei", "Tom Jones"):
        add(name, after="0s")
    with daemon(environ=_session(desk.environ)):
        for count in (3, 6, 9):
            with desk.dunst():
                _is_shown(count)
                assert desk.displayed() == 1
                if count == 9:
                    desk.press("Later")
                    wait_for(lambda: {_state(number) for number in (1, 2, 3)} == {"snoozed"})
    seen("one digest after each of two restarts, its buttons work", 2)


@pytest.mark.parametrize((), [cell(_TABLE, "Without buttons", "no `actions`", daily=True)])
def test_a_server_without_buttons_shows_the_command_to_type(desk: Desk, seen: Say) -> None:
    with _scripted(desk.environ, "body") as server, daemon(environ=_session(desk.environ)):
        add(after="0s")
        _is_shown()
    body, actions = server.shown[0][4:6]
    assert (body.split("\n")[-1], actions) == ("Run: thanksd review 1", [])
    seen("shown; the command to type stands in it")


@pytest.mark.parametrize(
    (), [cell(_TABLE, "With markup", "entities in the name, `<b>` and `&` in what was noted", daily=True)]
)
def test_what_the_popup_says_is_what_was_noted(desk: Desk, seen: Say) -> None:
    with desk.dunst(), daemon(environ=_session(desk.environ)):
        add("Ada &lt;b&gt;Love&lace", after="0s", details=["R&D <b>bold</b> <img src='/x'>"])
        _is_shown()
        wait_for(lambda: desk.displayed() == 1)
        desk.ctl("close-all")
        (row,) = wait_for(desk.history)
    assert row["summary"] == "Thank Ada &lt;b&gt;Love&lace?"
    # What dunst draws: its own bold title, and in it and below no markup but entities.
    assert row["message"].startswith("<b>Thank Ada &amp;lt;b&amp;gt;Love&amp;lace?</b>\n")
    assert "· R&amp;D &lt;b&gt;bold&lt;/b&gt;" in row["message"]
    seen("shown as it was written, nothing of it is drawn as markup")


@pytest.mark.parametrize((), [cell(_TABLE, "The same button five times", "Review, and a letter from each", daily=True)])
def test_five_presses_of_review_send_one_letter(desk: Desk, home: Path, seen: Say) -> None:
    terminal = home / "terminal"
    # Whoever sits before it sends at once.
    terminal.write_text(f"#!/bin/sh\necho opened >>{home}/opened\n{SCRIPT} send 1 --yes\n{SCRIPT} send 1 --yes\n")
    terminal.chmod(0o700)
    mail = settings(terminal=str(terminal))
    with _scripted(desk.environ, "actions") as server, daemon(environ=_session(desk.environ), quick=True):
        server.at_once = [("ActionInvoked", "us", (1, "review"))] * 5
        add(after="0s")
        wait_for(lambda: value("SELECT count(*) FROM event WHERE what = 'opened'") == 5)
        server.at_once = []
        wait_for(lambda: _state() == "thanked")
    assert (home / "opened").read_text() == "opened\n"
    assert len(list((mail / "new").iterdir())) == 1
    assert query("SELECT state FROM letter") == [("sent",)]
    seen("one window, one letter", 5)


@pytest.mark.parametrize(
    ("key", "state"),
    [
        cell(_TABLE, "The same button five times", "Later", "later", "snoozed"),
        cell(_TABLE, "The same button five times", "Not needed", "waive", "waived"),
    ],
)
def test_five_presses_of_an_answer_are_one(key: str, state: str, desk: Desk, seen: Say) -> None:
    with _scripted(desk.environ, "actions") as server, daemon(environ=_session(desk.environ)):
        server.at_once = [("ActionInvoked", "us", (1, key))] * 5
        add(after="0s")
        wait_for(lambda: _state() == state)
        wait_for(lambda: server.closed.count(1) >= 5)
    assert query("SELECT what, count(*) FROM event WHERE what IN ('snoozed', 'waived') GROUP BY 1") == [(state, 1)]
    assert [shown[3] for shown in server.shown].count("Not needed: Ada Lovelace") == (key == "waive")
    seen(f"{state} once", 5)


@pytest.mark.parametrize((), [cell(_TABLE, "Answers with an error", "to each popup", daily=True)])
def test_a_server_that_refuses_a_popup_leaves_the_nudge_due(desk: Desk, seen: Say) -> None:
    with _scripted(desk.environ, "actions") as server, daemon(environ=_session(desk.environ), quick=True):
        server.refuses = True
        add(after="0s")
        _stays_due("there are too many")
        server.refuses = False
        _is_shown()
        assert value("SELECT count(*) FROM nudge") == 1
    seen("due; shown once the server takes it")


@pytest.mark.parametrize((), [cell(_TABLE, "Closes it at once", "before anybody could read it", daily=True)])
def test_a_popup_that_is_closed_at_once_is_no_answer(desk: Desk, seen: Say) -> None:
    with _scripted(desk.environ, "actions") as server, daemon(environ=_session(desk.environ)):
        server.at_once = [("NotificationClosed", "uu", (1, 2))]
        add(after="0s")
        wait_for(lambda: query("SELECT 1 FROM nudge WHERE closed_at IS NOT NULL"))
        assert _state() == "due"
        assert query("SELECT answered_at FROM nudge") == [(None,)]
        # The next one follows by the cadence, not at once and for ever.
        wait_for(lambda: value("SELECT popup_at > datetime('now', '+10 minutes') FROM thanks") == 1)
        assert len(server.shown) == 1
    seen("due, not answered; the next popup comes by the cadence")


@pytest.mark.parametrize((), [cell(_TABLE, "Do Not Disturb", "`dunstctl set-paused true`", daily=True)])
def test_what_do_not_disturb_holds_back_is_on_the_screen_when_it_ends(desk: Desk, seen: Say) -> None:
    with desk.dunst(), daemon(environ=_session(desk.environ)):
        desk.ctl("set-paused", "true")
        add(after="0s")
        _is_shown()
        assert (desk.displayed(), desk.ctl("count", "waiting"), _state()) == (0, "1", "due")
        desk.ctl("set-paused", "false")
        _works(desk)
    seen("taken by the server, due; on the screen when it ends, with buttons that work")
