"""The verbs about people: who is known, and what of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, or_, select

from thanksd import forgotten, ledger, policy, queries, states
from thanksd.addresses import check_address, fold
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Person, Thanks
from thanksd.rows import AnyRow
from thanksd.verbs.context import Context
from thanksd.verbs.editing import change_address
from thanksd.verbs.fitting import follow, known
from thanksd.verbs.who import and_beware, parse_who


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
    return {"people": [plain(row) | {"open": row.open} for row in rows]}


def person(context: Context, who: str) -> dict[str, Any]:
    """Give one person and everything that was ever owed to them."""
    now = context.now
    with context.store.read() as connection:
        row = find(connection, who)
        found = queries.thanks(connection, Thanks.person_id == row.id, now)
    return {"people": [plain(row)], "thanks": found, "zone": context.zone}


def edit_person(
    context: Context,
    who: str,
    *,
    name: str = "",
    email: str = "",
    lang: str = "",
    tz: str = "",
    seniority: str = "",
    allow: bool = False,
) -> dict[str, Any]:
    """Change what is known of a person; with `allow` their address is not one to be left alone any more.

    Gives {"people": [who it is], "notes": [what should be said of the address]}.
    """
    values = {
        "name": parse_who(name).name if name else "",
        "email": check_address(email) if email else "",
        "lang": policy.known_language(lang) if lang else "",
        "tz": policy.known_zone(tz) if tz else "",
        "seniority": policy.known_seniority(seniority) if seniority else "",
    }
    now = context.now
    with context.store.write() as connection:
        row = find(connection, who)
        if values["email"]:
            change_address(connection, row.id, values["email"])
        _refuse_letters_under_way(connection, row)
        before = known(connection, row.id)
        ledger.change_person(connection, row.id, **{key: value for key, value in values.items() if value})
        follow(connection, context, now, row.id, before)
        changed = find(connection, str(row.id))
        if allow and changed.email:
            forgotten.allow(connection, changed.email)
        beware = and_beware(connection, "", changed.email) if values["email"] else ""
        return {"people": [plain(changed)], "notes": [beware] if beware else []}


def _columns() -> tuple[Any, ...]:
    return (Person.id, Person.name, Person.email, Person.lang, Person.tz, Person.seniority)


def plain(row: AnyRow) -> dict[str, Any]:
    """Give a person's row as plain values."""
    return {key: getattr(row, key) for key in ("id", "name", "email", "lang", "tz", "seniority")}


def find(connection: Connection, who: str) -> AnyRow:
    """Find by number, or by the start of a word of a name or an address.

    Raises NotFoundError, or UsageError listing the candidates.
    """
    if who.isascii() and who.isdigit():
        # A longer number can't be bound everywhere, and names nobody either.
        number = int(who[: queries.DIGITS])
        which = Person.id == (number if number < queries.TOO_HIGH else 0)
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
