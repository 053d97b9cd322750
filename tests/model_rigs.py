"""A world for the model: real verbs on a real ledger, programs that may die at any step, and a server that counts.

Nothing of the product is stood in for but the far side of the line: `deliver` of the transports, whose answers the
model chooses, and which processes are alive. Workers run in threads, one at a time: each stops where the model may
let something else happen first.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeAlias

import postgres_rigs
import pytest
import shared_rigs
from sqlalchemy import select, text
from store_rigs import ME, Clock, new_store

from thanksd import states, verbs
from thanksd.addresses import fold
from thanksd.config import Config, Nudge, Send, Smtp, Transport
from thanksd.database import open_store
from thanksd.errors import ConfigError, TryLaterError
from thanksd.models import Base
from thanksd.rows import AnySelect
from thanksd.store import Store
from thanksd.transports import DROPPED, GREYLISTED, LOST_LEASE, NO_NETWORK, Carrier, Envelope, OnDot, OnWait, Outcome
from thanksd.verbs import carrying, sending
from thanksd.verbs.context import Context

Rows: TypeAlias = dict[str, list[dict[str, Any]]]


class DiedError(BaseException):
    """The program was killed here: nothing after this line happens."""


def memory() -> str | None:
    """Give a folder in memory, where there is one: nothing here is about a power cut, and each commit is waited for."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# --- the ledger ---


class Place(Protocol):
    """Where the ledger of one run lies."""

    def open(self) -> Store:
        """Give a store on it, another one each time, as each program has its own."""

    def check(self) -> None:
        """Assert that it is sound."""

    def copy(self) -> bytes | None:
        """Give the ledger as a file that can be put back; None where it is none."""

    def put_back(self, data: bytes) -> None:
        """Put such a file in its place."""


class File:
    """A ledger that is an SQLite file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger" / "thanksd.db"
        new_store(self._path).close()

    def open(self) -> Store:
        return open_store(f"sqlite:///{self._path}", keep_connections=True)

    def check(self) -> None:
        store = self.open()
        with store.read() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        store.close()

    def copy(self) -> bytes:
        return self._path.read_bytes()

    def put_back(self, data: bytes) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(data)
        new.chmod(0o600)
        new.replace(self._path)


@cache
def _of_each() -> dict[str, AnySelect]:
    # After every step: building the statements costs more than asking.
    return {table.name: select(table).order_by(*table.primary_key) for table in Base.metadata.sorted_tables}


def read_all(store: Store) -> Rows:
    """Give everything the ledger holds, as of one moment."""
    with store.read() as connection:
        return {name: [dict(row) for row in connection.execute(query).mappings()] for name, query in _of_each().items()}


class Shared:
    """A ledger that a server keeps, emptied for each run."""

    def __init__(self, server: postgres_rigs.Server, url: str) -> None:
        self._server, self._url = server, url
        shared_rigs.empty(server, url)

    def open(self) -> Store:
        return shared_rigs.open_shared(self._url)

    def check(self) -> None:
        """Nothing but its rows is ours to look at."""

    def copy(self) -> None:
        """It is no file."""

    def put_back(self, data: bytes) -> None:
        raise AssertionError(f"there was no copy to put back, and here are {len(data)} bytes")


# --- programs ---


class Owner(NamedTuple):
    """One of those who share a ledger: their address as they write it, whose letters they carry too, their state folder."""

    email: str
    also_for: tuple[str, ...]
    home: str

    def config(self, config: Config) -> Config:
        """Give the settings as theirs."""
        me = replace(config.me, email=self.email)
        return replace(config, me=me, send=replace(config.send, also_for=self.also_for))


class Life:
    """A program's life. With a `doom` it dies at that step: right before or right after a commit."""

    doom = 0

    def step(self) -> None:
        self.doom -= 1
        if self.doom == 0:
            raise DiedError


def _mortal(store: Store, life: Life) -> Store:
    write = store.write

    @contextmanager
    def written(**how: bool) -> Iterator[Any]:
        with write(**how) as connection:
            yield connection
            life.step()
        life.step()

    vars(store)["write"] = written
    return store


