"""The verb take_in: what another ledger exported becomes part of this one, all of it or nothing; twice is harmless.

A thanks is known by its uid. One that is not known is added; one that is known stays as it is here, unless the file
knows that it is thanked: then it is thanked here too. A letter that was still to leave there is held here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select, update

from thanksd import forgotten, queries, states
from thanksd.addresses import fold
from thanksd.errors import DataError
from thanksd.models import BadAddress, Base, Draft, Event, Interest, Letter, Meeting, Person, Promise, Thanks
from thanksd.rows import AnyRow
from thanksd.verbs.context import Context
from thanksd.verbs.fitting import promise_popup
from thanksd.verbs.moving import Thanked, learn
from thanksd.verbs.parcel import Parcel, Parceled, read_parcel

_AT_ONCE = 500
_CALENDAR = ("source", "uid", "recurrence_id")


class _Here(NamedTuple):
    """What the file's numbers of people and meetings are in this ledger; `fresh` are those of meetings just added."""

    people: dict[int, int]
    meetings: dict[int, int]
    fresh: set[int]


def take_in(context: Context, parcel: dict[str, Any]) -> dict[str, Any]:
    """Add what `export` gave elsewhere.

    Gives {"new": how many thanks, "known": how many were here, "forgotten": how many are of somebody who was forgotten
    here and stay out, "left_out": how many hashes of forgotten addresses can't be taken over, "thanks": those of the
    letters held, "learned": those that are known to be thanked now}. Raises ConfigError for a newer program's file,
    DataError naming the record that is wrong.
    """
    found, now = read_parcel(parcel), context.now
    told = {one.values["uid"]: _as_thanked(one) for one in found.thanks if one.values["state"] == states.THANKED}
    with context.store.write() as connection:
        known = _known(connection, [one.values["uid"] for one in found.thanks])
        new = [one for one in found.thanks if one.values["uid"] not in known]
        new, skipped = _without_forgotten(connection, found, new)
        here = _match(connection, now, found, known, new)
        new = [one for one in new if not _is_here(connection, here, one)]
        _refuse_known_letters(connection, new)
        numbers = _add(connection, context, now, here, new)
        _link_outcomes(connection, dict(zip(numbers, new, strict=True)))
        held = [number for number, one in zip(numbers, new, strict=True) if one.is_held]
        learned = learn(connection, now, told, "an import")
        _add_bad_addresses(connection, found)
        return {
            "new": len(new),
            "known": len(found.thanks) - len(new) - skipped,
            "forgotten": skipped,
            "left_out": forgotten.take_over(connection, found.forgotten),
            "thanks": queries.thanks_by_id(connection, held, now),
            "learned": queries.thanks_by_id(connection, learned, now),
            "zone": context.zone,
        }


def _as_thanked(one: Parceled) -> Thanked:
    sent = {row["message_id"]: row["sent_at"] for row in one.letters if row["state"] == states.SENT}
    return Thanked(one.values["how"] or "otherwise", sent)


def _known(connection: Connection, uids: list[str]) -> dict[str, AnyRow]:
    found: dict[str, AnyRow] = {}
    for start in range(0, len(uids), _AT_ONCE):
        some = Thanks.uid.in_(uids[start : start + _AT_ONCE])
        query = select(Thanks.uid, Thanks.person_id, Thanks.meeting_id).where(some)
        found |= {row.uid: row for row in connection.execute(query)}
    return found


def _without_forgotten(connection: Connection, parcel: Parcel, new: Sequence[Parceled]) -> tuple[list[Parceled], int]:
    """Leave out the thanks of people who were forgotten here, also as who brought others together; give how many.

    Somebody who was added again since, by their own will, is known here, and is not left out.
    """
    emails = {number: facts["email"] for number, facts in parcel.people.items() if facts["email"]}
    alone = forgotten.addresses_among(connection, emails.values())
    back = {email for email in alone if queries.person_with_email(connection, email) is not None}
    gone = {number for number, email in emails.items() if email in alone - back}
    uids = forgotten.uids_among(connection, [one.values["uid"] for one in new])
    gone |= {one.person for one in new if one.values["uid"] in uids and emails.get(one.person) not in back}
    stay = [
        one._replace(via=None) if one.via in gone else one
        for one in new
        if one.person not in gone and one.values["uid"] not in uids
    ]
    return stay, len(new) - len(stay)


def _match(
    connection: Connection, now: datetime, parcel: Parcel, known: Mapping[str, AnyRow], new: Sequence[Parceled]
) -> _Here:
    """Find whom and which meetings the new thanks are about, first by thanks that both ledgers have; add the others."""
    here = _Here({}, {}, set())
    for one in parcel.thanks:
        row = known.get(one.values["uid"])
        if row is not None:
            here.people[one.person] = row.person_id
            here.meetings[one.meeting] = row.meeting_id
    people = [number for one in new for number in (one.person, one.via) if number is not None]
    _match_people(connection, here.people, {number: parcel.people[number] for number in people})
    strangers = [number for number in dict.fromkeys(people) if number not in here.people]
    _add_people(connection, now, here.people, {number: parcel.people[number] for number in people})
    interests = [{**one, "person_id": here.people[number]} for number in strangers for one in parcel.interests[number]]
    if interests:
        connection.execute(insert(Interest), interests)
    meetings = {one.meeting: parcel.meetings[one.meeting] for one in new if one.meeting not in here.meetings}
    _add_meetings(connection, here, meetings)
    return here


