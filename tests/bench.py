"""make bench: what thanksd costs, as ratios to a reference measured in the same run.

CPU time (user and system) of whole processes, medians of alternating runs. Not a test: machines differ, and ratios of
import costs with them; the limits are printed beside each ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bench_burst
import bench_page
import bench_team
from bench_rigs import PROGRAM, PYTHON, Place, cpu, cpu_of, ratio, switches, verdict
from postgres_rigs import builds, server

THIN = [PYTHON, "-c", "import click, json, socket"]
ORM = [PYTHON, "-c", "import sqlalchemy.orm"]
CLICK = [PYTHON, "-c", "import click"]


def thin(folder: Path, runs: int) -> None:
    """With the daemon: the command line is a thin client."""
    place = Place(folder / "thin")
    place.fill(1000, 1000)
    with place.daemon():
        ratio(
            "daemon: add / import click, json, socket",
            1.6,
            lambda: cpu(place.add(), place.environ),
            lambda: cpu(THIN, place.environ),
            runs,
        )
        ratio(
            "daemon: 1,000 open / import click, json, socket",
            1.6,
            lambda: cpu([str(PROGRAM)], place.environ),
            lambda: cpu(THIN, place.environ),
            runs,
        )
        if todo := shutil.which("todo"):
            todoman(place, todo, runs)


def todoman(place: Place, todo: str, runs: int) -> None:
    """The nearest tool for the same two tasks, with 1,000 entries."""
    calendar = place.folder / "calendar" / "inbox"
    calendar.mkdir(parents=True)
    config = place.folder / "todoman.py"
    config.write_text(
        f'path = "{calendar.parent}/*"\ndefault_list = "inbox"\ncache_path = "{place.folder}/cache.sqlite3"\n'
    )
    for number in range(1000):
        text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:bench\r\nBEGIN:VTODO\r\nUID:{number}\r\nSUMMARY:thank {number}\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
        (calendar / f"{number}.ics").write_text(text, encoding="utf-8")
    base = [todo, "--config", str(config)]
    cpu([*base, "list"], place.environ)
    ratio(
        "daemon: add / todoman new",
        0.4,
        lambda: cpu(place.add(), place.environ),
        lambda: cpu([*base, "new", "thank Ada"], place.environ),
        runs,
    )
    ratio(
        "daemon: 1,000 open / todoman list of 1,000",
        0.4,
        lambda: cpu([str(PROGRAM)], place.environ),
        lambda: cpu([*base, "list"], place.environ),
        runs,
    )


def alone(folder: Path, runs: int) -> None:
    """Without a daemon: the verb runs in process."""
    place = Place(folder / "alone")
    place.fill(1000, 1000)
    ratio(
        "alone: add / import sqlalchemy.orm",
        1.45,
        lambda: cpu(place.add(), place.environ),
        lambda: cpu(ORM, place.environ),
        runs,
    )
    ratio(
        "alone: 1,000 open / import sqlalchemy.orm",
        1.7,
        lambda: cpu([str(PROGRAM)], place.environ),
        lambda: cpu(ORM, place.environ),
        runs,
    )
    ratio(
        "prompt, 1,000 open / python -c pass",
        2.0,
        lambda: cpu([str(PROGRAM), "prompt"], place.environ),
        lambda: cpu([PYTHON, "-c", "pass"], place.environ),
        runs,
    )
    for option in ("--help", "--version"):
        ratio(
            f"{option} / import click",
            1.4,
            partial(cpu, [str(PROGRAM), option], place.environ),
            lambda: cpu(CLICK, place.environ),
            runs,
        )


def flat(folder: Path, runs: int, large: int) -> None:
    """What is closed must cost nothing: 1,000 open of a million against 1,000 of 1,000."""
    big, small = Place(folder / "big"), Place(folder / "small")
    big.fill(large, 1000)
    small.fill(1000, 1000)
    commands: list[tuple[str, Callable[[Place], list[str]]]] = [("list", lambda _: [str(PROGRAM)]), ("add", Place.add)]
    for name, command in commands:
        ratio(
            f"flat: {name}, {large:,} stored / 1,000 stored",
            1.2,
            partial(_run_at, big, command),
            partial(_run_at, small, command),
            runs,
        )

    with big.daemon() as one, small.daemon() as other:
        ratio(
            f"flat: a pass, {large:,} stored / 1,000 stored",
            1.2,
            lambda: passes(big, one),
            lambda: passes(small, other),
            runs,
        )


def _run_at(place: Place, command: Callable[[Place], list[str]]) -> float:
    return cpu(command(place), place.environ)


def passes(place: Place, pid: int, count: int = 5) -> float:
    """Give the CPU seconds of some passes of a running daemon, each asked for by a poke and waited for."""
    before = cpu_of(pid)
    for _ in range(count):
        last = _ask(place, "status")["last_pass_at"]
        _ask(place, "poke")
        deadline = time.monotonic() + 1.1
        while _ask(place, "status")["last_pass_at"] == last and time.monotonic() < deadline:
            time.sleep(0.05)
    return cpu_of(pid) - before


def _ask(place: Place, verb: str) -> dict[str, str]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(next((place.folder / "run" / "thanksd").glob("*.sock"))))
        connection.sendall(json.dumps({"verb": verb}).encode() + b"\n")
        answer = json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
        result: dict[str, str] = answer["result"]
        return result


def idle(folder: Path, seconds: int) -> None:
    """What a daemon costs that has nothing to do: one with a ledger of its own, and one of a team, side by side."""
    place = Place(folder / "idle")
    place.fill(1000, 100)
    with server(builds()[0]) as kept, place.daemon() as own, bench_team.Team(folder, kept, 1, 0).daemons() as (shared,):
        time.sleep(5)
        bench_team.until_quiet([own, shared])
        looks = [Look(pid) for pid in (own, shared)]
        time.sleep(seconds)
        for name, look in zip(("", ", a shared ledger"), looks, strict=True):
            look.tell(f"idle {seconds} s{name}", seconds)


class Look:
    """What a daemon used up to a moment, and since."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used, self._waits = cpu_of(pid), switches(pid)

    def tell(self, name: str, seconds: int) -> None:
        """Print what it used since, beside what it may."""
        used = (cpu_of(self._pid) - self._used) / seconds * 1000
        woken = (switches(self._pid) - self._waits) / seconds
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        rss = int(status.split("VmRSS:")[1].split()[0]) / 1024
        print(f"{f'{name}: ms CPU a second':<58} {used:5.2f}   limit 0.50   {verdict(is_met=used <= 0.5)}")
        print(f"{f'{name}: MiB':<58} {rss:5.0f}   limit 72   {verdict(is_met=rss <= 72)}")
        print(f"    {woken:.2f} context switches a second", flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--letters", type=int, default=10_000, help="letters of a burst")
    parser.add_argument("--idle", type=int, default=180, help="seconds to watch an idle daemon")
    parser.add_argument(
        "only", nargs="*", choices=[[], "thin", "alone", "flat", "idle", "burst", "due", "team", "page"]
    )
    chosen = parser.parse_args()
    # Without bytecode every start would compile everything, ours and theirs.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="thanksd-bench-") as name:
        parts: dict[str, Callable[[], None]] = {
            "thin": lambda: thin(Path(name), chosen.runs),
            "alone": lambda: alone(Path(name), chosen.runs),
            "flat": lambda: flat(Path(name), chosen.runs, chosen.large),
            "burst": lambda: bench_burst.burst(Path(name), chosen.letters),
            "due": lambda: bench_burst.due(Path(name), chosen.letters),
            "team": lambda: bench_team.team(Path(name) / "team"),
            "page": lambda: bench_page.page(Path(name)),
            "idle": lambda: idle(Path(name), chosen.idle),
        }
        for part in chosen.only or parts:
            parts[part]()


if __name__ == "__main__":
    main()
