"""The commands around the ledger: people, templates, config, credentials, service, help."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import parts
import pexpect
import program_rigs
import pytest
from cli_rigs import SCRIPT, Done, config_file, configure, new_ledger, rows, thanksd
from smtp_rigs import PASSWORD, USER, Authority, Mailbox, mail_server

from thanksd import __version__, config, topics
from thanksd.cli.root import COMMANDS
from thanksd.errors import ThanksdError

if TYPE_CHECKING:
    from systemd_rigs import MachineUser


@pytest.fixture
def ledger() -> Path:
    return new_ledger()


def add(*words: str) -> None:
    assert thanksd("add", *words).code == 0


# --- people ---


def test_people_are_listed_with_what_is_open(ledger: Path) -> None:
    add("Ada Lovelace", "ada@example.com", "-k", "coffee", "--lang", "en", "--seniority", "above")
    add("Ada Lovelace", "-k", "meal")
    add("José Álvarez")
    assert thanksd("people").out == "1\tAda Lovelace\tada@example.com\t2 open\n2\tJosé Álvarez\t\t1 open\n"
    ada = {"id": 1, "name": "Ada Lovelace", "email": "ada@example.com", "lang": "en", "tz": None, "seniority": "above"}
    listed = thanksd("people", "--json").json
    assert listed["people"][0] == {**ada, "open": 2}
    shown = thanksd("people", "show", "love", "--json").json
    more: dict[str, Any] = {"interests": [], "replied_at": None, "balance": {"thanks": 0, "give": 0, "ask": 0}}
    assert (shown["people"], [one["meeting"]["kind"] for one in shown["thanks"]]) == ([ada | more], ["coffee", "meal"])
    assert ledger.exists()


def test_a_person_is_shown_with_everything_owed_to_them(ledger: Path) -> None:
    add("Ada Lovelace", "ada@example.com", "-k", "coffee", "-w", "2026-01-15 15:00", "--tz", "Europe/Berlin")
    assert thanksd("done", "1").code == 0
    shown = thanksd("people", "show", "ada@").out
    assert "Ada Lovelace <ada@example.com>" in shown
    assert "1\tthanked\tcoffee\tThu 15 Jan 2026 15:00 CET (Europe/Berlin)" in shown
    assert ledger.exists()


def test_a_person_is_changed_by_what_is_given_and_nothing_else(ledger: Path) -> None:
    add("Ada Lovlace", "ada@example.com")
    changed = thanksd("people", "edit", "ada", "--name", "Ada Lovelace", "--tz", "europe/london", "--json").json
    assert [(one["name"], one["email"], one["tz"]) for one in changed["people"]] == [
        ("Ada Lovelace", "ada@example.com", "Europe/London")
    ]
    assert thanksd("owed", "--json").json["thanks"][0]["person"]["name"] == "Ada Lovelace"
    assert thanksd("people", "edit", "ada").code == 2
    assert ledger.exists()


def test_an_address_of_somebody_else_is_not_given_to_a_second_person(ledger: Path) -> None:
    add("Ada Lovelace", "ada@example.com")
    add("Ada Yonath")
    before = ledger.read_bytes()
    done = thanksd("people", "edit", "yonath", "--email", "ADA@example.com")
    assert (done.code, "Ada Lovelace's" in done.err, ledger.read_bytes() == before) == (2, True, True)


def test_forgetting_takes_everything_of_that_person_and_nothing_of_others(ledger: Path) -> None:
    add("Ada Lovelace", "ada@example.com", "-p", "send the paper", "--with", "Grace Hopper")
    assert thanksd("people", "forget", "ada").code == 1
    assert rows(ledger)["person"] == 2
    done = thanksd("people", "forget", "ada", "--yes")
    assert (done.code, done.err) == (
        0,
        (
            "Forgotten: Ada Lovelace, with 1 thanks. Your own mail program still has what was sent.\n"
            "What you exported or copied elsewhere holds them too.\n"
        ),
    )
    assert [one["name"] for one in thanksd("people", "--json").json["people"]] == ["Grace Hopper"]
    assert b"Lovelace" not in thanksd("log", "--json").out.encode()
    left = rows(ledger)
    # Grace was at the same meeting, and the promise is to her too.
    assert (left["person"], left["thanks"], left["meeting"], left["promise"]) == (1, 2, 1, 1)
    assert thanksd("people", "forget", "grace", "--yes").code == 0
    gone = rows(ledger)
    assert {name: gone[name] for name in ("person", "thanks", "meeting", "promise", "event")} == {
        **dict.fromkeys(("person", "meeting", "promise"), 0),
        # Nobody's, for the counts.
        "thanks": 2,
        # That somebody was forgotten is kept, and not whom.
        "event": 2,
    }


@pytest.mark.parametrize(("answer", "left"), [("ada lovelace", 0), ("y", 1), ("", 1)])
def test_forgetting_asks_on_a_terminal(ledger: Path, answer: str, left: int) -> None:
    add("Ada Lovelace")
    with program_rigs.InTerminal(str(SCRIPT), ["people", "forget", "ada"], timeout=20, encoding="utf-8") as terminal:
        terminal.expect(r"Forget them\? Type their name")
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
    assert (terminal.exitstatus, rows(ledger)["person"]) == (left, left)


# --- templates ---


def test_the_templates_are_listed_with_whose_they_are(home: Path) -> None:
    shipped = thanksd("templates", "--json").json["templates"]
    assert {"coffee", "general", "speaker"} <= {one["name"] for one in shipped}
    assert all(set(one) == {"name", "lang", "source", "path", "description"} for one in shipped)
    assert {(one["lang"], one["source"]) for one in shipped} == {("en", "shipped")}
    assert all(one["description"] for one in shipped)
    assert thanksd("templates", "new", "coffee").code == 0
    mine = [one for one in thanksd("templates", "list", "--json").json["templates"] if one["source"] == "yours"]
    assert [(one["name"], one["path"]) for one in mine] == [("coffee", str(own_template(home, "coffee")))]


def test_the_policy_shows_every_kind_and_all_of_one_with_the_users_own_fields_in_it(home: Path) -> None:
    listed = thanksd("policy")
    assert listed.out.splitlines()[0] == "kind\tnudge\tbest by\tlate from\tlength"
    assert "coffee\t3h\t24h\t4d\t35 to 150" in listed.out.splitlines()
    assert thanksd("config", "set", "kind.coffee.best_by", "3d").code == 0
    (row,) = thanksd("policy", "cof", "--lang", "zh-HK", "--seniority", "above", "--json").json["policy"]
    assert (row["kind"], row["lang"], row["seniority"], row["best_by"]) == ("coffee", "zh-hant", "above", "3d")
    assert row["offers"] == ["help"]
    assert "best by\t3d\n" in thanksd("policy", "coffee").out
    assert "offers\tnothing\n" in thanksd("policy", "gift", "--config", str(nothing_offered(home))).out


def nothing_offered(home: Path) -> Path:
    file = home / "none.toml"
    file.write_text('[kind.gift]\noffers = ["none"]\n', encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("kind.coffee.belated", "soon", "kind.coffee.belated can't be 'soon'"),
        ("kind.coffee.nudge", "3h in 18:00-09:00", "kind.coffee.nudge can't be"),
        ("kind.coffee.greeting", "Dear all,", "kind.coffee.greeting can't be 'Dear all,'"),
    ],
)
def test_a_field_of_the_policy_that_means_nothing_is_refused(setting: str, value: str, said: str) -> None:
    done = thanksd("config", "set", setting, value)
    assert done.code != 0
    assert said in done.err


def test_a_policy_in_a_language_without_rows_is_refused_with_those_there_are() -> None:
    done = thanksd("policy", "--lang", "tlh")
    assert done.code == 2
    assert "zh-hant" in done.err


def own_template(home: Path, name: str) -> Path:
    return home / f".config/thanksd/templates/en/{name}.txt.j2"


def test_a_template_and_its_note_can_be_looked_at() -> None:
    shown = thanksd("templates", "show", "coffee")
    assert "{% block thanks %}Thank you for the coffee" in shown.out
    note = thanksd("templates", "show", "coffee", "--sample").out
    assert note.startswith("Subject: Thank you for the coffee on Tuesday\n\nDear Ada,\n")
    draft = thanksd("templates", "show", "interview", "--sample", "--json").json["draft"]
    assert set(draft) == {"to", "subject", "body", "template", "findings"}
    assert [one for one in draft["findings"] if one["severity"] == "block"] == []


def test_a_new_template_is_a_copy_that_only_its_owner_reads_and_is_never_written_over(home: Path) -> None:
    made = thanksd("templates", "new", "coffee")
    path = own_template(home, "coffee")
    assert (made.code, made.out) == (0, f"{path}\n")
    assert path.read_text(encoding="utf-8") == thanksd("templates", "show", "coffee").out
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text("mine", encoding="utf-8")
    again = thanksd("templates", "new", "coffee")
    assert (again.code, path.read_text(encoding="utf-8")) == (2, "mine")


def test_a_template_of_a_new_name_starts_from_the_general_one_and_is_used(ledger: Path, home: Path) -> None:
    assert thanksd("templates", "new", "choir").code == 0
    text = own_template(home, "choir").read_text(encoding="utf-8")
    own_template(home, "choir").write_text(text.replace("for your time", "for singing"), encoding="utf-8")
    add("Ada", "--template", "choir")
    assert thanksd("draft", "1", "--json").json["draft"]["subject"].startswith("Thank you for singing")
    assert ledger.exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "x" * 100, "white space", "\x1b"])
def test_a_template_gets_no_name_that_leads_elsewhere(home: Path, name: str) -> None:
    assert thanksd("templates", "new", name).code == 2
    assert list(home.rglob("*.j2")) == []


def test_checking_names_file_and_line_of_every_mistake(home: Path) -> None:
    assert thanksd("templates", "check") == Done(
        0, "", "You have no template of your own. Start one: thanksd templates new coffee\n"
    )
    for name in ("coffee", "meal"):
        assert thanksd("templates", "new", name).code == 0
    path = own_template(home, "meal")
    path.write_text(
        '{% extends "_frame.txt.j2" %}\n{% block subject %}Hello{% endblock %}\n'
        "{% block body %}\nThank you, {{ person.nickname }}.\n{% endblock %}\n",
        encoding="utf-8",
    )
    done = thanksd("templates", "check")
    assert done.code == 65
    assert f"{own_template(home, 'coffee')}: good" in done.out.splitlines()
    assert any(line.startswith(f"{path}:4: ") and "nickname" in line for line in done.out.splitlines())
    assert done.err == f"1 of 2 templates can't be used.\nMend it: {path}\n"
    assert thanksd("templates", "check", "coffee").code == 0


def test_the_check_for_programs_gives_the_same(home: Path) -> None:
    assert thanksd("templates", "new", "meal").code == 0
    own_template(home, "meal").write_text("{% block subject %}\n{{ oops", encoding="utf-8")
    done = thanksd("templates", "check", "meal", "--json")
    document: dict[str, Any] = json.loads(done.out)
    (one,) = document["templates"]
    assert (done.code, one["name"], one["problems"][0]["line"]) == (65, "meal", 2)


# --- config ---


def test_config_alone_shows_every_setting_with_value_and_meaning() -> None:
    lines = [line.split("\t") for line in thanksd("config").out.split("\n")[:-1]]
    assert [row[0] for row in lines] == [row.name for row in config.table() if "NAME" not in row.name]
    assert ["send.undo", "30s"] in [row[:2] for row in lines]
    assert all(row[2] for row in lines)


def test_settings_are_set_got_and_shown() -> None:
    done = thanksd("config", "set", "transport.smtp.port", "587")
    assert done == Done(0, "", "transport.smtp.port = 587\n")
    assert thanksd("config", "get", "transport.smtp.port").out == "587\n"
    assert thanksd("config", "set", "kind.coffee.nudge", "2h", "--json").json["config"] == {"kind.coffee.nudge": "2h"}
    shown = thanksd("config", "--json").json["config"]
    assert (shown["transport.smtp.port"], shown["kind.coffee.nudge"], shown["nudge.weekdays_only"]) == (
        587,
        "2h",
        False,
    )
    assert thanksd("config", "get", "nudge.channels").out == "desktop,terminal\n"


def test_a_value_may_begin_with_a_dash() -> None:
    assert thanksd("config", "set", "me.signature", "-- Sam").code == 0
    assert thanksd("config", "get", "me.signature").out == "-- Sam\n"


def test_a_setting_that_is_not_there_is_answered_with_the_nearest() -> None:
    assert thanksd("config", "get", "transport.knd") == Done(
        2, "", "There is no setting 'transport.knd'.\nDid you mean transport.kind?\n"
    )
    assert thanksd("config", "set", "transport.knd", "smtp").code == 2
    assert not config_file().exists()


def test_on_a_terminal_the_settings_are_shown_as_the_file_would_have_them() -> None:
    assert thanksd("config", "set", "me.name", 'Sam "S" Lee').code == 0
    environ = {**os.environ, "TERM": "dumb"}
    with program_rigs.InTerminal(
        str(SCRIPT), ["config"], env=environ, timeout=20, encoding="utf-8", dimensions=(60, 200)
    ) as it:
        it.expect(pexpect.EOF)
        shown = str(it.before).replace("\r\n", "\n")
    assert config.parse(shown).me.name == 'Sam "S" Lee'
    assert f"# {config_file()}\n" in shown


# --- credentials ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server with TLS from the start, and an account at it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with mail_server(authority.context(), implicit=True) as box:
        account(box.port)
        yield box


def account(port: int, more: str = "") -> None:
    configure(
        f'[me]\nname = "Ada"\nemail = "{USER}"\n[transport]\nkind = "smtp"\n'
        f'[transport.smtp]\nhost = "localhost"\nport = {port}\n{more}'
    )


def with_keyring(script: str) -> list[str]:
    """Run a shell script beside a real keyring of its own, and give its lines."""
    parts.need("dbus-run-session", "gnome-keyring-daemon", "gdbus")
    begin = f"""
        thanksd() {{ {shlex.quote(str(SCRIPT))} "$@"; }}
        printf pw | gnome-keyring-daemon --foreground --unlock --components=secrets >/dev/null 2>&1 & keyring=$!
        trap 'kill $keyring; wait $keyring 2>/dev/null' EXIT
        for _ in $(seq 200); do
            gdbus call --session -d org.freedesktop.DBus -o / -m org.freedesktop.DBus.NameHasOwner \
                org.freedesktop.secrets | grep -q true && break
            sleep 0.05
        done
    """
    command = ["dbus-run-session", "--", "bash", "-c", textwrap.dedent(begin) + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_a_password_is_tested_kept_used_and_forgotten(server: Mailbox) -> None:
    said = with_keyring(f"""
        echo {shlex.quote(PASSWORD)} | thanksd credentials set; echo "set $?"
        thanksd credentials test >/dev/null; echo "test $?"
        thanksd credentials forget >/dev/null; echo "forget $?"
        thanksd credentials test 2>/dev/null; echo "test $?"
        thanksd credentials forget 2>/dev/null; echo "forget $?"
    """)
    assert said[0].startswith(f"Stored in the keyring for {USER}@localhost. localhost said: 235 ")
    assert said[1:] == ["set 0", "test 0", "forget 0", "test 77", "forget 77"]
    assert server.letters == []


def test_a_refused_password_is_not_kept(server: Mailbox) -> None:
    said = with_keyring("""
        echo wrong | thanksd credentials set 2>&1; echo "set $?"
        thanksd credentials test 2>&1; echo "test $?"
    """)
    assert said[0].startswith("localhost did not let us in: 535 ")
    assert said[0].endswith("Nothing was stored.")
    assert said[2:] == [
        "set 77",
        f"The keyring has no password for {USER}@localhost.",
        "Store it: thanksd credentials set",
        "test 77",
    ]
    assert server.letters == []


@pytest.mark.parametrize(
    ("host", "kept"), [("smtp.gmail.com", "abcdefghijklmnop"), ("mail.test", "abcd efgh ijkl mnop")]
)
def test_the_spaces_in_which_google_shows_an_app_password_are_dropped_for_gmail_alone(host: str, kept: str) -> None:
    configure(f'[me]\nemail = "{USER}"\n[transport]\nkind = "smtp"\nsmtp.host = "{host}"\n')
    said = with_keyring(f"""
        echo "abcd efgh ijkl mnop" | thanksd credentials set --no-test
        {shlex.quote(sys.executable)} -P -m thanksd.credentials get {USER}@{host}
    """)
    assert said == [f"Stored in the keyring for {USER}@{host}.", f'{{"secret": "{kept}"}}']


def test_a_server_that_is_not_there_is_said_and_nothing_is_kept(authority: Authority) -> None:
    with mail_server(authority.context(), implicit=True) as box:
        port = box.port
    account(port)
    done = thanksd("credentials", "set", stdin=b"secret-7f\n")
    assert (done.code, done.out, "Nothing was stored." in done.err) == (69, "", True)
    assert "secret-7f" not in done.err


@pytest.mark.parametrize("given", [b"", b"\n", b"\xff\xfe\n"])
def test_no_password_is_no_password(server: Mailbox, given: bytes) -> None:
    done = thanksd("credentials", "set", stdin=given)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 2)
    assert server.seen == b""


def test_a_password_is_typed_without_being_shown(server: Mailbox) -> None:
    with program_rigs.InTerminal(str(SCRIPT), ["credentials", "set"], timeout=20, encoding="utf-8") as terminal:
        terminal.expect_exact(f"Password of {USER} at localhost (hidden): ")
        terminal.waitnoecho()
        terminal.sendline("secret-7f")
        terminal.expect(pexpect.EOF)
        rest = str(terminal.before)
    assert (terminal.exitstatus, "535" in rest, "secret-7f" in rest) == (77, True, False)
    assert server.letters == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No mail account is set up."),
        ('[transport]\nkind = "maildir"\nmaildir.path = "/tmp/m"\n', "No mail account is set up."),
        ('[transport]\nkind = "smtp"\nsmtp.host = "mail.test"\n', "no login name"),
        (
            '[me]\nemail = "a@x.org"\n[transport]\nkind = "smtp"\n[transport.smtp]\nhost = "h.test"\nauth = "xoauth2"\n',
            "token_command",
        ),
        (
            '[me]\nemail = "a@x.org"\n[transport]\nkind = "smtp"\n[transport.smtp]\nhost = "h.test"\nauth = "none"\n',
            "without a login",
        ),
        (
            '[me]\nemail = "a@x.org"\n[transport]\nkind = "smtp"\n[transport.smtp]\nhost = "h.test"\npassword_command = "pass x"\n',
            "password_command",
        ),
    ],
)
def test_where_the_keyring_has_no_part_nothing_is_asked(text: str, said: str) -> None:
    configure(text)
    for words in (("credentials", "set"), ("credentials", "forget")):
        done = thanksd(*words, stdin=b"secret-7f\n")
        assert (done.code, done.out, said in done.err) == (78, "", True)


def test_a_login_that_works_again_lets_waiting_letters_go(ledger: Path, server: Mailbox) -> None:
    add("Grace Hopper", "grace@example.com", "-d", "why you left the Navy")
    account(server.port, "password_command = 'echo wrong'\n")
    assert thanksd("send", "1", "--yes", "--now").code == 77
    assert [one["reason"] for one in thanksd("outbox", "--json").json["letters"]] == ["credentials"]
    assert thanksd("credentials", "test").code == 77
    assert [one["reason"] for one in thanksd("outbox", "--json").json["letters"]] == ["credentials"]
    account(server.port, f"password_command = 'echo \"{PASSWORD}\"'\n")
    done = thanksd("credentials", "test")
    assert (done.code, done.err) == (0, "1 letter is on the way again. See: thanksd outbox\n")
    assert [one["reason"] for one in thanksd("outbox", "--json").json["letters"]] == [None]
    assert thanksd("run", "--once").code == 0
    assert [one.rcpt_tos for one in server.letters] == [["grace@example.com"]]
    assert ledger.exists()


def test_on_a_terminal_waiting_letters_go_only_when_that_is_wanted(ledger: Path, server: Mailbox) -> None:
    add("Grace Hopper", "grace@example.com", "-d", "why you left the Navy")
    account(server.port, "password_command = 'echo wrong'\n")
    assert thanksd("send", "1", "--yes", "--now").code == 77
    account(server.port, f"password_command = 'echo \"{PASSWORD}\"'\n")
    for answer, reason in (("n", "credentials"), ("", None)):
        with program_rigs.InTerminal(str(SCRIPT), ["credentials", "test"], timeout=20, encoding="utf-8") as terminal:
            terminal.expect_exact("1 letter is waiting. Send them now? [Y/n]: ")
            terminal.sendline(answer)
            terminal.expect(pexpect.EOF)
        assert terminal.exitstatus == 0
        assert [one["reason"] for one in thanksd("outbox", "--json").json["letters"]] == [reason]
    assert ledger.exists()


# --- service ---


def test_status_says_that_nothing_runs() -> None:
    found = thanksd("service", "status", "--json").json["service"]
    wanted = {
        "installed": False,
        "enabled": False,
        "running": False,
        "pid": None,
        "version": None,
        "last_pass_at": None,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert thanksd("service").out.startswith("Not running: nobody will remind you. Start it: thanksd service install\n")


def test_status_finds_a_daemon_that_runs_without_its_unit(ledger: Path) -> None:
    with program_rigs.Program(
        [SCRIPT, "run"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as daemon:
        try:
            deadline = time.monotonic() + 30
            while not (found := thanksd("service", "status", "--json").json["service"])["last_pass_at"]:
                assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
                assert time.monotonic() < deadline, found
                time.sleep(0.1)
            words = thanksd("service", "status").out
        finally:
            daemon.terminate()
            daemon.communicate(timeout=30)
    assert (found["running"], found["pid"], found["version"]) == (True, daemon.pid, __version__)
    assert found["installed"] is False
    assert words.startswith(f"Running: thanksd {__version__}, process {daemon.pid}. It looked at the ledger ")
    assert ledger.exists()


def test_without_a_user_manager_install_says_what_to_do(home: Path) -> None:
    done = thanksd("service", "install", env={"PATH": "/nowhere"})
    assert (done.code, done.out, len(done.err.splitlines())) == (69, "", 2)
    assert "thanksd run" in done.err
    assert thanksd("service", "uninstall", env={"PATH": "/nowhere"}).code == 0
    assert list(home.rglob("thanksd.service")) == []


def test_the_service_is_installed_running_and_removed_by_its_commands(machine_user: MachineUser) -> None:
    machine_user.write(".config/thanksd/other.toml", '[me]\nname = "Sam"\n')
    done = machine_user.run("""
        thanksd service install --config .config/thanksd/other.toml --store ledger/t.db || exit 1
        thanksd service status --json --store ledger/t.db
        grep -c "THANKSD_STORE=$HOME/ledger/t.db" .config/systemd/user/thanksd.service
        thanksd service uninstall --json --store ledger/t.db
    """)
    assert done.returncode == 0, done.stdout + done.stderr
    installed, status, stores, removed = done.stdout.splitlines()
    facts, after = json.loads(status)["service"], json.loads(removed)["service"]
    assert installed.startswith("Daemon running (pid ")
    assert [facts[key] for key in ("installed", "enabled", "active", "running")] == [True, True, "active", True]
    assert str(facts["pid"]) in installed
    assert [after[key] for key in ("installed", "enabled", "running")] == [False, False, False]
    assert stores == "1"


# --- help ---


def test_help_lists_its_topics_and_tells_each() -> None:
    listed = thanksd("help").out
    for topic in topics.TOPICS:
        assert f"{topic:<12} {topics.title(topic)}" in listed.splitlines()
    assert thanksd("help", "start").out.startswith(f"{topics.title('start')}\n\nSet up your name, your mail account")


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_every_topic_fits_a_terminal_of_80_columns(topic: str) -> None:
    wide = [line for line in topics.text(topic).splitlines() if len(line) > 80]
    # The table of settings says its meanings in one line each.
    assert topic == "config" or wide == []
    assert len(topics.title(topic)) < 60


def test_every_setting_is_explained_by_help_config() -> None:
    text = thanksd("help", "config").out
    for row in config.table():
        assert f"    {row.name} = " in text
        assert f"        {row.meaning}" in text


def test_every_exit_code_of_an_error_is_explained() -> None:
    explained = {line.split()[0] for line in topics.text("exit-codes").splitlines() if line.startswith("    ")}
    kinds = ThanksdError.__subclasses__()
    assert {str(kind.exit_code) for kind in kinds} <= explained


def test_every_command_a_topic_names_exists() -> None:
    for topic in topics.TOPICS:
        named = [line.split()[1] for line in topics.text(topic).splitlines() if line.startswith("    thanksd ")]
        assert (topic, set(named) - set(COMMANDS)) == (topic, set())


def test_the_readme_names_only_commands_and_files_that_exist() -> None:
    checkout = Path(__file__).resolve().parent.parent
    text = (checkout / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|\$ |/bin/|; )thanksd ([a-z-]+)", text))
    assert len(named) > 15
    assert named - set(COMMANDS) == set()
    linked = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r"`(tests/[^`]+)`", text)
    assert len(linked) > 5
    assert [name for name in linked if not (checkout / name).exists()] == []


def test_every_setting_a_topic_sets_can_be_set(home: Path) -> None:
    tried = 0
    for topic in topics.TOPICS:
        for line in topics.text(topic).splitlines():
            if line.startswith("    thanksd config set "):
                assert (line, thanksd(*shlex.split(line)[1:]).code) == (line, 0)
                tried += 1
    assert tried > 10
    assert home.exists()


def test_a_command_is_a_topic_too_and_an_unknown_one_is_answered_with_the_nearest() -> None:
    assert thanksd("help", "owed").out == thanksd("owed", "--help").out
    assert thanksd("help", "acount") == Done(
        1, "", "There is no topic 'acount'.\nDid you mean: thanksd help account?\n"
    )
