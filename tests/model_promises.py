"""The promises as sentences about a ledger: what must hold of its rows at any moment, and from one moment to the next."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from model_rigs import Rows, Server

from thanksd import states

Row = dict[str, Any]


@dataclass
class Memory:
    """What a person knows they did, whatever the ledger says: kept beside it.

    `thanks` are the numbers that must be there, with their uid, or None where somebody was forgotten. `asked` are the letters (sha256) that were confirmed.
    By Message-ID: how often a person said that a held letter is to be sent again, and of which they said it was sent.
    """

    thanks: dict[int, str | None] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    resends: Counter[str] = field(default_factory=Counter)
    said_sent: set[str] = field(default_factory=set)


def check_moment(rows: Rows, memory: Memory, server: Server) -> None:
    """Assert what holds at any moment."""
    found = {row["id"]: row["uid"] if row["person_id"] is not None else None for row in rows["thanks"]}
    assert found == memory.thanks, "no thanks is lost"
    letters, attempts = _by(rows["letter"], "thanks_id"), _by(rows["attempt"], "letter_id")
    for thanks in rows["thanks"]:
        _check_thanks(thanks, letters.get(thanks["id"], []))
    for letter in rows["letter"]:
        _check_letter(letter, attempts.get(letter["id"], []), memory, server)
    check_server(memory, server)


def check_server(memory: Memory, server: Server) -> None:
    """Assert that what arrived is what was confirmed, and arrived once."""
    for message_id, times in (server.letters + server.copies).items():
        most = 1 + memory.resends[message_id]
        assert server.letters[message_id] <= most, (message_id, times)
        assert server.copies[message_id] <= most, (message_id, times)
        assert len(server.sha256[message_id]) == 1, message_id
        assert server.sha256[message_id] <= memory.asked, "nothing leaves that was not confirmed"


def _by(rows: list[Row], key: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def _check_thanks(row: Row, letters: list[Row]) -> None:
    live = [letter for letter in letters if letter["state"] in states.LIVE]
    sent = [letter for letter in letters if letter["state"] == states.SENT]
    assert row["state"] in (states.OWED, states.SNOOZED, states.CONFIRMED, states.THANKED, states.WAIVED)
    assert (row["closed_at"] is None) == (row["state"] in states.OPEN), row
    assert (row["state"] == states.CONFIRMED) == (len(live) == 1), (row, letters)
    assert len(live) + len(sent) <= 1, letters
    assert not sent or row["state"] == states.THANKED, (row, sent)
    assert not live or letters[-1] is live[0], "the live one is the newest"
    assert (row["how"] is not None) == (row["state"] == states.THANKED), row
    if row["state"] in (states.OWED, states.SNOOZED):
        assert row["popup_at"] is not None, ("forgotten", row)
    elif row["state"] == states.CONFIRMED:
        assert row["popup_at"] is not None or not _wants_a_popup(live[0]), ("forgotten", row, live)
    else:
        assert row["popup_at"] is None, row


def _wants_a_popup(letter: Row) -> bool:
    return bool(letter["state"] == states.HELD or _waits_for_login(letter))


def _waits_for_login(letter: Row) -> bool:
    return letter["state"] == states.DEFERRED and letter["reason"] in (states.CREDENTIALS, states.PASSWORD)


def _check_letter(row: Row, attempts: list[Row], memory: Memory, server: Server) -> None:
    message_id, outcomes = row["message_id"], [attempt["outcome"] for attempt in attempts]
    assert hashlib.sha256(row["raw"]).hexdigest() == row["sha256"]
    assert row["sha256"] in memory.asked, "no letter was not confirmed"
    assert row["state"] in states.LETTER_STATES
    assert (row["settled_at"] is None) == (row["state"] in states.LIVE), row
    assert (row["owner"] != "") == (row["lease_until"] is not None) == (row["state"] == states.SENDING), row
    assert [attempt["number"] for attempt in attempts] == list(range(1, row["attempts"] + 1)), (row, attempts)
    for attempt in attempts:
        runs = row["state"] == states.SENDING and attempt["number"] == row["attempts"]
        assert (attempt["ended_at"] is None) == (attempt["outcome"] is None) == runs, (row, attempt)
    if row["state"] == states.SENT:
        assert states.ACCEPTED in outcomes or message_id in memory.said_sent, (row, outcomes)
        assert server.letters[message_id] or message_id in memory.said_sent, row
    assert outcomes[:-1].count(states.UNKNOWN) <= memory.resends[message_id], "an unknown is never tried again"


def check_change(before: Rows, after: Rows, spoken_of: set[int]) -> None:
    """Assert what holds from one moment to the next; of the thanks `spoken_of` a person said what became of a letter."""
    news = {event["thanks_id"] for event in after["event"][-64:] if event["id"] > _last(before["event"])}
    old = {row["id"]: row for row in before["thanks"]}
    for row in after["thanks"]:
        same = row["person_id"] is None or (row["id"] in old and old[row["id"]]["state"] == row["state"])
        assert same or row["id"] in news, ("the journal has each change", old.get(row["id"]), row)
    attempts = _by(after["attempt"], "letter_id")
    letters = {row["id"]: row for row in before["letter"]}
    for row in after["letter"]:
        if row["id"] in letters:
            _check_letters_change(letters[row["id"]], row, attempts.get(row["id"], []), spoken_of, news)


def _last(rows: list[Row]) -> int:
    return rows[-1]["id"] if rows else 0


_FROZEN = ("raw", "sha256", "message_id", "to", "sender", "subject", "thanks_id")


def _check_letters_change(
    before: Row, after: Row, attempts: list[Row], spoken_of: set[int], news: set[int | None]
) -> None:
    assert [before[key] for key in _FROZEN] == [after[key] for key in _FROZEN], "a letter is frozen"
    if before["state"] == states.HELD and after["thanks_id"] not in spoken_of:
        answered = after["state"] == states.SENT and attempts[-1]["outcome"] == states.ACCEPTED
        assert after["attempts"] == before["attempts"], ("held, and tried", before, after)
        assert after["state"] == states.HELD or answered, ("held, and let go", before, after)
    if before["state"] in (states.FAILED, states.CANCELLED) and after["thanks_id"] not in spoken_of:
        assert after["state"] == before["state"], ("over, and taken up again", before, after)
    if before["state"] != after["state"] and after["state"] != states.SENDING:
        assert after["thanks_id"] in news, ("the journal has each change", before, after)
