"""Whether a text tells what was noted of a meeting: its details, and what its writer promised. Pure."""

from __future__ import annotations

import re
from functools import cache

from thanksd.language import Language, any_of, listed, plain, read, telling_stems, words_of

# One telling word may be there by chance: "a team of six" is not their "team of four".
_TELLING = 2


def mentions(body: str, detail: str, known: Language) -> bool:
    """Say whether some words in a row of the detail (`Words.run` at least), two of them telling, are in the body.

    Of a detail with one telling word that one is enough. A detail of fewer words must be there whole, and so must one
    made of common words only. What the writer is sorry for is passed over: it is nothing they did.
    """
    body = _apology(known.code).sub(" ", plain(body))
    words = [word.casefold() for word in words_of(detail, known)]
    if not words:
        return detail.strip() in body
    told = " ".join(["", *(word.casefold() for word in words_of(body, known)), ""])
    return any(f" {' '.join(run)} " in told for run in _runs(words, known)) or _retells(body, detail, known)


def _runs(words: list[str], known: Language) -> list[list[str]]:
    """Give the shortest runs of a detail's words that have enough telling ones, or else all of it."""
    size, common = known.words.run, listed(known.words.common)
    # Where each character counts, a run of four is telling enough with one that is.
    wanted = 1 if known.words.by_characters else min(_TELLING, len(set(words) - common))
    runs = []
    for start in range(len(words) - size + 1):
        for end in range(start + size, len(words) + 1):
            if len([word for word in words[start:end] if word not in common]) >= max(wanted, 1):
                runs.append(words[start:end])
                break
    return runs or [words]


def _retells(body: str, detail: str, known: Language) -> bool:
    """Say whether half the telling words of a detail, and two at least, are in the body in whatever form and order."""
    stems = telling_stems(detail, known)
    here = count(stems, body, known)
    return here >= _TELLING and here * 2 >= len(stems)


def keeps(text: str, promise: str, known: Language) -> bool:
    """Say whether half the telling words of a promise are in a text, whatever their endings.

    Of verbs that come to the same (`Words.alike`) one stands for the other: "keep her posted" and "I will tell you".
    """
    text, promise = plain(text), plain(promise)
    if _has_half(text, promise, known):
        return True
    alike = [pattern for pattern in _alike(known.code) if pattern.search(promise) and pattern.search(text)]
    for pattern in alike:
        text, promise = (pattern.sub(_SAME, said) for said in (text, promise))
    return bool(alike) and _has_half(text, promise, known)


# What stands for any verb of a sort.
_SAME = " samedeed "


def _has_half(text: str, promise: str, known: Language) -> bool:
    stems = telling_stems(promise, known)
    return not stems or count(stems, text, known) * 2 >= len(stems)


def count(stems: list[str], text: str, known: Language) -> int:
    """Say how many of these beginnings of words a text has; what follows one is an ending, and no second noun."""
    said = plain(text).casefold()
    if known.words.by_characters:
        return sum(stem in said for stem in stems)
    return sum(re.search(rf"{re.escape(stem)}\w{{0,{_LONGEST_ENDING}}}\b", said) is not None for stem in stems)


_LONGEST_ENDING = 4


@cache
def _alike(code: str) -> list[re.Pattern[str]]:
    known = read(code)
    return [any_of([pattern], known, whole=True) for pattern in known.words.alike]


@cache
def _apology(code: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(known.words.apology, known)
