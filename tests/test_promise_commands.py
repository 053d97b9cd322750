"""The commands promises, promise and people, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest
import terminal_rigs as rigs


@pytest.fixture(autouse=True)
def mail(home: Path) -> Path:
    return rigs.configure(home)


def test_promises_are_listed_kept_and_taken_back() -> None:
    assert rigs.thanksd("promises") == ""
    rigs.thanksd("add", "Ada Lovelace", "-p", "the paper by tomorrow", "-p", "an intro to Tom")
    first, second = rigs.thanksd("promises").splitlines()
    assert first.split("\t")[:3] == ["1", "Ada Lovelace", "the paper"]
    assert second.split("\t")[2] == "an intro to Tom"
    assert "Ada Lovelace: the paper: kept." in rigs.thanksd("promise", "done", "1")
    assert "the paper" not in rigs.thanksd("promises")
    assert rigs.thanksd("promises", "--all").splitlines()[-1].endswith("kept")
    assert "still to be kept." in rigs.thanksd("promise", "undo", "1")
    assert "There is no promise 7." in rigs.thanksd("promise", "done", "7", code=1)


def test_what_a_person_cares_about_is_noted_shown_and_dropped() -> None:
    rigs.thanksd("add", "Ada Lovelace")
    said = rigs.thanksd("people", "edit", "Ada", "--cares-about", "open compilers", "--source", "coffee in March")
    assert "Cares about open compilers (coffee in March, " in said
    assert "Replied" in rigs.thanksd("people", "edit", "Ada", "--replied")
    assert "open compilers" in rigs.thanksd("people", "show", "Ada")
    assert "open" not in rigs.thanksd("people", "edit", "Ada", "--no-longer", "open")
    assert "Nothing was given to change." in rigs.thanksd("people", "edit", "Ada", code=2)


def test_on_a_terminal_no_promise_is_said_in_words() -> None:
    with rigs.terminal("promises") as terminal:
        assert terminal.end() == 0
        assert "Nothing is promised." in terminal.text
