"""The exact bytes of a letter (RFC 5322), built once, so that what was shown is what is sent.

The headers that hold what people typed are written here, by the rules of RFC 2047, and not by the email package's
folding: that has split an encoded name at a comma into two recipients (CVE-2025-1795) and dropped quotes when folding
(CPython issue 80222), and its bytes change from one Python to the next.
"""

from __future__ import annotations

import email.policy
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple

from thanksd import addresses
from thanksd.errors import DataError, UsageError

# CRLF line ends, and nothing above 127: not every server takes 8BITMIME.
_POLICY = email.policy.SMTP.clone(cte_type="7bit")

# What may stand in a header as it is: RFC 5322 atoms and spaces, and, for a subject, any printable ASCII.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_SUBJECT = re.compile(r"[!-~]+(?: [!-~]+)*")
_LINE = 76

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")


class Frozen(NamedTuple):
    """A letter that will not change any more: `sha256` (hex) is that of `raw`."""

    raw: bytes
    sha256: str
    message_id: str
    subject: str


def freeze(
    *,
    sender_name: str,
    sender_email: str,
    to_name: str,
    to_email: str,
    subject: str,
    body: str,
    date: datetime,
    thanks_uid: str,
    unique: str,
) -> Frozen:
    """Build a letter of one recipient: text/plain, UTF-8 in 7 bits, the same bytes for the same arguments.

    `date` is aware. `unique` is the left part of the Message-ID; its right part is the domain of `sender_email`, never
    this machine's name. Raises DataError for an address, name, subject or body that can't be mailed as it is.
    """
    sender, recipient = _address(sender_email, "your own address"), _address(to_email, "the recipient's address")
    if date.tzinfo is None:
        raise DataError("The letter's date has no time zone. Nothing was prepared.")
    message_id = f"<{_token(unique)}@{sender.rpartition('@')[2]}>"
    headers = (
        ("From", _mailbox("From", sender_name, sender)),
        ("To", _mailbox("To", to_name, recipient)),
        ("Subject", _encoded("Subject", _checked(subject, "subject"), _PLAIN_SUBJECT)),
        ("Date", format_datetime(date)),
        ("Message-ID", message_id),
        ("X-Thanksd-Id", _token(thanks_uid)),
    )
    return _frozen(headers, _content(body), message_id, subject)


def to_oneself(
    *, name: str, email: str, subject: str, body: str, date: datetime, unique: str, calendar: bytes | None = None
) -> Frozen:
    """Build a mail to its own sender that no hand wrote, and that no program answers (Auto-Submitted, RFC 3834).

    The arguments are those of `freeze`; `calendar` is an iCalendar object to attach. Raises DataError as `freeze` does.
    """
    address = _address(email, "your own address")
    message_id = f"<{_token(unique)}@{address.rpartition('@')[2]}>"
    headers = (
        ("From", _mailbox("From", name, address)),
        ("To", _mailbox("To", name, address)),
        ("Subject", _encoded("Subject", _checked(subject, "subject"), _PLAIN_SUBJECT)),
        ("Date", format_datetime(date)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-generated"),
    )
    return _frozen(headers, _content(body, calendar), message_id, subject)


def _frozen(headers: Iterable[tuple[str, str]], content: bytes, message_id: str, subject: str) -> Frozen:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    raw = head.encode("ascii") + content
    return Frozen(raw, hashlib.sha256(raw).hexdigest(), message_id, subject)


def _address(text: str, what: str) -> str:
    try:
        return addresses.check_address(text)
    except UsageError as error:
        raise DataError(f"The letter can't be built, {what} is wrong. {error.message}", error.hint) from error


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise DataError(f"The letter can't be built: {addresses.display_safe(text[:80])!r} is no identifier.")
    return text


def _checked(text: str, what: str) -> str:
    for char in text:
        if addresses.is_unsafe(char):
            raise DataError(f"The {what} has a character that can't be mailed: U+{ord(char):04X}.", "Edit the draft.")
    return text


def _mailbox(header: str, name: str, address: str) -> str:
    said = " ".join(_checked(name, "name").split())
    if not said:
        return address
    word = _encoded(header, said, _PLAIN_NAME)
    # On a line of its own the address is whole, however long the name is.
    fits = len(f"{header}: {word} <{address}>") <= _LINE
    return f"{word} <{address}>" if fits else f"{word}\r\n <{address}>"


def _encoded(header: str, text: str, plain: re.Pattern[str]) -> str:
    if plain.fullmatch(text) and len(text) + len(header) <= _LINE and "=?" not in text:
        return text
    # Encoded words, each within 75 characters and at a character's end (RFC 2047, section 2).
    return Header(text, "utf-8", maxlinelen=_LINE, header_name=header).encode(splitchars="", linesep="\r\n")


def _content(body: str, calendar: bytes | None = None) -> bytes:
    """Give the MIME headers, an empty line, and the body in quoted-printable, which keeps long lines whole."""
    part = EmailMessage(policy=_POLICY)
    part.set_content(_checked_body(body), subtype="plain", charset="utf-8", cte="quoted-printable")
    if calendar is not None:
        part.add_attachment(calendar, maintype="text", subtype="calendar", filename="thanksd.ics")
    return part.as_bytes(policy=_POLICY)


def _checked_body(body: str) -> str:
    wrong = _first_control(body)
    if wrong:
        raise DataError(f"The letter has a character that can't be mailed: {wrong}.", "Edit the draft.")
    return f"{body.rstrip(chr(10))}\n"


def _first_control(body: str) -> str:
    # Marks that turn the writing around stay: they are part of a text in Arabic or Hebrew.
    found = (char for char in body if char not in "\n\t" and addresses.is_control(char))
    return next((f"U+{ord(char):04X}" for char in found), "")


def clean_line(text: str, limit: int) -> str:
    """Give a subject that somebody typed, in NFC, at most `limit` characters.

    Raises UsageError for line breaks and control characters.
    """
    return addresses.clean_text(text, "subject", limit)


def clean_body(text: str, limit: int) -> str:
    """Give a body that somebody typed: NFC, line feeds only, no spaces at line ends, at most `limit` characters.

    Raises UsageError for control characters.
    """
    if len(text) > limit:
        raise UsageError(f"The letter is too long: {len(text)} characters, at most {limit}.", "Shorten it.")
    # Some editors save with a byte order mark and the line ends of other systems.
    plain = unicodedata.normalize("NFC", text.replace("\r\n", "\n").removeprefix("\ufeff"))
    wrong = _first_control(plain)
    if wrong:
        raise UsageError(f"The letter has a character that can't be mailed: {wrong}.", "Nothing was changed.")
    return "\n".join(line.rstrip() for line in plain.split("\n")).strip("\n")
