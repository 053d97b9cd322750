"""One letter on its real way to a server that fails, and all that must follow of it, of its thanks and at the server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_rigs import Fault, Server
from smtp_rigs import PASSWORD, USER, Authority, wait_for
from store_rigs import Desk

from thanksd.config import Smtp, Transport
from thanksd.transports import session as product

# What can follow, beside the reasons for which a letter is deferred.
FAILED, ADDRESS, HELD, SENT, LOGIN = "failed", "address", "held", "sent", "login"

# As long as a letter may be: 240 kB on the wire, more than fits between us and a server that does not read.
LONG = (
    "Dear Ada,\n\nI keep thinking about why you left Rust.\n\n" + ("\N{SMILING FACE WITH SUNGLASSES}" * 99 + "\n") * 195
)

# How much the server reads ahead.
_WINDOW = 4096


class Post:
    """A desk with one letter; `mends` make the way good again, `taken` counts what the servers took or may have."""

    def __init__(self, folder: Path, transport: Transport, taken: Callable[[], int]) -> None:
        self.desk = Desk(folder, transport)
        self.desk.set(secret=lambda: PASSWORD)
        self.mends: list[Callable[[], object]] = []
        self._taken = taken
        self.number = self.desk.add()

    def leave_by(self, transport: Transport) -> None:
        self.desk.set(config=replace(self.desk.context.config, transport=transport))

    def confirm(self, body: str = "") -> None:
        if body:
            self.desk("draft", ref=str(self.number), body=body)
        self.desk.confirm(self.number)

    def mend(self) -> None:
        for mend in self.mends:
            mend()

    @property
    def letter(self) -> dict[str, Any]:
        return self.desk.letter(self.number)

    def thanks(self) -> str:
        return str(self.desk("show", ref=str(self.number))["thanks"][0]["state"])

    def dispatch(self) -> int:
        return int(self.desk("dispatch")["letters"])

    def taken(self, letters: int) -> None:
        """See so many letters taken, and no more."""
        wait_for(lambda: self._taken() >= letters)
        assert self._taken() == letters

    def is_deferred(self, reason: str) -> None:
        letter = self.letter
        assert (letter["state"], letter["reason"], self.thanks()) == ("deferred", reason, "confirmed")
        assert letter["sent_at"] is None

    def wait_again(self, reason: str, minutes: int) -> None:
        """See that it is deferred, not tried before its time, and tried then, when the way is good."""
        self.is_deferred(reason)
        self.taken(0)
        self.mend()
        self.desk.clock.forward(minutes=minutes, seconds=-1)
        assert self.dispatch() == 0
        self.taken(0)
        self.desk.clock.forward(seconds=1)
        assert self.dispatch() == 1


def deferred(post: Post, reason: str, minutes: int = 5) -> str:
    """It is tried again, but only when its time has come, and is sent once."""
    post.wait_again(reason, minutes)
    sent(post)
    return f"deferred: {reason}; tried again after {minutes} min: sent"


def failed(post: Post, reason: str) -> str:
    """It is not tried again; the thanks is due with its text."""
    letter = post.letter
    assert (letter["state"], letter["reason"], post.thanks()) == ("failed", reason, "due")
    assert len(post.desk.rows("SELECT email_key FROM bad_address")) == (1 if reason else 0)
    _never_again(post, 0, "failed")
    assert post.desk("draft", ref=str(post.number))["draft"]["body"]
    return f"failed: the {reason or 'letter'}; due again"


def held(post: Post) -> str:
    """Nobody knows: never tried again by itself, and a person is asked."""
    letter = post.letter
    assert (letter["state"], letter["reason"], post.thanks()) == ("held", "unknown", "confirmed")
    (nudge,) = post.desk("due_nudges", channel="terminal")["nudges"]
    assert (nudge["occasion"], nudge["thanks"]) == ("held", [post.number])
    _never_again(post, 1, "held")
    return "held: unknown; you are asked"


def sent(post: Post) -> str:
    """It left once, and never again."""
    assert (post.letter["state"], post.thanks()) == ("sent", "thanked")
    assert post.letter["server_reply"].startswith("2")
    _never_again(post, 1, "sent")
    return "sent"


def refused_login(post: Post) -> str:
    """Nothing is tried, whatever time passes, until the login is mended."""
    (nudge,) = post.desk("due_nudges", channel="terminal")["nudges"]
    assert (nudge["occasion"], nudge["popup"]["fallback"]) == ("password", "Run: thanksd credentials set")
    for _ in range(3):
        post.is_deferred("credentials")
        post.taken(0)
        post.desk.clock.forward(hours=2)
        assert post.dispatch() == 0
    post.mend()
    assert post.dispatch() == 0
    assert post.desk("release")["letters"] == 1
    assert post.dispatch() == 1
    sent(post)
    return "deferred: credentials; one try, you are told; sent once the login is mended"


def _never_again(post: Post, taken: int, state: str) -> None:
    post.mend()
    for _ in range(3):
        post.taken(taken)
        assert post.dispatch() == 0
        assert post.letter["state"] == state
        post.desk.clock.forward(hours=12)
    post.taken(taken)


def follow(post: Post, expected: str) -> str:
    """See what follows, and give it in words; `expected` is one of the words above, or why it is deferred."""
    if expected in (FAILED, ADDRESS):
        return failed(post, "address" if expected == ADDRESS else "")
    known = {HELD: held, SENT: sent, LOGIN: refused_login}.get(expected)
    return known(post) if known else deferred(post, expected)


def shorten(monkeypatch: pytest.MonkeyPatch, seconds: float, *steps: str) -> Callable[[], None]:
    """Shorten how long silence is borne, at all steps or some: the product's own limits are minutes.

    Gives what puts them back before the test is over.
    """
    usual = dict(product.SECONDS)
    for step in steps or tuple(usual):
        monkeypatch.setitem(product.SECONDS, step, seconds)
    return lambda: product.SECONDS.update(usual)


@contextlib.contextmanager
def scripted(
    folder: Path, faults: dict[str, Fault], authority: Authority, *, login: bool = False, tls: bool = False
) -> Iterator[tuple[Post, Server]]:
    """Give a desk before a server with these faults, and the server, which heals when it is mended."""
    offers = [*(["STARTTLS"] if tls else []), *(["AUTH PLAIN"] if login else [])]
    window = _WINDOW if "body" in faults else 0
    with Server(faults, tls=authority.context() if tls else None, offers=offers, window=window) as server:
        post = Post(folder, account(server.port, login=login, tls=tls), lambda: len(server.taken))
        post.mends.append(server.heal)
        yield post, server


def account(port: int, *, login: bool = False, tls: bool = False) -> Transport:
    smtp = Smtp(
        host="localhost" if tls else "127.0.0.1",
        port=port,
        security="starttls" if tls else "none",
        auth="password" if login else "none",
        username=USER,
    )
    return Transport(kind="smtp", smtp=smtp)
