"""What a shell's prompt says: what is due, at once, and never an error."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_rigs import SCRIPT, Done, change, new_ledger, store_file, thanksd
from daemon_rigs import add, client, value

from thanksd import prompt
from thanksd.store import known_revisions

NOTHING = Done(0, "", "")


@pytest.fixture(scope="module")
def kept() -> list[bytes]:
    """The ledger, once it was made."""
    return []


@pytest.fixture(autouse=True)
def ledger(kept: list[bytes]) -> Path:
    """A ledger in which two are due, and two are not yet, or not to be counted."""
    path = new_ledger()
    if not kept:
        for name in ("Ada Lovelace", "Chen Wei", "Tom Jones", "Eve Ray"):
            add(name)
        change(path, "UPDATE thanks SET nudge_at = datetime('now', '-1 hour') || '.000000' WHERE id <> 3")
        change(path, "UPDATE thanks SET practice = 1 WHERE id = 4")
        change(path, "UPDATE ledger SET machine = NULL, host = NULL, install = NULL, used_at = NULL")
        kept.append(path.read_bytes())
    path.write_bytes(kept[0])
    return path


def test_it_says_how_many_are_due_as_the_list_counts_them() -> None:
    assert thanksd("prompt") == Done(0, "2 to thank\n", "")
    assert thanksd("prompt", "--json").json["prompt"] == {"due": 2}
    assert len(thanksd("owed", "--state", "due", "--json").json["thanks"]) == 3
    client().call("done", ref="1")
    client().call("snooze", ref="2", delay="1h")
    assert thanksd("prompt") == thanksd("prompt", "--store", str(store_file())) == NOTHING


def test_in_a_pause_it_says_nothing() -> None:
    client().call("pause", until="1w")
    assert thanksd("prompt") == NOTHING
    client().call("resume")
    assert thanksd("prompt").out == "2 to thank\n"


def test_a_ledger_that_is_locked_gone_odd_or_elsewhere_is_passed_over(ledger: Path, tmp_path: Path) -> None:
    with sqlite3.connect(ledger) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert thanksd("prompt") == NOTHING
        # Of what SQLite waits for by itself there is nothing in it.
        assert time.monotonic() - began < 4
        writer.rollback()
    writer.close()
    (tmp_path / "none").write_bytes(b"no ledger" * 1000)
    for other in (
        tmp_path / "gone.db",
        tmp_path / "none",
        tmp_path,
        "postgresql://nobody@127.0.0.1:1/x",
        "odd://x",
        "a?b",
    ):
        assert thanksd("prompt", env={"THANKSD_STORE": str(other)}) == NOTHING
    assert thanksd("prompt", "--store", "odd://x") == thanksd("prompt", "--store", str(tmp_path)) == NOTHING
    assert not (tmp_path / "gone.db").exists()
    change(ledger, "UPDATE alembic_version SET version_num = '9999'")
    assert thanksd("prompt") == NOTHING


def test_it_reads_a_ledger_of_any_name_and_changes_nothing(ledger: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a #1 50%25 é.db"
    odd.write_bytes(ledger.read_bytes())
    odd.chmod(0o400)
    before = sorted(path.name for path in tmp_path.iterdir())
    for name in (str(odd), f"sqlite:///{odd}"):
        assert thanksd("prompt", env={"THANKSD_STORE": name}).out == "2 to thank\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert value("SELECT count(*) FROM thanks") == 4


def test_a_prompt_whose_reader_left_or_whose_home_is_not_there_ends_well() -> None:
    closed = subprocess.run([SCRIPT, "prompt"], stdout=None, stderr=subprocess.PIPE, check=False, preexec_fn=_close)
    assert (closed.returncode, closed.stderr) == (0, b"")
    assert thanksd("prompt", env={"HOME": "/nowhere", "XDG_DATA_HOME": "not/whole"}) == NOTHING


def _close() -> None:
    os.close(1)


def test_it_loads_neither_click_nor_sqlalchemy_and_knows_the_newest_revision() -> None:
    source = "import sys, os; sys.argv = ['thanksd', 'prompt']; os._exit = lambda _: print(sorted(sys.modules)); "
    source += "from thanksd.cli import main\ntry: main()\nexcept SystemExit: pass"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    loaded = done.stdout.splitlines()[1]
    assert "'sqlite3'" in loaded
    assert not [name for name in ("click", "sqlalchemy", "pathlib", "json", "re", "asyncio") if f"'{name}'" in loaded]
    assert prompt._revision() == known_revisions()[-1]
