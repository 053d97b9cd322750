"""Letters that are handed to the person's own mail program: held from the moment they were confirmed.

Nothing is assumed: a letter stays held, reason "handed-off", until its writer says whether it was sent. It is committed
as held before anything opens, so that a crash in between loses nothing and sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from thanksd import journal, ledger, states, timing
from thanksd.models import Letter
from thanksd.moments import local, wall
from thanksd.transports import describe, handoff
from thanksd.verbs.context import Context
from thanksd.when import MORNING

_SOON = timedelta(hours=4)  # a morning nearer than this is still the same sitting


def hand_over(connection: Connection, context: Context, now: datetime, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Hold the letters of these thanks that were confirmed in this transaction, and give what opens them.

    Gives [{"thanks", "place", "url", "eml", "paste", "notes"}], as of handoff.Handed; empty where letters are sent.
    One popup asks the next morning about a letter that nobody answered for.
    """
    if not handoff.is_handed_off(context.config.transport):
        return []
    return [_hold(connection, context, now, number) for number in numbers]


def _hold(connection: Connection, context: Context, now: datetime, number: int) -> dict[str, Any]:
    transport = context.config.transport
    fresh = (Letter.thanks_id == number) & (Letter.state == states.QUEUED)
    held = update(Letter).where(fresh).values(state=states.HELD, reason=states.HANDED_OFF)
    row = connection.execute(held.returning(Letter.sender, Letter.to, Letter.subject, Letter.raw)).one()
    ledger.set_popup(connection, number, next_morning(context, now))
    journal.record(connection, now, number, "handed over", place=describe(transport))
    opened = handoff.handed(transport, row.sender, row.to, row.subject, bytes(row.raw))
    return {"thanks": number, "place": describe(transport), **opened._asdict(), "notes": list(opened.notes)}


def next_morning(context: Context, now: datetime) -> datetime:
    """Give the next 09:00 (UTC) on the user's clock that is neither soon nor in quiet hours."""
    nudge = context.config.nudge
    day = local(now + _SOON, context.zone).date()
    moment = wall(day, MORNING, context.zone)
    if moment < now + _SOON:
        moment = wall(day + timedelta(days=1), MORNING, context.zone)
    quiet = timing.parse_quiet(nudge.quiet_hours)
    return timing.after_quiet(moment, context.zone, quiet, weekdays_only=nudge.weekdays_only)
