"""The verbs that plan and claim nudges: when the next thing is to do, and which nudges are due on a channel.

A nudge is claimed by moving its thanks' popup_at a little ahead, in one conditional UPDATE, and its row is written
before anything is shown. Which channel it takes is a rule of `climbing`, what became of it is in `receipts`, what the
owner pressed in `answering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, insert, select, update

from thanksd import ledger, outbox, queries, timing
from thanksd.channels import PERHAPS
from thanksd.errors import ConfigError
from thanksd.models import Nudge, Thanks
from thanksd.moments import local, to_iso, wall
from thanksd.rows import AnySelect, batched
from thanksd.verbs import climbing, occasions, promising, weekly
from thanksd.verbs.again import out_of_quiet
from thanksd.verbs.climbing import TERMINAL, Tried, Ways
from thanksd.verbs.context import Context
from thanksd.verbs.occasions import HANDED_OFF, NOTHING, PASSWORD, REFUSED, STALE, THANKS, Due
from thanksd.when import MORNING

# How long a claimed nudge may take to be shown before it is due again: a channel's own limit is 5 seconds.
_CLAIM = timedelta(minutes=1)
_A_DAY = 3
_A_NIGHT = timedelta(days=1)
_DIGEST, _TWO = 3, 2
# What can wait for a better hour; other letters need a person, now.
_CAN_WAIT = (THANKS, STALE, HANDED_OFF)
# What a review answers, and so a digest can hold.
_TO_REVIEW = (THANKS, STALE, REFUSED)


def next_moment(context: Context) -> dict[str, Any]:
    """Give when the daemon has something to do next: a popup or a letter; null for nothing planned.

    `paused` says that popups wait for the end of a pause; theirs is the moment of that end then. `mistake` is "", or
    what in the settings keeps the weekly question from being asked, and what mends it.
    """
    planned, is_news = _planned(context)
    if is_news:
        weekly.begin_or_end(context)
        planned, _ = _planned(context)
    return planned


def _planned(context: Context) -> tuple[dict[str, Any], bool]:
    """Give the next moments, and whether the ledger must be told first that the weekly question is wanted or not."""
    now = context.now
    with context.store.read() as connection:
        waiting = and_(Thanks.popup_at.is_not(None), queries.is_of(context.owner))
        popup = connection.scalar(select(func.min(Thanks.popup_at)).where(waiting))
        promise = promising.next_popup(connection, context.owner)
        standing = queries.standing(connection, context.owner)
        letter = outbox.next_moment(connection, context.hands)
    until, question, is_news, mistake = standing.paused_until(now), None, False, ""
    try:
        question, is_news = weekly.popup_at(context, now, standing), weekly.is_news(context, standing)
    except ConfigError as error:
        mistake = f"{error.message} {error.hint}"
    popup = min((moment for moment in (popup, question, promise) if moment is not None), default=None)
    if popup is not None and until is not None:
        popup = max(popup, until)
    moments = {"popup": popup and to_iso(popup), "letter": letter and to_iso(letter)}
    return {**moments, "paused": until is not None, "mistake": mistake}, is_news


def due_nudges(
    context: Context, channel: str | Iterable[str], *, together: bool = False, sick: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Claim the nudges that are due, and give what to show, each on its channel; none in a pause.

    `channel` is the one, or those, that can be tried now. With `together` their owner comes back from somewhere, and
    two make one already. `sick` are channels that could not be reached and since when (ISO 8601): the first popup on
    another one says so in its `note`.

    Gives {"nudges": [{"ids", "thanks", "occasion", "channel", "popup", "line"}], "closed"}: several thanks in one where
    they make a digest; `closed` are channels that must not be tried for now, whatever the door knows of them.
    """
    now = context.now
    with context.store.read() as connection:
        ways = climbing.ways(connection, context, channel)
        if not _is_anything_due(connection, context, now, ways):
            return {"nudges": [], "closed": sorted(ways.closed)}
    with context.store.write() as connection:
        found = _take(connection, context, now, ways, _TWO if together else _DIGEST)
    occasions.note_sick(context, now, found, sick or {})
    return {"nudges": found, "closed": sorted(ways.closed)}


def _take(connection: Connection, context: Context, now: datetime, ways: Ways, least: int) -> list[dict[str, Any]]:
    due = _claim(connection, context.owner, now, ways)
    for one in due:
        if one.occasion == NOTHING:
            ledger.set_popup(connection, one.thanks, None)
    due = [one for one in due if one.occasion != NOTHING]
    may = _allowed(connection, context, now, due, least) if ways.disturb else due
    shown = [_write(connection, now, group, context.store.seat) for group in _groups(may, least)]
    more = promising.claim(connection, context, now, ways) + weekly.claim(connection, context, now, ways)
    return [occasions.words(context, now, *one) for one in shown] + more


