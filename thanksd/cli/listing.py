"""The commands that only look: owed, show, outbox, log."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from thanksd.cli import completing
from thanksd.cli.output import columns, is_terminal, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.moments import day_words, from_iso, local, say_span

if TYPE_CHECKING:
    from thanksd.client import Client

FIRST_WEEK = "People are gladder of these than senders expect."  # Kumar & Epley 2018, Psychological Science 29(9)
_STATES = ("owed", "due", "snoozed", "confirmed", "thanked", "waived")


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only those in this state.")
@click.option("--team", is_flag=True, help="In a shared ledger: everybody's.")
@click.pass_context
def owed(context: click.Context, everything: bool = False, state: str | None = None, team: bool = False) -> None:
    """List what is due and owed, soonest first."""
    client = state_of(context).client
    result = client.call("owed", everything=everything, state=state or "", team=team)
    if wants_json(context, thanks=result["thanks"]):
        return
    from thanksd.cli import table  # noqa: PLC0415  people's table is not needed for JSON

    if not is_terminal():
        table.plain(result)
        return
    table.problems(result, daemon=bool(client.daemon))
    if result["thanks"]:
        table.sections(result, team=team)
    else:
        _nobody(context)
    if not client.daemon:
        _end_without_daemon(context, client)


def _end_without_daemon(context: click.Context, client: Client) -> None:
    """End as every command does, without saying a second time that no daemon runs."""
    from thanksd.cli.ending import say_lines  # noqa: PLC0415  on a terminal only

    if sys.stderr.isatty():
        say_lines(client)
    state_of(context).quiet_end = True


def _nobody(context: click.Context) -> None:
    summary = state_of(context).client.call("summary")
    if summary["is_empty"]:
        say("No thanks owed yet.")
        say("Set up: thanksd init    Met somebody: thanksd add    See it work: thanksd demo")
        return
    month = f" This month: {_counts(summary)}." if summary["met"] else ""
    say(f"Nobody is waiting for thanks.{month}")
    if summary["is_first_week"] and summary["thanked"]:
        say(FIRST_WEEK)


def month_words(summary: dict[str, int]) -> str:
    """Say what this month was like."""
    return f"This month {_counts(summary)}."


def _counts(summary: dict[str, int]) -> str:
    return f"{summary['met']} met, {summary['thanked']} thanked, {summary['in_time']} in time"


@click.command(cls=Command)
@click.argument("ref", nargs=-1, required=True, shell_complete=completing.ref)
@click.option("--letter", is_flag=True, help="The letter, byte for byte.")
@click.pass_context
def show(context: click.Context, ref: tuple[str, ...], letter: bool) -> None:
    """Show everything about one thanks."""
    client = state_of(context).client
    if letter:
        raw = client.call("letter_text", ref=" ".join(ref))["letter_text"]
        if not wants_json(context, letter_text=raw):
            for line in raw.splitlines():
                say(line)
        return
    result = client.call("show", ref=" ".join(ref))
    if not wants_json(context, thanks=result["thanks"]):
        from thanksd.cli import card  # noqa: PLC0415  people's view is not needed for JSON

        card.show(result["thanks"][0], result["zone"], from_iso(result["now"]))


@click.command(cls=Command)
@click.pass_context
def outbox(context: click.Context) -> None:
    """List the letters that are on their way, or held."""
    result = state_of(context).client.call("outbox")
    if wants_json(context, letters=result["letters"]):
        return
    now = from_iso(result["now"])
    if not result["letters"] and is_terminal():
        say("No letter is on its way.")
    columns(
        [
            [
                str(one["thanks"]),
                one["state"],
                one["to"],
                one["subject"],
                _leaves(one, now, result["zone"]),
                one["reason"] or "",
                one["server_reply"] or "",
            ]
            for one in result["letters"]
        ]
    )


def _leaves(letter: dict[str, str], now: datetime, zone: str) -> str:
    at = from_iso(letter["send_after"])
    if letter["state"] == "held":
        return f"thanksd resolve {letter['thanks']}"
    left = at - now
    return f"leaves in {say_span(left)}" if left.total_seconds() > 0 else f"since {local(at, zone):%H:%M:%S}"


@click.command(cls=Command)
@click.argument("ref", nargs=-1, shell_complete=completing.ref)
@click.option("--limit", default=1000, show_default=True, help="At most so many events.")
@click.pass_context
def log(context: click.Context, ref: tuple[str, ...], limit: int) -> None:
    """Tell what happened, oldest first: to one thanks, or to all."""
    result = state_of(context).client.call("log", ref=" ".join(ref), limit=limit)
    if wants_json(context, events=result["events"]):
        return
    from thanksd.cli import story  # noqa: PLC0415  people's words are not needed for JSON

    zone = result["zone"]
    columns(
        [
            [
                _clock(from_iso(one["at"]), zone),
                *([] if ref else [str(one["thanks"] or "")]),
                story.tell(one, zone),
            ]
            for one in result["events"]
        ]
    )


def _clock(at: datetime, zone: str) -> str:
    here = local(at, zone)
    return f"{day_words(here)} {here.year} {here:%H:%M:%S}"
