"""A ledger of one's own, an SQLite file: engine, pragmas, transactions, and what is looked at before it is opened."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from thanksd import guard, mounts, paths
from thanksd.errors import ConfigError, DataError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.instance import InstanceLock
from thanksd.stamp import Here, here
from thanksd.store import Store, known_revisions

_BUSY_MS = 5000
_PUT_ASIDE = "Another ledger was put in this one's place. Nothing of this was stored."
_FULL = "The disk is full, or the ledger reached its limit. Nothing of this was stored."


class _PutAsideError(TryLaterError):
    """The file that a connection has open is not the one at its place any more."""


class SqliteStore(Store):
    """A ledger of one's own: an SQLite file, opened when first used. `url` is an SQLAlchemy URL."""

    def __init__(self, url: str, *, keep_connections: bool = False) -> None:
        super().__init__(url, InstanceLock(lock_file(url)))
        self.file: Path = sqlite_file(url)
        self._engine = make_engine(url, keep_connections=keep_connections)
        self._opened = (0, 0)
        self._writing = self._engine.execution_options(thanksd_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As `Store.read`. An open cursor would make others' commits fail."""
        self._leave_old_file()
        with explained(self.file), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, not_ours_too: bool = False, beside_others: bool = False) -> Iterator[Connection]:  # noqa: ARG002  writers of a file wait for each other
        """As `Store.write`.

        BEGIN IMMEDIATE: a deferred one that turns writer later fails at once with "database is locked".
        """
        self._leave_old_file()
        try:
            with explained(self.file), self._writing.connect() as connection, connection.begin():
                if not not_ours_too:
                    guard.use(connection, self.here)
                yield connection
        except _PutAsideError:
            # Kept connections have the old file open, for good.
            self._engine.dispose()
            raise

    def whole(self) -> AbstractContextManager[Connection]:
        """As `Store.whole`."""
        return self.write(not_ours_too=True)

    def _leave_old_file(self) -> None:
        """Close kept connections where another file was put in the ledger's place since: they would read the old one.

        Writing into that fails by itself; a daemon that finds nothing to write would read it for ever.
        """
        try:
            info = self.file.stat()
        except OSError:
            # Whoever connects says it better.
            return
        if (info.st_dev, info.st_ino) != self._opened:
            self._engine.dispose()
            self._opened = (info.st_dev, info.st_ino)

    @cached_property
    def here(self) -> Here:
        """This machine and installation."""
        return here()

    def rewrite(self) -> None:
        """As `Store.rewrite`: VACUUM writes the file anew."""
        with explained(), closing(bare(self.file)) as connection:
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")

    def close(self) -> None:
        """As `Store.close`."""
        self._engine.dispose()


def sqlite_file(url: str) -> Path:
    """Give the file of an SQLite URL."""
    return Path(make_url(url).database or "").resolve()


def lock_file(url: str) -> Path:
    """Give the place of the instance lock: beside the store."""
    file = sqlite_file(url)
    return file.with_name(file.name + ".lock")


