"""Copies that are kept by themselves: one a day where something changed, old ones let go, never half of one."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import parts
import pytest
from cli_rigs import new_ledger, store_file, thanksd
from daemon_rigs import add, daemon, settings, wait_for
from store_rigs import Desk, everything, is_sound, killed_at, rows, small_disk

from thanksd import kept, paths
from thanksd.config import Copies
from thanksd.errors import ThanksdError, TryLaterError

_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def folder() -> Path:
    return paths.backups_folder()


def days() -> list[str]:
    """Give the days of the copies there are; one that is being made has another name until it is whole."""
    return sorted(path.name[6:16] for path in folder().glob("daily-*.db"))


def with_copies(desk: Desk, **keep: int) -> None:
    desk.set(config=replace(desk.context.config, copies=Copies(**keep)))


# --- when one is kept ---


def test_a_day_on_which_something_changed_has_one_copy_private_and_whole(desk: Desk) -> None:
    desk.add()
    path = Path(desk("keep_copy")["kept"])
    assert path == kept.daily_file(folder(), desk.rows("SELECT uid FROM ledger")[0]["uid"], date(2026, 3, 10))
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder().stat().st_mode)) == (0o600, 0o700)
    assert is_sound(path)
    assert everything(path) == everything(desk.file)
    desk.add("Bob Ray")
    assert desk("keep_copy")["kept"] is None
    desk.clock.forward(days=1)
    second = Path(desk("keep_copy")["kept"])
    assert [row["name"] for row in rows(second, "SELECT name FROM person")] == ["Ada Lovelace", "Bob Ray"]
    # Nothing changed since: a day without one, however many.
    for _ in range(3):
        desk.clock.forward(days=1)
        assert desk("keep_copy")["kept"] is None
    desk.add("Cy Young")
    assert desk("keep_copy")["kept"] is not None
    assert days() == ["2026-03-10", "2026-03-11", "2026-03-14"]


def test_a_clock_that_was_set_back_or_far_ahead_costs_no_copy(desk: Desk) -> None:
    for step, name in ((0, "Ada A"), (1, "Bob B"), (30_000, "Cy C"), (-30_001, "Dan D"), (1, "Eve E"), (1, "Fay F")):
        desk.clock.forward(days=step)
        desk.add(name)
        desk("keep_copy")
    assert days() == ["2026-03-10", "2026-03-11", "2026-03-12", "2108-04-30"]
    assert rows(folder() / _named("2026-03-12"), "SELECT count(*) AS n FROM person") == [{"n": 6}]


def test_todays_copy_stays_today_also_where_one_of_tomorrow_is_there(desk: Desk) -> None:
    with_copies(desk, days=1, weeks=0, months=0)
    desk.clock.forward(days=1)
    desk.add()
    desk("keep_copy")
    desk.clock.forward(days=-1)
    desk.add("Bob Ray")
    assert desk("keep_copy")["removed"] == []
    assert desk("keep_copy") == {"kept": None, "removed": []}
    assert days() == ["2026-03-10", "2026-03-11"]


def _named(day: str) -> str:
    (path,) = folder().glob(f"daily-{day}-*.db")
    return path.name


def test_without_days_weeks_and_months_none_is_kept_and_what_is_there_stays(desk: Desk) -> None:
    desk.add()
    desk("keep_copy")
    before = days()
    with_copies(desk, days=0, weeks=0, months=0)
    desk.clock.forward(days=1)
    desk.add("Bob Ray")
    assert desk("keep_copy") == {"kept": None, "removed": []}
    assert days() == before


def test_where_there_is_no_room_none_is_begun_and_that_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    size = desk.file.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * size - 1))
    with pytest.raises(TryLaterError, match="No copy of the ledger was kept"):
        desk("keep_copy")
    assert days() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * size))
    assert desk("keep_copy")["kept"] is not None


def test_a_disk_that_fills_up_leaves_no_part_of_a_copy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    place = desk.file.parent.parent / "small"
    with small_disk(place) as fill:
        monkeypatch.setattr(paths, "backups_folder", lambda: place)
        fill()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 40))
        with pytest.raises(ThanksdError):
            desk("keep_copy")
        assert [path.name for path in place.iterdir()] == ["filling"]


# --- which ones stay ---


def test_what_stays_is_the_last_days_and_the_newest_of_weeks_and_months() -> None:
    every = [date(2026, 1, 1) + timedelta(days=number) for number in range(400)]
    gone = kept.outlived(every, (7, 4, 6))
    left = sorted(set(every) - set(gone))
    # The last is Thursday 4 February 2027: seven days, the Sundays of three weeks before, the ends of five months.
    assert [day.isoformat() for day in left] == [
        *("2026-09-30", "2026-10-31", "2026-11-30", "2026-12-31"),
        *("2027-01-17", "2027-01-24"),
        *("2027-01-29", "2027-01-30", "2027-01-31", "2027-02-01", "2027-02-02", "2027-02-03", "2027-02-04"),
    ]


def test_day_after_day_the_same_ones_stay_as_all_at_once(desk: Desk) -> None:
    all_days = []
    for number in range(60):
        desk.add(f"P{number} N")
        desk("keep_copy")
        all_days.append(date(2026, 3, 10) + timedelta(days=number))
        desk.clock.forward(days=1)
    gone = {day.isoformat() for day in kept.outlived(all_days, (7, 4, 6))}
    assert days() == [day.isoformat() for day in all_days if day.isoformat() not in gone]


def test_copies_of_another_ledger_and_those_made_by_hand_are_never_let_go(desk: Desk) -> None:
    folder().mkdir(parents=True)
    others = [folder() / f"daily-2020-01-{day:02}-00000000.db" for day in range(1, 20)]
    for path in (*others, folder() / "thanksd-2020-01-01.db"):
        path.write_bytes(b"of somebody else")
    with_copies(desk, days=1, weeks=0, months=0)
    for number in range(3):
        desk.add(f"P{number} N")
        found = desk("keep_copy")
        desk.clock.forward(days=1)
    assert len(found["removed"]) == 1
    assert len(days()) == len(others) + 1
    assert (folder() / "thanksd-2020-01-01.db").exists()


# --- killed ---


@pytest.mark.matrix
def test_a_copy_that_is_killed_on_its_way_is_no_copy_and_the_next_one_tidies_up(desk: Desk) -> None:
    for number in range(30):
        desk.add(f"P{number} N", details=["x" * 2000])
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from thanksd import verbs; from thanksd.config import Config; from thanksd.database import open_store\n"
        "from thanksd.verbs.context import Context\n"
        "context = Context(open_store(sys.argv[1]), Config(), Path('/nowhere'), 'UTC', lambda: datetime.now(UTC))\n"
        "verbs.call('keep_copy', context, {})"
    )
    words = [os.fspath(Path(os.sys.executable)), "-c", program, desk.context.store.url]  # type: ignore[attr-defined]
    before, ends = everything(desk.file), []
    for call, numbers in (
        ("pwrite64", (1, 5, 20)),
        ("fsync", (1, 2)),
        ("linkat", (1,)),
        ("link", (1,)),
        ("unlink", (1,)),
    ):
        for number in numbers:
            ends.append(killed_at(call, number, words))
            assert everything(desk.file) == before
            for path in (path for path in folder().iterdir() if not path.name.startswith(".")):
                assert everything(path) == before
                path.unlink()
    assert -9 in ends
    desk("keep_copy")
    assert [path.name for path in folder().iterdir() if path.name.startswith(".")] == []
    assert len(days()) == 1


# --- the daemon ---


@pytest.fixture
def clock(short_dir: Path) -> dict[str, str]:
    """What gives a daemon a clock of ours; writing into the file `clock` sets it."""
    parts.need("faketime")
    (short_dir / "clock").write_text("+0")
    return {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(short_dir / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def set_clock(folder: Path, offset: str) -> None:
    """Set the daemon's clock; it reads the file at any moment, so it must never be half a one."""
    (folder / "new").write_text(offset)
    (folder / "new").rename(folder / "clock")


