"""The verb add_many: a table of meetings becomes thanks owed, all of them or none.

What one meeting costs in statements ten thousand must not: people are looked up and rows written in bulk, so that the
ledger is closed to others for a moment only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, select

from thanksd import forgotten, ledger, queries, states, timing
from thanksd.addresses import fold
from thanksd.errors import UsageError
from thanksd.models import Base, Event, Meeting, Person, Thanks
from thanksd.moments import local, to_iso
from thanksd.rows import AnyRow
from thanksd.verbs.adding import Given, read_facts, read_when
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import Towards, first_moments
from thanksd.verbs.who import Who, choose, left_alone_words, parse_who

# Values in one query: SQLite takes 999 before 3.32 (sqlite.org/limits.html).
_CHUNK = 900
_NOTHING = " Nothing was stored."
_NOBODY, _PEER = Towards(), Towards(seniority="peer")


class _Line(NamedTuple):
    """One line, read: its number in the table, and what it says. `at` is in UTC, `day` its local date.

    `moments` are the columns of a thanks that `first_moments` gives for somebody of whom nothing is known. They are
    here, as all that takes time, so that it is done before the ledger is closed to others.
    """

    number: int
    who: Who
    given: Given
    at: datetime
    day: str
    after: str
    moments: dict[str, Any]


@dataclass(eq=False)
class _Person:
    """Somebody known (with an id), or met on these lines for the first time."""

    name: str
    email: str | None
    id: int | None = None
    towards: Towards = _NOBODY
    has_new_email: bool = False
    # What was met already, as (kind, day), and where it stands: "as 7", "on line 3".
    meetings: dict[tuple[str, str], str] = field(default_factory=dict)


def add_many(
    context: Context,
    lines: Sequence[Mapping[str, Any]],
    *,
    kind: str = "",
    when: str = "",
    place: str = "",
    about: str = "",
    after: str = "",
    again: bool = False,
    bad: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Store a meeting and a thanks for each line, in one transaction; one bad line, and nothing is stored.

    A line has "line", its number in the table, and texts, each of which may be empty or missing: name, email, kind,
    when, detail, place, about. `kind`, `when`, `place` and `about` are for the lines that say nothing there; `bad` are
    the lines that could not even be read, as {"line", "reason"}. Gives
    {"thanks": [...], "bad": [{"line", "reason"}], "notes": [...], "zone"}. Raises UsageError for a bad default.
    """
    now = context.now
    common = {"kind": kind or "general", "when": when, "place": place, "about": about, "after": after}
    _read(context, now, common, {"line": 0, "name": "nobody"})
    read, unread = _read_all(context, now, common, lines)
    with context.store.write() as connection:
        met, unmet, notes = _meet_all(connection, context.owner, read, again=again)
        bad = sorted([*bad, *unread, *unmet], key=lambda one: int(one["line"]))
        numbers = [] if bad else _store(connection, context, now, met)
    found = _stored(context, now, numbers) if numbers else []
    return {"thanks": found, "bad": bad, "notes": [] if bad else notes, "zone": context.zone}


# --- reading ---


def _read_all(
    context: Context, now: datetime, common: Mapping[str, str], lines: Sequence[Mapping[str, Any]]
) -> tuple[list[_Line], list[dict[str, Any]]]:
    read, bad = [], []
    for line in lines:
        try:
            read.append(_read(context, now, common, line))
        except UsageError as error:
            bad.append(_bad(int(line["line"]), error))
    return read, bad


def _read(context: Context, now: datetime, common: Mapping[str, str], line: Mapping[str, Any]) -> _Line:
    said = {key: str(line.get(key) or common[key]) for key in common}
    detail = str(line.get("detail", ""))
    who = parse_who(str(line.get("name", "")), str(line.get("email", "")))
    given = read_facts(context, now, kind=said["kind"], place=said["place"], about=said["about"], details=[detail])
    at = read_when(context, now, said["when"], "")
    moments = _moments(context, now, given.kind, at, said["after"], _NOBODY)
    return _Line(int(line["line"]), who, given, at, local(at, context.zone).date().isoformat(), said["after"], moments)


