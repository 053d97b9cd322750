"""What a note may know of one thanks, and what a check says of it: plain shapes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypedDict

from thanksd import names, policy

# What a draft shows where only the writer can fill in what is true.
GAP = "[...]"

BLOCK: Literal["block"] = "block"
WARN: Literal["warn"] = "warn"
HINT: Literal["hint"] = "hint"
SEVERITIES = (BLOCK, WARN, HINT)


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
    """All that a template may know of one thanks: plain values only.

    `variant` counts its wordings from 1. `again` is the day on which you are to meet again, in words, "" where that is
    not known. `outcome` is whom you met through the person who is thanked, where this note tells what came of it.
    Who coordinated a meeting is asked to pass thanks on to the people of `pass_on`, of whom no address is known.
    """

    me: Me
    person: Person
    meeting: Meeting
    details: list[str]
    promises: list[Promise]
    others: list[str]
    via: str
    again: str
    outcome: str
    pass_on: list[str]
    days_since: int
    belated: bool
    variant: int
    fitting: Fitting


def fitting(rule: policy.Rule, name: str) -> Fitting:
    """Give what of the policy's row a note of somebody of this name needs."""
    # French writes M. for Monsieur; elsewhere it is the initial of a name.
    if rule.greeting_he.startswith("Monsieur"):
        name = re.sub(r"^M\.? (?=\w)", "Monsieur ", name)
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


class Around(NamedTuple):
    """What is known around a thanks, for the check alone: no template sees it.

    `acquaintances` are names of people in the ledger, and of their companies, who had nothing to do with this meeting.
    `earlier` are the bodies of notes that this person or this company got before, `panel` those to the others of the
    same meeting. `interests` is what the person cares about, the newest first, and `too_often` says why one more letter
    to them would be pushy, "" where it would not.
    """

    acquaintances: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    too_often: str = ""


def noted(facts: Facts) -> str:
    """Give all that is known of a meeting as one text, a line each."""
    me, person, meeting = facts["me"], facts["person"], facts["meeting"]
    promises = [part for one in facts["promises"] for part in (one["text"], one["due"])]
    company = person["email"].rpartition("@")[2].partition(".")[0]
    known = [me["name"], me["signature"], person["name"], company, meeting["weekday"], meeting["date"]]
    known += [meeting["place"], meeting["about"], facts["via"], facts["again"], facts["outcome"]]
    return "\n".join(filter(None, [*known, *facts["details"], *promises, *facts["others"], *facts["pass_on"]]))


def finding(code: str, severity: Literal["block", "warn", "hint"], message: str, where: str) -> Finding:
    """Make a finding."""
    return {"code": code, "severity": severity, "message": message, "where": where}


def unique(words: Iterable[str]) -> str:
    """Give words once each, as a list."""
    return ", ".join(dict.fromkeys(words))