def _is_anything_due(connection: Connection, context: Context, now: datetime, ways: Ways) -> bool:
    standing = queries.standing(connection, context.owner)
    if standing.paused_until(now) is not None or not ways.order:
        return False
    some = select(Thanks.id).where(_is_due(context.owner, now)).limit(1)
    if connection.scalar(some) is not None and (ways.are_open or _placed(connection, context.owner, now, ways)):
        return True
    if promising.is_due(connection, context, now, ways):
        return True
    return weekly.is_due(context, now, standing, ways)


def _is_due(owner: str, now: datetime) -> ColumnElement[bool]:
    return and_(queries.is_of(owner), Thanks.popup_at.is_not(None), Thanks.popup_at <= now)


def _placed(connection: Connection, owner: str, now: datetime, ways: Ways) -> list[Due]:
    """Read what is due and has a channel now, each with that."""
    which = _is_due(owner, now)
    these = Nudge.thanks_id.in_(select(Thanks.id).where(which))
    pasts = climbing.pasts(connection, Nudge.thanks_id, these) if ways.ask_the_past else {}
    placed = [
        one._replace(channel=ways.pick(now, one.popup_at, one.occasion, pasts.get(one.thanks, ())))
        for one in occasions.read(connection, which)
    ]
    return [one for one in placed if one.channel]


def _claim(connection: Connection, owner: str, now: datetime, ways: Ways) -> list[Due]:
    """Read what is due, and claim it by one conditional UPDATE; whoever comes second finds nothing to change."""
    due = _placed(connection, owner, now, ways)
    query = update(Thanks).where(_is_due(owner, now)).values(popup_at=now + _CLAIM).returning(Thanks.id)
    if ways.are_open:
        mine = set(connection.scalars(query))
    else:
        # What waits for its channel is left as it is.
        parts = batched([one.thanks for one in due])
        mine = {number for part in parts for number in connection.scalars(query.where(Thanks.id.in_(part)))}
    return [one for one in due if one.thanks in mine]


def _allowed(connection: Connection, context: Context, now: datetime, due: list[Due], least: int) -> list[Due]:
    """Put off what quiet hours, weekends or the day's three popups don't allow now.

    What the user said outright is not put off, unless its moment went by in an absence; letters that need a person
    never are.
    """
    free = [one for one in due if not _can_wait(one, least)]
    rest = [one for one in due if _can_wait(one, least)]
    moment = out_of_quiet(context, now)
    if rest and moment <= now:
        coming = _coming(connection, context, now)
        room = _room_today(_popups_today(connection, context, now) + coming, due, least)
        free, rest = free + rest[:room], rest[room:]
        tomorrow = wall(local(now, context.zone).date() + _A_NIGHT, MORNING, context.zone)
        # Whether there is room besides what is under way, its receipts will say.
        moment = now + _CLAIM if coming else out_of_quiet(context, tomorrow)
    for one in rest:
        ledger.set_popup(connection, one.thanks, moment)
    put_off = {one.thanks for one in rest}
    return [one for one in due if one.thanks not in put_off]


def _can_wait(due: Due, least: int) -> bool:
    said = due.outright and due.occasion == THANKS and least == _DIGEST
    return due.occasion in _CAN_WAIT and not said


def _room_today(popups: int, due: list[Due], least: int) -> int:
    """Say how many thanks may still pop up today after so many popups; a digest is one popup for all of them."""
    room = max(_A_DAY - popups, 0)
    together = sum(one.occasion in _TO_REVIEW for one in due) >= least
    return len(due) if room and together else room


def _popups_today(connection: Connection, context: Context, now: datetime) -> int:
    """Count the popups of today: a digest's nudges were shown at the same moment. What was lost is shown again free.

    A mail that may have come counts as one that did.
    """
    today = local(now, context.zone).date()
    # Up to the next midnight: on a clock that was set back, what was shown tomorrow takes no room from today.
    midnight, next_midnight = (wall(day, time(0), context.zone) for day in (today, today + _A_NIGHT))
    seen = case((Nudge.error.startswith(PERHAPS), Nudge.attempted_at), else_=Nudge.shown_at)
    query = _counting(context, func.distinct(seen)).where(seen >= midnight, seen < next_midnight)
    return int(connection.scalar(query) or 0)


