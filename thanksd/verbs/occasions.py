"""What a nudge is about: a thanks to give; a letter that was refused, is held or did not leave; a password.

And which popups stand on the screen for which thanks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from thanksd import providers, states
from thanksd.channels import Popup, popups
from thanksd.config import Transport
from thanksd.models import Letter, Meeting, Nudge, Person, Thanks
from thanksd.moments import WEEKDAYS, from_iso, local, say_left, say_short
from thanksd.rows import AnyRow
from thanksd.transports import describe
from thanksd.verbs.context import Context

THANKS, REFUSED, STALE, PASSWORD = "thanks", "refused", "stale", "password"
HELD, HANDED_OFF, ADOPTED = "held", states.HANDED_OFF, states.ADOPTED
# About no thanks: the weekly question, and what was promised.
ASK, PROMISE = "ask", "promise"
_SIX = 6
# A letter that is on its way again by itself: whatever its owner was to be told of it has been mended.
NOTHING = ""


class Due(NamedTuple):
    """One thanks whose popup is due, with what its words need, and the channel that is to show it."""

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
    channel: str = ""


def read(connection: Connection, which: ColumnElement[bool]) -> list[Due]:
    """Give the due ones, the one due longest first."""
    query = (
        select(Thanks.id.label("thanks"), Thanks.popup_at, Thanks.due_by, Thanks.outright, Person.name, Meeting.kind,
               Meeting.at, Meeting.tz, Thanks.details, Thanks.state)
        .join_from(Thanks, Person, Thanks.person_id == Person.id)
        .join(Meeting, Thanks.meeting_id == Meeting.id)
        .where(which)
        .order_by(Thanks.due_by, Thanks.id)
    )  # fmt: skip
    letters, found = _letters(connection, which), []
    for row in connection.execute(query):
        letter = letters.get(row.thanks)
        # The columns are Due's fields, in its order.
        found.append(Due._make((*tuple(row)[:-1], _occasion(row.state, letter), letter, "")))
    return found


def _letters(connection: Connection, which: ColumnElement[bool]) -> dict[int, AnyRow]:
    """Give the newest letter of each of these thanks that has one."""
    theirs = Letter.thanks_id.in_(select(Thanks.id).where(which))
    newest = select(func.max(Letter.id)).where(theirs).group_by(Letter.thanks_id)
    columns = (Letter.thanks_id, Letter.state, Letter.reason, Letter.to, Letter.server_reply, Letter.leaves_at)
    return {row.thanks_id: row for row in connection.execute(select(*columns).where(Letter.id.in_(newest)))}


def _occasion(state: str, letter: AnyRow | None) -> str:
    if letter is None:
        return THANKS
    if state == states.CONFIRMED and letter.state == states.HELD:
        return str(letter.reason) if letter.reason in (HANDED_OFF, ADOPTED) else HELD
    if state == states.CONFIRMED:
        return PASSWORD if letter.reason in (states.CREDENTIALS, states.PASSWORD) else NOTHING
    if letter.state == states.FAILED and letter.reason != states.BOUNCED:
        return REFUSED
    return STALE if letter.state == states.CANCELLED and letter.reason == states.STALE else THANKS


def words(context: Context, now: datetime, group: list[Due], ids: list[int], old: Old) -> dict[str, Any]:
    """Give one nudge as plain values: its rows' ids, its popup, and the same as one line for a terminal."""
    first = group[0]
    return plain(_popup(context, now, group), ids, [one.thanks for one in group], (first.occasion, first.channel), old)


def plain(popup: Popup, ids: list[int], thanks: list[int], goes: tuple[str, str], old: Old) -> dict[str, Any]:
    """Give a popup that takes the place of an `old` one, with what it is about, as plain values.

    `goes` is its occasion and its channel.
    """
    popup = popup._replace(replaces=old.popup_id, server=old.server)
    command = popup.fallback.removeprefix("Run: ")
    return {
        "ids": ids,
        "thanks": thanks,
        "occasion": goes[0],
        "channel": goes[1],
        "tells": "",
        "popup": popup._asdict() | {"buttons": [list(button) for button in popup.buttons]},
        "line": popups.line(popup, command),
    }


def _popup(context: Context, now: datetime, group: list[Due]) -> Popup:
    first = group[0]
    if first.occasion == PASSWORD:
        return popups.password_popup(
            account(context.config.transport),
            len(group),
            refused=any(one.letter is not None and one.letter.reason == states.CREDENTIALS for one in group),
        )
    if len(group) > 1:
        late = say_left(first.due_by, now)
        return popups.digest_popup([one.name for one in group], late if late.startswith("late") else "")
    if first.letter is not None and first.occasion != THANKS:
        return _letter_popup(context, now, first, first.letter)
    late = say_left(first.due_by, now)
    best_by = late if late.startswith("late") else say_short(first.due_by, now, context.zone)
    detail = first.details[0] if first.details else ""
    return popups.thanks_popup(
        first.thanks, first.name, first.kind, _say_near(first.at, now, first.tz), detail, best_by
    )


