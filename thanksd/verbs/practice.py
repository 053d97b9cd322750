"""The practice letter: a thanks owed to oneself, on the first day, over the whole real way.

It is added with its popup due at once, is outside every count, and has one popup: left unwritten it stays in the list,
marked, until its owner sends or waives it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from thanksd import ledger, names, queries, states
from thanksd.errors import ConfigError
from thanksd.ledger import Encounter, Owing
from thanksd.models import Draft, Event, Nudge, Thanks
from thanksd.moments import MONTHS, WEEKDAYS, from_iso, local, to_iso
from thanksd.rows import AnySelect
from thanksd.verbs.context import Context
from thanksd.verbs.who import Who, meet

_BEST_BY = timedelta(hours=48)
_UNWRITTEN = (states.OWED, states.DUE, states.SNOOZED)
_DETAIL = "how you try a thing before you trust it"
_SUBJECT = "Thank you for the time on {weekday}"
# Not a template: it is no wording for anybody else, and must not be offered as one.
_BODY = """\
Dear {greeting},

Thank you for the time you took on {weekday}, {date} to set this up. I keep thinking about {detail}.

When you read this in your own inbox, the whole way works: the reminder found you, you opened your letter, one \
key was enough, and it left as you saw it. The next one is for somebody who was kind to you.

With best wishes,
{signature}
"""


def practice(context: Context) -> dict[str, Any]:
    """Owe oneself a thanks whose popup is due now, with its letter written; one that waits already is due again.

    Gives {"thanks": [...], "since": the moment from which practice_steps shall look}. Raises ConfigError without a
    name and an address of one's own.
    """
    me, now = context.config.me, context.now
    if not (me.name and me.email):
        raise ConfigError("The practice letter is to you, and your name or address is not set.", "Set up: thanksd init")
    with context.store.write() as connection:
        number = _waiting(connection, context.owner)
        if number is None:
            number = _owe(connection, context, now)
            _write(connection, context, now, number)
        else:
            ledger.change_thanks(connection, now, number, nudge_at=now, popup_at=now, due_by=now + _BEST_BY)
        found = queries.thanks_by_id(connection, [number], now)
    return {"thanks": found, "since": to_iso(now)}


def _waiting(connection: Connection, owner: str) -> int | None:
    unwritten = Thanks.state.in_((states.OWED, states.SNOOZED))
    query = select(Thanks.id).where(queries.is_open, queries.is_of(owner), Thanks.practice, unwritten)
    return connection.scalar(query.order_by(Thanks.id.desc()).limit(1))


def _owe(connection: Connection, context: Context, now: datetime) -> int:
    me = context.config.me
    person = meet(connection, now, Who(me.name, me.email)).id
    day = now.astimezone(ZoneInfo(context.zone)).date().isoformat()
    meeting = ledger.add_meeting(connection, Encounter("general", now, context.zone, day, "", ""))
    # Asked for this very moment, so neither quiet hours nor a day full of popups puts it off.
    owing = Owing(
        nudge_at=now,
        due_by=now + _BEST_BY,
        popup_at=now,
        outright=True,
        details=[_DETAIL],
        promises=[],
        template=None,
        via_id=None,
        practice=True,
        owner=context.owner,
    )
    return ledger.owe(connection, now, person, meeting, owing)


def _write(connection: Connection, context: Context, now: datetime, number: int) -> None:
    """Store the letter as a draft that a hand was on: it is never rendered anew."""
    me, day = context.config.me, local(now, context.zone)
    person = queries.thanks_by_id(connection, [number], now)[0]["person"]
    said = {
        "greeting": names.greeting(person["name"], person["seniority"]),
        "weekday": WEEKDAYS[day.weekday()],
        "date": f"{day.day} {MONTHS[day.month - 1]}",
        "detail": _DETAIL,
        "signature": me.signature or me.name,
    }
    text = {"subject": _SUBJECT.format_map(said), "body": _BODY.format_map(said).rstrip("\n")}
    connection.execute(insert(Draft).values(thanks_id=number, template="general", edited=True, **text))


def practice_steps(context: Context, thanks: int, since: str) -> dict[str, Any]:
    """Say how far a practice letter came since a moment (ISO 8601, UTC).

    Gives {"popup", "pressed", "review": whether that was seen; "error": why no popup came; "thanks": [...]}.
    """
    start = from_iso(since)
    mine = Nudge.thanks_id == thanks
    with context.store.read() as connection:
        found = queries.thanks_by_id(connection, [thanks], context.now)
        return {
            "popup": _is_there(connection, select(Nudge.id).where(mine, Nudge.shown_at >= start)),
            "pressed": _is_there(
                connection,
                select(Event.id).where(Event.thanks_id == thanks, Event.what == "opened", Event.at >= start),
            ),
            # A screen that shows a letter has prepared it.
            "review": _is_there(
                connection, select(Draft.thanks_id).where(Draft.thanks_id == thanks, Draft.prepared_at >= start)
            )
            or found[0]["state"] not in _UNWRITTEN,
            "error": connection.scalar(select(Nudge.error).where(mine).order_by(Nudge.id.desc()).limit(1)) or "",
            "thanks": found,
        }


def _is_there(connection: Connection, query: AnySelect) -> bool:
    return connection.scalar(query.limit(1)) is not None
