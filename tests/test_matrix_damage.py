"""A ledger that may only be read, and one that is damaged: what can be read is, and nothing is written over it."""

from __future__ import annotations

import os
import random
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import Say, cell
from cli_rigs import store_file, thanksd
from kill_rigs import account, confirm, start_anew, world
from scripted_rigs import Server
from store_rigs import NOON, Desk, everything, read_only, rows
from test_bad_input import as_a_user, folder_of, refused
from test_matrix_store import Moment, came_to, said

from thanksd import paths
from thanksd.checks import Place
from thanksd.checks import ledger as checks
from thanksd.database import open_store
from thanksd.errors import DataError, ThanksdError
from thanksd.verbs import keeping

# --- read-only ---


@pytest.mark.parametrize("what", [cell("Store", "read-only", what, what) for what in ("the file", "its folder")])
def test_a_ledger_that_may_only_be_read_can_be_read_and_is_not_written(what: str, seen: Say) -> None:
    with Server() as server:
        account(server.port)
        start_anew()
        with world() as opened:
            confirm(opened, 1)
        before = folder_of(store_file())
        place, mode = (store_file(), 0o400) if what == "the file" else (store_file().parent, 0o500)
        place.chmod(mode)
        try:
            refused(as_a_user("add", "Grace"), 77, "can't be written")
            assert "Ada Lovelace" in as_a_user("owed").out
            as_a_user("run", "--once")
        finally:
            place.chmod(0o700)
        assert (folder_of(store_file()), server.connections) == (before, 0)
    seen("it can be read; exit 77 for a change, *can't be written*; no connection is opened; nothing stored")


@pytest.mark.cell("Store", "read-only", "its file system")
def test_on_a_file_system_that_turned_read_only_nothing_leaves(seen: Say) -> None:
    with Server() as server:
        account(server.port)
        start_anew()
        with world() as opened:
            confirm(opened, 1)
        before = everything(store_file())
        with read_only(store_file().parent):
            assert "Ada Lovelace" in thanksd("owed").out
            refused(thanksd("add", "Grace"), 77, "can't be written")
            refused(thanksd("run", "--once"), 77)
            with pytest.raises(ThanksdError), world() as opened:
                opened.call("dispatch", {})
        assert (everything(store_file()), server.connections) == (before, 0)
        assert thanksd("run", "--once").code == 0
        assert came_to(server) == "sent"
    seen(
        "it can be read; exit 77 for a change and for the daemon; no connection is opened; *sent* when it can be written"
    )


# --- a damaged ledger ---


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def written(data: bytes, at: int | None = None) -> Callable[[Path], None]:
    """Put these bytes in the place of a file, or over a part of it."""

    def write(file: Path) -> None:
        with file.open("wb" if at is None else "r+b") as stream:
            stream.seek(at or 0)
            stream.write(data)

    return write


@pytest.mark.parametrize(
    ("damage", "newest"),
    [
        cell("Store", "damaged", "header overwritten", written(b"\xff" * 100, 0), "backup", daily=True),
        cell("Store", "damaged", "first page overwritten", written(b"\xff" * 3996, 100), "upgrade"),
        cell("Store", "damaged", "cut in half", half, "backup"),
        cell("Store", "damaged", "zero bytes", written(b""), "upgrade"),
        cell("Store", "damaged", "a text file", written(b"buy milk\n"), "backup"),
        cell("Store", "damaged", "another program's bytes", written(bytes(range(256)) * 64), "upgrade"),
        cell("Store", "damaged", "zeros", written(b"\0" * 8192), "backup"),
    ],
)
def test_a_damaged_ledger_is_refused_left_as_it_is_and_its_newest_copy_named(
    damage: Callable[[Path], None], newest: str, seen: Say
) -> None:
    account(1)
    start_anew()
    named = kept_copies(newest)
    damage(store_file())
    before = folder_of(store_file())
    for words in (("add", "Grace"), ("run",)):
        done = thanksd(*words)
        assert (done.code, "It was left as it is." in done.err) == (65, True), done
        assert done.err.splitlines()[-1] == f"Put the newest copy in its place: thanksd restore {named}"
    assert folder_of(store_file()) == before
    mending = shlex.split(done.err.splitlines()[-1].partition(": thanksd ")[2])
    assert thanksd(*mending, "--yes").code == 0
    assert rows(store_file(), "SELECT name FROM person") == [{"name": "Ada Lovelace"}]
    seen("exit 65, left as it is, and the newest copy is named; what is named puts it back")


