"""How it went, week by week: what is counted and where, in the verb and on the terminal."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import terminal_rigs as rigs
from cli_rigs import change, new_ledger, thanksd
from store_rigs import NOON, Desk

from thanksd.errors import UsageError


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A Tuesday noon in Berlin."""
    return Desk(tmp_path)


def counted(found: dict[str, Any]) -> dict[str, tuple[int, int, int, int]]:
    """Give the weeks that have something in them."""
    rows = {one["week"]: (one["owed"], one["given"], one["late"], one["waived"]) for one in found["weeks"]}
    return {week: numbers for week, numbers in rows.items() if any(numbers)}


def test_with_nothing_noted_all_numbers_are_zero_and_no_hours_are_said(desk: Desk) -> None:
    found = desk("stats")
    assert len(found["weeks"]) == 26
    assert (found["weeks"][0]["week"], found["weeks"][-1]["week"]) == ("2025-09-15", "2026-03-09")
    assert (found["met"], found["owed"], found["in_time"]) == (0, 0, {"count": 0, "of": 0})
    assert (found["hours"]["median"], found["hours"]["nine_of_ten"], found["hours"]["of"]) == (None, None, 0)
    assert found["promises"] == {"made": 0, "kept": 0, "in_time": {"count": 0, "of": 0}}


def test_every_kind_of_end_is_counted_in_the_week_of_its_meeting(desk: Desk) -> None:
    by_letter = desk.add("Ada", when="2026-03-03 12:00")
    otherwise, waived = desk.add("Bob", when="2026-03-05 12:00"), desk.add("Chen", when="2026-03-05 13:00")
    desk.add("Dan", when="2026-03-06 12:00", details=[])
    desk.add("Eve")
    desk.confirm(by_letter)
    desk("dispatch")
    desk("done", ref=str(otherwise), how="by phone")
    desk("waive", ref=str(waived))
    found = desk("stats", weeks=2)
    assert counted(found) == {"2026-03-02": (3, 2, 1, 1), "2026-03-09": (1, 0, 0, 0)}
    totals = {name: found[name] for name in ("met", "owed", "given", "late", "waived")}
    assert totals == {"met": 5, "owed": 4, "given": 2, "late": 1, "waived": 1}
    # Both came after their best-by, and one is late that was not given.
    assert (found["in_time"], found["details"]) == ({"count": 0, "of": 3}, {"count": 3, "of": 4})
    assert counted(desk("stats", weeks=1)) == {"2026-03-09": (1, 0, 0, 0)}


def test_it_says_the_same_as_the_month_of_the_summary(desk: Desk) -> None:
    numbers = [desk.add(name) for name in ("Ada", "Bob", "Chen", "Dan", "Eve")]
    desk("done", ref=str(numbers[0]))
    desk("waive", ref=str(numbers[1]))
    desk.confirm(numbers[2], at_once=False)
    desk("practice")
    desk("forget_person", who="Bob")
    desk("forget_person", who="Ada")
    desk.clock.forward(days=5)
    desk("done", ref=str(numbers[3]))
    month, found = desk("summary"), desk("stats", weeks=3)
    assert (month["met"], month["thanked"], month["in_time"]) == (5, 3, 2)
    assert (found["met"], found["given"], found["in_time"]["count"]) == (5, 3, 2)
    # Ada, who was forgotten, has neither a meeting nor details any more, and Bob's was waived.
    assert (found["owed"], found["waived"], found["late"]) == (4, 1, 1)
    assert (found["hours"]["of"], found["details"]) == (2, {"count": 3, "of": 3})


def test_a_letter_that_opened_elsewhere_counts_once_it_is_said_to_be_sent(desk: Desk) -> None:
    desk.confirm(desk.add())
    with desk.context.store.write() as connection:
        connection.exec_driver_sql("UPDATE letter SET state = 'held', reason = 'handed-off'")
    assert desk("stats")["given"] == 0
    desk("resolve", ref="1", how="sent")
    assert desk("stats")["given"] == 1


def test_a_week_begins_on_the_users_own_monday(desk: Desk) -> None:
    # Sunday 23:30 in UTC: Monday 00:30 in Berlin, and 19:30 on Sunday in New York.
    desk.add("Ada", when="2026-03-09 00:30")
    assert counted(desk("stats")) == {"2026-03-09": (1, 0, 1, 0)}
    desk.set(zone="America/New_York")
    found = desk("stats", weeks=2)
    assert (counted(found), found["zone"]) == ({"2026-03-02": (1, 0, 1, 0)}, "America/New_York")


