"""Ten everyday tasks typed into the real program at a real terminal, and what each costs: keys and screens.

`python tests/keystrokes.py` (make keystrokes) writes docs/EXPERIENCE.md from them; tests/test_keystrokes.py holds it
true. The program's clock stands still, so that every screen is the same on every day.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smtp_rigs import PASSWORD, USER, Mailbox
from terminal_rigs import PROGRAM, Terminal

NOW = "2025-03-12 10:42:00"
_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
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
password_command = "cat {home}/word"
[send]
copy = "none"
"""


@dataclass
class Task:
    """One task as it was typed: `typed` as in a shell, Enter as \\r; the screens as they came."""

    typed: list[str] = field(default_factory=list)
    screens: list[str] = field(default_factory=list)

    @property
    def keys(self) -> int:
        """How many keys were pressed, Enter included."""
        return sum(map(len, self.typed))


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
        terminal = Terminal(*words, **self._environ)
        try:
            yield terminal
            assert terminal.end() == 0, terminal.text
            self._look(terminal)
        finally:
            terminal.close()

    def runs(self, line: str) -> None:
        """Type a command that asks nothing."""
        with self.starts(line):
            pass

    def presses(self, terminal: Terminal, key: str, *texts: str) -> None:
        """Look until these stand on the screen and an answer is waited for; then press one key."""
        terminal.ready(*texts)
        self._look(terminal)
        self.task.typed.append(key)
        terminal.key(key)

    def answers(self, terminal: Terminal, line: str, *texts: str) -> None:
        """Look as above; then type a line."""
        terminal.ready(*texts)
        self._look(terminal)
        self.task.typed.append(line + "\r")
        terminal.line(line)

    def _look(self, terminal: Terminal) -> None:
        """Keep the screen; a form that grew by a line is the same screen still."""
        screen = re.sub(r"sha256 [0-9a-f]{8}", "sha256 3f9c2a1e", terminal.text)
        last = self.task.screens[-1] if self.task.screens else None
        if last is not None and screen.startswith(last):
            self.task.screens[-1] = screen
        elif screen and screen != last:
            self.task.screens.append(screen)


class Home:
    """A home for one task: an account at a mail server, and a clock that stands still."""

    def __init__(self, folder: Path, box: Mailbox) -> None:
        self.folder, self.box = folder, box
        self.environ: dict[str, Any] = {"LD_PRELOAD": _FAKETIME, "FAKETIME": NOW, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        box.login = (USER, PASSWORD)
        self.knows(PASSWORD)
        file = folder / ".config/thanksd/config.toml"
        file.parent.mkdir(parents=True, mode=0o700)
        file.write_text(_CONFIG.format(port=box.port, home=folder))

    def knows(self, password: str) -> None:
        """Let the command that gives the password give this one."""
        (self.folder / "word").write_text(password)

    def runs(self, line: str, now: str = NOW, code: int = 0) -> str:
        """Arrange something beforehand, uncounted, at another moment."""
        environ = {**os.environ, **self.environ, "FAKETIME": now}
        done = subprocess.run(
            [PROGRAM, *shlex.split(line)], env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def met_ada(self, email: str = "ada@example.com") -> None:
        """Owe Ada thanks for yesterday's coffee: due now."""
        self.runs(f"add Ada Lovelace {email} -k coffee -d 'why you left Rust'", "2025-03-11 15:00:00")

    def thanked_ada(self, email: str = "ada@example.com") -> None:
        """Have sent Ada her letter yesterday evening."""
        self.met_ada(email)
        self.runs("send 1 --yes --now", "2025-03-11 19:00:00")
