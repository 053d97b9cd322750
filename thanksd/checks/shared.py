"""The checks of a ledger that a server keeps: `store`, `connection`, `durability` and `copies`.

Each looks through a connection of its own that can only read and gives up soon.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanksd import server, stamp
from thanksd.checks import Finding, NotLookedAtError, Place, look_at, mend, ok
from thanksd.checks.reading import SERVER_SECONDS, is_made, reading
from thanksd.errors import ThanksdError
from thanksd.store import known_revisions

if TYPE_CHECKING:
    from thanksd.server import Connection

_CHECKED = ("verify-ca", "verify-full")
_DURABLE = ("on", "remote_apply")


def store(place: Place) -> Iterator[Finding]:
    """Look who answers, whether the ledger there is of this version, and whether it is where it was used last."""
    with server.look(place.store, SERVER_SECONDS) as connection:
        where = _where(connection)
        if not is_made(connection):
            yield _unmade(connection, where)
            return
        yield (
            _foreign(connection, where)
            or _version(connection, where)
            or _read_only(connection, where)
            or _moved(connection)
            or ok("store", f"{where}.")
        )


def _where(connection: Connection) -> str:
    info = connection.info
    version = str(_value(connection, "SHOW server_version")).partition(" ")[0]
    return f"PostgreSQL {version} at {info.host or 'localhost'}, database {info.dbname}, as {info.user}"


def _value(connection: Connection, question: str, *values: object) -> Any:  # noqa: ANN401  whatever the column holds
    row = connection.execute(question.encode(), values or None).fetchone()
    return row[0] if row else None


def _unmade(connection: Connection, where: str) -> Finding:
    if _value(connection, "SELECT has_schema_privilege(current_schema(), 'CREATE')"):
        return ok("store", f"There is no ledger yet: {where}. The first command makes it.")
    words = f"There is no ledger yet, and this role may not make one: {where}."
    return mend("store", words, f"As the server's keeper: ALTER DATABASE {connection.info.dbname} OWNER TO ...")


def _foreign(connection: Connection, where: str) -> Finding | None:
    if _value(connection, "SELECT to_regclass('thanks') IS NOT NULL AND to_regclass('ledger') IS NOT NULL"):
        return None
    return mend("store", f"This is not a ledger of thanksd: {where}.", "Name another database in THANKSD_STORE.")


def _version(connection: Connection, where: str) -> Finding | None:
    known, revision = known_revisions(), str(_value(connection, "SELECT version_num FROM alembic_version"))
    if revision not in known:
        return mend("store", f"The ledger was changed by a newer thanksd: {where}.", "Install that version here too.")
    if revision == known[-1]:
        return None
    words = f"The ledger is of an older thanksd: {where}."
    if count := len(connection.execute(server.DAEMONS_CONNECTED.encode()).fetchall()):
        remedy = "Stop them, on each machine: systemctl --user stop thanksd. Then: thanksd"
        many = "1 daemon of that version has" if count == 1 else f"{count} daemons of that version have"
        return mend("store", f"{words} {many} it, so it can't be upgraded.", remedy)
    return look_at("store", f"{words} It is upgraded when it is used.", "A command mends it: thanksd")


def _read_only(connection: Connection, where: str) -> Finding | None:
    if _value(connection, "SELECT pg_is_in_recovery()"):
        words = f"The server is a standby, where the ledger can only be read: {where}."
        return mend("store", words, "Name the primary in THANKSD_STORE.")
    if not _value(connection, "SELECT has_table_privilege('thanks', 'INSERT')"):
        words = f"This role may not write into the ledger: {where}."
        return mend("store", words, "Take the role that owns the database: THANKSD_STORE")
    return None


def _moved(connection: Connection) -> Finding | None:
    """Say so where the ledger was put back from a copy, or its server was: letters may have left since."""
    ledger = connection.execute("SELECT uid, machine, install, host, serial FROM ledger").fetchone()
    found = connection.execute(server.PLACE.encode()).fetchone()
    if ledger is None or found is None or ledger[2] is None:
        return None  # nobody used it yet
    uid, machine, install, host, serial = ledger
    table = int(_value(connection, f"SELECT {server.TABLE}"))
    here = server.in_table(server.place(found[0], found[1], found[2], connection.info.host), table)
    if (machine, install) != (here.machine, here.install):
        words = f"The ledger was put back from a copy, or moved, since it was last used on {host}: nothing is sent."
        return mend("store", words, "If nobody goes on with the other: thanksd adopt")
    tickets = stamp.Witness(uid).tickets()
    if serial not in tickets and any(stamp.count_of(serial) <= stamp.count_of(ticket) for ticket in tickets):
        words = "The ledger is an older copy, and letters left since: nothing of it is sent from here."
        return mend("store", words, "If there is no newer one: thanksd adopt")
    return None


def connection(place: Place) -> Iterator[Finding]:
    """Look who could read along, and whether something stands between us and the server."""
    found = [*_password_file(Path(place.environ.get("PGPASSFILE") or "~/.pgpass").expanduser())]
    try:
        with server.look(place.store, SERVER_SECONDS) as connected:
            found += [*_pooled(connected), *_overheard(connected)]
            how = _way(connected)
    except ThanksdError as error:
        raise NotLookedAtError("Not looked at: the server does not let us in.") from error
    yield from found or [ok("connection", f"{how}.")]


def _password_file(path: Path) -> Iterator[Finding]:
    if path.is_file() and path.stat().st_mode & 0o077:
        words = f"Others on this machine may read the password, so it is not used: {path}"
        yield mend("connection", words, f"Close it: chmod 600 {path}")


def _pooled(connected: Connection) -> Iterator[Finding]:
    """Say so where a pooler answers: it tells a process of its own (PgBouncer does), not the server's."""
    if _value(connected, "SELECT pg_backend_pid()") != connected.info.backend_pid:
        words = "A pooler stands before the server: unless it keeps one session for each of us, locks don't hold."
        yield mend("connection", words, "Name the server itself in THANKSD_STORE, or set pool_mode = session.")


