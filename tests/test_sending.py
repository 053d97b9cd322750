from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from smtp_rigs import USER, Scripted, mail_server
from store_rigs import NOON, Desk, at_once_in, everything, maildir, small_disk, smtp

from thanksd import database, outbox
from thanksd.config import Config, Me, Send, Transport
from thanksd.errors import ConfigError, DataError, NotFoundError, ThanksdError, TryLaterError, UsageError
from thanksd.instance import owner
from thanksd.transports import Carrier, Outcome
from thanksd.verbs import preparing

HOSTILE = "Dear Ada,\n\n.\n..\n.a line with a dot\nFrom me: naïve ☕ = 100%\n\n" + "long " * 300 + "\n\nSam Lee"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def shown(desk: Desk, number: int, **leaving: Any) -> dict[str, Any]:
    """Prepare a letter, and give what a person sees of it."""
    prepared: dict[str, Any] = desk("prepare", ref=str(number), **leaving)["prepared"]
    return prepared


def confirm(desk: Desk, number: int, sha256: str, **leaving: Any) -> dict[str, Any]:
    return desk("confirm", letters=[{"thanks": number, "sha256": sha256}], **leaving)


def write_own(desk: Desk, number: int, body: str) -> str:
    """Let a person write the body, prepare it, and give the hash that is shown. What blocks it does so no more."""
    desk("draft", ref=str(number), body=body)
    return str(shown(desk, number, at_once=True)["sha256"])


def text_of(raw: bytes) -> str:
    """Give the text of a letter as its reader sees it."""
    text: str = message_from_bytes(raw, policy=default).get_content()
    return text.replace("\r\n", "\n").rstrip("\n")


# --- exactly the bytes that were confirmed ---


def test_the_bytes_in_the_folder_are_the_bytes_that_were_confirmed(desk: Desk) -> None:
    number = desk.add()
    sha256 = write_own(desk, number, HOSTILE)
    confirm(desk, number, sha256, at_once=True, overrides=["detail"])
    desk("dispatch")
    (raw,) = desk.saved()
    assert hashlib.sha256(raw).hexdigest() == sha256 == desk.letter(number)["sha256"]


