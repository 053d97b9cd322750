"""The verbs behind nudges: which are due, what became of them, and what the owner answered.

A nudge is claimed by moving its thanks' popup_at a little ahead, in one conditional UPDATE, and its row is written
before anything is shown. Shown is what a channel's own receipt says; anything else leaves the nudge due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.orm import aliased

from thanksd import journal, ledger, outbox, states, timing
from thanksd.config import Config
from thanksd.models import Letter, Nudge, Thanks
from thanksd.moments import local, to_iso, wall
from thanksd.rows import AnyRow, add_row
from thanksd.verbs import occasions
from thanksd.verbs.closing import snooze_until
from thanksd.verbs.context import Context
from thanksd.verbs.occasions import NOTHING, PASSWORD, THANKS, Due, is_popup, is_standing

# How long a claimed nudge may take to be shown before it is due again: a channel's own limit is 5 seconds.
_CLAIM = timedelta(minutes=1)
_A_DAY = 3
_A_NIGHT = timedelta(days=1)
_DIGEST = 3
_MORNING = time(9)


def due_nudges(context: Context, channel: str) -> dict[str, Any]:
    """Claim the nudges that are due on a channel, and give what to show.

    Gives {"nudges": [{"ids", "thanks", "occasion", "popup", "line"}]}: several thanks in one where they make a digest.
    """
    now = context.now
    with context.store.read() as connection:
        if connection.scalar(select(Thanks.id).where(_is_due(now)).limit(1)) is None:
            return {"nudges": []}
    with context.store.write() as connection:
        due = [one for one in occasions.read(connection, _is_due(now)) if _claim(connection, now, one)]
        for one in due:
            if one.occasion == NOTHING:
                ledger.set_popup(connection, one.thanks, None)
        due = [one for one in due if one.occasion != NOTHING]
        may = _allowed(connection, context, now, due, channel)
        shown = [_write(connection, now, group, channel) for group in _groups(may)]
        return {"nudges": [occasions.words(context, now, *one) for one in shown]}


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(Thanks.popup_at.is_not(None), Thanks.popup_at <= now)


def _claim(connection: Connection, now: datetime, due: Due) -> bool:
    query = update(Thanks).where(Thanks.id == due.thanks, Thanks.popup_at == due.popup_at)
    return connection.execute(query.values(popup_at=now + _CLAIM)).rowcount == 1


def _allowed(connection: Connection, context: Context, now: datetime, due: list[Due], channel: str) -> list[Due]:
    """Put off what quiet hours, weekends or the day's three popups don't allow now.

    What the user said outright, and letters that need a person, are never put off. A line in a terminal disturbs
    nobody: its owner is typing there.
    """
    free = due if channel == "terminal" else [one for one in due if one.outright or one.occasion != THANKS]
    rest = [one for one in due if one not in free]
    moment = _out_of_quiet(context, now)
    if rest and moment <= now:
        room = _room_today(connection, context, now, due)
        free, rest = free + rest[:room], rest[room:]
        moment = _out_of_quiet(context, wall(local(now, context.zone).date() + _A_NIGHT, _MORNING, context.zone))
    for one in rest:
        ledger.set_popup(connection, one.thanks, moment)
    return [one for one in due if one in free]


def _out_of_quiet(context: Context, moment: datetime) -> datetime:
    return timing.after_quiet(moment, context.zone, _quiet(context.config), weekdays_only=_weekdays(context.config))


def _room_today(connection: Connection, context: Context, now: datetime, due: list[Due]) -> int:
    """Say how many thanks may still pop up today; a digest is one popup for all of them."""
    room = max(_A_DAY - _popups_today(connection, context, now), 0)
    together = sum(one.occasion == THANKS for one in due) >= _DIGEST
    return len(due) if room and together else room


def _popups_today(connection: Connection, context: Context, now: datetime) -> int:
    """Count the popups of today: a digest's nudges were shown at the same moment. What was lost is shown again free."""
    midnight = wall(local(now, context.zone).date(), time(0), context.zone)
    query = select(func.count(func.distinct(Nudge.shown_at))).where(
        Nudge.shown_at >= midnight,
        Nudge.channel == "desktop",
        Nudge.occasion == THANKS,
        Nudge.withdrawn_at.is_(None),
    )
    return int(connection.scalar(query) or 0)


