"""When to nudge, when to stay quiet, when to try again. Pure: `now` and the zone are always parameters.

Moments are aware datetimes in UTC; "09:00" and quiet hours are on the local clock of the zone given, so that they keep
their place when the clocks change.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from thanksd import moments, policy, when
from thanksd.errors import ConfigError, UsageError

_JUST_ADDED = timedelta(minutes=15)
_AGAIN = timedelta(hours=4)
_DAILY_AFTER_BEST_BY = timedelta(days=3)
_SNOOZE = timedelta(hours=3)
_LONGEST_UNDO = timedelta(minutes=10)
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_SATURDAY = 5
_NEXT_DAY = "next day "

# Greylisting servers take a letter after 300 s as a rule; RFC 5321 4.5.4.1 asks for 30 min and more in general.
_PAUSES = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1))
_STORAGE_FULL = 452


class Quiet(NamedTuple):
    """Hours without popups on the local clock: from `start` up to, not including, `end`, over midnight if earlier."""

    start: time
    end: time


class Weekly(NamedTuple):
    """A moment of each week on the local clock; `weekday` counts from 0, Monday."""

    weekday: int
    clock: time


class Pause(NamedTuple):
    """A time without popups: from `start` up to, not including, `end` (UTC)."""

    start: datetime
    end: datetime


def parse_quiet(text: str) -> Quiet | None:
    """Read "21:00-08:30"; empty is None: no quiet hours.

    Raises ConfigError naming nudge.quiet_hours, also for hours that start when they end: no popup could ever come.
    """
    if not text.strip():
        return None
    start, end = (_clock(part) for part in (text.partition("-")[0], text.partition("-")[2]))
    if start is None or end is None or start == end:
        raise ConfigError(
            f"The setting nudge.quiet_hours can't be {text[:40]!r}.",
            'Write it like "21:00-08:30"; "" is off: thanksd config set nudge.quiet_hours 21:00-08:30',
        )
    return Quiet(start, end)


def parse_ask(text: str) -> Weekly | None:
    """Read "fri 16:00"; empty is None: the weekly question is never asked.

    Raises ConfigError naming nudge.ask.
    """
    if not text.strip():
        return None
    day, _, hour = " ".join(text.lower().split()).partition(" ")
    weekday = next((number for number, name in enumerate(moments.WEEKDAYS) if name.lower().startswith(day)), None)
    clock = _clock(hour)
    if len(day) < len("fri") or weekday is None or clock is None:
        raise ConfigError(
            f"The setting nudge.ask can't be {text[:40]!r}.",
            'Write it like "fri 16:00"; "" is never: thanksd config set nudge.ask "fri 16:00"',
        )
    return Weekly(weekday, clock)


def _clock(text: str) -> time | None:
    """Read "9:00" or "21:00", and nothing else."""
    hour, colon, minute = text.strip().partition(":")
    two = len("00")
    digits = (hour + minute).isascii() and hour.isdigit() and minute.isdigit()
    if not colon or not digits or len(hour) > two or len(minute) != two:
        return None
    try:
        return time(int(hour), int(minute))
    except ValueError:
        return None


def schedule(rule: policy.Rule, meeting_at: datetime, zone: str) -> tuple[datetime, datetime]:
    """Give (nudge_at, due_by), in UTC, of a meeting; `zone` is the one whose clock "next day 09:00" means.

    Raises ConfigError naming the setting whose words can't be read.
    """
    nudge_at = _after_meeting(rule.nudge, "nudge", meeting_at, zone)
    return nudge_at, _after_meeting(rule.best_by, "best_by", meeting_at, zone)


def late_from(rule: policy.Rule, meeting_at: datetime, due_by: datetime) -> datetime:
    """Give the moment (UTC) from which a note says that it is late: never in time (`due_by`). Raises ConfigError."""
    try:
        return max(meeting_at + when.parse_duration(rule.belated), due_by)
    except UsageError as error:
        raise _bad_rule(rule.belated, "belated", 'belated = "3h" or belated = "2d"') from error


def within(rule: policy.Rule) -> timedelta:
    """Give the span in which letters that went unanswered are counted. Raises ConfigError."""
    try:
        return when.parse_duration(rule.within)
    except UsageError as error:
        raise _bad_rule(rule.within, "within", 'within = "30d"') from error


def _after_meeting(words: str, setting: str, meeting_at: datetime, zone: str) -> datetime:
    said, within, hours = " ".join(words.lower().split()).partition(" in ")
    moment = _on_next_day(said, meeting_at, zone)
    if moment is None:
        try:
            moment = meeting_at + when.parse_duration(said)
        except UsageError as error:
            raise _bad_rule(words, setting, _MOMENTS.format(setting)) from error
    if not within:
        return moment
    start, end = _clock(hours.partition("-")[0]), _clock(hours.partition("-")[2])
    if start is None or end is None or start >= end:
        raise _bad_rule(words, setting, _MOMENTS.format(setting))
    return _in_hours(moment, zone, start, end)


def _on_next_day(said: str, meeting_at: datetime, zone: str) -> datetime | None:
    clock = _clock(said.removeprefix(_NEXT_DAY)) if said.startswith(_NEXT_DAY) else None
    return moments.wall(moments.local(meeting_at, zone).date() + _DAY, clock, zone) if clock is not None else None


def _in_hours(moment: datetime, zone: str, start: time, end: time) -> datetime:
    """Give the moment itself, or where it is out of these hours of a day, their next start."""
    here = moments.local(moment, zone)
    if start <= here.time() < end:
        return moment
    return moments.wall(here.date() if here.time() < start else here.date() + _DAY, start, zone)


_MOMENTS = '{0} = "3h", {0} = "next day 09:00" or {0} = "3h in 09:00-18:00"'


def _bad_rule(words: str, setting: str, examples: str) -> ConfigError:
    return ConfigError(
        f"The setting kind.NAME.{setting} can't be {words[:40]!r}.", f"Write it like {examples} under [kind.NAME]."
    )


def after_quiet(moment: datetime, zone: str, quiet: Quiet | None, *, weekdays_only: bool) -> datetime:
    """Give the moment itself, or where it falls in quiet hours or on a weekend, the first one after that is free.

    A weekend ends on Monday when night-time quiet hours end, else at 09:00.
    """
    free = _out_of_quiet(moment, zone, quiet)
    day = moments.local(free, zone).date()
    if not weekdays_only or day.weekday() < _SATURDAY:
        return free
    over_midnight = quiet is not None and quiet.start > quiet.end
    morning = quiet.end if quiet is not None and over_midnight else when.MORNING
    return _out_of_quiet(moments.wall(_next_monday(day), morning, zone), zone, quiet)


def _in_quiet(clock: time, quiet: Quiet) -> bool:
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def _out_of_quiet(moment: datetime, zone: str, quiet: Quiet | None) -> datetime:
    here = moments.local(moment, zone)
    if quiet is None or not _in_quiet(here.time(), quiet):
        return moment
    day = here.date() if here.time() < quiet.end else here.date() + _DAY
    end = moments.wall(day, quiet.end, zone)
    if end <= moment:
        # On the night the clocks go back the first such end may have been an hour ago.
        return moments.wall(day, quiet.end, zone, fold=1)
    # On the night they go ahead all that is free between may be skipped: quiet hours begin again with their end.
    return _out_of_quiet(end, zone, quiet)


def _next_monday(day: date) -> date:
    """Give the Monday after `day`, a week later if it is one."""
    return day + timedelta(days=7 - day.weekday())


def first_popup(
    nudge_at: datetime, now: datetime, zone: str, quiet: Quiet | None, *, weekdays_only: bool, outright: bool
) -> datetime:
    """Give the moment of the first popup of a thanks that is being added.

    What the user said `outright` is not moved. By the table, one that is due already pops up in 15 min, never at once
    under the hands of the person who adds it; and none in quiet hours.
    """
    if outright:
        return nudge_at
    at = now + _JUST_ADDED if nudge_at <= now else nudge_at
    return after_quiet(at, zone, quiet, weekdays_only=weekdays_only)


def next_popup(
    shown_at: datetime, shown_count: int, due_by: datetime, zone: str, quiet: Quiet | None, *, weekdays_only: bool
) -> datetime:
    """Give the moment of the next popup of a thanks not answered yet; there is always one, later than `shown_at`.

    `shown_count` counts the one shown at `shown_at`. After the first 4 h; then 09:00 of the next day, up to three days
    past best-by; then Mondays 09:00, for ever: an obligation is never dropped because it was not answered.
    """
    if shown_count <= 1:
        return after_quiet(shown_at + _AGAIN, zone, quiet, weekdays_only=weekdays_only)
    day = moments.local(shown_at, zone).date()
    daily = after_quiet(moments.wall(day + _DAY, when.MORNING, zone), zone, quiet, weekdays_only=weekdays_only)
    if not is_weekly(daily, due_by):
        return daily
    monday = moments.wall(_next_monday(day), when.MORNING, zone)
    return after_quiet(monday, zone, quiet, weekdays_only=weekdays_only)


def is_weekly(popup_at: datetime, due_by: datetime) -> bool:
    """Tell whether a popup belongs to Monday's digest: more than three days past best-by."""
    return popup_at > due_by + _DAILY_AFTER_BEST_BY


