from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from store_rigs import NOON, Desk, everything

from thanksd import outbox, states
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Base
from thanksd.outbox import Result

REJECTED = Result(states.REJECTED, "550 no such person", 550, "")


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def be_rejected(desk: Desk) -> None:
    """Carry the next letter that may leave to a server that refuses it."""
    store, now = desk.context.store, desk.clock()
    with store.write() as connection:
        (held,) = outbox.claim(connection, now, "m b 1 1")
    with store.write() as connection:
        assert outbox.mark_dot(connection, now, held)
    with store.write() as connection:
        assert outbox.settle(connection, now, held, REJECTED)


# --- undo ---


def test_a_snooze_of_moments_that_were_edited_away_can_not_be_taken_back(desk: Desk) -> None:
    number = desk.add()
    desk("snooze", ref=str(number), delay="2h")
    desk("edit", ref=str(number), when="yesterday 15:00")
    edited = desk.thanks(number)
    with pytest.raises(UsageError, match="nothing to take back"):
        desk("undo", ref=str(number))
    assert desk.thanks(number) == edited
    assert edited["state"] == "owed"


def test_thanks_given_otherwise_can_be_taken_back_whatever_the_other_way_is_called(desk: Desk) -> None:
    number = desk.add()
    desk("done", ref=str(number), how="letter")
    assert desk("undo", ref=str(number))["notes"][0].startswith("Taken back: thanked otherwise")
    assert desk.thanks(number)["state"] == "owed"


def test_a_letter_taken_back_leaves_its_thanks_snoozed_as_it_was(desk: Desk) -> None:
    number = desk.add()
    until = desk("snooze", ref=str(number), delay="2h")["thanks"][0]["nudge_at"]
    desk.confirm(number, at_once=False)
    back = desk("undo", ref=str(number))["thanks"][0]
    assert (back["state"], back["nudge_at"]) == ("snoozed", until)


def test_what_was_taken_back_once_is_not_taken_back_twice(desk: Desk) -> None:
    number = desk.add()
    for move in ("waive", "done", "snooze"):
        desk(move, ref=str(number))
        desk("undo", ref=str(number))
        with pytest.raises(UsageError, match="nothing to take back"):
            desk("undo", ref=str(number))


def test_undo_without_a_name_takes_back_the_last_thing(desk: Desk) -> None:
    first, second = desk.add(), desk.add("Bob Ray")
    desk("waive", ref=str(second))
    desk.clock.forward(minutes=1)
    desk("snooze", ref=str(first))
    assert [desk("undo")["thanks"][0]["id"] for _ in range(2)] == [first, second]
    with pytest.raises(NotFoundError, match="nothing to take back"):
        desk("undo")


# --- edit ---


def test_somebody_known_to_have_been_there_is_not_added_twice(desk: Desk) -> None:
    number = desk.add()
    for _ in range(2):
        desk("edit", ref=str(number), others=["Bob Ray bob@example.com", "Ada Lovelace"])
    assert desk.rows("SELECT person_id, meeting_id FROM thanks") == [
        {"person_id": 1, "meeting_id": 1},
        {"person_id": 2, "meeting_id": 1},
    ]


@pytest.mark.parametrize(
    "move",
    [
        lambda desk, number: desk.confirm(number, at_once=False),
        lambda desk, number: desk("waive", ref=str(number)),
        lambda desk, number: desk("done", ref=str(number)),
    ],
    ids=["confirm", "waive", "done"],
)
def test_what_is_confirmed_or_closed_is_not_edited(desk: Desk, move: Callable[[Desk, int], object]) -> None:
    number = desk.add()
    move(desk, number)
    before = everything(desk.file)
    with pytest.raises(UsageError, match=r"is confirmed|already"):
        desk("edit", ref=str(number), place="Café Einstein")
    assert everything(desk.file) == before


# --- the promises in the store itself ---


def insert(table: str, **changed: str) -> str:
    """Give the statement that stores a table's rows once more, under new numbers and with these columns changed."""
    names = [column.name for column in Base.metadata.tables[table].columns]
    values = [{"id": "NULL", **changed}.get(name, f'"{name}"') for name in names]
    return f'INSERT INTO "{table}" SELECT {", ".join(values)} FROM "{table}"'  # noqa: S608  our own names


@pytest.mark.parametrize(
    "statement",
    [
        insert("thanks", uid="'x'"),
        insert("person"),
        insert("letter", message_id="'x'", state="'queued'"),
        insert("letter", state="'failed'"),
        insert("attempt"),
        "UPDATE thanks SET meeting_id = 99",
        "DELETE FROM person",
        "DELETE FROM letter",
    ],
)
def test_the_store_itself_refuses_what_would_break_a_promise(desk: Desk, statement: str) -> None:
    desk.queued()
    desk("dispatch")
    before = everything(desk.file)
    with contextlib.closing(sqlite3.connect(desk.file)) as other:
        other.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(statement)
    assert everything(desk.file) == before


def test_two_imports_of_one_meeting_are_refused(desk: Desk) -> None:
    row = "INSERT INTO meeting (kind, at, tz, day, place, about, source, uid, recurrence_id) VALUES ('meal', '', '', '', '', ''"
    with contextlib.closing(sqlite3.connect(desk.file)) as other:
        other.execute(f"{row}, 'ics', 'u1', '')")
        other.execute(f"{row}, 'ics', 'u1', '2')")
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(f"{row}, 'ics', 'u1', '')")


