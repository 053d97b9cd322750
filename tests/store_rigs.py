"""A ledger in this process, whose clock the test sets, with real ways for its letters to leave."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import parts
import pytest

from thanksd import paths, verbs
from thanksd.config import Config, Maildir, Me, Send, Smtp, Transport
from thanksd.database import SqliteStore, open_file, open_store
from thanksd.store import known_revisions
from thanksd.verbs.context import Context

NOON = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)  # a Tuesday, 12:00 in Berlin
ME = Me(name="Sam Lee", email="sam@example.org")


class Clock:
    """The moment, as the test says."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> datetime:
        self.moment += timedelta(**span)
        return self.moment


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "thanksd.db"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()


def new_store(path: Path) -> SqliteStore:
    """Put an empty ledger there, made once by the program itself, and open it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(_empty())
    path.chmod(0o600)
    make_another(path)
    return open_file(f"sqlite:///{path}")


def make_another(path: Path) -> None:
    """Make a copied ledger one of its own that nobody used yet: a copy under the same name may not send anything."""
    fresh = "uid = lower(hex(randomblob(16))), machine = NULL, host = NULL, install = NULL, used_at = NULL, serial = 0"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE ledger SET {fresh}")  # noqa: S608  no value in it


def maildir(folder: Path) -> Transport:
    return Transport(kind="maildir", maildir=Maildir(str(folder)))


def smtp(port: int) -> Transport:
    return Transport(kind="smtp", smtp=Smtp(host="127.0.0.1", port=port, security="none", auth="none"))


class Desk:
    """One ledger and the verbs on it. Letters leave into a Maildir, unless the test names another transport."""

    def __init__(self, folder: Path, transport: Transport | None = None) -> None:
        self.clock = Clock()
        self.file = folder / "ledger" / "thanksd.db"
        self.letters = folder / "letters"
        self.context = Context(
            store=new_store(self.file),
            config=Config(me=ME, transport=transport or maildir(self.letters), send=Send(undo="30s")),
            templates=folder / "templates",
            zone="Europe/Berlin",
            clock=self.clock,
        )

    def __call__(self, verb: str, **params: object) -> dict[str, Any]:
        return verbs.call(verb, self.context, params)

    def set(self, **parts_of_context: Any) -> None:
        """Change what the verbs are given: config, stopping, secret."""
        self.context = replace(self.context, **parts_of_context)

    def add(self, name: str = "Ada Lovelace", **facts: object) -> int:
        given = {
            "email": f"{name.split(maxsplit=1)[0].lower()}@example.com",
            "kind": "coffee",
            "details": ["why you left Rust"],
        }
        number: int = self("add", who=name, **(given | facts))["thanks"][0]["id"]
        return number

    def confirm(self, *numbers: int, at_once: bool = True) -> None:
        shown = [self("prepare", ref=str(number), at_once=at_once)["prepared"]["sha256"] for number in numbers]
        letters = [{"thanks": number, "sha256": sha} for number, sha in zip(numbers, shown, strict=True)]
        self("confirm", letters=letters, at_once=at_once)

    def queued(self, name: str = "Ada Lovelace") -> int:
        """Add somebody, confirm their letter, and give the number of the thanks."""
        number = self.add(name)
        self.confirm(number)
        return number

    def letter(self, thanks: int) -> dict[str, Any]:
        """Give the newest letter's row."""
        return self.rows("SELECT * FROM letter WHERE thanks_id = ? ORDER BY id DESC LIMIT 1", thanks)[0]

    def thanks(self, number: int) -> dict[str, Any]:
        return self.rows("SELECT * FROM thanks WHERE id = ?", number)[0]

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        return rows(self.file, query, *values)

    def saved(self) -> list[bytes]:
        """Give the letters that came into the Maildir."""
        return [path.read_bytes() for path in (self.letters / "new").glob("*")]

    def words(self, number: int) -> list[str]:
        """Give what the journal says of a thanks."""
        return [event["what"] for event in self("log", ref=str(number))["events"]]


def rows(file: Path, query: str, *values: object) -> list[dict[str, Any]]:
    """Read from a ledger as any other program would."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, values)]


def everything(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Give all that a ledger holds."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}  # noqa: S608  the store's own names


def is_sound(file: Path) -> bool:
    return [list(row.values()) for row in rows(file, "PRAGMA integrity_check")] == [["ok"]]


def at_once_in(processes: int, program: str, *arguments: str) -> list[Any]:
    """Run a Python program in so many processes, all let go at one moment; give what each printed, as JSON.

    The program finds `go()`, which waits for that moment and gives its own number, from 0.
    """
    start = "import json, sys\ndef go(): print('ready', flush=True); return int(sys.stdin.readline())\n"
    words = [sys.executable, "-c", start + program, *arguments]
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(processes)
        ]
        for child in children:
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
        for number, child in enumerate(children):
            assert child.stdin
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
        told = [child.communicate(timeout=60)[0] for child in children]
        assert [child.returncode for child in children] == [0] * processes
    return [json.loads(one) for one in told]


def killed_at(call: str, number: int, words: Sequence[str | Path], env: dict[str, str] | None = None) -> int:
    """Run a program and kill it as it enters its `number`-th such system call; give how it ended."""
    parts.need("strace")
    # Without --seccomp-bpf, under which strace 6.1 injects no signals.
    strace = [str(parts.find("strace")), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    inject = ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
    environ = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"} | (env or {})
    done = subprocess.run([*strace, *inject, *words], env=environ, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Callable[[], Path]]:
    """Mount a small disk at `folder`; calling what is given fills it up and names the file that does."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    parts.need("mount", "umount")
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)], check=True)

    def fill() -> Path:
        path = folder / "filling"
        with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        return path

    try:
        yield fill
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, root neither."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    parts.need("mount", "umount")
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


NEWEST = int(known_revisions()[-1])


def after(number: int) -> str:
    """Give the revision that many after the newest one."""
    return f"{NEWEST + number:04}"


class Releases:
    """A program whose later versions change the schema: its folder of migrations, in place of the real one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        real = paths.data_folder
        shutil.copytree(real("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(paths, "data_folder", lambda name: folder if name == "migrations" else real(name))

    def change(self, number: int, *statements: str) -> None:
        head = f"from alembic import op\nimport sqlalchemy as sa\nrevision = '{after(number)}'\n"
        head += f"down_revision = '{after(number - 1)}'\ndef upgrade():\n"
        path = self.folder / "versions" / f"{after(number)}_x.py"
        path.write_text(head + "".join(f"    {one}\n" for one in statements))

    def change_by(self, number: int) -> None:
        self.change(number, f"op.add_column('person', sa.Column('c{number}', sa.String()))")
