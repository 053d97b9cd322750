"""Somebody at their own machine: a login with a user manager and a bus, a desktop, a keyring, a shell in a terminal.

Everything is real; see systemd_rigs for the namespaces it happens in. What the person types goes through the terminal,
what they press on the desktop through dunst and X.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import parts
from smtp_rigs import Authority, Mailbox, mail_server
from systemd_rigs import MachineUser, command_as_user, environ_of_root
from terminal_rigs import Terminal

DEADLINE = 40.0
_PICK = '#!/bin/sh\ngrep -F "#$(cat ~/wanted) " | head -1\n'
_DUNSTRC = '[global]\n    dmenu = {home}/pick.sh\n    idle_threshold = 0\n    format = "%s\\n%b"\n'
# The shell's prompt ends as every prompt does that a Terminal waits for.
_SHELL_RC = "PS1='\\w> '\nunset HISTFILE\nbind 'set enable-bracketed-paste off'\n"
_OPEN_RECORDER = '#!/bin/sh\nprintf "%s\\n" "$@" >>~/opened\n'
_MAIL_PROGRAM = "[Desktop Entry]\nType=Application\nName=Mail\nExec={home}/record-open %u\n"
_HANDLERS = "[Default Applications]\n{types}\n"
_TYPES = ("x-scheme-handler/mailto", "x-scheme-handler/https", "message/rfc822")

_LOGIN = r"""
until_true() { for _ in $(seq 300); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; return 1; }
if [ -e ~/rc.desktop ]; then
    rm -f ~/display
    Xvfb -displayfd 5 -screen 0 1024x768x24 -nolisten tcp 5>~/display 2>/dev/null &
    until_true test -s ~/display
    export DISPLAY=:$(cat ~/display)
    dunst -conf ~/dunstrc >/dev/null 2>&1 &
    until_true dunstctl count
    systemctl --user import-environment DISPLAY
fi
if [ -e ~/rc.keyring ]; then
    printf login | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
    until_true busctl --user status org.freedesktop.secrets
fi
systemctl --user import-environment SSL_CERT_FILE LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE \
    FAKETIME_DONT_FAKE_MONOTONIC 2>/dev/null
