"""A password that was changed at the provider: one attempt, one popup, and everything goes on once it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rigs import configure, new_ledger, thanksd
from daemon_rigs import add, client, daemon, query, value, wait_for
from smtp_rigs import USER, Mailbox, mail_server
from terminal_rigs import terminal

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
auth = "password"
username = "{user}"
password_command = "cat {file}"
[nudge]
channels = ["terminal"]
quiet_hours = ""
[send]
undo = "0s"
"""


@pytest.fixture
def box(home: Path) -> Iterator[Mailbox]:
    """A provider whose password is changed at its side, from the one that the password command prints."""
    new_ledger()
    (home / "word").write_text("the old one\n")
    with mail_server() as box:
        box.login = (USER, "the new one")
        configure(_SMTP.format(port=box.port, user=USER, file=home / "word"))
        yield box


def logins(box: Mailbox) -> int:
    return box.seen.count(b"AUTH ")


def test_a_daemon_asks_once_tells_once_and_goes_on_with_the_new_password(box: Mailbox, home: Path) -> None:
    numbers = [add("Ada Lovelace"), add("Bob Ray")]
    with daemon(quick=True):
        prepared = [client().call("prepare", ref=str(number))["prepared"]["sha256"] for number in numbers]
        letters = [{"thanks": number, "sha256": sha} for number, sha in zip(numbers, prepared, strict=True)]
        client().call("confirm", letters=letters)
        both = "SELECT 1 FROM letter WHERE state = 'deferred' AND reason = 'credentials'"
        wait_for(lambda: len(query(both)) == 2)
        # A later one is no reason to try again either.
        third = add("Cy Young")
        assert thanksd("send", str(third), "--yes").code == 0
        wait_for(lambda: len(query(both)) == 3)
        assert logins(box) == 1
        (nudge,) = client().call("due_nudges", channel="terminal")["nudges"]
        assert (nudge["occasion"], nudge["thanks"]) == ("password", [*numbers, third])
        with terminal() as window:
            window.until("refused the password")
            window.end()
        wrong = thanksd("credentials", "test")
        assert (wrong.code, "did not let us in: 535" in wrong.err) == (77, True)
        assert value("SELECT count(*) FROM letter WHERE state = 'deferred'") == 3
        (home / "word").write_text("the new one\n")
        told = thanksd("credentials", "test")
        assert (told.code, "3 letters are on the way again" in told.err) == (0, True)
        wait_for(lambda: value("SELECT count(*) FROM letter WHERE state = 'sent'") == 3)
    assert sorted(letter.rcpt_tos[0] for letter in box.letters) == [
        "ada@example.com",
        "bob@example.com",
        "cy@example.com",
    ]
    assert logins(box) == 1 + 2 + 1
    assert query("SELECT popup_at FROM thanks WHERE popup_at IS NOT NULL") == []


def test_without_a_daemon_each_send_says_it_with_77_and_only_the_first_one_tries(box: Mailbox, home: Path) -> None:
    first, second = add("Ada Lovelace"), add("Bob Ray")
    for number in (first, second):
        done = thanksd("send", str(number), "--yes")
        assert (done.code, "535" in done.err, "Nothing is lost" in done.err) == (77, True, True)
    assert (logins(box), box.letters) == (1, [])
    (home / "word").write_text("the new one\n")
    assert thanksd("credentials", "test").code == 0
    assert thanksd("run", "--once").code == 0
    assert len(box.letters) == 2
