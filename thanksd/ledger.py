"""Moves on people, meetings, thanks and promises. Each is one small change in the caller's transaction.

What a move can't do it refuses before it writes; what it does it writes into the journal.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Update, and_, bindparam, case, delete, func, insert, literal, null, select, update

from thanksd import journal, states
from thanksd.addresses import fold
from thanksd.errors import UsageError
from thanksd.models import BadAddress, Draft, Meeting, Member, Nudge, Person, Promise, Thanks, UtcDateTime
from thanksd.moments import to_iso
from thanksd.rows import AnyRow, AnySelect, add_row


class Encounter(NamedTuple):
    """A meeting as it is added: times in UTC, `day` the local date in `tz`."""

    kind: str
    at: datetime
    tz: str
    day: str
    place: str
    about: str


class Promised(NamedTuple):
    """What a new promise is given: its words, its day if one was said, and when to nudge about it (UTC)."""

    text: str
    due: datetime | None
    popup_at: datetime


class Owing(NamedTuple):
    """What a new thanks is given: moments (UTC), details, promises, a forced template, its owner.

    `outcome_of` is the thanks whose outcome it tells; who `coordinates` is asked to pass thanks on.
    """

    nudge_at: datetime
    due_by: datetime
    popup_at: datetime
    outright: bool
    details: Sequence[str]
    promises: Sequence[Promised]
    template: str | None
    via_id: int | None
    practice: bool = False
    owner: str = ""
    outcome_of: int | None = None
    coordinates: bool = False


def add_person(connection: Connection, now: datetime, name: str, email: str | None, **facts: str | None) -> int:
    """Store a new person; `facts` are lang, tz and seniority."""
    values = {"lang": None, "tz": None, "seniority": "peer"} | {key: value for key, value in facts.items() if value}
    keys = {"name_key": fold(name), "email_key": fold(email) if email else None}
    return add_row(connection, Person, name=name, email=email, created_at=now, **keys, **values)


def change_person(connection: Connection, person: int, **facts: str | None) -> None:
    """Change what is known of a person: name, email, lang, tz, seniority.

    Raises UsageError where the address is another person's.
    """
    if "name" in facts:
        facts["name_key"] = fold(facts["name"] or "")
    if "email" in facts:
        facts["email_key"] = fold(facts["email"]) if facts["email"] else None
        _check_address_is_free(connection, person, facts["email_key"])
    if facts:
        connection.execute(update(Person).where(Person.id == person).values(**facts))


def _check_address_is_free(connection: Connection, person: int, key: str | None) -> None:
    other = connection.execute(select(Person.id, Person.name).where(Person.email_key == key)).one_or_none()
    if key is not None and other is not None and other.id != person:
        raise UsageError(f"That address is {other.name}'s. Nothing was changed.", "See them: thanksd people")


def mark_address(connection: Connection, now: datetime, email: str, why: str) -> None:
    """Note that letters to this address come back: the server's words, or `states.BOUNCED` where the user says so."""
    clear_address(connection, email)
    connection.execute(insert(BadAddress).values(email_key=fold(email), at=now, why=why))


def clear_address(connection: Connection, email: str) -> None:
    """Forget what is known against an address: the user gave it again, and may know better."""
    connection.execute(delete(BadAddress).where(BadAddress.email_key == fold(email)))


def add_meeting(connection: Connection, encounter: Encounter) -> int:
    """Store a meeting that a person typed in."""
    return add_row(connection, Meeting, **encounter._asdict())


def owe(connection: Connection, now: datetime, person: int, meeting: int, owing: Owing) -> int:
    """Store the thanks owed to one person for one meeting: state owed."""
    values: dict[str, Any] = {
        "uid": uuid.uuid4().hex,
        "person_id": person,
        "meeting_id": meeting,
        "via_id": owing.via_id,
        "state": states.OWED,
        "details": list(owing.details),
        "template": owing.template,
        "nudge_at": owing.nudge_at,
        "due_by": owing.due_by,
        "popup_at": owing.popup_at,
        "outright": owing.outright,
        "practice": owing.practice,
        "owner": owing.owner,
        "outcome_of": owing.outcome_of,
        "coordinates": owing.coordinates,
        "created_at": now,
        "changed_at": now,
    }
    number = add_row(connection, Thanks, **values)
    set_promises(connection, number, owing.promises)
    journal.record(connection, now, number, "added", nudge_at=to_iso(owing.nudge_at), due_by=to_iso(owing.due_by))
    return number


