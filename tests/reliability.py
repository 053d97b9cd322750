"""Writes docs/RELIABILITY.md from what the cells of a run of the matrices saw: `make matrix`.

Several runs can be given, a later one's cells in place of the same ones of an earlier: so a cell whose test was mended
need not wait for all others again. The words of a cell are those its test gave after its assertions held; nothing on the page is typed in by hand but the
sentences around the tables.
"""

from __future__ import annotations

import datetime as dt
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import cells
from cells import Cell
from postgres_rigs import builds

PAGE = Path(__file__).resolve().parent.parent / "docs" / "RELIABILITY.md"

MATRICES = {
    "kill": (
        "The kill matrix",
        (
            "The program is ended at every point of its way, then started anew. After each: at most one delivery at the\n"
            "server, every thanks in one state, nothing that is held goes out by itself."
        ),
    ),
    "fault": (
        "The fault matrix",
        (
            "Something around the program fails. Each cell is the state that follows, with what the user is told where it\n"
            "matters. None says *sent* without a 2xx to the dot, none is tried again after an answer that is unknown."
        ),
    ),
    "clock": (
        "The clock matrix",
        (
            "Time does what it does to laptops. Each nudge is shown once, within one tick (30 s) of the first moment it\n"
            "could be, quiet hours kept."
        ),
    ),
    "team": (
        "The team matrix",
        "Several daemons on several hosts share one PostgreSQL store, and hosts, lines and the server fail.",
    ),
}

WEAK = (
    (
        "One letter is killed at each of its calls, a burst of 200 at places that are chosen by a seed among thousands: a\n"
        "  run of all of them takes hours."
    ),
    (
        "A real power cut was not run: the order of writes and syncs before the dot is tested (strace), the disk's own\n"
        "  honesty is not."
    ),
    (
        "A home and its state folder that are rolled back together, as by a snapshot of the whole machine, look like the\n"
        "  present: letters that left since could leave again. Copies of the ledger alone are refused."
    ),
    "A letter opened in your own mail program is outside the second promise, and the program says so.",
    "A server that took a letter and then says no, or says yes and loses it, can't be seen through by any client.",
)

_TOOLS = {
    "strace": ["strace", "--version"],
    "systemd": ["systemctl", "--version"],
    "dunst": ["dunst", "--version"],
    "Postfix (smtp-sink)": ["postconf", "-d", "-h", "mail_version"],
    "Dovecot": ["dovecot", "--version"],
    "OpenSSL": ["openssl", "version"],
    **{f"PostgreSQL ({build.name})": [str(build.programs / "postgres"), "--version"] for build in builds()},
}
_LIBRARIES = ("sqlalchemy", "alembic", "apscheduler", "jinja2", "keyring", "jeepney", "psycopg", "hypothesis")


def page(found: list[Cell], today: dt.date) -> str:
    """Give the whole page."""
    parts = [_head(found, today)]
    for matrix, (title, words) in MATRICES.items():
        tables = [name for name, one in cells.TABLES.items() if one == matrix]
        own = [cell for cell in found if cell.table in tables]
        if own:
            parts += [f"## {title}\n\n{words}\n"]
            parts += [_table(name, [cell for cell in own if cell.table == name]) for name in tables]
    parts.append("## What this does not show\n\n" + "".join(f"- {one}\n" for one in WEAK))
    return "\n".join(part for part in parts if part)


def _head(found: list[Cell], today: dt.date) -> str:
    totals = ", ".join(
        f"{sum(cell.cases for cell in found if cells.TABLES[cell.table] == matrix):,} {noun}"
        for matrix, noun in (
            ("kill", "kills"),
            ("fault", "faults"),
            ("clock", "clock cases"),
            ("team", "cases of a team"),
        )
    )
    failed = [cell for cell in found if not cell.passed]
    how = "every cell green" if not failed else f"**{len(failed)} cells are red**"
    return (
        "# How reliable thanksd is\n\n"
        "Three promises: no thanks is ever lost; no letter is ever sent twice, and none that was not seen; adding takes\n"
        "ten seconds, thanking one key. The first two are tested here, against real parts, by `make matrix`, which also\n"
        "wrote this page. `make test` runs most kills of one letter and a cell of most rows.\n\n"
        f"{today:%d %B %Y}: {totals}; {how}.\n\n"
        f"Parts: {_parts()}.\n"
    )


def _parts() -> str:
    own = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", f"Linux {platform.release()}"]
    return "; ".join([*own, *_tools(), *_libraries()])


def _tools() -> Iterable[str]:
    for name, command in _TOOLS.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        numbers = [word for word in done.stdout.split() if word[:1].isdigit()]
        yield f"{name} {numbers[0]}" if numbers else name


def _libraries() -> Iterable[str]:
    for name in _LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except ModuleNotFoundError:
            continue


def _table(name: str, found: list[Cell]) -> str:
    if not found:
        return ""
    rows, columns = (list(dict.fromkeys(getattr(cell, side) for cell in found)) for side in ("row", "column"))
    is_grid = len(columns) <= len(found) / 3 and len(rows) > 1
    lines = _grid(found, rows, columns) if is_grid else _list(found)
    return f"### {name}\n\n" + "\n".join(lines) + "\n"


def _grid(found: list[Cell], rows: list[str], columns: list[str]) -> list[str]:
    at = {(cell.row, cell.column): _words(cell) for cell in found}
    body = [f"| {row} | " + " | ".join(at.get((row, column), "") for column in columns) + " |" for row in rows]
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|", *body]


def _list(found: list[Cell]) -> list[str]:
    body = [f"| {cell.row} | {cell.column} | {cell.cases:,} | {_words(cell)} |" for cell in found]
    return ["| what | case | cases | what follows |", "|---|---|---|---|", *body]


def _words(cell: Cell) -> str:
    return cell.words.replace("|", r"\|") if cell.passed else f"**red**: {cell.words}"


def latest(runs: Iterable[Path]) -> list[Cell]:
    """Give each cell as the last of these runs saw it, in the order of the first."""
    return list({cell[:3]: cell for run in runs for cell in cells.read(run)}.values())


if __name__ == "__main__":
    PAGE.write_text(page(latest(map(Path, sys.argv[1:])), dt.datetime.now(dt.UTC).date()), encoding="utf-8")