def test_somebody_forgotten_counts_where_they_were_noted_as_no_meeting_is_left(desk: Desk) -> None:
    # A Sunday, when its best-by is already in the week after.
    desk.clock.moment = NOON.replace(day=8)
    desk("done", ref=str(desk.add("Ada", when="2026-02-25 12:00")))
    desk.add("Bob")
    for name in ("Ada", "Bob"):
        desk("forget_person", who=name)
    desk.clock.forward(days=2)
    assert counted(desk("stats")) == {"2026-03-02": (1, 1, 0, 1)}


def test_weeks_are_counted_over_the_change_of_the_clocks(desk: Desk) -> None:
    desk.clock.moment = datetime(2026, 4, 1, 10, tzinfo=UTC)
    desk.add("Ada", when="2026-03-29 23:59")
    desk.add("Bob", when="2026-03-30 00:00")
    assert list(counted(desk("stats", weeks=2))) == ["2026-03-23", "2026-03-30"]


def test_how_soon_is_said_as_one_of_them_was_and_by_local_days(desk: Desk) -> None:
    # Given at noon on Tuesday: so many hours after each meeting.
    whens = ["2026-03-10 11:00", "2026-03-10 02:00", "2026-03-09 23:30", "2026-03-07 12:00", "2026-03-03 12:00"]
    for number, when in enumerate([*whens, "2026-03-02 12:00"], 1):
        desk.add(f"P{number}", when=when)
        desk("done", ref=str(number))
    found = desk("stats")["hours"]
    assert (found["of"], found["median"], found["nine_of_ten"]) == (6, 12.5, 192.0)
    assert [(one["name"], one["given"]) for one in found["within"]] == [
        ("same day", 2),
        ("next day", 1),
        ("within 3 days", 1),
        ("within a week", 1),
        ("later", 1),
    ]


def test_a_promise_is_in_time_all_of_its_day_and_late_from_the_next(desk: Desk) -> None:
    desk.add(promises=["a paper by 2026-03-13", "slides by 2026-03-12", "a talk by 2026-03-20", "an intro to Tom"])
    numbers = [one["id"] for one in desk("promises")["promises"]]
    desk.clock.moment = NOON.replace(day=13, hour=22, minute=30)
    slides, paper, _, intro = numbers
    assert desk("stats")["promises"] == {"made": 4, "kept": 0, "in_time": {"count": 0, "of": 1}}
    for number in (slides, paper, intro):
        desk("promise_done", number=number)
    assert desk("stats")["promises"] == {"made": 4, "kept": 3, "in_time": {"count": 1, "of": 2}}


@pytest.mark.parametrize("weeks", [0, -1, 521, 10**30])
def test_no_week_and_too_many_are_refused(desk: Desk, weeks: int) -> None:
    with pytest.raises(UsageError, match="from 1 to 520"):
        desk("stats", weeks=weeks)
    assert len(desk("stats", weeks=520)["weeks"]) == 520


def test_ten_thousand_are_counted_with_as_many_questions_as_one_and_at_once(desk: Desk) -> None:
    number, before = desk.add(promises=["the paper by friday"]), _questions(desk)
    with desk.context.store.write() as connection:
        columns = "person_id, state, details, nudge_at, due_by, outright, created_at, changed_at"
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
        days = "strftime('%Y-%m-%d %H:%M:%f000', at, '-' || (i % 180) || ' days')"
        connection.exec_driver_sql(
            f"INSERT INTO meeting (id, kind, at, tz, day, place, about) {numbers} "  # noqa: S608  no value in it
            f"SELECT i + 1, kind, {days}, tz, day, place, about FROM n, meeting WHERE id = 1"
        )
        connection.exec_driver_sql(
            f"INSERT INTO thanks (meeting_id, uid, {columns}) {numbers} "  # noqa: S608  as above
            f"SELECT i + 1, 'u' || i, {columns} FROM n, thanks WHERE thanks.id = {number}"
        )
    begun = time.process_time()
    found = desk("stats", weeks=52)
    assert (found["owed"], sum(one["owed"] for one in found["weeks"])) == (10_001, 10_001)
    assert time.process_time() - begun < 2.5
    assert _questions(desk) == before


