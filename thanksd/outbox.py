"""Moves on letters: confirm, claim, give back, mark the dot, settle, cancel, resolve.

Each is one small change in the caller's transaction, and each UPDATE names the state it expects: whoever comes second
finds nothing to change. Nothing here touches the network.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)

from thanksd import journal, ledger, states
from thanksd.models import Attempt, Letter, Thanks, UtcDateTime
from thanksd.moments import to_iso
from thanksd.rows import AnyRow, AnySelect, add_row
from thanksd.timing import back_off

# How long a worker may take before others think it lost: all commands before the dot (RFC 5321 4.5.3.2 allows each
# its minutes), and the 10 minutes of the final dot with a minute to write the answer down.
PRE_LEASE = timedelta(minutes=30)
DOT_LEASE = timedelta(minutes=11)

# A thank-you note that could not leave for so long after its moment is for its writer to look at again.
STALE_AFTER = timedelta(hours=48)

# A copy to oneself that came to nothing right after its letter is tried once more.
SECOND_COPY_AFTER = timedelta(minutes=10)
# Letters among which a copy that is due is looked for: the newest, and nobody sends more in ten minutes. So a look
# costs the same however many were ever sent.
_NEWEST = 100


class Hands(NamedTuple):
    """Who carries letters from here: at which seat, for whom, and whose letters; empty and None in a private ledger.

    `seat` is the installation (`Store.seat`): the login that may be refused is its own. `writers` are the owners whose
    letters leave from here, None for everybody's.
    """

    seat: str = ""
    owner: str = ""
    writers: frozenset[str] | None = None


ALONE = Hands()


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


def confirm(
    connection: Connection,
    now: datetime,
    draft: AnyRow,
    sender: str,
    send_after: datetime,
    writer: str = "",
    intent: str = "thanks",
) -> int:
    """Put the prepared bytes of a draft into the outbox: state queued. The unique index refuses a second one.

    `writer` is the owner of its thanks, `intent` one of `states.INTENTS`.
    """
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
        "leaves_at": send_after,
        "server_reply": "",
        "writer": writer,
        "intent": intent,
    }
    number = add_row(connection, Letter, **values)
    ledger.confirm(connection, now, draft.thanks_id)
    journal.record(
        connection, now, draft.thanks_id, "confirmed", sha256=draft.prepared_sha256, send_after=to_iso(send_after)
    )
    return number


def claim(
    connection: Connection,
    now: datetime,
    owner: str,
    only: Sequence[int] | None = None,
    *,
    most: int = 1,
    hands: Hands = ALONE,
) -> list[Claim]:
    """Take the next letters that may leave, `most` at most, in one conditional UPDATE; in the order they may leave.

    Each is in state sending, phase pre, a new attempt of its own. While a login was refused nothing is claimed: trying
    on would lock the account. Nor is a stale letter, ever: that is of the same UPDATE, so that no order of programs can
    let one go. `only` limits it to those letters, `hands` to those that may leave from here.
    """
    first = select(Letter.id).where(_is_ready(now, only, hands)).order_by(Letter.send_after, Letter.id).limit(most)
    # This is run once; a subquery may be run by PostgreSQL for each letter it looks at, and lock as many each time.
    mine = first.with_for_update(skip_locked=True).cte("mine")
    taken: dict[str, Any] = {
        "state": states.SENDING,
        "phase": states.PRE,
        "owner": owner,
        "lease_until": now + PRE_LEASE,
        "attempts": Letter.attempts + 1,
    }
    query = update(Letter).where(Letter.id.in_(select(mine.c.id))).values(**taken).returning(*_CLAIMED)
    rows = sorted(connection.execute(query), key=lambda row: (row.send_after, row.id))
    if rows:
        begun = [{"letter_id": row.id, "number": row.attempts, "started_at": now} for row in rows]
        connection.execute(insert(Attempt), begun)
    return [Claim(*tuple(row)[:-1]) for row in rows]


# The fields of a Claim, in its order, and what orders them.
_CLAIMED = (
    *(Letter.id, Letter.thanks_id, Letter.attempts, Letter.owner, Letter.sender, Letter.to, Letter.raw),
    *(Letter.message_id, Letter.send_after),
)


def _is_ready(now: datetime, only: Sequence[int] | None, hands: Hands) -> ColumnElement[bool]:
    may_leave = and_(is_waiting(), is_by(hands.writers), ~is_paused(hands.seat))
    ready = and_(may_leave, Letter.send_after <= now, ~is_stale(now - STALE_AFTER))
    return ready if only is None else and_(ready, Letter.id.in_(only))


def give_back(connection: Connection, claims: Sequence[Claim]) -> int:
    """Let claimed letters that were not tried wait as before, with their reason; gives how many that were.

    They are all of one owner, who never uses these claims again. So an attempt that was none is taken out of the count,
    and its number is free for the next one. A claim that was lost meanwhile is not touched.
    """
    if not claims:
        return 0
    mine = and_(
        # The number alone is what SQLite finds a row by.
        Letter.id.in_([held.letter for held in claims]),
        tuple_(Letter.id, Letter.attempts).in_([(held.letter, held.number) for held in claims]),
        Letter.state == states.SENDING,
        Letter.phase == states.PRE,
        Letter.owner == claims[0].owner,
    )
    query = (
        update(Letter)
        .where(mine)
        .values(
            # A deferred letter has its reason; one that was released from it is on the way as a queued one is.
            state=case((Letter.reason == "", states.QUEUED), else_=states.DEFERRED),
            owner="",
            lease_until=None,
            attempts=Letter.attempts - 1,
        )
        .returning(Letter.id, Letter.attempts)
    )
    back = [(row.id, row.attempts + 1) for row in connection.execute(query)]
    begun = and_(
        Attempt.letter_id.in_([letter for letter, _ in back]), tuple_(Attempt.letter_id, Attempt.number).in_(back)
    )
    connection.execute(delete(Attempt).where(begun))
    return len(back)


def is_waiting() -> ColumnElement[bool]:
    """Say of a letter that it is to leave and nobody has it in hand."""
    # settled_at is what the partial index knows; the state is what counts.
    return and_(Letter.settled_at.is_(None), Letter.state.in_((states.QUEUED, states.DEFERRED)))


def is_stale(limit: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Say of a letter that its moment is too long ago: at `limit` (now - STALE_AFTER) or before."""
    return Letter.leaves_at <= limit


