"""The store fails: its disk is full, locked, read-only or broken, or the ledger itself is damaged.

Whatever of it happens: nothing half stored, no connection without a claim that is on the disk, no second delivery.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import parts
import pytest
from cells import Say, cell
from cli_rigs import SCRIPT, config_file, store_file, thanksd
from daemon_rigs import Daemon, daemon, wait_for
from kill_rigs import SEND, account, confirm, go_on, letter, start_anew, world
from scripted_rigs import Fault, Line, Server
from store_rigs import Desk, everything, is_sound, rows, small_disk, smtp
from test_bad_input import refused

from thanksd.errors import TryLaterError

FULL = "The disk is full"


def first(happen: Callable[[], object]) -> Fault:
    """Let something happen before the server gives its usual answer."""

    def fault(line: Line, usual: str) -> bool:
        happen()
        if usual:
            line.say(usual)
        return True

    return fault


def came_to(server: Server) -> str:
    """Check what must be so whatever failed, and give what the letter came to."""
    one, (thanks,) = letter(), rows(store_file(), "SELECT * FROM thanks WHERE id = 1")
    taken = len(server.taken)
    assert {"none": "owed", "sent": "thanked"}.get(one["state"], "confirmed") == thanks["state"]
    assert taken <= 1
    assert taken == {"held": taken, "sent": 1}.get(one["state"], 0)
    assert is_sound(store_file())
    return {"none": "not confirmed"}.get(one["state"], str(one["state"]))


def said(endings: Counter[str]) -> str:
    return ", ".join(f"{ending} ({count})" for ending, count in sorted(endings.items()))


# --- a full disk ---


class Moment:
    """One step of a letter's life, made ready on a desk and then done once or twice."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.add()
        desk.queued("Bob Ray")
        desk.clock.forward(days=1)
        self.nudges = desk("due_nudges", channel="desktop")["nudges"]
        desk.add("Cy Young", after="1s")
        desk.clock.forward(seconds=2)
        self.sha256 = desk("prepare", ref="1", at_once=True)["prepared"]["sha256"]

    def add(self) -> object:
        return self.desk.add("Dee Doe")

    def edit(self) -> object:
        return self.desk("edit", ref="1", place="Bar Bodega")

    def draft(self) -> object:
        return self.desk("draft", ref="1", body="Dear Ada,\n\nThank you for the coffee.")

    def prepare(self) -> object:
        return self.desk("prepare", ref="3", at_once=True)

    def confirm(self) -> object:
        return self.desk("confirm", letters=[{"thanks": 1, "sha256": self.sha256}], at_once=True)

    def take_back(self) -> object:
        return self.desk("undo", ref="2")

    def claim(self) -> object:
        return self.desk("dispatch")

    def nudge(self) -> object:
        return self.desk("due_nudges", channel="desktop")

    def receipt(self) -> object:
        return [self.desk("nudges_shown", ids=one["ids"], popup_id=7, server=":1.1") for one in self.nudges]


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        cell("Store", "disk full", "add", "add", "nothing is stored"),
        cell("Store", "disk full", "edit", "edit", "nothing is stored"),
        cell("Store", "disk full", "draft", "draft", "nothing is stored, the draft is what it was"),
        cell("Store", "disk full", "prepare", "prepare", "nothing is stored"),
        cell("Store", "disk full", "confirm", "confirm", "no letter, the draft stays prepared"),
        cell("Store", "disk full", "taking back", "take_back", "the letter stays *queued*"),
        cell("Store", "disk full", "claim", "claim", "*queued*, no connection is opened", daily=True),
        cell("Store", "disk full", "a nudge's claim", "nudge", "the thanks stays *due*, nothing is shown"),
        cell("Store", "disk full", "a nudge's receipt", "receipt", "not noted as shown: it is shown again"),
    ],
)
def test_on_a_full_disk_nothing_is_half_stored_and_nothing_leaves(
    short_dir: Path, moment: str, words: str, seen: Say
) -> None:
    with small_disk(short_dir / "disk") as fill, Server() as server:
        desk = Desk(short_dir / "disk", smtp(server.port))
        do = getattr(Moment(desk), moment)
        before = everything(desk.file)
        filling = fill()
        with pytest.raises(TryLaterError, match=FULL) as full:
            do()
        assert (full.value.exit_code, full.value.hint) == (75, "Free some space and try again.")
        assert (everything(desk.file), server.connections) == (before, 0)
        assert is_sound(desk.file)
        filling.unlink()
        if moment == "receipt":
            desk.clock.forward(minutes=2)
            assert {1, 2} & {
                number for one in desk("due_nudges", channel="desktop")["nudges"] for number in one["thanks"]
            }
        do()
        assert everything(desk.file) != before
    seen(f"{words}; exit 75, *{FULL}*; done when there is room")


