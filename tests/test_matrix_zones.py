"""Clocks that skip an hour or show it twice, zones that change and zones that are none: nudges keep to the local clock."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import clock_rigs
import desktop_rigs
import parts
import pytest
from cells import Say, cell
from cli_rigs import change, config_file, configure, new_ledger, store_file, thanksd
from clock_rigs import TICK, Screen, WallClock, popup_at, shown, world
from daemon_rigs import SCRIPT, add, answers, client, daemon, settings, value, wait_for

from thanksd import moments, policy, timing, when
from thanksd.errors import UsageError
from thanksd.timing import Quiet
from thanksd.world import user_zone

ZONES = ("Pacific/Auckland", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", "Europe/Berlin")
CHANGING = tuple(zone for zone in ZONES if zone != "Asia/Kolkata")


@pytest.fixture(autouse=True)
def ledger() -> Path:
    settings()
    return new_ledger()


class Change(NamedTuple):
    """A night on which the clocks change at `at` by `by`: ahead (a time is skipped), back (one comes twice), or not."""

    at: datetime
    by: timedelta
    zone: str

    @property
    def odd(self) -> datetime:
        """A clock time, naive, in the middle of what is skipped or comes twice."""
        before = (self.at - timedelta(seconds=1)).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        return before + timedelta(seconds=1) + self.by / 2

    @property
    def first(self) -> datetime:
        """The first moment at which a clock shows that time, or a later one of that night."""
        return self.at if self.by > timedelta() else self.at + self.by / 2


@cache
def changes(zone: str, years: range) -> list[Change]:
    """Give every change of the clocks of a zone in these years."""
    found, tz = [], ZoneInfo(zone)
    moment = datetime(years[0], 1, 1, tzinfo=UTC)
    while moment.year <= years[-1]:
        later = moment + timedelta(minutes=30)
        by = (later.astimezone(tz).utcoffset() or timedelta()) - (moment.astimezone(tz).utcoffset() or timedelta())
        if by:
            found.append(Change(later, by, zone))
        moment = later
    return found


def a_change(zone: str, what: str) -> Change:
    """Give the change of this kind in 2027; of a zone without any, a night on which others change."""
    sign = {"ahead": 1, "back": -1, "none": 0}[what]
    if not sign:
        return Change(datetime(2027, 3, 27, 21, tzinfo=UTC), timedelta(), zone)
    return next(one for one in changes(zone, range(2027, 2028)) if (one.by > timedelta()) == (sign > 0))


# --- nights on which the clocks change, with a real daemon ---


def _nights() -> Iterator[tuple[str, str]]:
    yield from product(CHANGING, ("ahead", "back"))
    yield "Asia/Kolkata", "none"


def _set(zone: str, quiet: str, event: str) -> None:
    settings(quiet=quiet)
    text = config_file().read_text(encoding="utf-8").replace("Europe/Berlin", zone)
    configure(f'{text}[kind.event]\nnudge = "next day {event}"\n')


@pytest.mark.parametrize(
    ("zone", "what"),
    [
        cell("Clock", "The night the clocks change", f"{zone}, {what}", zone, what, daily=(zone, what) == ("Australia/Lord_Howe", "back"))
        for zone, what in _nights()
    ],
)  # fmt: skip
def test_on_the_night_the_clocks_change_each_nudge_comes_once_and_quiet_hours_hold(
    short_dir: Path, seen: Say, zone: str, what: str
) -> None:
    night = a_change(zone, what)
    odd = f"{night.odd:%H:%M}"
    _set(zone, f"21:00-{odd}", odd)
    with world(short_dir, night.at - timedelta(hours=12)) as one:
        evening = datetime.combine((night.odd - timedelta(days=1)).date(), time(19), ZoneInfo(zone))
        add("Ada Lovelace", after="", when=evening.isoformat())
        add("Chen Wei", after="", kind="event", when=(evening - timedelta(hours=1)).isoformat())
        before, span = one.clock.now, night.first - one.clock.now
        add("Tom Jones", after=f"{span // timedelta(seconds=1)}s")
        assert [popup_at(number) for number in (1, 2)] == [night.first] * 2
        assert timedelta(seconds=-1) <= popup_at(3) - (before + span) <= one.clock.now - before
        one.clock.set(night.first - timedelta(seconds=9))
        one.is_quiet()
        last = max(night.first, popup_at(3))
        # All at once, so that they are one popup: three would leave no room on that day for the one below.
        with one.daemon.frozen():
            one.clock.set(last)
        wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == 3)
        assert value("SELECT count(*) FROM nudge WHERE attempted_at < due_at") == 0
        assert value("SELECT max(attempted_at) FROM nudge") < f"{last + TICK:%Y-%m-%d %H:%M:%S}"
        # Where the same clock time comes again, nothing does.
        one.clock.set(night.at + abs(night.by))
        one.is_quiet()
        nudged = len(one.screen.titles)
        assert value("SELECT count(*) FROM nudge") == 3
        for number in ("1", "2", "3"):
            client().call("done", ref=number)
        # Quiet hours that begin then hold, also for what waited already.
        _set(zone, f"{odd}-08:30", odd)
        one.clock.set(night.at + abs(night.by) / 2 + timedelta(minutes=1))
        add("Grace Hopper", after="", when="4h ago")
        morning = datetime.combine(night.odd.date(), time(8, 30), ZoneInfo(zone)).astimezone(UTC)
        assert popup_at(4) == morning
        change(store_file(), "UPDATE thanks SET popup_at = ? WHERE id = 4", f"{one.clock.now:%Y-%m-%d %H:%M:%S.%f}")
        one.is_quiet()
        assert popup_at(4) == morning
        one.clock.set(morning - timedelta(seconds=2))
        wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == 4)
        assert one.screen.titles[nudged:] == ["Thank Grace Hopper?"]
        assert value("SELECT max(attempted_at) FROM nudge") >= f"{morning:%Y-%m-%d %H:%M:%S}"
    at = {"ahead": "the first moment after the skip", "back": "the first of the two", "none": "that time"}[what]
    seen(
        f"due at {odd}, quiet hours that end at {odd} and a delay until then: nudged once, at {at}; "
        f"quiet hours that begin at {odd} hold from then on",
        cases=4,
    )


# --- many such nights, by the rules alone ---

CLOCKS = [time(hour, minute) for hour in range(5) for minute in (0, 15, 30, 45)] + [time(8, 30), time(21), time(23, 45)]


def _quiets() -> Iterator[Quiet]:
    for start, end in product(CLOCKS, CLOCKS):
        if start != end:
            yield Quiet(start, end)


def _minutes(night: Change) -> list[tuple[datetime, int]]:
    """Give each minute around a change, with the minutes of the day that a local clock shows then."""
    tz, first = ZoneInfo(night.zone), night.at - timedelta(hours=5)
    shown = []
    for number in range(36 * 60):
        moment = first + timedelta(minutes=number)
        here = moment.astimezone(tz)
        shown.append((moment, here.hour * 60 + here.minute))
    return shown


def _first_free(minutes: list[tuple[datetime, int]], quiet: Quiet) -> list[datetime | None]:
    """Give for each minute the first from it on whose clock time is free: found by looking at every one of them."""
    start, end = (one.hour * 60 + one.minute for one in quiet)
    free: datetime | None = None
    found = []
    for moment, clock in reversed(minutes):
        if (clock - start) % 1440 >= (end - start) % 1440:
            free = moment
        found.append(free)
    return found[::-1]


@pytest.mark.parametrize(
    "zone", [cell("Clock", "Quiet hours over every change, 2024 to 2039", zone, zone, daily=zone == "Europe/Berlin") for zone in CHANGING]
)  # fmt: skip
def test_quiet_hours_end_at_their_first_free_minute_on_every_night_the_clocks_change(seen: Say, zone: str) -> None:
    cases = 0
    for night in changes(zone, range(2024, 2040)):
        minutes = _minutes(night)
        for quiet in list(_quiets())[cases % 25 :: 25]:
            for (moment, _), free in list(zip(minutes[:660], _first_free(minutes, quiet), strict=False))[::29]:
                moved = timing.after_quiet(moment, zone, quiet, weekdays_only=False)
                begins_twice = night.by < timedelta() and moments.readings(night.odd.date(), quiet.start, zone)
                again = begins_twice and begins_twice[0] != begins_twice[1]
                # Quiet hours that begin in what comes twice have begun at the first: they don't open again for it.
                assert moved == free or (again and free is not None and free < moved), (night, quiet, moment)
                cases += 1
    seen("a popup waits until the first minute that is not quiet by the local clock, and never longer", cases=cases)


@pytest.mark.parametrize(
    "zone",
    [cell("Clock", "Every day, 2024 to 2039", zone, zone, daily=zone == "Australia/Lord_Howe") for zone in ZONES],
)
def test_next_day_at_nine_and_the_reminders_after_it_keep_to_the_local_clock(seen: Say, zone: str) -> None:
    tz, cases = ZoneInfo(zone), 0
    meeting = datetime(2024, 1, 1, 12, 30, tzinfo=UTC)
    rule, quiet = policy.rule("event"), Quiet(time(21), time(8, 30))
    while meeting.year < 2040:
        nudge_at, _ = timing.schedule(rule, meeting, zone)
        here, day = nudge_at.astimezone(tz), meeting.astimezone(tz).date() + timedelta(days=1)
        assert (here.date(), here.time()) == (day, time(9))
        again = timing.next_popup(nudge_at, 2, nudge_at + timedelta(days=9), zone, quiet, weekdays_only=False)
        assert (again.astimezone(tz).date(), again.astimezone(tz).time()) == (day + timedelta(days=1), time(9))
        cases += 2
        meeting += timedelta(days=1)
    seen("the day after at 09:00 is that day at 09:00, over year ends, leap days and changed clocks", cases=cases)


# --- words for a moment that does not exist, or exists twice ---


def _refused(text: str, zone: str, now: datetime) -> list[str]:
    said = []
    for parse in (when.parse_when, when.parse_delay):
        with pytest.raises(UsageError) as caught:
            parse(text, now, zone)
        said.append(f"{caught.value.message} {caught.value.hint}")
    return said


@pytest.mark.parametrize(
    ("zone", "what"),
    [
        cell("Clock", f"Words for a time that {word}", zone, zone, what, daily=zone == "America/New_York")
        for word, what in (("is skipped", "ahead"), ("comes twice", "back"))
        for zone in CHANGING
    ],
)
def test_words_for_a_time_that_is_not_there_or_twice_are_refused_with_the_two_that_are(
    short_dir: Path, seen: Say, zone: str, what: str
) -> None:
    nights = [one for one in changes(zone, range(2024, 2040)) if (one.by > timedelta()) == (what == "ahead")]
    word = "the clocks skip it" if what == "ahead" else "comes twice"
    for night in nights:
        # Said on the evening before, as of a meeting to come and as a delay.
        evening = night.at - timedelta(hours=8)
        for said in _refused(f"{night.odd:%Y-%m-%d %H:%M}", zone, evening):
            assert word in said
            assert [when.parse_when(one, evening, zone) for one in _readings(said)] == _wanted(night, what)
    night = nights[3]
    _set(zone, "", "09:00")
    clock = WallClock(short_dir, night.at - timedelta(hours=8))
    text = f"{night.odd:%Y-%m-%d %H:%M}"
    add("Chen Wei")
    commands = (["add", "Ada Lovelace", "-k", "coffee", "-w", text], ["send", "1", "--yes", "--at", text])
    for command in commands:
        done = thanksd(*command, env=clock.environ)
        assert (done.code, word in done.err) == (2, True), done
    counts = [value(f"SELECT count(*) FROM {table}") for table in ("thanks", "letter")]  # noqa: S608  our own tables
    assert counts == [1, 0]
    said_so = "both times beside it" if what == "ahead" else "both of its moments"
    seen(f"refused, exit 2, with {said_so} ready to paste; nothing is noted or sent", cases=2 * len(nights) + 2)


def _readings(said: str) -> list[str]:
    """Give the two moments that an error's hint offers."""
    hint = said.rpartition("Say ")[2].rstrip(".")
    first, _, second = hint.partition(" or ")
    return [first, second]


