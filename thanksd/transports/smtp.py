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
import socket
import ssl
from typing import TYPE_CHECKING

from thanksd.credentials import CredentialsError
from thanksd.errors import ConfigError, PermissionDeniedError, ThanksdError, UnavailableError
from thanksd.states import ACCEPTED, CREDENTIALS, NOT_NOW, REJECTED, UNKNOWN
from thanksd.transports import (
    DROPPED,
    LETTER,
    LOST_LEASE,
    REFUSED,
    TLS,
    Envelope,
    OnDot,
    OnWait,
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
from thanksd.transports.session import SECONDS, Session, TlsSession

if TYPE_CHECKING:
    from thanksd.config import Smtp

_PORTS = {"tls": 465, "starttls": 587, "none": 25}

# The host's own name is private and looking it up may block; an address literal is as good (RFC 5321 4.1.3).
_OUR_NAME = "[127.0.0.1]"

# RFC 5321 4.2.3: the server closes the connection after this.
_CLOSING = 421


class Submission:
    """One account at a submission server: its connection is opened for the first letter and kept for the next ones.

    Used by one thread, and closed at the end of a run.
    """

    def __init__(self, smtp: Smtp, username_default: str, secret: Secret) -> None:
        self._smtp = smtp
        self._username_default = username_default
        self._secret = secret
        self._session: Session | None = None
        self._is_clean = True
        self._no_secret: CredentialsError | None = None

    def deliver(self, envelope: Envelope, on_dot: OnDot, on_wait: OnWait) -> Outcome:
        """Try once to hand a letter to the server.

        Raises ConfigError, before anything is sent, where the account can't work; and whatever `on_dot` and `on_wait`
        raise, with the connection dropped before the dot.
        """
        check_account(self._smtp)
        flaw = _flaw(envelope)
        if flaw:
            return Outcome(REJECTED, flaw, None, LETTER)
        try:
            session = self._hand_over(envelope, on_wait)
        except StopError as stop:
            self._after(stop.outcome)
            return stop.outcome
        except (CredentialsError, OSError) as error:
            self._drop()
            return stopped(error)
        except BaseException:
            self._drop()
            raise
        return self._finish(session, on_dot)

    def close(self) -> None:
        """Take leave of the server."""
        if self._session is not None:
            _quit(self._session)
            self._drop()

    def _hand_over(self, envelope: Envelope, on_wait: OnWait) -> Session:
        """Bring a letter up to its dot; give the session that waits for it.

        What a server says to the first word on a connection that it had before is not about the letter: it closed it
        meanwhile, or takes no more on it. A new one decides, once; nothing can have been delivered.
        """
        if self._session is not None:
            self._session.on_wait = on_wait
            try:
                _stay_silent(self._session)
                _begin(self._session, envelope, is_clean=self._is_clean)
            except (StopError, OSError):
                self._drop()
        if self._session is None:
            on_wait()
            self._session = self._opened()
            try:
                _begin(self._session, envelope, is_clean=True)
            except StopError:
                # The answer to RCPT may be under way behind the one to MAIL.
                self._drop()
                raise
        _hand_over(self._session, envelope)
        self._session.on_wait = None
        return self._session

    def _opened(self) -> Session:
        """Connect and log in. The secret is fetched first, so that a slow keyring holds no connection open."""
        word = self._word() if self._smtp.auth != "none" else ""
        session = _connect(self._smtp)
        try:
            _log_in(session, self._smtp, self._username_default, word)
        except BaseException:
            session.close()
            raise
        self._is_clean = True
        return session

    def _word(self) -> str:
        """Read the secret. One that can't be read is asked for once in a run: each reader may take its ten seconds."""
        if self._no_secret is not None:
            raise self._no_secret
        try:
            return self._secret() if self._secret else ""
        except CredentialsError as error:
            self._no_secret = error
            raise

    def _finish(self, session: Session, on_dot: OnDot) -> Outcome:
        is_going = False
        try:
            is_going = on_dot()
        finally:
            if not is_going:
                self._drop()
        if not is_going:
            return Outcome(NOT_NOW, "", None, LOST_LEASE)
        early = _early(session)
        if early is not None:
            self._drop()
            return early
        outcome = _end(session)
        self._after(outcome)
        return outcome

    def _after(self, outcome: Outcome) -> None:
        """Keep the connection where the server gave a clear answer and stays; drop it after any doubt."""
        self._is_clean = outcome.kind == ACCEPTED
        if outcome.kind == UNKNOWN or outcome.code is None or outcome.code == _CLOSING:
            self._drop()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


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


def _connect(smtp: Smtp) -> Session:
    """Open a connection that is secured as the config says, and greet; the caller closes it."""
    port = smtp.port or _PORTS[smtp.security]
    seconds = SECONDS["connect"]
    if smtp.security == "tls":
        session: Session = TlsSession(smtp.host, port, _OUR_NAME, timeout=seconds, context=ssl.create_default_context())
    else:
        session = Session(smtp.host, port, _OUR_NAME, timeout=seconds)
    try:
        _send_small_writes_at_once(session)
        _greet(session)
        if smtp.security == "starttls":
            _start_tls(session)
            _greet(session)
    except BaseException:
        session.close()
        raise
    return session


def _send_small_writes_at_once(session: Session) -> None:
    """Body and dot are two writes: the dot would wait for the body's acknowledgement, which is delayed by 40 ms.

    That is Nagle's algorithm (RFC 896) with delayed acknowledgements (RFC 1122 4.2.3.2).
    """
    if session.sock is not None:
        session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _greet(session: Session) -> None:
    session.limit("command")
    code, text = session.ehlo()
    if code not in YES:
        raise StopError(said_no(code, words_of(code, text), REFUSED))


def _start_tls(session: Session) -> None:
    """Secure the connection or stop: going on without would show the password to whoever took the offer away."""
    session.limit("connect")
    try:
        session.starttls(context=ssl.create_default_context())
    except smtplib.SMTPResponseException as error:
        raise StopError(Outcome(NOT_NOW, words_of(error.smtp_code, error.smtp_error), error.smtp_code, TLS)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise StopError(Outcome(NOT_NOW, "The server offers no STARTTLS, so nothing was sent.", None, TLS)) from error


def _log_in(session: Session, smtp: Smtp, username_default: str, word: str) -> str:
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


def _answers(session: Session, auth: str, user: str, word: str) -> list[str]:
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


def _begin(session: Session, envelope: Envelope, *, is_clean: bool) -> None:
    """Say who writes, after RSET where the letter before was refused (RFC 5321 4.1.1.5).

    And to whom in the same breath, where the server lets us (RFC 2920). DATA waits for both answers: a server that took
    it after a refused recipient would want a dot.
    """
    session.limit("command")
    if not is_clean:
        _ask(session, "RSET")
    words = f"MAIL FROM:<{envelope.sender}>"
    _ask(session, f"{words}\r\nRCPT TO:<{envelope.recipient}>" if session.has_extn("pipelining") else words)


def _ask(session: Session, words: str) -> None:
    session.send(f"{words}\r\n")
    code, text = session.getreply()
    if code not in YES:
        raise StopError(said_no(code, words_of(code, text), ""))


def _hand_over(session: Session, envelope: Envelope) -> None:
    """Say to whom it goes, unless that was said, and send the body, but not the dot that ends it."""
    if not session.has_extn("pipelining"):
        session.putcmd(f"RCPT TO:<{envelope.recipient}>")
    code, text = session.getreply()
    if code not in YES:
        raise StopError(of_recipient(said_no(code, words_of(code, text), "")))
    session.limit("data")
    code, text = session.docmd("DATA")
    if code != SEND_BODY:
        raise StopError(said_no(code, words_of(code, text), ""))
    session.limit("body")
    # RFC 5321 4.5.2: a line's first dot is doubled, for a lone dot is the end.
    session.send(re.sub(rb"(?m)^\.", b"..", envelope.raw))


def _stay_silent(session: Session) -> None:
    """Refuse a connection on which the server spoke, or hung up, since its last answer. Raises OSError."""
    if session.has_spoken():
        raise smtplib.SMTPServerDisconnected("The server said more than it was asked.")


def _early(session: Session) -> Outcome | None:
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


def _end(session: Session) -> Outcome:
    """Let the dot leave, and judge the answer."""
    try:
        session.limit("dot")
        session.send(b".\r\n")
        code, text = session.getreply()
    except Exception as error:  # noqa: BLE001  whatever broke now, the server may have the letter
        return Outcome(UNKNOWN, printable(f"No answer to the letter: {error}"), None, DROPPED)
    return after_dot(code, words_of(code, text))


def _quit(session: Session) -> None:
    """Take leave without waiting: the answer changes nothing, and the outcome must be written down first."""
    with contextlib.suppress(OSError):
        session.putcmd("QUIT")
