"""The program killed as it enters a system call: strace(1) injects SIGKILL, and the calls are stepped one by one.

Each kill is of a process of its own, which stops itself until strace has it, so that the first call counted is its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import parts
from cli_rigs import SCRIPT, config_file, configure, store_file
from program_rigs import Program
from smtp_rigs import Sink, wait_for
from store_rigs import is_sound, make_another, new_store, rows

from thanksd import paths
from thanksd.world import World

_STOPS_FIRST = """
import os, signal, sys
from thanksd.cli import main
os.kill(os.getpid(), signal.SIGSTOP)
sys.exit(main())
"""

# The program's arguments that send letter 1 with no daemon.
SEND = ("send", "1", "--yes", "--now")

# What a letter's state says of its thanks, and how often the server may have it.
_THANKS = {"none": ("owed",), "sent": ("thanked",), "held": ("confirmed",)}


@contextlib.contextmanager
def traced(call: str, number: int, words: Sequence[str], *, after: Callable[[], bool] = bool) -> Iterator[Program]:
    """Run the program (its arguments are `words`), to be killed as it enters its `number`-th such system call.

    Calls are counted from where `after` says yes, without it from the first: being watched costs a program most of its
    time. It is stopped there until it is watched.
    """
    parts.need("strace")
    silent: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Program([SCRIPT, *words], source=_STOPS_FIRST, is_tied=True, **silent) as program:
        wait_for(lambda: _state(program.pid) == "T", 30)
        if after is not bool:
            _go_up_to(program, after)
        # Without --seccomp-bpf, under which strace 6.1 injects no signals.
        strace = [str(parts.find("strace")), "-f", "-o", "/dev/null", "-p", str(program.pid), "-e"]
        inject = [f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"]
        with subprocess.Popen([*strace, *inject], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            # One that came to its end before can't be watched any more.
            assert b"attached" in tracer.stderr.readline() or program.poll() is not None
            program.send_signal(signal.SIGCONT)
            try:
                yield program
            finally:
                program.kill()
                program.wait(30)
                tracer.wait(30)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]


def _go_up_to(program: Program, after: Callable[[], bool]) -> None:
    program.send_signal(signal.SIGCONT)
    while program.poll() is None and not after():
        time.sleep(0.001)
    if program.poll() is None:
        program.send_signal(signal.SIGSTOP)
        wait_for(lambda: program.poll() is not None or _state(program.pid) == "T", 30)


def killed_at(call: str, number: int, words: Sequence[str], *, after: Callable[[], bool] = bool) -> int:
    """Run the program to its end, or until it is killed there (`traced`); give how it ended: 0 or -9."""
    with traced(call, number, words, after=after) as program:
        code = program.wait(60)
    assert code in (0, -signal.SIGKILL), code
    return code


def account(port: int) -> None:
    configure(
        '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n[nudge]\nchannels = ["terminal"]\n[send]\nundo = "0s"\n'
        '[transport]\nkind = "smtp"\n'
        f'[transport.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nauth = "none"\n'
    )


@contextlib.contextmanager
def world(store: str = "") -> Iterator[World]:
    """A fresh start of the program, in this process, with the usual ledger or another."""
    opened = World(paths.store_url(store or str(store_file())), str(config_file()))
    yield opened
    opened.store.close()


def confirm(opened: World, *thanks: int) -> None:
    """Put letters into the outbox, to leave at once."""
    shown = [opened.call("prepare", {"ref": str(one), "at_once": True})["prepared"]["sha256"] for one in thanks]
    letters = [{"thanks": one, "sha256": sha256} for one, sha256 in zip(thanks, shown, strict=True)]
    opened.call("confirm", {"letters": letters, "at_once": True})


@cache
def _one_owed() -> bytes:
    new_store(store_file()).close()
    with world() as opened:
        facts = {"kind": "coffee", "details": ["why you left Rust"]}
        opened.call("add", {"who": "Ada Lovelace", "email": "ada@example.com", **facts})
    return store_file().read_bytes()


def start_anew() -> None:
    """Make the ledger one with one thanks owed, number 1, with nothing beside it that a killed program left."""
    _put(_one_owed())


def _put(ledger: bytes) -> None:
    store_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in store_file().parent.iterdir():
        path.unlink()
    store_file().write_bytes(ledger)
    store_file().chmod(0o600)
    make_another(store_file())


def letter() -> dict[str, Any]:
    """Give the newest letter; where there is none, one in the state "none"."""
    found = rows(store_file(), "SELECT * FROM letter ORDER BY id DESC LIMIT 1")
    return found[0] if found else {"state": "none", "message_id": "none", "phase": ""}


@cache
def _ledger_of(letters: int, *, confirmed: bool) -> bytes:
    """Give a ledger with so many thanks, and their letters where they are confirmed: made once, it takes a while."""
    new_store(store_file()).close()
    with world() as opened:
        lines = [{"line": number, "name": f"Person N{number}", "email": f"p{number}@example.com", "kind": "coffee",
                  "detail": "why you left Rust"} for number in range(1, letters + 1)]  # fmt: skip
        opened.call("add_many", {"lines": lines})
        if confirmed:
            confirm(opened, *range(1, letters + 1))
    return store_file().read_bytes()


class Scene:
    """A ledger as it was at one moment, to be put back before each kill, and the server that counts."""

    def __init__(self, sink: Sink, *, letters: int, confirmed: bool) -> None:
        self.sinks = [sink]
        account(sink.port)
        self._ledger = _ledger_of(letters, confirmed=confirmed)
        _put(self._ledger)

    def another(self, sink: Sink) -> None:
        """Let this server take letters too, from now on."""
        account(sink.port)
        self.sinks.append(sink)

    def start_anew(self) -> None:
        """Put the ledger back, with nothing beside it that a killed program left, and forget what the server took."""
        for path in (path for sink in self.sinks for path in sink.folder.iterdir()):
            path.unlink()
        _put(self._ledger)

    def deliveries(self) -> Counter[str]:
        """Give how often the servers took each letter to its end, by Message-ID."""
        return deliveries(self.sinks)

    def check(self, where: str) -> Counter[str]:
        """Check what must be so after every death and a new start; give how many letters ended how.

        Each thanks is in one state that fits its letter; none was delivered twice; what is sent was delivered; nothing
        else is still on its way.
        """
        thanks, letters = (rows(store_file(), one) for one in _BOTH)
        endings = settled(thanks, letters, self.deliveries(), where)
        assert rows(store_file(), "SELECT * FROM attempt WHERE ended_at IS NULL") == [], where
        assert is_sound(store_file()), where
        return endings


# All thanks, and all letters, oldest first.
_BOTH = ("SELECT * FROM thanks ORDER BY id", "SELECT * FROM letter ORDER BY id")
_Rows: TypeAlias = Sequence[Mapping[str, Any]]


def settled(thanks: _Rows, letters: _Rows, taken: Counter[str], where: str) -> Counter[str]:
    """Check thanks and letters as `Scene.check` does, by what the servers have `taken`; give how many ended how."""
    newest = {one["thanks_id"]: one for one in letters}
    endings: Counter[str] = Counter()
    for one in thanks:
        letter = newest.get(one["id"], {"state": "none", "message_id": "none"})
        times = taken[letter["message_id"]]
        assert one["state"] in _THANKS[letter["state"]], (where, one, letter["state"])
        assert times <= 1, where
        assert times == {"none": 0, "sent": 1}.get(letter["state"], times), where
        endings[_ending(letter["state"], times)] += 1
    assert sum(taken.values()) == sum(times for words, times in endings.items() if words in _DELIVERED), where
    return endings


def deliveries(sinks: Sequence[Sink]) -> Counter[str]:
    """Give how often these servers took each letter to its end, by Message-ID."""
    dumps = (data for sink in sinks for data in sink.dumps())
    ids = (re.search(rb"^Message-ID: (\S+)", data, re.MULTILINE | re.IGNORECASE) for data in dumps)
    return Counter(found[1].decode() for found in ids if found)


_DELIVERED = ("sent", "held, delivered")


def _ending(state: str, times: int) -> str:
    words = {"none": "owed still", "sent": "sent"}
    return words.get(state) or ("held, delivered" if times else "held, not delivered")


def go_on(store: str = "") -> None:
    """Start anew in this process, as the next command or daemon would, until nothing is left to do."""
    with world(store) as opened:
        opened.call("dispatch", {})


def told(endings: Counter[str]) -> str:
    """Say how many ended how."""
    return "; ".join(f"{count:,} {words}" for words, count in sorted(endings.items(), key=lambda one: -one[1]))


def random_instant(program: subprocess.Popen[bytes], after: float) -> int:
    """Kill a program so many seconds later, unless it ends before; give how it ended."""
    deadline = time.monotonic() + after
    while time.monotonic() < deadline and program.poll() is None:
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.kill(program.pid, signal.SIGKILL)
    return program.wait(30)
