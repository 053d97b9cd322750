"""The commands about people: who is known, what of them, changing it, forgetting somebody."""

from __future__ import annotations

from typing import Any

import click

from thanksd.cli.output import can_ask, columns, is_terminal, note, say, state_of, wants_json
from thanksd.cli.root import Group
from thanksd.errors import NotFoundError, UsageError
from thanksd.moments import from_iso, say_full


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
    _show(result["people"][0])
    rows = [_thanks_row(one, result["zone"]) for one in result["thanks"]]
    if rows:
        say("")
        columns(rows)


def _show(person: dict[str, Any]) -> None:
    say(f"{person['id']}  {person['name']}" + (f" <{person['email']}>" if person["email"] else ""))
    for name, value in (
        ("Language", person["lang"]),
        ("Zone", person["tz"]),
        ("Towards you", person["seniority"]),
    ):
        if value:
            say(f"     {name:<12}{value}")


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
@click.pass_context
def edit(context: click.Context, /, who: tuple[str, ...], **facts: str) -> None:
    """Change what is known of a person."""
    if not any(facts.values()):
        raise UsageError("Nothing was given to change.", "For example: thanksd people edit Ada --email ada@example.com")
    found = state_of(context).client.call("edit_person", who=" ".join(who), **facts)["people"]
    if not wants_json(context, people=found):
        _show(found[0])


@people.command()
@click.argument("who", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def forget(context: click.Context, who: tuple[str, ...], yes: bool) -> None:
    """Remove a person with all that was owed to them, their letters and what the log says of them; for good."""
    client = state_of(context).client
    result = client.call("person", who=" ".join(who))
    person, owed = result["people"][0], result["thanks"]
    if not yes:
        _confirm(person, len(owed))
    # By number: what was confirmed is what goes, whoever was added meanwhile.
    found = client.call("forget_person", who=str(person["id"]))["people"]
    if not wants_json(context, people=found):
        note(f"Forgotten: {person['name']}, with {len(owed)} thanks. Your own mail program still has what was sent.")


def _confirm(person: dict[str, Any], owed: int) -> None:
    """Ask before anything goes for good.

    Raises NotFoundError (exit 1, not confirmed), also where nobody can be asked.
    """
    named = person["name"] + (f" <{person['email']}>" if person["email"] else "")
    if not can_ask():
        raise NotFoundError(
            f"This would forget {named} with {owed} thanks. Nobody was forgotten.", "If that is meant: --yes"
        )
    note(f"This forgets {named} with {owed} thanks and their letters. It can't be taken back.")
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    if not keys.confirm("Forget them?"):
        raise NotFoundError("Nobody was forgotten.", "See everybody: thanksd people")
