"""The store: engine, pragmas, transactions, and bringing the schema up to date at start."""

from __future__ import annotations

import errno
import glob
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from thanksd import paths
from thanksd.errors import ConfigError, DataError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.instance import InstanceLock

_BUSY_MS = 5000
_MIGRATE_WAIT_SECONDS = 30.0
_KEPT_COPIES = 3
_FULL = "The disk is full, or the ledger reached its limit. Nothing of this was stored."


class Store:
    """One store, opened when first used. `url` is an SQLAlchemy URL."""

    def __init__(self, url: str, *, keep_connections: bool = False) -> None:
        self.url = url
        self.file = sqlite_file(url)
        self.lock = InstanceLock(lock_file(url))
        self._engine = _make_engine(url, keep_connections=keep_connections)
        self._writing = self._engine.execution_options(thanksd_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in one read transaction: every row seen is of one moment.

        Fetch all and leave before output or network: an open cursor makes others' commits fail.
        """
        with explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in one write transaction, committed at the end, rolled back on any error.

        BEGIN IMMEDIATE: a deferred one that turns writer later fails at once with "database is locked".
        Raises TryLaterError (busy, full), PermissionDeniedError, DataError.
        """
        with explained(), self._writing.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def sqlite_file(url: str) -> Path:
    """Give the file of an SQLite URL."""
    return Path(make_url(url).database or "").resolve()


def lock_file(url: str) -> Path:
    """Give the place of the instance lock: beside the store."""
    file = sqlite_file(url)
    return file.with_name(file.name + ".lock")


def _make_engine(url: str | URL, *, keep_connections: bool) -> Engine:
    engine = create_engine(url, poolclass=None if keep_connections else NullPool)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    # pysqlite must not begin transactions by itself.
    connection.isolation_level = None
    cursor = connection.cursor()
    # First, as the next ones may already meet a lock.
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    # Not WAL: SQLite 3.7.0 to 3.51.2 can corrupt one with two connections, and distributions ship those.
    cursor.execute("PRAGMA journal_mode=DELETE")
    # FULL, and the folder too once the journal is gone: a commit that returned must survive a power cut, as the phase
    # before the dot depends on it, and with FULL alone the journal may come back and undo it (sqlite.org/pragma.html).
    cursor.execute("PRAGMA synchronous=EXTRA")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What people were promised to be forgotten must not stay in free pages; not every build of SQLite sees to it.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("thanksd_begin", "BEGIN"))


@contextmanager
def explained() -> Iterator[None]:
    """Turn the database's errors into ours, with words for people."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _explain(str(getattr(error, "orig", None) or error)) from error


def _explain(words: str) -> ThanksdError:
    if "locked" in words or "busy" in words:
        return TryLaterError("Another program is writing to the ledger. Nothing of this was stored.", "Try again.")
    if "full" in words:
        return TryLaterError(_FULL, "Free some space and try again.")
    if "readonly" in words or "unable to open" in words:
        return PermissionDeniedError("The ledger can't be written. Nothing was stored.", "Check who owns its folder.")
    if "not a database" in words or "malformed" in words:
        return DataError(f"The ledger is damaged: {words}. It was left as it is.", "Restore a copy of it.")
    return TryLaterError(f"The ledger did not answer: {words}. Nothing of this was stored.", "Try again.")


def known_revisions() -> list[str]:
    """Give the schema revisions this program knows, oldest first: the numbers its migration files begin with."""
    names = os.listdir(paths.data_folder("migrations") / "versions")  # noqa: PTH208  a third of iterdir's cost
    return sorted(name.partition("_")[0] for name in names if name.endswith(".py"))


def open_store(url: str, *, keep_connections: bool = False) -> Store:
    """Open the store with its schema brought up to date; a missing one is made.

    Raises DataError (not a ledger of ours, or damaged), ConfigError (a newer program's), TryLaterError (a daemon of
    an older version holds it), PermissionDeniedError.
    """
    store = Store(url, keep_connections=keep_connections)
    known = known_revisions()
    if _revision(store, known) != known[-1]:
        _upgrade(store, known)
    return store


def _revision(store: Store, known: list[str]) -> str | None:
    """Give the store's revision, None where there is no file yet."""
    if not _is_there(store.file):
        return None
    revision = _read_revision(store.file)
    if revision not in known:
        raise ConfigError(
            f"The ledger was written by a newer thanksd: {store.file}. It was left as it is.",
            "Install that version again.",
        )
    return revision


