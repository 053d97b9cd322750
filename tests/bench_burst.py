"""make bench ARGS=burst: many letters at once, against what the promise costs by hand, msmtp and bare smtplib.

All of one round use the same smtp-sink, on a CPU of its own, and take turns. make bench ARGS=due: many thanks due at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import smtplib
import socket
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import parts
from bench_rigs import PYTHON, Place, verdict

ROUNDS = 3
# Letters through the slow line, and by a process each: enough for a rate.
FEW = 200
# Half a round trip of 20 ms.
ONE_WAY = 0.010

LETTER = (
    "From: Sam Lee <sam@example.org>\r\nTo: Ada Number{i} <a{i}@example.com>\r\nSubject: Thank you for Tuesday\r\n"
    "Date: Tue, 10 Mar 2026 12:00:00 +0100\r\nMessage-ID: <{i}.thanks@example.org>\r\nX-Thanksd-Id: u{i}\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    "Dear Ada,\r\n\r\n"
    + "thank you for taking the time on Tuesday, and for what you said.\r\n" * 12
    + "\r\nSam Lee\r\n"
)

_CONFIRM = """
UPDATE thanks SET state = 'confirmed', closed_at = NULL, popup_at = NULL;
INSERT INTO letter (id, thanks_id, sender, "to", subject, raw, sha256, message_id, state, reason, phase, owner, attempts,
 confirmed_at, send_after, leaves_at, server_reply, copy)
VALUES (:i, :i, 'sam@example.org', 'a' || :i || '@example.com', 'Thank you', :raw, '', '<' || :i || '.thanks@example.org>',
 'queued', '', 'pre', '', 0, :now, :now, :now, '', '')
"""


class Burst(Place):
    """A ledger with so many letters confirmed, that leave as soon as a daemon runs."""

    def __init__(self, folder: Path, letters: int, port: int, connections: int = 1) -> None:
        super().__init__(folder)
        self.letters = letters
        config = folder / ".config" / "thanksd" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n[nudge]\nchannels = ["terminal"]\n[transport]\n'
            f'kind = "smtp"\n[transport.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nauth = "none"\n'
            f"connections = {connections}\n"
        )
        self.fill(letters, letters)
        self._confirm()

    def _confirm(self) -> None:
        update, insert = _CONFIRM.split(";", 1)
        now = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime())
        with contextlib.closing(sqlite3.connect(self.store)) as db, db:
            db.execute(update)
            letters = ({"i": i, "raw": LETTER.format(i=i).encode(), "now": now} for i in range(1, self.letters + 1))
            db.executemany(insert, letters)

    def send(self) -> tuple[float, float]:
        """Let a daemon carry them all; give the seconds between the first and the last, and its largest memory in MiB."""
        with self.daemon() as pid:
            while self._row("SELECT count(*) FROM letter WHERE settled_at IS NULL") != (0,):
                time.sleep(0.2)
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        once = self._row("SELECT count(*) FROM letter WHERE state = 'sent' AND attempts = 1")
        assert once == (self.letters,), once
        (seconds,) = self._row("SELECT (julianday(max(sent_at)) - julianday(min(sent_at))) * 86400 FROM letter")
        return seconds, int(status.split("VmHWM:")[1].split()[0]) / 1024

    def _row(self, query: str) -> tuple[Any, ...]:
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=60)) as db:
            row: tuple[Any, ...] = db.execute(query).fetchone()
            return row


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """Run Postfix's smtp-sink on the last CPU we may use, and give its port."""
    program, port = parts.find("smtp-sink"), _free_port()
    assert program, "smtp-sink comes with Postfix: make parts"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([program, *user, f"127.0.0.1:{port}", "100"], stderr=subprocess.DEVNULL) as child:
        try:
            os.sched_setaffinity(child.pid, {max(os.sched_getaffinity(0))})
            _until_it_listens(port)
            yield port
        finally:
            child.terminate()


def _until_it_listens(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)


def floor(folder: Path, letters: int, port: int) -> float:
    """Give the letters a second of a loop that does only what the promise needs, one durable commit before each dot.

    That commit settles the letter before, and the store has our journal mode and synchronous.
    """
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;")
        db.execute("CREATE TABLE letter (id INTEGER PRIMARY KEY, state TEXT, raw BLOB)")
        db.execute("BEGIN")
        rows = ((i, LETTER.format(i=i).encode()) for i in range(1, letters + 1))
        db.executemany("INSERT INTO letter VALUES (?, 'queued', ?)", rows)
        db.execute("COMMIT")
        with smtplib.SMTP("127.0.0.1", port) as session:
            assert session.sock
            session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session.ehlo()
            began = time.monotonic()
            for number in range(1, letters + 1):
                _carry(db, session, number)
            db.execute("UPDATE letter SET state = 'sent' WHERE id = ?", (letters,))
            return letters / (time.monotonic() - began)


def _carry(db: sqlite3.Connection, session: smtplib.SMTP, number: int) -> None:
    (raw,) = db.execute("SELECT raw FROM letter WHERE id = ?", (number,)).fetchone()
    session.docmd("MAIL FROM:<sam@example.org>")
    session.docmd(f"RCPT TO:<a{number}@example.com>")
    session.docmd("DATA")
    session.send(raw)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE letter SET state = 'sent' WHERE id = ?", (number - 1,))
    db.execute("UPDATE letter SET state = 'dot' WHERE id = ?", (number,))
    db.execute("COMMIT")
    session.send(b".\r\n")
    code, _ = session.getreply()
    assert code == 250, code