def _wanted(night: Change, what: str) -> list[datetime]:
    if what == "ahead":
        return [night.at - night.by / 2, night.at + night.by / 2]
    return [night.at + night.by / 2, night.at - night.by / 2]


# --- a zone that changes, or is none ---

_OWN_ETC = 'mount --bind "$1" /etc && shift && exec "$@"'


@contextmanager
def _daemon_with_etc(folder: Path) -> Iterator[tuple[WallClock, Screen, Path]]:
    """Run the real daemon where /etc is a copy, and give its /etc/localtime, which leads to Berlin."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount another /etc")
    parts.need("unshare", "mount", "cp")
    etc = folder / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
    clock = WallClock(folder, datetime(2027, 3, 10, 12, tzinfo=UTC))
    environ = {name: text for name, text in os.environ.items() if name != "TZ"} | clock.environ
    words = ["unshare", "--mount", "sh", "-c", _OWN_ETC, "sh", str(etc), SCRIPT, "run"]
    _leads_to(etc / "localtime", "Europe/Berlin")
    with clock_rigs.screen(folder) as screen, desktop_rigs.process(*words, environ=environ | screen.environ):
        wait_for(answers)
        yield clock, screen, etc / "localtime"


def _leads_to(link: Path, zone: str) -> None:
    """Change a link to a zone as `timedatectl set-timezone` does."""
    new = link.with_suffix(".new")
    new.symlink_to(f"/usr/share/zoneinfo/{zone}")
    new.replace(link)


def _nudged_by_the_new_zone(clock: WallClock, screen: Screen, moves: Callable[[], None]) -> None:
    """See quiet hours of Kolkata kept by a nudge that was planned on Berlin's clock."""
    add(after="", when="2027-03-10T17:00+01:00")
    assert popup_at() == datetime(2027, 3, 10, 19, tzinfo=UTC)
    moves()
    for moment in (datetime(2027, 3, 10, 19, 0, 1, tzinfo=UTC), datetime(2027, 3, 11, 3, 0, 1, tzinfo=UTC)):
        assert screen.titles == []
        clock.set(moment)
        clock.is_looked_at(poked=True)
    assert (screen.titles, value("SELECT count(*) FROM nudge")) == (["Thank Ada Lovelace?"], 1)


