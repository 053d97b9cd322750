"""Transports carry letters to others: irreversible, so at most once. Plain values in and out; no database.

A transport has two halves. Up to the call of `on_dot` nothing can have been delivered; from its True on the letter may
have been. `on_dot` commits that border durably (phase `dot`) and re-checks that the letter is still this worker's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self, TypeAlias

from thanksd import config
from thanksd.errors import ConfigError
from thanksd.transports.handoff import is_handed_off, place

# Why an outcome is what it is, beside CREDENTIALS and PASSWORD of states; empty where the reply says it all.
GREYLISTED = "greylisted"  # the server asked to be tried again in some minutes
BUSY = "busy"  # the server said not now, with a 4xx
REFUSED = "refused"  # nothing listens there, or the server takes nobody in now
NO_NETWORK = "no network"  # no name, no route, no answer to connecting
DROPPED = "dropped"  # the connection ended, or fell silent, in mid-session
GARBLED = "garbled"  # the server said something that SMTP does not have there
TLS = "tls"  # no TLS, or a certificate that does not prove the server
LOST_LEASE = "lost lease"  # another worker has, or may have, the letter
FOLDER = "folder"  # the Maildir could not be written
LETTER = "letter"  # the letter can't be sent as it is

LONGEST_REPLY = 500


class Envelope(NamedTuple):
    """One letter for one recipient: ASCII addresses, and the frozen RFC 5322 bytes (CRLF, 7 bits)."""

    sender: str
    recipient: str
    raw: bytes
    message_id: str


class Outcome(NamedTuple):
    """What one attempt came to.

    `kind` is one of states.ACCEPTED, REJECTED, NOT_NOW, UNKNOWN; `reply` the server's words, printable and at most
    LONGEST_REPLY characters, or ours where no server spoke; `code` the SMTP reply code, if there was one; `reason`
    one of the words above or states.CREDENTIALS, or empty.
    """

    kind: str
    reply: str
    code: int | None
    reason: str


# Commits phase `dot`; True: go on. False: the lease is lost, and the letter must not leave.
OnDot: TypeAlias = Callable[[], bool]
# Told that an answer lets wait for itself: time for what can be done meanwhile.
OnWait: TypeAlias = Callable[[], object]
# Fetches the password or access token; None where there is no login.
Secret: TypeAlias = Callable[[], str] | None


class Way(Protocol):
    """One way for letters to leave, used by one thread. What it opens for a letter it may keep for the next one."""

    def deliver(self, envelope: Envelope, on_dot: OnDot, on_wait: OnWait) -> Outcome:
        """Try once to deliver a letter. Raises as `Carrier.deliver` does."""

    def close(self) -> None:
        """Give up what was kept. Every outcome is written down by then."""


class Carrier:
    """The transport that the config names, for a run of letters: `with Carrier(...) as carrier`.

    Making one opens nothing, and checks nothing. `username_default` (me.email) logs in where the config has no
    username.
    """

    def __init__(self, transport: config.Transport, username_default: str, secret: Secret) -> None:
        self._transport = transport
        self._username_default = username_default
        self._secret = secret
        self._way: Way | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._way is not None:
            self._way.close()

    def deliver(self, envelope: Envelope, on_dot: OnDot, on_wait: OnWait = bool) -> Outcome:
        """Try once to deliver a letter; `on_wait` is called, before the dot, where that takes its time.

        Raises ConfigError, before anything left, where the config can't work, or hands letters to the person's own mail
        program; and whatever `on_dot` and `on_wait` raise, with nothing delivered.
        """
        if self._way is None:
            self._way = self._chosen()
        return self._way.deliver(envelope, on_dot, on_wait)

    def _chosen(self) -> Way:
        _refuse_none(self._transport)
        if is_handed_off(self._transport):
            raise ConfigError(
                f"Not sent: letters open in {place(self._transport)} now, and this one was confirmed before. "
                "Nothing is lost.",
                "Take it back, then send it anew: thanksd undo",
            )
        return _REGISTRY[self._transport.kind](self._transport, self._username_default, self._secret)


def check(transport: config.Transport) -> None:
    """Refuse a transport whose settings can't work, before a letter is trusted to it. Raises ConfigError."""
    _refuse_none(transport)
    if transport.kind == "smtp":
        from thanksd.transports.smtp import check_account  # noqa: PLC0415  as in _smtp

        check_account(transport.smtp)
    elif transport.kind == "maildir":
        from thanksd.transports.maildir import folder_of  # noqa: PLC0415  as in _smtp

        folder_of(transport.maildir)


def _refuse_none(transport: config.Transport) -> None:
    if transport.kind not in _REGISTRY and not is_handed_off(transport):
        raise ConfigError("Not sent: no mail account is set up.", "Set one up: thanksd init")


def leaves_by_itself(transport: config.Transport) -> bool:
    """Say whether what is handed over leaves without a person's hand: then a mail to oneself can be sent too."""
    return transport.kind in _REGISTRY


def describe(transport: config.Transport) -> str:
    """Say in a few words where letters go: the server's name, the folder's path, "your mail program".

    Empty where nothing is set up.
    """
    if is_handed_off(transport):
        return place(transport)
    return {"smtp": transport.smtp.host, "maildir": transport.maildir.path}.get(transport.kind, "")


def printable(text: str) -> str:
    """Make a stranger's text one safe line: control and bidi characters become spaces, and it is cut to fit."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())[:LONGEST_REPLY]


def _smtp(transport: config.Transport, username_default: str, secret: Secret) -> Way:
    from thanksd.transports.smtp import Submission  # noqa: PLC0415  smtplib and ssl are loaded only where letters go by SMTP

    return Submission(transport.smtp, username_default, secret)


def _maildir(transport: config.Transport, _username: str, _secret: Secret) -> Way:
    from thanksd.transports.maildir import Folder  # noqa: PLC0415  as above

    return Folder(transport.maildir)


_REGISTRY: dict[str, Callable[[config.Transport, str, Secret], Way]] = {"smtp": _smtp, "maildir": _maildir}
