"""The program as a process of its own, started the short way: forked from one that has its imports already.

A start costs most of a short command's time, and is the same each time: program_server makes it once for each process of
tests. What is forked is a process like any other, with its own id, streams, environment, folder, terminal and end, and a
child of the tests. Tests about starting (`whole_start`), and all of them with --whole-start, run the script itself.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import pexpect
import ptyprocess  # type: ignore[import-untyped]  # it ships no types

SCRIPT = Path(sys.executable).parent / "thanksd"
_SERVER = Path(__file__).with_name("program_server.py")
_MAIN = "import sys; from thanksd.cli import main; sys.exit(main())"
# What Python, the linker and OpenSSL read as they start, beside their usual values here.
_OF_A_START = ("LC_", "PYTHON", "LD_PRELOAD", "OPENSSL_")
_USUAL = {"LC_ALL": "C.UTF-8"}
_PR_SET_CHILD_SUBREAPER = 36

Words = Sequence[str | os.PathLike[str]]


class Start:
    """How programs are started: `is_whole` where each runs the script."""

    is_whole = False


def _is_whole(environ: Mapping[str, str]) -> bool:
    of_a_start = {name: value for name, value in environ.items() if name.startswith(_OF_A_START)}
    return Start.is_whole or of_a_start != _USUAL


class _Server:
    """The process that forks; it ends when it sees its socket's other end closed, so with its tests at the latest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environ = {name: value for name, value in os.environ.items() if not name.startswith(_OF_A_START)}
            command = [sys.executable, "-P", str(_SERVER)]
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), env={**environ, **_USUAL})
        atexit.register(self._end)

    def fork(self, request: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Give the id of a new child of this process."""
        with self._lock, _adopting():
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            return int(self._socket.recv(32))

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


@contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of those below whose parent ends."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _fork(
    words: Words,
    streams: Sequence[int],
    environ: Mapping[str, str],
    folder: str | os.PathLike[str] | None,
    *,
    program: str = _MAIN,
    in_terminal: bool = False,
    dies_with: int = 0,
) -> int:
    request = {
        "words": [os.fspath(word) for word in words],
        "environ": dict(environ),
        "folder": os.path.abspath(folder or os.curdir),  # noqa: PTH100  as a shell would have it
        "umask": _umask(),
        "program": program,
        "in_terminal": in_terminal,
        "dies_with": dies_with,
    }
    return _server().fork(request, streams)


def _umask() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    (line,) = (line for line in status.splitlines() if line.startswith("Umask:"))
    return int(line.split()[1], 8)


class Program(subprocess.Popen[bytes]):
    """The program, as subprocess.Popen would run it: words as for a shell, the first one SCRIPT.

    `source` is Python's to run in the program's place; where `is_tied` it is killed when the tests are.
    """

    def __init__(self, words: Words, *, source: str = "", is_tied: bool = False, **options: Any) -> None:
        self._source, self._is_tied = source, is_tied
        environ = options.get("env") or os.environ
        self._is_short = not _is_whole(environ)
        command = [sys.executable, "-c", source, *words[1:]] if source else list(words)
        tie = ["setpriv", "--pdeathsig", "KILL"] if is_tied and not self._is_short else []
        super().__init__([*tie, *command], **options)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for its end; where the test failed it is killed first, as it may have been stopped and end never."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)

    def _execute_child(
        self,
        args: Words,
        executable: None,
        preexec_fn: None,
        close_fds: bool,
        pass_fds: tuple[int, ...],
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
        *rest: Any,
    ) -> None:
        """Do what Popen does, but by forking the server: Popen has pipes, waiting and limits, and no other door."""
        popen: Any = super()
        if not self._is_short:
            popen._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
            return
        # p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite; -1 is the stream that we have.
        ends = rest[3:9]
        streams = [given if given != -1 else number for number, given in enumerate((ends[0], ends[3], ends[5]))]
        self.pid = _fork(
            ["-c", *args[3:]] if self._source else args,
            streams,
            os.environ if env is None else env,
            cwd,
            program=self._source or _MAIN,
            dies_with=os.getpid() if self._is_tied else 0,
        )
        self._child_created = True
        popen._close_pipe_fds(*ends)


def run(
    words: Sequence[str | bytes | os.PathLike[str]],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = 180,
) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end, its streams pipes. Bytes among its words are for a start to read: that is whole."""
    said: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": env}
    texts = [word for word in words if not isinstance(word, bytes)]
    with Program(texts, **said) if len(texts) == len(words) else subprocess.Popen(words, **said) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def is_waiting(pid: int) -> bool:
    """Say whether a program sleeps until something happens (proc(5)), rather than is on its way there."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()[0] == "S"


class InTerminal(pexpect.spawn):  # type: ignore[misc]  # pexpect ships no types
    """pexpect.spawn, the program in it started the short way."""

    def _spawnpty(self, args: list[str | bytes], **options: Any) -> Any:
        words = [os.fsdecode(word) for word in args]
        environ = os.environ if self.env is None else self.env
        if words[0] != str(SCRIPT) or _is_whole(environ):
            return super()._spawnpty(args, **options)
        ours, theirs = os.openpty()
        try:
            termios.tcsetwinsize(theirs, options.get("dimensions") or (24, 80))
            child = _fork(words, [theirs] * 3, environ, self.cwd, in_terminal=True)
        finally:
            os.close(theirs)
        return ptyprocess.PtyProcess(child, ours)

    def sendintr(self) -> None:
        """Press Ctrl-C once the program waits for a key, as a hand does.

        Between a prompt's last letter and the waiting Python forgets it until the next key (CPython issue 112585).
        """
        while self.isalive() and not is_waiting(self.pid):
            time.sleep(0.01)
        super().sendintr()

    def close(self, force: bool = True) -> None:
        """Close the window; one whose program ended already is not waited for."""
        self.ptyproc.delayafterclose = 0.1 if self.isalive() else 0.0
        super().close(force)
