"""The daemon as a process: one per store, its clock, its signals, systemd's notify protocol, its letters."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import program_rigs
import pytest
from cells import Say
from cli_rigs import change, config_file, configure, new_ledger, store_file, thanksd
from daemon_rigs import (
    DEADLINE,
    SCRIPT,
    add,
    answers,
    client,
    confirm,
    daemon,
    query,
    settings,
    socket_path,
    value,
    wait_for,
)
from smtp_rigs import smtp_sink

# Much less than the daemon's own tick of 30 seconds: what comes by then was an event.
SOON = 12.0


@pytest.fixture(autouse=True)
def ledger() -> Path:
    settings()
    return new_ledger()


def _was_tried() -> bool:
    """Say whether a popup was tried: without a desktop a nudge's row has an error."""
    return bool(query("SELECT 1 FROM nudge WHERE error IS NOT NULL"))


def test_there_is_one_daemon_for_a_store_and_the_second_names_the_first() -> None:
    with daemon() as first:
        second = thanksd("run")
        assert second.code == 75
        assert f"process {first.pid}" in second.err
        assert f"kill {first.pid}" in second.err
        assert answers()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_well_and_leaves_no_socket(number: signal.Signals) -> None:
    with daemon() as running:
        assert socket_path().exists()
        assert running.stop(number) == 0
        assert not socket_path().exists()
        assert "Traceback" not in running.log
    with daemon():
        assert answers()


@pytest.mark.parametrize(
    ("config", "code", "word"), [("[nudge]\nchanels = 1\n", 78, "chanels"), ("not toml", 78, "TOML")]
)
def test_it_does_not_start_with_a_config_that_has_a_mistake(config: str, code: int, word: str) -> None:
    configure(config)
    done = thanksd("run")
    assert (done.code, word in done.err) == (code, True)


class Manager:
    """What a service manager hears on its notify socket."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket = listening
        self.heard: list[str] = []

    def next(self) -> str:
        self._socket.settimeout(DEADLINE)
        self.heard.append(self._socket.recv(4096).decode())
        return self.heard[-1]

    def forget(self) -> None:
        """Drop what was said so far."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(4096)
        except BlockingIOError:
            pass

    def is_silent(self) -> bool:
        """Say whether nothing was said since."""
        self._socket.setblocking(False)
        try:
            self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return True
        return False


@contextmanager
def _manager(address: str) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        yield Manager(listening)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_says_ready_once_it_answers_and_stopping_at_the_end(short_dir: Path, kind: str) -> None:
    address = f"{short_dir}/notify" if kind == "path" else f"@thanksd-test-{os.getpid()}"
    with _manager(address) as manager, daemon(environ={"NOTIFY_SOCKET": address}, ready=False) as running:
        assert manager.next() == "READY=1"
        assert answers()
        assert manager.next() == "WATCHDOG=1"
        running.stop()
        while manager.next() == "WATCHDOG=1":
            pass
        assert manager.heard[-1] == "STOPPING=1"


def _poke() -> None:
    client()._ask({"verb": "poke", "params": {}})


@pytest.mark.cell("Clock", "A daemon that is stuck", "every pass fails: a table of its ledger is gone")
def test_the_watchdog_is_fed_by_finished_passes_alone(short_dir: Path, seen: Say) -> None:
    address = f"{short_dir}/notify"
    with _manager(address) as manager, daemon(environ={"NOTIFY_SOCKET": address}) as running:
        while manager.next() != "WATCHDOG=1":
            pass
        _poke()
        assert manager.next() == "WATCHDOG=1"
        change(store_file(), "ALTER TABLE thanks RENAME TO gone")
        manager.forget()
        _poke()
        wait_for(lambda: "no such table" in running.log)
        assert manager.is_silent()
        change(store_file(), "ALTER TABLE gone RENAME TO thanks")
        _poke()
        assert manager.next() == "WATCHDOG=1"
    seen("said each time, and the watchdog is not fed until a pass is finished: systemd starts it anew")


