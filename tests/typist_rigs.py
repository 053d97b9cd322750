"""Somebody at a shell whose keys are counted and whose screens are kept, in a home whose wall clock stands still."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from daemon_rigs import wait_for
from smtp_rigs import PASSWORD, Mailbox
from terminal_rigs import PROGRAM, Terminal

NOW, SOON = "2025-03-12 10:42:00", "2025-03-12 10:42:31"
YESTERDAY, EVENING = "2025-03-11 15:00:00", "2025-03-11 19:00:00"
_CONFIG = """\
[me]
name = "Sam Lee"
email = "ada@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "smtp"
[transport.smtp]
host = "localhost"
port = {port}
security = "none"
"""


@dataclass
class Task:
    """One task as it was done: `typed` line by line, Enter as \\r; the screens as they came."""

    typed: list[str] = field(default_factory=list)
    screens: list[str] = field(default_factory=list)

    @property
    def keys(self) -> int:
        """How many keys were pressed."""
        return keys(self.typed)


def keys(typed: Sequence[str]) -> int:
    """Count keys: each character is one, and so are Enter, Tab and a letter with Ctrl."""
    return sum(map(len, typed))


class Home:
    """A home for one task: an account at a mail server, and a wall clock that stands still until it is moved.

    Its folders are the environment's HOME and XDG ones.
    """

    def __init__(self, box: Mailbox) -> None:
        self.box, self.folder = box, Path(os.environ["HOME"])
        self._clock = self.folder / "clock"
        # A file, not a command: under the preloaded clock Python's waiting for a child fails now and then (EINVAL).
        self._word = self.folder / "smtp-password"
        self.environ = {
            "CREDENTIALS_DIRECTORY": str(self.folder),
            "LD_PRELOAD": _faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.knows(PASSWORD)
        file = self.folder / ".config/thanksd/config.toml"
        file.parent.mkdir(parents=True, mode=0o700)
        file.write_text(_CONFIG.format(port=box.port))
        self.is_at(NOW)

    def is_at(self, moment: str) -> None:
        """Move the clock; nobody ever reads half a moment."""
        new = self._clock.with_suffix(".new")
        new.write_text(moment)
        new.replace(self._clock)

    def knows(self, password: str) -> None:
        """Keep this password where thanksd reads it."""
        self._word.write_text(password)

    def runs(self, line: str, moment: str = NOW, code: int = 0) -> None:
        """Arrange something beforehand, uncounted, at a moment of its own; it must end with `code`."""
        self.is_at(moment)
        command = [PROGRAM, *shlex.split(line)]
        done = subprocess.run(command, env={**os.environ, **self.environ}, capture_output=True, check=False, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        self.is_at(NOW)

    def met_ada(self, email: str = "ada@example.com") -> None:
        """Owe Ada thanks for yesterday's coffee: due now."""
        self.runs(f"add Ada Lovelace {email} -k coffee -d 'why you left Rust'", YESTERDAY)

    def has_sent(self, code: int = 0) -> None:
        """Have tried Ada's letter in the evening of that day."""
        self.runs("send 1 --yes --now", EVENING, code)

    def sees_sent(self, count: int = 1) -> None:
        """Let the time of the undo window pass, and wait until the server has taken so many letters."""
        self.is_at(SOON)
        wait_for(lambda: len(self.box.letters) == count)


def _faketime() -> str:
    """Give the preloadable clock; "" where it is not installed."""
    return next((str(file) for file in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "")


class Typist:
    """Somebody at a shell: every key they press is counted, and every screen they read is kept."""

    def __init__(self, home: Home) -> None:
        self.task = Task()
        self._environ = home.environ

    @contextmanager
    def starts(self, line: str) -> Iterator[Terminal]:
        """Type a command at the shell's prompt, and look at what it says to its end."""
        self.task.typed.append(line + "\r")
        program, *words = shlex.split(line)
        assert program == "thanksd"
        terminal = Terminal(*words, columns=80, lines=24, **self._environ)
        try:
            yield terminal
            assert terminal.end() == 0, terminal.text
            self.looks(terminal)
        finally:
            terminal.close()

    def runs(self, line: str) -> None:
        """Type a command that asks nothing."""
        with self.starts(line):
            pass

    def presses(self, terminal: Terminal, key: str, *texts: str) -> None:
        """Look until these stand on the screen and an answer is waited for; then press one key."""
        self._types(terminal, key, texts)

    def answers(self, terminal: Terminal, line: str, *texts: str) -> None:
        """Look as above; then type a line."""
        self._types(terminal, line + "\r", texts)

    def _types(self, terminal: Terminal, typed: str, texts: tuple[str, ...]) -> None:
        terminal.ready(*texts)
        self.looks(terminal)
        self.task.typed.append(typed)
        terminal.send(typed)

    def replies(self, terminal: Terminal, ending: str, line: str) -> None:
        """Look until the screen ends with this, and nothing else waits; then type a line."""
        terminal.until(lambda: terminal.text.endswith(ending))
        self.looks(terminal)
        self.task.typed.append(line + "\r")
        terminal.send(line + "\r")

    def looks(self, terminal: Terminal) -> None:
        """Keep the screen; a form that grew by a line, or a line that was answered, is the same screen still."""
        screen = re.sub(r"sha256 [0-9a-f]{8}", "sha256 3f9c2a1e", terminal.text)
        last = self.task.screens[-1:]
        if last and (whole := _continued(last[0], screen)):
            self.task.screens[-1] = whole
        elif screen:
            self.task.screens.append(screen)


def _continued(old: str, new: str) -> str:
    """Give the whole text of a screen that grew, or scrolled by less than half of it, while it was read; else ""."""
    lines = old.split("\n")
    for gone in range(len(lines) // 2 + 1):
        if new.startswith("\n".join(lines[gone:])):
            return "\n".join([*lines[:gone], new])
    return ""
