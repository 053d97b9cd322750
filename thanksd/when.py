"""Words into moments: WHEN and DELAY. Pure.

Moments are aware datetimes in UTC, zones are IANA names, spans are timedeltas. Nothing here reads the clock.

The grammar is our own because a date library's is built to guess. Asked at 12:00 on 11 March 2025, dateparser 1.5 reads
"2h" as two hours ago and "in 2h ago" as in two hours, takes "15:00" as today's although that is to come, "3/4/2025" as
4 March, a bare "tue" as midnight, and 02:30 on the night that skips it as if it existed. Each of these is refused here,
with the possible readings ready to paste, or read by one rule that is written down.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import NamedTuple

from thanksd.errors import UsageError
from thanksd.moments import HALF_YEAR, MONTHS, WEEKDAYS, day_words, local, readings, say_full

# A meeting whose hour was not said took place at noon: never on the wrong day, whatever the zone.
NOON = time(12)
# A delay whose hour was not said ends when the working day begins.
MORNING = time(9)
# The parts of a day: when each begins, and the hour that stands for it where no hour was said. A convention, no guess:
# it is written down in `thanksd help when`, and what came of it is always echoed in full.
_PARTS = {
    "morning": (time(5), time(10)),
    "noon": (NOON, NOON),
    "afternoon": (NOON, time(15)),
    "evening": (time(17), time(19)),
    "night": (time(17), time(19)),
}

_LONGEST = 100
_SHOWN = 40
_FIRST_YEAR = 2000
_YEAR = timedelta(days=366)
_FURTHEST = 14
_LAST_MINUTE = 59
_LONGEST_SPAN = timedelta(days=731)
_WHEN = "Say it like 15:00, yesterday 15:00, tue 10am, 2h ago, 12 mar 15:00 or 2025-03-11 15:00."
_DELAY = "Say it like 90s, 2h, 1d12h, tomorrow 9:00, fri 9:00 or 2025-03-11 15:00."
_SPAN = "Say it like 90s, 45min, 2h, 1d12h or 3w."

_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?)?(?: ?(am|pm))?"
_OFFSET = r"z|[+-][0-9]{2}:?[0-9]{2}"
_DAY, _MONTH = r"(?P<day{0}>[0-9]{{1,2}})(?:st|nd|rd|th)?", r"(?P<month{0}>[a-z]{{3,}})\.?"
_DAY_AND_MONTH = (
    rf"(?:(?P<weekday>[a-z]{{3,}}) )?(?:{_DAY.format(1)} {_MONTH.format(1)}|{_MONTH.format(2)} {_DAY.format(2)})"
    r"(?: (?P<year>[0-9]{4}))?"
)


# Words that are looked at for a slip of the fingers.
_VOCABULARY = (
    *("yesterday", "today", "tomorrow", "tonight", *_PARTS),
    *(name.lower() for name in (*WEEKDAYS, *MONTHS)),
)
_SLIP = 0.75
_SHORTEST_SLIP = 4


class _UnreadableError(UsageError):
    """Words that are no time at all."""


class _Said(NamedTuple):
    """Words taken apart: what names the day ("" if nothing), the clock's time, the offset from UTC.

    `begins` is when the part of the day begins whose hour `clock` is; None where the hour itself was said.
    """

    day: str
    clock: time | None
    offset: timezone | None
    begins: time | None = None


def parse_when(text: str, now: datetime, zone: str) -> datetime:
    """Give the moment of a meeting.

    A bare weekday or day and month is the latest one past; a bare clock time is today's. What names its day (today,
    tomorrow, next tue, a date with its year) may lie up to a year ahead. A day without a time means 12:00 local; this
    morning, last night and their like mean the hour of `_PARTS`.
    Raises UsageError for what is unreadable, has two readings, does not exist, or lies before 2000 or too far ahead.
    """
    words = _words(text, _WHEN)
    if words == "now":
        return now.replace(microsecond=0)
    if words.endswith(" ago"):
        moment = (now - parse_duration(words.removesuffix(" ago"))).replace(microsecond=0)
    elif is_duration(words):
        raise _not_a_meeting(words)
    else:
        moment = _moment(words, now, zone, ahead=False)
    if moment - now > _YEAR:
        raise UsageError(f"{say_full(moment, zone)} is more than a year ahead.", _WHEN)
    return moment


def parse_delay(text: str, now: datetime, zone: str, base: datetime | None = None) -> datetime:
    """Give the moment a delay ends: a span counts from `base` (else from now), all else is the next one to come.

    A day without a time means 09:00 local. Raises UsageError as `parse_when` does, and for what is past.
    """
    words = _words(text, _DELAY)
    if is_duration(words) or _is_number(words):
        moment = (base or now) + parse_duration(words.removeprefix("in "))
    elif words.endswith(" ago"):
        raise UsageError(f"{text[:_SHOWN]!r} is past, and a delay ends later.", _DELAY)
    else:
        moment = now if words == "now" else _moment(words, now, zone, ahead=True)
    if moment < now:
        raise UsageError(f"{say_full(moment, zone)} is past, and a delay ends later.", _DELAY)
    if moment - now > _LONGEST_SPAN:
        raise UsageError(f"{say_full(moment, zone)} is more than two years ahead.", _DELAY)
    return moment


def is_duration(text: str) -> bool:
    """Tell whether the text has the form of a span ("2h", "in 2h", "-2h"); `parse_duration` may still refuse it."""
    return re.fullmatch(rf"(?:in |- ?)?(?:[0-9]+ ?{_UNIT} ?)+", " ".join(text.lower().split())) is not None


def parse_duration(text: str) -> timedelta:
    """Give the length of a span: "90s", "45 min", "1d12h", "3w", also "0s".

    Raises UsageError for one that is unreadable, negative, without a unit, or longer than two years.
    """
    words = _words(text, _SPAN)
    if words.startswith("-"):
        raise UsageError(f"{text[:_SHOWN]!r} goes backwards.", _SPAN)
    if _is_number(words):
        raise UsageError(f"{text[:_SHOWN]!r} has no unit.", f"Say {words[:9]}min or {words[:9]}h.")
    parts = re.findall(r"([0-9]+) ?([a-z])[a-z]*", words)
    units = [unit for _, unit in parts]
    if words.startswith("in ") or not is_duration(words) or len(set(units)) < len(units):
        raise UsageError(f"{text[:_SHOWN]!r} is no length of time.", _SPAN)
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in parts)
    if seconds > _LONGEST_SPAN.total_seconds():
        raise UsageError(f"{text[:_SHOWN]!r} is more than two years.", "Say a date, such as 2025-03-11.")
    return timedelta(seconds=seconds)


def _exact(day: date, clock: time, zone: str) -> datetime:
    """Give the one moment of a local time. Raises UsageError if it does not exist, or comes twice."""
    first, second = readings(day, clock, zone)
    if first == second:
        return first
    said = f"{clock:%H:%M} on {day_words(day)} {day.year}"
    if first > second:
        before, after = (f"{local(moment, zone):%Y-%m-%d %H:%M}" for moment in (second, first))
        raise UsageError(f"There is no {said} in {zone}: the clocks skip it.", f"Say {before} or {after}.")
    one, two = (local(moment, zone).isoformat(timespec="minutes") for moment in (first, second))
    raise UsageError(f"{said} comes twice in {zone}: the clocks go back.", f"Say {one} or {two}.")


# --- the grammar ---


def _words(text: str, hint: str) -> str:
    if len(text) > _LONGEST:
        raise UsageError(f"A time of {len(text):,} characters is too long.", hint)
    words = " ".join(text.lower().replace(",", " ").split())
    if not words:
        raise UsageError("No time was said.", hint)
    return words


def _is_number(words: str) -> bool:
    return words.isascii() and words.isdecimal()


def _not_a_meeting(words: str) -> UsageError:
    span = words.removeprefix("in ").removeprefix("-").strip()
    return UsageError(
        f"{words!r} does not say when the meeting was.",
        f"Say {span} ago; for one to come name its day, such as today 15:00.",
    )


def _moment(words: str, now: datetime, zone: str, *, ahead: bool) -> datetime:
    """Read a day, a clock time or both; where the words leave it open, the next one (`ahead`) or the latest one."""
    try:
        return _read(words, now, zone, ahead=ahead)
    except _UnreadableError as error:
        meant = " ".join(_without_slip(word) for word in words.split())
        if meant == words or not _is_readable(meant, now, zone, ahead=ahead):
            raise
        raise UsageError(error.message, f'Did you mean "{meant}"?') from error


def _without_slip(word: str) -> str:
    import difflib  # noqa: PLC0415  only for a mistake

    near = difflib.get_close_matches(word, _VOCABULARY, n=1, cutoff=_SLIP) if len(word) >= _SHORTEST_SLIP else []
    return near[0] if near else word


def _is_readable(words: str, now: datetime, zone: str, *, ahead: bool) -> bool:
    try:
        _read(words, now, zone, ahead=ahead)
    except UsageError:
        return False
    return True


def _read(words: str, now: datetime, zone: str, *, ahead: bool) -> datetime:
    said, here = _take_apart(words, ahead=ahead), local(now, zone).replace(tzinfo=None)
    clock = (MORNING if ahead else NOON) if said.clock is None else said.clock
    if said.offset is not None:
        return datetime.combine(_iso_date(said.day, here), clock, said.offset).astimezone(UTC)
    if said.day:
        day = _day(said.day, clock, here, ahead=ahead)
        if said.begins is not None and datetime.combine(day, said.begins) <= here < datetime.combine(day, clock):
            raise _half_past(words, clock)
        return _exact(day, clock, zone)
    return _exact(_day_of_clock(clock, here, ahead=ahead), clock, zone)


def _half_past(words: str, clock: time) -> UsageError:
    """Refuse "this morning" at half past nine: it stands for ten, and is said of what was at nine."""
    return UsageError(
        f"{words[:_SHOWN]!r} stands for {clock:%H:%M}, which is still to come.", "Say the hour, such as today 9:00."
    )


def _take_apart(words: str, *, ahead: bool) -> _Said:
    words = re.sub(rf"^({_ISO_DATE})t(?=[0-9])", r"\1 ", _hour_said(words).removeprefix("at "))
    offset = None
    if match := re.fullmatch(rf"({_ISO_DATE} [0-9:.]+) ?({_OFFSET})", words):
        words, offset = match[1], _fixed(match[2])
    if part := re.fullmatch(rf"(?:(.+?)(?: at)? )?({'|'.join(_PARTS)})", words.replace("tonight", "this night")):
        return _part(part[1] or "", part[2], ahead=ahead)
    match = re.fullmatch(rf"(?:(.+?)(?: at)? )?{_CLOCK}", words)
    if match is None or (match[3] is None and match[5] is None):
        return _Said(words, None, None)
    return _Said(match[1] or "", _clock(match), offset)


def _hour_said(words: str) -> str:
    """Write "monday at 3" as "monday 15:00": 1 to 6 are the afternoon's, for few people meet before dawn.

    Raises UsageError with both readings for 7 to 11, which are met at in the morning and in the evening.
    """
    match = re.fullmatch(r"(?:([a-z0-9 -]+) )?at ([0-9]{1,2})", words)
    if match is None:
        return words
    day, hour = f"{match[1]} " if match[1] else "", int(match[2])
    if hour in range(7, 12):
        raise UsageError(f"{words!r} may be morning or evening.", f"Say {day}{hour}:00, or {day}{hour + 12}:00.")
    return f"{day}{hour + 12 if hour in range(1, 7) else hour}:00"


def _part(day: str, name: str, *, ahead: bool) -> _Said:
    begins, clock = _PARTS[name]
    if name == "noon":
        return _Said(day, clock, None)
    # A delay until the morning ends when the working day begins.
    hour = MORNING if ahead and name == "morning" else clock
    return _Said({"this": "today", "last": "yesterday"}.get(day, day), hour, None, begins)


def _fixed(offset: str) -> timezone:
    if offset == "z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    # No zone is, or was since 2000, further than UTC+14 (Kiribati) away.
    if hours > _FURTHEST or minutes > _LAST_MINUTE:
        raise UsageError(f"There is no offset {offset} from UTC.", "Say it like 2025-03-11T15:00+01:00.")
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


def _clock(match: re.Match[str]) -> time:
    hour, minute, second = (int(match[group] or 0) for group in (2, 3, 4))
    if match[5]:
        # On a twelve-hour clock 12 stands for 0, and nothing for 0 or 13.
        shown = hour in range(1, 13)
        hour = hour % 12 + (12 if match[5] == "pm" else 0)
    else:
        shown = hour in range(24)
    if not shown or minute > _LAST_MINUTE or second > _LAST_MINUTE:
        said = match.string[match.start(2) :]
        raise UsageError(f"No clock shows {said}.", "Clocks go from 00:00 to 23:59.")
    return time(hour, minute, second)


def _day_of_clock(clock: time, here: datetime, *, ahead: bool) -> date:
    today = here.date()
    to_come = datetime.combine(today, clock) > here
    if ahead:
        return today if to_come else today + timedelta(days=1)
    if to_come:
        said = f"{clock:%H:%M}"
        raise UsageError(f"{said} is still to come today.", f"Say yesterday {said}, or today {said}.")
    return today


def _day(words: str, clock: time, here: datetime, *, ahead: bool) -> date:
    """Give the local day that the words name. Raises UsageError."""
    days = {"yesterday": -1, "today": 0, "tomorrow": 1}
    if words in days:
        return here.date() + timedelta(days=days[words])
    if match := re.fullmatch(r"(?:(last|next) )?([a-z]+)", words):
        weekday = _index(WEEKDAYS, match[2])
        if weekday is not None:
            return _weekday(match[1] or "", weekday, clock, here, ahead=ahead)
    if re.fullmatch(_ISO_DATE, words):
        return _iso_date(words, here)
    if match := re.fullmatch(_DAY_AND_MONTH, words):
        return _day_and_month(match, clock, here, ahead=ahead)
    if match := re.fullmatch(r"([0-9]{1,4})[/.-]([0-9]{1,2})(?:[/.-]([0-9]{1,4}))?\.?", words):
        raise _numeric(match, here)
    raise _unreadable(words, ahead=ahead)


def _unreadable(words: str, *, ahead: bool) -> _UnreadableError:
    # repr, here and elsewhere: an error goes to a terminal, and the words may hold control or bidi characters.
    return _UnreadableError(f"{words[:_SHOWN]!r} can't be read as a time.", _DELAY if ahead else _WHEN)


def _index(names: tuple[str, ...], word: str) -> int | None:
    """Find a weekday or month by its first letters, three at least."""
    if len(word) < len("mon"):
        return None
    return next((number for number, name in enumerate(names) if name.lower().startswith(word)), None)


def _weekday(which: str, weekday: int, clock: time, here: datetime, *, ahead: bool) -> date:
    today, week = here.date(), timedelta(days=7)
    coming = today + timedelta(days=(weekday - today.weekday()) % 7)
    if which == "next":
        return coming if coming > today else coming + week
    if which == "last":
        return coming - week
    # Of today's own name the clock's time decides.
    to_come = datetime.combine(coming, clock) > here
    if ahead:
        return coming if to_come else coming + week
    return coming - week if to_come else coming


def _day_and_month(match: re.Match[str], clock: time, here: datetime, *, ahead: bool) -> date:
    day, name = int(match["day1"] or match["day2"]), match["month1"] or match["month2"]
    month = _index(MONTHS, name)
    if month is None:
        raise _unreadable(match[0], ahead=ahead)
    if match["year"]:
        found = _date(int(match["year"]), month + 1, day, here)
    else:
        found = _nearest_year(month + 1, day, clock, here, ahead=ahead)
    named = match["weekday"]
    if named and _index(WEEKDAYS, named) != found.weekday():
        raise UsageError(
            f"{day_words(found)} {found.year} is no {named!r}.", f"Say {found}, or the day that was meant."
        )
    return found


def _nearest_year(month: int, day: int, clock: time, here: datetime, *, ahead: bool) -> date:
    """Give the latest such day, or the next one; further than half a year away the other year may be meant."""
    years = (here.year, here.year + 1) if ahead else (here.year, here.year - 1)
    days = [date(year, month, day) for year in years if _exists(year, month, day)]
    for found in days:
        away = datetime.combine(found, clock) - here
        if timedelta() <= (away if ahead else -away) <= HALF_YEAR:
            return found
    if not days:
        raise _no_day(day, month)
    said = " or ".join(str(found) for found in sorted(days))
    raise UsageError(f"{day} {MONTHS[month - 1]} needs its year.", f"Say {said}.")


def _iso_date(words: str, here: datetime) -> date:
    year, month, day = (int(part) for part in words.split("-"))
    return _date(year, month, day, here)


def _date(year: int, month: int, day: int, here: datetime) -> date:
    """Give a date that exists and is neither before 2000 nor far ahead. Raises UsageError."""
    if year < _FIRST_YEAR:
        raise UsageError(f"{year} is too long ago: the ledger begins with 2000.", "Say the year of the meeting.")
    if year > here.year + 2:
        raise UsageError(f"{year} is too far ahead.", f"Say a day before {here.year + 1}-{here:%m-%d}.")
    if month not in range(1, 13):
        raise UsageError(f"There is no month {month}.", "Dates are year-month-day, such as 2025-03-11.")
    if not _exists(year, month, day):
        raise _no_day(day, month, f" {year}")
    return date(year, month, day)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _no_day(day: int, month: int, year: str = "") -> UsageError:
    return UsageError(f"There is no {day} {MONTHS[month - 1]}{year}.", "Look at the calendar, then say it like 12 mar.")


def _numeric(match: re.Match[str], here: datetime) -> UsageError:
    """Refuse 3/4/2025: the order of day and month differs from country to country."""
    one, two, three = (int(part) if part else here.year for part in match.groups())
    orders = ((one, two, three),) if len(match[1]) == len("2025") else ((three, two, one), (three, one, two))
    days = sorted({str(date(*order)) for order in orders if order[0] >= _FIRST_YEAR and _exists(*order)})
    hint = f"Say {' or '.join(days)}." if days else "Dates are year-month-day, such as 2025-03-11."
    return UsageError(f"{match[0]!r} is read differently from country to country.", hint)
