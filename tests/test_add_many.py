"""`thanksd add -`: a table of meetings from a spreadsheet or a hand, all of it or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import program_rigs
import pytest
import terminal_rigs as rigs
from cli_rigs import SCRIPT, Done, configure, new_ledger, rows, thanksd
from daemon_rigs import client, daemon, value, wait_for
from store_rigs import Desk

from thanksd.cli import sheet
from thanksd.errors import DataError, ThanksdError, TryLaterError, UsageError


@pytest.fixture(autouse=True)
def ledger(home: Path) -> Path:
    assert home.exists()
    configure('[me]\nname = "Sam Lee"\ntimezone = "Europe/Berlin"\n')
    return new_ledger()


def many(table: str | bytes, *options: str) -> Done:
    return thanksd("add", "-", *options, stdin=table.encode() if isinstance(table, str) else table)


def owed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = thanksd("owed", "--json").json["thanks"]
    return sorted(found, key=lambda one: int(one["id"]))


def facts(one: dict[str, Any]) -> tuple[Any, ...]:
    person, meeting = one["person"], one["meeting"]
    return person["name"], person["email"], meeting["kind"], meeting["at"], one["details"]


ADA = ("Ada Lovelace", "ada@example.com", "coffee", "2026-03-10T14:00:00Z", ["why you left, Rust"])
CHEN: tuple[Any, ...] = ("Chen Wei", None, "general", "2026-03-11T11:00:00Z", [])
SPREADSHEETS = {
    "by hand": 'Ada Lovelace, ada@example.com, coffee, 2026-03-10 15:00, "why you left, Rust"\n\n'
    "# on Wednesday\nChen Wei,,,2026-03-11\n",
    "a heading, BOM, CRLF and empty columns": "\ufeffName,Email,Kind,When,Detail,,\r\n"
    'Ada Lovelace,ada@example.com,coffee,2026-03-10 15:00,"why you left, Rust",,\r\n,,,,,,\r\n'
    "Chen Wei,,,2026-03-11,,,\r\n",
    "semicolons, columns in another order": '"E-Mail";"When";"Who";"Note";"Type"\r\n'
    "ada@example.com;2026-03-10 15:00;Ada  Lovelace;why you left, Rust;coffee\r\n;2026-03-11;Chen Wei;;\r\n",
    "tabs": "Ada Lovelace\tada@example.com\tcoffee\t2026-03-10 15:00\twhy you left, Rust\nChen Wei\t\t\t2026-03-11\n",
    "semicolons without a heading": "Ada Lovelace;ada@example.com;coffee;2026-03-10 15:00;why you left, Rust\n"
    "Chen Wei;;;2026-03-11;\n",
    "a line break within quotes, old line ends": "Ada Lovelace,ada@example.com,coffee,2026-03-10 15:00,"
    '"why you left,\rRust"\rChen Wei,,,2026-03-11\r',
}


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_a_table_is_read_as_spreadsheets_write_it(name: str) -> None:
    read = sheet.read(SPREADSHEETS[name].encode())
    said = [{key: text for key, text in line.items() if text and key != "line"} for line in read.lines]
    ada = {"name": "Ada Lovelace", "email": "ada@example.com", "kind": "coffee", "when": "2026-03-10 15:00"}
    assert said == [{**ada, "detail": "why you left, Rust"}, {"name": "Chen Wei", "when": "2026-03-11"}]
    assert (read.bad, read.unused) == ([], [])


def test_a_table_with_a_byte_order_mark_and_windows_line_ends_is_noted_and_echoed() -> None:
    done = many(SPREADSHEETS["a heading, BOM, CRLF and empty columns"])
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "  1  Ada Lovelace <ada@example.com>, coffee, Tue 10 Mar 2026 15:00 CET (Europe/Berlin)",
        "  2  Chen Wei, general, Wed 11 Mar 2026 12:00 CET (Europe/Berlin)",
        "2 noted. See them: thanksd",
    ]
    assert [facts(one) for one in owed()] == [ADA, CHEN]


def test_options_stand_for_the_columns_that_are_empty_and_json_has_every_thanks() -> None:
    done = many("Ada,,lunch,\nBob,,,2026-03-10 09:00\n", "-k", "event", "-w", "2026-03-09", "--place", "Café", "--json")
    ada, bob = done.json["thanks"]
    assert (ada["meeting"]["kind"], ada["meeting"]["at"]) == ("meal", "2026-03-09T11:00:00Z")
    assert (bob["meeting"]["kind"], bob["meeting"]["at"]) == ("event", "2026-03-10T08:00:00Z")
    assert {one["meeting"]["place"] for one in (ada, bob)} == {"Café"}
    assert [one["what"] for one in thanksd("log", "2", "--json").json["events"]] == ["added"]


BAD = """\
name,email,kind,when,detail
Ada Lovelace,ada@example.com,coffee,yesterday
Bob,bob@@example.com
Chen Wei,,cofee,yesterday

