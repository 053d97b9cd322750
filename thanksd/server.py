"""The server of a shared ledger, spoken to by its driver alone: a short look that changes nothing, and its refusals.

The doctor and completion look here. Opening the ledger as every command does would upgrade it, and load SQLAlchemy.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thanksd import __version__
from thanksd.errors import ConfigError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.stamp import Here, hashed

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

# The class of our advisory locks: a server may keep other programs' too.
LOCKS = zlib.crc32(b"thanksd") >> 1
WRITERS, DAEMONS, UPGRADES = 1, 2, 3

# Where a ledger is that a server keeps: what a dump put back elsewhere does not have.
PLACE = (
    "SELECT system_identifier, oid, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline, datname"
    " FROM pg_control_system(), pg_database WHERE datname = current_database()"
)

# The daemons that have a ledger: each holds a lock as long as it hears (`postgres.Line`).
DAEMONS_CONNECTED = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"  # noqa: S608  numbers of our own
    f" WHERE locktype = 'advisory' AND classid = {LOCKS} AND objid = {DAEMONS} AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


# A dump put back into the same database makes its tables anew, each with another number.
TABLE = "to_regclass('ledger')::oid::bigint"


def place(system_identifier: int, oid: int, timeline: str, host: str) -> Here:
    """Give what the stamp of a ledger says that lies there, by the columns of `PLACE`."""
    here = hashed(f"{system_identifier} {timeline}")
    return Here(here, f"the server {host or 'localhost'}", hashed(f"{here} {oid}"))


def in_table(here: Here, table: int) -> Here:
    """Give the place of a ledger whose `TABLE` has that number, in a database at `here`."""
    return here._replace(install=hashed(f"{here.install} {table}"))


def name_here() -> str:
    """Give the name that our connections go by on the server: thanksd, machine, process, version; of 63 bytes."""
    return f"thanksd {os.uname().nodename[:32]} {os.getpid()} {__version__}"


@contextmanager
def look(url: str, seconds: int) -> Iterator[Connection]:
    """Give a connection that can only read, each of its statements by itself, and which waits no longer than that.

    Raises ConfigError (no driver), TryLaterError, PermissionDeniedError.
    """
    psycopg = driver()
    limit = f"-c statement_timeout={seconds}s -c lock_timeout={seconds}s"
    try:
        with psycopg.connect(
            f"postgresql://{url.partition('://')[2]}",
            autocommit=True,
            connect_timeout=seconds,
            application_name=name_here(),
            options=f"{limit} -c default_transaction_read_only=on -c synchronous_commit=on -c TimeZone=UTC",
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise explain(str(error), error.sqlstate or "") from error


def driver() -> ModuleType:
    """Give the driver, which is an extra, and slow to load. Raises ConfigError where it is not installed."""
    try:
        import psycopg  # noqa: PLC0415  as above
    except ImportError as error:
        raise no_driver() from error
    return psycopg


def no_driver() -> ConfigError:
    """Say that what speaks to a server is not installed."""
    return ConfigError(
        "This store is on a server, and the driver for that is not installed. Nothing was done.",
        "Install it: make install EXTRAS=postgres (with pipx: pipx inject thanksd 'psycopg[binary]')",
    )


def explain(words: str, state: str) -> ThanksdError:
    """Turn what a server says, and its code (SQLSTATE; empty where it let nobody in), into our words for people."""
    said = _plain(words)
    if state == "55P03":
        return TryLaterError("Others are writing to the ledger. Nothing of this was stored.", "Try again.")
    if state == "25006" or (state == "55000" and "recovery" in said):
        return ConfigError(
            "This server is a standby: it can only be read. Nothing was stored.", "Name the primary in THANKSD_STORE."
        )
    if state == "42501":
        return PermissionDeniedError(
            f"The server refused: {said}. Nothing was stored.", "Let the role of THANKSD_STORE own the database."
        )
    if state.startswith("23"):
        return TryLaterError("Somebody stored the same just now. Nothing of this was stored.", "Try again.")
    if state.startswith("53"):
        return TryLaterError(f"The server has no room: {said}. Nothing of this was stored.", "Try again later.")
    refused = _refused_login(said) if not state or state.startswith(("28", "3D")) else None
    return refused or TryLaterError(
        f"The server did not answer: {said}. Nothing of this was stored.", "Try again; then: thanksd doctor"
    )


def _refused_login(said: str) -> ThanksdError | None:
    """Say why nobody was let in: by English words, as the driver has no code for that. Others end as no answer."""
    if said.startswith("database") and said.endswith("does not exist"):
        return ConfigError(
            f"There is no such {said.removesuffix(' does not exist')} on the server. Nothing was stored.",
            "Have it made: createdb --owner=ROLE NAME (thanksd help team)",
        )
    if "no password supplied" in said:
        return PermissionDeniedError(
            "The server wants a password, and ~/.pgpass has none for it. Nothing was stored.",
            "Write it there (0600): HOST:PORT:NAME:ROLE:PASSWORD",
        )
    if "authentication failed" in said or "pg_hba.conf" in said or said.endswith("does not exist"):
        return PermissionDeniedError(
            f"The server let nobody in: {said}. Nothing was stored.", "Check THANKSD_STORE, and ~/.pgpass (0600)."
        )
    return None


def _plain(words: str) -> str:
    """Give what was said without what every message of the driver begins and ends with."""
    said = " ".join(words.partition("\n\t")[0].split())
    said = said.rpartition("FATAL: ")[2].removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return said.partition(" LINE 1:")[0].strip().rstrip(".")
