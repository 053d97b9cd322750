"""The installed `thanksd` script, run as a person or a program runs it: own home, own ledger, no daemon."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import program_rigs

SCRIPT = program_rigs.SCRIPT


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        assert self.code == 0, self
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        found: dict[str, Any] = json.loads(lines[0])
        return found


def thanksd(
    *arguments: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None, without: tuple[str, ...] = ()
) -> Done:
    """Run one command to its end."""
    environ = {name: value for name, value in os.environ.items() if name not in without} | dict(env or {})
    done = program_rigs.run([SCRIPT, *arguments], stdin=stdin, env=environ)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def store_file() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "thanksd" / "thanksd.db"


def config_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "thanksd" / "config.toml"


def configure(text: str) -> None:
    config_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config_file().write_text(text, encoding="utf-8")


def new_ledger() -> Path:
    """Put an empty ledger into the home. It was made once by the program itself; that takes it some time."""
    path = store_file()
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(_empty_ledger())
    path.chmod(0o600)
    return path


@cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "thanksd.db"
        assert thanksd("owed", "--store", str(path)) == Done(0, "", "")
        return path.read_bytes()


def rows(path: Path) -> dict[str, int]:
    """Give how many rows each table has."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608  the store's own names
    connection.close()
    return found


def change(path: Path, statement: str, *values: object) -> None:
    """Write into a ledger behind the program's back."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()
