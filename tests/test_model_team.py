"""The machine of `test_model` on a ledger that a server keeps: alone on it, and as a team that shares it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from email import message_from_bytes
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import shared_rigs
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from model_rigs import Owner, Place, Program, Rows, Shared, Worker, read_all
from postgres_rigs import Server
from test_model import CONFIRMED, NUDGED, RUNS, SEED, WHICH, Machine, machine, run, sent

from thanksd import states
from thanksd.addresses import fold
from thanksd.moments import from_iso

__all__ = ["machine"]

# Sam carries his own letters, and Pat's, who runs nothing; Kim writes her address with capitals.
TEAM = {"sam@example.org": ("pat@example.org",), "Kim@Example.org": (), "pat@example.org": ()}
SAM, KIM, PAT = map(fold, TEAM)
EVERYBODY = st.sampled_from([SAM, KIM, PAT])
# What is about everybody's people, and so about all that is owed to them.
_OF_ALL = ("forget_person",)


class Team(Machine):
    """Three who share one ledger: each with an installation of their own, two of them with a daemon.

    Whoever sits at the desk does what the rules of `Machine` say; numbers name the thanks of others too.
    """

    def _new_desk(self) -> Program:
        if not hasattr(self, "desks"):
            self.who, self.paused = SAM, dict[str, datetime]()
            self.owners = {fold(email): self._owner(email) for email in TEAM}
            self.desks: dict[str, Program] = {who: Program(self.world, self.owners[who]) for who in (KIM, PAT)}
        self.desks[self.who] = Program(self.world, self.owners[self.who])
        return self.desks[self.who]

    def _owner(self, email: str) -> Owner:
        home = Path(os.environ["XDG_STATE_HOME"]) / f"{self.world.folder.name} {fold(email)}"
        home.mkdir(mode=0o700)
        return Owner(email, TEAM[email], str(home))

    def _new_worker(self, which: int) -> Worker:
        return Worker(self.world, self._next_worker(), self.owners[(SAM, KIM)[which]])

    # --- what only a team does ---

    @rule(who=EVERYBODY)
    def sit_down(self, who: str) -> None:
        self.who = who
        self.desk = self.desks[who]

    @rule(which=WHICH, to=st.sampled_from([SAM, KIM, PAT, "KIM@example.org", "me"]))
    def pass_on(self, which: int, to: str) -> None:
        ref = self.one(which)
        if self.do("edit", ref=ref, owner=to) is not None:
            assert self._thanks(ref)["owner"] == (self.who if to == "me" else fold(to))

    @rule(to=EVERYBODY, which=WHICH)
    def pass_on_and_go_on(self, to: str, which: int) -> None:
        """Give one of one's own away, and sit where it came to."""
        mine = [row["id"] for row in self.rows["thanks"] if row["owner"] == self.who and row["state"] in states.OPEN]
        if mine:
            self.do("edit", ref=str(mine[which % len(mine)]), owner=to)
        self.sit_down(to)

    # --- whose everything is ---

    def do(self, verb: str, **params: Any) -> dict[str, Any] | None:
        self.desk.enter()
        self.desk("recover")
        before = read_all(self.desk.store)
        found = super().do(verb, **params)
        changed_owner = {int(params["ref"])} if verb == "edit" and params.get("owner") else set()
        if verb not in _OF_ALL:
            self._check_others_are_untouched(before, read_all(self.desk.store), changed_owner, verb)
        if verb in ("pause", "resume") and found is not None:
            self._note_pause(found["pause"]["until"])
        return found

    def _check_others_are_untouched(self, before: Rows, after: Rows, passed_on: set[int], verb: str) -> None:
        mine = {row["id"] for row in before["thanks"] if row["owner"] == self.who} | passed_on
        # Who carries a colleague's letters has their login mended too.
        mine |= {row["id"] for row in before["thanks"] if verb == "release" and row["owner"] in self._writers()}
        for name, key in (("thanks", "id"), ("letter", "thanks_id"), ("draft", "thanks_id"), ("nudge", "thanks_id")):
            theirs = [row for row in before[name] if row[key] is not None and row[key] not in mine]
            now = {row["thanks_id" if name == "draft" else "id"]: row for row in after[name]}
            for row in theirs:
                assert now[row["thanks_id" if name == "draft" else "id"]] == row, (verb, self.who)
        others = [row for row in before["member"] if row["owner"] != self.who]
        assert [row for row in after["member"] if row["owner"] != self.who] == others, verb

    def _writers(self) -> frozenset[str]:
        return self.desk.context.writers or frozenset()

    def _note_pause(self, until: str | None) -> None:
        self.paused.pop(self.who, None)
        if until is not None:
            self.paused[self.who] = from_iso(until)

    @invariant()
    def every_letter_is_from_whoever_owes_the_thanks(self) -> None:
        owners = {row["id"]: row["owner"] for row in self.rows["thanks"]}
        for letter in self.rows["letter"]:
            name, address = parseaddr(message_from_bytes(letter["raw"])["From"])
            assert fold(address) == fold(letter["sender"]) == letter["writer"], (name, letter)
            if letter["state"] in (*states.LIVE, states.SENT):
                assert owners[letter["thanks_id"]] == letter["writer"], letter

    @invariant()
    def a_letter_waits_only_for_a_login_by_which_it_may_leave(self) -> None:
        writers = {self._seat(desk): desk.context.writers or () for desk in self.desks.values()}
        for letter in self.rows["letter"]:
            assert letter["reason"] != states.CREDENTIALS or letter["writer"] in writers[letter["seat"]], letter

    def _seat(self, program: Program) -> str:
        # It is told by the state folder of whoever asks first.
        program.enter()
        seat = program.store.seat
        self.desk.enter()
        return seat

    def _after(self, which: int, *, is_known: bool = True) -> None:
        worker = self.workers[which]
        assert "older copy" not in str(worker.fault), "whoever has the newest is let in"
        if not worker.at and worker.fault is None:
            self._check_nothing_was_left(worker)
        super()._after(which, is_known=is_known)

    def _check_nothing_was_left(self, worker: Worker) -> None:
        """A worker that came to its end left nothing that may leave: only its own refused login keeps anything back."""
        rows, writers, now = read_all(worker.program.store), worker.program.context.writers or (), self.world.now
        waiting = [row for row in rows["letter"] if _is_live(row) and row["reason"] == states.CREDENTIALS]
        if self._seat(worker.program) in {row["seat"] for row in waiting}:
            return
        for row in rows["letter"]:
            may = row["writer"] in writers and row["send_after"] <= now
            assert not (may and row["state"] in (states.QUEUED, states.DEFERRED)), row

    def _show(self, nudge: dict[str, Any], receipt: str, channel: str) -> None:
        owners = {row["id"]: row["owner"] for row in read_all(self.desk.store)["thanks"]}
        assert {owners[number] for number in nudge["thanks"]} <= {self.who}, "a nudge is its owner's"
        super()._show(nudge, receipt, channel)

    @rule(who=EVERYBODY)
    def a_pass_of_somebody(self, who: str) -> None:
        """Popups come to whoever has no pause, whatever others said; to nobody in their own."""
        self.sit_down(who)
        self.doom = 0
        due = self.do("due_nudges", channel="desktop")
        assert due is not None
        for nudge in due["nudges"]:
            self._show(nudge, "shown", "desktop")
        waiting = [row for row in self._look()["thanks"] if row["owner"] == who and row["popup_at"] is not None]
        if self.paused.get(who, self.world.now) > self.world.now:
            assert due["nudges"] == []
        else:
            assert [row for row in waiting if row["popup_at"] <= self.world.now] == []

    # --- the end ---

    def _pass(self) -> None:
        for which in (0, 1):
            self.work_through(which, [])
        for who in TEAM:
            self.sit_down(fold(who))
            self.desk("answered_popups")
            for nudge in self.desk("due_nudges", channel="desktop")["nudges"]:
                self.desk("nudges_shown", ids=nudge["ids"], popup_id=1000, server=":1.9")
        self._look()
        self._next_moment()

    def _moments(self) -> list[str | None]:
        planned = [desk("next_moment") for desk in self.desks.values()]
        return [one[what] for one in planned for what in ("popup", "letter")]

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for desk in getattr(self, "desks", {}).values():
                desk.close()


