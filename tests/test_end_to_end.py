"""The whole way, of a wheel that somebody installed: add, nudge, Review, one key, a mail server's yes.

Everything is real: the user's own systemd manager and session bus, the daemon under its unit, gnome-keyring, dunst and
xterm on an X server, a mail server with TLS and a login.
"""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import parts
import pytest
from smtp_rigs import PASSWORD, Authority, Mailbox, mail_server

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

_CONFIG = """\
[me]
name = "Sam Lee"
email = "ada@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "smtp"
[transport.smtp]
host = "localhost"
port = {port}
security = "{security}"
{more}
[nudge]
review = "terminal"
terminal = "xterm"
[send]
undo = "{undo}"
"""
_MAILDIR = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"
[transport]
kind = "maildir"
[transport.maildir]
path = "{home}/Letters"
[send]
undo = "0s"
"""
_PICK = '#!/bin/sh\ngrep -F "#$(cat ~/wanted) " | head -1\n'
_DUNSTRC = '[global]\n    dmenu = {home}/pick.sh\n    idle_threshold = 0\n    format = "%s\\n%b"\n'

# What a session of this user is made of. Nothing waits for longer than 30 s.
_HELPERS = r"""
set -u
until_true() { for _ in $(seq 300); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; fail "gave up on: $*"; }
fail() {
    echo "$1" >&2; thanksd log >&2; systemctl --user status thanksd --no-pager >&2; dunstctl history >&2; exit 1
}
state() { thanksd show "$1" --json | grep -o '"state": "[a-z]*", "person"' | cut -d'"' -f4; }
is() { [ "$(state "$1")" = "$2" ]; }
event() { thanksd log --json | grep -qF "\"what\": \"$1\""; }
shown() { [ "$(dunstctl count displayed)" = "$1" ]; }
desktop() {
    Xvfb -displayfd 5 -screen 0 1024x768x24 -nolisten tcp 5>~/display 2>/dev/null &
    until_true test -s ~/display
    export DISPLAY=:$(cat ~/display)
    dunst -conf ~/dunstrc >/dev/null 2>&1 &
    until_true dunstctl count
    systemctl --user import-environment DISPLAY
}
keyring() {
    printf login | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
    until_true busctl --user status org.freedesktop.secrets
}
"""


@pytest.fixture
def mail(machine_user: MachineUser, tmp_path: Path) -> Iterator[tuple[Mailbox, dict[str, str]]]:
    """A mail server on localhost with TLS from the start, and the environment in which its authority is trusted."""
    parts.need("Xvfb", "dunst", "dunstctl", "xdotool", "xterm", "gnome-keyring-daemon", "busctl")
    authority = Authority(tmp_path)
    trusted = machine_user.write("ca.pem", authority.file.read_text(encoding="ascii"))
    machine_user.write("pick.sh", _PICK, 0o700)
    machine_user.write("dunstrc", _DUNSTRC.format(home=machine_user.home))
    with mail_server(authority.context(), implicit=True) as box:
        yield box, {"SSL_CERT_FILE": str(trusted)}


def _configure(user: MachineUser, box: Mailbox, more: str = "", undo: str = "0s") -> None:
    text = _CONFIG.format(port=box.port, security="tls", more=more, undo=undo)
    user.write(".config/thanksd/config.toml", text)


def test_add_nudge_review_one_key_and_the_letter_is_accepted(
    machine_user: MachineUser, mail: tuple[Mailbox, dict[str, str]]
) -> None:
    box, environ = mail
    _configure(machine_user, box, undo="1s")
    done = machine_user.run(
        _HELPERS
        + rf"""
        desktop
        keyring
        printf '%s\n' {PASSWORD!r} | thanksd credentials set >&2 || fail "no password kept"
        thanksd service install >&2 || fail "not installed"
        thanksd add Grace Hopper grace@example.com -k coffee -d "how you found the moth" --after 1s >&2
        until_true event nudged
        until_true shown 1
        echo "state $(state 1)"
        echo Review >~/wanted; dunstctl context
        until_true event opened
        window() {{ xdotool search --onlyvisible --class xterm; }}
        until_true window
        xdotool windowfocus "$(window | head -1)"
        # Keys that come before the screen is drawn are not taken as an answer: a person looks, and presses again.
        press() {{ is 1 thanked || {{ ! is 1 confirmed && xdotool key s; sleep 0.5; false; }}; }}
        until_true press
        thanksd owed >~/owed; echo "owed $(wc -c <~/owed)"
        until_true shown 0
        thanksd log --json
        """,
        timeout=120,
        env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state, owed, log = done.stdout.splitlines()
    assert (state, owed) == ("state due", "owed 0")
    assert [one["what"] for one in json.loads(log)["events"]] == ["added", "nudged", "opened", "confirmed", "sent"]
    (letter,) = box.letters
    assert (letter.mail_from, letter.rcpt_tos) == ("ada@example.org", ["grace@example.com"])
    assert isinstance(letter.content, bytes)
    message = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert "how you found the moth" in message.get_content()


def _send_under_the_unit(user: MachineUser, environ: dict[str, str]) -> str:
    """Add, confirm, and let the daemon under its unit send; give the thanks' state and the log."""
    done = user.run(
        _HELPERS
        + r"""
        systemctl --user set-environment SSL_CERT_FILE="${SSL_CERT_FILE-}"
        thanksd service install >&2 || fail "not installed"
        thanksd add Grace Hopper grace@example.com -k coffee -d "how you found the moth" >&2
        thanksd send 1 --yes >&2 || fail "not queued"
        until_true is 1 thanked
        thanksd log
        """,
        timeout=120,
        env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_password_command_of_the_home_works_under_the_unit(
    machine_user: MachineUser, mail: tuple[Mailbox, dict[str, str]]
) -> None:
    box, environ = mail
    machine_user.write(".secrets/word", PASSWORD)
    # It writes too, as gpg does with its trust database.
    script = machine_user.write(
        "bin/mail-word", "#!/bin/sh\necho asked >>~/.secrets/asked\ncat ~/.secrets/word\n", 0o700
    )
    _configure(machine_user, box, f'password_command = "{script}"')
    assert "sent" in _send_under_the_unit(machine_user, environ)
    assert [letter.rcpt_tos for letter in box.letters] == [["grace@example.com"]]
    assert (machine_user.home / ".secrets/asked").read_text(encoding="ascii") == "asked\n"


def test_a_maildir_in_the_home_works_under_the_unit(machine_user: MachineUser) -> None:
    machine_user.write(".config/thanksd/config.toml", _MAILDIR.format(home=machine_user.home))
    assert "Letters/new" in _send_under_the_unit(machine_user, {})
    (letter,) = (machine_user.home / "Letters/new").iterdir()
    assert b"To: Grace Hopper <grace@example.com>" in letter.read_bytes()
