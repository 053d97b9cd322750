"""The doctor and the channels: what can't be used is named with what mends it, and a real nudge goes to each."""

from __future__ import annotations

import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_rigs import change, config_file, configure, new_ledger, store_file
from daemon_rigs import add, confirm, store_url, value
from push_rigs import phone
from terminal_rigs import terminal

from thanksd import checks
from thanksd.channels import REFUSED_LOGIN
from thanksd.checks import Finding, Place, reaching
from thanksd.database import open_store

TOML = """\
[me]
email = "sam@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "{kind}"
maildir.path = "{home}/mail"
[nudge]
channels = {channels}
quiet_hours = ""
push_command = "cat {home}/push"
"""


def settings(home: Path, *channels: str, kind: str = "maildir") -> None:
    configure(TOML.format(home=home, kind=kind, channels=list(channels)))
    config_file().chmod(0o600)


def channels() -> list[Finding]:
    wanted = tuple(check for check in checks.CHECKS if check.name == "channels")
    return list(checks.examine(Place(store_url(), config_file(), os.environ, datetime.now(UTC), offline=False), wanted))


def test_a_channel_that_can_not_be_used_is_named_with_what_mends_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_ledger()
    settings(home, "push", "mail", kind="mailto")
    to_phone, by_mail = channels()
    assert (to_phone.state, "push_command failed with status 1" in to_phone.message) == ("bad", True)
    assert (by_mail.state, "nothing leaves from here by itself" in by_mail.message) == ("bad", True)
    (home / "push").write_text("json://localhost\n")
    settings(home, "push", "mail", "terminal")
    assert [(one.state, one.message) for one in channels()] == [("ok", "Nudges go to push, mail, terminal.")]
    settings(home)
    assert channels()[0].message == "No channel is named: nobody will remind you."
    settings(home, "push")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert channels()[0].remedy.startswith("Install it: make install EXTRAS=push")


def test_a_mail_that_arrives_opens_the_channel_that_a_refused_login_closed_and_lets_no_letter_leave(
    home: Path,
) -> None:
    new_ledger()
    settings(home, "mail")
    confirm(add())
    refused = "INSERT INTO nudge (occasion, channel, due_at, attempted_at, error) VALUES ('ask', 'mail', ?, ?, ?)"
    moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    change(store_file(), refused, moment, moment, f"{REFUSED_LOGIN}: 535 no")
    change(store_file(), "UPDATE nudge SET seat = ?", open_store(store_url()).seat)
    change(store_file(), "UPDATE letter SET state = 'deferred', reason = 'credentials'")
    place = Place(store_url(), config_file(), os.environ, datetime.now(UTC), offline=False)
    assert reaching.sent(place, "mail").state == "ok"
    assert value("SELECT error FROM nudge") == "The login was refused, and works since."
    assert value("SELECT reason FROM letter") == "credentials"


def test_a_real_nudge_goes_to_each_channel_and_each_is_asked_about(home: Path) -> None:
    new_ledger()
    settings(home, "push", "mail")
    with phone() as mine:
        (home / "push").write_text(f"{mine.address}\n")
        with terminal("doctor", "--nudge", lines=60) as screen:
            screen.until("Did your phone show it? [Y/n]")
            assert "The push service took it." in screen.text
            screen.send("y\r")
            screen.until("Did it come into your mailbox? [Y/n]")
            screen.send("n\r")
            assert screen.end() == 69
            assert "look for it among junk" in screen.text
    assert mine.titles == ["This is how thanksd reminds you"]
    (letter,) = (home / "mail" / "new").iterdir()
    assert b"Subject: This is how thanksd reminds you\r\n" in letter.read_bytes()
