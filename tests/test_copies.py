"""The copy to oneself: the same bytes, after the letter was sent, where the provider keeps none; never in its way."""

from __future__ import annotations

import hashlib
import socket
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import configure, new_ledger, thanksd
from daemon_rigs import add, confirm, daemon, query, value, wait_for
from smtp_rigs import USER, Authority, Mailbox, mail_server
from store_rigs import NOON, Desk, at_once_in, maildir, smtp

from thanksd import copies
from thanksd.config import Config, Me, Send, Smtp, Transport
from thanksd.errors import TryLaterError
from thanksd.moments import to_iso
from thanksd.outbox import SECOND_COPY_AFTER
from thanksd.verbs import copying

ME = "sam@example.org"


def desk_of(folder: Path, box: Mailbox, copy: str = "self") -> Desk:
    desk = Desk(folder, smtp(box.port))
    desk.set(config=replace(desk.context.config, send=Send(undo="30s", copy=copy)))
    return desk


def recipients(box: Mailbox) -> list[str]:
    return [recipient for letter in box.letters for recipient in letter.rcpt_tos]


class OnceTaken(dict[str, str]):
    """Answers of a server that takes one letter, and then says this to RCPT."""

    def __init__(self, box: Mailbox, **answers: str) -> None:
        super().__init__(answers)
        self._box = box

    def get(self, verb: str, usual: Any = None) -> Any:
        return super().get(verb, usual) if self._box.letters else usual


# --- the copy leaves ---


def test_the_very_bytes_go_to_oneself_in_an_envelope_of_their_own_once_the_letter_was_sent(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        number = desk.queued()
        assert desk("dispatch") == {"letters": 1}
        letter, copy = box.letters
    assert (letter.rcpt_tos, copy.rcpt_tos, copy.mail_from) == (["ada@example.com"], [ME], ME)
    assert isinstance(copy.content, bytes)
    assert hashlib.sha256(copy.content).hexdigest() == desk.letter(number)["sha256"]
    assert (copy.content, desk.letter(number)["copy"]) == (letter.content, "left")
    assert desk.words(number) == ["added", "confirmed", "sent", "copy left"]
    assert desk.rows("SELECT count(*) AS n FROM attempt") == [{"n": 1}]


@pytest.mark.parametrize(
    ("kind", "copy", "host", "to", "wanted"),
    [
        ("smtp", "auto", "posteo.de", "ada@example.com", True),
        ("smtp", "auto", "SMTP.mailbox.org", "ada@example.com", True),
        ("smtp", "auto", "smtp.gmail.com", "ada@example.com", False),
        ("smtp", "auto", "mail.nobody-knows.example", "ada@example.com", False),
        ("smtp", "auto", "127.0.0.1", "ada@example.com", False),
        ("smtp", "auto", "localhost", "ada@example.com", False),
        ("smtp", "self", "smtp.gmail.com", "ada@example.com", True),
        ("smtp", "self", "127.0.0.1", "ada@example.com", True),
        ("smtp", "self", "posteo.de", "Sam@Example.org", False),
        ("smtp", "none", "posteo.de", "ada@example.com", False),
        ("maildir", "self", "posteo.de", "ada@example.com", False),
        ("mailto", "self", "posteo.de", "ada@example.com", False),
    ],
)
def test_a_copy_is_wanted_where_the_provider_keeps_none_or_it_was_asked_for(
    kind: str, copy: str, host: str, to: str, *, wanted: bool
) -> None:
    config = Config(me=Me(email=ME), transport=Transport(kind=kind, smtp=Smtp(host=host)), send=Send(copy=copy))
    assert copying.is_wanted(config, ME, to) is wanted


def test_by_default_a_provider_that_files_nothing_is_given_the_copy(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, real = "smtp.mailbox.org", socket.getaddrinfo
    authority = Authority(short_dir)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with mail_server(authority.context(host), implicit=True, login=False) as box:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_more: real("127.0.0.1", box.port, 0, 1))
        account = Smtp(host=host, port=box.port, security="tls", auth="none", username=USER)
        desk = Desk(short_dir, Transport(kind="smtp", smtp=account))
        number = desk.queued()
        desk("dispatch")
        assert recipients(box) == ["ada@example.com", ME]
    assert desk.letter(number)["copy"] == "left"


@pytest.mark.parametrize("copy", ["auto", "none"])
def test_a_server_of_this_machine_gets_no_copy_by_itself(short_dir: Path, copy: str) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box, copy)
        number = desk.queued()
        desk("dispatch")
        assert recipients(box) == ["ada@example.com"]
    assert (desk.letter(number)["copy"], desk.words(number)[-1]) == ("", "sent")


