"""What `people forget` asks before somebody goes for good, and what it says of where words of theirs are still."""

from __future__ import annotations

from typing import Any

import click

from thanksd import paths
from thanksd.addresses import fold
from thanksd.cli.output import can_ask, note, say, state_of, wants_json
from thanksd.errors import NotFoundError


def forget(context: click.Context, who: str, *, yes: bool, copies_too: bool) -> None:
    """Forget one person, in this process: the ledger's file is written anew, which may take its time."""
    client = state_of(context).client
    result = client.call("person", who=who)
    person, thanks = result["people"][0], result["thanks"]
    if not yes:
        _confirm(person, len(thanks))
    # By number: what was confirmed is what goes, whoever was added meanwhile.
    params = {"who": str(person["id"]), "take_back": yes, "copies_too": copies_too}
    found = client.world.call("forget_person", params)
    _remove_files([one["id"] for one in thanks])
    _tell(context, person, found)
    # Last: whether or not a daemon listens, they are forgotten. It closes their popups.
    client.poke()


def rewrite(context: click.Context) -> None:
    """Write the ledger anew."""
    client = state_of(context).client
    found = client.world.call("rewrite_ledger", {})
    if not wants_json(context, rewritten=found["rewritten"]):
        say("The ledger is written anew.")
    client.poke()


def _confirm(person: dict[str, Any], owed: int) -> None:
    """Have the name typed before anything goes for good.

    Raises NotFoundError (exit 1, not confirmed), also where nobody can be asked.
    """
    named = person["name"] + (f" <{person['email']}>" if person["email"] else "")
    if not can_ask():
        raise NotFoundError(
            f"This would forget {named} with {owed} thanks. Nobody was forgotten.", "If that is meant: --yes"
        )
    note(f"This forgets {named} with {owed} thanks and their letters. It can't be taken back.")
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    with keys.closable():
        typed = click.prompt("Forget them? Type their name", default="", show_default=False, err=True)
    if fold(typed.strip()) != fold(person["name"]):
        raise NotFoundError("Nobody was forgotten.", "See everybody: thanksd people")


def _remove_files(numbers: list[int]) -> None:
    from thanksd.cli import handing  # noqa: PLC0415  tempfile and subprocess

    for number in numbers:
        handing.forget_files(number)


def _tell(context: click.Context, person: dict[str, Any], found: dict[str, Any]) -> None:
    facts = {name: found[name] for name in ("taken_back", "named_in", "copies", "removed")}
    if wants_json(context, people=found["people"], **facts):
        return
    note(f"Forgotten: {person['name']}, with {found['thanks']} thanks. Your own mail program still has what was sent.")
    if found["taken_back"]:
        note("Their letter was taken back; it did not leave.")
    if found["named_in"]:
        numbers = ", ".join(str(number) for number in found["named_in"])
        note(f"Their name stands in what you noted or wrote to others: thanks {numbers} (thanksd edit, thanksd draft).")
    if paths.is_server(state_of(context).store_url):
        note("What the server's keeper copied holds them until that goes, and so does what anybody exported.")
    else:
        _tell_copies(found["copies"], found["removed"])


def _tell_copies(copies: list[str], removed: list[str]) -> None:
    for path in removed:
        note(f"Removed, as it held them: {path}")
    if copies:
        note("These copies of the ledger still hold them; remove what you don't need:")
    for path in copies:
        note(f"  {path}")
    note("What you exported or copied elsewhere holds them too.")