Dan,,,yesteday 15:00
Eve,eve@example.com,event,2026-02-30
# a comment is counted as a line
,nobody@example.com
Grace,,,,the talk, and more,x
Ada L,ADA@example.com,coffee,yesterday
Zed,,,2999-01-01,"open
"""


def test_one_bad_line_and_nothing_is_stored_and_every_bad_line_is_named(ledger: Path) -> None:
    before = rows(ledger)
    done = many(BAD)
    assert (done.code, done.out) == (65, "")
    *named, message, hint = done.err.splitlines()
    assert [line.partition(":")[0] for line in named] == [f"Line {number}" for number in (3, 4, 6, 7, 9, 10, 11, 12)]
    for line, words in zip(
        named,
        [
            "there must be exactly one address",
            "no kind of meeting 'cofee'. Did you mean coffee?",
            "'yesteday' can't be read as a time. Did you mean \"yesterday 15:00\"?",
            "There is no 30 February 2026.",
            "Whose address is nobody@example.com?",
            "7 columns, at most 5: a text with a comma in it needs quotes around it.",
            "is there already, on line 2. Another one? --again.",
            "A quote is opened and never closed.",
        ],
        strict=True,
    ):
        assert words in line
        assert "Nothing was stored" not in line
    assert message == "8 of 9 lines can't be taken. Nothing was stored."
    assert hint == "Mend them, then the same again: thanksd add - < FILE"
    assert rows(ledger) == before


def test_of_many_bad_lines_the_first_twenty_are_named_and_the_rest_counted() -> None:
    done = many("".join(f"P{number},,nonsense\n" for number in range(1, 1031)))
    lines = done.err.splitlines()
    assert (done.code, len(lines)) == (65, 23)
    assert lines[19].startswith("Line 20:")
    assert lines[20:22] == ["and 1,010 more.", "1,030 of 1,030 lines can't be taken. Nothing was stored."]


def test_what_is_in_the_ledger_already_is_bad_unless_another_one_is_meant() -> None:
    table = "Ada Lovelace,ada@example.com,coffee,2026-03-10\n"
    assert many(table).code == 0
    again = many("Bob,,coffee,2026-03-10\nada lovelace,,coffee,2026-03-10 18:00\n")
    assert again.code == 65
    assert "Line 2: This coffee with Ada Lovelace on 2026-03-10 is there already, as 1." in again.err
    assert many(table * 2, "--again").code == 0
    assert [one["person"]["id"] for one in owed()] == [1, 1, 1]


def test_people_are_found_as_add_finds_them_also_those_of_lines_before() -> None:
    for words in (("Ada Lovelace", "ada@example.com"), ("Chen Wei",)):
        assert thanksd("add", *words, "-k", "gift", "-w", "2026-03-01").code == 0
    table = [
        "Countess,ada@example.com,,2026-03-02",  # by address
        "chen wei,chen@example.com,,2026-03-02",  # by name, and gets the address
        "Someone,chen@example.com,,2026-03-03",
        "Ada Lovelace,other@example.com,,2026-03-02",  # another person of the same name
        "Bob,,,2026-03-02",
        "bob,bob@example.com,,2026-03-03",
        "BOB,,,2026-03-04",
    ]
    done = many("\n".join(table), "--json")
    people = [one["person"]["id"] for one in done.json["thanks"]]
    assert people == [1, 2, 2, people[3], people[4], people[4], people[4]]
    assert len({1, 2, people[3], people[4]}) == 4
    assert done.err.splitlines() == [
        "Line 1: ada@example.com is Ada Lovelace's address: taken as Ada Lovelace.",
        "Line 3: chen@example.com is Chen Wei's address: taken as Chen Wei.",
        "Line 4: A new person: you also know Ada Lovelace <ada@example.com>.",
    ]
    found = {one["id"]: one["email"] for one in thanksd("people", "--json").json["people"]}
    assert (found[2], found[people[4]]) == ("chen@example.com", "bob@example.com")
    assert many("Ada Lovelace,,,2026-03-05").code == 65


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        (b"", 2, "There was nothing to read."),
        (b"\n# only a comment\n,,,\n", 2, "There was nothing to read."),
        ("Name,Kind\nAda,coffee\n".encode("utf-16"), 2, "no table in UTF-8"),
        (b"PK\x03\x04\0\0\0", 2, "no table in UTF-8"),
        (b"kind,when\ncoffee,yesterday\n", 2, "must name each column once, and have a name: kind, when."),
        (b"name,email,e-mail\nAda,a@example.com,b@example.com\n", 2, "must name each column once"),
        (b"Ada\r\nJos\xe9\r\n", 65, "Line 2 is not UTF-8: byte 0xe9."),
    ],
)
def test_what_is_no_table_is_refused(table: bytes, code: int, said: str) -> None:
    with pytest.raises(ThanksdError) as caught:
        sheet.read(table)
    assert caught.value.exit_code == code
    assert said in caught.value.message
    assert "Nothing was stored." in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        (b"Ada\r\nJos\xe9\r\n", 65, "Line 2 is not UTF-8: byte 0xe9."),
        (b"Ada\x1b[2J,ada@example.com\n", 65, "U+001B"),
        (b'Ada,"x"y,z\n', 65, "a quote within a text is written twice"),
        (b"", 2, "There was nothing to read."),
    ],
)
def test_a_refused_table_leaves_nothing(ledger: Path, table: bytes, code: int, said: str) -> None:
    before = rows(ledger)
    done = many(table)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Nothing was stored." in done.err
    assert "\x1b" not in done.err
    assert rows(ledger) == before


def test_what_belongs_to_one_person_is_no_option_for_many() -> None:
    for option, value_ in (("--detail", "x"), ("--with", "Bob")):
        done = many("Ada\n", option, value_)
        assert (done.code, done.err.splitlines()[0]) == (
            2,
            f"With many, {option} would be everybody's. Nothing was stored.",
        )
    assert many("Ada\n", "-k", "tennis").code == 2
    assert owed() == []


def test_a_heading_that_nothing_is_made_of_is_said_and_left_out() -> None:
    done = many("Name,Company,Email,Kind,Phone\nAda,Analytical Engines,ada@example.com,coffee,1\n")
    assert (done.code, done.err) == (0, "Not used: Company, Phone.\n")
    assert owed()[0]["person"]["email"] == "ada@example.com"


def test_any_line_that_is_read_has_the_number_of_its_first_line() -> None:
    table = b'# one\nAda,,,,"two\nlines"\n\nBob\n"# quoted, so a name"\n'
    assert [one["line"] for one in sheet.read(table).lines] == [2, 5, 6]
    with pytest.raises(UsageError):
        sheet.read(b"a\0")
    with pytest.raises(DataError, match="Line 3 is"):
        sheet.read(b"a\r\nb\r\xff")


def test_in_a_terminal_lines_are_typed_and_the_end_of_input_ends_them() -> None:
    with rigs.terminal("add", "-") as terminal:
        terminal.until("One line each: name, email, kind, when, detail.")
        terminal.send("Ada, ada@example.com, coffee\r")
        terminal.send("\x04")
        terminal.until("1 noted.")
        assert terminal.end() == 0
    assert owed()[0]["person"]["email"] == "ada@example.com"


@pytest.mark.parametrize("leave", [signal.SIGINT, signal.SIGHUP])
def test_who_leaves_before_the_end_of_the_lines_leaves_nothing(leave: signal.Signals) -> None:
    with rigs.terminal("add", "-") as terminal:
        terminal.until("One line each")
        terminal.send("Ada, ada@example.com, coffee\r")
        terminal.until("Ada, ada@example.com, coffee")
        # The terminal itself echoes, and a signal right before Python's read is seen only after it.
        terminal.until(terminal.is_waiting)
        terminal.signal(leave)
        assert terminal.end() != 0
    assert owed() == []


def test_ten_thousand_lines_are_noted_while_the_daemon_goes_on_answering() -> None:
    table = "name,email,kind,when,detail\n" + "".join(
        f'Person {n},p{n}@example.com,{("coffee", "", "event")[n % 3]},2026-03-{1 + n % 9:02},"why, {n}"\n'
        for n in range(10_000)
    )
    assert len(table) < 1 << 20
    with daemon(), program_rigs.Program([SCRIPT, "add", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as adding:
        assert adding.stdin
        assert adding.stdout
        adding.stdin.write(table.encode())
        adding.stdin.close()
        slowest = 0.0
        while adding.poll() is None:
            start = time.monotonic()
            # On a busy machine it may answer that the ledger is busy; a command waits ten seconds for an answer.
            with contextlib.suppress(TryLaterError):
                client().call("add", who=f"Grace {start}", kind="coffee")
            slowest = max(slowest, time.monotonic() - start)
        said = adding.stdout.read().decode().splitlines()
        assert adding.returncode == 0
        # What a command waits for an answer.
        assert slowest < 10
    assert len(said) == 22
    assert said[-2:] == ["     and 9,980 more", "10,000 noted. See them: thanksd"]
    assert value("SELECT count(*) FROM thanks WHERE details LIKE '[\"why, %'") == 10_000
    assert value("SELECT count(DISTINCT thanks_id) FROM event WHERE what = 'added'") == value(
        "SELECT count(*) FROM thanks"
    )


def test_a_daemon_sees_at_once_what_was_noted() -> None:
    def last_pass() -> str | None:
        status = client().ask_status()
        assert status is not None
        found: str | None = status["last_pass_at"]
        return found

    with daemon():
        wait_for(last_pass)
        time.sleep(1.1)  # it is told in whole seconds
        before = last_pass()
        assert many("Ada,ada@example.com,coffee,yesterday\n").code == 0
        # Of itself it looks every 30 s.
        wait_for(lambda: last_pass() != before, 5)


def test_a_line_becomes_the_very_thanks_that_add_makes(tmp_path: Path) -> None:
    one, many_ = Desk(tmp_path / "one"), Desk(tmp_path / "many")
    line = {"line": 1, "name": "Ada Lovelace", "email": "ada@example.com", "kind": "coffee", "detail": "why"}
    for desk in (one, many_):
        desk("pause", until="fri 9:00")
    one("add", who="Ada Lovelace ada@example.com", kind="coffee", when="yesterday 15:00", details=["why"], place="here")
    many_("add_many", lines=[line], when="yesterday 15:00", place="here")
    for table in ("person", "meeting", "thanks", "event"):
        rows_ = [desk.rows(f"SELECT * FROM {table}") for desk in (one, many_)]  # noqa: S608  the store's own names
        for row in (rows_[0][0], rows_[1][0]):
            row.pop("uid", None) if table == "thanks" else None
        assert rows_[0] == rows_[1], table


def test_a_table_that_grows_without_end_is_refused(ledger: Path) -> None:
    read, write = os.pipe()
    with program_rigs.Program([SCRIPT, "add", "-"], stdin=read, stderr=subprocess.PIPE) as adding:
        os.close(read)
        try:
            while True:
                os.write(write, b"Ada Lovelace, ada@example.com\n" * 1000)
        except BrokenPipeError:
            os.close(write)
        assert adding.stderr
        assert b"That is more than 32 MiB. Nothing was stored." in adding.stderr.read()
        assert adding.wait() == 2
    assert rows(ledger)["thanks"] == 0
    assert json.loads(thanksd("owed", "--json").out)["thanks"] == []