class Program:
    """One running program: its own store, and a life that may end. An `owner` has an installation of their own."""

    def __init__(self, world: World, owner: Owner | None = None) -> None:
        self.life = Life()
        self._home = owner.home if owner is not None else ""
        self.enter()
        self.store = _mortal(world.place.open(), self.life)
        config = owner.config(world.config) if owner is not None else world.config
        self.context = Context(
            store=self.store, config=config, templates=world.folder, zone=world.zone, clock=world.clock
        )

    def enter(self) -> None:
        """Be the program that runs: what an installation remembers is below a folder of its own."""
        if self._home:
            os.environ["XDG_STATE_HOME"] = self._home

    def __call__(self, verb: str, **params: object) -> dict[str, Any]:
        self.enter()
        return verbs.call(verb, self.context, params)

    def close(self) -> None:
        self.store.close()


# --- the far side ---


class Plan(NamedTuple):
    """How one try goes: what the transport gives, whether it comes to the dot, and whether the server took it then."""

    outcome: Outcome | Exception
    dot: bool
    took: bool


_ACCEPTED = Outcome(states.ACCEPTED, "250 2.0.0 queued", 250, "")
_UNKNOWN = Outcome(states.UNKNOWN, "No answer to the letter", None, DROPPED)
_LATER, _NO = states.NOT_NOW, states.REJECTED
PLANS = {
    "accepted": Plan(_ACCEPTED, dot=True, took=True),
    "greylisted": Plan(Outcome(_LATER, "451 greylisted", 451, GREYLISTED), dot=False, took=False),
    "full": Plan(Outcome(_LATER, "452 no room", 452, "busy"), dot=False, took=False),
    "not now at the dot": Plan(Outcome(_LATER, "451 not now", 451, "busy"), dot=True, took=False),
    "no network": Plan(Outcome(_LATER, "no route", None, NO_NETWORK), dot=False, took=False),
    "rejected": Plan(Outcome(_NO, "552 too big", 552, ""), dot=False, took=False),
    "rejected at the dot": Plan(Outcome(_NO, "554 5.7.1 spam", 554, ""), dot=True, took=False),
    "no such address": Plan(Outcome(_NO, "550 5.1.1 nobody", 550, states.ADDRESS), dot=False, took=False),
    "unknown, arrived": Plan(_UNKNOWN, dot=True, took=True),
    "unknown, lost": Plan(_UNKNOWN, dot=True, took=False),
    "no login": Plan(Outcome(_LATER, "535 5.7.8 wrong", 535, states.CREDENTIALS), dot=False, took=False),
    "no password": Plan(Outcome(_LATER, "the keyring is locked", None, states.PASSWORD), dot=False, took=False),
    "bad settings": Plan(ConfigError("There is no server."), dot=False, took=False),
    "busy store": Plan(TryLaterError("The disk is full."), dot=False, took=False),
    "a fault of ours": Plan(RuntimeError("a fault of ours"), dot=False, took=False),
}
_LOST = Outcome(states.NOT_NOW, "", None, LOST_LEASE)


class Server:
    """What arrived, by Message-ID: letters at their recipients, copies at their sender, and the sha256 of the bytes."""

    def __init__(self) -> None:
        self.letters: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.sha256: dict[str, set[str]] = {}

    def take(self, envelope: Envelope) -> None:
        box = self.copies if envelope.recipient == envelope.sender else self.letters
        box[envelope.message_id] += 1
        self.sha256.setdefault(envelope.message_id, set()).add(hashlib.sha256(envelope.raw).hexdigest())


# --- workers ---

# Where a worker may stop: it has a letter in hand, the dot is about to leave, the answer has come.
IN_HAND, AT_DOT, ANSWERED = "in hand", "at the dot", "answered"


class _Order(NamedTuple):
    """What the model tells a worker that stopped: how its try goes and where to stop next, or that it dies there."""

    plan: Plan
    stop_at: str = ""
    dies: bool = False
    dot_left: bool = False


