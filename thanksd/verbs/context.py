"""What a verb is given besides its arguments: the store, and what the doors read from the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from thanksd.addresses import fold
from thanksd.config import Config
from thanksd.errors import ConfigError
from thanksd.store import Store

if TYPE_CHECKING:
    from thanksd.outbox import Hands


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
    def owner(self) -> str:
        """Whose thanks are meant: the user's address, folded, in a shared ledger; empty in one of their own.

        Raises ConfigError where a shared ledger is used by somebody who did not say who they are.
        """
        if not self.store.is_shared:
            return ""
        if not self.config.me.email:
            raise ConfigError(
                "This ledger is shared, and your own address is not set. Nothing was done.",
                "thanksd config set me.email you@example.com",
            )
        return fold(self.config.me.email)

    @property
    def hands(self) -> Hands:
        """Who carries letters from here, and whose. Raises ConfigError as `owner`."""
        from thanksd.outbox import Hands  # noqa: PLC0415  most verbs look at no letter

        return Hands(self.store.seat, self.owner, self.writers)

    @property
    def writers(self) -> frozenset[str] | None:
        """Whose letters may leave from here: the user's, and those of `send.also_for`; None for everybody's."""
        also = {fold(one) for one in self.config.send.also_for} - {""}
        return None if not self.store.is_shared or "*" in also else frozenset({self.owner, *also})

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return self.clock()
