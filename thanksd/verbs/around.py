"""What the ledger knows beside one thanks, for the check of its note: other people's names, and earlier notes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from thanksd import grounding, language, policy, providers, states, timing
from thanksd.addresses import fold
from thanksd.facts import Around, Facts
from thanksd.models import Draft, Interest, Letter, Meeting, Person, Thanks
from thanksd.moments import say_short
from thanksd.rows import AnyRow, AnySelect
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import Towards, rule_for

# More earlier notes tell nothing more, and a name has no more words, or characters where it has no spaces.
_MOST_NOTES, _MOST_WORDS, _MOST_CHARACTERS = 20, 4, 6
# Nor does a note name more people whom nobody noted.
_MOST_UNKNOWN = 20
# What somebody cared about longer ago is no safe thing to build on.
_FRESH = timedelta(days=180)
# A letter that a person had or will have; what is drafted may still become another.
_GONE = (states.FAILED, states.CANCELLED)


def around_of(connection: Connection, context: Context, item: dict[str, Any], facts: Facts, text: str) -> Around:
    """Give what is known around a thanks whose note says `text`."""
    here = [item["person"]["name"], facts["via"], *facts["others"], facts["me"]["name"]]
    near, in_panel = _near(item), _in_panel(item)
    return Around(
        acquaintances=tuple(one for one in _named(connection, facts, text) if one not in here),
        earlier=_notes(connection, item["id"], near & ~in_panel),
        panel=_notes(connection, item["id"], in_panel),
        interests=tuple(one.text for one in interests(connection, item["person"]["id"]) if is_fresh(context, one)),
        too_often=_too_often(connection, context, item),
    )


def interests(connection: Connection, person: int) -> list[AnyRow]:
    """Give what somebody cares about, the newest first."""
    columns = (Interest.id, Interest.text, Interest.source, Interest.at)
    query = select(*columns).where(Interest.person_id == person).order_by(Interest.at.desc(), Interest.id.desc())
    return list(connection.execute(query))


def is_fresh(context: Context, interest: AnyRow) -> bool:
    """Say whether what somebody cared about may be taken to hold still."""
    return bool(context.now - interest.at <= _FRESH)


def _too_often(connection: Connection, context: Context, item: dict[str, Any]) -> str:
    """Say why one more letter would be pushy, and when it is none any more; "" where it is not.

    Counted are letters since they were met last, or replied, as far as you said so.
    """
    now, person = context.now, item["person"]
    rule = rule_for(context, item["meeting"]["kind"], Towards(person["lang"] or "", "", person["seniority"]))
    span = timing.within(rule)
    since = max(now - span, _last_heard(connection, now, person["id"]))
    moment = func.coalesce(Letter.sent_at, Letter.confirmed_at)
    query = select(moment.label("at")).join(Thanks, Thanks.id == Letter.thanks_id)
    theirs = (Thanks.person_id == person["id"], Letter.state.not_in(_GONE), moment > since)
    sent = sorted(at for at in connection.scalars(query.where(*theirs)) if at is not None)
    if len(sent) < rule.most:
        return ""
    again = say_short(sent[-rule.most] + span, now, context.zone)
    return f"{len(sent)} letters to them are unanswered. Fitting again {again}; they replied? people edit WHO --replied"


def _last_heard(connection: Connection, now: datetime, person: int) -> datetime:
    """Give when somebody was met last, or replied."""
    met = select(func.max(Meeting.at)).join(Thanks, Thanks.meeting_id == Meeting.id)
    is_met = (Thanks.person_id == person, Meeting.kind.in_(policy.encounters()), Meeting.at <= now)
    moments = (connection.scalar(met.where(*is_met)), connection.scalar(_replied(person)))
    return max((moment for moment in moments if moment is not None), default=datetime.min.replace(tzinfo=UTC))


def _replied(person: int) -> AnySelect:
    return select(Person.replied_at).where(Person.id == person)


def thanks_before(connection: Connection, item: dict[str, Any]) -> int:
    """Count the earlier thanks to the same person, to colleagues, and for the same meeting."""
    query = select(func.count()).select_from(Thanks).join(Person, Person.id == Thanks.person_id)
    return int(connection.scalar(query.where(_near(item) | _in_panel(item), Thanks.id < item["id"])) or 0)


def _near(item: dict[str, Any]) -> ColumnElement[bool]:
    """Say of a thanks that it is the same person's, or a colleague's."""
    company = _company(item["person"]["email"])
    same_person: ColumnElement[bool] = Thanks.person_id == item["person"]["id"]
    return or_(same_person, Person.email_key.like(f"%@{company}")) if company else same_person


def _in_panel(item: dict[str, Any]) -> ColumnElement[bool]:
    same_meeting: ColumnElement[bool] = Thanks.meeting_id == item["meeting"]["id"]
    return same_meeting


def _company(email: str | None) -> str:
    """Give the domain of an address whose users are colleagues: none of a provider's."""
    domain = fold(email or "").rpartition("@")[2]
    return "" if not domain or providers.by_domain(domain) else domain


def _named(connection: Connection, facts: Facts, text: str) -> list[str]:
    """Give the names of people in the ledger that a text has, whole or the first alone, and of their companies."""
    words = language.of(facts["person"]["lang"]).words
    keys = _keys(text, by_characters=words.by_characters)
    names = list(connection.scalars(select(Person.name).where(Person.name_key.in_(keys))))
    found = [name for name in names if " " in name or not name.isascii()]
    unknown = [word for word in grounding.unknown_names(text, facts) if word.isascii()]
    for word in unknown[:_MOST_UNKNOWN]:
        key = fold(word)
        called = and_(Person.name_key > f"{key} ", Person.name_key < f"{key}!")
        at_company = Person.email_key.like(f"%@{key}.%")
        if connection.scalar(select(Person.id).where(or_(called, at_company)).limit(1)) is not None:
            found.append(word)
    return list(dict.fromkeys(found))


def _keys(text: str, *, by_characters: bool) -> list[str]:
    """Give what may be a whole name in a text, folded as the ledger finds people: runs of words, or of characters."""
    words = re.findall(r"[^\W\d_]+(?:['\u2019.-][^\W\d_]+)*\.?", text)
    runs = {" ".join(words[start : start + size]) for size in range(2, _MOST_WORDS + 1) for start in range(len(words))}
    if by_characters:
        joined = "".join(text.split())
        sizes = range(2, _MOST_CHARACTERS + 1)
        runs |= {joined[start : start + size] for size in sizes for start in range(len(joined))}
    return sorted({fold(run) for run in runs})


def _notes(connection: Connection, number: int, whose: ColumnElement[bool]) -> tuple[str, ...]:
    """Give the bodies of the newest notes that left, or are to leave, besides this thanks's own."""
    query = (
        select(Draft.body)
        .join(Thanks, Thanks.id == Draft.thanks_id)
        .join(Person, Person.id == Thanks.person_id)
        .join(Letter, Letter.thanks_id == Thanks.id)
        .where(whose, Thanks.id != number, Letter.state.not_in(_GONE))
        .order_by(Thanks.id.desc())
    )
    return tuple(connection.scalars(query.limit(_MOST_NOTES)))
