"""The checks `store` of a ledger that is a file, and `letters` of either kind: is it whole, and does a letter wait."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from thanksd import database, paths, stamp, states
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.checks.reading import connect, mine, moment_of, reading
from thanksd.store import known_revisions

# Seconds that a table is checked for: while it is read nobody can write, and the daemon gives up after five.
_TABLE_SECONDS = 2.0
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock

# A letter that is held so long is one its writer does not know of, or forgot.
_LONG = timedelta(days=2)

_MENDED = "A command mends it: thanksd"


def store(place: Place) -> Iterator[Finding]:
    """Look whether the ledger opens, is of this version, and is whole."""
    file = database.sqlite_file(place.store)
    if not file.exists():
        yield ok("store", f"There is no ledger yet: {file}. The first command makes it.")
        return
    try:
        with closing(connect(file)) as connection:
            yield _whole(connection, file) or _version(connection, file) or _not_ours(connection) or _well(file)
    except (sqlite3.Error, OSError) as error:
        yield _unreadable(file, str(error))


def _unreadable(file: Path, why: str) -> Finding:
    if "locked" in why:
        return look_at("store", "Another program is writing to the ledger.", "Try again: thanksd doctor")
    if "readonly" in why:
        # sqlite.org/fileformat2.html, "hot journal": who may only read can't undo what a crash left half written.
        return look_at("store", f"A write was cut off; it is undone at the next one: {file}", _MENDED)
    return mend("store", f"The ledger can't be read: {file}: {why}.", _from_copy(file))


def _from_copy(file: Path) -> str:
    return database.how_to_put_back(file, f"Check who owns it: ls -l {file}")


def _version(connection: sqlite3.Connection, file: Path) -> Finding | None:
    known = known_revisions()
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    revision = str(rows[0][0]) if rows else "none"
    if revision not in known:
        return mend("store", f"The ledger was written by a newer thanksd: {file}.", "Install that version again.")
    if revision != known[-1]:
        return look_at("store", f"The ledger is of an older thanksd: {file}. It is upgraded when it is used.", _MENDED)
    return None


def _not_ours(connection: sqlite3.Connection) -> Finding | None:
    """Say so where another machine used the ledger last, or where letters left from a newer copy of it."""
    uid, machine, install, host, serial = connection.execute(
        "SELECT uid, machine, install, host, serial FROM ledger"
    ).fetchone()
    if install is None:
        return None  # nobody used it yet
    # Asked for where it does not exist, the installation's name would be made.
    here = stamp.here() if (paths.state_folder() / "install").exists() else None
    if here is None or (machine, install) != (here.machine, here.install):
        words = f"The ledger was last used on {host}, or by another installation here: nothing of it is sent from here."
        return mend("store", words, "If that one is retired: thanksd adopt")
    if serial not in stamp.Witness(uid).tickets():
        words = "The ledger is an older copy, and letters left since: nothing of it is sent."
        return mend("store", words, "If there is no newer one: thanksd adopt")
    return None


def _well(file: Path) -> Finding:
    return ok("store", f"{file}: whole.")


def _whole(connection: sqlite3.Connection, file: Path) -> Finding | None:
    """Look at every table by itself, so that nobody waits long to write."""
    tables = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if "alembic_version" not in tables:
        return mend("store", f"This is not a ledger of thanksd: {file}.", "Name another: thanksd --store FILE")
    for table in tables:
        said = _check(connection, table)
        if said != "ok":
            return mend("store", f"The ledger is damaged: {file}: {said}", _from_copy(file))
    return None


def _check(connection: sqlite3.Connection, table: str) -> str:
    ends_at = time.monotonic() + _TABLE_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS)
    try:
        return str(connection.execute(f"PRAGMA quick_check('{table}')").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return "ok"  # of a table this big the beginning has to do
    finally:
        connection.set_progress_handler(None, 0)


_LETTERS = """\
SELECT thanks_id, state, reason, coalesce((SELECT max(ended_at) FROM attempt WHERE letter_id = letter.id), confirmed_at)
FROM letter WHERE settled_at IS NULL"""


def letters(place: Place) -> Iterator[Finding]:
    """Look for letters of the user's that go no further without them."""
    which, whose = mine(place, "writer")
    with reading(place) as ledger:
        rows = ledger.ask(f"{_LETTERS}{which} ORDER BY id", *whose) if ledger else []
    held = [thanks for thanks, state, *_ in rows if state == states.HELD]
    long = [thanks for thanks, state, _, since in rows if state == states.HELD and _is_long_ago(since, place.now)]
    no_login = [thanks for thanks, _, reason, _ in rows if reason in (states.CREDENTIALS, states.PASSWORD)]
    if held:
        words = f"{_count(held)} held: it may have arrived or not." if len(held) == 1 else f"{_count(held)} held."
        words += f" {len(long)} of them for more than two days." if long else ""
        yield look_at("letters", words, f"Say what became of it: thanksd resolve {(long or held)[0]}")
    if no_login:
        yield mend("letters", f"{_count(no_login)} for the password.", "Store it: thanksd credentials set")
    if not held and not no_login:
        yield ok("letters", f"{len(rows)} on their way, none is stuck." if rows else "None is on its way.")


def _is_long_ago(since: object, now: datetime) -> bool:
    return now - moment_of(since) > _LONG


def _count(thanks: list[int]) -> str:
    return "1 letter waits" if len(thanks) == 1 else f"{len(thanks)} letters wait"