def _moments(context: Context, now: datetime, kind: str, at: datetime, after: str, towards: Towards) -> dict[str, Any]:
    nudge_at, due_by, popup_at, outright = first_moments(context, now, kind, at, after, towards)
    return {"nudge_at": nudge_at, "due_by": due_by, "popup_at": popup_at, "outright": outright}


def _bad(number: int, error: UsageError) -> dict[str, Any]:
    """Say what is wrong with a line; the hint only where it says what to write instead."""
    more = error.hint.partition("? ")[0] + "?" if "? " in error.hint else error.hint
    words = f"{error.message} {more}" if error.hint.startswith(("Did you mean", "Say ", "Give ")) else error.message
    return {"line": number, "reason": words.replace(_NOTHING, "").strip()}


# --- whom ---


def _meet_all(
    connection: Connection, owner: str, lines: Sequence[_Line], *, again: bool
) -> tuple[list[tuple[_Line, _Person]], list[dict[str, Any]], list[str]]:
    """Find or make the person of each line; give them with their lines, the bad lines, and what should be said."""
    register = _Register(connection, lines)
    left_alone = forgotten.addresses_among(connection, {line.who.email for line in lines if line.who.email})
    met: list[tuple[_Line, _Person]] = []
    bad: list[dict[str, Any]] = []
    notes = []
    for line in lines:
        try:
            person, note = register.meet(line.who)
        except UsageError as error:
            bad.append(_bad(line.number, error))
        else:
            met.append((line, person))
            notes += [f"Line {line.number}: {note}"] if note else []
            if line.who.email in left_alone:
                notes.append(f"Line {line.number}: {left_alone_words(line.who.email)}")
    if not again:
        _recall(connection, owner, [person for _, person in met])
        bad += [one for line, person in met if (one := _same(line, person)) is not None]
    return met, bad, notes


_KNOWN = (Person.id, Person.name, Person.email, Person.name_key, Person.lang, Person.tz, Person.seniority)


class _Register:
    """Everybody whom the lines may mean, and those they bring: found by address and by name, as by `who.meet`."""

    def __init__(self, connection: Connection, lines: Sequence[_Line]) -> None:
        self._by_email: dict[str, _Person] = {}
        self._by_name: dict[str, list[_Person]] = {}
        query = select(*_KNOWN)
        names = {fold(line.who.name) for line in lines}
        emails = {fold(line.who.email) for line in lines if line.who.email}
        rows = [
            *_rows_in(connection, query, Person.name_key, names),
            *_rows_in(connection, query, Person.email_key, emails),
        ]
        for row in {row.id: row for row in rows}.values():
            known = Towards(*(value or "" for value in (row.lang, row.tz, row.seniority)))
            self._take(_Person(row.name, row.email, row.id, known))

    def _take(self, person: _Person) -> None:
        self._by_name.setdefault(fold(person.name), []).append(person)
        if person.email:
            self._by_email[fold(person.email)] = person

    def meet(self, who: Who) -> tuple[_Person, str]:
        """Give the person meant, a new one where nobody fits, and what should be said.

        Raises UsageError as `who.choose` does.
        """
        holder = self._by_email.get(fold(who.email)) if who.email else None
        person, note = choose(who, holder, self._by_name.get(fold(who.name), []))
        if person is None:
            person = _Person(who.name, who.email or None)
            self._take(person)
        elif who.email and not person.email:
            person.email, person.has_new_email = who.email, person.id is not None
            self._by_email[fold(who.email)] = person
        return person, note


def _recall(connection: Connection, owner: str, people: Iterable[_Person]) -> None:
    """Note with each known person what is in the ledger of them already."""
    known = {person.id: person for person in people if person.id is not None}
    query = select(Thanks.id, Thanks.person_id, Meeting.kind, Meeting.day).join(
        Meeting, Thanks.meeting_id == Meeting.id
    )
    for row in _rows_in(connection, query.where(queries.is_of(owner)), Thanks.person_id, known):
        known[row.person_id].meetings[row.kind, row.day] = f"as {row.id}"


