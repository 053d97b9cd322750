"""What every store is to the verbs: transactions, a turn at claiming letters, and who may write. Two kinds fill it.

`database` is a ledger of one's own, an SQLite file; `postgres` is one that a team shares.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from thanksd import guard, paths
from thanksd.instance import InstanceLock
from thanksd.stamp import Here


class Ear(Protocol):
    """Hears of changes that other programs make, for a daemon's loop to wait on."""

    def fileno(self) -> int:
        """Give what becomes readable when there is something to hear."""

    def heard(self) -> bool:
        """Read what came, without waiting; give whether it is news, and no change of our own.

        Raises TryLaterError where the line was cut; it is closed then.
        """

    def close(self) -> None:
        """Hear no more."""


class Store(ABC):
    """One store, opened when first used. `url` is an SQLAlchemy URL; `lock` keeps one daemon for it on this machine.

    `file` is where it lies, None for one that a server keeps. `is_shared` says that several people have it, each with
    thanks of their own; `seat` names this installation among those whose popups it knows, empty where it is the only
    one.
    """

    file: Path | None = None
    is_shared = False
    seat = ""

    def __init__(self, url: str, lock: InstanceLock) -> None:
        self.url = url
        self.lock = lock

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """Give a connection in one read transaction: every row seen is of one moment.

        Fetch all and leave before output or network. Raises TryLaterError, PermissionDeniedError, DataError.
        """

    @abstractmethod
    def write(self, *, not_ours_too: bool = False, beside_others: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection in one write transaction, committed at the end, rolled back on any error.

        Nobody else writes meanwhile: what was read in it stays so. With `beside_others` those may who say the same: it
        is for moves whose every UPDATE names the state it expects (`outbox`). Raises ConfigError for a ledger of
        another machine and for an older copy of ours, unless `not_ours_too`; TryLaterError (busy, full, put aside, no
        answer), PermissionDeniedError, DataError.
        """

    @abstractmethod
    def whole(self) -> AbstractContextManager[Connection]:
        """As `write`, for a ledger that changes hands as a whole, whosever it is: that may take its time.

        Whoever has a file to themselves takes its `lock` before. Raises TryLaterError where daemons have a shared one.
        """

    @property
    @abstractmethod
    def here(self) -> Here:
        """Where the ledger is used: what its stamp must say for us to change it."""

    @abstractmethod
    def rewrite(self) -> None:
        """Write the ledger anew, so that no unused part of its files holds what was removed. Raises TryLaterError."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""

    def listen(self) -> Ear | None:
        """Give what hears of changes that others make, None where nobody tells of any. Raises as `read` does."""
        return None

    @contextmanager
    def turn(self) -> Iterator[guard.Turn]:
        """Give a turn at claiming letters; it is held until the block ends. Begin no transaction before it."""
        with self.read() as connection:
            turn = guard.Turn(guard.row_of(connection).uid)
        with turn.witness.locked():
            yield turn

    def check_ours(self) -> None:
        """Raise what `write` would for a ledger that is not ours to change, and change nothing."""
        with self.read() as connection:
            guard.admit(connection, self.here, is_shared=self.is_shared)


def known_revisions() -> list[str]:
    """Give the schema revisions this program knows, oldest first: the numbers its migration files begin with."""
    names = os.listdir(paths.data_folder("migrations") / "versions")  # noqa: PTH208  a third of iterdir's cost
    return sorted(name.partition("_")[0] for name in names if name.endswith(".py"))