@pytest.mark.parametrize(
    ("step", "before", "after", "taken", "words"),
    [
        cell("Store", "disk full", "the phase before the dot", "body", ("sending", "pre"), "sent", 0,
             "the dot does not leave; *sent*, once, when there is room"),
        cell("Store", "disk full", "the outcome after the dot", ".", ("sending", "dot"), "held", 1,
             "five tries, then *held* and never tried again"),
    ],
)  # fmt: skip
def test_a_disk_that_fills_up_in_mid_letter_loses_nothing_and_sends_nothing_twice(
    short_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    before: tuple[str, str],
    after: str,
    taken: int,
    words: str,
    seen: Say,
) -> None:
    with small_disk(short_dir / "disk") as fill, Server() as server:
        monkeypatch.setenv("XDG_DATA_HOME", str(short_dir / "disk"))
        account(server.port)
        start_anew()
        with world() as opened:
            confirm(opened, 1)
        server.faults[step] = first(fill)
        done = thanksd("run", "--once")
        assert FULL in done.err
        assert (letter()["state"], letter()["phase"], len(server.taken)) == (*before, taken)
        fill().unlink()
        server.heal()
        for _ in range(2):
            assert thanksd("run", "--once").code == 0
            assert came_to(server) == after
    seen(f"{words}; the daemon's log names the disk")


@pytest.mark.matrix
@pytest.mark.cell("Store", "disk full", "a command, and a new ledger")
def test_a_full_disk_is_told_by_a_command_in_two_lines_and_no_ledger_is_made_there(short_dir: Path, seen: Say) -> None:
    with small_disk(short_dir / "disk") as fill:
        file = short_dir / "disk" / "thanksd.db"
        filling = fill()
        refused(thanksd("add", "Grace", "--store", str(file)), 75)
        filling.unlink()
        assert [path.name for path in file.parent.iterdir() if path.suffix != ".lock"] == []
        assert thanksd("add", "Grace", "--store", str(file)).code == 0
        fill()
        refused(thanksd("add", "Ada", "--store", str(file)), 75, FULL)
    seen("exit 75, two lines that name the disk; no half-made ledger is left")


# --- calls that fail ---


class Failing:
    """A command one of whose system calls fails, by strace(1)."""

    def __init__(self, call: str, error: str, *, for_good: bool = False) -> None:
        self._call, self._error, self._tail = call, error, "+" if for_good else ""

    def run(self, number: int, words: list[str]) -> tuple[subprocess.CompletedProcess[str], bool]:
        """Run it with its `number`-th such call failing, and say whether it came to that call."""
        parts.need("strace")
        with tempfile.NamedTemporaryFile("r") as trace:
            strace = [str(parts.find("strace")), "-f", "-qq", "--seccomp-bpf", "-o", trace.name]
            # The loader reads libraries by pread64 too.
            strace += ["-P", str(store_file())] if self._call == "pread64" else []
            strace += ["-e", "signal=none", "-e", f"trace={self._call}"]
            strace += ["-e", f"inject={self._call}:error={self._error}:when={number}{self._tail}"]
            env = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run([*strace, *words], env=env, capture_output=True, text=True, check=False, timeout=120)
            return done, "(INJECTED)" in trace.read()


