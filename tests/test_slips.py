"""Small slips of a person at the keys, noticed before they cost something."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import cli_rigs
import pytest
import terminal_rigs
from cli_rigs import thanksd

CONFIG = """\
[me]
name = "Sam Lee"
email = "sam@example.com"
timezone = "Asia/Kolkata"
[transport]
kind = "maildir"
[transport.maildir]
path = "{mail}"
[send]
undo = "0s"
"""


@pytest.fixture
def mail(home: Path) -> Path:
    cli_rigs.new_ledger()
    cli_rigs.configure(CONFIG.format(mail=home / "mail"))
    return home / "mail" / "new"


def test_a_letter_does_not_leave_before_its_meeting_was(mail: Path) -> None:
    thanksd("add", "Eve Stone", "eve@example.com", "-w", "tomorrow 10:00", "-d", "your talk on queues")
    refused = thanksd("send", "1", "--yes")
    assert refused.code == 65
    assert "Blocked: to-come" in refused.err
    assert not mail.exists()
    assert thanksd("send", "1", "--dry-run", "--at", "tomorrow 11:00").code == 0
    assert thanksd("send", "1", "--yes", "--override", "to-come").code == 0
    assert len(list(mail.iterdir())) == 1


def test_the_date_of_a_letter_is_of_its_writers_zone(mail: Path) -> None:
    thanksd("add", "Eve Stone", "eve@example.com", "-w", "2h ago", "-d", "your talk on queues")
    assert thanksd("send", "1", "--yes").code == 0
    (letter,) = mail.iterdir()
    date = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)["Date"]
    assert str(date).endswith("+0530")


@pytest.mark.usefixtures("mail")
def test_a_first_name_alone_is_somebody_new_and_says_whom_you_also_know() -> None:
    thanksd("add", "Eve Stone", "-w", "2h ago")
    assert "you also know Eve Stone" in thanksd("add", "eve", "-w", "2h ago").err
    assert thanksd("add", "Evelyn", "-w", "2h ago").err == ""
    assert len(thanksd("people", "--json").json["people"]) == 3


@pytest.mark.usefixtures("mail")
def test_an_edit_that_changes_nothing_is_not_said_to_be_done() -> None:
    thanksd("add", "Eve Stone", "-w", "2h ago")
    done = thanksd("edit", "1")
    assert (done.code, done.out) == (2, "")
    assert "Nothing was given to change." in done.err


@pytest.mark.usefixtures("mail")
def test_review_does_not_say_that_nobody_waits_while_somebody_does() -> None:
    thanksd("add", "Eve Stone", "-w", "tomorrow 10:00")
    with terminal_rigs.terminal("review") as terminal:
        assert terminal.end() == 0
        assert "Nothing is due now; 1 to come" in terminal.text


@pytest.mark.usefixtures("mail")
def test_a_long_line_of_a_letter_is_broken_between_words_where_a_person_reads_it() -> None:
    thanksd("add", "Eve Stone", "eve@example.com", "-w", "2h ago", "-d", "your talk on queues")
    body = thanksd("draft", "1", "--json").json["draft"]["body"]
    words = max(body.splitlines(), key=len).split()
    with terminal_rigs.terminal("draft", "1", columns=40) as terminal:
        assert terminal.end() == 0
        shown = terminal.text
    assert all(word in shown for word in words)
    assert max(map(len, body.splitlines())) > 40
