"""How a stored name is said in a greeting, and whether a greeting says it. Pure."""

from __future__ import annotations

import re
from typing import Literal

_TITLE_WORDS = (
    "dr prof professor mr mrs ms mx miss sir dame lord lady rev reverend fr hon judge madam madame"
    " herr frau sr sra srta señor señora monsieur mme mlle"
)
_TITLES = frozenset(_TITLE_WORDS.split())
_ACADEMIC = frozenset({"dr", "prof", "professor"})
_HE = frozenset({"mr", "sir", "lord", "herr", "sr", "señor", "monsieur"})
_SHE_WORDS = "mrs ms miss lady dame madam madame mme mlle frau sra srta señora"
_SHE = frozenset(_SHE_WORDS.split())
# Written small, they begin a family name.
_PARTICLE_WORDS = "von van der den de del della di da dos du la le bin ibn al ter ten zu zur af av"
_PARTICLES = frozenset(_PARTICLE_WORDS.split())
_DEGREE_WORDS = "phd md jr sr ii iii iv mba esq msc bsc dphil mph cbe obe mbe frs"
_DEGREES = frozenset(_DEGREE_WORDS.split())
_SALUTATION = re.compile(
    r"(?:(?:my )?dear(?:est)?|hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings)\b[ ,]*", re.IGNORECASE
)

# A first line of more words than this is no greeting but the letter itself.
_LONGEST_HEAD = 6


def first(name: str) -> str:
    """Give the name a peer is greeted by: "Ada" of "Dr. Ada Lovelace", "Dr. Lovelace" of itself, "" of ""."""
    parts = _parts(name)
    titled = len(parts) < len(_reordered(name).split())
    if titled and len(parts) <= 1:
        return _reordered(name)
    return parts[0] if parts else ""


def greeting(name: str, seniority: str) -> str:
    """Give the name for "Dear ...,": the full one for somebody "above", else the first."""
    return _reordered(name) if seniority == "above" else first(name)


def filled(form: str, name: str, gap: str) -> str:
    """Fill a greeting's form ("Dear {first},") with a name; `gap` stands for what the name does not have.

    {first} and {last} are its parts, {full} is all of it, {title} its academic titles, or nothing.
    """
    parts = _parts(name)
    titles = [word for word in _reordered(name).split() if _key(word) in _ACADEMIC]
    said = {"first": first(name), "last": " ".join(_family(parts)), "full": _reordered(name)}
    words = {key: value or gap for key, value in said.items()} | {"title": " ".join(titles)}
    for key, value in words.items():
        form = form.replace(f"{{{key}}}", value)
    return form if titles else form.replace("  ", " ")


def _family(parts: list[str]) -> list[str]:
    """Give the family name with what belongs to it: "van Beethoven", "de la Cruz", "bin Laden"."""
    start = next((place for place, word in enumerate(parts) if place and word in _PARTICLES), len(parts) - 1)
    return parts[max(start, 0) :]


def pronoun(name: str) -> Literal["he", "she", ""]:
    """Say whether a name is written with a word that tells how somebody is spoken of: Herr, Ms, Sra., 先生."""
    keys = {_key(word) for word in name.split()}
    if keys & _HE or name.endswith("先生"):
        return "he"
    return "she" if keys & _SHE or name.endswith(("女士", "小姐")) else ""


def is_greeted(line: str, name: str) -> bool:
    """Say whether a letter's first line greets the person, spelled as stored: first, last or full name, any title."""
    said = _head(line)
    rest = _SALUTATION.sub("", said, count=1) if _SALUTATION.match(said) else said
    return " ".join(_untitled(_plain(rest).split())) in _forms(_plain(name))


def is_greeting_line(line: str, name: str) -> bool:
    """Say whether the whole line is a greeting, be it the person's or somebody else's."""
    head = _head(line)
    alone = len(line.rstrip(" ,:!.")) <= len(head.rstrip(" ,:!."))
    return alone and bool(greeting_words(line) or is_greeted(line, name))


def greeting_words(line: str) -> str:
    """Give the greeting's words without its comma, such as "Dear Adam"; "" where the line has no greeting."""
    head = _head(line)
    short = len(head.split()) <= _LONGEST_HEAD
    called = short and head != line.strip() and len(head.split()) <= 2  # noqa: PLR2004  "Ada, ..." or "Ada Lovelace, ..."
    return head if short and (_SALUTATION.match(head) or called) else ""


def _head(line: str) -> str:
    return re.split(r"[,:!\N{EN DASH}\N{EM DASH}]", line.strip(), maxsplit=1)[0].strip()


def _plain(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _key(word: str) -> str:
    return word.strip(".,()").replace(".", "").casefold()


def _untitled(words: list[str]) -> list[str]:
    while len(words) > 1 and _key(words[0]) in _TITLES:
        words = words[1:]
    return words


def _reordered(name: str) -> str:
    """Put "Lovelace, Ada" in spoken order, and leave degrees such as ", PhD" away."""
    before, _, after = name.partition(",")
    degrees = all(_key(word) in _DEGREES for word in after.replace(",", " ").split())
    return " ".join((before if degrees else f"{after} {before}").split())


def _parts(name: str) -> list[str]:
    return _untitled(_reordered(name).split())


def _forms(name: str) -> set[str]:
    """Give every right way to say a name: it starts or ends as the name does, or is first and last."""
    parts = _parts(name)
    starts = {" ".join(parts[:end]) for end in range(1, len(parts) + 1)}
    ends = {" ".join(parts[start:]) for start in range(len(parts))}
    return starts | ends | {f"{parts[0]} {parts[-1]}" if len(parts) > 1 else first(name)} - {""}
