"""What a nudge is about: a thanks to give, a letter that was refused or is held, a password that is needed.

And which popups stand on the screen for which thanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, select

from thanksd import states
from thanksd.channels import Popup, popups
from thanksd.models import Letter, Meeting, Nudge, Person, Thanks
from thanksd.moments import say_left, say_short
from thanksd.rows import AnyRow
from thanksd.transports import describe
from thanksd.verbs.context import Context

THANKS, REFUSED, HELD, PASSWORD = "thanks", "refused", "held", "password"
# A letter that is on its way again by itself: whatever its owner was to be told of it has been mended.
NOTHING = ""


class Due(NamedTuple):
    """One thanks whose popup is due, with what its words need."""

    thanks: int
    popup_at: datetime
    due_by: datetime
    outright: bool
    name: str
    kind: str
    at: datetime
    tz: str
    details: list[str]
    occasion: str
    letter: AnyRow | None


def read(connection: Connection, which: ColumnElement[bool]) -> list[Due]:
    """Give the due ones, the one due longest first."""
    query = (
        select(Thanks.id.label("thanks"), Thanks.popup_at, Thanks.due_by, Thanks.outright, Thanks.details, Thanks.state,
               Person.name, Meeting.kind, Meeting.at, Meeting.tz)
        .join_from(Thanks, Person, Thanks.person_id == Person.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
        .where(which)
        .order_by(Thanks.due_by, Thanks.id)
    )  # fmt: skip
    found = []
    for row in connection.execute(query).all():
        letter = _letter(connection, row.thanks)
        facts = {name: getattr(row, name) for name in Due._fields[:-2]}
        found.append(Due(**facts, occasion=_occasion(row.state, letter), letter=letter))
    return found


def _letter(connection: Connection, thanks: int) -> AnyRow | None:
    query = select(Letter.state, Letter.reason, Letter.to, Letter.server_reply).where(Letter.thanks_id == thanks)
    return connection.execute(query.order_by(Letter.id.desc()).limit(1)).one_or_none()


def _occasion(state: str, letter: AnyRow | None) -> str:
    if letter is None:
        return THANKS
    if state == states.CONFIRMED and letter.state == states.HELD:
        return HELD
    if state == states.CONFIRMED:
        return PASSWORD if letter.reason in (states.CREDENTIALS, states.PASSWORD) else NOTHING
    return REFUSED if letter.state == states.FAILED else THANKS


def words(context: Context, now: datetime, group: list[Due], ids: list[int], old: Old) -> dict[str, Any]:
    """Give one nudge as plain values: its rows' ids, its popup, and the same as one line for a terminal."""
    popup = _popup(context, now, group)._replace(replaces=old.popup_id, server=old.server)
    command = popup.fallback.removeprefix("Run: ")
    return {
        "ids": ids,
        "thanks": [one.thanks for one in group],
        "occasion": group[0].occasion,
        "popup": popup._asdict() | {"buttons": [list(button) for button in popup.buttons]},
        "line": popups.line(popup, command),
    }


def _popup(context: Context, now: datetime, group: list[Due]) -> Popup:
    first = group[0]
    if first.occasion == HELD:
        return popups.held_popup(first.thanks, first.name)
    if first.occasion == PASSWORD:
        return popups.password_popup(
            describe(context.config.transport),
            len(group),
            refused=any(one.letter is not None and one.letter.reason == states.CREDENTIALS for one in group),
        )
    if first.occasion == REFUSED and first.letter is not None:
        return popups.refused_popup(first.thanks, first.name, first.letter.to, first.letter.server_reply)
    if len(group) > 1:
        late = say_left(first.due_by, now)
        return popups.digest_popup([one.name for one in group], late if late.startswith("late") else "")
    late = say_left(first.due_by, now)
    best_by = late if late.startswith("late") else say_short(first.due_by, now, context.zone)
    detail = first.details[0] if first.details else ""
    return popups.thanks_popup(
        first.thanks, first.name, first.kind, say_short(first.at, now, first.tz), detail, best_by
    )


def names(connection: Connection, thanks: Sequence[int]) -> list[str]:
    """Give the names of those who are owed these thanks."""
    query = select(Person.name).join(Thanks, Thanks.person_id == Person.id).where(Thanks.id.in_(thanks))
    return list(connection.scalars(query.order_by(Thanks.id)))


class Old(NamedTuple):
    """The popup that a new one takes the place of."""

    popup_id: int
    server: str


def old_popup(connection: Connection, thanks: list[int]) -> Old:
    """Give the newest popup still on the screen that speaks of these thanks and of no other that waits."""
    query = select(Nudge.popup_id, Nudge.server, Nudge.thanks_id, Nudge.answered_at).where(is_standing())
    rows = connection.execute(query.order_by(Nudge.id.desc())).all()
    others = {(row.popup_id, row.server) for row in rows if row.thanks_id not in thanks and row.answered_at is None}
    mine = [Old(row.popup_id, row.server) for row in rows if row.thanks_id in thanks]
    return next((old for old in mine if old not in others), Old(0, ""))


def is_standing() -> ColumnElement[bool]:
    """Say of a nudge that its popup is on the screen, as far as is known."""
    return and_(Nudge.popup_id.is_not(None), Nudge.closed_at.is_(None), Nudge.withdrawn_at.is_(None))


def is_popup(popup_id: int | None, server: str) -> ColumnElement[bool]:
    """Say of a nudge that this is its popup: ids mean nothing to another server."""
    return and_(Nudge.popup_id == popup_id, Nudge.server == server)


def on_popup(connection: Connection, popup_id: int, server: str) -> list[AnyRow]:
    """Give the nudges that a popup speaks of now: one that replaced another has its id."""
    query = select(Nudge.thanks_id, Nudge.answered_at, Nudge.occasion, Nudge.shown_at)
    shown = query.where(is_popup(popup_id, server), Nudge.withdrawn_at.is_(None))
    rows = connection.execute(shown.order_by(Nudge.shown_at.desc())).all()
    return [row for row in rows if row.shown_at == rows[0].shown_at]
