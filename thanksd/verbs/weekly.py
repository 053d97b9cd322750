"""The weekly question: whom did you meet? Asked once a week, whatever sleeps, is restarted or runs beside.

`asked_at` of its owner is the claim: one conditional UPDATE moves it, in the transaction that writes the nudge's row,
before anything is shown. A channel that says it did not show the question gives the claim back; a program that died in
between does not, since the question may be on the screen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, select, update

from thanksd import counts, journal, ledger, queries, timing
from thanksd.channels import popups
from thanksd.errors import ConfigError
from thanksd.models import Member, Nudge
from thanksd.queries import Standing
from thanksd.rows import add_row
from thanksd.verbs import climbing, occasions
from thanksd.verbs.climbing import Ways
from thanksd.verbs.context import Context
from thanksd.verbs.occasions import ASK, Old, is_popup, is_standing

_A_WEEK = timedelta(days=7)


class _Next(NamedTuple):
    """The week's own moment that is to be asked for next, when its popup may come, and the claim before it."""

    slot: datetime
    popup: datetime
    asked_at: datetime


def is_news(context: Context, standing: Standing) -> bool:
    """Say whether the setting was switched on or off since the ledger was told: `begin_or_end` tells it.

    Raises ConfigError, as `popup_at` does.
    """
    return (timing.parse_ask(context.config.nudge.ask) is not None) != (standing.asked_at is not None)


def begin_or_end(context: Context) -> None:
    """Note that the question is wanted from now on, or no more: it is never asked for a week before that."""
    ask = timing.parse_ask(context.config.nudge.ask)
    with context.store.write() as connection:
        ledger.know_member(connection, context.owner)
        before = Member.asked_at.is_(None) if ask else Member.asked_at.is_not(None)
        after = timing.last_ask(ask, context.now, context.zone) if ask else None
        connection.execute(update(Member).where(Member.owner == context.owner, before).values(asked_at=after))


def popup_at(context: Context, now: datetime, standing: Standing) -> datetime | None:
    """Give when the question's next popup may come; None where it is not wanted.

    Raises ConfigError for settings that were written by hand and can't be read.
    """
    found = _next(context, now, standing, disturbs=True)
    return found and found.popup


def is_due(context: Context, now: datetime, standing: Standing, ways: Ways) -> bool:
    """Say whether the question may be asked now, on a channel that it has."""
    return _due(context, now, standing, ways) is not None


def _due(context: Context, now: datetime, standing: Standing, ways: Ways) -> _Next | None:
    try:
        found = _next(context, now, standing, disturbs=ways.disturb)
    except ConfigError:
        # Whoever plans by `popup_at` says it: all that is due besides must not wait for it to be mended.
        return None
    is_now = found is not None and found.popup <= now and bool(ways.pick(now, found.slot, ASK))
    return found if is_now else None


def _next(context: Context, now: datetime, standing: Standing, *, disturbs: bool) -> _Next | None:
    # A line in a terminal disturbs nobody.
    nudge = context.config.nudge
    ask = timing.parse_ask(nudge.ask)
    if ask is None or standing.asked_at is None:
        return None
    slot, popup = timing.next_ask(
        ask,
        standing.asked_at,
        now,
        context.zone,
        timing.parse_quiet(nudge.quiet_hours) if disturbs else None,
        standing.pause,
        weekdays_only=nudge.weekdays_only and disturbs,
    )
    return _Next(slot, popup, standing.asked_at)


def claim(connection: Connection, context: Context, now: datetime, ways: Ways) -> list[dict[str, Any]]:
    """Claim the question if it is due, and give it as the one nudge of a list; empty where another was first."""
    found = _due(context, now, queries.standing(connection, context.owner), ways)
    if found is None:
        return []
    mine = and_(Member.owner == context.owner, Member.asked_at == found.asked_at)
    if connection.execute(update(Member).where(mine).values(asked_at=now)).rowcount != 1:
        return []
    met, thanked, _ = counts.since(connection, context.owner, timing.start_of_week(found.slot, context.zone))
    seat, channel = context.store.seat, ways.pick(now, found.slot, ASK)
    number = _write(connection, now, found.slot, channel, seat)
    old = _old_popup(connection, seat)
    return [occasions.plain(popups.ask_popup(met, thanked), [number], [], (ASK, channel), old)]


def _write(connection: Connection, now: datetime, slot: datetime, channel: str, seat: str) -> int:
    """Write the question's row; one that was tried and not shown is not doubled."""
    same = and_(Nudge.thanks_id.is_(None), Nudge.occasion == ASK, Nudge.due_at == slot, Nudge.seat == seat)
    tried = climbing.tried(connection, same).nudge
    if not tried:
        values: dict[str, object] = {"channel": channel, "due_at": slot, "attempted_at": now, "seat": seat}
        return add_row(connection, Nudge, occasion=ASK, **values)
    connection.execute(update(Nudge).where(Nudge.id == tried).values(attempted_at=now, channel=channel))
    return tried


def _old_popup(connection: Connection, seat: str) -> Old:
    query = select(Nudge.popup_id, Nudge.server).where(is_standing(seat), Nudge.occasion == ASK)
    row = connection.execute(query.order_by(Nudge.id.desc()).limit(1)).one_or_none()
    return Old(row.popup_id, row.server) if row is not None else Old(0, "")


def give_back(connection: Connection, owner: str, attempted_at: datetime, slot: datetime) -> None:
    """Undo a claim whose channel did not show the question, if nobody claimed it since."""
    mine = update(Member).where(Member.owner == owner, Member.asked_at == attempted_at)
    connection.execute(mine.values(asked_at=slot - _A_WEEK))


def answer(connection: Connection, now: datetime, seat: str, popup_id: int, server: str, key: str) -> bool:
    """Note the answer, add or nobody; False where there was one before."""
    waiting = (Nudge.occasion == ASK, is_popup(seat, popup_id, server), Nudge.answered_at.is_(None))
    done = connection.execute(update(Nudge).where(*waiting).values(answered_at=now, answer=key))
    if done.rowcount:
        journal.record(connection, now, None, "answered", answer=key)
    return done.rowcount > 0
