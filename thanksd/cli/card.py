"""One thanks for people: the echo of add and edit, and the whole of show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from thanksd.cli.output import say
from thanksd.moments import from_iso, say_full, say_left, say_short, say_span


def echo(one: dict[str, Any], zone: str, now: datetime, *, passed_on: bool = False) -> None:
    """Print what was understood: who, when as an absolute time with its zone, and what comes next.

    Of one that was `passed_on` that is whose it is now.
    """
    say(f"{one['id']:>3}  {_person(one['person'])}, {one['meeting']['kind']}")
    say(f"     {say_full(from_iso(one['meeting']['at']), one['meeting']['tz'])}")
    nudge, due_by = from_iso(one["nudge_at"]), from_iso(one["due_by"])
    if one["state"] == "due":
        first = "Due now"
    else:
        soon = (nudge - now).total_seconds() < 12 * 3600
        first = f"Nudge in {say_span(nudge - now)}" if soon else f"Nudge {say_short(nudge, now, zone)}"
    best = f"best by {say_short(due_by, now, zone)}" if due_by > now else say_left(due_by, now)
    late = ", late by then" if nudge > due_by > now else ""
    then = f"Owed by {one['owner']} now." if passed_on else f"Then: thanksd review {one['id']}"
    say(f"     {first}, {best}{late}. {then}")


def _person(person: dict[str, Any]) -> str:
    return f"{person['name']} <{person['email']}>" if person["email"] else str(person["name"])


def show(one: dict[str, Any], zone: str, now: datetime) -> None:
    """Print everything about one thanks."""
    person, meeting, letter = one["person"], one["meeting"], one["letter"]
    say(f"{one['id']:>3}  {_person(person)}: {one['state']}")
    _line("Owed by", one.get("owner"))
    _line("Met", f"{meeting['kind']}, {say_full(from_iso(meeting['at']), meeting['tz'])}")
    _line("Place", meeting["place"])
    _line("About", meeting["about"])
    for detail in one["details"]:
        _line("Detail", detail)
    for promise in one["promises"]:
        due = f", by {say_short(from_iso(promise['due']), now, zone)}" if promise["due"] else ""
        _line("Promise", promise["text"] + due)
    _line("Language", person["lang"])
    _line("Zone", person["tz"])
    _line("Towards you", person["seniority"])
    _line("Nudge", say_full(from_iso(one["nudge_at"]), zone))
    _line("Best by", f"{say_full(from_iso(one['due_by']), zone)}, {say_left(from_iso(one['due_by']), now)}")
    if letter:
        _letter(letter, zone)


def _letter(letter: dict[str, Any], zone: str) -> None:
    state = "came back" if letter["reason"] == "bounced" else letter["state"]
    _line("Letter", f"{state}, to {letter['to']}: {letter['subject']}")
    if letter["sent_at"]:
        _line("Left", say_full(from_iso(letter["sent_at"]), zone))
    elif letter["state"] in ("queued", "deferred"):
        _line("Leaves", say_full(from_iso(letter["send_after"]), zone))
    _line("Reason", letter["reason"])
    _line("Server", letter["server_reply"])
    _line("sha256", letter["sha256"])


def _line(name: str, text: str | None) -> None:
    if text:
        say(f"     {name:<12}{text}")
