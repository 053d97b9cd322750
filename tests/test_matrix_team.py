"""A team on one ledger: daemons share the work, die, are cut off, and lose their server; and each letter goes once."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cells import Say, cell
from clock_rigs import WallClock
from kill_rigs import random_instant, told
from postgres_rigs import Server, postgres
from scripted_rigs import Server as Mail
from scripted_rigs import is_silent
from smtp_rigs import smtp_sink, wait_for
from team_rigs import KIM, SAM, Seat, Team

from thanksd.outbox import DOT_LEASE, PRE_LEASE
from thanksd.rows import batched

team = partial(cell, "Team")
_ = postgres


@pytest.fixture
def ours(postgres: Server, short_dir: Path) -> Team:
    """An empty shared ledger on the usual server."""
    return Team(postgres, short_dir)


def pick(seed: object) -> random.Random:
    """Give the same choices each time."""
    return random.Random(str(seed))  # noqa: S311  not a secret


# --- daemons that share the work ---


@pytest.mark.parametrize(
    ("daemons", "owners", "letters"),
    [
        team("daemons share the work", "2 of one owner", 2, (SAM,), 100, daily=True),
        team("daemons share the work", "4 of one owner", 4, (SAM,), 200),
        team("daemons share the work", "4, each also for the others", 4, (SAM, KIM), 200),
        team("daemons share the work", "8 of one owner", 8, (SAM,), 200),
    ],
)
def test_daemons_share_letters_and_each_goes_once(
    daemons: int, owners: tuple[str, ...], letters: int, ours: Team, seen: Say
) -> None:
    with ExitStack() as stack:
        sinks = [stack.enter_context(smtp_sink()) for _ in range(daemons)]
        seats = [ours.seat(sink, owners[number % len(owners)]) for number, sink in enumerate(sinks)]
        writers = seats[: len(owners)]
        ready = [seat.prepare(letters // len(owners)) for seat in writers]
        for seat in seats:
            stack.enter_context(seat.daemon())
        for seat, prepared in zip(writers, ready, strict=True):
            seat.confirm(prepared)
        wait_for(ours.is_done, 60)
        assert ours.check() == {"sent": letters}
        shares = sorted(len(sink.dumps()) for sink in sinks)
    assert shares[0] > 0, shares
    seen(f"{letters} sent; each daemon sent {shares[0]} to {shares[-1]}", letters)


# --- daemons that are killed ---


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        team("a daemon is killed", "at random, while another works", 2, 1, daily=True),
        team("a daemon is killed", "at random, while another works, often", 12, 2),
    ],
)
def test_a_daemon_killed_while_others_work_loses_nothing(kills: int, seed: int, ours: Team, seen: Say) -> None:
    chance = pick(seed)
    with smtp_sink() as sink, smtp_sink() as other:
        first, second = ours.seat(sink), ours.seat(other)
        ready = first.prepare(20 * (kills + 1))
        with second.daemon():
            for part in batched(ready, 20):
                running = first.begin()
                first.confirm(part)
                random_instant(running.process, chance.uniform(0.0, 0.3))
            # Its claims are free at once, as it is known here that it is dead: another change is what is heard of it.
            second.add("Last One")
            wait_for(ours.is_done, 60)
        endings = ours.check()
    assert endings["owed still"] == 1
    assert endings["sent"] >= len(ready) - kills - 1
    seen(f"{kills + 1} kills: {told(endings - Counter({'owed still': 1}))}", kills + 1)


@pytest.mark.parametrize(
    ("step", "phase", "follows"),
    [
        team("a daemon of another machine is killed", "before the dot", "DATA", "pre", "sent", daily=True),
        team("a daemon of another machine is killed", "after the dot", ".", "dot", "held, delivered"),
    ],
)
def test_a_letter_of_a_daemon_that_may_live_waits_for_the_end_of_its_lease(  # noqa: PLR0913  its fixtures
    step: str, phase: str, follows: str, ours: Team, short_dir: Path, seen: Say
) -> None:
    clock = WallClock(short_dir)
    with Mail({step: is_silent}) as silent, smtp_sink() as sink:
        far, near = ours.seat(silent, alone=True), ours.seat(sink)
        running = far.begin()
        (number,) = far.writes("Ada Lovelace")
        wait_for(lambda: ours.is_in(phase), 30)
        Seat.kill(running)
        with near.daemon(clock.environ):
            near.add("Kim Poe")
            assert ours.is_in(phase)
            clock.step(max(PRE_LEASE, DOT_LEASE) + timedelta(minutes=1))
            near.add("Max Moe")
            wait_for(ours.is_done, 60)
        assert ours.states() == {"held" if phase == "dot" else "sent": 1}
        assert len(sink.dumps()) == (phase == "pre")
        assert len(silent.taken) == (phase == "dot")
        assert [row["state"] for row in ours.rows("SELECT state FROM thanks WHERE id = %s", number)] == [
            "confirmed" if phase == "dot" else "thanked"
        ]
    seen(f"{follows} after its lease" if phase == "dot" else "sent by another after its lease")
