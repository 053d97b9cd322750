"""Letters that came back, and addresses that take none: what a person says of them, and what follows."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import change, new_ledger, store_file, thanksd
from daemon_rigs import add, confirm, settings, value
from smtp_rigs import Scripted, mail_server
from store_rigs import NOON, Desk, everything, smtp
from terminal_rigs import terminal

from thanksd import outbox, states
from thanksd.errors import NotFoundError, UsageError
from thanksd.outbox import Result
from thanksd.transports import Outcome
from thanksd.transports.replies import of_recipient

OLD, NEW = "ada@example.com", "lovelace@example.org"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


def sent(desk: Desk) -> int:
    number = desk.queued()
    desk("dispatch")
    assert desk.letter(number)["state"] == "sent"
    return number


def settle(desk: Desk, result: Result) -> None:
    """Let the next letter be tried, and come to this."""
    with desk.context.store.write() as connection:
        (held,) = outbox.claim(connection, desk.clock(), "machine boot 10 100")
    with desk.context.store.write() as connection:
        outbox.settle(connection, desk.clock(), held, result)


def bad(desk: Desk) -> list[tuple[str, str]]:
    return [(row["email_key"], row["why"]) for row in desk.rows("SELECT * FROM bad_address ORDER BY email_key")]


def prepared(desk: Desk, number: int) -> dict[str, Any]:
    found: dict[str, Any] = desk("prepare", ref=str(number), at_once=True)["prepared"]
    return found


# --- a letter that came back ---


def test_a_sent_letter_that_came_back_is_owed_again_and_its_text_goes_to_another_address(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = Desk(short_dir, smtp(box.port))
        number = desk.add()
        desk("draft", ref=str(number), subject="Thank you, truly")
        desk.confirm(number)
        desk("dispatch")
        text = desk("draft", ref=str(desk.add("Bob Ray", email="bob@elsewhere.example")))["draft"]["body"].replace(
            "Bob", "Ada"
        )
        desk.clock.forward(hours=5)
        told = desk("bounced", ref=str(number), email=NEW)
        one = told["thanks"][0]
        assert (told["to"], one["state"], one["person"]["email"]) == (OLD, "due", NEW)
        assert bad(desk) == [(OLD, "bounced")]
        draft = desk("draft", ref=str(number))["draft"]
        assert (draft["subject"], draft["body"], draft["to"]) == ("Thank you, truly", text, NEW)
        desk.confirm(number)
        desk("dispatch")
        assert [(letter.rcpt_tos, letter.mail_from) for letter in box.letters] == [
            ([OLD], "sam@example.org"),
            ([NEW], "sam@example.org"),
        ]
    assert desk.thanks(number)["state"] == "thanked"
    first, second = desk.rows("SELECT * FROM letter WHERE thanks_id = ? ORDER BY id", number)
    assert first["message_id"] != second["message_id"]
    assert [(row["state"], row["reason"]) for row in (first, second)] == [("failed", "bounced"), ("sent", "")]


def test_of_a_letter_that_came_back_everything_says_that_it_left_and_when(desk: Desk) -> None:
    number = sent(desk)
    desk.clock.forward(hours=5)
    desk("bounced", ref=str(number))
    letter = desk("show", ref=str(number))["thanks"][0]["letter"]
    assert (letter["state"], letter["reason"], letter["sent_at"]) == ("failed", "bounced", "2026-03-10T11:00:00Z")
    assert desk.words(number) == ["added", "confirmed", "sent", "bounced"]
    assert desk("outbox")["letters"] == []
    row = desk.thanks(number)
    assert (row["closed_at"], row["how"], row["state"]) == (None, None, "owed")
    # Its owner has it in hand: no popup in the same minute.
    assert row["popup_at"] > (NOON.replace(hour=16, minute=10)).strftime("%Y-%m-%d %H:%M")


def test_of_several_letters_the_one_that_counts_is_printed(desk: Desk) -> None:
    number = sent(desk)
    left = desk.letter(number)["raw"].decode()
    desk("bounced", ref=str(number), email=NEW)
    assert desk("letter_text", ref=str(number))["letter_text"] == left
    desk.confirm(number, at_once=False)
    second = desk.letter(number)["raw"].decode()
    assert desk("letter_text", ref=str(number))["letter_text"] == second != left
    desk("undo", ref=str(number))
    # Only the first one ever left.
    assert desk("letter_text", ref=str(number))["letter_text"] == left
    desk.confirm(number)
    desk("dispatch")
    assert NEW in desk("letter_text", ref=str(number))["letter_text"]


def test_a_held_letter_may_have_come_back_too(desk: Desk) -> None:
    number = desk.queued()
    settle(desk, Result(states.UNKNOWN, "", None, "dropped"))
    desk("bounced", ref=str(number))
    letter = desk.letter(number)
    assert (letter["state"], letter["reason"], letter["sent_at"]) == ("failed", "bounced", None)
    assert (desk.thanks(number)["state"], bad(desk)) == ("owed", [(OLD, "bounced")])


def never(desk: Desk) -> int:
    return desk.add()


def failed(desk: Desk) -> int:
    number = desk.queued()
    settle(desk, Result(states.REJECTED, "554 no", 554, ""))
    return number


def twice(desk: Desk) -> int:
    number = sent(desk)
    desk("bounced", ref=str(number))
    return number


@pytest.mark.parametrize("before", [never, failed, twice, Desk.queued])
def test_only_what_left_can_come_back(desk: Desk, before: Callable[[Desk], int]) -> None:
    number = before(desk)
    stood = everything(desk.file)
    with pytest.raises(UsageError, match=r"none came back|came back already"):
        desk("bounced", ref=str(number), email=NEW)
    assert everything(desk.file) == stood


@pytest.mark.parametrize(
    ("email", "words"),
    [
        (OLD, "is the address that came back"),
        ("ADA@Example.com", "is the address that came back"),
        ("nobody", "not an address"),
        ("bob@example.com", "That address is Bob Ray's"),
    ],
)
def test_an_address_that_can_not_be_theirs_is_refused_and_nothing_is_changed(
    desk: Desk, email: str, words: str
) -> None:
    desk.add("Bob Ray")
    number = sent(desk)
    before = everything(desk.file)
    with pytest.raises(UsageError, match=words):
        desk("bounced", ref=str(number), email=email)
    assert everything(desk.file) == before


# --- an address that is known as bad ---


@pytest.mark.parametrize(
    ("reply", "is_bad"),
    [
        ("550 5.1.1 no such user", True),
        ("550 5.1.2 no such domain", True),
        ("553 5.1.3 bad syntax", True),
        ("551 5.1.6 moved", True),
        ("556 5.1.10 null MX", True),
        ("550 5.1.0 other", False),
        ("550 5.1.11 other", False),
        ("550 5.7.1 relaying denied", False),
        ("550 no such user", False),
        ("550 5.2.2 full, not 5.1.1", False),
    ],
)
def test_a_server_that_knows_no_such_address_says_so_of_the_address(reply: str, *, is_bad: bool) -> None:
    outcome = of_recipient(Outcome(states.REJECTED, reply, 550, ""))
    assert (outcome.reason == "address") is is_bad
    assert of_recipient(Outcome(states.NOT_NOW, reply, 450, "busy")).reason == "busy"


def test_an_address_that_the_server_refused_takes_no_letter_until_it_is_given_again(short_dir: Path) -> None:
    with Scripted({"RCPT": "550 5.1.1 no such person"}) as server:
        desk = Desk(short_dir, smtp(server.port))
        number, other = desk.queued(), desk.add("Ada Lovelace", kind="meal")
        # Shown already when the first one is refused.
        sha256 = prepared(desk, other)["sha256"]
        desk("dispatch")
    assert bad(desk) == [(OLD, "550 5.1.1 no such person")]
    for one in (number, other):
        shown = prepared(desk, one)
        assert (shown["missing"], shown["to"], shown["sha256"]) == ("address", OLD, None)
    with pytest.raises(NotFoundError, match="not the one that was shown"):
        desk("confirm", letters=[{"thanks": other, "sha256": sha256}], at_once=True)
    # A person may know better: whoever types it again has looked at it.
    desk("edit", ref=str(number), email=OLD)
    assert (bad(desk), prepared(desk, number)["missing"]) == ([], "")
    assert len(desk.rows("SELECT id FROM letter")) == 1


def test_another_refusal_says_nothing_of_the_address(short_dir: Path) -> None:
    with Scripted({"RCPT": "554 5.7.1 your server is on a list"}) as server:
        desk = Desk(short_dir, smtp(server.port))
        number = desk.queued()
        desk("dispatch")
    assert (desk.letter(number)["state"], bad(desk), prepared(desk, number)["missing"]) == ("failed", [], "")


def test_whoever_is_met_again_under_a_bad_address_is_noted(desk: Desk) -> None:
    number = sent(desk)
    desk("bounced", ref=str(number))
    for who, more in (("Ada Lovelace", {}), ("Ada", {"email": OLD})):
        assert f"A letter to {OLD} came back before." in " ".join(desk("add", who=who, again=True, **more)["notes"])
    desk("edit", ref=str(number), email=NEW)
    assert desk("add", who="Ada Lovelace", again=True)["notes"] == []
    # It stays known when it is another person's.
    assert OLD in " ".join(desk("add", who="Bob Ray", email=OLD, again=True)["notes"])


def test_with_a_person_what_is_known_against_their_addresses_is_forgotten(desk: Desk) -> None:
    number = sent(desk)
    desk("bounced", ref=str(number), email=NEW)
    desk.confirm(number)
    desk("dispatch")
    desk("bounced", ref=str(number))
    assert [email for email, _ in bad(desk)] == [OLD, NEW]
    desk("forget_person", who="Ada")
    assert bad(desk) == []
    assert OLD.encode() not in desk.file.read_bytes()


# --- an address while a letter is under way ---


def waiting(desk: Desk) -> None:
    desk.queued()


def deferred(desk: Desk) -> None:
    desk.queued()
    settle(desk, Result(states.NOT_NOW, "451 later", 451, "busy"))


def sending(desk: Desk) -> None:
    desk.queued()
    with desk.context.store.write() as connection:
        assert outbox.claim(connection, desk.clock(), "machine boot 10 100")


def held(desk: Desk) -> None:
    desk.queued()
    settle(desk, Result(states.UNKNOWN, "", None, "dropped"))


@pytest.mark.parametrize("way", [waiting, deferred, sending, held])
def test_an_address_is_not_changed_while_a_letter_to_it_is_under_way(desk: Desk, way: Callable[[Desk], None]) -> None:
    way(desk)
    other = desk.add("Ada Lovelace", kind="meal")
    before = everything(desk.file)
    remedy = "thanksd resolve 1" if way is held else "Take it back first: thanksd undo 1"
    calls: list[Callable[[], object]] = [
        lambda: desk("edit", ref="1", email=NEW),
        lambda: desk("edit", ref=str(other), email=NEW),
        lambda: desk("edit_person", who="Ada", email=NEW),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=f"Ada's letter is confirmed to {OLD}") as error:
            call()
        assert remedy in error.value.hint
        assert everything(desk.file) == before


def test_the_address_of_somebody_whose_letter_was_sent_is_changed_by_saying_that_it_came_back(desk: Desk) -> None:
    number = sent(desk)
    with pytest.raises(UsageError) as error:
        desk("edit", ref=str(number), email=NEW)
    assert f"thanksd resolve {number} --bounced --email" in error.value.hint
    desk("edit_person", who="Ada", email=NEW)
    assert desk("person", who="Ada")["people"][0]["email"] == NEW


# --- the commands ---


@pytest.fixture
def mail() -> Path:
    folder = settings()
    new_ledger()
    return folder


def test_by_the_command_line_a_bounced_letter_is_told_and_refused_until_the_address_is_mended(mail: Path) -> None:
    number = str(add())
    assert thanksd("send", number, "--yes", "--now").code == 0
    told = thanksd("resolve", number, "--bounced")
    assert (told.code, told.out) == (
        0,
        f"Ada Lovelace: the letter to {OLD} came back. Your text is kept. Due again: thanksd review {number}\n",
    )
    shown = thanksd("show", number).out
    assert f"came back, to {OLD}" in shown
    assert "     Left " in shown
    assert f"came back from {OLD}; due again" in thanksd("log", number).out
    refused = thanksd("send", number, "--yes", "--now")
    assert (refused.code, f"Not sent: {OLD} came back." in refused.err) == (65, True)
    assert f"thanksd edit {number} --email" in refused.err
    assert thanksd("edit", number, "--email", NEW).code == 0
    assert thanksd("send", number, "--yes", "--now").code == 0
    assert len(list((mail / "new").iterdir())) == 2
    assert f"To: Ada Lovelace <{NEW}>" in thanksd("show", number, "--letter").out


def test_resolve_says_what_it_needs_where_nobody_can_be_asked(mail: Path) -> None:
    number = str(add())
    assert thanksd("send", number, "--yes", "--now").code == 0
    done = thanksd("resolve", number)
    assert (done.code, "--bounced" in done.err) == (2, True)
    done = thanksd("resolve", number, "--sent", "--email", NEW)
    assert (done.code, "--email goes with --bounced" in done.err) == (2, True)
    done = thanksd("resolve", number, "--sent")
    assert (done.code, f"Did it come back? thanksd resolve {number} --bounced" in done.err) == (2, True)
    assert mail.exists()


def make_held(reason: str, reply: str = "") -> str:
    """Add a thanks whose letter is held for this reason, and give its number."""
    number = add()
    confirm(number)
    statement = "UPDATE letter SET state = 'held', reason = ?, server_reply = ?"
    change(store_file(), statement, reason, reply)
    return str(number)


@pytest.mark.parametrize(
    ("reason", "key", "asked", "state", "thanks"),
    [
        ("unknown", "s", 'Look in Sent for "Thank you for the coffee', "sent", "thanked"),
        ("unknown", "q", "Last heard: 421 going down", "held", "confirmed"),
        ("adopted", "r", "came from another machine", "queued", "confirmed"),
        ("handed-off", "y", "Did you send it? [y] yes [n] not yet [c] no, cancel", "sent", "thanked"),
        ("handed-off", "n", "was opened for you to send", "held", "confirmed"),
        ("handed-off", "c", "[c] no, cancel", "cancelled", "owed"),
    ],
)
def test_on_a_terminal_one_key_says_what_became_of_a_held_letter(
    mail: Path, reason: str, key: str, asked: str, state: str, thanks: str
) -> None:
    number = make_held(reason, "421 going down" if reason == "unknown" else "")
    with terminal("resolve", number) as window:
        window.ready(asked)
        window.key("x")
        window.until("Press one of:")
        window.key(key)
        code = window.end()
    assert (value("SELECT state FROM letter"), value("SELECT state FROM thanks")) == (state, thanks)
    assert code == (1 if state == "held" else 0)
    assert not (mail / "new").exists()


@pytest.mark.parametrize("how", ["Ctrl-C", "the window is closed", "told to end"])
def test_a_window_that_is_closed_at_the_question_changes_nothing(mail: Path, how: str) -> None:
    number = make_held("unknown")
    with terminal("resolve", number) as window:
        window.ready("Look in Sent")
        if how == "Ctrl-C":
            window.interrupt()
        elif how == "told to end":
            window.signal(signal.SIGTERM)
        else:
            window.close_window()
        assert window.end() != 0
    assert value("SELECT state FROM letter") == "held"
    assert not (mail / "new").exists()


def test_on_a_terminal_nothing_is_asked_about_a_letter_that_is_not_held(mail: Path) -> None:
    number = str(add())
    assert thanksd("send", number, "--yes", "--now").code == 0
    with terminal("resolve", number) as window:
        window.until(f"thanksd resolve {number} --bounced")
        assert window.end() == 2
    assert len(list((mail / "new").iterdir())) == 1


def test_review_asks_for_another_address_where_the_old_one_came_back(mail: Path) -> None:
    number = str(add())
    assert thanksd("send", number, "--yes", "--now").code == 0
    assert thanksd("resolve", number, "--bounced").code == 0
    with terminal("review", number) as window:
        window.ready(f"{OLD} came back.", "Ada's address?")
        window.line(NEW)
        window.ready(f"Ada Lovelace <{NEW}>")
        window.key("q")
        window.end()
    assert value("SELECT email FROM person") == NEW
    assert len(list((mail / "new").iterdir())) == 1


# --- told by mistake ---


def test_a_bounce_told_by_mistake_is_taken_back_as_if_it_had_never_been_told(desk: Desk) -> None:
    number = sent(desk)
    before, letter = desk.thanks(number), desk.letter(number)
    desk.clock.forward(days=1)
    desk("bounced", ref=str(number))
    assert [email for email, _ in bad(desk)] == [OLD]
    found = desk("undo")
    assert found["notes"] == ["Taken back: Ada's letter did not come back."]
    assert desk.letter(number) == letter
    assert bad(desk) == []
    after = desk.thanks(number)
    assert (after["state"], after["how"], after["popup_at"]) == ("thanked", "letter", None)
    # When it left is what counts, as before.
    assert after["closed_at"] == letter["sent_at"]
    assert before["state"] == "thanked"
    with pytest.raises(UsageError, match="Too late"):
        desk("undo", ref=str(number))
    assert "came back" not in " ".join(desk("add", who="Ada Lovelace", again=True)["notes"])


def test_a_held_letter_told_to_have_come_back_is_held_again(desk: Desk) -> None:
    number = desk.queued()
    with desk.context.store.write() as connection:
        connection.exec_driver_sql("UPDATE letter SET state = 'held', reason = 'unknown', phase = 'dot'")
    desk("bounced", ref=str(number))
    desk("undo", ref=str(number))
    assert (desk.letter(number)["state"], desk.letter(number)["reason"]) == ("held", "unknown")
    assert desk.thanks(number)["state"] == "confirmed"
    assert desk("resolve", ref=str(number), how="sent")["thanks"][0]["state"] == "thanked"


def test_what_was_done_after_a_bounce_is_taken_back_before_it(desk: Desk) -> None:
    number = sent(desk)
    desk("bounced", ref=str(number))
    desk("snooze", ref=str(number), delay="2h")
    assert "the snooze" in desk("undo", ref=str(number))["notes"][0]
    assert "did not come back" in desk("undo", ref=str(number))["notes"][0]
    with pytest.raises(UsageError):
        desk("undo", ref=str(number))


def test_a_popup_about_a_letter_goes_when_the_letter_is_dropped(desk: Desk) -> None:
    number = desk.queued()
    with desk.context.store.write() as connection:
        connection.exec_driver_sql("UPDATE letter SET state = 'held', reason = 'unknown', phase = 'dot'")
        connection.exec_driver_sql("UPDATE thanks SET popup_at = nudge_at")
    desk.clock.forward(hours=30)
    nudges = desk("due_nudges", channel="desktop")["nudges"]
    desk("nudges_shown", ids=nudges[0]["ids"], popup_id=7, server=":1.7")
    assert desk("answered_popups")["popups"] == []
    desk("resolve", ref=str(number), how="discard")
    assert desk("answered_popups")["popups"] == [[7, ":1.7"]]
