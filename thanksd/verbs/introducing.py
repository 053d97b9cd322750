"""Thanks owed to somebody who brought you together with somebody: at once, and again with what came of it.

The second is owed once the meeting has been thanked for: an introducer who never hears of it introduces nobody again
(fourathens.com, blog.dadops.co, career-horizons.com).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, select

from thanksd import ledger, queries, states
from thanksd.ledger import Encounter, Owing
from thanksd.models import Meeting, Person, Thanks
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import first_moments, known

_KIND = "introduction"


def owe_introducer(
    connection: Connection, context: Context, now: datetime, introducer: int, names: Sequence[str]
) -> int | None:
    """Store the thanks owed at once for an introduction to these people; None where it is owed already."""
    about = ", ".join(names)
    standing = (
        select(Thanks.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
        .where(Thanks.person_id == introducer, Meeting.kind == _KIND, Meeting.about == about, queries.is_open)
    )
    if connection.scalar(standing.limit(1)) is not None:
        return None
    return _owe(connection, context, now, introducer, about, None)


def too_words(name: str, number: int | None) -> list[str]:
    """Say that an introducer is owed thanks now, where that is news."""
    if number is None:
        return []
    return [f"Thanks {number} is for {name}, who brought you together; one more when you can say what came of it."]


def follow_up(context: Context) -> list[int]:
    """Store the second thanks of every introducer whose meeting has been thanked for; give their numbers.

    And close what the coordinator of a meeting was asked to pass on, once they were thanked.
    """
    now = context.now
    with context.store.read() as connection:
        if not _due(connection, context.owner) and not _passed_on(connection, context.owner):
            return []
    with context.store.write() as connection:
        for number, coordinator in _passed_on(connection, context.owner):
            ledger.done(connection, now, number, f"through {coordinator}")
        return [
            _owe(connection, context, now, introducer, name, number)
            for number, introducer, name in _due(connection, context.owner)
        ]


def _passed_on(connection: Connection, owner: str) -> list[tuple[int, str]]:
    """Give the open thanks without an address whose coordinator was thanked, and the coordinator's name."""
    led, coordinator = Thanks.__table__.alias("led").c, Person.__table__.alias("coordinator").c
    query = (
        select(Thanks.id, coordinator.name)
        .join(Person, Thanks.person_id == Person.id)
        .join(led.id.table, led.meeting_id == Thanks.meeting_id)
        .join(coordinator.id.table, coordinator.id == led.person_id)
        .where(led.coordinates.is_(True), led.state == states.THANKED, queries.is_open, Person.email.is_(None))
    )
    return [(number, name) for number, name in connection.execute(query.where(queries.is_of(owner)))]


def notes_of(context: Context, numbers: Sequence[int]) -> list[str]:
    """Say of these thanks that they are owed now."""
    with context.store.read() as connection:
        rows = connection.execute(
            select(Thanks.id, Person.name).join(Person, Thanks.person_id == Person.id).where(Thanks.id.in_(numbers))
        ).all()
    return [f"Thanks {row.id} is for {row.name}, who brought you together: say what came of it." for row in rows]


def _due(connection: Connection, owner: str) -> list[tuple[int, int, str]]:
    """Give the thanks that were given, who introduced us, and to whom, where nothing was told of it yet."""
    told = Thanks.__table__.alias("told").c
    untold = and_(
        Thanks.via_id.is_not(None),
        Thanks.state == states.THANKED,
        ~select(told.id).where(told.outcome_of == Thanks.id).exists(),
    )
    query = select(Thanks.id, Thanks.via_id, Person.name).join(Person, Thanks.person_id == Person.id)
    rows = connection.execute(query.where(untold, queries.is_of(owner)).order_by(Thanks.id))
    return [(number, via, name) for number, via, name in rows if via is not None]


def _owe(
    connection: Connection, context: Context, now: datetime, introducer: int, about: str, outcome_of: int | None
) -> int:
    day = now.astimezone(ZoneInfo(context.zone)).date().isoformat()
    meeting = ledger.add_meeting(connection, Encounter(_KIND, now, context.zone, day, "", about))
    moments = first_moments(context, now, _KIND, now, "", known(connection, introducer))
    owing = Owing(*moments, [], [], None, None, owner=context.owner, outcome_of=outcome_of)
    return ledger.owe(connection, now, introducer, meeting, owing)
