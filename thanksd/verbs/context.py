"""What a verb is given besides its arguments: the store, and what the doors read from the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from thanksd.config import Config
from thanksd.database import Store


@dataclass(frozen=True)
class Context:
    """The world as the door saw it. `clock` gives the moment in UTC; `zone` is the user's IANA zone.

    `secret` reads the mail account's password when a connection needs it; None where none is needed.
    `stopping` says that the program was asked to end: no letter is begun then.
    """

    store: Store
    config: Config
    templates: Path
    zone: str
    clock: Callable[[], datetime]
    secret: Callable[[], str] | None = None
    stopping: Callable[[], bool] = bool

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return self.clock()
