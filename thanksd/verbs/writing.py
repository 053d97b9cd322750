"""The verbs that write: draft, prepare, reviewing.

Rendering may run a child process, so it never happens inside a write transaction: facts are read, the draft is made,
and it is stored only if the thanks was not changed meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from thanksd import drafts, etiquette, forgotten, journal, language, letters, queries, rendering, states, timing
from thanksd.errors import DataError, UsageError
from thanksd.facts import SEVERITIES, Around, Facts, Finding
from thanksd.models import Draft, Thanks
from thanksd.moments import from_iso, local, to_iso
from thanksd.rows import AnyRow, AnySelect
from thanksd.transports import handoff
from thanksd.verbs import occasions
from thanksd.verbs.around import around_of, thanks_before
from thanksd.verbs.context import Context
from thanksd.verbs.facts import facts_of, own_of, template_for
from thanksd.when import is_duration, parse_delay

BODY_LIMIT = 20_000
SUBJECT_LIMIT = 200

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


def draft(
    context: Context,
    ref: str,
    *,
    template: str = "",
    subject: str | None = None,
    body: str | None = None,
    another: bool = False,
    form: str = "note",
    facts: bool = False,
) -> dict[str, Any]:
    """Give the draft of a thanks; `subject` and `body` replace its text and are kept, `template` starts it anew.

    So does `another`, in the next wording. `form` is one of `rendering.FORMS`: what is no note is made of the facts and
    not kept. Gives {"draft": {...}}, with `facts` also {"facts": what a template would know}. Raises UsageError for a
    thanks that is closed or whose letter is confirmed.
    """
    now = context.now
    number = _writable(context, ref)
    if template or another:
        _start_anew(context, now, number, template or _next_wording(context, number, now))
    note = read_note(context, number, now)
    if form != "note":
        return {"draft": _in_form(context, note, form)}
    if subject is not None or body is not None:
        note = note._replace(
            subject=_one_line(subject) if subject is not None else note.subject,
            body=_text(body) if body is not None else note.body,
            edited=True,
        )
        keep(context, note)
        with context.store.write() as connection:
            journal.record(connection, now, number, "draft edited")
        note = read_note(context, number, now)
    return {"draft": plain_draft(note), **({"facts": note.facts} if facts else {})}


def _in_form(context: Context, note: Note, form: str) -> dict[str, Any]:
    """Give a thanks as a message or as lines for a card, in the shape of a draft.

    Raises UsageError for another form, and DataError for a template that has none.
    """
    if form not in rendering.FORMS:
        raise UsageError(f"There is no form {form[:20]!r}.", f"There are: {', '.join(rendering.FORMS)}")
    lang = note.facts["person"]["lang"]
    template = note.template if drafts.exists(note.template, lang, context.templates) else "general"
    made = drafts.render(template, note.facts, lang, context.templates, form)
    findings = etiquette.check_message(made.body, note.facts, note.around, is_short=form == "short")
    return {**plain_draft(note), "body": made.body, "template": made.template, "findings": findings}


def plain_draft(note: Note) -> dict[str, Any]:
    """Give a draft in the shape that --json prints."""
    return {
        "to": note.facts["person"]["email"] or None,
        "subject": note.subject,
        "body": note.body,
        "template": note.template,
        "findings": note.findings,
    }


def _writable(context: Context, ref: str) -> int:
    with context.store.read() as connection:
        number = queries.find_ref(connection, ref, context.owner)
        state = connection.scalar(select(Thanks.state).where(Thanks.id == number))
    if state == states.CONFIRMED:
        raise UsageError(f"A letter of thanks {number} is on its way.", f"Take it back first: thanksd undo {number}")
    if state in (states.THANKED, states.WAIVED):
        raise UsageError(f"Thanks {number} is {state} already.", f"See it: thanksd show {number}")
    return number


def _start_anew(context: Context, now: datetime, number: int, template: str) -> None:
    drafts.source(template, context.config.me.language, context.templates)
    with context.store.write() as connection:
        connection.execute(delete(Draft).where(Draft.thanks_id == number))
        connection.execute(update(Thanks).where(Thanks.id == number).values(template=template, changed_at=now))


def _next_wording(context: Context, number: int, now: datetime) -> str:
    """Give the wording after the one that a draft is in, the first of its kind's where it is in none."""
    note = read_note(context, number, now)
    names, language = _wordings(context, note.item, note.facts), note.facts["person"]["lang"]
    if note.template not in names and drafts.exists(note.template, language, context.templates):
        names = drafts.wordings(note.template, language, context.templates)
    return names[(names.index(note.template) + 1) % len(names)] if note.template in names else names[0]


