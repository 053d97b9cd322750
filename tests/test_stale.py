"""Letters that could not leave in time: they come back to their writer, and never leave by themselves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import change, new_ledger, store_file
from daemon_rigs import add, confirm, daemon, settings, value, wait_for
from store_rigs import NOON, Desk, at_once_in, everything, smtp

from thanksd import copies, outbox, recovery, states
from thanksd.moments import to_iso
from thanksd.outbox import STALE_AFTER, Result

SOON = 12.0


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def claim(desk: Desk) -> outbox.Claim | None:
    with desk.context.store.write() as connection:
        return next(iter(outbox.claim(connection, desk.clock(), "machine boot 10 100")), None)


def put_off(desk: Desk, result: Result) -> None:
    """Let the next letter be tried, and come to this."""
    held = claim(desk)
    assert held
    with desk.context.store.write() as connection:
        outbox.settle(connection, desk.clock(), held, result)


def stored(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


WHYS: dict[str, Result | None] = {
    "never tried": None,
    "no network": Result(states.NOT_NOW, "", None, "no network"),
    "the login was refused": Result(states.NOT_NOW, "535 wrong", 535, states.CREDENTIALS),
    "the keyring was locked": Result(states.NOT_NOW, "locked", None, states.PASSWORD),
}


@pytest.mark.parametrize("why", WHYS)
def test_a_letter_that_could_not_leave_in_48_hours_is_its_writers_again_whatever_kept_it(desk: Desk, why: str) -> None:
    number = desk.add()
    text = desk("draft", ref=str(number), body="Dear Ada,\n\nmy own words about why you left Rust.")["draft"]
    desk.confirm(number)
    result = WHYS[why]
    if result:
        put_off(desk, result)
    desk.clock.moment = NOON + STALE_AFTER - timedelta(seconds=1)
    assert desk("recover") == {"letters": 0}
    now = desk.clock.forward(seconds=1)
    # Also before anybody looked after it.
    assert claim(desk) is None
    assert desk("recover") == {"letters": 1}
    row, thanks = desk.letter(number), desk.thanks(number)
    assert (row["state"], row["reason"], row["settled_at"]) == ("cancelled", "stale", stored(now))
    assert (thanks["state"], thanks["popup_at"], thanks["closed_at"]) == ("owed", stored(now), None)
    assert desk.words(number)[-1] == "stale"
    again = desk("draft", ref=str(number))["draft"]
    assert (again["subject"], again["body"]) == (text["subject"], text["body"])
    desk.confirm(number)
    desk("dispatch")
    (raw,) = desk.saved()
    letter = message_from_bytes(raw, policy=default)
    assert letter.get_content().splitlines() == text["body"].splitlines()
    assert letter["Date"].datetime == now


def test_a_letter_for_a_later_moment_has_its_48_hours_from_then(desk: Desk) -> None:
    number = desk.add()
    leaving = {"at": "2026-03-15 12:00"}
    sha256 = desk("prepare", ref=str(number), **leaving)["prepared"]["sha256"]
    desk("confirm", letters=[{"thanks": number, "sha256": sha256}], **leaving)
    desk.clock.moment = NOON + timedelta(days=5)
    assert desk("next_moment")["letter"] == to_iso(desk.clock())
    desk.clock.moment += STALE_AFTER - timedelta(seconds=1)
    assert desk("dispatch") == {"letters": 1}
    assert desk.letter(number)["state"] == "sent"


def test_a_letter_tried_each_hour_is_given_up_at_its_time_and_that_moment_is_known_before(short_dir: Path) -> None:
    desk = Desk(short_dir, smtp(1))
    number = desk.queued()
    moments = []
    while desk.letter(number)["settled_at"] is None:
        desk("dispatch")
        moment = desk("next_moment")["letter"]
        if moment:
            moments.append(moment)
            desk.clock.moment = datetime.fromisoformat(moment)
    assert desk.clock() == NOON + STALE_AFTER
    assert (len(moments), moments[-1]) == (len(set(moments)), to_iso(NOON + STALE_AFTER))
    assert (desk.letter(number)["reason"], desk.thanks(number)["state"]) == ("stale", "owed")
    assert "refused" in desk.letter(number)["server_reply"].lower()


def test_a_letter_that_a_person_sends_again_has_a_moment_of_its_own(desk: Desk) -> None:
    number = desk.queued()
    put_off(desk, Result(states.UNKNOWN, "", None, "dropped"))
    desk.clock.forward(days=9)
    assert (desk("recover"), desk.letter(number)["state"]) == ({"letters": 0}, "held")
    desk("resolve", ref=str(number), how="resend")
    assert desk.letter(number)["leaves_at"] == stored(desk.clock())
    desk("dispatch")
    assert (desk.letter(number)["state"], len(desk.saved())) == ("sent", 1)


def test_a_program_that_slept_for_days_with_a_letter_in_hand_does_not_send_it(desk: Desk) -> None:
    number = desk.queued()
    held = claim(desk)
    assert held
    desk.clock.forward(days=3)
    with desk.context.store.write() as connection:
        assert not outbox.mark_dot(connection, desk.clock(), held)
    desk("recover")
    assert (desk.letter(number)["state"], desk.letter(number)["reason"]) == ("cancelled", "stale")
    with desk.context.store.write() as connection:
        assert not outbox.settle(connection, desk.clock(), held, Result(states.NOT_NOW, "", None, "lost lease"))
    assert desk.thanks(number)["state"] == "owed"


SWEEPING = """
from datetime import datetime, UTC
from thanksd import outbox, recovery
from thanksd.database import SqliteStore
store, now, claims = SqliteStore(sys.argv[1]), datetime(2026, 3, 12, 11, tzinfo=UTC), []
is_worker = go() % 2
for _ in range(20):
    with store.write() as connection:
        if not is_worker:
            recovery.expire(connection, now)
        else:
            claims += [held.thanks for held in outbox.claim(connection, now, "m b 1 1")]
