"""The verb add: a meeting typed in ten seconds becomes thanks owed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from thanksd import ledger, policy, queries, timing, when
from thanksd.addresses import clean_text
from thanksd.errors import NotFoundError, UsageError
from thanksd.ledger import Encounter, Owing, Promised
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import first_moments, known, promise_popup
from thanksd.verbs.introducing import owe_introducer, too_words
from thanksd.verbs.who import Who, meet, parse_who

TEXT_LIMIT = 2000


class Given(NamedTuple):
    """The facts of a meeting as typed, checked; empty where nothing was said."""

    kind: str
    tz: str
    lang: str
    seniority: str
    place: str
    about: str
    details: list[str]
    promises: list[Promised]
    template: str


def add(
    context: Context,
    who: str,
    *,
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
    again: bool = False,
    last_kind: bool = False,
    other_details: Sequence[Sequence[str]] | None = None,
    coordinator: str = "",
) -> dict[str, Any]:
    """Store a meeting and the thanks owed to each person of it, in one transaction.

    `other_details` are what stood out of each of `others`, in their order; without them all share `details`. The
    `coordinator` is thanked too, and asked to pass thanks on to those who have no address. Gives
    {"thanks": [...], "notes": [sentences for stderr]}. Raises UsageError for what can't be understood, and
    NotFoundError with code "duplicate" where the same meeting stands there already and `again` is not given.
    """
    now = context.now
    people = [parse_who(who, email), *(parse_who(other) for other in others)]
    people += [parse_who(coordinator)] if coordinator else []
    introducer = parse_who(via) if via else None
    given = read_facts(context, now, kind=kind, tz=tz, lang=lang, seniority=seniority, place=place, about=about,
                       details=details, promises=promises, template=template)  # fmt: skip
    at = read_when(context, now, when, given.tz)
    own = [
        given.details,
        *([given.details] * len(others) if other_details is None else map(read_details, other_details)),
        *([given.details] if coordinator else []),
    ]
    with context.store.write() as connection:
        if not kind:
            given = given._replace(
                kind=(queries.last_kind(connection, context.owner) if last_kind else None) or "general"
            )
        numbers, notes = _store(
            connection, context, now, people, own, introducer, given, at, after, again=again, led=bool(coordinator)
        )
        found = queries.thanks_by_id(connection, numbers, now)
    return {"thanks": found, "notes": notes, "zone": context.zone}


def read_facts(
    context: Context,
    now: datetime,
    *,
    kind: str = "",
    tz: str = "",
    lang: str = "",
    seniority: str = "",
    place: str = "",
    about: str = "",
    details: Sequence[str] = (),
    promises: Sequence[str] = (),
    template: str = "",
) -> Given:
    """Check what was typed, word by word.

    Raises UsageError naming what is wrong, with the nearest right word.
    """
    if template:
        from thanksd import drafts  # noqa: PLC0415  Jinja2 is not needed to add a meeting

        drafts.source(template, context.config.me.language, context.templates)
    return Given(
        kind=policy.known_kind(kind) if kind else "",
        tz=policy.known_zone(tz) if tz else "",
        lang=policy.known_language(lang) if lang else "",
        seniority=policy.known_seniority(seniority) if seniority else "",
        place=clean_text(place, "--place", 200),
        about=clean_text(about, "--about", TEXT_LIMIT),
        details=read_details(details),
        promises=[read_promise(context, one, now) for one in promises if one.strip()],
        template=template,
    )


def read_details(texts: Sequence[str]) -> list[str]:
    """Check what stood out; empty ones are left out. Raises UsageError."""
    return [text for text in (clean_text(one, "--detail", TEXT_LIMIT) for one in texts) if text]


def read_promise(context: Context, text: str, now: datetime) -> Promised:
    """Split "the paper by friday" into its text and its moment; words that name no moment stay text."""
    text, due = clean_text(text, "--promise", TEXT_LIMIT), None
    head, by, tail = text.rpartition(" by ")
    if by and head.strip():
        with contextlib.suppress(UsageError):
            text, due = head.strip(), when.parse_delay(tail, now, context.zone)
    return Promised(text, due, promise_popup(context, now, due))


def read_when(context: Context, now: datetime, words: str, tz: str) -> datetime:
    """Give the meeting's moment in UTC; nothing said is now."""
    return when.parse_when(words, now, tz or context.zone) if words.strip() else now


def _store(
    connection: Connection,
    context: Context,
    now: datetime,
    people: list[Who],
    details: list[list[str]],
    introducer: Who | None,
    given: Given,
    at: datetime,
    after: str,
    *,
    again: bool,
    led: bool,
) -> tuple[list[int], list[str]]:
    tz = given.tz or context.zone
    day = at.astimezone(ZoneInfo(tz)).date().isoformat()
    today = now.astimezone(ZoneInfo(tz)).date().isoformat()
    facts = {"lang": given.lang, "tz": given.tz, "seniority": given.seniority}
    met = [meet(connection, now, who, **facts) for who in people]
    via = meet(connection, now, introducer) if introducer else None
    if not again:
        for person in met:
            _refuse_same(
                connection,
                context.owner,
                person.id,
                person.name,
                given.kind,
                day,
                "today" if day == today else f"on {day}",
            )
    meeting = ledger.add_meeting(connection, Encounter(given.kind, at, tz, day, given.place, given.about))
    paused_until = queries.paused_until(connection, context.owner, now)
    # Somebody named twice was met once; what was said first of them counts.
    own = {person.id: texts for person, texts in reversed(list(zip(met, details, strict=True)))}
    numbers = []
    for number in dict.fromkeys(person.id for person in met):
        who = known(connection, number)
        nudge_at, due_by, popup_at, outright = first_moments(context, now, given.kind, at, after, who)
        due_by = timing.due_in_pause(due_by, at, now, paused_until)
        owing = Owing(nudge_at, due_by, popup_at, outright, own[number], given.promises, given.template or None,
                      via.id if via else None, owner=context.owner,
                      coordinates=led and number == met[-1].id)  # fmt: skip
        numbers.append(ledger.owe(connection, now, number, meeting, owing))
    notes = [one.note for one in (*met, via) if one and one.note]
    if via:
        too = owe_introducer(connection, context, now, via.id, [person.name for person in met])
        notes += too_words(via.name, too)
    return numbers, notes


def _refuse_same(
    connection: Connection, owner: str, person: int, name: str, kind: str, day: str, day_words: str
) -> None:
    number = queries.same_meeting(connection, owner, person, kind, day)
    if number is not None:
        raise NotFoundError(
            f"You added this {kind} with {name} {day_words} ({number}). Nothing was stored.",
            "Another one? Use --again.",
            code="duplicate",
        )
