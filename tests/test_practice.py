"""The practice letter: over the real way on a real desktop, and outside every count."""

from __future__ import annotations

import email
import email.policy
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import daemon_rigs
import desktop_rigs
import init_rigs
import parts
import pytest
from cli_rigs import config_file, configure, store_file
from daemon_rigs import client, daemon, wait_for
from desktop_rigs import desk
from smtp_rigs import PASSWORD, USER
from terminal_rigs import terminal

from thanksd import policy
from thanksd.cli import practice
from thanksd.errors import ConfigError

CONFIG = """\
[me]
name = "Ada Byron"
email = "ada@example.org"
[transport]
kind = "maildir"
[transport.maildir]
path = "{mail}"
[send]
undo = "0s"
"""


@pytest.fixture
def mail(home: Path) -> Path:
    configure(CONFIG.format(mail=home / "mail"))
    return home / "mail"


def add() -> int:
    return int(client().call("practice")["thanks"][0]["id"])


def show(number: int) -> dict[str, Any]:
    found: dict[str, Any] = client().call("show", ref=str(number))["thanks"][0]
    return found


# The whole way.


def test_init_watches_the_practice_letter_from_the_popup_to_ones_own_inbox(short_dir: Path, tmp_path: Path) -> None:
    parts.need("xterm", "dunst", "Xvfb", "xdotool")
    with desk(short_dir) as desktop, desktop.dunst(), init_rigs.account(tmp_path) as (box, trust):
        word = tmp_path / "word"
        word.write_text(PASSWORD, encoding="utf-8")
        environ: dict[str, Any] = {
            **trust,
            **{name: desktop.environ[name] for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS")},
        }
        given = {"me.name": "Ada Byron", "me.email": USER, "transport.smtp.host": "localhost", "send.undo": "1s"}
        given |= {"transport.smtp.port": str(box.port), "transport.smtp.password_command": f"cat {word}"}
        given |= {"nudge.review": "terminal", "nudge.terminal": "xterm", "nudge.quiet_hours": "00:00-23:59"}
        words = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        with daemon(environ=environ), terminal("init", *words, "--no-service", "--yes", lines=40, **environ) as one:
            one.until("Press Review, then send it.")
            one.until("popup shown")
            wait_for(lambda: desktop.displayed() == 1)
            desktop.press("Review")
            one.until("pressed ... window opened")
            _press_s(desktop, one)
            assert one.end() == 0
            text = " ".join(one.text.split())
            assert "popup shown ... pressed ... window opened ... " in text
            assert "sent ... look in your inbox. Ready. Met somebody? thanksd add" in text
    (letter,) = box.letters
    assert (letter.mail_from, letter.rcpt_tos) == (USER, [USER])
    assert isinstance(letter.content, bytes)
    message = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert message.get_content().startswith("Dear Ada,\r\n")


def _press_s(desktop: desktop_rigs.Desk, one: Any) -> None:
    """Look at the window, and press s until it is taken: keys before the screen is drawn are no answer."""
    seek = ["xdotool", "search", "--onlyvisible", "--class", "xterm"]

    def window() -> str:
        return subprocess.run(seek, env=desktop.environ, capture_output=True, text=True, check=False).stdout.strip()

    found = wait_for(window).splitlines()[0]
    subprocess.run(["xdotool", "windowfocus", found], env=desktop.environ, check=True, capture_output=True)

    def taken() -> bool:
        if show(1)["state"] == "due":
            subprocess.run(["xdotool", "key", "s"], env=desktop.environ, check=True, capture_output=True)
        one._take()
        return bool(show(1)["state"] != "due")

    desktop_rigs.wait_for(taken, 30)


def test_without_a_notification_server_it_says_what_is_missing_and_is_never_ready(
    short_dir: Path, mail: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desktop_rigs.need()
    monkeypatch.setattr(practice, "_POPUP_SECONDS", 1.0)
    with desktop_rigs.bus(short_dir) as environ:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", environ["DBUS_SESSION_BUS_ADDRESS"])
        monkeypatch.setenv("DISPLAY", ":99")
        with daemon():
            assert practice.run(client(), "maildir") is False
    said = capsys.readouterr().out
    assert "No notification server answered.\ni3: start dunst in your session, then thanksd doctor --nudge\n" in said
    assert "Ready" not in said
    assert not mail.exists()


def test_what_is_not_there_is_said_and_nothing_is_added(
    mail: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert practice.run(client(), "")
    assert "No practice letter: no mail account is set up yet." in capsys.readouterr().out
    assert practice.run(client(), "maildir")
    assert "No practice letter: the daemon is not running." in capsys.readouterr().out
    monkeypatch.delenv("DISPLAY", raising=False)
    with daemon():
        assert practice.run(client(), "maildir")
        assert "No practice letter: there is no desktop here" in capsys.readouterr().out
        assert client().call("owed")["thanks"] == []
    assert not mail.exists()


def test_whatever_is_done_with_it_ends_the_watching(
    mail: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(practice, "_why_not", lambda *_: "")
    asked = practice._Watcher._until
    acts = iter(["waive", "snooze", "send"])

    def act_first(self: practice._Watcher, *arguments: Any) -> bool:
        act = next(acts, None) if not self._seen else None
        if act == "send":
            daemon_rigs.confirm(self.number)
        elif act:
            client().call(act, ref=str(self.number))
        return asked(self, *arguments)

    monkeypatch.setattr(practice._Watcher, "_until", act_first)
    with daemon():
        assert practice.run(client(), "maildir")
        assert "Answered without a letter. That is fine" in capsys.readouterr().out
        assert practice.run(client(), "maildir")
        assert "It waits for you, and asks no more: thanksd review" in capsys.readouterr().out
        assert practice.run(client(), "maildir")
    # That it was confirmed is said only where it was seen waiting.
    assert f"window opened ... saved: {mail}" in capsys.readouterr().out.replace(" ... confirmed", "")


# In the ledger.


def test_it_has_a_good_letter_that_one_key_sends(mail: Path) -> None:
    number = add()
    draft = client().call("prepare", ref=str(number))["prepared"]
    assert (draft["to"], draft["findings"], draft["missing"]) == ("ada@example.org", [], "")
    words = draft["body"].split()
    assert policy.rule("general").shortest < len(words) < policy.rule("general").longest
    # Its own wording stays: it is never rendered from a template.
    daemon_rigs.confirm(number)
    client().world.call("dispatch", {})
    (letter,) = (mail / "new").iterdir()
    assert b"Dear Ada,\r\n" in letter.read_bytes()
    assert show(number)["state"] == "thanked"


def test_it_is_outside_every_count_and_the_last_kind(mail: Path) -> None:
    assert not mail.exists()
    client().call("add", who="Chen Wei", kind="gift", when="2h ago", details=["your book"])
    before = client().call("summary")
    number = add()
    assert client().call("summary") == before
    client().call("done", ref=str(number))
    assert client().call("summary") == before
    (one,) = client().call("add", who="Grace Hopper", last_kind=True)["thanks"]
    assert one["meeting"]["kind"] == "gift"


def test_it_pops_up_once_at_any_hour_and_never_again(mail: Path) -> None:
    configure(CONFIG.format(mail=mail) + '[nudge]\nquiet_hours = "00:00-23:59"\n')
    number = add()
    (nudge,) = client().call("due_nudges", channel="desktop")["nudges"]
    assert nudge["thanks"] == [number]
    client().call("nudges_shown", ids=nudge["ids"], popup_id=7, server=":1.5")
    assert _popup_at(number) is None
    assert show(number)["state"] == "due"
    # Asked for again, it comes again; taken back, it waits in the list.
    assert add() == number
    assert _popup_at(number) is not None
    client().call("waive", ref=str(number))
    client().call("undo", ref=str(number))
    assert show(number)["state"] == "due"
    client().call("waive", ref=str(number))
    assert add() != number


def _popup_at(number: int) -> Any:
    with sqlite3.connect(store_file()) as connection:
        found = connection.execute("SELECT popup_at FROM thanks WHERE id = ?", (number,)).fetchone()[0]
    connection.close()
    return found


def test_the_steps_are_those_since_it_was_asked_for(mail: Path) -> None:
    assert not mail.exists()
    number = add()
    (nudge,) = client().call("due_nudges", channel="desktop")["nudges"]
    client().call("nudges_shown", ids=nudge["ids"], popup_id=7, server=":1.5")
    client().call("answer", popup_id=7, server=":1.5", key="review")
    client().call("prepare", ref=str(number))
    now = datetime.now(UTC)
    for since, seen in ((now - timedelta(minutes=1), True), (now + timedelta(minutes=1), False)):
        steps = client().call("practice_steps", thanks=number, since=since.isoformat())
        assert [steps[step] for step in ("popup", "pressed", "review")] == [seen] * 3


def test_it_needs_a_name_and_an_address() -> None:
    configure('[me]\nname = "Ada"\n')
    with pytest.raises(ConfigError, match="your name or address is not set"):
        client().call("practice")
    assert config_file().exists()
