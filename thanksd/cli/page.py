"""Text into the lines of a screen: every text harmless, every line at most as wide as the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thanksd.addresses import display_safe
from thanksd.cli.lines import cells

_LABEL = 9  # cells of a label such as "Subject  "


class Line(NamedTuple):
    """One line, and the colour that repeats what its words say; "" for none."""

    text: str
    colour: str = ""


class Page(NamedTuple):
    """A screen's lines. `left` of the letter's lines are below it; a space leads to `next_offset`."""

    lines: list[Line]
    left: int = 0
    next_offset: int = 0


def wrap(text: str, width: int) -> list[str]:
    """Break one line of text at spaces, or within a word that has none; spaces inside a line stay as they are."""
    text, lines = display_safe(text), []
    while len(text) > 4 * width or cells(text) > width:  # the first saves measuring all of a long text each time
        fits = _fitting(text, width)
        space = text.rfind(" ", 0, fits + 1)
        end = space if space > 0 and text[:space].strip() else fits
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip(" ")
    return [*lines, text]


def _fitting(text: str, width: int) -> int:
    """Give how many characters fit into `width` cells, at least one."""
    fits = min(len(text), width)
    while fits > 1 and cells(text[:fits]) > width:
        fits -= 1
    return fits


def hung(head: str, text: str, width: int) -> list[str]:
    """Write `text` after `head`, its other lines under its first one."""
    indent = min(len(head), width // 2)
    return [(head if number == 0 else " " * indent) + line for number, line in enumerate(wrap(text, width - len(head)))]


def field(label: str, text: str, width: int) -> list[str]:
    """Write `text` after its label."""
    return hung(label.ljust(_LABEL), text, width)


def ruled(words: str, width: int) -> Line:
    """Give a line across the window, with words in it."""
    text = f"-- {words} " if words else ""
    return Line(text + "-" * max(width - cells(text), 0))


def plain(lines: Sequence[str]) -> list[Line]:
    """Give lines without colour."""
    return [Line(line) for line in lines]


def said(texts: Sequence[str], width: int) -> list[Line]:
    """Give texts, each broken into lines without colour."""
    return plain([line for text in texts for line in wrap(text, width)])
