"""The commands that answer without a letter, and take back: snooze, waive, done, undo, resolve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from thanksd import names
from thanksd.addresses import fold
from thanksd.cli.output import can_ask, note, notes, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import NotFoundError, UsageError
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
@click.option("--bounced", "how", flag_value="bounced", help="It came back; the thanks is due again.")
@click.option("-e", "--email", default="", help="With --bounced: their right address.")
@click.pass_context
def resolve(context: click.Context, ref: tuple[str, ...], how: str | None, email: str) -> None:
    """Say what became of a held letter, or that a sent one came back."""
    client, name = state_of(context).client, " ".join(ref)
    if email and how != "bounced":
        raise UsageError("--email goes with --bounced. Nothing was changed.", f"thanksd edit {name} --email {email}")
    if how == "bounced":
        _say_bounced(context, client.call("bounced", ref=name, email=email))
        return
    result = client.call("resolve", ref=name, how=how or _ask(client.call("show", ref=name)["thanks"][0]))
    if wants_json(context, thanks=result["thanks"]):
        return
    notes(result)
    one, name = _first(result)
    words = {
        "sent": f"{name}: thanked.",
        "queued": f"{name}: the same letter goes out again.",
        "cancelled": f"{name}: dropped. Your text is kept. Due again: thanksd review {one['id']}",
    }
    say(words[one["letter"]["state"]])


def _say_bounced(context: click.Context, result: dict[str, Any]) -> None:
    if wants_json(context, thanks=result["thanks"]):
        return
    one, name = _first(result)
    say(f"{name}: the letter to {result['to']} came back. Your text is kept. Due again: thanksd review {one['id']}")
    if fold(one["person"]["email"] or "") == fold(result["to"]):
        note(f"Know another address? thanksd edit {one['id']} --email NEW")


def _ask(one: dict[str, Any]) -> str:
    """Ask what became of a letter, with the server's own words.

    Raises UsageError without a terminal, where the answer must be given as an option, and where there is nothing to
    ask; NotFoundError where the person can't say yet.
    """
    letter, number = one["letter"], one["id"]
    if not can_ask():
        raise UsageError("Say what became of it.", "One of --sent, --resend, --discard, --bounced.")
    if not letter or letter["state"] not in ("held", "sending"):
        state = letter["state"] if letter else "not written"
        came_back = f"Did it come back? thanksd resolve {number} --bounced"
        raise UsageError(
            f"The letter of thanks {number} is not held: it is {state}.",
            came_back if state == "sent" else f"thanksd show {number}",
        )
    from thanksd.cli import resolving  # noqa: PLC0415  on a terminal only

    how = resolving.ask(letter, names.first(one["person"]["name"]))
    if not how:
        raise NotFoundError("Nothing was changed; the letter stays held.", f"When you know: thanksd resolve {number}")
    return how
