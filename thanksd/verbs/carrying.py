"""A run of letters: claimed in batches, carried over one connection, each outcome written down.

What may share a commit, and what may not: ARCHITECTURE.md. No transaction is held while a server is waited for.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from sqlalchemy import Connection

from thanksd import outbox, states
from thanksd.errors import ConfigError, ThanksdError
from thanksd.instance import owner
from thanksd.outbox import Claim, Result
from thanksd.transports import Carrier, Envelope
from thanksd.verbs import climbing, copying
from thanksd.verbs.context import Context
from thanksd.verbs.patience import keep_trying

# Letters claimed at once: as many as left in a second, as what is claimed can't be taken back any more.
_MOST = 50
# Seconds after which what is left of a batch is given back: the server has become slow.
_LONGEST = 2.0


def carrier_of(context: Context) -> Carrier:
    """Give what carries letters as the config says; it is opened by the first one."""
    return Carrier(context.config.transport, context.config.me.email, context.secret)


def run(context: Context, carrier: Carrier, only: Sequence[int] | None) -> int:
    """Carry every letter that may leave now, until none is left or the program is to end; gives how many were tried.

    Over as many connections as the config allows, once the first letter found a server that lets us in: a wrong
    password is tried once. Raises what the store raises where it can't be written.
    """
    lock, tried = Lock(), 0
    first = _Worker(context, carrier, only, lock)
    try:
        tried = first.carry_batch()
        if tried:
            tried += _run_all(context, first, only, lock)
    finally:
        if first.has_claimed:
            _end_run(context, is_let_in=first.is_let_in)
    return tried


def _run_all(context: Context, first: _Worker, only: Sequence[int] | None, lock: Lock) -> int:
    more = context.config.transport.smtp.connections - 1 if context.config.transport.kind == "smtp" else 0
    if more <= 0:
        return first.run()
    with contextlib.ExitStack() as stack:
        carriers = [stack.enter_context(carrier_of(context)) for _ in range(more)]
        workers = [first, *(_Worker(context, carrier, only, lock) for carrier in carriers)]
        pool = stack.enter_context(ThreadPoolExecutor(len(workers), "letters"))
        return sum(pool.map(_Worker.run, workers))


def _end_run(context: Context, *, is_let_in: bool) -> None:
    """Give the ledger a new number: a copy made in mid-run holds claimed letters that left, and is an older one now.

    A login that let a letter leave lets the mails to its owner leave too.

    Where that can't be kept the next claim does it; nothing of the letters, which are settled, may seem to have failed.
    """
    with contextlib.suppress(ThanksdError), context.store.turn() as turn:
        with context.store.write() as connection:
            turn.take(connection)
            if is_let_in:
                climbing.login_works(connection, context.store.seat)
        turn.settle()


class _Worker:
    """Carries batches of letters over one connection, in one thread."""

    def __init__(self, context: Context, carrier: Carrier, only: Sequence[int] | None, lock: Lock) -> None:
        self._context = context
        self._carrier = carrier
        self._only = only
        # SQLite lets writers wait by sleeping; threads that take turns lose no time by it.
        self._lock = lock
        self._owner = owner()
        self._hands = context.hands
        self._size = 1
        self._owed: list[tuple[Claim, Result]] = []
        self.has_claimed = False
        self.is_let_in = False

    def run(self) -> int:
        """Carry batches until none is left or the program is to end; gives how many letters were tried."""
        tried = 0
        while done := self.carry_batch():
            tried += done
        return tried

    def carry_batch(self) -> int:
        """Claim some letters and carry them; gives how many were tried. What was not is given back."""
        rest = deque([] if self._context.stopping() else self._claim())
        claimed, began = len(rest), time.monotonic()
        try:
            while rest and (len(rest) == claimed or self._goes_on(began)):
                if self._carry(rest.popleft(), is_last=not rest).reason == states.CREDENTIALS:
                    break
        finally:
            self._end(rest)
        tried = claimed - len(rest)
        self._size = max(1, min(_MOST, int(tried / max(time.monotonic() - began, 0.001))))
        return tried

    def _goes_on(self, began: float) -> bool:
        return time.monotonic() - began < _LONGEST and not self._context.stopping()

    def _claim(self) -> list[Claim]:
        """Claim the next letters, numbered so that no other copy of this ledger can send them (`guard.Turn`).

        Where the number can't be kept they are given back, and no connection is opened.
        """
        with self._context.store.turn() as turn:
            with self._writing() as connection:
                claims = outbox.claim(
                    connection, self._context.clock(), self._owner, self._only, most=self._size, hands=self._hands
                )
                if claims:
                    turn.take(connection)
            self.has_claimed = self.has_claimed or bool(claims)
            try:
                turn.settle()
            except ThanksdError:
                self._end(claims)
                raise
        return claims

    def _carry(self, held: Claim, *, is_last: bool) -> Result:
        """Carry one letter, and write down what came of it: with the next letter's dot where one follows at once."""
        result = self._deliver(held)
        is_sent = result.outcome == states.ACCEPTED
        self.is_let_in = self.is_let_in or is_sent
        copy = is_sent and copying.is_wanted(self._context.config, held.sender, held.to)
        self._owed.append((held, result))
        if is_last or copy or not is_sent:
            self._settle(copy=copy)
        if copy:
            copying.carry(self._context, self._carrier, held.letter)
        return result

    def _deliver(self, held: Claim) -> Result:
        """Hand one letter to the transport; outside any transaction."""
        envelope = Envelope(held.sender, held.to, held.raw, held.message_id)
        try:
            outcome = self._carrier.deliver(envelope, lambda: self._mark_dot(held), self._settle)
        except ThanksdError as error:
            # Raised only before the dot: the store could not take the phase, or the settings don't fit.
            return Result(
                states.NOT_NOW, error.message, None, "settings" if isinstance(error, ConfigError) else "store"
            )
        return Result(outcome.kind, outcome.reply, outcome.code, outcome.reason)

    def _mark_dot(self, held: Claim) -> bool:
        with self._writing() as connection:
            self._write_owed(connection)
            may_leave = outbox.mark_dot(connection, self._context.clock(), held)
        self._owed.clear()
        return may_leave

    def _settle(self, *, copy: bool = False) -> None:
        """Write down the outcomes that are known, by a commit of their own."""
        if self._owed:
            self._end((), copy=copy)

    def _end(self, rest: Sequence[Claim], *, copy: bool = False) -> None:
        """Write the known outcomes down and give the `rest` back; with `copy` the last letter owes one.

        It is tried again for a while (`patience`). What can't be written at last stays `sending`: in phase dot it is
        held when its lease ends, before it waits again.
        """
        if not self._owed and not rest:
            return

        def write() -> None:
            with self._writing() as connection:
                self._write_owed(connection, copy=copy)
                outbox.give_back(connection, rest)

        has_left = any(result.outcome == states.ACCEPTED for _, result in self._owed)
        keep_trying(self._context, write, has_left=has_left)
        self._owed.clear()

    def _write_owed(self, connection: Connection, *, copy: bool = False) -> None:
        for held, result in self._owed:
            last_owes = copy and held is self._owed[-1][0]
            outbox.settle(connection, self._context.clock(), held, result, copy=last_owes, seat=self._hands.seat)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._lock, self._context.store.write(beside_others=self._is_usual()) as connection:
            yield connection

    def _is_usual(self) -> bool:
        """Say whether what is written is of letters alone: what a person must be told of, other daemons hear."""
        return all(result.outcome == states.ACCEPTED for _, result in self._owed)
