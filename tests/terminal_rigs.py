"""A real pseudo-terminal around the real program: keys go in, the screen is read as a person would read it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import program_rigs
import pyte

PROGRAM = str(program_rigs.SCRIPT)
DEADLINE = 20.0

CONFIG = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "maildir"
[transport.maildir]
path = "{mail}"
[send]
undo = "{undo}"
"""


def configure(home: Path, *, undo: str = "30s", text: str = CONFIG) -> Path:
    """Write the config, and give the folder letters are saved in."""
    mail = home / "mail"
    folder = home / ".config" / "thanksd"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text.format(mail=mail, undo=undo))
    return mail


def thanksd(*words: str, code: int = 0) -> str:
    """Run the program without a terminal, and give what it printed; it must end with `code`."""
    done = program_rigs.run([PROGRAM, *words])
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == code, said
    return said


def letters(mail: Path) -> list[Path]:
    """Give the letters that were saved."""
    return sorted((mail / "new").glob("*")) if mail.exists() else []


class Terminal:
    """A program, thanksd if no other is named, in a terminal of so many columns and lines."""

    def __init__(self, *words: str, program: str = PROGRAM, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self.raw = b""
        self._answered = 0
        self._window_closed = False
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._child = program_rigs.InTerminal(
            program, list(words), dimensions=(lines, columns), env={**os.environ, "TERM": "xterm", **environ}, timeout=5
        )
        # pexpect's own pause before each sending is not ours: we wait for what is on the screen.
        self._child.delaybeforesend = None

    @property
    def pid(self) -> int:
        """The program's process."""
        return int(self._child.pid)

    @property
    def text(self) -> str:
        """What is on the screen, without spaces at the lines' ends."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        return self.text.split("\n")

    def _take(self) -> bool:
        """Take in what the program wrote meanwhile; False once it has ended."""
        try:
            data = self._child.read_nonblocking(1 << 16, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(data)
        return True

    def until(self, happened: str | Callable[[], bool]) -> str:
        """Read until the text is on the screen, or the condition holds; give the screen."""
        end = time.monotonic() + DEADLINE
        while not self._holds(happened):
            is_alive = self._take()
            if not self._holds(happened) and (not is_alive or time.monotonic() > end):
                what = "came no" if is_alive else "the program ended without"
                raise AssertionError(f"{what} {happened!r}:\n{self.text}")
        return self.text

    def _holds(self, happened: str | Callable[[], bool]) -> bool:
        return happened in self.text if isinstance(happened, str) else happened()

    def ready(self, *texts: str) -> str:
        """Wait until these are on the screen and the prompt asks for a key or a line."""
        return self.until(lambda: all(text in self.text for text in texts) and self._is_asking())

    def _is_asking(self) -> bool:
        # Where the cursor stands: letters may have a line that looks like a prompt. And drawn since the last answer.
        if self._answered and b"\n" not in self.raw[self._answered :]:
            return False
        last = self._screen.display[self._screen.cursor.y][: self._screen.cursor.x]
        return last.endswith(("> ", "Key: ", ") ", "] ", "? "))

    def send(self, text: str) -> None:
        """Type everything at once, as a paste arrives."""
        self._answered = len(self.raw)
        self._child.send(text)

    def interrupt(self) -> None:
        """Press Ctrl-C once the program waits for a key, as a hand does; see program_rigs.InTerminal.sendintr."""
        self.until(self.is_waiting)
        self.send("\x03")

    def key(self, key: str) -> None:
        """Press one key, by itself, at a prompt."""
        self.until(self._is_asking)
        self.send(key)

    def line(self, text: str) -> None:
        """Type a line at a prompt."""
        self.until(self._is_asking)
        self.send(text + "\r")

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size."""
        self._screen.resize(lines, columns)
        self._child.setwinsize(lines, columns)

    def is_echoing(self) -> bool:
        """Say whether the terminal is in its ordinary mode."""
        return bool(self._child.getecho())

    def is_waiting(self) -> bool:
        """Say whether the program sleeps until something happens."""
        return program_rigs.is_waiting(self.pid)

    def type_while_stopped(self, text: str, *, before: str) -> bool:
        """Stop the program and type, if `before` does not end the screen yet; let it go on, and say whether it did not."""
        self._child.kill(signal.SIGSTOP)
        os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WNOWAIT)
        written = -1
        while written != len(self.raw):
            written = len(self.raw)
            self._take()
        is_early = not self.text.endswith(before)
        if is_early:
            self._child.send(text)
        self._child.kill(signal.SIGCONT)
        return is_early

    def close_window(self) -> None:
        """Close the terminal's other end, as a window that is closed does: the kernel hangs up (SIGHUP)."""
        self._window_closed = True
        os.close(self._child.child_fd)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._child.kill(number)

    def end(self) -> int:
        """Wait for the program to end by itself, and give its exit code."""
        end = time.monotonic() + DEADLINE
        while self._child.isalive() if self._window_closed else self._take():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
            time.sleep(0.02 if self._window_closed else 0)
        self._child.wait()
        code = self._child.exitstatus
        return code if code is not None else -int(self._child.signalstatus)

    def close(self) -> None:
        """Close the window, whatever the program is doing, and see it gone."""
        if self._window_closed:
            # pexpect would close a descriptor that may be somebody else's by now.
            self._child.child_fd, self._child.closed = -1, True
            self._child.terminate(force=True)
        else:
            self._child.close(force=True)


@contextmanager
def terminal(*words: str, columns: int = 80, lines: int = 24, **environ: str) -> Iterator[Terminal]:
    """Run the program in a terminal; it is gone afterwards."""
    one = Terminal(*words, columns=columns, lines=lines, **environ)
    try:
        yield one
    finally:
        one.close()
