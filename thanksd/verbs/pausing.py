"""The verbs pause and resume: a holiday without popups, in which best-by moves along.

A pause changes no thanks' state and moves no popup: popups wait for its end, which is one moment of the ledger.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, select, true, update

from thanksd import journal, ledger, queries, states, timing
from thanksd.errors import UsageError
from thanksd.models import Letter, Meeting, Member, Thanks
from thanksd.moments import to_iso
from thanksd.verbs.context import Context
from thanksd.when import parse_delay


def pause(context: Context, until: str = "") -> dict[str, Any]:
    """Show no popups until a moment, said as a DELAY; one that runs is moved to the new end. Without it, only look.

    Gives {"pause": {"since", "until", "letters"}, "zone", "now"}: the first two are null where nothing is paused, and
    `letters` counts those that leave meanwhile at their time. Raises UsageError for an end that is not to come.
    """
    now = context.now
    if until:
        _pause(context, now, parse_delay(until, now, context.zone))
    with context.store.read() as connection:
        return {"pause": _plain(connection, context.owner, now), "zone": context.zone, "now": to_iso(now)}


def _pause(context: Context, now: datetime, until: datetime) -> None:
    if until <= now:
        raise UsageError("A pause ends later than now. Nothing was changed.", "For example: thanksd pause 2w")
    owner = context.owner
    with context.store.write() as connection:
        running = queries.paused_until(connection, owner, now)
        since = Member.paused_at if running is not None else now
        _move_best_by(connection, owner, now, running, until)
        ledger.know_member(connection, owner)
        mine = update(Member).where(Member.owner == owner)
        connection.execute(mine.values(paused_at=since, paused_until=until))
        journal.record(connection, now, None, "paused", until=to_iso(until))


def resume(context: Context) -> dict[str, Any]:
    """End a pause now, and move best-by back by what was left of it; where none runs, nothing is changed.

    Gives what `pause` gives, and "was_paused" and "due": how many thanks wait now.
    """
    now, owner = context.now, context.owner
    with context.store.write() as connection:
        running = queries.paused_until(connection, owner, now)
        if running is not None:
            _move_best_by(connection, owner, now, running, None)
            connection.execute(update(Member).where(Member.owner == owner).values(paused_until=now))
            journal.record(connection, now, None, "resumed")
        found = {"pause": _plain(connection, context.owner, now), "zone": context.zone, "now": to_iso(now)}
        return found | {"was_paused": running is not None, "due": _count_due(connection, owner, now)}


def _plain(connection: Connection, owner: str, now: datetime) -> dict[str, Any]:
    running = queries.standing(connection, owner).pause
    until = queries.paused_until(connection, owner, now)
    waiting = and_(Letter.settled_at.is_(None), Letter.state != states.HELD)
    leaving = select(func.count()).select_from(Letter).where(waiting, Letter.writer == owner if owner else true())
    return {
        "since": to_iso(running.start) if running is not None and until is not None else None,
        "until": to_iso(until) if until is not None else None,
        "letters": int(connection.scalar(leaving) or 0),
    }


def _count_due(connection: Connection, owner: str, now: datetime) -> int:
    waiting = Thanks.state.in_((states.OWED, states.SNOOZED))
    due = and_(queries.is_open, queries.is_of(owner), waiting, Thanks.nudge_at <= now)
    return int(connection.scalar(select(func.count()).select_from(Thanks).where(due)) or 0)


def _move_best_by(
    connection: Connection, owner: str, now: datetime, before: datetime | None, after: datetime | None
) -> None:
    """Let best-by of what is open follow a pause whose end was `before` and is `after`; None for no pause.

    What was late when the pause began stays so: of what a pause moved, best-by lies behind its end.
    """
    query = select(Thanks.id, Thanks.due_by, Meeting.at).join(Meeting, Thanks.meeting_id == Meeting.id)
    moved = []
    mine = query.where(queries.is_open, queries.is_of(owner), Thanks.due_by > (before or now))
    for row in connection.execute(mine).all():
        less, more = (timing.pause_after(row.at, now, end) if end else timedelta() for end in (before, after))
        moved.append({"number": row.id, "moment": row.due_by - less + more})
    if moved:
        change = update(Thanks).where(Thanks.id == bindparam("number")).values(due_by=bindparam("moment"))
        connection.execute(change, moved)
