"""Moving a ledger into a store of another kind: from a file of one's own to a server that a team shares, or back.

After it exactly one of the two ledgers may send, and letters that wait must leave from no other. No commit spans two
stores, so it goes in steps, each of them safe to be killed after:

1. A writer's turn is held in the old store, and daemons are kept from both, up to the end of step 4. The ledger gets
   its ticket for the other store, which is known beside the one it has (`guard.Turn`).
2. All rows are written into the new store and committed. Its stamp says that the ledger is only coming: nobody may
   write there. The old one is in use as before; run again, the rows are written anew.
3. They are read back, and must be the same: counts, digests, numbers.
4. The old store's stamp says where the ledger went, with the same ticket, and is committed with what a move changes
   (dead workers' letters, popups). From here on neither may send; run again, it is known by the ticket which of all
   stores the ledger went to, and no other can be begun.
5. No ticket is known any more but the new one: what was copied from the old file before is an older copy.
6. The new store's stamp says that the ledger is in use there.

So letters that are queued stay so: the store they were queued in is retired before the other one is used. A letter
that somebody is sending now can't be known to leave or not: the move is refused until it is settled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from thanksd import guard, journal, paths, recovery, states, transfer
from thanksd.database import open_store, sqlite_file
from thanksd.errors import ConfigError, DataError, NotFoundError, TryLaterError, UsageError
from thanksd.instance import is_surely_dead
from thanksd.models import Letter, Member, Nudge, Thanks
from thanksd.rows import AnyRow
from thanksd.store import Store
from thanksd.transfer import Renames, Told
from thanksd.verbs.moving import alone

_ROLE = "move-store"


class _Ends(NamedTuple):
    """The two stores of a move; `owner` is the mover's address, folded, or empty."""

    old: Store
    new: Store
    owner: str


def move_store(source: str, target: str, now: datetime, owner: str = "") -> dict[str, Any]:
    """Move a ledger, by the URLs of its two stores, to where it is used from then on; the old one is kept, retired.

    What is `owner`'s in a ledger of one's own, which needs no name for that, has this address (folded) in a shared one;
    back in a file all names stay, but what holds for all thanks of the mover (a pause, the weekly question) is the
    ledger's. Gives {"from", "to": as people call the stores, "already": whether that was done before, "tables": [{
    "name", "rows", "digest"}], "others": letters that wait which are others' than the mover's, "in_use": how the new
    store stands, as said}. Run again, it finishes what was cut short, and changes nothing where all is done.

    Raises UsageError for two files or one store, NotFoundError where there is no ledger, ConfigError where no owner is
    known, where the ledger is not ours to change or was moved elsewhere, DataError for another ledger at the target and
    for what it can't hold, TryLaterError where a daemon has either, or a letter is being sent.
    """
    _refuse(source, target, owner)
    ends = _Ends(_open_existing(source), open_store(target), owner)
    if ends.old.here == ends.new.here and ends.old.is_shared:
        raise UsageError("Both names are of one and the same ledger. Nothing was changed.", "Name another one.")
    with alone(ends.old.lock, _ROLE), alone(ends.new.lock, _ROLE):
        return _move(ends, now)


def _refuse(source: str, target: str, owner: str) -> None:
    if not paths.is_server(source) and not paths.is_server(target):
        raise UsageError(
            "Both are files, and one file needs no move: it is copied as it is. Nothing was changed.",
            f"thanksd backup FILE, and there: thanksd restore FILE --store {sqlite_file(target)}",
        )
    if paths.is_server(target) and not paths.is_server(source) and not owner:
        raise ConfigError(
            "Whose thanks these are must be known in a shared ledger, and your address is not set. Nothing was moved.",
            "thanksd config set me.email you@example.com",
        )


def _open_existing(url: str) -> Store:
    """Open a store that is there: a name that was mistyped must not make one."""
    if paths.is_server(url):
        from thanksd import postgres  # noqa: PLC0415  who has a file may lack the driver

        is_there = postgres.revision_of(postgres.PostgresStore(url)) is not None
    else:
        is_there = sqlite_file(url).exists()
    if not is_there:
        raise NotFoundError(f"There is no ledger: {called(url)}. Nothing was moved.", "Name the one you have.")
    return open_store(url)


def called(url: str) -> str:
    """Give a store's name as people call it, and as --store and THANKSD_STORE take it."""
    return url if paths.is_server(url) else str(sqlite_file(url))


def _move(ends: _Ends, now: datetime) -> dict[str, Any]:
    with ends.old.turn() as turn:
        with ends.old.whole() as old:
            row = guard.row_of(old)
            with ends.new.read() as new:
                there = guard.row_of(new)
            if guard.is_gone(row) and not _is_awaited(row, there):
                return _already(ends, old, row, there)
            renames = _renames(ends, old)
            ticket = _go_on(ends, turn, row) if guard.is_gone(row) else _begin(ends, turn, old, now)
            found = _bring(ends, old, renames, ticket, now)
            guard.retire(old, called(ends.new.url), os.uname().nodename, ticket, now)
            others = _count_others(old, ends.owner)
        turn.settle()
        _begin_use(ends.new, ticket, now)
    return _report(ends, found) | {"already": False, "others": others}


def _begin(ends: _Ends, turn: guard.Turn, old: Connection, now: datetime) -> int:
    """Make a ledger that is in use ready to go, and give its ticket for the other store."""
    guard.admit(old, ends.old.here, is_shared=ends.old.is_shared)
    with ends.new.read() as new:
        _check_free(ends, old, new)
    _make_ready(old, now, called(ends.new.url))
    return turn.hand_over(old)