def make_engine(url: str | URL, *, keep_connections: bool) -> Engine:
    """Give an engine whose connections have our pragmas and whose transactions begin as they are told."""
    engine = create_engine(url, poolclass=None if keep_connections else NullPool)
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _connect(_dialect: object, _record: object, args: list[str], params: dict[str, Any]) -> sqlite3.Connection:
    # No file is made: where a ledger was moved away under a daemon, an empty one would stand in its place.
    connection: sqlite3.Connection = sqlite3.connect(f"{Path(args[0]).as_uri()}?mode=rw", uri=True, **params)
    return connection


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
def explained(file: Path | None = None) -> Iterator[None]:
    """Turn the database's errors into ours, with words for people; `file` is the ledger that they are about."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        name = getattr(cause, "sqlite_errorname", "")
        if name == "SQLITE_READONLY_DBMOVED":
            raise _PutAsideError(
                "Another ledger was put in this one's place. Nothing of this was stored.", "Try again."
            ) from error
        if name == "SQLITE_IOERR_DIR_FSYNC":
            # The journal is gone, and with it the way back; only that this will last was not confirmed.
            raise TryLaterError(
                f"The disk failed as this was stored: {cause}. It may be stored or not.", "See: thanksd log"
            ) from error
        raise _explain(str(cause), file) from error


def _explain(words: str, file: Path | None) -> ThanksdError:
    if "locked" in words or "busy" in words:
        return TryLaterError("Another program is writing to the ledger. Nothing of this was stored.", "Try again.")
    if "full" in words:
        return TryLaterError(_FULL, "Free some space and try again.")
    if "readonly" in words or "unable to open" in words:
        return PermissionDeniedError("The ledger can't be written. Nothing was stored.", "Check who owns its folder.")
    if "not a database" in words or "malformed" in words:
        hint = how_to_put_back(file, "Restore a copy of it.") if file else "Restore a copy of it."
        return DataError(f"The ledger is damaged: {words}. It was left as it is.", hint)
    return TryLaterError(f"The ledger did not answer: {words}. Nothing of this was stored.", "Try again.")


def how_to_put_back(file: Path, otherwise: str) -> str:
    """Name the newest copy of a ledger that was kept and what puts it in its place; `otherwise` where there is none."""
    from thanksd import kept  # noqa: PLC0415  hardly ever needed

    try:
        # What a restore put aside was no better.
        found = [one.path for one in kept.copies(file) if one.why != kept.RESTORE]
    except OSError:
        # Where nobody may look, nothing can be named.
        return otherwise
    if not found:
        return otherwise
    which = "" if file == paths.store_file() else f" --store {shlex.quote(str(file))}"
    return f"Put the newest copy in its place: thanksd restore {shlex.quote(str(found[-1]))}{which}"


def open_store(url: str, *, keep_connections: bool = False) -> Store:
    """Open the store with its schema brought up to date; a missing one is made.

    Raises DataError (not a ledger of ours, or damaged), ConfigError (a newer program's, on a network file system, or no
    driver for it), TryLaterError (a daemon of an older version holds it, a server does not answer),
    PermissionDeniedError.
    """
    if paths.is_server(url):
        from thanksd import postgres  # noqa: PLC0415  a ledger of one's own never needs it

        return postgres.open_shared(url, keep_connections=keep_connections)
    return open_file(url, keep_connections=keep_connections)


def open_file(url: str, *, keep_connections: bool = False) -> SqliteStore:
    """Open a ledger that is a file, as `open_store` does."""
    store = SqliteStore(url, keep_connections=keep_connections)
    mounts.refuse_network(store.file)
    known = known_revisions()
    if revision_of(store.file, known) != known[-1]:
        from thanksd import upgrade  # noqa: PLC0415  once a release

        upgrade.bring_up_to_date(store, known)
    return store


def revision_of(file: Path, known: list[str]) -> str | None:
    """Give a ledger's revision, None where there is no file yet.

    Raises DataError for what is no ledger of ours, ConfigError for a newer program's, PermissionDeniedError.
    """
    if not _is_there(file):
        return None
    revision = _read_revision(file)
    if revision not in known:
        raise ConfigError(
            f"The ledger was written by a newer thanksd: {file}. It was left as it is.",
            "Install that version again.",
        )
    return revision


def _read_revision(file: Path) -> str:
    with explained(file), closing(bare(file)) as connection:
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
        hint = how_to_put_back(file, "Restore a copy, or remove the file.")
        raise DataError(f"The ledger is empty: {file}. It was left as it is.", hint)
    return True


def copy_into(file: Path, target: Path) -> None:
    """Write a ledger as it is at one moment, whoever writes into it meanwhile, into a new private file.

    It is on the disk when this returns, and not there at all where that failed. Raises PermissionDeniedError, DataError
    (damaged) or TryLaterError.
    """
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        words = f"The copy can't be made: {target}: {error.strerror}."
        raise PermissionDeniedError(words, "Name another place.") from error
    try:
        with explained(), closing(bare(file)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("VACUUM INTO ?", (str(target),))
        os.fsync(handle)
    except BaseException:
        target.unlink()
        raise
    finally:
        os.close(handle)


def bare(file: Path) -> sqlite3.Connection:
    """Connect without the engine: its pragmas would change the journal mode of a file that may not be ours."""
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_BUSY_MS / 1000, isolation_level=None)
