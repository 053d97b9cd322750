"""What a template and the etiquette check may know of one thanks: plain dicts, built from the store and the config."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from thanksd import etiquette, policy, timing
from thanksd.models import Person, Thanks
from thanksd.moments import MONTHS, WEEKDAYS, from_iso, local
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import Towards, rule_for

if TYPE_CHECKING:
    from thanksd.etiquette import Facts


def facts_of(connection: Connection, context: Context, item: dict[str, Any], leaves: datetime) -> Facts:
    """Give the facts of one thanks as its note would state them when it leaves at `leaves` (UTC)."""
    person, meeting, me = item["person"], item["meeting"], context.config.me
    at = local(from_iso(meeting["at"]), meeting["tz"])
    rule = _rule_of(context, item)
    return {
        "me": {"name": me.name, "email": me.email, "signature": me.signature or me.name},
        "person": {
            "name": person["name"],
            "email": person["email"] or "",
            "lang": person["lang"] or me.language,
            "seniority": person["seniority"],
        },
        "meeting": {
            "kind": meeting["kind"],
            "weekday": WEEKDAYS[at.weekday()],
            "date": f"{at.day} {MONTHS[at.month - 1]}",
            "place": meeting["place"] or "",
            "about": meeting["about"] or "",
        },
        "details": item["details"],
        "promises": [_promise(one, context.zone) for one in item["promises"] if one["done_at"] is None],
        "others": _others(connection, item),
        "via": _via(connection, item["id"]),
        "days_since": max((local(leaves, meeting["tz"]).date() - at.date()).days, 0),
        "belated": leaves > timing.late_from(rule, from_iso(meeting["at"]), from_iso(item["due_by"])),
        "variant": 1,
        "fitting": etiquette.fitting(rule, person["name"]),
    }


def template_for(context: Context, item: dict[str, Any]) -> str:
    """Give the name of the template that is fitting for a thanks."""
    return _rule_of(context, item).template


def _rule_of(context: Context, item: dict[str, Any]) -> policy.Rule:
    person = item["person"]
    who = Towards(person["lang"] or "", person["tz"] or "", person["seniority"])
    return rule_for(context, item["meeting"]["kind"], who)


def _promise(promise: dict[str, Any], zone: str) -> Any:  # noqa: ANN401  a TypedDict of etiquette's
    if promise["due"] is None:
        return {"text": promise["text"], "due": ""}
    due = local(from_iso(promise["due"]), zone)
    return {"text": promise["text"], "due": f"{WEEKDAYS[due.weekday()]}, {due.day} {MONTHS[due.month - 1]}"}


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
