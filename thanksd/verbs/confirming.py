"""The verb confirm: what was shown, and nothing else, goes into the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select, update

from thanksd import journal, outbox, queries, states, transports
from thanksd.errors import ConfigError, DataError, NotFoundError
from thanksd.models import Draft, Person, Thanks
from thanksd.moments import to_iso
from thanksd.verbs import handing, notes, preparing
from thanksd.verbs.context import Context

_NEVER_OVERRIDDEN = frozenset({"headers"})


def confirm(
    context: Context,
    letters: Sequence[dict[str, Any]],
    *,
    overrides: Sequence[str] = (),
    at: str = "",
    at_once: bool = False,
) -> dict[str, Any]:
    """Put exactly the letters that were shown into the outbox, all of them or none.

    `letters` is [{"thanks": number, "sha256": what was shown}]. Where letters are handed to the person's own mail
    program they are held from the start, and "handed" of the result is what opens them. Raises ConfigError without a
    transport, NotFoundError (not confirmed) where the draft, the address or the leaving time changed, DataError naming
    the blocks.
    """
    now = context.now
    _refuse_without_account(context)
    leaving = preparing.read_leaving(context, now, at, at_once=at_once)
    shown = _panels([_read(context, letter) for letter in letters])
    said = [_check(context, now, note, overrides, leaving) for note in shown]
    with context.store.write() as connection:
        for letter, (codes, intent) in zip(letters, said, strict=True):
            _confirm_one(connection, context, now, letter, leaving.at, codes, intent)
        numbers = [letter["thanks"] for letter in letters]
        handed = handing.hand_over(connection, context, now, numbers)
        found = queries.thanks_by_id(connection, numbers, now)
    kind = context.config.transport.kind
    return {"thanks": found, "zone": context.zone, "now": to_iso(now), "transport": kind, "handed": handed}


def _refuse_without_account(context: Context) -> None:
    transports.check(context.config.transport)
    if not context.config.me.email:
        raise ConfigError("Not sent: your own address is not set.", "thanksd config set me.email you@example.com")


def _read(context: Context, letter: dict[str, Any]) -> notes.Note:
    """Read the note that was shown. Raises NotFoundError where it is another one now."""
    number = letter["thanks"]
    with context.store.read() as connection:
        stored = notes.stored_draft(connection, number)
    if stored is None or not stored.prepared_sha256 or stored.prepared_sha256 != letter["sha256"]:
        raise _changed(number)
    return notes.read_note(context, number, stored.prepared_leaves)


def _panels(confirmed: Sequence[notes.Note]) -> list[notes.Note]:
    """Let each note know those to the others of its meeting that are confirmed together with it."""
    found: list[notes.Note] = []
    for note in confirmed:
        beside = tuple(
            one.body
            for one in found
            if one.item["meeting"]["id"] == note.item["meeting"]["id"] and one.item["id"] != note.item["id"]
        )
        found.append(note._replace(around=note.around._replace(panel=(*note.around.panel, *beside))))
    return found


def _check(
    context: Context, now: datetime, note: notes.Note, overrides: Sequence[str], leaving: preparing.Leaving
) -> tuple[list[str], str]:
    """Check that what was shown still is what would be built, and that nothing blocks it.

    Gives what was overridden, and the letter's intent.
    """
    number = note.item["id"]
    blocks = [one for one in note.findings if one["severity"] == "block"]
    open_blocks = [one for one in blocks if one["code"] not in overrides or one["code"] in _NEVER_OVERRIDDEN]
    if open_blocks:
        raise blocked(number, open_blocks)
    with context.store.read() as connection:
        stored = notes.stored_draft(connection, number)
    if stored is None or not preparing.is_current(context, note, stored, leaving.hold, leaving.stored_at, now):
        raise _changed(number)
    return [one["code"] for one in blocks], note.intent


def _changed(number: int) -> NotFoundError:
    return NotFoundError(
        f"The letter of thanks {number} is not the one that was shown any more. Nothing was sent.",
        f"Look at it again: thanksd review {number}",
    )


def blocked(number: int, blocks: Sequence[Any]) -> DataError:
    """Give the error that names what blocks a letter."""
    words = "; ".join(f"{one['code']}: {one['message']}" for one in blocks)
    codes = ", ".join(one["code"] for one in blocks)
    return DataError(
        f"Blocked: {codes}. Thanks {number} was not sent. {words}", f"Mend it: thanksd review {number}", code="blocked"
    )


def _confirm_one(
    connection: Connection,
    context: Context,
    now: datetime,
    letter: dict[str, Any],
    at: datetime,
    overridden: list[str],
    intent: str,
) -> None:
    number = letter["thanks"]
    stored = notes.stored_draft(connection, number)
    mine = and_(Thanks.id == number, queries.is_of(context.owner))
    query = select(Thanks.state, Person.email).join(Person, Thanks.person_id == Person.id).where(mine)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise _changed(number)
    same = stored is not None and stored.prepared_sha256 == letter["sha256"] and stored.prepared_to == row.email
    if not same or stored is None or row.state not in (states.OWED, states.SNOOZED):
        raise _changed(number)
    outbox.confirm(connection, now, stored, context.config.me.email, at, context.owner, intent)
    # What a person confirmed is theirs: taken back or refused, it is the draft again, never rendered anew. The letter
    # after that is another one, with a Message-ID of its own.
    connection.execute(update(Draft).where(Draft.thanks_id == number).values(edited=True, **notes.NOT_PREPARED))
    for code in overridden:
        journal.record(connection, now, number, "overridden", code=code)
