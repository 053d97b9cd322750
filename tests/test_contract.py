"""The contract of the command line: what scripts and people rely on, held by the installed program itself."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import parts
import pexpect
import program_rigs
import pytest
from cli_rigs import SCRIPT, Done, change, configure, new_ledger, store_file, thanksd

from thanksd import __version__
from thanksd.cli.root import COMMANDS


class Maybe:
    """This, or null."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LETTER = {
    "id": int,
    "thanks": int,
    "to": str,
    "state": {"queued", "sending", "deferred", "held", "sent", "failed", "cancelled"},
    "reason": Maybe(str),
    "message_id": str,
    "subject": str,
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "send_after": TIME,
    "sent_at": Maybe(TIME),
    "attempts": int,
    "server_reply": Maybe(str),
}
THANKS = {
    "id": int,
    "state": {"owed", "due", "snoozed", "confirmed", "thanked", "waived"},
    "person": {
        "id": int,
        "name": str,
        "email": Maybe(str),
        "lang": Maybe(str),
        "tz": Maybe(str),
        "seniority": {"peer", "above"},
    },
    "meeting": {"id": int, "kind": str, "at": TIME, "tz": str, "place": Maybe(str), "about": Maybe(str)},
    "details": [str],
    "promises": [{"id": int, "text": str, "due": Maybe(TIME), "done_at": Maybe(TIME)}],
    "nudge_at": TIME,
    "due_by": TIME,
    "letter": Maybe(LETTER),
}
THANKS_LIST = {"v": {1}, "thanks": [THANKS]}
LETTERS = {"v": {1}, "letters": [LETTER]}
EVENTS = {"v": {1}, "events": [{"at": TIME, "thanks": Maybe(int), "what": str, "data": dict}]}
SHARE = {"count": int, "of": int}
COUNTS = {"owed": int, "given": int, "late": int, "waived": int}
STATS = {
    "v": {1},
    "stats": {
        "weeks": [{"week": re.compile(r"\d{4}-\d\d-\d\d"), **COUNTS}],
        "met": int,
        **COUNTS,
        "in_time": SHARE,
        "details": SHARE,
        "hours": {
            "median": Maybe(float),
            "nine_of_ten": Maybe(float),
            "of": int,
            "within": [{"name": str, "given": int}],
        },
        "promises": {"made": int, "kept": int, "in_time": SHARE},
        "zone": str,
        "now": TIME,
    },
}
ENTRY = {"uid": str, "what": {"thanks", "promise"}, "number": int, "thanks": int, "person": str, "kind": str}
ENTRY |= {"at": TIME, "due_by": TIME, "details": [str], "text": str, "changed_at": TIME}
FEED = {"v": {1}, "feed": {"path": Maybe(str), "events": [ENTRY]}}
FINDING = {"code": str, "severity": {"block", "warn", "hint"}, "message": str, "where": str}
DRAFT = {"v": {1}, "draft": {"to": Maybe(str), "subject": str, "body": str, "template": str, "findings": [FINDING]}}

ADA = ("add", "Ada", "Lovelace", "ada@example.com", "-k", "coffee", "-d", "why you left Rust")
PROMISED = {
    *("add", "owed", "show", "edit", "draft", "send", "review", "snooze", "waive", "done", "undo", "outbox", "resolve"),
    *("promises", "promise", "page", "stats", "feed"),
    *("people", "policy", "templates", "log", "prompt", "run", "config", "credentials", "service", "demo", "help"),
    *("pause", "resume", "init", "doctor", "backup", "restore", "export", "import", "adopt"),
    "move-store",
}
MAILDIR = '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n[transport]\nkind = "maildir"\n'


