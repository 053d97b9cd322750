"""Ledgers of every released schema: upgraded whole or not at all, whoever starts, is killed or runs beside.

tests/fixtures/ holds a ledger of each schema as SQL, made by the program of that schema (tests/full_ledger.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import parts
import pytest
from cells import Say, cell
from cli_rigs import SCRIPT, Done, store_file, thanksd
from daemon_rigs import answers, daemon, settings, wait_for
from full_ledger import FIXTURES
from kill_rigs import account
from scripted_rigs import Server
from store_rigs import Releases, after, at_once_in, everything, is_sound, rows
from test_bad_input import refused
from test_database import copies, opened, releases, revision, schema
from test_matrix_store import Failing, said

from thanksd import states
from thanksd.errors import DataError, ThanksdError
from thanksd.store import known_revisions

KNOWN = known_revisions()
OLDER = KNOWN[:-1]

Everything = dict[str, list[dict[str, Any]]]

__all__ = ["releases"]


def lay(known: str) -> Everything:
    """Put the ledger of a released schema into the home, and give what it holds."""
    file = store_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in file.parent.iterdir():
        path.unlink()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executescript((FIXTURES / f"ledger-{known}.sql").read_text(encoding="utf-8"))
    file.chmod(0o600)
    return held()


def held(file: Path | None = None) -> Everything:
    """Give the rows of a ledger by table, without its schema's number."""
    file = file or store_file()
    names = [row["name"] for row in rows(file, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: rows(file, f'SELECT * FROM "{name}"') for name in names if name != "alembic_version"}  # noqa: S608  the store's own names


def check_kept(before: Everything, now: Everything) -> None:
    """Check that every row is there with everything it held, and none besides."""
    for table, had in (_as_later_schemas_have_it(before) if "member" in now else before).items():
        assert [{name: row[name] for name in old} for old, row in zip(had, now[table], strict=True)] == had, table


def _as_later_schemas_have_it(before: Everything) -> Everything:
    """Give rows where the newest schema has them: what holds for all thanks of one owner has a table of its own."""
    of_each = ("paused_at", "paused_until", "asked_at")
    (ledger,) = before["ledger"] if before.get("ledger") else [{}]
    if "asked_at" not in ledger:
        return before
    member = {"owner": "", **{name: ledger[name] for name in of_each}}
    rest = {name: value for name, value in ledger.items() if name not in of_each}
    return {**before, "ledger": [rest], "member": [member]}


def url() -> str:
    return f"sqlite:///{store_file()}"


# --- every released schema ---


@pytest.mark.parametrize("known", OLDER)
def test_each_schema_before_the_newest_has_a_ledger_with_something_of_everything(known: str) -> None:
    assert (FIXTURES / f"ledger-{known}.sql").exists(), "make it with the code of before: tests/full_ledger.py"
    found = lay(known)
    assert revision(store_file()) == known
    assert [table for table, had in found.items() if not had] == []
    assert {row["state"] for row in found["letter"]} == set(states.LETTER_STATES)
    assert {row["state"] for row in found["thanks"]} == set(states.THANKS_STATES) - {states.DUE}
    assert {row["phase"] for row in found["letter"] if row["state"] == states.SENDING} == {states.PRE, states.DOT}


@pytest.mark.parametrize(
    "known", [cell("Store", "a ledger of a released schema", one, one, daily=one == OLDER[0]) for one in OLDER]
)
def test_a_ledger_of_a_released_schema_is_upgraded_with_all_its_children(
    known: str, seen: Say, short_dir: Path
) -> None:
    before = lay(known)
    assert "Ada Lovelace" in thanksd("owed", "--all").out
    now = held()
    check_kept(before, now)
    (copy,) = copies(store_file())
    assert (revision(copy), held(copy)) == (known, before)
    assert is_sound(store_file())
    assert rows(store_file(), "PRAGMA foreign_key_check") == []
    opened(short_dir / "new" / "thanksd.db")
    assert schema(store_file()) == schema(short_dir / "new" / "thanksd.db")
    no_letter_of_before_leaves()
    seen(f"{sum(map(len, before.values()))} rows kept as they were, no letter of it leaves late; a copy is kept")


def no_letter_of_before_leaves() -> None:
    """Check that what waited is for a person now, and that a number that was given away is not given again."""
    newest = rows(store_file(), "SELECT seq FROM sqlite_sequence WHERE name = 'thanks'")[0]["seq"]
    with Server() as server:
        account(server.port)
        assert thanksd("adopt", "--yes").code == 0
        assert thanksd("run", "--once").code == 0
        assert server.connections == 0
    added = thanksd("add", "Nia New", "--after", "1h", "--json").json["thanks"][0]["id"]
    assert added > newest


# --- upgrades that end on the way ---


# One that has loaded everything, and upgrades in a child for each line: told before which statement it is to be killed,
# or to wait until somebody has an eye on its system calls.
UPGRADING = """
import itertools, os, signal, sys
from alembic import command, config
from sqlalchemy import Engine, event
from thanksd import database, upgrade

def kill_before(last):
    count = itertools.count(1)
    event.listen(Engine, "before_cursor_execute", lambda *_: next(count) == last and os.kill(os.getpid(), signal.SIGKILL))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        kill_before(int(line)) if int(line) else os.kill(os.getpid(), signal.SIGSTOP)
        try:
            database.open_store(sys.argv[1]).close()
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Upgrades:
    """Upgrades of the ledger in the home, each killed at one point; `killed` gives how it ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def killed(self, where: str, number: int) -> int:
        """Kill one before its `number`-th statement, or as it enters the `number`-th system call of that name."""
        child = self._ask(number if where == "statement" else 0)
        if where == "statement":
            return self._answer()
        # Attached to sooner, it would stop itself for good after it was told to go on.
        wait_for(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        inject = ["-e", f"trace={where}", "-e", f"inject={where}:signal=SIGKILL:when={number}"]
        with subprocess.Popen([str(parts.find("strace")), "-qq", "-o", "/dev/null", "-p", str(child), *inject]):
            wait_for(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{child}/status").read_text())
            os.kill(child, signal.SIGCONT)
            return self._answer()

    def _ask(self, statement: int) -> int:
        assert self._process.stdin
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@pytest.fixture
def upgrades() -> Iterator[Upgrades]:
    parts.need("strace")
    words = [sys.executable, "-c", UPGRADING, url()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Upgrades(process)
        assert process.stdin
        process.stdin.close()


CHEAP = (OLDER[-1], "fdatasync")


@pytest.mark.parametrize(
    ("known", "where"),
    [
        cell("Store", "an upgrade killed", f"from {one}, at every {where}", one, where, daily=(one, where) == CHEAP)
        for one in OLDER
        for where in ("statement", "fdatasync", "pwrite64")
    ],
)
def test_an_upgrade_that_is_killed_leaves_one_schema_whole_and_the_next_start_finishes(
    known: str, where: str, upgrades: Upgrades, seen: Say
) -> None:
    found: Counter[str] = Counter()
    for number in itertools.count(1):
        before = lay(known)
        ended = upgrades.killed(where, number)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        # Looked at as a program does: what was half written is undone by the first to read.
        found["the old schema" if revision(store_file()) == known else "the new schema"] += 1
        check_kept(before, held())
        kept = [copy for copy in copies(store_file()) if revision_of_copy(copy) == known]
        opened(store_file())
        assert revision(store_file()) == KNOWN[-1]
        check_kept(before, held())
        assert is_sound(store_file())
        # The copy of before stays, and is whole.
        assert copies(store_file())
        assert [held(copy) for copy in kept] == [before] * len(kept)
    # Its commit is the last but one thing that is synced: the folder is, after that.
    assert (found["the old schema"] > 1, found["the new schema"]) == (True, 1 if where == "fdatasync" else 0)
    seen(f"{said(found)}: whole, with all rows; the next start finishes; a copy is kept", cases=sum(found.values()))


def revision_of_copy(copy: Path) -> str:
    """Give a copy's revision; "" for one that was being made."""
    try:
        return revision(copy)
    except (sqlite3.Error, ValueError):
        return ""


@pytest.mark.parametrize(
    ("known", "call", "error"),
    [
        cell("Store", "an upgrade that fails", f"from {known}, {call}: {error} from then on", known, call, error)
        for known in OLDER
        for call, error in (("fdatasync", "EIO"), ("pwrite64", "ENOSPC"))
    ],
)
def test_an_upgrade_whose_disk_fails_leaves_one_schema_whole(known: str, call: str, error: str, seen: Say) -> None:
    failing, cases = Failing(call, error, for_good=True), 0
    for number in itertools.count(1, 1 if call == "fdatasync" else 7):
        before = lay(known)
        done, came_there = failing.run(number, [str(SCRIPT), "owed"])
        if not came_there:
            break
        cases += 1
        assert (done.returncode, "Traceback" in done.stderr) in ((75, False), (0, False)), done.stderr
        assert revision(store_file()) in (known, KNOWN[-1])
        check_kept(before, held())
        opened(store_file())
        assert revision(store_file()) == KNOWN[-1]
        check_kept(before, held())
    assert cases > 1
    seen("exit 75; one schema whole with all rows; the next start finishes", cases=cases)


FAULTS = {
    "a statement of it fails": (
        "op.execute('DELETE FROM promise')",
        "op.drop_table('nudge')",
        "op.execute('SELECT no')",
    ),
    "it leaves orphans": ("op.execute('DELETE FROM meeting')",),
}


@pytest.mark.parametrize(
    "fault",
    [cell("Store", "an upgrade that fails", name, name, daily=name == "it leaves orphans") for name in FAULTS],
)
def test_an_upgrade_that_fails_is_undone_and_the_mended_one_goes_through(
    fault: str, releases: Releases, seen: Say
) -> None:
    lay(OLDER[-1])
    opened(store_file())
    before = everything(store_file())
    releases.change_by(1)
    releases.change(2, *FAULTS[fault])
    with pytest.raises(DataError if "orphans" in fault else ThanksdError):
        opened(store_file())
    assert everything(store_file()) == before
    releases.change_by(2)
    opened(store_file())
    assert revision(store_file()) == after(2)
    seen("undone, all rows as they were; the next version's upgrade goes through")


# --- many at once ---


def nothing() -> None:
    """There is no ledger, nor a folder for it."""


def empty_folder() -> None:
    store_file().parent.mkdir(mode=0o700, parents=True)


def oldest() -> None:
    lay(KNOWN[0])


@pytest.mark.parametrize(
    "start",
    [
        cell("Store", "16 programs start at once", "no ledger", nothing),
        cell("Store", "16 programs start at once", "an empty folder", empty_folder),
        cell("Store", "16 programs start at once", "an old ledger", oldest, daily=True),
    ],
)
def test_of_sixteen_programs_that_start_at_once_all_find_one_schema(start: Callable[[], None], seen: Say) -> None:
    start()
    before = held() if store_file().exists() else {}
    program = "from thanksd.database import open_store\ngo()\nopen_store(sys.argv[1]).close(); print('true')"
    assert at_once_in(16, program, url()) == [True] * 16
    assert rows(store_file(), "SELECT version_num FROM alembic_version") == [{"version_num": KNOWN[-1]}]
    assert len(held()["ledger"]) == 1
    check_kept(before, held())
    kept = copies(store_file())
    assert [held(copy) for copy in kept] == ([before] if before else [])
    names = {path.name for path in store_file().parent.iterdir()}
    assert names == {"thanksd.db", "thanksd.db.lock", *(copy.name for copy in kept)}
    copied = "; one copy kept" if before else ""
    seen(f"all succeed, one schema, no row twice or lost{copied}", cases=16)


# --- versions side by side ---


class Release:
    """Another version of the program, as files of its own."""

    def __init__(self, folder: Path, *, schema: bool) -> None:
        self.folder = folder
        checkout = Path(__file__).resolve().parent.parent
        for name in ("thanksd", "templates", "migrations"):
            shutil.copytree(checkout / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        about = folder / "thanksd" / "__init__.py"
        text = about.read_text(encoding="utf-8")
        assert '__version__ = "' in text
        about.write_text(text.replace('__version__ = "', '__version__ = "9.'), encoding="utf-8")
        if schema:
            lines = ["from alembic import op", "import sqlalchemy as sa", f"revision = '{after(1)}'"]
            lines += [f"down_revision = '{after(0)}'", "def upgrade():"]
            lines += ["    op.add_column('person', sa.Column('mood', sa.String()))"]
            (folder / "migrations" / "versions" / f"{after(1)}_mood.py").write_text("\n".join(lines) + "\n")

    def __call__(self, *words: str) -> Done:
        done = subprocess.run(
            self._words(*words), cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run its daemon until the block ends."""
        with subprocess.Popen(self._words("run"), cwd=self.folder, stderr=subprocess.DEVNULL) as running:
            try:
                wait_for(answers)
                yield running
            finally:
                running.send_signal(signal.SIGTERM)
                running.wait(20)

    def _words(self, *words: str) -> list[str]:
        # Python looks first where it is started.
        return [sys.executable, "-m", "thanksd", *words]


@pytest.fixture
def quiet() -> Path:
    """A ledger of this version with one thanks, and settings under which no popup is tried."""
    settings(channels="[]")
    lay(OLDER[-1])
    opened(store_file())
    assert thanksd("adopt", "--yes").code == 0
    return store_file()


@pytest.mark.matrix
@pytest.mark.cell("Store", "versions side by side", "older daemon, newer program")
def test_a_newer_program_of_the_same_schema_works_beside_an_older_daemon(
    quiet: Path, short_dir: Path, seen: Say
) -> None:
    newer = Release(short_dir / "newer", schema=False)
    with daemon() as running:
        assert newer("--version").out != thanksd("--version").out
        assert newer("add", "Nia New", "--after", "1h").code == 0
        assert len(rows(quiet, "SELECT 1 FROM person WHERE name = 'Nia New'")) == 1
        assert running.process.poll() is None
        assert "Nia New" in thanksd("owed").out
    seen("the program works by itself and tells the daemon to look; the daemon goes on")


@pytest.mark.cell("Store", "versions side by side", "older daemon, program of a newer schema")
def test_a_program_of_a_newer_schema_waits_for_the_daemon_to_be_restarted(
    quiet: Path, short_dir: Path, seen: Say
) -> None:
    newer = Release(short_dir / "newer", schema=True)
    with daemon() as running:
        before, kept = everything(quiet), copies(quiet)
        refused(newer("add", "Nia New"), 75, f"process {running.pid} (daemon)", "Nothing is lost", "restart")
        assert (everything(quiet), copies(quiet)) == (before, kept)
        assert thanksd("owed").code == 0
        # The kernel drops its lock with it.
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    assert newer("add", "Nia New", "--after", "1h").code == 0
    assert (revision(quiet), len(rows(quiet, "SELECT 1 FROM person WHERE name = 'Nia New'"))) == (after(1), 1)
    seen("exit 75, *Restart the daemon: systemctl --user restart thanksd*; nothing changed; upgraded when it is gone")


@pytest.mark.matrix
@pytest.mark.cell("Store", "versions side by side", "newer daemon, older program")
def test_an_older_program_leaves_the_ledger_of_a_newer_daemon_alone(quiet: Path, short_dir: Path, seen: Say) -> None:
    newer = Release(short_dir / "newer", schema=True)
    with newer.daemon() as running:
        assert revision(quiet) == after(1)
        before = everything(quiet)
        for words in (("add", "Grace"), ("owed",), ("run",)):
            refused(thanksd(*words), 78, "written by a newer thanksd", "left as it is")
        assert everything(quiet) == before
        assert newer("owed").code == 0
        assert running.poll() is None
    seen("exit 78, *The ledger was written by a newer thanksd*; nothing changed; the daemon goes on")
