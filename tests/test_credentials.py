from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import parts
import pytest
from smtp_rigs import wait_for

from thanksd import credentials
from thanksd.config import Smtp
from thanksd.credentials import CredentialsError
from thanksd.errors import ConfigError

SECRET = "correct-horse-7f"
ACCOUNT = Smtp(host="mail.example.org")
USER = "ada@example.org"

# Runs under a bus and a keyring of its own, and prints what each step said as one JSON list.
DRIVER = """
import json, os, subprocess, sys, time
from thanksd import credentials
from thanksd.config import Smtp
BUS = ["gdbus", "call", "--session", "-d"]
SECRETS = ["org.freedesktop.secrets", "-o", "/org/freedesktop/secrets", "-m"]

def attempt(step):
    try:
        return step()
    except credentials.CredentialsError as error:
        return f"{type(error).__name__} {error.reason}: {error.message}"

def has_owner():
    ask = ["org.freedesktop.DBus", "-o", "/", "-m", "org.freedesktop.DBus.NameHasOwner", "org.freedesktop.secrets"]
    return "true" in subprocess.run([*BUS, *ask], capture_output=True, text=True, check=True).stdout

def lock():
    login = "['/org/freedesktop/secrets/collection/login']"
    done = subprocess.run([*BUS, *SECRETS, "org.freedesktop.Secret.Service.Lock", login], capture_output=True, check=True)

daemon = subprocess.Popen(["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
daemon.stdin.write(b"pw")
daemon.stdin.close()
deadline = time.monotonic() + 20
while not has_owner():
    assert time.monotonic() < deadline, "no keyring came up"
    time.sleep(0.05)
read = credentials.reader(Smtp(host="mail.example.org"), "ada@example.org", os.environ)
user = "ada@example.org@mail.example.org"
said = []
for step in STEPS:
    said.append(attempt(step))
daemon.kill()
daemon.wait()
print(json.dumps(said))
"""


def with_keyring(steps: str, environ: Mapping[str, str] | None = None) -> list[str | None]:
    parts.need("dbus-run-session", "gnome-keyring-daemon", "gdbus")
    driver = DRIVER.replace("STEPS", steps)
    done = subprocess.run(
        ["dbus-run-session", "--", sys.executable, "-c", driver],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stderr
    said: list[str | None] = json.loads(done.stdout)
    return said


def read(account: Smtp, environ: Mapping[str, str] | None = None) -> str:
    fetch = credentials.reader(account, USER, os.environ if environ is None else environ)
    assert fetch is not None
    return fetch()


def refused(act: Callable[[], object]) -> CredentialsError:
    """Expect a refusal that shows the secret nowhere, not even in what a traceback prints."""
    with pytest.raises(CredentialsError) as caught:
        act()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + error.hint
    links: list[BaseException | None] = [error.__context__, error.__cause__]
    assert SECRET not in shown + "".join(repr((link, getattr(link, "__dict__", ""))) for link in links)
    assert error.exit_code == 77
    assert error.hint
    return error


def command(line: str) -> Smtp:
    return Smtp(host="mail.example.org", password_command=line)


# Where the secret comes from.


def test_an_account_is_named_by_its_user_and_host() -> None:
    assert credentials.account(ACCOUNT, USER) == "ada@example.org@mail.example.org"
    assert credentials.account(Smtp(host="h", username="u"), USER) == "u@h"


def test_without_a_login_nothing_is_asked() -> None:
    assert credentials.reader(Smtp(host="h", auth="none", password_command="false"), USER, {}) is None


def test_a_command_is_run_when_the_secret_is_wanted_and_not_before(tmp_path: Path) -> None:
    fetch = credentials.reader(command(f"sh -c 'echo ran >> {tmp_path}/ran; echo {SECRET}'"), USER, os.environ)
    assert fetch is not None
    assert not (tmp_path / "ran").exists()
    assert (fetch(), fetch()) == (SECRET, SECRET)
    assert (tmp_path / "ran").read_text() == "ran\n" * 2


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("printf 'no line end'", "no line end"),
        (r"printf 'windows\r\n'", "windows"),
        ("echo ' spaces stay '", " spaces stay "),
        ("echo grün", "grün"),
        ("echo $HOME ; | & *", "$HOME ; | & *"),
    ],
)
def test_the_one_line_of_a_command_is_the_secret_and_no_shell_reads_it(line: str, secret: str) -> None:
    assert read(command(line)) == secret


