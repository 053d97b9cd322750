"""Nudges mailed to oneself, and the whole way of one: a desktop that is gone, the phone, the mailbox, the desktop."""

from __future__ import annotations

import asyncio
import email.policy
import os
import re
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import desktop_rigs
import pytest
from cli_rigs import change, configure, new_ledger, store_file, thanksd
from daemon_rigs import add, client, daemon, query, store_url, value, wait_for
from push_rigs import TOKEN, phone
from smtp_rigs import DROP, SILENT, USER, Mailbox, Scripted, mail_server

from thanksd import checks, config
from thanksd.channels import PERHAPS, helper, mail, popups
from thanksd.checks import Finding, Place

WORD = "the right one"
SMTP = """\
[me]
name = "Sam Lee"
email = "sam@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
username = "{user}"
password_command = "cat {home}/word"
[nudge]
channels = {channels}
quiet_hours = ""
push_command = "cat {home}/push"
[send]
undo = "0s"
"""
ADA = popups.thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", "why you left Rust", "today 15:00")


@pytest.fixture
def box(home: Path) -> Iterator[Mailbox]:
    """A mail account that wants its password."""
    new_ledger()
    (home / "word").write_text(f"{WORD}\n")
    with mail_server() as box:
        box.login = (USER, WORD)
        yield box


def settings(box: Mailbox, home: Path, *channels: str) -> None:
    configure(SMTP.format(port=box.port, user=USER, home=home, channels=list(channels)))


