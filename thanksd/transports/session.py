"""smtplib's connection to a submission server, with strict replies, limits on silence, and an ear for slow answers."""

from __future__ import annotations

import contextlib
import re
import select
import smtplib
import ssl
import time
from typing import TYPE_CHECKING

from thanksd.transports import OnWait

if TYPE_CHECKING:
    import socket
    from io import BufferedReader

# Seconds of silence that end an attempt: RFC 5321 4.5.3.2, whose least time for the dot's reply is kept whole, because
# giving up earlier makes duplicates. Connecting, TLS and the greeting may be given up sooner: nothing is lost by it.
SECONDS = {"connect": 30.0, "command": 300.0, "data": 120.0, "body": 180.0, "dot": 600.0}

# Seconds until an answer is called slow, and what can be done meanwhile is done.
PATIENCE = 0.05

_LONGEST_LINE = 8192
_MOST_LINES = 100


class Session(smtplib.SMTP):
    """smtplib's connection, reading replies strictly: whole lines, one code, a bounded number of them."""

    # Called where a reply is not there within PATIENCE seconds.
    on_wait: OnWait | None = None
    # Read already, and not yet asked for: answers to commands that went together.
    _read = b""

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply: its code and text; the code is -1 for what is no reply.

        Raises SMTPServerDisconnected at the end of the stream, also in mid-line, and at a time limit, which is of the
        whole reply: a server that drips it must not hold us for ever.
        """
        if self.on_wait is not None and not self._is_quick():
            self.on_wait()
        lines, deadline = [], time.monotonic() + self.timeout
        for _ in range(_MOST_LINES):
            lines.append(self._line(deadline))
            found = re.match(rb"([2-5]\d\d)([- ]|\r?\n)", lines[-1])
            if not found or lines[-1][:3] != lines[0][:3]:
                break
            if found[2] != b"-":
                return int(found[1]), b"\n".join(line[4:].strip() for line in lines)
        return -1, lines[-1].strip()

    def has_spoken(self) -> bool:
        """Say whether the server spoke, or hung up, though nothing was asked. Raises OSError where the line broke.

        Its words could be taken for the answer to what we say next.
        """
        if self._read or self.sock is None or self.file is None:
            return bool(self._read)
        self.sock.settimeout(0)
        try:
            # Of a stream that does not wait, b"" is its end and None that nothing came.
            return bool(self.file.peek()) or self.file.read(1) is not None
        except ssl.SSLWantReadError:
            return False
        finally:
            self.sock.settimeout(self.timeout)

    def _is_quick(self) -> bool:
        """Wait a little, and say whether there is something to read, or the end."""
        waiting = select.poll()
        if self.sock is None or b"\n" in self._read:
            return True
        waiting.register(self.sock, select.POLLIN)
        return bool(waiting.poll(PATIENCE * 1000))

    def _line(self, deadline: float) -> bytes:
        if self.file is None and self.sock is not None:
            # What was read before TLS began is not believed after it.
            self.file, self._read = self.sock.makefile("rb"), b""
        if self.sock is None or self.file is None:
            raise smtplib.SMTPServerDisconnected("There is no connection.")
        while b"\n" not in self._read and len(self._read) < _LONGEST_LINE:
            self._read += self._more(self.sock, self.file, deadline)
        line, end, self._read = self._read.partition(b"\n")
        if not end or len(line) >= _LONGEST_LINE:
            self.close()
            raise smtplib.SMTPServerDisconnected("The server said a line without an end.")
        return line + end

    def _more(self, sock: socket.socket, file: BufferedReader, deadline: float) -> bytes:
        try:
            sock.settimeout(_left(deadline))
            data = file.read1(_LONGEST_LINE)
            sock.settimeout(self.timeout)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"The connection broke: {error}") from error
        if not data:
            self.close()
            raise smtplib.SMTPServerDisconnected("The server closed the connection.")
        return data

    def close(self) -> None:
        """Close quietly: an error of closing must not hide what the server said."""
        with contextlib.suppress(OSError):
            super().close()

    def limit(self, step: str) -> None:
        """Set how long the next step may be silent (see SECONDS)."""
        self.timeout = SECONDS[step]
        if self.sock is not None:
            self.sock.settimeout(self.timeout)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class TlsSession(Session, smtplib.SMTP_SSL):
    """The same over TLS from the first byte (RFC 8314)."""
