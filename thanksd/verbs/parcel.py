"""What `export` wrote, read back and checked record by record, before anything of it is stored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Any, NamedTuple

from thanksd import policy, states
from thanksd.addresses import fold
from thanksd.errors import ConfigError, DataError
from thanksd.forgotten import Hashes
from thanksd.verbs.exporting import FORMAT
from thanksd.verbs.moving import ADOPTED
from thanksd.verbs.records import LINE_LIMIT, TEXT_LIMIT, Record

_RAW_LIMIT = 1 << 20
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9][A-Za-z0-9.-]{0,63}@[A-Za-z0-9.-]{1,253}>")
_UID = re.compile(r"[0-9A-Za-z-]{8,64}")
_HASH = re.compile(r"[0-9a-f]{32}")
_NO_SALT = "0" * 32  # of a program that forgot nobody yet
_GONE = (states.FAILED, states.CANCELLED)
_SETTLED = (states.SENT, *_GONE)
_CLOSED = (states.THANKED, states.WAIVED)
_STORED = (states.OWED, states.SNOOZED, states.CONFIRMED, *_CLOSED)


class Parceled(NamedTuple):
    """One thanks of the file: its own columns, the file's numbers of its people and meeting, and the rows below it.

    `outcome_of` is the uid of the thanks whose outcome it tells.
    """

    values: dict[str, Any]
    person: int
    meeting: int
    via: int | None
    outcome_of: str | None
    promises: list[dict[str, Any]]
    drafts: list[dict[str, Any]]
    letters: list[dict[str, Any]]

    @property
    def is_held(self) -> bool:
        """Whether a letter of it waits for a person."""
        return any(letter["state"] == states.HELD for letter in self.letters)


class Parcel(NamedTuple):
    """A whole file: people, what they care about, and meetings by the numbers it gives them."""

    people: dict[int, dict[str, Any]]
    interests: dict[int, list[dict[str, Any]]]
    meetings: dict[int, dict[str, Any]]
    thanks: list[Parceled]
    bad_addresses: list[dict[str, Any]]
    forgotten: Hashes


def read_parcel(data: dict[str, Any]) -> Parcel:
    """Read what `export` gave.

    Raises ConfigError for a newer program's file, DataError for what is none, and for the first record that is wrong.
    """
    number = data.get("thanksd_export")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise DataError("This is no export of thanksd. Nothing was stored.", "Make one: thanksd export FILE")
    if number > FORMAT:
        raise ConfigError("This was exported by a newer thanksd. Nothing was stored.", "Install that version here too.")
    whole = Record("the file", data)
    named = _named(whole, "people", "person")
    people = {row.number("id"): _person(row) for row in named}
    meetings = {row.number("id"): _meeting(row) for row in _named(whole, "meetings", "meeting")}
    parcel = Parcel(
        people,
        {row.number("id"): _interests(row) for row in named},
        meetings,
        [_thanks(row, people, meetings) for row in _named(whole, "thanks", "thanks")],
        [_bad_address(row) for row in whole.records("bad_addresses")],
        _forgotten(Record("forgotten", data.get("forgotten") or {"salt": _NO_SALT})),
    )
    _refuse_doubles(parcel)
    return parcel


def _named(whole: Record, name: str, word: str) -> list[Record]:
    """Give the records of a list by the numbers they have in the file, none of them twice."""
    rows = whole.records(name)
    for row in rows:
        row.where = f"{word} {row.number('id')}"
    numbers = {row.where for row in rows}
    if len(numbers) < len(rows):
        whole.fail(f"a number is there twice among the {name}")
    return rows


def _person(row: Record) -> dict[str, Any]:
    return {
        "name": row.named("name"),
        "email": row.maybe("email", row.address),
        "lang": row.maybe("lang", lambda name: row.checked(name, policy.known_language)),
        "tz": row.maybe("tz", lambda name: row.checked(name, policy.known_zone)),
        "seniority": row.checked("seniority", policy.known_seniority),
        "replied_at": row.maybe("replied_at", row.moment),
    }


def _interests(row: Record) -> list[dict[str, Any]]:
    found = row.records("interests") if "interests" in row.data else []
    return [{"text": one.text("text", TEXT_LIMIT), "source": one.text("source", TEXT_LIMIT), "at": one.moment("at")}
            for one in found]  # fmt: skip


def _meeting(row: Record) -> dict[str, Any]:
    return {
        "kind": row.checked("kind", policy.known_kind),
        "at": row.moment("at"),
        "tz": row.checked("tz", policy.known_zone),
        "place": row.text("place"),
        "about": row.text("about", TEXT_LIMIT),
        **{name: row.maybe(name, lambda key: row.text(key, TEXT_LIMIT)) for name in ("source", "uid", "recurrence_id")},
    }


def _thanks(row: Record, people: dict[int, Any], meetings: dict[int, Any]) -> Parceled:
    person, meeting, via = row.number("person_id"), row.number("meeting_id"), row.maybe("via_id", row.number)
    if person not in people or meeting not in meetings or (via is not None and via not in people):
        row.fail("its people or its meeting are not in the file")
    letters = [_letter(one) for one in row.records("letters")]
    values = _values(row)
    _check_state(row, values["state"], letters)
    drafts = [] if row.data.get("draft") is None else [_draft(Record(f"{row.where}, draft", row.data["draft"]))]
    outcome_of = row.maybe("outcome_of", row.text)
    promises = [_promise(one) for one in row.records("promises")]
    return Parceled(values, person, meeting, via, outcome_of, promises, drafts, letters)


def _values(row: Record) -> dict[str, Any]:
    state = row.choice("state", _STORED)
    is_open = state not in _CLOSED
    return {
        "uid": row.checked("uid", lambda text: text if _UID.fullmatch(text) else row.fail("uid is none")),
        "state": state,
        "details": row.texts("details"),
        "template": row.maybe("template", row.text),
        **{name: row.moment(name) for name in ("nudge_at", "due_by", "created_at")},
        "popup_at": row.maybe("popup_at", row.moment) if is_open else None,
        "outright": row.flag("outright"),
        "closed_at": None if is_open else row.moment("closed_at"),
        "how": row.maybe("how", lambda name: row.text(name, TEXT_LIMIT)),
        "reason": row.maybe("reason", lambda name: row.text(name, TEXT_LIMIT)),
        "undo_state": row.maybe("undo_state", lambda name: row.choice(name, (states.OWED, states.SNOOZED))),
        "undo_nudge_at": row.maybe("undo_nudge_at", row.moment),
        "practice": row.flag("practice"),
        "coordinates": row.flag("coordinates") if "coordinates" in row.data else False,
    }


def _check_state(row: Record, state: str, letters: Sequence[dict[str, Any]]) -> None:
    """Refuse what the ledger never holds: two letters for one thanks, or a letter that its thanks does not know of."""
    standing = [one["state"] for one in letters if one["state"] not in _GONE]
    if len(standing) > 1:
        row.fail("it has more than one letter")
    if (states.HELD in standing) != (state == states.CONFIRMED):
        row.fail(f"it is {state}, and its letters say otherwise")


def _promise(row: Record) -> dict[str, Any]:
    return {
        "text": row.text("text", TEXT_LIMIT),
        "due": row.maybe("due", row.moment),
        "done_at": row.maybe("done_at", row.moment),
    }


def _draft(row: Record) -> dict[str, Any]:
    return {
        "subject": row.text("subject"),
        "body": row.body("body"),
        "template": row.text("template"),
        "edited": row.flag("edited"),
    }


def _letter(row: Record) -> dict[str, Any]:
    """Read a letter; one that was still to leave is held here, as it may have left there since."""
    state = row.choice("state", states.LETTER_STATES)
    copy = row.maybe("copy", row.text) or ""
    values = {
        "sender": row.address("sender"),
        "to": row.address("to"),
        "subject": row.text("subject"),
        "raw": row.checked("raw", lambda text: _bytes(row, text)),
        "sha256": row.text("sha256"),
        "message_id": row.text("message_id", 2 * LINE_LIMIT),
        "state": state if state in _SETTLED else states.HELD,
        "reason": row.text("reason") if state in _SETTLED else ADOPTED,
        "phase": states.PRE,
        "owner": "",
        "lease_until": None,
        "attempts": row.number("attempts"),
        **{name: row.moment(name) for name in ("confirmed_at", "send_after", "leaves_at")},
        "sent_at": row.moment("sent_at") if state == states.SENT else row.maybe("sent_at", row.moment),
        "settled_at": row.moment("settled_at") if state in _SETTLED else None,
        "server_reply": row.said("server_reply"),
        "copy": copy if copy in (states.COPY_LEFT, states.COPY_FAILED) else "",
        "intent": row.choice("intent", states.INTENTS) if "intent" in row.data else states.INTENTS[0],
    }
    _check_letter(row, values)
    return values


def _bytes(row: Record, text: str) -> bytes:
    if not text.isascii() or len(text) > _RAW_LIMIT:
        row.fail("raw is no letter")
    return text.encode("ascii")


def _check_letter(row: Record, values: dict[str, Any]) -> None:
    """Refuse bytes that are not what they are said to be; of a letter that may still leave, other headers too."""
    if hashlib.sha256(values["raw"]).hexdigest() != values["sha256"]:
        row.fail("its sha256 is not that of its bytes")
    if not _MESSAGE_ID.fullmatch(values["message_id"]):
        row.fail("its Message-ID is none")
    if values["state"] != states.HELD:
        return
    head = BytesHeaderParser().parsebytes(values["raw"])
    for name, wanted in (("From", values["sender"]), ("To", values["to"])):
        if [address for _, address in getaddresses(head.get_all(name, []))] != [wanted]:
            row.fail(f"its {name} is not the one of its envelope")
    if head.get_all("Message-ID") != [values["message_id"]] or head.get_all("Cc") or head.get_all("Bcc"):
        row.fail("its headers are not those of a letter of thanksd")


def _bad_address(row: Record) -> dict[str, Any]:
    return {"email_key": fold(row.address("email_key")), "at": row.moment("at"), "why": row.said("why")}


def _forgotten(row: Record) -> Hashes:
    addresses = [(_hash(one, "hash"), one.moment("at")) for one in row.records("addresses")]
    return Hashes(_hash(row, "salt"), addresses, [])


def _hash(row: Record, name: str) -> str:
    return row.checked(name, lambda text: text if _HASH.fullmatch(text) else row.fail(f"{name} is none"))


def _refuse_doubles(parcel: Parcel) -> None:
    """Refuse what could not be told apart once it is stored."""
    uids = [one.values["uid"] for one in parcel.thanks]
    pairs = [(one.person, one.meeting) for one in parcel.thanks]
    ids = [letter["message_id"] for one in parcel.thanks for letter in one.letters]
    addresses = [fold(one["email"]) for one in parcel.people.values() if one["email"]]
    bad = [one["email_key"] for one in parcel.bad_addresses]
    for what, values in (("thanks", uids), ("thanks of one meeting", pairs), ("letter", ids), ("address", addresses),
                         ("bad address", bad)):  # fmt: skip
        if len(set(values)) < len(values):
            Record("the file", {}).fail(f"one {what} is there twice")
