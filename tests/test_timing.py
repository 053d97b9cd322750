"""When to nudge, when to stay quiet, when to try again."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanksd import moments, policy, timing
from thanksd.errors import ConfigError
from thanksd.timing import Quiet

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("repeatable")

BERLIN = "Europe/Berlin"
ZONES = ("Pacific/Auckland", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", BERLIN, "UTC")
NIGHT = Quiet(time(21), time(8, 30))

# Hypothesis wants its bounds naive, and adds the zone.
START, END = (datetime(year, 2, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2001, 2080))
zones = st.sampled_from(ZONES)
# Every second hit lies within a day of a clock change of one of the zones, where mistakes live.
_CHANGES = [
    datetime(2025, 3, 9, 7, tzinfo=UTC),  # New York, forward
    datetime(2025, 11, 2, 6, tzinfo=UTC),  # New York, back
    datetime(2025, 3, 30, 1, tzinfo=UTC),  # Berlin, forward
    datetime(2025, 10, 26, 1, tzinfo=UTC),  # Berlin, back
    datetime(2025, 4, 5, 15, tzinfo=UTC),  # Lord Howe, back by half an hour
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),  # Lord Howe, forward by half an hour
    datetime(2025, 4, 5, 14, tzinfo=UTC),  # Auckland, back
    datetime(2025, 9, 27, 14, tzinfo=UTC),  # Auckland, forward
]
any_moment = st.one_of(
    st.datetimes(START, END, timezones=st.just(UTC)),
    st.builds(lambda at, minutes: at + timedelta(minutes=minutes), st.sampled_from(_CHANGES), st.integers(-1440, 1440)),
)
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
quiets = st.one_of(
    st.none(), st.just(NIGHT), st.builds(Quiet, clocks, clocks).filter(lambda quiet: quiet.start != quiet.end)
)


def at(text: str, zone: str = BERLIN) -> datetime:
    """Read "2025-03-11 15:00" on the clock of `zone`."""
    day, _, clock = text.partition(" ")
    return moments.wall(date.fromisoformat(day), time.fromisoformat(clock), zone)


def is_quiet(moment: datetime, zone: str, quiet: Quiet) -> bool:
    """Tell minute by minute, the long way round."""
    minutes = (quiet.end.hour - quiet.start.hour) * 60 + quiet.end.minute - quiet.start.minute
    here = moments.local(moment, zone)
    since = (here.hour - quiet.start.hour) * 60 + here.minute - quiet.start.minute
    return since % 1440 < minutes % 1440


# --- quiet hours ---


@pytest.mark.parametrize(
    ("text", "quiet"),
    [
        ("21:00-08:30", NIGHT),
        (" 9:00 - 17:00 ", Quiet(time(9), time(17))),
        ("00:00-23:59", Quiet(time(0), time(23, 59))),
        ("", None),
        ("  ", None),
    ],
)
def test_quiet_hours_are_read(text: str, quiet: Quiet | None) -> None:
    assert timing.parse_quiet(text) == quiet


@pytest.mark.parametrize(
    "text",
    [
        *("21:00", "21-8", "21:00-", "-08:30", "21:00-24:00", "25:61-08:00", "21:00-08:30-09:00", "9pm-8am", "off"),
        *("08:00-08:00", "21:00-8:3", "+1:00-08:30", "\u0662\u0661:00-08:30", "\0", "x" * 10_000),
    ],
)
def test_bad_quiet_hours_are_refused_naming_the_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.quiet_hours") as caught:
        timing.parse_quiet(text)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("moment", "weekdays_only", "expected"),
    [
        ("2025-03-11 20:59", False, "2025-03-11 20:59"),
        ("2025-03-11 21:00", False, "2025-03-12 08:30"),
        ("2025-03-12 00:10", False, "2025-03-12 08:30"),
        ("2025-03-12 08:29", False, "2025-03-12 08:30"),
        ("2025-03-12 08:30", False, "2025-03-12 08:30"),
        ("2025-03-15 12:00", False, "2025-03-15 12:00"),  # a Saturday
        ("2025-03-15 12:00", True, "2025-03-17 08:30"),
        ("2025-03-16 23:00", True, "2025-03-17 08:30"),
        ("2025-03-14 22:00", True, "2025-03-17 08:30"),  # Friday's night ends on Saturday
        ("2025-03-29 22:00", False, "2025-03-30 08:30"),  # the short night
        ("2025-10-25 22:00", False, "2025-10-26 08:30"),  # the long night
    ],
)
def test_quiet_hours_and_weekends_move_a_popup(moment: str, weekdays_only: bool, expected: str) -> None:
    assert timing.after_quiet(at(moment), BERLIN, NIGHT, weekdays_only=weekdays_only) == at(expected)


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        (None, "2025-03-17 09:00"),
        (Quiet(time(12), time(14)), "2025-03-17 09:00"),
        (Quiet(time(8), time(10)), "2025-03-17 10:00"),
    ],
)
def test_a_weekend_without_night_hours_ends_on_monday_at_nine(quiet: Quiet | None, expected: str) -> None:
    assert timing.after_quiet(at("2025-03-15 12:30"), BERLIN, quiet, weekdays_only=True) == at(expected)


def test_quiet_hours_that_end_in_the_skipped_hour_end_after_it() -> None:
    quiet = Quiet(time(21), time(2, 30))
    moved = timing.after_quiet(at("2025-03-29 22:00"), BERLIN, quiet, weekdays_only=False)
    assert moved == datetime(2025, 3, 30, 1, 0, tzinfo=UTC)


def test_quiet_hours_in_the_hour_that_comes_twice_never_move_a_popup_back() -> None:
    quiet = Quiet(time(21), time(2, 30))
    second_pass = datetime(2025, 10, 26, 1, 10, tzinfo=UTC)
    moved = timing.after_quiet(second_pass, BERLIN, quiet, weekdays_only=False)
    assert moved == datetime(2025, 10, 26, 1, 30, tzinfo=UTC)


@given(any_moment, zones, quiets, st.booleans())
def test_no_moved_popup_lies_in_quiet_hours_or_on_a_free_day_or_earlier(
    moment: datetime, zone: str, quiet: Quiet | None, weekdays_only: bool
) -> None:
    moved = timing.after_quiet(moment, zone, quiet, weekdays_only=weekdays_only)
    assert moment <= moved <= moment + timedelta(days=5)
    assert moved.utcoffset() == timedelta()
    assert quiet is None or not is_quiet(moved, zone, quiet)
    assert not weekdays_only or moments.local(moved, zone).weekday() < 5
    assert timing.after_quiet(moved, zone, quiet, weekdays_only=weekdays_only) == moved


# --- the schedule ---


@pytest.mark.parametrize(
    ("kind", "nudge", "best_by"),
    [
        ("coffee", "2025-03-11 18:00", "2025-03-12 15:00"),
        ("interview", "2025-03-11 17:00", "2025-03-12 15:00"),
        ("introduction", "2025-03-11 15:15", "2025-03-12 15:00"),
        ("speaker", "2025-03-11 18:00", "2025-03-13 15:00"),
        ("event", "2025-03-12 09:00", "2025-03-14 15:00"),
        ("general", "2025-03-12 09:00", "2025-03-13 15:00"),
        ("gift", "2025-03-12 09:00", "2025-03-18 15:00"),
    ],
)
def test_a_meeting_is_scheduled_by_its_kind(kind: str, nudge: str, best_by: str) -> None:
    assert timing.schedule(policy.rule(kind), at("2025-03-11 15:00"), BERLIN) == (at(nudge), at(best_by))


@pytest.mark.parametrize(
    ("zone", "meeting", "nudge"),
    [
        # The same moment is another day for each: the next day is that of the local clock.
        ("Pacific/Auckland", "2025-03-11T12:30:00Z", "2025-03-12T20:00:00Z"),
        ("Asia/Kolkata", "2025-03-11T12:30:00Z", "2025-03-12T03:30:00Z"),
        ("America/New_York", "2025-03-11T12:30:00Z", "2025-03-12T13:00:00Z"),
        # Over a clock change 09:00 stays 09:00.
        ("Europe/Berlin", "2025-03-29T19:00:00Z", "2025-03-30T07:00:00Z"),
        ("Europe/Berlin", "2025-10-25T18:00:00Z", "2025-10-26T08:00:00Z"),
    ],
)
def test_next_day_at_nine_is_the_local_clocks(zone: str, meeting: str, nudge: str) -> None:
    nudge_at, _ = timing.schedule(policy.rule("event"), moments.from_iso(meeting), zone)
    assert moments.to_iso(nudge_at) == nudge


@pytest.mark.parametrize(
    ("words", "zone", "meeting", "nudge"),
    [
        ("next day 02:30", BERLIN, "2025-03-29T12:00:00Z", "2025-03-30T01:00:00Z"),  # skipped
        ("next day 02:30", BERLIN, "2025-10-25T12:00:00Z", "2025-10-26T00:30:00Z"),  # twice
        ("next day 02:15", "Australia/Lord_Howe", "2025-10-04T01:00:00Z", "2025-10-04T15:30:00Z"),
        ("next day 00:00", "Asia/Beirut", "2025-03-29T12:00:00Z", "2025-03-29T22:00:00Z"),  # midnight skipped
    ],
)
def test_a_rule_that_hits_a_clock_change_takes_the_first_moment_there_is(
    words: str, zone: str, meeting: str, nudge: str
) -> None:
    nudge_at, _ = timing.schedule(policy.rule("event", own={"nudge": words}), moments.from_iso(meeting), zone)
    assert moments.to_iso(nudge_at) == nudge


@pytest.mark.parametrize(
    "words",
    [
        *("3", "soon", "-2h", "next day", "next day 25:61", "next week 09:00", "tomorrow", " "),
        *("3h in", "3h in 9", "3h in 18:00-09:00", "in 09:00-18:00", "3h in 09:00-09:00"),
    ],
)
def test_a_rule_of_the_user_that_cannot_be_read_names_its_setting(words: str) -> None:
    meeting = at("2025-03-11 15:00")
    with pytest.raises(ConfigError, match=r"kind\.NAME\.nudge"):
        timing.schedule(policy.rule("coffee", own={"nudge": words}), meeting, BERLIN)
    with pytest.raises(ConfigError, match=r"kind\.NAME\.best_by"):
        timing.schedule(policy.rule("coffee", own={"best_by": words}), meeting, BERLIN)


# A coffee at 19:00 on the local clock, and when it is fitting to be reminded of it: in the words of GOLDEN's table.
NEW_YORK, TOKYO, HONG_KONG, PARIS = "America/New_York", "Asia/Tokyo", "Asia/Hong_Kong", "Europe/Paris"
GOLDEN = [
    (TOKYO, "ja", "2025-03-12 09:00", "2025-03-12 19:00"),
    (NEW_YORK, "en", "2025-03-11 22:00", "2025-03-12 19:00"),
    (BERLIN, "de", "2025-03-12 09:00", "2025-03-14 19:00"),
    (HONG_KONG, "zh-hant", "2025-03-12 09:00", "2025-03-13 19:00"),
    (PARIS, "fr", "2025-03-12 09:00", "2025-03-12 19:00"),
]


@pytest.mark.parametrize(("zone", "lang", "nudge", "best_by"), GOLDEN)
def test_a_coffee_at_seven_in_the_evening_is_thanked_for_by_the_custom_of_the_place(
    zone: str, lang: str, nudge: str, best_by: str
) -> None:
    meeting = moments.wall(date(2025, 3, 11), time(19), zone)
    found = [
        f"{moments.local(one, zone):%Y-%m-%d %H:%M}"
        for one in timing.schedule(policy.rule("coffee", lang), meeting, zone)
    ]
    assert found == [nudge, best_by]


@pytest.mark.parametrize(
    ("meeting", "nudge"),
    [
        *(("08:59", "11 09:59"), ("07:30", "11 09:00"), ("16:59", "11 17:59"), ("17:00", "12 09:00")),
        *(("23:30", "12 09:00"), ("00:10", "11 09:00")),
    ],
)
def test_what_falls_out_of_office_hours_waits_for_their_start(meeting: str, nudge: str) -> None:
    at_clock = moments.wall(date(2025, 3, 11), time.fromisoformat(meeting), TOKYO)
    nudge_at, _ = timing.schedule(policy.rule("coffee", own={"nudge": "1h in 09:00-18:00"}), at_clock, TOKYO)
    assert f"{moments.local(nudge_at, TOKYO):%d %H:%M}" == nudge


def test_a_note_is_late_in_its_own_words_some_days_after_best_by_and_never_before_it() -> None:
    meeting, rule = at("2025-03-11 15:00"), policy.rule("coffee")
    assert timing.late_from(rule, meeting, at("2025-03-12 15:00")) == at("2025-03-15 15:00")
    # A pause moved best-by past it.
    assert timing.late_from(rule, meeting, at("2025-03-20 15:00")) == at("2025-03-20 15:00")


def test_a_span_of_the_user_that_cannot_be_read_names_its_setting() -> None:
    rule, meeting = policy.rule("coffee", own={"belated": "next day 09:00"}), at("2025-03-11 15:00")
    with pytest.raises(ConfigError, match=r"kind\.NAME\.belated"):
        timing.late_from(rule, meeting, meeting)


@given(st.sampled_from(policy.kinds()), st.sampled_from(policy.cultures()), any_moment, zones)
def test_every_kind_nudges_after_the_meeting_and_before_best_by(
    kind: str, lang: str, meeting: datetime, zone: str
) -> None:
    nudge_at, due_by = timing.schedule(policy.rule(kind, lang), meeting, zone)
    assert meeting < nudge_at < due_by
    assert nudge_at.utcoffset() == due_by.utcoffset() == timedelta()


# --- popups ---


@pytest.mark.parametrize(
    ("nudge", "now", "outright", "expected"),
    [
        ("2025-03-11 18:00", "2025-03-11 15:00", False, "2025-03-11 18:00"),
        ("2025-03-11 22:00", "2025-03-11 19:00", False, "2025-03-12 08:30"),
        ("2025-03-11 22:00", "2025-03-11 19:00", True, "2025-03-11 22:00"),  # the user said so
        ("2025-03-11 18:00", "2025-03-12 10:00", False, "2025-03-12 10:15"),  # due already: never at once
        ("2025-03-12 10:00", "2025-03-12 10:00", False, "2025-03-12 10:15"),
        ("2025-03-11 18:00", "2025-03-12 20:50", False, "2025-03-13 08:30"),
    ],
)
def test_the_first_popup(nudge: str, now: str, outright: bool, expected: str) -> None:
    popup = timing.first_popup(at(nudge), at(now), BERLIN, NIGHT, weekdays_only=False, outright=outright)
    assert popup == at(expected)


def test_an_unanswered_thanks_pops_up_again_after_four_hours_then_daily_then_on_mondays() -> None:
    shown, due_by, seen = at("2025-03-11 15:00"), at("2025-03-12 12:00"), []
    for count in range(1, 9):
        shown = timing.next_popup(shown, count, due_by, BERLIN, NIGHT, weekdays_only=False)
        seen.append(f"{moments.local(shown, BERLIN):%Y-%m-%d %H:%M}")
    assert seen == [
        *("2025-03-11 19:00", "2025-03-12 09:00", "2025-03-13 09:00", "2025-03-14 09:00", "2025-03-15 09:00"),
        *("2025-03-17 09:00", "2025-03-24 09:00", "2025-03-31 09:00"),  # the last one in summer time
    ]


def test_the_second_popup_waits_for_the_end_of_quiet_hours() -> None:
    again = timing.next_popup(at("2025-03-11 18:00"), 1, at("2025-03-20 12:00"), BERLIN, NIGHT, weekdays_only=False)
    assert again == at("2025-03-12 08:30")


def test_monday_popups_are_weekly_and_those_up_to_three_days_late_are_not() -> None:
    due_by = at("2025-03-12 12:00")
    assert not timing.is_weekly(due_by + timedelta(days=3), due_by)
    assert timing.is_weekly(due_by + timedelta(days=3, seconds=1), due_by)


@given(any_moment, st.integers(1, 200), st.integers(-400, 400), zones, quiets, st.booleans())
def test_there_is_always_a_next_popup_and_it_is_later(
    shown: datetime, count: int, days: int, zone: str, quiet: Quiet | None, weekdays_only: bool
) -> None:
    due_by = shown + timedelta(days=days)
    popup = timing.next_popup(shown, count, due_by, zone, quiet, weekdays_only=weekdays_only)
    assert shown < popup <= shown + timedelta(days=9)
    assert quiet is None or not is_quiet(popup, zone, quiet)
    assert not weekdays_only or moments.local(popup, zone).weekday() < 5


@given(any_moment, st.integers(2, 200), st.integers(-400, 400), zones, st.sampled_from([None, NIGHT]))
def test_weekly_popups_come_on_mondays_at_nine(
    shown: datetime, count: int, days: int, zone: str, quiet: Quiet | None
) -> None:
    due_by = shown + timedelta(days=days)
    popup = timing.next_popup(shown, count, due_by, zone, quiet, weekdays_only=False)
    here = moments.local(popup, zone)
    assert here.time() == time(9)
    assert here.weekday() == 0 or not timing.is_weekly(popup, due_by)
    assert (here.date() - moments.local(shown, zone).date()).days == 1 or timing.is_weekly(popup, due_by)


# --- snooze, back-off, undo ---


@pytest.mark.parametrize(
    ("now", "quiet", "expected"),
    [
        ("2025-03-11 15:00", NIGHT, "2025-03-11 18:00"),
        ("2025-03-11 17:59", NIGHT, "2025-03-11 20:59"),
        ("2025-03-11 18:00", NIGHT, "2025-03-12 09:00"),
        ("2025-03-11 22:00", NIGHT, "2025-03-12 09:00"),
        ("2025-03-12 03:00", NIGHT, "2025-03-12 09:00"),
        ("2025-03-11 22:00", None, "2025-03-12 01:00"),
        ("2025-03-11 22:00", Quiet(time(21), time(10)), "2025-03-12 10:00"),
    ],
)
def test_a_snooze_lasts_three_hours_or_until_the_morning(now: str, quiet: Quiet | None, expected: str) -> None:
    assert timing.snooze_default(at(now), BERLIN, quiet) == at(expected)


@given(any_moment, zones, quiets)
def test_a_snooze_ends_later_and_outside_quiet_hours(now: datetime, zone: str, quiet: Quiet | None) -> None:
    end = timing.snooze_default(now, zone, quiet)
    assert end >= now + timedelta(hours=3)
    assert quiet is None or not is_quiet(end, zone, quiet)


def test_tries_are_spaced_out_to_an_hour() -> None:
    pauses = [timing.back_off(attempts, 451) for attempts in range(1, 8)]
    assert pauses == [timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 60, 60, 60)]
    assert timing.back_off(1, None) == timedelta(minutes=5)
    assert timing.back_off(10_000, None) == timedelta(hours=1)


def test_a_full_server_is_not_asked_again_within_half_an_hour() -> None:
    assert [timing.back_off(attempts, 452) for attempts in (1, 2, 3)] == [
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(hours=1),
    ]


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30s", 30), ("2 min", 120), ("10m", 600), ("600s", 600)])
def test_the_undo_hold_is_read(text: str, seconds: int) -> None:
    assert timing.undo_hold(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "-1s", "601s", "1h", "soon", "x" * 500])
def test_an_undo_hold_that_is_no_hold_names_its_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"send\.undo"):
        timing.undo_hold(text)
