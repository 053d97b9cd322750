"""make bench ARGS=team: one ledger on a PostgreSQL server, carried by one, two, four and eight daemons.

Server, sink, line and daemons share this machine's cores, so letters leave over the slow line of bench_burst: a daemon
waits for its provider most of the time, as in life. Beside each row stands how busy the cores were: where they had
nothing left to give, a row judges no longer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
from bench_burst import LETTER, ONE_WAY, ROUNDS, Rates, sink, slow_line
from bench_rigs import Home, cpu_of, verdict
from postgres_rigs import Server, builds, server

DAEMONS = (1, 2, 4, 8)
# For each daemon over the slow line, some twelve seconds; and for one at no distance.
LETTERS = 160
NEAR = 500
# Of as many times one, as long as less than this part of the cores' time was taken, by anybody.
LEAST = 0.8
BUSY = 0.85
TRIP = f"{ONE_WAY * 2000:.0f} ms"

_CONFIG = """
[me]
name = "Sam Lee"
email = "sam@example.org"
[nudge]
channels = ["terminal"]
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
auth = "none"
"""

# Thanks that nobody is reminded of, and a letter of each that may leave now; told of as another installation would.
_FILL = """
WITH met AS (INSERT INTO person (name, name_key, email, email_key, seniority, created_at)
 SELECT 'Ada Number' || i, 'ada number' || i, 'a' || i || '@example.com', 'a' || i || '@example.com', 'peer', {now}
 FROM generate_series(1, {letters}) i RETURNING id),
at AS (INSERT INTO meeting (kind, at, tz, day, place, about) SELECT 'coffee', {now}, 'UTC', '2025-01-01', '', ''
 RETURNING id),
owed AS (INSERT INTO thanks (uid, person_id, meeting_id, state, details, nudge_at, due_by, outright, created_at,
 changed_at, owner)
 SELECT 'u' || met.id, met.id, at.id, 'confirmed', '[]', {now}, {now}, false, {now}, {now}, 'sam@example.org'
 FROM met, at RETURNING id)
INSERT INTO letter (thanks_id, sender, "to", subject, raw, sha256, message_id, state, reason, phase, owner, attempts,
 confirmed_at, send_after, leaves_at, server_reply, writer)
SELECT id, 'sam@example.org', 'a' || id || '@example.com', 'Thank you', convert_to(replace(%s, '{{i}}', id::text), 'UTF8'),
 '', '<' || id || '.thanks@example.org>', 'queued', '', 'pre', '', 0, {now}, {now}, {now}, '', 'sam@example.org' FROM owed
"""


class Busy(NamedTuple):
    """How far the cores were used up to a moment, and by whom: seconds."""

    at: float
    all: float
    daemons: float
    server: float

    def since(self, other: Busy) -> Busy:
        return Busy(*(one - before for one, before in zip(self, other, strict=True)))

    @property
    def share(self) -> float:
        """The part of our cores' time that anything took, ours or not."""
        return self.all / self.at / len(os.sched_getaffinity(0))


def _busy(pids: list[int], kept: Server) -> Busy:
    family = _children(kept)
    return Busy(time.monotonic(), _all_cores(), sum(map(cpu_of, pids)), sum(map(cpu_of, family)))


def _children(kept: Server) -> list[int]:
    assert kept.process is not None
    pid = kept.process.pid
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())]


