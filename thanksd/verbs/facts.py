"""What a template and the etiquette check may know of one thanks: plain dicts, built from the store and the config."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, select

from thanksd import language, policy, queries, timing
from thanksd.facts import fitting
from thanksd.language import Dates
from thanksd.models import Meeting, Person, Thanks
from thanksd.moments import from_iso, local
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import Towards, rule_for

if TYPE_CHECKING:
    from thanksd.facts import Facts


def facts_of(connection: Connection, context: Context, item: dict[str, Any], leaves: datetime) -> Facts:
    """Give the facts of one thanks as its note would state them when it leaves at `leaves` (UTC)."""
    person, meeting, me = item["person"], item["meeting"], context.config.me
    at = local(from_iso(meeting["at"]), meeting["tz"])
    rule, lang = _rule_of(context, item), person["lang"] or me.language
    dates = language.of(lang).dates
    return {
        "me": {"name": me.name, "email": me.email, "signature": me.signature or me.name},
        "person": {
            "name": person["name"],
            "email": person["email"] or "",
            "lang": lang,
            "seniority": person["seniority"],
        },
        "meeting": {
            "kind": meeting["kind"],
            "weekday": dates.weekdays[at.weekday()],
            "date": said(dates, dates.date, at),
            "place": meeting["place"] or "",
            "about": meeting["about"] or "",
        },
        "details": item["details"],
        "promises": [_promise(one, dates, context.zone) for one in item["promises"] if one["done_at"] is None],
        "others": _others(connection, item),
        "via": _via(connection, item["id"]),
        "again": _again(connection, dates, item, leaves),
        "outcome": _outcome(connection, item["id"]),
        "pass_on": _pass_on(connection, item),
        "days_since": max((local(leaves, meeting["tz"]).date() - at.date()).days, 0),
        "belated": leaves > timing.late_from(rule, from_iso(meeting["at"]), from_iso(item["due_by"])),
        "variant": 1,
        "fitting": fitting(rule, person["name"]),
    }


def template_for(context: Context, item: dict[str, Any]) -> str:
    """Give the name of the template that is fitting for a thanks."""
    return _rule_of(context, item).template


def _rule_of(context: Context, item: dict[str, Any]) -> policy.Rule:
    person = item["person"]
    who = Towards(person["lang"] or "", person["tz"] or "", person["seniority"])
    return rule_for(context, item["meeting"]["kind"], who)


def said(dates: Dates, form: str, day: datetime) -> str:
    """Give a day in a language's words, by one of its forms."""
    return form.format(weekday=dates.weekdays[day.weekday()], day=day.day, month=dates.months[day.month - 1])


def _promise(promise: dict[str, Any], dates: Dates, zone: str) -> Any:  # noqa: ANN401  a TypedDict of etiquette's
    due = promise["due"]
    return {"text": promise["text"], "due": said(dates, dates.full, local(from_iso(due), zone)) if due else ""}


def _again(connection: Connection, dates: Dates, item: dict[str, Any], leaves: datetime) -> str:
    """Give the day on which you meet again, where that is in the ledger already, "" where it is not."""
    query = (
        select(Meeting.at, Meeting.tz)
        .join(Thanks, Thanks.meeting_id == Meeting.id)
        .where(Thanks.person_id == item["person"]["id"], Thanks.id != item["id"], Meeting.at > leaves)
        .order_by(Meeting.at)
    )
    found = connection.execute(query.limit(1)).one_or_none()
    return said(dates, dates.full, local(found.at, found.tz)) if found else ""


def _others(connection: Connection, item: dict[str, Any]) -> list[str]:
    query = (
        select(Person.name)
        .join(Thanks, Thanks.person_id == Person.id)
        .where(Thanks.meeting_id == item["meeting"]["id"], Thanks.id != item["id"])
        .order_by(Thanks.id)
    )
    return list(connection.scalars(query))


def _via(connection: Connection, number: int) -> str:
    query = select(Person.name).join(Thanks, Thanks.via_id == Person.id).where(Thanks.id == number)
    return connection.scalar(query) or ""


def _outcome(connection: Connection, number: int) -> str:
    """Give the name of whom you met through this person, where this thanks tells what came of it."""
    met = select(Thanks.outcome_of).where(Thanks.id == number).scalar_subquery()
    query = select(Person.name).join(Thanks, Thanks.person_id == Person.id).where(Thanks.id == met)
    return connection.scalar(query) or ""


def _pass_on(connection: Connection, item: dict[str, Any]) -> list[str]:
    """Give who of a meeting has no address, where this thanks is that of its coordinator."""
    if not connection.scalar(select(Thanks.coordinates).where(Thanks.id == item["id"])):
        return []
    query = select(Person.name).join(Thanks, Thanks.person_id == Person.id).order_by(Thanks.id)
    return list(connection.scalars(query.where(without_address(item["meeting"]["id"]))))


def without_address(meeting: int) -> ColumnElement[bool]:
    """Say of a thanks and its person that it is open, of this meeting, and without an address to write to."""
    return and_(Thanks.meeting_id == meeting, queries.is_open, Person.email.is_(None))