def _groups(due: list[Due]) -> list[list[Due]]:
    """Let three or more thanks, or any in its weekly phase, make one digest; so with letters that want a password."""
    thanks = [one for one in due if one.occasion == THANKS]
    weekly = [one for one in thanks if timing.is_weekly(one.popup_at, one.due_by)]
    together = thanks if len(thanks) >= _DIGEST else weekly
    password = [one for one in due if one.occasion == PASSWORD]
    alone = [[one] for one in due if one not in together and one not in password]
    return [group for group in (together, password, *alone) if group]


def _write(connection: Connection, now: datetime, group: list[Due], channel: str) -> tuple[list[Due], list[int], Any]:
    """Write the nudges' rows, before anything is shown; one that was tried and not shown is not doubled."""
    ids = []
    for one in group:
        last = _last_nudge(connection, one.thanks)
        if last is not None and last.shown_at is None and last.answered_at is None:
            connection.execute(update(Nudge).where(Nudge.id == last.id).values(attempted_at=now, channel=channel))
            ids.append(int(last.id))
            continue
        values = {"thanks_id": one.thanks, "occasion": one.occasion, "channel": channel, "due_at": one.popup_at}
        ids.append(add_row(connection, Nudge, attempted_at=now, **values))
    return group, ids, occasions.old_popup(connection, [one.thanks for one in group])


