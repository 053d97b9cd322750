"""Who may write into a ledger: the machine and installation that used it last, and only into the copy they left.

Both are looked at within the very transaction that writes, so that a file put in the ledger's place a moment ago is
seen too. Reading is free to everybody.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, update

from thanksd.errors import ConfigError, DataError, TryLaterError
from thanksd.models import Ledger
from thanksd.moments import say_span
from thanksd.rows import AnyRow
from thanksd.stamp import Here, Witness, count_of, next_ticket

# `used_at` is for people; writing it anew with each change would tell them no more.
_USED_EVERY = timedelta(hours=1)

_COLUMNS = (Ledger.uid, Ledger.machine, Ledger.host, Ledger.install, Ledger.used_at, Ledger.serial)
# Every write asks for it: building the statement costs more than asking.
_ROW = select(*_COLUMNS)


def row_of(connection: Connection, *, to_change: bool = False) -> AnyRow:
    """Give the ledger's own row: uid, machine, host, install, used_at, serial. Raises DataError where there is none.

    With `to_change` nobody else reads it so until this transaction ends: two that claim letters at once in a shared
    ledger would else count on from the same number.
    """
    row = connection.execute(_ROW.with_for_update() if to_change else _ROW).one_or_none()
    if row is None:
        raise DataError("The ledger is damaged: it has no name. Nothing was changed.", "Restore a copy of it.")
    return row


def admit(connection: Connection, here: Here, *, is_shared: bool = False) -> AnyRow:
    """Let this machine and installation change the ledger, and give its row; a ledger that nobody used is theirs.

    In a ledger that is shared others claim letters too, so `here` is its server's place, and numbers only count on.
    Raises ConfigError where another one used it last, or where it is not the copy that this one left.
    """
    row = row_of(connection)
    now = datetime.now(UTC)
    if is_elsewhere(row, here):
        raise ConfigError(elsewhere_words(row, here, now), "If that machine is retired: thanksd adopt")
    if is_older(row, is_shared=is_shared):
        raise ConfigError(
            "This ledger is an older copy: letters left since then. Nothing was changed.",
            "If there is no newer one: thanksd adopt",
        )
    return row


def use(connection: Connection, here: Here, *, is_shared: bool = False) -> None:
    """As `admit`, and note in the same transaction that it is used here, now."""
    row, now = admit(connection, here, is_shared=is_shared), datetime.now(UTC)
    if row.used_at is None or abs(now - row.used_at) > _USED_EVERY:
        put_stamp(connection, here, now)


def put_stamp(connection: Connection, here: Here, now: datetime) -> None:
    """Say that this machine and installation uses the ledger."""
    connection.execute(update(Ledger).values(**here._asdict(), used_at=now))


def is_elsewhere(row: AnyRow, here: Here) -> bool:
    """Say whether another machine or installation used the ledger last."""
    return row.install is not None and (row.machine, row.install) != (here.machine, here.install)


def is_older(row: AnyRow, *, is_shared: bool = False) -> bool:
    """Say whether letters were claimed here from another copy of this ledger since."""
    known = Witness(row.uid).tickets()
    if not is_shared:
        return row.serial not in known
    # Others count on; a number as high as ours that is not ours was counted in another copy. Where our last claim was
    # cut off, they may have counted on from the one before.
    return row.serial not in known and all(count_of(row.serial) <= count_of(ticket) for ticket in known)


def elsewhere_words(row: AnyRow, here: Here, now: datetime) -> str:
    """Say who used the ledger last, and when."""
    where = f"on {row.host}" if row.machine != here.machine else "by another installation on this machine"
    when = f", {say_span(now - row.used_at)} ago" if row.used_at else ""
    return f"This ledger was last used {where}{when}."


class Turn:
    """A worker's turn at claiming letters: until it ends nobody else here claims any, from no copy of this ledger.

    Before the claim is committed its ticket is known outside the ledger beside the last one; before a connection is
    opened, alone. Killed in between, the ledger is admitted on whichever side of the commit it is, and every other
    copy only where no letter left yet.
    """

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger
        self._ticket = 0
        self.witness = Witness(ledger)

    def take(self, connection: Connection) -> None:
        """Give a claim its ticket, in its own transaction; the ledger was admitted in the same one."""
        row = row_of(connection, to_change=True)
        self._advance(connection, row, (row.serial,))

    def take_over(self, connection: Connection) -> None:
        """Give a ticket to a ledger that was not admitted: it and no other copy will be, once this is settled."""
        self._advance(connection, row_of(connection, to_change=True), self.witness.tickets())

    def _advance(self, connection: Connection, row: AnyRow, before: tuple[int, ...]) -> None:
        if row.uid != self._ledger:
            raise TryLaterError("Another ledger was put in this one's place. Nothing was sent.", "Try again.")
        self._ticket = next_ticket(max(row.serial, *self.witness.tickets(), 0))
        self.witness.put(*before, self._ticket)
        connection.execute(update(Ledger).values(serial=self._ticket))

    def settle(self) -> None:
        """Admit no copy any more but the one that holds this claim. The claim was committed."""
        if self._ticket:
            self.witness.put(self._ticket)
