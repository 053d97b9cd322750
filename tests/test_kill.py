"""Killed at any instant: nothing is lost, nothing goes out twice, and what is unknown waits for a person.

The real program sends to a real server (Postfix's smtp-sink, which keeps what it took) and is ended by SIGKILL as it
enters a system call: strace(1) injects the signal, and the instants are stepped over the whole run.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import parts
import pytest
from cli_rigs import SCRIPT, config_file, configure, store_file, thanksd
from smtp_rigs import Sink, smtp_sink, wait_for
from store_rigs import is_sound, killed_at, make_another, new_store, rows

from thanksd import paths, states
from thanksd.world import World

SEND = [str(SCRIPT), "send", "1", "--yes", "--now"]


def account(port: int) -> None:
    configure(
        '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n[nudge]\nchannels = ["terminal"]\n[transport]\nkind = "smtp"\n'
        f'[transport.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nauth = "none"\n'
    )


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A fresh start of the program, in this process."""
    opened = World(paths.store_url(str(store_file())), str(config_file()))
    yield opened
    opened.store.close()


@cache
def owing() -> bytes:
    """Give a ledger with one thanks owed, number 1; made once."""
    new_store(store_file()).close()
    with world() as opened:
        facts = {"kind": "coffee", "details": ["why you left Rust"]}
        opened.call("add", {"who": "Ada Lovelace", "email": "ada@example.com", **facts})
    return store_file().read_bytes()


def start_anew() -> None:
    """Put the ledger back to where one thanks is owed, with nothing beside it that a killed program left."""
    data = owing()
    store_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in store_file().parent.iterdir():
        path.unlink()
    store_file().write_bytes(data)
    store_file().chmod(0o600)
    make_another(store_file())


def confirm(opened: World, thanks: int = 1) -> None:
    """Put a letter into the outbox, to leave at once."""
    sha256 = opened.call("prepare", {"ref": str(thanks), "at_once": True})["prepared"]["sha256"]
    opened.call("confirm", {"letters": [{"thanks": thanks, "sha256": sha256}], "at_once": True})


def letter() -> dict[str, Any]:
    found = rows(store_file(), "SELECT * FROM letter ORDER BY id DESC LIMIT 1")
    return found[0] if found else {"state": "none", "message_id": "none", "phase": ""}


def deliveries(sink: Sink) -> Counter[str]:
    """Give how often the server took each letter to its end, by Message-ID."""
    ids = [re.search(rb"^Message-ID: (\S+)", data, re.MULTILINE | re.IGNORECASE) for data in sink.dumps()]
    return Counter(found[1].decode() for found in ids if found)


def go_on_in_process() -> None:
    with world() as opened:
        opened.call("dispatch", {})


def go_on_as_the_daemon() -> None:
    done = thanksd("run", "--once")
    assert (done.code, done.out) == (0, ""), done


def check_the_end(sink: Sink, where: str) -> str:
    """Check what must be so after every death and a new start; give how it ended."""
    one, (thanks,) = letter(), rows(store_file(), "SELECT * FROM thanks")
    taken = deliveries(sink)[one["message_id"]]
    ending = {"none": "owed", "sent": "thanked", "held": "confirmed"}
    assert ending.get(one["state"]) == thanks["state"], where
    assert taken <= 1, where
    assert taken == {"none": 0, "sent": 1}.get(one["state"], taken), where
    assert rows(store_file(), "SELECT * FROM attempt WHERE ended_at IS NULL") == [], where
    assert is_sound(store_file()), where
    return f"{one['state']}, {taken} delivered"


def kill_at_every(call: str, start: int, step: int, go_on: Any) -> Counter[str]:
    """Kill the sender at each of these system calls, until it comes to its end; give how each ended."""
    endings: Counter[str] = Counter()
    with smtp_sink() as sink:
        account(sink.port)
        for number in itertools.count(start, step):
            start_anew()
            code = killed_at(call, number, SEND)
            where = f"{call} {number}"
            # Nothing was settled yet that the server does not know of.
            assert (letter()["state"] != "sent") or deliveries(sink)[letter()["message_id"]] == 1, where
            go_on()
            endings[ending := check_the_end(sink, where)] += 1
            # Once more, as nothing that ended may begin again.
            go_on_in_process()
            assert check_the_end(sink, where) == ending
            if code == 0:
                return endings
    raise AssertionError


