"""How the channels are, as one daemon knows it: each fails, and is tried again, by itself.

Nothing of this is written down: a daemon that starts anew tries every channel.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from thanksd.moments import to_iso
from thanksd.world import now

# Seconds after a nudge that could not be shown: soon again, then seldom.
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0


class Health:
    """One channel. `error` is what it said last, `since` when that began (UTC); "" and None while it is well."""

    def __init__(self) -> None:
        self.error = ""
        self.since: datetime | None = None
        self.is_told = False
        self.is_busy = False
        self._pause, self._try_again = FIRST_PAUSE, 0.0

    @property
    def is_well(self) -> bool:
        """Whether it works, as far as is known."""
        return self._try_again == 0.0

    @property
    def can_be_tried(self) -> bool:
        """Whether it may be asked to show something now."""
        return not self.is_busy and time.monotonic() >= self._try_again

    def failed(self, error: str, pause: float = 0.0) -> None:
        """Note that it did not show something; left alone for a while, for `pause` seconds where that is more."""
        self.error, self.since = error, self.since or now()
        self._try_again = time.monotonic() + max(self._pause, pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def works(self) -> None:
        """Note that it showed something, or that what it wanted is there now."""
        self.error, self.since, self.is_told = "", None, False
        self._pause, self._try_again = FIRST_PAUSE, 0.0


class Healths(defaultdict[str, Health]):
    """All channels, by their names."""

    def __init__(self) -> None:
        super().__init__(Health)

    def shown(self, channel: str, *, told: str = "") -> None:
        """Note that a channel showed something, and in it `told` its owner of a channel that is sick; "" for none."""
        self[channel].works()
        if told and self[told].since is not None:
            self[told].is_told = True

    def news(self, wanted: Collection[str]) -> dict[str, str]:
        """Give since when the `wanted` channels are sick (ISO 8601) of which their owner was not told yet, by name."""
        return {one["channel"]: one["since"] for one in self.sick(wanted) if not self[one["channel"]].is_told}

    def sick(self, wanted: Collection[str]) -> list[dict[str, str]]:
        """Give those of the `wanted` channels that are sick: {"channel", "since" (ISO 8601), "error"}."""
        return [
            {"channel": name, "since": to_iso(one.since), "error": one.error}
            for name, one in self.items()
            if one.since and name in wanted
        ]
