"""Letters handed to the person's own mail program: what is opened there. Nothing is sent from here.

A link carries address, subject and text (RFC 6068 for mailto:), all from the confirmed bytes; an .eml file is those
bytes. Whether the letter was sent is a question to its writer.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from thanksd import config

KINDS = ("mailto", "eml")

# Bytes of a link that arrive whole. Outlook's server takes queries of about 2,048, Gmail's refused a link of 6,410.
# A mail program takes 128 KiB (execve(2), MAX_ARG_STRLEN), but a web page may stand behind the system's choice.
_LONGEST = {"outlook": 2000, "gmail": 6000, "system": 6000}
_PLACES = {"system": "your mail program", "gmail": "Gmail's web page", "outlook": "Outlook's web page"}
# Microsoft's addresses for private persons (outlook.com, hotmail.de, live.co.uk); companies have the other page.
_PRIVATE = ("outlook", "hotmail", "live", "msn")


class Handed(NamedTuple):
    """What is to be opened: the link `url`, or where that is empty a file with the text of `eml` (RFC 5322, ASCII).

    `paste` is the letter's text where the link could not hold it, to be put in by hand; else empty. `notes` are what
    the person should look at there.
    """

    url: str
    eml: str
    paste: str
    notes: tuple[str, ...]


def is_handed_off(transport: config.Transport) -> bool:
    """Say whether letters are handed to the person's own mail program."""
    return transport.kind in KINDS


def place(transport: config.Transport) -> str:
    """Say where a letter opens: "your mail program", "Gmail's web page"."""
    return _PLACES["system" if transport.kind == "eml" else transport.mailto.open]


def handed(transport: config.Transport, sender: str, to: str, subject: str, raw: bytes) -> Handed:
    """Give what opens a confirmed letter: `raw` are its frozen bytes, `to` and `sender` ASCII addresses."""
    if transport.kind == "eml":
        return Handed("", _unsent(raw.decode("ascii")), "", ())
    where, body = transport.mailto.open, _text(raw)
    notes = ("Outlook's web page may turn a + into a space: look at it there.",) if _loses_plus(where, to, body) else ()
    if is_too_long(transport, sender, to, subject, body):
        return Handed(_link(where, sender, to, subject, ""), "", body, notes)
    return Handed(_link(where, sender, to, subject, body), "", "", notes)


def _unsent(text: str) -> str:
    """Mark a letter as one to be sent: Thunderbird and Outlook open it so; Evolution offers "Edit as New Message"."""
    # As the last header: file(1), which desktops may ask what this is, knows a letter by its first line.
    head, end, body = text.partition("\r\n\r\n")
    return f"{head}\r\nX-Unsent: 1{end}{body}"


def is_too_long(transport: config.Transport, sender: str, to: str, subject: str, body: str) -> bool:
    """Say whether a link can't be trusted to bring all of the text."""
    where = transport.mailto.open
    return transport.kind == "mailto" and len(_link(where, sender, to, subject, body)) > _LONGEST[where]


def _text(raw: bytes) -> str:
    """Give the letter's text as it was shown, with line feeds only."""
    from email import message_from_bytes  # noqa: PLC0415  only where a letter is handed over
    from email.policy import default  # noqa: PLC0415  as above

    # A letter of ours has one part, text/plain.
    content = str(message_from_bytes(raw, policy=default).get_content())
    return content.replace("\r\n", "\n").removesuffix("\n")


def _loses_plus(where: str, to: str, body: str) -> bool:
    # https://github.com/OfficeDev/office-js/issues/4127
    return where == "outlook" and "+" in to + body


def _link(where: str, sender: str, to: str, subject: str, body: str) -> str:
    """Give the link, ASCII. Every space is %20 and every line break %0D%0A (RFC 6068, section 5)."""
    if where == "gmail":
        # authuser: somebody with two accounts must not write from the other one.
        given = {"authuser": sender, "view": "cm", "fs": "1", "to": to, "su": subject, "body": body}
        return f"https://mail.google.com/mail/?{_query(given)}"
    if where == "outlook":
        return f"{_outlook(sender)}?{_query({'to': to, 'subject': subject, 'body': body})}"
    local_part, _, domain = to.rpartition("@")
    return f"mailto:{_escaped(local_part)}@{domain}?{_query({'subject': subject, 'body': body})}"


def _outlook(sender: str) -> str:
    is_private = sender.rpartition("@")[2].split(".")[0].lower() in _PRIVATE
    return f"https://outlook.{'live.com/mail/0' if is_private else 'office.com/mail'}/deeplink/compose"


def _query(given: dict[str, str]) -> str:
    return "&".join(f"{name}={_escaped(text)}" for name, text in given.items() if text)


def _escaped(text: str) -> str:
    # Some programs read a plus as a space, others don't; %20 and %2B mean the same to all of them.
    return quote(text.replace("\n", "\r\n"), safe="")