def _last_nudge(connection: Connection, thanks: int) -> AnyRow | None:
    columns = (Nudge.id, Nudge.shown_at, Nudge.answered_at)
    query = select(*columns).where(Nudge.thanks_id == thanks).order_by(Nudge.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def nudges_shown(
    context: Context, ids: Sequence[int], *, popup_id: int | None = None, server: str = ""
) -> dict[str, Any]:
    """Note the channel's receipt: these nudges were seen to be shown. The next ones follow by the cadence."""
    now = context.now
    with context.store.write() as connection:
        replaced = and_(is_standing(), is_popup(popup_id, server), Nudge.id.not_in(ids))
        connection.execute(update(Nudge).where(replaced).values(closed_at=now))
        for number in ids:
            shown = (
                update(Nudge)
                .where(Nudge.id == number, Nudge.shown_at.is_(None))
                .returning(Nudge.thanks_id, Nudge.channel, Nudge.answered_at)
            )
            row = connection.execute(shown.values(shown_at=now, popup_id=popup_id, server=server or None)).one_or_none()
            if row is None:
                continue
            journal.record(connection, now, row.thanks_id, "nudged", channel=row.channel)
            # Answered while it was on its way to the screen: the answer has set the next moment.
            if row.answered_at is None:
                _plan_next(connection, context, now, row.thanks_id)
    return {"nudges": len(ids)}


def _plan_next(connection: Connection, context: Context, now: datetime, thanks: int) -> None:
    """Set the popup after this one; none where no popup is wanted any more."""
    row = ledger.get(connection, thanks)
    if row.popup_at is None:
        return
    count = select(func.count()).where(
        Nudge.thanks_id == thanks,
        Nudge.shown_at.is_not(None),
        Nudge.withdrawn_at.is_(None),
        Nudge.due_at >= row.nudge_at,
    )
    shown = max(int(connection.scalar(count) or 0), 1)
    quiet, weekdays = _quiet(context.config), _weekdays(context.config)
    moment = timing.next_popup(now, shown, row.due_by, context.zone, quiet, weekdays_only=weekdays)
    ledger.set_popup(connection, thanks, moment)


def nudges_failed(context: Context, ids: Sequence[int], error: str) -> dict[str, Any]:
    """Note that a channel did not show these nudges: they are due still."""
    now = context.now
    with context.store.write() as connection:
        for number in ids:
            query = update(Nudge).where(Nudge.id == number).values(error=error)
            row = connection.execute(query.returning(Nudge.thanks_id, Nudge.answered_at)).one_or_none()
            # One that was answered meanwhile waits for another moment now.
            if row is not None and row.answered_at is None:
                waiting = and_(Thanks.id == row.thanks_id, Thanks.popup_at.is_not(None))
                connection.execute(update(Thanks).where(waiting).values(popup_at=now))
    return {"nudges": len(ids)}


def nudges_closed(context: Context, popup_id: int, server: str) -> dict[str, Any]:
    """Note that a popup was closed: shown, not answered."""
    with context.store.write() as connection:
        which = update(Nudge).where(is_standing(), is_popup(popup_id, server))
        done = connection.execute(which.values(closed_at=context.now))
    return {"nudges": done.rowcount}


def show_again(context: Context) -> dict[str, Any]:
    """Make the nudges due again whose popups lost their buttons: their server or this daemon was restarted.

    Gives {"popups": [[id, server]]}: those may still be on the screen, and are dead.
    """
    now = context.now
    with context.store.write() as connection:
        query = update(Nudge).where(is_standing()).values(withdrawn_at=now)
        lost = connection.execute(
            query.returning(Nudge.thanks_id, Nudge.popup_id, Nudge.server, Nudge.answered_at)
        ).all()
        thanks = {row.thanks_id for row in lost if row.answered_at is None}
        waiting = and_(Thanks.id.in_(thanks), Thanks.popup_at.is_not(None))
        connection.execute(update(Thanks).where(waiting).values(popup_at=now))
    return {"popups": [list(one) for one in {(row.popup_id, row.server) for row in lost}]}


def answered_popups(context: Context) -> dict[str, Any]:
    """Give the popups that nobody needs any more, and note them as closed.

    All their thanks were answered elsewhere, or have a newer popup: a digest stays while one of its thanks waits.
    """
    newer = aliased(Nudge)
    has_newer = select(newer.id).where(
        newer.thanks_id == Nudge.thanks_id, newer.id > Nudge.id, newer.popup_id.is_not(None)
    )
    is_settled = or_(Nudge.answered_at.is_not(None), has_newer.exists())
    query = select(Nudge.popup_id, Nudge.server, is_settled.label("is_settled"))
    with context.store.read() as connection:
        rows = connection.execute(query.where(is_standing())).all()
    needed = {(row.popup_id, row.server) for row in rows if not row.is_settled}
    stale = {(row.popup_id, row.server) for row in rows} - needed
    if stale:
        with context.store.write() as connection:
            for popup_id, server in stale:
                gone = update(Nudge).where(is_standing(), is_popup(popup_id, server))
                connection.execute(gone.values(closed_at=context.now))
    return {"popups": [list(one) for one in stale]}


def answer(context: Context, popup_id: int, server: str, key: str) -> dict[str, Any]:
    """Do what a pressed button says: later, waive and undo answer; review, resolve and fix only open something.

    A button pressed twice does nothing more. Gives {"thanks": [numbers], "names": [...], "occasion", "done": bool}.
    """
    now = context.now
    with context.store.write() as connection:
        rows = occasions.on_popup(connection, popup_id, server)
        numbers = sorted({row.thanks_id for row in rows})
        names = occasions.names(connection, numbers)
        waiting = [row.thanks_id for row in rows if row.answered_at is None]
        for number in waiting:
            _act(connection, context, now, number, key)
    occasion = rows[0].occasion if rows else ""
    return {"thanks": numbers, "names": names, "occasion": occasion, "done": bool(waiting)}


def _act(connection: Connection, context: Context, now: datetime, number: int, key: str) -> None:
    row = ledger.get(connection, number)
    if row.state not in (states.OWED, states.SNOOZED) or key not in ("later", "waive"):
        journal.record(connection, now, number, "opened", button=key)
    elif key == "later":
        ledger.snooze(connection, now, number, snooze_until(context, now, ""))
    else:
        ledger.waive(connection, now, number, "")


def next_moment(context: Context) -> dict[str, Any]:
    """Give when the daemon has something to do next: a popup or a letter; null for nothing planned."""
    with context.store.read() as connection:
        popup = connection.scalar(select(func.min(Thanks.popup_at)).where(Thanks.popup_at.is_not(None)))
        letter = outbox.next_moment(connection)
        paused = Letter.settled_at.is_(None) & (Letter.reason == states.CREDENTIALS)
        if connection.scalar(select(Letter.id).where(paused).limit(1)) is not None:
            letter = None
    return {"popup": popup and to_iso(popup), "letter": letter and to_iso(letter)}


def _quiet(config: Config) -> timing.Quiet | None:
    return timing.parse_quiet(config.nudge.quiet_hours)


def _weekdays(config: Config) -> bool:
    return config.nudge.weekdays_only
