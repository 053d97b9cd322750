"""Moves on the copy to oneself of a letter that was sent: claimed once, and settled; never a part of the letter's fate.

Two tries at most: one right after the letter, one ten minutes later where the first came to nothing or never was.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from thanksd import journal, states
from thanksd.models import Letter
from thanksd.outbox import ALONE, SECOND_COPY_AFTER, Claim, Hands, Result, copy_is_due, is_by, is_paused
from thanksd.rows import AnyRow


def claim(connection: Connection, now: datetime, letter: int | None = None, hands: Hands = ALONE) -> Claim | None:
    """Take the copy of this `letter`, or (None) the next one whose second try has come, in one conditional UPDATE.

    `hands` limits it to letters that leave from here.

    Whoever ends while trying leaves it so: it may have arrived, and a copy is not worth a double.
    """
    first = select(Letter.id).where(_may_leave(now, letter, hands)).order_by(Letter.id).limit(1)
    query = (
        update(Letter)
        .where(Letter.id == first.scalar_subquery(), Letter.copy == states.COPY_DUE)
        .values(copy=states.COPY_TRYING)
        .returning(Letter.id, Letter.thanks_id, Letter.attempts, Letter.sender, Letter.raw, Letter.message_id)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _claimed(row)


def is_due(connection: Connection, now: datetime, letter: int | None = None, hands: Hands = ALONE) -> bool:
    """Say whether `claim` would find one; nothing is written for it."""
    return connection.scalar(select(Letter.id).where(_may_leave(now, letter, hands)).limit(1)) is not None


def _may_leave(now: datetime, letter: int | None, hands: Hands) -> ColumnElement[bool]:
    which = Letter.id == letter if letter is not None else Letter.sent_at <= now - SECOND_COPY_AFTER
    return and_(copy_is_due(), which, ~is_paused(hands.seat), is_by(hands.writers))


def _claimed(row: AnyRow) -> Claim:
    return Claim(row.id, row.thanks_id, row.attempts, "", row.sender, row.sender, row.raw, row.message_id)


def settle(connection: Connection, now: datetime, held: Claim, result: Result) -> None:
    """Write down what became of a copy. What can't be known stays as it is."""
    after = _after(connection, now, held, result)
    trying = and_(Letter.id == held.letter, Letter.copy == states.COPY_TRYING)
    connection.execute(update(Letter).where(trying).values(copy=after))
    data: dict[str, Any] = {"to": held.to, "reply": result.reply}
    journal.record(connection, now, held.thanks, f"copy {after}", **data)


def _after(connection: Connection, now: datetime, held: Claim, result: Result) -> str:
    if result.outcome == states.ACCEPTED:
        return states.COPY_LEFT
    if result.outcome == states.UNKNOWN:
        return states.COPY_TRYING
    sent_at = connection.scalar(select(Letter.sent_at).where(Letter.id == held.letter))
    # A login that is refused is not tried again: that would lock the account.
    may_try_again = result.outcome == states.NOT_NOW and result.reason != states.CREDENTIALS
    is_first = sent_at is not None and now < sent_at + SECOND_COPY_AFTER
    return states.COPY_DUE if may_try_again and is_first else states.COPY_FAILED
