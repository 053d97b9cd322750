"""The command review: every due thanks in turn, drawn on one screen, answered by one key each."""

from __future__ import annotations

import contextlib
from collections import deque
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import click

from thanksd.addresses import check_address
from thanksd.cli import asking, editor, keys, screen
from thanksd.cli.desk import Desk
from thanksd.cli.listing import month_words
from thanksd.cli.output import can_ask, note, say, state_of
from thanksd.cli.root import Command
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
        self._context, self._client = context, state_of(context).client
        self._keyboard = keys.Keyboard()
        self._desk = Desk(self._client, self._keyboard, found)
        self._todo, self._total = deque(found["thanks"]), len(found["thanks"])
        self._done: list[_Thanks] = []
        self._confirmed: dict[int, _Thanks] = {}
        self._refused: ConfigError | None = None
        self._at_end = ""
        self._first_texts: dict[str, dict[str, Any]] = {}
        self._acts = {
            "s": self._send,
            "e": self._edit,
            "d": self._detail,
            "a": self._wording,
            "l": self._later,
            "w": self._waive,
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

        Raises ConfigError where a letter could not be sent for want of a mail account, click.Abort after Ctrl-C or
        when the window was closed.
        """
        with self._keyboard:
            try:
                has_quit = self._go_through() is _Step.QUIT
                code = self._let_go(has_quit=has_quit)
            except (KeyboardInterrupt, OSError) as error:
                # OSError: the window was closed, and what was to be printed there failed first.
                self._abandon()
                raise click.Abort from error
        if self._done or not has_quit:
            self._sum_up()
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
                self._abandon()
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
        except _OF_ONE as error:
            self._desk.forget()
            return self._stay(error.message, error.hint)

    def _abandon(self) -> None:
        """Take back what was confirmed, where no daemon would send it: nothing waits where nothing will send it."""
        words: list[str] = []
        for number in [] if self._client.daemon else self._confirmed:
            try:
                words += self._client.call("undo", ref=str(number))["notes"]
            except ThanksdError as error:
                words += [error.message, error.hint]
        # Where the window is gone nobody reads this.
        with contextlib.suppress(OSError):
            click.echo()
            for line in words:
                note(line)

    def _sum_up(self) -> None:
        states = [self._client.call("show", ref=str(one["id"]))["thanks"][0]["state"] for one in self._done]
        thanked = sum(state in ("thanked", "confirmed") for state in states)
        say(f"{thanked} thanked. {month_words(self._client.call('summary'))}")

    def _let_go(self, *, has_quit: bool) -> int:
        """Send the confirmed letters, or watch the daemon hold them; gives the exit code."""
        from thanksd.cli import leaving  # noqa: PLC0415  only where a letter was confirmed

        click.echo()
        if self._at_end:
            say(self._at_end)
        letters = list(self._confirmed.values())
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

    # --- one screen, one answer ---

    def _stay(self, *words: str) -> _Step:
        self._desk.below = list(words)
        return _Step.STAY

    def _answer(self) -> _Step:
        draft = self._desk.draft
        if draft["missing"] == "address":
            return self._ask_address()
        if not self._desk.one["details"] and any(one["code"] == "gap" for one in draft["findings"]):
            return self._ask_detail()
        act = self._acts.get(self._desk.letter_key())
        return act() if act else self._stay("That key does nothing here. s sends; ? says what the others do.")

    def _ask_address(self) -> _Step:
        question = f"{self._desk.name}'s address? (Enter: thanked another way)"
        answer = self._desk.ask([question], "n next    q quit")
        if answer in ("n", "q"):
            return _Step.QUIT if answer == "q" else self._skip()
        if not answer:
            return self._close("done", "thanked otherwise")
        email = asking.mend_domain(check_address(answer), self._desk.line)
        self._client.call("edit", ref=self._desk.ref, email=email)
        self._desk.forget()
        return _Step.STAY

    def _ask_detail(self) -> _Step:
        question = f"Finish it as if to {self._desk.name}, for example: why you left Rust"
        answer = self._desk.ask([screen.lead(self._desk.draft), question], "Enter alone: skip for now    q quit")
        if answer in ("", "q"):
            return _Step.QUIT if answer else self._skip()
        self._client.call("edit", ref=self._desk.ref, details=[answer])
        self._desk.forget()
        return _Step.STAY

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
        self._desk.top, self._at_end = [], ""
        return _Step.NEXT

    # --- the keys that send ---

    def _send(self) -> _Step:
        return self._confirm([])

    def _send_anyway(self) -> _Step:
        codes = screen.blocks(self._desk.draft)
        return self._confirm(codes) if codes else self._stay("Nothing blocks it: s sends.")

    def _confirm(self, overrides: list[str]) -> _Step:
        """Confirm exactly the letter on the screen, once it was shown to its last line and nothing blocks it."""
        draft, one = self._desk.draft, self._desk.one
        blocking = [code for code in screen.blocks(draft) if code not in overrides]
        if blocking:
            return self._stay(f"Blocked: {', '.join(blocking)}")
        if not self._desk.has_been_read:
            return self._stay(screen.more_words(self._desk.lines_left))
        # Before the call: Ctrl-C in the middle of it must find what it may have to take back.
        self._confirmed[one["id"]] = one
        try:
            letters = [{"thanks": one["id"], "sha256": draft["sha256"]}]
            result = self._client.call("confirm", letters=letters, overrides=overrides)
        except ThanksdError as error:
            del self._confirmed[one["id"]]
            return self._not_confirmed(error)
        self._confirmed[one["id"]] = result["thanks"][0]
        return self._next(f"{self._desk.name}: {self._leaving_words(draft['hold'])}.", "")

    def _leaving_words(self, hold: int) -> str:
        if not self._client.daemon:
            return "leaves when this review ends (u takes it back)"
        return f"leaves in {say_span(timedelta(seconds=hold))} (u takes it back)" if hold else "leaves now"

    def _not_confirmed(self, error: ThanksdError) -> _Step:
        if isinstance(error, ConfigError):
            self._refused = error
            return self._stay(error.message, error.hint)
        if isinstance(error, NotFoundError):
            self._desk.forget()
            return self._stay("The letter changed meanwhile, and nothing was sent. This is the new one.")
        raise error

    # --- the keys that answer without a letter ---

    def _next(self, top: str, at_end: str) -> _Step:
        """Note that this thanks was answered, and go on; `top` is for the next screen, `at_end` for after the last."""
        self._desk.top, self._at_end = [top], at_end
        self._done.append(self._desk.one)
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

    def _waive(self) -> _Step:
        return self._close("waive", "not needed")

    def _otherwise(self) -> _Step:
        click.echo()
        how = self._desk.line("How: in person, by phone, by card? (Enter: otherwise) ")
        return self._close("done", "thanked otherwise", how=how)

    def _undo(self) -> _Step:
        if not self._done:
            return self._stay("Nothing was done in this review yet. Older things: thanksd undo")
        last = self._done.pop()
        words = self._client.call("undo", ref=str(last["id"]))["notes"]
        self._confirmed.pop(last["id"], None)
        self._todo.extendleft([self._desk.one, last])
        self._desk.top, self._at_end = words, ""
        return _Step.NEXT

    # --- the keys that write ---

    def _edit(self) -> _Step:
        draft, ref = self._desk.draft, self._desk.ref

        def store(subject: str, body: str) -> None:
            self._client.call("draft", ref=ref, subject=subject, body=body)

        text = editor.edit(draft["subject"], draft["body"], store)
        self._desk.forget()
        return self._stay() if text else self._stay("Nothing was changed.")

    def _detail(self) -> _Step:
        click.echo()
        say(f'Finish it as if to {self._desk.name}: "I keep thinking about ..."')
        old, body = self._desk.one["details"], self._desk.draft["body"]
        details = asking.ask_details(old, self._desk.line)
        if not details or details == old:
            return self._stay("Nothing was changed.")
        self._client.call("edit", ref=self._desk.ref, details=details)
        self._desk.forget()
        self._desk.prepare()
        is_same = self._desk.draft["body"] == body
        return self._stay("Noted. Your own text stays as it is: e edits it, a starts anew.") if is_same else _Step.STAY

    def _wording(self) -> _Step:
        """Go to the next template that fits; back at the first, the text that stood there is there again."""
        desk = self._desk
        name, fitting = desk.draft["template"], list(dict.fromkeys((desk.one["meeting"]["kind"], "general")))
        following = fitting[(fitting.index(name) + 1) % len(fitting)] if name in fitting else fitting[0]
        if following == name:
            return self._stay("There is no other wording for this. e edits it.")
        first = self._first_texts.setdefault(desk.ref, desk.draft)
        desk.prepare(template=following)
        is_own = (desk.draft["subject"], desk.draft["body"]) != (first["subject"], first["body"])
        if following == first["template"] and is_own:
            self._client.call("draft", ref=desk.ref, subject=first["subject"], body=first["body"])
            desk.forget()
        return self._stay(f"In the words of: {following}")
