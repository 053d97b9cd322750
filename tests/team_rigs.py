"""A team on one ledger: installations with a home of their own, each on this machine or on a host of its own.

A host is a network namespace on a bridge; what it says is lost once its link is down, as when a cable is pulled.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import parts
import pytest
from cli_rigs import SCRIPT, Done
from daemon_rigs import DEADLINE, Daemon
from kill_rigs import confirm, deliveries, settled
from postgres_rigs import Server
from program_rigs import Program, run
from psycopg.rows import dict_row
from smtp_rigs import Authority, Sink, smtp_sink, stunnel, wait_for

from thanksd.world import World

SAM, KIM = "sam@example.org", "kim@example.org"
_FOLDERS = {
    "HOME": "",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_RUNTIME_DIR": "run",
}
_CONFIG = """\
[me]
name = "{name}"
email = "{me}"
timezone = "Europe/Berlin"
[nudge]
channels = {channels}
quiet_hours = ""
[send]
undo = "0s"
also_for = {also_for}
[transport]
kind = "smtp"
[transport.smtp]
host = "{address}"
port = {port}
security = "{security}"
auth = "none"
"""

_HOMES = itertools.count(1)
Prepared: TypeAlias = list[dict[str, Any]]


class MailServer(Protocol):
    """Where a mail server listens."""

    @property
    def port(self) -> int: ...
    @property
    def address(self) -> str: ...


class Host:
    """A machine of its own on the network, as far as the network goes."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address

    def cut_off(self) -> None:
        """Let nothing reach it, nor leave it, and nobody be told."""
        _ip("link", "set", self.name, "down")

    def reach(self) -> None:
        """Let everything through again."""
        _ip("link", "set", self.name, "up")


