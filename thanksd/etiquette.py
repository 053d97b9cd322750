"""What a good thank-you note is, as rules: draft and facts in, findings out. Pure.

Length, offers and times are from the policy table. More about them than about you: Algoe, Kurtz and Hilaire 2016
(praise of the other person's act is what is felt as thanks). Nothing asked for: careers offices' advice on thank-you
notes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Literal, TypedDict

from thanksd import addresses, asks, days, names, offers, policy, tone
from thanksd.errors import UsageError

# What a draft shows where only the writer can fill in what is true.
GAP = "[...]"

BLOCK: Literal["block"] = "block"
WARN: Literal["warn"] = "warn"
HINT: Literal["hint"] = "hint"
_SEVERITIES = (BLOCK, WARN, HINT)


class Me(TypedDict):
    """Who writes; `signature` may have several lines, "" stands for the name."""

    name: str
    email: str
    signature: str


class Person(TypedDict):
    """Who is thanked; `seniority` towards the writer is "peer" or "above"."""

    name: str
    email: str
    lang: str
    seniority: str


class Meeting(TypedDict):
    """The encounter, in words as a letter uses them ("Tuesday", "11 March"); "" where unknown."""

    kind: str
    weekday: str
    date: str
    place: str
    about: str


class Promise(TypedDict):
    """What the writer said they would do; `due` as words ("Friday"), "" where none was said."""

    text: str
    due: str


class Fitting(TypedDict):
    """What the policy says of this note: what it may offer, its first line and its closing one, its length."""

    offers: list[str]
    greeting: str
    closing: str
    shortest: int
    longest: int


class Facts(TypedDict):
    """All that a template may know of one thanks: plain values only. `variant` counts its wordings from 1."""

    me: Me
    person: Person
    meeting: Meeting
    details: list[str]
    promises: list[Promise]
    others: list[str]
    via: str
    days_since: int
    belated: bool
    variant: int
    fitting: Fitting


def fitting(rule: policy.Rule, name: str) -> Fitting:
    """Give what of the policy's row a note of somebody of this name needs."""
    forms = {"he": rule.greeting_he, "she": rule.greeting_she}
    greeting = forms.get(names.pronoun(name), "") or rule.greeting
    return {
        "offers": list(rule.offers),
        "greeting": names.filled(greeting, name, GAP),
        "closing": rule.closing,
        "shortest": rule.shortest,
        "longest": rule.longest,
    }


class Finding(TypedDict):
    """One thing the check says of a draft; `where` is the offending words, or "subject" or "body"."""

    code: str
    severity: Literal["block", "warn", "hint"]
    message: str
    where: str


def to_come() -> Finding:
    """Give the finding for a note that would thank somebody for a meeting before it was."""
    return {"code": "to-come", "severity": BLOCK, "message": "This meeting is still to come.", "where": "body"}


def left_alone() -> Finding:
    """Give the finding for a letter to an address whose holder was forgotten, to be left alone."""
    words = "They were forgotten here, to be left alone. If they don't mind: thanksd people edit WHO --allow"
    return {"code": "do-not-contact", "severity": BLOCK, "message": words, "where": "to"}


def check(
    subject: str, body: str, facts: Facts, recipient: str, leaving: tuple[date, date] | None = None
) -> list[Finding]:
    """Give what is wrong with a draft, blocks first and hints last; at most one finding a code.

    `recipient` is the envelope address, "" while there is none. `leaving` are the day on which its words are read
    over, and the day it leaves; None where both are the same.
    """
    # An editor may save accents decomposed; facts are kept in NFC.
    body = unicodedata.normalize("NFC", body)
    text, details = core(body, facts), facts["details"]
    findings = (
        check_headers(subject, recipient),
        check_gap(subject, body),
        check_greeting(body, facts["person"]["name"]),
        check_detail(body, details),
        check_ask(subject, text),
        check_length(text, facts["fitting"]),
        check_offer(subject, text, facts["fitting"]),
        check_self_talk(text),
        check_third_person(details),
        check_gush(text),
        check_subject(subject),
        check_praise(text),
        check_relative_date(subject, text, leaving),
    )
    return sorted((one for one in findings if one), key=lambda one: _SEVERITIES.index(one["severity"]))