@pytest.mark.parametrize(
    ("call", "error", "for_good", "step"),
    [
        cell("Store", "disk full", "from any write of one letter's run on", "pwrite64", "ENOSPC", True, 11),
        cell("Store", "the disk fails", "fdatasync: EIO, once", "fdatasync", "EIO", False, 1),
        cell("Store", "the disk fails", "fdatasync: EIO, from then on", "fdatasync", "EIO", True, 4),
        cell("Store", "the disk fails", "pwrite64: EIO, once", "pwrite64", "EIO", False, 11),
        cell("Store", "the disk fails", "pread64: EIO, once", "pread64", "EIO", False, 7),
        cell("Store", "what is remembered beside the ledger", "fsync: ENOSPC", "fsync", "ENOSPC", False, 1),
        cell("Store", "what is remembered beside the ledger", "fsync: EDQUOT", "fsync", "EDQUOT", False, 1),
        cell("Store", "what is remembered beside the ledger", "fsync: EIO", "fsync", "EIO", False, 1),
    ],
)
def test_a_call_that_fails_in_one_letter_s_run_loses_nothing_and_sends_nothing_twice(
    call: str, error: str, for_good: bool, step: int, seen: Say
) -> None:
    endings: Counter[str] = Counter()
    failing = Failing(call, error, for_good=for_good)
    for number in itertools.count(1, step):
        with Server() as server:
            account(server.port)
            start_anew()
            done, came_there = failing.run(number, [str(SCRIPT), *SEND])
            if not came_there:
                assert (done.returncode, came_to(server)) == (0, "sent")
                break
            check_words(done)
            # The dot left only after its phase was on the disk.
            assert not server.taken or letter()["phase"] == "dot"
            go_on()
            ending = came_to(server)
            go_on()
            assert came_to(server) == ending
            endings[ending] += 1
    assert set(endings) <= {"not confirmed", "queued", "deferred", "sent", "held"}
    assert sum(endings.values()) > 1
    seen(f"after a new start {said(endings)}; never a second delivery", cases=sum(endings.values()))


def check_words(done: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 65, 75, 77), done
    if done.returncode:
        assert len(done.stderr.splitlines()) >= 2, done


@pytest.mark.parametrize(
    ("call", "step"),
    [
        cell("Store", "the disk fails", "a command says what is so", "fdatasync", 1, daily=True),
        cell("Store", "the disk fails", "a command says what is so, by its writes", "pwrite64", 2),
    ],
)
def test_a_command_whose_disk_fails_says_that_nothing_was_stored_only_where_nothing_was(
    call: str, step: int, seen: Say
) -> None:
    told: Counter[str] = Counter()
    failing = Failing(call, "EIO")
    for number in itertools.count(1, step):
        start_anew()
        done, came_there = failing.run(number, [str(SCRIPT), "waive", "1"])
        if not came_there:
            break
        check_words(done)
        is_done = rows(store_file(), "SELECT state FROM thanks") == [{"state": "waived"}]
        nothing = "Nothing of this was stored." in done.stderr
        assert is_done if done.returncode == 0 else not (nothing and is_done), done.stderr
        told["done" if done.returncode == 0 else "nothing stored" if nothing else "told to look"] += 1
    assert told["nothing stored"]
    seen(f"exit 75, the disk is named: {said(told)}; each is true", cases=sum(told.values()))


@pytest.mark.cell("Store", "what is remembered beside the ledger", "its disk is full")
def test_a_full_disk_beside_the_ledger_opens_no_connection(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch, seen: Say
) -> None:
    with small_disk(short_dir / "disk") as fill, Server() as server:
        monkeypatch.setenv("XDG_STATE_HOME", str(short_dir / "disk"))
        account(server.port)
        start_anew()
        with world() as opened:
            confirm(opened, 1)
        filling = fill()
        done = thanksd("run", "--once")
        assert "No space left on device. Nothing was sent." in done.err
        assert (server.connections, came_to(server)) == (0, "queued")
        filling.unlink()
        assert thanksd("run", "--once").code == 0
        assert came_to(server) == "sent"
    seen("*queued*, no connection is opened, the daemon's log names the folder and the disk; *sent* when there is room")


