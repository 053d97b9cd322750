"""The rule by which a nudge finds its channel: the owner's order, where it was shown before, how long it waits.

Shown and not answered, it goes to the channel after the one that showed it, round the list; lost with its server, to
the same one. Not shown, it waits for its channel until ten minutes after it was due, then takes the next that can be
tried. Lines on a terminal have no part in this: they disturb nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from thanksd import outbox
from thanksd.channels import PERHAPS, REFUSED_LOGIN
from thanksd.config import Config
from thanksd.models import Nudge
from thanksd.rows import AnyRow
from thanksd.transports import leaves_by_itself
from thanksd.verbs.context import Context

TERMINAL, MAIL = "terminal", "mail"
# How long a nudge waits for its own channel. The elapsed time decides: a channel in its back-off fails seldom.
PATIENCE = timedelta(minutes=10)
# How long mail is left alone after a refused login, which trying on would lock, and after a mail without an answer.
_REFUSED, _PERHAPS = timedelta(hours=6), timedelta(hours=4)

# The open nudges of a thanks, or of a promise, oldest first.
Past = Sequence[AnyRow]


class Ways(NamedTuple):
    """The owner's channels in their order, those of them that can be tried now, and those that the rows close."""

    order: tuple[str, ...]
    can: frozenset[str]
    closed: frozenset[str] = frozenset()

    @property
    def are_open(self) -> bool:
        """Whether every channel can be tried: then nothing has to wait for one."""
        return self.can.issuperset(self.order)

    @property
    def disturb(self) -> bool:
        """Whether what is shown comes to its owner by itself."""
        return TERMINAL not in self.order

    @property
    def ask_the_past(self) -> bool:
        """Whether it matters where something was shown before."""
        return len(self.order) > 1

    def pick(self, now: datetime, due_at: datetime, occasion: str, past: Past = ()) -> str:
        """Give the channel on which to show something now; "" where it has to wait for its own."""
        ring = self._ring(_last([row for row in past if row.occasion == occasion]))
        if not ring or ring[0] in self.can:
            return ring[0] if ring else ""
        if past and past[-1].shown_at is None:
            due_at = min(due_at, past[-1].due_at)
        if now - due_at < PATIENCE:
            return ""
        return next((name for name in ring if name in self.can), "")

    def _ring(self, last: AnyRow | None) -> tuple[str, ...]:
        """Give the order from the channel on whose turn it is."""
        if last is None or last.channel not in self.order:
            return self.order
        start = self.order.index(last.channel) + (last.withdrawn_at is None)
        return self.order[start:] + self.order[:start]


def _last(past: Past) -> AnyRow | None:
    """Give the nudge that was shown, or lost with its server, last of all."""
    shown = [row for row in past if row.shown_at is not None and row.channel != TERMINAL]
    return max(shown, key=lambda row: (row.withdrawn_at or row.shown_at, row.id), default=None)


def ways(connection: Connection, context: Context, channel: str | Iterable[str]) -> Ways:
    """Give the owner's channels, of which this one, or these, can be tried now."""
    if channel == TERMINAL:
        return Ways((TERMINAL,), frozenset((TERMINAL,)))
    order, can = disturbing(context.config), {channel} if isinstance(channel, str) else set(channel)
    closed = {MAIL} if MAIL in order and _is_mail_closed(connection, context) else set()
    return Ways(order, frozenset(can - closed), frozenset(closed))


def disturbing(config: Config) -> tuple[str, ...]:
    """Give the owner's channels in their order, the terminal apart, and mail where none can leave by itself.

    A hand-off to their own mail program would wait for their own hand.
    """
    can_mail = leaves_by_itself(config.transport) and bool(config.me.email)
    wanted = [name for name in dict.fromkeys(config.nudge.channels) if name != TERMINAL]
    return tuple(name for name in wanted if name != MAIL or can_mail)


def _is_mail_closed(connection: Connection, context: Context) -> bool:
    """Say whether letters wait for a better login, or a mail of this seat met a refusal, or no answer, lately."""
    seat, now = context.store.seat, context.now
    refused = and_(Nudge.attempted_at > now - _REFUSED, Nudge.error.startswith(REFUSED_LOGIN))
    perhaps = and_(Nudge.attempted_at > now - _PERHAPS, Nudge.error.startswith(PERHAPS))
    met = and_(Nudge.seat == seat, or_(refused, perhaps))
    return bool(connection.scalar(select(or_(outbox.is_paused(seat), select(Nudge.id).where(met).exists()))))


def is_kept() -> ColumnElement[bool]:
    """Say of a nudge that its row closes mail for hours: it stays as it is, and the next try gets a row of its own."""
    error = func.coalesce(Nudge.error, "")
    return or_(error.startswith(REFUSED_LOGIN), error.startswith(PERHAPS))


class Tried(NamedTuple):
    """The row that a next try is written to, 0 for a new one; and since when it is due, None where it was not yet."""

    nudge: int = 0
    due_at: datetime | None = None


def tried(connection: Connection, which: ColumnElement[bool]) -> Tried:
    """Give the row of the newest nudge of which a condition holds, where it was neither shown nor answered."""
    columns = (Nudge.id, Nudge.due_at, Nudge.shown_at, Nudge.answered_at, is_kept().label("is_kept"))
    row = connection.execute(select(*columns).where(which).order_by(Nudge.id.desc()).limit(1)).one_or_none()
    if row is None or row.shown_at is not None or row.answered_at is not None:
        return Tried()
    return Tried(0 if row.is_kept else row.id, row.due_at)


def login_works(connection: Connection, seat: str) -> None:
    """Note that the login of this seat works, as was seen: mails to its owner may be tried again."""
    heard = update(Nudge).where(Nudge.seat == seat, Nudge.error.startswith(REFUSED_LOGIN))
    connection.execute(heard.values(error="The login was refused, and works since."))


def pasts(connection: Connection, subject: Any, which: Any) -> Mapping[int, Past]:  # noqa: ANN401  a column, a condition
    """Give the open nudges by their `subject` (`Nudge.thanks_id`, `Nudge.promise_id`), of which a condition holds."""
    columns = (Nudge.id, Nudge.occasion, Nudge.channel, Nudge.due_at, Nudge.shown_at, Nudge.withdrawn_at)
    query = select(subject.label("subject"), *columns).where(and_(Nudge.answered_at.is_(None), which))
    found: dict[int, list[AnyRow]] = {}
    for row in connection.execute(query.order_by(Nudge.id)):
        found.setdefault(row.subject, []).append(row)
    return found
