"""The question that only a person can answer: what became of a letter whose end the program could not see."""

from __future__ import annotations

import termios
from typing import Any

import click

from thanksd import states
from thanksd.cli import keys, page
from thanksd.cli.output import say

_BROKE = "The line broke after the letter was handed over; it may have arrived."
_ADOPTED = "It was waiting when this ledger came from another machine or an older copy; it may have left from there."
_HANDED_OVER = '{name}\'s letter was opened for you to send: "{subject}".'
_LOOK = 'Look in Sent for "{subject}".'
_WHAT = "s it arrived   r send again (may arrive twice)   d drop   q not now"
_DID_YOU = "Did you send it? [y] yes [n] not yet [c] no, cancel"
# q is "not now" here as everywhere.
_FOUND = {"s": "sent", "r": "resend", "d": "discard", "q": ""}
_DONE = {"y": "sent", "n": "", "c": "discard", "q": ""}
# Keys that were typed before the question stood there are no answer to it (seconds).
_QUIET = 0.3


def ask(letter: dict[str, Any], name: str) -> str:
    """Show what is known of a held letter and ask; gives "sent", "resend", "discard", or "" for not now.

    `letter` is what `show` gives of it, `name` what the person is called. q, Ctrl-C and a closed window are not now.
    Needs a terminal.
    """
    try:
        if letter["reason"] == states.HANDED_OFF:
            _say(_HANDED_OVER.format(name=name, subject=letter["subject"]))
            return _key_of(_DID_YOU, _DONE)
        _say(_ADOPTED if letter["reason"] == states.ADOPTED else _BROKE)
        if letter["server_reply"]:
            _say(f"Last heard: {letter['server_reply']}")
        _say(_LOOK.format(subject=letter["subject"]))
        return _key_of(_WHAT, _FOUND)
    except (KeyboardInterrupt, OSError, termios.error):
        # The two errors: the window is gone, so that nothing can be written to it, or read from it.
        return ""


def _say(text: str) -> None:
    for line in page.wrap(text, keys.window()[0] - 1):
        say(line)


def _key_of(question: str, answers: dict[str, str]) -> str:
    """Ask until one of the keys is pressed."""
    _say(question)
    with keys.Keyboard() as keyboard:
        while (pressed := keyboard.key("> ", _QUIET)) not in answers:
            # No key at all: the window has another size now, and the question may be out of sight.
            click.echo()
            _say(f"Press one of: {' '.join(answers)}" if pressed else question)
    click.echo(pressed)
    return answers[pressed]