# --- a lock ---

LOCKING = """
import select, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
select.select([sys.stdin], [], [], float(sys.argv[2]))
"""


@contextlib.contextmanager
def locked(seconds: float = 120) -> Iterator[None]:
    """Let another process hold the ledger, until the block or so many seconds end."""
    words = [sys.executable, "-c", LOCKING, str(store_file()), str(seconds)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        yield
        assert other.stdin
        other.stdin.close()


@pytest.mark.cell("Store", "locked", "a command")
def test_a_ledger_that_another_program_has_is_to_be_tried_later(seen: Say) -> None:
    account(1)
    start_anew()
    before = everything(store_file())
    with locked():
        began = time.monotonic()
        refused(thanksd("waive", "1"), 75, "Another program is writing to the ledger. Nothing of this was stored.")
        # Five seconds of waiting, and what a busy machine takes to start a program.
        assert time.monotonic() - began < 20
    assert everything(store_file()) == before
    assert thanksd("waive", "1").code == 0
    seen("exit 75 after 5 s, *Another program is writing to the ledger*; nothing stored; done when it is gone")


@pytest.mark.matrix
@pytest.mark.cell("Store", "locked", "60 s, under a daemon with a letter to send")
def test_a_daemon_whose_ledger_is_locked_for_a_minute_goes_on_and_sends(seen: Say) -> None:
    with Server() as server, daemon_with_a_letter(server, hold=15) as running:
        told: dict[str, str] = {}
        with locked():
            end = time.monotonic() + 60
            while time.monotonic() < end:
                name = f"N{len(told)}"
                done = thanksd("add", name, "--after", "1h")
                assert done.code == 75, done
                told[name] = done.err
            assert (server.connections, running.process.poll()) == (0, None)
        wait_for(lambda: letter()["state"] == "sent", 60)
        assert thanksd("owed").code == 0
        stored = {row["name"] for row in rows(store_file(), "SELECT name FROM person WHERE name LIKE 'N%'")}
        assert [told[name] for name in stored if "may have been done or not" not in told[name]] == []
        assert came_to(server) == "sent"
    seen(
        "every command exit 75 within 10 s, no connection is opened; *sent* once the lock is gone; what was told as not "
        "stored is not",
        cases=len(told) + 1,
    )


@contextlib.contextmanager
def daemon_with_a_letter(server: Server, hold: int) -> Iterator[Daemon]:
    """Run a daemon that has a letter to send in so many seconds."""
    account(server.port)
    config_file().write_text(config_file().read_text().replace('undo = "0s"', f'undo = "{hold}s"'))
    start_anew()
    with daemon(quick=True) as running:
        with world() as opened:
            sha256 = opened.call("prepare", {"ref": "1"})["prepared"]["sha256"]
            opened.call("confirm", {"letters": [{"thanks": 1, "sha256": sha256}]})
        yield running


@pytest.mark.parametrize(
    ("seconds", "right_after", "after", "words"),
    [
        cell("Store", "locked", "12 s from the dot on", 12, "sent", "sent",
             "*sent*: its outcome is written once the lock is gone"),
        cell("Store", "locked", "from the dot on, longer than its tries", 60, "sending", "held",
             "after five tries in half a minute *held*, and never tried again"),
    ],
)  # fmt: skip
def test_an_outcome_is_written_once_the_lock_is_gone_or_the_letter_is_held(
    seconds: int, right_after: str, after: str, words: str, seen: Say
) -> None:
    with Server() as server, contextlib.ExitStack() as lock:
        account(server.port)
        start_anew()
        with world() as opened:
            confirm(opened, 1)
        server.faults["."] = first(lambda: lock.enter_context(locked(seconds)))
        thanksd("run", "--once")
        lock.close()
        assert (letter()["state"], len(server.taken)) == (right_after, 1)
        for _ in range(2):
            assert thanksd("run", "--once").code == 0
            assert came_to(server) == after
    seen(words)
