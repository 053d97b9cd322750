"""Small help with rows: the type of a row of any columns, and storing one to learn its number."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, Select, insert

from thanksd.models import Base

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


def add_row(connection: Connection, noun: type[Base], **values: object) -> int:
    """Store one row and give its number."""
    key = connection.execute(insert(noun), values).inserted_primary_key
    if key is None:
        raise AssertionError(f"the store gave no number for a {noun.__name__}")
    return int(key[0])
