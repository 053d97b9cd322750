"""Ledgers that a team shares, each in a database of its own, made from one that holds the empty schema."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

from postgres_rigs import Server
from sqlalchemy import make_url

from thanksd.database import open_store
from thanksd.models import Base
from thanksd.postgres import PostgresStore

_NUMBERS = itertools.count(1)
# A copied ledger is one of its own, which nobody used yet.
_FRESH = (
    "UPDATE ledger SET uid = replace(gen_random_uuid()::text, '-', ''),"
    " machine = NULL, host = NULL, install = NULL, used_at = NULL, serial = 0"
)


@cache
def _template(server: Server) -> str:
    """Make the empty ledger once for each server, by the program itself; give its database."""
    # No test here is about a power cut, and a database that is copied is written anew.
    server.do("ALTER SYSTEM SET fsync = off")
    server.do("SELECT pg_reload_conf()")
    url = server.new_database()
    open_store(url).close()
    return str(make_url(url).database)


def new_ledger(server: Server) -> str:
    """Make an empty ledger that nobody used, and give its store's name."""
    template, name = _template(server), f"shared{next(_NUMBERS)}"
    server.do(f"CREATE DATABASE {name} TEMPLATE {template} OWNER team")
    server.do(_FRESH, database=name)
    return server.url(name, "team")


@cache
def _common(server: Server) -> str:
    return new_ledger(server)


def common_ledger(server: Server) -> str:
    """Give the name of a ledger that is emptied each time: cheaper than another database."""
    empty(server, _common(server))
    return _common(server)


def open_shared(url: str, *, keep_connections: bool = True) -> PostgresStore:
    """Open one as a program does."""
    store = open_store(url, keep_connections=keep_connections)
    assert isinstance(store, PostgresStore)
    return store


def rows(server: Server, url: str, query: str, *values: object) -> list[dict[str, Any]]:
    """Read from a shared ledger as any other program would; `?` stands for a value."""
    with server.connect(str(make_url(url).database)) as connection:
        done = connection.execute(query.replace("%", "%%").replace("?", "%s").encode(), values)
        names = [column.name for column in done.description or ()]
        return [dict(zip(names, row, strict=True)) for row in (done.fetchall() if names else ())]


def empty(server: Server, url: str) -> None:
    """Make a ledger an empty one that nobody used."""
    kept = ("ledger", "alembic_version")
    tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables if table.name not in kept)
    with server.connect(str(make_url(url).database)) as connection, connection.transaction():
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())
        connection.execute(_FRESH)
