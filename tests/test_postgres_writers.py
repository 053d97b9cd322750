"""Several programs at one shared ledger, on a real server: turns at writing, claims beside each other, and what is heard."""

from __future__ import annotations

import select as waiting
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from postgres_rigs import Server
from shared_rigs import new_ledger, open_shared, rows
from smtp_rigs import wait_for
from sqlalchemy import Connection, make_url
from store_rigs import NOON, at_once_in
from test_fuzz import QUIETLY
from test_postgres import ledger, store

from thanksd import outbox
from thanksd.errors import TryLaterError
from thanksd.outbox import Hands
from thanksd.postgres import Line, PostgresStore

__all__ = ["ledger", "store"]


# --- turns ---


@pytest.fixture
def second(ledger: str) -> Iterator[PostgresStore]:
    """Another program's store on the same ledger."""
    store = open_shared(ledger)
    yield store
    store.close()


def begins_meanwhile(first: PostgresStore, other: PostgresStore, *, first_beside: bool, other_beside: bool) -> bool:
    """Say whether the other one's transaction begins while the first one's is open."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        with other.write(beside_others=other_beside):
            begun.set()
            over.wait(30)

    thread = threading.Thread(target=write)
    with first.write(beside_others=first_beside) as connection:
        thread.start()
        wait_for(lambda: begun.is_set() or bool(connection.exec_driver_sql(_WAITING).scalar()))
        found = begun.is_set()
        over.set()
    thread.join(30)
    assert begun.is_set()
    return found


_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.mark.parametrize(
    ("first_beside", "other_beside", "both"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_moves_on_letters_go_on_beside_each_other_and_beside_nothing_else(
    store: PostgresStore, second: PostgresStore, first_beside: bool, other_beside: bool, both: bool
) -> None:
    with store.write():
        pass
    assert begins_meanwhile(store, second, first_beside=first_beside, other_beside=other_beside) is both


def test_a_writer_that_holds_its_transaction_too_long_is_ended_and_others_go_on(
    postgres: Server, ledger: str, store: PostgresStore, second: PostgresStore
) -> None:
    def hold(connection: Connection) -> None:
        # The setting's own 10 seconds are long for a test.
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "10s"
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '300ms'")
        connection.exec_driver_sql("UPDATE ledger SET serial = 7")
        with second.write():
            pass

    with pytest.raises(TryLaterError, match="Nothing of this was stored"), store.write() as connection:
        hold(connection)
    assert rows(postgres, ledger, "SELECT serial FROM ledger") == [{"serial": 0}]


def test_who_waits_too_long_for_a_turn_is_told_that_others_write(store: PostgresStore, second: PostgresStore) -> None:
    with store.write():
        began = time.monotonic()
        with pytest.raises(TryLaterError, match="Others are writing"), second.write():
            pass
        assert 4 < time.monotonic() - began < 15


_ADD_AND_SNOOZE = """
import os
from pathlib import Path
from store_rigs import ME, NOON
from thanksd import verbs
from thanksd.config import Config
from thanksd.database import open_store
from thanksd.verbs.context import Context
def add_and_snooze(me):
    context = Context(open_store(sys.argv[1]), Config(me=ME), Path("/nowhere"), "Europe/Berlin", lambda: NOON)
    for number in range(4):
        found = verbs.call("add", context, {"who": f"Nobody{me} No{number}", "kind": "coffee"})["thanks"][0]["id"]
        verbs.call("snooze", context, {"ref": str(found), "delay": "2d"})
go()
# Forked, as the imports of each would take longer than all the rest.
children = []
for number in range(8):
    children.append(os.fork())
    if not children[-1]:
        add_and_snooze(number)
        os._exit(0)
print(json.dumps([os.waitpid(child, 0)[1] for child in children]))
"""


def test_eight_programs_that_add_and_snooze_at_once_take_turns_and_nothing_is_lost(
    postgres: Server, ledger: str
) -> None:
    assert at_once_in(1, f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n{_ADD_AND_SNOOZE}", ledger) == [[0] * 8]
    found = rows(postgres, ledger, "SELECT state, count(*) AS n FROM thanks GROUP BY state")
    assert found == [{"state": "snoozed", "n": 32}]
    assert len(rows(postgres, ledger, "SELECT id FROM event WHERE what = 'snoozed'")) == 32


# --- claims ---

_MANY = """
WITH p AS (INSERT INTO person (name, name_key, seniority, created_at) SELECT 'N', 'n', 'peer', now() FROM
    generate_series(1, 400) RETURNING id),
m AS (INSERT INTO meeting (kind, at, tz, day, place, about) VALUES ('coffee', now(), 'UTC', '2026-01-01', '', '')
    RETURNING id),