def core(body: str, facts: Facts) -> str:
    """Give the part of a letter that is counted: without greeting, closing line and signature."""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    if lines and names.is_greeting_line(lines[0], facts["person"]["name"]):
        lines = lines[1:]
    me = facts["me"]
    ending = {line.strip() for line in (*me["signature"].splitlines(), me["name"])}
    while lines and lines[-1] in ending:
        lines.pop()
    if lines and _CLOSING.fullmatch(lines[-1]):
        lines.pop()
    return "\n".join(lines)


def word_count(body: str, facts: Facts) -> int:
    """Count the words between greeting and closing, as the `length` rule does."""
    return len(_words(core(body, facts)))


# "With best wishes," and its like: a few words and a comma, or one of the bare usual ones.
_CLOSING = re.compile(
    r"[^\s,.?!]+(?: [^\s,.?!]+){0,3},|(?:best|kind|warm) (?:regards|wishes)|all the best|cheers", re.IGNORECASE
)

_WORD = re.compile(r"\w+(?:-\w+)*")


def _words(text: str) -> list[str]:
    # "you're" is "you" and a tail; the tail is no word of its own, so that "I'd" counts as one.
    return _WORD.findall(re.sub(r"(?<=\w)['\N{RIGHT SINGLE QUOTATION MARK}]\w+", "", text))


def _finding(code: str, severity: Literal["block", "warn", "hint"], message: str, where: str) -> Finding:
    return {"code": code, "severity": severity, "message": message, "where": where}


def check_headers(subject: str, recipient: str) -> Finding | None:
    """Block a subject that could start another header, and a recipient that is not exactly one address."""
    if any(addresses.is_unsafe(char) for char in subject):
        return _finding("headers", BLOCK, "the subject has a line break or a control character.", "subject")
    if not recipient:
        return None
    try:
        addresses.check_address(recipient)
    except UsageError as error:
        return _finding("headers", BLOCK, error.message, addresses.display_safe(recipient))
    return None


_GAPS = re.compile(
    r"\[(?:\.\.\.|\N{HORIZONTAL ELLIPSIS})\]|(?<!\w)\[[^\W\d][^\]\n]{0,40}\]"  # [Name], but neither [1] nor items[i]
    r"|\{\{[^{}\n]*\}\}|\{\{|\}\}|\{%|%\}"
    r"|(?<!\w)<[^\W\d][\w '-]{1,40}>"  # <name>, but neither <ada@example.com> nor Option<String>
    r"|\b(?:TODO|TBD|FIXME|XXX+)\b|_{3,}"
    r"|^(?:[Dd]ear|[Hh]i|[Hh]ello)\s*[,:!](?=\s*$)",
    re.MULTILINE,
)


def check_gap(subject: str, body: str) -> Finding | None:
    """Block what is still to be filled in."""
    found = _unique(match.group() for match in _GAPS.finditer(f"{subject}\n{body}"))
    return _finding("gap", BLOCK, f"something is still to be filled in: {found}.", found) if found else None


def check_greeting(body: str, name: str) -> Finding | None:
    """Block a greeting that is not the recipient's name as it is stored (first, last or full)."""
    line = next((line.strip() for line in body.splitlines() if line.strip()), "")
    if _GAPS.search(line) or names.is_greeted(line, name):
        return None
    first, said = names.first(name), names.greeting_words(line)
    if not said:
        return _finding("greeting", BLOCK, f"the letter does not start by greeting {first}.", "body")
    return _finding("greeting", BLOCK, f'the letter says "{said}", the person is {first}.', said)


