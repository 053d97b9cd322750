"""The numbers of the verb stats, drawn: SVG for a page, as a string. Pure.

Made for a page whose policy allows no style but its own file's (Content-Security-Policy, style-src): no style
attribute, no <style>, no script, no reference to anything outside. Colours are the page's business alone: a stylesheet
gives `fill` to the classes owed, given, late and axis, for light and dark. Every text stands in a line of its own that
has room to its end, so none is cut, whatever its script or direction; all are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from thanksd.addresses import display_safe
from thanksd.moments import MONTHS

_WIDTH = 640
_LINE = 18
_LEFT = 8
_MARK = 10
# The plot of the weeks: its height, and the share of a week's width that its two bars take.
_PLOT, _SHARE = 160, 0.8
# The legend's three lines, and one for the number at the top of the scale.
_TOP = 4 * _LINE + 4
_WIDEST = 80
_MOST_LABELS = 8
# A wide letter's width at the size that texts have, 13; one in Chinese is as wide as high, and its days are short.
_LETTER = 8
# The longest bar of the delays; its number stands behind it.
_LONGEST, _THICK = 560, 14


def _english(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1][:3]}"


class Words(NamedTuple):
    """What a chart says: its title (read aloud), its names of what is drawn, and how it says a day."""

    title: str = "Thanks owed and given, by week"
    owed: str = "owed"
    given: str = "given"
    late: str = "late"
    day: Callable[[date], str] = _english


def weeks(rows: Sequence[Mapping[str, Any]], words: Words | None = None, *, name: str = "weeks") -> str:
    """Draw owed and given of each week side by side, with what of owed is late; `rows` are the `weeks` of stats.

    `name` begins the ids in it, and so has to be another one for each chart of a page.
    """
    said = words or Words()
    base = _TOP + _PLOT
    most = max([1, *(max(row["owed"], row["given"]) for row in rows)])
    step = min(_WIDEST, (_WIDTH - 2 * _LEFT) / max(1, len(rows)))
    wide = step * _SHARE / 2
    starts = [_LEFT + step * (place + (1 - _SHARE) / 2) for place in range(len(rows))]
    bars = [
        _bars(kind, [(x + side * wide, row[kind]) for x, row in zip(starts, rows, strict=True)], base, wide, most)
        for kind, side in (("owed", 0), ("late", 0), ("given", 1))
    ]
    legend = [_key(line, kind, getattr(said, kind)) for line, kind in enumerate(("owed", "given", "late"))]
    scale = [_text(_LEFT, _TOP - 4, str(most)), _rect(_LEFT, base, _WIDTH - 2 * _LEFT, 1, "axis")]
    labels = _labels(starts, rows, said, base + _LINE)
    drawn = [*legend, *scale, *bars, *labels]
    return _svg(name, said.title, _told(rows, said), base + _LINE + 6, drawn)


def _bars(kind: str, places: Sequence[tuple[float, int]], base: float, wide: float, most: int) -> str:
    """Draw the bars of one kind that are more than nothing: one path, as rectangles would be three times as long."""
    tall = [(x, count * _PLOT / most) for x, count in places if count > 0]
    lines = [f"M{_number(x)} {_number(base)}v-{_number(high)}h{_number(wide)}v{_number(high)}z" for x, high in tall]
    return f'<path class="{kind}" d="{"".join(lines)}"/>' if lines else ""


def _labels(starts: Sequence[float], rows: Sequence[Mapping[str, Any]], said: Words, y: float) -> list[str]:
    """Name every so many weeks that the names have room: neither over one another nor over the edge."""
    names = [said.day(date.fromisoformat(row["week"])) for row in rows]
    room = _LETTER * max(map(len, names), default=0) + _LEFT
    most = max(1, min(_MOST_LABELS, _WIDTH // room))
    every = -(-len(rows) // most) or 1
    return [_text(x, y, name) for x, name in list(zip(starts, names, strict=True))[::every] if x + room <= _WIDTH]


def _told(rows: Sequence[Mapping[str, Any]], said: Words) -> str:
    """Say the numbers, for who does not see them; weeks with nothing in them are left out."""
    told = [
        f"{said.day(date.fromisoformat(row['week']))}: {row['owed']} {said.owed}, {row['given']} {said.given}"
        + (f", {row['late']} {said.late}" if row["late"] else "")
        for row in rows
        if row["owed"] or row["given"]
    ]
    return "; ".join(told) or "0"


def delays(
    rows: Sequence[Mapping[str, Any]], title: str = "From the meeting to the thanks", *, name: str = "delays"
) -> str:
    """Draw how many were given within which time, a bar below each name; `rows` are the `within` of stats' hours.

    The last of them is what was late, and has that class. `name` is as for `weeks`.
    """
    most = max([1, *(row["given"] for row in rows)])
    drawn: list[str] = []
    for place, row in enumerate(rows):
        y, long = place * 2 * (_LINE + 1), row["given"] * _LONGEST / most
        kind = "late" if place == len(rows) - 1 else "given"
        drawn.append(_text(_LEFT, y + _LINE - 4, row["name"]))
        drawn += [_rect(_LEFT, y + _LINE, long, _THICK, kind)] if row["given"] > 0 else []
        drawn.append(_text(_LEFT + long + 6, y + _LINE + _THICK - 2, str(row["given"])))
    told = "; ".join(f"{row['name']}: {row['given']}" for row in rows) or "0"
    return _svg(name, title, told, max(1, len(rows)) * 2 * (_LINE + 1) + 4, drawn)


# --- the parts of an SVG ---


def _svg(name: str, title: str, told: str, height: float, drawn: Sequence[str]) -> str:
    ids = f"{_safe(name)}-title", f"{_safe(name)}-desc"
    # The direction is said here: a page that is read from the right would hand on its own, and turn the bars' labels.
    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_number(height)}" direction="ltr"'
    return (
        f'<svg {head} role="img" aria-labelledby="{ids[0]} {ids[1]}" font-size="13">'
        f'<title id="{ids[0]}">{_safe(title)}</title><desc id="{ids[1]}">{_safe(told)}</desc>'
        f"{''.join(drawn)}</svg>"
    )


def _key(line: int, kind: str, words: str) -> str:
    y = line * _LINE + 4
    return _rect(_LEFT, y, _MARK, _MARK, kind) + _text(_LEFT + _MARK + 6, y + _MARK, words)


def _rect(x: float, y: float, wide: float, high: float, kind: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(wide)}" height="{_number(high)}"'
    return f'<rect class="{kind}" {place}/>'


def _text(x: float, y: float, words: str) -> str:
    # plaintext: its own first letter says in which direction a text is read (CSS Writing Modes, 2.2).
    return f'<text class="axis" x="{_number(x)}" y="{_number(y)}" unicode-bidi="plaintext">{_safe(words)}</text>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _safe(text: str) -> str:
    """Escape a text, and show what XML can't hold or what turns text around as it is written in a program."""
    return html.escape(display_safe(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))
