"""Whom somebody means: WHO, as bare words and an address, or a person already known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from thanksd import forgotten, ledger, queries
from thanksd.addresses import check_address, clean_text, fold
from thanksd.errors import UsageError

NAME_LIMIT = 200
_BRACKETED = re.compile(r"^(?P<name>[^<>,]*)<(?P<email>[^<>,]*)>$")


# Somebody with a name and an email: a row of the store, or one that is to become a row.
_Known = TypeVar("_Known", bound=Any)


class Who(NamedTuple):
    """A name and an address, either of which may be empty."""

    name: str
    email: str


class Met(NamedTuple):
    """A person of the store, and what should be said about how they were found."""

    id: int
    name: str
    note: str


def parse_who(words: str, email: str = "") -> Who:
    """Read WHO: bare words are the name, a word with @ is the address, with or without <>.

    Raises UsageError for two addresses, an invalid one, control characters, or nothing at all.
    """
    words = clean_text(words, "WHO", 2 * NAME_LIMIT)
    name, found = _split(words)
    if found and email and found != email:
        raise UsageError("WHO holds one address and --email another. Nothing was stored.", "Give one of them.")
    address = check_address(found or email) if found or email else ""
    name = clean_text(name.strip("\"' "), "the name", NAME_LIMIT) if name else ""
    if not name and not address:
        raise UsageError("Nobody was named.", "For example: thanksd add Ada Lovelace ada@example.com")
    return Who(name, address)


def _split(words: str) -> tuple[str, str]:
    if any(mark in words for mark in "<>,"):
        match = _BRACKETED.match(words.strip())
        if match is None:
            raise UsageError(
                f"This is not one person with one address: {words}. Nothing was stored.",
                "One at a time: thanksd add Ada Lovelace ada@example.com",
            )
        return " ".join(match["name"].split()), match["email"].strip()
    parts = words.split()
    addresses = [part for part in parts if "@" in part]
    if len(addresses) > 1:
        raise UsageError(
            f"Two addresses: {' '.join(addresses)}. Nothing was stored.", "One person at a time, or --with for others."
        )
    return " ".join(part for part in parts if "@" not in part), addresses[0] if addresses else ""


def meet(connection: Connection, now: datetime, who: Who, **facts: str | None) -> Met:
    """Find the person meant, or store a new one. An address identifies; a name alone must match exactly one.

    Raises UsageError listing the candidates, or asking for a name.
    """
    holder = queries.person_with_email(connection, who.email) if who.email else None
    known, note = choose(who, holder, queries.people_named(connection, who.name) if who.name else [])
    if known is not None:
        address = {"email": who.email} if who.email and not known.email else {}
        ledger.change_person(connection, known.id, **address, **_given(facts))
        return Met(known.id, known.name, and_beware(connection, note, who.email or known.email))
    longer = queries.longer_name(connection, who.name) if not who.email else None
    note = and_beware(connection, f"A new person: you also know {longer}." if longer else note, who.email)
    return Met(ledger.add_person(connection, now, who.name, who.email or None, **facts), who.name, note)


def and_beware(connection: Connection, note: str, email: str | None) -> str:
    """Add to what should be said about a person what is known against their address."""
    came_back = f"A letter to {email} came back before." if queries.is_bad_address(connection, email) else ""
    left_alone = left_alone_words(email) if email and forgotten.has(connection, email) else ""
    return " ".join(words for words in (note, came_back, left_alone) if words)


def left_alone_words(email: str) -> str:
    """Say that an address is that of somebody who was forgotten."""
    return (
        f"{email} was forgotten here, to be left alone: no letter goes there. If they don't mind: "
        f"thanksd people edit {email} --allow"
    )


def choose(who: Who, holder: _Known | None, same: Sequence[_Known]) -> tuple[_Known | None, str]:
    """Give whom WHO means, None for somebody new, and what should be said about it.

    `holder` has the address, `same` are those of exactly the name. One without an address is to get the one given.
    Raises UsageError as `meet` does.
    """
    if holder is not None:
        other = who.name and fold(who.name) != fold(holder.name)
        return holder, f"{who.email} is {holder.name}'s address: taken as {holder.name}." if other else ""
    if not who.name:
        raise UsageError(f"Whose address is {who.email}? Nothing was stored.", "Give the name too.")
    fitting = [one for one in same if not one.email] if who.email else same
    if len(fitting) == 1:
        return fitting[0], ""
    if fitting and not who.email:
        listed = "   ".join(f"{one.name} <{one.email}>" if one.email else one.name for one in same)
        raise UsageError(f'{len(same)} people are called "{who.name}": {listed}.', "Give the address instead.")
    with_other = next((one.email for one in same if one.email), None)
    return None, f"A new person: you also know {who.name} <{with_other}>." if with_other else ""


def _given(facts: dict[str, str | None]) -> dict[str, str | None]:
    return {key: value for key, value in facts.items() if value}