@pytest.mark.cell("Clock", "Zone changed while it runs", "me.timezone, Berlin to Kolkata")
def test_another_zone_in_the_settings_moves_quiet_hours_at_once(short_dir: Path, seen: Say) -> None:
    _set("Europe/Berlin", "21:00-08:30", "09:00")
    with world(short_dir, datetime(2027, 3, 10, 12, tzinfo=UTC)) as one:
        _nudged_by_the_new_zone(one.clock, one.screen, lambda: _set("Asia/Kolkata", "21:00-08:30", "09:00"))
    seen("quiet hours are the new zone's from the next pass on; nudged once, when they end there")


@pytest.mark.cell("Clock", "Zone changed while it runs", "/etc/localtime, Berlin to Kolkata")
@pytest.mark.matrix
def test_another_system_zone_moves_quiet_hours_at_once(short_dir: Path, seen: Say) -> None:
    _set("", "21:00-08:30", "09:00")
    with _daemon_with_etc(short_dir) as (clock, screen, link):
        _nudged_by_the_new_zone(clock, screen, lambda: _leads_to(link, "Asia/Kolkata"))
    seen("quiet hours are the new zone's from the next pass on; nudged once, when they end there")


@pytest.mark.cell("Clock", "Zone changed while it runs", "TZ of a terminal other than the daemon's")
@pytest.mark.matrix
def test_a_terminal_in_another_zone_is_understood_in_its_own(short_dir: Path, seen: Say) -> None:
    _set("", "21:00-08:30", "09:00")
    with world(short_dir, datetime(2027, 3, 10, 12, tzinfo=UTC)) as one:
        words = ["add", "Ada Lovelace", "-k", "coffee", "-d", "Rust", "-w", "today 09:00", "--after", "21:30"]
        done = thanksd(*words, env={**one.clock.environ, "TZ": "America/New_York"})
        assert (done.code, value("SELECT tz FROM meeting")) == (0, "America/New_York")
        assert value("SELECT at FROM meeting").startswith("2027-03-10 14:00:00")
        assert popup_at() == datetime(2027, 3, 11, 2, 30, tzinfo=UTC)
        due = popup_at()
        one.clock.set(due - timedelta(seconds=1))
        one.has_nudged_once(due)
    seen("its words are read, and its moments said, in its own zone; nudged once, at that moment")


