"""What lies before the reader of a review: one thanks, its letter, what is said around it, and the keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from thanksd import names
from thanksd.cli import editor, keys, screen
from thanksd.cli.output import say, wants_colour
from thanksd.cli.page import Page
from thanksd.client import Client
from thanksd.moments import from_iso

# Keys typed so many seconds after a screen came up were meant for what was there before it.
_QUIET, _QUIET_AFTER_POPUP = 0.3, 0.7


class LeftError(Exception):
    """The reader left a question by Ctrl-C: nothing was answered, and nothing is changed."""


class Desk:
    """One thanks on the screen. `top` is said about the thanks before, `below` about the key just pressed."""

    def __init__(self, client: Client, keyboard: keys.Keyboard, found: dict[str, Any]) -> None:
        """Begin with what the verb `reviewing` found."""
        self.one, self.place = found["thanks"][0], (1, 1)
        self._zone, self._now = str(found["zone"]), str(found["now"])
        self.top: list[str] = []
        self.below: list[str] = []
        self._client, self._keyboard = client, keyboard
        self._shown: dict[str, Any] = {}
        self._page, self._offset = Page([]), 0
        self._read: tuple[str, str] | None = None
        self._quiet = _QUIET_AFTER_POPUP if os.environ.get("THANKSD_OPENED") == "popup" else _QUIET

    def lay(self, one: dict[str, Any], place: tuple[int, int]) -> None:
        """Put another thanks on the desk; `place` is its number and of how many."""
        self.one, self.place, self.below = one, place, []
        self.forget()

    def forget(self) -> None:
        """Let the letter be prepared anew before it is shown again."""
        self._shown, self._offset = {}, 0

    def prepare(self, template: str = "") -> None:
        """Prepare the letter, unless it lies there already. Raises what the verb `prepare` raises."""
        if not self._shown or template:
            self._shown = self._client.call("prepare", ref=self.ref, template=template)
            self.one, self._now, self._offset = self._shown["thanks"][0], self._shown["now"], 0

    @property
    def ref(self) -> str:
        """The thanks' number, as verbs take it."""
        return str(self.one["id"])

    @property
    def name(self) -> str:
        """What the person is called."""
        return names.first(self.one["person"]["name"]) or str(self.one["person"]["name"])

    @property
    def draft(self) -> dict[str, Any]:
        """What the verb `prepare` gave of the letter."""
        return dict(self._shown["prepared"])

    def beside(self) -> list[str]:
        """Give what is to be seen beside the letter in an editor: what is known, and what the check says."""
        return editor.beside(self.one, self.draft["findings"], self._zone, from_iso(self._now))

    @property
    def has_been_read(self) -> bool:
        """Whether this very text was shown to its last line."""
        return self._read == (self.draft["subject"], self.draft["body"])

    @property
    def lines_left(self) -> int:
        """How many lines of the letter were below the window."""
        return self._page.left

    def letter_key(self) -> str:
        """Show the letter, and give the key that was pressed."""
        self._page = screen.letter(self._sheet())
        if not self._page.left:
            self._read = (self.draft["subject"], self.draft["body"])
        return self._key(self._page)

    def trouble_key(self, texts: Sequence[str]) -> str:
        """Show why there is no letter to show, and give the key that was pressed."""
        return self._key(screen.trouble(self._sheet(), texts))

    def help(self) -> None:
        """Show what the keys do, until one is pressed."""
        self._key(screen.help_page(keys.window()[0]))

    def scroll(self) -> None:
        """Go on in a long letter; from its end to its beginning."""
        self._offset = self._page.next_offset

    def ask(self, texts: Sequence[str], hint: str) -> str:
        """Ask for one line in place of the letter and the keys; the hint stands at the right of the prompt.

        Raises LeftError.
        """
        quiet = self._put(screen.question(self._sheet(), texts))
        click.echo(f"{hint}\n" if keys.is_dumb() else f"{hint:>{keys.window()[0] - 1}}\r", nl=False)
        self.below = []
        with _can_be_left():
            return self._keyboard.line("> ", quiet=quiet)

    def line(self, prompt: str, old: str = "") -> str:
        """Ask for one line more. Raises LeftError."""
        with _can_be_left():
            return self._keyboard.line(prompt, old)

    def choose(self, question: str) -> str:
        """Ask for one key more, under what is on the screen; keys typed before it are dropped. Raises LeftError."""
        say(question)
        with _can_be_left():
            key = self._keyboard.key("> ", _QUIET)
        click.echo()
        return key

    def _key(self, page: Page) -> str:
        key = self._keyboard.key("Key: " if keys.is_dumb() else "> ", self._put(page))
        self.below = []
        if keys.is_dumb():
            click.echo()
        return key

    def _put(self, page: Page) -> float:
        """Draw a screen, and give the seconds in which keys are not meant for it yet."""
        click.echo(screen.text_of(page, _coloured, clear=not keys.is_dumb()), nl=False)
        quiet, self._quiet = self._quiet, _QUIET
        return quiet

    def _sheet(self) -> screen.Sheet:
        columns, lines = keys.window()
        return screen.Sheet(
            thanks=self.one,
            prepared=self._shown.get("prepared", {}),
            zone=self._zone,
            now=self._now,
            place=self.place,
            size=(columns, 0 if keys.is_dumb() else lines),
            top=self.top,
            below=[text for text in self.below if text],
            offset=self._offset,
        )


def _coloured(text: str, colour: str) -> str:
    return click.style(text, fg=colour) if wants_colour() else text


@contextmanager
def _can_be_left() -> Iterator[None]:
    try:
        yield
    except keys.WindowClosedError:
        raise
    except KeyboardInterrupt as error:
        raise LeftError from error