# Words that any thank-you note has; on their own they show nothing of this meeting.
_COMMON_WORDS = """
    a about after all also an and any are as at be because been before but by can could did do does for from had has
    have he her his how i if in into is it its just keep kind like made make makes may me more most much my never no
    not of off on one or our out over she so some take taken than thank thanks that the their them then there these
    they thing this those time to too took up us very was way we were what when where which who why will with would you
    your yours
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def check_detail(body: str, details: list[str]) -> Finding | None:
    """Block a note with nothing of this meeting in it, and one for which no detail was noted."""
    noted = [detail for detail in details if detail.strip()]
    if not noted:
        return _finding("detail", BLOCK, "no detail of this meeting is noted yet.", "body")
    if any(_mentions(body, detail) for detail in noted):
        return None
    return _finding("detail", BLOCK, f'nothing of this meeting is in it, such as "{noted[0]}".', "body")


def _mentions(body: str, detail: str) -> bool:
    """Say whether two words in a row of the detail, one of them telling, are in the body.

    A detail of one or two words must be there whole, and so must one made of common words only.
    """
    words = [word.casefold() for word in _words(detail)]
    if not words:
        return detail.strip() in body
    told = " ".join(["", *(word.casefold() for word in _words(body)), ""])
    pairs = [pair for pair in pairwise(words) if not _COMMON.issuperset(pair)]
    runs = [" ".join(pair) for pair in pairs] if len(words) > 1 and pairs else [" ".join(words)]
    return any(f" {run} " in told for run in runs)


def check_length(text: str, fitting: Fitting) -> Finding | None:
    """Warn of a letter that is shorter or longer than fitting, greeting and closing aside."""
    count, shortest, longest = len(_words(text)), fitting["shortest"], fitting["longest"]
    if count < shortest:
        return _finding("length", WARN, f"it is short: {count} words, at least {shortest} are better.", "body")
    if count > longest:
        return _finding("length", WARN, f"it is long: {count} words, at most {longest} are better.", "body")
    return None


def check_offer(subject: str, text: str, fitting: Fitting) -> Finding | None:
    """Block an offer that is not fitting here: a coffee, a meal or a meeting costs somebody above you more time."""
    found = _unique(words for offer, words in offers.find(f"{subject}\n{text}") if offer not in fitting["offers"])
    return _finding("offer", BLOCK, f"it offers what is not fitting here: {found}.", found) if found else None


_OWN = frozenset({"i", "me", "my", "mine", "myself"})
_THEIRS = frozenset({"you", "your", "yours", "yourself", "yourselves"})


def check_self_talk(text: str) -> Finding | None:
    """Warn of a letter that says I, me, my and mine more often than you, your and yours."""
    words = [word.casefold() for word in _words(text)]
    own, theirs = [word for word in words if word in _OWN], [word for word in words if word in _THEIRS]
    if len(own) <= len(theirs):
        return None
    said = f"it is more about you than about them: {len(own)} times I or me, {len(theirs)} times you."
    return _finding("self-talk", WARN, said, _unique("I" if word == "i" else word for word in own))


def check_ask(subject: str, text: str) -> Finding | None:
    """Block a thank-you that asks for a job or a favour."""
    found = _unique(asks.find(f"{subject}\n{text}"))
    return _finding("ask", BLOCK, f"a thank-you asks for nothing, this one does: {found}.", found) if found else None


def check_gush(text: str) -> Finding | None:
    """Warn of exclamation marks, emoji, superlatives and words of thanks that are too many."""
    found = _unique(tone.gush(text))
    return _finding("gush", WARN, f"it is loud; say it once, plainly: {found}.", found) if found else None


def check_subject(subject: str) -> Finding | None:
    """Warn of a subject that is empty, says nothing, is long or shouts."""
    fault = tone.subject_fault(subject)
    return _finding("subject", WARN, fault, "subject") if fault else None


def check_praise(text: str) -> Finding | None:
    """Hint at a letter without a word of what they did, or how they are."""
    if tone.praises(text):
        return None
    return _finding("praise", HINT, 'say what they did: "you took the time to ...".', "body")


_THIRD = frozenset({"he", "she", "they", "him", "her", "his", "hers"})


def check_third_person(details: list[str]) -> Finding | None:
    """Warn of details that speak about the person instead of to them."""
    found = _unique(word for detail in details for word in _words(detail) if word.casefold() in _THIRD)
    return _finding("third-person", WARN, f"say it to them, with you: {found}.", found) if found else None


def check_relative_date(subject: str, text: str, leaving: tuple[date, date] | None) -> Finding | None:
    """Warn of words like "yesterday": the letter may be read on another day; block where they are wrong on leaving."""
    found = [*days.find(subject), *days.find(text)]
    if not found:
        return None
    wrong = [one for one in found if leaving and not one.holds(*leaving)]
    words = _unique(one.words.lower() for one in wrong or found)
    if wrong:
        return _finding("relative-date", BLOCK, f"it leaves on another day, when this is not true: {words}.", words)
    return _finding("relative-date", WARN, f"it may be read on another day: name the day, not {words}.", words)


def _unique(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