def _is_live(letter: dict[str, Any]) -> bool:
    return letter["state"] in states.LIVE


def on(server: Server, machine: type[Machine], kind: type[Machine]) -> type[Machine]:
    """Give a machine of a kind whose ledger is on a server."""
    place: Callable[[Path], Place] = partial(_place, server, shared_rigs.new_ledger(server))
    return type("OnServer", (kind,), {"dead": machine.dead, "place": place})


def _place(server: Server, url: str, _folder: Path) -> Place:
    return Shared(server, url)


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each of a team has a state folder; the variable that names it is put back."""
    monkeypatch.setenv("XDG_STATE_HOME", os.environ["XDG_STATE_HOME"])
    return iter((None,))


def test_on_a_server_the_promises_hold_too(postgres: Server, machine: type[Machine]) -> None:
    run(on(postgres, machine, Machine), max(RUNS // 12, 1), SEED)


def test_whatever_a_team_does_in_whatever_order_the_promises_hold_for_each(
    postgres: Server, machine: type[Machine]
) -> None:
    run(on(postgres, machine, Team), max(RUNS // 8, 1), SEED)


AT_KIM, AT_PAT, AT_SAM = (("sit_down", {"who": who}) for who in (KIM, PAT, SAM))
TO_KIM = ("pass_on", {"which": 0, "to": KIM})
UNDONE: tuple[str, dict[str, Any]] = ("undo_the_last", {})
ADDED = ("add_many", {"who": ["Ada Lovelace ada@example.com"], "after": ""})
THEIRS = ("prepare_and_confirm", {"first": 1, "more": 0})
# Sam's program dies as it claims; Kim's has a letter in hand by then.
DOOMED = {"which": 0, "plan": "accepted", "stop_at": "", "doom": 1}
AT_KIMS_DOT = ("work", {"which": 1, "plan": "accepted", "stop_at": "", "doom": 0})


@pytest.mark.parametrize(
    "steps",
    [
        [CONFIRMED, TO_KIM, ("answer_by_hand", {"move": "undo", "which": 0, "delay": ""}), TO_KIM, AT_KIM, CONFIRMED],
        [CONFIRMED, sent("accepted"), ("bounced", {"which": 0, "email": ""}), TO_KIM, AT_KIM, UNDONE],
        [("answer_by_hand", {"move": "snooze", "which": 0, "delay": "2d"}), TO_KIM, AT_KIM, UNDONE, CONFIRMED],
        [CONFIRMED, sent("no login"), TO_KIM, AT_KIM, ("pass_on", {"which": 1, "to": "me"}), CONFIRMED],
        [("later", {"hours": 24}), NUDGED, TO_KIM, AT_KIM, NUDGED, AT_SAM, ("press", {"which": 0, "key": "waive"})],
        [AT_PAT, ("pass_on", {"which": 0, "to": "me"}), CONFIRMED, sent("unknown, lost"), AT_KIM, UNDONE],
        [CONFIRMED, AT_KIM, ("leave_now", {"which": 0}), ("pause", {"until": "3d"}), AT_SAM, NUDGED],
        [
            CONFIRMED,
            ("work", DOOMED),
            AT_KIM,
            ("pass_on", {"which": 1, "to": "me"}),
            THEIRS,
            AT_KIMS_DOT,
            AT_SAM,
            ADDED,
        ],
    ],
)
def test_in_the_orders_that_need_most_thought_a_team_keeps_apart(
    postgres: Server, machine: type[Machine], steps: list[tuple[str, dict[str, Any]]]
) -> None:
    state: Any = on(postgres, machine, Team)()
    state.begin(zone="Europe/Berlin", quiet="", weekdays=False, undo="30s")
    try:
        for name, params in steps:
            getattr(state, name)(**params)
            state.the_promises_hold()
            state.every_letter_is_from_whoever_owes_the_thanks()
            state.a_letter_waits_only_for_a_login_by_which_it_may_leave()
    finally:
        state.teardown()
