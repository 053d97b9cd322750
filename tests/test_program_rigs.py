"""A forked start of the program is to it what a start of its own is, and leaves nothing to the next one."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pexpect
import pytest
from program_rigs import SCRIPT, InTerminal, Program, Start, run

# What a program can see of how it was started. Not its path: a script's folder is on it, and nothing is found there.
_LOOK = """
import gc, json, locale, os, resource, signal, sys, threading, time, warnings
streams = [
    [one.encoding, one.errors, one.newlines, one.line_buffering, one.write_through, one.isatty(), one.fileno(), one.closed]
    for one in (sys.stdin, sys.stdout, sys.stderr)
]
with open("/proc/self/status", encoding="ascii", errors="replace") as status:
    kept = ("SigBlk", "SigIgn", "SigCgt", "Umask", "Threads", "CapEff", "NoNewPrivs")
    facts = [line for line in status if line.startswith(kept)]
print(json.dumps({
    "streams": streams, "stdin": sys.stdin.read(), "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__],
    "status": facts, "open": sorted(map(int, os.listdir("/proc/self/fd"))),
    "signals": [str(signal.getsignal(number)) for number in range(1, 32)],
    "limits": [resource.getrlimit(number) for number in range(16)],
    "environ": dict(sorted(os.environ.items())), "C's": os.popen("env | grep -ac ^WORD=").read(),
    "words": sys.argv, "folder": os.getcwd(), "parent": os.getppid(), "group": os.getpgid(0), "session": os.getsid(0),
    "zone": time.tzname, "locale": locale.setlocale(locale.LC_ALL), "python": sys.executable,
    "main": threading.current_thread() is threading.main_thread(), "gc": gc.isenabled(),
}))
"""


def _seen(**environ: str) -> dict[str, Any]:
    with Program(
        [SCRIPT, "Ada", "Grüße"],
        source=_LOOK,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environ},
        cwd="/",
    ) as one:
        out, _ = one.communicate(b"a\r\nb\rc \xff", 30)
    assert one.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_forked_start_is_to_the_program_what_one_of_its_own_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever asked for the first one, each is as its own asker is.
    run([SCRIPT, "--version"])
    os.umask(0o027)
    forked = _seen(TZ="Asia/Tokyo", WORD="Ada \udcff")
    monkeypatch.setattr(Start, "is_whole", True)
    assert _seen(TZ="Asia/Tokyo", WORD="Ada \udcff") == forked
    assert (forked["parent"], forked["zone"], forked["C's"]) == (os.getpid(), ["JST", "JST"], "1\n")


def test_a_forked_start_leaves_nothing_to_the_next_one() -> None:
    leave = "import os, sys, thanksd; thanksd.left = True; os.environ['WORD'] = 'left'; os.umask(0); sys.exit(7)"
    look = "import os, sys, thanksd; sys.exit(hasattr(thanksd, 'left') + ('WORD' in os.environ) + (os.umask(0) == 0))"
    assert [Program([SCRIPT], source=one).wait(30) for one in (leave, look)] == [7, 0]


def test_in_a_terminal_it_is_the_one_that_the_terminal_s_keys_reach() -> None:
    with InTerminal(str(SCRIPT), ["add"], timeout=20) as one:
        one.expect(r"Whom did you meet\? ")
        one.sendintr()
        one.expect(pexpect.EOF)
        one.close()
        assert one.exitstatus == 130


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_is_left_to_do_at_the_end_is_done_and_an_error_of_python_s_own_told(
    monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    monkeypatch.setattr(Start, "is_whole", is_whole)
    left = "import atexit, threading; atexit.register(print, 'end'); threading.Timer(0.1, print, ['thread']).start();"
    for source, code, told in ((left, 0, b""), (left + "1 / 0", 1, b"ZeroDivisionError: division by zero\n")):
        with Program([SCRIPT], source=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
            out, said = one.communicate(timeout=30)
        assert (one.returncode, out) == (code, b"thread\nend\n")
        assert said.endswith(told)
        assert bool(said) == bool(told)


def test_another_locale_is_for_a_start_of_its_own_to_read() -> None:
    source = "import sys; print(sys.stdout.encoding)"
    found = [
        Program([SCRIPT], source=source, stdout=-1, env={**os.environ, "LC_ALL": one}) for one in ("C.UTF-8", "POSIX")
    ]
    assert [one._is_short for one in found] == [True, False]
    assert [one.communicate(timeout=30)[0] for one in found] == [b"utf-8\n", b"utf-8\n"]


def test_a_command_says_and_does_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    forked = run([SCRIPT, "thank"])
    monkeypatch.setattr(Start, "is_whole", True)
    assert vars(run([SCRIPT, "thank"])) == vars(forked)
    assert forked.returncode == 2
