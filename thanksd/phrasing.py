"""Sentences made of what people typed, in every language but English: by its table (`language.Sentences`). Pure.

English, whose sentences take up more forms, has `phrases`; the functions are the same. Nothing is added to what was
said, and what can't be put into a sentence rightly gets a form that is right for anything, or is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from thanksd import phrases
from thanksd.facts import GAP, Meeting, Promise
from thanksd.language import Dates, Language, Sentences, listed, read

_ENDS = ".!?\u3002\uff01\uff1f"
_LABEL_WORDS, _LABEL_CHARACTERS = 4, 20


@cache
def filters(code: str) -> Mapping[str, Callable[..., Any]]:
    """Give the filters for templates in a language: those of `phrases`, or these."""
    known = read(code)
    if known.sentences is None:
        return {name: getattr(phrases, name) for name in _NAMES}
    return {
        "remembered": partial(remembered, known.sentences),
        "promised": partial(promised, known.sentences),
        "at_place": partial(at_place, known.sentences),
        "on_day": partial(on_day, known.dates),
        "topic": partial(topic, known.sentences),
        "thing": partial(thing, known),
        "label": partial(label, known),
        "people": partial(people, known.sentences),
    }


_NAMES = ("remembered", "promised", "at_place", "on_day", "topic", "thing", "label", "people")


def remembered(said: Sentences, details: Sequence[str], variant: int = 1) -> str:
    """Give the sentences that say what has stayed with the writer; with no detail, one with the gap in it."""
    found = [text for text in map(_bare, details) if text]
    own = [text for text in found if _is_sentence(said, text)]
    bare = [text.rstrip(_ENDS[0] + _ENDS[3]) for text in found if text not in own]
    parts = [_lowered(said, text) for text in bare if text]
    sentences = [" ".join([*map(_ended, own), said.aside])] if own else []
    if parts or not own:
        lead = _lead(said, parts, variant) if parts else said.anything[(variant - 1) % len(said.anything)]
        # What ends in a question mark has its end.
        sentences.insert(0, re.sub(r"([!?])\.$", r"\1", lead.format(said.several.join(parts) or GAP)))
    return " ".join(sentences)


def _lead(said: Sentences, parts: list[str], variant: int) -> str:
    """Give the form for one detail, or for several: in a sentence where its first word says how, else as they are."""
    forms = {_NOUN: said.nouns, _CLAUSE: said.clauses}.get(
        _kind(said, parts[0]) if len(parts) == 1 else "", said.anything
    )
    return forms[(variant - 1) % len(forms)]


_NOUN, _CLAUSE = "noun", "clause"


def _kind(said: Sentences, text: str) -> str:
    """Say what a detail is by its first word or two: "lo_que" stands in a list for "lo que"."""
    if text.endswith("?"):
        return ""
    first = {_first(text), "_".join(text.casefold().split()[:2])}
    if first & listed(said.asking):
        return _CLAUSE
    return _NOUN if first & listed(said.determiners) else ""


def _lowered(said: Sentences, text: str) -> str:
    """Give a detail for the middle of a sentence: no capital that only began it; "Ihr" keeps that of its courtesy."""
    first = text.split(maxsplit=1)[0]
    began = bool(_kind(said, text)) and first[1:].islower() and first != "Ihr"
    return f"{text[0].lower()}{text[1:]}" if began else text


def _is_sentence(said: Sentences, text: str) -> bool:
    """Say whether a detail stands for itself; where there are no subjects to know that by, it never does."""
    if not said.subjects or text.endswith("?"):
        return False
    two = 2
    return (_first(text) in listed(said.subjects) and len(text.split()) > two) or bool(re.search(r"[.!?] \w|!$", text))


def promised(said: Sentences, promises: Sequence[Promise]) -> str:
    """Give the sentences that confirm what was promised, "" for nothing."""
    known = [(_bare(one["text"]).rstrip(_ENDS), one["due"].strip()) for one in promises]
    parts = [_dated(said, text, due) for text, due in known if text]
    return said.promise.format(said.also.join(parts)) if parts else ""


def _dated(said: Sentences, text: str, due: str) -> str:
    return said.promise_by.format(text=text, due=due) if due and due.casefold() not in text.casefold() else text


def at_place(said: Sentences, place: str) -> str:
    """Give a place as a sentence takes it up, with the space before it; "" where it can't."""
    text = _bare(place).rstrip(_ENDS)
    rows = (row["form"] for row in said.places if _first(text) in listed(row["words"]))
    return next(rows, said.place).format(text) if text else ""


def on_day(dates: Dates, meeting: Meeting, days_since: int) -> str:
    """Give a meeting's weekday, after more than six days its date, as a sentence takes it up; "" for neither."""
    weekday, date = meeting["weekday"], meeting["date"]
    if weekday and (days_since <= phrases.DAYS_OF_A_WEEKDAY or not date):
        return dates.on_weekday.format(weekday)
    return dates.on_date.format(date) if date else ""


def topic(said: Sentences, about: str) -> str:
    """Give what fits after "about" or in quotation marks; "" for a sentence."""
    text = _bare(about).rstrip(_ENDS[0] + _ENDS[3])
    return "" if not text or text[-1] in _ENDS or _is_sentence(said, text) else text


def thing(known: Language, about: str) -> str:
    """Give a topic that can stand as a thing in a sentence: it begins with a determiner, where the language has any."""
    said = _said(known)
    text = topic(said, about)
    return text if not said.determiners or _first(text) in listed(said.determiners) else ""


def label(known: Language, about: str) -> str:
    """Give a topic that is short enough to stand in quotation marks or before a noun, without its determiner."""
    said = _said(known)
    words = topic(said, about).split()
    text = " ".join(words)
    if words and _first(text) in listed(said.determiners):
        text = re.sub(r"^(?:[^\W\d_]+['\u2019]|\S+\s*)", "", text)
    short = len(text) <= _LABEL_CHARACTERS if known.words.by_characters else len(words) <= _LABEL_WORDS
    return text if short and _first(text) not in listed(said.asking) else ""


def people(said: Sentences, names: Sequence[str]) -> str:
    """Give names as a list: "Grace, Tom und Chen"."""
    found = [" ".join(name.split()) for name in names if name.strip()]
    return said.last.join([said.comma.join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)


def _said(known: Language) -> Sentences:
    if known.sentences is None:
        raise ValueError(known.code)
    return known.sentences


def _bare(text: str) -> str:
    """Strip what people type around a detail: dots before it, loose signs behind it."""
    plain = " ".join(text.replace("\N{HORIZONTAL ELLIPSIS}", "...").split())
    plain = re.sub(r"^\.\.+ ?", "", plain).rstrip(" ,;:\u3001\uff0c\uff1b\uff1a")
    return plain.rstrip(" ,;:.") if plain.endswith("..") else plain


def _first(text: str) -> str:
    """Give the first word in small letters, as the lists have it: "l'" of "l'exposé"."""
    found = re.match(r"[^\W\d_]+['\u2019]|[\w-]+", text.casefold())
    return found.group().replace("\u2019", "'") if found else ""


def _ended(text: str) -> str:
    """Give a sentence with its capital and its period."""
    raised = f"{text[0].upper()}{text[1:]}" if text.split(maxsplit=1)[0].islower() else text
    return raised if raised[-1] in _ENDS else f"{raised}."
