"""The verbs that note what became of nudges: shown, failed, closed, lost, or answered elsewhere.

Shown is what a channel's own receipt says; anything else leaves the nudge due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, update

from thanksd import journal, ledger, states, timing
from thanksd.models import Letter, Nudge, Thanks
from thanksd.rows import AnyRow
from thanksd.verbs import climbing, promising, weekly
from thanksd.verbs.context import Context
from thanksd.verbs.occasions import ASK, HANDED_OFF, PASSWORD, is_popup, is_standing


def nudges_shown(
    context: Context, ids: Sequence[int], *, popup_id: int | None = None, server: str = ""
) -> dict[str, Any]:
    """Note the channel's receipt: these nudges were seen to be shown. The next ones follow by the cadence."""
    now, seat = context.now, context.store.seat
    with context.store.write() as connection:
        replaced = and_(is_standing(seat), is_popup(seat, popup_id, server), Nudge.id.not_in(ids))
        connection.execute(update(Nudge).where(replaced).values(closed_at=now))
        channels = {_note_shown(connection, context, now, number, popup_id, server) for number in ids}
        if climbing.MAIL in channels:
            climbing.login_works(connection, seat)
    return {"nudges": len(ids)}


def _note_shown(
    connection: Connection, context: Context, now: datetime, number: int, popup_id: int | None, server: str
) -> str:
    """Note one receipt, and give the channel that it came by; "" where it is known."""
    shown = (
        update(Nudge)
        .where(Nudge.id == number, Nudge.shown_at.is_(None))
        .returning(Nudge.thanks_id, Nudge.promise_id, Nudge.channel, Nudge.occasion, Nudge.answered_at)
    )
    row = connection.execute(shown.values(shown_at=now, popup_id=popup_id, server=server or None)).one_or_none()
    if row is None:
        return ""
    journal.record(connection, now, row.thanks_id, "asked" if row.occasion == ASK else "nudged", channel=row.channel)
    # Answered while it was on its way to the screen: the answer has set the next moment.
    if row.answered_at is None and row.promise_id is not None:
        promising.shown(connection, context, now, row.promise_id)
    if row.answered_at is None and row.thanks_id is not None:
        _plan_next(connection, context, now, row.thanks_id, row.occasion)
    return str(row.channel)


def _plan_next(connection: Connection, context: Context, now: datetime, thanks: int, occasion: str) -> None:
    """Set the popup after this one; none where no popup is wanted any more."""
    row = ledger.get(connection, thanks)
    if row.popup_at is None:
        return
    if occasion == HANDED_OFF:
        # Asked once: whether it was sent only its owner's mail program knows, and the list says it from then on.
        ledger.set_popup(connection, thanks, None)
        return
    count = select(func.count()).where(
        Nudge.thanks_id == thanks,
        Nudge.shown_at.is_not(None),
        Nudge.withdrawn_at.is_(None),
        Nudge.due_at >= row.nudge_at,
    )
    shown = max(int(connection.scalar(count) or 0), 1)
    nudge = context.config.nudge
    quiet, weekdays = timing.parse_quiet(nudge.quiet_hours), nudge.weekdays_only
    moment = timing.next_popup(now, shown, row.due_by, context.zone, quiet, weekdays_only=weekdays)
    ledger.set_popup(connection, thanks, moment)
    if occasion == PASSWORD:
        _put_beside(connection, row.owner, moment)


def _put_beside(connection: Connection, owner: str, moment: datetime) -> None:
    """Let the letters that want a password too be told of with this one: their popup was to come while it was shown."""
    wanting = select(Letter.thanks_id).where(
        Letter.settled_at.is_(None), Letter.reason.in_((states.CREDENTIALS, states.PASSWORD))
    )
    beside = and_(Thanks.id.in_(wanting), Thanks.owner == owner, Thanks.popup_at.is_not(None))
    connection.execute(update(Thanks).where(beside).values(popup_at=moment))


