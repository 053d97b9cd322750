"""The verbs about promises: what was promised to whom, that it was kept, and the popups that ask for it.

A promise is nudged about by itself until it is kept, whatever became of its thanks: a day before its own day and daily
from then on, one without a day weekly. `popup_at` is claimed by moving it ahead in the transaction that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from thanksd import journal, queries
from thanksd.channels import popups
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Nudge, Person, Promise, Thanks
from thanksd.moments import say_short, to_iso
from thanksd.rows import AnyRow
from thanksd.verbs import climbing, occasions
from thanksd.verbs.again import out_of_quiet
from thanksd.verbs.climbing import Ways
from thanksd.verbs.context import Context
from thanksd.verbs.occasions import PROMISE, Old, is_popup, is_standing

_CLAIM = timedelta(minutes=1)
_DAILY, _WEEKLY = timedelta(days=1), timedelta(days=7)


def promises(context: Context, *, every: bool = False) -> dict[str, Any]:
    """Give the promises that are still to be kept, the most pressing first; with `every` the kept ones too, last.

    Gives {"promises": [{"id", "thanks", "person", "text", "due", "done_at"}], "zone", "now"}.
    """
    which = queries.is_of(context.owner) if every else and_(queries.is_of(context.owner), Promise.done_at.is_(None))
    order = (Promise.done_at.is_not(None), Promise.due.is_(None), Promise.due, Promise.id)
    with context.store.read() as connection:
        rows = connection.execute(_query().where(which).order_by(*order)).all()
    return {"promises": [_plain(row) for row in rows], "zone": context.zone, "now": to_iso(context.now)}


def promise_done(context: Context, number: int, *, undo: bool = False) -> dict[str, Any]:
    """Note that a promise was kept, or with `undo` that it was not. Gives {"promises": [it]}.

    Raises NotFoundError for none of that number, UsageError where it stands so already.
    """
    now = context.now
    with context.store.write() as connection:
        # A longer number can't be bound everywhere, and names none either.
        this = Promise.id == (number if 0 <= number < queries.TOO_HIGH else 0)
        row = connection.execute(_query().where(this, queries.is_of(context.owner))).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no promise {number}.", "See them: thanksd promises")
        if (row.done_at is None) == undo:
            raise UsageError(
                f"Promise {number} is {'open' if undo else 'kept'} already.", "See: thanksd promises --all"
            )
        _settle(connection, now, row, undo=undo)
        changed = connection.execute(_query().where(this)).one()
    return {"promises": [_plain(changed)]}


def _settle(connection: Connection, now: datetime, row: AnyRow, *, undo: bool) -> None:
    values = {"done_at": None, "popup_at": now + _DAILY} if undo else {"done_at": now, "popup_at": None}
    connection.execute(update(Promise).where(Promise.id == row.id).values(**values))
    asked = and_(Nudge.promise_id == row.id, Nudge.answered_at.is_(None))
    connection.execute(update(Nudge).where(asked).values(answered_at=now, answer="done"))
    journal.record(connection, now, row.thanks_id, "promise open" if undo else "promise kept", promise=row.id)


def _query() -> Any:  # noqa: ANN401  SQLAlchemy's select of a join
    columns = (Promise.id, Promise.thanks_id, Promise.text, Promise.due, Promise.done_at, Promise.popup_at)
    return (
        select(*columns, Person.name)
        .join_from(Promise, Thanks, Promise.thanks_id == Thanks.id)
        .join(Person, Thanks.person_id == Person.id)
    )


def _plain(row: AnyRow) -> dict[str, Any]:
    due, done = row.due and to_iso(row.due), row.done_at and to_iso(row.done_at)
    return {"id": row.id, "thanks": row.thanks_id, "person": row.name, "text": row.text, "due": due, "done_at": done}


# --- popups ---


def next_popup(connection: Connection, owner: str) -> datetime | None:
    """Give when the next popup about a promise may show."""
    query = select(func.min(Promise.popup_at)).where(Promise.popup_at.is_not(None))
    if owner:
        query = query.join(Thanks, Thanks.id == Promise.thanks_id).where(queries.is_of(owner))
    moment: datetime | None = connection.scalar(query)
    return moment


def is_due(connection: Connection, context: Context, now: datetime, ways: Ways) -> bool:
    """Say whether a promise is to be nudged about now, on a channel that it has."""
    moment = next_popup(connection, context.owner)
    if moment is None or moment > now:
        return False
    return ways.are_open or bool(_channel(connection, now, _due(connection, context.owner, now), ways))


def _due(connection: Connection, owner: str, now: datetime) -> Sequence[AnyRow]:
    # SQLite would put those without a day first, PostgreSQL last.
    query = _query().where(_is_due(owner, now)).order_by(Promise.due.is_(None), Promise.due, Promise.id)
    rows: Sequence[AnyRow] = connection.execute(query).all()
    return rows


def _channel(connection: Connection, now: datetime, due: Sequence[AnyRow], ways: Ways) -> str:
    """Give the channel of the popup that speaks of all: that of the first one; "" where it waits for its own."""
    if not due:
        return ""
    first = due[0]
    pasts = climbing.pasts(connection, Nudge.promise_id, Nudge.promise_id == first.id) if ways.ask_the_past else {}
    return ways.pick(now, first.popup_at, PROMISE, pasts.get(first.id, ()))


def claim(connection: Connection, context: Context, now: datetime, ways: Ways) -> list[dict[str, Any]]:
    """Claim the promises that are due, and give them as the one nudge of a list; empty for none, or in quiet hours."""
    due = _due(connection, context.owner, now)
    channel = _channel(connection, now, due, ways)
    if not channel:
        return []
    moment = out_of_quiet(context, now) if ways.disturb else now
    numbers = [row.id for row in due]
    connection.execute(
        update(Promise).where(Promise.id.in_(numbers)).values(popup_at=moment if moment > now else now + _CLAIM)
    )
    if moment > now:
        return []
    ids = [_write(connection, now, row, channel, context.store.seat) for row in due]
    first, old = due[0], _old_popup(connection, context.store.seat, numbers)
    words = f"by {say_short(first.due, now, context.zone)}" if first.due else ""
    popup = popups.promise_popup(first.name, first.text, words, len(due))
    return [occasions.plain(popup, ids, sorted({row.thanks_id for row in due}), (PROMISE, channel), old)]


def _is_due(owner: str, now: datetime) -> ColumnElement[bool]:
    return and_(queries.is_of(owner), Promise.popup_at.is_not(None), Promise.popup_at <= now)


def _write(connection: Connection, now: datetime, row: AnyRow, channel: str, seat: str) -> int:
    """Write a nudge's row; one that was tried and not shown is not doubled."""
    tried = climbing.tried(connection, Nudge.promise_id == row.id)
    values = {"channel": channel, "attempted_at": now, "seat": seat}
    if tried.nudge:
        connection.execute(update(Nudge).where(Nudge.id == tried.nudge).values(**values))
        return tried.nudge
    due_at = tried.due_at or row.popup_at
    statement = insert(Nudge).values(promise_id=row.id, occasion=PROMISE, due_at=due_at, **values)
    return int(connection.execute(statement.returning(Nudge.id)).scalar_one())