def _same(line: _Line, person: _Person) -> dict[str, Any] | None:
    """Give a bad line where the same meeting stands there already, or on an earlier line."""
    meeting = (line.given.kind, line.day)
    before = person.meetings.setdefault(meeting, f"on line {line.number}")
    if before == f"on line {line.number}":
        return None
    words = f"This {line.given.kind} with {person.name} on {line.day} is there already, {before}."
    return {"line": line.number, "reason": f"{words} Another one? --again."}


def _rows_in(connection: Connection, query: Any, column: Any, values: Iterable[Any]) -> Iterator[AnyRow]:  # noqa: ANN401  SQLAlchemy's
    listed = list(values)
    for start in range(0, len(listed), _CHUNK):
        which: ColumnElement[bool] = column.in_(listed[start : start + _CHUNK])
        yield from connection.execute(query.where(which)).all()


# --- writing ---


def _store(connection: Connection, context: Context, now: datetime, met: Sequence[tuple[_Line, _Person]]) -> list[int]:
    """Write everything; give the numbers of the thanks, in the order of the lines."""
    paused_until = queries.paused_until(connection, context.owner, now)
    for line, person in met:
        if person.towards not in (_NOBODY, _PEER):
            line.moments.update(_moments(context, now, line.given.kind, line.at, line.after, person.towards))
        line.moments["due_by"] = timing.due_in_pause(line.moments["due_by"], line.at, now, paused_until)
    _store_people(connection, now, met)
    meetings = _insert(connection, Meeting, [_meeting(context, line) for line, _ in met])
    pairs = zip(met, meetings, strict=True)
    numbers = _insert(
        connection, Thanks, [_owed(now, context.owner, line, person, meeting) for (line, person), meeting in pairs]
    )
    events = [_added(now, number, line) for number, (line, _) in zip(numbers, met, strict=True)]
    if events:
        connection.execute(insert(Event), events)
    return numbers


def _store_people(connection: Connection, now: datetime, met: Sequence[tuple[_Line, _Person]]) -> None:
    people = list(dict.fromkeys(person for _, person in met))
    new = [person for person in people if person.id is None]
    for person, number in zip(new, _insert(connection, Person, [_somebody(now, one) for one in new]), strict=True):
        person.id = number
    for person in people:
        if person.has_new_email and person.id is not None:
            ledger.change_person(connection, person.id, email=person.email)


def _somebody(now: datetime, person: _Person) -> dict[str, Any]:
    keys = {"name_key": fold(person.name), "email_key": fold(person.email) if person.email else None}
    facts = {"lang": None, "tz": None, "seniority": "peer"}
    return {"name": person.name, "email": person.email, "created_at": now, **keys, **facts}


def _meeting(context: Context, line: _Line) -> dict[str, Any]:
    given = line.given
    return ledger.Encounter(given.kind, line.at, context.zone, line.day, given.place, given.about)._asdict()


def _owed(now: datetime, owner: str, line: _Line, person: _Person, meeting: int) -> dict[str, Any]:
    people = {"person_id": person.id, "meeting_id": meeting, "owner": owner}
    values = {"uid": uuid.uuid4().hex, "state": states.OWED, "details": line.given.details}
    return {**people, **values, **line.moments, "created_at": now, "changed_at": now}


def _added(now: datetime, number: int, line: _Line) -> dict[str, Any]:
    moments = {name: to_iso(line.moments[name]) for name in ("nudge_at", "due_by")}
    return {"at": now, "thanks_id": number, "what": "added", "data": moments}


def _insert(connection: Connection, noun: type[Base], rows: list[dict[str, Any]]) -> list[int]:
    """Store rows in bulk, and give their numbers in the same order."""
    if not rows:
        return []
    number = noun.__table__.c.id
    statement = insert(noun).returning(number, sort_by_parameter_order=True)
    return [int(one) for one in connection.scalars(statement, rows)]


def _stored(context: Context, now: datetime, numbers: list[int]) -> list[dict[str, Any]]:
    """Give what was stored; one transaction's numbers follow one another, so a range names them."""
    with context.store.read() as connection:
        found = queries.thanks(connection, Thanks.id.between(min(numbers), max(numbers)), now)
    return sorted(found, key=lambda one: int(one["id"]))
