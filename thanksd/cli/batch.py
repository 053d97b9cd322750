"""The command `add -`: many meetings from a table on stdin, all of them or none."""

from __future__ import annotations

import sys
from typing import Any

import click

from thanksd.cli import sheet
from thanksd.cli.output import note, notes, say, state_of, wants_json
from thanksd.errors import DataError, UsageError
from thanksd.moments import from_iso, say_full

_SHOWN = 20
# Far more than anybody met; what is longer is something else.
_LONGEST = 32 << 20  # bytes
# What stands for the lines that leave it empty.
_COMMON = ("kind", "when", "place", "about", "after")


def add(context: click.Context, facts: dict[str, Any], *, again: bool) -> None:
    """Read the table, store it and echo it. `facts` are the options that were given.

    Raises UsageError for options that can't be meant for everybody and for what is no table, DataError after the bad
    lines were named; nothing is stored then.
    """
    other = next((name for name, value in facts.items() if value and name not in _COMMON), None)
    if other is not None:
        raise UsageError(
            f"With many, {_option(context, other)} would be everybody's. Nothing was stored.",
            "Say it in the lines: name, email, kind, when, detail.",
        )
    read = sheet.read(_stdin())
    common = {name: facts[name] for name in _COMMON}
    result = _store(context, {"lines": read.lines, "bad": read.bad, "again": again, **common})
    if result["bad"]:
        _refuse(result["bad"], len(read.lines) + len(read.bad))
    if read.unused:
        note(f"Not used: {', '.join(read.unused)}.")
    _echo(context, result)


def _option(context: click.Context, name: str) -> str:
    return next(one.opts[-1] for one in context.command.params if one.name == name)


def _stdin() -> bytes:
    if sys.stdin is None:
        raise UsageError(
            "There is nothing to read from. Nothing was stored.", "For example: thanksd add - < people.csv"
        )
    if sys.stdin.isatty():
        note("One line each: name, email, kind, when, detail. Ctrl-D on a line of its own ends; Ctrl-C leaves nothing.")
    data = sys.stdin.buffer.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise UsageError(f"That is more than {_LONGEST >> 20} MiB. Nothing was stored.", "Is it the right file?")
    return data


def _store(context: click.Context, params: dict[str, Any]) -> dict[str, Any]:
    """Call the verb here: a table may be longer than the daemon's socket takes, and its daemon is to answer others."""
    client = state_of(context).client
    result = client.world.call("add_many", params)
    client.poke()
    return result


def _refuse(bad: list[dict[str, Any]], lines: int) -> None:
    for one in bad[:_SHOWN]:
        note(f"Line {one['line']}: {one['reason']}")
    if len(bad) > _SHOWN:
        note(f"and {len(bad) - _SHOWN:,} more.")
    raise DataError(
        f"{len(bad):,} of {lines:,} lines can't be taken. Nothing was stored.",
        "Mend them, then the same again: thanksd add - < FILE",
    )


def _echo(context: click.Context, result: dict[str, Any]) -> None:
    thanks = result["thanks"]
    notes({"notes": result["notes"][:_SHOWN]})
    if wants_json(context, thanks=thanks):
        return
    for one in thanks[:_SHOWN]:
        say(_line(one))
    if len(thanks) > _SHOWN:
        say(f"     and {len(thanks) - _SHOWN:,} more")
    say(f"{len(thanks):,} noted. See them: thanksd")


def _line(one: dict[str, Any]) -> str:
    person, meeting = one["person"], one["meeting"]
    address = f" <{person['email']}>" if person["email"] else ""
    at = say_full(from_iso(meeting["at"]), meeting["tz"])
    return f"{one['id']:>3}  {person['name']}{address}, {meeting['kind']}, {at}"
