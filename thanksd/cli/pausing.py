"""The commands pause and resume: a holiday, a busy week."""

from __future__ import annotations

from typing import Any

import click

from thanksd.cli.output import say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.moments import from_iso, say_dated


@click.command(cls=Command)
@click.argument("until", nargs=-1)
@click.pass_context
def pause(context: click.Context, until: tuple[str, ...]) -> None:
    """Show no popups until a day: 2w, 'mon 31 mar', 2025-03-31; alone it says how it stands.

    A day without a time means 09:00. Best-by moves along; confirmed letters leave all the same.
    """
    result = state_of(context).client.call("pause", until=" ".join(until))
    if wants_json(context, pause=result["pause"]):
        return
    if result["pause"]["until"] is None:
        say("Nothing is paused. For a holiday: thanksd pause 2w")
        return
    say(words(result["pause"]["until"], result))
    letters = result["pause"]["letters"]
    if letters:
        say("1 letter still leaves at its time." if letters == 1 else f"{letters} letters still leave at their time.")
    say("No popups until then, and best-by moves along. Back early: thanksd resume")


def words(until: str, result: dict[str, Any]) -> str:
    """Say until when it is paused; `result` has "now" and "zone"."""
    return f"Paused until {say_dated(from_iso(until), from_iso(result['now']), result['zone'])}"


@click.command(cls=Command)
@click.pass_context
def resume(context: click.Context) -> None:
    """End a pause: popups come again, and best-by moves back by what was left of it."""
    result = state_of(context).client.call("resume")
    if wants_json(context, pause=result["pause"]):
        return
    if not result["was_paused"]:
        say("Nothing was paused.")
        return
    due = result["due"]
    say("Popups come again." + (f" {due} to thank now: thanksd review" if due else ""))
