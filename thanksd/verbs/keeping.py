"""Keeping a copy of the ledger, and putting one back. The ledger may be damaged or gone, so a path is what is given.

A copy that is put back holds every letter that was to leave when it was made; they may have left since.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from thanksd import forgotten, guard, journal, mounts, paths, queries, states
from thanksd.database import (
    SqliteStore,
    bare,
    copy_into,
    explained,
    lock_file,
    open_file,
    revision_of,
    sqlite_file,
)
from thanksd.errors import DataError, NotFoundError, PermissionDeniedError, ThanksdError, TryLaterError
from thanksd.instance import InstanceLock
from thanksd.models import Letter, Person, Thanks
from thanksd.store import known_revisions
from thanksd.verbs import forgetting
from thanksd.verbs.moving import Thanked, alone, hold_all, learn


def backup(url: str, target: Path) -> dict[str, Any]:
    """Keep a copy of the ledger at `target`: consistent whoever writes meanwhile, looked through, never over a file.

    Gives {"path", "bytes", "thanks": how many}. Raises NotFoundError (no ledger yet, or the file is there already),
    DataError (damaged), PermissionDeniedError, TryLaterError.
    """
    if not sqlite_file(url).exists():
        raise NotFoundError(f"There is no ledger yet: {sqlite_file(url)}.", "Begin one: thanksd add")
    store = open_file(url)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    copy_into(store.file, part)
    try:
        count = _look_through(part)
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)
    return {"path": str(target), "bytes": target.stat().st_size, "thanks": count}


def put_in_place(part: Path, target: Path) -> None:
    """Give a finished file its name, over no other file. Raises NotFoundError where there is one."""
    try:
        try:
            os.link(part, target)
        except PermissionError:
            # A stick's file system may know no links.
            if target.exists():
                raise FileExistsError from None
            part.rename(target)
    except FileExistsError as error:
        raise NotFoundError(
            f"There is such a file already: {target}. It was left as it is.", "Name another."
        ) from error
    except OSError as error:
        words = f"The file can't be made: {target}: {error.strerror}."
        raise PermissionDeniedError(words, "Name another place.") from error
    _sync(target.parent)


def restore(url: str, source: Path, now: datetime) -> dict[str, Any]:
    """Put a copy in the ledger's place, which is kept beside it; killed in between, there is one whole ledger.

    Gives {"path", "kept": the former ledger or None, "thanks": those of the letters held, "learned": the thanks that
    the former ledger knows to be thanked since, "forgotten": how many people it was told to forget since, and who are
    forgotten again, "left_out": how many hashes of their addresses can't be taken over}. Raises NotFoundError or
    DataError for what is no copy of a ledger, ConfigError for one of a newer program, TryLaterError where a daemon has
    the ledger.
    """
    place = sqlite_file(url)
    mounts.refuse_network(place)
    _check_source(source, place)
    paths.private_folder(place.parent)
    with alone(InstanceLock(lock_file(url)), "restore"):
        making = place.with_name(f"{place.name}.restoring")
        _remove(making)
        copy_into(source, making)
        try:
            _bring_up_to_date(making)
            _look_through(making)
            return _swap(place, making, now)
        finally:
            _remove(making)


def _check_source(source: Path, place: Path) -> None:
    if not source.exists():
        raise NotFoundError(
            f"There is no such file: {source}. Nothing was changed.", f"See: ls {paths.backups_folder()}"
        )
    if place.exists() and source.samefile(place):
        raise DataError(f"That is the ledger itself: {source}. Nothing was changed.", "Name a copy of it.")
    revision_of(source.resolve(), known_revisions())


def _bring_up_to_date(making: Path) -> None:
    known = known_revisions()
    if revision_of(making, known) != known[-1]:
        from thanksd import upgrade  # noqa: PLC0415  Alembic is needed for an old copy only

        upgrade.migrate(paths.store_url(str(making)))


def _look_through(copy: Path) -> int:
    """Look through a whole copy, and give how many thanks it holds. Raises DataError for a damaged or a foreign one."""
    with explained(), closing(bare(copy)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        if found != ["ok"] or connection.execute("PRAGMA foreign_key_check").fetchone():
            raise DataError("That copy of the ledger is damaged. Nothing was changed.", "Take another one.")
        # A ledger of ours has none; one that somebody else made could have them do anything.
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone():
            raise DataError("That is no ledger as thanksd makes them. Nothing was changed.", "Take another one.")
        return int(connection.execute("SELECT count(*) FROM thanks").fetchone()[0])


def _swap(place: Path, making: Path, now: datetime) -> dict[str, Any]:
    """Make the copy safe to use, and move it to its place; every other copy is an older one from then on."""
    store = SqliteStore(paths.store_url(str(making)))
    with store.turn() as turn:
        told, gone = _thanked(place), _gone(place)
        with store.write(not_ours_too=True) as connection:
            left_out = forgotten.take_over(connection, gone[0]) if gone else 0
            again = forgetting.forget_again(connection, now, *gone) if gone else 0
            learned = learn(connection, now, told, "the former ledger")
            held = hold_all(connection, now)
            turn.take_over(connection)
            guard.put_stamp(connection, store.here, now)
            journal.record(connection, now, None, "restored")
            facts = {
                "thanks": queries.thanks_by_id(connection, held, now),
                "learned": queries.thanks_by_id(connection, learned, now),
                "forgotten": again,
                "left_out": left_out,
            }
        if again:
            forgetting.rewrite(store)
        kept = _move(making, place)
        turn.settle()
    return {"path": str(place), "kept": kept and str(kept), **facts}


def _thanked(place: Path) -> Mapping[str, Thanked]:
    """Give what the ledger in place knows to be thanked, by uid; nothing where it is gone or can't be read."""
    try:
        if revision_of(place, known_revisions()) is None:
            return {}
        store = SqliteStore(paths.store_url(str(place)))
        with store.read() as connection:
            thanked = connection.execute(select(Thanks.uid, Thanks.how).where(Thanks.state == states.THANKED)).all()
            query = select(Thanks.uid, Letter.message_id, Letter.sent_at).join(Letter, Letter.thanks_id == Thanks.id)
            sent = connection.execute(query.where(Letter.state == states.SENT)).all()
    except ThanksdError:
        # Most likely the very reason to put a copy back. Letters that were to leave are held in any case.
        return {}
    by_uid: dict[str, dict[str, datetime | None]] = {}
    for uid, message_id, sent_at in sent:
        by_uid.setdefault(uid, {})[message_id] = sent_at
    return {uid: Thanked(how or "otherwise", by_uid.get(uid, {})) for uid, how in thanked}


def _gone(place: Path) -> tuple[forgotten.Hashes, set[str]] | None:
    """Give whom the ledger in place forgot, and the addresses of everybody it knows; None where it can't be read."""
    try:
        if revision_of(place, known_revisions()) != known_revisions()[-1]:
            return None
        with SqliteStore(paths.store_url(str(place))).read() as connection:
            return forgotten.read(connection), {key for key in connection.scalars(select(Person.email_key)) if key}
    except ThanksdError:
        # As above: the copy is taken as it is.
        return None


def _move(making: Path, place: Path) -> Path | None:
    """Move a finished ledger to its place, keeping the one there under another name; at each moment there is one.

    Nobody writes into the old one meanwhile, and who waits to do so finds it put aside.
    """
    kept = place.with_name(f"{place.name}.replaced-{time.time_ns()}") if place.exists() else None
    try:
        with _nobody_writes(place) as readable:
            if kept is not None:
                os.link(place, kept)
            journal_file = place.with_name(f"{place.name}-journal")
            if not readable and kept is not None and journal_file.exists():
                # SQLite would take it for the new ledger's (sqlite.org/howtocorrupt.html, section 1.4).
                journal_file.rename(kept.with_name(f"{kept.name}-journal"))
            making.rename(place)
    except OSError as error:
        words = f"The ledger can't be replaced: {place}: {error.strerror}. Nothing was changed."
        raise PermissionDeniedError(words, "Check who owns that folder.") from error
    _sync(place.parent)
    return kept


@contextmanager
def _nobody_writes(place: Path) -> Iterator[bool]:
    """Keep everybody from writing into a ledger, having undone what a killed program left half done.

    Gives whether it is a readable one; a damaged one nobody writes into. Raises TryLaterError where somebody does now.
    """
    with closing(bare(place) if place.exists() else sqlite3.connect(":memory:")) as connection:
        readable = True
        try:
            with explained():
                connection.execute("BEGIN EXCLUSIVE")
        except TryLaterError:
            raise
        except ThanksdError:
            readable = False
        yield readable


def _remove(making: Path) -> None:
    """Remove what a killed attempt left."""
    for name in (making.name, f"{making.name}-journal"):
        making.with_name(name).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems can't sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)
