"""What waits for the user as an iCalendar file (RFC 5545), from the plain values of the verb feed. Pure.

Moments are in UTC, so no description of a zone is needed; words are made harmless, and the library escapes and folds
them. The same events give the same bytes, so whoever serves them can tell that nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from thanksd.addresses import display_safe
from thanksd.moments import from_iso, say_full

if TYPE_CHECKING:
    from icalendar import Calendar, Event

MEDIA_TYPE = "text/calendar; charset=utf-8"
_LENGTH = timedelta(minutes=15)
_REFRESH = timedelta(hours=1)
_NAME = "Thanks owed"


def calendar(events: Iterable[Mapping[str, Any]], zone: str) -> bytes:
    """Give a calendar to subscribe to, one entry each; best-by is said on the clock of `zone`."""
    whole = _calendar()
    # The second is what programs understood before RFC 7986 had a word for it.
    whole.add("name", _NAME)
    whole.add("x-wr-calname", _NAME)
    whole.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    for event in events:
        whole.add_component(_entry(event, zone))
    return _bytes(whole)


def alone(event: Mapping[str, Any], zone: str) -> bytes:
    """Give a calendar of one entry that rings at its moment, to go along with a mail."""
    from icalendar import Alarm  # noqa: PLC0415  most commands write no calendar, and it takes longer than their start

    entry, alarm = _entry(event, zone), Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", _summary(event))
    alarm.add("trigger", timedelta())
    entry.add_component(alarm)
    whole = _calendar()
    whole.add_component(entry)
    return _bytes(whole)


def _bytes(whole: Calendar) -> bytes:
    data: bytes = whole.to_ical()
    return data


def _calendar() -> Calendar:
    from icalendar import Calendar  # noqa: PLC0415  as above

    whole = Calendar()
    whole.add("version", "2.0")
    whole.add("prodid", "-//thanksd//thanksd//EN")
    return whole


def _entry(event: Mapping[str, Any], zone: str) -> Event:
    from icalendar import Event  # noqa: PLC0415  as above

    entry, at, changed = Event(), from_iso(event["at"]), from_iso(event["changed_at"])
    entry.add("uid", f"{display_safe(event['uid'])}@thanksd")
    # In a calendar that is no invitation this is the moment of the last change too (RFC 5545, 3.8.7.2).
    entry.add("dtstamp", changed)
    entry.add("last-modified", changed)
    entry.add("dtstart", at)
    entry.add("dtend", at + _LENGTH)
    entry.add("summary", _summary(event))
    entry.add("description", _description(event, zone))
    # Nobody who shares the calendar is to read it, and nobody is busy because of it.
    entry.add("class", "PRIVATE")
    entry.add("transp", "TRANSPARENT")
    return entry


def _summary(event: Mapping[str, Any]) -> str:
    if event["what"] == "promise":
        return display_safe(f"Promised {event['person']}: {event['text']}")
    return display_safe(f"Thank {event['person']} ({event['kind']})")


def _description(event: Mapping[str, Any], zone: str) -> str:
    is_promise = event["what"] == "promise"
    command = f"promise done {event['number']}" if is_promise else f"review {event['number']}"
    best_by = f"{'By' if is_promise else 'Best by'} {say_full(from_iso(event['due_by']), zone)}"
    return "\n".join(map(display_safe, [best_by, *event["details"], f"thanksd {command}"]))
