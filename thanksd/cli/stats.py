"""The command stats: how it went, week by week."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import click

from thanksd.cli.output import heading, is_terminal, say, state_of, tabbed, wants_json
from thanksd.cli.root import Command
from thanksd.moments import day_words, from_iso, local, say_span

_Stats = dict[str, Any]
# What a bar may take of 80 columns, behind the day and the numbers.
_LONGEST = 40
_FAR = 104


@click.command(cls=Command)
@click.option("--weeks", default=26, show_default=True, metavar="N", help="So many weeks, this one included.")
@click.pass_context
def stats(context: click.Context, weeks: int) -> None:
    """Tell how it went: thanks owed and given by week of the meeting, how soon, how many in time.

    More about the numbers: thanksd help looking-back.
    """
    found = state_of(context).client.call("stats", weeks=weeks)
    if wants_json(context, stats=found):
        return
    if not is_terminal():
        tabbed(_rows(found))
    elif found["met"]:
        _tell(found)
    else:
        say(f"No thanks in {_weeks(weeks)} yet. The first one you give will be counted here.")
        say("Met somebody: thanksd add" + ("" if weeks >= _FAR else f"    Further back: thanksd stats --weeks {_FAR}"))


def _weeks(count: int) -> str:
    return "this week" if count == 1 else f"these {count} weeks"


def _rows(found: _Stats) -> list[list[str]]:
    """Give one row of tabs for each number: what it is of, its name, and the number."""
    if not found["met"]:
        return []
    hours, promises = found["hours"], found["promises"]
    rows: list[tuple[object, ...]] = [
        ("week", one["week"], one["owed"], one["given"], one["late"], one["waived"]) for one in found["weeks"]
    ]
    rows += [("all", name, found[name]) for name in ("met", "owed", "given", "late", "waived")]
    rows += [(name, found[name]["count"], found[name]["of"]) for name in ("in_time", "details")]
    rows += [("hours", name, "" if hours[name] is None else hours[name]) for name in ("median", "nine_of_ten", "of")]
    rows += [("within", one["name"], one["given"]) for one in hours["within"]]
    rows += [("promises", name, promises[name]) for name in ("made", "kept")]
    rows.append(("promises", "in_time", promises["in_time"]["count"], promises["in_time"]["of"]))
    return [[str(cell) for cell in row] for row in rows]


# --- for people ---


def _tell(found: _Stats) -> None:
    weeks = found["weeks"]
    first = next(place for place, one in enumerate(weeks) if one["owed"] or one["waived"])
    today = local(from_iso(found["now"]), found["zone"]).date()
    heading(f"{'WEEK OF':<15}{'OWED':>5}{'GIVEN':>7}")
    most = max(one["owed"] for one in weeks)
    for one in weeks[first:]:
        say(f"{_monday(one['week'], today):<15}{one['owed']:>5}{one['given']:>7}   {_bar(one, most)}".rstrip())
    each = f", one for every {-(-most // _LONGEST)}" if most > _LONGEST else ""
    say("")
    say(f"# given, - not given yet{each}." + _before(first))
    for line in (_given(found), _shares(found), _hours(found["hours"]), _promises(found["promises"])):
        if line:
            say(line)


def _monday(week: str, today: date) -> str:
    day = date.fromisoformat(week)
    return day_words(day) if today - day < timedelta(days=300) else f"{day_words(day)} {day.year}"


def _bar(one: _Stats, most: int) -> str:
    """Draw a week: a sign for each thanks, or for so many that the longest bar fits; one that is there is seen."""
    each = max(1, -(-most // _LONGEST))
    owed, given = (int(-(-one[name] // each)) for name in ("owed", "given"))
    return "#" * given + "-" * (owed - given)


def _before(first: int) -> str:
    return f" Nothing in the {first} weeks before." if first > 1 else ""


def _given(found: _Stats) -> str:
    parts = [f"Given: {found['given']} of {found['owed']} owed"]
    parts += [f"{found['waived']} waived besides"] if found["waived"] else []
    parts += [f"{found['late']} late now"] if found["late"] else []
    return f"{', '.join(parts)}."


def _shares(found: _Stats) -> str:
    in_time, details = found["in_time"], found["details"]
    parts = [f"In time: {in_time['count']} of {in_time['of']}."] if in_time["of"] else []
    parts += [f"With a detail noted: {details['count']} of {details['of']}."] if details["of"] else []
    return " ".join(parts)


def _hours(hours: _Stats) -> str:
    if not hours["of"]:
        return ""
    median, most = (_span(hours[name]) for name in ("median", "nine_of_ten"))
    within = ", ".join(f"{one['name']} {one['given']}" for one in hours["within"])
    return f"From the meeting to the thanks: half within {median}, nine of ten within {most}. {within.capitalize()}."


def _span(hours: float) -> str:
    return say_span(timedelta(hours=max(1, hours)))


def _promises(promises: _Stats) -> str:
    if not promises["made"]:
        return ""
    in_time = promises["in_time"]
    words = f"Promises: {promises['made']} made, {promises['kept']} kept."
    return words + (f" By their day: {in_time['count']} of {in_time['of']}." if in_time["of"] else "")
