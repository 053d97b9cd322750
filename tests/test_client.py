"""The socket between the command line and the daemon: the same verbs, the same results, and what can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import configure, new_ledger, thanksd
from daemon_rigs import client, daemon, query, settings, socket_path, store_url, value, wait_for

from thanksd import __version__, listener
from thanksd import client as client_module
from thanksd.errors import ConfigError, ThanksdError, TryLaterError, UsageError


@pytest.fixture(autouse=True)
def ledger() -> Path:
    settings(channels="[]")
    return new_ledger()


def _signed(**request: Any) -> dict[str, Any]:
    told = {"version": __version__, "config": client().config, "tz": "", "lines": False, "params": {}}
    return told | request


def _ask(data: bytes) -> bytes:
    """Send bytes to the daemon, and give what comes back until it hangs up."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(str(socket_path()))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def _fill() -> None:
    asker = client()
    asker.call("add", who="Ada Lovelace ada@example.com", kind="coffee", details=["why you left Rust"], after="1h")
    asker.call("add", who="Chen Wei chen@example.com", kind="interview", after="1h")
    asker.call("add", who="José Álvarez", kind="event", promises=["the paper by friday"], after="1h")
    asker.call("waive", ref="2", reason="they are family")


# Every verb that only looks, or gives the same again when asked twice.
_LOOKS: list[tuple[str, dict[str, Any]]] = [
    ("owed", {}),
    ("owed", {"everything": True}),
    ("owed", {"state": "waived"}),
    ("show", {"ref": "jose"}),
    ("outbox", {}),
    ("log", {}),
    ("log", {"ref": "1"}),
    ("summary", {}),
    ("people", {}),
    ("person", {"who": "Ada Lovelace"}),
    ("draft", {"ref": "1"}),
    ("reviewing", {"refs": ["1", "3"]}),
    ("due_nudges", {"channel": "terminal"}),
]


def test_a_verb_gives_the_same_over_the_socket_as_in_process() -> None:
    _fill()
    asker = client()
    here = [asker.world.call(verb, params) for verb, params in _LOOKS]
    with daemon():
        there = [client().call(verb, **params) for verb, params in _LOOKS]
    for (verb, params), one, other in zip(_LOOKS, here, there, strict=True):
        one.pop("now", None)
        other.pop("now", None)
        assert json.loads(json.dumps(one)) == other, (verb, params)


_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("show", {"ref": "nobody"}),
    ("add", {"who": "Ada <ada@example.com>, Eve <eve@example.com>"}),
    ("confirm", {"letters": [{"thanks": 1, "sha256": "0" * 64}]}),
    ("undo", {}),
]


def _refusal(verb: str, params: dict[str, Any]) -> tuple[type[ThanksdError], str, str, str]:
    with pytest.raises(ThanksdError) as refused:
        client().call(verb, **params)
    error = refused.value
    return type(error), error.message, error.hint, error.code


def test_a_verb_that_refuses_says_the_same_over_the_socket() -> None:
    client().call("add", who="Ada Lovelace ada@example.com", after="1h")
    here = [_refusal(verb, params) for verb, params in _REFUSED]
    assert len(set(here)) == len(_REFUSED)
    with daemon():
        assert [_refusal(verb, params) for verb, params in _REFUSED] == here


def test_the_clock_of_who_asks_counts_not_the_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    configure("[nudge]\nchannels = []\n")
    with daemon(environ={"TZ": "America/New_York"}):
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        found = thanksd("add", "Ada Lovelace", "--json").json["thanks"][0]
        assert found["meeting"]["tz"] == "Asia/Tokyo"


def test_the_socket_and_its_folder_are_their_owners_alone() -> None:
    with daemon():
        found = socket_path().stat()
        assert (stat.S_IMODE(found.st_mode), stat.S_ISSOCK(found.st_mode)) == (0o600, True)
        assert stat.S_IMODE(socket_path().parent.stat().st_mode) == 0o700


_STRANGER = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
try:
    connection.connect(sys.argv[1])
    connection.sendall(sys.stdin.buffer.read())
    print("said", connection.recv(65536))
