"""Killed at any instant: nothing is lost, nothing goes out twice, and what is unknown waits for a person.

The real program sends to a real server (Postfix's smtp-sink, which keeps what it took) and is ended by SIGKILL as it
enters each of its system calls that change anything.
"""

from __future__ import annotations

import itertools
import random
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import parts
import pytest
from cells import Say, cell
from cli_rigs import SCRIPT, store_file
from kill_rigs import SEND, Scene, confirm, go_on, killed_at, random_instant, told, world
from program_rigs import Program
from smtp_rigs import Sink, smtp_sink

PASS = ("run", "--once")
# All that writes: the ledger and its journal, what is remembered beside it, the terminal, and the server.
CALLS = ("pwrite64", "write", "fdatasync", "fsync", "rename", "unlink", "sendto")
_OFTEN = ("pwrite64", "fdatasync", "write")
BURST = 200
_MANY = 10_000


@pytest.mark.parametrize(
    ("words", "call", "every"),
    [
        # Each of a hundred writes takes minutes: the matrices kill there, and make test at some.
        *(cell("One letter", "thanksd send", call, SEND, call, 1, daily=call not in _OFTEN) for call in CALLS),
        *(cell("One letter", "the daemon", call, PASS, call, 1, daily=call not in _OFTEN) for call in CALLS),
        cell("One letter", "thanksd send", "pwrite64, each tenth", SEND, "pwrite64", 10, daily=True),
        cell("One letter", "thanksd send", "fdatasync, each third", SEND, "fdatasync", 3, daily=True),
        cell("One letter", "the daemon", "write, each third", PASS, "write", 3, daily=True),
    ],
)
def test_a_sender_killed_at_any_call_loses_nothing_and_sends_nothing_twice(
    words: tuple[str, ...], call: str, every: int, seen: Say
) -> None:
    endings: Counter[str] = Counter()
    with smtp_sink() as sink:
        scene = Scene(sink, letters=1, confirmed=words == PASS)
        for number in itertools.count(1, every):
            scene.start_anew()
            code = killed_at(call, number, words)
            if code == 0:
                break
            go_on()
            ending = scene.check(f"{call} {number}")
            # Once more, as nothing that ended may begin again.
            go_on()
            assert scene.check(f"{call} {number}") == ending
            endings += ending
        assert scene.check("not killed") == {"sent": 1}
    if call != "write" or words == SEND:
        assert endings
    seen(told(endings) or "it makes no such call", sum(endings.values()))


def test_what_is_held_leaves_only_when_a_person_says_so() -> None:
    with smtp_sink() as sink:
        scene = Scene(sink, letters=1, confirmed=True)
        for number in itertools.count(1):
            scene.start_anew()
            assert killed_at("sendto", number, PASS) != 0, "it was never held"
            go_on()
            if scene.check(str(number)) == {"held, not delivered": 1}:
                break
        with world() as opened:
            opened.call("resolve", {"ref": "1", "how": "resend"})
            opened.call("dispatch", {})
        assert scene.check("sent again") == {"sent": 1}


def test_the_dot_leaves_only_after_its_phase_is_on_the_disk_the_folder_s_entry_too(tmp_path: Path) -> None:
    parts.need("strace")
    trace = tmp_path / "trace"
    with smtp_sink() as sink:
        Scene(sink, letters=1, confirmed=False)
        words = [str(parts.find("strace")), "-f", "-y", "-o", str(trace), "-e", "trace=sendto,fdatasync,fsync,unlink"]
        subprocess.run([*words, str(SCRIPT), *SEND], check=True, capture_output=True)
    lines = trace.read_text().splitlines()
    (dot,) = [number for number, line in enumerate(lines) if r'".\r\n"' in line]
    before = lines[dot - 2 : dot]
    assert re.search(r'unlink\(".*/thanksd.db-journal"\) += 0', before[0]), before
    assert re.search(rf"f(data)?sync\(\d+<{re.escape(str(store_file().parent))}>\) += 0", before[1]), before


# --- a burst ---


