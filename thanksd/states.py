"""States of thanks and letters, and the legal moves of a thanks. Pure.

The moves of letters are in `outbox`, each an UPDATE that names the state it expects.
"""

from __future__ import annotations

from thanksd.errors import UsageError

# A thanks. `due` is never stored: every reader sees an owed or snoozed thanks as due once its nudge_at has passed.
OWED, DUE, SNOOZED, CONFIRMED, THANKED, WAIVED = "owed", "due", "snoozed", "confirmed", "thanked", "waived"
THANKS_STATES = (OWED, DUE, SNOOZED, CONFIRMED, THANKED, WAIVED)
OPEN = (OWED, DUE, SNOOZED, CONFIRMED)

_THANKS_MOVES = {
    OWED: {SNOOZED, CONFIRMED, THANKED, WAIVED},
    SNOOZED: {OWED, SNOOZED, CONFIRMED, THANKED, WAIVED},
    CONFIRMED: {OWED, SNOOZED, THANKED},
    THANKED: {OWED, SNOOZED},
    WAIVED: {OWED, SNOOZED},
}

# A letter in the outbox (the words are Postfix's, where it has one).
QUEUED, SENDING, DEFERRED, HELD = "queued", "sending", "deferred", "held"
SENT, FAILED, CANCELLED = "sent", "failed", "cancelled"
# What a letter was besides: thanks alone, or something given or asked with it.
GIVE, ASK = "give", "ask"
INTENTS = ("thanks", GIVE, ASK)
LETTER_STATES = (QUEUED, SENDING, DEFERRED, HELD, SENT, FAILED, CANCELLED)
LIVE = (QUEUED, SENDING, DEFERRED, HELD)

# The phases of an attempt: in `pre` nothing can have been delivered; in `dot` the final dot may have left.
PRE, DOT = "pre", "dot"

# What one attempt came to.
ACCEPTED, REJECTED, NOT_NOW, UNKNOWN = "accepted", "rejected", "not-now", "unknown"

# Why a letter waits (`reason` of deferred letters): the server refused the login, so nothing is tried until a person
# mends it; or the password could not be read here (a locked keyring), which is tried again.
CREDENTIALS, PASSWORD = "credentials", "password"

# Why a letter is held (`reason` of held letters): it may have arrived; its writer was to send it in their own mail
# program; it came with a ledger of another machine, or an older copy.
UNKNOWN_END, HANDED_OFF, ADOPTED = "unknown", "handed-off", "adopted"

# Why a letter ended without thanking (`reason` of failed and cancelled ones): the server knows no such address; it
# left and came back; it could not leave in time.
ADDRESS, BOUNCED, STALE = "address", "bounced", "stale"

# How the copy to oneself stands (`copy` of sent letters). One in `trying` for good was in the hands of a program that
# ended: it may have arrived, and is not doubled.
COPY_DUE, COPY_TRYING, COPY_LEFT, COPY_FAILED = "due", "trying", "left", "failed"


def seen(stored: str, *, is_past: bool) -> str:
    """Give the state a reader sees: owed and snoozed are due once their moment `is_past`."""
    return DUE if is_past and stored in (OWED, SNOOZED) else stored


def before(after: str) -> tuple[str, ...]:
    """Give the states of a thanks from which it may become `after`."""
    return tuple(state for state, moves in _THANKS_MOVES.items() if after in moves)


def check_thanks(before: str, after: str) -> None:
    """Refuse a move of a thanks that the table does not have.

    Raises UsageError.
    """
    if after not in _THANKS_MOVES[before]:
        raise UsageError(f"A thanks that is {before} can't become {after}.")
