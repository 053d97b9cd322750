"""The fault matrix, table "Credentials": commands and files that give no password; letters wait, all else goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from account_rigs import (
    BY_COMMAND,
    BY_KEYRING,
    BY_TOKEN,
    SECRET,
    configure_account,
    each_left_once,
    leave_later,
    locked_account,
    time_passes,
    try_again,
    wait_by_daemon,
    wait_by_send,
    wait_for_letters,
)
from cells import Say, cell
from cli_rigs import thanksd
from daemon_rigs import daemon
from smtp_rigs import TOKEN, USER, Mailbox

_LATE = "did not end in 10 seconds"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with locked_account() as box:
        yield box


class Wrong(NamedTuple):
    """A command that gives no password: its script, and what the letter says of it."""

    script: str
    words: str


_WRONG = {
    "The command hangs": Wrong("sleep 300", _LATE),
    "Its child keeps the pipe open": Wrong(f"echo {SECRET}; setsid sleep 13 &", _LATE),
    "It prints control characters": Wrong(f"printf '\\033[1m{SECRET}\\007\\n'", "gave characters that no password has"),
    "It prints 1 MB": Wrong(f"yes {SECRET} | tr -d '\\n' | head -c 1000000", "failed with status -9"),
    "It prints two lines": Wrong(f"echo {SECRET}; echo user: ada", "gave 2 lines; one is expected"),
    "It prints nothing": Wrong("true", "gave nothing"),
    "It fails with words on stderr": Wrong(f"echo {SECRET} >&2; echo {SECRET}; exit 1", "failed with status 1"),
}


@pytest.mark.parametrize(
    "wrong", [cell("Credentials", row, "password_command, daemon", one, daily=True) for row, one in _WRONG.items()]
)
def test_a_password_command_that_gives_none_keeps_letters_and_stops_nothing(
    wrong: Wrong, box: Mailbox, home: Path, seen: Say
) -> None:
    script = home / "word.sh"
    script.write_text(wrong.script)
    configure_account(box, BY_COMMAND.format(file=script))
    with daemon(quick=True) as running:
        wait_by_daemon(box, f"transport.smtp.password_command {wrong.words}.")
        if wrong.words != _LATE:
            try_again(box)
        script.write_text(f"echo {SECRET}")
        told = thanksd("credentials", "test")
        assert (told.code, "2 letters are on the way again" in told.err) == (0, True)
        wait_for_letters("sent", 2)
    each_left_once(box)
    assert SECRET not in running.log
    seen(f"deferred: password (the command {wrong.words}); one popup for all; left once the login works")


@pytest.mark.parametrize(
    "wrong", [cell("Credentials", row, "token_command, `thanksd send`", one) for row, one in _WRONG.items()]
)
def test_a_token_command_that_gives_none_is_said_with_77_and_loses_nothing(
    wrong: Wrong, box: Mailbox, home: Path, seen: Say
) -> None:
    script = home / "word.sh"
    script.write_text(wrong.script)
    configure_account(box, BY_TOKEN.format(file=script))
    wait_by_send(box, f"transport.smtp.token_command {wrong.words}.")
    script.write_text(f"echo {TOKEN}")
    leave_later()
    each_left_once(box)
    seen(f"deferred: password (the command {wrong.words}); exit 77; left when tried again")


# As an installed package announces its backend; keyring asks every one it finds (importlib.metadata).
_PLAIN = """\
from pathlib import Path
from keyring.backend import KeyringBackend

_FILE = Path(__file__).with_name("passwords")

class Keyring(KeyringBackend):
    priority = 9

    def set_password(self, service, username, password):
        _FILE.write_text(password)

    def get_password(self, service, username):
        return _FILE.read_text() if _FILE.exists() else None
"""


def _install_plain(site: Path) -> dict[str, str]:
    """Install a keyring that encrypts nothing beside ours, and give the environment in which Python finds it."""
    (site / "plain_keyring").mkdir(parents=True)
    (site / "plain_keyring" / "__init__.py").write_text(_PLAIN)
    info = site / "plain_keyring-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plain-keyring\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[keyring.backends]\nplain = plain_keyring\n")
    return {"PYTHONPATH": str(site)}


_PLAIN_ROW = "Only a keyring in plain text"
_NAMED = {"PYTHON_KEYRING_BACKEND": "plain_keyring.Keyring"}
_OPTED_IN = 'auth = "password"\npassword_command = "{python} -m keyring get thanksd {user}@127.0.0.1"'


@pytest.mark.parametrize(
    ("named", "words"),
    [
        cell("Credentials", _PLAIN_ROW, "the keyring, daemon", {}, "There is no keyring here.", daily=True),
        cell(
            "Credentials",
            _PLAIN_ROW,
            "named by PYTHON_KEYRING_BACKEND, daemon",
            _NAMED,
            "The keyring in use is not one known to encrypt: plain_keyring.",
        ),
    ],
)
def test_a_keyring_in_plain_text_is_used_only_where_its_owner_asks_for_it(
    named: dict[str, str], words: str, box: Mailbox, home: Path, seen: Say
) -> None:
    environ = _install_plain(home / "site") | named
    kept = home / "site" / "plain_keyring" / "passwords"
    configure_account(box, BY_KEYRING)
    refused = thanksd("credentials", "set", "--no-test", stdin=SECRET.encode(), env=environ)
    assert (refused.code, words in refused.err, kept.exists()) == (77, True, False)
    kept.write_text(SECRET)
    with daemon(environ=environ, quick=True):
        wait_by_daemon(box, words)
        configure_account(box, _OPTED_IN.format(python=sys.executable, user=USER))
        time_passes()
        wait_for_letters("sent", 2)
    each_left_once(box)
    seen("refused, nothing kept in it; deferred: password; both left once `password_command` named it outright")


@pytest.mark.parametrize(
    (), [cell("Credentials", "The systemd credential is missing", "LoadCredential=, daemon", daily=True)]
)
def test_a_systemd_credential_that_is_not_there_keeps_letters_until_it_is(box: Mailbox, home: Path, seen: Say) -> None:
    folder = home / "credentials"
    folder.mkdir(mode=0o700)
    configure_account(box, BY_KEYRING)
    with daemon(environ={"CREDENTIALS_DIRECTORY": str(folder)}, quick=True):
        wait_by_daemon(box, "There is no keyring here.")
        (folder / "smtp-password").write_text(f"{SECRET}\n")
        time_passes()
        wait_for_letters("sent", 2)
    each_left_once(box)
    seen("deferred: password (no keyring either); one popup for all; left once it was there")