def is_by(writers: Collection[str] | None) -> ColumnElement[bool]:
    """Say of a letter that it is one of these owners'; of anybody's for None."""
    return true() if writers is None else Letter.writer.in_(sorted(writers))


def is_paused(seat: str) -> ColumnElement[bool]:
    """Say that the login of this seat was refused, and a letter waits for a better one: nothing leaves from here.

    Trying another letter by it would lock the account. At another seat, with a login of its own, all may leave.
    """
    refused = Letter.__table__.alias("refused").c
    at_seat = and_(refused.settled_at.is_(None), refused.reason == states.CREDENTIALS, refused.seat == seat)
    return select(refused.id).where(at_seat).exists()


def mark_dot(connection: Connection, now: datetime, held: Claim) -> bool:
    """Write down that the final dot may leave from now on; False where the claim was lost, and the dot must not leave.

    Owner, attempt and lease are checked by the UPDATE itself.
    """
    values = {"phase": states.DOT, "lease_until": now + DOT_LEASE}
    return connection.execute(_held_in_pre(), _key(held) | {"this_moment": now} | values).rowcount == 1


# A letter in a burst costs what its statements do: each is built once, and finds the letter by the values of _key.


def _key(held: Claim) -> dict[str, Any]:
    return {"this_letter": held.letter, "this_owner": held.owner, "this_number": held.number}


def _is_held() -> ColumnElement[bool]:
    return and_(
        Letter.id == bindparam("this_letter"),
        Letter.state == states.SENDING,
        Letter.owner == bindparam("this_owner"),
        Letter.attempts == bindparam("this_number"),
    )


@cache
def _held() -> Update:
    return update(Letter).where(_is_held())


@cache
def _held_in_pre() -> Update:
    moment = bindparam("this_moment", type_=UtcDateTime)
    return update(Letter).where(_is_held(), Letter.phase == states.PRE, Letter.lease_until > moment)


@cache
def _held_or_late() -> Update:
    # A worker that slept past its lease finds its letter held, or queued again by a person; a 2xx to this very attempt
    # is still the answer, and spares the recipient a second copy.
    still = Letter.state.in_((states.HELD, states.QUEUED))
    late = and_(Letter.id == bindparam("this_letter"), still, Letter.attempts == bindparam("this_number"))
    return update(Letter).where(or_(_is_held(), late))


@cache
def _attempt() -> Update:
    return update(Attempt).where(
        Attempt.letter_id == bindparam("this_letter"), Attempt.number == bindparam("this_number")
    )


def settle(
    connection: Connection, now: datetime, held: Claim, result: Result, *, copy: bool = False, seat: str = ""
) -> bool:
    """Write down what the attempt came to, and move the thanks with it; False where the claim was lost meanwhile.

    With `copy` a letter that was sent owes its sender a copy from that very moment. `seat` is where it was tried.
    """
    mine = _held_or_late() if result.outcome == states.ACCEPTED else _held()
    values = _settled(now, held, result) | {"owner": "", "lease_until": None, "seat": seat}
    if values["state"] == states.SENT and copy:
        values["copy"] = states.COPY_DUE
    changed = connection.execute(mine, _key(held) | values).rowcount == 1
    end_attempt(connection, now, held.letter, held.number, result.outcome, result.reply)
    if changed:
        _follow(connection, now, held, values["state"], result)
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


