"""The fault matrix, table "Credentials": the secret is looked for wherever it could have been left, and is not there."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import desktop_rigs
import keyring_rigs
import parts
import pytest
from account_rigs import SECRET, locked_account, settings_of
from cells import Say, cell
from cli_rigs import configure, new_ledger, store_file, thanksd
from daemon_rigs import SCRIPT, add, client, confirm, daemon, value, wait_for
from keyring_rigs import keyring
from smtp_rigs import SILENT, USER, Mailbox, Scripted

_LOGIN = 'auth = "password"'
_BY_COMMAND = 'auth = "password"\npassword_command = "cat {file}"'
# As it stands on the wire (RFC 4616), in JSON, and in hexadecimal.
_FORMS = [
    SECRET.encode(),
    base64.b64encode(SECRET.encode()).rstrip(b"="),
    base64.b64encode(f"\0{USER}\0{SECRET}".encode()).rstrip(b"="),
    SECRET.encode().hex().encode(),
]
_COMMANDS = [
    ["doctor"],
    ["credentials", "test"],
    ["credentials", "set"],
    ["config"],
    ["outbox"],
    ["show", "1"],
    ["log"],
    ["owed"],
    ["people"],
    ["templates"],
    ["service", "status"],
    ["send", "1", "--yes"],
]


def _has(data: bytes) -> bool:
    return any(form in data for form in _FORMS)


def _holding(folder: Path, *known: Path) -> list[Path]:
    """Give the files below a folder that hold the secret in any form, but for those that are meant to."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path not in known)
    return [path for path in files if _has(path.read_bytes())]


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with locked_account() as box:
        yield box


@pytest.fixture
def word(home: Path) -> Path:
    """The file from which a password command reads."""
    file = home / "word"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.mark.parametrize(
    (), [cell("Credentials", "The secret is looked for", "the ledger, its journal, its copies", daily=True)]
)
def test_the_secret_is_in_no_file_of_ours(box: Mailbox, home: Path, word: Path, seen: Say) -> None:
    configure(settings_of(box.port, _BY_COMMAND.format(file=word)))
    with daemon(quick=True):
        confirm(add("Ada Lovelace"))
        wait_for(lambda: value("SELECT count(*) FROM letter WHERE state = 'sent'") == 1)
        # A server that quotes the line it refuses, and a login that is told again what it said.
        box.login = (USER, "another")
        confirm(add("Bob Ray"))
        wait_for(lambda: value("SELECT count(*) FROM letter WHERE reason = 'credentials'") == 1)
        assert thanksd("backup", str(home / "kept.db")).code == 0
        assert thanksd("export", str(home / "all.json")).code == 0
    assert (home / "kept.db").stat().st_size > 0
    assert _holding(home, word) == []
    assert b"Ada Lovelace" in store_file().read_bytes()
    seen("not there, after a login that worked and one that was refused; nor in a backup or an export", 5)


@pytest.mark.parametrize((), [cell("Credentials", "The secret is looked for", "logs, output, --debug, --json")])
def test_the_secret_is_in_nothing_that_is_said(box: Mailbox, word: Path, seen: Say) -> None:
    quoting = Scripted({"EHLO": "250-test\r\n250 AUTH PLAIN", "AUTH": f"535 5.7.8 not {_FORMS[2].decode()}, {SECRET}"})
    number, said = add("Ada Lovelace"), []
    configure(settings_of(box.port, _BY_COMMAND.format(file=word)))
    for words in _COMMANDS:
        for flags in ((), ("--json", "--debug")):
            done = thanksd(*words, *flags, stdin=f"{SECRET}\n".encode())
            said.append(done.out + done.err)
    assert value("SELECT state FROM letter WHERE thanks_id = ?", number) == "sent"
    with quoting as server:
        configure(settings_of(server.port, _BY_COMMAND.format(file=word)))
        refused = thanksd("credentials", "test", "--debug")
    assert (refused.code, "535 5.7.8 not ***, ***" in refused.err, "Traceback" in refused.err) == (77, True, True)
    word.write_text(f"{SECRET}\nuser: {USER}\n")
    torn = thanksd("credentials", "test", "--debug")
    assert (torn.code, "gave 3 lines" in torn.err or "gave 2 lines" in torn.err) == (77, True)
    said += [refused.out + refused.err, torn.out + torn.err]
    assert [text for text in said if _has(text.encode())] == []
    with daemon(quick=True) as running:
        confirm(add("Bob Ray"))
        wait_for(lambda: value("SELECT count(*) FROM letter WHERE reason = 'password'") == 1)
        assert not _has(json.dumps(client().call("show", ref="2")).encode())
    assert running.log
    assert not _has(running.log.encode())
    seen("not there; what a server quotes of it is cut out of its reply", len(said) + 1)


_TRACED = ["strace", "-f", "-v", "-s", "9999", "-e", "trace=execve", "-o"]