def _coming(connection: Connection, context: Context, now: datetime) -> int:
    """Count the nudges that were claimed a moment ago, and have no receipt yet: a channel may take its time."""
    # One that failed is due again, and one of this very claim has the whole minute before it.
    under_way = and_(Thanks.popup_at > now, Thanks.popup_at < now + _CLAIM)
    tried = and_(Nudge.shown_at.is_(None), Nudge.answered_at.is_(None), Nudge.attempted_at > now - _CLAIM)
    return int(connection.scalar(_counting(context, Nudge.id).where(under_way, tried)) or 0)


def _counting(context: Context, what: Any) -> AnySelect:  # noqa: ANN401  a column, or what is made of one
    """Give the query that counts nudges of which there are three a day."""
    return (
        select(func.count(what))
        .join(Thanks, Nudge.thanks_id == Thanks.id)
        .where(
            Thanks.practice.is_(False),
            queries.is_of(context.owner),
            Nudge.channel != TERMINAL,
            Nudge.occasion.in_(_CAN_WAIT),
            Nudge.withdrawn_at.is_(None),
        )
    )


def _groups(due: list[Due], least: int) -> list[list[Due]]:
    """Let `least` thanks or more, or any in its weekly phase, make one digest; so with letters that want a password.

    What the popup of one thanks alone would say of its letter (refused, did not leave), its review says too.
    """
    back = [one for one in due if one.occasion in (_TO_REVIEW if least == _TWO else (THANKS,))]
    weekly_ones = [one for one in back if timing.is_weekly(one.popup_at, one.due_by)]
    together = back if len(back) >= least else weekly_ones
    password = [one for one in due if one.occasion == PASSWORD]
    grouped = {one.thanks for one in (*together, *password)}
    alone = [[one] for one in due if one.thanks not in grouped]
    return [group for group in (together, password, *alone) if group]


def _write(
    connection: Connection, now: datetime, group: list[Due], seat: str
) -> tuple[list[Due], list[int], occasions.Old]:
    """Write the nudges' rows, before anything is shown; one that was tried and not shown is not doubled.

    What is shown together goes where the most pressing one goes, and stays together from there on.
    """
    numbers = [one.thanks for one in group]
    before = {number: row for part in batched(numbers) for number, row in _not_shown(connection, part).items()}
    tried = {number: row.nudge for number, row in before.items() if row.nudge}
    common = {"attempted_at": now, "channel": group[0].channel, "seat": seat}
    again = [{"this": tried[one.thanks], "occasion": one.occasion} | common for one in group if one.thanks in tried]
    if again:
        connection.execute(update(Nudge).where(Nudge.id == bindparam("this")), again)
    new: list[dict[str, Any]] = [
        {"thanks_id": one.thanks, "occasion": one.occasion, "due_at": _due_since(one, before)} | common
        for one in group
        if one.thanks not in tried
    ]
    if new:
        tried |= _insert(connection, new)
    return group, [tried[number] for number in numbers], occasions.old_popup(connection, seat, numbers)


def _insert(connection: Connection, new: list[dict[str, Any]]) -> dict[int, int]:
    """Store nudges, and give their numbers by thanks: those after the newest, as nobody else writes meanwhile.

    Given back by the statement itself, each would be a statement of its own.
    """
    newest = connection.scalar(select(func.max(Nudge.id))) or 0
    connection.execute(insert(Nudge), new)
    rows = connection.execute(select(Nudge.thanks_id, Nudge.id).where(Nudge.id > newest))
    return {row.thanks_id: row.id for row in rows}


def _due_since(one: Due, before: Mapping[int, Tried]) -> datetime:
    return before.get(one.thanks, Tried()).due_at or one.popup_at


def _not_shown(connection: Connection, thanks: Sequence[int]) -> dict[int, Tried]:
    """Give the newest nudge of each of these thanks where it was neither shown nor answered."""
    newest = select(func.max(Nudge.id)).where(Nudge.thanks_id.in_(thanks)).group_by(Nudge.thanks_id)
    columns = (Nudge.thanks_id, Nudge.id, Nudge.due_at, climbing.is_kept().label("is_kept"))
    query = select(*columns).where(Nudge.id.in_(newest))
    rows = connection.execute(query.where(Nudge.shown_at.is_(None), Nudge.answered_at.is_(None)))
    return {row.thanks_id: Tried(0 if row.is_kept else row.id, row.due_at) for row in rows}