@pytest.mark.cell("Clock", "A daemon that is stuck", "a mistake in the config file")
def test_a_mistake_in_the_config_is_no_reason_to_be_restarted(short_dir: Path, seen: Say) -> None:
    address = f"{short_dir}/notify"
    with _manager(address) as manager, daemon(environ={"NOTIFY_SOCKET": address}) as running:
        while manager.next() != "WATCHDOG=1":
            pass
        good = config_file().read_text()
        configure("[nudge]\nchanels = 1\n")
        _poke()
        assert manager.next() == "WATCHDOG=1"
        _poke()
        assert manager.next() == "WATCHDOG=1"
        assert running.log.count("chanels is no setting") == 1
        configure(good)
        add(after="0s")
        wait_for(_was_tried, SOON)
    seen("said once; the watchdog is fed, as a new start would change nothing; mended, it goes on")


def test_the_status_tells_when_it_looked_last() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    with daemon() as running:
        said = wait_for(lambda: (found := client().ask_status()) and found["last_pass_at"] and found)
        assert (said["pid"], said["running"]) == (running.pid, True)
        assert before < datetime.fromisoformat(said["last_pass_at"]) <= datetime.now(UTC)


def test_what_the_command_line_adds_is_noticed_without_waiting_for_the_clock() -> None:
    with daemon():
        wait_for(lambda: (client().ask_status() or {})["last_pass_at"])
        add(after="0s")
        wait_for(_was_tried, SOON)


def test_the_next_moment_wakes_it() -> None:
    with daemon():
        add(after="2s")
        wait_for(_was_tried, SOON)
        tried, due = query("SELECT attempted_at, due_at FROM nudge")[0]
        assert tried >= due


def test_what_came_due_while_no_daemon_ran_is_nudged_at_the_start() -> None:
    add(after="0s")
    with daemon():
        wait_for(_was_tried, SOON)


def _make_due(moment: datetime) -> None:
    """Set the next popup behind everybody's back, in the form the store has."""
    change(store_file(), "UPDATE thanks SET popup_at = ?", moment.strftime("%Y-%m-%d %H:%M:%S.000000"))


def test_a_tick_finds_what_nobody_told_it() -> None:
    add()
    with daemon(quick=True):
        wait_for(lambda: (client().ask_status() or {})["last_pass_at"])
        _make_due(datetime.now(UTC))
        wait_for(_was_tried, SOON)


def test_once_does_a_full_pass_with_its_letters_and_ends() -> None:
    mail = settings()
    first, second = add(), add("Chen Wei", after="0s")
    confirm(first)
    assert not mail.exists()
    done = thanksd("run", "--once")
    assert (done.code, "Traceback" in done.err) == (0, False)
    assert [path.read_bytes().count(b"Dear Ada") for path in (mail / "new").iterdir()] == [1]
    assert client().call("show", ref=str(first))["thanks"][0]["state"] == "thanked"
    assert query("SELECT thanks_id FROM nudge WHERE error IS NOT NULL") == [(second,)]
    assert not socket_path().exists()


def test_once_is_no_second_daemon() -> None:
    with daemon():
        assert thanksd("run", "--once").code == 75


def test_a_confirmed_letter_leaves_when_its_hold_ends() -> None:
    mail = settings(undo="1s")
    with daemon():
        confirm(add())
        assert value("SELECT state FROM letter") == "queued"
        assert not mail.exists()
        wait_for(lambda: value("SELECT state FROM letter") == "sent", SOON)
        assert len(list((mail / "new").iterdir())) == 1


def test_a_letter_that_waited_for_a_daemon_leaves_at_its_start() -> None:
    settings()
    confirm(add())
    with daemon():
        wait_for(lambda: value("SELECT state FROM letter") == "sent", SOON)