class Network:
    """A bridge, on which this machine has an address, and hosts."""

    def __init__(self) -> None:
        pid = os.getpid()
        self._name = f"td{pid:x}"
        self._net = f"10.{200 + pid % 50}.{pid // 50 % 250}"
        self.address = f"{self._net}.1"
        self._numbers = itertools.count(2)

    def begin(self) -> None:
        _ip("link", "add", self._name, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")

    def host(self) -> Host:
        """Add a host."""
        number = next(self._numbers)
        host = Host(f"{self._name}-{number}", f"{self._net}.{number}")
        _ip("netns", "add", host.name)
        _ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("link", "set", host.name, "master", self._name)
        for words in (f"addr add {host.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _ip("-n", host.name, *words.split())
        host.reach()
        return host


def _ip(*words: str) -> str:
    done = subprocess.run([str(parts.find("ip")), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@contextmanager
def network() -> Iterator[Network]:
    """Give a network until the block ends; what a killed run of tests left of one is removed too."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a network namespace")
    parts.need("ip")
    _remove_those_of_the_dead()
    made = Network()
    try:
        made.begin()
        yield made
    finally:
        _remove(os.getpid())


def _remove_those_of_the_dead() -> None:
    names = _ip("-o", "link", "show", "type", "bridge")
    for pid in {int(found, 16) for found in re.findall(r"\btd([0-9a-f]+):", names)}:
        if not Path(f"/proc/{pid}").exists():
            _remove(pid)


def _remove(pid: int) -> None:
    # The links too: a namespace lives on, nameless, as long as a program in it.
    links = re.findall(rf"\b(td{pid:x}(?:-\d+)?)[:@]", _ip("-o", "link", "show"))
    spaces = re.findall(rf"^td{pid:x}-\d+", _ip("netns", "list"), re.MULTILINE)
    for words in (*(("link", "del", one) for one in links), *(("netns", "del", one) for one in spaces)):
        with suppress(AssertionError):
            _ip(*words)


@contextmanager
def far_sink(authority: Authority, address: str, *flags: str) -> Iterator[Sink]:
    """Run smtp-sink behind stunnel on an address of the network."""
    with smtp_sink(*flags) as sink, stunnel(authority, sink.port, starttls=False, address=address) as port:
        yield Sink(port, sink.folder, address)


class Seat:
    """One installation: a home with its config, on this machine, or on a host.

    One that is `alone` has process numbers of its own, so that nobody else here can know whether it lives.
    """

    def __init__(self, home: Path, store: str, config: str, *, host: Host | None = None, alone: bool = False) -> None:
        self.home, self.store = home, store
        self.environ = {**os.environ, **{name: str(home / folder) for name, folder in _FOLDERS.items()}}
        self.environ["THANKSD_STORE"] = store
        self.config = home / ".config" / "thanksd" / "config.toml"
        for folder in (self.config.parent, home / "run"):
            folder.mkdir(mode=0o700, parents=True)
        self.config.write_text(config, encoding="utf-8")
        self._before = ["ip", "netns", "exec", host.name] if host else []
        if alone:
            self._before += ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]

    def change(self, old: str, new: str) -> None:
        """Change a line of the config."""
        text = self.config.read_text(encoding="utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def on(self, store: str) -> Seat:
        """Give this installation with another ledger."""
        found = copy(self)
        found.store, found.environ = store, {**self.environ, "THANKSD_STORE": store}
        return found

    def does(self, *words: str) -> Done:
        """Run one command to its end."""
        if self._before:
            done = subprocess.run(
                [*self._before, SCRIPT, *words], env=self.environ, capture_output=True, check=False, timeout=60
            )
        else:
            done = run([SCRIPT, *words], env=self.environ)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def world(self) -> Iterator[World]:
        """Give the verbs with this one's settings, from an installation that has no daemon: the tests' own."""
        opened = World(self.store, str(self.config), keep_connections=True)
        try:
            yield opened
        finally:
            opened.store.close()

    def add(self, *names: str, after: str = "") -> list[int]:
        """Add a coffee with each of them, as somebody who has no daemon here; give the numbers of the thanks."""
        with self.world() as opened:
            facts = {"kind": "coffee", "details": ["why you left Rust"], **({"after": after} if after else {})}
            whom = [(name, f"{name.lower().replace(' ', '.')}@example.com") for name in names]
            added = [opened.call("add", {"who": name, "email": email, **facts}) for name, email in whom]
        return [int(one["thanks"][0]["id"]) for one in added]

    def add_many(self, count: int) -> list[int]:
        """Add so many at once."""
        lines = [{"line": number, "name": f"Person N{number}", "email": f"p{number}@example.com", "kind": "coffee",
                  "detail": "why you left Rust"} for number in range(1, count + 1)]  # fmt: skip
        with self.world() as opened:
            added = opened.call("add_many", {"lines": lines})["thanks"]
        return [int(one["id"]) for one in added]

    def prepare(self, count: int) -> Prepared:
        """Add so many and have their letters ready: with no daemon there yet, as each change wakes them all."""
        with self.world() as opened:
            ready = [(number, opened.call("prepare", {"ref": str(number), "at_once": True})["prepared"]["sha256"])
                     for number in self.add_many(count)]  # fmt: skip
        return [{"thanks": number, "sha256": sha256} for number, sha256 in ready]

    def confirm(self, letters: Prepared) -> None:
        """Let letters that are ready leave at once."""
        with self.world() as opened:
            opened.call("confirm", {"letters": letters, "at_once": True})

    def writes(self, *names: str) -> list[int]:
        """Add somebody and confirm their letter."""
        numbers = self.add(*names)
        with self.world() as opened:
            confirm(opened, *numbers)
        return numbers

    @contextmanager
    def daemon(self, environ: Mapping[str, str] | None = None) -> Iterator[Daemon]:
        """Run its daemon until the block ends."""
        running = self.begin(environ)
        try:
            yield running
        finally:
            self.end(running)

    def begin(self, environ: Mapping[str, str] | None = None) -> Daemon:
        """Start its daemon, and wait until it works."""
        log = self.home / f"daemon-{time.monotonic_ns()}.log"
        given = {**self.environ, **(environ or {})}
        with log.open("wb") as said:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said, "env": given}
            if self._before:
                tied = ["setpriv", "--pdeathsig", "KILL", *self._before, str(SCRIPT), "run"]
                process = subprocess.Popen(tied, **streams)
            else:
                process = Program([SCRIPT, "run"], is_tied=True, **streams)
        running = Daemon(process, log)
        wait_for(lambda: "is running" in running.log or process.poll() is not None, DEADLINE * 3)
        assert process.poll() is None, running.log
        return running

    @staticmethod
    def kill(running: Daemon) -> None:
        """End it by SIGKILL."""
        running.process.kill()
        running.process.wait(DEADLINE)

    @staticmethod
    def end(running: Daemon) -> None:
        """End a daemon that may be dead already."""
        if running.process.poll() is None:
            running.process.terminate()
        try:
            running.process.wait(DEADLINE)
        finally:
            running.process.kill()
            running.process.wait()


class Team:
    """One shared ledger in a new database, the installations on it, and the mail servers that count."""

    def __init__(self, server: Server, folder: Path, store: str = "") -> None:
        self.server, self._folder = server, folder
        self.store = store or server.new_database()
        self.database = re.split(r"[/?]", self.store.partition("://")[2])[1]
        self.sinks: list[Sink] = []

    def seat(
        self,
        mail: MailServer,
        me: str = SAM,
        *,
        also_for: str = '["*"]',
        channels: str = '["terminal"]',
        host: Host | None = None,
        alone: bool = False,
    ) -> Seat:
        """Make one more installation."""
        if isinstance(mail, Sink) and mail not in self.sinks:
            self.sinks.append(mail)
        name = me.partition("@")[0].title() + " Lee"
        text = _CONFIG.format(
            name=name,
            me=me,
            also_for=also_for,
            channels=channels,
            address=mail.address,
            port=mail.port,
            # In the clear a letter goes to this very machine alone.
            security="none" if mail.address == "127.0.0.1" else "tls",
        )
        return Seat(self._folder / f"h{next(_HOMES)}", self.store, text, host=host, alone=alone)

    def dump(self) -> bytes:
        """Give a dump of the ledger, which makes its tables anew where they are there."""
        return self._program("pg_dump", "--clean", "--if-exists")

    def put_back(self, dump: bytes) -> None:
        """Put a dump into this database."""
        self._program("psql", "--quiet", stdin=dump)

    def _program(self, name: str, *words: str, stdin: bytes = b"") -> bytes:
        where = ["-h", str(self.server.folder), "-p", str(self.server.port), "-U", "postgres", "-d", self.database]
        program = str(self.server.build.programs / name)
        return subprocess.run([program, *where, *words], input=stdin, capture_output=True, check=True).stdout

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Look into the ledger, as any other program would."""
        with self.server.connect(self.database) as connection:
            connection.row_factory = dict_row
            return list(connection.execute(statement.encode(), values or None))

    def states(self) -> Counter[str]:
        """Give how many letters are in which state."""
        return Counter(str(row["state"]) for row in self.rows("SELECT state FROM letter"))

    def is_done(self) -> bool:
        """Say whether no letter waits any more or is on its way."""
        return not self.states().keys() - {"sent", "held"}

    def is_in(self, phase: str) -> bool:
        """Say whether a letter is on its way in this phase."""
        return bool(self.rows("SELECT 1 FROM letter WHERE state = 'sending' AND phase = %s", phase))

    def deliveries(self) -> Counter[str]:
        """Give how often the servers took each letter to its end, by Message-ID."""
        return deliveries(self.sinks)

    def check(self, where: str = "") -> Counter[str]:
        """Check what must be so once all is done, and that a fresh start changes nothing; give how many ended how."""
        endings = self._endings(where)
        with self.seat(self.sinks[0]).world() as opened:
            assert opened.call("dispatch", {}) == {"letters": 0}, where
        assert self._endings(where) == endings
        return endings

    def _endings(self, where: str) -> Counter[str]:
        thanks, letters = map(self.rows, ("SELECT * FROM thanks ORDER BY id", "SELECT * FROM letter ORDER BY id"))
        endings = settled(thanks, letters, self.deliveries(), where)
        assert self.rows("SELECT * FROM attempt WHERE ended_at IS NULL") == [], where
        return endings