def test_a_token_comes_from_the_token_command_alone(tmp_path: Path) -> None:
    both = Smtp(host="h", auth="xoauth2", password_command="echo password", token_command="echo token")
    assert read(both) == "token"
    (tmp_path / "smtp-password").write_text("old token")
    with pytest.raises(ConfigError, match="token_command"):
        read(Smtp(host="h", auth="xoauth2"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_systemd_credential_is_read_where_no_command_is_set(tmp_path: Path) -> None:
    (tmp_path / "smtp-password").write_text(f"{SECRET}\n")
    environ = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read(ACCOUNT, environ) == SECRET
    assert read(command("echo of the command"), environ) == "of the command"


# What can go wrong with a command or a file, and never shows the secret.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"sh -c 'echo {SECRET}; exit 3'", "failed with status 3"),
        (f"sh -c 'echo {SECRET}; kill -9 $$'", "failed with status -9"),
        (f"sh -c 'echo {SECRET}; echo user: ada'", "gave 2 lines"),
        (f"printf '{SECRET}\\n\\n'", "gave 2 lines"),
        ("true", "gave nothing"),
        ("echo", "gave nothing"),
        (f"printf '{SECRET}\\0'", "no password has"),
        (f"printf '{SECRET}\\377'", "no password has"),
        (f"printf '\\033[1m{SECRET}'", "no password has"),
        (f"printf '{SECRET}%09999d'", "more than any password"),
        (f"yes {SECRET}", "failed with status -9"),
        ("no-such-command-here", "can't be started: No such file"),
        ("/etc/passwd", "can't be started: Permission denied"),
        ("''", "can't be started"),
        (f"{SECRET}-typed-in-the-wrong-place", "can't be started: No such file"),
        ("echo \0", "can't be started"),
    ],
)
def test_a_command_that_does_not_give_one_line_is_refused(line: str, words: str) -> None:
    error = refused(lambda: read(command(line)))
    assert words in error.message
    assert error.reason == "command"


def test_quotes_that_do_not_close_are_a_mistake_of_the_config() -> None:
    with pytest.raises(ConfigError, match="password_command can't be read"):
        read(command("pass 'mail"))


