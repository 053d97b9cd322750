"""The asking form of `thanksd add`, in a real pseudo-terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import terminal_rigs as rigs

ADDRESS, KIND, WHEN = "Address (Enter: none yet)", "A digit [", "When? [now]"
DETAIL, PROMISE = "(Enter: later)", "Did you promise something? (Enter: no)"


@pytest.fixture(autouse=True)
def _configured(home: Path) -> None:
    rigs.configure(home)


def thanks() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rigs.thanksd("owed", "--all", "--json"))["thanks"]
    return sorted(found, key=lambda one: int(one["id"]))


def answer(terminal: rigs.Terminal, *answers: tuple[str, str]) -> None:
    for question, text in answers:
        terminal.ready(question)
        terminal.line(text)


def test_six_questions_make_a_thanks_of_somebody_new() -> None:
    with rigs.terminal("add") as terminal:
        answer(
            terminal,
            ("Whom did you meet?", "Grace Hopper"),
            (ADDRESS, "grace@example.com"),
            ("1 coffee  2 interview", "2"),
            (WHEN, "yesterday 10:00"),
        )
        terminal.ready('Finish it as if to Grace: "I keep thinking about ..."')
        answer(terminal, (DETAIL, "how you debug"), (PROMISE, "send the notes"))
        assert terminal.end() == 0
        assert "Grace Hopper <grace@example.com>, interview" in terminal.text
        assert "10:00 CE" in terminal.text
    (one,) = thanks()
    assert one["person"]["email"] == "grace@example.com"
    assert one["details"] == ["how you debug"]
    assert [promise["text"] for promise in one["promises"]] == ["send the notes"]


def test_enter_takes_what_the_brackets_hold() -> None:
    with rigs.terminal("add") as terminal:
        answer(
            terminal,
            ("Whom", "Ada"),
            (ADDRESS, ""),
            ("A digit [0 general]", ""),
            (WHEN, ""),
            (DETAIL, ""),
            (PROMISE, ""),
        )
        assert terminal.end() == 0
    (one,) = thanks()
    assert (one["person"]["email"], one["meeting"]["kind"], one["details"], one["promises"]) == (
        None,
        "general",
        [],
        [],
    )


def test_somebody_known_is_not_asked_for_an_address_and_the_last_kind_is_the_bracket() -> None:
    rigs.thanksd("add", "José Álvarez", "jose@example.com", "-k", "gift", "-w", "2h ago")
    rigs.thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "meal", "-w", "2h ago")
    with rigs.terminal("add") as terminal:
        terminal.line("jose alvarez")
        text = terminal.ready("A digit [7 meal]")
        assert "You know José Álvarez <jose@example.com>." in text
        assert "Address" not in text
        answer(terminal, (KIND, ""), (WHEN, ""), (DETAIL, ""), (PROMISE, ""))
        assert terminal.end() == 0
    assert [one["person"]["name"] for one in thanks()] == ["José Álvarez", "Ada Lovelace", "José Álvarez"]
    assert thanks()[2]["meeting"]["kind"] == "meal"


def test_an_address_with_the_name_is_not_asked_again() -> None:
    with rigs.terminal("add") as terminal:
        terminal.line("Ada Lovelace ada@example.com")
        assert "Address" not in terminal.ready(KIND)


def test_what_can_not_be_understood_is_asked_again_with_the_old_text_to_edit() -> None:
    with rigs.terminal("add") as terminal:
        answer(terminal, ("Whom", ""))
        terminal.ready("Nobody was named.")
        answer(terminal, ("Whom", "Ada Lovelace"), (ADDRESS, "ada at home"))
        terminal.until("Address (Enter: none yet) ada at home\nThis is not an address")
        terminal.until(lambda: terminal.lines[-1] == "Address (Enter: none yet) ada at home")
        terminal.send("\x15ada@gmial.com\r")
        answer(terminal, ("gmail.com? [Y/n]", "n"), (KIND, "tennis"))
        terminal.until(lambda: terminal.lines[-1] == "A digit [0 general] tennis")
        assert "There is no kind of meeting 'tennis'." in terminal.text
        terminal.send("\x15coffee\r")
        answer(terminal, (WHEN, "25:61"))
        terminal.until(lambda: terminal.lines[-1] == "When? [now] 25:61")
        terminal.send("\x15yesterday 10:00\r")
        answer(terminal, (DETAIL, ""), (PROMISE, ""))
        assert terminal.end() == 0
    (one,) = thanks()
    assert (one["person"]["email"], one["meeting"]["kind"]) == ("ada@gmial.com", "coffee")


def test_what_the_ledger_refuses_is_asked_again_with_every_answer_kept() -> None:
    with rigs.terminal("add", columns=120) as terminal:
        answer(
            terminal,
            ("Whom", "Ada, Chen a@example.com"),
            (KIND, "1"),
            (WHEN, ""),
            (DETAIL, "how you teach"),
            (PROMISE, ""),
        )
        terminal.until("Nothing was stored.")
        terminal.until(lambda: terminal.lines[-1] == "Whom did you meet? Ada, Chen a@example.com")
        terminal.send("\x15Ada a@example.com\r")
        answer(terminal, ("A digit [1 coffee]", ""), (WHEN, ""))
        terminal.until(lambda: terminal.lines[-1] == "(Enter: later) how you teach")
        terminal.send("\r")
        answer(terminal, (PROMISE, ""))
        assert terminal.end() == 0
    assert thanks()[0]["details"] == ["how you teach"]


def test_the_same_meeting_again_is_asked_about() -> None:
    rigs.thanksd("add", "Ada", "ada@example.com", "-k", "coffee")
    with rigs.terminal("add", "-k", "coffee") as terminal:
        answer(terminal, ("Whom", "Ada"), ("A digit [1 coffee]", ""), (WHEN, ""), (DETAIL, ""), (PROMISE, ""))
        terminal.until("You added this coffee with Ada today (1). Another one? [y/N]")
        terminal.send("n\r")
        assert terminal.end() == 1
    assert len(thanks()) == 1


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_leave_nothing_behind_and_say_nothing(key: str) -> None:
    with rigs.terminal("add") as terminal:
        answer(terminal, ("Whom", "Ada"), (ADDRESS, "ada@example.com"), (KIND, ""), (WHEN, ""), (DETAIL, "x"))
        terminal.ready(PROMISE)
        terminal.send(key)
        assert terminal.end() == 130
        assert terminal.lines[-1].startswith(PROMISE)
    assert thanks() == []