def _follow(connection: Connection, now: datetime, held: Claim, state: str, result: Result) -> None:
    thanks = held.thanks
    if state == states.SENT:
        ledger.thanked(connection, now, thanks)
    elif state == states.FAILED:
        ledger.due_again(connection, now, thanks, now)
        if result.reason == states.ADDRESS:
            ledger.mark_address(connection, now, held.to, result.reply)
    else:
        ledger.set_popup(connection, thanks, _popup_about(connection, now, held.letter, state, result.reason))
    journal.record(connection, now, thanks, state, reply=result.reply, reason=result.reason or None)


def _popup_about(connection: Connection, now: datetime, letter: int, state: str, reason: str) -> datetime | None:
    """Give when the popup about a letter that did not leave may show; null where no person is needed.

    A password is told of once, for all letters that want it: not for each of them, and not at each try anew.
    """
    if state == states.HELD:
        return now
    if reason not in (states.CREDENTIALS, states.PASSWORD):
        return None
    told = select(func.min(Thanks.popup_at)).join(Letter, Letter.thanks_id == Thanks.id)
    mine = select(Letter.writer).where(Letter.id == letter).scalar_subquery()
    found = connection.scalar(told.where(Letter.settled_at.is_(None), Letter.reason == reason, Letter.writer == mine))
    return found or now


def end_attempt(connection: Connection, now: datetime, letter: int, number: int, outcome: str, reply: str) -> None:
    """Write down what an attempt came to."""
    this = {"this_letter": letter, "this_number": number}
    connection.execute(_attempt(), this | {"ended_at": now, "outcome": outcome, "reply": reply})


def cancel(connection: Connection, now: datetime, letter: int) -> bool:
    """Take a letter back before it leaves; False where it is leaving or left already."""
    waiting = and_(Letter.id == letter, Letter.state.in_((states.QUEUED, states.DEFERRED)))
    query = update(Letter).where(waiting).values(state=states.CANCELLED, settled_at=now)
    return connection.execute(query).rowcount == 1


def resolve(connection: Connection, now: datetime, held: AnyRow, how: str, popup_at: datetime) -> bool:
    """Settle a held letter as a person says: sent, resend or discard; False where it is not held any more.

    `held` is its row by live_letter; a dropped one's thanks pops up again at `popup_at`.
    """
    thanks = held.thanks_id
    values: dict[str, dict[str, Any]] = {
        "sent": {"state": states.SENT, "sent_at": now, "settled_at": now, "reason": ""},
        # A moment of its own: what was held for days is not stale because of it.
        "resend": {"state": states.QUEUED, "phase": states.PRE, "reason": "", "send_after": now, "leaves_at": now},
        "discard": {"state": states.CANCELLED, "settled_at": now},
    }
    is_held = and_(Letter.id == held.id, Letter.state == states.HELD)
    if connection.execute(update(Letter).where(is_held).values(**values[how])).rowcount != 1:
        return False
    if how == "sent":
        ledger.thanked(connection, now, thanks)
    elif how == "discard":
        ledger.due_again(connection, now, thanks, now)
    if how != "sent":
        ledger.set_popup(connection, thanks, popup_at if how == "discard" else None)
    journal.record(connection, now, thanks, "resolved", how=how)
    return True


def next_moment(connection: Connection, hands: Hands = ALONE) -> datetime | None:
    """Give when there is something to do next: a letter may leave or is stale by then, or a copy is tried once more.

    Where the login was refused none may leave; `hands` limits it to those that may leave from here.
    """
    waiting, copies = _moments(hands)
    leaves, oldest, paused = connection.execute(waiting).one()
    sent_at = connection.scalar(copies)
    moments = [] if paused else [leaves, sent_at and sent_at + SECOND_COPY_AFTER]
    return min((moment for moment in (*moments, oldest and oldest + STALE_AFTER) if moment), default=None)


@cache
def _moments(hands: Hands) -> tuple[AnySelect, AnySelect]:
    # Every pass of an idle daemon asks this: building the statements costs more than asking.
    moments = (func.min(Letter.send_after), func.min(Letter.leaves_at), is_paused(hands.seat))
    waiting = select(*moments).where(is_waiting(), is_by(hands.writers))
    return waiting, select(func.min(Letter.sent_at)).where(copy_is_due(), is_by(hands.writers))


def copy_is_due() -> ColumnElement[bool]:
    """Say of a letter that was sent that its sender is owed a copy which nobody has in hand."""
    newest = select(func.max(Letter.__table__.alias("other").c.id)).scalar_subquery()
    return and_(Letter.id > newest - _NEWEST, Letter.copy == states.COPY_DUE, Letter.state == states.SENT)


def live_letter(connection: Connection, thanks: int) -> AnyRow | None:
    """Give the newest letter of a thanks: id, thanks_id, state, sent_at, reason, to, send_after, writer."""
    columns = (Letter.id, Letter.thanks_id, Letter.state, Letter.sent_at, Letter.reason, Letter.to, Letter.send_after)
    query = select(*columns, Letter.writer)
    return connection.execute(query.where(Letter.thanks_id == thanks).order_by(Letter.id.desc()).limit(1)).one_or_none()
