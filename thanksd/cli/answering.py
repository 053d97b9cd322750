"""The commands that answer without a letter, and take back: snooze, waive, done, undo, resolve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from thanksd.cli.output import can_ask, notes, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import UsageError
from thanksd.moments import from_iso, say_short


def _first(result: dict[str, Any]) -> tuple[dict[str, Any], str]:
    one = result["thanks"][0]
    return one, one["person"]["name"]


@click.command(cls=Command)
@click.argument("ref")
@click.argument("delay", nargs=-1)
@click.pass_context
def snooze(context: click.Context, ref: str, delay: tuple[str, ...]) -> None:
    """Be reminded later: in 3 hours, or after DELAY (2h, 1d12h, tomorrow 9:00)."""
    result = state_of(context).client.call("snooze", ref=ref, delay=" ".join(delay))
    if wants_json(context, thanks=result["thanks"]):
        return
    one, name = _first(result)
    late = " Late by then." if result["notes"] else ""
    say(f"{name}: later, {say_short(from_iso(one['nudge_at']), datetime.now(UTC), result['zone'])}.{late}")


@click.command(cls=Command)
@click.argument("ref")
@click.option("--reason", default="", help="Why.")
@click.pass_context
def waive(context: click.Context, ref: str, reason: str) -> None:
    """Decide not to thank."""
    result = state_of(context).client.call("waive", ref=ref, reason=reason)
    if not wants_json(context, thanks=result["thanks"]):
        one, name = _first(result)
        say(f"{name}: not needed. Changed your mind: thanksd undo {one['id']}")


@click.command(cls=Command)
@click.argument("ref")
@click.option("--how", default="", help="In person, by phone, by card ...")
@click.pass_context
def done(context: click.Context, ref: str, how: str) -> None:
    """Note that they were thanked otherwise: in person, by phone, by card."""
    result = state_of(context).client.call("done", ref=ref, how=how)
    if not wants_json(context, thanks=result["thanks"]):
        one, name = _first(result)
        say(f"{name}: thanked. A slip? thanksd undo {one['id']}")


@click.command(cls=Command)
@click.argument("ref", nargs=-1)
@click.pass_context
def undo(context: click.Context, ref: tuple[str, ...]) -> None:
    """Take back a queued letter, a waive, a done or a snooze; without REF the last of them."""
    result = state_of(context).client.call("undo", ref=" ".join(ref))
    if wants_json(context, thanks=result["thanks"]):
        return
    for words in result["notes"]:
        say(words)


@click.command(cls=Command)
@click.argument("ref", nargs=-1, required=True)
@click.option("--sent", "how", flag_value="sent", help="It arrived.")
@click.option("--resend", "how", flag_value="resend", help="Send it again; it may arrive twice.")
@click.option("--discard", "how", flag_value="discard", help="Drop it; the thanks is due again.")
@click.pass_context
def resolve(context: click.Context, ref: tuple[str, ...], how: str | None) -> None:
    """Say what became of a held letter."""
    client = state_of(context).client
    if how is None:
        how = _ask(client.call("show", ref=" ".join(ref))["thanks"][0])
    result = client.call("resolve", ref=" ".join(ref), how=how)
    if wants_json(context, thanks=result["thanks"]):
        return
    notes(result)
    one, name = _first(result)
    words = {
        "sent": f"{name}: thanked.",
        "resend": f"{name}: the same letter goes out again.",
        "discard": f"{name}: dropped. Your text is kept. Due again: thanksd review {one['id']}",
    }
    say(words[how])


def _ask(one: dict[str, Any]) -> str:
    """Ask what became of the letter, with the server's own words.

    Raises UsageError without a terminal, where the answer must be given as an option.
    """
    if not can_ask():
        raise UsageError("Say what became of it.", "One of --sent, --resend, --discard.")
    letter = one["letter"]
    if letter:
        say("The line broke after the letter was handed over; it may have arrived.")
        say(f'Look in Sent for "{letter["subject"]}".  s it arrived   r send again (may arrive twice)   d drop')
    keys = {"s": "sent", "r": "resend", "d": "discard"}
    return keys[str(click.prompt(">", prompt_suffix=" ", type=click.Choice(list(keys)), show_choices=False))]
