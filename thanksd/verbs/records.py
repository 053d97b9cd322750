"""One record of an exported file, read with suspicion: each field's type, size and characters, as `add` has them.

What is wrong is refused by the record's name and the field's, and never mended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from thanksd.addresses import check_address, clean_text, display_safe, is_unsafe
from thanksd.errors import DataError, ThanksdError
from thanksd.letters import clean_body
from thanksd.moments import from_iso

_T = TypeVar("_T")
_YEARS = range(1900, 9000)
_MOST = 2**31
_SHOWN = 80
BODY_LIMIT, TEXT_LIMIT, LINE_LIMIT = 20_000, 2000, 200


class Record:
    """One record: `where` is its name for people, such as "thanks 7". Every reader raises DataError."""

    def __init__(self, where: str, data: object) -> None:
        self.where = where
        if not isinstance(data, dict):
            self.fail("it is no record")
        self.data: dict[str, Any] = data

    def fail(self, why: str) -> NoReturn:
        """Refuse the whole file for this record."""
        words = display_safe(why[: 4 * _SHOWN]).removesuffix(".")
        raise DataError(f"{self.where}: {words}. Nothing was stored.", "Export it again, and leave the file as it is.")

    def _of(self, name: str, kind: type[_T]) -> _T:
        value = self.data.get(name)
        # A bool is an int to Python.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(f"{name} is missing" if name not in self.data else f"{name} is no {_WORDS[kind]}")
        return value

    def checked(self, name: str, check: Callable[[str], _T]) -> _T:
        """Give a text as `check` understands it, which raises ThanksdError for what it refuses."""
        text = self._of(name, str)
        try:
            return check(text)
        except ThanksdError as error:
            self.fail(f"{name}: {error.message}")

    def maybe(self, name: str, read: Callable[[str], _T]) -> _T | None:
        """Give what `read` gives of a field, None where it is null or missing."""
        return None if self.data.get(name) is None else read(name)

    def text(self, name: str, limit: int = LINE_LIMIT) -> str:
        """Give one line of text."""
        return self.checked(name, lambda text: clean_text(text, name, limit))

    def named(self, name: str) -> str:
        """Give one line of text that is not empty."""
        return self.text(name) or self.fail(f"{name} is empty")

    def said(self, name: str) -> str:
        """Give what a server said, which may have been anything, as what can be kept."""
        return " ".join("".join(" " if is_unsafe(char) else char for char in self._of(name, str)[:TEXT_LIMIT]).split())

    def body(self, name: str) -> str:
        """Give a text of many lines."""
        return self.checked(name, lambda text: clean_body(text, BODY_LIMIT))

    def address(self, name: str) -> str:
        """Give an address that letters can go to."""
        return self.checked(name, check_address)

    def moment(self, name: str) -> datetime:
        """Give a moment in UTC."""
        found = self.checked(name, from_iso)
        if found.year not in _YEARS:
            self.fail(f"{name} is too far away")
        return found

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Give one of these words."""
        found = self._of(name, str)
        if found not in allowed:
            self.fail(f"{name} is none of {', '.join(allowed)}")
        return found

    def number(self, name: str) -> int:
        """Give a whole number, from 0."""
        found = self._of(name, int)
        if not 0 <= found < _MOST:
            self.fail(f"{name} is out of range")
        return found

    def flag(self, name: str) -> bool:
        """Give true or false; false where it is missing."""
        return self._of(name, bool) if name in self.data else False

    def records(self, name: str) -> list[Record]:
        """Give the records in a list, each named after this one; none where it is missing."""
        found = self._of(name, list) if name in self.data else []
        return [Record(f"{self.where}, {name} {number}", one) for number, one in enumerate(found, 1)]

    def texts(self, name: str, limit: int = TEXT_LIMIT) -> list[str]:
        """Give a list of texts."""
        found = self._of(name, list)
        return [Record(self.where, {name: one}).text(name, limit) for one in found]


_WORDS: dict[type, str] = {str: "text", int: "whole number", bool: "true or false", list: "list"}