def last_ask(ask: Weekly, now: datetime, zone: str) -> datetime:
    """Give the latest moment of the weekly question, up to and with `now`."""
    today = moments.local(now, zone).date()
    day = today - timedelta(days=(today.weekday() - ask.weekday) % 7)
    at = moments.wall(day, ask.clock, zone)
    return at if at <= now else moments.wall(day - _WEEK, ask.clock, zone)


def next_ask(
    ask: Weekly,
    asked_at: datetime,
    now: datetime,
    zone: str,
    quiet: Quiet | None,
    pause: Pause | None,
    *,
    weekdays_only: bool,
) -> tuple[datetime, datetime]:
    """Give (slot, popup): the week's own moment that is to be asked for next, and when its popup may come.

    A slot is over once it was asked for, or on its day (`asked_at`, which for a question that is new is the slot
    before it), and where a pause ended after it: who comes back has enough to read. Quiet hours move the popup behind
    them. One that was missed is asked on return up to Sunday's midnight, and where it was moved past that, on the day
    it was moved to; then it waits for the next week.
    """
    slot = last_ask(ask, now, zone)
    while True:
        opens = after_quiet(slot, zone, quiet, weekdays_only=weekdays_only)
        popup = after_quiet(max(opens, now), zone, quiet, weekdays_only=weekdays_only)
        is_over = asked_at >= slot or _day(asked_at, zone) == _day(slot, zone) or _is_paused(slot, pause)
        if not is_over and popup < max(_end_of_week(slot, zone), _midnight(opens, zone)):
            return slot, popup
        slot = moments.wall(_day(slot, zone) + _WEEK, ask.clock, zone)


