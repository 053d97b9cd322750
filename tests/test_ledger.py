from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_rigs import NOON, Desk, everything

from thanksd import outbox, recovery, states
from thanksd.errors import NotFoundError, ThanksdError, UsageError
from thanksd.models import Base
from thanksd.outbox import Result

PEOPLE = ("Ada Lovelace", "Bob Ray", "Cy Young")
OUTCOMES = {
    "accepted": Result(states.ACCEPTED, "250 ok", 250, ""),
    "rejected": Result(states.REJECTED, "550 no such person", 550, ""),
    "greylisted": Result(states.NOT_NOW, "451 greylisted", 451, "greylisted"),
    "no login": Result(states.NOT_NOW, "535 wrong", 535, states.CREDENTIALS),
    "unknown": Result(states.UNKNOWN, "", None, "dropped"),
}


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def try_letters(desk: Desk, outcome: str) -> None:
    """Carry the next letter that may leave, to this outcome."""
    store, now = desk.context.store, desk.clock()
    with store.write() as connection:
        claims = outbox.claim(connection, now, "m b 1 1")
    if not claims:
        return
    (held,) = claims
    if outcome != "no login":
        with store.write() as connection:
            assert outbox.mark_dot(connection, now, held)
    with store.write() as connection:
        assert outbox.settle(connection, now, held, OUTCOMES[outcome])


def die(desk: Desk, phase: str) -> None:
    """Let a worker end in the middle of a letter, and others find it."""
    store, now = desk.context.store, desk.clock()
    with store.write() as connection:
        claims = outbox.claim(connection, now, "m b 1 1")
    for held in claims if phase == states.DOT else []:
        with store.write() as connection:
            assert outbox.mark_dot(connection, now, held)
    with store.write() as connection:
        recovery.recover(connection, now, lambda _name: True)


# --- any order of moves ---

