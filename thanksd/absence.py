"""Knows whether the owner, or the machine, was away and is back: what came due meanwhile then comes as one popup.

Away is a machine that slept or a program that stood still, a pause, and a daemon that did not run while something came
due. Back is a while after that, once there is a desktop: a session that begins has better to do. Nothing of this is
written down: what is due is in the ledger, and a daemon that dies in that while finds it there, waiting for long.
"""

from __future__ import annotations

import time

# Seconds without a pass that are no mere delay; and how long popups wait after that, or after the desktop came.
AWAY, SETTLE = 300.0, 120.0


def clock() -> float:
    """Give seconds that go on while the machine sleeps, and that nobody sets (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Absence:
    """What one daemon knows of it. `look` is told each pass how things stand; `since` are moments of `clock`."""

    def __init__(self) -> None:
        self._looked: float | None = None
        self._was_paused = False
        self._back_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether somebody is back whom nothing was shown yet."""
        return self._back_at is not None

    def look(self, now: float, *, waited: float, paused: bool) -> None:
        """Note a pass at `now`: the popup due longest has `waited` so many seconds (0: none), and if it is `paused`."""
        gap = waited if self._looked is None else now - self._looked
        if gap > AWAY or (self._was_paused and not paused):
            self._back_at = now
        self._looked, self._was_paused = now, paused

    def left(self, now: float, desktop_since: float | None) -> float:
        """Give how many seconds popups wait still, 0 for none; a desktop that came later than we begins it anew."""
        if self._back_at is None:
            return 0.0
        return max(max(self._back_at, desktop_since or 0.0) + SETTLE - now, 0.0)

    def end(self) -> None:
        """Note that what waited was shown, or that nothing did."""
        self._back_at = None