def _overheard(connected: Connection) -> Iterator[Finding]:
    if not _is_remote(connected):
        return
    if not _is_encrypted(connected):
        words = f"Everything goes to {connected.info.host} as it is, without TLS: people's names, letters, all."
        yield mend("connection", words, "Add ?sslmode=verify-full to THANKSD_STORE, and switch ssl on at the server.")
    elif _sslmode(connected) not in _CHECKED:
        words = f"It is encrypted, but nobody looks whether {connected.info.host} is who it says."
        yield look_at("connection", words, "Add ?sslmode=verify-full&sslrootcert=system to THANKSD_STORE.")


def _is_remote(connected: Connection) -> bool:
    address = connected.info.hostaddr
    return bool(address) and not ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _is_encrypted(connected: Connection) -> bool:
    tls = _value(connected, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    return bool(tls or _value(connected, "SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()"))


def _sslmode(connected: Connection) -> str:
    found = [one.val for one in connected.pgconn.info if one.keyword == b"sslmode" and one.val]
    return found[0].decode() if found else ""


def _way(connected: Connection) -> str:
    if not connected.info.hostaddr:
        return f"By a socket on this machine, {connected.info.host}"
    if not _is_remote(connected):
        return f"On this machine, {connected.info.hostaddr}"
    return f"By TLS to {connected.info.host}, which proves who it is"


def durability(place: Place) -> Iterator[Finding]:
    """Look whether what is committed is on the server's disk: a letter's last step relies on it."""
    try:
        with server.look(place.store, SERVER_SECONDS) as connected:
            said = {name: str(_value(connected, f"SHOW {name}")) for name in _LASTING}
    except ThanksdError as error:
        raise NotLookedAtError("Not looked at: the server does not let us in.") from error
    off = [name for name, wanted in _LASTING.items() if said[name] not in wanted]
    for name in off:
        words = f"{name} is {said[name]} at the server: after a crash of it a letter could go twice."
        yield mend(
            "durability", words, f"As the server's keeper: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
        )
    if not off:
        yield ok("durability", "What was stored is on the server's disk (fsync, full_page_writes).")


_LASTING = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": _DURABLE}


def copies(place: Place) -> Iterator[Finding]:
    """Say whose business copies are: the server's."""
    with reading(place) as ledger:
        rows = ledger.ask("SELECT archived_count, failed_count, last_failed_time > last_archived_time"
                          " OR last_archived_time IS NULL FROM pg_stat_archiver WHERE"
                          " current_setting('archive_mode') <> 'off'") if ledger else []  # fmt: skip
    if rows and rows[0][1] and rows[0][2]:
        yield look_at("copies", "The server can't archive its log: its backups lack the newest.", "Tell its keeper.")
    else:
        yield ok("copies", "Copies are the server's business (pg_dump); thanksd keeps none. See: thanksd help team")