class Worker:
    """A program that carries letters. `at` is where it stopped, empty while it does nothing."""

    def __init__(self, world: World, name: str, owner: Owner | None = None) -> None:
        self._world, self.name, self.at = world, name, ""
        self.program = Program(world, owner)
        self.fault: BaseException | None = None
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._told: SimpleQueue[str] = SimpleQueue()
        self._order = _Order(PLANS["accepted"])

    def start(self, doom: int = 0) -> None:
        """Begin to carry letters, up to the first one in hand; with a `doom` it dies at that step of its ledger."""
        self.fault, self.program.life.doom = None, doom
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()

    def go_on(self, plan: Plan, stop_at: str = "") -> None:
        """Go on up to `stop_at`, or to the next letter in hand, or to the end."""
        self._orders.put(_Order(plan, stop_at))
        self._wait()

    def die(self, *, dot_left: bool) -> None:
        """Be killed where it stopped; at the dot it may just have left."""
        self._orders.put(_Order(self._order.plan, dies=True, dot_left=dot_left))
        self._wait()

    def is_dead(self) -> bool:
        return isinstance(self.fault, DiedError)

    def deliver(self, envelope: Envelope, on_dot: Callable[[], bool]) -> Outcome:
        """Stand at the far end of the product's own `deliver`."""
        writers = self.program.context.writers
        assert writers is None or fold(envelope.sender) in writers, "letters leave where their writer's may"
        plan = self._stop(IN_HAND, envelope).plan
        if isinstance(plan.outcome, Exception):
            raise plan.outcome
        if not plan.dot:
            return plan.outcome
        if not on_dot():
            return _LOST
        if self._order.stop_at == AT_DOT:
            self._stop(AT_DOT, envelope, plan)
        if plan.took:
            self._world.server.take(envelope)
        if self._order.stop_at == ANSWERED:
            self._stop(ANSWERED, envelope, plan)
        return plan.outcome

    def _stop(self, where: str, envelope: Envelope, plan: Plan | None = None) -> _Order:
        self._told.put(where)
        order = self._orders.get()
        self.program.enter()
        self._order = order if plan is None else order._replace(plan=plan)
        if order.dies:
            if where == AT_DOT and order.dot_left:
                self._world.server.take(envelope)
            raise DiedError
        return self._order

    def _run(self) -> None:
        _HERE.worker = self
        try:
            self.program("dispatch")
        except BaseException as error:  # noqa: BLE001  looked at by the test, in its own thread
            self.fault = error
        self._told.put("")

    def _wait(self) -> None:
        self.at = self._told.get(timeout=60)
        if not self.at:
            self._thread.join(60)


_HERE = threading.local()


def fit_line(monkeypatch: pytest.MonkeyPatch, dead: set[str]) -> None:
    """Put the model at the far end of the line, and let it say which programs are dead. The one place that knows how.

    A store that refuses to be written is asked again after a second each; nobody waits for it here.
    """

    def deliver(_carrier: Carrier, envelope: Envelope, on_dot: OnDot, _on_wait: OnWait = bool) -> Outcome:
        worker: Worker = _HERE.worker
        return worker.deliver(envelope, on_dot)

    monkeypatch.setattr(Carrier, "deliver", deliver)
    monkeypatch.setattr(carrying, "owner", lambda: _HERE.worker.name)
    monkeypatch.setattr(sending, "is_surely_dead", dead.__contains__)
    here = SimpleNamespace(sleep=lambda _seconds: None, monotonic=time.monotonic)
    monkeypatch.setattr(carrying, "time", here)


class World:
    """Everything around the verbs: the ledger, the clock, the settings, the server, and who is dead."""

    def __init__(self, place: Place, folder: Path, zone: str, *, quiet: str, weekdays: bool, undo: str) -> None:
        self.place, self.folder, self.zone = place, folder, zone
        self.clock = Clock()
        self.server = Server()
        self.dead: set[str] = set()
        self.config = Config(
            me=ME,
            transport=Transport(kind="smtp", smtp=Smtp(host="127.0.0.1", security="none", auth="none")),
            nudge=Nudge(quiet_hours=quiet, weekdays_only=weekdays, ask="fri 16:00"),
            send=Send(undo=undo, copy="self"),
        )

    @property
    def now(self) -> datetime:
        return self.clock.moment
