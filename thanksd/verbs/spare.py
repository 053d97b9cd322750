"""The verb keep_copy: once a day, where something changed, a copy of the ledger is kept by itself; old ones go.

A copy carries the time at which the ledger was last changed before it was made, so that a day on which nothing changed
is known by that alone, whatever the clock was set to meanwhile.
"""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

from thanksd import guard, kept, paths
from thanksd.config import Copies
from thanksd.errors import TryLaterError
from thanksd.moments import local
from thanksd.verbs import keeping
from thanksd.verbs.context import Context

# Of the ledger's size: the copy, and room for the ledger to go on.
_ROOM = 2


def keep_copy(context: Context) -> dict[str, Any]:
    """Keep today's copy where there is none and the ledger changed since the last one; then let old ones go.

    A shared ledger is its server's to keep.

    Gives {"kept": the path or None, "removed": [paths]}. Raises TryLaterError where there is no room, and what
    `keeping.backup` raises.
    """
    keep = spans(context.config.copies)
    file, folder = context.store.file, paths.backups_folder()
    if file is None or not any(keep):
        return {"kept": None, "removed": []}
    with context.store.read() as connection:
        uid = guard.row_of(connection).uid
    today = local(context.now, context.zone).date()
    made = _make(context.store.url, file, folder, uid, today)
    return {"kept": made and str(made), "removed": _let_go(folder, uid, today, keep)}


def spans(setting: Copies) -> tuple[int, int, int]:
    """Give of how many days, weeks and months a copy stays; none at all is (0, 0, 0)."""
    return max(setting.days, 0), max(setting.weeks, 0), max(setting.months, 0)


def _make(url: str, file: Path, folder: Path, uid: str, today: date) -> Path | None:
    found = kept.dailies(folder, uid)
    changed_at = file.stat().st_mtime_ns
    if today in found or changed_at in {path.stat().st_mtime_ns for path in found.values()}:
        return None
    paths.private_folder(folder)
    for part in kept.parts(folder, uid):
        part.unlink(missing_ok=True)
    _refuse_without_room(file, folder)
    target = kept.daily_file(folder, uid, today)
    keeping.backup(url, target)
    # A change that came while it was made is seen as one tomorrow, as it should be: it may not be in the copy.
    os.utime(target, ns=(changed_at, changed_at))
    return target


def _refuse_without_room(file: Path, folder: Path) -> None:
    size, free = file.stat().st_size, shutil.disk_usage(folder).free
    if free < _ROOM * size:
        words = f"No copy of the ledger was kept: {free >> 20} MiB are free in {folder}, and it needs "
        raise TryLaterError(f"{words}{(_ROOM * size >> 20) + 1}.", "Free some space there.")


def _let_go(folder: Path, uid: str, today: date, keep: tuple[int, int, int]) -> list[str]:
    """Remove the copies that are old enough; never today's, which would be made again and again."""
    found = kept.dailies(folder, uid)
    gone = [found[day] for day in kept.outlived(found, keep) if day != today]
    for path in gone:
        path.unlink(missing_ok=True)
    return [str(path) for path in gone]
