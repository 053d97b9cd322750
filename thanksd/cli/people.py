"""The commands about people: who is known, what of them, changing it, forgetting somebody."""

from __future__ import annotations

from typing import Any

import click

from thanksd.cli.output import columns, is_terminal, notes, say, state_of, wants_json
from thanksd.cli.root import Group
from thanksd.errors import UsageError
from thanksd.moments import from_iso, local, say_full


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def people(context: click.Context) -> None:
    """List everybody you know here; or show, change or forget one."""
    if context.invoked_subcommand is not None:
        return
    found = state_of(context).client.call("people")["people"]
    if wants_json(context, people=found):
        return
    if not found and is_terminal():
        say("Nobody yet. Met somebody: thanksd add")
    columns([[str(one["id"]), one["name"], one["email"] or "", f"{one['open']} open"] for one in found])


@people.command()
@click.argument("who", nargs=-1, required=True)
@click.pass_context
def show(context: click.Context, who: tuple[str, ...]) -> None:
    """Show one person, and everything that was ever owed to them."""
    result = state_of(context).client.call("person", who=" ".join(who))
    if wants_json(context, people=result["people"], thanks=result["thanks"]):
        return
    _show(result["people"][0], result["zone"])
    rows = [_thanks_row(one, result["zone"]) for one in result["thanks"]]
    if rows:
        say("")
        columns(rows)


def _show(person: dict[str, Any], zone: str) -> None:
    say(f"{person['id']}  {person['name']}" + (f" <{person['email']}>" if person["email"] else ""))
    for name, value in (
        ("Language", person["lang"]),
        ("Zone", person["tz"]),
        ("Towards you", person["seniority"]),
        *(("Cares about", _interest(one, zone)) for one in person["interests"]),
        ("Replied", _day(person["replied_at"], zone) if person["replied_at"] else ""),
        ("Went out", _balance(person["balance"])),
    ):
        if value:
            say(f"     {name:<12}{value}")


def _interest(one: dict[str, Any], zone: str) -> str:
    known = ", ".join(filter(None, [one["source"], _day(one["at"], zone)]))
    return f"{one['text']} ({known}{': long ago, ask again' if one['stale'] else ''})"


def _day(moment: str, zone: str) -> str:
    return local(from_iso(moment), zone).date().isoformat()


def _balance(counts: dict[str, int]) -> str:
    """Give what went to somebody: thanks alone, something given with it, something asked."""
    said = (("thanks", counts["thanks"]), ("given", counts["give"]), ("asked", counts["ask"]))
    return ", ".join(f"{count} {word}" for word, count in said) if any(counts.values()) else ""


def _thanks_row(one: dict[str, Any], zone: str) -> list[str]:
    meeting = one["meeting"]
    return [str(one["id"]), one["state"], meeting["kind"], say_full(from_iso(meeting["at"]), zone)]


@people.command()
@click.argument("who", nargs=-1, required=True)
@click.option("--name", default="", help="Their name, spelled right.")
@click.option("-e", "--email", default="", help="Their address.")
@click.option("--lang", default="", help="Their language.")
@click.option("--tz", default="", metavar="ZONE", help="Their time zone, such as Europe/Berlin.")
@click.option("--seniority", default="", help="peer or above.")
@click.option("--cares-about", multiple=True, metavar="WHAT", help="Something they care about.")
@click.option("--source", default="", help="From where you know that: 'coffee in March'.")
@click.option("--no-longer", multiple=True, metavar="WHAT", help="What they care about no more; its first words.")
@click.option("--replied", is_flag=True, help="They wrote back, or called.")
@click.option("--allow", is_flag=True, help="They were forgotten once, and don't mind a letter now.")
@click.pass_context
def edit(context: click.Context, /, who: tuple[str, ...], **facts: Any) -> None:  # noqa: ANN401  click's way
    """Change what is known of a person."""
    if not any(facts.values()):
        raise UsageError("Nothing was given to change.", "For example: thanksd people edit Ada --email ada@example.com")
    result = state_of(context).client.call("edit_person", who=" ".join(who), **facts)
    notes(result)
    if not wants_json(context, people=result["people"]):
        _show(result["people"][0], result["zone"])


@people.command()
@click.argument("who", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Do not ask; a letter that waits is taken back.")
@click.option("--copies-too", is_flag=True, help="Remove the copies, made by thanksd itself, that hold them too.")
@click.option("--rewrite", is_flag=True, help="Only write the ledger's file anew, where that could not be done before.")
@click.pass_context
def forget(context: click.Context, who: tuple[str, ...], yes: bool, copies_too: bool, rewrite: bool) -> None:
    """Remove a person with all that was noted, their letters and what the log says of them; for good.

    Of their address a hash stays, so that you are warned before you write there again.
    """
    from thanksd.cli import forgetting  # noqa: PLC0415  this command alone

    if rewrite:
        forgetting.rewrite(context)
    elif not who:
        raise UsageError("Nobody was named.", "See everybody: thanksd people")
    else:
        forgetting.forget(context, " ".join(who), yes=yes, copies_too=copies_too)
