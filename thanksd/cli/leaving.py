"""What happens between a confirmed letter and its leaving: the hold, counted down where somebody watches.

Without a daemon this program must send the letter itself, and takes it back when its window is closed: no letter waits
where nothing will send it.
"""

from __future__ import annotations

import math
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NoReturn

import click

from thanksd.cli.output import can_ask, note, say, state_of
from thanksd.errors import TryLaterError
from thanksd.moments import from_iso

_Thanks = dict[str, Any]
_CODES = {"sent": 0, "failed": 65, "cancelled": 1}


class _ClosedError(Exception):
    """The window was closed (SIGHUP), or the program was told to end."""


def wait_and_send(context: click.Context, thanks: list[_Thanks]) -> int:
    """Wait out the hold, try each letter once, say what became of it, and give the exit code.

    On a terminal Enter sends now, and u, Ctrl-C or a closed window take the letters back.
    """
    world = state_of(context).client.world
    if world.store.lock.held_by_daemon():
        raise TryLaterError(
            "A daemon of another version runs, and only it sends. The letter waits for it.",
            "Restart it: systemctl --user restart thanksd",
        )
    numbers = [one["id"] for one in thanks]
    try:
        with _closing_raises():
            if not _hold(_latest(thanks), _names(thanks)):
                return _take_back(context, numbers)
    except (_ClosedError, KeyboardInterrupt):
        return _take_back(context, numbers)
    world.call("leave_now", {"thanks": numbers})
    _carry(context, thanks)
    return max(_tell(context, number) for number in numbers)


def _carry(context: click.Context, thanks: list[_Thanks]) -> None:
    """Try each letter once. Told to end meanwhile, finish the one in hand, and take back what was not begun."""
    world = state_of(context).client.world
    with _ends_noted() as told:
        world.call("dispatch", {"only": [one["letter"]["id"] for one in thanks]}, stopping=lambda: bool(told))
    if told:
        call = state_of(context).client.call
        letters = {one["id"]: call("show", ref=str(one["id"]))["thanks"][0]["letter"] for one in thanks}
        _take_back(context, [number for number, letter in letters.items() if letter["state"] == "queued"])


def watch(context: click.Context, thanks: list[_Thanks]) -> None:
    """Count down while the daemon holds the letters: u takes them back, any other key closes (they still go)."""
    key = _count_down(
        _latest(thanks), f"{_names(thanks)}: leaves in {{left}} s   u takes it back, any other key closes"
    )
    if key == "u":
        _take_back(context, [one["id"] for one in thanks])


def _hold(until: datetime, names: str) -> bool:
    """Wait until the moment; False where the letters are to be taken back."""
    if not can_ask():
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            time.sleep(min(left, 1))
        return True
    words = f"{names}: leaves in {{left}} s   Enter sends now, u takes it back"
    while (key := _count_down(until, words)) not in ("", "\r", "\n"):
        if key == "u":
            return False
    return True


def _count_down(until: datetime, words: str) -> str:
    """Show the seconds left, rewriting one line, until the moment comes ("") or a key is pressed."""
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    try:
        with keys.raw_terminal():
            while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
                # A line that wraps can't be written over: a narrow window gets its beginning.
                room = keys.window()[0] - 2
                sys.stderr.write(f"\r{words.format(left=math.ceil(left))[:room]} ")
                sys.stderr.flush()
                ready, _, _ = select.select([sys.stdin], [], [], min(left, 1))
                if ready:
                    return keys.read_key()
            return ""
    finally:
        # A closed window can't be written to, and must not hide that it was closed: the letters are taken back then.
        with suppress(OSError):
            sys.stderr.write("\n")


def _latest(thanks: list[_Thanks]) -> datetime:
    return max(from_iso(one["letter"]["send_after"]) for one in thanks)


def _names(thanks: list[_Thanks]) -> str:
    return ", ".join(str(one["person"]["name"]).split()[0] for one in thanks)


def _take_back(context: click.Context, numbers: list[int]) -> int:
    for number in numbers:
        for words in state_of(context).client.call("undo", ref=str(number))["notes"]:
            note(words)
    return 1


def _tell(context: click.Context, number: int) -> int:
    """Say what became of one letter, and give its exit code."""
    one = state_of(context).client.call("show", ref=str(number))["thanks"][0]
    letter, first = one["letter"], str(one["person"]["name"]).split()[0]
    if letter["state"] == "sent":
        tell = note if state_of(context).json else say
        tell(sent_words(first, letter["server_reply"] or ""))
        return 0
    reply = letter["server_reply"] or letter["reason"] or ""
    words = {
        "cancelled": (f"{first}'s letter was taken back. Your text is kept.", f"Due again: thanksd review {number}"),
        "failed": (f"{first}'s letter was refused: {reply}", f"Your text is kept: thanksd review {number}"),
        "held": ("The line broke after the letter was handed over; it may have arrived.", f"thanksd resolve {number}"),
    }
    waits = (
        f"{first}'s letter could not leave yet: {reply} Nothing is lost.",
        "The daemon tries again: thanksd service install",
    )
    for line in words.get(letter["state"], waits):
        note(line)
    if letter["state"] == "deferred" and letter["reason"] in ("credentials", "password"):
        return 77
    return _CODES.get(letter["state"], 75)


def sent_words(first: str, reply: str) -> str:
    """Say that a letter left; one saved into a folder mailed nobody, and is not called sent."""
    return f"Saved: {reply}" if reply.startswith("/") else f"{first}: sent."


@contextmanager
def _closing_raises() -> Iterator[None]:
    """Turn SIGHUP and SIGTERM into an exception for as long as letters can be taken back."""

    def closed(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _ClosedError

    before = {number: signal.signal(number, closed) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ends_noted() -> Iterator[list[int]]:
    """Note in the list that the program was told to end, while a letter is in hand that would be held if it ended now.

    A second Ctrl-C ends it all the same: an answer may let wait for ten minutes.
    """
    told: list[int] = []

    def noted(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in told:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            note("The letter in hand is finished first.")
        told.append(number)

    before = {number: signal.signal(number, noted) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
