"""A thanks' note as it stands: rendered from the facts of now, or as somebody's hand left it; and keeping one.

Rendering may run a child process, so it never happens inside a write transaction: facts are read, the draft is made,
and it is stored only if the thanks was not changed meanwhile.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from thanksd import drafts, etiquette, forgotten, language, queries, states
from thanksd.errors import UsageError
from thanksd.facts import SEVERITIES, Around, Facts, Finding
from thanksd.models import Draft, Thanks
from thanksd.moments import from_iso, local
from thanksd.rows import AnyRow, AnySelect
from thanksd.verbs.around import around_of, thanks_before
from thanksd.verbs.context import Context
from thanksd.verbs.facts import facts_of, own_of, template_for

# A draft's columns of the letter that was shown for confirming, where there is none.
NOT_PREPARED = {column.key: None for column in Draft.__table__.columns if column.key.startswith("prepared_")}


class Note(NamedTuple):
    """A draft as it stands now, with everything that was known when it was looked at."""

    item: dict[str, Any]
    facts: Facts
    subject: str
    body: str
    template: str
    edited: bool
    uid: str
    is_early: bool
    came_back: bool
    left_alone: bool
    written: date
    leaves: date
    leaves_at: datetime
    around: Around = Around()

    @property
    def findings(self) -> list[Finding]:
        """What the etiquette check says of it, and whether it would leave before the meeting was."""
        to, days = self.facts["person"]["email"], (self.written, self.leaves)
        found = etiquette.check(self.subject, self.body, self.facts, to, days, self.around)
        more = [etiquette.to_come()] if self.is_early else []
        night = etiquette.at_night(self.leaves_at, self.item["person"]["tz"] or "")
        every = [*([etiquette.left_alone()] if self.left_alone else []), *more, *found, *([night] if night else [])]
        return sorted(every, key=lambda one: SEVERITIES.index(one["severity"]))

    @property
    def intent(self) -> str:
        """What it is besides thanks: an ask, or a give where it has something of what they care about, or help."""
        known = language.of(self.facts["person"]["lang"])
        if any(one["code"] == "ask" for one in self.findings):
            return states.ASK
        given = etiquette.gives(etiquette.core(self.body, self.facts), self.around, known)
        return states.GIVE if given else states.INTENTS[0]


def plain_draft(note: Note) -> dict[str, Any]:
    """Give a draft in the shape that --json prints."""
    return {
        "to": note.facts["person"]["email"] or None,
        "subject": note.subject,
        "body": note.body,
        "template": note.template,
        "findings": note.findings,
    }


def writable(context: Context, ref: str) -> int:
    """Give the number of a thanks whose note can be written. Raises UsageError where it is confirmed or has ended."""
    with context.store.read() as connection:
        number = queries.find_ref(connection, ref, context.owner)
        state = connection.scalar(select(Thanks.state).where(Thanks.id == number))
    if state == states.CONFIRMED:
        raise UsageError(f"A letter of thanks {number} is on its way.", f"Take it back first: thanksd undo {number}")
    if state in (states.THANKED, states.WAIVED):
        raise UsageError(f"Thanks {number} is {state} already.", f"See it: thanksd show {number}")
    return number


def start_anew(context: Context, now: datetime, number: int, template: str) -> None:
    """Drop what was kept of a note, so that this template renders it. Raises UsageError for no such template."""
    drafts.source(template, context.config.me.language, context.templates)
    with context.store.write() as connection:
        connection.execute(delete(Draft).where(Draft.thanks_id == number))
        connection.execute(update(Thanks).where(Thanks.id == number).values(template=template, changed_at=now))


def read_note(context: Context, number: int, leaves: datetime, text: tuple[str, str] | None = None) -> Note:
    """Give the draft as it stands: an edited one as it was left, any other rendered from the facts of now.

    With `text` its subject and body are those.
    """
    note = _read_text(context, number, leaves)
    note = note._replace(subject=text[0], body=text[1]) if text else note
    with context.store.read() as connection:
        around = around_of(connection, context, note.item, note.facts, f"{note.subject}\n{note.body}")
    return note._replace(around=around)


def _read_text(context: Context, number: int, leaves: datetime) -> Note:
    with context.store.read() as connection:
        item = queries.thanks_by_id(connection, [number], context.now)[0]
        own = own_of(connection, number)
        facts = facts_of(connection, context, item, own, leaves)
        stored = stored_draft(connection, number)
        before = thanks_before(connection, item)
        email = item["person"]["email"]
        left_alone = forgotten.has(connection, email)
        known = {"came_back": queries.is_bad_address(connection, email), "left_alone": left_alone}
    written, leaving = local(context.now, context.zone).date(), local(leaves, context.zone).date()
    more = {"uid": own.uid, "is_early": from_iso(item["meeting"]["at"]) > leaves, **known}
    more |= {"written": written, "leaves": leaving, "leaves_at": leaves}
    if stored is not None and stored.edited:
        return Note(item, facts, stored.subject, stored.body, stored.template, edited=True, **more)
    name = own.template or _own_wording(context, item, facts, before)
    made = drafts.render(name, facts, facts["person"]["lang"], context.templates)
    return Note(item, facts, made.subject, made.body, made.template, edited=False, **more)


def _own_wording(context: Context, item: dict[str, Any], facts: Facts, before: int) -> str:
    """Give the template's name in a wording that nobody near had yet, while there is one."""
    names = drafts.wordings(template_for(context, item), facts["person"]["lang"], context.templates)
    return names[before % len(names)]


def stored_draft(connection: Connection, number: int) -> AnyRow | None:
    """Give the draft's row, or None where nothing was kept yet."""
    return connection.execute(_draft(), {"number": number}).one_or_none()


@cache
def _draft() -> AnySelect:
    columns = [getattr(Draft, column.key) for column in Draft.__table__.columns]
    return select(*columns).where(Draft.thanks_id == bindparam("number"))


def keep(context: Context, note: Note, **prepared: object) -> None:
    """Store a draft's text, and with it what was prepared of that very text (nothing, where it only was edited)."""
    values = {"subject": note.subject, "body": note.body, "template": note.template, "edited": note.edited}
    values |= NOT_PREPARED | prepared
    number = note.item["id"]
    with context.store.write() as connection:
        state = connection.scalar(select(Thanks.state).where(Thanks.id == number))
        if state not in (states.OWED, states.SNOOZED):
            raise UsageError(f"Thanks {number} is {state} meanwhile. Nothing was changed.", f"thanksd show {number}")
        stored = stored_draft(connection, number)
        if stored is None:
            connection.execute(insert(Draft).values(thanks_id=number, **values))
        elif prepared and stored.edited and (stored.subject, stored.body) != (note.subject, note.body):
            # Somebody's hand was on it while this letter was being built.
            raise UsageError(
                f"The draft of thanks {number} was changed meanwhile.", f"Look again: thanksd review {number}"
            )
        else:
            connection.execute(update(Draft).where(Draft.thanks_id == number).values(**values))
