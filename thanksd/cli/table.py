"""The list of what is owed: in sections for people, in tabs for programs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from thanksd.cli.ending import NOBODY
from thanksd.cli.output import heading, pad, say, tabbed
from thanksd.moments import from_iso, say_dated, say_day, say_left, say_short, say_span

_Thanks = dict[str, Any]
_ON_ITS_WAY = ("queued", "sending", "deferred")


def plain(result: dict[str, Any]) -> None:
    """Print one line of tabs for each thanks: number, state, name, address, kind, meeting, nudge, best by, whose."""
    rows = []
    for one in result["thanks"]:
        person, meeting = one["person"], one["meeting"]
        fields = [str(one["id"]), one["state"], person["name"], person["email"] or "", meeting["kind"], meeting["at"]]
        rows.append([*fields, one["nudge_at"], one["due_by"], *([one["owner"]] if "owner" in one else [])])
    tabbed(rows)


def problems(result: dict[str, Any], *, daemon: bool) -> None:
    """Print what the list's reader should know first, one line each: no daemon, no password, a pause."""
    if not daemon:
        say(NOBODY)
    reasons = [one["letter"]["reason"] for one in result["thanks"] if _letter(one) in _ON_ITS_WAY]
    waiting = [one for one in reasons if one in ("credentials", "password")]
    if waiting:
        letters = "1 letter waits" if len(waiting) == 1 else f"{len(waiting)} letters wait"
        refused = (
            f"{result['account']} refused the password" if "credentials" in waiting else "No password could be read"
        )
        say(f"{refused}. {letters}: thanksd credentials {'set' if 'credentials' in waiting else 'test'}")
    if result["paused_until"]:
        say(f"Paused until {say_dated(from_iso(result['paused_until']), from_iso(result['now']), result['zone'])}")


def sections(result: dict[str, Any], *, team: bool = False) -> None:
    """Print what is due, held, on its way, and later, with the next commands; of a `team`, each with who owes it."""
    now, zone, practices = from_iso(result["now"]), result["zone"], set(result["practices"])
    found = [_practice(one) if one["id"] in practices else one for one in result["thanks"]]
    found = [_owned(one) if team and "owner" in one else one for one in found]
    due = sorted((one for one in found if one["state"] == "due"), key=lambda one: str(one["due_by"]))
    later = [one for one in found if one["state"] in ("owed", "snoozed")]
    letters = [one for one in found if one["state"] == "confirmed"]
    closed = [one for one in found if one["state"] in ("thanked", "waived")]
    clock = say_dated(now, now, zone)
    day, _, time = clock.rpartition(" ")
    heading(f"{'DUE NOW' if due else 'NOTHING DUE NOW':<50}{day} {now.year}, {time}".rstrip())
    _rows(due, now, lambda one: say_left(from_iso(one["due_by"]), now))
    _section("HELD: needs you", [one for one in letters if _letter(one) == "held"], now, _held)
    on_its_way = [one for one in letters if _letter(one) in _ON_ITS_WAY]
    _section("ON ITS WAY", on_its_way, now, lambda one: _on_its_way(one, now))
    _section("LATER", later, now, lambda one: _later(one, now, zone))
    _section("CLOSED", closed, now, lambda one: str(one["state"]))
    say("")
    count = sum(one["id"] not in practices for one in due)
    words = f"{count} to thank now" if count else "To try it"
    review = f"{words}: thanksd review      " if due else ""
    say(_OF_A_TEAM if team else f"{review}Met somebody: thanksd add")


_OF_A_TEAM = "Yours to thank: thanksd review      Take one over: thanksd edit REF --owner me"


def _practice(one: _Thanks) -> _Thanks:
    """Mark a practice letter: its column says so instead of a kind."""
    return {**one, "meeting": {**one["meeting"], "kind": "practice"}}


def _owned(one: _Thanks) -> _Thanks:
    """Say in the column of the name who owes it."""
    return {**one, "person": {**one["person"], "name": f"{one['owner'].partition('@')[0]}: {one['person']['name']}"}}


def _section(title: str, rows: list[_Thanks], now: datetime, status: Callable[[_Thanks], str]) -> None:
    if rows:
        heading(title)
        _rows(rows, now, status)


def _rows(rows: list[_Thanks], now: datetime, status: Callable[[_Thanks], str]) -> None:
    for one in rows:
        meeting, when = one["meeting"], from_iso(one["meeting"]["at"])
        words = say_day(when, now, meeting["tz"]) if _letter(one) else say_dated(when, now, meeting["tz"])
        say(f"{one['id']:>3}  {pad(one['person']['name'], 18)} {pad(meeting['kind'], 13)} {words:<17} {status(one)}")


def _letter(one: _Thanks) -> str:
    letter = one["letter"]
    return str(letter["state"]) if letter and one["state"] == "confirmed" else ""


def _held(one: _Thanks) -> str:
    return f"sent? thanksd resolve {one['id']}"


def _on_its_way(one: _Thanks, now: datetime) -> str:
    letter = one["letter"]
    left = from_iso(letter["send_after"]) - now
    if letter["reason"] in ("credentials", "password"):
        return "waits for the password: thanksd credentials set"
    waits = f" ({letter['reason']})" if letter["reason"] else ""
    return (f"leaves in {say_span(left)}" if left.total_seconds() > 0 else "is leaving") + waits


def _later(one: _Thanks, now: datetime, zone: str) -> str:
    at = say_short(from_iso(one["nudge_at"]), now, zone)
    return f"snoozed until {at}" if one["state"] == "snoozed" else f"nudge {at}"
