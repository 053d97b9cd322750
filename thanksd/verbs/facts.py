"""What a template and the etiquette check may know of one thanks: plain dicts, built from the store and the config."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, select

from thanksd import language, policy, queries, timing
from thanksd.facts import fitting
from thanksd.language import Dates
from thanksd.models import Meeting, Person, Thanks
from thanksd.moments import from_iso, local
from thanksd.rows import AnyRow, AnySelect
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import Towards, rule_for

if TYPE_CHECKING:
    from thanksd.facts import Facts


def facts_of(connection: Connection, context: Context, item: dict[str, Any], own: AnyRow, leaves: datetime) -> Facts:
    """Give the facts of one thanks, `own_of` it too, as its note would state them when it leaves at `leaves` (UTC)."""
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
        "others": list(connection.scalars(_others(), {"meeting": meeting["id"], "number": item["id"]})),
        "via": own.via or "",
        "again": _again(connection, dates, item, leaves),
        "outcome": own.outcome or "",
        "pass_on": _pass_on(connection, meeting["id"]) if own.coordinates else [],
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
    here = {"person": item["person"]["id"], "number": item["id"], "leaves": leaves}
    found = connection.execute(_next_meeting(), here).one_or_none()
    return said(dates, dates.full, local(found.at, found.tz)) if found else ""


@cache
def _next_meeting() -> AnySelect:
    return (
        select(Meeting.at, Meeting.tz)
        .join(Thanks, Thanks.meeting_id == Meeting.id)
        .where(Thanks.person_id == bindparam("person"), Thanks.id != bindparam("number"))
        .where(Meeting.at > bindparam("leaves"))
        .order_by(Meeting.at)
        .limit(1)
    )


@cache
def _others() -> AnySelect:
    """Give who else was at a meeting."""
    return (
        select(Person.name)
        .join(Thanks, Thanks.person_id == Person.id)
        .where(Thanks.meeting_id == bindparam("meeting"), Thanks.id != bindparam("number"))
        .order_by(Thanks.id)
    )


def own_of(connection: Connection, number: int) -> AnyRow:
    """Give a thanks' uid and template, whether it `coordinates`, and two names, null where there is nobody.

    `via` led to it, and it tells what came of meeting `outcome`.
    """
    return connection.execute(_own(), {"number": number}).one()


@cache
def _own() -> AnySelect:
    via, met, they = Person.__table__.alias(), Thanks.__table__.alias(), Person.__table__.alias()
    return (
        select(Thanks.uid, Thanks.template, Thanks.coordinates, via.c.name.label("via"), they.c.name.label("outcome"))
        .outerjoin_from(Thanks.__table__, via, via.c.id == Thanks.via_id)
        .outerjoin(met, met.c.id == Thanks.outcome_of)
        .outerjoin(they, they.c.id == met.c.person_id)
        .where(Thanks.id == bindparam("number"))
    )


def _pass_on(connection: Connection, meeting: int) -> list[str]:
    """Give who of a meeting has no address: its coordinator is asked to pass thanks on to them."""
    query = select(Person.name).join(Thanks, Thanks.person_id == Person.id).order_by(Thanks.id)
    return list(connection.scalars(query.where(without_address(meeting))))


def without_address(meeting: int) -> ColumnElement[bool]:
    """Say of a thanks and its person that it is open, of this meeting, and without an address to write to."""
    return and_(Thanks.meeting_id == meeting, queries.is_open, Person.email.is_(None))
