"""How checks read the ledger, of either kind: for reading alone, beside what commands use, and for a short time.

Opening it as every command does would upgrade it. A question is SQL that both kinds know, with ? for its values; times
in it are text, as SQLite keeps them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from thanksd import database, server
from thanksd.checks import NotLookedAtError, Place
from thanksd.errors import ThanksdError

if TYPE_CHECKING:
    from thanksd.server import Connection

# Of a file nobody can write while a question is asked, and the daemon gives up after five.
_SECONDS = 2.0
_BUSY_SECONDS = 3.0
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock
SERVER_SECONDS = 5

Row = tuple[Any, ...]


class Reader(Protocol):
    """A ledger, open for reading."""

    def ask(self, question: str, *values: object) -> list[Row]:
        """Give the rows there are, as many as are found in time: of a ledger this big those have to do."""


@contextmanager
def reading(place: Place) -> Iterator[Reader | None]:
    """Give the ledger for reading, None where there is none yet.

    Raises NotLookedAtError where it can't be read: the check `store` says why.
    """
    try:
        if place.is_shared:
            with server.look(place.store, SERVER_SECONDS) as connection:
                yield _OnServer(connection) if is_made(connection) else None
        elif (file := database.sqlite_file(place.store)).exists():
            with closing(connect(file)) as connected:
                connected.execute("SELECT count(*) FROM event").fetchone()
                yield _InFile(connected)
        else:
            yield None
    except (sqlite3.Error, OSError, ThanksdError) as error:
        raise NotLookedAtError("Not looked at: the ledger can't be read.") from error


def connect(file: Path) -> sqlite3.Connection:
    """Connect to a file that is there; nothing is written, not even what a crash left half done."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    connection.isolation_level = None
    return connection


def is_made(connection: Connection) -> bool:
    """Say whether there is a ledger in that database."""
    found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    return bool(found and found[0])


class _InFile:
    """A ledger of one's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ask(self, question: str, *values: object) -> list[Row]:
        """As `Reader.ask`."""
        ends_at = time.monotonic() + _SECONDS
        self._connection.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS)
        rows: list[Row] = []
        try:
            for row in self._connection.execute(question, values):
                rows.append(row)  # noqa: PERF402  what was found before the time was up is wanted too
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        finally:
            self._connection.set_progress_handler(None, 0)
        return rows


class _OnServer:
    """A shared ledger; the server itself ends what takes too long, and that is an error there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, question: str, *values: object) -> list[Row]:
        """As `Reader.ask`."""
        return self._connection.execute(question.replace("?", "%s").encode(), values or None).fetchall()


def mine(place: Place, column: str) -> tuple[str, tuple[str, ...]]:
    """Give the condition, and its value, that the `column` names the user; a ledger of one's own may lack the column.

    Raises NotLookedAtError as `Place.owner` does.
    """
    return (f" AND {column} = ?", (place.owner(),)) if place.is_shared else ("", ())


def stored(moment: datetime) -> str:
    """Give a moment as a question may name it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def moment_of(found: object) -> datetime:
    """Give the moment that a column holds, whichever way a store hands it over."""
    return datetime.fromisoformat(str(found)).replace(tzinfo=UTC)
