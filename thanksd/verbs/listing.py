"""The verbs that only look: owed, show, outbox, log, summary."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, or_, select, true

from thanksd import counts, journal, queries, states
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Letter, Thanks
from thanksd.moments import to_iso
from thanksd.verbs.context import Context

_WEEK = timedelta(days=7)


def owed(
    context: Context,
    *,
    everything: bool = False,
    state: str = "",
    team: bool = False,
    search: str = "",
    newest: int = 0,
) -> dict[str, Any]:
    """Give what is open, soonest first; everything with `everything`, or the thanks in one `state`.

    With `newest` also so many that were closed last. With `search` only those of people whose name or address has a
    word that begins so.

    Of a shared ledger the user's own, with `team` everybody's.

    Gives {"thanks": [...], "zone": the user's, "now": the moment it was looked at, "paused_until": null without a
    pause, "account": by whom letters leave, where a login was refused, "practices": the open practice letters}.
    """
    now, owner = context.now, context.owner
    which = and_(_which(now, everything=everything, state=state), queries.is_of("" if team else owner))
    with context.store.read() as connection:
        if newest:
            which = or_(which, Thanks.id.in_(queries.closed_last(connection, owner, search, newest)))
        which = and_(which, queries.is_to(search)) if search else which
        found = queries.thanks(connection, which, now)
        until = queries.paused_until(connection, owner, now)
        practice = and_(queries.is_open, Thanks.practice, queries.is_of(owner))
        practices = list(connection.scalars(select(Thanks.id).where(practice)))
    more = {"paused_until": until and to_iso(until), "account": _account(context, found), "practices": practices}
    return {"thanks": found, "zone": context.zone, "now": to_iso(now), **more}


def _account(context: Context, found: list[dict[str, Any]]) -> str:
    """Give by whom letters leave, where one of them waits for a login; else "": most lists need it not."""
    if not any(one["letter"] and one["letter"]["reason"] == states.CREDENTIALS for one in found):
        return ""
    from thanksd.verbs.occasions import account  # noqa: PLC0415  as above

    return account(context.config.transport)


def _which(now: datetime, *, everything: bool, state: str) -> ColumnElement[bool]:
    waiting = Thanks.state.in_((states.OWED, states.SNOOZED))
    if not state:
        return true() if everything else queries.is_open
    if state not in states.THANKS_STATES:
        raise UsageError(f"There is no state {state}.", f"There are: {', '.join(states.THANKS_STATES)}")
    if state == states.DUE:
        return and_(queries.is_open, waiting, Thanks.nudge_at <= now)
    if state in (states.OWED, states.SNOOZED):
        return and_(queries.is_open, Thanks.state == state, Thanks.nudge_at > now)
    return and_(queries.is_open, Thanks.state == state) if state == states.CONFIRMED else Thanks.state == state


def show(context: Context, ref: str) -> dict[str, Any]:
    """Give one thanks, also a closed one."""
    now = context.now
    with context.store.read() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=True, of_others_too=True)
        return {"thanks": queries.thanks_by_id(connection, [number], now), "zone": context.zone, "now": to_iso(now)}


def outbox(context: Context) -> dict[str, Any]:
    """Give the letters that are not settled: queued, sending, deferred, held."""
    now, owner = context.now, context.owner
    mine = Letter.writer == owner if owner else true()
    with context.store.read() as connection:
        return {
            "letters": queries.letters(connection, and_(Letter.settled_at.is_(None), mine)),
            "zone": context.zone,
            "now": to_iso(now),
        }


def log(context: Context, ref: str = "", *, limit: int = 1000) -> dict[str, Any]:
    """Give what happened, oldest first: to one thanks, or the newest `limit` events of all."""
    with context.store.read() as connection:
        find = partial(queries.find_ref, connection, ref, context.owner, closed_too=True, of_others_too=True)
        rows = journal.read(connection, find() if ref else None, limit, context.owner)
    events = [
        {"at": to_iso(row["at"]), "thanks": row["thanks_id"], "what": row["what"], "data": row["data"]} for row in rows
    ]
    return {"events": events, "zone": context.zone}


def summary(context: Context) -> dict[str, Any]:
    """Look back: {"met", "thanked", "in_time"} of this month, and how old the ledger is.

    "is_first_week" says that the first thanks was added within seven days, "is_empty" that there was never one.
    Practice letters are no part of any of it.
    """
    zone = ZoneInfo(context.zone)
    start = context.now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    first = select(Thanks.created_at).where(counts.is_counted(context.owner))
    with context.store.read() as connection:
        met, thanked, in_time = counts.since(connection, context.owner, start)
        began = connection.scalar(first.order_by(Thanks.id).limit(1))
    age = {"is_empty": began is None, "is_first_week": began is not None and context.now - began < _WEEK}
    return {"met": met, "thanked": thanked, "in_time": in_time, **age}


def letter_text(context: Context, ref: str) -> dict[str, Any]:
    """Give the letter of a thanks as it is or was handed over, byte for byte (it is all ASCII).

    Of several it is the one on its way or sent, else the newest that left and came back, else the newest. Raises
    NotFoundError where none was confirmed.
    """
    with context.store.read() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=True, of_others_too=True)
        ended = Letter.state.in_((states.FAILED, states.CANCELLED))
        order = (ended, Letter.sent_at.is_(None), Letter.id.desc())
        raw = connection.scalar(select(Letter.raw).where(Letter.thanks_id == number).order_by(*order).limit(1))
    if raw is None:
        raise NotFoundError(
            f"No letter of thanks {number} was confirmed yet.", f"See its draft: thanksd draft {number}"
        )
    return {"letter_text": bytes(raw).decode("ascii")}