def _old_popup(connection: Connection, seat: str, numbers: Sequence[int]) -> Old:
    query = select(Nudge.popup_id, Nudge.server).where(is_standing(seat), Nudge.promise_id.in_(numbers))
    row = connection.execute(query.order_by(Nudge.id.desc()).limit(1)).one_or_none()
    return Old(row.popup_id, row.server) if row is not None else Old(0, "")


def shown(connection: Connection, context: Context, now: datetime, number: int) -> None:
    """Plan the popup after one that was shown: tomorrow, or in a week where the promise has no day."""
    due = connection.scalar(select(Promise.due).where(Promise.id == number))
    again = out_of_quiet(context, now + (_WEEKLY if due is None else _DAILY))
    _move(connection, number, again)


def due_again(connection: Connection, number: int, now: datetime) -> None:
    """Let a promise be nudged about again: its popup was not shown, or lost its buttons."""
    _move(connection, number, now)


def _move(connection: Connection, number: int, moment: datetime) -> None:
    waiting = and_(Promise.id == number, Promise.done_at.is_(None))
    connection.execute(update(Promise).where(waiting).values(popup_at=moment))


def answer(connection: Connection, context: Context, popup_id: int, server: str, key: str) -> bool:
    """Do what a popup's button says: they were kept, or later; False where it was answered before."""
    now = context.now
    asked = and_(is_popup(context.store.seat, popup_id, server), Nudge.occasion == PROMISE)
    query = update(Nudge).where(asked, Nudge.answered_at.is_(None)).values(answered_at=now, answer=key)
    numbers = list(connection.scalars(query.returning(Nudge.promise_id)))
    for row in connection.execute(_query().where(Promise.id.in_(numbers), Promise.done_at.is_(None))).all():
        if key == "done":
            _settle(connection, now, row, undo=False)
        else:
            _move(connection, row.id, out_of_quiet(context, now + _DAILY))
    return bool(numbers)