def test_a_second_letter_may_follow_only_one_that_surely_did_not_leave(desk: Desk) -> None:
    number = desk.queued()
    raw = partial(desk.rows, "SELECT state, message_id FROM letter ORDER BY id")
    desk("undo", ref=str(number))
    desk.confirm(number)
    be_rejected(desk)
    desk.confirm(number)
    assert [letter["state"] for letter in raw()] == ["cancelled", "failed", "queued"]
    assert len({letter["message_id"] for letter in raw()}) == 3


# --- forgetting ---


def test_the_number_of_a_forgotten_thanks_is_never_used_again(desk: Desk) -> None:
    assert (desk.add(), desk.add("Bob Ray")) == (1, 2)
    desk("forget_person", who="Bob")
    assert desk.add("Cy Young") == 3


# --- the same meeting twice ---


def test_the_same_meeting_is_that_person_kind_and_local_day(desk: Desk) -> None:
    desk.add(when="2026-03-09 23:30")
    refused = partial(pytest.raises, NotFoundError, match="Nothing was stored")
    before = everything(desk.file)
    with refused() as error:
        desk.add(when="2026-03-09 00:10")  # the same day in Berlin, the day before in UTC
    assert error.value.code == "duplicate"
    with refused():
        desk.add(when="2026-03-09 10:00", tz="Pacific/Auckland")
    assert everything(desk.file) == before
    desk.add(when="2026-03-10 00:10")  # the next day in Berlin, the same in UTC
    desk.add(when="2026-03-09 23:40", kind="meal")
    desk.add("Bob Ray", when="2026-03-09 23:30")
    desk.add(when="2026-03-09 23:30", again=True)
    assert len(desk.rows("SELECT * FROM thanks")) == 5


# --- REF ---


@pytest.fixture
def known(desk: Desk) -> Desk:
    for name, email in [
        ("José Núñez", "jose@example.com"),
        ("Ronald Alvarez", "ron@acme.example"),
        ("100% Ltd", "hundred@example.com"),
        ("Anna Braun", "anna@example.com"),
        ("Anna Clark", "clark@example.com"),
    ]:
        desk.add(name, email=email)
    return desk


@pytest.mark.parametrize(
    ("ref", "number"),
    [
        ("1", 1),
        ("01", 1),
        ("jose", 1),
        ("NUNEZ", 1),
        ("al", 2),
        ("acme", 2),
        ("ron@acme.example", 2),
        ("anna b", 4),
        ("100%", 3),
    ],
)
def test_a_number_or_the_start_of_words_of_a_name_or_address_names_a_thanks(known: Desk, ref: str, number: int) -> None:
    assert known("show", ref=ref)["thanks"][0]["id"] == number


@pytest.mark.parametrize("ref", ["6", "0", str(2**63), "9" * 400, "ld", "osé", "%", "_", "", " ", "nobody", "²"])
def test_what_names_nothing_is_not_found(known: Desk, ref: str) -> None:
    with pytest.raises(NotFoundError):
        known("show", ref=ref)


def test_two_that_match_are_listed(known: Desk) -> None:
    with pytest.raises(UsageError, match=r"Two match \"anna\": 4 Anna Braun, coffee   5 Anna Clark, coffee"):
        known("waive", ref="anna")


def test_a_closed_thanks_is_found_by_name_only_where_that_makes_sense_and_the_newest_first(known: Desk) -> None:
    for number in (4, 5):
        known.clock.forward(minutes=1)
        known("waive", ref=str(number))
    assert known("show", ref="anna")["thanks"][0]["id"] == 5
    with pytest.raises(NotFoundError):
        known("snooze", ref="anna")
    known("undo", ref="anna")
    assert known("show", ref="anna")["thanks"][0]["id"] == 5
    assert known.thanks(4)["state"] == "waived"


# --- people and times ---


def test_an_address_that_is_another_person_s_is_refused(desk: Desk) -> None:
    ada = desk.add()
    desk.add("Bob Ray")
    before = everything(desk.file)
    with pytest.raises(UsageError, match="Bob Ray's"):
        desk("edit", ref=str(ada), email="BOB@example.com")
    assert everything(desk.file) == before


def test_each_reminder_that_stood_open_is_answered_by_what_the_owner_does(desk: Desk) -> None:
    number = desk.add()
    desk.clock.forward(hours=4)
    ids = desk("due_nudges", channel="desktop")["nudges"][0]["ids"]
    desk("nudges_shown", ids=ids)
    desk("snooze", ref=str(number), delay="2h")
    assert desk.rows("SELECT answer, answered_at IS NULL AS open FROM nudge") == [{"answer": "later", "open": 0}]


def test_a_snooze_that_ends_late_says_so(desk: Desk) -> None:
    number = desk.add()
    assert desk("snooze", ref=str(number), delay="2h")["notes"] == []
    assert desk("snooze", ref=str(number), delay="3d")["notes"] == ["Late by then."]
    assert desk.thanks(number)["popup_at"] == (NOON + timedelta(days=3)).strftime("%Y-%m-%d %H:%M:%S.%f")
