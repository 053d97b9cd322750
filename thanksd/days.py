"""Words that are true on one day only: yesterday, this morning, next week. Pure.

A letter is read on another day than it was written, and with --at it leaves on another one too. What is looked for is
a word that dates something of the meeting ("your talk today"). Passed over are wishes for the reader's own day ("have a
nice day today"), what is meant of an age ("the compilers of today", "today's world"), and names ("Psychology Today").
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

_A_FEW = r"(?:an?|one|two|three|four|five|six|a few|a couple of|\d{1,2})"
_OF_A_DAY = (
    r"(?:the day (?:before|after) )?(?:yesterday|tomorrow|today)",
    r"tonight|last night",
    r"this (?:morning|afternoon|evening|noon)",
    rf"{_A_FEW} days? ago",
)
_OF_A_WEEK = (r"(?:this|last|next) week(?:end)?", rf"{_A_FEW} weeks? ago")

# Wishes, ages and turns of phrase in which the words date nothing.
_AGES = "world|age|times?|standards|society|youth|leaders|technology|engineers|students|children|generation"
_HARMLESS = (
    r"have an? (?:\w+ ){1,2}(?:day|one|time|evening|morning|afternoon) (?:today|tomorrow|tonight)",
    r"enjoy (?:your|the) (?:\w+ ){0,2}day (?:today|tomorrow)",
    r"\w+s of (?:today|tomorrow|yesterday)",
    rf"(?:today|tomorrow|yesterday)['\u2019]s (?:{_AGES})",
    r"(?:until|till|to) (?:today|this day)",
)


class Found(NamedTuple):
    """Words found, and whether they speak of a week, and not of one day."""

    words: str
    of_a_week: bool

    def holds(self, written: date, leaves: date) -> bool:
        """Say whether what was true on one day is true on the other: the same day, or the same week (ISO 8601)."""
        if self.of_a_week:
            return written.isocalendar()[:2] == leaves.isocalendar()[:2]
        return written == leaves


_DAY = re.compile(rf"\b(?:{'|'.join(_OF_A_DAY)})\b", re.IGNORECASE)
_WEEK = re.compile(rf"\b(?:{'|'.join(_OF_A_WEEK)})\b", re.IGNORECASE)
_PASSED_OVER = re.compile(rf"\b(?:{'|'.join(_HARMLESS)})\b", re.IGNORECASE)


def find(text: str) -> list[Found]:
    """Give the words of a text that date something by the day they are said on, those of days first."""
    plain = _PASSED_OVER.sub(" ", " ".join(text.split()))
    return [
        Found(match.group(), of_a_week)
        for pattern, of_a_week in ((_DAY, False), (_WEEK, True))
        for match in pattern.finditer(plain)
        if not _is_name(plain, match)
    ]


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Say whether it is written with a capital where no sentence begins: a name, such as "Psychology Today"."""
    before = text[: match.start()].rstrip()
    return match.group()[:1].isupper() and not match.group().isupper() and before[-1:] not in ("", ".", "!", "?", ":")
