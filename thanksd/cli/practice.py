"""The practice letter, watched step by step: popup, Review, a window, one press, and it left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from thanksd import states
from thanksd.addresses import display_safe
from thanksd.cli import keys
from thanksd.cli.output import say
from thanksd.client import Client
from thanksd.errors import ThanksdError

_POPUP_SECONDS = 60.0
_PERSON_SECONDS = 300.0  # from one step of the person's to the next
_LOOK_SECONDS = 0.25
_STUCK = ("held", "deferred", "failed")
_Steps = dict[str, Any]


def run(client: Client, transport: str) -> bool:
    """Add the practice letter, and say each step as it happens; False where no popup came, or the letter did not leave.

    Where it can't go the whole way here that is said in a sentence, and nothing is added. Ctrl-C ends the watching;
    the letter waits in the list.
    """
    reason = _why_not(client, transport)
    if reason:
        say(f"No practice letter: {reason}")
        return True
    try:
        added = client.call("practice")
    except ThanksdError as error:
        say(f"No practice letter: {error.message} {error.hint}")
        return True
    say("Now for real: a popup asks you to thank yourself. Press Review, then send it.")
    watcher = _Watcher(client, int(added["thanks"][0]["id"]), str(added["since"]))
    try:
        return watcher.watch()
    except KeyboardInterrupt:
        click.echo()
        say(f"It waits for you: thanksd review {watcher.number}")
        return True


def _why_not(client: Client, transport: str) -> str:
    """Say what is not there of the way that a letter takes, or nothing."""
    if not transport:
        return "no mail account is set up yet. Later: thanksd init"
    if client.ask_status() is None:
        return "the daemon is not running. Start it: thanksd service install"
    return "" if _has_desktop() else "there is no desktop here to show a popup."


def _has_desktop() -> bool:
    """Say whether there is a screen, and a session bus to ask for a popup, as sd_bus_open_user(3) looks for it."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    bus = Path(os.environ.get("XDG_RUNTIME_DIR", "")) / "bus"
    return bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS")) or (bus.is_absolute() and bus.exists())


class _Watcher:
    """The steps of one practice letter, each said once, on one line."""

    def __init__(self, client: Client, number: int, since: str) -> None:
        self.number = number
        self._client, self._since = client, since
        self._column = 0
        self._seen: _Steps = {}

    def watch(self) -> bool:
        """Follow the letter to its end; False where no popup came in a minute, or the letter did not leave."""
        if not self._until(
            lambda: bool(self._seen["popup"] or self._is_over() or self._seen["review"]), _POPUP_SECONDS
        ):
            return self._no_popup()
        for step, words in (("popup", "popup shown"), ("pressed", "pressed"), ("review", "window opened")):
            if not self._until(partial(self._is_done, step), _PERSON_SECONDS):
                return self._left_alone()
            if self._seen[step]:
                self._put(words)
        if not self._until(lambda: self._state != "due", _PERSON_SECONDS):
            return self._left_alone()
        return self._to_the_end()

    def _to_the_end(self) -> bool:
        """Wait for the letter to leave; whatever else was answered is an end as well."""
        letter = self._letter
        if self._state == "confirmed" and letter and letter["state"] == "queued":
            self._put("confirmed")
        self._until(lambda: self._is_over() or self._state == "due", _PERSON_SECONDS)
        letter = self._letter
        if self._state == "thanked" and letter:
            self._put(f"saved: {letter['server_reply']}" if self._is_saved else "sent ... look in your inbox.")
            click.echo()
            return True
        if self._state in ("due", "snoozed"):
            return self._left_alone()
        click.echo()
        if self._state in ("thanked", "waived"):
            say("Answered without a letter. That is fine; the next one is for somebody else.")
            return True
        say(f"It did not leave: {(letter and letter['server_reply']) or 'no answer yet'}")
        say(f"See how it stands: thanksd show {self.number}")
        return False

    def _left_alone(self) -> bool:
        click.echo()
        say(f"Not now? It waits for you, and asks no more: thanksd review {self.number}")
        return True

    def _no_popup(self) -> bool:
        if self._column:
            click.echo()
        say("No notification server answered.")
        say("i3: start dunst in your session, then thanksd doctor --nudge")
        return False

    def _until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Look again and again until it happened, at most `seconds`, and say whether it did."""
        end = time.monotonic() + seconds
        while True:
            self._seen = self._client.call("practice_steps", thanks=self.number, since=self._since)
            if happened():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK_SECONDS)

    def _put(self, words: str) -> None:
        """Say a step behind those before it; on a terminal on a new line where there is no room."""
        text, before = display_safe(words), " ... " if self._column else "  "
        is_full = self._column + len(before + text) > keys.window()[0] and sys.stdout.isatty()
        if self._column and is_full:
            before, self._column = "\n  ... ", 0
        click.echo(before + text, nl=False)
        sys.stdout.flush()
        self._column += len(before.rpartition("\n")[2]) + len(text)

    @property
    def _state(self) -> str:
        return str(self._seen["thanks"][0]["state"])

    @property
    def _letter(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._seen["thanks"][0]["letter"]
        return found

    @property
    def _is_saved(self) -> bool:
        """Whether the letter went into a folder: its receipt is a path there."""
        return bool(self._letter and str(self._letter["server_reply"] or "").startswith("/"))

    def _is_done(self, step: str) -> bool:
        """Whether a step was seen, or a later one: a review can be opened without the popup."""
        later = {"popup": ("pressed", "review"), "pressed": ("review",), "review": ()}[step]
        return self._is_over() or any(self._seen[one] for one in (step, *later)) or self._state == "confirmed"

    def _is_over(self) -> bool:
        letter = self._letter
        # One that was handed to a mail program is held until its writer says that it was sent.
        is_stuck = letter is not None and letter["state"] in _STUCK and letter["reason"] != states.HANDED_OFF
        return self._state in ("thanked", "waived", "snoozed") or is_stuck
