"""What the replies of a submission server mean for a letter (RFC 5321, RFC 3463, RFC 4954). No sockets here."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl

from thanksd.credentials import CredentialsError
from thanksd.states import ACCEPTED, ADDRESS, CREDENTIALS, NOT_NOW, PASSWORD, REJECTED, UNKNOWN
from thanksd.transports import (
    BUSY,
    DROPPED,
    GARBLED,
    GREYLISTED,
    NO_NETWORK,
    REFUSED,
    TLS,
    Outcome,
    printable,
)

# RFC 5321 4.2.1: the first digit says what came of it; and three replies that mean "go on" each in its place.
YES, _LATER, _NO = range(200, 300), range(400, 500), range(500, 600)
LOGGED_IN, AUTH_GO_ON, SEND_BODY = 235, 334, 354
# RFC 4954 section 6: 432 password transition, 530 log in first, 534 mechanism too weak, 535 wrong, 538 needs TLS.
_LOGIN_CODES = (432, 530, 534, 535, 538)
# Exchange Online's words for "no passwords any more".
_NO_BASIC_AUTH = re.compile(r"(?<![\d.])5\.7\.30(?!\d)")
# RFC 3463: X.4.Z is about the network, so the server does not know either what became of the letter.
_NETWORK_STATUS = re.compile(r"(?<![\d.])4\.4\.\d{1,3}(?!\d)")
# RFC 3463 3.2, RFC 7505: no such mailbox, no such domain, no address at all, moved away, a domain that takes no mail.
_NO_SUCH_ADDRESS = re.compile(r"5\d\d 5\.1\.(?:1|2|3|6|10)(?![\d.])")


class StopError(Exception):
    """The attempt ended before the dot."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def words_of(code: int, text: bytes | str) -> str:
    """Give a reply as one printable line, its code first."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return printable(f"{code} {plain}" if code > 0 else plain)


def said_no(code: int, words: str, reason_of_5xx: str) -> Outcome:
    """Judge a reply before the dot that is not yes; without a `reason_of_5xx` a 5xx is about the letter itself."""
    if code in _LOGIN_CODES or _NO_BASIC_AUTH.search(words) or (code in _NO and reason_of_5xx == CREDENTIALS):
        return Outcome(NOT_NOW, _with_advice(code, words), code, CREDENTIALS)
    if code in _NO:
        return Outcome(NOT_NOW if reason_of_5xx else REJECTED, words, code, reason_of_5xx)
    if code in _LATER:
        return Outcome(NOT_NOW, words, code, GREYLISTED if re.search("(?i)gr[ae]y", words) else BUSY)
    return Outcome(NOT_NOW, words, None, GARBLED)


def of_recipient(outcome: Outcome) -> Outcome:
    """Judge a reply to RCPT further: a server that knows no such address says something of it, not of the letter."""
    is_unknown = outcome.kind == REJECTED and _NO_SUCH_ADDRESS.match(outcome.reply)
    return outcome._replace(reason=ADDRESS) if is_unknown else outcome


def _with_advice(code: int, words: str) -> str:
    if _NO_BASIC_AUTH.search(words):
        advice = 'No password works here any more, an app password neither: OAuth does (auth = "xoauth2").'
    elif code in (534, 535):
        advice = 'Many providers want an app password here, or OAuth (auth = "xoauth2").'
    else:
        advice = "Check security, auth and username of [transport.smtp]."
    return f"{words[:380]} ({advice})"


def after_dot(code: int, words: str) -> Outcome:
    """Judge the reply to the dot: only a clear yes or no decides."""
    if code in YES:
        return Outcome(ACCEPTED, words, code, "")
    if code in _NO:
        return said_no(code, words, "")
    # 421 and X.4.Z: a relay lost its own next server in the middle, and that one may have the letter.
    if code in (450, 451, 452) and not _NETWORK_STATUS.search(words):
        return said_no(code, words, "")
    return Outcome(UNKNOWN, words, code if code > 0 else None, BUSY if code > 0 else GARBLED)


def stopped(error: Exception) -> Outcome:
    """Say in one outcome why the dot never left."""
    if isinstance(error, StopError):
        return error.outcome
    if isinstance(error, CredentialsError):
        return Outcome(NOT_NOW, printable(error.message), None, PASSWORD)
    if isinstance(error, smtplib.SMTPConnectError):
        return said_no(error.smtp_code, words_of(error.smtp_code, error.smtp_error), REFUSED)
    return Outcome(NOT_NOW, printable(str(error)), None, _network_reason(error))


def _network_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return TLS
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, (socket.gaierror, TimeoutError)):
        return NO_NETWORK
    return DROPPED if isinstance(error, (smtplib.SMTPException, ConnectionError)) else NO_NETWORK