def _traced(file: Path, *words: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours, and have every program that it starts written down with its words and environment."""
    return subprocess.run(
        [*_TRACED, str(file), SCRIPT, *words],
        env={**os.environ, **environ, "THANKSD_TEST_MARK": "is-handed-down"},
        input=f"{SECRET}\n".encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    (), [cell("Credentials", "The secret is looked for", "words and environments of every program started")]
)
def test_the_secret_is_in_no_list_of_words_and_in_no_environment(
    box: Mailbox, short_dir: Path, home: Path, seen: Say
) -> None:
    parts.need("strace")
    configure(settings_of(box.port, _LOGIN))
    started: list[bytes] = []
    with desktop_rigs.bus(short_dir) as environ, keyring(environ):
        bus = {"DBUS_SESSION_BUS_ADDRESS": environ["DBUS_SESSION_BUS_ADDRESS"]}
        for words in (["credentials", "set"], ["credentials", "test"], ["run", "--once"], ["send", "2", "--yes"]):
            if words[0] == "run":
                confirm(add("Ada Lovelace"))
            elif words[0] == "send":
                add("Bob Ray")
            trace = home / f"trace-{len(started)}"
            done = _traced(trace, *words, environ=bus)
            assert done.returncode == 0, done
            started.append(trace.read_bytes())
    assert value("SELECT count(*) FROM letter WHERE state = 'sent'") == 2
    assert all(b"is-handed-down" in trace and b"thanksd.credentials" in trace for trace in started)
    assert not any(_has(trace) for trace in started)
    seen("not there (strace of execve, four commands and their keyring's helper)", len(started))


# --- core files ---


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which programs that this test starts leave their core, as large as it is; the test lies in it."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"cores go elsewhere on this machine: {pattern}")
    monkeypatch.chdir(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, (limits[0], limits[1]))


def _abort(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGABRT)
    assert process.wait(20) == -signal.SIGABRT


def _leaves_a_core(folder: Path) -> None:
    """The proof that a core would be found: that of a program which takes no care."""
    script = f"import sys, time; word = '{SECRET[:5]}' + '{SECRET[5:]}'; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as careless:
        assert careless.stdout is not None
        careless.stdout.read(1)
        _abort(careless)
    (core,) = folder.glob("core*")
    assert _has(core.read_bytes())
    core.unlink()


@contextmanager
def _running(*words: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [SCRIPT, *words],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(f"{SECRET}\n".encode())
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


_IN_MID_LOGIN = {
    "the daemon": ["run"],
    "`thanksd send`": ["send", "1", "--yes"],
    "`credentials set`": ["credentials", "set"],
}


@pytest.mark.parametrize(
    "words",
    [
        cell("Credentials", "The secret in a core file", f"{name} ended by SIGABRT", words, daily=name == "the daemon")
        for name, words in _IN_MID_LOGIN.items()
    ],
)
def test_a_program_that_is_aborted_while_it_logs_in_leaves_no_core(
    words: list[str], cores: Path, word: Path, seen: Say
) -> None:
    new_ledger()
    _leaves_a_core(cores)
    login = _LOGIN if words[0] == "credentials" else _BY_COMMAND.format(file=word)
    with Scripted({"EHLO": "250-test\r\n250 AUTH PLAIN", "AUTH": SILENT}) as server:
        configure(settings_of(server.port, login))
        number = add("Ada Lovelace")
        if words[0] == "run":
            confirm(number)
        with _running(*words, environ={}) as process:
            wait_for(lambda: b"AUTH PLAIN " in server.seen)
            assert _has(server.seen)
            _abort(process)
    assert list(cores.iterdir()) == []
    seen("no core is written: the kernel was told so before the secret came in (prctl)")


@pytest.mark.parametrize(
    (), [cell("Credentials", "The secret in a core file", "the keyring's helper ended by SIGABRT")]
)
def test_the_keyrings_helper_leaves_no_core_either(cores: Path, short_dir: Path, seen: Say) -> None:
    keyring_rigs.need()
    _leaves_a_core(cores)
    hangs = {"org.freedesktop.secrets": "/bin/sleep 15"}
    with desktop_rigs.bus(short_dir, hangs) as environ:
        words = [sys.executable, "-P", "-m", "thanksd.credentials", "set", f"{USER}@127.0.0.1"]
        with subprocess.Popen(words, env={**os.environ, **environ}, stdin=subprocess.PIPE) as helper:
            assert helper.stdin is not None
            helper.stdin.write(SECRET.encode())
            helper.stdin.close()
            wait_for(lambda: _waits_for_the_bus(helper.pid))
            _abort(helper)
    assert list(cores.iterdir()) == []
    seen("no core is written")


def _waits_for_the_bus(pid: int) -> bool:
    """Say whether a process is connected to a socket and sleeps: the helper has what it was given by then."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed between the two looks.
        with suppress(FileNotFoundError):
            links.append(str(link.readlink()))
    state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    return state == "S" and any(link.startswith("socket:") for link in links)
