"""The verbs about people: who is known, and what of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from thanksd import forgotten, ledger, policy, queries, states
from thanksd.addresses import check_address, clean_text, display_safe, fold
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Interest, Letter, Person, Thanks
from thanksd.moments import to_iso
from thanksd.rows import AnyRow
from thanksd.verbs.around import interests, is_fresh
from thanksd.verbs.context import Context
from thanksd.verbs.editing import change_address
from thanksd.verbs.fitting import follow, known
from thanksd.verbs.who import and_beware, parse_who

_LONGEST = 300


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
        found = queries.thanks_of_person(connection, row.id, now)
        more = _more(connection, context, row.id)
    return {"people": [plain(row) | more], "thanks": found, "zone": context.zone}


def _more(connection: Connection, context: Context, person: int) -> dict[str, Any]:
    """Give what somebody cares about, when you heard from them last, and what went to them."""
    replied = connection.scalar(select(Person.replied_at).where(Person.id == person))
    sent = (Thanks.person_id == person, Letter.state == states.SENT)
    query = select(Letter.intent, func.count()).join(Thanks, Thanks.id == Letter.thanks_id).where(*sent)
    counts = {intent: int(count) for intent, count in connection.execute(query.group_by(Letter.intent))}
    return {
        "interests": [
            {
                "id": one.id,
                "text": one.text,
                "source": one.source,
                "at": to_iso(one.at),
                "stale": not is_fresh(context, one),
            }
            for one in interests(connection, person)
        ],
        "replied_at": replied and to_iso(replied),
        "balance": {intent: counts.get(intent, 0) for intent in states.INTENTS},
    }


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
    cares_about: Sequence[str] = (),
    source: str = "",
    no_longer: Sequence[str] = (),
    replied: bool = False,
) -> dict[str, Any]:
    """Change what is known of a person; with `allow` their address is not one to be left alone any more.

    `cares_about` adds interests, `source` says from where you know them; `no_longer` removes those that begin so.
    `replied` notes that you heard from them now. Gives {"people": [who it is], "notes": [what should be said of the
    address], "zone"}.
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
        _note_interests(connection, now, row.id, cares_about, source, no_longer)
        if replied:
            connection.execute(update(Person).where(Person.id == row.id).values(replied_at=now))
        changed = find(connection, str(row.id))
        if allow and changed.email:
            forgotten.allow(connection, changed.email)
        beware = and_beware(connection, "", changed.email) if values["email"] else ""
        more = _more(connection, context, row.id)
        return {"people": [plain(changed) | more], "notes": [beware] if beware else [], "zone": context.zone}


def _note_interests(
    connection: Connection, now: datetime, person: int, texts: Sequence[str], source: str, no_longer: Sequence[str]
) -> None:
    """Add and remove interests; one that is there already is as fresh as if it were new.

    Raises UsageError for a word that no interest begins with.
    """
    known = interests(connection, person)
    for start in no_longer:
        # The one of these very words alone, else those that begin so.
        gone = [one.id for one in known if fold(one.text) == fold(start)] or [
            one.id for one in known if fold(one.text).startswith(fold(start))
        ]
        if not gone:
            raise UsageError(
                f"No interest begins with {display_safe(start)!r}. Nothing was changed.", "people show WHO"
            )
        connection.execute(delete(Interest).where(Interest.id.in_(gone)))
    whence = clean_text(source, "--source", _LONGEST)
    for text in filter(None, (clean_text(one, "--cares-about", _LONGEST) for one in texts)):
        same = [one.id for one in known if fold(one.text) == fold(text)]
        connection.execute(delete(Interest).where(Interest.id.in_(same)))
        connection.execute(insert(Interest).values(person_id=person, text=text, source=whence, at=now))


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