@pytest.mark.parametrize("line", ["sleep 300", "sh -c 'sleep 300; :'", "sh -c 'exec >&-; sleep 300'"])
def test_a_command_that_hangs_is_ended_with_its_children(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials.COMMAND_SECONDS == 10
    monkeypatch.setattr(credentials, "COMMAND_SECONDS", 0.4)
    mark = f"THANKSD_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    start = time.monotonic()
    error = refused(lambda: read(command(line), {**os.environ, name: value}))
    assert time.monotonic() - start < 15
    assert (error.reason, error.message) == ("timeout", "transport.smtp.password_command did not end in 0.4 seconds.")
    wait_for(lambda: running_with(mark) == [])


def test_what_a_command_complains_of_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    refused(lambda: read(command(f"sh -c 'echo {SECRET} >&2; exit 1'")))
    assert capfd.readouterr() == ("", "")


def test_a_child_that_does_not_listen_is_no_error_by_itself() -> None:
    done = credentials._run(["true"], os.environ, 10, b"x" * 200_000)
    assert (done.code, done.output, done.is_late) == (0, b"", False)


def running_with(mark: str) -> list[str]:
    """Name the processes, zombies apart, whose environment has `mark`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("data", [b"", b"a\nb\n", b"\xff"])
def test_a_systemd_credential_that_is_not_one_line_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "smtp-password").write_bytes(data)
    assert refused(lambda: read(ACCOUNT, {"CREDENTIALS_DIRECTORY": str(tmp_path)})).reason == "file"


def test_a_systemd_credential_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "smtp-password").mkdir()
    error = refused(lambda: read(ACCOUNT, {"CREDENTIALS_DIRECTORY": str(tmp_path)}))
    assert (error.reason, "Is a directory" in error.message) == ("file", True)


# The keyring.


def test_a_real_keyring_keeps_gives_and_forgets_the_secret() -> None:
    steps = f"""[lambda: credentials.store(user, {SECRET!r} + " gr\\u00fcn"), read, lambda: credentials.forget(user), read,
                 lambda: credentials.forget(user)]"""
    gone = "CredentialsError missing: The keyring has no password for ada@example.org@mail.example.org."
    assert with_keyring(steps) == [None, f"{SECRET} grün", None, gone, gone]


def test_a_locked_keyring_says_so_within_its_limit_and_keeps_what_it_has() -> None:
    steps = f"[lambda: credentials.store(user, {SECRET!r}), lock, read, lambda: credentials.store(user, 'other')]"
    locked = "CredentialsError locked: The keyring is locked."
    assert with_keyring(steps) == [None, None, locked, locked]


def test_a_keyring_is_found_where_the_bus_address_is_not_told(home: Path) -> None:
    run = f"os.symlink(os.environ.pop('DBUS_SESSION_BUS_ADDRESS').split('path=')[1].split(',')[0], {str(home / 'run' / 'bus')!r})"
    steps = f"[lambda: credentials.store(user, {SECRET!r}), lambda: {run}, read]"
    assert with_keyring(steps) == [None, None, SECRET]


def test_without_a_bus_there_is_no_keyring_and_nothing_is_kept() -> None:
    assert refused(lambda: read(ACCOUNT)).reason == "no keyring"
    assert refused(lambda: credentials.store("u@h", SECRET)).reason == "no keyring"
    assert refused(lambda: credentials.forget("u@h")).reason == "no keyring"


@pytest.mark.parametrize("backend", ["null.Keyring", "chainer.ChainerBackend"])
def test_a_keyring_that_keeps_nothing_is_not_believed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"keyring.backends.{backend}")
    error = refused(lambda: credentials.store("u@h", SECRET))
    assert error.reason in ("refused", "no keyring")
    assert "password_command" in error.hint


def test_a_keyring_that_hangs_is_given_up(short_dir: Path) -> None:
    parts.need("dbus-run-session")
    assert credentials.KEYRING_SECONDS == 10
    services = short_dir / "services"
    services.mkdir()
    service = "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/bin/sh -c 'exec sleep 20 >/dev/null 2>&1'\n"
    (services / "org.freedesktop.secrets.service").write_text(service)
    conf = short_dir / "bus.conf"
    conf.write_text(
        f"<busconfig><type>session</type><listen>unix:dir={short_dir}</listen><servicedir>{services}</servicedir>"
        '<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>'
        "</busconfig>"
    )
    code = (
        "import time; from thanksd import credentials\n"
        "credentials.KEYRING_SECONDS = 2.0\n"
        "start = time.monotonic()\n"
        f"try: credentials.store('u@h', {SECRET!r})\n"
        "except credentials.CredentialsError as e: print(e.reason, time.monotonic() - start < 8)\n"
    )
    words = ["dbus-run-session", f"--config-file={conf}", "--", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "timeout True\n", done.stderr


def test_nothing_in_the_current_folder_poses_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keyring.py").write_text(f"open({str(tmp_path / 'stolen')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert refused(lambda: credentials.store("u@h", SECRET)).reason == "no keyring"
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize("secret", ["", "two\nlines", "null\0", "half \ud800", "x" * 9000])
def test_what_is_no_secret_is_not_stored(secret: str) -> None:
    refused(lambda: credentials.store("u@h", secret))


def test_a_secret_is_on_no_argument_list(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    start = subprocess.Popen.__init__

    def watched(self: subprocess.Popen[bytes], words: list[str], **options: object) -> None:
        seen.append(words)
        start(self, words, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    refused(lambda: credentials.store("u@h", SECRET))
    assert [words[-3:] for words in seen] == [["thanksd.credentials", "set", "u@h"]]
    assert SECRET not in str(seen)