_SMTP = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
auth = "none"
[nudge]
channels = []
[send]
undo = "0s"
"""


def test_told_to_end_it_finishes_the_letter_in_hand_and_begins_no_other() -> None:
    with smtp_sink("-W", ".:2") as sink:
        configure(_SMTP.format(port=sink.port))
        for name in ("Ada Lovelace", "Chen Wei"):
            confirm(add(name))
        with daemon() as running:
            wait_for(lambda: query("SELECT 1 FROM letter WHERE phase = 'dot'"))
            assert running.stop() == 0
        assert [state for (state,) in query("SELECT state FROM letter ORDER BY id")] == ["sent", "queued"]
        assert len(sink.dumps()) == 1


def test_a_letter_whose_daemon_was_killed_after_the_dot_is_held_and_never_sent_again() -> None:
    with smtp_sink("-W", ".:5") as sink:
        configure(_SMTP.format(port=sink.port))
        confirm(add())
        with daemon() as running:
            wait_for(lambda: query("SELECT 1 FROM letter WHERE phase = 'dot'"))
            running.stop(signal.SIGKILL)
        with daemon():
            wait_for(lambda: value("SELECT state FROM letter") == "held", SOON)
            _poke()
        assert len(sink.dumps()) <= 1
        assert value("SELECT attempts FROM letter") == 1


def test_an_answering_daemon_is_not_kept_by_a_slow_mail_server() -> None:
    with smtp_sink("-W", ".:2") as sink:
        configure(_SMTP.format(port=sink.port))
        confirm(add())
        with daemon():
            wait_for(lambda: query("SELECT 1 FROM letter WHERE phase = 'dot'"))
            assert client().call("owed")["thanks"][0]["state"] == "confirmed"
            assert value("SELECT state FROM letter") == "sending"
            wait_for(lambda: value("SELECT state FROM letter") == "sent")


def test_a_ledger_that_takes_no_letter_is_tried_again_at_the_next_tick_and_not_in_a_race() -> None:
    confirm(add())
    change(store_file(), "ALTER TABLE attempt RENAME TO gone")
    with daemon() as running:
        wait_for(lambda: "letters could not be carried" in running.log)
        time.sleep(1)
        assert running.log.count("letters could not be carried") == 1
        change(store_file(), "ALTER TABLE gone RENAME TO attempt")
        _poke()
        wait_for(lambda: value("SELECT state FROM letter") == "sent", SOON)


def _in_terminal(*words: str) -> str:
    """Run a command in a terminal and give what it printed."""
    child = program_rigs.InTerminal(SCRIPT, list(words), dimensions=(24, 80), encoding="utf-8", timeout=DEADLINE)
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before)


_LINE = "Thank Ada Lovelace?"
_NOBODY = "Nobody will remind you: the daemon is not running. Start it: thanksd service install"


def test_without_a_desktop_the_next_command_on_a_terminal_says_it_once() -> None:
    with daemon():
        add(after="0s")
        wait_for(_was_tried)
        assert thanksd("owed").err == ""
        assert value("SELECT shown_at FROM nudge") is None
        first = _in_terminal("log")
        assert f"{_LINE} Best by" in first
        assert "thanksd review 1" in first
        assert _NOBODY not in first
        assert query("SELECT channel, shown_at IS NOT NULL FROM nudge") == [("terminal", 1)]
        assert _LINE not in _in_terminal("log")


def test_a_command_on_a_terminal_that_finds_no_daemon_says_so_and_reminds_itself() -> None:
    add(after="0s")
    first = _in_terminal("log")
    assert _LINE in first
    assert " ".join(first.split()).endswith(_NOBODY)
    second = _in_terminal("log")
    assert _LINE not in second
    assert " ".join(second.split()).endswith(_NOBODY)
    assert query("SELECT channel, shown_at IS NOT NULL FROM nudge") == [("terminal", 1)]


def test_without_a_terminal_nothing_is_said_about_the_daemon() -> None:
    add(after="0s")
    assert thanksd("owed").err == ""
    assert query("SELECT 1 FROM nudge") == []


def test_where_the_daemon_has_a_terminal_and_no_desktop_it_says_the_nudge_there() -> None:
    child = program_rigs.InTerminal(SCRIPT, ["run"], dimensions=(24, 80), encoding="utf-8", timeout=SOON)
    try:
        child.expect("is running, pid")
        add(after="0s")
        child.expect(r"Thank Ada Lovelace\? .*thanksd review 1")
        wait_for(lambda: query("SELECT 1 FROM nudge WHERE channel = 'terminal' AND shown_at IS NOT NULL"))
    finally:
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
        child.close()