def read(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_to_oneself_says_who_is_to_be_thanked_and_that_no_hand_wrote_it(home: Path) -> None:
    configure(f'[me]\nemail = "sam@example.org"\n[transport]\nkind = "maildir"\nmaildir.path = "{home}/mail"\n')
    told = asyncio.run(
        mail.show(ADA._replace(note="Desktop not reached since 09:00."), "", None, str(_config()), os.environ)
    )
    assert (told.receipt.shown, told.receipt.error, told.wants_password) == (True, "", False)
    (file,) = (home / "mail" / "new").iterdir()
    one = read(file.read_bytes())
    assert one["Subject"] == "Thank Ada Lovelace? (coffee Tue)"
    assert (one["From"], one["To"], one["Auto-Submitted"]) == ("sam@example.org", "sam@example.org", "auto-generated")
    assert (one["Date"].datetime.tzinfo is not None, one["Message-ID"].endswith("@example.org>")) == (True, True)
    assert one.get_content().replace("\r\n", "\n") == (
        "Coffee Tue 15:00 · why you left Rust\nBest by today 15:00. Draft is ready.\n\n"
        "To act on it, run:\n\n    thanksd review 7\n\nDesktop not reached since 09:00.\n"
    )


def _config() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "thanksd" / "config.toml"


@pytest.mark.parametrize(
    ("dot", "error"),
    [
        (SILENT, f"{PERHAPS}: No answer to the letter: The connection broke"),
        (DROP, f"{PERHAPS}: No answer to the letter"),
    ],
)
def test_a_mail_whose_dot_was_not_answered_may_have_come_and_its_child_is_not_ended_before_it_says_so(
    home: Path, dot: str, error: str
) -> None:
    with Scripted({".": dot}) as server:
        settings_of(server.port, home)
        request = {"config": str(_config()), "subject": "Thank Ada?", "text": "Now.", "event": {"at": "nonsense"}}
        before = signal.signal(signal.SIGALRM, helper._late)
        signal.setitimer(signal.ITIMER_REAL, 3.0 if dot == SILENT else 20.0)
        try:
            said = mail._act(request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert (said["shown"], said["error"][: len(error)]) == (False, error)
    # What can't be made of the thanks' entry is left out.
    assert b"text/calendar" not in server.seen


def settings_of(port: int, home: Path) -> None:
    configure(SMTP.format(port=port, user=USER, home=home, channels=["mail"]).replace("password_command", "#"))
    configure(_config().read_text().replace("[nudge]", 'auth = "none"\n[nudge]'))


_SLOW_WORD = """\
import os, subprocess, sys
open(sys.argv[1], "w").write(str(os.getpid()))
subprocess.run(["sleep", "60"])
"""


def test_what_reads_the_password_is_ended_with_the_mail_that_is_given_up(home: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(_SLOW_WORD)
    pid = tmp_path / "pid"
    configure(
        SMTP.format(port=1, user=USER, home=home, channels=["mail"]).replace(
            f"cat {home}/word", f"{sys.executable} {tmp_path}/slow.py {pid}"
        )
    )

    async def give_up() -> None:
        task = asyncio.ensure_future(mail.show(ADA, "", None, str(_config()), os.environ))
        await asyncio.to_thread(wait_for, lambda: pid.exists() and pid.read_text())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    status = Path(f"/proc/{pid.read_text()}/status")
    wait_for(lambda: not status.exists() or "zombie" in status.read_text(), 5)


def test_a_calendar_can_be_attached() -> None:
    me = config.Me(name="Sam Lee", email="sam@example.org")
    one = read(mail.compose(me, "Thank Ada?", "Now.", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").raw)
    (part,) = one.iter_attachments()
    assert (part.get_content_type(), part.get_content()) == ("text/calendar", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    assert mail.compose(me, "Thank Ada?", "Now.").raw.endswith(b"\r\nNow.\r\n")


def test_a_mail_names_the_command_and_the_page_where_its_address_lasts() -> None:
    assert "thanksd review 7" in mail.text(ADA)
    assert "127.0.0.1" not in mail.text(ADA)
    assert "    http://127.0.0.1:8455/thanks/7" in mail.text(ADA, "http://127.0.0.1:8455/thanks/7")


def test_a_nudge_whose_desktop_is_gone_reaches_the_phone_then_the_mailbox_then_the_desktop_that_came_back(
    box: Mailbox, home: Path
) -> None:
    settings(box, home, "desktop", "push", "mail")
    with (
        phone() as mine,
        desktop_rigs.desk(home / "run") as desk,
        daemon(environ=_session(desk), quick=True) as running,
    ):
        (home / "push").write_text(f"{mine.address}\n")
        add(after="1s")
        wait_for(lambda: query("SELECT 1 FROM nudge WHERE channel = 'desktop' AND error LIKE '%notification server%'"))
        (sick,) = channels()
        assert sick.state == "warn"
        assert sick.message.startswith("Desktop could not be reached since today ")
        assert sick.message.endswith(": No notification server is running.")
        _has_been_due("10 minutes")
        _are_shown(1)
        (one,) = mine.came
        assert one["title"] == "Thank Ada Lovelace?"
        assert re.fullmatch(r"Best by .*\.\nDesktop not reached since \d\d:\d\d\.", one["message"])
        _has_been_due("0 minutes")
        _are_shown(2)
        (letter,) = box.letters
        assert (letter.mail_from, letter.rcpt_tos) == ("sam@example.org", ["sam@example.org"])
        assert isinstance(letter.content, bytes)
        assert b"Subject: Thank Ada Lovelace? (coffee" in letter.content
        (entry,) = read(letter.content).iter_attachments()
        assert entry.get_content_type() == "text/calendar"
        assert "SUMMARY:Thank Ada Lovelace (coffee)" in entry.get_content()
        assert "BEGIN:VALARM" in entry.get_content()
        # Said once, until it works again.
        assert b"not reached" not in letter.content
        with desk.dunst():
            _has_been_due("0 minutes")
            _are_shown(3)
            assert desk.displayed() == 1
            assert (client().ask_status() or {})["sick"] == []
        told = query("SELECT channel, thanks_id, error IS NOT NULL, popup_id IS NOT NULL FROM nudge ORDER BY id")
        assert told == [("push", 1, 1, 0), ("mail", 1, 0, 0), ("desktop", 1, 0, 1)]
        assert (value("SELECT count(*) FROM letter"), TOKEN in running.log) == (0, False)


def channels() -> list[Finding]:
    """Ask the doctor of the channels."""
    wanted = tuple(check for check in checks.CHECKS if check.name == "channels")
    return list(checks.examine(Place(store_url(), _config(), os.environ, datetime.now(UTC), offline=False), wanted))


def _session(desk: desktop_rigs.Desk) -> dict[str, str]:
    return {name: desk.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}


def _has_been_due(span: str) -> None:
    """Let time pass for the reminders of the ledger, until what waits has been due for so long."""
    change(store_file(), "UPDATE nudge SET due_at = datetime(due_at, '-' || ?) || '.000000'", span)
    change(store_file(), "UPDATE thanks SET popup_at = datetime('now') || '.000000' WHERE popup_at > datetime('now')")
    client().poke()


def _are_shown(count: int) -> None:
    wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == count)


def test_a_refused_login_is_tried_once_by_nudges_and_again_when_its_owner_saw_it_work(box: Mailbox, home: Path) -> None:
    settings(box, home, "mail")
    box.login = (USER, "another one")
    add(after="1s")
    with daemon(quick=True):
        wait_for(lambda: query("SELECT 1 FROM nudge WHERE error LIKE '%535%'"))
        assert [one.remedy for one in channels()] == ["Once it is mended: thanksd credentials test"]
        _looks_again()
        assert box.seen.count(b"AUTH ") == 1
        (home / "word").write_text("another one\n")
        assert thanksd("credentials", "test").code == 0
        _are_shown(1)
    assert [letter.rcpt_tos for letter in box.letters] == [["sam@example.org"]]


MAILDIR = """\
[me]
email = "sam@example.org"
[transport]
kind = "maildir"
maildir.path = "{home}/mail"
[nudge]
channels = {channels}
quiet_hours = ""
push_command = "cat {home}/push"
"""


def test_a_single_pass_finds_the_next_channel_by_itself(home: Path) -> None:
    new_ledger()
    configure(MAILDIR.format(home=home, channels=["push", "mail"]))
    add(after="1s")
    change(store_file(), "UPDATE thanks SET popup_at = datetime('now', '-11 minutes') || '.000000'")
    assert thanksd("run", "--once").code == 0
    assert query("SELECT channel, shown_at IS NOT NULL FROM nudge") == [("mail", 1)]
    (one,) = (home / "mail" / "new").iterdir()
    assert b"Subject: Thank Ada Lovelace?" in one.read_bytes()


def test_what_came_due_in_an_absence_comes_as_one_also_where_a_slow_channel_failed_before(home: Path) -> None:
    new_ledger()
    configure(MAILDIR.format(home=home, channels=["push"]))
    for name in ("Ada Lovelace", "Chen Wei"):
        add(name, after="1s")
    change(store_file(), "UPDATE thanks SET popup_at = datetime('now', '-11 minutes') || '.000000'")
    with phone() as mine, daemon(quick=True, absence=(60.0, 0.2)):
        wait_for(lambda: value("SELECT count(*) FROM nudge WHERE error LIKE '%push_command%'") == 2)
        _looks_again()
        (home / "push").write_text(f"{mine.address}\n")
        _are_shown(2)
    assert mine.titles == ["2 people to thank"]


def _looks_again() -> None:
    """Wait for a whole pass of the daemon."""
    for _ in range(2):
        before = (client().ask_status() or {})["last_pass_at"]
        wait_for(partial(_has_looked, before))


def _has_looked(before: str) -> bool:
    return bool((client().ask_status() or {})["last_pass_at"] != before)
