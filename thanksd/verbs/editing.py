"""The verb edit: what was said about a thanks, said better. What is given takes the place of what was there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, update

from thanksd import journal, ledger, names, queries, states, timing
from thanksd.addresses import check_address, fold
from thanksd.errors import UsageError
from thanksd.models import Letter, Meeting, Person, Thanks
from thanksd.rows import AnyRow
from thanksd.verbs.adding import Given, read_facts, read_when
from thanksd.verbs.again import next_popup
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import first_moments, follow, known
from thanksd.verbs.introducing import owe_introducer, too_words
from thanksd.verbs.who import and_beware, meet, parse_who


def edit(
    context: Context,
    ref: str,
    *,
    name: str = "",
    email: str = "",
    kind: str = "",
    when: str = "",
    place: str = "",
    about: str = "",
    details: Sequence[str] = (),
    promises: Sequence[str] = (),
    others: Sequence[str] = (),
    via: str = "",
    after: str = "",
    lang: str = "",
    tz: str = "",
    seniority: str = "",
    template: str = "",
    owner: str = "",
) -> dict[str, Any]:
    """Change the facts of an open thanks, its person and its meeting, in one transaction.

    `others` adds people to the meeting; `owner` is who owes it from now on in a shared ledger: an address, or "me".
    Gives {"thanks": [...], "notes": [...]}. Raises UsageError for a thanks that is closed, or whose letter is
    confirmed: that letter is of the facts as they were shown.
    """
    now = context.now
    given = read_facts(context, now, kind=kind, tz=tz, lang=lang, seniority=seniority, place=place, about=about,
                       details=details, promises=promises, template=template)  # fmt: skip
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner, of_others_too=bool(owner))
        row = ledger.get(connection, number)
        if email:
            _refuse_sent(row)
            change_address(connection, row.person_id, check_address(email))
        _refuse_confirmed(connection, row)
        person = {"name": parse_who(name).name if name else "",
                  "lang": given.lang, "tz": given.tz, "seniority": given.seniority}  # fmt: skip
        before = known(connection, row.person_id)
        ledger.change_person(connection, row.person_id, **{key: value for key, value in person.items() if value})
        follow(connection, context, now, row.person_id, before)
        _change_meeting(connection, context, now, row, given, when, after)
        notes = _change_thanks(connection, context, now, row, given, via)
        added = [one for other in others if (one := _join(connection, now, row, other)) is not None]
        if owner:
            _pass_on(connection, context, now, number, owner)
        journal.record(connection, now, number, "edited")
        found = queries.thanks_by_id(connection, [number, *added], now)
        beware = and_beware(connection, "", found[0]["person"]["email"]) if email else ""
    return {"thanks": found, "notes": [*([beware] if beware else []), *notes], "zone": context.zone}


def change_address(connection: Connection, person: int, email: str) -> None:
    """Give a person another address (a checked one), or the same again; what was known against it is forgotten.

    Raises UsageError while a letter to the old one may still leave or is held: it would go where nobody expects it.
    """
    query = (
        select(Letter.thanks_id, Letter.to, Letter.state, Person.name)
        .join_from(Letter, Thanks, Letter.thanks_id == Thanks.id)
        .join(Person, Thanks.person_id == Person.id)
        .where(Letter.settled_at.is_(None), Thanks.person_id == person)
    )
    letter = connection.execute(query.order_by(Letter.id).limit(1)).one_or_none()
    if letter is not None:
        held = f"Say what became of it first: thanksd resolve {letter.thanks_id}"
        raise UsageError(
            f"{names.first(letter.name)}'s letter is confirmed to {letter.to}. Nothing was changed.",
            held if letter.state == states.HELD else f"Take it back first: thanksd undo {letter.thanks_id}",
        )
    ledger.change_person(connection, person, email=email)
    ledger.clear_address(connection, email)


def _pass_on(connection: Connection, context: Context, now: datetime, number: int, owner: str) -> None:
    if not context.store.is_shared:
        raise UsageError("This ledger is yours alone. Nothing was changed.", "See: thanksd help team")
    to = context.owner if owner == "me" else fold(check_address(owner))
    popup_at = next_popup(context, now, ledger.get(connection, number).nudge_at)
    ledger.pass_on(connection, now, number, to, popup_at)


def _refuse_sent(row: AnyRow) -> None:
    if row.state == states.THANKED and row.how == "letter":
        raise UsageError(
            f"The letter of thanks {row.id} was sent. Nothing was changed.",
            f"Did it come back? thanksd resolve {row.id} --bounced --email NEW",
        )


def _refuse_confirmed(connection: Connection, row: AnyRow) -> None:
    if row.state == states.CONFIRMED:
        to = connection.execute(select(Person.name).where(Person.id == row.person_id)).scalar()
        raise UsageError(
            f"{to}'s letter is confirmed as it was shown. Nothing was changed.",
            f"Take it back first: thanksd undo {row.id}",
        )
    if row.closed_at is not None:
        raise UsageError(f"Thanks {row.id} is {row.state} already.", f"Take that back first: thanksd undo {row.id}")


def _change_meeting(
    connection: Connection, context: Context, now: datetime, row: AnyRow, given: Given, words: str, after: str
) -> None:
    """Change the meeting; where its time or kind changed, or `after` is given, the thanks' moments follow."""
    meeting = connection.execute(select(Meeting.kind, Meeting.at, Meeting.tz).where(Meeting.id == row.meeting_id)).one()
    tz, kind = given.tz or meeting.tz, given.kind or meeting.kind
    at = read_when(context, now, words, tz) if words else meeting.at
    values: dict[str, Any] = {"kind": kind, "at": at, "tz": tz, "day": at.astimezone(ZoneInfo(tz)).date().isoformat()}
    values |= {key: value for key, value in (("place", given.place), ("about", given.about)) if value}
    connection.execute(update(Meeting).where(Meeting.id == row.meeting_id).values(**values))
    if words or given.kind or after:
        nudge_at, due_by, popup_at, outright = first_moments(
            context, now, kind, at, after, known(connection, row.person_id)
        )
        due_by = timing.due_in_pause(due_by, at, now, queries.paused_until(connection, context.owner, now))
        ledger.change_thanks(
            connection,
            now,
            row.id,
            state=states.OWED,
            nudge_at=nudge_at,
            due_by=due_by,
            popup_at=popup_at,
            outright=outright,
            # A snooze of the old moments can't be taken back any more.
            undo_state=None,
            undo_nudge_at=None,
        )