@pytest.mark.parametrize(("call", "start", "step"), [("pwrite64", 5, 23), ("fdatasync", 1, 4)])
def test_a_sender_killed_while_it_writes_loses_nothing_and_sends_nothing_twice(
    call: str, start: int, step: int
) -> None:
    endings = kill_at_every(call, start, step, go_on_in_process)
    assert endings["none, 0 delivered"]
    assert endings["sent, 1 delivered"]
    assert sum(endings.values()) > 5


def test_a_sender_killed_as_it_speaks_to_the_server_leaves_only_what_is_unknown_to_a_person() -> None:
    endings = kill_at_every("sendto", 1, 1, go_on_as_the_daemon)
    # Nothing is said between the dot and the outcome's commit: QUIT comes after it.
    assert set(endings) == {"sent, 1 delivered", "held, 0 delivered"}


def test_the_dot_leaves_only_after_its_phase_is_on_the_disk_the_folder_s_entry_too(tmp_path: Path) -> None:
    parts.need("strace")
    trace = tmp_path / "trace"
    with smtp_sink() as sink:
        account(sink.port)
        start_anew()
        words = [str(parts.find("strace")), "-f", "-y", "-o", str(trace), "-e", "trace=sendto,fdatasync,fsync,unlink"]
        subprocess.run([*words, *SEND], check=True, capture_output=True)
    lines = trace.read_text().splitlines()
    (dot,) = [number for number, line in enumerate(lines) if r'".\r\n"' in line]
    before = lines[dot - 2 : dot]
    assert re.search(r'unlink\(".*/thanksd.db-journal"\) += 0', before[0]), before
    assert re.search(rf"f(data)?sync\(\d+<{re.escape(str(store_file().parent))}>\) += 0", before[1]), before


# --- the daemon ---


@contextlib.contextmanager
def daemon() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([str(SCRIPT), "run"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def until(state: str, phase: str = "") -> None:
    wait_for(lambda: letter()["state"] == state and letter()["phase"].startswith(phase), 20)


@pytest.mark.parametrize(
    ("slow", "phase", "ending", "delivered"),
    [("MAIL:30", states.PRE, "sent", 1), ("DATA:30", states.PRE, "sent", 1), (".:30", states.DOT, "held", 0)],
)
def test_a_daemon_killed_with_a_letter_in_hand_leaves_it_to_the_next_one(
    slow: str, phase: str, ending: str, delivered: int
) -> None:
    start_anew()
    with smtp_sink("-W", slow) as sink:
        account(sink.port)
        with world() as opened:
            confirm(opened)
        with daemon() as child:
            until("sending", phase)
            if phase == states.DOT:
                wait_for(lambda: deliveries(sink) != Counter())
            child.send_signal(signal.SIGKILL)
            assert child.wait(10) == -signal.SIGKILL
        assert letter()["state"] == "sending"
    with smtp_sink() as second:
        account(second.port)
        with daemon() as child:
            until(ending)
        assert check_the_end(second, slow) == f"{ending}, {delivered} delivered"
        # What is held does not go out by itself, and what was sent is not sent again.
        go_on_as_the_daemon()
        assert check_the_end(second, slow) == f"{ending}, {delivered} delivered"


def test_a_daemon_that_is_told_to_end_finishes_the_letter_in_hand_and_begins_no_other() -> None:
    start_anew()
    with smtp_sink("-W", ".:1") as sink:
        account(sink.port)
        with world() as opened:
            opened.call("add", {"who": "Bob Ray bob@example.com", "kind": "coffee", "details": ["the compiler"]})
            confirm(opened, 1)
            confirm(opened, 2)
        with daemon() as child:
            wait_for(lambda: rows(store_file(), "SELECT * FROM letter WHERE phase = 'dot'") != [], 20)
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        assert [row["state"] for row in rows(store_file(), "SELECT state FROM letter ORDER BY id")] == [
            "sent",
            "queued",
        ]
        assert sum(deliveries(sink).values()) == 1


def test_a_daemon_that_was_killed_does_not_keep_the_next_one_from_starting() -> None:
    start_anew()
    account(1)
    lock = store_file().with_name("thanksd.db.lock")

    def has_it(pid: int) -> bool:
        return lock.exists() and lock.read_text() == f"daemon {pid}\n"

    for _ in range(2):
        with daemon() as child:
            wait_for(partial(has_it, child.pid), 20)
            child.kill()
            assert child.wait(10) == -signal.SIGKILL
