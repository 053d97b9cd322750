"""Moves on letters: confirm, claim, mark the dot, settle, cancel, resolve, recover.

Each is one small change in the caller's transaction, and each UPDATE names the state it expects: whoever comes second
finds nothing to change. Nothing here touches the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from thanksd import journal, ledger, states
from thanksd.models import Attempt, Letter
from thanksd.moments import to_iso
from thanksd.rows import AnyRow, add_row
from thanksd.timing import back_off

# How long a worker may take before others think it lost: all commands before the dot (RFC 5321 4.5.3.2 allows each
# its minutes), and the 10 minutes of the final dot with a minute to write the answer down.
PRE_LEASE = timedelta(minutes=30)
DOT_LEASE = timedelta(minutes=11)


class Claim(NamedTuple):
    """A letter that this worker may carry now, as plain values."""

    letter: int
    thanks: int
    number: int
    owner: str
    sender: str
    to: str
    raw: bytes
    message_id: str


class Result(NamedTuple):
    """What an attempt came to: one of states' outcomes, the server's words, its code, and why a letter must wait."""

    outcome: str
    reply: str
    code: int | None
    reason: str


def confirm(connection: Connection, now: datetime, draft: AnyRow, sender: str, send_after: datetime) -> int:
    """Put the prepared bytes of a draft into the outbox: state queued. The unique index refuses a second one."""
    values: dict[str, Any] = {
        "thanks_id": draft.thanks_id,
        "sender": sender,
        "to": draft.prepared_to,
        "subject": draft.subject,
        "raw": draft.prepared_raw,
        "sha256": draft.prepared_sha256,
        "message_id": draft.prepared_message_id,
        "state": states.QUEUED,
        "reason": "",
        "phase": states.PRE,
        "owner": "",
        "attempts": 0,
        "confirmed_at": now,
        "send_after": send_after,
        "server_reply": "",
    }
    number = add_row(connection, Letter, **values)
    ledger.confirm(connection, now, draft.thanks_id)
    journal.record(
        connection, now, draft.thanks_id, "confirmed", sha256=draft.prepared_sha256, send_after=to_iso(send_after)
    )
    return number


def claim(connection: Connection, now: datetime, owner: str, only: Sequence[int] | None = None) -> Claim | None:
    """Take the next letter that may leave, in one conditional UPDATE: state sending, phase pre, a new attempt.

    While a login was refused nothing is claimed: trying on would lock the account. `only` limits it to those letters.
    """
    refused = aliased(Letter)
    paused = select(refused.id).where(refused.settled_at.is_(None), refused.reason == states.CREDENTIALS).exists()
    ready = and_(_is_waiting(), Letter.send_after <= now, ~paused)
    if only is not None:
        ready = and_(ready, Letter.id.in_(only))
    first = select(Letter.id).where(ready).order_by(Letter.send_after, Letter.id).limit(1)
    query = (
        update(Letter)
        .where(Letter.id == first.with_for_update(skip_locked=True).scalar_subquery())
        .values(
            state=states.SENDING,
            phase=states.PRE,
            owner=owner,
            lease_until=now + PRE_LEASE,
            attempts=Letter.attempts + 1,
        )
        .returning(
            Letter.id,
            Letter.thanks_id,
            Letter.attempts,
            Letter.owner,
            Letter.sender,
            Letter.to,
            Letter.raw,
            Letter.message_id,
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    connection.execute(insert(Attempt).values(letter_id=row.id, number=row.attempts, started_at=now))
    return Claim(*tuple(row))


def _is_waiting() -> ColumnElement[bool]:
    # settled_at is what the partial index knows; the state is what counts.
    return and_(Letter.settled_at.is_(None), Letter.state.in_((states.QUEUED, states.DEFERRED)))


def mark_dot(connection: Connection, now: datetime, held: Claim) -> bool:
    """Write down that the final dot may leave from now on; False where the claim was lost, and the dot must not leave.

    Owner, attempt and lease are checked by the UPDATE itself.
    """
    query = (
        update(Letter)
        .where(_is_held_by(held), Letter.phase == states.PRE, Letter.lease_until > now)
        .values(phase=states.DOT, lease_until=now + DOT_LEASE)
    )
    return connection.execute(query).rowcount == 1


def _is_held_by(held: Claim) -> ColumnElement[bool]:
    return and_(
        Letter.id == held.letter,
        Letter.state == states.SENDING,
        Letter.owner == held.owner,
        Letter.attempts == held.number,
    )


def settle(connection: Connection, now: datetime, held: Claim, result: Result) -> bool:
    """Write down what the attempt came to, and move the thanks with it; False where the claim was lost meanwhile."""
    mine = _is_held_by(held)
    if result.outcome == states.ACCEPTED:
        # A worker that slept past its lease finds its letter held, or queued again by a person; a 2xx to this very
        # attempt is still the answer, and spares the recipient a second copy.
        still = Letter.state.in_((states.HELD, states.QUEUED))
        late = and_(Letter.id == held.letter, still, Letter.attempts == held.number)
        mine = or_(mine, late)
    values = _settled(now, held, result)
    changed = connection.execute(update(Letter).where(mine).values(owner="", lease_until=None, **values)).rowcount == 1
    _end_attempt(connection, now, held.letter, held.number, result.outcome, result.reply)
    if changed:
        _follow(connection, now, held.thanks, values["state"], result)
    return changed


def _settled(now: datetime, held: Claim, result: Result) -> dict[str, Any]:
    common = {"server_reply": result.reply, "reason": result.reason}
    if result.outcome == states.ACCEPTED:
        return common | {"state": states.SENT, "reason": "", "sent_at": now, "settled_at": now}
    if result.outcome == states.REJECTED:
        return common | {"state": states.FAILED, "settled_at": now}
    if result.outcome == states.UNKNOWN:
        return common | {"state": states.HELD, "reason": "unknown"}
    return common | {"state": states.DEFERRED, "send_after": now + back_off(held.number, result.code)}


def _follow(connection: Connection, now: datetime, thanks: int, state: str, result: Result) -> None:
    if state == states.SENT:
        ledger.thanked(connection, now, thanks)
    elif state == states.FAILED:
        ledger.due_again(connection, now, thanks, now)
    else:
        needs_a_person = state == states.HELD or result.reason in (states.CREDENTIALS, states.PASSWORD)
        ledger.set_popup(connection, thanks, now if needs_a_person else None)
    journal.record(connection, now, thanks, state, reply=result.reply, reason=result.reason or None)


def _end_attempt(connection: Connection, now: datetime, letter: int, number: int, outcome: str, reply: str) -> None:
    this = and_(Attempt.letter_id == letter, Attempt.number == number)
    connection.execute(update(Attempt).where(this).values(ended_at=now, outcome=outcome, reply=reply))


def cancel(connection: Connection, now: datetime, letter: int) -> bool:
    """Take a letter back before it leaves; False where it is leaving or left already."""
    waiting = and_(Letter.id == letter, Letter.state.in_((states.QUEUED, states.DEFERRED)))
    query = update(Letter).where(waiting).values(state=states.CANCELLED, settled_at=now)
    return connection.execute(query).rowcount == 1


def resolve(connection: Connection, now: datetime, letter: int, thanks: int, how: str) -> bool:
    """Settle a held letter as a person says: sent, resend or discard; False where it is not held any more."""
    values: dict[str, dict[str, Any]] = {
        "sent": {"state": states.SENT, "sent_at": now, "settled_at": now, "reason": ""},
        "resend": {"state": states.QUEUED, "phase": states.PRE, "reason": "", "send_after": now},
        "discard": {"state": states.CANCELLED, "settled_at": now},
    }
    is_held = and_(Letter.id == letter, Letter.state == states.HELD)
    if connection.execute(update(Letter).where(is_held).values(**values[how])).rowcount != 1:
        return False
    if how == "sent":
        ledger.thanked(connection, now, thanks)
    elif how == "discard":
        ledger.due_again(connection, now, thanks, now)
    else:
        ledger.set_popup(connection, thanks, None)
    journal.record(connection, now, thanks, "resolved", how=how)
    return True


def recover(connection: Connection, now: datetime, is_surely_dead: Callable[[str], bool]) -> int:
    """Free the letters of workers that died: nothing left in phase pre, and phase dot is for a person to decide.

    A worker is lost when its process is known to be dead, otherwise when its lease has ended. Gives how many.
    """
    query = select(Letter.id, Letter.thanks_id, Letter.attempts, Letter.owner, Letter.phase, Letter.lease_until)
    rows = connection.execute(query.where(Letter.settled_at.is_(None), Letter.state == states.SENDING)).all()
    lost = [row for row in rows if row.lease_until <= now or is_surely_dead(row.owner)]
    for row in lost:
        _free(connection, now, row)
    return len(lost)


def _free(connection: Connection, now: datetime, row: AnyRow) -> None:
    unknown = row.phase == states.DOT
    after = {"state": states.HELD, "reason": "unknown"} if unknown else {"state": states.QUEUED, "reason": ""}
    query = update(Letter).where(Letter.id == row.id, Letter.attempts == row.attempts, Letter.state == states.SENDING)
    connection.execute(query.values(owner="", lease_until=None, **after))
    outcome = states.UNKNOWN if unknown else states.NOT_NOW
    _end_attempt(connection, now, row.id, row.attempts, outcome, "the program ended during this attempt")
    ledger.set_popup(connection, row.thanks_id, now if unknown else None)
    journal.record(connection, now, row.thanks_id, after["state"], reason="interrupted")


def release(connection: Connection, now: datetime) -> int:
    """Let letters go on that waited for a login: a new password was tried and works. Gives how many."""
    query = (
        update(Letter)
        .where(Letter.settled_at.is_(None), Letter.state == states.DEFERRED)
        .where(Letter.reason.in_((states.CREDENTIALS, states.PASSWORD)))
        .values(reason="", send_after=now)
        .returning(Letter.thanks_id)
    )
    released = list(connection.scalars(query))
    for thanks in released:
        ledger.set_popup(connection, thanks, None)
    return len(released)


def next_moment(connection: Connection) -> datetime | None:
    """Give when the next waiting letter may leave."""
    return connection.scalar(select(func.min(Letter.send_after)).where(_is_waiting()))


def live_letter(connection: Connection, thanks: int) -> AnyRow | None:
    """Give the newest letter of a thanks: id, state, sent_at."""
    query = select(Letter.id, Letter.state, Letter.sent_at, Letter.reason, Letter.to, Letter.send_after)
    return connection.execute(query.where(Letter.thanks_id == thanks).order_by(Letter.id.desc()).limit(1)).one_or_none()
