"""The asking form of `thanksd add`, in a real pseudo-terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import terminal_rigs as rigs

ADDRESS, KIND, WHEN = "Address (Enter: none yet)", "A digit [", "When? [now]"
DETAIL, PROMISE = "(Enter: later)", "Did you promise something? (Enter: no)"
MORE = "Anybody else? [Enter: no]"


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
        answer(terminal, (DETAIL, "how you debug"), (PROMISE, "send the notes"), (MORE, ""))
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
            (MORE, "no"),
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
        answer(terminal, (KIND, ""), (WHEN, ""), (DETAIL, ""), (PROMISE, ""), (MORE, ""))
        assert terminal.end() == 0
    assert [one["person"]["name"] for one in thanks()] == ["José Álvarez", "Ada Lovelace", "José Álvarez"]
    assert thanks()[2]["meeting"]["kind"] == "meal"


def test_an_address_with_the_name_is_not_asked_again() -> None:
    with rigs.terminal("add") as terminal:
        terminal.line("Ada Lovelace ada@example.com")
        assert "Address" not in terminal.ready(KIND)


def test_what_can_not_be_understood_is_said_and_asked_again_with_an_empty_line() -> None:
    with rigs.terminal("add") as terminal:
        answer(terminal, ("Whom", ""))
        terminal.ready("Nobody was named.")
        answer(terminal, ("Whom", "Ada Lovelace"), (ADDRESS, "ada at home"))
        terminal.ready("can go to: ada at home")
        assert terminal.lines[-1] == "Address (Enter: none yet)"
        terminal.send("ada@gmial.com\r")
        answer(terminal, ("gmail.com? [Y/n]", "n"), (KIND, "tennis"))
        terminal.ready("There is no kind of meeting 'tennis'.")
        assert terminal.lines[-1] == "A digit [0 general]"
        answer(terminal, (KIND, "lunch"), (WHEN, "yesteday 10:00"))
        terminal.ready('Did you mean "yesterday 10:00"?')
        assert terminal.lines[-1] == "When? [now]"
        terminal.send("yesterday 10:00\r")
        answer(terminal, (DETAIL, ""), (PROMISE, ""), (MORE, ""))
        assert terminal.end() == 0
    (one,) = thanks()
    assert (one["person"]["email"], one["meeting"]["kind"]) == ("ada@gmial.com", "meal")


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
        answer(terminal, (PROMISE, ""), (MORE, ""))
        assert terminal.end() == 0
    assert thanks()[0]["details"] == ["how you teach"]


def test_the_same_meeting_again_is_asked_about() -> None:
    rigs.thanksd("add", "Ada", "ada@example.com", "-k", "coffee")
    with rigs.terminal("add", "-k", "coffee") as terminal:
        answer(terminal, ("Whom", "Ada"), ("A digit [1 coffee]", ""), (WHEN, ""), (DETAIL, ""), (PROMISE, ""))
        terminal.until("You added this coffee with Ada today (1). Another one? [y/N]")
        terminal.send("n\r")
        terminal.ready("Nothing was stored.", MORE)
        terminal.line("")
        assert terminal.end() == 1
    assert len(thanks()) == 1


# --- one after the other ---


def test_the_form_goes_on_with_the_next_one_and_keeps_kind_when_and_place() -> None:
    rigs.thanksd("add", "Chen Wei", "chen@example.com", "-k", "gift", "-w", "3 days ago")
    with rigs.terminal("add", "--place", "the meetup", lines=40) as terminal:
        answer(
            terminal,
            ("Whom", "Ada Lovelace ada@example.com"),
            (KIND, "3"),
            (WHEN, "yesterday 18:00"),
            (DETAIL, "why you left Rust"),
            (PROMISE, "the paper by friday"),
            (MORE, "chen wei"),
            ("A digit [3 event]", ""),
            ("When? [yesterday 18:00]", ""),
            (DETAIL, ""),
            (PROMISE, ""),
            # What was meant may be wrong only here: it is asked for, as the first one's was.
            (MORE, "Bob, Eve b@example.com"),
            (KIND, ""),
            (WHEN, ""),
            (DETAIL, ""),
            (PROMISE, ""),
        )
        terminal.until("Whom did you meet? Bob, Eve b@example.com")
        terminal.send("\x15Bob b@example.com\r")
        answer(terminal, ("A digit [3 event]", "1"), (WHEN, "today 00:00"), (DETAIL, ""), (PROMISE, ""), (MORE, "n"))
        assert terminal.end() == 0
        assert "Address" not in terminal.text
    _, ada, chen, bob = thanks()
    assert [one["meeting"]["place"] for one in (ada, chen, bob)] == ["the meetup"] * 3
    assert [one["meeting"]["kind"] for one in (ada, chen, bob)] == ["event", "event", "coffee"]
    assert ada["meeting"]["at"] == chen["meeting"]["at"] != bob["meeting"]["at"]
    assert (ada["details"], chen["details"], chen["promises"]) == (["why you left Rust"], [], [])
    assert chen["person"]["email"] == "chen@example.com"


QUESTIONS = [
    ("Whom", "Grace Hopper"), (ADDRESS, "grace@example.com"), (KIND, ""), (WHEN, ""), (DETAIL, "how you debug"),
    (PROMISE, "the notes"), (MORE, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("leave", "number"), [("Ctrl-C", 4), *(("window", number) for number in range(len(QUESTIONS)))]
)
def test_who_leaves_in_the_middle_loses_nothing_that_was_echoed_and_leaves_nothing_half(
    leave: str, number: int
) -> None:
    with rigs.terminal("add", lines=40) as terminal:
        answer(terminal, *QUESTIONS[:-1])
        # The second one: its first question is whether there is one.
        told = [(MORE, "Alan Kay"), (ADDRESS, "alan@example.com"), *QUESTIONS[2:-1]]
        answer(terminal, *told[:number])
        terminal.ready((MORE, *(question for question, _ in told[1:]), MORE)[number])
        if leave == "window":
            terminal.close_window()
            assert terminal.end() != 0
        else:
            terminal.interrupt()
            assert terminal.end() == 130
    assert [one["person"]["name"] for one in thanks()] == ["Grace Hopper", *["Alan Kay"][: number == len(told)]]


# --- fewer keys ---


def keystrokes(*typed: str) -> int:
    return sum(map(len, typed))


def test_somebody_known_is_added_in_at_most_forty_keystrokes_in_the_form() -> None:
    rigs.thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "meal", "-w", "3 days ago")
    typed = [("Whom", "ad\tx"), (KIND, "1"), (WHEN, ""), (DETAIL, "why you left Rust"), (PROMISE, ""), (MORE, "")]
    typed[0] = ("Whom", "ad\t")
    with rigs.terminal("add") as terminal:
        answer(terminal, typed[0])
        assert "Whom did you meet? Ada Lovelace" in terminal.ready("You know Ada Lovelace <ada@example.com>.")
        answer(terminal, *typed[1:])
        assert terminal.end() == 0
    assert keystrokes("thanksd add\r", *(f"{text}\r" for _, text in typed)) <= 40
    assert [one["person"]["name"] for one in thanks()] == ["Ada Lovelace"] * 2
    assert (thanks()[1]["meeting"]["kind"], thanks()[1]["details"]) == ("coffee", ["why you left Rust"])


def test_somebody_known_is_added_in_at_most_forty_keystrokes_on_the_command_line() -> None:
    rigs.thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "meal", "-w", "3 days ago")
    line = "thanksd add ada lovelace -k c -w mon\r"
    assert keystrokes(line) <= 40
    with rigs.terminal("-ic", line.rstrip("\r").replace("thanksd", rigs.PROGRAM, 1), program="bash") as terminal:
        assert terminal.end() == 0
    assert [(one["person"]["name"], one["meeting"]["kind"]) for one in thanks()] == [
        ("Ada Lovelace", "meal"),
        ("Ada Lovelace", "coffee"),
    ]


def test_each_one_of_a_meeting_is_asked_about_on_a_terminal_and_gets_a_detail_of_their_own() -> None:
    with rigs.terminal("add", "Ada", "-d", "why you left Rust", "--with", "Chen Wei", "--with", "Bob") as terminal:
        terminal.ready('Finish it as if to Chen: "I keep thinking about ..."')
        terminal.line("how you teach")
        terminal.ready('Finish it as if to Bob: "I keep thinking about ..."')
        terminal.line("")
        assert terminal.end() == 0
    assert [one["details"] for one in thanks()] == [["why you left Rust"], ["how you teach"], []]
    assert len({one["meeting"]["id"] for one in thanks()}) == 1


def test_the_form_asks_for_each_ones_detail_and_without_a_terminal_all_share_the_one_given() -> None:
    with rigs.terminal("add", "--with", "Chen Wei") as terminal:
        answer(terminal, ("Whom", "Ada ada@example.com"), (KIND, ""), (WHEN, ""), ("to Ada", "your talk"))
        answer(terminal, ("to Chen", "your question"), (PROMISE, ""), (MORE, ""))
        assert terminal.end() == 0
    rigs.thanksd("add", "Eve", "--with", "Dan", "-d", "the dinner")
    assert [one["details"] for one in thanks()] == [["your talk"], ["your question"], ["the dinner"], ["the dinner"]]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_leave_nothing_behind_and_say_nothing(key: str) -> None:
    with rigs.terminal("add") as terminal:
        answer(terminal, ("Whom", "Ada"), (ADDRESS, "ada@example.com"), (KIND, ""), (WHEN, ""), (DETAIL, "x"))
        terminal.ready(PROMISE)
        terminal.until(terminal.is_waiting)
        terminal.send(key)
        assert terminal.end() == 130
        assert terminal.lines[-1].startswith(PROMISE)
    assert thanks() == []