def faults(value: Any, shape: Any, where: str = "$") -> list[str]:
    """Give every place where a document is not as the contract says: types, values, keys too many or too few."""
    if isinstance(shape, Maybe):
        return [] if value is None else faults(value, shape.shape, where)
    if isinstance(shape, dict):
        return _faults_of_object(value, shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [fault for number, item in enumerate(value) for fault in faults(item, shape[0], f"{where}[{number}]")]
    return [] if _fits(value, shape) else [f"{where} is {value!r}"]


def _faults_of_object(value: Any, shape: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict) or value.keys() != shape.keys():
        found = sorted(value) if isinstance(value, dict) else value
        return [f"{where} has {found}, not {sorted(shape)}"]
    return [fault for key, inner in shape.items() for fault in faults(value[key], inner, f"{where}.{key}")]


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, set):
        return value in shape
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    return type(value) is shape


def add(*words: str) -> int:
    """Add somebody and give the number of the thanks."""
    number: int = thanksd("add", *words, "--json").json["thanks"][0]["id"]
    return number


@pytest.fixture
def ledger() -> Path:
    return new_ledger()


@pytest.fixture
def ada(ledger: Path) -> Path:
    """A ledger with one thanks, number 1."""
    assert thanksd(*ADA).code == 0
    return ledger


@pytest.fixture
def maildir(home: Path) -> Path:
    """A folder as the transport: letters are saved, nobody is mailed."""
    folder = home / "letters"
    configure(f'{MAILDIR}maildir.path = "{folder}"\n')
    return folder


# --- the schema ---


def test_the_schema_check_itself_sees_what_is_wrong() -> None:
    good: dict[str, Any] = {"at": "2025-03-11T14:00:00Z", "thanks": None, "what": "added", "data": {}}
    shape = EVENTS["events"][0]  # type: ignore[index]
    assert faults(good, shape) == []
    assert faults({**good, "at": "2025-03-11T14:00:00+00:00"}, shape) == ["$.at is '2025-03-11T14:00:00+00:00'"]
    assert faults({**good, "thanks": True}, shape) == ["$.thanks is True"]
    assert faults({**good, "more": 1}, shape)
    assert faults([good, {}], [shape])[0].startswith("$[1] has []")


def test_every_command_that_shows_or_changes_thanks_prints_the_same_thanks(ada: Path) -> None:
    wanted = [
        ("owed",),
        (),
        ("show", "1"),
        ("edit", "1", "--place", "Café Einstein", "-p", "the paper by friday"),
        ("snooze", "1"),
        ("undo", "1"),
        ("waive", "1", "--reason", "met by chance"),
        ("undo",),
        ("done", "1", "--how", "by phone"),
        ("owed", "--all"),
        ("add", "Grace Hopper", "--with", "Alan Kay", "--json"),
    ]
    for words in wanted:
        document = thanksd(*words, "--json").json
        assert (words, faults(document, THANKS_LIST)) == (words, [])
        assert document["thanks"], words
    assert ada.exists()


def test_looking_back_and_the_calendar_have_their_own_shapes(ada: Path) -> None:
    assert thanksd("edit", "1", "-p", "the paper by friday").code == 0
    assert faults(thanksd("stats", "--json").json, STATS) == []
    found = thanksd("feed", "--json").json
    assert (faults(found, FEED), len(found["feed"]["events"])) == ([], 2)
    assert thanksd("done", "1").code == 0
    assert faults(thanksd("stats", "--weeks", "1", "--json").json, STATS) == []
    written = thanksd("feed", "--output", str(ada.with_name("a.ics")), "--json").json
    assert (faults(written, FEED), written["feed"]["path"]) == ([], str(ada.with_name("a.ics")))