def nudges_failed(
    context: Context, ids: Sequence[int], error: str, *, channel: str = "", tried: bool = True
) -> dict[str, Any]:
    """Note that a channel did not show these nudges: they are due still, unless another took them meanwhile.

    One that was not even `tried` keeps the error that it has. `channel` is the one that failed, "" for any.
    """
    now = context.now
    with context.store.write() as connection:
        for number in ids:
            words = error if tried else func.coalesce(Nudge.error, error)
            query = update(Nudge).where(Nudge.id == number).values(error=words)
            columns = (Nudge.thanks_id, Nudge.promise_id, Nudge.attempted_at, Nudge.due_at, Nudge.channel, Nudge.seat)
            row = connection.execute(query.returning(*columns, Nudge.shown_at, Nudge.answered_at)).one_or_none()
            # One that was shown or answered meanwhile waits for another moment now.
            if row is None or row.shown_at is not None or row.answered_at is not None:
                continue
            if row.seat == context.store.seat and channel in ("", row.channel):
                _due_again(connection, context, now, row)
    return {"nudges": len(ids)}


def _due_again(connection: Connection, context: Context, now: datetime, row: AnyRow) -> None:
    if row.promise_id is not None:
        promising.due_again(connection, row.promise_id, now)
    elif row.thanks_id is None:
        weekly.give_back(connection, context.owner, row.attempted_at, row.due_at)
    else:
        waiting = and_(Thanks.id == row.thanks_id, Thanks.popup_at.is_not(None))
        connection.execute(update(Thanks).where(waiting).values(popup_at=now))


def nudges_closed(context: Context, popup_id: int, server: str) -> dict[str, Any]:
    """Note that a popup was closed: shown, not answered."""
    with context.store.write() as connection:
        which = update(Nudge).where(is_standing(context.store.seat), is_popup(context.store.seat, popup_id, server))
        done = connection.execute(which.values(closed_at=context.now))
    return {"nudges": done.rowcount}


def show_again(context: Context) -> dict[str, Any]:
    """Make the nudges due again whose popups lost their buttons: their server or this daemon was restarted.

    The weekly question is not asked again for that. Gives {"popups": [[id, server]]}: those may still be on the
    screen, and are dead.
    """
    now = context.now
    with context.store.write() as connection:
        query = update(Nudge).where(is_standing(context.store.seat)).values(withdrawn_at=now)
        lost = connection.execute(
            query.returning(Nudge.thanks_id, Nudge.promise_id, Nudge.popup_id, Nudge.server, Nudge.answered_at)
        ).all()
        for number in {row.promise_id for row in lost if row.answered_at is None and row.promise_id is not None}:
            promising.due_again(connection, number, now)
        thanks = {row.thanks_id for row in lost if row.answered_at is None and row.thanks_id is not None}
        waiting = and_(Thanks.id.in_(thanks), Thanks.popup_at.is_not(None))
        connection.execute(update(Thanks).where(waiting).values(popup_at=now))
    return {"popups": [list(one) for one in {(row.popup_id, row.server) for row in lost}]}


def answered_popups(context: Context) -> dict[str, Any]:
    """Give the popups that nobody needs any more, and note them as closed.

    All their thanks were answered elsewhere, or have a newer popup: a digest stays while one of its thanks waits. Or it
    is the question of another week.
    """
    newer = Nudge.__table__.alias("newer").c
    has_newer = select(newer.id).where(
        newer.thanks_id == Nudge.thanks_id, newer.id > Nudge.id, newer.popup_id.is_not(None)
    )
    monday = timing.start_of_week(context.now, context.zone)
    is_old = and_(Nudge.occasion == ASK, Nudge.shown_at < monday)
    is_settled = or_(Nudge.answered_at.is_not(None), has_newer.exists(), is_old)
    query = select(Nudge.popup_id, Nudge.server, is_settled.label("is_settled"))
    with context.store.read() as connection:
        rows = connection.execute(query.where(is_standing(context.store.seat))).all()
    needed = {(row.popup_id, row.server) for row in rows if not row.is_settled}
    stale = {(row.popup_id, row.server) for row in rows} - needed
    if stale:
        seat = context.store.seat
        with context.store.write() as connection:
            for popup_id, server in stale:
                gone = update(Nudge).where(is_standing(seat), is_popup(seat, popup_id, server))
                connection.execute(gone.values(closed_at=context.now))
    return {"popups": [list(one) for one in stale]}
