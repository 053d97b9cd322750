"""The verb stats: how it went, week by week. Rows are read once, and counted here on the user's own calendar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Any

from thanksd import counts, states
from thanksd.errors import UsageError
from thanksd.moments import local, to_iso, wall
from thanksd.rows import AnyRow
from thanksd.timing import start_of_week
from thanksd.verbs.context import Context

_A_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)
_MOST = 520  # ten years
# How many local days after the meeting the thanks was given at the latest, and what that is called.
_WITHIN = ((0, "same day"), (1, "next day"), (3, "within 3 days"), (7, "within a week"), (10**6, "later"))


def stats(context: Context, *, weeks: int = 26) -> dict[str, Any]:
    """Look back at the meetings of so many weeks, this one included; a week begins on a Monday in the user's zone.

    Gives {"weeks": [{"week": its Monday, "owed", "given", "late", "waived"}], oldest first, and of all of them "met",
    "owed", "given", "late", "waived"; "in_time": {"count", "of"}; "details": {"count", "of"}; "hours": {"median",
    "nine_of_ten", "of", "within": [{"name", "given"}]}; "promises": {"made", "kept", "in_time": {"count", "of"}};
    "zone", "now"}.

    A thanks belongs to the week of its meeting, whenever it was given. Met are owed and waived together. `given` and in
    time are those of `summary`; in time is said of those that were given or are late, which are open past their
    best-by. Hours go from the meeting to the thanks, null where none was given; nine of ten took so long at most.
    Details say of how many owed something was noted that stood out. A promise is in time on its day. Somebody who was
    forgotten counts in the week they were noted, and has neither hours nor details. Raises UsageError for no week, or
    too many.
    """
    if not 1 <= weeks <= _MOST:
        raise UsageError(f"Weeks go from 1 to {_MOST}.", "A year: thanksd stats --weeks 52")
    now, zone = context.now, context.zone
    last = local(start_of_week(now, zone), zone).date()
    mondays = [last - _A_WEEK * back for back in reversed(range(weeks))]
    window = (wall(mondays[0], time(0), zone), wall(last + _A_WEEK, time(0), zone))
    with context.store.read() as connection:
        rows = counts.met(connection, context.owner, *window)
        promised = counts.promised(connection, context.owner, *window)
    return {
        "weeks": _weeks(rows, mondays, now, zone),
        **_totals(rows, now),
        "hours": _hours(rows, zone),
        "promises": _promises(promised, now, zone),
        "zone": zone,
        "now": to_iso(now),
    }


def _word(row: AnyRow, now: datetime) -> str:
    """Say what became of a thanks: given, waived, late, or "" for one that has its time."""
    if row.is_given:
        return "given"
    if row.state == states.WAIVED:
        return "waived"
    return "late" if row.due_by < now else ""


def _weeks(rows: Iterable[AnyRow], mondays: Sequence[date], now: datetime, zone: str) -> list[dict[str, Any]]:
    found: dict[date, Counter[str]] = {monday: Counter() for monday in mondays}
    for row in rows:
        day = local(row.met_at, zone).date()
        found[day - timedelta(days=day.weekday())][_word(row, now)] += 1
    return [{"week": monday.isoformat(), **_plain(words)} for monday, words in found.items()]


def _plain(words: Counter[str]) -> dict[str, int]:
    owed = words.total() - words["waived"]
    return {"owed": owed, "given": words["given"], "late": words["late"], "waived": words["waived"]}


def _totals(rows: Sequence[AnyRow], now: datetime) -> dict[str, Any]:
    total = _plain(Counter(_word(row, now) for row in rows))
    in_time = sum(bool(row.is_in_time) for row in rows)
    told = [row.details for row in rows if not row.is_nobodys and (row.is_given or row.state != states.WAIVED)]
    return {
        "met": len(rows),
        **total,
        "in_time": {"count": in_time, "of": total["given"] + total["late"]},
        "details": {"count": sum(any(one.strip() for one in details) for details in told), "of": len(told)},
    }


def _hours(rows: Iterable[AnyRow], zone: str) -> dict[str, Any]:
    given = [row for row in rows if row.is_given and not row.is_nobodys]
    # Thanked before a meeting was over, or noted too late in the day: no time at all.
    hours = sorted(max(0.0, (row.given_at - row.met_at) / _HOUR) for row in given)
    days = [_day(row.given_at, zone) - _day(row.met_at, zone) for row in given]
    names = Counter(next(name for most, name in _WITHIN if one.days <= most) for one in days)
    return {
        "median": _rank(hours, 0.5),
        "nine_of_ten": _rank(hours, 0.9),
        "of": len(hours),
        "within": [{"name": name, "given": names[name]} for _, name in _WITHIN],
    }


def _rank(hours: Sequence[float], share: float) -> float | None:
    """Give how long that share of them took at most, as one of them did; None of none."""
    return round(hours[ceil(share * len(hours)) - 1], 1) if hours else None


def _promises(rows: Sequence[AnyRow], now: datetime, zone: str) -> dict[str, Any]:
    dated = [(_day(row.due, zone), row.done_at) for row in rows if row.due is not None]
    today = _day(now, zone)
    in_time = sum(done is not None and _day(done, zone) <= due for due, done in dated)
    judged = sum(done is not None or due < today for due, done in dated)
    kept = sum(row.done_at is not None for row in rows)
    return {"made": len(rows), "kept": kept, "in_time": {"count": in_time, "of": judged}}


def _day(moment: datetime, zone: str) -> date:
    return local(moment, zone).date()