def test_a_letter_to_oneself_is_its_own_copy(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        desk.confirm(desk.add("Sam Lee", email=ME))
        desk("dispatch")
        assert recipients(box) == [ME]


# --- it fails, and the letter is sent all the same ---


@pytest.mark.parametrize(
    ("reply", "first", "second", "word"),
    [
        ("550 5.1.1 no such person", "failed", "failed", "copy failed"),
        ("535 5.7.8 who are you", "failed", "failed", "copy failed"),
        ("452 4.3.1 not now", "due", "left", "copy left"),
    ],
)
def test_whatever_becomes_of_a_copy_its_letter_was_sent(
    short_dir: Path, reply: str, first: str, second: str, word: str
) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        box.answers = OnceTaken(box, RCPT=reply)
        number, other = desk.queued(), desk.add("Bob Ray")
        desk("dispatch")
        letter = desk.letter(number)
        assert (letter["state"], letter["reason"], letter["server_reply"][:3]) == ("sent", "", "250")
        assert (desk.thanks(number)["state"], letter["copy"]) == ("thanked", first)
        assert desk.rows("SELECT * FROM bad_address") == []
        box.answers = {}
        # Not in a race: the second try has its moment, and before it nothing happens.
        assert desk("next_moment")["letter"] == (to_iso(NOON + SECOND_COPY_AFTER) if first == "due" else None)
        desk("dispatch")
        assert desk.letter(number)["copy"] == first
        desk.clock.forward(minutes=10)
        desk.confirm(other)
        assert desk("dispatch") == {"letters": 1}
        assert (desk.letter(number)["copy"], desk.words(number)[-1]) == (second, word)
        assert Counter(recipients(box))[ME] == (2 if second == "left" else 1)


def test_a_copy_that_comes_to_nothing_twice_is_given_up(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        box.answers = OnceTaken(box, RCPT="451 4.3.0 not now")
        number = desk.queued()
        desk("dispatch")
        desk.clock.forward(minutes=10)
        desk("dispatch")
        assert desk.letter(number)["copy"] == "failed"
        said = box.seen.count(b"RCPT")
        desk.clock.forward(days=1)
        desk("dispatch")
        assert (box.seen.count(b"RCPT"), desk("next_moment")["letter"]) == (said, None)
    assert desk.words(number) == ["added", "confirmed", "sent", "copy due", "copy failed"]


def test_a_copy_whose_program_ended_is_not_doubled_and_one_that_was_never_begun_is_made_up_for(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        begun, never = desk.queued(), desk.queued("Bob Ray")
        desk("dispatch")
        # As the two programs that died left them: one before its claim, one after it.
        rows = {begun: "due", never: "due"}
        with desk.context.store.write() as connection:
            for number, state in rows.items():
                connection.exec_driver_sql("UPDATE letter SET copy = ? WHERE thanks_id = ?", (state, number))
        with desk.context.store.write() as connection:
            assert copies.claim(connection, desk.clock(), desk.letter(begun)["id"])
        with desk.context.store.write() as connection:
            assert copies.claim(connection, desk.clock(), desk.letter(begun)["id"]) is None
        box.letters.clear()
        desk.clock.forward(minutes=10)
        desk("dispatch")
        assert [letter.content for letter in box.letters] == [desk.letter(never)["raw"]]
    assert [desk.letter(number)["copy"] for number in (begun, never)] == ["trying", "left"]


def test_a_copy_that_is_off_by_now_is_given_up_and_not_left_to_be_asked_about_for_ever(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        box.answers = OnceTaken(box, RCPT="451 4.3.0 not now")
        number = desk.queued()
        desk("dispatch")
        desk.set(config=replace(desk.context.config, transport=maildir(desk.letters)))
        desk.clock.forward(minutes=10)
        desk("dispatch")
    assert (desk.letter(number)["copy"], desk.saved()) == ("failed", [])
    assert desk("next_moment")["letter"] is None


def test_a_copy_waits_while_a_login_is_refused(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        box.answers = OnceTaken(box, RCPT="451 4.3.0 not now")
        number = desk.queued()
        desk("dispatch")
        other = desk.queued("Bob Ray")
        box.answers = {"MAIL": "535 5.7.8 changed"}
        desk("dispatch")
        assert desk.letter(other)["reason"] == "credentials"
        box.answers = {}
        desk.clock.forward(minutes=11)
        said = box.seen.count(b"RCPT")
        desk("dispatch")
        assert (box.seen.count(b"RCPT"), desk.letter(number)["copy"]) == (said, "due")
        desk("release")
        desk("dispatch")
    assert [desk.letter(one)["copy"] for one in (number, other)] == ["left", "left"]
    assert desk.letter(other)["settled_at"] > desk.letter(number)["settled_at"]


def test_a_ledger_that_is_busy_after_the_letter_does_not_make_it_seem_unsent(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_given: object) -> None:
        raise TryLaterError("The ledger is busy.")

    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        number = desk.queued()
        monkeypatch.setattr(copies, "claim", busy)
        assert desk("dispatch") == {"letters": 1}
        assert (desk.letter(number)["state"], desk.letter(number)["copy"]) == ("sent", "due")
        # A late one is the daemon's own work: it must not be tried in a race.
        desk.clock.forward(minutes=10)
        with pytest.raises(TryLaterError):
            desk("dispatch")


DISPATCHING = """
from datetime import datetime, UTC
from pathlib import Path
from thanksd.config import Config, Me, Send, Smtp, Transport
from thanksd.database import SqliteStore
from thanksd.verbs.context import Context
from thanksd.verbs.sending import dispatch
smtp = Smtp(host="127.0.0.1", port=int(sys.argv[2]), security="none", auth="none")
me, send = Me(email="sam@example.org"), Send(copy="self")
config = Config(me=me, transport=Transport(kind="smtp", smtp=smtp), send=send)
context = Context(SqliteStore(sys.argv[1]), config, Path("/"), "UTC", lambda: datetime(2026, 3, 10, 12, tzinfo=UTC))
go()
print(json.dumps(dispatch(context)["letters"]))
"""


def test_three_programs_that_send_at_once_send_each_letter_and_each_copy_once(short_dir: Path) -> None:
    with mail_server(login=False) as box:
        desk = desk_of(short_dir, box)
        for name in ("Ada", "Bob", "Cy", "Dan", "Eve"):
            desk.queued(f"{name} Ray")
        # One that was left over, for them to race for.
        with desk.context.store.write() as connection:
            moment = (NOON - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
            statement = "UPDATE letter SET state = 'sent', copy = 'due', sent_at = ?, settled_at = ? WHERE id = 1"
            connection.exec_driver_sql(statement, (moment, moment))
        assert sum(at_once_in(3, DISPATCHING, desk.context.store.url, str(box.port))) == 4
        assert Counter(recipients(box))[ME] == 5
        assert set(Counter(letter.content for letter in box.letters).values()) == {1, 2}
    assert {row["copy"] for row in desk.rows("SELECT copy FROM letter")} == {"left"}


# --- the programs themselves ---

_SMTP = """\
[me]
name = "Sam Lee"
email = "sam@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
auth = "none"
[nudge]
channels = []
[send]
undo = "0s"
copy = "self"
"""


def test_the_daemon_and_a_send_without_one_both_leave_a_copy(home: Path) -> None:
    assert home.exists()
    new_ledger()
    with mail_server(login=False) as box:
        configure(_SMTP.format(port=box.port))
        number = add()
        done = thanksd("send", str(number), "--yes")
        assert (done.code, done.out) == (0, "Ada: sent.\n")
        assert recipients(box) == ["ada@example.com", ME]
        with daemon():
            confirm(add("Chen Wei"))
            wait_for(lambda: query("SELECT 1 FROM letter WHERE copy = 'left' AND id = 2"))
        assert recipients(box) == ["ada@example.com", ME, "chen@example.com", ME]
    assert value("SELECT count(*) FROM letter WHERE state = 'sent'") == 2
    assert "copy to yourself: 250" in thanksd("log", str(number)).out
