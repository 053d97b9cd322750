"""Who may look at the page: links that open it once, and the sessions these lead to. In memory, and gone with it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# A link is opened by a browser that a button started: that takes seconds, on a slow machine a minute.
_LINK_SECONDS = 120.0
# A session ends a working day after its last page.
_SESSION_SECONDS = 10 * 3600.0
_MOST = 100


@dataclass
class Link:
    """A link that opens the page once, at `target`. `opened` is set when a browser came by it."""

    target: str
    until: float
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Session:
    """One browser that came in. `token` stands in every form of its pages, so that no other site can send them."""

    key: str
    token: str
    until: float
    notices: list[str] = field(default_factory=list)
    # By thanks: the text that another wording took the place of, an answer that was refused, and what opens a letter in
    # the owner's mail program.
    dropped: dict[int, str] = field(default_factory=dict)
    given: dict[int, dict[str, str]] = field(default_factory=dict)
    handed: dict[int, dict[str, Any]] = field(default_factory=dict)


class Visits:
    """The links that were given out, and the sessions. `clock` gives seconds that never go back.

    Secrets are kept as their hashes: what is compared is a hash, so that the time it takes tells nothing.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._links: dict[bytes, Link] = {}
        self._sessions: dict[bytes, Session] = {}

    def link(self, target: str) -> tuple[str, Link]:
        """Make a link to a page, and give its secret with it. It opens once, within two minutes."""
        self._forget_old()
        secret = secrets.token_urlsafe(32)
        link = Link(target, self._clock() + _LINK_SECONDS)
        self._links[_hash(secret)] = link
        return secret, link

    def enter(self, secret: str) -> tuple[Session, str] | None:
        """Use a link up: give a new session and where it leads; None where it was used, is too old, or is none."""
        self._forget_old()
        link = self._links.pop(_hash(secret), None)
        if link is None:
            return None
        link.opened.set()
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._clock() + _SESSION_SECONDS)
        self._sessions[_hash(session.key)] = session
        return session, link.target

    def session(self, key: str) -> Session | None:
        """Give the session of a cookie, and let it last on; None where there is none."""
        self._forget_old()
        session = self._sessions.get(_hash(key))
        if session is not None:
            session.until = self._clock() + _SESSION_SECONDS
        return session

    def _forget_old(self) -> None:
        now = self._clock()
        self._links = {key: one for key, one in self._links.items() if one.until > now}
        self._sessions = {key: one for key, one in self._sessions.items() if one.until > now}
        while len(self._sessions) > _MOST:
            self._sessions.pop(next(iter(self._sessions)))


def is_same(given: str, right: str) -> bool:
    """Compare a secret that came from outside with the right one, in a time that tells nothing."""
    return secrets.compare_digest(given.encode(errors="replace"), right.encode())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
