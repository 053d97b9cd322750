"""Letters sent through a submission server (RFC 5321, RFC 6409), with smtplib's separate commands.

smtplib's own sendmail() writes body and final dot in one piece and raises the same SMTPServerDisconnected before and
after it, so that nobody could tell "nothing was sent" from "perhaps it was". Here the body goes first, then `on_dot`
commits, then the dot leaves: an exception before is safe to retry, anything but a clear answer after is UNKNOWN.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import re
import smtplib
import ssl
import time
from typing import TYPE_CHECKING

from thanksd.credentials import CredentialsError
from thanksd.errors import ConfigError, PermissionDeniedError, ThanksdError, UnavailableError
from thanksd.states import CREDENTIALS, NOT_NOW, REJECTED, UNKNOWN
from thanksd.transports import (
    DROPPED,
    LETTER,
    LOST_LEASE,
    REFUSED,
    TLS,
    Envelope,
    OnDot,
    Outcome,
    Secret,
    printable,
)
from thanksd.transports.replies import (
    AUTH_GO_ON,
    LOGGED_IN,
    SEND_BODY,
    YES,
    StopError,
    after_dot,
    of_recipient,
    said_no,
    stopped,
    words_of,
)

if TYPE_CHECKING:
    from thanksd.config import Smtp

# Seconds of silence that end an attempt: RFC 5321 4.5.3.2, whose least time for the dot's reply is kept whole, because
# giving up earlier makes duplicates. Connecting, TLS and the greeting may be given up sooner: nothing is lost by it.
SECONDS = {"connect": 30.0, "command": 300.0, "data": 120.0, "body": 180.0, "dot": 600.0}

_PORTS = {"tls": 465, "starttls": 587, "none": 25}

# The host's own name is private and looking it up may block; an address literal is as good (RFC 5321 4.1.3).
_OUR_NAME = "[127.0.0.1]"

_LONGEST_LINE = 8192
_MOST_LINES = 100


class _Session(smtplib.SMTP):
    """smtplib's connection, reading replies strictly: whole lines, one code, a bounded number of them."""

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply: its code and text; the code is -1 for what is no reply.

        Raises SMTPServerDisconnected at the end of the stream, also in mid-line, and at a time limit, which is of the
        whole reply: a server that drips it must not hold us for ever.
        """
        lines, deadline = [], time.monotonic() + self.timeout
        for _ in range(_MOST_LINES):
            lines.append(self._line(deadline))
            found = re.match(rb"([2-5]\d\d)([- ]|\r?\n)", lines[-1])
            if not found or lines[-1][:3] != lines[0][:3]:
                break
            if found[2] != b"-":
                return int(found[1]), b"\n".join(line[4:].strip() for line in lines)
        return -1, lines[-1].strip()

    def _line(self, deadline: float) -> bytes:
        if self.file is None and self.sock is not None:
            self.file = self.sock.makefile("rb")
        if self.sock is None or self.file is None:
            raise smtplib.SMTPServerDisconnected("There is no connection.")
        line = b""
        try:
            while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                self.sock.settimeout(_left(deadline))
                piece = self.file.peek()[: _LONGEST_LINE - len(line)]
                if not piece:
                    break
                line += self.file.read(piece.find(b"\n") + 1 or len(piece))
            self.sock.settimeout(self.timeout)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"The connection broke: {error}") from error
        if not line.endswith(b"\n"):
            self.close()
            raise smtplib.SMTPServerDisconnected("The server closed the connection.")
        return line

    def close(self) -> None:
        """Close quietly: an error of closing must not hide what the server said."""
        with contextlib.suppress(OSError):
            super().close()

    def limit(self, step: str) -> None:
        """Set how long the next step may be silent (see SECONDS)."""
        self.timeout = SECONDS[step]
        if self.sock is not None:
            self.sock.settimeout(self.timeout)

    def has_spoken(self) -> bool:
        """Say whether the server spoke, or hung up, though nothing was asked. Raises OSError where the line broke."""
        if self.sock is None or self.file is None:
            return False
        self.sock.settimeout(0)
        try:
            # Of a stream that does not wait, b"" is its end and None that nothing came.
            return bool(self.file.peek()) or self.file.read(1) is not None
        except ssl.SSLWantReadError:
            return False
        finally:
            self.sock.settimeout(self.timeout)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _TlsSession(_Session, smtplib.SMTP_SSL):
    """The same over TLS from the first byte (RFC 8314)."""


def deliver(smtp: Smtp, username_default: str, secret: Secret, envelope: Envelope, on_dot: OnDot) -> Outcome:
    """Try once to hand a letter to the server.

    The secret is fetched first, so that a slow keyring holds no connection open. Raises ConfigError, before anything
    is sent, where the account can't work; and whatever `on_dot` raises, with the connection dropped before the dot.
    """
    check_account(smtp)
    flaw = _flaw(envelope)
    if flaw:
        return Outcome(REJECTED, flaw, None, LETTER)
    with contextlib.ExitStack() as stack:
        try:
            word = secret() if secret and smtp.auth != "none" else ""
            session = stack.enter_context(contextlib.closing(_connect(smtp)))
            _log_in(session, smtp, username_default, word)
            _hand_over(session, envelope)
        except (StopError, CredentialsError, OSError) as error:
            return stopped(error)
        if not on_dot():
            return Outcome(NOT_NOW, "", None, LOST_LEASE)
        return _early(session) or _finish(session)


def test_login(smtp: Smtp, me_email: str, secret: Secret) -> str:
    """Log in for real, send nothing, and give the server's words.

    Raises PermissionDeniedError where the login is refused or the secret can't be had, UnavailableError where the
    server can't be reached or trusted, ConfigError where the account can't work.
    """
    check_account(smtp)
    word = secret() if secret and smtp.auth != "none" else ""
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(contextlib.closing(_connect(smtp)))
            words = _log_in(session, smtp, me_email, word)
        except (StopError, OSError) as error:
            outcome = stopped(error)
        else:
            _quit(session)
            return words
    raise _login_error(smtp, outcome)


def _login_error(smtp: Smtp, outcome: Outcome) -> ThanksdError:
    message = f"{smtp.host} did not let us in: {outcome.reply}"
    if outcome.reason == CREDENTIALS:
        return PermissionDeniedError(message, "Store the right one: thanksd credentials set")
    return UnavailableError(message, "Check [transport.smtp] host, port and security, then try again.")


def check_account(smtp: Smtp) -> None:
    """Refuse an account that can't work, or would show the password on the way. Raises ConfigError."""
    name = smtp.host
    try:
        is_name = bool(name) and name.isprintable() and " " not in name and bool(name.encode("idna"))
    except UnicodeError:
        is_name = False
    if not is_name or smtp.port not in range(65536):
        raise ConfigError(f"There is no server {name!r}, port {smtp.port}.", "Set transport.smtp.host and port.")
    if smtp.security == "none" and not _is_loopback(name):
        raise ConfigError(
            f'security = "none" would show your letters and password on the way to {name}.',
            'Set transport.smtp.security to "tls" or "starttls".',
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _flaw(envelope: Envelope) -> str:
    """Say what no server may be given, or nothing: the bytes must arrive as they are, or not at all."""
    for address in (envelope.sender, envelope.recipient):
        if not re.fullmatch(r"[!-;=?-~]+@[!-;=?-~]+", address):
            return printable(f"An address with letters outside plain ASCII can't be mailed yet: {address!r}")
    raw = envelope.raw
    # A bare line end may end the letter early at one server and not at the next: SMTP smuggling (CVE-2023-51764).
    if not raw.endswith(b"\r\n") or re.search(rb"\r(?!\n)|(?<!\r)\n", raw):
        return "The letter has a line that does not end with CR LF."
    return "" if raw.isascii() and b"\0" not in raw else "The letter is not in 7 bits."


def _connect(smtp: Smtp) -> _Session:
    """Open a connection that is secured as the config says, and greet; the caller closes it."""
    port = smtp.port or _PORTS[smtp.security]
    seconds = SECONDS["connect"]
    if smtp.security == "tls":
        session: _Session = _TlsSession(
            smtp.host, port, _OUR_NAME, timeout=seconds, context=ssl.create_default_context()
        )
    else:
        session = _Session(smtp.host, port, _OUR_NAME, timeout=seconds)
    try:
        _greet(session)
        if smtp.security == "starttls":
            _start_tls(session)
            _greet(session)
    except BaseException:
        session.close()
        raise
    return session


def _greet(session: _Session) -> None:
    session.limit("command")
    code, text = session.ehlo()
    if code not in YES:
        raise StopError(said_no(code, words_of(code, text), REFUSED))


def _start_tls(session: _Session) -> None:
    """Secure the connection or stop: going on without would show the password to whoever took the offer away."""
    session.limit("connect")
    try:
        session.starttls(context=ssl.create_default_context())
    except smtplib.SMTPResponseException as error:
        raise StopError(Outcome(NOT_NOW, words_of(error.smtp_code, error.smtp_error), error.smtp_code, TLS)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise StopError(Outcome(NOT_NOW, "The server offers no STARTTLS, so nothing was sent.", None, TLS)) from error


def _log_in(session: _Session, smtp: Smtp, username_default: str, word: str) -> str:
    """Log in by one mechanism, once, and give the server's words: a second guess may lock the account."""
    if smtp.auth == "none":
        return "no login needed"
    answers = _answers(session, smtp.auth, smtp.username or username_default, word)
    code, text = session.docmd("AUTH", answers[0])
    for answer in answers[1:]:
        if code == AUTH_GO_ON:
            code, text = session.docmd(answer)
    words = words_of(code, _without(text, [word, *answers[0].split()[1:], *answers[1:]]))
    if code == LOGGED_IN:
        return words
    raise StopError(said_no(code, words, CREDENTIALS))


def _answers(session: _Session, auth: str, user: str, word: str) -> list[str]:
    """Give what to say after AUTH, and after each 334: RFC 4616, the LOGIN draft, and Google's XOAUTH2."""
    offered = session.esmtp_features.get("auth", "").upper().split()
    if auth == "xoauth2" and "XOAUTH2" in offered:
        bearer = f"user={user}\1auth=Bearer {word}\1\1"
        # A bad token is answered by 334 and the reason; the empty answer to that brings the refusal itself.
        return [f"XOAUTH2 {_base64(bearer)}", ""]
    if auth == "password" and "PLAIN" in offered:
        plain = f"\0{user}\0{word}"
        return [f"PLAIN {_base64(plain)}"]
    if auth == "password" and "LOGIN" in offered:
        return ["LOGIN", _base64(user), _base64(word)]
    offer = " ".join(offered) or "none"
    reply = printable(f'The server offers no login that fits auth = "{auth}" (offered: {offer}).')
    raise StopError(Outcome(NOT_NOW, reply, None, CREDENTIALS))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _without(text: bytes, hidden: list[str]) -> bytes:
    """Cut what we said in confidence out of a reply: some servers quote the line they refuse."""
    for said in filter(None, hidden):
        text = text.replace(said.encode(), b"***")
    return text


def _hand_over(session: _Session, envelope: Envelope) -> None:
    """Say who writes to whom, and send the body, but not the dot that ends it."""
    session.limit("command")
    code, text = session.docmd(f"MAIL FROM:<{envelope.sender}>")
    if code not in YES:
        raise StopError(said_no(code, words_of(code, text), ""))
    code, text = session.docmd(f"RCPT TO:<{envelope.recipient}>")
    if code not in YES:
        raise StopError(of_recipient(said_no(code, words_of(code, text), "")))
    session.limit("data")
    code, text = session.docmd("DATA")
    if code != SEND_BODY:
        raise StopError(said_no(code, words_of(code, text), ""))
    session.limit("body")
    # RFC 5321 4.5.2: a line's first dot is doubled, for a lone dot is the end.
    session.send(re.sub(rb"(?m)^\.", b"..", envelope.raw))


def _early(session: _Session) -> Outcome | None:
    """Judge what the server said, or that it hung up, before it got the dot: no yes to a letter, and a no to this one.

    The dot does not leave then, or an answer to it would be taken for the next one's.
    """
    try:
        if not session.has_spoken():
            return None
        code, text = session.getreply()
    except OSError as error:
        return stopped(error)
    return said_no(code, words_of(code, text), "")


def _finish(session: _Session) -> Outcome:
    try:
        session.limit("dot")
        session.send(b".\r\n")
        code, text = session.getreply()
    except Exception as error:  # noqa: BLE001  whatever broke now, the server may have the letter
        return Outcome(UNKNOWN, printable(f"No answer to the letter: {error}"), None, DROPPED)
    _quit(session)
    return after_dot(code, words_of(code, text))


def _quit(session: _Session) -> None:
    """Take leave without waiting: the answer changes nothing, and the outcome must be written down first."""
    with contextlib.suppress(OSError):
        session.putcmd("QUIT")
