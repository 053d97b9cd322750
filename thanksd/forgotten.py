"""Whom this ledger forgot: salted hashes by which they are known when they are given again, and by nothing else.

An address is in `do_not_contact`; a thanks of theirs keeps its row, without person and meeting, with the hash in place
of its uid. The salt is the ledger's own, so that nobody can compare the hashes of two ledgers or look one up in a list
made beforehand. Who has the ledger can still try an address, as the ledger itself has to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from thanksd.addresses import fold
from thanksd.models import DoNotContact, Ledger, Thanks
from thanksd.rows import AnySelect

# Values in one query: SQLite takes 999 before 3.32 (sqlite.org/limits.html).
_CHUNK = 900

is_nobodys: ColumnElement[bool] = Thanks.person_id.is_(None)


class Hashes(NamedTuple):
    """What a ledger knows of those it forgot: its salt (hex), addresses as (hash, when), and the hashes of thanks."""

    salt: str
    addresses: list[tuple[str, datetime]]
    thanks: list[str]


def hashed(salt: str, text: str) -> str:
    """Give 32 hex digits that stand for an address or a uid; case and accents make no difference."""
    return hashlib.blake2b(fold(text).encode(), key=bytes.fromhex(salt), digest_size=16).hexdigest()


def salt_of(connection: Connection) -> str:
    """Give the ledger's salt."""
    return str(connection.execute(_salt()).scalar_one())


def add(connection: Connection, now: datetime, addresses: Iterable[str]) -> None:
    """Know these addresses from now on as those of somebody who was forgotten."""
    salt = salt_of(connection)
    put(connection, [(hashed(salt, address), now) for address in addresses])


def put(connection: Connection, rows: Iterable[tuple[str, datetime]]) -> None:
    """Store hashes of addresses; those known already stay as they are."""
    known = set(connection.scalars(select(DoNotContact.hash)))
    new = {number: at for number, at in rows if number not in known}
    if new:
        connection.execute(insert(DoNotContact), [{"hash": number, "at": at} for number, at in new.items()])


def allow(connection: Connection, address: str) -> bool:
    """Forget that an address was to be left alone; False where it was not."""
    query = delete(DoNotContact).where(DoNotContact.hash == hashed(salt_of(connection), address))
    return connection.execute(query).rowcount == 1


def has(connection: Connection, address: str | None) -> bool:
    """Say whether an address is that of somebody who was forgotten."""
    if not address:
        return False
    return connection.scalar(_known(), {"hash": hashed(salt_of(connection), address)}) is not None


@cache
def _known() -> AnySelect:
    return select(DoNotContact.hash).where(DoNotContact.hash == bindparam("hash"))


@cache
def _salt() -> AnySelect:
    return select(Ledger.salt)


def addresses_among(connection: Connection, addresses: Iterable[str]) -> set[str]:
    """Give those of many addresses that are of somebody who was forgotten."""
    known = set(connection.scalars(select(DoNotContact.hash)))
    salt = salt_of(connection) if known else ""
    return {address for address in addresses if hashed(salt, address) in known} if known else set()


def uids_among(connection: Connection, uids: Iterable[str]) -> set[str]:
    """Give those of many uids that a thanks had which is nobody's now."""
    salt = salt_of(connection)
    by_hash = {hashed(salt, uid): uid for uid in uids}
    listed, found = list(by_hash), set()
    for start in range(0, len(listed), _CHUNK):
        which = Thanks.uid.in_(listed[start : start + _CHUNK])
        found |= {by_hash[number] for number in connection.scalars(select(Thanks.uid).where(is_nobodys, which))}
    return found


def read(connection: Connection) -> Hashes:
    """Give all that is known of those who were forgotten."""
    addresses = connection.execute(select(DoNotContact.hash, DoNotContact.at).order_by(DoNotContact.hash)).all()
    thanks = connection.scalars(select(Thanks.uid).where(is_nobodys).order_by(Thanks.id))
    return Hashes(salt_of(connection), [(row.hash, row.at) for row in addresses], list(thanks))


def take_over(connection: Connection, told: Hashes) -> int:
    """Know the addresses that another ledger, or another copy of this one, was told to leave alone.

    Hashes of another salt can't be carried over where this ledger has some of its own. Gives how many could not.
    """
    here = read(connection)
    if here.salt != told.salt and told.addresses:
        if here.addresses or here.thanks:
            return len(told.addresses)
        connection.execute(update(Ledger).values(salt=told.salt))
    put(connection, told.addresses)
    return 0
