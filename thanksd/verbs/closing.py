"""The verbs that answer a nudge without a letter, and undo: snooze, waive, done, undo."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from thanksd import forgotten, journal, ledger, outbox, queries, recovery, states, timing
from thanksd.addresses import clean_text
from thanksd.errors import NotFoundError, UsageError
from thanksd.models import Person, Thanks
from thanksd.moments import from_iso, local, say_short
from thanksd.rows import AnyRow
from thanksd.verbs import introducing
from thanksd.verbs.again import next_popup
from thanksd.verbs.context import Context
from thanksd.verbs.sending import recover
from thanksd.when import parse_delay

REASON_LIMIT = 500


def snooze(context: Context, ref: str, delay: str = "") -> dict[str, Any]:
    """Move the moment: by DELAY, or 3 hours, or to 9:00 tomorrow where that falls into quiet hours."""
    now = context.now
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner)
        until = snooze_until(context, now, delay)
        ledger.snooze(connection, now, number, until)
        found = queries.thanks_by_id(connection, [number], now)
    late = until > from_iso(found[0]["due_by"])
    return {"thanks": found, "notes": ["Late by then."] if late else [], "zone": context.zone}


def snooze_until(context: Context, now: datetime, delay: str) -> datetime:
    """Give the moment (UTC) that a snooze leads to."""
    quiet = timing.parse_quiet(context.config.nudge.quiet_hours)
    return parse_delay(delay, now, context.zone) if delay else timing.snooze_default(now, context.zone, quiet)


def waive(context: Context, ref: str, reason: str = "") -> dict[str, Any]:
    """Decide not to thank, with a reason."""
    now = context.now
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=ref.isdigit())
        ledger.waive(connection, now, number, clean_text(reason, "--reason", REASON_LIMIT))
        return {"thanks": queries.thanks_by_id(connection, [number], now), "notes": [], "zone": context.zone}


def done(context: Context, ref: str, how: str = "") -> dict[str, Any]:
    """Note that they were thanked otherwise: in person, by phone, by card."""
    now = context.now
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=ref.isdigit())
        ledger.done(connection, now, number, clean_text(how, "--how", REASON_LIMIT))
        found = queries.thanks_by_id(connection, [number], now)
    notes = introducing.notes_of(context, introducing.follow_up(context))
    return {"thanks": found, "notes": notes, "zone": context.zone}


def undo(context: Context, ref: str = "") -> dict[str, Any]:
    """Take back a queued letter, a snooze, a waive, a done or a bounce; without REF the last of them.

    Gives {"thanks": [...], "notes": [what was taken back]}. Raises UsageError once a letter left.
    """
    now, owner = context.now, context.owner
    recover(context)
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, owner, closed_too=True) if ref else _last_changed(connection, owner)
        words = _take_back(connection, context, now, number)
        return {"thanks": queries.thanks_by_id(connection, [number], now), "notes": [words], "zone": context.zone}


def _last_changed(connection: Connection, owner: str) -> int:
    can = (
        (Thanks.undo_state.is_not(None)) | (Thanks.state.in_((states.CONFIRMED, states.THANKED))) | recovery.came_back()
    )
    query = select(Thanks.id).where(can, ~forgotten.is_nobodys, queries.is_of(owner))
    number = connection.scalar(query.order_by(Thanks.changed_at.desc(), Thanks.id.desc()).limit(1))
    if number is None:
        raise NotFoundError("There is nothing to take back.", "See what happened: thanksd log")
    return int(number)


def _take_back(connection: Connection, context: Context, now: datetime, number: int) -> str:
    row = ledger.get(connection, number)
    name = connection.scalar(select(Person.name).where(Person.id == row.person_id)) or ""
    first = name.split()[0]
    if row.state == states.CONFIRMED or (row.state == states.THANKED and row.undo_state is None):
        _take_letter_back(connection, context, now, number, first)
        return f"Taken back: {first}'s letter. Your text is kept. {_owed_words(row.nudge_at, now, context.zone)}"
    if row.undo_state is None and _is_no_bounce(connection, now, row):
        return f"Taken back: {first}'s letter did not come back."
    before = row.undo_nudge_at or row.nudge_at
    was = ledger.take_back(connection, now, number, next_popup(context, now, before))
    what = {states.SNOOZED: "the snooze", states.WAIVED: "not needed", states.THANKED: "thanked otherwise"}[was]
    return f"Taken back: {what} for {name}. {_owed_words(before, now, context.zone)}"


def _is_no_bounce(connection: Connection, now: datetime, row: AnyRow) -> bool:
    letter = outbox.live_letter(connection, row.id)
    # The letter of whoever owed it before is not the present owner's to let have arrived.
    return letter is not None and letter.writer == row.owner and recovery.unbounce(connection, now, letter)


def _take_letter_back(connection: Connection, context: Context, now: datetime, number: int, first: str) -> None:
    letter = outbox.live_letter(connection, number)
    if letter is None or not outbox.cancel(connection, now, letter.id):
        raise _too_late(letter, first, context.zone, number)
    row = ledger.get(connection, number)
    ledger.due_again(connection, now, number, next_popup(context, now, row.nudge_at))
    journal.record(connection, now, number, "taken back", was="letter")


def _too_late(letter: Any, first: str, zone: str, number: int) -> UsageError:  # noqa: ANN401  a row or None
    if letter is not None and letter.sent_at is not None:
        clock = local(letter.sent_at, zone).strftime("%H:%M:%S")
        return UsageError(f"Too late: {first}'s letter left at {clock}.", "A letter that left cannot be recalled.")
    if letter is not None and letter.state == states.HELD:
        return UsageError(
            f"{first}'s letter may have left already.", f"Say what became of it: thanksd resolve {number}"
        )
    return UsageError(f"Too late: {first}'s letter is leaving right now.", f"See how it went: thanksd log {number}")


def _owed_words(nudge_at: datetime, now: datetime, zone: str) -> str:
    return "Due again." if nudge_at <= now else f"Nudge {say_short(nudge_at, now, zone)}."
