"""The verb bounced: a letter that left came back, so that another may follow, to an address that works."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from thanksd import ledger, outbox, queries, recovery, states
from thanksd.addresses import check_address, fold
from thanksd.errors import UsageError
from thanksd.verbs.again import next_popup
from thanksd.verbs.context import Context
from thanksd.verbs.editing import change_address
from thanksd.verbs.sending import recover


def bounced(context: Context, ref: str, email: str = "") -> dict[str, Any]:
    """Note that the letter of a thanks came back: the thanks is due, its text kept, and its address known as bad.

    `email` is the person's right address, if it is known. Gives {"thanks": [...], "notes": [], "to": what came back}.
    Raises UsageError for a letter that did not leave, and where `email` can't be theirs; nothing is changed then.
    """
    now = context.now
    right = check_address(email) if email else ""
    recover(context)
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=True)
        to = _take_note(connection, context, now, number)
        if right:
            _give_address(connection, number, to, right)
        found = queries.thanks_by_id(connection, [number], now)
    return {"thanks": found, "notes": [], "to": to, "zone": context.zone}


def _take_note(connection: Connection, context: Context, now: datetime, number: int) -> str:
    letter = outbox.live_letter(connection, number)
    to = recovery.bounce(connection, now, letter.id, number, next_popup(context, now, now)) if letter else ""
    if not to and letter is not None and letter.reason == states.BOUNCED:
        raise UsageError("That letter came back already.", f"Give the new address: thanksd edit {number} --email NEW")
    if not to:
        state = f"it is {letter.state}" if letter else "none was written"
        raise UsageError(f"No letter of thanks {number} left, so none came back: {state}.", f"thanksd show {number}")
    return to


def _give_address(connection: Connection, number: int, to: str, right: str) -> None:
    if fold(right) == fold(to):
        raise UsageError(f"{to} is the address that came back. Nothing was changed.", "Give another one.")
    change_address(connection, ledger.get(connection, number).person_id, right)
