"""An account whose password can't be had: two letters that wait for it, are told of once, and leave when it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cli_rigs import change, configure, new_ledger, store_file, thanksd
from daemon_rigs import add, client, query, value, wait_for
from smtp_rigs import USER, Mailbox, mail_server

SECRET = "correct-horse-7f"
_SETTINGS = """\
[me]
name = "Sam Lee"
email = "{user}"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
{login}
[nudge]
channels = ["{channel}"]
quiet_hours = ""
[send]
undo = "0s"
"""
BY_COMMAND = 'auth = "password"\npassword_command = "sh {file}"'
BY_TOKEN = 'auth = "xoauth2"\ntoken_command = "sh {file}"'
BY_KEYRING = 'auth = "password"'


@contextmanager
def locked_account() -> Iterator[Mailbox]:
    """Run a mail server that lets nobody in without the password; a ledger is in the home."""
    new_ledger()
    with mail_server() as box:
        box.login = (USER, SECRET)
        yield box


def settings_of(port: int, login: str, channel: str = "terminal") -> str:
    """Give a config whose account is at that port, with its lines about the login."""
    return _SETTINGS.format(user=USER, port=port, login=login, channel=channel)


def configure_account(box: Mailbox, login: str, channel: str = "terminal") -> None:
    configure(settings_of(box.port, login, channel))


def confirm_all(*numbers: int) -> None:
    letters = [
        {"thanks": number, "sha256": client().call("prepare", ref=str(number))["prepared"]["sha256"]}
        for number in numbers
    ]
    client().call("confirm", letters=letters)


def letters_of() -> list[tuple[Any, ...]]:
    return query("SELECT state, reason, server_reply FROM letter ORDER BY id")


def wait_for_letters(state: str, count: int, reason: str = "") -> None:
    found = "SELECT count(*) FROM letter WHERE state = ? AND reason = ?"
    wait_for(lambda: value(found, state, reason) == count, 60)


def time_passes() -> None:
    """Let the letters' pause be over: the next pass finds their moment come."""
    change(store_file(), "UPDATE letter SET send_after = confirmed_at")


def is_untouched(box: Mailbox) -> None:
    assert b"AUTH" not in box.seen
    assert box.letters == []


def each_left_once(box: Mailbox) -> None:
    got = [letter.rcpt_tos for letter in box.letters]
    assert sorted(got) == [["ada@example.com"], ["bob@example.com"]]
    assert query("SELECT 1 FROM letter WHERE state != 'sent'") == []
    letters = "SELECT thanks_id FROM letter"
    assert query(f"SELECT 1 FROM thanks WHERE popup_at IS NOT NULL AND id IN ({letters})") == []  # noqa: S608  above


def wait_by_daemon(box: Mailbox, words: str) -> None:
    """Two letters wait and are told of once, in a line for a terminal; another thanks is told of too."""
    numbers = [add("Ada Lovelace"), add("Bob Ray")]
    confirm_all(*numbers)
    third = add("Cy Young", after="0s")
    # Not asked before: whoever asks between the two letters is told of one.
    wait_for_letters("deferred", 2, "password")
    assert {reply for _, _, reply in letters_of()} == {words}
    told = client().call("due_nudges", channel="terminal")["nudges"]
    waiting, due = sorted(told, key=lambda one: str(one["occasion"]))
    assert [(one["occasion"], one["thanks"]) for one in (waiting, due)] == [("password", numbers), ("thanks", [third])]
    assert waiting["line"].startswith("The password could not be read. 2 letters wait. Nothing is lost.")
    client().call("nudges_shown", ids=waiting["ids"] + due["ids"])
    assert client().call("due_nudges", channel="terminal")["nudges"] == []
    is_untouched(box)


def try_again(box: Mailbox) -> None:
    """A second try that comes to nothing tells nobody anew."""
    time_passes()
    wait_for(lambda: value("SELECT min(attempts) FROM letter") == 2, 60)
    wait_for_letters("deferred", 2, "password")
    assert client().call("due_nudges", channel="terminal")["nudges"] == []
    is_untouched(box)


def wait_by_send(box: Mailbox, words: str, env: Mapping[str, str] | None = None) -> None:
    """Each send says it with 77, and loses nothing."""
    for number in (add("Ada Lovelace"), add("Bob Ray")):
        done = thanksd("send", str(number), "--yes", env=env)
        assert (done.code, words in " ".join(done.err.split()), "Nothing is lost" in done.err) == (77, True, True), done
        assert SECRET not in done.out + done.err
    assert [(state, reason) for state, reason, _ in letters_of()] == [("deferred", "password")] * 2
    is_untouched(box)


def leave_later(env: Mapping[str, str] | None = None) -> None:
    """What is mended lets the letters leave when they are tried again."""
    time_passes()
    done = thanksd("run", "--once", env=env)
    assert done.code == 0, done