def _letter_popup(context: Context, now: datetime, one: Due, letter: AnyRow) -> Popup:
    """Give the popup of one thanks whose letter has a word to say."""
    if one.occasion == REFUSED:
        about_address = letter.reason == states.ADDRESS
        return popups.refused_popup(one.thanks, one.name, letter.to, letter.server_reply, about_address=about_address)
    if one.occasion == STALE:
        return popups.stale_popup(one.thanks, one.name, _say_near(letter.leaves_at, now, context.zone))
    kinds = {HANDED_OFF: popups.handed_off_popup, ADOPTED: popups.adopted_popup}
    return kinds.get(one.occasion, popups.held_popup)(one.thanks, one.name)


def _say_near(moment: datetime, now: datetime, zone: str) -> str:
    """Say a moment with its weekday alone, as for one to come, also where it was in the last six days."""
    here = local(moment, zone)
    days = (local(now, zone).date() - here.date()).days
    return f"{WEEKDAYS[here.weekday()][:3]} {here:%H:%M}" if 0 < days <= _SIX else say_short(moment, now, zone)


def note_sick(context: Context, now: datetime, nudges: list[dict[str, Any]], sick: Mapping[str, str]) -> None:
    """Let the first nudge that comes on another channel say since when one could not be reached, for each a nudge.

    `tells` of the nudge is that channel.
    """
    untold = dict(sick)
    for nudge in nudges:
        others = {name: since for name, since in untold.items() if name != nudge["channel"]}
        if others and nudge["channel"] != "terminal":
            name = min(others, key=others.__getitem__)
            since = _say_since(from_iso(untold.pop(name)), now, context.zone)
            nudge["popup"]["note"], nudge["tells"] = popups.sick_note(name, since), name


def _say_since(moment: datetime, now: datetime, zone: str) -> str:
    here = local(moment, zone)
    return f"{here:%H:%M}" if here.date() == local(now, zone).date() else _say_near(moment, now, zone)


def account(transport: Transport) -> str:
    """Say by whom letters leave: the provider's name where it is known, else the server's or the folder's."""
    provider = providers.by_host(transport.smtp.host) if transport.kind == "smtp" else None
    return provider.name if provider is not None else describe(transport)


def names(connection: Connection, thanks: Sequence[int]) -> list[str]:
    """Give the names of those who are owed these thanks."""
    query = select(Person.name).join(Thanks, Thanks.person_id == Person.id).where(Thanks.id.in_(thanks))
    return list(connection.scalars(query.order_by(Thanks.id)))


class Old(NamedTuple):
    """The popup that a new one takes the place of."""

    popup_id: int
    server: str


def old_popup(connection: Connection, seat: str, thanks: list[int]) -> Old:
    """Give the newest popup still on the screen that speaks of these thanks and of no other that waits."""
    query = select(Nudge.popup_id, Nudge.server, Nudge.thanks_id, Nudge.answered_at).where(is_standing(seat))
    rows, these = connection.execute(query.order_by(Nudge.id.desc())).all(), set(thanks)
    others = {(row.popup_id, row.server) for row in rows if row.thanks_id not in these and row.answered_at is None}
    mine = [Old(row.popup_id, row.server) for row in rows if row.thanks_id in these]
    return next((old for old in mine if old not in others), Old(0, ""))


def is_standing(seat: str) -> ColumnElement[bool]:
    """Say of a nudge that its popup is on the screen at this seat, as far as is known."""
    stands = and_(Nudge.popup_id.is_not(None), Nudge.closed_at.is_(None), Nudge.withdrawn_at.is_(None))
    return and_(Nudge.seat == seat, stands)


def is_popup(seat: str, popup_id: int | None, server: str) -> ColumnElement[bool]:
    """Say of a nudge that this is its popup: ids mean nothing to another server, or at another seat."""
    return and_(Nudge.seat == seat, Nudge.popup_id == popup_id, Nudge.server == server)


def on_popup(connection: Connection, seat: str, popup_id: int, server: str) -> list[AnyRow]:
    """Give the nudges that a popup speaks of now: one that replaced another has its id."""
    query = select(Nudge.thanks_id, Nudge.answered_at, Nudge.occasion, Nudge.shown_at)
    shown = query.where(is_popup(seat, popup_id, server), Nudge.withdrawn_at.is_(None))
    rows = connection.execute(shown.order_by(Nudge.shown_at.desc())).all()
    return [row for row in rows if row.shown_at == rows[0].shown_at]