def msmtp(letters: int, port: int) -> float:
    """Give the letters a second of msmtp, a process each, as msmtpq and cron jobs start it; it keeps nothing on disk."""
    words = [str(parts.find("msmtp")), "--host=127.0.0.1", f"--port={port}", "--from=sam@example.org"]
    began = time.monotonic()
    for number in range(letters):
        raw = LETTER.format(i=number).encode()
        subprocess.run([*words, f"a{number}@example.com"], input=raw, check=True)
    return letters / (time.monotonic() - began)


def bare(letters: int, port: int) -> float:
    """Give the letters a second of smtplib's sendmail on one connection, that keeps nothing anywhere."""
    with smtplib.SMTP("127.0.0.1", port) as session:
        session.ehlo()
        began = time.monotonic()
        for number in range(letters):
            session.sendmail("sam@example.org", f"a{number}@example.com", LETTER.format(i=number))
        return letters / (time.monotonic() - began)


@contextlib.contextmanager
def slow_line(port: int) -> Iterator[int]:
    """Run a relay that holds each byte for ONE_WAY seconds in each direction, and give its port."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=lambda: asyncio.run(_relay(port, theirs.send)), daemon=True)
    child.start()
    try:
        yield int(ours.recv())
    finally:
        child.terminate()
        child.join()


async def _relay(port: int, tell: Callable[[int], None]) -> None:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_hold(reader, far_writer), _hold(far_reader, writer))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(ONE_WAY, writer.write, data)
    loop.call_later(ONE_WAY, writer.close)


class Rates:
    """Letters a second of each way, a value a round."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}

    def add(self, name: str, rate: float) -> None:
        self.of.setdefault(name, []).append(rate)

    def tell(self, one: str, other: str, least: float = 0) -> None:
        """Print a ratio, and whether it is met; with no `least` nothing is asked of it."""
        ours, theirs = statistics.median(self.of[one]), statistics.median(self.of[other])
        judged = f"least {least:.2f}   {verdict(is_met=ours >= least * theirs)}" if least else "(no limit)"
        print(f"{one + ' / ' + other:<58} {ours / theirs:5.2f}   {judged}", flush=True)
        print(f"    {ours:,.0f} and {theirs:,.0f} letters a second", flush=True)


def burst(folder: Path, letters: int) -> None:
    """Carry 10,000 confirmed letters to smtp-sink, at no distance and over a line of 20 ms."""
    rates, memory, grown = Rates(), [], []
    with sink() as port, slow_line(port) as far:
        for number in range(ROUNDS):
            place = Burst(folder / f"burst{number}", letters, port)
            before = place.store.stat().st_size
            seconds, most = place.send()
            rates.add("thanksd", (letters - 1) / seconds)
            memory.append(most)
            grown.append((place.store.stat().st_size - before) / letters)
            rates.add("floor by hand", floor(folder / f"floor{number}", letters, port))
            if parts.find("msmtp"):
                rates.add("msmtp", msmtp(FEW, port))
            _far(rates, folder, number, far)
            shutil.rmtree(place.folder)
    rates.tell("thanksd", "floor by hand", 0.6)
    if parts.find("msmtp"):
        rates.tell("thanksd", "msmtp", 15)
    else:
        print("msmtp is not installed, and its row is left out")
    rates.tell("thanksd at 20 ms", "smtplib at 20 ms", 0.9)
    rates.tell("thanksd at 20 ms, 4 connections, each", "smtplib at 20 ms", 0.9)
    most = max(memory)
    print(f"{'memory of the daemon through it':<58} {most:5.0f}   limit 96 MiB   {verdict(is_met=most < 96)}")
    print(f"the ledger grew by {max(grown):,.0f} bytes a letter in sending it; a letter has {len(LETTER):,} bytes")


def _far(rates: Rates, folder: Path, number: int, port: int) -> None:
    for connections, name in ((1, "thanksd at 20 ms"), (4, "thanksd at 20 ms, 4 connections, each")):
        letters = FEW * connections
        place = Burst(folder / f"far{number}-{connections}", letters, port, connections)
        seconds, _ = place.send()
        rates.add(name, (letters - 1) / seconds / connections)
    rates.add("smtplib at 20 ms", bare(FEW, port))


_DUE = "UPDATE thanks SET popup_at = '2025-01-01 00:00:00.000000', nudge_at = '2025-01-01 00:00:00.000000'"

# The first one, of nothing, loads what is needed; midday is in nobody's quiet hours.
_CLAIM = """
import json, sqlite3, sys, time
from dataclasses import replace
from datetime import UTC, datetime
from thanksd import paths, verbs
from thanksd.world import World
world = World(paths.store_url(sys.argv[1]), sys.argv[1] + ".toml")
context = replace(world.context(), clock=lambda: datetime(2025, 1, 7, 12, tzinfo=UTC))
claim = lambda: verbs.call("due_nudges", context, {"channel": "desktop", "together": True})["nudges"]
claim()
with sqlite3.connect(sys.argv[1]) as db:
    db.execute(sys.argv[2])
db.close()
before = time.process_time()
nudges = claim()
print(json.dumps([time.process_time() - before, [len(nudge["ids"]) for nudge in nudges]]))
"""


def due(folder: Path, count: int) -> None:
    """Let 10,000 thanks fall due at once: one digest."""
    cost = []
    for number in range(ROUNDS):
        place = Place(folder / f"due{number}")
        place.fill(count, count)
        words = [PYTHON, "-c", _CLAIM, str(place.store), _DUE]
        told = subprocess.run(words, env=place.environ, check=True, capture_output=True, text=True).stdout
        seconds, digests = json.loads(told)
        assert digests == [count], digests
        cost.append(seconds / count * 1e6)
    each = statistics.median(cost)
    name = f"{count:,} thanks due at once, one digest, each"
    print(f"{name:<58} {each:5.1f}   limit 60 us CPU   {verdict(is_met=each <= 60)}", flush=True)
