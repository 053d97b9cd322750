"""Ledgers in a file and on a server, to be moved, compared and moved back; and a move that is killed at any step."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import full_ledger
from postgres_rigs import Server
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine
from store_rigs import Desk, make_another, rows

from thanksd import verbs
from thanksd.database import open_store
from thanksd.errors import ConfigError
from thanksd.models import Base, Person
from thanksd.verbs.relocating import move_store

SAM = "sam@example.org"
_STAMP = ("machine", "host", "install", "used_at", "serial")
_FRESH = "machine = NULL, host = NULL, install = NULL, used_at = NULL, serial = 0"


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def full_file(folder: Path) -> Path:
    """Give a ledger with something of everything, whose owner is Sam."""
    return full_ledger.fill(folder)


def move(source: str, target: str, owner: str = SAM) -> dict[str, Any]:
    return move_store(source, target, datetime.now(UTC), owner)


def contents(url: str) -> dict[str, list[dict[str, Any]]]:
    """Give every row of every table, by its values, in the order of its first column; without the stamp."""
    found = {}
    with open_store(url).read() as connection:
        for table in Base.metadata.sorted_tables:
            read = [dict(row) for row in connection.execute(select(table)).mappings()]
            kept = [{name: value for name, value in row.items() if name not in _STAMP or table.name != "ledger"}
                    for row in read]  # fmt: skip
            found[table.name] = sorted(kept, key=lambda row: str(next(iter(row.values()))))
    return found


def owned_by(found: dict[str, list[dict[str, Any]]], owner: str) -> dict[str, list[dict[str, Any]]]:
    """Give the same contents with the owner's name in the places that have none."""
    names = {"thanks": "owner", "letter": "writer", "member": "owner"}
    return {
        table: [row | ({names[table]: row[names[table]] or owner} if table in names else {}) for row in these]
        for table, these in found.items()
    }


def is_in_use(url: str) -> bool:
    """Say whether this installation may write there; what nobody noted anything in is no ledger that could send."""
    store = open_store(url)
    try:
        store.check_ours()
        with store.read() as connection:
            return connection.scalar(select(Person.id).limit(1)) is not None
    except ConfigError:
        return False
    finally:
        store.close()


def dispatch(desk: Desk, url: str) -> None:
    """Let every letter leave that may, from this store."""
    store = open_store(url)
    verbs.call("dispatch", replace(desk.context, store=store), {})
    store.close()


def delivered(desk: Desk) -> Counter[bytes]:
    """Give how often each letter came, by its words."""
    return Counter(desk.saved())


def database(url: str) -> str:
    """Give the name of a server's database, by that of the store."""
    return url.partition("@/")[2].partition("?")[0]


def emptied(server: Server, template: str) -> str:
    """Make a database like that one, which nobody used yet, and give the store's name for it."""
    name = database(template)
    count = len(server.do("SELECT 1 FROM pg_database"))
    server.do(f"CREATE DATABASE of{count} OWNER team TEMPLATE {name}")
    made = server.url(f"of{count}", "team")
    store = open_store(made)
    with store.write(not_ours_too=True) as connection:
        connection.execute(text(f"UPDATE ledger SET uid = md5(random()::text), {_FRESH}"))  # noqa: S608  no value in it
    store.close()
    return made


def put_anew(file: Path, ledger: bytes) -> None:
    """Put a ledger there that nobody used yet, with nothing beside it that a killed program left."""
    for path in file.parent.iterdir():
        path.unlink()
    file.write_bytes(ledger)
    file.chmod(0o600)
    make_another(file)


class Steps:
    """Counts the statements and commits of this process, and kills it as it comes to one of them."""

    def __init__(self, fatal: int = 0) -> None:
        self.count, self._fatal = 0, fatal
        self.commits: list[int] = []

    def __enter__(self) -> Self:
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._statement)
        event.remove(Engine, "commit", self._commit)

    def _statement(self, *_: object) -> None:
        self._step()

    def _commit(self, *_: object) -> None:
        self._step()
        self.commits.append(self.count)

    def _step(self) -> None:
        self.count += 1
        if self.count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_move(source: str, target: str, step: int) -> bool:
    """Move in a process of its own that is killed before its `step`-th statement or commit; say whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), Steps(step):
            move(source, target)
            code = 0
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def sequence(file: Path, table: str) -> int:
    (found,) = rows(file, "SELECT seq FROM sqlite_sequence WHERE name = ?", table)
    return int(found["seq"])


def execute(file: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement, values)