ALONE: dict[str, Callable[[Desk], object]] = {
    "dispatch": lambda desk: desk("dispatch"),
    "release": lambda desk: desk("release"),
    "undo the last": lambda desk: desk("undo"),
    "an hour": lambda desk: desk.clock.forward(hours=1),
    "three days": lambda desk: desk.clock.forward(days=3),
    "nudge": lambda desk: desk("due_nudges", channel="terminal"),
    "die before the dot": lambda desk: die(desk, states.PRE),
    "die at the dot": lambda desk: die(desk, states.DOT),
    **{outcome: partial(try_letters, outcome=outcome) for outcome in OUTCOMES},
}
OF_ONE: dict[str, Callable[[Desk, int], object]] = {
    "add": lambda desk, who: desk.add(PEOPLE[who - 1]),
    "add again": lambda desk, who: desk.add(PEOPLE[who - 1], again=True),
    "edit a detail": lambda desk, who: desk("edit", ref=str(who), details=["the compiler you wrote"]),
    "edit when": lambda desk, who: desk("edit", ref=str(who), when="yesterday 15:00"),
    "edit with": lambda desk, who: desk("edit", ref=str(who), others=[PEOPLE[who - 2]]),
    "snooze": lambda desk, who: desk("snooze", ref=str(who), delay="2h"),
    "waive": lambda desk, who: desk("waive", ref=str(who), reason="met by chance"),
    "done": lambda desk, who: desk("done", ref=str(who), how="letter"),
    "undo": lambda desk, who: desk("undo", ref=str(who)),
    "draft": lambda desk, who: desk("draft", ref=str(who), subject="Thank you"),
    "confirm": lambda desk, who: desk.confirm(who, at_once=False),
    "confirm at once": lambda desk, who: desk.confirm(who),
    "leave now": lambda desk, who: desk("leave_now", thanks=[who]),
    "sent": lambda desk, who: desk("resolve", ref=str(who), how="sent"),
    "resend": lambda desk, who: desk("resolve", ref=str(who), how="resend"),
    "discard": lambda desk, who: desk("resolve", ref=str(who), how="discard"),
    "bounced": lambda desk, who: desk("bounced", ref=str(who)),
    "bounced, another address": lambda desk, who: desk("bounced", ref=str(who), email=f"new{who}@example.com"),
    "edit the address": lambda desk, who: desk("edit", ref=str(who), email=f"other{who}@example.com"),
}
MOVES = st.one_of(
    st.tuples(st.sampled_from(sorted(OF_ONE)), st.integers(1, len(PEOPLE))),
    st.tuples(st.sampled_from(sorted(ALONE)), st.just(0)),
)
CAN_BE_TAKEN_BACK = ("snooze", "waive", "done", "confirm")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(MOVES, min_size=5, max_size=30))
@example([("snooze", 1), ("edit when", 1), ("undo", 1)])
@example([("snooze", 1), ("confirm", 1), ("undo", 1), ("undo", 1)])
@example([("done", 1), ("undo", 1), ("waive", 1), ("undo the last", 0)])
@example([("confirm", 1), ("undo", 1), ("confirm", 1), ("leave now", 1), ("dispatch", 0), ("undo", 1)])
@example([("confirm at once", 1), ("die at the dot", 0), ("sent", 1), ("undo", 1)])
@example([("confirm at once", 1), ("die at the dot", 0), ("discard", 1), ("confirm at once", 1), ("accepted", 0)])
@example([("confirm at once", 1), ("rejected", 0), ("confirm at once", 1), ("no login", 0), ("release", 0)])
@example([("confirm", 1), ("three days", 0), ("nudge", 0), ("confirm at once", 1), ("accepted", 0)])
@example([("confirm at once", 1), ("confirm at once", 2), ("no login", 0), ("nudge", 0), ("undo", 1), ("release", 0)])
@example([("confirm at once", 1), ("accepted", 0), ("bounced", 1), ("edit the address", 1), ("confirm at once", 1)])
@example([("confirm at once", 1), ("die at the dot", 0), ("bounced, another address", 1), ("confirm", 1)])
def test_in_any_order_of_moves_every_thanks_is_in_exactly_one_state_and_a_refused_move_stores_nothing(
    moves: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        for name in PEOPLE:
            desk.add(name)
        for move, who in moves:
            if move in CAN_BE_TAKEN_BACK:
                check_that_undo_gives_back(desk, move, who)
            make(desk, move, who)
            for row in desk.rows("SELECT * FROM thanks"):
                check(desk, row)
        desk.context.store.close()


def make(desk: Desk, move: str, who: int) -> bool:
    """Make a move; False where it is refused. Then the store must be as it was."""
    # Every move begins by looking after the letters, and what that finds is stored whatever comes of the move.
    desk("recover")
    before = everything(desk.file)
    try:
        OF_ONE[move](desk, who) if who else ALONE[move](desk)
    except ThanksdError:
        after = everything(desk.file)
        # Rendering a draft for confirming keeps it, also where the confirming itself is refused.
        assert {**after, "draft": before["draft"]} == before, move
        return False
    return True


def check_that_undo_gives_back(desk: Desk, move: str, who: int) -> None:
    passing = ("changed_at", "popup_at", "outright", "undo_state", "undo_nudge_at")
    before = {key: value for key, value in desk.thanks(who).items() if key not in passing}
    if make(desk, move, who):
        desk("undo", ref=str(who))
        after = {key: value for key, value in desk.thanks(who).items() if key not in passing}
        assert after == before, move


def check(desk: Desk, row: dict[str, Any]) -> None:
    letters = desk.rows("SELECT * FROM letter WHERE thanks_id = ?", row["id"])
    live = [letter for letter in letters if letter["state"] in states.LIVE]
    sent = [letter for letter in letters if letter["state"] == states.SENT]
    assert row["state"] in (states.OWED, states.SNOOZED, states.CONFIRMED, states.THANKED, states.WAIVED)
    assert (row["state"] == states.CONFIRMED) == (len(live) == 1), row
    assert len(live) + len(sent) <= 1
    assert not sent or row["state"] == states.THANKED
    assert (row["closed_at"] is None) == (row["state"] in states.OPEN)
    assert (row["popup_at"] is not None) == wants_a_popup(row, live), row
    for letter in letters:
        assert (letter["settled_at"] is None) == (letter["state"] in states.LIVE)
        assert (letter["owner"] != "") == (letter["state"] == states.SENDING)


def wants_a_popup(row: dict[str, Any], live: list[dict[str, Any]]) -> bool:
    if row["state"] == states.CONFIRMED:
        return bool(live[0]["state"] == states.HELD or live[0]["reason"] == states.CREDENTIALS)
    return row["state"] in (states.OWED, states.SNOOZED)


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


@pytest.mark.parametrize("move", ["confirm", "waive", "done"])
def test_what_is_confirmed_or_closed_is_not_edited(desk: Desk, move: str) -> None:
    number = desk.add()
    make(desk, move, number)
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
    try_letters(desk, "rejected")
    desk.confirm(number)
    assert [letter["state"] for letter in raw()] == ["cancelled", "failed", "queued"]
    assert len({letter["message_id"] for letter in raw()}) == 3


# --- forgetting ---


def with_a_history(desk: Desk) -> None:
    """Let Ada have everything a person can have, and Bob know her."""
    ada = desk.add(promises=["the Babbage paper"], place="Ockham Park", details=["why you left Rustington"])
    desk("edit", ref=str(ada), others=["Bob Ray bob@example.com"])
    desk.add("Cy Young", via="Ada Lovelace")
    desk.clock.forward(hours=4)
    nudges = desk("due_nudges", channel="desktop")["nudges"]
    desk("nudges_shown", ids=[number for nudge in nudges for number in nudge["ids"]], popup_id=7, server=":1.7")
    desk("snooze", ref=str(ada), delay="2h")
    desk.confirm(ada)
    try_letters(desk, "rejected")
    desk("draft", ref=str(ada), body="Dear Ada,\n\nOckham Park was lovely.")
    desk("waive", ref=str(ada), reason="she moved to Tangier")


def test_a_forgotten_person_leaves_nothing_behind_not_even_in_free_pages(desk: Desk) -> None:
    with_a_history(desk)
    secrets = [b"Lovelace", b"lovelace", b"ada@example", b"Babbage", b"Ockham", b"Rustington", b"Tangier"]
    uid = desk.thanks(1)["uid"].encode()
    assert all(secret in desk.file.read_bytes() for secret in [*secrets, uid])
    others = desk.rows("SELECT id, person_id, state FROM thanks WHERE person_id <> 1")
    desk("forget_person", who="Ada")
    whole = b"".join(path.read_bytes() for path in desk.file.parent.iterdir())
    # The place of a meeting is also that of whoever else was there.
    assert [secret for secret in [*secrets, uid] if secret in whole] == [b"Ockham"]
    assert {
        name: len(found) for name, found in everything(desk.file).items() if name in ("letter", "attempt", "draft")
    } == {
        "letter": 0,
        "attempt": 0,
        "draft": 0,
    }
    assert desk.rows("SELECT id, person_id, state FROM thanks") == others
    assert desk.rows("SELECT DISTINCT via_id FROM thanks") == [{"via_id": None}]


def test_nobody_is_forgotten_while_their_letter_is_on_its_way(desk: Desk) -> None:
    number = desk.queued()
    before = everything(desk.file)
    with pytest.raises(UsageError, match=f"undo {number}|on its way"):
        desk("forget_person", who="Ada")
    assert everything(desk.file) == before


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
