"""Questions of `thanksd init`: numbered, each with a default in brackets; or, without a terminal, none at all."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping

import click

from thanksd.addresses import display_safe
from thanksd.cli import keys
from thanksd.cli.output import note, say
from thanksd.errors import ThanksdError, UsageError

_WIDE, _BRACKET = 60, 36  # columns from which, and at which, the brackets stand in a row
_ROOM = 2  # columns for a digit and the cursor behind it


class Asker:
    """Where answers come from: `given` by --set, a person at the terminal, or (with `yes`) the defaults.

    Ctrl-C raises KeyboardInterrupt, Ctrl-D and a closed window click.Abort. Nothing is written here.
    """

    def __init__(self, given: Mapping[str, str], *, yes: bool, can_ask: bool) -> None:
        self.given, self.yes, self.can_ask = dict(given), yes, can_ask
        self._number = 0

    def ask(self, key: str, text: str, default: str, check: Callable[[str], str] = str) -> str:
        """Give the answer to the next numbered question, whose setting is `key`.

        `check` gives the answer as it is meant, or raises a ThanksdError, after which it is asked again. Raises
        UsageError naming the key where nobody can be asked and nothing was given.
        """
        self._number += 1
        return self.line(key, f"{self._number} {text}", default, check)

    def line(self, key: str, text: str, default: str, check: Callable[[str], str] = str) -> str:
        """Give the answer to a question without a number; as `ask`."""
        if key in self.given:
            return check(self.given[key])
        if self.yes and default:
            return check(default)
        if not self.can_ask:
            raise missing(key)
        while True:
            try:
                return check(self._input(_prompt(text, default)) or default)
            except ThanksdError as error:
                complain(error)

    def choose(self, key: str, text: str, choices: Mapping[str, str], default: str) -> str:
        """Let one of `choices` be chosen by its digit, and give it; the default is one of them. A numbered question."""
        self._number += 1
        words = " ".join([f"{self._number} {text}", *(f"{digit} {said}" for digit, said in choices.items())])
        return self.line(key, words, default, lambda answer: _one_of(answer, choices))

    def agree(self, text: str, *, default: bool, numbered: bool = True) -> bool:
        """Ask a yes-or-no question; without a terminal the default is the answer."""
        self._number += numbered
        head = f"{self._number} {text}" if numbered else f"  {text}"
        if self.yes or not self.can_ask:
            return default
        answer = self._input(_prompt(head, "Y" if default else "N")).lower()
        return answer.startswith("y") if answer else default

    def hidden(self) -> str:
        """Ask for a secret, which is not shown; "" for Enter alone."""
        from thanksd.sealing import seal  # noqa: PLC0415  for this question alone

        seal()
        try:
            return getpass.getpass("  > ").strip()
        except (EOFError, OSError) as error:
            raise click.Abort from error

    def number(self) -> int:
        """Give the number of the next question, which then counts as asked."""
        self._number += 1
        return self._number

    def say(self, text: str) -> None:
        """Say something to the person who is asked; to a program nothing."""
        if self.can_ask:
            say(text)

    def begin(self, text: str) -> None:
        """Say that something takes its time; `end` finishes the line."""
        if self.can_ask:
            click.echo(f"  {display_safe(text)} ... ", nl=False)
            sys.stdout.flush()

    def end(self, text: str) -> None:
        """Finish a line that `begin` began."""
        self.say(text)

    def typo_line(self, prompt: str, old: str) -> str:
        """Ask as `asking.mend_domain` wants it; without a terminal nothing is corrected."""
        if not self.can_ask or self.yes:
            return "n"
        return self._input(f"  {prompt}", old)

    def _input(self, prompt: str, old: str = "") -> str:
        try:
            return keys.ask_line(display_safe(prompt), old)
        except (EOFError, OSError) as error:
            raise click.Abort from error


def missing(key: str) -> UsageError:
    """Give the error that names what has to be given where nobody can be asked."""
    return UsageError(f"{key} is missing. Nothing was saved.", f"Give it: thanksd init --set {key}=...")


def complain(error: ThanksdError) -> None:
    """Say what was wrong with an answer, before it is asked for again."""
    for line in (error.message.removesuffix(" Nothing was changed."), error.hint):
        if line:
            note(f"  {line}")


def _one_of(answer: str, choices: Mapping[str, str]) -> str:
    if answer not in choices:
        raise UsageError(f"There is no choice {answer[:20]!r}.", f"Type one of: {', '.join(choices)}")
    return answer


def _prompt(text: str, default: str) -> str:
    """Give the words before an answer; a question that fills the window stands on a line of its own."""
    columns = keys.window()[0]
    gap = _BRACKET if columns >= _WIDE else 0
    prompt = f"{text.ljust(max(gap, len(text) + 2))}[{default}] " if default else f"{text}? "
    if len(prompt) + _ROOM <= columns:
        return prompt
    say(text)
    return f"  [{default}] " if default else "  > "
