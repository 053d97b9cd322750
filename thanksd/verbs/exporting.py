"""The verb export: everything as plain values, for any other thanksd to take in.

People and meetings are named by their numbers here, which mean nothing elsewhere; thanks by their uid, which is the
same everywhere. What is of this machine alone stays: reminders, attempts, the journal, what was prepared but not sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from thanksd import forgotten, guard, queries
from thanksd.models import BadAddress, Base, Draft, Interest, Letter, Meeting, Person, Promise, Thanks
from thanksd.verbs.context import Context

# The format's number. A reader refuses a higher one, so it grows when a field changes its meaning, not with a new one.
FORMAT = 1

_PERSON = ("id", "name", "email", "lang", "tz", "seniority", "created_at", "replied_at")
_MEETING = ("id", "kind", "at", "tz", "place", "about", "source", "uid", "recurrence_id")
_THANKS = (
    *("id", "uid", "person_id", "meeting_id", "via_id", "state", "details", "template", "nudge_at", "due_by"),
    *("popup_at", "outright", "created_at", "changed_at", "closed_at", "how", "reason", "undo_state", "undo_nudge_at"),
    *("practice", "outcome_of", "coordinates"),
)
_INTEREST = ("person_id", "text", "source", "at")
_PROMISE = ("thanks_id", "text", "due", "done_at")
_DRAFT = ("thanks_id", "subject", "body", "template", "edited")
_LETTER = (
    *("thanks_id", "sender", "to", "subject", "raw", "sha256", "message_id", "state", "reason", "attempts"),
    *("confirmed_at", "send_after", "leaves_at", "sent_at", "settled_at", "server_reply", "copy", "intent"),
)
_BAD_ADDRESS = ("email_key", "at", "why")


def export(context: Context) -> dict[str, Any]:
    """Give all of the ledger; of a shared one the thanks that the user owes, and all that is known of people.

    {"thanksd_export", "ledger", "made_at", "people", "meetings", "thanks", "bad_addresses", "forgotten"}. Each thanks
    has its promises, its draft and its letters, whose bytes are text, as they are all ASCII. Those of somebody who was
    forgotten stay here; the hashes of such addresses go along.
    """
    with context.store.read() as connection:
        known = forgotten.read(connection)
        return {
            "thanksd_export": FORMAT,
            "ledger": guard.row_of(connection).uid,
            "made_at": _plain(context.now),
            "people": _people(connection),
            "meetings": _rows(connection, Meeting, _MEETING),
            "thanks": _thanks(connection, context.owner),
            "bad_addresses": _rows(connection, BadAddress, _BAD_ADDRESS),
            "forgotten": {
                "salt": known.salt,
                "addresses": [{"hash": number, "at": _plain(at)} for number, at in known.addresses],
            },
        }


def _people(connection: Connection) -> list[dict[str, Any]]:
    interests: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(connection, Interest, _INTEREST):
        interests[row.pop("person_id")].append(row)
    return [row | {"interests": interests[row["id"]]} for row in _rows(connection, Person, _PERSON)]


def _thanks(connection: Connection, owner: str) -> list[dict[str, Any]]:
    promises, drafts, letters = (
        _by_thanks(_rows(connection, noun, names))
        for noun, names in ((Promise, _PROMISE), (Draft, _DRAFT), (Letter, _LETTER))
    )
    uids = {row.id: row.uid for row in connection.execute(select(Thanks.id, Thanks.uid))}
    return [
        row
        | {
            "outcome_of": uids.get(row["outcome_of"]),
            "promises": promises[row["id"]],
            "draft": next(iter(drafts[row["id"]]), None),
            "letters": letters[row["id"]],
        }
        for row in _rows(connection, Thanks, _THANKS, queries.is_of(owner))
        if row["person_id"] is not None
    ]


def _by_thanks(rows: list[dict[str, Any]]) -> defaultdict[int, list[dict[str, Any]]]:
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.pop("thanks_id")].append(row)
    return found


def _rows(
    connection: Connection, noun: type[Base], names: Sequence[str], which: ColumnElement[bool] | None = None
) -> list[dict[str, Any]]:
    query = select(*(getattr(noun, name) for name in names)).order_by(*noun.__table__.primary_key)
    query = query if which is None else query.where(which)
    return [dict(zip(names, map(_plain, row), strict=True)) for row in connection.execute(query)]


def _plain(value: object) -> Any:  # noqa: ANN401  JSON
    """Give a value as JSON has it; moments to the microsecond, as their order counts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return value.decode("ascii") if isinstance(value, bytes) else value
