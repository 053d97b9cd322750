"""What the benches share: homes to measure in, and how a ratio is taken and told."""

from __future__ import annotations

import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("thanksd")
PYTHON = sys.executable


def cpu(command: list[str], environ: dict[str, str]) -> float:
    """Give the CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(name: str, limit: float, ours: Callable[[], float], theirs: Callable[[], float], runs: int) -> None:
    """Alternate both, and print the ratio of their medians."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:<58} {one / other:5.2f}   limit {limit:.2f}   {verdict(is_met=one <= limit * other)}", flush=True)


def verdict(*, is_met: bool) -> str:
    """Say how a row stands to its limit."""
    return "OK" if is_met else "too slow"


class Home:
    """A home for one bench: its own XDG folders, and the store that it uses, made if it is not there."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        run = folder / "run"
        run.mkdir(parents=True, mode=0o700)
        keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        self.environ = keep | {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(run),
            "THANKSD_STORE": store,
            "TZ": "UTC",
        }
        # Bytecode is compiled once, as an installed program's is.
        subprocess.run([PROGRAM, "owed"], env=self.environ, check=True, stdout=subprocess.DEVNULL)

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """Run the daemon; gives its pid once its socket is there."""
        child = subprocess.Popen(
            [PROGRAM, "run"], env=self.environ, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        try:
            while not list((self.folder / "run" / "thanksd").glob("*.sock")):
                time.sleep(0.05)
            time.sleep(0.5)
            yield child.pid
        finally:
            child.terminate()
            child.wait()


class Place(Home):
    """A home with a ledger of its own, a file."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "thanksd.db"
        self.count = 0
        super().__init__(folder, str(self.store))

    def fill(self, stored: int, still_open: int) -> None:
        """Store that many thanks, most of them closed, by SQL: adding a million one by one would take an hour."""
        with sqlite3.connect(self.store) as db:
            db.execute("PRAGMA synchronous=OFF")
            db.execute("PRAGMA foreign_keys=OFF")
            db.executescript(_FILL.format(people=max(stored // 20, 1), stored=stored, closed=stored - still_open))
        db.close()

    def add(self) -> list[str]:
        """Give a command that adds somebody new."""
        self.count += 1
        return [
            str(PROGRAM),
            "add",
            f"Person Number{self.count}",
            f"n{self.count}@new.example",
            "-k",
            "coffee",
            "-d",
            "the talk",
        ]


_FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {people})
INSERT INTO person (id, name, name_key, email, email_key, seniority, created_at)
SELECT i, 'Ada Number' || i, 'ada number' || i, 'a' || i || '@example.com', 'a' || i || '@example.com', 'peer',
 '2025-01-01 00:00:00.000000' FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {stored})
INSERT INTO meeting (id, kind, at, tz, day, place, about)
SELECT i, 'coffee', '2025-01-01 00:00:00.000000', 'UTC', '2025-01-01', '', '' FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {stored})
INSERT INTO thanks (id, uid, person_id, meeting_id, state, details, nudge_at, due_by, popup_at, outright, created_at,
 changed_at, closed_at)
SELECT i, 'u' || i, 1 + i % {people}, i, CASE WHEN i <= {closed} THEN 'thanked' ELSE 'owed' END, '["the talk"]',
 '2099-01-01 00:00:00.000000', '2099-01-02 00:00:00.000000',
 CASE WHEN i <= {closed} THEN NULL ELSE '2099-01-01 00:00:00.000000' END, 0,
 '2025-01-01 00:00:00.000000', '2025-01-01 00:00:00.000000',
 CASE WHEN i <= {closed} THEN '2025-01-02 00:00:00.000000' END FROM n;
INSERT INTO event (at, thanks_id, what, data) SELECT '2025-01-01 00:00:00.000000', id, 'added', '{{}}' FROM thanks;
"""


def cpu_of(pid: int) -> float:
    """Give the CPU seconds that a process used so far."""
    # Nanoseconds on a processor, of each thread (Documentation/scheduler/sched-stats.rst): finer than stat's ticks.
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def switches(pid: int) -> int:
    """Count the main thread's voluntary context switches: each is one wait that ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