def test_a_thanks_holds_what_was_noted(ledger: Path) -> None:
    words = ("-w", "2026-01-15 15:00", "--tz", "Europe/Paris", "--place", "Café Einstein", "--about", "compilers")
    more = ("-p", "send the paper by 2027-01-20 10:00", "--lang", "en", "--seniority", "above")
    one = thanksd(*ADA, *words, *more, "--json").json["thanks"][0]
    assert ledger.exists()
    assert one["person"] == {
        "id": 1,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "lang": "en",
        "tz": "Europe/Paris",
        "seniority": "above",
    }
    assert one["meeting"]["at"] == "2026-01-15T14:00:00Z"
    assert {key: one["meeting"][key] for key in ("kind", "tz", "place", "about")} == {
        "kind": "coffee",
        "tz": "Europe/Paris",
        "place": "Café Einstein",
        "about": "compilers",
    }
    assert one["details"] == ["why you left Rust"]
    assert [(it["text"], it["due"]) for it in one["promises"]] == [("send the paper", "2027-01-20T09:00:00Z")]
    assert (one["nudge_at"], one["due_by"]) == ("2026-01-15T17:00:00Z", "2026-01-16T14:00:00Z")
    assert (one["state"], one["letter"]) == ("due", None)


@pytest.mark.usefixtures("whole_start")
def test_a_letter_goes_from_draft_to_log_in_the_shapes_of_the_contract(ada: Path, maildir: Path) -> None:
    assert faults(thanksd("draft", "1", "--json").json, DRAFT) == []
    sent = thanksd("send", "1", "--yes", "--now", "--json").json
    assert faults(sent, THANKS_LIST) == []
    letter = sent["thanks"][0]["letter"]
    assert (sent["thanks"][0]["state"], letter["state"], letter["to"]) == ("thanked", "sent", "ada@example.com")
    assert len(list((maildir / "new").iterdir())) == 1
    log = thanksd("log", "--json").json
    assert faults(log, EVENTS) == []
    told = [event["what"] for event in log["events"] if event["thanks"] == 1]
    assert [what for what in told if what in ("added", "confirmed", "sent")] == ["added", "confirmed", "sent"]
    assert faults(thanksd("outbox", "--json").json, LETTERS) == []
    assert thanksd("owed", "--json").json == {"v": 1, "thanks": []}
    assert ada.exists()


def test_the_outbox_lists_letters_in_their_own_shape(ada: Path, maildir: Path) -> None:
    assert thanksd("send", "1", "--yes", "--now").code == 0
    # As if the line had broken after the final dot: only a person can know.
    change(ada, "UPDATE letter SET state = 'held', reason = 'unknown', settled_at = NULL, sent_at = NULL")
    document = thanksd("outbox", "--json").json
    assert faults(document, LETTERS) == []
    assert [(one["thanks"], one["state"], one["reason"]) for one in document["letters"]] == [(1, "held", "unknown")]
    assert maildir.exists()


# --- the commands and their options ---


def test_the_version_is_one_line() -> None:
    assert thanksd("--version") == Done(0, f"thanksd {__version__}\n", "")
    assert thanksd("owed", "--version") == Done(0, f"thanksd {__version__}\n", "")


