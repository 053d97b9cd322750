"""Nudges mailed to their owner, by the transport that carries letters. A nudge is no letter: it may repeat.

It never touches the outbox. The mail is sent by a child, `python -m thanksd.channels.mail`, which can be ended: a
server may take minutes, and neither a pass nor a letter waits for that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from thanksd import config
from thanksd.channels import PERHAPS, REFUSED_LOGIN, Popup, Receipt
from thanksd.channels.helper import ask, serve
from thanksd.errors import ConfigError, ThanksdError, UnavailableError
from thanksd.sealing import seal
from thanksd.states import ACCEPTED, CREDENTIALS, PASSWORD, UNKNOWN
from thanksd.transports import Carrier, Envelope, leaves_by_itself

# Seconds for the password and the server together; and those after which the child itself gives up, as it alone knows
# whether the mail may have left by then.
LIMIT, OWN_LIMIT = 30.0, 25.0


class Mailed(NamedTuple):
    """What became of a mail; `wants_password` where the password could not be read: a keyring is locked."""

    receipt: Receipt
    wants_password: bool


def subject(popup: Popup) -> str:
    """Give the subject: what the popup asks, and the meeting it is about."""
    return f"{popup.title} ({popup.about})" if popup.about else popup.title


def text(popup: Popup, page: str = "") -> str:
    """Give the text: the popup's, the command that acts on it, and the page, where there is one."""
    command = popup.fallback.removeprefix("Run: ")
    act = f"To act on it, run:\n\n    {command}" if command else ""
    on_page = f"On the page, in a browser of the machine where thanksd runs:\n\n    {page}" if page else ""
    return "\n\n".join(filter(None, (popup.body, act, on_page, popup.note)))


async def show(
    popup: Popup, page: str, event: Mapping[str, Any] | None, config_file: str, environ: Mapping[str, str]
) -> Mailed:
    """Mail a nudge to the owner, as the config says; shown is what the server took, or the folder holds.

    `event` is the calendar's entry to go along, as of the verb feed, with the user's "zone". Never raises for a server
    that fails.
    """
    request = {"config": config_file, "subject": subject(popup), "text": text(popup, page), "event": event}
    try:
        said = await ask(__name__, request, LIMIT, environ)
    except UnavailableError as error:
        said = _not_mailed(f"The mail account: {error.message}")
    return Mailed(Receipt(said["shown"], 0, "", said["error"]), said["wants_password"])


def _not_mailed(error: str, *, wants_password: bool = False) -> dict[str, Any]:
    return {"shown": False, "error": error, "wants_password": wants_password}


# --- in the child ---


def _act(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        settings = config.load(Path(request["config"]))
        return _send(settings, request["subject"], request["text"], _calendar(request["event"]))
    except ThanksdError as error:
        return _not_mailed(f"{error.message} {error.hint}".strip())


def _calendar(event: Mapping[str, Any] | None) -> bytes | None:
    from thanksd import calendar_file  # noqa: PLC0415  the child's alone

    try:
        return calendar_file.alone(event, event["zone"]) if event else None
    except Exception:  # noqa: BLE001  whatever is wrong with an attachment, the nudge is to come
        return None


def _send(settings: config.Config, subject: str, text: str, calendar: bytes | None) -> dict[str, Any]:
    from thanksd import credentials  # noqa: PLC0415  the child's alone

    transport, me = settings.transport, settings.me
    if not leaves_by_itself(transport) or not me.email:
        raise ConfigError("No mail can leave from here by itself.", "See: thanksd help channels")
    secret = credentials.reader(transport.smtp, me.email, os.environ) if transport.kind == "smtp" else None
    with Carrier(transport, me.email, secret) as carrier:
        outcome = carrier.deliver(compose(me, subject, text, calendar), lambda: True)
        # Its answer is known: no limit may take its place.
        signal.setitimer(signal.ITIMER_REAL, 0)
    if outcome.kind == ACCEPTED:
        return {"shown": True, "error": "", "wants_password": False}
    what = REFUSED_LOGIN if outcome.reason == CREDENTIALS else "The mail account"
    what = PERHAPS if outcome.kind == UNKNOWN else what
    return _not_mailed(f"{what}: {outcome.reply}", wants_password=outcome.reason == PASSWORD)


def compose(me: config.Me, subject: str, text: str, calendar: bytes | None = None) -> Envelope:
    """Build the mail to oneself; `calendar` is an iCalendar object (RFC 5545) to attach, where somebody made one.

    Raises DataError for an address or a text that can't be mailed.
    """
    from thanksd import letters  # noqa: PLC0415  as above: it loads the email package

    made = letters.to_oneself(
        name=me.name,
        email=me.email,
        subject=subject,
        body=text,
        date=datetime.now(UTC).astimezone(),
        unique=f"nudge-{uuid4().hex}",
        calendar=calendar,
    )
    return Envelope(me.email, me.email, made.raw, made.message_id)


if __name__ == "__main__":
    seal()
    serve(_act, OWN_LIMIT)