def test_the_bytes_at_the_server_are_the_bytes_that_were_confirmed(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = Desk(short_dir, smtp(box.port))
        number = desk.add()
        sha256 = write_own(desk, number, HOSTILE)
        confirm(desk, number, sha256, at_once=True, overrides=["detail"])
        desk("dispatch")
        (letter,) = box.letters
        assert isinstance(letter.content, bytes)
        assert hashlib.sha256(letter.content).hexdigest() == sha256
        assert (letter.mail_from, letter.rcpt_tos) == ("sam@example.org", ["ada@example.com"])
    found = message_from_bytes(letter.content, policy=default)
    assert text_of(letter.content) == "\n".join(line.rstrip() for line in HOSTILE.split("\n"))
    assert found["X-Thanksd-Id"] == desk.thanks(number)["uid"]
    assert found["Message-ID"] == desk.letter(number)["message_id"]
    assert found["Date"].datetime == NOON


def test_facts_and_settings_that_change_after_the_confirming_change_nothing_of_the_letter(desk: Desk) -> None:
    number = desk.add()
    sha256 = shown(desk, number)["sha256"]
    confirm(desk, number, sha256)
    desk.set(config=replace(desk.context.config, me=Me(name="Somebody Else", email="else@example.org")))
    desk.clock.forward(days=1)
    desk("dispatch")
    (raw,) = desk.saved()
    assert hashlib.sha256(raw).hexdigest() == sha256
    assert desk.letter(number)["sender"] == "sam@example.org"


def test_what_did_not_change_is_prepared_as_the_same_bytes(desk: Desk) -> None:
    number = desk.add()
    first = shown(desk, number)["sha256"]
    desk.clock.forward(minutes=59)
    assert shown(desk, number)["sha256"] == first
    desk.clock.forward(minutes=2)
    assert shown(desk, number)["sha256"] != first


# --- what is not what was shown is not confirmed ---

CHANGES: dict[str, Callable[[Desk, int], object]] = {
    "the body": lambda desk, number: desk("draft", ref=str(number), body="Dear Ada,\n\nthank you."),
    "the subject": lambda desk, number: desk("draft", ref=str(number), subject="Thanks"),
    "the address": lambda desk, number: desk("edit", ref=str(number), email="lovelace@example.com"),
    "the name": lambda desk, number: desk("edit", ref=str(number), name="Ada King"),
    "a detail": lambda desk, number: desk("edit", ref=str(number), details=["the compiler you wrote"]),
    "the sender": lambda desk, _number: desk.set(config=with_me(desk, email="else@example.org")),
    "the sender's name": lambda desk, _number: desk.set(config=with_me(desk, name="Else")),
    "the hold": lambda desk, _number: desk.set(config=replace(desk.context.config, send=Send(undo="60s"))),
    "the state": lambda desk, number: desk("waive", ref=str(number)),
    "the hour": lambda desk, _number: desk.clock.forward(minutes=61),
    "the template": lambda desk, number: desk("draft", ref=str(number), template="meal"),
    "another look": lambda desk, number: desk("prepare", ref=str(number), at_once=True),
    "it was confirmed": lambda desk, number: confirm(desk, number, shown(desk, number)["sha256"]),
}


def with_me(desk: Desk, **changed: str) -> Config:
    return replace(desk.context.config, me=replace(desk.context.config.me, **changed))


@pytest.mark.parametrize("what", CHANGES)
def test_a_letter_is_not_confirmed_once_something_of_it_changed_and_nothing_is_stored(desk: Desk, what: str) -> None:
    number = desk.add()
    sha256 = shown(desk, number)["sha256"]
    CHANGES[what](desk, number)
    before = everything(desk.file)
    with pytest.raises(NotFoundError, match="not the one that was shown"):
        confirm(desk, number, sha256)
    assert everything(desk.file) == before


@pytest.mark.parametrize("leaving", [{"at_once": True}, {"at": "today 15:00"}])
def test_a_letter_shown_to_leave_after_its_hold_is_not_confirmed_to_leave_otherwise(
    desk: Desk, leaving: dict[str, Any]
) -> None:
    number = desk.add()
    sha256 = shown(desk, number)["sha256"]
    before = everything(desk.file)
    with pytest.raises(NotFoundError):
        confirm(desk, number, sha256, **leaving)
    assert everything(desk.file) == before
    again = shown(desk, number, **leaving)["sha256"]
    with pytest.raises(NotFoundError):
        confirm(desk, number, again)
    confirm(desk, number, again, **leaving)
    assert desk.letter(number)["sha256"] == again


@pytest.mark.parametrize("sha256", ["", "0" * 64, None])
def test_a_hash_that_was_never_shown_confirms_nothing(desk: Desk, sha256: str) -> None:
    number = desk.add()
    for prepared in (False, True):
        if prepared:
            shown(desk, number)
        with pytest.raises(NotFoundError):
            confirm(desk, number, sha256)
    assert desk.rows("SELECT * FROM letter") == []


def test_of_several_letters_all_are_confirmed_or_none(desk: Desk) -> None:
    numbers = [desk.add("Ada Lovelace"), desk.add("Bob Ray"), desk.add("Cy Young", details=[])]
    letters = [{"thanks": number, "sha256": shown(desk, number)["sha256"]} for number in numbers]
    before = everything(desk.file)
    with pytest.raises(DataError, match="gap"):
        desk("confirm", letters=letters)
    with pytest.raises(NotFoundError):
        desk("confirm", letters=[*letters[:2], letters[0]])
    assert everything(desk.file) == before
    desk("confirm", letters=letters[:2])
    assert [desk.letter(number)["state"] for number in numbers[:2]] == ["queued", "queued"]


def test_what_blocks_is_said_and_an_override_is_recorded(desk: Desk) -> None:
    number = desk.add()
    sha256 = write_own(desk, number, "Dear Ada,\n\nThank you for the coffee on Tuesday.\n\nSam Lee")
    with pytest.raises(DataError, match="Blocked: detail") as blocked:
        confirm(desk, number, sha256, at_once=True)
    assert (blocked.value.exit_code, desk.rows("SELECT * FROM letter")) == (65, [])
    confirm(desk, number, sha256, at_once=True, overrides=["detail"])
    assert "overridden" in desk.words(number)


def test_without_an_account_nothing_is_confirmed(desk: Desk) -> None:
    number = desk.add()
    sha256 = shown(desk, number)["sha256"]
    desk.set(config=replace(desk.context.config, transport=Transport()))
    with pytest.raises(ConfigError):
        confirm(desk, number, sha256)
    assert desk.rows("SELECT * FROM letter") == []


def test_a_draft_that_somebody_changed_while_its_letter_was_built_is_not_overwritten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = desk.add()
    real = preparing.freeze_note

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(preparing, "freeze_note", real)
        desk("draft", ref=str(number), body="Dear Ada,\n\nmy own words.")
        return real(*given)

    monkeypatch.setattr(preparing, "freeze_note", meanwhile)
    with pytest.raises(UsageError, match="changed meanwhile"):
        shown(desk, number)
    assert desk("draft", ref=str(number))["draft"]["body"] == "Dear Ada,\n\nmy own words."


# --- the text is kept ---


def test_an_untouched_draft_follows_the_facts_and_one_that_was_edited_does_not(desk: Desk) -> None:
    number = desk.add()
    shown(desk, number)
    desk("edit", ref=str(number), details=["the compiler you wrote"])
    assert "the compiler you wrote" in shown(desk, number)["body"]
    desk("draft", ref=str(number), body="Dear Ada,\n\nmy own words.")
    desk("edit", ref=str(number), details=["something else"], place="Ockham Park")
    assert shown(desk, number)["body"] == "Dear Ada,\n\nmy own words."
    assert "something else" in shown(desk, number, template="coffee")["body"]


@pytest.mark.parametrize("back", ["undone", "refused"])
def test_a_confirmed_text_is_the_draft_again_and_is_never_rendered_anew(short_dir: Path, back: str) -> None:
    with Scripted({"RCPT": "550 5.1.1 no such person"}) as server:
        desk = Desk(short_dir, smtp(server.port))
        number = desk.add()
        body = shown(desk, number, at_once=True)["body"]
        desk.confirm(number)
        if back == "refused":
            desk("dispatch")
            assert desk.letter(number)["state"] == "failed"
        else:
            desk("undo", ref=str(number))
        desk("edit", ref=str(number), place="Ockham Park", email="right@example.com")
        first = desk.letter(number)["message_id"]
        desk.confirm(number)
        letter = desk.letter(number)
        assert (letter["to"], letter["state"]) == ("right@example.com", "queued")
        assert letter["message_id"] != first
        assert desk("letter_text", ref=str(number))["letter_text"].count("Message-ID") == 1
        assert text_of(letter["raw"]) == body


def test_a_letter_that_was_taken_back_can_be_confirmed_at_once_again(desk: Desk) -> None:
    number = desk.add()
    ids = set()
    for _ in range(3):
        desk.confirm(number, at_once=False)
        ids.add(desk.letter(number)["message_id"])
        desk("undo", ref=str(number))
    assert len(ids) == 3
    assert [row["state"] for row in desk.rows("SELECT state FROM letter")] == ["cancelled"] * 3


# --- carrying ---


def test_every_letter_that_may_leave_is_carried_one_after_the_other_and_no_other(desk: Desk) -> None:
    first, second = desk.queued(), desk.queued("Bob Ray")
    waiting, other = desk.add("Cy Young"), desk.add("Dan Ray")
    desk.confirm(waiting, other, at_once=False)
    assert desk("dispatch") == {"letters": 2}
    assert [desk.letter(number)["state"] for number in (first, second, waiting)] == ["sent", "sent", "queued"]
    assert desk("leave_now", thanks=[first, waiting]) == {"letters": 1}
    assert desk("dispatch") == {"letters": 1}
    assert (desk.letter(waiting)["state"], desk.letter(other)["state"]) == ("sent", "queued")
    assert len(desk.saved()) == 3
    assert [one["id"] for one in desk("owed")["thanks"]] == [other]
    assert desk.words(first) == ["added", "confirmed", "sent"]


def test_a_program_that_is_to_end_begins_no_letter(desk: Desk) -> None:
    numbers = [desk.queued("Ada Lovelace"), desk.queued("Bob Ray")]
    asked: list[bool] = []

    def stopping() -> bool:
        asked.append(True)
        return len(asked) > 1

    desk.set(stopping=stopping)
    assert desk("dispatch") == {"letters": 1}
    assert [desk.letter(number)["state"] for number in numbers] == ["sent", "queued"]


def test_a_refused_login_stops_all_letters_until_it_is_mended(short_dir: Path) -> None:
    with mail_server() as box:
        account = replace(smtp(box.port).smtp, auth="password", username=USER)
        desk = Desk(short_dir, Transport(kind="smtp", smtp=account))
        desk.set(secret=lambda: "wrong")
        numbers = [desk.queued("Ada Lovelace"), desk.queued("Bob Ray")]
        assert desk("dispatch") == {"letters": 1}
        assert box.seen.count(b"AUTH") == 1
        assert [desk.letter(number)["state"] for number in numbers] == ["deferred", "queued"]
        assert desk.letter(numbers[0])["reason"] == "credentials"
        desk.clock.forward(hours=2)
        assert desk("dispatch") == {"letters": 0}
        assert box.seen.count(b"AUTH") == 1


DISPATCHING = """
from datetime import datetime, UTC
from pathlib import Path
from thanksd.config import Config, Me, Smtp, Transport
from thanksd.database import SqliteStore
from thanksd.verbs.context import Context
from thanksd.verbs.sending import dispatch
smtp = Smtp(host="127.0.0.1", port=int(sys.argv[2]), security="none", auth="none")
config = Config(me=Me(email="sam@example.org"), transport=Transport(kind="smtp", smtp=smtp))
context = Context(SqliteStore(sys.argv[1]), config, Path("/"), "UTC", lambda: datetime(2026, 3, 10, 12, tzinfo=UTC))
go()
print(json.dumps(dispatch(context)["letters"]))
"""


def test_three_programs_that_send_at_once_send_each_letter_once(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = Desk(short_dir, smtp(box.port))
        for name in ("Ada", "Bob", "Cy", "Dan", "Eve", "Flo", "Gus", "Hal", "Ida"):
            desk.queued(f"{name} Ray")
        assert sum(at_once_in(3, DISPATCHING, desk.context.store.url, str(box.port))) == 9
        delivered = Counter(letter.content for letter in box.letters)
    assert delivered == Counter(row["raw"] for row in desk.rows("SELECT raw FROM letter"))
    assert {row["state"] for row in desk.rows("SELECT state FROM letter")} == {"sent"}


# --- the store fails in the middle ---


class Meanwhile:
    """The transport, and what happens to the store just before and after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: Callable[[], object] = bool
        self.after: Callable[[], object] = bool
        real = Carrier.deliver

        def deliver(*given: Any) -> Outcome:
            self.before()
            outcome = real(*given)
            self.after()
            return outcome

        monkeypatch.setattr(Carrier, "deliver", deliver)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    monkeypatch.setattr(database, "_BUSY_MS", 20)
    return Meanwhile(monkeypatch)


def test_a_dot_that_can_not_be_written_down_does_not_leave(
    desk: Desk, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = desk.queued()
    with closing(sqlite3.connect(desk.file)) as other:
        meanwhile.before = lambda: other.execute("BEGIN IMMEDIATE")
        # The other program is done before the outcome is written.
        monkeypatch.setattr(time, "sleep", lambda _seconds: other.rollback())
        desk("dispatch")
    letter = desk.letter(number)
    assert (letter["state"], letter["reason"], desk.saved()) == ("deferred", "store", [])
    assert list((desk.letters / "tmp").iterdir()) == []


def test_an_outcome_is_written_as_soon_as_the_store_takes_it(
    desk: Desk, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = desk.queued()
    with closing(sqlite3.connect(desk.file)) as other:
        meanwhile.after = lambda: other.execute("BEGIN IMMEDIATE")
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            other.rollback()

        monkeypatch.setattr(time, "sleep", sleep)
        desk("dispatch")
    assert (desk.letter(number)["state"], slept) == ("sent", [1])


def test_an_outcome_that_is_never_written_leaves_the_letter_to_a_person(
    short_dir: Path, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with small_disk(short_dir / "disk") as fill:
        desk = Desk(short_dir / "disk")
        desk.letters = short_dir / "letters"
        desk.set(config=replace(desk.context.config, transport=maildir(desk.letters)))
        number = desk.queued()
        meanwhile.after = fill
        with pytest.raises(TryLaterError):
            desk("dispatch")
        assert (len(desk.saved()), desk.letter(number)["state"], desk.letter(number)["phase"]) == (1, "sending", "dot")
        fill().unlink()
        meanwhile.after = bool
        assert desk("dispatch") == {"letters": 0}
        desk.clock.forward(minutes=11)
        assert desk("dispatch") == {"letters": 0}
        assert (len(desk.saved()), desk.letter(number)["state"]) == (1, "held")


def test_a_worker_that_slept_past_its_lease_does_not_send(desk: Desk, meanwhile: Meanwhile) -> None:
    number = desk.queued()
    meanwhile.before = lambda: desk.clock.forward(minutes=30)
    desk("dispatch")
    assert (desk.letter(number)["reason"], desk.saved()) == ("lost lease", [])
    meanwhile.before = bool
    desk.clock.forward(minutes=5)
    desk("dispatch")
    assert len(desk.saved()) == 1


# --- too late, or not ---


def die(desk: Desk, at_dot: bool) -> None:
    """Let a program of this machine that is gone by now have had the letter in hand."""
    machine, boot, pid, start = owner().split(" ")
    with desk.context.store.write() as connection:
        (held,) = outbox.claim(connection, desk.clock(), f"{machine} {boot} {pid} {int(start) - 1}")
    if at_dot:
        with desk.context.store.write() as connection:
            assert outbox.mark_dot(connection, desk.clock(), held)


def test_a_letter_that_left_is_not_taken_back(desk: Desk) -> None:
    number = desk.queued()
    desk("dispatch")
    before = everything(desk.file)
    with pytest.raises(UsageError, match="Too late: Ada's letter left at 12:00:00"):
        desk("undo", ref=str(number))
    assert everything(desk.file) == before


def test_a_letter_in_hand_is_not_taken_back(desk: Desk, meanwhile: Meanwhile) -> None:
    number = desk.queued()
    refused: list[ThanksdError] = []

    def undo() -> None:
        with pytest.raises(UsageError, match="is leaving right now") as error:
            desk("undo", ref=str(number))
        refused.append(error.value)

    meanwhile.before = undo
    desk("dispatch")
    assert (len(refused), desk.letter(number)["state"]) == (1, "sent")


def test_without_a_daemon_a_letter_of_a_program_that_died_is_taken_back_or_resolved_all_the_same(desk: Desk) -> None:
    ada = desk.queued()
    die(desk, at_dot=True)
    desk("resolve", ref=str(ada), how="sent")
    assert desk.thanks(ada)["state"] == "thanked"
    bob = desk.queued("Bob Ray")
    die(desk, at_dot=False)
    desk("undo", ref=str(bob))
    assert desk.letter(bob)["state"] == "cancelled"
    cy = desk.queued("Cy Young")
    die(desk, at_dot=True)
    with pytest.raises(UsageError, match="may have left already") as error:
        desk("undo", ref=str(cy))
    assert f"thanksd resolve {cy}" in error.value.hint


def test_a_letter_whose_program_died_at_the_dot_never_goes_out_by_itself(desk: Desk) -> None:
    number = desk.queued()
    die(desk, at_dot=True)
    for _ in range(3):
        assert desk("dispatch") == {"letters": 0}
        desk.clock.forward(days=1)
    assert (desk.letter(number)["state"], desk.saved()) == ("held", [])
    desk("resolve", ref=str(number), how="resend")
    desk("dispatch")
    assert len(desk.saved()) == 1


@pytest.mark.parametrize("how", ["sent", "resend", "discard"])
def test_only_a_held_letter_is_resolved(desk: Desk, how: str) -> None:
    never, queued, sent = desk.add("Cy Young"), desk.add("Bob Ray"), desk.queued()
    desk("dispatch")
    desk.confirm(queued, at_once=False)
    before = everything(desk.file)
    for number in (never, queued, sent):
        with pytest.raises(UsageError, match="is not held"):
            desk("resolve", ref=str(number), how=how)
    with pytest.raises(UsageError):
        desk("resolve", ref=str(queued), how="perhaps")
    assert everything(desk.file) == before
