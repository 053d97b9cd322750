"""What several installations on one shared ledger owe each other, beside what the cells of its matrix show."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from postgres_rigs import Server, postgres
from smtp_rigs import smtp_sink, wait_for
from team_rigs import Team

from thanksd import instance, outbox, verbs
from thanksd.database import open_store
from thanksd.errors import TryLaterError
from thanksd.store import Store

_ = postgres


def claim(store: Store, *, is_cut_off: bool = False) -> None:
    """Count on, as who claims a letter does; or be cut off before that is stored."""
    with store.turn() as turn:
        with store.write() as connection:
            turn.take(connection)
            if is_cut_off:
                raise TryLaterError("The server went away.", "Try again.")
        turn.settle()


def test_a_claim_that_was_cut_off_locks_nobody_out_when_others_count_on(
    postgres: Server, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(Team(postgres, short_dir).store)
    claim(store)
    with pytest.raises(TryLaterError):
        claim(store, is_cut_off=True)
    with monkeypatch.context() as other:
        other.setenv("XDG_STATE_HOME", str(short_dir / "other"))
        claim(store)
    claim(store)
    store.close()


def test_a_pass_while_a_colleague_has_a_letter_in_hand_wakes_nobody(
    postgres: Server, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Team(postgres, short_dir)
    with smtp_sink() as sink:
        seat = ours.seat(sink)
        seat.writes("Ada Lovelace")
        with seat.world() as opened:
            context = opened.context()
            with context.store.write(beside_others=True) as connection:
                assert outbox.claim(connection, context.now, instance.owner())
            with monkeypatch.context() as other_one:
                other_one.setenv("XDG_STATE_HOME", str(short_dir / "other"))
                ear = open_store(ours.store).listen()
            assert ear is not None
            with closing(ear):
                assert verbs.call("recover", context, {}) == {"letters": 0}
                assert not ear.heard()
                # It does hear of what is one, a moment later.
                assert verbs.call("leave_now", context, {"thanks": []}) == {"letters": 0}
                wait_for(ear.heard)