print(json.dumps(claims))
"""


def test_whoever_comes_first_a_worker_takes_none_that_is_stale(desk: Desk) -> None:
    old = [desk.queued(f"{name} Ray") for name in ("Ada", "Bob", "Cy")]
    desk.clock.forward(seconds=1)
    young = [desk.queued(f"{name} Ray") for name in ("Dan", "Eve", "Flo")]
    found = at_once_in(4, SWEEPING, desk.context.store.url)
    assert sorted(number for one in found for number in one) == young
    assert [desk.letter(number)["reason"] for number in old] == ["stale"] * 3


def test_a_pass_that_finds_nothing_stale_writes_nothing(desk: Desk) -> None:
    desk.queued()
    desk.clock.forward(hours=47)
    with closing(sqlite3.connect(desk.file)) as other:
        # A writer would have to wait for this one, and fail.
        other.execute("BEGIN IMMEDIATE")
        assert desk("recover") == {"letters": 0}


def test_a_pass_never_goes_through_all_letters_that_ever_were(desk: Desk) -> None:
    said: list[str] = []
    with desk.context.store.read() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(said.append)
        recovery.needs_care(connection, desk.clock(), lambda _: False)
        outbox.next_moment(connection)
        copies.is_due(connection, desk.clock())
        raw.set_trace_callback(None)
    with closing(sqlite3.connect(desk.file)) as other:
        looks = [one for one in said if one.startswith("SELECT")]
        plans = [row[3] for look in looks for row in other.execute(f"EXPLAIN QUERY PLAN {look}")]
    assert len(looks) == 4
    assert any("letter_live" in plan for plan in plans)
    on_letters = [plan for plan in plans if "letter" in plan and "letter_live" not in plan]
    assert [plan for plan in on_letters if "PRIMARY KEY" not in plan and not plan.startswith("SEARCH")] == [], plans


# --- words that will not be true ---


def test_a_word_like_today_warns_and_blocks_a_letter_that_leaves_on_another_day(desk: Desk) -> None:
    number = desk.add()
    body = desk("draft", ref=str(number))["draft"]["body"].replace("on Tuesday", "today")
    desk("draft", ref=str(number), body=body, subject="Thank you for your coffee")

    def severity(**leaving: Any) -> list[str]:
        found = desk("prepare", ref=str(number), **leaving)["prepared"]["findings"]
        return [one["severity"] for one in found if one["code"] == "relative-date"]

    assert severity() == ["warn"]
    assert severity(at="2026-03-10 23:30") == ["warn"]
    # Half past midnight in Berlin, and still Tuesday in UTC.
    assert severity(at="2026-03-11 00:30") == ["block"]
    sha256 = desk("prepare", ref=str(number), at="2026-03-11 00:30")["prepared"]["sha256"]
    before = everything(desk.file)
    with pytest.raises(Exception, match="Blocked: relative-date"):
        desk("confirm", letters=[{"thanks": number, "sha256": sha256}], at="2026-03-11 00:30")
    assert everything(desk.file) == before


# --- the daemon itself ---


def test_a_running_daemon_gives_a_stale_letter_back_at_its_moment_and_mails_nobody() -> None:
    mail = settings(undo="10m")
    new_ledger()
    number = add()
    with daemon(quick=True):
        confirm(number)
        moment = datetime.now(UTC) - STALE_AFTER + timedelta(seconds=2)
        # As if it had waited for the network since then.
        later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
        change(store_file(), "UPDATE letter SET leaves_at = ?, send_after = ?", stored(moment), later)
        wait_for(lambda: value("SELECT state FROM letter") == "cancelled", SOON)
    assert (value("SELECT reason FROM letter"), value("SELECT state FROM thanks")) == ("stale", "owed")
    assert value("SELECT popup_at IS NOT NULL FROM thanks")
    assert not (mail / "new").exists()


def test_a_daemon_that_was_off_for_days_finds_its_letters_stale_and_sends_none() -> None:
    mail = settings()
    new_ledger()
    confirm(add())
    moment = datetime.now(UTC) - STALE_AFTER
    change(store_file(), "UPDATE letter SET leaves_at = ?, send_after = ?", stored(moment), stored(moment))
    with daemon():
        wait_for(lambda: value("SELECT state FROM letter") == "cancelled", SOON)
    assert not (mail / "new").exists()
    assert value("SELECT attempts FROM letter") == 0


def test_without_an_account_by_now_the_letter_comes_back_all_the_same(desk: Desk) -> None:
    number = desk.queued()
    desk.set(config=replace(desk.context.config, transport=smtp(1)))
    desk.clock.forward(days=2)
    assert desk("dispatch") == {"letters": 0}
    assert desk.letter(number)["reason"] == "stale"
