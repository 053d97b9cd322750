"""Commands that would be about a file, on a ledger that a server keeps: what they say instead, and TAB beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_rigs import SCRIPT, Done, configure, store_file, thanksd
from postgres_rigs import Server, builds, server
from program_rigs import Program
from smtp_rigs import wait_for

from thanksd.client import Client

SETTINGS = (
    '[me]\nname = "Sam Lee"\nemail = "{me}"\n[transport]\nkind = "maildir"\n[transport.maildir]\npath = "~/mail"\n'
)
ME, OTHER = "sam@example.org", "bob@example.org"


def on_server(at: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let this test's ledger be a new one there, and give its name."""
    url = at.new_database()
    monkeypatch.setenv("THANKSD_STORE", url)
    configure(SETTINGS.format(me=ME))
    return url


@pytest.fixture
def url(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return on_server(postgres, monkeypatch)


def said(done: Done) -> tuple[int, list[str]]:
    return done.code, done.err.splitlines()


# --- what is another's business ---


@pytest.mark.usefixtures("url")
def test_copies_are_told_to_be_the_servers_business(home: Path) -> None:
    for words in (["backup"], ["backup", "--list"], ["backup", str(home / "copy.db")]):
        assert said(thanksd(*words)) == (
            2,
            [
                "This ledger is on a server, whose keeper keeps its copies. Nothing was done.",
                "There: pg_dump. All of it into a file, to go on there: move-store",
            ],
        )
    code, lines = said(thanksd("restore", str(home / "copy.db"), "--yes"))
    assert (code, lines[1]) == (2, "There: pg_restore; then here: thanksd adopt")
    assert not store_file().exists()


def test_somebody_is_forgotten_everywhere_but_in_what_the_servers_keeper_copied(url: str, postgres: Server) -> None:
    thanksd("add", "Ada Lovelace", "ada@example.com")
    done = thanksd("people", "forget", "ada", "--yes", "--copies-too")
    assert done.code == 0
    assert done.err.splitlines()[-1].startswith("What the server's keeper copied holds them until that goes")
    name = url.partition("?")[0].rpartition("/")[2]
    assert postgres.do("SELECT name FROM person", database=name) == []
    assert thanksd("people", "forget", "--rewrite").out == "The ledger is written anew.\n"


@pytest.mark.usefixtures("url")
def test_an_export_holds_mine_alone_and_an_import_makes_them_mine(home: Path) -> None:
    thanksd("add", "Ada Lovelace", "ada@example.com")
    configure(SETTINGS.format(me=OTHER))
    thanksd("add", "Chen Wei", "chen@example.com")
    file = home / "mine.json"
    assert thanksd("export", str(file)).out == f"Exported 1 thanks: {file}\n"
    own = str(home / "own.db")
    assert thanksd("import", str(file), "--store", own).out == "New here: 1 thanks. Known already: 0.\n"
    assert [one["person"]["name"] for one in thanksd("owed", "--json", "--store", own).json["thanks"]] == ["Chen Wei"]
    thanksd("add", "Grace Hopper", "grace@example.com", "--store", own)
    thanksd("export", str(home / "more.json"), "--store", own)
    configure(SETTINGS.format(me=ME))
    thanksd("import", str(home / "more.json"))
    team = thanksd("owed", "--team", "--json").json["thanks"]
    assert {one["person"]["name"]: one["owner"] for one in team} == {
        "Ada Lovelace": ME,
        "Chen Wei": OTHER,
        "Grace Hopper": ME,
    }


@pytest.mark.usefixtures("url")
def test_whose_a_thanks_is_now_is_said_where_it_is_passed_on_and_shown() -> None:
    thanksd("add", "Ada Lovelace", "ada@example.com", "--after", "1s")
    assert thanksd("edit", "1", "--owner", OTHER).out.splitlines()[2].endswith(f" Owed by {OTHER} now.")
    assert f"     Owed by     {OTHER}" in thanksd("show", "1").out.splitlines()
    assert thanksd("edit", "1", "--owner", "me").out.splitlines()[2].endswith(f" Owed by {ME} now.")


# --- what people meet first ---


@pytest.mark.parametrize(
    ("change", "code", "words", "hint"),
    [
        (("ledger", "nothere"), 78, 'There is no such database "nothere', "Have it made: createdb"),
        (
            ("team@", "who@"),
            77,
            'The server let nobody in: role "who" does not exist.',
            "Check THANKSD_STORE, and ~/.pg",
        ),
        (("team@", "team:word@"), 78, "A password has no place in the store's name.", "Keep it in ~/.pgpass"),
        (("host=/tmp/", "host=/nowhere/"), 75, "The server did not answer: ", "Try again; then: thanksd doctor"),
    ],
    ids=["no database", "no role", "a password", "no server"],
)
def test_a_way_that_leads_nowhere_is_a_sentence_a_hint_and_a_code(
    url: str, change: tuple[str, str], code: int, words: str, hint: str
) -> None:
    for command in (["owed"], ["add", "Ada Lovelace", "ada@example.com"]):
        got, lines = said(thanksd(*command, "--store", url.replace(*change)))
        assert (got, len(lines)) == (code, 2), lines
        assert lines[0].startswith(words)
        assert lines[1].startswith(hint)


@pytest.mark.usefixtures("url")
def test_who_did_not_say_who_they_are_is_asked_for_their_address() -> None:
    configure("")
    assert said(thanksd("add", "Ada Lovelace", "ada@example.com")) == (
        78,
        [
            "This ledger is shared, and your own address is not set. Nothing was done.",
            "thanksd config set me.email you@example.com",
        ],
    )


def test_a_password_that_is_missing_or_wrong_is_told_with_where_it_goes(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    with server(builds()[0]) as at:
        on_server(at, monkeypatch)
        at.do("ALTER ROLE team PASSWORD 'right'")
        rules = at.folder / "data" / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        at.do("SELECT pg_reload_conf()")
        wait_for(lambda: thanksd("owed").code == 77, 20)
        assert said(thanksd("owed"))[1] == [
            "The server wants a password, and ~/.pgpass has none for it. Nothing was stored.",
            "Write it there (0600): HOST:PORT:NAME:ROLE:PASSWORD",
        ]
        file = home / ".pgpass"
        file.touch(0o600)
        file.write_text("*:*:*:team:wrong\n")
        code, lines = said(thanksd("owed"))
        assert (code, lines[-1]) == (77, "Check THANKSD_STORE, and ~/.pgpass (0600).")
        file.write_text("*:*:*:team:right\n")
        assert thanksd("owed").code == 0


# --- completion ---


def completed(words: str) -> list[str]:
    """Give what bash is offered for the last of these words."""
    asked = {"_THANKSD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = thanksd(env=asked)
    assert (done.code, done.err) == (0, "")
    return [line.removeprefix("plain,") for line in done.out.splitlines() if line]


@contextmanager
def running(url: str, log: Path) -> Iterator[Client]:
    """Run the daemon of this ledger, until it answers at the least."""
    client = Client(url, f"{os.environ['XDG_CONFIG_HOME']}/thanksd/config.toml", lines_wanted=False)
    with log.open("wb") as out:
        process = Program([SCRIPT, "run"], is_tied=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(lambda: client.ask_status() is not None, 30)
        yield client
    finally:
        process.terminate()
        process.wait(30)


def test_tab_knows_everybody_and_my_own_thanks_with_a_daemon_and_without(
    url: str, postgres: Server, home: Path
) -> None:
    assert completed("thanksd add Ad") == []
    assert postgres.do("SELECT to_regclass('thanks')", database=url.partition("?")[0].rpartition("/")[2]) == [(None,)]
    thanksd("add", "Ada Lovelace", "ada@example.com")
    thanksd("add", "Ada Yonath", "yonath@example.com", "-k", "event")
    thanksd("edit", "2", "--owner", OTHER)
    assert completed("thanksd add Ad") == ["Ada", "ada@example.com"]
    assert completed("thanksd show ada") == ["Ada"]
    assert completed("thanksd show 2") == []
    with running(url, home / "log"):
        assert completed("thanksd add Ad") == ["Ada", "ada@example.com"]
        assert completed("thanksd show 1") == ["1"]
        assert completed("thanksd show 2") == []


def test_tab_gives_up_where_the_server_does_not_answer(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    with server(builds()[0]) as at:
        url = on_server(at, monkeypatch)
        thanksd("add", "Ada Lovelace", "ada@example.com")
        began = time.monotonic()
        assert completed("thanksd add Ad")
        usual = time.monotonic() - began
        with running(url, home / "log"):
            for daemon in (True, False):
                monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / ("run" if daemon else "")))
                with _frozen(at):
                    began = time.monotonic()
                    assert completed("thanksd add Ad") == []
                    assert time.monotonic() - began < usual + 2


@contextmanager
def _frozen(at: Server) -> Iterator[None]:
    """Stop a server as a hung machine would: first what makes others, then all that it made."""
    assert at.process is not None
    stopped = [at.process.pid]
    os.kill(at.process.pid, signal.SIGSTOP)
    stopped += _children(at.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(one) for one in done.stdout.split()]
