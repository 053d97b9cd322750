"""A team on one ledger: daemons share the work, die, are cut off, and lose their server; and each letter goes once."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cells import Say, cell
from clock_rigs import WallClock, screen
from kill_rigs import account, go_on, killed_at, random_instant, told
from postgres_rigs import Build, Server, builds, postgres, server
from scripted_rigs import Fault, Line, is_silent, says
from scripted_rigs import Server as Mail
from smtp_rigs import Authority, smtp_sink, wait_for
from store_rigs import Releases, after, at_once_in
from team_rigs import KIM, SAM, Seat, Team, far_sink, network

from thanksd.daemon import TICK
from thanksd.database import open_store
from thanksd.errors import TryLaterError
from thanksd.outbox import DOT_LEASE, PRE_LEASE

team = partial(cell, "Team")
_ = postgres


@pytest.fixture
def ours(postgres: Server, short_dir: Path) -> Team:
    """An empty shared ledger on the usual server."""
    return Team(postgres, short_dir)


@pytest.fixture
def authority(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Who vouches for the mail servers that are on the network."""
    made = Authority(short_dir)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def pick(seed: object) -> random.Random:
    """Give the same choices each time."""
    return random.Random(str(seed))  # noqa: S311  not a secret


# --- daemons that share the work ---


@pytest.mark.parametrize(
    ("daemons", "owners", "letters"),
    [
        team("daemons share the work", "2 of one owner", 2, (SAM,), 60, daily=True),
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
            for part in (ready[start : start + 20] for start in range(0, len(ready), 20)):
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
def test_a_letter_of_a_daemon_that_may_live_waits_for_the_end_of_its_lease(
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


# --- killed at every call ---


@pytest.mark.parametrize(
    ("words", "call", "every"),
    [
        team("killed at each call", "thanksd send, some of sendto", ("send",), "sendto", 29),
        team("killed at each call", "the daemon, some of sendto", ("run", "--once"), "sendto", 11),
        *(
            team("killed at each call", f"{name}, each {call}", words, call, 1)
            for name, words in (("thanksd send", ("send",)), ("the daemon", ("run", "--once")))
            for call in ("sendto", "write", "fsync", "rename")
        ),
    ],
)
def test_a_sender_on_a_shared_ledger_killed_at_any_call_loses_nothing_and_sends_nothing_twice(
    words: tuple[str, ...], call: str, every: int, ours: Team, monkeypatch: pytest.MonkeyPatch, seen: Say
) -> None:
    monkeypatch.setenv("THANKSD_STORE", ours.store)
    with smtp_sink() as sink:
        account(sink.port)
        seat = ours.seat(sink)
        for number in itertools.count(1, every):
            # One ledger lives through it all: what a kill left must not stand in the way of the next letter.
            (thanks,) = seat.add(f"Person N{number}") if words == ("send",) else seat.writes(f"Person N{number}")
            code = killed_at(call, number, words if words != ("send",) else ("send", str(thanks), "--yes", "--now"))
            go_on(ours.store)
            endings = ours.check(f"{call} {number}")
            if code == 0:
                break
    assert ours.states()["sent"]
    seen(told(endings - Counter(sent=1)) or "it makes no such call", sum(endings.values()) - 1)


# --- the server goes ---


def with_server(build: Build, folder: Path, stack: ExitStack, **where: str) -> Team:
    """Give a ledger on a server of its own, which a test may kill."""
    return Team(stack.enter_context(server(build, **where)), folder)


each_build = [build.name for build in builds()]


def build_of(name: str) -> Build:
    (build,) = (one for one in builds() if one.name == name)
    return build


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        team("the server is killed", "while daemons work", 2, 1),
        team("the server is killed", "while daemons work, often", 12, 2),
    ],
)
def test_daemons_outlive_their_server_and_finish(kills: int, seed: int, short_dir: Path, seen: Say) -> None:
    chance = pick(seed)
    with ExitStack() as stack:
        ours = with_server(builds()[0], short_dir, stack)
        sinks = [stack.enter_context(smtp_sink()) for _ in range(2)]
        seats = [ours.seat(sink) for sink in sinks]
        ready = seats[0].prepare(20 * kills)
        daemons = [stack.enter_context(seat.daemon()) for seat in seats]
        for start in range(0, len(ready), 20):
            seats[0].confirm(ready[start : start + 20])
            until = time.monotonic() + chance.uniform(0.0, 0.5)
            wait_for(lambda end=until: time.monotonic() > end)  # type: ignore[misc]  # bound at once
            ours.server.kill()
            ours.server.start()
        wait_for(lambda: "queued" not in ours.states(), 60)
        # A letter whose phase could not be written waits for five minutes, a claim whose commit nobody heard of for its
        # lease; no dot has left for either.
        clock = WallClock(short_dir)
        clock.step(PRE_LEASE + timedelta(minutes=6))
        stack.enter_context(ours.seat(sinks[0]).daemon(clock.environ))
        wait_for(ours.is_done, 120)
        assert [running.process.poll() for running in daemons] == [None, None]
        endings = ours.check()
    assert endings.keys() <= {"sent", "held, delivered", "held, not delivered"}
    seen(f"{kills} kills: {told(endings)}", kills)


@pytest.mark.parametrize(
    ("build", "seconds"),
    [
        team("the server is killed", "after the dot, and back at once", "package", 0, daily=True),
        *(team("the server is killed", f"after the dot, for 12 s, {name}", name, 12) for name in each_build),
    ],
)
def test_an_answer_is_kept_until_the_server_is_back(build: str, seconds: int, short_dir: Path, seen: Say) -> None:
    with ExitStack() as stack:
        ours = with_server(build_of(build), short_dir, stack)
        seat = ours.seat(stack.enter_context(smtp_sink("-W", ".:3")))
        running = stack.enter_context(seat.daemon())
        seat.writes("Ada Lovelace")
        wait_for(lambda: ours.is_in("dot"), 30)
        ours.server.kill()
        wait_for(lambda: len(ours.deliveries()) == 1, 30)
        back = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > back, seconds + 1)
        ours.server.start()
        wait_for(ours.is_done, 60)
        assert ours.check() == {"sent": 1}
        # As before: what comes next is heard of at once, and goes.
        seat.writes("Kim Poe")
        wait_for(lambda: ours.states()["sent"] == 2, 60)
        assert running.process.poll() is None
    seen("sent; the answer was kept until the server was back")


