"""The rows of a whole ledger, from one store into another: in pages, with their numbers, and what tells them apart.

A digest is of rows as values, not as a store keeps them: two ledgers with equal digests say the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Column, Connection, Table, cast, func, insert, select, text
from sqlalchemy import types as sql

from thanksd.errors import DataError
from thanksd.models import Base, Ledger

Row: TypeAlias = dict[str, Any]
# table.column -> (a name it holds, the one it will have): owners are called otherwise in a ledger of one's own.
Renames: TypeAlias = Mapping[str, tuple[str, str]]

# Rows in one page; a letter and its draft are tens of KiB at the most, as a rule.
_PAGE = 200
# What a ledger's row says of where it is used, and not of the ledger.
_STAMP = ("machine", "host", "install", "used_at", "serial")

_SEQUENCE = "pg_get_serial_sequence(:table, :column)"


class Told(NamedTuple):
    """What is told of one table: how many rows, their digest (hex), and the highest number ever given to one."""

    rows: int
    digest: str
    highest: int


def tables() -> list[Table]:
    """Give a ledger's tables, those first that others point to."""
    return list(Base.metadata.sorted_tables)


def is_unused(connection: Connection) -> bool:
    """Say whether nobody noted anything in this ledger yet: a daemon that ran on it leaves rows of its own alone."""
    noted = (table for table in tables() if table.name not in ("ledger", "member", "event"))
    return all(connection.execute(select(table).limit(1)).first() is None for table in noted)


def told(connection: Connection, renames: Renames) -> dict[str, Told]:
    """Look through a whole ledger, and tell of each table."""
    return {
        table.name: _tell(connection, table, rows_of(connection, table, renames), lambda _page: None)
        for table in tables()
    }


def differing(old: Mapping[str, Told], new: Mapping[str, Told]) -> list[str]:
    """Give the tables whose rows are not the same, or whose next number might be one that was given before."""
    return [
        table.name
        for table in tables()
        if old[table.name][:2] != new[table.name][:2]
        or (_is_counted(table) and new[table.name].highest < old[table.name].highest)
    ]


def copy(old: Connection, new: Connection, renames: Renames, arrival: Row) -> dict[str, Told]:
    """Put all rows of one ledger in the place of all that the other has; gives what was read, for each table.

    `arrival` is what the new one's own row says of where it is used. Raises DataError for what its store can't hold.
    """
    for table in reversed(tables()):
        new.execute(table.delete())
    return {table.name: _copy_table(old, new, table, renames, arrival) for table in tables()}


def _copy_table(old: Connection, new: Connection, table: Table, renames: Renames, arrival: Row) -> Told:
    changed = arrival if table.name == Ledger.__tablename__ else {}
    refuse = _refuse_nul if new.dialect.name == "postgresql" else _refuse_nothing

    def put(page: list[Row]) -> None:
        for row in page:
            refuse(table, row)
        new.execute(insert(table), [row | changed for row in page])

    found = _tell(old, table, rows_of(old, table, renames), put)
    if table.autoincrement_column is not None:
        _set_highest(new, table, found.highest)
    return found


def _refuse_nothing(_table: Table, _row: Row) -> None:
    pass


def _refuse_nul(table: Table, row: Row) -> None:
    """Raise DataError for text with a NUL character, which PostgreSQL does not keep, naming the row."""
    if any(isinstance(value, str) and "\0" in value for value in row.values()):
        raise DataError(
            f"A text of {table.name} {_key(table, row)!r} has a NUL character, which the server can't keep."
            " Nothing was moved.",
            "Change that text here first: thanksd edit",
        )


def _key(table: Table, row: Row) -> Any:  # noqa: ANN401  a number or a text
    return row[_key_column(table).name]


def _key_column(table: Table) -> Column[Any]:
    (key,) = table.primary_key.columns
    return key


