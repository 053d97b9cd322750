"""A table of meetings as spreadsheets write it, read into lines: name, email, kind, when, detail.

RFC 4180 with what programs make of it: a byte order mark, any line ends, semicolons or tabs where a country's decimal
comma takes the comma, empty columns at the end, a first line that names the columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from thanksd.addresses import display_safe, fold
from thanksd.errors import DataError, UsageError

# The columns of a line without a heading, in their order.
COLUMNS = ("name", "email", "kind", "when", "detail")

# How people and programs head a column.
_HEADINGS = {
    **dict.fromkeys(("name", "who", "person", "full name"), "name"),
    **dict.fromkeys(("email", "e-mail", "mail", "address", "email address", "e-mail address"), "email"),
    **dict.fromkeys(("kind", "type"), "kind"),
    **dict.fromkeys(("when", "date", "time"), "when"),
    **dict.fromkeys(("detail", "details", "note", "notes"), "detail"),
    **dict.fromkeys(("place", "where", "location"), "place"),
    **dict.fromkeys(("about", "topic"), "about"),
}
_SEPARATORS = (",", ";", "\t")
_HINT = "One line each: name, email, kind, when, detail. See: thanksd help add"


class Sheet(NamedTuple):
    """What was read: good lines for the verb, bad ones with their reasons, and the headings that nothing is made of."""

    lines: list[dict[str, Any]]
    bad: list[dict[str, Any]]
    unused: list[str]


def read(data: bytes) -> Sheet:
    """Read a whole table.

    Raises UsageError for what is no table, DataError for a line that is not UTF-8.
    """
    text = _decoded(data)
    separator = _separator(next(_Lines(text), ""))
    lines, bad = _records(text, separator)
    if not lines and not bad:
        raise UsageError("There was nothing to read. Nothing was stored.", _HINT)
    columns, unused = list(COLUMNS), []
    if lines and (named := _named(lines[0][1])):
        columns = named
        unused = [cell for cell, column in zip(lines.pop(0)[1], columns, strict=True) if not column and cell]
    sheet = Sheet([], bad, unused)
    for number, cells in lines:
        _take(sheet, number, cells, columns)
    return sheet


def _decoded(data: bytes) -> str:
    if b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(
            "This is no table in UTF-8: it has zero bytes. Nothing was stored.", 'Save it as "CSV UTF-8", then again.'
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + before.replace(b"\r\n", b"").count(b"\r") + 1
        raise DataError(
            f"Line {line} is not UTF-8: byte 0x{data[error.start]:02x}. Nothing was stored.",
            'Save it as "CSV UTF-8", then again.',
        ) from error


class _Lines:
    """The lines of a text, and where the record began that is being read.

    Blank lines and comments are left out, but only between records: within quotes they are somebody's text.
    """

    def __init__(self, text: str) -> None:
        # Not translated: a line end within quotes is told from the one that ends the line by the csv module alone.
        self._lines = enumerate(io.StringIO(text, newline=""), 1)
        self.is_between = True
        self.began = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        while self.is_between and (not line.strip(" \t\r\n,;") or line.lstrip().startswith("#")):
            number, line = next(self._lines)
        if self.is_between:
            self.began, self.is_between = number, False
        return line


def _separator(line: str) -> str:
    """Give what parts the columns: where the line is a heading, what makes it one; else what it has most of."""
    for one in _SEPARATORS:
        if _named(_tidy(line.split(one))):
            return one
    outside = re.sub(r'"[^"]*"', "", line)
    return max(_SEPARATORS, key=outside.count)


def _records(text: str, separator: str) -> tuple[list[tuple[int, list[str]]], list[dict[str, Any]]]:
    """Give each record's first line and its cells; what follows an open quote can't be read, and is one bad line."""
    lines = _Lines(text)
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    found: list[tuple[int, list[str]]] = []
    while True:
        lines.is_between = True
        try:
            cells = next(rows)
        except StopIteration:
            return found, []
        except csv.Error as error:
            return found, [{"line": lines.began, "reason": _why(str(error))}]
        found.append((lines.began, _tidy(cells)))


def _why(words: str) -> str:
    if "unexpected end" in words or "field larger" in words:
        return "A quote is opened and never closed."
    return "Text follows a closing quote; a quote within a text is written twice."


def _tidy(cells: list[str]) -> list[str]:
    """Give the cells without outer spaces and line ends; a line end within becomes a space."""
    return [re.sub(r"[ \t\r\n]+", " ", cell).strip(" ") for cell in cells]


def _named(cells: list[str]) -> list[str]:
    """Give the columns that a heading names, "" for one we have no use for; nothing where the line is no heading.

    Raises UsageError for a heading without a name, or with a column twice.
    """
    columns = [_HEADINGS.get(fold(cell).strip('"'), "") for cell in cells]
    known = [one for one in columns if one]
    if not known or any("@" in cell for cell in cells) or ("name" not in known and len(known) == 1):
        return []
    if "name" not in known or len(set(known)) < len(known):
        raise UsageError(
            f"The first line must name each column once, and have a name: {display_safe(', '.join(cells)[:80])}. "
            "Nothing was stored.",
            _HINT,
        )
    return columns


def _take(sheet: Sheet, number: int, cells: list[str], columns: list[str]) -> None:
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) > len(columns):
        reason = f"{len(cells)} columns, at most {len(columns)}: a text with a comma in it needs quotes around it."
        sheet.bad.append({"line": number, "reason": reason})
        return
    said = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
    sheet.lines.append({"line": number, **said})
