"""The command doctor: what was looked at, one line each, and what mends what is not well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thanksd.cli.output import can_ask, is_terminal, note, say, say_styled, state_of, tabbed, wants_json
from thanksd.cli.root import Command
from thanksd.errors import UnavailableError

if TYPE_CHECKING:
    from thanksd.checks import Finding, Place

# What a state is called, and its colour, which only repeats that.
_WORDS = {"ok": ("ok", "green"), "warn": ("look", "yellow"), "bad": ("mend", "red")}
_HEAD = 21  # cells of "look  notifications  "


@click.command(cls=Command)
@click.option("--nudge", is_flag=True, help="Send a real nudge on each channel too, and ask whether you saw it.")
@click.option("--mend", is_flag=True, help="First set right states that no rule allows; nothing is sent for it.")
@click.option("--offline", is_flag=True, help="Don't test the login.")
@click.pass_context
def doctor(context: click.Context, nudge: bool, mend: bool, offline: bool) -> int:
    """Look at everything, change nothing, and say what to mend.

    ok is well, look may need you, mend is broken: then the exit code is 69.
    """
    state = state_of(context)
    if mend:
        _set_right(context)
    found = []
    for one in _findings(_place(context, offline=offline), nudge=nudge, asks=not state.json and can_ask()):
        found.append(one)
        if not state.json:
            _tell(one)
    rows = [dict(zip(("name", "state", "message", "remedy"), one, strict=True)) for one in found]
    if not wants_json(context, checks=rows) and is_terminal():
        _sum_up(found)
    return UnavailableError.exit_code if any(one.state == "bad" for one in found) else 0


def _set_right(context: click.Context) -> None:
    client = state_of(context).client
    changed = client.world.call("set_right", {})["thanks"]
    numbers = ", ".join(str(number) for number in changed)
    note(f"Set right: thanks {numbers}. See what happened: thanksd log" if changed else "No state had to be set right.")
    client.poke()


def _place(context: click.Context, *, offline: bool) -> Place:
    from thanksd.checks import Place  # noqa: PLC0415  no other command needs it

    state = state_of(context)
    given = {"THANKSD_CONFIG": state.config, "THANKSD_STORE": state.store}
    environ = {**os.environ, **{name: value for name, value in given.items() if value}}
    return Place(state.store_url, Path(state.config_file), environ, datetime.now(UTC), offline)


def _findings(place: Place, *, nudge: bool, asks: bool) -> Iterator[Finding]:
    from thanksd.checks import examine  # noqa: PLC0415  as above

    yield from examine(place)
    if nudge:
        yield from _nudge(place, asks=asks)


def _nudge(place: Place, *, asks: bool) -> Iterator[Finding]:
    """Send a real nudge on each channel; where no config can be read, on the desktop."""
    from thanksd.checks import NotLookedAtError, ok  # noqa: PLC0415  as above

    try:
        wanted = [name for name in place.settings().nudge.channels if name != "terminal"]
    except NotLookedAtError:
        wanted = ["desktop"]
    for name in wanted:
        yield from _pop_up(place, asks=asks) if name == "desktop" else _send(place, name, asks=asks)
    if not wanted:
        yield ok("nudge", "A line comes at the end of a command on a terminal, and nowhere else (nudge.channels).")


def _pop_up(place: Place, *, asks: bool) -> Iterator[Finding]:
    from thanksd.checks import mend  # noqa: PLC0415  as above
    from thanksd.checks.desktop import nudged  # noqa: PLC0415  as above

    with nudged(place.environ, is_read=asks) as came:
        yield came
        if asks and came.state == "ok" and not _was_seen("Did you see it?"):
            remedy = "Switch off Do not disturb on your desktop, then: thanksd doctor --nudge"
            yield mend("nudge", "It was shown where nobody saw it.", remedy)


def _send(place: Place, channel: str, *, asks: bool) -> Iterator[Finding]:
    from thanksd.checks import mend  # noqa: PLC0415  as above
    from thanksd.checks.reaching import SEEN, sent  # noqa: PLC0415  as above

    came = sent(place, channel)
    yield came
    question, remedy = SEEN[channel]
    if asks and came.state == "ok" and not place.offline and not _was_seen(question):
        yield mend("nudge", "It was taken, and nobody saw it.", remedy)


def _was_seen(question: str) -> bool:
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    return keys.confirm(question, default=True)


def _tell(one: Finding) -> None:
    word, colour = _WORDS[one.state]
    if not is_terminal():
        tabbed([[word, one.name, one.message, one.remedy]])
        return
    head = f"{word:<6}{one.name}".ljust(_HEAD)
    say_styled(f"{head}{one.message}", indent=_HEAD, fg=colour) if one.state != "ok" else say(head + one.message, _HEAD)
    if one.remedy:
        say(" " * 6 + one.remedy)


def _sum_up(found: list[Finding]) -> None:
    counts = {state: sum(one.state == state for one in found) for state in _WORDS}
    parts = [f"{counts['ok']} ok"]
    parts += [f"{counts['warn']} to look at"] if counts["warn"] else []
    parts += [f"{counts['bad']} to mend"] if counts["bad"] else []
    say(f"{', '.join(parts)}." if counts["warn"] + counts["bad"] else f"All {counts['ok']} are well.")
