"""Lines for people: broken at spaces to the window's width, with every command on them left in one piece."""

from __future__ import annotations

import os
import re
from typing import TextIO

# A command to be copied: it follows a colon, a gap or nothing, and goes on to the next gap, sentence or alternative.
_COMMAND = re.compile(
    r"(?:^ *|[:?] |  )((?:thanksd|systemctl|journalctl|chmod|sudo|export|pipx) .*?)(?=  |\. [A-Z]|, or|$)"
)
# Stands for a space that must not become the end of a line; text that is safe to print has no such character.
_GLUE = "\0"


def cells(text: str) -> int:
    """Count the cells that a terminal gives to safe text; wide characters take two."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  a table of all of Unicode, for text beyond ASCII only

    return max(wcswidth(text), 0)


def broken(text: str, width: int, indent: int | None = None) -> list[str]:
    """Break safe text at spaces into lines of at most `width` cells.

    Later lines begin with `indent` spaces, or where the first one does. A word or a command that is longer than a line
    stays whole: terminals wrap it by themselves, and it can be copied as it is.
    """
    deep = len(text) - len(text.lstrip(" ")) if indent is None else indent
    hang = " " * (deep if deep <= width // 3 else 2)
    rest, lines = _COMMAND.sub(_glued, text), []
    while len(rest) > 4 * width or cells(rest) > width:  # the first saves measuring all of a long text each time
        end = _end_of_line(rest, width, at_least=len(rest) - len(rest.lstrip(" ")))
        if end < 0:
            break
        lines.append(rest[:end].rstrip(" "))
        rest = _under(hang, rest[end:].lstrip(" "), width)
    return [line.replace(_GLUE, " ") for line in [*lines, rest]]


def _under(hang: str, rest: str, width: int) -> str:
    """Indent the rest, unless its first word, or command, fits only without."""
    first = cells(rest.partition(" ")[0].replace(_GLUE, " "))
    return rest if len(hang) + first > width >= first else hang + rest


def _glued(found: re.Match[str]) -> str:
    before = found[0].removesuffix(found[1])
    return before + found[1].replace(" ", _GLUE)


def _end_of_line(text: str, width: int, at_least: int) -> int:
    """Give where the line ends: the last space that fits, else the first one after its first word, else -1."""
    fits = min(len(text), width)
    while fits > 1 and cells(text[:fits]) > width:
        fits -= 1
    space = text.rfind(" ", at_least, fits + 1)
    # The spaces of a gap begin further to the left.
    return space if space > at_least else text.find(" ", at_least + 1)


def fitted(text: str, stream: TextIO, indent: int | None = None) -> str:
    """Break safe text for the terminal behind `stream`; for anything else it stays one line."""
    width = _columns(stream)
    if not width or len(text) <= width // 2:  # half: no character takes more than two cells
        return text
    return "\n".join(broken(text, width, indent))


def _columns(stream: TextIO) -> int:
    """Give the terminal's width, 80 where it does not know, 0 where `stream` is no terminal."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or 80) if stream.isatty() else 0
    except (OSError, ValueError):
        return 0
