"""The command demo: the main job on a throw-away ledger, with the real program, a real daemon and a real letter.

Everything shown is done by running thanksd itself. Without a terminal nobody can press a key, so it presses them, and
says so.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from thanksd.cli.daemon import program
from thanksd.cli.output import can_ask, say
from thanksd.cli.root import Command
from thanksd.client import Client
from thanksd.errors import UnavailableError
from thanksd.paths import store_url

_CONFIG = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"

[transport]
kind = "maildir"
[transport.maildir]
path = "{mail}"

[send]
undo = "3s"
"""
_ADD = [
    "add",
    "Ada Lovelace",
    "ada@example.com",
    "-k",
    "coffee",
    "-w",
    "2h ago",
    "-d",
    "why you left Rust",
    "--after",
    "3s",
]
_START_SECONDS = 20.0
_NUDGE_SECONDS = 20.0
_LEAVE_SECONDS = 20.0


class Demo:
    """One run of the demo in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mail = folder / "mail"
        config = folder / "config.toml"
        config.write_text(_CONFIG.format(mail=self.mail), encoding="utf-8")
        self.store, self.config = store_url(str(folder / "thanksd.db")), str(config)
        self.command = program(self.store, self.config)
        self.client = Client(self.store, self.config, lines_wanted=True)

    def thanksd(self, *words: str) -> None:
        """Run the real program, showing what is typed and what it says.

        Raises UnavailableError where it fails.
        """
        say(f"  $ {shlex.join(['thanksd', *words])}")
        self.quietly(*words)

    def quietly(self, *words: str) -> None:
        """Run the real program and show what it says."""
        sys.stdout.flush()
        done = subprocess.run([*self.command, *words], check=False)
        if done.returncode:
            raise UnavailableError(f"The demo failed at: thanksd {shlex.join(words)}", f"Look into {self.folder}")

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """Run a real daemon beside; gives its pid once it listens."""
        with (self.folder / "daemon.log").open("wb") as log:
            child = subprocess.Popen([*self.command, "run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                _until(self.client.ask_status, _START_SECONDS, "the daemon did not start")
                yield child.pid
            finally:
                child.terminate()
                child.wait()

    def nudge(self) -> str:
        """Wait for the nudge, and say which channel brought it."""
        shown: str = _until(self._nudged, _NUDGE_SECONDS, "no nudge came")
        return shown

    def _nudged(self) -> str:
        # The line is what the next command on a terminal would end with, where no popup could be shown.
        self.client.call("owed")
        if self.client.lines:
            line, ids = self.client.lines[0]["line"], self.client.lines[0]["ids"]
            self.client.shown(ids)
            return f"No desktop: {line}"
        events = self.client.call("log", ref="1")["events"]
        return "Popup shown (the desktop answered)." if any(one["what"] == "nudged" for one in events) else ""

    def letter(self) -> dict[str, Any] | None:
        """Give the letter once it was saved; None where the person at the keys took another way."""
        one = self.client.call("show", ref="1")["thanks"][0]
        if one["state"] == "confirmed":
            one = _until(self._settled, _LEAVE_SECONDS, "the letter did not leave")
        letter: dict[str, Any] | None = one["letter"] if one["state"] == "thanked" else None
        return letter

    def _settled(self) -> dict[str, Any] | None:
        one: dict[str, Any] = self.client.call("show", ref="1")["thanks"][0]
        return one if one["state"] != "confirmed" else None


def _until(look: Callable[[], Any], seconds: float, failure: str) -> Any:  # noqa: ANN401  what `look` finds
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise UnavailableError(f"The demo stopped: {failure}.", "Try: thanksd run, in a terminal of its own")
        time.sleep(0.2)
    return found


@click.command(cls=Command)
@click.pass_context
def demo(context: click.Context) -> None:
    """See the main job once, in a throw-away ledger: a meeting, a nudge, a draft, a letter."""
    folder = Path(tempfile.mkdtemp(prefix="thanksd-demo-"))
    say("thanksd demo: a throw-away ledger in a temporary folder.")
    say("Your own ledger is not touched, and nobody is mailed.")
    show = Demo(folder)
    _unset_own_ledger(folder)
    # Before the first command: else it would end with the word that nobody will remind you.
    with show.daemon() as pid:
        say("1 You met somebody.")
        show.thanksd(*_ADD)
        say(f"2 The daemon (pid {pid}, a real one) waits for the moment ... ")
        say(f"  {show.nudge()}")
        _review(show)
        _result(show)
    say(f"Daemon stopped. Folder kept: {folder}; delete it when you like.")
    say("For real: thanksd init")
    context.exit(0)


def _unset_own_ledger(folder: Path) -> None:
    # What the demo starts must not find the person's own ledger, whatever their environment says.
    for name in ("THANKSD_STORE", "THANKSD_CONFIG"):
        os.environ.pop(name, None)
    # Nor leave a trace outside its folder: what an installation knows of its ledgers is kept there too.
    os.environ["XDG_STATE_HOME"] = str(folder / "state")


def _review(show: Demo) -> None:
    if can_ask():
        say("3 A draft is ready. Press s to send it, or try the other keys. (Press Enter to see it.)")
        sys.stdin.readline()
        show.quietly("review", "1")
        return
    say("3 A draft is ready. No terminal here, so the demo confirms it itself.")
    show.thanksd("send", "1", "--yes")


def _result(show: Demo) -> None:
    letter = show.letter()
    if letter is None:
        say("4 You took another way; nothing was sent, and that is fine.")
    else:
        path = Path(letter["server_reply"])
        raw = path.read_bytes()
        same = hashlib.sha256(raw).hexdigest() == letter["sha256"]
        say(f"4 Saved: {path}")
        for line in raw.decode("ascii").splitlines():
            say(f"  | {line}")
        say(f"  (the letter in full; same bytes as confirmed: {'yes' if same else 'NO'})")
    say("5 What the ledger says now:")
    show.thanksd()
    show.thanksd("log", "1")
