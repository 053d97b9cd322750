"""The verb set_right: states that no rule allows are made such as some rule does, so that a person can go on.

How they came about can't be known, so nothing leaves for it: a letter that may have left is held.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from thanksd import journal, ledger, states
from thanksd.models import Letter, Thanks
from thanksd.verbs.context import Context

_LIVE = Letter.state.in_(states.LIVE)
_CLOSED = Thanks.state.in_((states.THANKED, states.WAIVED))
_HELD: dict[str, Any] = {
    "state": states.HELD,
    "reason": states.UNKNOWN_END,
    "owner": "",
    "lease_until": None,
    "settled_at": None,
}


def set_right(context: Context) -> dict[str, Any]:
    """Set right what `doctor` finds of states. Gives {"thanks": the numbers of those that were changed}."""
    now = context.now
    with context.store.write() as connection:
        changed = {*_end_letters(connection), *_hold_letters(connection), *_close(connection)}
        changed |= {*_confirm(connection, now), *_go_on(connection, now)}
        for number in sorted(changed):
            journal.record(connection, now, number, "set right")
    return {"thanks": sorted(changed)}


def _end_letters(connection: Connection) -> list[int]:
    """Give an ended letter the time at which it ended, as far as it is known."""
    ended = update(Letter).where(Letter.settled_at.is_(None), ~_LIVE)
    values = {"settled_at": func.coalesce(Letter.sent_at, Letter.confirmed_at)}
    return list(connection.scalars(ended.values(**values).returning(Letter.thanks_id)))


def _hold_letters(connection: Connection) -> list[int]:
    """Hold what goes on after its end, what nobody sends, and what its thanks knows nothing of."""
    strays = select(Thanks.id).where(Thanks.id == Letter.thanks_id, Thanks.state != states.CONFIRMED).exists()
    nobodys = and_(Letter.state == states.SENDING, or_(Letter.owner == "", Letter.lease_until.is_(None)))
    which = and_(_LIVE, or_(Letter.settled_at.is_not(None), nobodys, strays))
    return list(connection.scalars(update(Letter).where(which).values(**_HELD).returning(Letter.thanks_id)))


def _close(connection: Connection) -> Iterable[int]:
    """Let a thanks be closed at the time it was last changed, or at none where it is open."""
    for which, moment in ((_CLOSED, Thanks.changed_at), (~_CLOSED, None)):
        wrong: ColumnElement[bool] = Thanks.closed_at.is_(None) if moment is not None else Thanks.closed_at.is_not(None)
        query = update(Thanks).where(which, wrong).values(closed_at=moment).returning(Thanks.id)
        yield from connection.scalars(query).all()


def _confirm(connection: Connection, now: datetime) -> list[int]:
    """Let a thanks with a letter under way be confirmed, and ask what became of it."""
    under_way = select(Letter.id).where(Letter.thanks_id == Thanks.id, _LIVE).exists()
    values = {"state": states.CONFIRMED, "closed_at": None, "undo_state": None, "popup_at": now, "how": None}
    query = update(Thanks).where(under_way, Thanks.state != states.CONFIRMED).values(**values, reason=None)
    return list(connection.scalars(query.returning(Thanks.id)))


def _go_on(connection: Connection, now: datetime) -> list[int]:
    """Let a thanks that is confirmed with no letter under way be thanked where one was sent, or else due again."""
    letter = select(Letter.id).where(Letter.thanks_id == Thanks.id)
    lost = select(Thanks.id).where(Thanks.state == states.CONFIRMED, ~letter.where(_LIVE).exists())
    sent = list(connection.scalars(lost.where(letter.where(Letter.state == states.SENT).exists())))
    for number in sent:
        ledger.thanked(connection, now, number)
    rest = list(connection.scalars(lost))
    for number in rest:
        ledger.due_again(connection, now, number, now)
    return [*sent, *rest]