def rows_of(connection: Connection, table: Table, renames: Renames) -> Iterator[list[Row]]:
    """Give a table's rows in the order of their keys, in pages, called as they will be.

    Where the key itself is renamed all rows are one page, in the order of the new ones; there are few.
    """
    names = {column.name: f"{table.name}.{column.name}" for column in table.columns}
    renamed = {name: renames[whole] for name, whole in names.items() if whole in renames}
    pages = _pages(connection, table)
    if _key_column(table).name not in renamed:
        yield from ([_rename(row, renamed) for row in page] for page in pages)
        return
    before, after = renamed[_key_column(table).name]
    rows = [row for page in pages for row in page]
    # Who is known by both names is the one known by the name that is in use.
    if any(_key(table, row) == before for row in rows):
        rows = [row for row in rows if _key(table, row) != after]
    if rows:
        yield sorted((_rename(row, renamed) for row in rows), key=lambda row: str(_key(table, row)))


def _rename(row: Row, renamed: Renames) -> Row:
    return row | {name: after for name, (before, after) in renamed.items() if row[name] == before}


def _pages(connection: Connection, table: Table) -> Iterator[list[Row]]:
    key, order = _key_column(table), _in_order(connection, _key_column(table))
    page = [dict(row) for row in connection.execute(select(table).order_by(order).limit(_PAGE)).mappings()]
    while page:
        yield page
        following = select(table).where(order > page[-1][key.name]).order_by(order).limit(_PAGE)
        page = [dict(row) for row in connection.execute(following).mappings()]


def _in_order(connection: Connection, key: Column[Any]) -> Any:  # noqa: ANN401  an expression of the key's own type
    """Give a key to order by: texts by their bytes, whatever language the server sorts by."""
    if not isinstance(key.type, sql.String):
        return key
    return key.collate("C" if connection.dialect.name == "postgresql" else "BINARY")


def _tell(connection: Connection, table: Table, pages: Iterable[list[Row]], put: Callable[[list[Row]], None]) -> Told:
    """Count and digest the pages of a table as `put` takes them."""
    count, digest = 0, blake2b(digest_size=16)
    for page in pages:
        put(page)
        count += len(page)
        for row in page:
            digest.update(_plain(table, row))
    highest = _highest(connection, table) if table.autoincrement_column is not None else 0
    return Told(count, digest.hexdigest(), highest)


def _plain(table: Table, row: Row) -> bytes:
    """Give a row as bytes that are the same from every store; a ledger's own without its stamp."""
    left_out = _STAMP if table.name == Ledger.__tablename__ else ()
    values = [row[column.name] for column in table.columns if column.name not in left_out]
    return json.dumps(values, sort_keys=True, default=_plain_value).encode() + b"\n"


def _plain_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value))


def _highest(connection: Connection, table: Table) -> int:
    """Give the highest number that a row of this table ever had, as far as its store knows, 0 for none."""
    key = _key_column(table)
    found = [connection.scalar(select(func.max(cast(key, sql.BigInteger))))]
    if connection.dialect.name == "postgresql":
        last = text(f"SELECT pg_sequence_last_value({_SEQUENCE}::regclass)")
        found.append(connection.scalar(last, {"table": table.name, "column": key.name}))
    elif _is_counted(table):
        found.append(
            connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        )
    return max(int(number or 0) for number in found)


def _set_highest(connection: Connection, table: Table, number: int) -> None:
    """Let the next row's number be higher than this one. SQLite itself sees to that in the tables it does not count."""
    if connection.dialect.name == "postgresql":
        values = {"table": table.name, "column": _key_column(table).name, "number": max(number, 1), "used": number > 0}
        connection.execute(text(f"SELECT setval({_SEQUENCE}, :number, :used)"), values)
    elif _is_counted(table):
        values = {"table": table.name, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)"), values)


def _is_counted(table: Table) -> bool:
    return bool(table.dialect_options["sqlite"]["autoincrement"])