@pytest.mark.parametrize("letters", [team("the server is killed", "while daemons are idle", 1)])
def test_a_daemon_finds_its_server_again(letters: int, short_dir: Path, seen: Say) -> None:
    with ExitStack() as stack:
        ours = with_server(builds()[0], short_dir, stack)
        seat = ours.seat(stack.enter_context(smtp_sink()))
        running = stack.enter_context(seat.daemon())
        ours.server.kill()
        ours.server.start()
        began = time.monotonic()
        seat.writes("Ada Lovelace")
        wait_for(lambda: ours.states()["sent"] == letters, 60)
        took = time.monotonic() - began
        assert running.process.poll() is None
        assert ours.check() == {"sent": letters}
    assert took < TICK + 10
    seen("sent, by the next tick at the latest")


# --- hosts that are cut off ---


@pytest.mark.parametrize(
    ("build", "step", "phase"),
    [
        team("a host is cut off", "before the dot", "package", "DATA", "pre"),
        *(
            team("a host is cut off", f"after the dot, {name}", name, ".", "dot", daily=name == "package")
            for name in each_build
        ),
    ],
)
def test_a_host_that_was_cut_off_comes_back_and_settles_while_others_go_on(
    build: str, step: str, phase: str, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with ExitStack() as stack:
        net = stack.enter_context(network())
        at = net.host()
        ours = with_server(build_of(build), short_dir, stack, address=at.address, netns=at.name)
        slow = stack.enter_context(far_sink(authority, net.address, "-W", f"{step}:4"))
        sink = stack.enter_context(far_sink(authority, net.address))
        here, there = net.host(), net.host()
        cut, other = (
            ours.seat(slow, host=here, also_for="[]"),
            ours.seat(sink, KIM, host=there, also_for="[]"),
        )
        for seat in (cut, other):
            stack.enter_context(seat.daemon())
        cut.writes("Ada Lovelace")
        wait_for(lambda: ours.is_in(phase), 30)
        here.cut_off()
        other.writes("Max Moe")
        wait_for(lambda: len(sink.dumps()) == 1, 30)
        here.reach()
        wait_for(ours.is_done, 90)
        endings = ours.check()
        assert endings["sent"] >= 1
    seen(f"the others go on; its own letter: {told(endings - Counter(sent=1))}")


@pytest.mark.parametrize("minutes", [team("a host is cut off", "before the dot, past its lease", 31)])
def test_a_host_that_finds_its_claim_lost_sends_no_dot(
    minutes: int, short_dir: Path, authority: Authority, seen: Say
) -> None:
    clock = WallClock(short_dir)
    held = threading.Event()
    with ExitStack() as stack:
        net = stack.enter_context(network())
        at, here = net.host(), net.host()
        ours = with_server(builds()[0], short_dir, stack, address=at.address, netns=at.name)
        slow = stack.enter_context(
            Mail({"DATA": until(held)}, tls=authority.context(net.address), implicit=True, address=net.address)
        )
        sink = stack.enter_context(far_sink(authority, net.address))
        cut, other = ours.seat(slow, host=here, alone=True), ours.seat(sink)
        stack.callback(Seat.kill, cut.begin())
        cut.writes("Ada Lovelace")
        wait_for(lambda: "DATA" in slow.verbs, 30)
        stack.enter_context(other.daemon(clock.environ))
        here.cut_off()
        clock.step(timedelta(minutes=minutes))
        other.add("Kim Poe")
        wait_for(lambda: len(sink.dumps()) == 1, 60)
        here.reach()
        held.set()
        # It has seen by then that the claim is not its own any more, and left.
        wait_for(lambda: slow.count("QUIT") == 1 or slow.hung_up == 1, 60)
        assert slow.taken == []
        wait_for(lambda: ours.states() == {"sent": 1}, 30)
    seen("sent once, by another; the dot of the one that was cut off did not leave")


def until(event: threading.Event) -> Fault:
    """Answer as usual, once something happened."""

    def fault(line: Line, usual: str) -> bool:
        event.wait(120)
        line.say(usual)
        return True

    return fault


_HOLDS = """
import sys
from thanksd.database import open_store
with open_store(sys.argv[1]).write():
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("build", [team("a host is cut off", f"in a transaction, {name}", name) for name in each_build])
def test_who_is_cut_off_in_a_transaction_keeps_the_others_waiting_for_seconds_only(
    build: str, short_dir: Path, seen: Say
) -> None:
    with ExitStack() as stack:
        net = stack.enter_context(network())
        at, here = net.host(), net.host()
        ours = with_server(build_of(build), short_dir, stack, address=at.address, netns=at.name)
        seat = ours.seat(stack.enter_context(smtp_sink()))
        words = ["ip", "netns", "exec", here.name, sys.executable, "-c", _HOLDS, ours.store]
        holding = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        stack.callback(holding.kill)
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"begun\n"
        here.cut_off()
        began = time.monotonic()
        wait_for(lambda: seat.does("add", "Ada Lovelace", "ada@example.com").code == 0, 30)
        took = time.monotonic() - began
    assert took < 20
    seen(f"the others write again after {took:.0f} s")


# --- one hears of the other ---


@pytest.mark.parametrize(
    "me", [team("what one does another hears of", "a letter confirmed elsewhere", KIM, daily=True)]
)
def test_a_letter_confirmed_on_a_laptop_leaves_from_the_office_at_once(me: str, ours: Team, seen: Say) -> None:
    with smtp_sink() as sink:
        office, laptop = ours.seat(sink), ours.seat(sink, me, also_for="[]")
        with office.daemon():
            laptop.writes("Ada Lovelace")
            began = time.monotonic()
            wait_for(ours.is_done, TICK - 10)
            took = time.monotonic() - began
        assert ours.check() == {"sent": 1}
    seen(f"sent {took:.0f} s later, where a tick takes {TICK}")


POPUPS = '["desktop"]'


@pytest.mark.parametrize(
    ("owners", "popups"),
    [
        team("what one does another hears of", "a thanks added elsewhere, two owners", (SAM, KIM), [1, 1], daily=True),
        team("what one does another hears of", "a thanks added elsewhere, one owner, twice", (SAM, SAM), [0, 1]),
    ],
)
def test_a_nudge_is_shown_to_its_owner_alone_and_once(
    owners: tuple[str, ...], popups: list[int], ours: Team, short_dir: Path, seen: Say
) -> None:
    with ExitStack() as stack:
        sink, screens = stack.enter_context(smtp_sink()), []
        for number, owner in enumerate(owners):
            folder = short_dir / f"s{number}"
            folder.mkdir()
            screens.append(stack.enter_context(screen(folder)))
            stack.enter_context(ours.seat(sink, owner, channels=POPUPS).daemon(screens[-1].environ))
        for owner in sorted(set(owners)):
            ours.seat(sink, owner).add(f"{owner[:3].title()} Friend", after="1s")
        shown = "SELECT 1 FROM nudge WHERE shown_at IS NOT NULL"
        wait_for(lambda: len(ours.rows(shown)) == len(set(owners)), TICK - 10)
        # Whoever else could show it has looked by then: a change that all hear of, and its own pass after that.
        ours.seat(sink).add("Somebody Else")
        if len(set(owners)) == len(owners):
            titles = [[f"Thank {owner[:3].title()} Friend?"] for owner in owners]
            assert [one.titles for one in screens] == titles
        assert sorted(len(one.titles) for one in screens) == popups
        assert len(ours.rows("SELECT 1 FROM nudge")) == len(set(owners))
    seen("each owner's screen shows theirs, once")


# --- one person's trouble ---


@pytest.mark.parametrize("letters", [team("a login is refused", "of one of two", 3, daily=True)])
def test_a_refused_login_pauses_its_owner_s_letters_alone(letters: int, ours: Team, short_dir: Path, seen: Say) -> None:
    password = short_dir / "password"
    password.write_text("secret\n")
    with Mail({"AUTH": says("535 5.7.8 no")}, offers=["AUTH PLAIN"]) as refusing, smtp_sink() as sink:
        sam, kim = ours.seat(refusing, also_for="[]"), ours.seat(sink, KIM, also_for="[]")
        login = f'auth = "password"\nusername = "sam"\npassword_command = "cat {password}"'
        sam.change('auth = "none"', login)
        with sam.daemon(), kim.daemon():
            for seat in (sam, kim):
                seat.writes(*[f"{chr(65 + number)} Person" for number in range(letters)])
            wait_for(lambda: ours.states() == {"deferred": letters, "sent": letters}, 60)
            waiting = ours.rows("SELECT DISTINCT writer, reason FROM letter WHERE state = 'deferred'")
            assert waiting == [{"writer": SAM, "reason": "credentials"}]
            assert refusing.count("AUTH") == 1
            refusing.heal()
            assert sam.does("credentials", "test").code == 0
            wait_for(ours.is_done, 60)
        assert (len(refusing.taken), len(sink.dumps())) == (letters, letters)
    seen("theirs wait, the other's are sent; with a new password theirs are sent too")


# --- clocks that differ ---


@pytest.mark.parametrize(
    ("hours", "letters"),
    [
        team("a clock differs", "an hour ahead", 1, 20),
        team("a clock differs", "an hour behind", -1, 60),
        team("a clock differs", "ten hours ahead", 10, 60),
    ],
)
def test_daemons_whose_clocks_differ_double_nothing(
    hours: int, letters: int, ours: Team, short_dir: Path, seen: Say
) -> None:
    clock = WallClock(short_dir)
    clock.step(timedelta(hours=hours))
    with smtp_sink() as sink, smtp_sink() as other:
        right, wrong = ours.seat(sink), ours.seat(other)
        ready = right.prepare(letters)
        with right.daemon(), wrong.daemon(clock.environ):
            right.confirm(ready)
            if hours < 0:
                # Such as wait since yesterday: else it is not their time yet, by that clock.
                ours.rows("UPDATE letter SET send_after = send_after - interval '2 hours' RETURNING id")
            wait_for(ours.is_done, 90)
        endings = ours.check()
    assert endings == {"sent": letters}
    seen(f"{told(endings)}; none twice")


# --- a dump put back ---


@pytest.mark.parametrize(
    ("build", "where"),
    [
        team("a dump is put back", "into another database", "package", "database", daily=True),
        team("a dump is put back", "into the same database", "package", "same"),
        team("a dump is put back", "on another server", each_build[-1], "server"),
    ],
)
def test_a_dump_that_was_put_back_sends_nothing_until_it_is_adopted(
    build: str, where: str, short_dir: Path, seen: Say
) -> None:
    with ExitStack() as stack:
        ours = with_server(build_of(build), short_dir, stack)
        sink = stack.enter_context(smtp_sink())
        seat = ours.seat(sink)
        for name in ("Ada Lovelace", "Kim Poe"):
            seat.writes(name)
            if name == "Kim Poe":
                dump = ours.dump()
            assert seat.does("run", "--once").code == 0
        assert ours.check() == {"sent": 2}
        onto = stack.enter_context(server(builds()[0])) if where == "server" else ours.server
        back = ours if where == "same" else Team(onto, short_dir)
        back.put_back(dump)
        # One that was there before, and one that has never sent anything.
        for one in (Seat(short_dir / "new", back.store, seat.config.read_text()), seat.on(back.store)):
            for words in (("add", "Max Moe"), ("run", "--once"), ("run",)):
                assert one.does(*words).code == 78, (one.does(*words), words)
        assert back.states() == {"sent": 1, "queued": 1}
        assert one.does("adopt", "--yes").code == 0
        assert one.does("run", "--once").code == 0
        assert back.states() == {"sent": 1, "held": 1}
        assert sorted(ours.deliveries().values()) == [1, 1]
    seen("refused until adopted; then the letter that waited is held")


# --- the schema ---

_DAEMONS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"


@pytest.mark.parametrize("number", [team("a newer version", "while a daemon of before runs", 1, daily=True)])
def test_nobody_upgrades_a_ledger_under_a_running_daemon(
    number: int, ours: Team, short_dir: Path, monkeypatch: pytest.MonkeyPatch, seen: Say
) -> None:
    with smtp_sink() as sink, ours.seat(sink).daemon():
        wait_for(lambda: len(ours.rows(_DAEMONS)) == 1, 30)
        Releases(short_dir / "migrations", monkeypatch).change_by(number)
        with pytest.raises(TryLaterError, match="daemons of the version before have it"):
            open_store(ours.store)
    open_store(ours.store).close()
    assert ours.rows("SELECT version_num FROM alembic_version") == [{"version_num": after(number)}]
    seen("refused; goes through once it is stopped")


@pytest.mark.parametrize("most", [team("a newer version", "while a daemon of before is cut off", 60)])
def test_a_daemon_that_was_cut_off_is_in_nobody_s_way_for_long(most: int, short_dir: Path, seen: Say) -> None:
    with ExitStack() as stack:
        net = stack.enter_context(network())
        at, here = net.host(), net.host()
        ours = with_server(builds()[0], short_dir, stack, address=at.address, netns=at.name)
        seat = ours.seat(stack.enter_context(smtp_sink()), host=here)
        stack.callback(Seat.kill, seat.begin())
        wait_for(lambda: len(ours.rows(_DAEMONS)) == 1, 30)
        here.cut_off()
        began = time.monotonic()
        wait_for(lambda: ours.rows(_DAEMONS) == [], most)
        took = time.monotonic() - began
    seen(f"its lock is free after {took:.0f} s")


_OPENS = """
from thanksd.database import open_store
go()
open_store(sys.argv[1]).close()
print(json.dumps(True))
"""


@pytest.mark.parametrize(
    "processes",
    [
        team("an empty database", "4 begin at once", 4, daily=True),
        team("an empty database", "16 begin at once", 16),
    ],
)
def test_any_number_that_begin_at_once_make_one_schema(processes: int, ours: Team, seen: Say) -> None:
    at_once_in(processes, _OPENS, ours.store)
    assert len(ours.rows("SELECT 1 FROM alembic_version")) == len(ours.rows("SELECT 1 FROM ledger")) == 1
    seen("one schema", processes)