# What TZ may be, the zone that it is taken for ("": the system's), and whether that has to be said.
_TZ = {
    "empty": ("", "", False),
    ":Europe/Berlin": (":Europe/Berlin", "Europe/Berlin", False),
    "a file, :/usr/share/zoneinfo/...": (":/usr/share/zoneinfo/Asia/Kolkata", "Asia/Kolkata", False),
    "Nowhere/Land": ("Nowhere/Land", "", True),
    "CET-1CEST,M3.5.0,M10.5.0/3": ("CET-1CEST,M3.5.0,M10.5.0/3", "", True),
    "../../etc/passwd": ("../../etc/passwd", "", True),
    "control characters": ("\x07\x1b[31m\n", "", True),
    "5,000 characters": ("x" * 5000, "", True),
}


@pytest.mark.parametrize(
    ("tz", "zone", "is_odd"),
    [cell("Clock", "TZ of daemon and terminal", name, *_TZ[name], daily=name == "Nowhere/Land") for name in _TZ],
)
def test_whatever_tz_is_everything_works_and_a_zone_that_is_none_is_said(
    short_dir: Path, seen: Say, monkeypatch: pytest.MonkeyPatch, tz: str, zone: str, is_odd: bool
) -> None:
    monkeypatch.setenv("TZ", tz)
    _set("", "", "09:00")
    read_in = zone or user_zone("", "")
    with clock_rigs.screen(short_dir) as screen, daemon(environ=screen.environ, quick=True) as running:
        done = thanksd("add", "Ada Lovelace", "-k", "coffee", "-d", "Rust", "-w", "2026-03-11 15:00", "--after", "1s")
        assert (done.code, done.err) == (0, "")
        assert f"({read_in})" in done.out
        tried = shown()
        assert (len(tried), screen.titles) == (1, ["Thank Ada Lovelace?"])
        assert value("SELECT tz FROM meeting") == read_in
        assert "Traceback" not in running.log
        findings = thanksd("doctor", "--offline").out
    assert ("names no zone" in " ".join(findings.split())) == is_odd
    assert "\x1b" not in done.out + findings
    seen(
        f"nudged once; times are read in {zone or 'the zone of the system'}" + ("" if zone else ", and doctor says so")
    )
