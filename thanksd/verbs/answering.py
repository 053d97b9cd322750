"""The verb behind a popup's buttons: what the owner pressed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from thanksd import journal, ledger, states
from thanksd.moments import say_short
from thanksd.verbs import occasions, promising, weekly
from thanksd.verbs.closing import snooze_until
from thanksd.verbs.context import Context


def answer(context: Context, popup_id: int, server: str, key: str) -> dict[str, Any]:
    """Do what a pressed button says: later, waive, done, add and nobody answer; others only open something.

    A button pressed twice does nothing more. Gives {"thanks": [numbers], "names": [...], "occasion", "done": bool},
    of later also {"until"} in words.
    """
    now = context.now
    with context.store.write() as connection:
        rows = occasions.on_popup(connection, context.store.seat, popup_id, server)
        occasion = rows[0].occasion if rows else ""
        if occasion == occasions.ASK:
            done = weekly.answer(connection, now, context.store.seat, popup_id, server, key)
            return {"thanks": [], "names": [], "occasion": occasion, "done": done}
        if occasion == occasions.PROMISE:
            done = promising.answer(connection, context, popup_id, server, key)
            return {"thanks": [], "names": [], "occasion": occasion, "done": done}
        numbers = sorted({row.thanks_id for row in rows})
        names = occasions.names(connection, numbers)
        waiting = [row.thanks_id for row in rows if row.answered_at is None]
        for number in waiting:
            _act(connection, context, now, number, key)
    until = {"until": say_short(snooze_until(context, now, ""), now, context.zone)} if key == "later" else {}
    return {"thanks": numbers, "names": names, "occasion": occasion, "done": bool(waiting), **until}


def _act(connection: Connection, context: Context, now: datetime, number: int, key: str) -> None:
    row = ledger.get(connection, number)
    if row.state not in (states.OWED, states.SNOOZED) or key not in ("later", "waive"):
        journal.record(connection, now, number, "opened", button=key)
    elif key == "later":
        ledger.snooze(connection, now, number, snooze_until(context, now, ""))
    else:
        ledger.waive(connection, now, number, "")
