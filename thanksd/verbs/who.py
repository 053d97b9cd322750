"""Whom somebody means: WHO, as bare words and an address, or a person already known."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from thanksd import ledger, queries
from thanksd.addresses import check_address, clean_text, fold
from thanksd.errors import UsageError

NAME_LIMIT = 200
_BRACKETED = re.compile(r"^(?P<name>[^<>,]*)<(?P<email>[^<>,]*)>$")


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
        return match["name"].strip(), match["email"].strip()
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
    if who.email:
        return _meet_by_address(connection, now, who, facts)
    same = queries.people_named(connection, who.name)
    if len(same) > 1:
        listed = "   ".join(f"{row.name} <{row.email}>" if row.email else row.name for row in same)
        raise UsageError(f'{len(same)} people are called "{who.name}": {listed}.', "Give the address instead.")
    if same:
        ledger.change_person(connection, same[0].id, **_given(facts))
        return Met(same[0].id, same[0].name, "")
    longer = queries.longer_name(connection, who.name)
    note = f"A new person: you also know {longer}." if longer else ""
    return Met(ledger.add_person(connection, now, who.name, None, **facts), who.name, note)


def _meet_by_address(connection: Connection, now: datetime, who: Who, facts: dict[str, str | None]) -> Met:
    known = queries.person_with_email(connection, who.email)
    if known is not None:
        ledger.change_person(connection, known.id, **_given(facts))
        other = who.name and fold(who.name) != fold(known.name)
        note = f"{who.email} is {known.name}'s address: taken as {known.name}." if other else ""
        return Met(known.id, known.name, note)
    if not who.name:
        raise UsageError(f"Whose address is {who.email}? Nothing was stored.", "Give the name too.")
    same = queries.people_named(connection, who.name)
    without = [row for row in same if not row.email]
    if len(without) == 1:
        ledger.change_person(connection, without[0].id, email=who.email, **_given(facts))
        return Met(without[0].id, without[0].name, "")
    number = ledger.add_person(connection, now, who.name, who.email, **facts)
    with_other = next((row.email for row in same if row.email), None)
    note = f"A new person: you also know {who.name} <{with_other}>." if with_other else ""
    return Met(number, who.name, note)


def _given(facts: dict[str, str | None]) -> dict[str, str | None]:
    return {key: value for key, value in facts.items() if value}
