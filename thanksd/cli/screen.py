"""The screens of review, drawn from plain values: every text harmless, every line at most as wide as the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from thanksd.cli.lines import cells
from thanksd.cli.page import Line, Page, field, hung, plain, ruled, said, wrap
from thanksd.facts import GAP
from thanksd.moments import from_iso, local, say_dated, say_left, say_short, say_span

_LEAST = 3  # lines of a letter that are shown in the lowest window
_KEYS = (
    ("e edit", "d detail", "a another wording", "l later"),
    ("w not needed", "t thanked otherwise", "n next", "u undo", "q quit", "? help"),
)
# Keys that are read as such also where a line is asked for.
_KEYS_AT_QUESTION = ("l later", "w not needed", "t thanked otherwise", "n next", "u undo")
_HELP = (
    "s  the letter goes to them, exactly as shown; how and when stands under Findings",
    "e  change subject and text in your editor",
    "d  say better what you remember; the letter is written anew from it",
    "a  the letter in other words, and back",
    "l  be reminded in 3 hours, or tomorrow morning",
    "w  you decide not to thank",
    "t  they are thanked already: in person, by phone, by card",
    "n  nothing changes; the next one",
    "u  take back the last thing done in this review",
    "o  send although something blocks it; that is recorded",
    "q  quit; what was sent is sent, what was not waits",
    "space  more of a long letter",
)


@dataclass(frozen=True)
class Sheet:
    """One thanks to be drawn: what the verb prepare gave of it, its place in the review, and what is to be said.

    `top` is about the thanks before, `below` about the key just pressed. `size` is the window's columns and lines;
    `lines` 0 is a window without an end, on a terminal that can't be drawn on.
    """

    thanks: dict[str, Any]
    prepared: dict[str, Any]
    zone: str
    now: str
    place: tuple[int, int]
    size: tuple[int, int]
    top: Sequence[str] = ()
    below: Sequence[str] = ()
    offset: int = 0


# --- the parts of a screen ---


def _head(sheet: Sheet) -> list[Line]:
    """Give the thanks' number and place at the left, best by at the right; below one another where they don't fit."""
    width, (number, count) = sheet.size[0], sheet.place
    due = " due" if sheet.thanks["state"] == "due" else ""
    left = f"Thanks {sheet.thanks['id']}, {number} of {count}{due}"
    right = _best_by(sheet)
    room = width - len(left) - len(right)
    return plain([left + " " * room + right] if room > 1 else [left, *wrap(right, width)])


def _best_by(sheet: Sheet) -> str:
    due_by, now = from_iso(sheet.thanks["due_by"]), from_iso(sheet.now)
    if due_by <= now:
        return say_left(due_by, now)
    return f"best by {say_short(due_by, now, sheet.zone)} {local(due_by, sheet.zone).tzname()}, {say_left(due_by, now)}"


def _fields(sheet: Sheet) -> list[Line]:
    width, prepared = sheet.size[0], sheet.prepared
    lines = [*field("To", _recipient(sheet), width), *_sender(prepared, width)]
    lines += field("Subject", prepared["subject"], width)
    known = field("You know", _known(sheet), width)
    # A page of notes must not push the letter out of the window.
    return plain(lines + known[:2] + (["         ..."] if len(known) > 2 else []))  # noqa: PLR2004  two lines of it


def _sender(prepared: dict[str, Any], width: int) -> list[str]:
    """Say who writes and how the letter leaves: a folder stands on the same line only where all of it fits."""
    sender = prepared["from"] or "(your own address is not set)"
    if prepared["transport"] != "maildir":
        by = f"by {prepared['by']}" if prepared["by"] else "no mail account is set up"
        return field("From", f"{sender}, {by}", width)
    folder = f"Save in {prepared['by']} (nobody is mailed)"
    joined = field("From", f"{sender}. {folder}", width)
    return joined if len(joined) == 1 else [*field("From", sender, width), *wrap(folder, width)]


def _recipient(sheet: Sheet) -> str:
    """Whom the envelope names, in ASCII; where the address is written otherwise, that too."""
    name, to = sheet.thanks["person"]["name"], sheet.prepared["to"]
    if not to:
        return f"{name} (no address yet)"
    local_part, _, domain = to.rpartition("@")
    return f"{name} <{to}>" + (f", that is {local_part}@{written}" if (written := _written(domain)) != domain else "")


def _written(domain: str) -> str:
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain


def _known(sheet: Sheet) -> str:
    meeting, now = sheet.thanks["meeting"], from_iso(sheet.now)
    when = say_dated(from_iso(meeting["at"]), now, meeting["tz"])
    facts = ", ".join(part for part in (meeting["kind"], when, meeting["place"], meeting["about"]) if part)
    details = ", ".join(f'"{detail}"' for detail in sheet.thanks["details"])
    return f"{facts}; {details}" if details else facts


def blocks(prepared: dict[str, Any]) -> list[str]:
    """Give the codes of what blocks a letter."""
    return [one["code"] for one in prepared["findings"] if one["severity"] == "block"]


def _findings(sheet: Sheet) -> list[Line]:
    width, prepared = sheet.size[0], sheet.prepared
    lines: list[Line] = []
    for one in prepared["findings"]:
        colour = {"block": "red", "warn": "yellow"}.get(one["severity"], "")
        lines += [
            Line(part, colour) for part in hung(f"{one['severity']}  ", f"{one['code']}: {one['message']}", width)
        ]
        if one["severity"] == "block":
            lines = _with_keys(lines, width)
    count = str(len(prepared["findings"])) if prepared["findings"] else "none"
    sha256 = f" sha256 {prepared['sha256'][:8]}" if prepared["sha256"] else ""
    return [*lines, *said([f"Findings {count}. {len(prepared['body'].split())} words.{sha256}"], width)]


def _with_keys(lines: list[Line], width: int) -> list[Line]:
    """Add the keys against a block, on its line where they fit."""
    keys, last = "  e edit   o send anyway (recorded)", lines[-1]
    if cells(last.text + keys) <= width:
        return [*lines[:-1], Line(last.text + keys, last.colour)]
    return [*lines, Line(" " * 5 + keys)]


def _leaves(sheet: Sheet) -> list[Line]:
    hold, place = sheet.prepared["hold"], sheet.prepared["place"]
    if place:
        texts = [f"It opens in {place}; what you send there can't be taken back here."]
        texts += ["It is too long for a link: you will paste its text there."] if sheet.prepared["paste"] else []
        return said(texts, sheet.size[0])
    if not hold:
        return plain(field("Leaves", "at once after s; it can't be taken back then", sheet.size[0]))
    day, _, clock = say_short(from_iso(sheet.prepared["leaves"]), from_iso(sheet.now), sheet.zone).rpartition(" ")
    text = f"{say_span(timedelta(seconds=hold))} after s, {day} about {clock}; u takes it back until then"
    return plain(field("Leaves", text, sheet.size[0]))


def _keys(sheet: Sheet) -> list[Line]:
    place = sheet.prepared["place"].removeprefix("your ")
    send = f"s open in {place}" if place else "s send"
    return _key_lines([(send, *_KEYS[0]), _KEYS[1]], sheet.size[0])


def _key_lines(groups: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Give keys with what they do, each group on lines of its own."""
    lines = []
    for group in groups:
        line = ""
        for key in group:
            if line and cells(line) + 3 + len(key) > width:
                lines.append(line)
                line = ""
            line += f"   {key}" if line else f" {key}"
        lines.append(line)
    return plain(lines)


