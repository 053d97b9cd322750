"""The page's own words in the languages that notes are written in: one file each in `words/`. Pure.

What the check finds and what became of an answer, verbs say in English; here each such sentence is known by its words,
and said in the language of the page. Other errors stay English, as on the command line.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from thanksd import policy
from thanksd.moments import HALF_YEAR, local

_FOLDER = Path(__file__).parent / "words"
# Up to how many, of how many seconds, called what. Rounding may reach the next row: 59.6 s is 1 min.
_UNITS = ((59, 1, "seconds"), (59, 60, "minutes"), (23, 3600, "hours"), (13, 86400, "days"), (10**9, 604800, "weeks"))

# What the check says, and what other verbs do.
_SAID = ("said", "told")


class Words:
    """The words of one language. Called with a key it gives the text, with {names} filled in."""

    def __init__(self, tag: str) -> None:
        self.code = policy.culture(tag) if policy.culture(tag) in codes() else "en"
        self._texts, self._english = _read(self.code), _read("en")

    def __call__(self, key: str, **values: object) -> str:
        """Give a text. Raises KeyError for one that no file has: a slip of ours."""
        text: str = self._texts["texts"].get(key) or self._english["texts"][key]
        return text.format_map(values) if values else text

    def kind(self, kind: str) -> str:
        """Name a kind of meeting."""
        return str(self._texts["kinds"].get(kind, kind))

    def state(self, state: str) -> str:
        """Name the state of a thanks or a letter."""
        return str(self._texts["states"].get(state, state))

    def day(self, moment: datetime, now: datetime, zone: str) -> str:
        """Say a moment's local day: "Tue 11 Mar"; with the year when half a year away or more."""
        here, dates = local(moment, zone), self._texts["dates"]
        form = dates["day"] if abs(moment - now) < HALF_YEAR else dates["day_and_year"]
        return str(
            form.format(
                weekday=dates["weekdays"][here.weekday()],
                day=here.day,
                month=dates["months"][here.month - 1],
                year=here.year,
            )
        )

    def short_day(self, day: date) -> str:
        """Say a day where there is little room: "11 Mar"."""
        dates = self._texts["dates"]
        return str(dates["short"].format(day=day.day, month=dates["months"][day.month - 1]))

    def moment(self, moment: datetime, now: datetime, zone: str) -> str:
        """Say a moment: "today 15:00", "tomorrow 09:00", else its day and the time."""
        here = local(moment, zone)
        days = (here.date() - local(now, zone).date()).days
        near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
        day = self._texts["dates"][near] if near else self.day(moment, now, zone)
        return f"{day} {here.hour:02}:{here.minute:02}"

    def span(self, span: timedelta) -> str:
        """Say a length to the nearest of its largest unit, never 0."""
        seconds = abs(span.total_seconds())
        counts = [(max(1, int(seconds / size + 0.5)), most, name) for most, size, name in _UNITS]
        count, _, name = next(row for row in counts if row[0] <= row[1])
        one, many = self._texts["units"][name]
        return str((one if count == 1 else many).format(count))

    def said(self, message: str) -> str:
        """Say a verb's sentence in this language; "" where it has none of its own for it, as English has not."""
        if self.code == "en":
            return ""
        for table, key, pattern in _sentences():
            if (found := pattern.fullmatch(message)) and (text := self._texts[table].get(key)):
                values = found.groupdict()
                if key == "typo":
                    # English stands between the slip and the name, as often as there are slips.
                    values["found"] = values["found"].replace(" for ", " → ")
                return str(text.format_map(values))
        return ""

    def number(self, value: float | None) -> str:
        """Say a number with the language's decimal sign; a dash where there is none."""
        return "\N{EN DASH}" if value is None else str(value).replace(".", self("decimal"))

    @staticmethod
    def languages() -> list[tuple[str, str]]:
        """Give the languages that notes can be written in, each in its own words."""
        return [(code, str(_read(code)["name"])) for code in codes()]

    def left(self, due_by: datetime, now: datetime) -> str:
        """Say how best-by stands."""
        return self("left" if due_by >= now else "late_by", span=self.span(due_by - now))


@cache
def codes() -> tuple[str, ...]:
    """Give the codes of the languages there are words of."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


@cache
def _sentences() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Give what verbs say, by table and key, as patterns with a group for each {name} in it."""
    return tuple((table, key, _pattern(text)) for table in _SAID for key, text in _read("en")[table].items())


def _pattern(text: str) -> re.Pattern[str]:
    parts = ((re.escape(before), name) for before, name, _, _ in Formatter().parse(text))
    return re.compile("".join(f"{before}(?P<{name}>.+)" if name else before for before, name in parts), re.DOTALL)


@cache
def _read(code: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
