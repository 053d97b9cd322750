"""A ledger that several share: a PostgreSQL server keeps it, and any number of daemons work on it.

Verbs read and then write in one transaction, and rely on nobody writing in between. So writers take turns by one
advisory lock, as they do in a file; only moves on letters, whose every UPDATE names the state it expects, may go on
beside each other (they share the lock), so that daemons share the work.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from thanksd import guard, paths, stamp
from thanksd.errors import ConfigError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.instance import InstanceLock
from thanksd.stamp import Here, hashed
from thanksd.store import Store, known_revisions

# Where a change is told of (NOTIFY), and the class of our advisory locks: a server may keep other programs' too.
CHANNEL = "thanksd"
LOCKS = zlib.crc32(b"thanksd") >> 1
WRITERS, DAEMONS, UPGRADES = 1, 2, 3

# What a server must do that went away, or a client that was cut off with a transaction open: end it, so that others go
# on. Seconds; the first two are libpq's own (its documentation, section 34.1.2), the others the server's settings.
_CONNECT, _UNHEARD, _IDLE, _LOCKED, _STATEMENT = 5, 10, 10, 5, 30
_SETTINGS = {
    # The phase before the dot must be on the server's disk, whatever it does for others.
    "synchronous_commit": "on",
    "lock_timeout": f"{_LOCKED}s",
    "statement_timeout": f"{_STATEMENT}s",
    "idle_in_transaction_session_timeout": f"{_IDLE}s",
    # A daemon that was cut off holds the daemons' lock until its server finds it gone: not for the usual two hours.
    "tcp_keepalives_idle": f"{_UNHEARD}s",
    "tcp_keepalives_interval": f"{_UNHEARD // 2}s",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": f"{_UNHEARD}s",
    "TimeZone": "UTC",
}

_PLACE = text(
    "SELECT system_identifier, oid, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline, datname"
    " FROM pg_control_system(), pg_database WHERE datname = current_database()"
)
LOCK = text("SELECT pg_advisory_xact_lock(:locks, :which)").bindparams(locks=LOCKS)
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:locks, :which)").bindparams(locks=LOCKS)
# A dump put back into the same database makes its tables anew, each with another number. It is asked for in the very
# transaction, as a daemon's connection may be older than that, and with the lock, as each question costs a way.
_TABLE = "to_regclass('ledger')::oid::bigint"
_TURN = text(f"SELECT {_TABLE}, pg_advisory_xact_lock(:locks, :which)").bindparams(locks=LOCKS, which=WRITERS)
_SHARED_TURN = text(f"SELECT {_TABLE}, pg_advisory_xact_lock_shared(:locks, :which)").bindparams(
    locks=LOCKS, which=WRITERS
)
_TELL = text("SELECT pg_notify(:channel, :who)").bindparams(channel=CHANNEL)
_REVISION = text("SELECT version_num FROM alembic_version")


class PostgresStore(Store):
    """A ledger that a server keeps, each transaction on a connection of its own or on one that was kept."""

    is_shared = True

    def __init__(self, url: str, *, keep_connections: bool = False) -> None:
        super().__init__(url, InstanceLock(paths.store_lock(url)))
        self._engine = make_engine(url, keep_connections=keep_connections)
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As `Store.read`."""
        with _begun(self._reading) as connection:
            yield connection

    @contextmanager
    def write(self, *, not_ours_too: bool = False, beside_others: bool = False) -> Iterator[Connection]:
        """As `Store.write`; who waits for a change elsewhere is told of it, but for moves on letters."""
        with _begun(self._engine, _SHARED_TURN if beside_others else _TURN) as connection:
            if not not_ours_too:
                guard.use(connection, _here(connection, connection.info["table"]), is_shared=True)
            yield connection
            if not beside_others:
                connection.execute(_TELL, {"who": self.seat})

    @property
    def here(self) -> Here:
        """The server's place: a ledger that was put back from a copy, or taken over by another server, has another."""
        with self.read() as connection:
            return _here(connection, int(connection.scalar(text(f"SELECT {_TABLE}")) or 0))

    @cached_property
    def seat(self) -> str:  # type: ignore[override]
        """This installation on this machine."""
        own = stamp.here()
        return hashed(f"{own.machine} {own.install}")

    def listen(self) -> Line:
        """As `Store.listen`."""
        return Line(make_engine(self.url, keep_connections=False), self.seat)

    def rewrite(self) -> None:
        """As `Store.rewrite`, for the tables; what the server archived of its log is beyond us."""
        from thanksd.models import Base  # noqa: PLC0415  hardly ever needed

        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with explained(), engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                connection.exec_driver_sql(f'VACUUM FULL "{table.name}"')

    def close(self) -> None:
        """As `Store.close`."""
        self._engine.dispose()