# --- whole screens ---


def letter(sheet: Sheet) -> Page:
    """Draw a letter with its findings and the keys: as much of it as the window has room for."""
    width, height = sheet.size
    body = [line for text in sheet.prepared["body"].split("\n") for line in wrap(text, width)]
    above = [*said(sheet.top, width), *_head(sheet)]
    fields = [*_fields(sheet), ruled("", width)]
    under, keys = [*_findings(sheet), *_leaves(sheet)], [*_keys(sheet), *said(sheet.below, width)]
    # The lower rule, and the line of the prompt.
    room = height - len(above) - len(fields) - len(under) - len(keys) - 2
    if not height or len(body) <= room - 2:
        return Page([*above, ruled("", width), *fields, *plain(body), ruled("", width), *under, Line(""), *keys])
    room = max(room, _LEAST)
    shown = plain(body[sheet.offset : sheet.offset + room])
    left = max(len(body) - sheet.offset - room, 0)
    rest = more_words(left) if left else "the end; space: from the top" if sheet.offset else ""
    return Page(
        [*above, *fields, *shown, ruled(rest, width), *under, *keys],
        left,
        min(sheet.offset + room, len(body) - room) if left else 0,
    )


def more_words(left: int) -> str:
    """Say how many of a letter's lines are below the window."""
    return f"{left} more line{'s' if left > 1 else ''}: press space"


def question(sheet: Sheet, texts: Sequence[str]) -> Page:
    """Draw a thanks with one question in place of the letter; a line that is one key is that key."""
    width = sheet.size[0]
    above = [*said(sheet.top, width), *_head(sheet), ruled("", width), *_fields(sheet), ruled("", width)]
    keys = _key_lines([("Or with Enter:", *_KEYS_AT_QUESTION)], width)
    return Page([*above, *said(sheet.below, width), *said(texts, width), Line(""), *keys])


def lead(prepared: dict[str, Any]) -> str:
    """Give greeting and paragraph up to the gap, on one line: "Dear Ada, thank you ... I keep thinking about ..."."""
    greeting, *others = prepared["body"].split("\n\n")
    paragraph = next((text for text in others if GAP in text), "")
    words = " ".join(f"{greeting} {paragraph}".partition(GAP)[0].split())
    return words.replace(", Thank you", ", thank you", 1) + " ..."


def trouble(sheet: Sheet, texts: Sequence[str]) -> Page:
    """Draw a thanks whose letter can't be shown, and why."""
    width = sheet.size[0]
    person = said([f"{sheet.thanks['person']['name']}, {_known(sheet)}"], width)
    keys = plain([" n next   u undo   q quit"])
    return Page([*said(sheet.top, width), *_head(sheet), *person, Line(""), *said(texts, width), Line(""), *keys])


def help_page(width: int) -> Page:
    """Draw what the keys do."""
    lines = [line for text in _HELP for line in hung(text[:3], text[3:], width)]
    return Page([*plain(lines), Line(""), Line("Any key: back to the letter.")])


def text_of(page: Page, style: Callable[[str, str], str], *, clear: bool) -> str:
    """Give a screen as one text, over what was there where `clear` is set. `style` gives a text its colour."""
    lines = [style(line.text, line.colour) if line.colour else line.text for line in page.lines]
    return ("\x1b[H\x1b[2J" if clear else "") + "\n".join([*lines, ""])
