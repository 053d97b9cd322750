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
    """Words found, and whether they speak of a week or a month, and not of one day.

    `back` is how many days ago the day can be at most that they speak of, None where that is not known.
    """

    words: str
    of_a_week: bool
    of_a_month: bool = False
    back: int | None = None

    def holds(self, written: date, leaves: date) -> bool:
        """Say whether what was true on one day is true on the other: the same day, week (ISO 8601) or month."""
        if self.of_a_month:
            return (written.year, written.month) == (leaves.year, leaves.month)
        if self.of_a_week:
            return written.isocalendar()[:2] == leaves.isocalendar()[:2]
        return written == leaves


# The day before the Monday of last week is no day of last week.
_LAST_WEEK = 13


def find(text: str, known: Language) -> list[Found]:
    """Give the words of a text that date something by the day they are said on, those of days first."""
    plain = _pattern(known.code, "harmless").sub(" ", " ".join(text.split()))
    return [
        Found(match.group(), field == "one_week", field == "one_month", _back(match.group(), known))
        for field in ("one_day", "one_week", "one_month")
        for match in _pattern(known.code, field).finditer(plain)
        if not _is_name(plain, match)
    ]


def _back(words: str, known: Language) -> int | None:
    """Say how many days ago it was at most what these words date."""
    if _pattern(known.code, "today").fullmatch(words):
        return 0
    return _LAST_WEEK if _pattern(known.code, "last_week").fullmatch(words) else None


@cache
def _pattern(code: str, field: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(getattr(known, field), known, whole=True)


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Say whether it is written with a capital where no sentence begins: a name, such as "Psychology Today"."""
    before = text[: match.start()].rstrip()
    return match.group()[:1].isupper() and not match.group().isupper() and before[-1:] not in ("", ".", "!", "?", ":")