def _all_cores() -> float:
    """Give the seconds in which our cores were not idle: proc(5), stat; idle and iowait are the fourth and fifth."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = (line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines())
    ticks = [list(map(int, words[1:9])) for words in lines if words[0] in ours]
    return sum(sum(one) - one[3] - one[4] for one in ticks) / os.sysconf("SC_CLK_TCK")


class Team:
    """An empty ledger on a server, and the homes of those who share it, each an installation of its own."""

    def __init__(self, folder: Path, kept: Server, count: int, port: int) -> None:
        self._server = kept
        self.url = kept.new_database()
        self._name = self.url.partition("?")[0].rpartition("/")[2]
        self.homes = [self._home(folder / f"{self._name}-{number}", port) for number in range(count)]

    def _home(self, folder: Path, port: int) -> Home:
        config = folder / ".config" / "thanksd" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(_CONFIG.format(port=port), encoding="utf-8")
        return Home(folder, self.url)

    @contextlib.contextmanager
    def daemons(self) -> Iterator[list[int]]:
        """Run all of them; gives their pids when they have nothing left to do."""
        with contextlib.ExitStack() as stack:
            pids = [stack.enter_context(home.daemon()) for home in self.homes]
            until_quiet(pids)
            yield pids

    def send(self, letters: int) -> tuple[float, Busy]:
        """Let so many letters become due at once; give how many left a second, and how busy the cores were."""
        with self.daemons() as pids, self._server.connect(self._name) as database:
            before = _busy(pids, self._server)
            with database.transaction():
                database.execute(_FILL.format(letters=letters, now="timezone('UTC', now())").encode(), [LETTER])
                database.execute("NOTIFY thanksd, 'bench'")
            while database.execute("SELECT 1 FROM letter WHERE settled_at IS NULL LIMIT 1").fetchone():
                time.sleep(0.2)
            used = _busy(pids, self._server).since(before)
            return _rate(database, letters), used


def until_quiet(pids: list[int]) -> None:
    """Wait for a second in which they did nothing worth speaking of: their first passes are over then."""
    last = -1.0
    while (now := sum(map(cpu_of, pids))) - last > 0.01:
        last = now
        time.sleep(1)


def _rate(database: psycopg.Connection[tuple[float, int]], letters: int) -> float:
    query = "SELECT extract(epoch FROM max(sent_at) - min(sent_at)), count(*) FROM letter WHERE state = 'sent' AND attempts = 1"
    row = database.execute(query).fetchone()
    assert row
    assert row[1] == letters, row
    return (letters - 1) / float(row[0])


def procrastinate(program: str, kept: Server, letters: int, port: int) -> float:
    """Give the letters a second of one worker of procrastinate, a queue of jobs on PostgreSQL, one at a time as we do.

    Its task sends by smtplib over one connection that it keeps. What becomes of a letter whose worker is killed is its
    task's business, and not measured: it has no phase before the dot.
    """
    name = kept.new_database().partition("?")[0].rpartition("/")[2]
    place = f"host={kept.folder} port={kept.port} user=team dbname={name}"
    python = str(Path(program).resolve().with_name("python3"))
    subprocess.run([python, "-c", _WORKER, place, str(port), str(letters), LETTER], check=True)
    ((seconds, count),) = kept.do(
        "SELECT extract(epoch FROM max(at) - min(at)), count(*) FROM procrastinate_events WHERE type = 'succeeded'",
        database=name,
    )
    assert count == letters, count
    return (letters - 1) / float(seconds)


_WORKER = """
import asyncio, logging, smtplib, sys
import procrastinate

logging.disable(logging.WARNING)

place, port, letters, text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place))
kept = []

@app.task(name="send")
def send(recipient, letter):
    if not kept:
        kept.append(smtplib.SMTP("127.0.0.1", port))
    kept[0].sendmail("sam@example.org", recipient, letter)

async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = ({"recipient": f"a{i}@example.com", "letter": text.replace("{i}", str(i))} for i in range(letters))
        await send.batch_defer_async(*jobs)
        await app.run_worker_async(wait=False, concurrency=1)

asyncio.run(main())
"""


class Rows:
    """What each count of daemons came to, a value a round."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._rates: dict[int, list[float]] = {}
        self._used: dict[int, list[Busy]] = {}

    def add(self, count: int, rate: float, used: Busy) -> None:
        self._rates.setdefault(count, []).append(rate)
        self._used.setdefault(count, []).append(used)

    def tell(self, count: int) -> None:
        """Print how near so many daemons come to as many times one; each is compared with the one of its round."""
        alone, rates, used = self._rates[DAEMONS[0]], self._rates[count], self._used[count]
        linear = statistics.median(rate / count / one for rate, one in zip(rates, alone, strict=True))
        share = statistics.median(one.share for one in used)
        judged = (
            "not judged: the cores were used up"
            if linear < LEAST and share >= BUSY
            else verdict(is_met=linear >= LEAST)
        )
        print(f"{f'team: {count} daemons / {count} x one daemon':<58} {linear:5.2f}   least {LEAST:.2f}   {judged}")
        by = [
            statistics.median(part) / self._each / count * 1000
            for part in zip(*((u.daemons, u.server) for u in used), strict=True)
        ]
        print(
            f"    {statistics.median(rates):,.1f} letters a second, cores {share:.0%} busy; "
            f"CPU a letter: daemon {by[0]:.1f} ms, server {by[1]:.1f} ms",
            flush=True,
        )


def team(folder: Path, letters: int = LETTERS, rounds: int = ROUNDS) -> None:
    """Carry letters of one ledger by more and more daemons, and the same letters by procrastinate."""
    rows, rates, other = Rows(letters), Rates(), shutil.which("procrastinate")
    with server(builds()[0]) as kept, sink() as port, slow_line(port) as far:
        for _ in range(rounds):
            for count in DAEMONS:
                rate, used = Team(folder, kept, count, far).send(letters * count)
                rows.add(count, rate, used)
                if count == 1:
                    rates.add(f"thanksd at {TRIP}", rate)
            rates.add("thanksd at no distance", Team(folder, kept, 1, port).send(NEAR)[0])
            if other:
                rates.add(f"procrastinate at {TRIP}", procrastinate(other, kept, letters, far))
                rates.add("procrastinate at no distance", procrastinate(other, kept, NEAR, port))
    for count in DAEMONS[1:]:
        rows.tell(count)
    for where in (f"at {TRIP}", "at no distance"):
        if other:
            rates.tell(f"thanksd {where}", f"procrastinate {where}")
        else:
            print(f"thanksd / procrastinate {where}: left out, no procrastinate on PATH")
