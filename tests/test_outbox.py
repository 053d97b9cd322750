from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_rigs import NOON, Desk, at_once_in

from thanksd import outbox, recovery, states
from thanksd.instance import is_surely_dead, owner
from thanksd.moments import to_iso
from thanksd.outbox import DOT_LEASE, PRE_LEASE, STALE_AFTER, Claim, Result

ME = "machine boot 10 100"
ACCEPTED = Result(states.ACCEPTED, "250 ok", 250, "")
GONE = "the program ended during this attempt"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def claim(desk: Desk, name: str = ME, only: list[int] | None = None) -> Claim | None:
    with desk.context.store.write() as connection:
        return next(iter(outbox.claim(connection, desk.clock(), name, only)), None)


def claimed(desk: Desk, name: str = ME) -> Claim:
    held = claim(desk, name)
    assert held is not None
    return held


def dot(desk: Desk, held: Claim) -> bool:
    with desk.context.store.write() as connection:
        return outbox.mark_dot(connection, desk.clock(), held)


def settle(desk: Desk, held: Claim, result: Result) -> bool:
    with desk.context.store.write() as connection:
        return outbox.settle(connection, desk.clock(), held, result)


def recover(desk: Desk, is_dead: Callable[[str], bool] = lambda _name: False) -> int:
    with desk.context.store.write() as connection:
        return recovery.recover(connection, desk.clock(), is_dead)


def dead(_name: str) -> bool:
    return True


