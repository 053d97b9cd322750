"""What the store says, as plain values: the rows behind every list, and finding a thanks by what a person types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, true

from thanksd import states
from thanksd.addresses import fold
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import BadAddress, Letter, Meeting, Member, Person, Promise, Thanks
from thanksd.moments import to_iso
from thanksd.rows import AnyRow, AnySelect
from thanksd.timing import Pause

_MANY = 10
# A store's numbers have 31 bits at the least; a higher one can't be bound everywhere, and names nothing either. What is
# typed is read up to so many digits: Python refuses to read thousands.
TOO_HIGH, DIGITS = 2**31, 20


_COLUMNS = (
    Thanks.id,
    Thanks.state,
    Thanks.details,
    Thanks.nudge_at,
    Thanks.due_by,
    Thanks.owner,
    Person.id.label("person_id"),
    Person.name,
    Person.email,
    Person.lang,
    Person.tz.label("person_tz"),
    Person.seniority,
    Meeting.id.label("meeting_id"),
    Meeting.kind,
    Meeting.at,
    Meeting.tz,
    Meeting.place,
    Meeting.about,
)

_LETTER_COLUMNS = (
    Letter.id,
    Letter.thanks_id,
    Letter.to,
    Letter.state,
    Letter.reason,
    Letter.message_id,
    Letter.subject,
    Letter.sha256,
    Letter.send_after,
    Letter.sent_at,
    Letter.attempts,
    Letter.server_reply,
)

is_open: ColumnElement[bool] = Thanks.closed_at.is_(None)


def is_of(owner: str) -> ColumnElement[bool]:
    """Say of a thanks that it is owed by `owner`; in a ledger of one's own (empty) all are."""
    return Thanks.owner == owner if owner else true()


