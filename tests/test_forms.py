"""A note in other forms, and from other hands: a message, a card, the clipboard, an editor, a program of the user's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import desktop_rigs
import parts
import pytest
import terminal_rigs as rigs


@pytest.fixture(autouse=True)
def mail(home: Path) -> Path:
    return rigs.configure(home)


def add(*options: str) -> None:
    rigs.thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "coffee", "-w", "5h ago", *options)


def draft(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rigs.thanksd("draft", "1", *words, "--json"))["draft"]
    return found


def script(folder: Path, text: str, name: str = "program") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


# --- forms ---


def test_a_message_has_one_line_of_200_characters_at_most_and_a_card_three_lines() -> None:
    add("-d", "why you left Rust")
    message, card = (rigs.thanksd("draft", "1", "--as", form) for form in ("short", "card"))
    assert message.startswith("Dear Ada, thank you for the coffee on ")
    assert message.splitlines()[0].endswith(" I keep thinking about why you left Rust. Sam Lee")
    assert len(message.splitlines()[0]) <= 200
    assert [line.split(" on ")[0] for line in card.splitlines()[:3]] == [
        "Dear Ada,",
        "Thank you for the coffee",
        "Sam Lee",
    ]


def test_a_message_that_is_too_long_or_has_no_detail_says_so_and_changes_nothing() -> None:
    add("-d", "the long story of " + "how you moved the whole team from one compiler to the other " * 3)
    codes = {one["code"]: one["severity"] for one in draft("--as", "short")["findings"]}
    assert codes == {"length": "warn"}
    before = draft()
    rigs.thanksd("edit", "1", "-d", "why you left Rust")
    assert draft("--as", "short")["findings"] == []
    assert draft()["body"] != before["body"]
    said = rigs.thanksd("draft", "1", "--as", "short", "--subject", "Hi", code=2)
    assert "--as short is made of what was noted. Nothing was changed." in said


def test_a_message_has_no_room_for_promises_and_is_not_blamed_for_it() -> None:
    add("-d", "why you left Rust", "-p", "the compiler paper by friday")
    assert "paper" not in draft("--as", "short")["body"]
    assert draft("--as", "short")["findings"] == []


def test_a_user_s_template_without_that_form_says_which_block_it_lacks(home: Path) -> None:
    add("-d", "why you left Rust")
    folder = home / ".config/thanksd/templates"
    folder.mkdir(mode=0o700)
    (folder / "coffee.txt.j2").write_text(
        "{% block subject %}Thank you, Ada{% endblock %}{% block body %}x{% endblock %}"
    )
    assert "there is no short block, or it is empty" in rigs.thanksd("draft", "1", "--as", "short", code=65)


def test_a_user_s_template_that_extends_the_frame_has_every_form(home: Path) -> None:
    add("-d", "why you left Rust")
    folder = home / ".config/thanksd/templates"
    folder.mkdir(mode=0o700)
    text = '{% extends "_frame.txt.j2" %}{% block subject %}Thanks for the tea, Ada{% endblock %}{% block body %}x{% endblock %}'
    (folder / "coffee.txt.j2").write_text(text)
    assert draft()["subject"] == "Thanks for the tea, Ada"
    assert "thanks for the tea, Ada. I keep thinking" in draft("--as", "short")["body"]


@pytest.fixture
def screen() -> Iterator[str]:
    parts.need("Xvfb", "xclip", "setpriv")
    with desktop_rigs.screen() as display:
        yield display


def test_a_message_goes_onto_the_clipboard(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    add("-d", "why you left Rust")
    text = draft("--as", "short", "--copy")["body"]
    done = subprocess.run(["xclip", "-selection", "clipboard", "-o"], capture_output=True, text=True, check=True)
    assert done.stdout == text


def test_without_a_desktop_nothing_is_copied_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    add("-d", "why you left Rust")
    assert "Nothing here can copy" in rigs.thanksd("draft", "1", "--as", "short", "--copy", code=69)


# --- the editor ---


def test_the_editor_shows_facts_and_findings_below_the_letter_and_none_of_it_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("-d", "why she left Rust", "-p", "the paper by friday", "--place", "Café Einstein")
    seen = tmp_path / "seen"
    monkeypatch.setenv("EDITOR", script(tmp_path, f'cp "$1" {seen}; sed -i "s/the coffee/the tea/" "$1"'))
    body = draft("--edit")["body"]
    below = seen.read_text(encoding="utf-8").partition("# ---------- 8<")[2]
    for words in ("# Ada Lovelace, coffee, ", "# Place: Café Einstein", "# Detail: why she left Rust",
                  "# Promise: the paper, by Fri", "# warn   third-person: say it to them, with you: she."):  # fmt: skip
        assert words in below
    assert "the tea" in body
    assert "#" not in body
    assert "Detail" not in body


def test_lines_of_the_letter_that_begin_with_a_hash_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("-d", "why you left Rust")
    monkeypatch.setenv("EDITOR", script(tmp_path, 'sed -i "s/^You must/# 1 is you\\n\\nYou must/" "$1"'))
    assert "\n# 1 is you\n" in draft("--edit")["body"]


def test_an_empty_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("-d", "why you left Rust")
    before = draft()
    monkeypatch.setenv("EDITOR", script(tmp_path, ': >"$1"'))
    assert "Nothing was changed." in rigs.thanksd("draft", "1", "--edit")
    assert draft() == before


def test_a_letter_emptied_above_the_line_is_refused_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("-d", "why you left Rust")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("EDITOR", script(tmp_path, 'sed -i "2,/8</{/8</!d}" "$1"'))
    assert "The letter is empty. Nothing was changed." in rigs.thanksd("draft", "1", "--edit", code=65)


def test_after_an_edit_that_is_blocked_its_writer_may_edit_again(tmp_path: Path) -> None:
    add("-d", "why you left Rust")
    count = tmp_path / "count"
    program = script(
        tmp_path,
        f'echo x >>{count}; if [ $(wc -l <{count}) = 1 ]; then sed -i "s/^You must/You must [Name]/" "$1";'
        ' else sed -i "s/ \\[Name\\]//" "$1"; fi',
    )
    with rigs.terminal("draft", "1", "--edit", EDITOR=program) as terminal:
        terminal.until("e edits it again")
        assert "block  gap: something is still to be filled in: [Name]." in terminal.text
        terminal.send("e")
        assert terminal.end() == 0
    assert count.read_text().count("x") == 2
    assert [one["code"] for one in draft()["findings"]] == []


# --- a program of the user's ---


def test_a_program_of_the_user_s_gets_the_facts_and_what_it_writes_is_checked(tmp_path: Path) -> None:
    add("-d", "why you left Rust")
    facts = tmp_path / "facts.json"
    program = script(
        tmp_path, f"cat >{facts}; printf 'Subject: Tea, and thank you\\n\\nDear Adam,\\n\\nwhy you left Rust'"
    )
    assert "No program is set to write drafts." in rigs.thanksd("draft", "1", "--by-command", code=78)
    rigs.thanksd("config", "set", "draft.command", program)
    made = draft("--by-command")
    assert (made["subject"], made["body"]) == ("Tea, and thank you", "Dear Adam,\n\nwhy you left Rust")
    assert {"greeting", "length"} <= {one["code"] for one in made["findings"]}
    known = json.loads(facts.read_text(encoding="utf-8"))
    assert (known["person"]["name"], known["details"]) == ("Ada Lovelace", ["why you left Rust"])


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("exit 3", 69, "failed"),
        ("true", 65, "wrote nothing"),
        ("printf '\\377\\376'", 65, "not UTF-8"),
    ],
)
def test_a_program_that_fails_changes_nothing(tmp_path: Path, text: str, code: int, said: str) -> None:
    add("-d", "why you left Rust")
    rigs.thanksd("config", "set", "draft.command", script(tmp_path, text))
    before = draft()
    assert said in rigs.thanksd("draft", "1", "--by-command", code=code)
    assert draft() == before
    assert os.environ.get("HOME")


# --- templates ---


def test_a_sample_comes_in_every_language_register_and_form() -> None:
    assert "Sehr geehrte Frau Dr. " in rigs.thanksd(
        "templates", "show", "coffee", "--sample", "--lang", "de", "--seniority", "above"
    )
    assert len(rigs.thanksd("templates", "show", "gift", "--sample", "--lang", "ja", "--as", "short").strip()) <= 200
    assert "Gracias por" in rigs.thanksd("templates", "show", "coffee", "--lang", "es")


def test_a_new_template_opens_in_the_editor_and_is_checked(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", script(tmp_path, 'sed -i "s/variant == 3/varient == 3/" "$1"'))
    said = rigs.thanksd("templates", "new", "coffee", "--lang", "de", "--edit")
    path = home / ".config/thanksd/templates/de/coffee.txt.j2"
    assert f"{path}:" in said
    assert "'varient' is undefined" in said
