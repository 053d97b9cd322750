"""Starts of the program without its imports: a process that has them forks one child for each start asked for.

program_rigs runs this and asks it over the socket that is its standard input. A request is one JSON object with the new
process's standard streams beside it, the answer the new process's id. It ends when its tests do.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import json
import os
import pkgutil
import signal
import socket
import sys
import termios
import threading
import time
from importlib import import_module
from typing import Any, TextIO

import thanksd
from thanksd import drafts, etiquette

_LONGEST = 1 << 20
_PR_SET_PDEATHSIG = 1


def serve() -> dict[str, Any]:
    """Fork for each request; what returns, with its request, is a child."""
    asked = socket.socket(fileno=os.dup(0))
    for module in pkgutil.walk_packages(thanksd.__path__, "thanksd."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    # A program reads its tables once it needs them; a child would read them, and make their patterns, each time anew.
    etiquette.check("", "", drafts.sample_facts("coffee"), "")
    # A child's collector would touch, and so copy, every page of what is there for ever.
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, streams, _, _ = socket.recv_fds(asked, _LONGEST, 3)
        if not message:
            os._exit(0)
        if _is_child(streams):
            asked.send(str(os.getpid()).encode())
            asked.close()
            request: dict[str, Any] = json.loads(message)
            _become(request, streams)
            return request


def _is_child(streams: list[int]) -> bool:
    """Fork an orphan: the tests' process adopts it (PR_SET_CHILD_SUBREAPER), and waits for it as for a child of its own."""
    adopted, parent = os.pipe()
    if between := os.fork():
        for number in (adopted, *streams):
            os.close(number)
        os.waitpid(between, 0)
        os.close(parent)
        return False
    if os.fork():
        os._exit(0)
    os.close(parent)
    os.read(adopted, 1)
    os.close(adopted)
    return True


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Be what a process is that was just started so."""
    for wanted, number in enumerate(streams):
        os.dup2(number, wanted)
        os.close(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["dies_with"]:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != request["dies_with"]:
            os._exit(1)
    if request["in_terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    os.umask(request["umask"])
    os.chdir(request["folder"])
    sys.argv = request["words"]
    sys.stdin = sys.__stdin__ = _opened(0, "r", sys.stdin)  # type: ignore[misc]  # what Python itself does at its start
    sys.stdout = sys.__stdout__ = _opened(1, "w", sys.stdout)  # type: ignore[misc]  # as above
    sys.stderr = sys.__stderr__ = _opened(2, "w", sys.stderr, buffering=1)  # type: ignore[misc]  # as above


def _opened(number: int, mode: str, like: TextIO, buffering: int = -1) -> Any:
    # As create_stdio of Python's pylifecycle.c does.
    return open(number, mode, buffering, encoding=like.encoding, errors=like.errors, newline="\n", closefd=False)


def _run(program: str) -> None:
    """Run it to its end as Python does, but for giving back the memory: that would copy every page to drop it."""
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102  this is a start
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = ended.code or 0
    else:
        code = 0
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing's children do
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _run(serve()["program"])
