"""The verb forget_person: what was noted of somebody goes for good, from the ledger's file too.

Their thanks stay in the counts, as nobody's; of their addresses a salted hash stays, so that they are not written to by
mistake later. Copies of the ledger are not changed; those that still hold them are named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, and_, case, cast, delete, func, or_, select, update

from thanksd import forgotten, journal, kept, ledger, outbox, states
from thanksd.errors import ThanksdError, TryLaterError, UsageError
from thanksd.models import Attempt, Draft, Event, Letter, Meeting, Nudge, Person, Promise, Thanks
from thanksd.rows import AnyRow
from thanksd.store import Store
from thanksd.verbs.context import Context
from thanksd.verbs.people import find, plain
from thanksd.verbs.sending import recover

_NOBODYS: dict[str, Any] = {
    **dict.fromkeys(("person_id", "meeting_id", "via_id", "template", "popup_at", "undo_state", "undo_nudge_at")),
    "details": [],
    "outright": False,
}


def forget_person(context: Context, who: str, *, take_back: bool = False, copies_too: bool = False) -> dict[str, Any]:
    """Forget a person. Letters that wait are taken back with `take_back`; our own copies go with `copies_too`.

    Gives {"people": [who it was], "thanks": how many are nobody's now, "taken_back": numbers of those whose letter was,
    "named_in": numbers of others' thanks that name them, "copies": [paths that still hold them], "removed": [paths]}.
    Raises UsageError while a letter of theirs waits, is being sent or is held, and TryLaterError where they are
    forgotten and the ledger's file could not be rewritten.
    """
    now = context.now
    recover(context)
    with context.store.write() as connection:
        row = find(connection, who)
        taken_back = _settle_letters(connection, now, row, take_back=take_back)
        words = [row.name, *([row.email] if row.email else []), *_uids(connection, row.id)]
        count = erase(connection, now, row.id)
        named_in = _named_in(connection, row.name)
        journal.record(connection, now, None, "forgotten")
    rewrite(context.store)
    copies = kept.holding(kept.copies(context.store.file), words) if context.store.file else []
    removed = [copy for copy in copies if copies_too and copy.is_ours]
    for copy in removed:
        copy.path.unlink(missing_ok=True)
    return {
        "people": [plain(row)],
        "thanks": count,
        "taken_back": taken_back,
        "named_in": named_in,
        "copies": [str(copy.path) for copy in copies if copy not in removed],
        "removed": [str(copy.path) for copy in removed],
    }


def _uids(connection: Connection, person: int) -> list[str]:
    return list(connection.scalars(select(Thanks.uid).where(Thanks.person_id == person)))


def _settle_letters(connection: Connection, now: datetime, row: AnyRow, *, take_back: bool) -> list[int]:
    """Take waiting letters back, where that is wanted; give their thanks. Raises UsageError for any other live one."""
    query = select(Letter.id, Letter.thanks_id, Letter.state).join(Thanks, Letter.thanks_id == Thanks.id)
    live = connection.execute(query.where(Thanks.person_id == row.id, Letter.state.in_(states.LIVE))).all()
    for letter in live:
        waits = letter.state in (states.QUEUED, states.DEFERRED)
        if not waits or not take_back:
            raise _under_way(row.name, letter)
    for letter in live:
        outbox.cancel(connection, now, letter.id)
    return [letter.thanks_id for letter in live]


def _under_way(name: str, letter: AnyRow) -> UsageError:
    number = letter.thanks_id
    if letter.state == states.HELD:
        return UsageError(
            f"{name}'s letter may have left already. Nothing was changed.",
            f"Say first what became of it: thanksd resolve {number}",
        )
    if letter.state == states.SENDING:
        return UsageError(f"{name}'s letter is leaving right now. Nothing was changed.", f"Then: thanksd log {number}")
    return UsageError(
        f"{name}'s letter is confirmed and on its way. Nothing was changed.",
        f"Take it back first: thanksd undo {number}",
    )


def erase(connection: Connection, now: datetime, person: int) -> int:
    """Remove all that is noted of a person; give how many thanks are nobody's now."""
    theirs = select(Thanks.id).where(Thanks.person_id == person)
    letters = select(Letter.id).where(Letter.thanks_id.in_(theirs))
    meetings = list(connection.scalars(select(Thanks.meeting_id).where(Thanks.person_id == person)))
    _leave_alone(connection, now, person, list(connection.scalars(select(Letter.to).where(Letter.id.in_(letters)))))
    connection.execute(delete(Attempt).where(Attempt.letter_id.in_(letters)))
    ledger.drop_promises(connection, list(connection.scalars(theirs)))
    for noun in (Letter, Draft, Event):
        connection.execute(delete(noun).where(noun.thanks_id.in_(theirs)))
    _drop_nudges(connection, now, theirs)
    _unlink_introductions(connection, person)
    count = _disown(connection, now, list(connection.scalars(theirs)))
    still = select(Thanks.meeting_id).where(Thanks.meeting_id.is_not(None))
    for meeting in meetings:
        connection.execute(delete(Meeting).where(Meeting.id == meeting, Meeting.id.not_in(still)))
    connection.execute(delete(Person).where(Person.id == person))
    return count


def _leave_alone(connection: Connection, now: datetime, person: int, written_to: Sequence[str]) -> None:
    own = connection.scalar(select(Person.email).where(Person.id == person))
    addresses = {address for address in (own, *written_to) if address}
    forgotten.add(connection, now, addresses)
    for address in addresses:
        ledger.clear_address(connection, address)


def _drop_nudges(connection: Connection, now: datetime, theirs: Any) -> None:  # noqa: ANN401  SQLAlchemy's select
    """Remove reminders; one that stands on a screen stays as nobody's, so that the daemon closes it."""
    stands = and_(Nudge.popup_id.is_not(None), Nudge.closed_at.is_(None), Nudge.withdrawn_at.is_(None))
    connection.execute(delete(Nudge).where(Nudge.thanks_id.in_(theirs), ~stands))
    values = {"thanks_id": None, "error": None, "answered_at": now, "answer": "forgotten"}
    connection.execute(update(Nudge).where(Nudge.thanks_id.in_(theirs)).values(**values))


def _unlink_introductions(connection: Connection, person: int) -> None:
    """Drop who brought others together with the user, and the drafts that say so and nobody touched."""
    through = list(connection.scalars(select(Thanks.id).where(Thanks.via_id == person)))
    for number in through:
        ledger.forget_draft(connection, number)
    connection.execute(update(Thanks).where(Thanks.via_id == person).values(via_id=None))


def _disown(connection: Connection, now: datetime, numbers: Sequence[int]) -> int:
    """Let thanks be nobody's: closed, with the moments that counts need, and nothing that anybody said."""
    salt = forgotten.salt_of(connection)
    is_thanked = Thanks.state == states.THANKED
    how = case((Thanks.how == "letter", "letter"), (is_thanked, "otherwise"))
    closing_ = {
        "state": case((is_thanked, states.THANKED), else_=states.WAIVED),
        "how": how,
        "reason": case((is_thanked, None), else_="forgotten"),
        "closed_at": func.coalesce(Thanks.closed_at, now),
    }
    for number in numbers:
        this = Thanks.id == number
        uid = connection.execute(select(Thanks.uid).where(this)).scalar_one()
        values = {**_NOBODYS, **closing_, "uid": forgotten.hashed(salt, uid)}
        connection.execute(update(Thanks).where(this).values(**values))
    return len(numbers)


def _named_in(connection: Connection, name: str) -> list[int]:
    """Give the thanks of others in whose notes or drafts the name stands: those words are the user's to change."""
    in_json = cast(Thanks.details, String).icontains(json.dumps(name)[1:-1], autoescape=True)
    promised = select(Promise.thanks_id).where(Promise.text.icontains(name, autoescape=True))
    written = or_(*(column.icontains(name, autoescape=True) for column in (Draft.subject, Draft.body)))
    met = or_(*(column.icontains(name, autoescape=True) for column in (Meeting.place, Meeting.about)))
    said = or_(
        in_json,
        Thanks.id.in_(promised),
        Thanks.id.in_(select(Draft.thanks_id).where(written)),
        Thanks.meeting_id.in_(select(Meeting.id).where(met)),
    )
    return list(connection.scalars(select(Thanks.id).where(~forgotten.is_nobodys, said).order_by(Thanks.id)))


def forget_again(connection: Connection, now: datetime, told: forgotten.Hashes, known: AbstractSet[str]) -> int:
    """Forget in an older copy whom `told` says were forgotten since; give how many people.

    `known` are the folded addresses of those whom the ledger that told so knows: somebody who came back stays.
    """
    addresses, thanks = {number for number, _ in told.addresses}, set(told.thanks)
    people = connection.execute(select(Person.id, Person.email_key).where(Person.email_key.is_not(None)))
    gone = {
        row.id
        for row in people
        if row.email_key not in known and forgotten.hashed(told.salt, row.email_key) in addresses
    }
    if thanks:
        rows = connection.execute(select(Thanks.uid, Thanks.person_id).where(~forgotten.is_nobodys))
        gone |= {row.person_id for row in rows if forgotten.hashed(told.salt, row.uid) in thanks}
    for person in sorted(gone):
        erase(connection, now, person)
    return len(gone)


def rewrite_ledger(context: Context) -> dict[str, Any]:
    """Write the ledger's file anew, where that could not be done when somebody was forgotten.

    Gives {"rewritten": true}. Raises as `rewrite` does.
    """
    context.store.check_ours()
    rewrite(context.store)
    return {"rewritten": True}


def rewrite(store: Store) -> None:
    """Write the ledger's file anew, so that no unused part of it holds what was removed.

    What SQLite overwrites (secure_delete) is where a row was last; where a page was split before, words of it may lie
    in the page it came from. Raises TryLaterError where it can't be done now.
    """
    try:
        store.rewrite()
    except ThanksdError as error:
        raise TryLaterError(
            f"They are forgotten, but words of theirs may still lie in unused parts of the ledger: {error.message}",
            "Write it anew: thanksd people forget --rewrite",
        ) from error
