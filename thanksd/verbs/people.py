"""The verbs about people: who is known, what of them, and forgetting somebody."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from thanksd import journal, ledger, policy, queries, states
from thanksd.addresses import check_address, fold
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Attempt, Event, Letter, Meeting, Person, Thanks
from thanksd.rows import AnyRow
from thanksd.verbs.context import Context
from thanksd.verbs.editing import change_address
from thanksd.verbs.who import parse_who


def people(context: Context) -> dict[str, Any]:
    """Give everybody known, by name, with how many thanks are open."""
    query = (
        select(*_columns(), func.count(Thanks.id).filter(queries.is_open).label("open"))
        .join_from(Person, Thanks, Thanks.person_id == Person.id, isouter=True)
        .group_by(Person.id)
        .order_by(Person.name_key, Person.id)
    )
    with context.store.read() as connection:
        rows = connection.execute(query).all()
    return {"people": [_plain(row) | {"open": row.open} for row in rows]}


def person(context: Context, who: str) -> dict[str, Any]:
    """Give one person and everything that was ever owed to them."""
    now = context.now
    with context.store.read() as connection:
        row = _find(connection, who)
        found = queries.thanks(connection, Thanks.person_id == row.id, now)
    return {"people": [_plain(row)], "thanks": found, "zone": context.zone}


def edit_person(
    context: Context, who: str, *, name: str = "", email: str = "", lang: str = "", tz: str = "", seniority: str = ""
) -> dict[str, Any]:
    """Change what is known of a person."""
    values = {
        "name": parse_who(name).name if name else "",
        "email": check_address(email) if email else "",
        "lang": policy.known_language(lang) if lang else "",
        "tz": policy.known_zone(tz) if tz else "",
        "seniority": policy.known_seniority(seniority) if seniority else "",
    }
    with context.store.write() as connection:
        row = _find(connection, who)
        if values["email"]:
            change_address(connection, row.id, values["email"])
        _refuse_letters_under_way(connection, row)
        ledger.change_person(connection, row.id, **{key: value for key, value in values.items() if value})
        return {"people": [_plain(_find(connection, str(row.id)))]}


def forget_person(context: Context, who: str) -> dict[str, Any]:
    """Remove a person, what was owed to them, their letters and what the journal says of them; for good."""
    now = context.now
    with context.store.write() as connection:
        row = _find(connection, who)
        _refuse_letters_under_way(connection, row)
        theirs = select(Thanks.id).where(Thanks.person_id == row.id)
        letters = select(Letter.id).where(Letter.thanks_id.in_(theirs))
        meetings = list(connection.scalars(select(Thanks.meeting_id).where(Thanks.person_id == row.id)))
        for address in {row.email, *connection.scalars(select(Letter.to).where(Letter.id.in_(letters)))} - {None}:
            ledger.clear_address(connection, address)
        connection.execute(delete(Attempt).where(Attempt.letter_id.in_(letters)))
        connection.execute(delete(Letter).where(Letter.thanks_id.in_(theirs)))
        connection.execute(delete(Event).where(Event.thanks_id.in_(theirs)))
        connection.execute(update(Thanks).where(Thanks.via_id == row.id).values(via_id=None))
        connection.execute(delete(Thanks).where(Thanks.person_id == row.id))
        still = select(Thanks.meeting_id)
        connection.execute(delete(Meeting).where(Meeting.id.in_(meetings), Meeting.id.not_in(still)))
        connection.execute(delete(Person).where(Person.id == row.id))
        journal.record(connection, now, None, "forgotten")
    return {"people": [_plain(row)]}


def _columns() -> tuple[Any, ...]:
    return (Person.id, Person.name, Person.email, Person.lang, Person.tz, Person.seniority)


def _plain(row: AnyRow) -> dict[str, Any]:
    return {key: getattr(row, key) for key in ("id", "name", "email", "lang", "tz", "seniority")}


def _find(connection: Connection, who: str) -> AnyRow:
    """Find by number, or by the start of a word of a name or an address."""
    if who.isascii() and who.isdigit():
        which = Person.id == min(int(who), 2**63 - 1)
    else:
        # What no store can hold (lone surrogates) matches nobody.
        key = fold(who).encode(errors="replace").decode()
        name = or_(
            Person.name_key.startswith(key, autoescape=True), Person.name_key.contains(f" {key}", autoescape=True)
        )
        which = or_(name, Person.email_key.startswith(key, autoescape=True))
    rows = connection.execute(select(*_columns()).where(which).order_by(Person.id).limit(11)).all()
    if not rows:
        raise NotFoundError(f'Nobody matches "{who}".', "See everybody: thanksd people")
    if len(rows) > 1:
        listed = "   ".join(f"{row.id} {row.name}" for row in rows)
        raise UsageError(f'More than one person matches "{who}": {listed}.', "Say the number.")
    return rows[0]


def _refuse_letters_under_way(connection: Connection, row: AnyRow) -> None:
    query = select(Thanks.id).where(Thanks.person_id == row.id, Thanks.state == states.CONFIRMED).limit(1)
    number = connection.scalar(query)
    if number is not None:
        raise UsageError(
            f"{row.name}'s letter is confirmed and on its way. Nothing was changed.",
            f"Take it back first: thanksd undo {number}",
        )
