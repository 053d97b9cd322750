"""The verbs that let letters go: dispatch, recover, resolve, release.

dispatch is the only one that touches the network (`carrying`), and holds no transaction while it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update

from thanksd import outbox, queries, recovery, states
from thanksd.errors import UsageError
from thanksd.instance import is_surely_dead
from thanksd.models import Letter
from thanksd.transports.handoff import is_handed_off
from thanksd.verbs import carrying, climbing, copying, introducing
from thanksd.verbs.again import next_popup
from thanksd.verbs.context import Context


def dispatch(context: Context, *, only: Sequence[int] | None = None) -> dict[str, Any]:
    """Carry every letter that may leave now, until none is left or the program is to end.

    A letter that was sent is followed by its sender's copy, where one is wanted. A claim that can't be stored opens no
    connection. Gives {"letters": how many were tried}.
    """
    recover(context)
    with carrying.carrier_of(context) as carrier:
        tried = carrying.run(context, carrier, only)
        if only is None:
            copying.carry_late(context, carrier)
    if tried:
        introducing.follow_up(context)
    return {"letters": tried}


def leave_now(context: Context, thanks: Sequence[int]) -> dict[str, Any]:
    """End the hold of these thanks' queued letters, as far as they are the user's: they may leave at once."""
    mine = outbox.is_by((context.owner,) if context.store.is_shared else None)
    with context.store.write() as connection:
        waiting = Letter.thanks_id.in_(thanks) & (Letter.state == states.QUEUED) & mine
        changed = connection.execute(update(Letter).where(waiting).values(send_after=context.now))
    return {"letters": changed.rowcount}


def recover(context: Context) -> dict[str, Any]:
    """Free the letters of workers that died: phase pre goes back into the queue, phase dot is held for a person.

    And let stale letters not leave any more, and say of those behind a refused login what they wait for. Gives
    {"letters": how many that were}; with nothing to do it writes nothing.
    """
    hands = context.hands
    with context.store.read() as connection:
        if not recovery.needs_care(connection, context.clock(), is_surely_dead, hands):
            return {"letters": 0}
    with context.store.write() as connection:
        now = context.clock()
        freed = recovery.recover(connection, now, is_surely_dead)
        stale = recovery.expire(connection, now)
        return {"letters": freed + stale + recovery.join_the_waiting(connection, now, hands)}


def resolve(context: Context, ref: str, how: str) -> dict[str, Any]:
    """Say what became of a held letter: sent, resend or discard.

    Raises UsageError where nothing is held.
    """
    now = context.now
    if how not in ("sent", "resend", "discard"):
        raise UsageError("Say what became of it.", "One of --sent, --resend, --discard, --bounced.")
    if how == "resend" and is_handed_off(context.config.transport):
        raise UsageError(
            "It can't be sent again from here: your letters leave by your own mail program.",
            f"Take it up anew: thanksd resolve {ref} --discard",
        )
    recover(context)
    with context.store.write() as connection:
        number = queries.find_ref(connection, ref, context.owner, closed_too=True)
        letter = outbox.live_letter(connection, number)
        popup_at = next_popup(context, now, now)
        if letter is None or not outbox.resolve(connection, now, letter, how, popup_at):
            state = letter.state if letter else "not written"
            came_back = f"Did it come back? thanksd resolve {number} --bounced"
            raise UsageError(
                f"The letter of thanks {number} is not held: it is {state}.",
                came_back if state == states.SENT else f"thanksd show {number}",
            )
        found = queries.thanks_by_id(connection, [number], now)
    notes = introducing.notes_of(context, introducing.follow_up(context))
    return {"thanks": found, "notes": notes, "zone": context.zone}


def release(context: Context, *, letters: bool = True) -> dict[str, Any]:
    """Let the letters go on that waited for a login which works now; without `letters` the mails to its owner alone."""
    with context.store.write() as connection:
        climbing.login_works(connection, context.store.seat)
        released = recovery.release(connection, context.now, context.hands) if letters else 0
    return {"letters": released}
