"""The command review: every due thanks in turn, drawn on one screen, answered by one key each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import click

from thanksd.cli import keys, questions, screen
from thanksd.cli.desk import Desk, LeftError
from thanksd.cli.output import can_ask, say, state_of
from thanksd.cli.root import Command
from thanksd.cli.tally import Tally
from thanksd.client import Client
from thanksd.errors import ConfigError, DataError, NotFoundError, ThanksdError, UnavailableError, UsageError
from thanksd.moments import from_iso, say_short, say_span

# What goes wrong with one thanks is said on its screen; anything else ends the review.
_OF_ONE = (UsageError, DataError, NotFoundError, UnavailableError)
_Thanks = dict[str, Any]


class _Step(Enum):
    STAY = "the same thanks again"
    NEXT = "the next one"
    QUIT = "the end"


@click.command(cls=Command)
@click.argument("refs", nargs=-1, metavar="[REF]...")
@click.pass_context
def review(context: click.Context, refs: tuple[str, ...]) -> int:
    """Go through every due thanks, or these: draft, findings, one key each."""
    if not can_ask():
        raise UsageError("A review needs a terminal. Nothing was sent.", "thanksd send REF --yes")
    found = state_of(context).client.call("reviewing", refs=list(refs))
    if not found["thanks"]:
        _nothing_due(context)
        return 0
    return _Review(context, found).run()


def _nothing_due(context: click.Context) -> None:
    later = state_of(context).client.call("owed")["thanks"]
    if later:
        say(f"Nothing is due now; {len(later)} to come or on their way: thanksd")
    else:
        say("Nobody is waiting for thanks.")


class _Review:
    """One run of the command: what is still to be shown, and what was done."""

    def __init__(self, context: click.Context, found: dict[str, Any]) -> None:
        self._client = state_of(context).client
        self._keyboard = keys.Keyboard()
        self._desk = Desk(self._client, self._keyboard, found)
        self._todo, self._total = deque(found["thanks"]), len(found["thanks"])
        self._tally = Tally(context)
        self._refused: ThanksdError | None = None
        self._wordings = questions.Wordings()
        self._acts = {
            "s": self._send,
            "e": lambda: self._stay(questions.edit(self._desk, self._client)),
            "d": lambda: self._stay(questions.better_detail(self._desk, self._client)),
            "a": lambda: self._stay(self._wordings.next(self._desk, self._client)),
            "l": self._later,
            "w": lambda: self._close("waive", "not needed"),
            "t": self._otherwise,
            "n": self._skip,
            "u": self._undo,
            "q": lambda: _Step.QUIT,
            "?": self._help,
            "o": self._send_anyway,
            " ": self._scroll,
            "": self._resized,
        }

    # --- from the first to the last ---

    def run(self) -> int:
        """Go through them all, let the confirmed letters go, and give the exit code.

        Raises ConfigError or UnavailableError where a letter could not be sent for want of a mail account or program,
        click.Abort after Ctrl-C or when the window was closed.
        """
        with self._keyboard:
            try:
                has_quit = self._go_through() is _Step.QUIT
                code = self._tally.let_go(has_quit=has_quit)
            except (KeyboardInterrupt, OSError) as error:
                # OSError: the window was closed, and what was to be printed there failed first.
                self._tally.take_back()
                raise click.Abort from error
        if self._tally.done or not has_quit:
            self._tally.sum_up()
        if self._refused:
            raise self._refused
        return code

    def _go_through(self) -> _Step:
        step = _Step.NEXT
        while self._todo and step is not _Step.QUIT:
            one = self._todo.popleft()
            self._desk.lay(one, (self._total - len(self._todo), self._total))
            try:
                while (step := self._step()) is _Step.STAY:
                    pass
            except ThanksdError:
                self._tally.take_back()
                raise
        return step

    def _step(self) -> _Step:
        """Show the thanks as it stands now, take one answer, and do it."""
        try:
            self._desk.prepare()
        except _OF_ONE as error:
            return self._trouble(error)
        try:
            return self._answer()
        except LeftError:
            return self._stay("Nothing was changed.")
        except _OF_ONE as error:
            self._desk.forget()
            return self._stay(error.message, error.hint)

    # --- one screen, one answer ---

    def _stay(self, *words: str) -> _Step:
        self._desk.below = list(words)
        return _Step.STAY

    def _answer(self) -> _Step:
        draft = self._desk.draft
        if draft["missing"] == "address":
            return self._ask(questions.address)
        if not self._desk.one["details"] and any(one["code"] == "gap" for one in draft["findings"]):
            return self._ask(questions.detail)
        act = self._acts.get(self._desk.letter_key())
        return act() if act else self._stay("That key does nothing here. s sends; ? says what the others do.")

    def _ask(self, question: Callable[[Desk, Client], str]) -> _Step:
        """Ask in place of the letter."""
        key = question(self._desk, self._client)
        return _Step.STAY if key == questions.NOTED else self._acts[key]()

    def _trouble(self, error: ThanksdError) -> _Step:
        """Say why there is no letter to show; the next one may be well."""
        key = self._desk.trouble_key([*self._desk.below, error.message, error.hint])
        return self._acts[key]() if key in ("n", "u", "q") else _Step.STAY

    # --- the keys that look ---

    def _help(self) -> _Step:
        self._desk.help()
        return _Step.STAY

    def _scroll(self) -> _Step:
        self._desk.scroll()
        return _Step.STAY

    def _resized(self) -> _Step:
        self._desk.forget()
        return _Step.STAY

    def _skip(self) -> _Step:
        self._desk.top, self._tally.at_end = [], ""
        return _Step.NEXT

    # --- the keys that send ---

    def _send(self) -> _Step:
        return self._confirm([])

    def _send_anyway(self) -> _Step:
        codes = screen.blocks(self._desk.draft)
        return self._confirm(codes) if codes else self._stay("Nothing blocks it: s sends.")

    def _confirm(self, overrides: list[str]) -> _Step:
        """Confirm exactly the letter on the screen, once it was shown to its last line and nothing blocks it."""
        draft = self._desk.draft
        blocking = [code for code in screen.blocks(draft) if code not in overrides]
        if blocking:
            return self._stay(f"Blocked: {', '.join(blocking)}")
        if not self._desk.has_been_read:
            return self._stay(screen.more_words(self._desk.lines_left))
        try:
            step = self._hand_over(overrides) if draft["place"] else self._queue(overrides)
        except (ConfigError, UnavailableError, NotFoundError) as error:
            return self._not_confirmed(error)
        self._refused = None
        return step

    def _queue(self, overrides: list[str]) -> _Step:
        """Let the letter wait for its moment."""
        draft, one = self._desk.draft, self._desk.one
        # Before the call: Ctrl-C in the middle of it must find what it may have to take back.
        self._tally.confirmed[one["id"]] = one
        try:
            letters = [{"thanks": one["id"], "sha256": draft["sha256"]}]
            result = self._client.call("confirm", letters=letters, overrides=overrides)
        except ThanksdError:
            del self._tally.confirmed[one["id"]]
            raise
        self._tally.confirmed[one["id"]] = result["thanks"][0]
        return self._next(f"{self._desk.name}: {self._leaving_words(draft['hold'])}.", "")

    def _hand_over(self, overrides: list[str]) -> _Step:
        """Open the letter in the person's own mail program, and ask what became of it."""
        from thanksd.cli import handing  # noqa: PLC0415  only where letters are not sent from here

        click.echo()
        answer = handing.hand_over(self._client, self._desk.one, self._desk.draft["sha256"], overrides)
        words = handing.words(self._desk.one, answer)
        if answer != "discard":
            return self._next(words, words)
        self._desk.forget()
        return self._stay(words)

    def _leaving_words(self, hold: int) -> str:
        if not self._client.daemon:
            return "leaves when this review ends (u takes it back)"
        return f"leaves in {say_span(timedelta(seconds=hold))} (u takes it back)" if hold else "leaves now"

    def _not_confirmed(self, error: ThanksdError) -> _Step:
        self._desk.forget()
        if isinstance(error, NotFoundError):
            return self._stay("The letter changed meanwhile, and nothing was sent. This is the new one.")
        self._refused = error
        return self._stay(error.message, error.hint)

    # --- the keys that answer without a letter ---

    def _next(self, top: str, at_end: str) -> _Step:
        """Note that this thanks was answered, and go on; `top` is for the next screen, `at_end` for after the last."""
        self._desk.top, self._tally.at_end = [top], at_end
        self._tally.done.append(self._desk.one)
        return _Step.NEXT

    def _close(self, verb: str, words: str, **params: str) -> _Step:
        self._client.call(verb, ref=self._desk.ref, **params)
        said = f"{self._desk.name}: {words}"
        return self._next(f"{said} (u takes it back).", f"{said}. A slip? thanksd undo {self._desk.ref}")

    def _later(self) -> _Step:
        result = self._client.call("snooze", ref=self._desk.ref)
        until = say_short(from_iso(result["thanks"][0]["nudge_at"]), datetime.now(UTC), result["zone"])
        said = f"{self._desk.name}: later, {until}{', late by then' if result['notes'] else ''}"
        return self._next(f"{said} (u takes it back).", f"{said}. A slip? thanksd undo {self._desk.ref}")

    def _otherwise(self) -> _Step:
        how = questions.how_thanked(self._desk)
        return self._close("done", "thanked otherwise", how=how) if how else self._stay("Nothing was changed.")

    def _undo(self) -> _Step:
        if not self._tally.done:
            return self._stay("Nothing was done in this review yet. Older things: thanksd undo")
        last = self._tally.done[-1]
        words = self._client.call("undo", ref=str(last["id"]))["notes"]
        self._tally.done.pop()
        self._tally.confirmed.pop(last["id"], None)
        self._todo.extendleft([self._desk.one, last])
        self._desk.top, self._tally.at_end = words, ""
        return _Step.NEXT
