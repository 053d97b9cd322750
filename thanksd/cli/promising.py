"""The commands promises and promise: what you said you would do, and that it is done."""

from __future__ import annotations

from typing import Any

import click

from thanksd.cli.output import columns, is_terminal, say, state_of, wants_json
from thanksd.cli.root import Command, Group
from thanksd.moments import from_iso, say_short


@click.command(cls=Command)
@click.option("--all", "every", is_flag=True, help="The kept ones too.")
@click.pass_context
def promises(context: click.Context, every: bool) -> None:
    """List what you said you would do and have not done yet; kept: thanksd promise done NUMBER."""
    result = state_of(context).client.call("promises", every=every)
    found = result["promises"]
    if wants_json(context, promises=found):
        return
    if not found and is_terminal():
        say("Nothing is promised.")
    columns([_row(one, result) for one in found])


def _row(one: dict[str, Any], result: dict[str, Any]) -> list[str]:
    now, zone = from_iso(result["now"]), result["zone"]
    due = f"by {say_short(from_iso(one['due']), now, zone)}" if one["due"] else ""
    late = one["due"] and from_iso(one["due"]) < now and not one["done_at"]
    state = "kept" if one["done_at"] else "late" if late else ""
    return [str(one["id"]), one["person"], one["text"], due, state]


@click.group(cls=Group)
def promise() -> None:
    """Say of a promise that it was kept, or that it was not."""


@promise.command()
@click.argument("number", type=int)
@click.pass_context
def done(context: click.Context, number: int) -> None:
    """Note that a promise was kept: no popup asks for it any more."""
    _settle(context, number, undo=False)


@promise.command()
@click.argument("number", type=int)
@click.pass_context
def undo(context: click.Context, number: int) -> None:
    """Take that back: it is still to be kept."""
    _settle(context, number, undo=True)


def _settle(context: click.Context, number: int, *, undo: bool) -> None:
    found = state_of(context).client.call("promise_done", number=number, undo=undo)["promises"]
    if not wants_json(context, promises=found):
        one = found[0]
        say(f"{one['person']}: {one['text']}: {'still to be kept' if undo else 'kept'}.")
        if not undo:
            say(f"Take it back: thanksd promise undo {number}")
