"""The copies that are kept of a ledger: where they lie, what they are called, and which of them go with age.

Files alone; no copy is opened here but to look for words in it.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from thanksd import paths

# Of the ledger's name as much as tells ledgers apart whose copies lie in one folder.
_UID = 8
_DAILY = re.compile(rf"daily-(\d{{4}}-\d\d-\d\d)-([0-9a-f]{{{_UID}}})\.db")
_PART = re.compile(rf"\.daily-.*-([0-9a-f]{{{_UID}}})\.db\.\d+\.part(-journal)?")

DAILY, UPGRADE, RESTORE, BY_HAND = "daily", "before an upgrade", "before a restore", "by hand"


class Copy(NamedTuple):
    """One copy: its file, and why it was made (DAILY, UPGRADE, RESTORE, BY_HAND). The first three are our own."""

    path: Path
    why: str

    @property
    def is_ours(self) -> bool:
        """Whether the program made it by itself."""
        return self.why != BY_HAND


def copies(file: Path) -> list[Copy]:
    """Give the copies of the ledger at `file` that lie where the program puts them, oldest content first.

    A copy made in the folder of backups by hand may be of another ledger; that is known only to who made it.
    """
    beside = [Copy(path, why) for path in _files(file.parent) if (why := _why_beside(file, path))]
    backups = [Copy(path, _why(path)) for path in _files(paths.backups_folder()) if not path.name.startswith(".")]
    return sorted([*beside, *backups], key=lambda copy: copy.path.stat().st_mtime_ns)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _why_beside(file: Path, path: Path) -> str:
    if path.name.startswith(f"{file.name}.before-"):
        return UPGRADE
    return RESTORE if path.name.startswith(f"{file.name}.replaced-") else ""


def _why(path: Path) -> str:
    return DAILY if _DAILY.fullmatch(path.name) else BY_HAND


def daily_file(folder: Path, uid: str, day: date) -> Path:
    """Give the name of a day's copy; `uid` is the ledger's own name."""
    return folder / f"daily-{day.isoformat()}-{uid[:_UID]}.db"


def dailies(folder: Path, uid: str) -> dict[date, Path]:
    """Give the daily copies of a ledger by their day."""
    found = {}
    for path in _files(folder):
        match = _DAILY.fullmatch(path.name)
        if match and match[2] == uid[:_UID] and (day := _day(match[1])) is not None:
            found[day] = path
    return found


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parts(folder: Path, uid: str) -> list[Path]:
    """Give what programs that were killed left of copies they were making."""
    return [path for path in _files(folder) if (match := _PART.fullmatch(path.name)) and match[1] == uid[:_UID]]


def outlived(days: Iterable[date], keep: tuple[int, int, int]) -> list[date]:
    """Give the days whose copies go, where `keep` is of how many days, weeks and months one stays.

    Of each such week and month it is the newest. They are counted from the newest copy and not from today: a clock that
    is years ahead for a moment must not cost them all.
    """
    newest = sorted(set(days), reverse=True)
    stays: set[date] = set()
    for count, span in zip(keep, _SPANS, strict=True):
        stays |= set(_newest_of_each(newest, span)[:count])
    return [day for day in newest if day not in stays]


_SPANS: tuple[Callable[[date], Hashable], ...] = (
    lambda day: day,
    lambda day: day.isocalendar()[:2],
    lambda day: (day.year, day.month),
)


def _newest_of_each(newest_first: Sequence[date], span: Callable[[date], Hashable]) -> list[date]:
    found: dict[Hashable, date] = {}
    for day in newest_first:
        found.setdefault(span(day), day)
    return list(found.values())


def holding(found: Iterable[Copy], words: Iterable[str]) -> list[Copy]:
    """Give the copies in whose file one of these words stands, also where it is no ledger that can be opened."""
    wanted = [word.encode() for word in words]
    return [copy for copy in found if _holds(copy.path, wanted)]


def _holds(path: Path, wanted: Sequence[bytes]) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(word) >= 0 for word in wanted)
