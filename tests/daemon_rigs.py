"""The real `thanksd run` as a process of its own, its ledger looked into, and a world with a clock of ours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cli_rigs import config_file, configure, store_file
from program_rigs import Program

from thanksd import config, paths, verbs
from thanksd.client import Client
from thanksd.database import open_store
from thanksd.verbs.context import Context

SCRIPT = str(Path(sys.executable).parent / "thanksd")
DEADLINE = 60.0


def wait_for(happened: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait until something happened, and give what it came to; or fail."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def store_url() -> str:
    return paths.store_url(str(store_file()))


def client(*, lines_wanted: bool = False) -> Client:
    """A client as the command line makes one."""
    return Client(store_url(), str(config_file()), lines_wanted=lines_wanted)


def socket_path() -> Path:
    return paths.socket_file(store_url())


def add(name: str = "Ada Lovelace", after: str = "1h", **params: Any) -> int:
    """Add a coffee with somebody, and give the thanks' number; their address is ada@example.com."""
    email = f"{name.split(maxsplit=1)[0].lower()}@example.com"
    params = {"kind": "coffee", "details": ["why you left Rust"]} | params
    found = client().call("add", who=f"{name} {email}", after=after, **params)
    return int(found["thanks"][0]["id"])


def confirm(thanks: int) -> None:
    """Confirm a thanks' letter; without an undo window it may leave at once."""
    prepared = client().call("prepare", ref=str(thanks))["prepared"]
    client().call("confirm", letters=[{"thanks": thanks, "sha256": prepared["sha256"]}])


class Daemon:
    """A running daemon."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and give its exit code."""
        self.kill(number)
        return self.process.wait(DEADLINE)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it as a hung machine would."""
        self.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(signal.SIGCONT)


# The same program with a clock that ticks each second, and as short a pause after a popup that failed: a test can't wait
# for half a minute.
_QUICK = (
    "import sys; from thanksd import daemon, health; daemon.TICK, health.FIRST_PAUSE = 1, 1.0\n"
    "from thanksd.cli import main; sys.exit(main())"
)


def _absence(seconds: tuple[float, float] | None) -> str:
    return f"from thanksd import absence; absence.AWAY, absence.SETTLE = {seconds}\n" if seconds else ""


@contextmanager
def daemon(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    ready: bool = True,
    quick: bool = False,
    absence: tuple[float, float] | None = None,
    copies: bool = False,
) -> Iterator[Daemon]:
    """Run the daemon until the block ends; with `ready` it answers on its socket when the block begins.

    With `quick` its clock ticks each second instead of each half minute; `absence` are the seconds that are an absence
    and those that popups wait after one, for the quick one; with `copies` it keeps one of the ledger at once.
    """
    log = Path(os.environ["HOME"]) / f"daemon-{time.monotonic_ns()}.log"
    at_once = "from thanksd import copier; copier.SETTLE = 0.0\n" if copies else ""
    with log.open("wb") as said:
        process = Program(
            [SCRIPT, "run", *arguments],
            source=at_once + _absence(absence) + _QUICK if quick else "",
            is_tied=True,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    running = Daemon(process, log)
    try:
        if ready:
            wait_for(lambda: process.poll() is not None or answers())
            assert process.poll() is None, running.log
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()
            process.wait()


def answers() -> bool:
    """Say whether a daemon answers on the socket."""
    return client().ask_status() is not None


def query(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Look into the ledger."""
    connection = sqlite3.connect(f"file:{store_file()}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def value(statement: str, *values: object) -> Any:
    """Give one value of the ledger."""
    return query(statement, *values)[0][0]


SETTINGS = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "maildir"
[transport.maildir]
path = "{mail}"
[nudge]
channels = {channels}
quiet_hours = "{quiet}"
review = "terminal"
terminal = "{terminal}"
[send]
undo = "{undo}"
"""


def settings(
    *, channels: str = '["desktop", "terminal"]', quiet: str = "", terminal: str = "auto", undo: str = "0s"
) -> Path:
    """Write a config with a Maildir, and give that folder."""
    mail = Path(os.environ["HOME"]) / "mail"
    configure(SETTINGS.format(mail=mail, channels=channels, quiet=quiet, terminal=terminal, undo=undo))
    return mail


@cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.db"
        open_store(f"sqlite:///{file}").close()
        return file.read_bytes()


class Ledger:
    """The verbs, called at a moment of ours: Wednesday 12 March 2025, 10:00 in Berlin, and on."""

    def __init__(self, file: Path, **nudge: Any) -> None:
        self.now = datetime(2025, 3, 12, 9, tzinfo=UTC)
        file.write_bytes(_empty_ledger())
        self.store = open_store(f"sqlite:///{file}")
        self._config = config.Config(
            me=config.Me(name="Sam Lee", email="sam@example.org"),
            transport=config.Transport(kind="maildir", maildir=config.Maildir(path="/nowhere")),
            nudge=config.Nudge(**nudge),
        )

    def call(self, verb: str, **params: Any) -> dict[str, Any]:
        context = Context(
            store=self.store,
            config=self._config,
            templates=Path("/nowhere"),
            zone="Europe/Berlin",
            clock=lambda: self.now,
        )
        return verbs.call(verb, context, params)

    def add(self, name: str, **params: Any) -> int:
        params = {"kind": "coffee", "after": "1s", "details": ["why you left Rust"]} | params
        found = self.call("add", who=name, **params)
        return int(found["thanks"][0]["id"])

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def due(self, channel: str = "desktop") -> list[dict[str, Any]]:
        """Claim what is due."""
        found: list[dict[str, Any]] = self.call("due_nudges", channel=channel)["nudges"]
        return found

    def show(self, popup_id: int, server: str = ":1.1") -> list[dict[str, Any]]:
        """Show what is due, in popups numbered from `popup_id`."""
        found = self.due()
        for number, nudge in enumerate(found, popup_id):
            self.call("nudges_shown", ids=nudge["ids"], popup_id=number, server=server)
        return found

    def state(self, thanks: int) -> str:
        return str(self.call("show", ref=str(thanks))["thanks"][0]["state"])

    def popup_at(self, thanks: int) -> datetime:
        """Give when the next popup may come."""
        with self.store.read() as connection:
            row = connection.exec_driver_sql("SELECT popup_at FROM thanks WHERE id = ?", (thanks,)).scalar_one()
        return datetime.fromisoformat(str(row)).replace(tzinfo=UTC)