def counted(call: str, words: tuple[str, ...], tmp_path: Path) -> int:
    """Give how many such calls a whole run makes in its busiest thread."""
    trace = tmp_path / f"trace-{call}"
    strace = [str(parts.find("strace")), "-f", "-o", str(trace), "-e", f"trace={call}"]
    subprocess.run([*strace, str(SCRIPT), *words], check=True, capture_output=True)
    threads = Counter(line.split()[0] for line in trace.read_text().splitlines() if f"{call}(" in line)
    return max(threads.values())


def arrived(sink: Sink, letters: int) -> bool:
    return sum(1 for _ in sink.folder.iterdir()) >= letters


def burst_cells() -> Iterator[Any]:
    for call, kills in (("pwrite64", 120), ("fdatasync", 80), ("sendto", 80), ("fsync", 32)):
        yield cell("A burst of 200 letters", f"killed at {call}", "seeded", call, kills, 2)


@pytest.mark.parametrize(("call", "kills", "seed"), list(burst_cells()))
def test_a_burst_that_is_killed_goes_on_with_each_letter_once(
    call: str, kills: int, seed: int, tmp_path: Path, seen: Say
) -> None:
    endings: Counter[str] = Counter()
    killed = 0
    chance = random.Random(f"{call} {seed}")  # noqa: S311  not a secret: the same places each time
    with smtp_sink() as sink:
        scene = Scene(sink, letters=BURST, confirmed=True)
        parts.need("strace")
        scene.start_anew()
        calls = counted(call, PASS, tmp_path)
        for turn in range(kills):
            scene.start_anew()
            if calls < BURST:
                # No letter makes one: they are around all of them, and each has its turn.
                letters, number = 0, turn % calls + 1
                killed += killed_at(call, number, PASS) != 0
            else:
                letters, number = chance.randrange(BURST), chance.randint(1, 2 * calls // BURST)
                killed += killed_at(call, number, PASS, after=partial(arrived, sink, letters)) != 0
            go_on()
            ending = scene.check(f"{call} {number} after {letters} letters")
            assert ending["owed still"] == 0
            assert ending["sent"] >= BURST - 50, ending
            endings += ending
    # The last of them may find it at its end.
    assert killed >= kills * 0.8
    seen(f"{killed} kills among its {calls:,} such calls, each with all {BURST}: {told(endings)}", killed)


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        cell(
            "A burst of 200 letters", "killed at a random instant", "while another adds and confirms", 2, 1, daily=True
        ),
        cell("A burst of 200 letters", "killed at a random instant", "while another adds and confirms, often", 80, 2),
    ],
)
def test_a_daemon_killed_at_random_while_another_adds_and_confirms_goes_on(kills: int, seed: int, seen: Say) -> None:
    endings: Counter[str] = Counter()
    chance = random.Random(seed)  # noqa: S311  as above
    with smtp_sink() as sink:
        scene = Scene(sink, letters=BURST, confirmed=True)
        for _ in range(kills):
            scene.start_anew()
            silent: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            with adding() as added, Program([SCRIPT, "run"], is_tied=True, **silent) as daemon:
                assert random_instant(daemon, chance.uniform(0.05, 1.0)) == -9
            go_on()
            ending = scene.check("at random")
            assert ending["owed still"] == 0
            assert sum(ending.values()) == BURST + len(added)
            endings += ending
    seen(f"{kills} kills: {told(endings)}", kills)


@contextmanager
def adding() -> Iterator[list[int]]:
    """Add and confirm as fast as it goes, until the end of the block; give the numbers of those confirmed."""
    added: list[int] = []
    ends = threading.Event()

    def add() -> None:
        with world() as opened:
            for number in itertools.count(1):
                if ends.is_set():
                    return
                who = {"who": f"Late Comer{number}", "email": f"late{number}@example.com", "kind": "coffee"}
                thanks = opened.call("add", {**who, "details": ["the compiler"]})["thanks"][0]["id"]
                confirm(opened, thanks)
                added.append(thanks)

    thread = threading.Thread(target=add)
    thread.start()
    try:
        yield added
    finally:
        ends.set()
        thread.join()
