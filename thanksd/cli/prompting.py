"""The command prompt: how many are to be thanked now, for a shell's prompt."""

from __future__ import annotations

import click

from thanksd.cli.output import say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import ThanksdError


@click.command(cls=Command)
@click.pass_context
def prompt(context: click.Context) -> None:
    """Print what is due now in a few words, such as "2 to thank", and nothing where nothing is.

    It never fails and never waits: where the ledger is busy, not there, or on a server, nothing is printed. As
    `thanksd prompt` alone it is quick enough for every prompt: thanksd help channels
    """
    from thanksd import prompt as teller  # noqa: PLC0415  no other command needs it

    try:
        due = teller.count(state_of(context).store_url)
    except ThanksdError:
        due = None
    if not wants_json(context, prompt={"due": due}) and (words := teller.said(due)):
        say(words)
