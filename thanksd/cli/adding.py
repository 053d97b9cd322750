"""The commands add and edit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from thanksd.cli import card, completing
from thanksd.cli.output import can_ask, notes, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import ThanksdError, UsageError

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("-e", "--email", default="", help="Their address."),
    click.option(
        "-k",
        "--kind",
        default="",
        shell_complete=completing.kind,
        help="coffee, interview, event, meal, gift, ... (general).",
    ),
    click.option("-w", "--when", default="", help="When you met: 15:00, 'tue 10am', '2h ago', 2025-03-11 15:00 (now)."),
    click.option("--place", default="", help="Where."),
    click.option("--about", default="", help="What it was about."),
    click.option("-d", "--detail", "details", multiple=True, help="Say it to them: 'why you left Rust'. Repeatable."),
    click.option(
        "-p", "--promise", "promises", multiple=True, help="What you said you would do: 'the paper by friday'."
    ),
    click.option(
        "--with",
        "others",
        multiple=True,
        metavar="WHO",
        shell_complete=completing.who,
        help="Somebody else who was there. Repeatable.",
    ),
    click.option("--via", default="", metavar="WHO", shell_complete=completing.who, help="Who brought you together."),
    click.option("--after", default="", metavar="DELAY", help="Nudge after this: 90s, 2h, 1d12h, 'tomorrow 9:00'."),
    click.option("--lang", default="", help="Their language."),
    click.option("--tz", default="", metavar="ZONE", help="Their time zone, such as Europe/Berlin."),
    click.option("--seniority", default="", help="peer or above."),
    click.option("--template", default="", metavar="NAME", help="Another template than the kind's."),
)


def _facts(command: _F) -> _F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("who", nargs=-1, shell_complete=completing.who)
@_facts
@click.option(
    "--coordinator",
    default="",
    metavar="WHO",
    shell_complete=completing.who,
    help="Who brought you all together: thanked too, and asked to pass thanks on to whom you can't write.",
)
@click.option("--again", is_flag=True, help="Another one like it on the same day is meant.")
@click.pass_context
def add(context: click.Context, /, who: tuple[str, ...], again: bool, **facts: Any) -> None:  # noqa: ANN401  click's way
    """Note that you met somebody.

    WHO is bare words and an address: thanksd add Ada Lovelace ada@example.com -k coffee. Alone on a terminal it asks;
    "thanksd add -" reads many, one a line: name, email, kind, when, detail.
    """
    if who == ("-",):
        from thanksd.cli import batch  # noqa: PLC0415  most add one

        batch.add(context, facts, again=again)
        return
    if can_ask() and not state_of(context).json:
        from thanksd.cli import asking  # noqa: PLC0415  questions are for terminals only

        if not who and not facts["email"]:
            asking.add(context, facts)
            return
        facts = asking.with_details(" ".join(who) or facts["email"], facts)
    store(context, {"who": " ".join(who), "again": again, **facts})


def store(context: click.Context, facts: dict[str, Any]) -> None:
    """Call the verb and echo what was understood; where the same meeting stands there already, ask on a terminal."""
    client = state_of(context).client
    try:
        result = client.call("add", last_kind=can_ask(), **facts)
    except ThanksdError as error:
        if error.code != "duplicate" or not can_ask():
            raise
        from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

        if not keys.confirm(error.message.removesuffix(" Nothing was stored.") + " Another one?", err=False):
            raise
        result = client.call("add", last_kind=True, **{**facts, "again": True})
    _echo(context, result)


def _echo(context: click.Context, result: dict[str, Any], *, passed_on: bool = False) -> None:
    notes(result)
    if wants_json(context, thanks=result["thanks"]):
        return
    for one in result["thanks"]:
        card.echo(one, result["zone"], datetime.now(UTC), passed_on=passed_on)


@click.command(cls=Command)
@click.argument("ref", nargs=-1, required=True, shell_complete=completing.ref)
@click.option("--name", default="", help="Their name, spelled right.")
@click.option(
    "--owner", default="", metavar="ADDRESS", help="In a shared ledger: who owes it from now on; me takes it."
)
@_facts
@click.pass_context
def edit(context: click.Context, /, ref: tuple[str, ...], **facts: Any) -> None:  # noqa: ANN401  click's way
    """Change what was noted. What you give takes the place of what was there."""
    if not any(facts.values()):
        raise UsageError("Nothing was given to change.", "See what can be: thanksd edit --help")
    result = state_of(context).client.call("edit", ref=" ".join(ref), **facts)
    _echo(context, result, passed_on=bool(facts["owner"]))
