"""A ledger moved between a file and a server: all of it, once, and never two that send."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cells import Say, cell
from cli_rigs import SCRIPT, Done, configure, thanksd
from daemon_rigs import daemon
from full_ledger import FIXTURES
from move_rigs import (
    SAM,
    Steps,
    contents,
    database,
    delivered,
    dispatch,
    emptied,
    execute,
    full_file,
    is_in_use,
    killed_move,
    move,
    owned_by,
    put_anew,
    sequence,
    url_of,
)
from postgres_rigs import Server, each_postgres, postgres
from smtp_rigs import wait_for
from store_rigs import Desk, killed_at, new_store, rows

from thanksd import instance, outbox, service
from thanksd.database import open_store
from thanksd.errors import ConfigError
from thanksd.verbs.relocating import move_store

_RANDOM = random.Random(7)  # noqa: S311  a choice of points, no secret

__all__ = ["each_postgres", "postgres"]


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def command(*words: str) -> Done:
    return thanksd("move-store", *words, "--owner", SAM)


# --- there and back ---


def test_everything_goes_to_a_server_and_back_with_its_numbers(each_postgres: Server, short_dir: Path) -> None:
    file, url = full_file(short_dir), each_postgres.new_database()
    there = move(url_of(file), url)
    was = contents(url_of(file))
    assert all(was.values()), [name for name, found in was.items() if not found]
    assert contents(url) == owned_by(was, SAM)
    assert (is_in_use(url_of(file)), is_in_use(url)) == (False, True)
    # Into a file of another name, as on a new machine, and into the one that it came from.
    for back in (short_dir / "new" / "thanksd.db", file):
        found = move(url, url_of(back))
        assert contents(url_of(back)) == contents(url) | {"member": was["member"]}
        assert (is_in_use(url), is_in_use(url_of(back))) == (False, True)
        digests = [{one["name"]: one["digest"] for one in told["tables"]} for told in (there, found)]
        assert {name for name in digests[0] if digests[0][name] != digests[1][name]} == {"event", "member"}
        move(url_of(back), url)


def test_a_ledger_goes_from_one_server_to_another_as_it_is(postgres: Server, short_dir: Path) -> None:
    file, first, second = full_file(short_dir), postgres.new_database(), postgres.new_database()
    move(url_of(file), first)
    assert not move(first, second, owner="")["already"]
    assert contents(second) == contents(first)
    assert (is_in_use(first), is_in_use(second)) == (False, True)


def test_numbers_that_were_given_and_deleted_are_never_given_again(postgres: Server, desk: Desk) -> None:
    desk.add()
    execute(desk.file, "UPDATE sqlite_sequence SET seq = 41 WHERE name = 'thanks'")
    execute(desk.file, "UPDATE sqlite_sequence SET seq = 71 WHERE name = 'person'")
    url = postgres.new_database()
    move(url_of(desk.file), url)
    desk.set(store=open_store(url))
    assert desk.add("Bob Ray") == 42
    with desk.context.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM event WHERE thanks_id = 42")
        connection.exec_driver_sql("DELETE FROM thanks WHERE id = 42")
        assert connection.exec_driver_sql("DELETE FROM person WHERE id = 72").rowcount == 1
    desk.context.store.close()
    move(url, url_of(desk.file))
    assert (sequence(desk.file, "thanks"), sequence(desk.file, "person")) == (42, 72)
    desk.set(store=open_store(url_of(desk.file)))
    assert desk.add("Cy Young") == 43


def test_whose_it_is_has_a_name_on_a_server_and_a_pause_goes_both_ways(postgres: Server, desk: Desk) -> None:
    desk.add()
    desk("pause", until="2w")
    until = rows(desk.file, "SELECT paused_until FROM member WHERE owner = ''")
    # As a server left it that the ledger was on before: Sam by name, and a colleague.
    execute(desk.file, "INSERT INTO member (owner) VALUES (?), ('zoe@example.org')", SAM)
    url = postgres.new_database()
    move(url_of(desk.file), url)
    found = contents(url)
    assert [row["owner"] for row in found["member"]] == [SAM, "zoe@example.org"]
    assert found["member"][0]["paused_until"] is not None
    assert [row["owner"] for row in found["thanks"]] == [SAM]
    move(url, url_of(desk.file))
    assert rows(desk.file, "SELECT paused_until FROM member WHERE owner = ''") == until
    assert [row["owner"] for row in rows(desk.file, "SELECT owner FROM member ORDER BY 1")] == ["", "zoe@example.org"]
    assert rows(desk.file, "SELECT owner FROM thanks") == [{"owner": SAM}]


def test_a_popup_that_stood_is_shown_again_where_the_ledger_is_now(postgres: Server, desk: Desk) -> None:
    number = desk.add()
    desk.clock.forward(days=1)
    (nudge,) = desk("due_nudges", channel="desktop")["nudges"]
    desk("nudges_shown", ids=nudge["ids"], popup_id=7, server=":1.9")
    assert desk("due_nudges", channel="desktop")["nudges"] == []
    url = postgres.new_database()
    desk.context.store.close()
    move_store(url_of(desk.file), url, desk.clock(), SAM)
    desk.set(store=open_store(url))
    (again,) = desk("due_nudges", channel="desktop")["nudges"]
    assert (again["thanks"], again["popup"]["replaces"]) == ([number], 0)


# --- never two that send ---


def test_a_letter_that_waits_leaves_once_from_where_the_ledger_is(
    postgres: Server, desk: Desk, short_dir: Path
) -> None:
    desk.queued(), desk.queued("Bob Ray")
    shutil.copyfile(desk.file, short_dir / "copy.db")
    url = postgres.new_database()
    move(url_of(desk.file), url)
    desk.clock.forward(minutes=1)
    for old in (desk.file, short_dir / "copy.db"):
        with pytest.raises(ConfigError):
            dispatch(desk, url_of(old))
    # Put in the ledger's place it is the older copy that it is.
    shutil.copyfile(short_dir / "copy.db", desk.file)
    with pytest.raises(ConfigError, match="older copy"):
        dispatch(desk, url_of(desk.file))
    dispatch(desk, url)
    assert sorted(delivered(desk).values()) == [1, 1]


def test_run_again_after_it_is_done_it_says_so_and_changes_nothing(postgres: Server, short_dir: Path) -> None:
    file, url = full_file(short_dir), postgres.new_database()
    assert command(str(file), url).code == 0
    before = (
        file.read_bytes(),
        contents(url),
        postgres.do("SELECT * FROM ledger", database=database(url)),
    )
    done = command(str(file), url)
    assert done.code == 0
    assert f"Moved already, and in use: {url}. Nothing was changed.\n" in done.out
    after = (
        file.read_bytes(),
        contents(url),
        postgres.do("SELECT * FROM ledger", database=database(url)),
    )
    assert after == before
    assert thanksd("waive", "1", "--store", url, "--config", str(own_config(short_dir))).code == 0
    assert "Changed there since: event, thanks" in command(str(file), url).out


def own_config(folder: Path) -> Path:
    path = folder / "own.toml"
    path.write_text(f'[me]\nname = "Sam Lee"\nemail = "{SAM}"\n', encoding="utf-8")
    return path


# --- killed, and run again ---


class Kills:
    """A ledger in a file or on a server and an empty place for it, as they were before each kill."""

    def __init__(self, server: Server, folder: Path, *, to_server: bool) -> None:
        self._server, self._to_server = server, to_server
        self.desk = Desk(folder)
        self.desk.queued(), self.desk.queued("Bob Ray"), self.desk.add("Cy Young")
        self.desk.clock.forward(minutes=1)
        self.desk.context.store.close()
        self._ledger = self.desk.file.read_bytes()
        self._empty, self._full = server.new_database(), server.new_database()
        open_store(self._empty).close()
        move(url_of(self.desk.file), self._full)
        self.desk.context.store.close()

    def start_anew(self) -> tuple[str, str]:
        """Give the store to move from and the one to move to."""
        shutil.rmtree(self.desk.letters, ignore_errors=True)
        if self._to_server:
            put_anew(self.desk.file, self._ledger)
            return url_of(self.desk.file), emptied(self._server, self._empty)
        put_anew(self.desk.file, self._ledger)
        self.desk.file.unlink()
        return emptied(self._server, self._full), url_of(self.desk.file)

    def check(self, source: str, target: str) -> str:
        """Check what must be so after every death and a new start, and say which of the two was in use before that."""
        users = [url for url in (source, target) if is_in_use(url)]
        assert users in ([source], [target], [])
        for url in users[:1]:
            dispatch(self.desk, url)
        move(source, target)
        assert (is_in_use(source), is_in_use(target)) == (False, True)
        dispatch(self.desk, target)
        assert sorted(delivered(self.desk).values()) == [1, 1]
        found = contents(target)
        assert [row["state"] for row in found["thanks"]] == ["thanked", "thanked", "owed"]
        assert [row["state"] for row in found["letter"]] == ["sent", "sent"]
        return ("the old one" if users == [source] else "the new one") if users else "neither"


def points(*, many: bool, steps: Steps) -> list[int]:
    """Give the steps to be killed at: those beside the last commits of the stores, and some or many between."""
    beside = {step + off for step in steps.commits[-4:] for off in (0, 1)}
    between = range(1, steps.count + 1, max(steps.count // 30, 1)) if many else _RANDOM.sample(range(1, steps.count), 3)
    return sorted(step for step in {*beside, *between} if step <= steps.count)


@pytest.mark.parametrize(
    ("to_server", "many"),
    [
        cell("Team", "the ledger moved", "to a server, killed all along its statements", True, True),
        cell("Team", "the ledger moved", "back to a file, killed all along its statements", False, True),
        cell("Team", "the ledger moved", "to a server, killed beside a commit", True, False, daily=True),
        cell("Team", "the ledger moved", "back to a file, killed beside a commit", False, False),
    ],
)
def test_killed_at_a_statement_a_move_leaves_no_two_ledgers_that_send_and_is_finished_when_run_again(
    postgres: Server, short_dir: Path, to_server: bool, many: bool, seen: Say
) -> None:
    kills, endings = Kills(postgres, short_dir, to_server=to_server), []
    ends = kills.start_anew()
    with Steps() as steps:
        move(*ends)
    for step in points(many=many, steps=steps):
        source, target = kills.start_anew()
        assert killed_move(source, target, step), step
        endings.append(kills.check(source, target))
    words = ", ".join(
        f"{one} ({endings.count(one)})" for one in ("the old one", "neither", "the new one") if one in endings
    )
    assert {"the old one", "neither"} <= set(endings)
    seen(f"in use until it was run again: {words}; each letter left once", len(endings))


@pytest.mark.parametrize(
    "every",
    [
        cell("Team", "the ledger moved", "killed at a write, a sync or a rename", True),
        cell("Team", "the ledger moved", "killed at some writes, syncs and renames", False),
    ],
)
def test_killed_at_a_system_call_a_move_is_finished_when_run_again(
    postgres: Server, short_dir: Path, every: bool, seen: Say
) -> None:
    kills, died = Kills(postgres, short_dir, to_server=True), 0
    for call, numbers in (
        ("rename", range(1, 7)),
        ("fsync", range(1, 16, 2)),
        ("pwrite64", range(1, 40, 5)),
        ("unlink", range(1, 6)),
    ):
        for number in numbers if every else _RANDOM.sample(numbers, 2):
            source, target = kills.start_anew()
            words = [str(SCRIPT), "move-store", source, target, "--owner", SAM]
            died += killed_at(call, number, words) == -9
            kills.check(source, target)
    assert died
    seen("finished when run again; each letter left once", died)


# --- what is refused ---


def ledger(folder: Path) -> Path:
    """Give a ledger of one thanks."""
    desk = Desk(folder)
    desk.add()
    desk.context.store.close()
    return desk.file


def other(postgres: Server, folder: Path) -> tuple[str, str]:
    url, there = postgres.new_database(), Desk(folder / "other")
    there.add("Zoe Other")
    move(url_of(there.file), url)
    return url_of(ledger(folder)), url


def two_files(_postgres: Server, folder: Path) -> tuple[str, str]:
    return url_of(ledger(folder)), url_of(folder / "b.db")


def no_file(postgres: Server, folder: Path) -> tuple[str, str]:
    return url_of(folder / "none.db"), postgres.new_database()


def no_schema(postgres: Server, folder: Path) -> tuple[str, str]:
    return postgres.new_database(), url_of(folder / "b.db")


def moved_elsewhere(postgres: Server, folder: Path) -> tuple[str, str]:
    file = ledger(folder)
    move(url_of(file), postgres.new_database())
    return url_of(file), postgres.new_database()


def one_ledger(postgres: Server, folder: Path) -> tuple[str, str]:
    url = postgres.new_database()
    move(url_of(ledger(folder)), url)
    return url, f"{url}&sslmode=disable"


def in_use_there_too(postgres: Server, folder: Path) -> tuple[str, str]:
    file, url = ledger(folder), postgres.new_database()
    move(url_of(file), url)
    assert thanksd("adopt", "--yes", "--store", str(file)).code == 0
    return url_of(file), url


def older(postgres: Server, folder: Path) -> tuple[str, str]:
    desk = Desk(folder)
    desk.queued()
    copy = folder / "copy.db"
    shutil.copyfile(desk.file, copy)
    desk.clock.forward(minutes=1)
    desk("dispatch")
    return url_of(copy), postgres.new_database()


def being_sent(postgres: Server, folder: Path) -> tuple[str, str]:
    desk, now = Desk(folder), datetime.now(UTC)
    desk.queued()
    execute(desk.file, "UPDATE letter SET send_after = ?, leaves_at = ?", f"{now:%F %T}", f"{now:%F %T}")
    with desk.context.store.write() as connection:
        assert outbox.claim(connection, now, instance.owner())
    return url_of(desk.file), postgres.new_database()


def with_nul(postgres: Server, folder: Path) -> tuple[str, str]:
    desk = Desk(folder)
    desk.add()
    execute(desk.file, "UPDATE meeting SET place = 'Bar' || char(0) || 'Bodega'")
    return url_of(desk.file), postgres.new_database()


def altered(postgres: Server, folder: Path) -> tuple[str, str]:
    """Give a target that does not keep what it is given."""
    desk, url = Desk(folder), postgres.new_database()
    desk.add()
    open_store(url).close()
    name = database(url)
    postgres.do(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.place = 'Bar Other'; RETURN NEW; END $$",
        database=name,
    )
    postgres.do("CREATE TRIGGER other BEFORE INSERT ON meeting FOR EACH ROW EXECUTE FUNCTION other()", database=name)
    return url_of(desk.file), url


@pytest.mark.parametrize(
    ("make", "code", "words", "is_in_use_still"),
    [
        (two_files, 2, "Both are files", True),
        (one_ledger, 2, "Both names are of one and the same ledger.", True),
        (no_file, 1, "There is no ledger: ", False),
        (no_schema, 1, "There is no ledger: ", False),
        (other, 65, "There is another ledger there: ", True),
        (in_use_there_too, 65, "A copy of this ledger is in use there: ", True),
        (with_nul, 65, "A text of meeting 1 has a NUL character", True),
        (altered, 65, "What was read back is not what was written: meeting. The old ledger is in use as before.", True),
        (being_sent, 75, "A letter is being sent right now. Nothing was moved.", True),
        (older, 78, "This ledger is an older copy", False),
        (moved_elsewhere, 78, "This ledger was moved to postgresql+psycopg://", False),
    ],
)
def test_a_move_that_would_lose_or_double_something_is_refused(
    postgres: Server,
    short_dir: Path,
    make: Callable[[Server, Path], tuple[str, str]],
    code: int,
    words: str,
    is_in_use_still: bool,
) -> None:
    source, target = make(postgres, short_dir)
    before = contents(source) if is_in_use_still else {}
    done = command(source, target)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(words), done.err
    assert len(done.err.splitlines()) == 2
    if is_in_use_still:
        assert is_in_use(source)
        assert contents(source) == before


def test_a_password_or_a_missing_address_is_a_mistake_in_the_settings(postgres: Server, desk: Desk) -> None:
    done = command(str(desk.file), "postgresql://sam:secret@db/ledger")
    assert (done.code, "secret" in done.err) == (78, False)
    url = postgres.new_database()
    done = thanksd("move-store", str(desk.file), url)
    assert (done.code, done.err.splitlines()[-1]) == (78, "thanksd config set me.email you@example.com")
    done = thanksd("move-store", str(desk.file), url, "--owner", "no address")
    assert (done.code, done.out) == (2, "")
    configure(f'[me]\nemail = "{SAM.upper()}"\n')
    desk.add()
    assert thanksd("move-store", str(desk.file), url).code == 0
    assert contents(url)["thanks"][0]["owner"] == SAM


def test_while_a_daemon_has_either_ledger_none_is_moved(postgres: Server, home: Path) -> None:
    configure(f'[me]\nname = "Sam Lee"\nemail = "{SAM}"\n[nudge]\nchannels = []\n')
    file, url = new_store(home / "thanksd.db").file, postgres.new_database()
    with running("--store", str(file)):
        done = command(str(file), url)
        assert done.code == 75
        assert "(daemon) has this ledger. Nothing was changed." in done.err
    with running("--store", url, environ={"XDG_STATE_HOME": str(home / "other")}):
        wait_for(lambda: bool(postgres.do("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")), 30)
        done = command(str(file), url)
        assert (done.code, done.err.splitlines()[0]) == (75, "Daemons have the shared ledger. Nothing was changed.")
    assert command(str(file), url).code == 0
    with running("--store", url, environ={"XDG_STATE_HOME": str(home / "other")}):
        wait_for(lambda: bool(postgres.do("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")), 30)
        assert command(url, str(file)).code == 75
    assert command(url, str(file)).code == 0
    with daemon("--store", url, ready=False) as refused:
        assert refused.process.wait(30) == 78
        assert f"This ledger was moved to {file} on {os.uname().nodename}" in refused.log


@contextmanager
def running(*words: str, environ: dict[str, str] | None = None) -> Iterator[None]:
    with daemon(*words, ready=False, environ=environ) as one:
        wait_for(lambda: "is running" in one.log or one.process.poll() is not None, 30)
        assert one.process.poll() is None, one.log
        yield


# --- big ones, old ones, and words ---


@pytest.mark.cell("Team", "the ledger moved", "20,000 thanks in little memory")
@pytest.mark.matrix
def test_a_big_ledger_is_moved_in_little_memory(postgres: Server, desk: Desk, seen: Say) -> None:
    small = peak(url_of(desk.file), postgres.new_database())
    execute(desk.file, "UPDATE ledger SET machine = NULL, install = NULL")
    desk.add()
    grow(desk.file, 20_000)
    url = postgres.new_database()
    big = peak(url_of(desk.file), url)
    assert len(contents(url)["letter"]) == 20_000
    assert big - small < 24 << 10, (small, big)
    seen(f"moved, with {big - small >> 10} MiB more at the most than a ledger of nobody")


def grow(file: Path, count: int) -> None:
    """Give the one thanks in a ledger so many like it, each with a letter of 4 KiB that was sent."""
    moment = "2026-03-10 11:00:00"
    facts = {"sender": "a", "to": "b", "subject": "c", "sha256": "d", "state": "sent", "reason": "", "phase": "dot",
             "owner": "", "attempts": 1, "server_reply": "250 ok"}  # fmt: skip
    facts |= dict.fromkeys(("confirmed_at", "send_after", "leaves_at", "sent_at", "settled_at"), moment)
    with closing(sqlite3.connect(file)) as connection, connection:
        for number in range(2, count + 1):
            insert_like(connection, "meeting", {"id": number})
            insert_like(connection, "thanks", {"id": number, "meeting_id": number, "uid": f"{number:032x}"})
        for number in range(1, count + 1):
            own = {"id": number, "thanks_id": number, "message_id": str(number), "raw": b"x" * 4096}
            names = ", ".join(f'"{name}"' for name in (facts | own))
            marks = ", ".join("?" * len(facts | own))
            connection.execute(f"INSERT INTO letter ({names}) VALUES ({marks})", list((facts | own).values()))  # noqa: S608  names of ours


def insert_like(connection: sqlite3.Connection, table: str, changed: dict[str, object]) -> None:
    """Add a row like that of number 1."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    given = ", ".join("?" if name in changed else name for name in names)
    values = [changed[name] for name in names if name in changed]
    connection.execute(f"INSERT INTO {table} SELECT {given} FROM {table} WHERE id = 1", values)  # noqa: S608  names of ours


