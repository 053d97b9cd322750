"""Time does what it does to laptops: each nudge once, as soon as it may; each letter once, never before its moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cells import Say, cell
from cli_rigs import change, config_file, configure, new_ledger, store_file, thanksd
from clock_rigs import TICK, popup_at, shown, world
from daemon_rigs import Ledger, add, confirm, query, settings, value, wait_for

ONE = "Thank Ada Lovelace?"
STEPS = {"+1 h": 1, "-1 h": -1, "+1 day": 24, "-1 day": -24}


@pytest.fixture(autouse=True)
def ledger() -> Path:
    settings()
    return new_ledger()


# --- no daemon, or one that stands still ---


@pytest.mark.parametrize(
    ("away", "absence", "names", "title"),
    [
        cell("Clock", "No daemon over the due moment", "a minute", 60, (300, 120), ["Ada Lovelace"], ONE, daily=True),
        cell("Clock", "No daemon over the due moment", "a day", 86400, (300, 1), ["Ada Lovelace"], ONE),
        cell("Clock", "No daemon over the due moment", "a day, two due", 86400, (300, 1), ["Ada Lovelace", "Chen Wei"],
             "2 people to thank"),
    ],
)  # fmt: skip
def test_what_came_due_without_a_daemon_is_nudged_at_its_start(
    short_dir: Path, seen: Say, away: int, absence: tuple[float, float], names: list[str], title: str
) -> None:
    for name in names:
        add(name, after="1s")
    began = datetime.now(UTC) + timedelta(seconds=away)
    with world(short_dir, began, absence=absence) as one:
        one.has_nudged_once(began, (title,))
    late = "at its start" if away == 60 else "two minutes after its start, as somebody is only just back"
    seen(f"nudged once, {late}" + (", in one popup" if len(names) > 1 else ""), cases=len(names))


@pytest.mark.parametrize(
    "ahead",
    [
        cell("Clock", "Stopped over the due moment (SIGSTOP), then on", "the clock right", 0, daily=True),
        cell("Clock", "Stopped over the due moment (SIGSTOP), then on", "the clock 1 h behind since", -1),
        cell("Clock", "Stopped over the due moment (SIGSTOP), then on", "the clock 8 h ahead: a sleep", 8),
    ],
)
def test_what_came_due_while_the_daemon_stood_still_is_nudged_when_it_goes_on(
    short_dir: Path, seen: Say, ahead: int
) -> None:
    with world(short_dir, absence=(3, 1)) as one:
        add(after="2s")
        due = popup_at()
        with one.daemon.frozen():
            one.clock.wait_until(due + timedelta(seconds=2))
            one.clock.step(timedelta(hours=ahead))
            goes_on = one.clock.now
        if ahead < 0:
            one.is_quiet()
            goes_on = due - timedelta(seconds=1)
            one.clock.set(goes_on)
        one.has_nudged_once(max(goes_on, due))
    seen("nudged once, when its moment comes again" if ahead < 0 else "nudged once, a tick after it goes on at most")


# --- a clock that is set ---


@pytest.mark.parametrize(
    "step", [cell("Clock", "Clock set before the nudge", name, name, daily=name == "-1 h") for name in STEPS]
)
def test_a_step_of_the_clock_before_the_nudge_neither_loses_nor_doubles_it(
    short_dir: Path, seen: Say, step: str
) -> None:
    by = timedelta(hours=STEPS[step])
    with world(short_dir) as one:
        add(after=f"{max(STEPS[step] * 3600 - 60, 4)}s")
        due = popup_at()
        first = one.step(by)
        if by < timedelta():
            # What counts is the clock, not how long it was: the four seconds go by, and nothing comes.
            wait_for(lambda: one.clock.now - by > due)
            one.is_quiet()
            one.clock.set(due - timedelta(seconds=1))
            first = due
        one.has_nudged_once(first)
    seen(
        "nudged once, at its moment on the new clock" if by < timedelta() else "nudged once, within a tick of the step"
    )


@pytest.mark.parametrize(
    "step", [cell("Clock", "Clock set after the nudge", name, name, daily=name == "-1 day") for name in STEPS]
)
def test_a_step_of_the_clock_after_the_nudge_does_not_show_it_again(short_dir: Path, seen: Say, step: str) -> None:
    by = timedelta(hours=STEPS[step])
    with world(short_dir) as one:
        add(after="1s")
        one.has_nudged_once(popup_at())
        again = popup_at()
        first = one.step(by)
        if by < timedelta(days=1):
            one.is_quiet()
            assert (len(one.screen.titles), popup_at()) == (1, again)
            seen("not shown again; the reminder after it keeps its moment")
            return
        # Four hours after the first comes the second by the cadence, whoever moved the clock.
        tried = shown(2)
        assert again <= first <= tried[1] < first + TICK
        one.step(-by)
        one.is_quiet()
        assert (len(one.screen.titles), popup_at() > one.clock.now) == (2, True)
    seen("its second reminder, 4 h after the first, is past: shown once; set back again, nothing more comes")


@pytest.mark.parametrize(
    "hours",
    [cell("Clock", "Clock set under the daemon's own tick of 30 s", f"{hours:+} h", hours) for hours in (1, -1)],
)
def test_the_real_daemon_notices_a_step_within_its_tick(short_dir: Path, seen: Say, hours: int) -> None:
    with world(short_dir, quick=False) as one:
        add(after="50m")
        # Until it sleeps for the whole of its tick.
        one.clock.wait_until(one.clock.now + timedelta(seconds=4))
        with one.daemon.frozen():
            one.clock.step(timedelta(hours=hours))
            first = one.clock.now
            if hours < 0:
                # Behind its back: the moment that it has planned is an hour away.
                text = first.strftime("%Y-%m-%d %H:%M:%S.%f")
                change(store_file(), "UPDATE thanks SET popup_at = ?", text)
        tried = shown(seconds=45)
        assert len(tried) == len(one.screen.titles) == 1
        assert first <= tried[0] < first + TICK
    seen("nudged once, within the tick")


@pytest.mark.cell("Clock", "Clock set after the nudge", "-1 day, after three of that day")
def test_what_was_shown_tomorrow_takes_no_room_from_today(tmp_path: Path, seen: Say) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="")
    for number, name in enumerate(("Ada Lovelace", "Chen Wei", "Tom Jones"), 1):
        ledger.add(name)
        ledger.later(seconds=2)
        ledger.show(number)
    ledger.later(days=-1)
    ledger.add("Grace Hopper", after="")
    ledger.later(hours=3, seconds=1)
    assert [one["thanks"] for one in ledger.due()] == [[4]]
    seen("a fourth that comes due on the day before is nudged at its moment")


# --- letters ---


@pytest.mark.parametrize(
    "step", [cell("Clock", "Clock set while letters are held", name, name, daily=name == "+1 h") for name in STEPS]
)
def test_letters_that_wait_for_their_moment_leave_once_on_whatever_clock(short_dir: Path, seen: Say, step: str) -> None:
    mail, by = settings(undo="10m"), timedelta(hours=STEPS[step])
    at = (datetime.now(UTC) + timedelta(minutes=20)).isoformat(timespec="seconds")
    with world(short_dir) as one:
        confirm(add())
        assert thanksd("send", str(add("Chen Wei")), "--yes", "--at", at).code == 0
        moments = [_moment(text) for (text,) in query("SELECT leaves_at FROM letter ORDER BY id")]
        assert timedelta(minutes=9) < moments[1] - moments[0] < timedelta(minutes=11)
        one.step(by)
        if by < timedelta():
            one.clock.is_looked_at()
            assert [state for (state,) in query("SELECT state FROM letter")] == ["queued", "queued"]
            one.clock.set(moments[0] - timedelta(seconds=1))
            wait_for(lambda: value("SELECT state FROM letter WHERE id = 1") == "sent")
            assert value("SELECT state FROM letter WHERE id = 2") == "queued"
            one.clock.set(moments[1] - timedelta(seconds=1))
        wait_for(lambda: query("SELECT state FROM letter") == [("sent",)] * 2)
        one.step(-by)
        one.clock.is_looked_at()
    sent = query("SELECT sent_at >= leaves_at, attempts FROM letter")
    assert (sent, len(list((mail / "new").iterdir()))) == ([(1, 1)] * 2, 2)
    seen("each leaves once, not before its moment on the clock: one held for undo, one with --at", cases=2)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- days that are not like others ---


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        cell("Clock", "Year ends and rare days", "31 Dec 2026 23:59:59, of week 53", "Europe/Berlin", "2026-12-31T23:59:59+01:00", daily=True),
        cell("Clock", "Year ends and rare days", "1 Jan 2027 in Auckland, 31 Dec in UTC", "Pacific/Auckland", "2027-01-01T00:00:00+13:00"),
        cell("Clock", "Year ends and rare days", "1 Jan 2027 in UTC, 31 Dec in New York", "America/New_York", "2026-12-31T19:00:00-05:00"),
        cell("Clock", "Year ends and rare days", "29 Feb 2028", "Europe/Berlin", "2028-02-29T00:00:01+01:00"),
        cell("Clock", "Year ends and rare days", "1 Mar 2027, after 28 Feb", "Europe/Berlin", "2027-03-01T00:00:00+01:00"),
        cell("Clock", "Year ends and rare days", "19 Jan 2038 03:14:08 UTC, 2^31 s", "UTC", "2038-01-19T03:14:08+00:00"),
    ],
)  # fmt: skip
def test_a_nudge_over_the_end_of_a_year_comes_at_its_moment(short_dir: Path, seen: Say, zone: str, due: str) -> None:
    moment = datetime.fromisoformat(due).astimezone(UTC)
    config = config_file().read_text(encoding="utf-8").replace("Europe/Berlin", zone)
    configure(config)
    with world(short_dir, moment - timedelta(minutes=1)) as one:
        add(after=due)
        assert popup_at() == moment
        one.clock.set(moment - timedelta(seconds=3))
        one.has_nudged_once(moment)
    seen("nudged once, at its moment")
