"""The fault matrix, table "Credentials": keyrings that don't open; letters wait, all else goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import desktop_rigs
import keyring_rigs
import pytest
from account_rigs import (
    BY_KEYRING,
    SECRET,
    configure_account,
    confirm_all,
    each_left_once,
    is_untouched,
    leave_later,
    letters_of,
    locked_account,
    time_passes,
    wait_by_daemon,
    wait_by_send,
    wait_for_letters,
)
from cells import Say, cell
from daemon_rigs import add, daemon, query, value, wait_for
from desktop_rigs import Desk
from keyring_rigs import keyring
from smtp_rigs import Mailbox

_LIMIT = 10


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with locked_account() as box:
        yield box


@contextmanager
def _session(folder: Path) -> Iterator[Desk]:
    """A desktop on whose bus a keyring can ask for its password in a window."""
    desktop_rigs.need()
    keyring_rigs.need()
    with desktop_rigs.screen() as display, desktop_rigs.bus(folder, keyring_rigs.prompter(display)) as environ:
        yield Desk(folder, {**environ, "DISPLAY": display})


def _of(environ: Mapping[str, str]) -> dict[str, str]:
    """Give what a program of this session knows of it."""
    names = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")
    return {name: environ[name] for name in names if name in environ}


@pytest.mark.parametrize(
    (), [cell("Credentials", "The keyring is locked, its prompt unanswered", "the keyring, daemon", daily=True)]
)
def test_behind_a_prompt_that_nobody_answers_all_else_goes_on_and_once_unlocked_the_letters_leave(
    short_dir: Path, box: Mailbox, seen: Say
) -> None:
    configure_account(box, BY_KEYRING, "desktop")
    with _session(short_dir) as desk, desk.dunst(), keyring(_of(desk.environ)) as ring:
        ring.keep(SECRET)
        ring.lock()
        numbers = [add("Ada Lovelace"), add("Bob Ray")]
        with daemon(environ=_of(desk.environ), quick=True):
            confirm_all(*numbers)
            wait_for(lambda: keyring_rigs.prompts(desk.environ))
            assert query("SELECT state, count(*) FROM letter GROUP BY 1") == [("queued", 1), ("sending", 1)]
            # Asked of the daemon while the letters' thread waits: it answers, and shows who else is due.
            begun = time.monotonic()
            add("Cy Young", after="0s")
            wait_for(lambda: desk.displayed() == 1)
            assert time.monotonic() - begun < _LIMIT / 2
            assert value("SELECT count(*) FROM letter WHERE state = 'sending'") == 1
            wait_for_letters("deferred", 2, "password")
            assert {reply for _, _, reply in letters_of()} == {"The keyring did not answer in 10 seconds."}
            # One limit for both letters, and one popup; the second letter may have come while it was on its way.
            assert time.monotonic() - begun < 1.5 * _LIMIT
            wait_for(lambda: desk.displayed() == 2)
            desk.ctl("close-all")
            wait_for(lambda: len(desk.history()) == 2)
            said = {one["summary"]: one["body"] for one in desk.history()}
            waiting = ("1 letter waits. Nothing is lost.", "2 letters wait. Nothing is lost.")
            assert said["The password could not be read"] in waiting
            wait_for(lambda: not query("SELECT 1 FROM thanks WHERE popup_at <= datetime('now', '+10 minutes')"))
            is_untouched(box)
            time_passes()
            keyring_rigs.answer(desk.environ)
            wait_for_letters("sent", 2)
    each_left_once(box)
    seen("deferred: password after 10 s, the verbs and another nudge meanwhile; one popup; unlocked, both left")


@contextmanager
def _no_bus(folder: Path) -> Iterator[dict[str, str]]:
    yield {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus"}


@contextmanager
def _bare_bus(folder: Path) -> Iterator[dict[str, str]]:
    with desktop_rigs.bus(folder) as environ:
        yield _of(environ)


@contextmanager
def _locked(folder: Path) -> Iterator[dict[str, str]]:
    with desktop_rigs.bus(folder) as environ, keyring(_of(environ)) as ring:
        ring.lock()
        yield _of(environ)


@contextmanager
def _killed(folder: Path) -> Iterator[dict[str, str]]:
    """A keyring that was killed, and that the bus starts again: locked, as nobody logged in anew."""
    again = "/usr/bin/gnome-keyring-daemon --start --foreground --components=secrets"
    with desktop_rigs.bus(folder, {"org.freedesktop.secrets": again}) as environ, keyring(_of(environ)) as ring:
        os.kill(ring.pid, signal.SIGKILL)
        yield _of(environ)


@contextmanager
def _hanging(folder: Path) -> Iterator[dict[str, str]]:
    with desktop_rigs.bus(folder, {"org.freedesktop.secrets": "/bin/sleep 15"}) as environ:
        yield _of(environ)


_KEYRINGS = {
    "The keyring is locked, no screen for a prompt": (_locked, "The keyring is locked."),
    "No session bus": (_no_bus, "There is no keyring here."),
    "A session bus without a keyring": (_bare_bus, "There is no keyring here."),
    "The keyring was killed": (_killed, "The keyring could not be opened."),
    "The keyring hangs at its start": (_hanging, "The keyring did not answer in 10 seconds."),
}
_QUICK = ("No session bus", "A session bus without a keyring", "The keyring was killed")


def _with_a_secret_kept(folder: Path) -> None:
    """Let a login of before have kept the password: the keyring's file is in the home."""
    with desktop_rigs.bus(folder) as environ, keyring(_of(environ)) as ring:
        ring.keep(SECRET)


@pytest.mark.parametrize(
    ("fault", "words"),
    [cell("Credentials", row, "the keyring, daemon", *one, daily=row in _QUICK) for row, one in _KEYRINGS.items()],
)
def test_without_a_keyring_that_opens_the_daemon_keeps_letters_until_the_next_login(
    fault: Any, words: str, short_dir: Path, box: Mailbox, seen: Say
) -> None:
    configure_account(box, BY_KEYRING)
    _with_a_secret_kept(short_dir)
    address = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={short_dir}/bus"}
    with daemon(environ=address, quick=True):
        with fault(short_dir) as environ:
            assert environ == address
            wait_by_daemon(box, words)
        with desktop_rigs.bus(short_dir) as environ, keyring(_of(environ)):
            time_passes()
            wait_for_letters("sent", 2)
    each_left_once(box)
    seen(f"deferred: password ({words.lower().removesuffix('.')}); one popup for all; after a login both left")


@pytest.mark.parametrize(
    ("fault", "words"),
    [cell("Credentials", row, "the keyring, `thanksd send`", *one) for row, one in _KEYRINGS.items()],
)
def test_without_a_keyring_that_opens_send_says_so_with_77(
    fault: Any, words: str, short_dir: Path, box: Mailbox, seen: Say
) -> None:
    configure_account(box, BY_KEYRING)
    _with_a_secret_kept(short_dir)
    with fault(short_dir) as environ:
        wait_by_send(box, words, environ)
    with desktop_rigs.bus(short_dir) as environ, keyring(_of(environ)):
        leave_later(_of(environ))
    each_left_once(box)
    seen(f"deferred: password ({words.lower().removesuffix('.')}); exit 77; after a login both left")