except OSError as error:
    print("refused", type(error).__name__)
"""


def _as_stranger(path: Path, request: dict[str, Any]) -> str:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", _STRANGER]
    data = json.dumps(request).encode() + b"\n"
    done = subprocess.run([*command, str(path)], input=data, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become somebody else"
)


@needs_root
def test_somebody_else_does_not_reach_the_socket() -> None:
    with daemon():
        assert _as_stranger(socket_path(), _signed(verb="owed")) == "refused PermissionError"


@needs_root
def test_somebody_else_who_reaches_it_is_told_nothing(short_dir: Path) -> None:
    _fill()
    with daemon():
        path = socket_path()
        for one in (path, *path.parents):
            if one.is_relative_to(short_dir):
                one.chmod(0o777)
        # The line is cut while the stranger still speaks, or after that.
        told_nothing = {"said b''", "refused ConnectionResetError", "refused BrokenPipeError"}
        assert _as_stranger(path, _signed(verb="owed")) in told_nothing
        _as_stranger(path, _signed(verb="waive", params={"ref": "1"}))
        assert value("SELECT state FROM thanks WHERE id = 1") == "owed"
        assert _ask(json.dumps(_signed(verb="owed")).encode() + b"\n").startswith(b'{"result":')


def test_another_config_runs_in_process_and_wakes_the_daemon(home: Path) -> None:
    settings(channels='["desktop"]')
    other = home / "other.toml"
    other.write_text('[nudge]\nchannels = []\n[me]\ntimezone = "Asia/Tokyo"\n')
    with daemon():
        wait_for(lambda: _last_pass() is not None)
        done = thanksd("add", "Ada Lovelace", "--after", "0s", "--config", str(other), "--json")
        assert done.json["thanks"][0]["meeting"]["tz"] == "Asia/Tokyo"
        # Nobody but a daemon that looked tries to pop up; its tick alone would take half a minute.
        wait_for(lambda: query("SELECT error FROM nudge WHERE error IS NOT NULL"), 10)


def _last_pass() -> str | None:
    status = client().ask_status()
    return status["last_pass_at"] if status else None


_GARBAGE = [
    b"",
    b"\n",
    b"\xff\xfe\n",
    b"null\n",
    b"[]\n",
    b'"owed"\n',
    b"{}\n",
    b'{"verb": 7}\n',
    b'{"verb": "owed"}\n',
    b"[" * 100_000 + b"\n",
    b'{"verb": "owed", "params": {"a": "' + b"x" * (1 << 20) + b'"}}\n',
    b'{"verb": "owed"',
]
_WRONG: list[dict[str, Any]] = [
    {"params": []},
    {"params": "x"},
    {"version": 1},
    {"config": None},
    {"tz": 9},
    {"lines": "yes"},
]


def test_garbage_is_answered_with_silence_and_hurts_nothing() -> None:
    wrong = [json.dumps(_signed(verb="owed") | field).encode() + b"\n" for field in _WRONG]
    with daemon() as running:
        for data in (*_GARBAGE, *wrong):
            try:
                assert _ask(data) == b"", data[:80]
            except (ConnectionResetError, BrokenPipeError):
                # It hung up before it had read all of it.
                assert len(data) > listener._LONGEST_REQUEST
            assert client().call("owed")["thanks"] == []
        assert "Traceback" not in running.log


def test_wrong_words_are_refused_and_the_daemon_lives_on() -> None:
    with daemon():
        for verb in ("dispatch", "recover", "answer", "show_again", "nudges_failed", "__init__", "nothing"):
            with pytest.raises(UsageError):
                client().call(verb)
        with pytest.raises(ThanksdError) as refused:
            client().call("owed", colour="red")
        assert type(refused.value) is ThanksdError
        # Nor does a client that says nothing keep anybody waiting.
        with closing(socket.socket(socket.AF_UNIX)) as silent:
            silent.connect(str(socket_path()))
            assert client().call("owed")["thanks"] == []


def test_a_daemon_that_hangs_is_75_and_the_verb_is_not_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon() as running:
        monkeypatch.setattr(client_module, "_ANSWER_SECONDS", 0.3)
        asker = client()
        with running.frozen():
            with pytest.raises(TryLaterError) as late:
                asker.call("add", who="Ada Lovelace", after="1h")
            assert (late.value.exit_code, late.value.hint) == (75, "See: thanksd log")
            assert asker._world is None
            assert value("SELECT count(*) FROM thanks") == 0
        # What was said to it is done once it wakes, and once only.
        wait_for(lambda: value("SELECT count(*) FROM thanks") == 1)
        assert client().call("owed")["thanks"][0]["person"]["name"] == "Ada Lovelace"


@contextmanager
def _hangs_up(answer: bytes) -> Iterator[list[bytes]]:
    """Be a daemon that reads a request and then dies, having said `answer`."""
    heard: list[bytes] = []
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(socket_path()))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(20)


@pytest.mark.parametrize("answer", [b"", b'{"result": {'])
def test_a_daemon_that_dies_in_mid_answer_is_75_and_the_verb_is_not_run_here(answer: bytes) -> None:
    with _hangs_up(answer) as heard:
        done = thanksd("add", "Ada Lovelace", "--after", "1h")
        assert done.code == 75
        assert done.err.splitlines() == [
            "The daemon did not answer. What you asked for may have been done or not.",
            "See: thanksd log",
        ]
    assert json.loads(heard[0])["verb"] == "add"
    assert value("SELECT count(*) FROM thanks") == 0


def test_a_socket_that_a_dead_daemon_left_is_no_daemon() -> None:
    with daemon() as running:
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        assert socket_path().exists()
        asker = client()
        assert asker.call("owed")["thanks"] == []
        assert asker.daemon is False
        assert asker._world is not None
    with daemon():
        assert client().call("owed")["thanks"] == []


def test_two_stores_have_two_daemons(home: Path) -> None:
    with daemon(), daemon("--store", str(home / "other.db"), ready=False):
        wait_for(
            lambda: thanksd("service", "status", "--json", "--store", str(home / "other.db")).json["service"]["running"]
        )
        assert thanksd("add", "Ada Lovelace", "--after", "1h").code == 0
        assert thanksd("owed", "--json", "--store", str(home / "other.db")).json["thanks"] == []


def test_a_changed_config_is_read_again() -> None:
    configure('[nudge]\nchannels = []\n[me]\ntimezone = "Asia/Tokyo"\n')
    with daemon():
        assert client().call("owed")["zone"] == "Asia/Tokyo"
        configure('[nudge]\nchannels = []\n[me]\ntimezone = "America/New_York"\n')
        assert client().call("owed")["zone"] == "America/New_York"


def test_a_config_with_a_mistake_is_78_for_commands_and_the_daemon_lives_on() -> None:
    with daemon() as running:
        configure("[nudge]\nchanels = []\n")
        done = thanksd("add", "Ada Lovelace", "--after", "1h")
        assert done.code == 78
        assert "line 2: nudge.chanels is no setting" in done.err
        assert "Did you mean nudge.channels?" in done.err
        with pytest.raises(ConfigError):
            client().call("owed")
        settings(channels="[]")
        assert thanksd("add", "Ada Lovelace", "--after", "1h").code == 0
        assert running.process.poll() is None


def test_a_socket_path_that_is_too_long_is_said_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / ("x" * 100)))
    with pytest.raises(ConfigError, match="too long"):
        client().call("owed")


def test_a_thin_call_loads_no_database() -> None:
    with daemon():
        code = (
            "import sys; from thanksd.client import Client\n"
            "Client(sys.argv[1], sys.argv[2], lines_wanted=False).call('owed')\n"
            "print(sorted(set(sys.modules) & {'sqlalchemy', 'jinja2', 'apscheduler', 'keyring', 'alembic', 'asyncio'}))"
        )
        command = [sys.executable, "-c", code, store_url(), client().config]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"
