from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import parts
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import StatementError
from sqlalchemy.pool import NullPool
from store_rigs import (
    NOON,
    Desk,
    Releases,
    after,
    at_once_in,
    everything,
    is_sound,
    killed_at,
    new_store,
    read_only,
    rows,
    small_disk,
)

from thanksd import database, instance, paths
from thanksd.database import SqliteStore, lock_file, open_store
from thanksd.errors import ConfigError, DataError, PermissionDeniedError, ThanksdError, TryLaterError, UsageError
from thanksd.instance import InstanceLock
from thanksd.models import Base, Event

OPEN = "import sys; from thanksd.database import open_store; open_store(sys.argv[1]).close()"


@pytest.fixture
def file(short_dir: Path) -> Path:
    return short_dir / "ledger" / "thanksd.db"


def opened(file: Path) -> None:
    open_store(f"sqlite:///{file}").close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Give what lies in a folder, but for the lock: each file's time and contents."""
    return {
        path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith(".lock")
    }


# --- a new store ---


def test_a_new_store_is_private_in_a_private_folder_and_nothing_lies_beside_it(file: Path) -> None:
    opened(file)
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert {path.name: mode(path) for path in file.parent.iterdir()} == {
        "thanksd.db": 0o600,
        "thanksd.db.lock": 0o600,
    }


@pytest.mark.parametrize("name", ["100% my ledger.db", "käse [1].db", "a#b&c=d.db"])
def test_a_store_may_have_any_name_a_file_may_have(short_dir: Path, name: str) -> None:
    file = short_dir / name
    store = open_store(paths.store_url(str(file)))
    with store.write() as connection:
        connection.execute(insert(Event).values(at=NOON, what="added", data={}))
    assert {path.name for path in short_dir.iterdir() if path.is_file()} == {name, f"{name}.lock"}
    assert len(rows(file, "SELECT * FROM event")) == 1


@pytest.mark.parametrize("keep", [False, True])
def test_every_connection_keeps_a_journal_syncs_it_and_checks_foreign_keys(file: Path, keep: bool) -> None:
    store = new_store(file)
    store = SqliteStore(store.url, keep_connections=keep)
    wanted = {"journal_mode": "delete", "foreign_keys": 1, "busy_timeout": 5000, "secure_delete": 1}
    for door in (store.read, store.write):
        with door() as connection:
            for pragma, value in wanted.items():
                assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value, pragma
            # 2 is FULL; 3 is EXTRA: FULL, and the folder too once the journal is gone.
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3
    store.close()


def test_the_migrated_schema_is_what_the_models_say(file: Path) -> None:
    opened(file)
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    other = file.with_name("models.db")
    models = create_engine(f"sqlite:///{other}", poolclass=NullPool)
    Base.metadata.create_all(models)
    assert schema(file) == schema(other)


def test_a_ledger_of_ones_own_is_opened_without_what_a_server_needs(file: Path) -> None:
    opened(file)
    program = (
        "import sys; from thanksd import models; from thanksd.database import open_store; open_store(sys.argv[1]);"
        "print([name for name in sys.modules if 'postgres' in name or 'psycopg' in name])"
    )
    words = [sys.executable, "-c", program, paths.store_url(str(file))]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == "[]\n"


def schema(file: Path) -> dict[str, Any]:
    """Give tables and indexes, each index with the words of its condition, without the order of constraints."""
    found = rows(file, "SELECT name, tbl_name, type, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%'")
    tables = {row["name"] for row in found if row["type"] == "table" and row["tbl_name"] != "alembic_version"}
    return {
        "indexes": {row["name"]: row["sql"] for row in found if row["type"] == "index" and row["sql"]},
        "autoincrement": {row["name"] for row in found if "AUTOINCREMENT" in (row["sql"] or "")},
        **{table: shape(file, table) for table in tables},
    }


def shape(file: Path, table: str) -> tuple[Any, ...]:
    # Their order has no meaning: a later migration adds at the end.
    columns = sorted(tuple(row.values())[1:] for row in rows(file, f"PRAGMA table_info({table})"))
    foreign = {tuple(row.values())[2:] for row in rows(file, f"PRAGMA foreign_key_list({table})")}
    unique = {
        tuple(one["name"] for one in rows(file, f"PRAGMA index_info({index['name']})"))
        for index in rows(file, f"PRAGMA index_list({table})")
        if index["unique"]
    }
    return columns, foreign, unique


@pytest.mark.parametrize(("call", "number"), [("pwrite64", 1), ("pwrite64", 25), ("fdatasync", 4), ("rename", 1)])
def test_a_program_killed_while_it_makes_the_store_leaves_no_half_made_one(file: Path, call: str, number: int) -> None:
    assert killed_at(call, number, [sys.executable, "-c", OPEN, f"sqlite:///{file}"]) == -9
    assert not file.exists()
    assert (file.parent / "thanksd.db.new").exists()
    opened(file)
    assert {path.name for path in file.parent.iterdir()} == {"thanksd.db", "thanksd.db.lock"}
    assert is_sound(file)


