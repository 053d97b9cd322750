"""What one review came to: who was answered, which letters wait for its end, and its last lines."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import click

from thanksd import states
from thanksd.cli.listing import FIRST_WEEK, month_words
from thanksd.cli.output import note, say, state_of
from thanksd.errors import ThanksdError
from thanksd.moments import from_iso, say_span

_Thanks = dict[str, Any]


class Tally:
    """What was done so far. `confirmed` are the letters that can be taken back, by thanks; `at_end` is said last."""

    def __init__(self, context: click.Context) -> None:
        """Begin a review with nothing done."""
        self.done: list[_Thanks] = []
        self.confirmed: dict[int, _Thanks] = {}
        self.at_end = ""
        self._context, self._client = context, state_of(context).client

    def take_back(self) -> None:
        """Take back what was confirmed, where no daemon would send it: nothing waits where nothing will send it."""
        words: list[str] = []
        for number in [] if self._client.daemon else self.confirmed:
            try:
                words += self._client.call("undo", ref=str(number))["notes"]
            except ThanksdError as error:
                words += [error.message, error.hint]
        # Where the window is gone nobody reads this.
        with contextlib.suppress(OSError):
            click.echo()
            for line in words:
                note(line)

    def let_go(self, *, has_quit: bool) -> int:
        """Send the confirmed letters, or watch the daemon hold them; gives the exit code."""
        from thanksd.cli import leaving  # noqa: PLC0415  only where a letter was confirmed

        click.echo()
        if self.at_end:
            say(self.at_end)
        letters = list(self.confirmed.values())
        if letters and not self._client.daemon:
            return leaving.wait_and_send(self._context, letters)
        now = datetime.now(UTC)
        waiting = [one for one in letters if from_iso(one["letter"]["send_after"]) > now]
        if waiting and not has_quit:
            leaving.watch(self._context, waiting)
        for one in waiting if has_quit else []:
            left = say_span(from_iso(one["letter"]["send_after"]) - now)
            say(f"{one['person']['name']}: leaves in {left}. Take it back: thanksd undo {one['id']}")
        return 0

    def sum_up(self) -> None:
        """Say how many were thanked, now and this month; in the ledger's first week with a word of encouragement."""
        shown = [self._client.call("show", ref=str(one["id"]))["thanks"][0] for one in self.done]
        month = self._client.call("summary")
        say(f"{sum(map(_is_thanked, shown))} thanked. {month_words(month)}")
        if month["is_first_week"]:
            say(FIRST_WEEK)


def _is_thanked(one: _Thanks) -> bool:
    """Say whether somebody was thanked, or will be when their letter leaves.

    Of a letter that was handed over nothing is guessed: it counts when its writer says that it was sent.
    """
    letter = one["letter"]
    is_open_question = bool(letter) and letter["reason"] == states.HANDED_OFF
    return bool(one["state"] == "thanked" or (one["state"] == "confirmed" and not is_open_question))