def test_help_lists_every_command_of_the_contract() -> None:
    done = thanksd("--help")
    listed = re.findall(r"^  ([a-z-]+) ", done.out.partition("Commands:")[2], re.MULTILINE)
    assert (done.code, done.err) == (0, "")
    assert set(listed) == PROMISED


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help_and_the_global_options(command: str) -> None:
    done = thanksd(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: thanksd {command} ")
    for option in ("--json", "--config", "--store", "--debug", "--version", "--help"):
        assert f" {option}" in done.out


def test_global_options_are_taken_before_and_after_the_command(ada: Path, short_dir: Path) -> None:
    other = short_dir / "other.db"
    before = thanksd("--json", "--store", str(ada), "owed").json
    after = thanksd("owed", "--json", "--store", str(ada)).json
    assert before == after
    assert len(before["thanks"]) == 1
    other.write_bytes(b"")
    assert thanksd("--store", str(other), "owed").code == 65
    assert thanksd("owed", "--store", str(other)).code == 65
    # The command's own word is the nearer one.
    assert thanksd("--store", str(other), "owed", "--store", str(ada)).code == 0


def test_config_and_store_are_found_by_option_then_environment_then_xdg(ada: Path, short_dir: Path) -> None:
    file = short_dir / "c.toml"
    file.write_text('[send]\nundo = "7s"\n', encoding="utf-8")
    env = {"THANKSD_CONFIG": str(file), "THANKSD_STORE": str(short_dir / "e.db")}
    assert thanksd("config", "get", "send.undo").out == "30s\n"
    assert thanksd("config", "get", "send.undo", env=env).out == "7s\n"
    assert thanksd("config", "get", "send.undo", "--config", str(short_dir / "no.toml"), env=env).out == "30s\n"
    assert thanksd("owed", "--json", env=env).json["thanks"] == []
    assert len(thanksd("owed", "--json", "--store", f"sqlite:///{ada}", env=env).json["thanks"]) == 1


def test_without_a_command_the_owed_list_is_shown(ada: Path) -> None:
    alone = thanksd()
    assert (alone.code, alone) == (0, thanksd("owed"))
    assert "Ada Lovelace" in alone.out
    assert ada.exists()


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    assert thanksd("shwo") == Done(2, "", "There is no command 'shwo'.\nDid you mean: thanksd show?\n")


def test_an_unknown_option_is_bad_usage() -> None:
    done = thanksd("owed", "--jsn")
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 2


def test_files_and_folders_are_for_their_owner_alone(home: Path) -> None:
    assert thanksd(*ADA).code == 0
    assert thanksd("config", "set", "me.name", "Sam").code == 0
    made = [path for path in home.rglob("*") if "thanksd" in str(path.relative_to(home))]
    loose = [path for path in made if path.stat().st_mode & 0o077]
    assert (loose, store_file() in made) == ([], True)


# --- exit codes and streams ---


def test_an_empty_list_is_no_error(ledger: Path) -> None:
    for words in (("owed",), ("outbox",), ("log",), ("people",)):
        assert thanksd(*words) == Done(0, "", "")
    assert ledger.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "99"), 1),
        (("show", "99999999999999999999"), 1),
        (("show", "nobody"), 1),
        (("owed", "--state", "late"), 2),
        (("snooze", "1", "-1h"), 2),
        (("stats", "--weeks", "0"), 2),
        (("feed", "--output", "/dev/null"), 2),
        (("feed", "--output", "/no/such/folder.ics"), 77),
        (("send", "1", "--at", "yesterday 9:00"), 2),
        (("credentials", "test"), 78),
        (("resolve", "1", "--sent"), 2),
        (("people", "forget", "ada"), 1),
        (("help", "nothing-like-it"), 1),
    ],
)
def test_what_goes_wrong_is_two_lines_on_stderr_and_an_exit_code(ada: Path, words: tuple[str, ...], code: int) -> None:
    done = thanksd(*words)
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == 2
    assert "Traceback" not in done.err
    assert ada.exists()


def test_only_debug_shows_where_an_error_comes_from(ledger: Path) -> None:
    done = thanksd("show", "99", "--debug")
    assert (done.code, "Traceback" in done.err, done.out) == (1, True, "")
    assert ledger.exists()


def test_a_blocked_draft_is_no_error_and_sending_it_is(ledger: Path, maildir: Path) -> None:
    number = str(add("Ada", "ada@example.com"))
    draft = thanksd("draft", number, "--json").json["draft"]
    blocks = {one["code"] for one in draft["findings"] if one["severity"] == "block"}
    done = thanksd("send", number, "--yes", "--now")
    assert blocks
    assert (done.code, done.out) == (65, "")
    assert any(code in done.err for code in blocks)
    assert not maildir.exists()
    assert ledger.exists()