def _match_people(connection: Connection, here: dict[int, int], wanted: Mapping[int, Mapping[str, Any]]) -> None:
    """Find people by address, else by name where neither has one. Two of one name in the file stay two."""
    by_address: dict[str, int] = {}
    nameless: defaultdict[str, list[int]] = defaultdict(list)
    taken = set(here.values())
    for row in connection.execute(select(Person.id, Person.name_key, Person.email_key).order_by(Person.id.desc())):
        if row.email_key is not None:
            by_address[row.email_key] = row.id
        elif row.id not in taken:
            nameless[row.name_key].append(row.id)
    for number, facts in wanted.items():
        same = nameless[fold(facts["name"])]
        found = by_address.get(fold(facts["email"])) if facts["email"] else None
        if number not in here and (found or (same and not facts["email"])):
            here[number] = found or same.pop()


def _add_people(
    connection: Connection, now: datetime, here: dict[int, int], wanted: Mapping[int, Mapping[str, Any]]
) -> None:
    new = {number: facts for number, facts in wanted.items() if number not in here}
    rows = [
        {
            **facts,
            "name_key": fold(facts["name"]),
            "email_key": fold(facts["email"]) if facts["email"] else None,
            "created_at": now,
        }
        for facts in new.values()
    ]
    here |= zip(new, _add_rows(connection, Person, rows), strict=True)


def _add_meetings(connection: Connection, here: _Here, wanted: Mapping[int, Mapping[str, Any]]) -> None:
    """Add meetings, but for those that came from the same calendar."""
    for number, facts in wanted.items():
        if facts["uid"] is not None:
            same = select(Meeting.id).where(*(getattr(Meeting, name) == facts[name] for name in _CALENDAR))
            found = connection.scalar(same)
            here.meetings.update({} if found is None else {number: found})
    new = {number: facts for number, facts in wanted.items() if number not in here.meetings}
    rows = [
        {**facts, "day": facts["at"].astimezone(ZoneInfo(facts["tz"])).date().isoformat()} for facts in new.values()
    ]
    here.meetings.update(zip(new, _add_rows(connection, Meeting, rows), strict=True))
    here.fresh.update(new)


def _is_here(connection: Connection, here: _Here, one: Parceled) -> bool:
    """Say whether both ledgers had this thanks from one calendar, each under a uid of its own."""
    if one.meeting in here.fresh:
        return False
    same = (Thanks.person_id == here.people[one.person], Thanks.meeting_id == here.meetings[one.meeting])
    return connection.execute(select(Thanks.id).where(*same)).first() is not None


def _refuse_known_letters(connection: Connection, new: Sequence[Parceled]) -> None:
    """Refuse a letter under a thanks of its own that is here under another one: one of the two was made up."""
    ids = [letter["message_id"] for one in new for letter in one.letters]
    for start in range(0, len(ids), _AT_ONCE):
        some = Letter.message_id.in_(ids[start : start + _AT_ONCE])
        found = connection.scalar(select(Letter.message_id).where(some).limit(1))
        if found is not None:
            raise DataError(f"The letter {found} is another thanks' here. Nothing was stored.", "Export it again.")


def _add(connection: Connection, context: Context, now: datetime, here: _Here, new: Sequence[Parceled]) -> list[int]:
    """Store thanks with all that is below them as the user's, and give their numbers."""
    owner = context.owner
    numbers = _add_rows(connection, Thanks, [_row(now, here, one) | {"owner": owner} for one in new])
    below: tuple[tuple[type[Base], list[list[dict[str, Any]]]], ...] = (
        (Promise, [[_asked_for(context, now, promise) for promise in one.promises] for one in new]),
        (Draft, [one.drafts for one in new]),
        (Letter, [one.letters for one in new]),
        (Event, [[{"at": now, "what": "imported", "data": {}}] for _ in new]),
    )
    for noun, lists in below:
        whose = {"writer": owner} if noun is Letter else {}
        mine = zip(numbers, lists, strict=True)
        rows = [{**row, **whose, "thanks_id": number} for number, own in mine for row in own]
        if rows:
            connection.execute(insert(noun), rows)
    return numbers


def _asked_for(context: Context, now: datetime, promise: dict[str, Any]) -> dict[str, Any]:
    """Give a promise that is nudged about here as one that was added here."""
    is_kept = promise["done_at"] is not None
    return {**promise, "popup_at": None if is_kept else promise_popup(context, now, promise["due"])}


def _link_outcomes(connection: Connection, new: Mapping[int, Parceled]) -> None:
    """Let each thanks that tells what came of another know that one's number here."""
    for number, one in new.items():
        if one.outcome_of:
            told = select(Thanks.id).where(Thanks.uid == one.outcome_of).scalar_subquery()
            connection.execute(update(Thanks).where(Thanks.id == number).values(outcome_of=told))


def _row(now: datetime, here: _Here, one: Parceled) -> dict[str, Any]:
    links = {"person_id": here.people[one.person], "meeting_id": here.meetings[one.meeting]}
    via = None if one.via is None else here.people[one.via]
    popup = {"popup_at": now} if one.is_held else {}
    return {**one.values, **links, **popup, "via_id": via, "changed_at": now}


def _add_rows(connection: Connection, noun: type[Person | Meeting | Thanks], rows: list[dict[str, Any]]) -> list[int]:
    """Store many rows at once, and give their numbers in this order."""
    if not rows:
        return []
    return list(connection.scalars(insert(noun).returning(noun.id, sort_by_parameter_order=True), rows))


def _add_bad_addresses(connection: Connection, parcel: Parcel) -> None:
    known = set(connection.scalars(select(BadAddress.email_key)))
    known |= forgotten.addresses_among(connection, [row["email_key"] for row in parcel.bad_addresses])
    new = [row for row in parcel.bad_addresses if row["email_key"] not in known]
    if new:
        connection.execute(insert(BadAddress), new)