t AS (INSERT INTO thanks (uid, person_id, meeting_id, state, details, nudge_at, due_by, outright, created_at,
    changed_at, owner) SELECT md5(p.id::text), p.id, m.id, 'confirmed', '[]', now(), now(), false, now(), now(),
    'sam@example.org' FROM p, m RETURNING id)
INSERT INTO letter (thanks_id, sender, "to", subject, raw, sha256, message_id, state, reason, phase, owner, attempts,
    confirmed_at, send_after, leaves_at, server_reply, writer) SELECT id, 'sam@example.org', 'n@example.com', 's', 'r',
    'h', id::text, 'queued', '', 'pre', '', 0, now(), '2026-03-10 10:00', '2026-03-10 10:00', '', 'sam@example.org'
    FROM t
"""

_CLAIM = """
from store_rigs import NOON
from thanksd import outbox
from thanksd.database import open_store
from thanksd.outbox import Hands
store, mine = open_store(sys.argv[1], keep_connections=True), []
who = f"worker {go()}"
while True:
    with store.write(beside_others=True) as connection:
        found = outbox.claim(connection, NOON, who, most=7, hands=Hands(writers=frozenset({"sam@example.org"})))
    if not found:
        break
    assert len(found) <= 7, len(found)
    mine += [one.letter for one in found]
print(json.dumps(mine))
"""


def test_two_workers_at_once_claim_each_of_four_hundred_letters_once(postgres: Server, ledger: str) -> None:
    rows(postgres, ledger, _MANY)
    first, second = at_once_in(2, f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n{_CLAIM}", ledger)
    assert sorted(first + second) == list(range(1, 401))
    assert first, "the other one did not have them all"
    assert second
    assert rows(postgres, ledger, "SELECT count(*) AS n FROM attempt") == [{"n": 400}]


_OTHER_PLANS = ("hashagg", "hashjoin", "sort", "mergejoin", "material")


def test_no_plan_of_the_server_claims_more_than_was_asked_for(
    postgres: Server, ledger: str, store: PostgresStore
) -> None:
    rows(postgres, ledger, _MANY)
    with store.write(beside_others=True) as connection:
        for name in _OTHER_PLANS:
            connection.exec_driver_sql(f"SET LOCAL enable_{name} = off")
        assert (
            len(outbox.claim(connection, NOON, "me", most=3, hands=Hands(writers=frozenset({"sam@example.org"})))) == 3
        )


# --- what is heard ---


@pytest.fixture
def line(second: PostgresStore) -> Iterator[Line]:
    line = second.listen()
    yield line
    line.close()


def hears(line: Line) -> bool:
    """Wait for something to hear, and say whether it is news."""
    assert waiting.select([line], [], [], 10)[0]
    return line.heard()


def test_changes_of_others_are_heard_and_those_of_this_installation_are_not(
    store: PostgresStore, second: PostgresStore, line: Line, monkeypatch: pytest.MonkeyPatch, short_dir: Path
) -> None:
    with second.write():
        pass
    assert not hears(line)
    monkeypatch.setenv("XDG_STATE_HOME", str(short_dir))
    with store.write():
        pass
    assert store.seat != second.seat
    assert hears(line)
    assert not line.heard()


def test_of_moves_on_letters_and_of_what_was_rolled_back_nothing_is_heard(
    store: PostgresStore, line: Line, monkeypatch: pytest.MonkeyPatch, short_dir: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(short_dir))
    with store.write(beside_others=True):
        pass
    with pytest.raises(ZeroDivisionError), store.write():
        raise ZeroDivisionError
    with store.write():
        pass
    assert hears(line)
    assert not line.heard()


def test_a_line_that_was_cut_says_so_and_is_closed(each_postgres: Server) -> None:
    store = open_shared(new_ledger(each_postgres))
    line = store.listen()
    each_postgres.stop(signal.SIGINT)
    assert waiting.select([line], [], [], 10)[0]
    # What the server said as it went may come first.
    with pytest.raises(TryLaterError, match="went away"):
        wait_for(line.heard)
    each_postgres.start()
    with pytest.raises(TryLaterError, match="went away"):
        line.heard()
    store.close()


_PAYLOADS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=200)


def test_whatever_is_told_on_the_channel_wakes_or_does_not_and_never_harms(
    postgres: Server, ledger: str, line: Line, second: PostgresStore
) -> None:
    @how(max_examples=20, **QUIETLY)
    @given(st.lists(_PAYLOADS | st.just(second.seat), min_size=1, max_size=4))
    def tell(payloads: list[str]) -> None:
        with postgres.connect(str(make_url(ledger).database)) as connection, connection.transaction():
            for one in payloads:
                connection.execute("SELECT pg_notify('thanksd', %s)", (one,))
        assert hears(line) is any(one != second.seat for one in payloads)

    tell()
