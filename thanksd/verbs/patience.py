"""How long what became of letters is tried to be written down, where the ledger can't be written just now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from thanksd.errors import ThanksdError, TryLaterError
from thanksd.outbox import DOT_LEASE
from thanksd.verbs.context import Context

# Tries a second apart, in any ledger; then, where a server keeps it, slower and slower up to so many seconds.
_QUICK_TRIES = 5
_LONGEST_PAUSE = 15

log = logging.getLogger("thanksd")


def keep_trying(context: Context, write: Callable[[], None], *, has_left: bool) -> None:
    """Write, and try it again for a while: losing an outcome would hold a letter for nothing.

    A server restarts, a line is cut: in a shared ledger it is tried for as long as nobody else takes the letter for
    lost, unless the program is told to end. With `has_left` there is a letter that went out, and who waits is told.
    Raises what the last try raised.
    """
    began, tries = time.monotonic(), 0
    while error := _tried(write):
        tries += 1
        if tries >= _QUICK_TRIES and not _goes_on(context, error, time.monotonic() - began):
            raise _last_words(error, has_left=has_left and context.store.is_shared)
        if tries == _QUICK_TRIES and has_left:
            log.warning("A letter has left, and the ledger can't be told yet: it is tried on. Don't send it again.")
        _wait(context, min(2 ** max(tries - _QUICK_TRIES, 0), _LONGEST_PAUSE))


def _tried(write: Callable[[], None]) -> ThanksdError | None:
    try:
        write()
    except ThanksdError as error:
        return error
    return None


def _goes_on(context: Context, error: ThanksdError, seconds: float) -> bool:
    """Say whether a server may still come back in time."""
    may_come_back = context.store.is_shared and isinstance(error, TryLaterError) and not context.stopping()
    return may_come_back and seconds < DOT_LEASE.total_seconds()


def _last_words(error: ThanksdError, *, has_left: bool) -> ThanksdError:
    if not has_left:
        return error
    return TryLaterError(
        f"A letter has left, but the ledger could not be told: it will be held, and not sent again. {error.message}",
        "When the server is back: thanksd resolve",
    )


def _wait(context: Context, seconds: int) -> None:
    """Wait, a second at most once the program is told to end."""
    for _ in range(seconds):
        time.sleep(1)
        if context.stopping():
            return