def stored(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def change(desk: Desk, statement: str, *values: object) -> None:
    """Write behind the program's back."""
    with closing(sqlite3.connect(desk.file)) as connection:
        connection.execute(statement, values)
        connection.commit()


def make_many(desk: Desk, count: int) -> None:
    """Put so many letters into the outbox, all like the first."""
    desk.queued()
    with closing(sqlite3.connect(desk.file)) as connection:
        for table, new in (
            ("thanks", {"uid": "n", "meeting_id": "n"}),
            ("meeting", {}),
            ("letter", {"thanks_id": "n", "message_id": "n"}),
        ):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = [{"id": "n", **new}.get(name, f'"{name}"') for name in names]
            numbers = f"WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < {count})"  # noqa: S608  numbers of ours
            connection.execute(f'INSERT INTO "{table}" {numbers} SELECT {", ".join(values)} FROM "{table}", c')  # noqa: S608  names of ours
        connection.commit()


# --- claim ---

CLAIMING = """
from datetime import datetime, UTC
from thanksd import outbox
from thanksd.database import SqliteStore
from thanksd.instance import owner
store, me, mine = SqliteStore(sys.argv[1]), owner(), []
go()
while True:
    with store.write() as connection:
        claims = outbox.claim(connection, datetime(2026, 3, 10, 12, tzinfo=UTC), me, most=3)
    if not claims:
        break
    mine.extend(held.letter for held in claims)
print(json.dumps(mine))
"""


def test_four_workers_at_once_claim_each_of_a_hundred_letters_once(desk: Desk) -> None:
    make_many(desk, 100)
    found = at_once_in(4, CLAIMING, desk.context.store.url)
    claims = Counter(number for mine in found for number in mine)
    assert claims == Counter(dict.fromkeys(range(1, 101), 1))
    owners = desk.rows("SELECT owner, count(*) AS letters FROM letter WHERE state = 'sending' GROUP BY owner")
    assert sorted(row["letters"] for row in owners) == sorted(len(mine) for mine in found if mine)
    assert desk.rows("SELECT count(*) AS n, max(number) AS most FROM attempt") == [{"n": 100, "most": 1}]


def test_a_claim_gives_exactly_what_was_confirmed_and_notes_the_attempt(desk: Desk) -> None:
    number = desk.queued()
    letter = desk.letter(number)
    held = claimed(desk)
    assert held == Claim(
        letter["id"], number, 1, ME, "sam@example.org", "ada@example.com", letter["raw"], letter["message_id"]
    )
    row = desk.letter(number)
    assert (row["state"], row["phase"], row["owner"], row["attempts"]) == ("sending", "pre", ME, 1)
    assert row["lease_until"] == stored(NOON + PRE_LEASE)
    (attempt,) = desk.rows("SELECT * FROM attempt")
    assert (attempt["letter_id"], attempt["number"], attempt["ended_at"]) == (letter["id"], 1, None)
    assert claim(desk) is None


def test_letters_are_claimed_in_the_order_they_may_leave(desk: Desk) -> None:
    numbers = [desk.queued(name) for name in ("Ada Lovelace", "Bob Ray", "Cy Young")]
    change(desk, "UPDATE letter SET send_after = ? WHERE thanks_id = ?", stored(NOON - timedelta(hours=1)), numbers[2])
    assert [claimed(desk).thanks for _ in numbers] == [numbers[2], numbers[0], numbers[1]]


@pytest.mark.parametrize("state", states.LETTER_STATES)
def test_a_claim_takes_what_is_queued_or_deferred_and_nothing_else(desk: Desk, state: str) -> None:
    number = desk.queued()
    settled = stored(NOON) if state in (states.SENT, states.FAILED, states.CANCELLED) else None
    change(desk, "UPDATE letter SET state = ?, settled_at = ?", state, settled)
    held = claim(desk)
    assert (held is not None) == (state in (states.QUEUED, states.DEFERRED))
    assert desk.letter(number)["state"] == (states.SENDING if held else state)


def test_a_letter_on_hold_is_claimed_when_its_moment_has_come_and_not_before(desk: Desk) -> None:
    number = desk.add()
    desk.confirm(number, at_once=False)
    assert desk.letter(number)["send_after"] == stored(NOON + timedelta(seconds=30))
    desk.clock.forward(seconds=29.999)
    assert claim(desk) is None
    desk.clock.forward(seconds=0.001)
    assert claimed(desk).thanks == number


def test_only_the_letters_asked_for_are_claimed(desk: Desk) -> None:
    first, second = desk.queued(), desk.queued("Bob Ray")
    wanted = desk.letter(second)["id"]
    assert claim(desk, only=[]) is None
    held = claim(desk, only=[wanted])
    assert held
    assert held.thanks == second
    assert claim(desk, only=[wanted]) is None
    assert desk.letter(first)["state"] == "queued"


def test_nothing_is_claimed_while_a_login_was_refused_until_it_is_released_or_taken_back(desk: Desk) -> None:
    first, second = desk.queued(), desk.queued("Bob Ray")
    settle(desk, claimed(desk), Result(states.NOT_NOW, "535 wrong", 535, states.CREDENTIALS))
    desk.clock.forward(hours=47)
    assert claim(desk) is None
    assert claim(desk, only=[desk.letter(second)["id"]]) is None
    # They are stale by then, and nothing may leave before.
    assert desk("next_moment")["letter"] == to_iso(NOON + STALE_AFTER)
    assert desk.thanks(first)["popup_at"] == stored(NOON)
    assert desk("release") == {"letters": 1}
    assert (desk.thanks(first)["popup_at"], desk.letter(first)["reason"]) == (None, "")
    assert {claimed(desk).thanks, claimed(desk).thanks} == {first, second}


def test_taking_back_the_letter_whose_login_was_refused_makes_the_login_no_better_for_the_others(desk: Desk) -> None:
    first, second = desk.queued(), desk.queued("Bob Ray")
    settle(desk, claimed(desk), Result(states.NOT_NOW, "535 wrong", 535, states.CREDENTIALS))
    desk("undo", ref=str(first))
    row = desk.letter(second)
    assert (row["state"], row["reason"], row["server_reply"]) == ("deferred", "credentials", "535 wrong")
    assert (row["attempts"], claim(desk)) == (0, None)
    assert desk("release") == {"letters": 1}
    assert claimed(desk).thanks == second


# --- the dot ---


def test_the_dot_may_leave_once_and_the_lease_is_long_enough_for_its_answer(desk: Desk) -> None:
    number = desk.queued()
    held = claimed(desk)
    desk.clock.forward(minutes=3)
    assert dot(desk, held)
    row = desk.letter(number)
    assert (row["phase"], row["lease_until"]) == ("dot", stored(desk.clock() + DOT_LEASE))
    assert not dot(desk, held)


def test_the_dot_may_not_leave_once_the_lease_has_ended(desk: Desk) -> None:
    """A program that was stopped or slept for longer finds that others may have the letter."""
    number = desk.queued()
    held = claimed(desk)
    desk.clock.forward(seconds=PRE_LEASE.total_seconds())
    assert not dot(desk, held)
    assert desk.letter(number)["phase"] == "pre"
    desk.clock.forward(seconds=-1)
    assert dot(desk, held)


@pytest.mark.parametrize("lost", [{"owner": "machine boot 11 100"}, {"number": 2}, {"letter": 99}])
def test_the_dot_may_not_leave_for_anybody_but_the_one_who_claimed(desk: Desk, lost: dict[str, Any]) -> None:
    desk.queued()
    held = claimed(desk)
    assert not dot(desk, held._replace(**lost))
    assert dot(desk, held)


def test_the_dot_may_not_leave_for_a_letter_that_was_recovered_and_claimed_anew(desk: Desk) -> None:
    desk.queued()
    first = claimed(desk)
    assert recover(desk, dead) == 1
    assert not dot(desk, first)
    second = claimed(desk)
    assert second.number == 2
    assert not dot(desk, first)
    assert dot(desk, second)


# --- settle ---


@pytest.mark.parametrize(
    ("result", "state", "reason", "wait", "thanks"),
    [
        (ACCEPTED, "sent", "", None, "thanked"),
        (Result(states.REJECTED, "550 no", 550, "letter"), "failed", "letter", None, "due"),
        (Result(states.UNKNOWN, "no answer", None, "dropped"), "held", "unknown", None, "confirmed"),
        (Result(states.NOT_NOW, "451 later", 451, "greylisted"), "deferred", "greylisted", 5, "confirmed"),
        (Result(states.NOT_NOW, "452 full", 452, "busy"), "deferred", "busy", 30, "confirmed"),
        (Result(states.NOT_NOW, "", None, "no network"), "deferred", "no network", 5, "confirmed"),
        (Result(states.NOT_NOW, "535", 535, "credentials"), "deferred", "credentials", 5, "confirmed"),
    ],
)
def test_what_an_attempt_came_to_settles_letter_and_thanks_together(
    desk: Desk, result: Result, state: str, reason: str, wait: int | None, thanks: str
) -> None:
    number = desk.queued()
    held = claimed(desk)
    then = desk.clock.forward(seconds=9)
    assert settle(desk, held, result)
    row = desk.letter(number)
    assert (row["state"], row["reason"], row["server_reply"]) == (state, reason, result.reply)
    assert (row["owner"], row["lease_until"]) == ("", None)
    assert row["sent_at"] == (stored(then) if state == "sent" else None)
    assert row["settled_at"] == (stored(then) if state in ("sent", "failed") else None)
    assert row["send_after"] == stored(then + timedelta(minutes=wait) if wait else NOON)
    (attempt,) = desk.rows("SELECT * FROM attempt")
    assert (attempt["outcome"], attempt["reply"], attempt["ended_at"]) == (result.outcome, result.reply, stored(then))
    assert desk("show", ref=str(number))["thanks"][0]["state"] == thanks
    asks = state in ("failed", "held") or reason == "credentials"
    assert desk.thanks(number)["popup_at"] == (stored(then) if asks else None)
    assert desk.words(number)[-1] == state


def test_a_letter_that_is_put_off_again_and_again_waits_longer_and_longer_as_the_same_bytes(desk: Desk) -> None:
    number = desk.queued()
    seen, waits = set(), []
    for _ in range(5):
        held = claimed(desk)
        seen.add((held.raw, held.message_id))
        settle(desk, held, Result(states.NOT_NOW, "", None, "refused"))
        before = desk.clock()
        moment = datetime.fromisoformat(desk.letter(number)["send_after"] + "+00:00")
        waits.append((moment - before).total_seconds() / 60)
        assert claim(desk) is None
        desk.clock.moment = moment
    assert waits == [5, 15, 30, 60, 60]
    assert len(seen) == 1
    assert [row["number"] for row in desk.rows("SELECT number FROM attempt ORDER BY id")] == [1, 2, 3, 4, 5]


def test_a_password_that_works_again_takes_its_popup_with_it(desk: Desk) -> None:
    number = desk.queued()
    settle(desk, claimed(desk), Result(states.NOT_NOW, "locked", None, states.PASSWORD))
    assert desk.thanks(number)["popup_at"] is not None
    desk.clock.forward(minutes=5)
    settle(desk, claimed(desk), Result(states.NOT_NOW, "451 later", 451, "greylisted"))
    assert desk.thanks(number)["popup_at"] is None


@pytest.mark.parametrize("outcome", [states.REJECTED, states.NOT_NOW, states.UNKNOWN])
def test_a_worker_that_lost_its_letter_changes_nothing_by_what_it_tells_late(desk: Desk, outcome: str) -> None:
    number = desk.queued()
    held = claimed(desk)
    assert dot(desk, held)
    recover(desk, dead)
    before = desk.letter(number), desk.thanks(number)
    assert not settle(desk, held, Result(outcome, "late", None, ""))
    assert (desk.letter(number), desk.thanks(number)) == before
    assert desk.rows("SELECT outcome, reply FROM attempt") == [{"outcome": outcome, "reply": "late"}]


@pytest.mark.parametrize("meanwhile", ["held", "resend"])
def test_a_late_yes_is_still_the_answer_and_spares_a_second_copy(desk: Desk, meanwhile: str) -> None:
    number = desk.queued()
    held = claimed(desk)
    assert dot(desk, held)
    recover(desk, dead)
    assert desk.letter(number)["state"] == "held"
    if meanwhile == "resend":
        desk("resolve", ref=str(number), how="resend")
    assert settle(desk, held, ACCEPTED)
    assert (desk.letter(number)["state"], desk.thanks(number)["state"]) == ("sent", "thanked")
    assert claim(desk) is None


def test_a_late_yes_of_an_old_attempt_does_not_speak_for_a_new_one(desk: Desk) -> None:
    number = desk.queued()
    old = claimed(desk)
    assert dot(desk, old)
    recover(desk, dead)
    desk("resolve", ref=str(number), how="resend")
    new = claimed(desk)
    assert dot(desk, new)
    recover(desk, dead)
    assert not settle(desk, old, ACCEPTED)
    assert desk.letter(number)["state"] == "held"


# --- taking back, and resolving ---


def test_a_letter_is_taken_back_or_claimed_but_never_both(desk: Desk) -> None:
    number = desk.queued()
    letter = desk.letter(number)["id"]
    claimed(desk)
    with desk.context.store.write() as connection:
        assert not outbox.cancel(connection, NOON, letter)
    recover(desk, dead)
    with desk.context.store.write() as connection:
        assert outbox.cancel(connection, NOON, letter)
        assert not outbox.cancel(connection, NOON, letter)
    assert claim(desk) is None


RACING = """
from datetime import datetime, UTC
from thanksd import outbox
from thanksd.database import SqliteStore
store, now, claims, cancels = SqliteStore(sys.argv[1]), datetime(2026, 3, 10, 12, tzinfo=UTC), [], []
is_worker = go() % 2
# Half of them take letters back, from the other end.
for letter in reversed(range(1, 61)):
    with store.write() as connection:
        if is_worker:
            claims += [held.letter for held in outbox.claim(connection, now, "m b 1 1")]
        elif outbox.cancel(connection, now, letter):
            cancels.append(letter)
print(json.dumps([claims, cancels]))
"""


def test_workers_and_people_at_once_share_the_letters_without_a_rest_or_an_overlap(desk: Desk) -> None:
    make_many(desk, 60)
    found = at_once_in(4, RACING, desk.context.store.url)
    claims, cancels = (sorted(number for one in found for number in one[which]) for which in (0, 1))
    assert sorted(claims + cancels) == list(range(1, 61))
    sending, cancelled = (
        [row["id"] for row in desk.rows("SELECT id FROM letter WHERE state = ? ORDER BY id", state)]
        for state in ("sending", "cancelled")
    )
    assert (claims, cancels) == (sending, cancelled)


@pytest.mark.parametrize(
    ("how", "letter", "thanks"),
    [("sent", "sent", "thanked"), ("resend", "queued", "confirmed"), ("discard", "cancelled", "due")],
)
def test_a_held_letter_becomes_what_a_person_says(desk: Desk, how: str, letter: str, thanks: str) -> None:
    number = desk.queued()
    held = claimed(desk)
    dot(desk, held)
    settle(desk, held, Result(states.UNKNOWN, "", None, "dropped"))
    desk.clock.forward(hours=1)
    told = desk("resolve", ref=str(number), how=how)["thanks"][0]
    assert (told["letter"]["state"], told["state"]) == (letter, thanks)
    row = desk.letter(number)
    assert (row["settled_at"] is None) == (letter == "queued")
    assert (row["phase"] == "pre") == (how == "resend")
    assert (desk.thanks(number)["popup_at"] is None) == (how != "discard")
    again = claim(desk)
    assert (again is not None) == (how == "resend")
    if again:
        assert (again.number, again.raw, again.message_id) == (2, held.raw, held.message_id)


def test_after_a_discarded_letter_its_text_is_the_draft_and_another_may_follow(desk: Desk) -> None:
    number = desk.add()
    desk("draft", ref=str(number), subject="Thank you, truly")
    desk.confirm(number)
    dot(desk, claimed(desk))
    recover(desk, dead)
    desk("resolve", ref=str(number), how="discard")
    assert desk("draft", ref=str(number))["draft"]["subject"] == "Thank you, truly"
    desk.confirm(number)
    assert claimed(desk).thanks == number


# --- recovery ---


def test_the_letter_of_a_dead_worker_that_sent_no_dot_waits_again_at_once(desk: Desk) -> None:
    number = desk.queued()
    claimed(desk)
    assert recover(desk, dead) == 1
    row = desk.letter(number)
    assert (row["state"], row["reason"], row["owner"], row["lease_until"]) == ("queued", "", "", None)
    (attempt,) = desk.rows("SELECT * FROM attempt")
    assert (attempt["outcome"], attempt["reply"]) == ("not-now", GONE)
    assert desk.thanks(number)["popup_at"] is None
    assert claimed(desk).number == 2


def test_the_letter_of_a_dead_worker_whose_dot_may_have_left_is_held_and_asks(desk: Desk) -> None:
    number = desk.queued()
    assert dot(desk, claimed(desk))
    assert recover(desk, dead) == 1
    row = desk.letter(number)
    assert (row["state"], row["reason"], row["owner"], row["lease_until"]) == ("held", "unknown", "", None)
    assert desk.rows("SELECT outcome, reply FROM attempt") == [{"outcome": "unknown", "reply": GONE}]
    assert desk.thanks(number)["popup_at"] == stored(NOON)
    assert desk.words(number)[-1] == "held"
    desk.clock.forward(days=30)
    assert recover(desk, dead) == 0
    assert claim(desk) is None


@pytest.mark.parametrize(("at_dot", "lease", "after"), [(False, PRE_LEASE, "queued"), (True, DOT_LEASE, "held")])
def test_a_living_worker_keeps_its_letter_until_its_lease_ends(
    desk: Desk, at_dot: bool, lease: timedelta, after: str
) -> None:
    number = desk.queued()
    held = claimed(desk, owner())
    if at_dot:
        assert dot(desk, held)
    desk.clock.forward(seconds=lease.total_seconds() - 1)
    assert recover(desk, is_surely_dead) == 0
    assert desk.letter(number)["state"] == "sending"
    desk.clock.forward(seconds=1)
    assert recover(desk, is_surely_dead) == 1
    assert desk.letter(number)["state"] == after


def test_a_worker_of_another_machine_keeps_its_letter_until_its_lease_ends(desk: Desk) -> None:
    number = desk.queued()
    _, boot, _, _ = owner().split(" ")
    claimed(desk, f"elsewhere-4026531836 {boot} 999999 1")
    assert recover(desk, is_surely_dead) == 0
    desk.clock.forward(seconds=PRE_LEASE.total_seconds())
    assert recover(desk, is_surely_dead) == 1
    assert desk.letter(number)["state"] == "queued"


def test_a_worker_of_this_machine_that_is_gone_loses_its_letter_at_once(desk: Desk) -> None:
    number = desk.queued()
    machine, boot, pid, start = owner().split(" ")
    claimed(desk, f"{machine} {boot} {pid} {int(start) - 1}")
    assert desk("recover") == {"letters": 1}
    assert desk.letter(number)["state"] == "queued"


def test_of_many_letters_only_those_of_lost_workers_are_freed(desk: Desk) -> None:
    numbers = [desk.queued(name) for name in ("Ada Lovelace", "Bob Ray", "Cy Young")]
    for name in ("m b 1 1", "m b 2 2"):
        claimed(desk, name)
    assert recover(desk, lambda name: name == "m b 1 1") == 1
    assert [desk.letter(number)["state"] for number in numbers] == ["queued", "sending", "queued"]