def _is_paused(slot: datetime, pause: Pause | None) -> bool:
    return pause is not None and slot < pause.end


def start_of_week(moment: datetime, zone: str) -> datetime:
    """Give the midnight that began the local week, a Monday."""
    day = _day(moment, zone)
    return moments.wall(day - timedelta(days=day.weekday()), time(0), zone)


def _end_of_week(moment: datetime, zone: str) -> datetime:
    return moments.wall(_next_monday(_day(moment, zone)), time(0), zone)


def _midnight(moment: datetime, zone: str) -> datetime:
    """Give the end of the local day."""
    return moments.wall(_day(moment, zone) + _DAY, time(0), zone)


def _day(moment: datetime, zone: str) -> date:
    return moments.local(moment, zone).date()


def pause_after(meeting_at: datetime, since: datetime, until: datetime) -> timedelta:
    """Give how much of a pause from `since` to `until` lies after a meeting: so far its best-by moves along."""
    return max(until - max(since, meeting_at), timedelta())


def due_in_pause(due_by: datetime, meeting_at: datetime, now: datetime, paused_until: datetime | None) -> datetime:
    """Give the best-by of a thanks that is noted now: in a pause, one that is not late yet moves along."""
    if paused_until is None or due_by <= now:
        return due_by
    return due_by + pause_after(meeting_at, now, paused_until)


def snooze_default(now: datetime, zone: str, quiet: Quiet | None) -> datetime:
    """Give the end of a snooze without a DELAY: in 3 h, or 09:00 next morning where that falls in quiet hours."""
    later = now + _SNOOZE
    here = moments.local(later, zone)
    if quiet is None or not _in_quiet(here.time(), quiet):
        return later
    day = here.date() if here.time() < when.MORNING else here.date() + _DAY
    return _out_of_quiet(moments.wall(day, when.MORNING, zone), zone, quiet)


def back_off(attempts: int, reply_code: int | None) -> timedelta:
    """Give the pause after `attempts` tries (1 is the first): 5 min, 15 min, 30 min, then an hour each.

    `reply_code` is the SMTP reply, None without one. 452 (RFC 5321 4.2.3: storage is full) is no greylisting, so it
    skips the short pauses.
    """
    skipped = 2 if reply_code == _STORAGE_FULL else 0
    return _PAUSES[min(max(attempts - 1, 0) + skipped, len(_PAUSES) - 1)]


def undo_hold(text: str) -> timedelta:
    """Read how long a confirmed letter can be taken back: "0s" to "10m".

    Raises ConfigError naming send.undo.
    """
    try:
        hold = when.parse_duration(text)
    except UsageError as error:
        raise _bad_undo(text) from error
    if hold > _LONGEST_UNDO:
        raise _bad_undo(text)
    return hold


def _bad_undo(text: str) -> ConfigError:
    return ConfigError(
        f"The setting send.undo can't be {text[:40]!r}.",
        "It is 0s to 10m: thanksd config set send.undo 30s",
    )
