"""Small help with rows: the type of a row of any columns, and storing one to learn its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, Insert, Row, Select, Table, insert

from thanksd.models import Base

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnySelect: TypeAlias = Select[*tuple[Any, ...]]

_PARAMETERS = 500


def add_row(connection: Connection, noun: type[Base], **values: object) -> int:
    """Store one row and give its number."""
    key = connection.execute(_insert(noun.__table__), values).inserted_primary_key
    if key is None:
        raise AssertionError(f"the store gave no number for a {noun.__name__}")
    return int(key[0])


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


def batched(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Give numbers in parts that one statement can name: stores limit its parameters, older SQLites to 999."""
    for start in range(0, len(numbers), _PARAMETERS):
        yield numbers[start : start + _PARAMETERS]
