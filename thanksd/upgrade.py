"""Bringing a ledger's schema up to date, and making a new one: Alembic under the instance lock, in one transaction."""

from __future__ import annotations

import glob
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, make_url

from thanksd import mounts, paths
from thanksd.addresses import display_safe
from thanksd.database import SqliteStore, copy_into, explained, make_engine, revision_of
from thanksd.errors import DataError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.store import known_revisions

if TYPE_CHECKING:
    from thanksd.postgres import PostgresStore

_WAIT_SECONDS = 30.0
_KEPT_COPIES = 3

log = logging.getLogger("thanksd")


def bring_up_to_date(store: SqliteStore, known: list[str]) -> None:
    """Migrate under the instance lock, waiting for other programs that do the same.

    Plain `alembic upgrade head` from 8 processes at once crashed 102 of 120 runs.
    """
    paths.private_folder(store.file.parent)
    deadline = time.monotonic() + _WAIT_SECONDS
    while not store.lock.acquire("upgrade"):
        # Before reading who has it: whoever just took it has written its name by then.
        time.sleep(0.02)
        role, pid = store.lock.holder()
        if role == "daemon" or time.monotonic() > deadline:
            raise TryLaterError(
                f"The ledger must be upgraded first, and process {pid} ({role}) has it. Nothing is lost.",
                "Restart the daemon: systemctl --user restart thanksd",
            )
    try:
        revision = revision_of(store.file, known)
        if revision is None:
            _create(store)
        elif revision != known[-1]:
            _keep_copy(store, revision)
            migrate(store.url)
    finally:
        store.lock.release()


def _create(store: SqliteStore) -> None:
    """Make a new store beside its place and move it there whole: a kill in between leaves no half-made ledger."""
    making = store.file.with_name(f"{store.file.name}.new")
    making.unlink(missing_ok=True)
    try:
        os.close(os.open(making, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        migrate(make_url(store.url).set(database=str(making)))
        making.rename(store.file)
        _warn_of_sync(store.file.parent)
    except OSError as error:
        making.unlink(missing_ok=True)
        raise PermissionDeniedError(
            f"The ledger can't be made: {store.file}: {error.strerror}.", "Check who owns that folder."
        ) from error
    except ThanksdError:
        making.unlink(missing_ok=True)
        raise


def _warn_of_sync(folder: Path) -> None:
    if program := mounts.synced_by(folder):
        # On a terminal it is one line on stderr, of a daemon one in its journal.
        log.warning("%s carries this folder to other machines, one at a time may use the ledger: %s", program,
                    display_safe(str(folder)))  # fmt: skip


def _keep_copy(store: SqliteStore, revision: str) -> None:
    copy = store.file.with_name(f"{store.file.name}.before-{revision}-{time.time_ns()}")
    copy_into(store.file, copy)
    copies = store.file.parent.glob(f"{glob.escape(store.file.name)}.before-*")
    for old in sorted(copies, key=lambda path: path.name.rpartition("-")[2])[:-_KEPT_COPIES]:
        old.unlink()


def migrate(url: str | URL) -> None:
    """Bring a ledger to the newest revision: run Alembic in one outer transaction on a connection of its own.

    Foreign keys are off before BEGIN (the pragma does nothing inside a transaction): with them on, batch mode on a
    parent table silently deletes every cascading child.
    """
    engine = make_engine(url, keep_connections=False).execution_options(thanksd_begin="BEGIN IMMEDIATE")
    with explained(), engine.connect() as connection:
        # Before SQLAlchemy begins: the driver's own cursor, outside any transaction.
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.close()
        with connection.begin():
            _run_alembic(connection)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise DataError(f"The upgrade left {len(broken)} rows without their parent; it was undone.", "Tell us.")


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  costs more than a whole `add`, and is needed once a release
    from alembic.config import Config  # noqa: PLC0415  as above

    config = Config()
    config.set_main_option("script_location", str(paths.data_folder("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def bring_server_up_to_date(store: PostgresStore) -> None:
    """Migrate a shared ledger in one transaction, under a lock that other programs which would do the same wait for.

    Daemons of the version before hold a lock of their own as long as they run (`wakeup`): there must be none.
    Raises TryLaterError where there is.
    """
    from thanksd import postgres, server  # noqa: PLC0415  who has a file never needs them

    engine = postgres.make_engine(store.url, keep_connections=False)
    with postgres.explained(), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS:.0f}s'")
        connection.execute(postgres.LOCK, {"which": server.UPGRADES})
        if postgres.read_revision(connection) == known_revisions()[-1]:
            return
        if not connection.scalar(postgres.TRY_LOCK, {"which": server.DAEMONS}):
            raise TryLaterError(
                "The shared ledger must be upgraded first, and daemons of the version before have it. Nothing is lost.",
                "Stop them all, on each machine: systemctl --user stop thanksd",
            )
        connection.execute(postgres.LOCK, {"which": server.WRITERS})
        _run_alembic(connection)
