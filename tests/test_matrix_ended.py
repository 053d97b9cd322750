"""Ended, stopped or starved by others: the letter in hand is finished, given back or held, and no other goes twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import parts
import pytest
from cells import Say, cell
from cli_rigs import SCRIPT, store_file
from kill_rigs import Scene, account, deliveries, go_on, letter, told, world
from program_rigs import Program
from smtp_rigs import smtp_sink, wait_for
from store_rigs import rows
from systemd_rigs import MachineUser

from thanksd import states, verbs

_SILENT: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextlib.contextmanager
def daemon() -> Iterator[Program]:
    with Program([SCRIPT, "run"], is_tied=True, **_SILENT) as child:
        try:
            yield child
        finally:
            child.kill()


def until(state: str, phase: str = "") -> None:
    wait_for(lambda: letter()["state"] == state and letter()["phase"].startswith(phase), 20)


# --- killed, with a letter in hand ---


@pytest.mark.parametrize(
    ("slow", "phase", "ending"),
    [
        cell("Ended otherwise", "SIGKILL with a letter in hand", "waiting for the answer to MAIL", "MAIL:30", states.PRE,
             "sent", daily=True),
        cell("Ended otherwise", "SIGKILL with a letter in hand", "to DATA", "DATA:30", states.PRE, "sent", daily=True),
        cell("Ended otherwise", "SIGKILL with a letter in hand", "to the dot", ".:30", states.DOT, "held, delivered",
             daily=True),
    ],
)  # fmt: skip
def test_a_daemon_killed_with_a_letter_in_hand_leaves_it_to_the_next_one(
    slow: str, phase: str, ending: str, seen: Say
) -> None:
    with smtp_sink("-W", slow) as sink:
        scene = Scene(sink, letters=1, confirmed=True)
        with daemon() as child:
            until("sending", phase)
            if phase == states.DOT:
                wait_for(lambda: scene.deliveries() != Counter())
            child.send_signal(signal.SIGKILL)
            assert child.wait(10) == -signal.SIGKILL
        assert letter()["state"] == "sending"
        with smtp_sink() as second:
            scene.another(second)
            with daemon():
                until(ending.split(",", maxsplit=1)[0])
            assert scene.check(slow) == {ending: 1}
            # What is held does not go out by itself, and what was sent is not sent again.
            go_on()
            assert scene.check(slow) == {ending: 1}
    seen(ending)


def test_a_daemon_that_was_killed_does_not_keep_the_next_one_from_starting() -> None:
    account(1)
    lock = store_file().with_name("thanksd.db.lock")

    def has_it(pid: int) -> bool:
        return lock.exists() and lock.read_text() == f"daemon {pid}\n"

    for _ in range(2):
        with daemon() as child:
            wait_for(partial(has_it, child.pid), 20)
            child.kill()
            assert child.wait(10) == -signal.SIGKILL


# --- asked to end ---


@pytest.mark.parametrize(
    "words",
    [
        cell("Ended otherwise", "SIGTERM with a letter in hand", "the daemon", ("run",), daily=True),
        cell("Ended otherwise", "SIGTERM with a letter in hand", "thanksd run --once", ("run", "--once"), daily=True),
    ],
)
def test_a_sender_that_is_told_to_end_finishes_the_letter_in_hand_and_begins_no_other(
    words: tuple[str, ...], seen: Say
) -> None:
    with smtp_sink("-W", ".:1") as sink:
        scene = Scene(sink, letters=5, confirmed=True)
        with Program([SCRIPT, *words], is_tied=True, **_SILENT) as child:
            wait_for(lambda: rows(store_file(), "SELECT * FROM letter WHERE phase = 'dot'") != [], 20)
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        assert Counter(row["state"] for row in rows(store_file(), "SELECT state FROM letter")) == {
            "sent": 1,
            "queued": 4,
        }
        assert sum(scene.deliveries().values()) == 1
        go_on()
        assert scene.check("after it") == {"sent": 5}
    seen("the letter in hand is sent, exit 0; the rest waits, and goes with the next start")


@pytest.mark.parametrize(
    "number",
    [
        cell("Ended otherwise", "SIGTERM with a letter in hand", "thanksd send", signal.SIGTERM, daily=True),
        cell("Ended otherwise", "SIGINT with a letter in hand", "thanksd send", signal.SIGINT, daily=True),
        cell("Ended otherwise", "SIGHUP with a letter in hand", "thanksd send", signal.SIGHUP, daily=True),
    ],
)
def test_a_command_that_is_told_to_end_finishes_the_letter_in_hand_and_takes_the_others_back(
    number: signal.Signals, seen: Say
) -> None:
    with smtp_sink("-W", ".:1") as sink:
        scene = Scene(sink, letters=1, confirmed=False)
        with Program([SCRIPT, "send", "1", "--yes", "--now"], is_tied=True, **_SILENT) as child:
            wait_for(lambda: letter()["phase"] == states.DOT, 20)
            child.send_signal(number)
            assert child.wait(20) == 0
        assert scene.check("ended") == {"sent": 1}
    seen("the letter in hand is sent, exit 0")


# --- stopped past its lease ---


@pytest.mark.parametrize(
    ("slow", "phase", "meanwhile", "ending"),
    [
        cell("Ended otherwise", "SIGSTOP past the lease, then SIGCONT", "before the dot", "DATA:2", states.PRE, {"sent": 1}, {"sent": 1},
             daily=True),
        cell("Ended otherwise", "SIGSTOP past the lease, then SIGCONT", "after it", ".:2", states.DOT, {"held, delivered": 1}, {"sent": 1},
             daily=True),
    ],
)  # fmt: skip
def test_a_worker_that_slept_past_its_lease_sends_nothing_any_more(
    slow: str, phase: str, meanwhile: dict[str, int], ending: dict[str, int], seen: Say
) -> None:
    with smtp_sink("-W", slow) as sink, smtp_sink() as second:
        scene = Scene(sink, letters=1, confirmed=True)
        with Program([SCRIPT, "run", "--once"], is_tied=True, **_SILENT) as sleeper:
            until("sending", phase)
            # Claiming is over by then: whoever is stopped in it keeps others from claiming, too.
            wait_for(lambda: _is_connected(sink.port))
            if phase == states.DOT:
                wait_for(lambda: scene.deliveries() != Counter())
            sleeper.send_signal(signal.SIGSTOP)
            scene.another(second)
            _pass_in(timedelta(minutes=31))
            assert scene.check("while it sleeps") == meanwhile
            sleeper.send_signal(signal.SIGCONT)
            assert sleeper.wait(30) == 0
        assert scene.check("when it woke") == ending
        go_on()
        assert scene.check("later") == ending
    seen("another sent it; the sleeper did not" if phase == states.PRE else "held; the late yes makes it sent")


def _is_connected(port: int) -> bool:
    """Say whether somebody is connected to a port of ours (proc(5): the peer's end, state 01)."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def _pass_in(span: timedelta) -> None:
    """Do what another daemon does so much later."""
    with world() as opened:
        context = opened.context()
        verbs.call("dispatch", replace(context, clock=lambda: datetime.now(UTC) + span), {})


# --- out of memory ---


_GROUPS = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
# Fills its memory until somebody of its group has to go; the kernel is told who is to be the first.
_HOG = "held = []\nwhile True: held.append(bytearray(1 << 20)); held[-1][::4096] = b'x' * 256"


def _is_empty(group: Path) -> bool:
    return (group / "cgroup.procs").read_text(encoding="ascii") == ""


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of 96 MiB, as version 1 or 2 of the kernel's interface has it."""
    for base, limit in zip(_GROUPS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        group = base / f"thanksd-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
        if (group / limit).exists():
            (group / limit).write_text(str(96 << 20), encoding="ascii")
            yield group
            wait_for(partial(_is_empty, group), 30)
            group.rmdir()
            return
    pytest.skip("needs root, and control groups that limit memory")


@pytest.mark.parametrize(
    "after",
    [
        cell("Ended otherwise", "Out of memory in a burst of 200", "soon", 0.2),
        cell("Ended otherwise", "Out of memory in a burst of 200", "a little later", 0.4),
        cell("Ended otherwise", "Out of memory in a burst of 200", "later", 0.7),
    ],
)
def test_a_daemon_that_the_kernel_kills_for_its_memory_is_gone_on_from(
    after: float, memory_group: Path, seen: Say
) -> None:
    with smtp_sink() as sink:
        scene = Scene(sink, letters=200, confirmed=True)
        with daemon() as child:
            _join(memory_group, child.pid)
            Path(f"/proc/{child.pid}/oom_score_adj").write_text("1000", encoding="ascii")
            wait_for(lambda: rows(store_file(), "SELECT * FROM letter WHERE state = 'sent'") != [], 20)
            time.sleep(after)
            with subprocess.Popen([sys.executable, "-c", f"input()\n{_HOG}"], stdin=subprocess.PIPE) as hog:
                _join(memory_group, hog.pid)
                assert hog.stdin is not None
                hog.stdin.write(b"\n")
                hog.stdin.flush()
                assert child.wait(60) == -signal.SIGKILL
                hog.kill()
        assert any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in _oom(memory_group))
        go_on()
        endings = scene.check("out of memory")
        assert endings["sent"] >= 150
    seen(f"killed by the kernel; {told(endings)}")


def _join(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _oom(group: Path) -> list[str]:
    files = (group / "memory.oom_control", group / "memory.events")
    return [line for file in files if file.exists() for line in file.read_text(encoding="ascii").splitlines()]


# --- restarted by systemd ---


_FILL = """
from thanksd import paths
from thanksd.world import World
opened = World(paths.store_url(str(paths.store_file())), str(paths.config_file()))
opened.call("add_many", {"lines": [{"line": n, "name": f"Person N{n}", "email": f"p{n}@example.com", "kind": "coffee",
                                    "detail": "why you left Rust"} for n in range(1, 201)]})
shown = [opened.call("prepare", {"ref": str(n), "at_once": True})["prepared"]["sha256"] for n in range(1, 201)]
letters = [{"thanks": n, "sha256": sha256} for n, sha256 in enumerate(shown, 1)]
opened.call("confirm", {"letters": letters, "at_once": True})
"""


_RESTARTS = """
set -e
~/venv/bin/python ~/fill.py
thanksd service install >/dev/null
count() { ~/venv/bin/python -c 'import os, sqlite3, sys
db = sqlite3.connect("file:" + os.path.expanduser("~/.local/share/thanksd/thanksd.db") + "?mode=ro", uri=True)
states = [state for (state,) in db.execute("SELECT state FROM letter")]
print(states.count(sys.argv[1]))' "$1"; }
for time in $(seq "$TIMES"); do
    before=$(count sent)
    until [ "$(count sent)" -gt "$before" ]; do sleep 0.02; done
    echo "before restart $time: $(count sent)"
    systemctl --user restart thanksd
    echo "result $(systemctl --user show thanksd -p Result --value)"
done
until [ "$(count queued)$(count sending)" = 00 ]; do sleep 0.1; done
echo "sent $(count sent), held $(count held)"
"""


@pytest.mark.parametrize(
    "times",
    [cell("Ended otherwise", "systemctl --user restart, a burst of 200 in flight", "three times", 3, daily=True)],
)
def test_a_burst_survives_restarts_by_the_user_manager_with_nothing_held(
    times: int, machine_user: MachineUser, seen: Say
) -> None:
    parts.need("systemctl")
    with smtp_sink() as sink:
        machine_user.write(
            ".config/thanksd/config.toml",
            '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n[nudge]\nchannels = ["terminal"]\n[transport]\n'
            f'kind = "smtp"\n[transport.smtp]\nhost = "127.0.0.1"\nport = {sink.port}\nsecurity = "none"\nauth = "none"\n',
        )
        machine_user.write("fill.py", _FILL)
        done = machine_user.run(_RESTARTS, env={"TIMES": str(times)})
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("result success") == times
        assert done.stdout.rstrip().endswith("sent 200, held 0"), done.stdout
        taken = deliveries([sink])
        assert (len(taken), set(taken.values())) == (200, {1})
    seen("each time the letter in hand is finished, exit 0; all 200 sent once, none held", times)