def set_promises(connection: Connection, thanks: int, promises: Sequence[Promised]) -> None:
    """Put these promises in place of the ones a thanks had."""
    drop_promises(connection, [thanks])
    if promises:
        rows = [{"thanks_id": thanks, "done_at": None, **one._asdict()} for one in promises]
        connection.execute(insert(Promise), rows)


def drop_promises(connection: Connection, thanks: Sequence[int]) -> None:
    """Remove the promises of these thanks; a popup about one that stands on a screen is nobody's then, and closed."""
    theirs = select(Promise.id).where(Promise.thanks_id.in_(thanks))
    connection.execute(
        update(Nudge)
        .where(Nudge.promise_id.in_(theirs))
        .values(answered_at=func.coalesce(Nudge.answered_at, Nudge.attempted_at), promise_id=None)
    )
    connection.execute(delete(Promise).where(Promise.thanks_id.in_(thanks)))


def get(connection: Connection, thanks: int) -> AnyRow:
    """Give a thanks' own row: id, state, moments, undo."""
    return connection.execute(_one(), {"this": thanks}).one()


# What each letter of a burst asks is built once: building a statement costs more than asking.


@cache
def _one() -> AnySelect:
    columns = (
        Thanks.id, Thanks.uid, Thanks.person_id, Thanks.meeting_id, Thanks.via_id, Thanks.state, Thanks.details,
        Thanks.template, Thanks.nudge_at, Thanks.due_by, Thanks.popup_at, Thanks.outright, Thanks.how, Thanks.reason,
        Thanks.closed_at, Thanks.undo_state, Thanks.undo_nudge_at, Thanks.owner,
    )  # fmt: skip
    return select(*columns).where(Thanks.id == bindparam("this"))


@cache
def _this() -> Update:
    return update(Thanks).where(Thanks.id == bindparam("this"))


@cache
def _to_thank() -> Update:
    return _this().where(Thanks.state.in_(states.before(states.THANKED)))


@cache
def _unanswered() -> Update:
    return update(Nudge).where(Nudge.thanks_id == bindparam("this"), Nudge.answered_at.is_(None))


def change_thanks(connection: Connection, now: datetime, thanks: int, **values: object) -> None:
    """Change facts of a thanks that are not its state."""
    connection.execute(update(Thanks).where(Thanks.id == thanks).values(changed_at=now, **values))


def _move(connection: Connection, now: datetime, row: AnyRow, after: str, **values: object) -> None:
    """Write a state and its times, if nobody moved the thanks meanwhile (the transaction is already a writer's)."""
    states.check_thanks(row.state, after)
    connection.execute(_this(), {"this": row.id, "state": after, "changed_at": now} | values)


def snooze(connection: Connection, now: datetime, thanks: int, until: datetime) -> None:
    """Move the moment of a thanks; its popup follows, and quiet hours don't move what the user said outright."""
    row = get(connection, thanks)
    _refuse_unless(row, (states.OWED, states.SNOOZED), "snoozed")
    undo = {"undo_state": row.state, "undo_nudge_at": row.nudge_at}
    _move(connection, now, row, states.SNOOZED, nudge_at=until, popup_at=until, outright=True, **undo)
    _answer(connection, now, thanks, "later")
    journal.record(connection, now, thanks, "snoozed", until=to_iso(until))


def waive(connection: Connection, now: datetime, thanks: int, reason: str) -> None:
    """Decide not to thank."""
    _close(connection, now, thanks, states.WAIVED, reason=reason or None)
    journal.record(connection, now, thanks, "waived", reason=reason or None)


def done(connection: Connection, now: datetime, thanks: int, how: str) -> None:
    """Note that the person was thanked otherwise: in person, by phone, by card."""
    _close(connection, now, thanks, states.THANKED, how=how or "otherwise")
    journal.record(connection, now, thanks, "thanked", how=how or "otherwise")


def _close(connection: Connection, now: datetime, thanks: int, state: str, **values: object) -> None:
    row = get(connection, thanks)
    _refuse_unless(row, (states.OWED, states.SNOOZED), state)
    undo = {"undo_state": row.state, "undo_nudge_at": row.nudge_at}
    _move(connection, now, row, state, closed_at=now, popup_at=None, **undo, **values)
    _answer(connection, now, thanks, state)


def confirm(connection: Connection, now: datetime, thanks: int) -> None:
    """Note that a letter of this thanks is in the outbox now."""
    row = get(connection, thanks)
    _move(connection, now, row, states.CONFIRMED, popup_at=None, undo_state=row.state, undo_nudge_at=None)
    _answer(connection, now, thanks, "confirmed")


