"""The copy to oneself: the same bytes once more, to the letter's sender, where the provider keeps none in Sent.

It follows the letter and never touches it: whatever becomes of a copy, the letter was sent.
"""

from __future__ import annotations

import contextlib
import ipaddress

from thanksd import copies, states
from thanksd.addresses import fold
from thanksd.config import Config
from thanksd.errors import ConfigError, ThanksdError
from thanksd.outbox import Claim, Result
from thanksd.transports import Carrier, Envelope
from thanksd.verbs.context import Context


def is_wanted(config: Config, sender: str, recipient: str) -> bool:
    """Say whether a letter from `sender` to `recipient` owes its sender a copy.

    By SMTP only: a folder is at hand anyway, and a mail program files its own. "auto" means a provider that is known
    not to file what it sends; a server on this machine is nobody's provider. A letter to oneself arrives by itself.
    """
    if config.transport.kind != "smtp" or config.send.copy == "none" or fold(recipient) == fold(sender):
        return False
    return config.send.copy == "self" or not _files_sent_mail(config.transport.smtp.host)


def _files_sent_mail(host: str) -> bool:
    """Say whether letters sent there need no copy: they are filed, or nothing is known of that server."""
    if _is_loopback(host):
        return True
    from thanksd import providers  # noqa: PLC0415  a table that only a letter just sent asks for

    provider = providers.by_host(host)
    return provider is None or provider.files_sent_copy is not False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def carry(context: Context, carrier: Carrier, letter: int) -> None:
    """Send the copy of a letter that was sent a moment ago, if it owes one.

    A store that can't be written leaves the copy as it stands, due or trying: nothing of the letter itself, which was
    sent and is settled, may seem to have failed.
    """
    with contextlib.suppress(ThanksdError):
        _carry_one(context, carrier, letter)


def carry_late(context: Context, carrier: Carrier) -> None:
    """Send the copies whose second try has come. Raises TryLaterError where the store can't be written."""
    while not context.stopping() and _carry_one(context, carrier, None):
        pass


def _carry_one(context: Context, carrier: Carrier, letter: int | None) -> bool:
    """Claim one copy, send it, and write down what came of it; False where none is due."""
    with context.store.read() as connection:
        if not copies.is_due(connection, context.clock(), letter, context.hands):
            return False
    with context.store.write() as connection:
        held = copies.claim(connection, context.clock(), letter, context.hands)
    if held is None:
        return False
    result = _deliver(context, carrier, held)
    with context.store.write() as connection:
        copies.settle(connection, context.clock(), held, result)
    return True


def _deliver(context: Context, carrier: Carrier, held: Claim) -> Result:
    envelope = Envelope(held.sender, held.to, held.raw, held.message_id)
    if context.config.transport.kind != "smtp" or context.config.send.copy == "none":
        return Result(states.REJECTED, "Copies are off by now.", None, "settings")
    try:
        outcome = carrier.deliver(envelope, lambda: True)
    except ConfigError as error:
        return Result(states.REJECTED, error.message, None, "settings")
    return Result(outcome.kind, outcome.reply, outcome.code, outcome.reason)
