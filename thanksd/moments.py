"""Moments: their ISO form, local clocks, and moments said in words. Pure, and imported by every thin command.

Moments are aware datetimes in UTC, zones are IANA names, spans are timedeltas. Nothing here reads the clock.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thanksd.errors import DataError, UsageError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
HALF_YEAR = timedelta(days=183)
_SHOWN = 40
_WEEK = 604800


def from_iso(text: str) -> datetime:
    """Give the moment of an ISO 8601 text with an offset or Z, as `to_iso` writes it.

    Raises DataError for any other text.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{text[:_SHOWN]!r} is no moment in UTC.") from error
    raise DataError(f"{text[:_SHOWN]!r} has no offset, so it is no moment.")


def to_iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC, to the second: "2025-03-11T14:00:00Z". Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs its zone")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


# --- local clocks ---


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Give the zone of an IANA name, cached. Raises UsageError where there is none (`policy.known_zone` says which)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"There is no time zone {name[:_SHOWN]!r}.", "Names look like Europe/Berlin.") from error


def local(moment: datetime, zone: str) -> datetime:
    """Give the moment on the local clock of `zone`."""
    return moment.astimezone(zone_of(zone))


def wall(day: date, clock: time, zone: str, *, fold: int = 0) -> datetime:
    """Give the moment, in UTC, at which a local clock shows this; it always finds one.

    A time that the clocks skip is the first moment after the skip. One that comes twice is the first, or with
    `fold=1` the second (PEP 495).
    """
    first, second = readings(day, clock, zone)
    if first <= second:
        return second if fold else first
    tz = zone_of(zone)
    seconds = range(int(second.timestamp()), int(first.timestamp()) + 1)
    after = _offset(seconds[-1], tz)
    return datetime.fromtimestamp(seconds[bisect_left(seconds, after, key=lambda at: _offset(at, tz))], UTC)


def _offset(timestamp: int, tz: ZoneInfo) -> timedelta:
    return datetime.fromtimestamp(timestamp, tz).utcoffset() or timedelta()


def readings(day: date, clock: time, zone: str) -> tuple[datetime, datetime]:
    """Give the moments of both folds (PEP 495): equal as a rule, the later one first where the clocks skip it."""
    at = datetime.combine(day, clock, zone_of(zone))
    return at.astimezone(UTC), at.replace(fold=1).astimezone(UTC)


# --- moments into words ---


def say_full(moment: datetime, zone: str) -> str:
    """Say a moment so that nothing is left open: "Tue 11 Mar 2025 15:00 CET (Europe/Berlin)"."""
    here = local(moment, zone)
    return f"{day_words(here)} {here.year} {_clock_words(here)} {here.tzname()} ({zone})"


def say_short(moment: datetime, now: datetime, zone: str) -> str:
    """Say a moment to come: "today 15:00", "tomorrow 09:00", "Thu 09:00" within six days, else as `say_dated`."""
    here = local(moment, zone)
    days = (here.date() - local(now, zone).date()).days
    if days not in range(7):
        return say_dated(moment, now, zone)
    day = ("today", "tomorrow")[days] if days < len(("today", "tomorrow")) else WEEKDAYS[here.weekday()][:3]
    return f"{day} {_clock_words(here)}"


def say_dated(moment: datetime, now: datetime, zone: str) -> str:
    """Say a moment with its date: "Tue 11 Mar 15:00"; with the year when half a year away or more."""
    return f"{say_day(moment, now, zone)} {_clock_words(local(moment, zone))}"


def say_day(moment: datetime, now: datetime, zone: str) -> str:
    """Say a moment's local day: "Tue 11 Mar"; with the year when half a year away or more."""
    here = local(moment, zone)
    return day_words(here) if abs(moment - now) < HALF_YEAR else f"{day_words(here)} {here.year}"


def say_span(span: timedelta) -> str:
    """Say a length to the nearest of its largest unit, never 0: "24 s", "4 min", "4 h", "1 day", "2 weeks"."""
    seconds = abs(span.total_seconds())
    # Each row: up to how many, of how many seconds, called what. Rounding may reach the next row: 59.6 s is 1 min.
    for most, size, name in ((59, 1, " s"), (59, 60, " min"), (23, 3600, " h"), (13, 86400, " day")):
        count = max(1, int(seconds / size + 0.5))
        if count <= most:
            return f"{count}{name}" + ("s" if name == " day" and count > 1 else "")
    return f"{int(seconds / _WEEK + 0.5)} weeks"


def say_left(due_by: datetime, now: datetime) -> str:
    """Say how best-by stands: "4 h left", "late by 1 day"."""
    left = due_by - now
    return f"{say_span(left)} left" if left >= timedelta() else f"late by {say_span(left)}"


def day_words(day: date) -> str:
    """Say a day without its year: "Tue 11 Mar"."""
    # Not strftime: its names follow the locale, and output that scripts compare must not.
    return f"{WEEKDAYS[day.weekday()][:3]} {day.day} {MONTHS[day.month - 1][:3]}"


def _clock_words(here: datetime) -> str:
    return f"{here.hour:02}:{here.minute:02}"
