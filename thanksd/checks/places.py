"""The checks `folder` and `disk`: where the ledger lies, who else may read or carry it away, and the room there is."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from thanksd import database, mounts
from thanksd.checks import Finding, Place, look_at, mend, ok

_MEBIBYTE = 1 << 20
_LEAST, _LITTLE = 10, 100  # MiB

_MOUNTS = Path("/proc/self/mountinfo")


def folder(place: Place) -> Iterator[Finding]:
    """Look at the place of the ledger: synced, on another machine, or open to others."""
    file = database.sqlite_file(place.store)
    found = list(opened_to_others("folder", file))
    if program := mounts.synced_by(file.parent):
        words = f"The ledger lies in a folder of {program}, where another machine's copy can take its place: {file}"
        found.append(look_at("folder", words, f"Take {file.parent} out of {program}."))
    if kind := mounts.network_kind(_mounted(), file):
        words = f"The ledger lies on another machine ({kind}), where locks don't hold: {file}"
        found.append(
            mend("folder", words, "Move it to this machine's own disk, and name it: export THANKSD_STORE=FILE")
        )
    yield from found or [ok("folder", f"{file.parent}: on this machine alone.")]


def opened_to_others(name: str, file: Path) -> Iterator[Finding]:
    """Say whether others on this machine may read or change the file; a closed folder protects what lies in it."""
    if not file.exists():
        return
    is_open = _opened(file), _opened(file.parent)
    if all(is_open):
        yield mend(name, f"Others on this machine may look into it: {file}", f"Close it: chmod 700 {file.parent}")
    elif is_open[0]:
        yield look_at(name, f"Only its folder keeps others out: {file}", f"Close it: chmod 600 {file}")
    elif is_open[1]:
        yield look_at(
            name, f"Others may see what is in the folder: {file.parent}", f"Close it: chmod 700 {file.parent}"
        )


def _opened(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _mounted() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # without /proc nothing is known


def disk(place: Place) -> Iterator[Finding]:
    """Look at the free space where the ledger is, or would be."""
    file = database.sqlite_file(place.store)
    above = next(folder for folder in file.parents if folder.is_dir())
    free = shutil.disk_usage(above).free // _MEBIBYTE
    words = f"{free} MiB free in {above}"
    if free < _LEAST:
        yield mend("disk", f"{words}: nothing more can be stored.", "Free some space there.")
    elif free < _LITTLE:
        yield look_at("disk", f"{words}: little.", "Free some space there.")
    else:
        yield ok("disk", f"{words}.")
