"""Nudges on a phone, by a real Apprise to a real server: what is shown there, and that no token is ever told."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import desktop_rigs
import keyring_rigs
import pytest
from cli_rigs import configure, thanksd
from push_rigs import TOKEN, Phone, phone

from thanksd import credentials
from thanksd.channels import Receipt, popups, push
from thanksd.channels.helper import ask
from thanksd.errors import ConfigError, UnavailableError

ADA = popups.thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", "why you left Rust", "today 15:00")


@pytest.fixture
def mine() -> Iterator[Phone]:
    with phone() as it:
        yield it


def show(*addresses: str, names: str = "names") -> Receipt:
    return asyncio.run(push.show(*push.words(ADA, names), " ".join(addresses), os.environ))


def test_every_popup_has_a_line_that_tells_nothing_of_the_note() -> None:
    secret = "SECRET"
    for popup in (
        popups.thanks_popup(7, "Ada", "coffee", "Tue 15:00", secret, "today 15:00"),
        popups.digest_popup(["Ada", "Tom"], "late by 1 day"),
        popups.refused_popup(7, "Ada", secret, secret),
        popups.held_popup(7, "Ada"),
        popups.adopted_popup(7, "Ada"),
        popups.handed_off_popup(7, "Ada"),
        popups.stale_popup(7, "Ada", "Fri 17:00"),
        popups.promise_popup("Ada", secret, "by Fri 17:00", 1),
        popups.promise_popup("Ada", secret, "", 2),
        popups.ask_popup(4, 4),
        popups.password_popup("Gmail", 2),
    ):
        title, line = push.words(popup, "names")
        assert secret not in title + line
        assert title
        assert line
        assert "\n" not in line


def test_a_phone_is_told_the_name_alone_and_of_a_service_that_failed_no_token_is_told(mine: Phone) -> None:
    bad = mine.address.replace("/?", "/bad?")
    receipt = show(bad, mine.address.replace(str(mine.port), "1"), f"nosuch://{TOKEN}", mine.address)
    assert receipt.shown
    assert receipt.error.split(". ") == [
        "The push service (json) answered 503",
        "The push service (json) could not be reached",
        "A push address is none that Apprise knows.",
    ]
    (one,) = mine.came
    assert (one["title"], one["message"]) == ("Thank Ada Lovelace?", "Best by today 15:00.")
    assert push.words(ADA, "details")[1] == "Coffee Tue 15:00 · why you left Rust Best by today 15:00. Draft is ready."


def test_an_address_that_hangs_keeps_from_us_nothing_that_the_others_took(
    mine: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "LIMIT", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = f"json://{TOKEN}@127.0.0.1:{silent.getsockname()[1]}/?rto=30"
        receipt = show(hangs, mine.address)
    assert (receipt.shown, mine.titles) == (True, ["Thank Ada Lovelace?"])
    assert receipt.error == "The push service (json): There was no answer within 5 seconds."


def test_what_is_not_written_as_an_address_is_not_told_as_a_services_name() -> None:
    with pytest.raises(ConfigError) as caught:
        asyncio.run(push.names(f"{TOKEN},json://127.0.0.1:1/", os.environ))
    assert TOKEN not in caught.value.message
    assert asyncio.run(push.names("JSON://127.0.0.1:1/", os.environ)) == ["json"]


_SLEEPER = """\
import pathlib, subprocess, sys, time
child = subprocess.Popen(["sleep", "20"])
pathlib.Path(__file__).with_name("pid").write_text(f"{child.pid}\\n")
time.sleep(20)
"""


def test_a_helper_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(_SLEEPER)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="no answer within 3 seconds"):
        asyncio.run(ask("sleeper", {}, 3, {**os.environ, "PYTHONPATH": str(tmp_path)}))
    assert time.monotonic() - began < 15
    status = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/status")
    desktop_rigs.wait_for(lambda: not status.exists() or "zombie" in status.read_text(), 10)


_LATE = """\
import time
from thanksd.channels.helper import serve
serve(lambda request: time.sleep(60), 0.5)
"""


def test_a_helper_whose_daemon_was_killed_ends_by_itself() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _LATE], input=b"{}", capture_output=True, check=False)
    assert (done.returncode, b"TimeoutError" in done.stderr) == (1, True)
    assert time.monotonic() - began < 30


def test_without_apprise_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        show("json://localhost")
    assert "make install EXTRAS=push" in caught.value.hint


def test_the_address_is_typed_unseen_and_kept_in_the_keyring_alone(home: Path, mine: Phone) -> None:
    keyring_rigs.need()
    with desktop_rigs.bus(home / "run") as environ, keyring_rigs.keyring(environ):
        bad = thanksd("credentials", "set", "push", stdin=f"nosuch://{TOKEN}\n".encode(), env=environ)
        assert (bad.code, TOKEN in bad.err, "Nothing was stored" in bad.err) == (78, False, True)
        done = thanksd("credentials", "set", "push", stdin=f"{mine.address}\n".encode(), env=environ)
        assert (done.code, done.out) == (0, "Stored in the keyring: json. See it come: thanksd doctor --nudge\n")
        assert credentials.push_reader("", {**os.environ, **environ})() == mine.address
        assert thanksd("credentials", "forget", "push", env=environ).code == 0
        with pytest.raises(credentials.CredentialsError, match="no push address") as caught:
            credentials.push_reader("", {**os.environ, **environ})()
        assert caught.value.hint == "Store it: thanksd credentials set push"
    configure('[nudge]\npush_command = "cat x"\n')
    assert "comes from nudge.push_command" in thanksd("credentials", "set", "push", stdin=b"json://x\n").err
    assert TOKEN not in "".join(path.read_text(errors="replace") for path in home.rglob("*.toml"))


def test_a_command_or_systemd_gives_the_address_too(tmp_path: Path) -> None:
    (tmp_path / "push-address").write_text("json://unit\n")
    given = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credentials.push_reader("", given)() == "json://unit"
    assert credentials.push_reader("echo json://command", given)() == "json://command"
    with pytest.raises(credentials.CredentialsError, match=r"nudge\.push_command failed with status 1"):
        credentials.push_reader("false", given)()