env >~/session-environment
bash -i
"""


@dataclass
class Login:
    """One login: `terminal` is its shell; it ends with the block."""

    user: MachineUser
    terminal: Terminal
    _inside: int = 0
    _environ: list[str] = field(default_factory=list)

    def types(self, line: str) -> None:
        """Type a line at the prompt that is there."""
        self.terminal.line(line)

    def sees(self, *texts: str, seconds: float = DEADLINE) -> str:
        """Wait until these stand on the screen and the program asks, or the shell's prompt is back; give the screen."""
        self.until(lambda: all(text in self.screen for text in texts) and self.terminal._is_asking(), seconds)
        return self.screen

    @property
    def screen(self) -> str:
        """What stands on the screen of the terminal."""
        return self.terminal.text

    def runs(self, line: str) -> str:
        """Type a command, wait for the next shell prompt, and give the screen."""
        self.terminal.line("clear; " + line)
        return self.back()

    def back(self, seconds: float = DEADLINE) -> str:
        """Wait for the shell's prompt, and give the screen."""
        self.until(lambda: self.terminal._is_asking() and self.terminal.lines[-1] == "~>", seconds)
        return self.screen

    def does(self, script: str) -> str:
        """Let something happen in this session beside the terminal, and give what it printed."""
        name, uid = self.user.name, self.user.home.stat().st_uid
        enter = ["nsenter", f"--target={self._inside}", "--mount", "--pid", "--"]
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "env", "-i", *self._environ]
        done = subprocess.run(
            [*enter, *become, f"USER={name}", "bash", "-c", f"cd; {script}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.strip()

    def asks(self, *words: str) -> dict[str, Any]:
        """Run a command with --json beside the terminal, and give its facts; {} where it failed."""
        out = self.does(f"PATH=~/.local/bin:~/venv/bin:$PATH thanksd {' '.join(words)} --json")
        try:
            found: dict[str, Any] = json.loads(out)
        except ValueError:
            return {}
        return found

    def state(self, ref: int) -> str:
        """Give the state of one thanks, "" where it can't be had."""
        found = self.asks("show", str(ref)).get("thanks", [{}])
        return str(found[0].get("state", ""))

    def happened(self, what: str, ref: int) -> bool:
        """Say whether the log of a thanks has this event."""
        return any(one["what"] == what for one in self.asks("log", str(ref)).get("events", []))

    def shown(self) -> int:
        """Give how many popups stand on the screen."""
        return int(self.does("dunstctl count displayed") or -1)

    def presses(self, label: str) -> None:
        """Press a button of the popup that stands."""
        self.does(f"printf '%s' {label!r} >~/wanted; dunstctl context")

    def presses_key(self, key: str) -> None:
        """Press a key in the window that a popup opened."""
        self.does(
            f'w=$(xdotool search --onlyvisible --class xterm | head -1); xdotool windowfocus "$w"; xdotool key {key}'
        )

    def has_window(self) -> bool:
        """Say whether a popup opened a terminal window."""
        return bool(self.does("xdotool search --onlyvisible --class xterm"))

    def until(self, happened: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        """Wait until something happened, or fail with what stands on the screen."""
        looked = time.monotonic()
        end = looked + seconds
        while not (found := happened()):
            # To look takes programs, which what is waited for would like to run instead.
            time.sleep(min(time.monotonic() - looked, 0.5))
            looked = time.monotonic()
            self.terminal._take()
            assert time.monotonic() < end, f"it did not happen in time:\n{self.terminal.text}\n{self._diary()}"
        return found

    def _diary(self) -> str:
        return self.does(
            "PATH=~/.local/bin:~/venv/bin:$PATH; thanksd log; thanksd; systemctl --user status thanksd --no-pager;"
            " dunstctl history | head -40; thanksd doctor; cat ~/.local/state/thanksd/* | tail"
        )


def settle_in(user: MachineUser, *, desktop: bool = True, keyring: bool = True) -> None:
    """Furnish a home: dunst's settings, a shell's, what a mail program and a browser would be (they note what opens)."""
    parts.need("Xvfb", "dunst", "dunstctl", "xdotool", "xterm", "gnome-keyring-daemon", "busctl", "nsenter", "xdg-open")
    user.write("rc.shell", _SHELL_RC)
    user.write(".bashrc", ". ~/rc.shell\n")
    user.write("pick.sh", _PICK, 0o700)
    user.write("dunstrc", _DUNSTRC.format(home=user.home))
    user.write("record-open", _OPEN_RECORDER, 0o700)
    user.write(".local/share/applications/mail.desktop", _MAIL_PROGRAM.format(home=user.home))
    user.write(".config/mimeapps.list", _HANDLERS.format(types="\n".join(f"{one}=mail.desktop" for one in _TYPES)))
    for name, wanted in (("rc.desktop", desktop), ("rc.keyring", keyring)):
        if wanted:
            user.write(name, "")


@contextmanager
def login(
    user: MachineUser, *, hosts: str = "", machine_id: str = "", lines: int = 24, **environ: str
) -> Iterator[Login]:
    """Log in, as after a boot: a fresh user manager and desktop on the home as it is; log out at the end.

    `machine_id` makes it another machine; `lines` is the height of the terminal's window; `environ` is added to the
    session's, over its PATH too.
    """
    path = f"{user.home}/.local/bin:{user.home}/venv/bin:/usr/local/bin:/usr/bin:/bin"
    variables = {"TERM": "xterm", "PATH": path, **environ}
    command, *words = command_as_user(user.name, _LOGIN, variables)
    (user.home / "session-environment").unlink(missing_ok=True)
    of_root: dict[str, Any] = {**environ_of_root(hosts, machine_id)}
    terminal = Terminal(*words, program=command, lines=lines, **of_root)
    try:
        one = Login(user, terminal)
        one.back()
        one._inside = _inside_of(terminal.pid)
        one._environ = (user.home / "session-environment").read_text().splitlines()
        yield one
    finally:
        terminal.close()


def _inside_of(pid: int) -> int:
    """Give the process inside the namespaces: the one child of `unshare --fork`."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0])


@contextmanager
def provider(folder: Path, host: str, address: str, user: str, password: str) -> Iterator[tuple[Mailbox, Authority]]:
    """Be a mail provider: its name's certificate, its port 465, its login; give the mailbox and who vouches for it."""
    authority = Authority(folder)
    with mail_server(authority.context(host), implicit=True, address=(address, 465)) as box:
        box.login = (user, password)
        yield box, authority