def kept_copies(newest: str) -> Path:
    """Keep a copy by the command and one as an upgrade does, and give the newest."""
    backup = paths.private_folder(paths.backups_folder()) / "thanksd-2026-03-10.db"
    keeping.backup(paths.store_url(str(store_file())), backup)
    upgrade = store_file().with_name("thanksd.db.before-0001-5")
    shutil.copyfile(backup, upgrade)
    old = upgrade if newest == "backup" else backup
    os.utime(old, (1, 1))
    return backup if newest == "backup" else upgrade


@pytest.mark.matrix
@pytest.mark.cell("Store", "damaged", "a folder in its place")
def test_a_folder_in_the_ledger_s_place_is_refused(short_dir: Path, seen: Say) -> None:
    folder = short_dir / "folder"
    folder.mkdir()
    for words in (("add", "Ada"), ("owed",), ("run",)):
        refused(thanksd(*words, "--store", str(folder)), 78, "The store is a folder")
    assert list(folder.iterdir()) == []
    seen("exit 78, *The store is a folder*; nothing is put into it")


@pytest.mark.matrix
@pytest.mark.cell("Store", "damaged", "any one page overwritten")
def test_a_page_that_was_overwritten_is_noticed_by_who_reads_it_or_by_doctor(short_dir: Path, seen: Say) -> None:
    desk = Desk(short_dir)
    Moment(desk)
    whole, size = desk.file.read_bytes(), rows(desk.file, "PRAGMA page_size")[0]["page_size"]
    free = rows(desk.file, "PRAGMA freelist_count")[0]["freelist_count"]
    copy = desk.file.with_name("thanksd.db.before-0001-5")
    copy.write_bytes(whole)
    chance, found = random.Random(2026), Counter[str]()  # noqa: S311  damage that can be had again
    for page in range(len(whole) // size):
        damaged = whole[: page * size] + chance.randbytes(size) + whole[(page + 1) * size :]
        desk.file.write_bytes(damaged)
        found[noticed(desk, copy, damaged)] += 1
    assert found["by nobody, as it holds nothing"] == free
    assert found["by the first command"] > found["by doctor"] / 2 > 0
    seen(f"noticed {said(found)}; refused, left as it is, the newest copy named", cases=sum(found.values()))


def noticed(desk: Desk, copy: Path, damaged: bytes) -> str:
    """Say who noticed it, and check what was said."""
    remedy = f"Put the newest copy in its place: thanksd restore {copy} --store {desk.file}"
    refusal = refusal_of(desk)
    if refusal is not None:
        assert refusal.hint == remedy
        assert desk.file.read_bytes() == damaged
        return "by the first command"
    (finding,) = checks.store(Place(desk.context.store.url, Path("/nowhere"), {}, NOON, offline=True))
    if finding.state == "ok":
        return "by nobody, as it holds nothing"
    assert finding.remedy == remedy
    return "by doctor"


def refusal_of(desk: Desk) -> DataError | None:
    try:
        open_store(desk.context.store.url).close()
        for verb, params in LOOKS:
            desk(verb, **params)
    except DataError as error:
        return error
    return None


LOOKS: list[tuple[str, dict[str, Any]]] = [("owed", {"everything": True}), ("log", {}), ("people", {}), ("outbox", {})]
