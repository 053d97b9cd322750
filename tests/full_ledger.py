"""Writes tests/fixtures/ledger-NNNN.sql: a small ledger with something of everything, by the program of its schema.

Run it before a change of the schema, with the code of before: `.venv/bin/python tests/full_ledger.py`. The verbs make
every row; only the name of this machine is not handed on.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import smtp_rigs
from store_rigs import Desk, smtp

from thanksd import outbox, verbs
from thanksd.store import known_revisions

FIXTURES = Path(__file__).resolve().parent / "fixtures"


def fill(folder: Path) -> Path:
    """Make the ledger, and give its file."""
    desk = Desk(folder)
    _wait_and_remind(desk)
    _close(desk)
    _send(desk)
    if "pause" in verbs.TABLE:
        _first_month(desk)
    if "promises" in verbs.TABLE:
        _notes_worth_sending(desk)
    desk.add("Zoe Gone")
    desk("forget_person", who="Zoe Gone")
    desk.context.store.close()
    return desk.file


def _wait_and_remind(desk: Desk) -> None:
    desk.add("Ada Lovelace", promises=["the paper by friday"], others=["Bob Ray bob@example.com"], place="Bar Bodega")
    desk("draft", ref="1", body="Dear Ada,\n\nThank you for the \u201ccoffee\u201d; it's kept.\n\nSam")
    desk.add(
        "Jos\u00e9 \u00c1lvarez", email="", lang="en", tz="America/New_York", seniority="above", via="Ada Lovelace"
    )
    snoozed = desk.add("Cy Young", kind="interview", details=["the 'quoted' one", "a;b -- c"])
    desk("snooze", ref=str(snoozed), delay="2w")
    desk.clock.forward(days=1)
    for number, nudge in enumerate(desk("due_nudges", channel="desktop")["nudges"], 7):
        desk("nudges_shown", ids=nudge["ids"], popup_id=number, server=":1.9")
    desk("show_again")
    for nudge in desk("due_nudges", channel="desktop")["nudges"]:
        desk("nudges_failed", ids=nudge["ids"], error="no server")
    desk("prepare", ref="1", at_once=True)


def _close(desk: Desk) -> None:
    waived, done = desk.add("Dee Doe"), desk.add("Eve Poe", promises=["a book"])
    desk("waive", ref=str(waived), reason="they are family")
    desk("done", ref=str(done), how="in person")


def _send(desk: Desk) -> None:
    """Leave letters in every state: the four of a server's words, cancelled, two of a dead program, and queued."""
    _carry(desk, "Flo Sent", {})
    _carry(desk, "Gil Failed", {"RCPT": "550 5.2.1 no"})
    _carry(desk, "Hal Held", {".": smtp_rigs.DROP})
    _carry(desk, "Ida Deferred", {"RCPT": "451 4.7.1 later"})
    taken_back = desk.queued("Jo Cancelled")
    desk("undo", ref=str(taken_back))
    for name in ("Kim Pre", "Lu Dot"):
        _die(desk, desk.queued(name), at_dot=name == "Lu Dot")
    desk.clock.forward(seconds=1)
    desk.confirm(desk.add("May Queued"), at_once=False)


def _carry(desk: Desk, name: str, answers: dict[str, str | bytes]) -> int:
    """Send somebody a letter to a server that answers so, and give the number of the thanks."""
    with smtp_rigs.Scripted(answers) as server:
        desk.set(config=replace(desk.context.config, transport=smtp(server.port)))
        number = desk.queued(name)
        desk("dispatch")
    return number


def _die(desk: Desk, number: int, *, at_dot: bool) -> None:
    """Claim a letter as a program that ended since."""
    with desk.context.store.write() as connection:
        (held,) = outbox.claim(connection, desk.clock(), "machine boot 11 100", [desk.letter(number)["id"]])
        assert not at_dot or outbox.mark_dot(connection, desk.clock(), held)


def _first_month(desk: Desk) -> None:
    """What came with the second schema."""
    desk("bounced", ref=str(_carry(desk, "Ned Bounced", {})))
    desk("pause", until="2w")


def _notes_worth_sending(desk: Desk) -> None:
    """What came with the fifth: what people care about, replies, and what came of an introduction."""
    met = desk.add("Pia Met", via="Quentin Via quentin@elsewhere.example", promises=["the slides by friday"])
    desk("edit_person", who="Pia", cares_about=["open compilers"], source="a coffee", replied=True)
    desk("done", ref=str(met), how="in person")
    desk("promise_done", number=1)
    desk.add("Rae Panel", kind="panel", others=["Sid Nowhere"], coordinator="Tia Lead tia@elsewhere.example")


def dump(file: Path) -> str:
    """Give a ledger as SQL, without what is of this machine."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        if "ledger" in {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}:
            connection.execute("UPDATE ledger SET machine = ?, install = ?, host = 'ada-x1'", ("a" * 32, "b" * 32))
        return "\n".join(connection.iterdump()) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = name
        target = FIXTURES / f"ledger-{known_revisions()[-1]}.sql"
        target.write_text(dump(fill(Path(name))), encoding="utf-8")
        print(target)
