"""What pages show of a thanks: the plain values of a verb, in the words of a language. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from thanksd import names, states
from thanksd.addresses import display_safe
from thanksd.moments import from_iso
from thanksd.page.words import Words

# What stands in a finding's `where` instead of words.
_PLACES = frozenset({"", "subject", "body", "to"})
# The first of kana, and of all that stands behind it, in which words have no spaces between them.
_CHARACTERS = "\u3040"
_LEAVING = frozenset({states.QUEUED, states.SENDING})
_WATCHED_SECONDS = 600


def thanks(one: dict[str, Any], words: Words, zone: str, now: datetime) -> dict[str, Any]:
    """Give one thanks for a page: texts only, harmless, in the reader's language."""
    person, meeting, due_by = one["person"], one["meeting"], from_iso(one["due_by"])
    when = words.day(from_iso(meeting["at"]), now, meeting["tz"])
    place, about = (display_safe(meeting[name] or "") for name in ("place", "about"))
    return {
        "id": one["id"],
        "state": one["state"],
        "state_words": words.state(one["state"]),
        "name": display_safe(person["name"]),
        "full_name": person["name"],
        "first": display_safe(names.first(person["name"]) or person["name"]),
        "person": person["id"],
        "email": display_safe(person["email"] or ""),
        "lang": person["lang"] or "",
        "kind": words.kind(meeting["kind"]),
        "met": words("comma").join(part for part in (words.kind(meeting["kind"]), when, place, about) if part),
        "details": [display_safe(one_detail) for one_detail in one["details"]],
        "promises": [promise(each, words, zone, now) for each in one["promises"]],
        "best_by": words("best_by", when=words.moment(due_by, now, zone)),
        "left": words.left(due_by, now),
        "is_late": due_by < now,
        "nudge": words.moment(from_iso(one["nudge_at"]), now, zone),
        "owner": display_safe(one.get("owner", "")),
        "letter": letter(one["letter"], words, zone, now) if one["letter"] else None,
        "is_open": one["state"] in (states.DUE, states.OWED, states.SNOOZED, states.CONFIRMED),
    }


def promise(one: dict[str, Any], words: Words, zone: str, now: datetime) -> dict[str, Any]:
    """Give what was promised, with its day in words, "" where it has none."""
    due = words.day(from_iso(one["due"]), now, zone) if one["due"] else ""
    return {"id": one["id"], "text": display_safe(one["text"]), "due": due, "is_done": bool(one["done_at"])}


def letter(one: dict[str, Any], words: Words, zone: str, now: datetime) -> dict[str, Any]:
    """Give a letter: its state in words, what the server said, and in how many seconds it leaves."""
    leaves = from_iso(one["send_after"])
    seconds = max(0, round((leaves - now).total_seconds()))
    return {
        "state": one["state"],
        "state_words": words.state(one["state"]),
        "reason": one["reason"] or "",
        "to": display_safe(one["to"]),
        "subject": display_safe(one["subject"]),
        "reply": display_safe(one["server_reply"] or ""),
        "sent": words.moment(from_iso(one["sent_at"]), now, zone) if one["sent_at"] else "",
        "leaves": words.moment(leaves, now, zone),
        "seconds": seconds,
        # What waits for nothing but its hold leaves while somebody looks on.
        "is_leaving": one["state"] in _LEAVING and not one["reason"] and seconds <= _WATCHED_SECONDS,
    }


def findings(found: Sequence[dict[str, Any]], words: Words) -> list[dict[str, Any]]:
    """Give what the check says, the severity in words; `lang` is the language of a sentence that is not the page's."""
    return [_finding(one, words) for one in found]


def _finding(one: dict[str, Any], words: Words) -> dict[str, Any]:
    english = display_safe(one["message"])
    said = words.said(english)
    shown = {"message": said or english, "lang": "" if said else "en"}
    return {**one, **shown, "severity_words": words(f"severity_{one['severity']}")}


def marked(text: str, found: Sequence[dict[str, Any]]) -> Markup:
    """Give a text as HTML with the words marked that findings are about: the graver finding's class wins."""
    by_word: dict[str, str] = {}
    for one in found:
        for word in _words_of(one):
            by_word.setdefault(word.casefold(), one["severity"])
    if not by_word:
        return escape(text)
    pattern = "|".join(_whole(word) for word in sorted(by_word, key=len, reverse=True))
    parts = re.split(f"({pattern})", text, flags=re.IGNORECASE)
    made = (
        _mark(part, by_word.get(part.casefold(), "")) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
    return Markup("").join(made)


def _whole(word: str) -> str:
    """Give the pattern of a word that no other word holds: "I" is not in "did". Among characters none stands apart."""
    before = r"(?<![^\W\d_])" if _is_letter(word[0]) else ""
    after = r"(?![^\W\d_])" if _is_letter(word[-1]) else ""
    return f"{before}{re.escape(word)}{after}"


def _is_letter(char: str) -> bool:
    return char.isalpha() and char < _CHARACTERS


def _words_of(finding: dict[str, Any]) -> list[str]:
    where = str(finding["where"])
    return [] if where in _PLACES else [part for part in where.split(", ") if part]


def _mark(word: str, severity: str) -> Markup:
    return Markup('<mark class="{}">{}</mark>').format(severity, word) if severity else escape(word)


def rows_of(text: str) -> int:
    """Say how many lines a box for this text needs, at sixty characters a line."""
    return min(40, max(8, 2 + sum(1 + len(line) // 60 for line in text.split("\n"))))


def digest(subject: str, body: str) -> str:
    """Name a text, so that a form can say which one it was made from."""
    return hashlib.sha256(f"{subject}\0{body}".encode(errors="replace")).hexdigest()