def _change_thanks(
    connection: Connection, context: Context, now: datetime, row: AnyRow, given: Given, via: str
) -> list[str]:
    """Change what is of the thanks alone; give what is to be said: an introducer is owed thanks too."""
    values: dict[str, Any] = {}
    notes: list[str] = []
    if given.details:
        values["details"] = given.details
    if given.template:
        values["template"] = given.template
    if via:
        introducer = meet(connection, now, parse_who(via))
        values["via_id"] = introducer.id
        name = connection.execute(select(Person.name).where(Person.id == row.person_id)).scalar_one()
        notes = too_words(introducer.name, owe_introducer(connection, context, now, introducer.id, [name]))
    if given.promises:
        ledger.set_promises(connection, row.id, given.promises)
    ledger.change_thanks(connection, now, row.id, **values)
    ledger.forget_draft(connection, row.id)
    return notes


def _join(connection: Connection, now: datetime, row: AnyRow, other: str) -> int | None:
    """Let somebody else have been at the same meeting, with the same moments and a detail of their own to come.

    None where they are known to have been there.
    """
    person = meet(connection, now, parse_who(other))
    both = (Thanks.person_id == person.id) & (Thanks.meeting_id == row.meeting_id)
    if connection.scalar(select(Thanks.id).where(both)) is not None:
        return None
    owing = ledger.Owing(row.nudge_at, row.due_by, row.popup_at or row.nudge_at, row.outright, [], [], None, row.via_id,
                         owner=row.owner)  # fmt: skip
    return ledger.owe(connection, now, person.id, row.meeting_id, owing)
