"""What is owed as a calendar: which entries there are, that every reader of iCalendar reads them, and how it is kept."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import change, new_ledger, thanksd
from icalendar import Calendar
from store_rigs import Desk

from thanksd import calendar_file

HOSTILE = [
    "Ada\r\nBEGIN:VEVENT\nSUMMARY:mine",
    'a;b,c\\n:d"e\\',
    "long " * 400,
    "👩🏽‍🚀" * 60,
    "abc\u202exyz\u2066\u200f",
    "\x00\x07\x1b[31m",
    "山田 太郎",
    "",
]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def read(data: bytes) -> list[Any]:
    """Give the entries, as a program that knows nothing of us reads them."""
    assert data.decode().replace("\r\n", "").count("\n") == 0
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    whole = Calendar.from_ical(data)
    assert str(whole["version"]) == "2.0"
    return list(whole.walk("VEVENT"))


def written(desk: Desk) -> bytes:
    found = desk("feed")
    return calendar_file.calendar(found["events"], found["zone"])


def test_each_waiting_thanks_stands_at_its_nudge_with_what_there_is_to_know(desk: Desk) -> None:
    number = desk.add(details=["why you left Rust", "the book"])
    uid, changed = desk.thanks(number)["uid"], datetime(2026, 3, 10, 11, tzinfo=UTC)
    (entry,) = read(written(desk))
    assert (str(entry["summary"]), str(entry["uid"])) == ("Thank Ada Lovelace (coffee)", f"{uid}@thanksd")
    # Coffee at noon in Berlin: three hours later, for a quarter of an hour.
    assert (entry["dtstart"].dt, entry["dtend"].dt - entry["dtstart"].dt) == (
        changed + timedelta(hours=3),
        timedelta(minutes=15),
    )
    assert (entry["dtstamp"].dt, entry["last-modified"].dt) == (changed, changed)
    assert str(entry["description"]).split("\n") == [
        "Best by Wed 11 Mar 2026 12:00 CET (Europe/Berlin)",
        "why you left Rust",
        "the book",
        f"thanksd review {number}",
    ]
    assert (str(entry["class"]), str(entry["transp"])) == ("PRIVATE", "TRANSPARENT")
    assert entry.walk("VALARM") == []


def test_one_that_was_moved_keeps_its_name_and_one_that_was_answered_goes(desk: Desk) -> None:
    number, other = desk.add(), desk.add("Bob Ray")
    before = {str(one["uid"]): one["dtstart"].dt for one in read(written(desk))}
    desk.clock.forward(minutes=5)
    desk("snooze", ref=str(number), delay="2d")
    after = {str(one["uid"]): one for one in read(written(desk))}
    assert after.keys() == before.keys()
    moved = after[f"{desk.thanks(number)['uid']}@thanksd"]
    assert moved["dtstart"].dt == datetime(2026, 3, 12, 11, 5, tzinfo=UTC)
    assert moved["last-modified"].dt == datetime(2026, 3, 10, 11, 5, tzinfo=UTC)
    desk("waive", ref=str(number))
    desk.confirm(other, at_once=False)
    assert (desk("feed")["events"], read(written(desk))) == ([], [])
    # A letter that is taken back is owed as before.
    desk("undo", ref=str(other))
    assert [one["thanks"] for one in desk("feed")["events"]] == [other]


def test_an_open_promise_that_has_a_day_stands_at_it_until_it_is_kept(desk: Desk) -> None:
    number = desk.add(promises=["the paper by friday", "the paper by friday", "an intro to Tom"])
    desk("done", ref=str(number))
    first, second = read(written(desk))
    assert str(first["summary"]) == str(second["summary"]) == "Promised Ada Lovelace: the paper"
    assert first["dtstart"].dt == datetime(2026, 3, 13, 8, tzinfo=UTC)
    assert str(first["description"]).split("\n")[-1] == "thanksd promise done 1"
    assert str(first["uid"]) != str(second["uid"])
    # Noted anew with its thanks it is another row, and the same promise.
    desk("undo", ref=str(number))
    desk("edit", ref=str(number), promises=["the slides by thursday", "the paper by friday"])
    papers = [one for one in desk("feed")["events"] if one["text"] == "the paper"]
    assert [f"{one['uid']}@thanksd" for one in papers] == [str(first["uid"])]
    for one in desk("promises")["promises"]:
        desk("promise_done", number=one["id"])
    assert [one["what"] for one in desk("feed")["events"]] == ["thanks"]


def test_a_ledger_that_took_it_in_has_the_same_names_and_nobody_forgotten_or_practised_is_there(
    desk: Desk, tmp_path: Path
) -> None:
    desk("practice")
    desk.add(promises=["the paper by friday"])
    desk.add("Zoe Gone", promises=["a book by friday"])
    desk("forget_person", who="Zoe Gone")
    other = Desk(tmp_path / "other")
    other("take_in", parcel=desk("export"))
    here, there = ([one["uid"] for one in one_of("feed")["events"]] for one_of in (desk, other))
    assert len(here) == 2
    assert here == there


def test_the_same_ledger_gives_the_same_bytes(desk: Desk) -> None:
    desk.add(promises=["the paper by friday"])
    before = written(desk)
    desk.clock.forward(hours=2)
    assert written(desk) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_no_word_can_break_out_of_its_line_or_turn_others_around(name: str) -> None:
    moment = "2026-03-10T11:00:00Z"
    event = {"uid": "u", "what": "thanks", "number": 1, "thanks": 1, "person": name, "kind": name, "text": name}
    event |= {"at": moment, "due_by": moment, "changed_at": moment, "details": [name, name]}
    for what in ("thanks", "promise"):
        both = [{**event, "what": what}, {**event, "what": what, "uid": "v", "person": "Ada", "text": "x", "kind": "y"}]
        data = calendar_file.calendar(both, "Europe/Berlin")
        first, second = read(data)
        assert (str(first["uid"]), str(second["uid"])) == ("u@thanksd", "v@thanksd")
        said = str(first["summary"]) + str(first["description"])
        assert not set(said) & set("\x00\x07\x1b\r\u202e\u2066\u200f\u2028")
        assert said.count("\n") == 3
        assert data.count(b"\r\nBEGIN:VEVENT") == 2
    # What is harmless is whole, however long it is.
    if name.isprintable():
        assert name in str(read(calendar_file.alone(event, "Europe/Berlin"))[0]["summary"])


def test_one_thanks_alone_rings_at_its_moment(desk: Desk) -> None:
    desk.add()
    data = calendar_file.alone(desk("feed")["events"][0], "Europe/Berlin")
    (entry,) = read(data)
    (alarm,) = entry.walk("VALARM")
    assert (str(alarm["action"]), str(alarm["description"])) == ("DISPLAY", "Thank Ada Lovelace (coffee)")
    assert alarm["trigger"].dt == timedelta(0)
    assert str(entry["description"]).endswith("\nthanksd review 1")


# --- the command ---


def test_the_command_writes_a_private_file_over_an_older_one_or_prints_it(home: Path, short_dir: Path) -> None:
    ledger, place = new_ledger(), short_dir / "it.ics"
    thanksd("add", "Ada Lovelace", "-k", "coffee", "-d", "your talk")
    change(ledger, "UPDATE person SET name = ?", "Eve\nX-EVIL:1\u202e;\\")
    place.write_text("an older one, open to all")
    place.chmod(0o644)
    link = short_dir / "link.ics"
    link.symlink_to(place)
    done = thanksd("feed", "--output", str(link))
    assert (done.code, done.out) == (0, f"Written: {place} (1 entry)\n")
    assert (place.stat().st_mode & 0o777, link.is_symlink()) == (0o600, True)
    (entry,) = read(place.read_bytes())
    assert str(entry["summary"]) == "Thank Eve\\x0aX-EVIL:1\\u202e;\\ (coffee)"
    assert thanksd("feed").out.encode() == place.read_bytes()
    assert sorted(os.listdir(short_dir)) == ["h", "it.ics", "link.ics"]  # noqa: PTH208  names are all it is about
    assert home.exists()


def test_an_older_calendar_stays_where_the_new_one_can_not_be_written(short_dir: Path) -> None:
    new_ledger()
    full = short_dir / "x" / "it.ics"
    done = thanksd("feed", "--output", str(full))
    assert (done.code, done.out, full.parent.exists()) == (77, "", False)
    assert "Nothing was changed." in done.err
    (short_dir / "pipe").mkdir()
    assert thanksd("feed", "--output", str(short_dir / "pipe")).code == 2
    os.mkfifo(short_dir / "fifo")
    assert thanksd("feed", "--output", str(short_dir / "fifo")).code == 2
