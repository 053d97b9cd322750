"""The verbs that write: draft, check, reviewing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, select

from thanksd import drafts, etiquette, journal, letters, queries, rendering, states
from thanksd.errors import DataError, UsageError
from thanksd.facts import Facts
from thanksd.models import Thanks
from thanksd.moments import to_iso
from thanksd.verbs import notes
from thanksd.verbs.context import Context
from thanksd.verbs.facts import template_for

BODY_LIMIT = 20_000


SUBJECT_LIMIT = 200


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
    number = notes.writable(context, ref)
    if template or another:
        notes.start_anew(context, now, number, template or _next_wording(context, number, now))
    note = notes.read_note(context, number, now)
    if form != "note":
        return {"draft": _in_form(context, note, form)}
    if subject is not None or body is not None:
        note = note._replace(
            subject=_one_line(subject) if subject is not None else note.subject,
            body=_text(body) if body is not None else note.body,
            edited=True,
        )
        notes.keep(context, note)
        with context.store.write() as connection:
            journal.record(connection, now, number, "draft edited")
        note = notes.read_note(context, number, now)
    return {"draft": notes.plain_draft(note), **({"facts": note.facts} if facts else {})}


def _in_form(context: Context, note: notes.Note, form: str) -> dict[str, Any]:
    """Give a thanks as a message or as lines for a card, in the shape of a draft.

    Raises UsageError for another form, and DataError for a template that has none.
    """
    if form not in rendering.FORMS:
        raise UsageError(f"There is no form {form[:20]!r}.", f"There are: {', '.join(rendering.FORMS)}")
    lang = note.facts["person"]["lang"]
    template = note.template if drafts.exists(note.template, lang, context.templates) else "general"
    made = drafts.render(template, note.facts, lang, context.templates, form)
    findings = etiquette.check_message(made.body, note.facts, note.around, is_short=form == "short")
    return {**notes.plain_draft(note), "body": made.body, "template": made.template, "findings": findings}


def _next_wording(context: Context, number: int, now: datetime) -> str:
    """Give the wording after the one that a draft is in, the first of its kind's where it is in none."""
    note = notes.read_note(context, number, now)
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
    note = notes.read_note(context, notes.writable(context, ref), context.now, (_one_line(subject), _text(body)))
    return {"findings": note.findings}


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