def peak(source: str, target: str) -> int:
    """Move, and give the most memory that took, in KiB."""
    process = subprocess.Popen([SCRIPT, "move-store", source, target, "--owner", SAM], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_a_ledger_of_the_schema_before_is_brought_up_to_date_and_moved(postgres: Server, short_dir: Path) -> None:
    file, url = short_dir / "thanksd.db", postgres.new_database()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((FIXTURES / "ledger-0003.sql").read_text(encoding="utf-8"))
        connection.execute("UPDATE ledger SET machine = NULL, host = NULL, install = NULL, serial = 0")
        connection.commit()
    move(url_of(file), url)
    assert contents(url) == owned_by(contents(url_of(file)), SAM)


def test_cut_short_it_says_at_both_ends_what_finishes_it(postgres: Server, desk: Desk) -> None:
    desk.add()
    url = postgres.new_database()
    empty = emptied(postgres, made_empty(postgres))
    with Steps() as steps:
        move(url_of(desk.file), empty)
    put_anew(desk.file, desk.file.read_bytes())
    desk.context.store.close()
    open_store(url).close()
    # Before the last statement but one the old ledger is retired.
    assert killed_move(url_of(desk.file), url, steps.count - 1)
    config = str(own_config(desk.file.parent.parent))
    old, new = (thanksd("waive", "1", "--store", one, "--config", config) for one in (str(desk.file), url))
    assert (old.code, new.code) == (78, 78)
    assert old.err.startswith(f"This ledger was moved to {url}, ")
    assert new.err.startswith(f"This ledger is not in use yet: its move from {desk.file} was cut short")
    hint = new.err.splitlines()[-1].removeprefix("Finish it: ")
    assert shlex.split(hint) == ["thanksd", "move-store", str(desk.file), url]
    done = command(*shlex.split(hint)[2:], "--json")
    assert done.json["moved"] == {"from": str(desk.file), "to": url, "already": False}
    assert {one["name"]: one["rows"] for one in done.json["tables"]}["thanks"] == 1


def made_empty(server: Server) -> str:
    url = server.new_database()
    open_store(url).close()
    return url


def test_what_follows_a_move_is_said_with_the_commands(postgres: Server, desk: Desk) -> None:
    url = postgres.new_database()
    done = command(str(desk.file), url)
    assert done.out.endswith(f"\nMoved, read back, and the same: {url}\n")
    assert done.err.splitlines() == [
        f"Use it from now on: export THANKSD_STORE={shlex.quote(url)}",
        f"Let the daemon use it: thanksd service install --store {shlex.quote(url)}",
        f"The old ledger is kept, takes no changes, and may be removed: {desk.file}",
    ]
    text = service.unit_text("/usr/bin/thanksd", {"THANKSD_STORE": url})
    assert f'Environment="THANKSD_STORE={url}"\n' in text
    assert 'ReadWritePaths="' not in text
