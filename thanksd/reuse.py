"""How much of a note somebody has read before. Pure.

A note that two colleagues lay side by side and find the same is worse than none (smithhanley.com), and so is one whose
reader knows it from the last time. Measured is the share of runs of five words, or characters, that two notes have in
common (Jaccard's index), without greeting and closing.
"""

from __future__ import annotations

from collections.abc import Iterable

from thanksd.facts import BLOCK, WARN, Around, Finding, finding
from thanksd.language import Language, words_of

RUN = 5
# Of notes to different people about the same hour some words are the same; see tests/notes for how this was chosen.
ALIKE = 0.3


def check_reuse(text: str, around: Around, known: Language) -> Finding | None:
    """Block a note that is much like another of the same panel's, warn of one like those that this person had."""
    if _alike(text, around.panel, known) >= ALIKE:
        return finding("reuse", BLOCK, "it is too much like your note to another of this meeting.", "body")
    if _alike(text, around.earlier, known) >= ALIKE:
        return finding("reuse", WARN, "they, or a colleague, had much of this from you before.", "body")
    return None


def _alike(text: str, others: Iterable[str], known: Language) -> float:
    return max((likeness(text, other, known) for other in others), default=0.0)


def likeness(one: str, other: str, known: Language) -> float:
    """Give the share of runs that two texts have in common: 0 is nothing, 1 is all."""
    first, second = _runs(one, known), _runs(other, known)
    return len(first & second) / len(first | second) if first and second else 0.0


def _runs(text: str, known: Language) -> set[tuple[str, ...]]:
    words = [word.casefold() for word in words_of(text, known)]
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