def _questions(desk: Desk) -> int:
    """Count the statements of one look back."""
    from sqlalchemy import event  # noqa: PLC0415  for this one alone

    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    with desk.context.store.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    desk("stats")
    event.remove(engine, "before_cursor_execute", note)
    return sum(one.startswith("SELECT") for one in said)


# --- the command ---


def test_on_a_terminal_weeks_have_numbers_and_bars_and_the_rest_is_said_in_sentences(home: Path) -> None:
    ledger = new_ledger()
    rigs.configure(home)
    met = [(b"Ada", b"now"), (b"Bob", b"now"), (b"Chen", b"3w ago")]
    lines = b"".join(b"%s,%s@example.com,coffee,%s,your talk\n" % (name, name.lower(), when) for name, when in met)
    assert thanksd("add", "-", stdin=lines).code == 0
    thanksd("add", "Dan", "-w", "3w ago", "-p", "a paper")
    for number in ("1", "3"):
        assert thanksd("done", number).code == 0
    assert thanksd("waive", "4").code == 0
    with rigs.terminal("stats", lines=40) as terminal:
        assert terminal.end() == 0
    text = terminal.text
    assert terminal.lines[0].split() == ["WEEK", "OF", "OWED", "GIVEN"]
    rows = [re.sub(r"^\w{3} \d+ \w{3} +", "", line) for line in terminal.lines[1:] if re.match(r"\w{3} \d", line)]
    assert [row.split() for row in (rows[0], rows[-1])] == [["1", "1", "#"], ["2", "1", "#-"]]
    assert [row.split() for row in rows[1:-1]] == [["0", "0"]] * (len(rows) - 2)
    assert "# given, - not given yet. Nothing in the 2" in text
    assert "Given: 2 of 3 owed, 1 waived besides." in text
    assert "In time: 1 of 2. With a detail noted: 3 of 3." in text
    assert "half within 1 h, nine of ten within 3 weeks." in " ".join(text.split())
    assert "Promises: 1 made, 0 kept." in text
    assert max(map(len, terminal.lines)) <= 80
    assert ledger.exists()


def test_a_longer_bar_than_fits_stands_for_more_and_says_so(home: Path) -> None:
    ledger = new_ledger()
    rigs.configure(home)
    thanksd("add", "Ada")
    columns = "meeting_id, state, details, nudge_at, due_by, outright, created_at, changed_at"
    many = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
    change(ledger, f"INSERT INTO thanks (uid, person_id, {columns}) {many} SELECT i, -i, {columns} FROM n, thanks")  # noqa: S608  no value in it
    with rigs.terminal("stats") as terminal:
        assert terminal.end() == 0
    assert f"100      0   {'-' * 34}\n" in terminal.text
    assert "- not given yet, one for every 3." in terminal.text


def test_with_no_thanks_yet_it_is_kind_and_silent_for_programs(home: Path) -> None:
    new_ledger()
    rigs.configure(home)
    with rigs.terminal("stats") as terminal:
        assert terminal.end() == 0
    assert terminal.lines[0] == "No thanks in these 26 weeks yet. The first one you give will be counted here."
    assert "Met somebody: thanksd add" in terminal.text
    done = thanksd("stats")
    assert (done.code, done.out) == (0, "")


def test_programs_get_the_numbers_of_json_in_lines_of_tabs(home: Path) -> None:
    new_ledger()
    rigs.configure(home)
    thanksd("add", "Ada", "-w", "2h ago", "-d", "your talk", "-p", "the paper by friday")
    thanksd("done", "1")
    found = thanksd("stats", "--weeks", "2", "--json").json["stats"]
    rows = [line.split("\t") for line in thanksd("stats", "--weeks", "2").out.splitlines()]
    assert [row[1:] for row in rows if row[0] == "week"] == [
        [str(one[name]) for name in ("week", "owed", "given", "late", "waived")] for one in found["weeks"]
    ]
    others = {tuple(row[:2]): row[2] for row in rows if row[0] in ("all", "hours", "within")}
    assert others["all", "given"] == "1"
    assert others["hours", "median"] == str(found["hours"]["median"]) == "2.0"
    assert others["within", "within a week"] == "0"
    assert ["in_time", "1", "1"] in rows
    assert ["promises", "in_time", "0", "0"] in rows
