"""The verb feed: what waits for the user, each with its moment, for a calendar."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, true

from thanksd import counts, queries, states
from thanksd.models import Meeting, Person, Promise, Thanks
from thanksd.moments import to_iso
from thanksd.rows import AnyRow, AnySelect
from thanksd.verbs.context import Context

_WAITING = (states.OWED, states.SNOOZED)


def feed(context: Context, *, thanks: int = 0) -> dict[str, Any]:
    """Give the thanks that wait to be given, at their nudge, and the open promises that have a day; soonest first.

    Of one `thanks` alone where its number is given.

    Gives {"events": [{"uid", "what": thanks or promise, "number": of that, "thanks", "person", "kind", "at", "due_by",
    "details", "text", "changed_at"}], "zone", "now"}. The uid stays the same as long as it is about the same, in a
    ledger that was moved or taken in too. One whose letter was confirmed waits no more; it is back if that fails. A
    practice letter is none of it.
    """
    with context.store.read() as connection:
        which = and_(counts.is_counted(context.owner), Thanks.id == thanks if thanks else true())
        events = [*_thanks(connection, which), *_promises(connection, which)]
    events.sort(key=lambda one: (one["at"], one["uid"]))
    return {"events": events, "zone": context.zone, "now": to_iso(context.now)}


def _query(*columns: Any) -> AnySelect:  # noqa: ANN401  SQLAlchemy's columns
    return (
        select(Thanks.id, Thanks.uid, Thanks.details, Thanks.changed_at, Person.name, Meeting.kind, *columns)
        .join_from(Thanks, Person, Thanks.person_id == Person.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
    )


def _thanks(connection: Connection, which: ColumnElement[bool]) -> list[dict[str, Any]]:
    query = _query(Thanks.nudge_at, Thanks.due_by)
    rows = connection.execute(query.where(queries.is_open, Thanks.state.in_(_WAITING), which))
    return [
        _event(row, uid=row.uid, what="thanks", number=row.id, at=to_iso(row.nudge_at), due_by=to_iso(row.due_by))
        | {"details": row.details}
        for row in rows
    ]


def _promises(connection: Connection, theirs: ColumnElement[bool]) -> list[dict[str, Any]]:
    query = _query(Promise.id.label("promise"), Promise.text, Promise.due).join(Promise, Promise.thanks_id == Thanks.id)
    which = (Promise.done_at.is_(None), Promise.due.is_not(None), theirs)
    seen: dict[str, int] = {}
    events = []
    for row in connection.execute(query.where(*which).order_by(Promise.id)):
        uid, at = _uid(row, seen), to_iso(row.due)
        events.append(_event(row, uid=uid, what="promise", number=row.promise, at=at, due_by=at) | {"text": row.text})
    return events


def _uid(row: AnyRow, seen: dict[str, int]) -> str:
    """Name a promise by its thanks and its words: its number is another one after each change of its thanks."""
    uid = f"{row.uid}-{hashlib.blake2b(row.text.encode(errors='replace'), digest_size=6).hexdigest()}"
    seen[uid] = seen.get(uid, 0) + 1
    return uid if seen[uid] == 1 else f"{uid}-{seen[uid]}"


def _event(row: AnyRow, **facts: object) -> dict[str, Any]:
    same = {"thanks": row.id, "person": row.name, "kind": row.kind, "changed_at": to_iso(row.changed_at)}
    return {**facts, **same, "details": [], "text": ""}