def _go_on(ends: _Ends, turn: guard.Turn, row: AnyRow) -> int:
    """Take up a move that was cut short when the ledger was gone already, and give its ticket."""
    guard.refuse_older(row, is_shared=ends.old.is_shared)
    turn.go_on(int(row.serial))
    return int(row.serial)


def _is_awaited(row: AnyRow, there: AnyRow) -> bool:
    """Say whether a ledger that is gone is the very one that is coming there."""
    return guard.is_coming(there) and (there.uid, there.serial) == (row.uid, row.serial)


def _already(ends: _Ends, old: Connection, row: AnyRow, there: AnyRow) -> dict[str, Any]:
    """Tell of a move that was done before. Raises ConfigError where the ledger went elsewhere."""
    if there.uid != row.uid or guard.is_elsewhere(there, ends.new.here):
        raise ConfigError(
            f"{guard.elsewhere_words(row, ends.old.here, row.used_at)} Nothing was changed.",
            f"Move that one: thanksd move-store {row.host} {called(ends.new.url)}",
        )
    found = transfer.told(old, _renames(ends, old))
    with ends.new.read() as new:
        changed = transfer.differing(found, transfer.told(new, {}))
    return _report(ends, found) | {"already": True, "others": 0, "changed_since": changed}


def _check_free(ends: _Ends, old: Connection, new: Connection) -> None:
    """Raise DataError where the target has a ledger that would be lost: another one, or a copy of this one in use."""
    row, there = guard.row_of(old), guard.row_of(new)
    is_left = guard.is_gone(there) or guard.is_coming(there)
    if is_left if there.uid == row.uid else transfer.is_unused(new) and not is_left:
        return
    which = "A copy of this ledger is in use there" if there.uid == row.uid else "There is another ledger there"
    raise DataError(f"{which}: {called(ends.new.url)}. Nothing was changed.", "Name an empty store, or a new file.")


def _make_ready(connection: Connection, now: datetime, target: str) -> None:
    """Settle what belongs to this store's programs: letters in the hands of dead ones, and popups that stand.

    Raises TryLaterError where a letter is in the hands of one that may live.
    """
    recovery.recover(connection, now, is_surely_dead)
    if connection.scalar(select(Letter.id).where(Letter.settled_at.is_(None), Letter.state == states.SENDING).limit(1)):
        raise TryLaterError("A letter is being sent right now. Nothing was moved.", "See when it left: thanksd outbox")
    stands = (Nudge.popup_id.is_not(None), Nudge.closed_at.is_(None), Nudge.withdrawn_at.is_(None))
    waiting = select(Nudge.thanks_id).where(*stands, Nudge.answered_at.is_(None), Nudge.thanks_id.is_not(None))
    again = update(Thanks).where(Thanks.id.in_(waiting), Thanks.popup_at.is_not(None))
    connection.execute(again.values(popup_at=now))
    connection.execute(update(Nudge).where(*stands).values(withdrawn_at=now))
    journal.record(connection, now, None, "moved", to=target)


def _renames(ends: _Ends, connection: Connection) -> Renames:
    """Give how owners are called in the new store."""
    if ends.new.is_shared and not ends.old.is_shared:
        return dict.fromkeys(("thanks.owner", "letter.writer", "member.owner"), ("", ends.owner))
    if ends.old.is_shared and not ends.new.is_shared:
        members = list(connection.scalars(select(Member.owner)))
        mover = ends.owner if ends.owner in members or len(members) != 1 else members[0]
        return {"member.owner": (mover, "")} if mover else {}
    return {}


def _bring(ends: _Ends, old: Connection, renames: Renames, ticket: int, now: datetime) -> Mapping[str, Told]:
    """Write all rows into the new store, and read them back. Raises DataError where they are not the same."""
    arrival = guard.arrival(called(ends.old.url), called(ends.new.url), ticket, now)
    with ends.new.whole() as new:
        # Nobody writes there from here on; before, somebody may have begun to.
        _check_free(ends, old, new)
        found = transfer.copy(old, new, renames, arrival)
    with ends.new.read() as new:
        wrong = transfer.differing(found, transfer.told(new, {}))
    if wrong:
        raise DataError(
            f"What was read back is not what was written: {', '.join(wrong)}. The old ledger is in use as before.",
            "Try again; if it is so again, tell us.",
        )
    return found


def _count_others(connection: Connection, owner: str) -> int:
    waiting = select(Letter.writer).where(
        Letter.settled_at.is_(None), Letter.state.in_((states.QUEUED, states.DEFERRED))
    )
    return sum(writer not in ("", owner) for writer in connection.scalars(waiting)) if owner else 0


def _begin_use(store: Store, ticket: int, now: datetime) -> None:
    """Let the ledger be used in its new store. Raises ConfigError where somebody adopted it there meanwhile."""
    here = store.here
    with store.whole() as connection:
        row = guard.row_of(connection)
        if not guard.is_coming(row) or row.serial != ticket:
            guard.admit(connection, here, is_shared=store.is_shared)
            return
        guard.put_stamp(connection, here, now)


def _report(ends: _Ends, found: Mapping[str, Told]) -> dict[str, Any]:
    rows = [{"name": name, "rows": one.rows, "digest": one.digest} for name, one in found.items()]
    return {"from": called(ends.old.url), "to": called(ends.new.url), "tables": rows}
