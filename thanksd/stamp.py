"""Which machine and installation this is, and what it remembers of each ledger outside of it.

A ledger is a file, and files are copied: synced to another machine, put back from an old copy, doubled by cp. Each copy
holds the letters that waited when it was made, and would send them again. So a ledger carries the stamp of who uses it,
and each claim of a letter gives it a new number, its ticket. The installation keeps the newest ticket in a folder of
its own, the state folder (XDG Base Directory Specification), which nobody copies along: a ledger with another ticket
is not the one this installation left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from thanksd import paths
from thanksd.errors import DataError, PermissionDeniedError, TryLaterError

_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_ID = re.compile(r"[0-9a-f]{32}")
_CHANCE_BITS = 31
# Longer than a worker may wait for the store while it has the lock.
_WAIT_SECONDS = 10.0


class Here(NamedTuple):
    """This machine (hashed), its name for people, and this installation: a home of a user on it."""

    machine: str
    host: str
    install: str


def here() -> Here:
    """Give who we are; the installation's name is made when it is first asked for.

    Raises PermissionDeniedError or TryLaterError where it can't be kept.
    """
    return Here(_machine(), os.uname().nodename, _install())


def _machine() -> str:
    """Give the machine's id hashed with a key of ours, as machine-id(5) asks for: the id itself is confidential."""
    for path in _IDS:
        try:
            found = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if _ID.fullmatch(found):
            return hashed(found)
    return hashed(os.uname().nodename)


def hashed(text: str) -> str:
    """Give what stands for a name that is not to be told: 32 hex digits."""
    return blake2b(os.fsencode(text), key=b"thanksd", digest_size=16).hexdigest()


def _install() -> str:
    folder = paths.state_folder()
    with _explained(folder):
        if found := _read_install(folder):
            return found
        with _locked(folder) as handle:
            found = _read_install(folder) or uuid.uuid4().hex
            _put(handle, folder / "install", found)
    return found


def _read_install(folder: Path) -> str:
    found = _read(folder / "install")
    return found if _ID.fullmatch(found) else ""


class Witness:
    """What this installation knows of one ledger, whose name all its copies share, apart from the ledger itself.

    Most of the time that is one ticket: the newest one claimed here. While a claim is being committed it is two, the
    one before and the one that is coming, as a program may be killed on either side of the commit.
    """

    def __init__(self, ledger: str) -> None:
        if not _ID.fullmatch(ledger):
            raise DataError("The ledger is damaged: it has no name. Nothing was changed.", "Restore a copy of it.")
        self._folder = paths.state_folder() / "ledgers" / ledger
        self._handle = -1

    def tickets(self) -> tuple[int, ...]:
        """Give the tickets that a ledger of this name may have here; 0 is one that no letter was claimed from."""
        with _explained(self._folder):
            words = _read(self._folder / "tickets").split()
        if not words:
            return () if (self._folder / "tickets").exists() else (0,)
        return tuple(int(word) for word in words if word.isascii() and word.isdigit())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other claim of this installation waiting, whichever copy of the ledger it is made from.

        Raises TryLaterError where another one does not come to its end.
        """
        paths.private_folder(self._folder.parent)
        paths.private_folder(self._folder)
        with _explained(self._folder), _locked(self._folder) as handle:
            self._handle = handle
            yield

    def put(self, *tickets: int) -> None:
        """Remember these tickets and no others, on the disk when this returns. Only inside `locked`."""
        with _explained(self._folder):
            _put(self._handle, self._folder / "tickets", " ".join(map(str, tickets)))


def next_ticket(ticket: int) -> int:
    """Give the ticket after this one, of at most 63 bits: it counts on, and ends in chance.

    A clone of this installation (a virtual machine's) counts on from the same ticket, and must not come to the same
    number: a ledger of the one would pass for the other's.
    """
    chance = int.from_bytes(os.urandom(4), "big") >> (32 - _CHANCE_BITS)
    return ((ticket >> _CHANCE_BITS) + 1) % (1 << 32) << _CHANCE_BITS | chance


def count_of(ticket: int) -> int:
    """Give the part of a ticket that counts on."""
    return ticket >> _CHANCE_BITS


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _put(folder: int, path: Path, text: str) -> None:
    """Write a file whole, or leave it as it was; `folder` is its folder's descriptor, synced for the file's entry."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"{text}\n".encode("ascii"))
        os.fsync(handle)
    finally:
        os.close(handle)
    new.rename(path)
    os.fsync(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold flock(2) on a folder, and give its descriptor. The kernel drops it with the process."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not _taken(handle):
            if time.monotonic() > deadline:
                raise TryLaterError("Another program has the outbox. Nothing was sent.", "Try again.")
            time.sleep(0.01)
        yield handle
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the system refuses into words: without what is kept here, no letter may leave."""
    try:
        yield
    except OSError as error:
        kind = TryLaterError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else PermissionDeniedError
        raise kind(
            f"What thanksd remembers can't be kept: {folder}: {error.strerror}. Nothing was sent.",
            "Look at that folder, then try again.",
        ) from error
