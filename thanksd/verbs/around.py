"""What the ledger knows beside one thanks, for the check of its note: other people's names, and earlier notes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

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
    whose = _whose(item)
    return Around(
        acquaintances=tuple(one for one in _named(connection, facts, text) if one not in here),
        earlier=tuple(connection.scalars(_notes(are_of_panel=False), whose)),
        panel=tuple(connection.scalars(_notes(are_of_panel=True), whose)),
        interests=tuple(one.text for one in interests(connection, item["person"]["id"]) if is_fresh(context, one)),
        too_often=_too_often(connection, context, item),
    )


def interests(connection: Connection, person: int) -> list[AnyRow]:
    """Give what somebody cares about, the newest first."""
    return list(connection.execute(_interests(), {"person": person}))


@cache
def _interests() -> AnySelect:
    columns = (Interest.id, Interest.text, Interest.source, Interest.at)
    whose = Interest.person_id == bindparam("person")
    return select(*columns).where(whose).order_by(Interest.at.desc(), Interest.id.desc())


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
    theirs = connection.scalars(_sent(), {"person": person["id"], "since": since})
    sent = sorted(at for at in theirs if at is not None)
    if len(sent) < rule.most:
        return ""
    again = say_short(sent[-rule.most] + span, now, context.zone)
    return f"{len(sent)} letters to them are unanswered. Fitting again {again}; they replied? people edit WHO --replied"


@cache
def _sent() -> AnySelect:
    moment = func.coalesce(Letter.sent_at, Letter.confirmed_at)
    return (
        select(moment.label("at"))
        .join(Thanks, Thanks.id == Letter.thanks_id)
        .where(Thanks.person_id == bindparam("person"), Letter.state.not_in(_GONE), moment > bindparam("since"))
    )


def _last_heard(connection: Connection, now: datetime, person: int) -> datetime:
    """Give when somebody was met last, or replied."""
    heard = {"person": person, "kinds": policy.encounters(), "now": now}
    moments = connection.execute(_heard(), heard).one()
    return max((moment for moment in moments if moment is not None), default=datetime.min.replace(tzinfo=UTC))


@cache
def _heard() -> AnySelect:
    met = (
        select(func.max(Meeting.at))
        .join(Thanks, Thanks.meeting_id == Meeting.id)
        .where(Thanks.person_id == bindparam("person"), Meeting.at <= bindparam("now"))
        .where(Meeting.kind.in_(bindparam("kinds", expanding=True)))
    )
    return select(met.scalar_subquery(), Person.replied_at).where(Person.id == bindparam("person"))


def thanks_before(connection: Connection, item: dict[str, Any]) -> int:
    """Count the earlier thanks to the same person, to colleagues, and for the same meeting."""
    return int(connection.scalar(_before(), _whose(item)) or 0)


@cache
def _before() -> AnySelect:
    query = select(func.count()).select_from(Thanks).join(Person, Person.id == Thanks.person_id)
    return query.where(or_(_near(), _in_panel()), Thanks.id < bindparam("number"))


def _whose(item: dict[str, Any]) -> dict[str, object]:
    """Give what `_near` and `_in_panel` are asked with."""
    company = _company(item["person"]["email"])
    return {
        "number": item["id"],
        "person": item["person"]["id"],
        "meeting": item["meeting"]["id"],
        # Nobody's address is empty.
        "colleagues": f"%@{company}" if company else "",
    }


def _near() -> ColumnElement[bool]:
    """Say of a thanks that it is the same person's, or a colleague's."""
    return or_(Thanks.person_id == bindparam("person"), Person.email_key.like(bindparam("colleagues")))


def _in_panel() -> ColumnElement[bool]:
    same_meeting: ColumnElement[bool] = Thanks.meeting_id == bindparam("meeting")
    return same_meeting


def _company(email: str | None) -> str:
    """Give the domain of an address whose users are colleagues: none of a provider's."""
    domain = fold(email or "").rpartition("@")[2]
    return "" if not domain or providers.by_domain(domain) else domain


def _named(connection: Connection, facts: Facts, text: str) -> list[str]:
    """Give the names of people in the ledger that a text has, whole or the first alone, and of their companies."""
    words = language.of(facts["person"]["lang"]).words
    keys = _keys(text, by_characters=words.by_characters)
    names = list(connection.scalars(_called(), {"keys": keys}))
    found = [name for name in names if " " in name or not name.isascii()]
    unknown = [word for word in grounding.unknown_names(text, facts) if word.isascii()]
    for word in unknown[:_MOST_UNKNOWN]:
        key = fold(word)
        asked = {"from": f"{key} ", "to": f"{key}!", "company": f"%@{key}.%"}
        if connection.scalar(_called_first(), asked) is not None:
            found.append(word)
    return list(dict.fromkeys(found))


@cache
def _called() -> AnySelect:
    return select(Person.name).where(Person.name_key.in_(bindparam("keys", expanding=True)))


@cache
def _called_first() -> AnySelect:
    """Give somebody whose first name begins a longer name, or whose company it is."""
    named = and_(Person.name_key > bindparam("from"), Person.name_key < bindparam("to"))
    return select(Person.id).where(or_(named, Person.email_key.like(bindparam("company")))).limit(1)


def _keys(text: str, *, by_characters: bool) -> list[str]:
    """Give what may be a whole name in a text, folded as the ledger finds people: runs of words, or of characters."""
    words = re.findall(r"[^\W\d_]+(?:['\u2019.-][^\W\d_]+)*\.?", text)
    runs = {" ".join(words[start : start + size]) for size in range(2, _MOST_WORDS + 1) for start in range(len(words))}
    if by_characters:
        joined = "".join(text.split())
        sizes = range(2, _MOST_CHARACTERS + 1)
        runs |= {joined[start : start + size] for size in sizes for start in range(len(joined))}
    return sorted({fold(run) for run in runs})


@cache
def _notes(*, are_of_panel: bool) -> AnySelect:
    """Give the bodies of the newest notes that left, or are to leave: of a thanks' panel, or else near it."""
    whose = _in_panel() if are_of_panel else and_(_near(), ~_in_panel())
    return (
        select(Draft.body)
        .join(Thanks, Thanks.id == Draft.thanks_id)
        .join(Person, Person.id == Thanks.person_id)
        .join(Letter, Letter.thanks_id == Thanks.id)
        .where(whose, Thanks.id != bindparam("number"), Letter.state.not_in(_GONE))
        .order_by(Thanks.id.desc())
        .limit(_MOST_NOTES)
    )
