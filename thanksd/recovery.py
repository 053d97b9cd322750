"""What letters need beside leaving: dead workers, stale letters, refused logins, letters that came back.

Each move is a small change in the caller's transaction, as in `outbox`. `needs_care` is the cheap question that an
idle pass asks before any of them is begun.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, bindparam, case, func, or_, select, update

from thanksd import journal, ledger, states
from thanksd.models import Letter, Thanks, UtcDateTime
from thanksd.outbox import ALONE, STALE_AFTER, Hands, end_attempt, is_by, is_paused, is_stale, is_waiting
from thanksd.rows import AnyRow, AnySelect


def needs_care(
    connection: Connection, now: datetime, is_surely_dead: Callable[[str], bool], hands: Hands = ALONE
) -> bool:
    """Say whether any letter is in a lost worker's hands, is stale, or came up behind our login that was refused.

    What a living worker has in hand needs nobody: writing for it would wake every daemon of a shared ledger, and each
    of them all the others.
    """
    found = set(connection.scalars(_care(hands), {"now": now, "limit": now - STALE_AFTER}))
    if found == {states.SENDING}:
        return bool(_lost(connection, now, is_surely_dead))
    return bool(found)


@cache
def _care(hands: Hands) -> AnySelect:
    # Every pass of an idle daemon asks this: building the statement costs more than asking.
    now, limit = bindparam("now", type_=UtcDateTime), bindparam("limit", type_=UtcDateTime)
    cares = or_(Letter.state == states.SENDING, and_(is_waiting(), is_stale(limit)), _came_up_behind(now, hands))
    # The first condition is the partial index's own; within the others SQLite would not see it.
    return select(Letter.state).where(Letter.settled_at.is_(None), cares).distinct()


def recover(connection: Connection, now: datetime, is_surely_dead: Callable[[str], bool]) -> int:
    """Free the letters of workers that died: nothing left in phase pre, and phase dot is for a person to decide.

    A worker is lost when its process is known to be dead, otherwise when its lease has ended. Gives how many.
    """
    lost = _lost(connection, now, is_surely_dead)
    for row in lost:
        _free(connection, now, row)
    return len(lost)


def _lost(connection: Connection, now: datetime, is_surely_dead: Callable[[str], bool]) -> list[AnyRow]:
    query = select(Letter.id, Letter.thanks_id, Letter.attempts, Letter.owner, Letter.phase, Letter.lease_until)
    rows = connection.execute(query.where(Letter.settled_at.is_(None), Letter.state == states.SENDING)).all()
    # One that nobody has (no program of ours leaves it so) must not stand in the way of all the others.
    nobodys = {row.id for row in rows if not row.owner or row.lease_until is None}
    return [row for row in rows if row.id in nobodys or row.lease_until <= now or is_surely_dead(row.owner)]


def _free(connection: Connection, now: datetime, row: AnyRow) -> None:
    unknown = row.phase == states.DOT
    after = {"state": states.HELD, "reason": "unknown"} if unknown else {"state": states.QUEUED, "reason": ""}
    query = update(Letter).where(Letter.id == row.id, Letter.attempts == row.attempts, Letter.state == states.SENDING)
    connection.execute(query.values(owner="", lease_until=None, **after))
    outcome = states.UNKNOWN if unknown else states.NOT_NOW
    end_attempt(connection, now, row.id, row.attempts, outcome, "the program ended during this attempt")
    ledger.set_popup(connection, row.thanks_id, now if unknown else None)
    journal.record(connection, now, row.thanks_id, after["state"], reason="interrupted")


def expire(connection: Connection, now: datetime) -> int:
    """Let stale letters not leave by themselves any more: cancelled, and their thanks due with the text as it was.

    Gives how many.
    """
    values: dict[str, Any] = {"state": states.CANCELLED, "reason": states.STALE, "settled_at": now}
    query = update(Letter).where(is_waiting(), is_stale(now - STALE_AFTER)).values(**values)
    stale = list(connection.scalars(query.returning(Letter.thanks_id)))
    for thanks in stale:
        ledger.due_again(connection, now, thanks, now)
        journal.record(connection, now, thanks, "stale")
    return len(stale)


def join_the_waiting(connection: Connection, now: datetime, hands: Hands = ALONE) -> int:
    """Let letters of ours whose moment came behind our refused login say so themselves, with the server's words.

    They were not tried. Their popup is that of the one that was refused, also where it was shown and comes again: one
    for all. Should that letter be taken back, the login is no better for it. A colleague's may leave from another seat,
    and says nothing. Gives how many.
    """
    refused = (
        select(Letter.server_reply, Thanks.popup_at)
        .join(Thanks, Letter.thanks_id == Thanks.id)
        .where(Letter.settled_at.is_(None), Letter.reason == states.CREDENTIALS, Letter.seat == hands.seat)
    )
    # One of our own first: its popup is ours.
    mine_first = case((Letter.writer == hands.owner, 0), else_=1)
    first = connection.execute(refused.order_by(mine_first, Letter.id).limit(1)).one_or_none()
    if first is None:
        return 0
    reply = first.server_reply
    values = {"state": states.DEFERRED, "reason": states.CREDENTIALS, "server_reply": reply, "seat": hands.seat}
    query = update(Letter).where(_came_up_behind(now, hands)).values(**values).returning(Letter.thanks_id)
    joined = list(connection.scalars(query))
    for thanks in joined:
        ledger.set_popup(connection, thanks, first.popup_at)
        journal.record(connection, now, thanks, states.DEFERRED, reply=reply, reason=states.CREDENTIALS)
    return len(joined)


def _came_up_behind(now: datetime | BindParameter[datetime], hands: Hands) -> ColumnElement[bool]:
    waits = and_(is_waiting(), Letter.send_after <= now, Letter.reason != states.CREDENTIALS)
    return and_(waits, _is_own(hands), is_paused(hands.seat))


def _is_own(hands: Hands) -> ColumnElement[bool]:
    return is_by((hands.owner,) if hands.owner else None)


def release(connection: Connection, now: datetime, hands: Hands = ALONE) -> int:
    """Let letters go on that waited for a login here, and our own that wait for one elsewhere: a new password works.

    Gives how many.
    """
    query = (
        update(Letter)
        .where(Letter.settled_at.is_(None), Letter.state == states.DEFERRED)
        .where(or_(Letter.seat == hands.seat, _is_own(hands)))
        .where(Letter.reason.in_((states.CREDENTIALS, states.PASSWORD)))
        .values(reason="", send_after=now)
        .returning(Letter.thanks_id)
    )
    released = list(connection.scalars(query))
    for thanks in released:
        ledger.set_popup(connection, thanks, None)
    return len(released)


def bounce(connection: Connection, now: datetime, letter: int, thanks: int, popup_at: datetime) -> str:
    """Note that a letter which left came back: failed, so that another may follow; its address is known as bad.

    When it left stays in `sent_at`. Gives the address, or "" where the letter neither was sent nor is held.
    """
    left = and_(Letter.id == letter, Letter.state.in_((states.SENT, states.HELD)))
    query = update(Letter).where(left).values(state=states.FAILED, reason=states.BOUNCED, settled_at=now)
    to = connection.scalar(query.returning(Letter.to))
    if to is None:
        return ""
    ledger.due_again(connection, now, thanks, popup_at)
    ledger.mark_address(connection, now, to, states.BOUNCED)
    journal.record(connection, now, thanks, "bounced", to=to)
    return str(to)


def came_back() -> ColumnElement[bool]:
    """Say of a thanks that its newest letter is one that came back, as its writer said, who owes it still."""
    other = Letter.__table__.alias("other").c
    newest = select(func.max(other.id)).where(other.thanks_id == Thanks.id).scalar_subquery()
    theirs = and_(Letter.reason == states.BOUNCED, Letter.writer == Thanks.owner)
    is_it = select(Letter.id).where(Letter.id == newest, theirs).exists()
    return and_(Thanks.state.in_((states.OWED, states.SNOOZED)), is_it)


def unbounce(connection: Connection, now: datetime, letter: AnyRow) -> bool:
    """Take back that a letter came back, by its row (id, thanks_id, to, sent_at): it is sent again, or held as before.

    Its address is known as bad no more. False where it did not come back. Why it was held before is not known any
    more: that it may have arrived is true in any case.
    """
    is_sent = letter.sent_at is not None
    before = {"state": states.SENT, "reason": "", "settled_at": letter.sent_at}
    held = {"state": states.HELD, "reason": states.UNKNOWN_END, "settled_at": None}
    bounced = and_(Letter.id == letter.id, Letter.state == states.FAILED, Letter.reason == states.BOUNCED)
    if connection.execute(update(Letter).where(bounced).values(**(before if is_sent else held))).rowcount != 1:
        return False
    ledger.clear_address(connection, letter.to)
    if is_sent:
        ledger.thanked(connection, now, letter.thanks_id)
        # In time or late is a matter of when it left.
        ledger.change_thanks(connection, now, letter.thanks_id, closed_at=letter.sent_at)
    else:
        ledger.confirm(connection, now, letter.thanks_id)
        ledger.set_popup(connection, letter.thanks_id, now)
    journal.record(connection, now, letter.thanks_id, "taken back", was="bounced")
    return True
