"""Cells of the kill, fault and clock matrices: which tests they are, and what each saw.

A test (or one of its parameters) is a cell where it has the mark `cell(table, row, column)`; it says by the fixture
`seen` what followed. `make matrix` runs every cell and writes docs/RELIABILITY.md from what they said (`--cells FILE`,
and tests/reliability.py); without it only those run that are not marked `matrix` too: one of most rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest

# The tables in the order of the page, each under its matrix.
TABLES = {
    "One letter": "kill",
    "A burst of 200 letters": "kill",
    "Ended otherwise": "kill",
    "SMTP": "fault",
    "The way to the server": "fault",
    "Store": "fault",
    "Credentials": "fault",
    "Notification server": "fault",
    "Templates": "fault",
    "Clock": "clock",
    "Team": "team",
}
Table: TypeAlias = Literal[
    "One letter",
    "A burst of 200 letters",
    "Ended otherwise",
    "SMTP",
    "The way to the server",
    "Store",
    "Credentials",
    "Notification server",
    "Templates",
    "Clock",
    "Team",
]

Say: TypeAlias = Callable[..., None]


class Cell(NamedTuple):
    """One cell as it was run: what followed in words, of how many cases, and whether its test passed."""

    table: str
    row: str
    column: str
    words: str
    cases: int
    passed: bool


def cell(table: Table, row: str, column: str, *values: object, daily: bool = False) -> Any:
    """Give a parameter set that is one cell; a `daily` one is run by `make test` too."""
    marks = [pytest.mark.cell(table, row, column), *([] if daily else [pytest.mark.matrix])]
    return pytest.param(*values, id=f"{row}: {column}".replace("::", ":"), marks=marks)


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Say:
    """Say what followed in this cell, and of how many cases (kills, faults, steps) that was seen."""

    def say(words: str, cases: int = 1) -> None:
        record_property("seen", [words, cases])

    return say


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cells", metavar="FILE", help="run every cell of the matrices, and write down what each saw")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(table, row, column): a cell of the kill, fault or clock matrix")
    config.addinivalue_line("markers", "matrix: run by make matrix alone")
    if config.getoption("--cells") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Record(Path(config.getoption("--cells"))))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--cells"):
        left_out = [item for item in items if not any(map(item.get_closest_marker, ("cell", "matrix")))]
    else:
        left_out = [item for item in items if item.get_closest_marker("matrix") is not None]
    gone = set(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in gone]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    mark = item.get_closest_marker("cell")
    if mark is not None:
        table, row, column = mark.args
        assert table in TABLES, table
        item.user_properties.append(("cell", [table, row, column]))
    yield
    if mark is not None:
        assert any(name == "seen" for name, _ in item.user_properties), "a cell says what it saw"


class _Record:
    """Collects what the cells of a whole run saw, from all its processes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._cells: list[Cell] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and "cell" in known:
            table, row, column = known["cell"]
            words, cases = known.get("seen", [str(report.outcome), 1])
            self._cells.append(Cell(table, row, column, words, cases, report.passed))

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._cells), encoding="utf-8")


def read(file: Path) -> list[Cell]:
    """Give the cells of a run."""
    return [Cell(*one) for one in json.loads(file.read_text(encoding="utf-8"))]