def test_the_daemon_keeps_one_each_day_while_it_goes_on(clock: dict[str, str], short_dir: Path) -> None:
    settings()
    new_ledger()
    add()
    today = datetime.now(UTC).astimezone().date()
    with daemon(quick=True, copies=True, environ=clock) as running:
        wait_for(lambda: len(days()) == 1)
        assert days() == [today.isoformat()]
        for step in (1, 2, 3):
            add(f"P{step} N")
            set_clock(short_dir, f"+{step}d")
            wait_for(lambda: str(today + timedelta(days=step)) in days())  # noqa: B023  waited for at once
        wait_for(lambda: running.log.count("a copy of the ledger is kept") == 4)
    assert days() == [(today + timedelta(days=number)).isoformat() for number in range(4)]
    newest = max(folder().iterdir(), key=lambda path: path.name)
    assert is_sound(newest)
    assert store_file().exists()


def test_a_daemon_that_just_started_and_a_single_pass_keep_none_yet() -> None:
    settings()
    new_ledger()
    add()
    with daemon(quick=True) as running:
        wait_for(lambda: "is running" in running.log)
        add("Bob Ray")
    assert thanksd("run", "--once").code == 0
    assert days() == []


def test_copies_are_consistent_while_others_write_and_writers_are_not_refused() -> None:
    settings()
    new_ledger()
    with daemon(quick=True, copies=True):
        for number in range(12):
            # Two people of one meeting: a copy with only one of them would be of no moment there ever was.
            done = thanksd("add", f"Ada N{number}", "--with", f"Bob N{number}", "--after", "1h")
            assert done.code == 0
            for path in folder().iterdir() if folder().exists() else ():
                if not path.name.startswith("."):
                    assert is_sound(path)
                    path.unlink()
        thanksd("add", "Cy Young", "--with", "Dan Poe", "--after", "1h")
        wait_for(days)
    for path in folder().iterdir():
        (row,) = rows(path, "SELECT count(*) AS n FROM thanks")
        assert row["n"] % 2 == 0


# --- looked at, and put back ---


def test_copies_are_listed_and_the_newest_is_named_where_none_was() -> None:
    new_ledger()
    assert thanksd("backup", "--list", "--json").json["copies"] == []
    done = thanksd("restore")
    assert (done.code, "None is kept" in done.err) == (2, True)
    thanksd("add", "Ada Lovelace")
    mine = thanksd("backup", "--json").json["backup"]["path"]
    daily = Path(mine).with_name("daily-2026-01-02-0123abcd.db")
    daily.write_bytes(Path(mine).read_bytes())
    os.utime(daily, (1, 1))
    found: list[dict[str, Any]] = thanksd("backup", "--list", "--json").json["copies"]
    assert [(one["path"], one["why"]) for one in found] == [(str(daily), "daily"), (mine, "by hand")]
    assert found[0]["until"] == "1970-01-01T00:00:01Z"
    done = thanksd("restore")
    assert (done.code, done.err.splitlines()[-1]) == (2, f"thanksd restore {mine}")
    assert thanksd("restore", str(daily), "--yes").code == 0
