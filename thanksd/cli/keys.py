"""Single keys and typed lines from a terminal.

A key is one character that came alone: what arrives together is a paste or a function key, and is no answer to
anything. Needs a terminal on stdin and stdout.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn, Self

import click

from thanksd.addresses import display_safe
from thanksd.cli.output import note

# Several bytes at once: a paste, an arrow key, a letter beyond ASCII. It is longer than any key, so no key is like it.
NO_KEY = "no key"

# A paste reaches us in pieces; nobody types two keys within this many seconds.
_APART = 0.03
_CHUNK = 4096
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_LONGEST_PASTE = 2.0  # seconds without a byte after which a paste that never ended is over
_LOOK = 0.5  # seconds between two looks at the window's size
_CLOSING = (signal.SIGHUP, signal.SIGTERM)


class WindowClosedError(KeyboardInterrupt):
    """The window is gone, or the program was told to end: for what is being asked, the same as Ctrl-C."""


@contextmanager
def closable() -> Iterator[None]:
    """Turn SIGHUP and SIGTERM into WindowClosedError while somebody is asked, so that the terminal's mode is put back.

    Whoever handles these signals already, such as a Keyboard, goes on to.
    """
    ours = [number for number in _CLOSING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _raise_closed)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def confirm(question: str, *, default: bool = False, err: bool = True) -> bool:
    """Ask yes or no, on stderr unless `err` is false; Enter takes the default.

    Raises click.Abort for Ctrl-C and Ctrl-D, WindowClosedError.
    """
    with closable():
        return click.confirm(question, default=default, err=err)


def _raise_closed(_number: int, _frame: FrameType | None) -> NoReturn:
    raise WindowClosedError


def is_dumb() -> bool:
    """Say whether the terminal knows no escape codes (terminfo's "dumb")."""
    return os.environ.get("TERM", "dumb") in ("", "dumb")


def window() -> tuple[int, int]:
    """Give the terminal's size in columns and lines; 80 and 24 where it does not know."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Give keys one by one, without echo, and drop those typed before. Ctrl-C stays Ctrl-C; see `closable`.

    The terminal is as it was afterwards, whatever happens.
    """
    with closable():
        yield from _raw(sys.stdin.fileno())


def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    try:
        # Enters by TCSAFLUSH, which discards what was typed and not read (termios(3)).
        tty.setcbreak(fd)
        _disable_suspending(fd)
        # With this the terminal marks a paste, so that one of a single character is seen for what it is.
        _put("" if is_dumb() else "\x1b[?2004h")
        yield
    finally:
        # A window that is gone has no mode to be put back, and must not hide why we leave.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
            _put("" if is_dumb() else "\x1b[?2004l")


def _disable_suspending(fd: int) -> None:
    # A shell that puts us back into the foreground would not put back the terminal's mode.
    attributes = termios.tcgetattr(fd)
    for key in (termios.VSUSP, termios.VQUIT):
        attributes[6][key] = b"\0"
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def discard(seconds: float) -> None:
    """Drop every key of the next `seconds`: they were meant for what was on the screen before."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if _has_input(left):
            _read()
    termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def read_key() -> str:
    """Wait for a key, in a raw terminal. Several bytes at once are NO_KEY.

    Raises WindowClosedError where no key can come any more, KeyboardInterrupt for Ctrl-C.
    """
    data = _read()
    while not _is_whole(data) and _has_input(_LONGEST_PASTE):
        data += _read()
    while _has_input(_APART):
        data += _read()
    return chr(data[0]) if len(data) == 1 else NO_KEY


def _is_whole(data: bytes) -> bool:
    return _PASTE_BEGINS not in data or _PASTE_ENDS in data.rpartition(_PASTE_BEGINS)[2]


def _has_input(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _read() -> bytes:
    try:
        data = os.read(sys.stdin.fileno(), _CHUNK)
    except OSError as error:
        # EIO: the other end of the terminal is gone.
        raise WindowClosedError from error
    if not data:
        raise WindowClosedError
    return data


def ask_line(prompt: str, old: str = "") -> str:
    """Ask for one line of text, to be edited from `old`, and give it without outer spaces.

    Where this locale can't write `old`, it stands in brackets and Enter keeps it. `prompt` must be safe to print.
    Raises EOFError for Ctrl-D, and as `closable` does.
    """
    if not old:
        return _input(prompt)
    if not _can_edit(old):
        return _input(f"{prompt}[{display_safe(old)}] ") or old
    import readline  # noqa: PLC0415  only to edit what is there already

    readline.set_startup_hook(lambda: readline.insert_text(old))
    try:
        return _input(prompt)
    finally:
        readline.set_startup_hook(None)


def _can_edit(text: str) -> bool:
    """Say whether readline can put the text into the line: else it leaves it out without a word."""
    if text.isascii():
        return True
    import locale  # noqa: PLC0415  only for text beyond ASCII

    try:
        # Not the encoding of stdin: where the locale is C, Python reads UTF-8 all the same (PEP 540) and readline not.
        text.encode(locale.getencoding())
    except UnicodeEncodeError:
        return False
    return True


def _input(prompt: str) -> str:
    if not is_dumb():
        import readline  # noqa: F401, PLC0415  importing it gives input() its arrow keys; a dumb terminal has none
    while True:
        try:
            with closable():
                text = input(prompt).strip()
            # In some locales Python lets through, as lone surrogates, the bytes that are no text (PEP 383).
            text.encode()
        except UnicodeError:
            note("That is no text in this terminal's encoding. Type it anew.")
        else:
            return text


class Keyboard:
    """Keys and lines of somebody whose window may close at any time.

    SIGHUP and SIGTERM raise WindowClosedError, but only while an answer is waited for: never in the middle of a change.
    """

    def __init__(self) -> None:
        self._closed = False
        self._waiting = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._close) for number in _CLOSING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _close(self, _number: int, _frame: FrameType | None) -> None:
        self._closed = True
        if self._waiting:
            raise WindowClosedError

    @contextmanager
    def _waits(self) -> Iterator[None]:
        # In this order: a signal between the two lines raises, one before them is seen by the second.
        self._waiting = True
        try:
            if self._closed:
                raise WindowClosedError
            yield
        finally:
            self._waiting = False

    def key(self, prompt: str, quiet: float) -> str:
        """Drop the keys of `quiet` seconds, print the prompt, and give the next key; "" when the window's size changed.

        Raises WindowClosedError and KeyboardInterrupt.
        """
        with self._waits(), raw_terminal():
            size = window()
            discard(quiet)
            _put(prompt)
            while window() == size:
                if _has_input(_LOOK):
                    return read_key()
            return ""

    def line(self, prompt: str, old: str = "", quiet: float = 0.0) -> str:
        """Drop the keys of `quiet` seconds, and ask for one line.

        Raises WindowClosedError, also for Ctrl-D, and KeyboardInterrupt.
        """
        with self._waits():
            with raw_terminal():
                discard(quiet)
            try:
                return ask_line(prompt, old)
            except EOFError as error:
                raise WindowClosedError from error