def make_engine(url: str | URL, *, keep_connections: bool) -> Engine:
    """Give an engine with our settings. Raises ConfigError where the driver is not installed."""
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    arguments: dict[str, Any] = {
        "application_name": f"thanksd {os.uname().nodename[:40]} {os.getpid()}",
        "connect_timeout": _CONNECT,
        "keepalives_idle": _UNHEARD,
        "keepalives_interval": _UNHEARD // 2,
        "keepalives_count": 2,
        "tcp_user_timeout": _UNHEARD * 1000,
        "options": options,
    }
    try:
        # A connection that was kept is asked whether it lives: servers restart, lines are cut.
        kept: dict[str, Any] = {"pool_pre_ping": True} if keep_connections else {"poolclass": NullPool}
        return create_engine(url, connect_args=arguments, use_native_hstore=False, **kept)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            "The driver for a shared ledger is not installed.",
            "Install thanksd with it: pipx install 'WHEEL[postgres]'",
        ) from error


@contextmanager
def _begun(engine: Engine, turn: Any = None) -> Iterator[Connection]:  # noqa: ANN401  a statement or None
    """Give a connection in a transaction, with its `turn` at writing taken."""
    with explained() as progress, engine.connect() as connection:
        if "here" not in connection.info:
            _look_at(connection)
        if turn is not None:
            connection.info["table"] = connection.scalar(turn)
        yield connection
        progress.is_ending = turn is not None
        connection.commit()


def _look_at(connection: Connection) -> None:
    """Note once for each connection what holds as long as it does: the server's place, and the schema's revision."""
    revision = str(connection.execute(_REVISION).scalar())
    _refuse_unknown(revision)
    connection.info["here"] = _read_place(connection)


def _refuse_unknown(revision: str) -> None:
    if revision not in known_revisions():
        raise ConfigError("The shared ledger was changed by a newer thanksd.", "Install that version here too.")


def _here(connection: Connection, table: int) -> Here:
    found: Here = connection.info["here"]
    return found._replace(install=hashed(f"{found.install} {table}"))


def _read_place(connection: Connection) -> Here:
    row = connection.execute(_PLACE).one()
    place = hashed(f"{row.system_identifier} {row.timeline}")
    url = connection.engine.url
    return Here(place, f"the server {url.host or url.query.get('host', 'localhost')}", hashed(f"{place} {row.oid}"))


class _Progress:
    """How far a transaction came."""

    is_ending = False


@contextmanager
def explained() -> Iterator[_Progress]:
    """Turn the server's errors into ours, with words for people."""
    progress = _Progress()
    try:
        yield progress
    except DBAPIError as error:
        raise _explain(error, progress) from error


def _explain(error: DBAPIError, progress: _Progress) -> ThanksdError:
    words, state = " ".join(str(error.orig).split()), str(getattr(error.orig, "sqlstate", None) or "")
    if state == "55P03":
        return TryLaterError("Others are writing to the ledger. Nothing of this was stored.", "Try again.")
    if state.startswith(("28", "42501", "3D")):
        return PermissionDeniedError(
            f"The server refused: {words}. Nothing was stored.", "Check user, ~/.pgpass, name."
        )
    if state.startswith("53"):
        return TryLaterError(f"The server has no room: {words}. Nothing of this was stored.", "Try again later.")
    if progress.is_ending:
        return TryLaterError("The server went away as this was stored. It may be stored or not.", "See: thanksd log")
    return TryLaterError(f"The server did not answer: {words}. Nothing of this was stored.", "Try again.")


def open_shared(url: str, *, keep_connections: bool = False) -> PostgresStore:
    """Open the store with its schema brought up to date; an empty database gets one. Raises as `open_store` does."""
    store = PostgresStore(url, keep_connections=keep_connections)
    revision = revision_of(store)
    if revision != known_revisions()[-1]:
        from thanksd import upgrade  # noqa: PLC0415  once a release

        upgrade.bring_server_up_to_date(store)
    return store


def revision_of(store: PostgresStore) -> str | None:
    """Give a shared ledger's revision, None where the database has none yet. Raises ConfigError for a newer one."""
    with explained(), make_engine(store.url, keep_connections=False).connect() as connection:
        return read_revision(connection)


def read_revision(connection: Connection) -> str | None:
    """As `revision_of`, on a connection."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision = str(connection.scalar(_REVISION))
    _refuse_unknown(revision)
    return revision


class Line:
    """A connection of the driver's own, out of any pool, that hears of changes and holds the daemons' lock."""

    def __init__(self, engine: Engine, seat: str) -> None:
        self._seat = seat
        with explained():
            taken = engine.connect()
        # The driver's own: what SQLAlchemy knows of it ends here.
        self._connection = cast("Any", taken.connection.driver_connection)
        taken.detach()
        with self._or_gone():
            self._connection.autocommit = True
            self._connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (LOCKS, DAEMONS))
            self._connection.execute(f"LISTEN {CHANNEL}")

    def fileno(self) -> int:
        """Give what becomes readable when there is something to hear."""
        return int(self._connection.fileno())

    def heard(self) -> bool:
        """As `store.Ear.heard`."""
        told = set()
        with self._or_gone():
            self._connection.pgconn.consume_input()
            while (one := self._connection.pgconn.notifies()) is not None:
                told.add(bytes(one.extra).decode(errors="replace"))
        return bool(told - {self._seat})

    def close(self) -> None:
        """As `store.Ear.close`."""
        self._connection.close()

    @contextmanager
    def _or_gone(self) -> Iterator[None]:
        try:
            yield
        except self._connection.Error as error:
            self.close()
            raise TryLaterError(f"The server went away: {error}.", "Try again.") from error
