"""A mail server of our own that fails as it is told, at one step, until it is healed; and counts what it took.

It stays where real ones leave: many connections, many letters on one, the same port before and after. A fault is called
in place of the answer to a step: "" (the greeting), EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, "body" (once its first
bytes came), "." or QUIT.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

_USUAL = {"": "220 test", "AUTH": "235 ok", "STARTTLS": "220 go", "DATA": "354 go", ".": "250 taken", "QUIT": "221 bye"}
_DOT = b"\r\n.\r\n"
_CLEAR_NO = re.compile(rb"5\d\d|45[012] (?!4\.4)")


class Line:
    """One connection, as the server has it."""

    def __init__(self, client: socket.socket, ended: threading.Event) -> None:
        self.client = client
        self.read = b""
        self.said = b""
        self._ended = ended

    def say(self, words: str | bytes) -> None:
        self.said = words if isinstance(words, bytes) else f"{words}\r\n".encode()
        self.client.sendall(self.said)

    def fill(self, most: int = 65536) -> None:
        """Read what comes next."""
        data = self.client.recv(most)
        if not data:
            raise ConnectionAbortedError
        self.read += data

    def take(self, end: bytes) -> bytes:
        """Give what was said up to an end."""
        while end not in self.read:
            self.fill()
        said, _, self.read = self.read.partition(end)
        return said + end

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the test is over."""
        if seconds and self._ended.wait(seconds):
            raise ConnectionAbortedError

    def until_left(self) -> None:
        """Read on, and say nothing, until the client is gone."""
        while self.client.recv(65536):
            pass

    def secure(self, tls: ssl.SSLContext) -> None:
        self.client, self.read = tls.wrap_socket(self.client, server_side=True), b""


# What happens in place of an answer: given the line and the usual words, it says whether the connection goes on.
Fault: TypeAlias = Callable[[Line, str], bool]


def says(words: str | bytes) -> Fault:
    """Say something else, and listen on."""

    def fault(line: Line, _usual: str) -> bool:
        line.say(words)
        return True

    return fault


def says_and_drops(words: str | bytes) -> Fault:
    """Say something else, and hang up."""

    def fault(line: Line, _usual: str) -> bool:
        line.say(words)
        return False

    return fault


def late(seconds: float) -> Fault:
    """Say the usual, but late."""

    def fault(line: Line, usual: str) -> bool:
        line.pause(seconds)
        if usual:
            line.say(usual)
        return True

    return fault


def drops(_line: Line, _usual: str) -> bool:
    """Hang up without a word."""
    return False


def resets(line: Line, _usual: str) -> bool:
    """Break the connection as a crashed machine does."""
    line.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def is_silent(line: Line, _usual: str) -> bool:
    """Take everything, and never say a word again."""
    line.until_left()
    return False


def reads_no_more(line: Line, _usual: str) -> bool:
    """Let the window close: nothing is read any more, and nothing said."""
    line.pause(3600)
    return False


def reads_slowly(line: Line, _usual: str) -> bool:
    """Read the body in small pieces."""
    while _DOT not in line.read:
        line.fill(2048)
        line.pause(0.01)
    return True


def reads_then(last: Fault) -> Fault:
    """Read some of the body, then no more for a while; and then something else happens."""

    def fault(line: Line, usual: str) -> bool:
        for _ in range(4):
            line.fill(512)
        line.pause(0.2)
        return last(line, usual)

    return fault


def never_ends(piece: bytes, every: float) -> Fault:
    """Say a piece again and again, for longer than anybody should listen; then end the line."""

    def fault(line: Line, _usual: str) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            line.say(piece)
            line.pause(every)
        line.say("")
        return False

    return fault


class Server:
    """The server. `faults` by step; `taken` are the letters that it took, or whose answer nobody heard."""

    def __init__(
        self,
        faults: dict[str, Fault] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        offers: Sequence[str] = (),
        window: int = 0,
        address: str = "127.0.0.1",
    ) -> None:
        self.faults = dict(faults or {})
        self.verbs: list[str] = []
        self.lines: list[bytes] = []
        self.taken: list[bytes] = []
        self.refused: list[bytes] = []
        self.connections = 0
        self.hung_up = 0
        self._tls, self._implicit, self._offers = tls, implicit, offers
        self._ended = threading.Event()
        self.address = address
        self._listener = socket.create_server((address, 0))
        if window:
            # Small segments, or a client's own buffer takes the whole letter before the window counts.
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []

    def heal(self) -> None:
        """Be a good server from the next answer on."""
        self.faults.clear()

    def count(self, verb: str) -> int:
        return self.verbs.count(verb)

    def __enter__(self) -> Self:
        self._begin(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: Callable[..., None], *given: object) -> None:
        self._threads.append(threading.Thread(target=work, args=given))
        self._threads[-1].start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(20)
                self.connections += 1
                self._begin(self._attend, Line(client, self._ended))

    def _attend(self, line: Line) -> None:
        # A client that leaves, or does not trust us, is what many tests are about.
        with contextlib.suppress(OSError):
            self._talk(line)
        line.client.close()
        self.hung_up += 1

    def _talk(self, line: Line) -> None:
        if self._implicit and self._tls:
            line.secure(self._tls)
        verb = ""
        while self._answer(line, verb, self._usual(line, verb)) and verb != "QUIT":
            if verb == "STARTTLS" and self._tls:
                line.secure(self._tls)
            verb = self._next(line, verb)
            self.verbs.append(verb)

    def _usual(self, line: Line, verb: str) -> str:
        if verb == "EHLO":
            hidden = isinstance(line.client, ssl.SSLSocket)
            offers = [one for one in self._offers if one != "STARTTLS" or not hidden]
            return "\r\n250-".join(["250-test", *offers]) + "\r\n250 8BITMIME"
        return _USUAL.get(verb, "250 ok")

    def _answer(self, line: Line, step: str, usual: str) -> bool:
        line.said = b""
        fault = self.faults.get(step, late(0))
        goes_on = fault(line, usual)
        # Only a clear no is no: the worst is what is counted.
        if step == "." and _CLEAR_NO.match(line.said):
            self.refused.append(self.taken.pop())
        return goes_on

    def _next(self, line: Line, verb: str) -> str:
        if verb != "DATA":
            self.lines.append(line.take(b"\r\n"))
            return self.lines[-1].split()[0].decode().upper()
        while not line.read:
            line.fill()
        fault = self.faults.get("body")
        if fault and not fault(line, ""):
            raise ConnectionAbortedError
        self.taken.append(line.take(_DOT))
        return "."
