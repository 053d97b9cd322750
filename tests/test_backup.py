"""Copies of the ledger: kept while it is in use, looked through, and put back without a letter going twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import SCRIPT, change, config_file, configure, new_ledger, store_file, thanksd
from daemon_rigs import daemon, store_url
from store_rigs import Desk, Releases, after, everything, is_sound, killed_at, rows, small_disk

from thanksd.errors import ConfigError, DataError, NotFoundError, ThanksdError, TryLaterError
from thanksd.verbs import keeping

LATER = datetime(2026, 3, 11, 11, tzinfo=UTC)


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def url(desk: Desk) -> str:
    return desk.context.store.url


def kept(desk: Desk, name: str = "copy.db") -> Path:
    copy = desk.file.parent / name
    keeping.backup(url(desk), copy)
    return copy


def names(file: Path) -> set[str]:
    return {row["name"] for row in rows(file, "SELECT name FROM person")}


# --- keeping ---


def test_a_copy_is_kept_by_its_day_is_private_and_never_goes_over_another(home: Path) -> None:
    new_ledger()
    nowhere = home / "none.db"
    assert thanksd("backup", "--store", str(nowhere)).code == 1
    assert not nowhere.exists()
    # A mistake in the settings is no reason to keep none.
    configure("[nudge]\nchanels = []\n")
    folder = store_file().parent / "backups"
    first = thanksd("backup", "--json").json["backup"]
    assert Path(first["path"]).parent == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    second = thanksd("backup", "--json").json["backup"]["path"]
    assert second == first["path"].replace(".db", "-2.db")
    assert stat.S_IMODE(Path(second).stat().st_mode) == 0o600
    done = thanksd("backup", second)
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        f"There is such a file already: {second}. It was left as it is.",
    )
    assert thanksd("backup", str(home / "none" / "copy.db")).code == 77
    (home / "stick").mkdir()
    assert thanksd("backup", str(home / "stick")).code == 0
    assert [path.suffix for path in (home / "stick").iterdir()] == [".db"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(Path(path).name for path in (first["path"], second))


def test_a_copy_holds_all_of_one_moment_while_a_daemon_runs_and_others_write(short_dir: Path) -> None:
    new_ledger()
    with daemon():
        for number in range(3):
            added = thanksd("add", f"Ada N{number}", "--with", f"Bob N{number}", "--after", "1h")
            assert added.code == 0
            copy = short_dir / f"{number}.db"
            assert thanksd("backup", str(copy)).code == 0
            assert is_sound(copy)
            assert everything(copy) == everything(store_file())


def test_a_damaged_ledger_is_not_called_a_copy(desk: Desk) -> None:
    for number in range(40):
        desk.add(f"P{number} N", details=["x" * 1000])
    data = bytearray(desk.file.read_bytes())
    data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
    desk.file.write_bytes(data)
    with pytest.raises(ThanksdError):
        kept(desk)
    assert sorted(path.name for path in desk.file.parent.iterdir() if "lock" not in path.name) == ["thanksd.db"]


def test_a_full_disk_leaves_no_part_of_a_copy(short_dir: Path) -> None:
    desk = Desk(short_dir)
    desk.add()
    with small_disk(short_dir / "stick") as fill:
        fill()
        with pytest.raises(ThanksdError):
            keeping.backup(url(desk), short_dir / "stick" / "copy.db")
        assert [path.name for path in (short_dir / "stick").iterdir()] == ["filling"]


# --- putting back ---


def test_a_copy_that_is_put_back_holds_what_waited_and_knows_what_left_since(desk: Desk) -> None:
    ada, bob, cy, dan = (desk.queued(name) for name in ("Ada Lovelace", "Bob Ray", "Cy Young", "Dan Poe"))
    eve = desk.add("Eve Fox")
    fay = desk.add("Fay Orr")
    desk("undo", ref=str(dan))
    copy = kept(desk)
    desk.confirm(eve)
    desk("undo", ref=str(bob))
    desk("dispatch")
    desk("done", ref=str(fay), how="in person")
    desk.queued("Gil Ash")
    assert len(desk.saved()) == 3
    found = keeping.restore(url(desk), copy, LATER)
    assert [one["id"] for one in found["thanks"]] == [bob]
    assert sorted(one["id"] for one in found["learned"]) == [ada, cy, eve, fay]
    states = {row["id"]: row["state"] for row in desk.rows("SELECT id, state FROM thanks")}
    assert states == {ada: "thanked", bob: "confirmed", cy: "thanked", dan: "owed", eve: "thanked", fay: "thanked"}
    assert (desk.letter(ada)["state"], desk.letter(cy)["state"]) == ("sent", "sent")
    assert (desk.letter(bob)["state"], desk.letter(bob)["reason"]) == ("held", "adopted")
    assert desk.thanks(bob)["popup_at"].startswith("2026-03-11 11:00")
    desk.clock.forward(days=1)
    desk("dispatch")
    assert len(desk.saved()) == 3
    # Thanked elsewhere is undone as thanked otherwise is.
    desk("undo", ref=str(fay))
    desk("resolve", ref=str(bob), how="resend")
    desk("dispatch")
    assert len(desk.saved()) == 4
    # The ledger of before lies beside, whole; back in its place by hand it sends nothing.
    before = Path(found["kept"])
    assert is_sound(before)
    assert "Gil Ash" in names(before)
    shutil.copyfile(before, desk.file)
    with pytest.raises(ConfigError, match="older copy"):
        desk("dispatch")
    assert len(desk.saved()) == 4


def test_a_copy_is_put_back_where_the_ledger_is_damaged_or_gone(desk: Desk) -> None:
    desk.queued()
    copy = kept(desk)
    for data in (None, b"\0" * 5000, b""):
        if data is None:
            desk.file.unlink()
        else:
            desk.file.write_bytes(data)
        found = keeping.restore(url(desk), copy, LATER)
        assert (found["kept"] is None) == (data is None)
        assert data is None or Path(found["kept"]).read_bytes() == data
        assert (is_sound(desk.file), names(desk.file)) == (True, {"Ada Lovelace"})
        assert desk.letter(1)["reason"] == "adopted"
        desk("dispatch")
    assert desk.saved() == []


def test_half_a_change_of_a_killed_program_is_not_taken_into_the_ledger_put_back(desk: Desk) -> None:
    desk.add()
    copy = kept(desk)
    desk.add("Bob Ray")
    # A program that is killed while it writes leaves a journal beside: it belongs to that very file.
    words = [os.fspath(SCRIPT), "waive", "1", "--store", str(desk.file)]
    assert killed_at("unlink", 1, words) == -9
    assert desk.file.with_name("thanksd.db-journal").exists()
    keeping.restore(url(desk), copy, LATER)
    assert (is_sound(desk.file), names(desk.file)) == (True, {"Ada Lovelace"})
    assert desk.thanks(1)["state"] == "owed"


def garbage(copy: Path) -> None:
    copy.write_bytes(os.urandom(4096))


def with_trigger(copy: Path) -> None:
    change(copy, "CREATE TRIGGER evil AFTER UPDATE ON letter BEGIN UPDATE letter SET \"to\" = 'eve@example.com'; END")


def with_orphans(copy: Path) -> None:
    change(copy, "DELETE FROM person")


def newer(copy: Path) -> None:
    change(copy, "UPDATE alembic_version SET version_num = '9999'")


def cut(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[: 3 * 4096])


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (garbage, DataError),
        (with_trigger, DataError),
        (with_orphans, DataError),
        (newer, ConfigError),
        (cut, DataError),
        (Path.unlink, NotFoundError),
    ],
)
def test_what_is_no_sound_copy_of_a_ledger_is_refused_and_changes_nothing(
    desk: Desk, spoil: Callable[[Path], None], error: type[ThanksdError]
) -> None:
    desk.queued()
    copy = kept(desk)
    spoil(copy)
    before, data = everything(desk.file), copy.exists() and copy.read_bytes()
    with pytest.raises(error):
        keeping.restore(url(desk), copy, LATER)
    assert everything(desk.file) == before
    assert (copy.exists() and copy.read_bytes()) == data
    assert {path.name for path in desk.file.parent.iterdir()} <= {"thanksd.db", "thanksd.db.lock", "copy.db"}
    desk("dispatch")
    assert len(desk.saved()) == 1


def test_a_copy_of_an_older_program_is_upgraded_as_it_is_put_back(
    desk: Desk, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add()
    copy = kept(desk)
    data = copy.read_bytes()
    Releases(short_dir / "migrations", monkeypatch).change_by(1)
    keeping.restore(url(desk), copy, LATER)
    assert rows(desk.file, "SELECT name, c1 FROM person") == [{"name": "Ada Lovelace", "c1": None}]
    assert rows(desk.file, "SELECT version_num FROM alembic_version") == [{"version_num": after(1)}]
    assert copy.read_bytes() == data


def test_a_restore_asks_first_and_waits_for_no_daemon_and_no_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    new_ledger()
    thanksd("add", "Ada Lovelace", "--after", "1h")
    copy = thanksd("backup", "--json").json["backup"]["path"]
    thanksd("add", "Bob Ray", "--after", "1h")
    before = everything(store_file())
    assert thanksd("restore", copy).code == 1
    assert thanksd("restore", str(store_file()), "--yes").code == 65
    with daemon() as running:
        done = thanksd("restore", copy, "--yes")
        assert (done.code, done.err.splitlines()[-1]) == (75, f"Stop it: kill {running.pid}")
    monkeypatch.setattr("thanksd.database._BUSY_MS", 50)
    with contextlib.closing(sqlite3.connect(store_file())) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryLaterError, match="Another program is writing"):
            keeping.restore(store_url(), Path(copy), LATER)
    assert everything(store_file()) == before
    done = thanksd("restore", copy, "--yes", "--json")
    assert Path(done.json["restored"]["kept"]).exists()
    assert thanksd("owed").out.count("\n") == 1
    assert not config_file().exists()


@pytest.mark.parametrize(
    ("call", "numbers"), [("rename", range(1, 9)), ("pwrite64", (1, 30, 60, 90)), ("fsync", range(1, 9, 3))]
)
def test_a_restore_that_is_killed_leaves_one_whole_ledger_and_no_letter_goes_twice(
    desk: Desk, call: str, numbers: Any
) -> None:
    desk.queued()
    copy = kept(desk)
    desk.add("Bob Ray")
    desk("dispatch")
    words = [str(SCRIPT), "restore", str(copy), "--yes", "--store", str(desk.file)]
    ends = set()
    for number in numbers:
        code = killed_at(call, number, words)
        assert is_sound(desk.file)
        ends.add((code, "Bob Ray" in names(desk.file)))
        assert desk.letter(1)["state"] == "sent"
        # Whichever it is, it goes on.
        desk.add(f"Cy N{number}")
        assert not desk("adopt")["adopted"]
        desk("dispatch")
        assert len(desk.saved()) == 1
        if code == 0:
            break
        assert keeping.restore(url(desk), copy, LATER)["path"] == str(desk.file)
        assert not desk.file.with_name("thanksd.db.restoring").exists()
        desk.add("Bob Ray")
    assert (-9, True) in ends