def thanked(connection: Connection, now: datetime, thanks: int) -> None:
    """Note that the letter was accepted (or the user says that it arrived)."""
    values = {"closed_at": now, "popup_at": None, "how": "letter", "undo_state": None}
    moved = {"this": thanks, "state": states.THANKED, "changed_at": now} | values
    if connection.execute(_to_thank(), moved).rowcount != 1:
        states.check_thanks(get(connection, thanks).state, states.THANKED)
    # A popup about the letter itself (a password, an outcome nobody knew) has nothing to ask any more.
    _answer(connection, now, thanks, "sent")


def due_again(connection: Connection, now: datetime, thanks: int, popup_at: datetime) -> None:
    """Owe the thanks as before: its letter was taken back, refused or dropped, or came back; its text is kept.

    It is due from its next popup on at the latest, also where the letter was sent before its time.
    """
    row = get(connection, thanks)
    moments = {"nudge_at": min(row.nudge_at, popup_at), "popup_at": popup_at}
    values = {"undo_state": None, "closed_at": None, "how": None}
    _move(connection, now, row, row.undo_state or states.OWED, **values, **moments)
    # A popup about the letter itself (held, a password) asks about one that is gone.
    _answer(connection, now, thanks, "due again")


def take_back(connection: Connection, now: datetime, thanks: int, popup_at: datetime) -> str:
    """Undo the last snooze, waive or done of a thanks; gives the word of what was undone.

    Raises UsageError where there is nothing to take back.
    """
    row = get(connection, thanks)
    if row.undo_state is None:
        raise UsageError(
            f"There is nothing to take back of thanks {thanks}.", f"See what happened: thanksd log {thanks}"
        )
    values = {"closed_at": None, "how": None, "reason": None, "undo_state": None, "undo_nudge_at": None}
    connection.execute(
        update(Thanks)
        .where(Thanks.id == thanks)
        .values(state=row.undo_state, nudge_at=row.undo_nudge_at, popup_at=popup_at, changed_at=now, **values)
    )
    journal.record(connection, now, thanks, "taken back", was=row.state)
    return str(row.state)


def pass_on(connection: Connection, now: datetime, thanks: int, owner: str, popup_at: datetime) -> None:
    """Let another owner of a shared ledger owe an open thanks; what reminded the one before is answered.

    What the one before did with it can't be taken back any more.
    """
    row = get(connection, thanks)
    _refuse_unless(row, (states.OWED, states.SNOOZED), "passed on")
    undo = {"undo_state": None, "undo_nudge_at": None}
    change_thanks(connection, now, thanks, owner=owner, popup_at=popup_at, **undo)
    _answer(connection, now, thanks, "passed on")
    journal.record(connection, now, thanks, "passed on", of=row.owner, to=owner)


def know_member(connection: Connection, owner: str) -> None:
    """Have a row for what holds for all thanks of `owner`."""
    if connection.scalar(select(Member.owner).where(Member.owner == owner)) is None:
        connection.execute(insert(Member).values(owner=owner))


def set_popup(connection: Connection, thanks: int, popup_at: datetime | None) -> None:
    """Set when the next popup of a thanks may show; null for none.

    A practice letter that nobody writes has had its one popup: it must not nag.
    """
    unwritten = and_(Thanks.practice, Thanks.state.in_((states.OWED, states.SNOOZED)))
    moment = case((unwritten, null()), else_=literal(popup_at, UtcDateTime()))
    connection.execute(update(Thanks).where(Thanks.id == thanks).values(popup_at=moment))


def _refuse_unless(row: AnyRow, allowed: tuple[str, ...], word: str) -> None:
    if row.state in allowed:
        return
    if row.state == states.CONFIRMED:
        raise UsageError(f"A letter of thanks {row.id} is on its way.", f"Take it back first: thanksd undo {row.id}")
    raise UsageError(
        f"Thanks {row.id} is {row.state} already; it can't be {word}.", f"Undo that: thanksd undo {row.id}"
    )


def _answer(connection: Connection, now: datetime, thanks: int, answer: str) -> None:
    """Every reminder of this thanks that stood open is answered by what the owner did."""
    connection.execute(_unanswered(), {"this": thanks, "answered_at": now, "answer": answer})


def forget_draft(connection: Connection, thanks: int) -> None:
    """Drop a draft that nobody touched, so that the next one is rendered from the facts of then."""
    connection.execute(delete(Draft).where(Draft.thanks_id == thanks, Draft.edited.is_(False)))