def _thanks() -> AnySelect:
    return (
        select(*_COLUMNS)
        .join_from(Thanks, Person, Thanks.person_id == Person.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
    )


class _Statements(NamedTuple):
    """What reads thanks: their rows, their promises, their letters."""

    thanks: AnySelect
    promises: AnySelect
    letters: AnySelect


def _statements(which: ColumnElement[bool]) -> _Statements:
    chosen = select(Thanks.id).where(which)
    promises = select(Promise.thanks_id, Promise.id, Promise.text, Promise.due, Promise.done_at)
    return _Statements(
        _thanks().where(which).order_by(Thanks.nudge_at, Thanks.id),
        promises.where(Promise.thanks_id.in_(chosen)).order_by(Promise.id),
        select(*_LETTER_COLUMNS).where(Letter.thanks_id.in_(chosen)).order_by(Letter.id),
    )


@cache
def _by_person() -> _Statements:
    return _statements(Thanks.person_id == bindparam("person"))


def thanks_of_person(connection: Connection, person: int, now: datetime) -> list[dict[str, Any]]:
    """Give all thanks to one person, soonest first."""
    return _read(connection, _by_person(), {"person": person}, now)


@cache
def _by_numbers() -> _Statements:
    return _statements(Thanks.id.in_(bindparam("numbers", expanding=True)))


def thanks(connection: Connection, which: ColumnElement[bool], now: datetime) -> list[dict[str, Any]]:
    """Give the thanks that `which` selects, soonest first, in the shape that --json prints."""
    return _read(connection, _statements(which), {}, now)


def _read(connection: Connection, of: _Statements, values: dict[str, object], now: datetime) -> list[dict[str, Any]]:
    rows = connection.execute(of.thanks, values).all()
    promises = _promises(connection.execute(of.promises, values))
    letters = {row.thanks_id: plain_letter(row) for row in connection.execute(of.letters, values)}
    return [_plain_thanks(row, promises.get(row.id, []), letters.get(row.id), now) for row in rows]


def thanks_by_id(connection: Connection, numbers: Iterable[int], now: datetime) -> list[dict[str, Any]]:
    """Give these thanks in the order asked for. Raises NotFoundError for one whose person was forgotten meanwhile."""
    numbers = list(numbers)
    found = {item["id"]: item for item in _read(connection, _by_numbers(), {"numbers": numbers}, now)}
    gone = next((number for number in numbers if number not in found), None)
    if gone is not None:
        raise NotFoundError(f"There is no thanks {gone} any more.", "See them: thanksd owed --all")
    return [found[number] for number in numbers]


def _plain_thanks(row: AnyRow, promises: list[Any], letter: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": states.seen(row.state, is_past=row.nudge_at <= now),
        "person": {
            "id": row.person_id,
            "name": row.name,
            "email": row.email,
            "lang": row.lang,
            "tz": row.person_tz,
            "seniority": row.seniority,
        },
        "meeting": {
            "id": row.meeting_id,
            "kind": row.kind,
            "at": to_iso(row.at),
            "tz": row.tz,
            "place": row.place or None,
            "about": row.about or None,
        },
        "details": row.details,
        "promises": promises,
        "nudge_at": to_iso(row.nudge_at),
        "due_by": to_iso(row.due_by),
        "letter": letter,
        # In a shared ledger alone: who has one of their own needs no name for themselves.
        **({"owner": row.owner} if row.owner else {}),
    }


def _promises(rows: Iterable[AnyRow]) -> Mapping[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        found[row.thanks_id].append(
            {"id": row.id, "text": row.text, "due": _maybe_iso(row.due), "done_at": _maybe_iso(row.done_at)}
        )
    return found


def letters(connection: Connection, which: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Give the letters that `which` selects, oldest first, in the shape that --json prints."""
    return [plain_letter(row) for row in connection.execute(select(*_LETTER_COLUMNS).where(which).order_by(Letter.id))]


def plain_letter(row: AnyRow) -> dict[str, Any]:
    """Give one letter's row as plain values."""
    return {
        "id": row.id,
        "thanks": row.thanks_id,
        "to": row.to,
        "state": row.state,
        "reason": row.reason or None,
        "message_id": row.message_id,
        "subject": row.subject,
        "sha256": row.sha256,
        "send_after": to_iso(row.send_after),
        "sent_at": _maybe_iso(row.sent_at),
        "attempts": row.attempts,
        "server_reply": row.server_reply or None,
    }


def _maybe_iso(moment: datetime | None) -> str | None:
    return None if moment is None else to_iso(moment)


def find_ref(
    connection: Connection, ref: str, owner: str, *, closed_too: bool = False, of_others_too: bool = False
) -> int:
    """Give the number of the thanks that REF names: a number, or the start of a word of a name or an address.

    A name is looked for among the `owner`'s open ones; with `closed_too` then the one closed last. A number may name
    one of somebody else's where `of_others_too`. Raises NotFoundError, or UsageError listing the candidates.
    """
    if ref.isascii() and ref.isdigit():
        return _by_number(connection, int(ref[:DIGITS]), "" if of_others_too else owner)
    # What no store can hold (lone surrogates) matches nobody.
    words = fold(ref).encode(errors="replace").decode().split()
    candidates = _open_matches(connection, words, owner) if words else []
    if len(candidates) == 1:
        return int(candidates[0].id)
    if candidates:
        raise UsageError(f'{_count(len(candidates))} match "{ref}": {_list(candidates)}.', "Say the number.")
    found = _closed_match(connection, words, owner) if closed_too and words else None
    if found is None:
        raise NotFoundError(f'No open thanks matches "{ref}".', "See them: thanksd owed")
    return found


def _by_number(connection: Connection, number: int, owner: str) -> int:
    found = connection.scalar(_owner(), {"number": number}) if number < TOO_HIGH else None
    if found is not None and owner not in ("", found):
        raise UsageError(
            f"Thanks {number} is owed by {found}. Nothing was changed.",
            f"Take it over: thanksd edit {number} --owner me",
        )
    if found is not None:
        return number
    raise NotFoundError(f"There is no thanks {number}.", "See them: thanksd owed --all")


@cache
def _owner() -> AnySelect:
    return select(Thanks.owner).where(Thanks.id == bindparam("number"), Thanks.person_id.is_not(None))


def _open_matches(connection: Connection, words: list[str], owner: str) -> list[AnyRow]:
    query = (
        select(Thanks.id, Person.name, Person.name_key, Person.email_key, Meeting.kind)
        .join_from(Thanks, Person, Thanks.person_id == Person.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
        .where(is_open, is_of(owner))
        .order_by(Thanks.id)
    )
    return [row for row in connection.execute(query) if _matches(words, f"{row.name_key} {row.email_key or ''}")]


def _matches(words: list[str], text: str) -> bool:
    starts = text.replace("@", " ").replace(".", " ").split() + text.split()
    return all(any(start.startswith(word) for start in starts) for word in words)


def _closed_match(connection: Connection, words: list[str], owner: str) -> int | None:
    found = closed_last(connection, owner, " ".join(words), 1)
    return found[0] if found else None


def closed_last(connection: Connection, owner: str, name: str, count: int) -> list[int]:
    """Give so many thanks that were closed last, of everybody, or of those whom `name` names."""
    closed = and_(is_of(owner), Thanks.closed_at.is_not(None), is_to(name))
    query = select(Thanks.id).where(closed).order_by(Thanks.closed_at.desc(), Thanks.id.desc())
    return list(connection.scalars(query.limit(count)))


def is_to(name: str) -> ColumnElement[bool]:
    """Say of a thanks that each word of `name` begins a word of the person's, or their address."""
    # What no store can hold (lone surrogates) matches nobody.
    words = fold(name).encode(errors="replace").decode().split()
    return Thanks.person_id.in_(select(Person.id).where(*map(_has_word, words)))


def _has_word(word: str) -> ColumnElement[bool]:
    return or_(
        Person.name_key.startswith(word, autoescape=True),
        Person.name_key.contains(f" {word}", autoescape=True),
        Person.email_key.startswith(word, autoescape=True),
    )


def _count(number: int) -> str:
    return {2: "Two", 3: "Three", 4: "Four"}.get(number, str(number))


def _list(candidates: list[AnyRow]) -> str:
    shown = "   ".join(f"{row.id} {row.name}, {row.kind}" for row in candidates[:_MANY])
    return shown + (f"   and {len(candidates) - _MANY} more" if len(candidates) > _MANY else "")


def people_named(connection: Connection, name: str) -> list[AnyRow]:
    """Give everybody of exactly this name, ignoring case and accents."""
    query = select(Person.id, Person.name, Person.email, Person.email_key).where(Person.name_key == fold(name))
    return list(connection.execute(query.order_by(Person.id)))


def longer_name(connection: Connection, name: str) -> str | None:
    """Give somebody whose name begins with these words and goes on: "Ada" may have been meant as Ada Lovelace.

    A range, not a LIKE: the index of names serves it, however many people are known.
    """
    start = fold(name) + " "
    query = select(Person.name).where(Person.name_key > start, Person.name_key < fold(name) + "!")
    return connection.scalar(query.order_by(Person.name_key, Person.id).limit(1))


def person_with_email(connection: Connection, email: str) -> AnyRow | None:
    """Give the person of this address, ignoring case."""
    query = select(Person.id, Person.name, Person.email).where(Person.email_key == fold(email))
    return connection.execute(query).one_or_none()


def is_bad_address(connection: Connection, email: str | None) -> bool:
    """Say whether letters to this address came back."""
    return connection.scalar(_bad_address(), {"key": fold(email or "")}) is not None


@cache
def _bad_address() -> AnySelect:
    return select(BadAddress.email_key).where(BadAddress.email_key == bindparam("key"))


def same_meeting(connection: Connection, owner: str, person: int, kind: str, day: str) -> int | None:
    """Give the thanks that `owner` owes this person already for a meeting of this kind on this local day."""
    query = (
        select(Thanks.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
        .where(Thanks.person_id == person, Meeting.kind == kind, Meeting.day == day, is_of(owner))
    )
    return connection.scalar(query.limit(1))


def last_kind(connection: Connection, owner: str) -> str | None:
    """Give the kind of the meeting that `owner` added last."""
    theirs = select(Thanks.id).where(Thanks.meeting_id == Meeting.id)
    which = ~theirs.where(Thanks.practice).exists()
    if owner:
        which = and_(which, theirs.where(is_of(owner)).exists())
    return connection.scalar(select(Meeting.kind).where(which).order_by(Meeting.id.desc()).limit(1))


class Standing(NamedTuple):
    """What holds for all thanks of one owner: the pause that runs or ran last, and when the weekly question was asked.

    `asked_at` is null where it is not wanted.
    """

    pause: Pause | None
    asked_at: datetime | None

    def paused_until(self, now: datetime) -> datetime | None:
        """Give the end of the pause that runs now, or None."""
        return self.pause.end if self.pause is not None and self.pause.end > now else None


def standing(connection: Connection, owner: str) -> Standing:
    """Read what holds for all thanks of `owner`."""
    query = select(Member.paused_at, Member.paused_until, Member.asked_at).where(Member.owner == owner)
    row = connection.execute(query).one_or_none()
    if row is None:
        return Standing(None, None)
    has_paused = row.paused_at is not None and row.paused_until is not None
    return Standing(Pause(row.paused_at, row.paused_until) if has_paused else None, row.asked_at)


def paused_until(connection: Connection, owner: str, now: datetime) -> datetime | None:
    """Give the end of the pause that runs now for `owner`, or None."""
    return standing(connection, owner).paused_until(now)
