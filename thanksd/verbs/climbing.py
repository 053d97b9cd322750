"""The rule by which a nudge finds its channel: the owner's order, where it was shown before, how long it waits.

Shown and not answered, it goes to the channel after the one that showed it, round the list; lost with its server, to
the same one. Not shown, it waits for its channel until ten minutes after it was due, then takes the next that can be
tried. Lines on a terminal have no part in this: they disturb nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, or_, select, update

from thanksd import outbox
from thanksd.channels import REFUSED_LOGIN
from thanksd.config import Config
from thanksd.models import Nudge
from thanksd.rows import AnyRow
from thanksd.transports import leaves_by_itself
from thanksd.verbs.context import Context

TERMINAL, MAIL = "terminal", "mail"
# How long a nudge waits for its own channel. The elapsed time decides: a channel in its back-off fails seldom.
PATIENCE = timedelta(minutes=10)
# How long a refused login is left alone.
_REFUSED = timedelta(hours=6)

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
    closed = {MAIL} if MAIL in order and _is_login_refused(connection, context) else set()
    return Ways(order, frozenset(can - closed), frozenset(closed))


def disturbing(config: Config) -> tuple[str, ...]:
    """Give the owner's channels in their order, the terminal apart, and mail where none can leave by itself.

    A hand-off to their own mail program would wait for their own hand.
    """
    can_mail = leaves_by_itself(config.transport) and bool(config.me.email)
    wanted = [name for name in dict.fromkeys(config.nudge.channels) if name != TERMINAL]
    return tuple(name for name in wanted if name != MAIL or can_mail)


def _is_login_refused(connection: Connection, context: Context) -> bool:
    """Say whether letters wait for a better login, or a nudge met a refusal lately: it must not lock the account."""
    seat, since = context.store.seat, context.now - _REFUSED
    met = and_(Nudge.seat == seat, Nudge.attempted_at > since, Nudge.error.startswith(REFUSED_LOGIN))
    return bool(connection.scalar(select(or_(outbox.is_paused(seat), select(Nudge.id).where(met).exists()))))


def login_works(connection: Connection, seat: str) -> None:
    """Note that the login of this seat works, as its owner saw: mails to them may be tried again."""
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
