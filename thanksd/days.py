"""Words that are true on one day only: yesterday, this morning, next week. Pure.

A letter is read on another day than it was written, and with --at it leaves on another one too. What is looked for is
a word that dates something of the meeting ("your talk today"). Passed over are wishes for the reader's own day ("have a
nice day today"), what is meant of an age ("the compilers of today", "today's world"), and names ("Psychology Today").
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import NamedTuple

from thanksd.language import Language, any_of, read


class Found(NamedTuple):
    """Words found, and whether they speak of a week, and not of one day."""

    words: str
    of_a_week: bool

    def holds(self, written: date, leaves: date) -> bool:
        """Say whether what was true on one day is true on the other: the same day, or the same week (ISO 8601)."""
        if self.of_a_week:
            return written.isocalendar()[:2] == leaves.isocalendar()[:2]
        return written == leaves


def find(text: str, known: Language) -> list[Found]:
    """Give the words of a text that date something by the day they are said on, those of days first."""
    day, week, passed_over = _patterns(known.code)
    plain = passed_over.sub(" ", " ".join(text.split()))
    return [
        Found(match.group(), of_a_week)
        for pattern, of_a_week in ((day, False), (week, True))
        for match in pattern.finditer(plain)
        if not _is_name(plain, match)
    ]


@cache
def _patterns(code: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    known = read(code)
    day, week, harmless = (any_of(part, known, whole=True) for part in (known.one_day, known.one_week, known.harmless))
    return day, week, harmless


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Say whether it is written with a capital where no sentence begins: a name, such as "Psychology Today"."""
    before = text[: match.start()].rstrip()
    return match.group()[:1].isupper() and not match.group().isupper() and before[-1:] not in ("", ".", "!", "?", ":")