# --- times ---


def test_a_time_without_a_zone_is_refused_and_nothing_stored(file: Path) -> None:
    store = new_store(file)
    with pytest.raises(StatementError, match="without a zone"), store.write() as connection:
        connection.execute(insert(Event).values(at=datetime(2026, 3, 10, 12), what="added", data={}))  # noqa: DTZ001  the point
    assert rows(file, "SELECT * FROM event") == []


def test_a_time_comes_back_as_the_same_moment_in_utc(file: Path) -> None:
    store = new_store(file)
    there = datetime(2026, 3, 29, 1, 30, 5, 123456, tzinfo=timezone(timedelta(hours=2)))
    with store.write() as connection:
        connection.execute(insert(Event).values(at=there, what="added", data={}))
    with store.read() as connection:
        back = connection.scalar(select(Event.at))
    assert back == there
    assert back.tzinfo is UTC
    assert rows(file, "SELECT at FROM event") == [{"at": "2026-03-28 23:30:05.123456"}]


# --- what is no ledger of ours ---


def another_program_s(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE moz_places (id INTEGER)")


def newer(file: Path) -> None:
    new_store(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def without_revision(file: Path) -> None:
    new_store(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.commit()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (another_program_s, DataError, "not a ledger of thanksd"),
        (newer, ConfigError, "newer thanksd"),
        (without_revision, ConfigError, "newer thanksd"),
    ],
)
def test_a_file_that_is_no_ledger_of_this_program_is_refused_untouched(
    file: Path, make: Callable[[Path], None], error: type[ThanksdError], words: str
) -> None:
    file.parent.mkdir()
    make(file)
    before = snapshot(file.parent)
    with pytest.raises(error, match=words):
        opened(file)
    assert snapshot(file.parent) == before


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody who owns nothing, where the tests are run by root."""
    mine = os.geteuid()
    os.seteuid(65534 if mine == 0 else mine)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_ledger_that_may_not_be_read_is_refused(short_dir: Path, what: str) -> None:
    parts.need_open_way(paths.data_folder("migrations"))
    file = short_dir / "ledger" / "thanksd.db"
    new_store(file)
    short_dir.chmod(0o755)
    file.chmod(0o000)
    file.parent.chmod(0o755 if what == "file" else 0o600)
    with as_nobody(), pytest.raises(PermissionDeniedError, match="Permission denied"):
        opened(file)
    file.parent.chmod(0o700)


def test_a_folder_that_can_not_be_written_is_refused(file: Path) -> None:
    file.parent.mkdir()
    with read_only(file.parent), pytest.raises(PermissionDeniedError) as refused:
        opened(file)
    assert refused.value.exit_code == 77
    assert list(file.parent.iterdir()) == []


# --- upgrades ---


@pytest.fixture
def releases(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    return Releases(short_dir / "migrations", monkeypatch)


def copies(file: Path) -> list[Path]:
    return sorted(file.parent.glob("*.before-*"))


def revision(file: Path) -> str:
    (row,) = rows(file, "SELECT version_num FROM alembic_version")
    return str(row["version_num"])


def test_a_private_copy_of_the_old_ledger_is_kept_before_an_upgrade(short_dir: Path, releases: Releases) -> None:
    desk = Desk(short_dir)
    desk.add()
    before = everything(desk.file)
    releases.change_by(1)
    opened(desk.file)
    (copy,) = copies(desk.file)
    assert (revision(desk.file), revision(copy), mode(copy)) == (after(1), after(0), 0o600)
    assert everything(copy) == before
    assert rows(desk.file, "SELECT name, c1 FROM person") == [{"name": "Ada Lovelace", "c1": None}]


def test_only_the_three_newest_copies_are_kept(short_dir: Path, releases: Releases) -> None:
    desk = Desk(short_dir)
    for number in range(1, 6):
        releases.change_by(number)
        opened(desk.file)
    assert sorted(revision(copy) for copy in copies(desk.file)) == [after(2), after(3), after(4)]


def test_children_survive_an_upgrade_that_builds_their_parent_anew(short_dir: Path, releases: Releases) -> None:
    desk = Desk(short_dir)
    desk.add(promises=["the paper"])
    desk("draft", ref="1", body="Dear Ada,\n\nThank you.")
    desk.clock.forward(days=1)
    assert desk("due_nudges", channel="desktop")["nudges"]
    before = {table: everything(desk.file)[table] for table in ("promise", "draft", "nudge")}
    assert [len(found) for found in before.values()] == [1, 1, 1]
    batch = "batch.add_column(sa.Column('mood', sa.String()))"
    releases.change(1, "with op.batch_alter_table('thanks', recreate='always') as batch:", f"    {batch}")
    opened(desk.file)
    assert {table: everything(desk.file)[table] for table in before} == before
    assert rows(desk.file, "SELECT mood FROM thanks") == [{"mood": None}]


def test_a_full_disk_stops_an_upgrade_before_it_begins_and_leaves_no_part_of_a_copy(
    short_dir: Path, releases: Releases
) -> None:
    with small_disk(short_dir / "disk") as fill:
        file = short_dir / "disk" / "thanksd.db"
        new_store(file)
        releases.change_by(1)
        # The lock has its place on the disk already.
        lock = InstanceLock(lock_file(f"sqlite:///{file}"))
        assert lock.acquire("upgrade")
        lock.release()
        fill()
        with pytest.raises(TryLaterError, match="disk is full"):
            opened(file)
        assert (revision(file), copies(file)) == (after(0), [])


@contextlib.contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program that says True when it is ready."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "True\n"
            yield child
        finally:
            child.kill()


# --- busy, and full ---


def test_a_ledger_that_another_program_writes_to_is_to_be_tried_later(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 50)
    desk = Desk(short_dir)
    number = desk.queued()
    before = everything(desk.file)
    with contextlib.closing(sqlite3.connect(desk.file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryLaterError, match="Another program is writing"):
            desk.add("Bob Ray")
        with pytest.raises(TryLaterError):
            desk("dispatch")
        assert desk("show", ref=str(number))["thanks"][0]["state"] == "confirmed"
        other.execute("ROLLBACK")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TryLaterError):
            desk("owed")
        with pytest.raises(TryLaterError):
            opened(desk.file)
    assert everything(desk.file) == before
    assert desk.saved() == []


ADDING = """
from datetime import datetime, UTC
from pathlib import Path
from thanksd import verbs
from thanksd.config import Config
from thanksd.database import SqliteStore
from thanksd.verbs.context import Context
context = Context(SqliteStore(sys.argv[1]), Config(), Path("/"), "UTC", lambda: datetime(2026, 3, 10, 12, tzinfo=UTC))
number = go()
found = [verbs.call("add", context, {"who": f"P{number} N{one}"})["thanks"][0]["id"] for one in range(10)]
print(json.dumps(found))
"""


def test_programs_that_write_at_once_wait_for_each_other(short_dir: Path) -> None:
    desk = Desk(short_dir)
    found = at_once_in(4, ADDING, desk.context.store.url)
    assert sorted(number for mine in found for number in mine) == list(range(1, 41))
    assert len(desk.rows("SELECT DISTINCT name FROM person")) == 40


def test_what_fails_in_the_middle_of_a_verb_leaves_nothing_of_it(short_dir: Path) -> None:
    desk = Desk(short_dir)
    number = desk.add()
    before = everything(desk.file)
    with pytest.raises(UsageError, match="Whose address"):
        desk("edit", ref=str(number), about="compilers", others=["Cy Young cy@example.com", "unknown@example.com"])
    assert everything(desk.file) == before


# --- who holds the lock, and who lives ---


def test_one_lock_has_one_holder_and_says_who(tmp_path: Path) -> None:
    mine, other = InstanceLock(tmp_path / "lock"), InstanceLock(tmp_path / "lock")
    assert mine.acquire("daemon")
    assert not other.acquire("upgrade")
    assert (other.holder(), other.held_by_daemon()) == (("daemon", os.getpid()), True)
    mine.release()
    assert not other.held_by_daemon()
    assert other.acquire("upgrade")
    assert (mine.holder(), mine.held_by_daemon()) == (("upgrade", os.getpid()), False)
    other.release()


def test_looking_for_a_daemon_never_takes_the_lock_from_one_that_starts(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / "lock")
    assert not lock.held_by_daemon()
    assert not lock.path.exists()
    lock.acquire("daemon")
    lock.release()
    lock.held_by_daemon()
    before = lock.path.stat().st_mtime_ns
    assert not lock.held_by_daemon()
    assert lock.path.stat().st_mtime_ns == before


def test_a_lock_that_can_not_be_written_is_not_taken(short_dir: Path) -> None:
    with small_disk(short_dir / "disk") as fill:
        filling = fill()
        lock = InstanceLock(short_dir / "disk" / "lock")
        with pytest.raises(TryLaterError, match="No space left"):
            lock.acquire("daemon")
        filling.unlink()
        assert lock.acquire("daemon")
        lock.release()


def test_an_owner_is_alive_until_its_process_has_ended() -> None:
    program = "from thanksd.instance import owner; print(True); print(owner(), flush=True); import time; time.sleep(60)"
    with running(program) as child:
        assert child.stdout
        name = child.stdout.readline().strip()
        assert not instance.is_surely_dead(name)
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # Still in the process table, as nobody asked how it ended; dead all the same.
        assert Path(f"/proc/{child.pid}").exists()
        assert instance.is_surely_dead(name)
        child.wait()
        assert instance.is_surely_dead(name)


def test_a_reused_number_and_another_boot_are_dead_and_another_machine_is_unknown() -> None:
    machine, boot, pid, start = instance.owner().split(" ")
    assert not instance.is_surely_dead(f"{machine} {boot} {pid} {start}")
    assert instance.is_surely_dead(f"{machine} {boot} {pid} {int(start) - 1}")
    assert instance.is_surely_dead(f"{machine} another-boot {pid} {start}")
    assert not instance.is_surely_dead(f"elsewhere-1 {boot} 1 1")
