"""What a command on a terminal ends with: nudges that no popup could show, and the word that nobody reminds."""

from __future__ import annotations

from typing import Any

from thanksd.cli.output import note
from thanksd.client import Client
from thanksd.errors import ThanksdError

NOBODY = "Nobody will remind you: the daemon is not running. Start it: thanksd service install"


def say_the_rest(client: Client) -> None:
    """Print the waiting lines on stderr, note them as shown, and say when no daemon runs."""
    say_lines(client)
    if not client.daemon:
        note(NOBODY)


def say_lines(client: Client) -> None:
    """Print the waiting lines on stderr, and note them as shown."""
    lines = _waiting(client)
    for one in lines:
        note(one["line"])
    if lines:
        client.shown([number for one in lines for number in one["ids"]])


def _waiting(client: Client) -> list[dict[str, Any]]:
    # The command itself is done: a ledger that is busy now must not make it look as if it had failed.
    try:
        return client.waiting_lines()
    except ThanksdError as error:
        note(f"{error.message} {error.hint}")
        return []
