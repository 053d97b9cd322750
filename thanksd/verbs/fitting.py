"""What is fitting for one person: the policy's row with the user's own fields, and the moments that follow from it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, select

from thanksd import journal, ledger, policy, states, timing, when
from thanksd.models import Meeting, Person, Thanks
from thanksd.moments import to_iso
from thanksd.verbs.again import next_popup, out_of_quiet
from thanksd.verbs.context import Context

_A_DAY, _A_WEEK = timedelta(days=1), timedelta(days=7)


class Towards(NamedTuple):
    """What of a person decides what is fitting; empty where nothing was noted."""

    lang: str = ""
    tz: str = ""
    seniority: str = ""


def known(connection: Connection, person: int) -> Towards:
    """Give what the ledger knows of a person."""
    query = select(Person.lang, Person.tz, Person.seniority).where(Person.id == person)
    return Towards(*(value or "" for value in connection.execute(query).one()))


def rule_for(context: Context, kind: str, who: Towards) -> policy.Rule:
    """Give the row for a kind and a person; without a language of their own they are written to in the user's."""
    own = context.config.kind.get(kind)
    return policy.rule(kind, who.lang or context.config.me.language, who.seniority, asdict(own) if own else {})


def schedule(context: Context, kind: str, at: datetime, who: Towards) -> tuple[datetime, datetime]:
    """Give (nudge_at, due_by) in UTC of a meeting at `at`, on the clock where the person lives, if that is known."""
    return timing.schedule(rule_for(context, kind, who), at, who.tz or context.zone)


def first_moments(
    context: Context, now: datetime, kind: str, at: datetime, after: str, who: Towards
) -> tuple[datetime, datetime, datetime, bool]:
    """Give nudge_at, due_by, popup_at (UTC), and whether the user named the moment outright.

    A pause that runs moves best-by along, as who stores it must see to: `timing.due_in_pause`.
    """
    nudge_at, due_by = schedule(context, kind, at, who)
    if after:
        nudge_at = when.parse_delay(after, now, context.zone, base=max(at, now))
    popup_at = timing.first_popup(
        nudge_at,
        now,
        context.zone,
        timing.parse_quiet(context.config.nudge.quiet_hours),
        weekdays_only=context.config.nudge.weekdays_only,
        outright=bool(after),
    )
    return nudge_at, due_by, popup_at, bool(after)


def promise_popup(context: Context, now: datetime, due: datetime | None) -> datetime:
    """Give when to nudge about a promise: a day before its own, or a week after it was made; out of quiet hours."""
    moment = now + _A_WEEK if due is None else max(due - _A_DAY, min(due, now + _A_DAY))
    return out_of_quiet(context, max(moment, now))


def follow(connection: Connection, context: Context, now: datetime, person: int, before: Towards) -> None:
    """Let the moments of what is still owed to a person follow what is known of them now, and was not `before`.

    What the user named outright or snoozed stays where they put it, and so does what a pause added.
    """
    after = known(connection, person)
    if after == before:
        return
    columns = (Thanks.id, Thanks.nudge_at, Thanks.due_by, Meeting.kind, Meeting.at)
    query = select(*columns).join_from(Thanks, Meeting, Thanks.meeting_id == Meeting.id)
    owed = (Thanks.person_id == person, Thanks.state == states.OWED, Thanks.outright.is_(False))
    for row in connection.execute(query.where(*owed)).all():
        was, becomes = (schedule(context, row.kind, row.at, who) for who in (before, after))
        if was != becomes:
            moved = [
                old + (new - then) for old, new, then in zip((row.nudge_at, row.due_by), becomes, was, strict=True)
            ]
            _move(connection, context, now, row.id, *moved)


def _move(
    connection: Connection, context: Context, now: datetime, thanks: int, nudge_at: datetime, due_by: datetime
) -> None:
    popup_at = next_popup(context, now, nudge_at)
    ledger.change_thanks(connection, now, thanks, nudge_at=nudge_at, due_by=due_by, popup_at=popup_at)
    journal.record(connection, now, thanks, "rescheduled", nudge_at=to_iso(nudge_at), due_by=to_iso(due_by))
