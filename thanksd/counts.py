"""What every look back counts: whom one met, who was thanked and who in time. One rule, whoever asks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from thanksd import states
from thanksd.models import Letter, Meeting, Promise, Thanks
from thanksd.queries import is_of
from thanksd.rows import AnyRow

given_at: ColumnElement[datetime] = func.coalesce(Thanks.closed_at, Thanks.changed_at)
# Of somebody who was forgotten no meeting is left: it is counted where it was noted.
_met_at: ColumnElement[datetime] = func.coalesce(Meeting.at, Thanks.created_at)


def is_counted(owner: str) -> ColumnElement[bool]:
    """Say of a thanks that it is part of the counts of `owner`: a practice letter never is."""
    return and_(Thanks.practice.is_(False), is_of(owner))


def is_given() -> ColumnElement[bool]:
    """Say of a thanks that its owner has done what is theirs to do: it is thanked, or its letter is confirmed.

    Not so one that was opened in their own mail program, until they say that they sent it.
    """
    asked = select(Letter.id).where(Letter.thanks_id == Thanks.id, Letter.settled_at.is_(None))
    is_confirmed = and_(Thanks.state == states.CONFIRMED, ~asked.where(Letter.reason == states.HANDED_OFF).exists())
    return or_(Thanks.state == states.THANKED, is_confirmed)


def is_in_time() -> ColumnElement[bool]:
    """Say of a thanks that it was given by its best-by."""
    return and_(is_given(), given_at <= Thanks.due_by)


def since(connection: Connection, owner: str, moment: datetime) -> tuple[int, int, int]:
    """Give how many `owner` noted since `moment`, how many of those were thanked, and how many of them in time."""
    query = (
        select(func.count(), func.count().filter(is_given()), func.count().filter(is_in_time()))
        .select_from(Thanks)
        .where(Thanks.changed_at >= moment, Thanks.created_at >= moment, is_counted(owner))
    )
    met, done, in_time = connection.execute(query).one()
    return met, done, in_time


def met(connection: Connection, owner: str, start: datetime, end: datetime) -> list[AnyRow]:
    """Give the thanks for meetings from `start` to before `end`, with what is to be counted of each.

    A row has met_at, given_at, due_by, state, details, is_given, is_in_time, is_nobodys.
    """
    columns = (
        _met_at.label("met_at"),
        given_at.label("given_at"),
        Thanks.due_by,
        Thanks.state,
        Thanks.details,
        is_given().label("is_given"),
        is_in_time().label("is_in_time"),
        Thanks.person_id.is_(None).label("is_nobodys"),
    )
    query = select(*columns).outerjoin_from(Thanks, Meeting, Thanks.meeting_id == Meeting.id)
    return list(connection.execute(query.where(is_counted(owner), _met_at >= start, _met_at < end)))


def promised(connection: Connection, owner: str, start: datetime, end: datetime) -> list[AnyRow]:
    """Give due and done_at of what was promised at meetings from `start` to before `end`."""
    query = (
        select(Promise.due, Promise.done_at)
        .join_from(Promise, Thanks, Promise.thanks_id == Thanks.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
    )
    return list(connection.execute(query.where(is_counted(owner), Meeting.at >= start, Meeting.at < end)))
