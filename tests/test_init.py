"""The command init, in a real pseudo-terminal against a real mail server, and as a script calls it."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import desktop_rigs
import init_rigs as rigs
import parts
import pytest
from cli_rigs import config_file, configure, store_file, thanksd
from init_rigs import EMAIL, FRIDAY, KIND, LOGIN, NAME, PORT, QUIET, SECURITY, SERVER, answer
from smtp_rigs import PASSWORD, USER, Authority, Mailbox, mail_server
from terminal_rigs import terminal

from thanksd import credentials
from thanksd.cli.credentials import typed

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

ALONE = ("init", "--no-service", "--no-practice")
REST = ((QUIET, ""), (FRIDAY, ""))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    with rigs.account(tmp_path) as found:
        yield found


@pytest.fixture
def keyring(short_dir: Path) -> Iterator[dict[str, Any]]:
    with rigs.keyring(short_dir) as environ:
        yield environ


def settings() -> dict[str, Any]:
    return tomllib.loads(config_file().read_text(encoding="utf-8"))


def logins(box: Mailbox) -> int:
    return box.seen.count(b"AUTH ")


# Somebody answers.


def test_seven_answers_make_a_tested_account_whose_password_is_in_the_keyring(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, trust = account
    with terminal(*ALONE, lines=40, **trust, **keyring) as one:
        one.ready("Seven questions; Enter takes the [answer]. Nothing is saved before the end.", "1 " + NAME)
        rigs.to_the_password(one, box)
        text = one.ready("4 Password at localhost, hidden (kept in your keyring).")
        assert "3 How do letters leave? 1 through your mail server 2 my mail program 3 decide" in text
        one.line(PASSWORD)
        one.ready("Testing the login ... accepted.", "5 No reminders between              [21:00-08:30]")
        one.line("22:00-07:00")
        one.ready("6 Ask every Friday 16:00 whom you met?  [Y]")
        assert not config_file().exists()
        one.line("")
        assert one.end() == 0
        assert "Language en, time zone Europe/Berlin (change: thanksd config set me.timezone Z)" in one.text
        assert "Saved ~/.config/thanksd/config.toml." in one.text
        assert "Ready. Met somebody? thanksd add   What is owed? thanksd   thanksd help start" in one.text
        assert PASSWORD not in one.raw.decode()
    assert settings() == {
        "me": {"name": "Ada Byron", "email": USER},
        "transport": {"kind": "smtp", "smtp": {"host": "localhost", "port": box.port}},
        "nudge": {"quiet_hours": "22:00-07:00", "ask": "fri 16:00"},
    }
    assert config_file().stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", keyring["DBUS_SESSION_BUS_ADDRESS"])
    assert credentials.look_up(f"{USER}@localhost") == PASSWORD
    assert logins(box) == 1
    assert not box.letters

    # Once more: every answer is there, Enter takes it, and nothing in the file changes.
    before = config_file().read_bytes()
    with terminal(*ALONE, lines=40, **trust, **keyring) as one:
        one.ready("[Ada Byron]")
        answer(
            one, (NAME, ""), (f"[{USER}]", ""), ("This is localhost", ""), ("Enter alone: the one your keyring has", "")
        )
        answer(one, ("[22:00-07:00]", ""), (FRIDAY, "n"))
        assert one.end() == 0
    assert logins(box) == 2
    assert config_file().read_bytes() == before.replace(b'ask = "fri 16:00"', b'ask = ""')


@pytest.mark.parametrize("leave", ["Ctrl-C", "hang-up"])
def test_whoever_leaves_at_any_question_leaves_nothing_behind(
    account: tuple[Mailbox, dict[str, Any]], home: Path, leave: str
) -> None:
    box, trust = account
    answers = (
        *((NAME, "Ada Byron"), (EMAIL, "ada@exmple.org"), (KIND, "1"), (SERVER, "localhost"), (PORT, str(box.port))),
        *((SECURITY, ""), (LOGIN, USER), ("Which", "2"), ("Password at localhost", PASSWORD), *REST),
    )
    before = rigs.tree(home)
    for count in range(len(answers)):
        with terminal("init", "--no-practice", lines=40, **trust) as one:
            answer(one, *answers[:count])
            one.ready(answers[count][0])
            if leave == "Ctrl-C":
                one.interrupt()
                assert one.end() == 130
            elif count + 1 < len(answers):
                one.signal(signal.SIGHUP)
                assert one.end() in (130, -signal.SIGHUP)
            else:
                one.close_window()
                assert one.end() != 0
        assert rigs.tree(home) == before, answers[count]
    assert not store_file().exists()


def test_a_password_that_is_refused_three_times_leaves_the_account_unset_and_says_what_to_do(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, trust = account
    with terminal(*ALONE, lines=50, **trust, **keyring) as one:
        rigs.to_the_password(one, box)
        for count in (1, 2, 3):
            one.until(lambda count=count: one.text.count("  >") == count)  # type: ignore[misc]
            one.line("wrong")
        one.ready("localhost said: 535 5.7.8 Authentication credentials invalid", QUIET)
        assert one.text.count("Try again, or 2 to use your mail program.") == 2
        assert "Refused 3 times: going on without it. Letters are shown, not sent." in one.text
        answer(one, *REST)
        assert one.end() == 0
    assert logins(box) == 3
    assert "transport" not in settings()
    assert settings()["me"]["email"] == USER
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", keyring["DBUS_SESSION_BUS_ADDRESS"])
    assert credentials.look_up(f"{USER}@localhost") is None


def test_after_a_refusal_the_mail_program_can_take_over(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any]
) -> None:
    box, trust = account
    with terminal(*ALONE, lines=50, **trust, **keyring) as one:
        rigs.to_the_password(one, box)
        answer(one, ("Password at", "wrong"), ("or 2 to use", "2"), *REST)
        assert one.end() == 0
    assert settings()["transport"] == {"kind": "mailto"}


def test_without_a_network_it_says_so_and_goes_on_without_the_test_where_that_is_wanted(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any]
) -> None:
    box, trust = account
    with terminal(*ALONE, lines=50, **trust, **keyring) as one:
        closed = box.port
        box.port = 1  # nothing listens there
        rigs.to_the_password(one, box)
        answer(one, ("Password at", PASSWORD))
        one.ready(
            "Testing the login ... no answer.",
            "did not let us in: [Errno 111] Connection refused",
            "Go on without the test?",
        )
        one.line("n")
        one.until(lambda: one.text.count("Go on without the test?") == 2)
        one.line("")
        answer(one, *REST)
        assert one.end() == 0
    assert settings()["transport"] == {"kind": "smtp", "smtp": {"host": "localhost", "port": 1}}
    assert closed != 1


def test_a_keyring_locked_with_nobody_answering_is_given_up_after_ten_seconds(
    short_dir: Path, account: tuple[Mailbox, dict[str, Any]]
) -> None:
    parts.need("dbus-daemon", "setpriv")
    box, trust = account
    hanging = {"org.freedesktop.secrets": "/bin/sh -c 'exec sleep 40 >/dev/null 2>&1'"}
    with desktop_rigs.bus(short_dir, hanging) as environ:
        bus: dict[str, Any] = {"DBUS_SESSION_BUS_ADDRESS": environ["DBUS_SESSION_BUS_ADDRESS"]}
        with terminal(*ALONE, lines=40, **trust, **bus) as one:
            rigs.to_the_password(one, box)
            one.ready("The keyring did not answer in 10 seconds. Instead, the password can come from", "Which")
            answer(one, ("3 decide later", "3"), *REST)
            assert one.end() == 0
    assert "transport" not in settings()
    assert logins(box) == 0


def test_without_a_keyring_a_command_prints_the_password_and_is_tested(
    account: tuple[Mailbox, dict[str, Any]], tmp_path: Path
) -> None:
    box, trust = account
    word = tmp_path / "word"
    word.write_text(f"{PASSWORD}\n", encoding="utf-8")
    with terminal(*ALONE, lines=50, **trust) as one:
        rigs.to_the_password(one, box)
        one.ready("There is no keyring here. Instead, the password can come from", "Which")
        answer(one, ("1 a command that prints it", "7"), ("There is no choice '7'.", "1"), ("Command that prints", ""))
        answer(
            one,
            ("Nothing was typed.", "false"),
            ("failed with status 1", f"cat {word}"),
            ("accepted.", ""),
            (FRIDAY, ""),
        )
        assert one.end() == 0
    assert settings()["transport"]["smtp"]["password_command"] == f"cat {word}"
    assert logins(box) == 1
    assert PASSWORD.encode() not in b"".join(rigs.tree(config_file().parent).values())


def test_without_a_keyring_a_file_for_the_daemon_is_said_to_be_what_it_is(
    account: tuple[Mailbox, dict[str, Any]], home: Path
) -> None:
    box, trust = account
    with terminal(*ALONE, lines=50, **trust) as one:
        rigs.to_the_password(one, box)
        answer(one, ("2 a file that systemd hands to the daemon: 0600, not encrypted", "2"))
        answer(one, ("hidden (kept in a file, 0600, not encrypted)", PASSWORD), *REST)
        assert one.end() == 0
        said = "The password is in ~/.config/thanksd/smtp-password, for the daemon alone, not encrypted."
        assert said in one.text.replace("\n", " ")
    file, drop_in = (
        config_file().with_name("smtp-password"),
        home / ".config/systemd/user/thanksd.service.d/smtp-password.conf",
    )
    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == (f"{PASSWORD}\n", 0o600)
    assert drop_in.read_text(encoding="utf-8") == f"[Service]\nLoadCredential=smtp-password:{file}\n"

    # A command that is chosen later must not be overruled by that file: it goes.
    with terminal(*ALONE, "--set", f"transport.smtp.password_command=cat {file}x", lines=50, **trust) as one:
        answer(one, (NAME, ""), (EMAIL, ""), (KIND, "3"), *REST)
        assert one.end() == 0
    assert file.exists()
    copy = home / "word"
    copy.write_text(PASSWORD, encoding="utf-8")
    given = ("--set", f"transport.smtp.password_command=cat {copy}", "--set", "transport.kind=smtp", "--yes")
    done = thanksd(*ALONE, *given, env=trust)
    assert (done.code, done.out.startswith("Ready.")) == (0, True), done
    assert not file.exists()
    assert not drop_in.exists()


@pytest.mark.parametrize("email", ["sam@outlook.com", "sam@careers.onmicrosoft.com"])
def test_a_microsoft_address_is_handed_to_outlook_on_the_web(email: str) -> None:
    with terminal(*ALONE, lines=40) as one:
        answer(one, (NAME, "Sam Lee"), (EMAIL, email))
        text = one.ready("It takes no passwords from programs.", "  [2]")
        assert "2 in Outlook on the web 3 decide later" in text.replace("\n", " ")
        answer(one, (KIND, ""), *REST)
        assert one.end() == 0
    assert settings()["transport"] == {"kind": "mailto", "mailto": {"open": "outlook"}}


def test_who_runs_a_domain_is_an_answer_too_and_a_mistyped_one_is_asked_about() -> None:
    with terminal(*ALONE, lines=40) as one:
        answer(one, (NAME, "Sam Lee"), (EMAIL, "sam at home"), ("This is not an address", "sam@gmial.com"))
        answer(one, ("gmail.com? [Y/n]", "n"), (KIND, "1"), (SERVER, "microsoft"))
        one.ready("It takes no passwords from programs.", "Open them in Outlook on the web?")
        one.interrupt()
        assert one.end() == 130
    with terminal(*ALONE, lines=40) as one:
        answer(one, (NAME, "Sam Lee"), (EMAIL, "sam@gmial.com"), ("gmail.com? [Y/n]", ""))
        text = one.ready(KIND)
        assert "This is Gmail: smtp.gmail.com, port 465, TLS." in text
        assert "1 through Gmail 2 my mail program 3 decide later" in text
        answer(one, (KIND, "2"), *REST)
        assert one.end() == 0
    assert settings()["me"]["email"] == "sam@gmail.com"
    assert settings()["transport"] == {"kind": "mailto"}


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"LC_ALL": "C"}, {}])
def test_it_can_be_answered_in_forty_columns_on_a_dumb_terminal_and_in_ascii(environ: dict[str, Any]) -> None:
    with terminal(*ALONE, columns=40, lines=40, **environ) as one:
        answer(one, (NAME, "Sam Lee"), (EMAIL, "sam@example.org"))
        assert "my mail program 3 decide later" in one.ready("  [1]").replace("\n", " ")
        one.line("3")
        answer(one, ("[21:00-08:30]", "25:00"), ("can't be '25:00'", "off"), ("[Y]", "n"))
        assert one.end() == 0
        assert b"\x1b" not in one.raw or "TERM" not in environ
    assert settings() == {"me": {"name": "Sam Lee", "email": "sam@example.org"}, "nudge": {"quiet_hours": ""}}


def test_only_what_was_not_given_is_asked() -> None:
    given = ("--set", "me.name=Sam Lee", "--set", "transport.kind=maildir", "--set", "transport.maildir.path=/tmp/x")
    with terminal(*ALONE, *given, "--yes") as one:
        one.ready(EMAIL)
        assert NAME not in one.text
        one.line("sam@example.org")
        assert one.end() == 0
    assert settings()["transport"] == {"kind": "maildir", "maildir": {"path": "/tmp/x"}}
    # Run again: what no answer here stands for stays as it is.
    with terminal(*ALONE) as one:
        answer(one, (NAME, ""), (EMAIL, ""), ("4 as it is (maildir)", ""), *REST)
        assert one.end() == 0
    assert settings()["transport"]["kind"] == "maildir"


# A script calls.


def test_a_script_is_told_the_key_that_is_missing_and_nothing_is_saved(home: Path) -> None:
    before = rigs.tree(home)
    for given, key in (
        ((), "me.name"),
        (("--set", "me.name=Sam"), "me.email"),
        (("--set", "me.name=Sam", "--set", "me.email=sam@example.org"), "transport.kind"),
        (("--set", "me.name=Sam", "--set", "me.email=sam@example.org", "--yes"), "transport.smtp.host"),
        (("--set", "me.name=Sam", "--set", "me.email=s@example.org", "--set", "transport.kind="), "nudge.quiet_hours"),
    ):
        done = thanksd("init", *given)
        assert (done.code, done.out) == (2, ""), done
        assert done.err == f"{key} is missing. Nothing was saved.\nGive it: thanksd init --set {key}=...\n"
    for words, said in (
        ("me.nme=Sam", "There is no setting 'me.nme'."),
        ("me.name", "--set me.name has no value."),
        ("transport.kind=pigeon", "transport.kind can't be 'pigeon'."),
        ("nudge.ask=someday", "nudge.ask can't be 'someday'."),
    ):
        done = thanksd("init", "--yes", "--set", words)
        assert done.code == 2
        assert said in done.err
    assert rigs.tree(home) == before


def test_a_script_sets_up_an_account_with_the_password_on_standard_input(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, trust = account
    given = {
        "me.name": "Ada Byron",
        "me.email": USER,
        "transport.smtp.host": "localhost",
        "transport.smtp.port": box.port,
    }
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    environ = {**trust, **keyring}
    done = thanksd("init", *words, "--yes", "--no-service", stdin=b"wrong\n", env=environ)
    assert (done.code, done.out) == (77, "")
    assert "535" in done.err
    assert "Nothing was saved." in done.err
    done = thanksd("init", *words, "--yes", "--no-service", env=environ)
    assert (done.code, "No password was given." in done.err) == (2, True)
    assert not config_file().exists()
    done = thanksd("init", *words, "--yes", "--no-service", "--json", stdin=f"{PASSWORD}\n".encode(), env=environ)
    found = done.json["init"]
    assert (found["password"], found["tested"], found["daemon"]) == ("keyring", True, None)
    assert found["set"] == {**given, "transport.kind": "smtp", "nudge.ask": "fri 16:00"}
    assert PASSWORD not in done.out + done.err
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", keyring["DBUS_SESSION_BUS_ADDRESS"])
    assert credentials.look_up(f"{USER}@localhost") == PASSWORD
    # A password that is kept already is not wanted again.
    assert thanksd("init", "--yes", "--no-service", env=environ).code == 0


def test_a_script_without_a_network_or_a_keyring_saves_nothing(account: tuple[Mailbox, dict[str, Any]]) -> None:
    box, trust = account
    given = ("--set", "me.name=Ada", "--set", f"me.email={USER}", "--set", "transport.smtp.host=localhost", "--yes")
    done = thanksd(*ALONE, *given, "--set", f"transport.smtp.port={box.port}", stdin=b"x\n", env=trust)
    assert (done.code, "There is no keyring here. Nothing was saved." in done.err) == (77, True), done
    done = thanksd(*ALONE, *given, "--set", "transport.smtp.port=1", "--set", "transport.smtp.password_command=echo x")
    assert (done.code, "Nothing was saved." in done.err) == (69, True), done
    assert not config_file().exists()


def test_what_stands_in_the_file_already_stays_there_with_its_comments() -> None:
    configure('# mine\n[me]\nname = "Ada"  # me\n[send]\nundo = "1m"\n[kind.coffee]\nnudge = "1h"\n')
    given = ("--set", "me.email=ada@example.org", "--set", "transport.kind=", "--yes")
    assert thanksd(*ALONE, *given).code == 0
    text = config_file().read_text(encoding="utf-8")
    assert text.startswith('# mine\n[me]\nname = "Ada"  # me\nemail = "ada@example.org"\n')
    assert settings()["kind"] == {"coffee": {"nudge": "1h"}}
    configure("[me\n")
    done = thanksd(*ALONE, *given)
    assert (done.code, "is not TOML" in done.err) == (78, True)


def test_a_config_that_can_not_be_written_costs_no_password(
    account: tuple[Mailbox, dict[str, Any]], keyring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, trust = account
    config_file().parent.parent.mkdir(mode=0o700)
    config_file().parent.write_text("in the way", encoding="utf-8")
    given = ("--set", "me.name=Ada", "--set", f"me.email={USER}", "--set", "transport.smtp.host=localhost")
    words = ("--set", f"transport.smtp.port={box.port}", "--yes", "--no-service")
    done = thanksd("init", *given, *words, stdin=f"{PASSWORD}\n".encode(), env={**trust, **keyring})
    assert done.code in (77, 78), done
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", keyring["DBUS_SESSION_BUS_ADDRESS"])
    assert credentials.look_up(f"{USER}@localhost") is None


# The real user manager.

_SCRIPT = r"""
set -u
until_true() { for _ in $(seq 60); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.2; done; thanksd log >&2; systemctl --user status thanksd --no-pager >&2; exit 1; }
thanked() { thanksd show 1 --json | grep -q '"state": "thanked"'; }
systemctl --user set-environment SSL_CERT_FILE="$SSL_CERT_FILE"
~/venv/bin/python - "$WORD" <<'END'
import pathlib, sys
from thanksd import credentials
home = pathlib.Path.home()
credentials.keep_for_unit(sys.argv[1], home / ".config/thanksd/smtp-password", home / ".config/systemd/user/thanksd.service")
END
thanksd init --yes --no-practice --set me.name=Ada --set me.email=$LOGIN --set transport.kind=maildir \
    --set transport.maildir.path=$HOME/mail --json || exit 1
thanksd config set transport.kind smtp
thanksd config set transport.smtp.host localhost
thanksd config set transport.smtp.port $PORT
thanksd config set send.undo 0s
thanksd add Grace Hopper grace@example.com -k coffee -d "how you found the moth" >&2
thanksd send 1 --yes >&2
until_true thanked
"""


def test_the_daemon_is_started_and_reads_the_password_that_systemd_hands_it(
    machine_user: MachineUser, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    trusted = machine_user.write("ca.pem", authority.file.read_text(encoding="ascii"))
    with mail_server(authority.context(), implicit=True) as box:
        environ = {"SSL_CERT_FILE": str(trusted), "WORD": PASSWORD, "LOGIN": USER, "PORT": str(box.port)}
        done = machine_user.run(_SCRIPT, timeout=120, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[0])["init"]["daemon"]["running"] is True
    assert [letter.rcpt_tos for letter in box.letters] == [["grace@example.com"]]


def test_a_pasted_app_password_of_google_loses_its_spaces() -> None:
    assert typed("abcd efgh\tijkl mnop", "smtp.gmail.com") == "abcdefghijklmnop"
    assert typed("correct horse", "smtp.fastmail.com") == "correct horse"
