"""The verbs about whose ledger it is: whose, adopt; and what keeps a ledger that was moved from sending twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from thanksd import guard, journal, ledger, queries, states
from thanksd.errors import TryLaterError
from thanksd.instance import InstanceLock, how_to_stop
from thanksd.models import Letter, Thanks
from thanksd.outbox import end_attempt
from thanksd.rows import AnyRow
from thanksd.verbs.context import Context

# Why a letter is held (`reason`): another copy of the ledger may have sent it.
ADOPTED = "adopted"

_GOING = Letter.state.in_((states.QUEUED, states.SENDING, states.DEFERRED))


class Thanked(NamedTuple):
    """What another copy knows of a thanks that is thanked there: how, and its letters that left (Message-ID: when)."""

    how: str
    sent: Mapping[str, datetime | None]


def whose(context: Context) -> dict[str, Any]:
    """Say whether this ledger is ours to change.

    Gives {"ours", "words": what to say where it is not, "letters": how many would be held}.
    """
    with context.store.read() as connection:
        row = guard.row_of(connection)
        going = connection.scalar(select(func.count()).where(Letter.settled_at.is_(None), _GOING))
    here = context.store.here
    is_older = guard.is_older(row, is_shared=context.store.is_shared)
    words = "This ledger is an older copy: letters left since then." if is_older else ""
    if guard.is_elsewhere(row, here):
        words = guard.elsewhere_words(row, here, context.now, is_shared=context.store.is_shared)
    return {"ours": not words, "words": words, "letters": going}


def adopt(context: Context) -> dict[str, Any]:
    """Take over a ledger that another machine or installation used last, or an older copy of our own.

    Letters that were to leave are held, as they may have left already. Gives {"adopted", "thanks": those of the letters
    held}; nothing changes in one that is ours. Raises TryLaterError where a daemon has it.
    """
    now, store = context.now, context.store
    with alone(store.lock, "adopt"), store.turn() as turn:
        with store.write(not_ours_too=True) as connection:
            row = guard.row_of(connection)
            if not guard.is_elsewhere(row, store.here) and not guard.is_older(row, is_shared=store.is_shared):
                return {"adopted": False, "thanks": [], "zone": context.zone}
            held = hold_all(connection, now)
            turn.take_over(connection)
            guard.put_stamp(connection, store.here, now)
            journal.record(connection, now, None, "taken over", host=row.host)
            found = queries.thanks_by_id(connection, held, now)
        turn.settle()
    return {"adopted": True, "thanks": found, "zone": context.zone}


@contextmanager
def alone(lock: InstanceLock, role: str) -> Iterator[None]:
    """Keep daemons away while a ledger changes hands. Raises TryLaterError naming the one that has it."""
    if not lock.acquire(role):
        holder, pid = lock.holder()
        words = f"Process {pid} ({holder}) has this ledger. Nothing was changed."
        raise TryLaterError(words, f"Stop it: {how_to_stop(pid)}")
    try:
        yield
    finally:
        lock.release()


def hold_all(connection: Connection, now: datetime) -> list[int]:
    """Hold every letter that was to leave, each with a popup for its thanks; give the thanks' numbers.

    A copy to oneself that was due is dropped, not doubled.
    """
    columns = (Letter.id, Letter.thanks_id, Letter.attempts, Letter.state)
    rows = connection.execute(select(*columns).where(Letter.settled_at.is_(None), _GOING).order_by(Letter.id)).all()
    for row in rows:
        hold(connection, now, row)
    due = Letter.copy.in_((states.COPY_DUE, states.COPY_TRYING))
    connection.execute(update(Letter).where(due).values(copy=states.COPY_FAILED))
    return [row.thanks_id for row in rows]


def hold(connection: Connection, now: datetime, row: AnyRow) -> None:
    """Hold one letter, by its row (id, thanks_id, attempts, state): another copy may have sent it."""
    values: dict[str, Any] = {"state": states.HELD, "reason": ADOPTED, "owner": "", "lease_until": None}
    connection.execute(update(Letter).where(Letter.id == row.id).values(**values))
    if row.state == states.SENDING:
        end_attempt(connection, now, row.id, row.attempts, states.UNKNOWN, "the ledger was taken over")
    ledger.set_popup(connection, row.thanks_id, now)
    journal.record(connection, now, row.thanks_id, "adopted")


def learn(connection: Connection, now: datetime, told: Mapping[str, Thanked], source: str) -> list[int]:
    """Close what is open here and thanked there, by its uid, so that nobody is thanked twice; give the numbers.

    `source` says in the journal who knows it. A letter of other words that was to leave is held instead.
    """
    rows = connection.execute(select(Thanks.id, Thanks.uid, Thanks.state).where(queries.is_open)).all()
    return [row.id for row in rows if row.uid in told and _learn(connection, now, row, told[row.uid], source)]


def _learn(connection: Connection, now: datetime, row: AnyRow, told: Thanked, source: str) -> bool:
    if row.state != states.CONFIRMED:
        ledger.done(connection, now, row.id, told.how)
        journal.record(connection, now, row.id, "learned", source=source)
        return True
    columns = (Letter.id, Letter.thanks_id, Letter.attempts, Letter.state, Letter.message_id)
    query = select(*columns).where(Letter.thanks_id == row.id, Letter.settled_at.is_(None))
    letter = connection.execute(query).one_or_none()
    if letter is None or letter.state == states.SENDING:
        return False
    if letter.message_id not in told.sent:
        if letter.state != states.HELD:
            hold(connection, now, letter)
        return False
    values = {"state": states.SENT, "reason": "", "sent_at": told.sent[letter.message_id] or now, "settled_at": now}
    connection.execute(update(Letter).where(Letter.id == letter.id).values(**values))
    ledger.thanked(connection, now, row.id)
    journal.record(connection, now, row.id, "learned", source=source)
    return True