def _read_revision(file: Path) -> str:
    # Not by the engine: its pragmas would change the journal mode of a file that may not be ours.
    place = f"{file.as_uri()}?mode=rw"
    with explained(), closing(sqlite3.connect(place, uri=True, timeout=_BUSY_MS / 1000)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if "alembic_version" not in tables:
            raise DataError(f"This is not a ledger of thanksd: {file}. It was left as it is.", "Name another.")
        return str((connection.execute("SELECT version_num FROM alembic_version").fetchone() or [None])[0])


def _is_there(file: Path) -> bool:
    """Say whether there is a file, and refuse what surely is no ledger."""
    try:
        info = file.stat()
        if not os.access(file, os.R_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise PermissionDeniedError(
            f"The ledger can't be read: {file}: {error.strerror}.", "Check who owns it."
        ) from error
    if stat.S_ISDIR(info.st_mode):
        raise ConfigError(f"The store is a folder: {file}.", "Name a file in it, such as thanksd.db.")
    if info.st_size == 0:
        raise DataError(f"The ledger is empty: {file}. It was left as it is.", "Restore a copy, or remove the file.")
    return True


def _upgrade(store: Store, known: list[str]) -> None:
    """Migrate under the instance lock, waiting for other programs that do the same.

    Plain `alembic upgrade head` from 8 processes at once crashed 102 of 120 runs.
    """
    paths.private_folder(store.file.parent)
    deadline = time.monotonic() + _MIGRATE_WAIT_SECONDS
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
        revision = _revision(store, known)
        if revision is None:
            _create(store)
        elif revision != known[-1]:
            _keep_copy(store, revision)
            _migrate(store.url)
    finally:
        store.lock.release()


def _create(store: Store) -> None:
    """Make a new store beside its place and move it there whole: a kill in between leaves no half-made ledger."""
    making = store.file.with_name(f"{store.file.name}.new")
    making.unlink(missing_ok=True)
    try:
        os.close(os.open(making, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _migrate(make_url(store.url).set(database=str(making)))
        making.rename(store.file)
    except OSError as error:
        making.unlink(missing_ok=True)
        raise PermissionDeniedError(
            f"The ledger can't be made: {store.file}: {error.strerror}.", "Check who owns that folder."
        ) from error
    except ThanksdError:
        making.unlink(missing_ok=True)
        raise


def _keep_copy(store: Store, revision: str) -> None:
    copy = store.file.with_name(f"{store.file.name}.before-{revision}-{time.time_ns()}")
    engine = create_engine(store.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with explained(), engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
    except ThanksdError:
        copy.unlink()
        raise
    copies = store.file.parent.glob(f"{glob.escape(store.file.name)}.before-*")
    for old in sorted(copies, key=lambda path: path.name.rpartition("-")[2])[:-_KEPT_COPIES]:
        old.unlink()


def _migrate(url: str | URL) -> None:
    """Run Alembic in one outer transaction on a connection of its own.

    Foreign keys are off before BEGIN (the pragma does nothing inside a transaction): with them on, batch mode on a
    parent table silently deletes every cascading child.
    """
    from alembic import command  # noqa: PLC0415  costs more than a whole `add`, and is needed once a release
    from alembic.config import Config  # noqa: PLC0415  as above

    config = Config()
    config.set_main_option("script_location", str(paths.data_folder("migrations")).replace("%", "%%"))
    engine = _make_engine(url, keep_connections=False).execution_options(thanksd_begin="BEGIN IMMEDIATE")
    with explained(), engine.connect() as connection:
        # Before SQLAlchemy begins: the driver's own cursor, outside any transaction.
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.close()
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise DataError(f"The upgrade left {len(broken)} rows without their parent; it was undone.", "Tell us.")