def test_without_a_mail_account_the_letter_is_shown_and_not_sent(ada: Path) -> None:
    done = thanksd("send", "1", "--yes")
    assert (done.code, done.out) == (78, "")
    assert "Dear Ada," in done.err
    assert done.err.endswith("Not sent: no mail account is set up.\nSet one up: thanksd init\n")
    assert thanksd("owed", "--json").json["thanks"][0]["letter"] is None
    assert ada.exists()


def test_a_letter_is_not_sent_without_a_word_where_nobody_can_be_asked(ada: Path, maildir: Path) -> None:
    done = thanksd("send", "1")
    assert (done.code, done.out, maildir.exists()) == (1, "", False)
    assert thanksd("owed", "--json").json["thanks"][0]["letter"] is None
    assert ada.exists()


@pytest.mark.usefixtures("whole_start")
def test_a_reader_that_leaves_is_not_an_error(ada: Path) -> None:
    for words in (["owed"], ["log"], ["show", "1", "--json"], ["help", "states"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            reader = program_rigs.Program([SCRIPT, *words], stdout=writing, stderr=subprocess.PIPE)
        finally:
            os.close(writing)
        _, said = reader.communicate(timeout=60)
        assert (words, reader.returncode, said) == (words, 0, b"")
    assert ada.exists()


def test_control_c_ends_quietly_and_changes_nothing(ada: Path) -> None:
    with program_rigs.InTerminal(str(SCRIPT), ["people", "forget", "ada"], timeout=20, encoding="utf-8") as terminal:
        terminal.expect("Forget them")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        rest = str(terminal.before)
    assert (terminal.exitstatus, "Traceback" in rest) == (130, False)
    assert [one["id"] for one in thanksd("people", "--json").json["people"]] == [1]
    assert ada.exists()


# --- what people see ---


def on_terminal(*words: str, **env: str) -> str:
    """Give what a command prints on a terminal of 80 columns."""
    environ = {**os.environ, "TERM": "xterm-256color", **env}
    with program_rigs.InTerminal(
        str(SCRIPT), list(words), env=environ, timeout=20, encoding="utf-8", dimensions=(24, 80)
    ) as it:
        it.expect(pexpect.EOF)
        printed = str(it.before)
    assert it.exitstatus == 0, printed
    return printed


def test_colour_is_for_terminals_that_want_it(ada: Path) -> None:
    assert "\x1b[" in on_terminal("owed")
    assert "\x1b" not in on_terminal("owed", NO_COLOR="1")
    assert "\x1b" not in on_terminal("owed", TERM="dumb")
    assert "\x1b" not in thanksd("owed").out
    assert ada.exists()


def test_headings_and_columns_are_for_terminals_tabs_for_programs(ada: Path) -> None:
    assert "LATER" in on_terminal("owed", NO_COLOR="1")
    (line,) = thanksd("owed").out.splitlines()
    assert line.split("\t")[:5] == ["1", "owed", "Ada Lovelace", "ada@example.com", "coffee"]
    assert [bool(re.fullmatch(TIME, moment)) for moment in line.split("\t")[5:]] == [True] * 3
    assert ada.exists()


def test_a_command_on_a_terminal_says_that_no_daemon_runs_and_a_program_is_not_told(ada: Path) -> None:
    sentence = "Nobody will remind you: the daemon is not running. Start it: thanksd service install"
    assert sentence in " ".join(on_terminal("owed").split())
    assert thanksd("owed").err == ""
    assert ada.exists()


def test_what_data_holds_can_not_steer_the_terminal(ada: Path) -> None:
    hostile = "Eve\x1b[31m\x07\x9b2J\u202etxt\u2066"
    change(ada, "UPDATE person SET name = ?", hostile)
    change(ada, "UPDATE meeting SET place = ?, about = ?", hostile, hostile)
    printed = [
        thanksd("owed").out,
        thanksd("show", "1").out,
        thanksd("people").out,
        thanksd("waive", "1").out,
        on_terminal("owed", "--all", NO_COLOR="1"),
    ]
    for text in printed:
        assert "Eve\\x1b[31m" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e\u2066")


def test_what_was_typed_can_not_steer_the_terminal_either(ledger: Path) -> None:
    done = thanksd("show", "\x1b[31mred\u202e")
    assert (done.code, "\\x1b[31mred\\u202e" in done.err) == (1, True)
    assert "\x1b" not in done.err
    assert ledger.exists()


def test_what_was_understood_is_echoed_with_its_zone(ledger: Path) -> None:
    done = thanksd("add", "Ada", "-w", "2026-03-11 15:00", "-k", "coffee")
    assert "Wed 11 Mar 2026 15:00 CET (Europe/Berlin)" in done.out
    assert ledger.exists()


# --- WHO and REF ---


def test_who_is_bare_words_and_an_address_in_any_of_their_forms(ledger: Path) -> None:
    forms = [
        ("Ada", "Lovelace", "ada@example.com"),
        ("ada@example.com", "Ada", "Lovelace", "-k", "meal"),
        ("Ada Lovelace <ada@example.com>", "-k", "gift"),
        ("Ada", "Lovelace", "<ada@example.com>", "-k", "event"),
        ("Ada", "Lovelace", "-e", "ada@example.com", "-k", "speaker"),
        ("ada@EXAMPLE.com", "-k", "referral"),
        ("ADA LOVELACE", "-k", "coffee"),
    ]
    found = [thanksd("add", *words, "--json").json["thanks"][0]["person"] for words in forms]
    assert [(one["id"], one["name"], one["email"]) for one in found] == [(1, "Ada Lovelace", "ada@example.com")] * 7
    assert ledger.exists()


def test_somebody_known_is_found_without_case_and_accents(ledger: Path) -> None:
    add("José Álvarez", "jose@example.com")
    again = thanksd("add", "jose alvarez", "-k", "coffee", "--json").json["thanks"][0]["person"]
    assert (again["id"], again["name"]) == (1, "José Álvarez")
    assert ledger.exists()


def test_the_same_name_with_another_address_is_another_person_and_that_is_said(ledger: Path) -> None:
    add("Ada Lovelace", "ada@example.com")
    done = thanksd("add", "Ada Lovelace", "ada@example.org", "--json")
    assert done.json["thanks"][0]["person"]["id"] == 2
    assert done.err == "A new person: you also know Ada Lovelace <ada@example.com>.\n"
    both = thanksd("add", "Ada Lovelace")
    assert (both.code, both.out) == (2, "")
    assert "ada@example.com" in both.err
    assert "ada@example.org" in both.err
    assert ledger.exists()


def test_a_ref_is_a_number_or_the_start_of_a_word_of_name_or_address(ledger: Path) -> None:
    ronald = add("Ronald Fisher", "stats@example.com")
    alan = add("Alan Kay")
    jose = add("José Álvarez", "pepe@example.com")
    wanted = {
        "al": None,
        "alan": alan,
        "KAY": alan,
        "jose": jose,
        "alv": jose,
        "pepe": jose,
        "stat": ronald,
        "fis ron": ronald,
    }
    for ref, number in wanted.items():
        done = thanksd("show", ref, "--json")
        assert (ref, done.code) == (ref, 0 if number else 2)
        if number:
            assert done.json["thanks"][0]["id"] == number
    listed = thanksd("show", "al")
    assert listed.err == f'Two match "al": {alan} Alan Kay, general   {jose} José Álvarez, general.\nSay the number.\n'
    assert ledger.exists()


def test_open_ones_come_first_and_a_closed_one_is_found_by_commands_that_look_back(ledger: Path) -> None:
    first = add("Ada Lovelace", "-k", "coffee")
    assert thanksd("done", str(first)).code == 0
    assert thanksd("show", "ada", "--json").json["thanks"][0]["id"] == first
    assert thanksd("snooze", "ada").code == 1
    second = add("Ada Lovelace", "-k", "meal")
    assert thanksd("show", "ada", "--json").json["thanks"][0]["id"] == second
    assert ledger.exists()


def test_numbers_are_never_used_again(ledger: Path) -> None:
    add("Ada Lovelace")
    last = add("Grace Hopper")
    assert thanksd("people", "forget", "grace", "--yes").code == 0
    assert add("Alan Kay") > last
    assert thanksd("show", str(last)).code == 1
    assert ledger.exists()


def test_the_same_meeting_twice_needs_to_be_meant(ledger: Path) -> None:
    assert thanksd(*ADA).code == 0
    twice = thanksd(*ADA)
    assert twice == Done(
        1, "", "You added this coffee with Ada Lovelace today (1). Nothing was stored.\nAnother one? Use --again.\n"
    )
    assert len(thanksd("owed", "--json").json["thanks"]) == 1
    assert thanksd(*ADA, "--again").code == 0
    assert thanksd(*ADA, "-w", "3d ago").code == 0
    assert len(thanksd("owed", "--json").json["thanks"]) == 3
    assert ledger.exists()


def test_the_same_meeting_twice_asks_on_a_terminal(ledger: Path) -> None:
    assert thanksd(*ADA).code == 0
    with program_rigs.InTerminal(str(SCRIPT), list(ADA), timeout=20, encoding="utf-8") as terminal:
        terminal.expect(r"\(1\)\. Another one\? \[y/N\]")
        terminal.sendline("y")
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0
    assert len(thanksd("owed", "--json").json["thanks"]) == 2
    assert ledger.exists()


# --- completion and the manual ---


@pytest.mark.parametrize(
    ("words", "cursor", "wanted"),
    [
        ("thanksd wai", 1, ["waive"]),
        ("thanksd sta", 1, ["stats"]),
        ("thanksd stats --w", 2, ["--weeks"]),
        ("thanksd feed --o", 2, ["--output"]),
        ("thanksd add --sen", 2, ["--seniority"]),
        ("thanksd config s", 2, ["set"]),
        ("thanksd config set send", 3, ["send.undo", "send.copy", "send.also_for"]),
        ("thanksd help exi", 2, ["exit-codes"]),
    ],
)
def test_the_shell_completes_commands_options_and_names(words: str, cursor: int, wanted: list[str]) -> None:
    env = {"_THANKSD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(cursor)}
    done = thanksd(env=env)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [f"plain,{word}" for word in wanted]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion_script(shell: str) -> None:
    done = thanksd(env={"_THANKSD_COMPLETE": f"{shell}_source"})
    assert (done.code, done.err) == (0, "")
    assert f"_THANKSD_COMPLETE={shell}_complete" in done.out


def test_bash_completes_for_real(home: Path) -> None:
    parts.need("bash")
    script = f"""
        PATH={SCRIPT.parent}:$PATH
        eval "$(_THANKSD_COMPLETE=bash_source thanksd)"
        COMP_WORDS=(thanksd outb) COMP_CWORD=1
        _thanksd_completion thanksd outb thanksd
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, home.exists()) == ("outbox\n", True)


@pytest.fixture
def man_page() -> str:
    done = thanksd("help", "man")
    assert (done.code, done.err) == (0, "")
    return done.out


def test_the_man_page_tells_of_every_command_and_exit_code(man_page: str) -> None:
    for command in COMMANDS:
        # A dash that is typed, and no hyphen (groff_char(7)).
        escaped = command.replace("-", r"\-")
        assert f'.SS "thanksd {escaped}' in man_page
    for code in (65, 69, 75, 77, 78, 130):
        assert re.search(rf"^{code} ", man_page, re.MULTILINE), code
    assert man_page.isascii()


def test_the_man_page_is_read_without_a_warning(man_page: str) -> None:
    parts.need("groff")
    command = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    done = subprocess.run(command, input=man_page, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
