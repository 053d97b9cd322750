"""The verb prepare: the exact bytes of a letter, made to be shown and then confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from thanksd import letters, timing
from thanksd.errors import UsageError
from thanksd.facts import Finding
from thanksd.moments import local, to_iso
from thanksd.rows import AnyRow
from thanksd.transports import handoff
from thanksd.verbs import notes, occasions
from thanksd.verbs.context import Context
from thanksd.when import is_duration, parse_delay


class Leaving(NamedTuple):
    """How a letter leaves: `hold` seconds after it was confirmed, or (None) at the moment `at` in UTC."""

    hold: int | None
    at: datetime

    @property
    def stored_at(self) -> datetime | None:
        """The moment that was named outright, if one was."""
        return self.at if self.hold is None else None


def read_leaving(context: Context, now: datetime, at: str, *, at_once: bool) -> Leaving:
    """Give how a letter leaves: at WHEN, at once, or after the hold of [send] undo.

    A letter for the person's own mail program opens at once: when it leaves is decided there. Raises UsageError for a
    moment that has passed, and for any moment where nothing is sent from here.
    """
    if handoff.is_handed_off(context.config.transport):
        if at:
            where = handoff.place(context.config.transport)
            raise UsageError(
                f"--at can't be: letters open in {where}. Nothing was sent.", "Leave out --at; choose the time there."
            )
        return Leaving(0, now)
    if at:
        # A span would name another moment each time it is read: once to show the letter, and again to confirm it.
        if is_duration(at):
            raise UsageError(f"--at {at} names no moment. Nothing was sent.", "Name one to come: --at 'tomorrow 9:00'")
        moment = parse_delay(at, now, context.zone)
        return Leaving(None, moment)
    hold = timedelta() if at_once else timing.undo_hold(context.config.send.undo)
    return Leaving(int(hold.total_seconds()), now + hold)


def prepare(
    context: Context, ref: str, *, at: str = "", at_once: bool = False, template: str = "", look: bool = False
) -> dict[str, Any]:
    """Build the exact bytes of a letter and store them, to be shown and then confirmed by their sha256.

    Nothing changed since the last time gives the same bytes. Gives {"prepared": {...}, "thanks": [...]}; its
    `sha256` is null where no letter can be built yet: no address, no sender, no transport, or a gap in the facts. With
    `look` nothing is built and stored.
    """
    now = context.now
    number = notes.writable(context, ref)
    if template:
        notes.start_anew(context, now, number, template)
    leaving = read_leaving(context, now, at, at_once=at_once)
    note = notes.read_note(context, number, leaving.at)
    frozen = _freeze(context, now, note, leaving) if not look and _can_be_frozen(context, note) else None
    plain = notes.plain_draft(note)
    shown = {
        **plain,
        "from": _from(context),
        "by": occasions.account(context.config.transport),
        "transport": context.config.transport.kind,
        "place": _place(context),
        "paste": _must_be_pasted(context, note),
        "hold": leaving.hold,
        "leaves": to_iso(leaving.at),
        "sha256": frozen.sha256 if frozen else None,
        "missing": missing(context, note, plain["findings"]),
    }
    return {"prepared": shown, "thanks": [note.item], "zone": context.zone, "now": to_iso(now)}


def _place(context: Context) -> str:
    """Say where a letter that is handed over opens; "" where letters are sent from here."""
    transport = context.config.transport
    return handoff.place(transport) if handoff.is_handed_off(transport) else ""


def _must_be_pasted(context: Context, note: notes.Note) -> bool:
    """Say whether the letter is too long for the link that opens it."""
    transport, to = context.config.transport, note.facts["person"]["email"]
    return handoff.is_too_long(transport, context.config.me.email, to, note.subject, note.body)


def _can_be_frozen(context: Context, note: notes.Note) -> bool:
    hostile = any(one["code"] == "headers" for one in note.findings)
    has_address = note.facts["person"]["email"] and not note.came_back
    return bool(not hostile and has_address and context.config.me.email)


def missing(context: Context, note: notes.Note, findings: Sequence[Finding]) -> str:
    """Say what a letter still needs: address, sender, transport, detail, or "" for nothing.

    An address that letters come back from is none.
    """
    if not note.facts["person"]["email"] or note.came_back:
        return "address"
    if not context.config.transport.kind:
        return "transport"
    if not context.config.me.email:
        return "sender"
    return "detail" if any(one["code"] == "gap" for one in findings) and not note.edited else ""


def _from(context: Context) -> str:
    me = context.config.me
    return f"{me.name} <{me.email}>" if me.name else me.email


def _freeze(context: Context, now: datetime, note: notes.Note, leaving: Leaving) -> letters.Frozen:
    with context.store.read() as connection:
        stored = notes.stored_draft(connection, note.item["id"])
    if stored is not None and is_current(context, note, stored, leaving.hold, leaving.stored_at, now):
        return letters.Frozen(stored.prepared_raw, stored.prepared_sha256, stored.prepared_message_id, stored.subject)
    frozen = freeze_note(context, note, leaving.at, uuid.uuid4().hex)
    notes.keep(
        context,
        note,
        prepared_raw=frozen.raw,
        prepared_sha256=frozen.sha256,
        prepared_message_id=frozen.message_id,
        prepared_to=note.facts["person"]["email"],
        prepared_hold=leaving.hold,
        prepared_leaves=leaving.at,
        prepared_at=now,
    )
    return frozen


_FRESH = timedelta(hours=1)  # an older one's Date and "leaves at" would not be true any more


def is_current(
    context: Context, note: notes.Note, stored: AnyRow, hold: int | None, at: datetime | None, now: datetime
) -> bool:
    """Say whether the prepared bytes are what would be built now, leaving in the same way."""
    if stored.prepared_raw is None or now - stored.prepared_at > _FRESH or stored.prepared_hold != hold:
        return False
    if note.came_back:
        return False
    if at is not None and stored.prepared_leaves != at:
        return False
    unique = stored.prepared_message_id[1:].partition("@")[0]
    return freeze_note(context, note, stored.prepared_leaves, unique).raw == bytes(stored.prepared_raw)


def freeze_note(context: Context, note: notes.Note, leaves: datetime, unique: str) -> letters.Frozen:
    """Build the bytes of a note. Date is the moment the letter is due to leave."""
    me = context.config.me
    return letters.freeze(
        sender_name=me.name,
        sender_email=me.email,
        to_name=note.facts["person"]["name"],
        to_email=note.facts["person"]["email"],
        subject=note.subject,
        body=note.body,
        date=local(leaves, context.zone),
        thanks_uid=note.uid,
        unique=unique,
    )