def _wordings(context: Context, item: dict[str, Any], facts: Facts) -> list[str]:
    """Give the wordings that fit a thanks; where its template has one only, those of the general one too."""
    language = facts["person"]["lang"]
    names = drafts.wordings(template_for(context, item), language, context.templates)
    return (
        names
        if len(names) > 1
        else list(dict.fromkeys(names + drafts.wordings("general", language, context.templates)))
    )


def _one_line(text: str) -> str:
    return letters.clean_line(text, SUBJECT_LIMIT)


def _text(text: str) -> str:
    return letters.clean_body(text, BODY_LIMIT)


def check(context: Context, ref: str, subject: str, body: str) -> dict[str, Any]:
    """Say what the check finds in a text as the note of a thanks; nothing is kept. Gives {"findings": [...]}."""
    note = read_note(context, _writable(context, ref), context.now, (_one_line(subject), _text(body)))
    return {"findings": note.findings}


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
    number = _writable(context, ref)
    if template:
        _start_anew(context, now, number, template)
    leaving = read_leaving(context, now, at, at_once=at_once)
    note = read_note(context, number, leaving.at)
    frozen = _freeze(context, now, note, leaving) if not look and _can_be_frozen(context, note) else None
    plain = plain_draft(note)
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


def _must_be_pasted(context: Context, note: Note) -> bool:
    """Say whether the letter is too long for the link that opens it."""
    transport, to = context.config.transport, note.facts["person"]["email"]
    return handoff.is_too_long(transport, context.config.me.email, to, note.subject, note.body)


def _can_be_frozen(context: Context, note: Note) -> bool:
    hostile = any(one["code"] == "headers" for one in note.findings)
    has_address = note.facts["person"]["email"] and not note.came_back
    return bool(not hostile and has_address and context.config.me.email)


def missing(context: Context, note: Note, findings: Sequence[Finding]) -> str:
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


def _freeze(context: Context, now: datetime, note: Note, leaving: Leaving) -> letters.Frozen:
    with context.store.read() as connection:
        stored = stored_draft(connection, note.item["id"])
    if stored is not None and is_current(context, note, stored, leaving.hold, leaving.stored_at, now):
        return letters.Frozen(stored.prepared_raw, stored.prepared_sha256, stored.prepared_message_id, stored.subject)
    frozen = freeze_note(context, note, leaving.at, uuid.uuid4().hex)
    keep(
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
    context: Context, note: Note, stored: AnyRow, hold: int | None, at: datetime | None, now: datetime
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


def freeze_note(context: Context, note: Note, leaves: datetime, unique: str) -> letters.Frozen:
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


def reviewing(context: Context, refs: list[str]) -> dict[str, Any]:
    """Give what a review goes through: these thanks, or every due one."""
    now = context.now
    with context.store.read() as connection:
        if refs:
            numbers = [queries.find_ref(connection, ref, context.owner) for ref in refs]
        else:
            waiting = Thanks.state.in_((states.OWED, states.SNOOZED))
            mine = and_(queries.is_open, queries.is_of(context.owner))
            query = select(Thanks.id).where(mine, waiting, Thanks.nudge_at <= now)
            numbers = list(connection.scalars(query.order_by(Thanks.due_by, Thanks.id)))
        found = queries.thanks_by_id(connection, numbers, now)
    for item in found:
        if item["state"] == states.CONFIRMED:
            raise UsageError(
                f"A letter of thanks {item['id']} is on its way.", f"Take it back: thanksd undo {item['id']}"
            )
        if item["state"] in (states.THANKED, states.WAIVED):
            raise DataError(f"Thanks {item['id']} is {item['state']} already.", f"See it: thanksd show {item['id']}")
    return {"thanks": found, "zone": context.zone, "now": to_iso(now)}
