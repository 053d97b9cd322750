"""Terminals on bad days: narrow, dumb, without Unicode, closed in the middle. Nothing is lost, torn or half done."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cli_rigs
import pytest
import terminal_rigs as rigs
from cli_rigs import store_file, thanksd
from daemon_rigs import add, confirm, daemon, settings, value

from thanksd.cli.lines import broken

JOSE = "José 李 Álvarez"
FORM = ("Whom did you meet?", "Address (", "A digit [", "When? [now]", "(Enter: later)", "Did you promise")
SMTP = """\
[me]
name = "Sam Lee"
email = "sam@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "localhost"
port = 9
"""

# What a terminal may be like, beside how a name looks on it.
TERMINALS = {
    "narrow": ({}, JOSE),
    "dumb": ({"TERM": "dumb"}, JOSE),
    "POSIX": ({"LC_ALL": "POSIX", "LANG": "C"}, JOSE),
    "latin-1": ({"PYTHONIOENCODING": "iso-8859-1"}, "José \\u674e Álvarez"),
}


@pytest.fixture
def mail(home: Path) -> Path:
    return rigs.configure(home)


@contextmanager
def on(name: str, *words: str) -> Iterator[rigs.Terminal]:
    """Run the program in one of these terminals."""
    environ, _ = TERMINALS[name]
    with rigs.terminal(*words, columns=40 if name == "narrow" else 80, lines=60, **environ) as screen:
        yield screen


def said(screen: rigs.Terminal, name: str) -> str:
    """Give everything that was written, as one line."""
    encoding = TERMINALS[name][0].get("PYTHONIOENCODING", "utf-8")
    return " ".join(screen.raw.decode(encoding).split())


def answer(screen: rigs.Terminal, *texts: str) -> None:
    for text in texts:
        screen.line(text)


def _add_jose() -> None:
    thanksd("add", JOSE, "jose@example.com", "--kind", "coffee", "--detail", "the café", "--after", "1h")


def rows() -> dict[str, int]:
    return cli_rigs.rows(store_file())


# --- lines ---


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "It is not running. Start it: thanksd service install",
            ["It is not running. Start it:", "thanksd service install"],
        ),
        ("     Detail      why you left Rust for it", ["     Detail      why you left Rust for", "     it"]),
        ("Nobody: 李李李李李李李李李李李李李李李李李", ["Nobody:", "李李李李李李李李李李李李李李李李李"]),
        (f"Saved: {'x' * 50} in there", ["Saved:", "x" * 50, "in there"]),
        (f"{'x' * 50}", ["x" * 50]),
        (
            "Try: systemctl --user enable --now thanksd. Without systemd: thanksd run",
            ["Try:", "systemctl --user enable --now thanksd.", "Without systemd: thanksd run"],
        ),
        ("fits", ["fits"]),
        ("", [""]),
    ],
)
def test_a_line_breaks_at_spaces_and_never_within_a_command(text: str, lines: list[str]) -> None:
    assert broken(text, 38) == lines


def test_a_command_wider_than_the_window_stands_alone_and_whole() -> None:
    assert broken("      Set it: thanksd config set me.timezone Europe/Berlin", 30) == [
        "      Set it:",
        "      thanksd config set me.timezone Europe/Berlin",
    ]
    assert broken("      Set it: thanksd config set me.name NAME", 34) == [
        "      Set it:",
        "thanksd config set me.name NAME",
    ]


def test_at_forty_columns_no_word_is_torn_and_piped_lines_stay_whole(mail: Path) -> None:
    assert mail
    _add_jose()
    add(details=["why you left Rust, and what your grandmother said about it when she heard"])
    with daemon():
        for words, code in (
            (("edit", "2"), 2),
            (("add", "A B", "b@c"), 2),
            (("show", "2"), 0),
            (("log",), 0),
            (("people",), 0),
        ):
            seen = []
            for columns in (40, 300):
                with rigs.terminal(*words, columns=columns, lines=90) as screen:
                    assert screen.end() == code
                    seen.append(screen.text)
            assert seen[0].split() == seen[1].split(), words
            assert max(map(len, seen[0].split("\n"))) <= 40
        assert max(map(len, thanksd("show", "2").out.splitlines())) > 80


# --- names on terminals that can't show them ---


@pytest.mark.parametrize("name", TERMINALS)
def test_every_command_works_and_ends_as_anywhere_else(name: str, mail: Path) -> None:
    settings()
    _add_jose()
    shown = TERMINALS[name][1]
    with daemon():
        for words, code in (((), 0), (("show", "1"), 0), (("config",), 0), (("show", "9"), 1)):
            with on(name, *words) as screen:
                assert screen.end() == code
                assert "Traceback" not in screen.text
                if words in ((), ("show", "1")):
                    assert shown.split()[0] in said(screen, name)
        with on(name, "review", "1") as screen:
            screen.ready(shown.split()[0] if name != "latin-1" else "jose@example.com")
            screen.key("s")
            assert screen.end() == 0
    (letter,) = rigs.letters(mail)
    assert b"jose@example.com" in letter.read_bytes()
    assert b"?utf-8?" in letter.read_bytes().lower()


@pytest.mark.parametrize("name", ["narrow", "POSIX"])
def test_what_is_typed_beyond_ascii_is_what_is_stored(name: str, mail: Path) -> None:
    assert mail
    with on(name, "add") as screen:
        answer(screen, "José Álvarez", "jose@example.com", "1", "yesterday 10:00", "the café", "")
        screen.until("Anybody else?")
        screen.close_window()
        screen.end()
    (one,) = thanksd("owed", "--all", "--json").json["thanks"]
    assert (one["person"]["name"], one["details"]) == ("José Álvarez", ["the café"])


def test_an_old_text_that_the_locale_can_not_edit_is_kept_by_enter(mail: Path) -> None:
    assert mail
    add(details=["the café", "the 李 joke"])
    with on("POSIX", "review", "1") as screen:
        screen.key("d")
        screen.until("[the café]")
        screen.send("\r")
        screen.until("[the 李 joke]")
        screen.send("the joke\r")
        screen.until("the joke")
        screen.key("q")
        assert screen.end() == 0
    assert json.loads(value("SELECT details FROM thanks")) == ["the café", "the joke"]


def test_bytes_that_are_no_text_are_asked_for_again(mail: Path) -> None:
    assert mail
    with on("dumb", "add") as screen:
        screen.ready(FORM[0])
        os.write(screen._child.child_fd, b"Jos\xe9\r")
        screen.until("Type it anew.")
        answer(screen, "Grace Hopper", "", "1", "now", "", "")
        screen.until("Grace Hopper, coffee")
    assert value("SELECT name FROM person") == "Grace Hopper"


# --- closed ---


@pytest.mark.parametrize(
    ("question", "how"), [*((question, "SIGHUP") for question in FORM), (FORM[0], "SIGTERM"), (FORM[-1], "window")]
)
def test_the_form_closed_at_a_question_stores_nothing(question: str, how: str, mail: Path) -> None:
    assert mail
    add("Ada Lovelace")
    before = rows()
    with rigs.terminal("add") as screen:
        texts = ("Grace Hopper", "grace@example.com", "1", "yesterday 10:00", "the first bug", "the paper")
        for asked, text in zip(FORM, texts, strict=True):
            screen.ready(asked)
            if asked == question:
                break
            screen.line(text)
        _close(screen, how)
    assert rows() == before


def _close(screen: rigs.Terminal, how: str) -> int:
    """Close the window, or send the signal and see the terminal in its ordinary mode again."""
    if how == "window":
        screen.close_window()
        return screen.end()
    screen.signal(signal.Signals[how])
    code = screen.end()
    assert screen.is_echoing()
    assert "Traceback" not in screen.text
    return code


# What leads to a question of review, and the question.
_REVIEW: dict[str, tuple[Callable[[rigs.Terminal], None], str]] = {
    "letter": (lambda _: None, "? help"),
    "help": (lambda screen: screen.key("?"), "Any key: back"),
    "detail": (lambda screen: screen.key("d"), "Finish it as if"),
    "otherwise": (lambda screen: screen.key("t"), "How? p in person"),
}


@pytest.mark.parametrize(("question", "how"), [*((question, "SIGHUP") for question in _REVIEW), ("detail", "window")])
def test_review_closed_at_a_question_changes_nothing(question: str, how: str, mail: Path) -> None:
    add(after="1s")
    go, words = _REVIEW[question]
    with rigs.terminal("review", "1") as screen:
        screen.ready("? help")
        go(screen)
        screen.until(words)
        screen.until(lambda: screen.text[-1] in ">t")
        _close(screen, how)
    assert value("SELECT state FROM thanks") == "owed"
    assert value("SELECT details FROM thanks") == '["why you left Rust"]'
    assert (rows()["letter"], rigs.letters(mail)) == (0, [])


@pytest.mark.parametrize(("missing", "how"), [("address", "window"), ("detail", "SIGTERM")])
def test_review_closed_at_what_is_missing_changes_nothing(missing: str, how: str, mail: Path) -> None:
    assert mail
    if missing == "address":
        thanksd("add", "Ada", "Lovelace", "--kind", "coffee", "--detail", "why you left Rust")
    else:
        add(details=[])
    before = rows()
    with rigs.terminal("review", "1") as screen:
        screen.ready("address? (Enter" if missing == "address" else "Finish it as if to Ada")
        screen.send("ada@exa")
        screen.until("> ada@exa")
        _close(screen, how)
    assert rows()["letter"] == before["letter"] == 0
    assert value("SELECT state FROM thanks") == "owed"
    assert value("SELECT coalesce(email, '') FROM person") in ("", "ada@example.com")


@pytest.mark.parametrize("how", ["window", "SIGHUP"])
def test_send_closed_before_the_key_sends_nothing(how: str, mail: Path) -> None:
    add()
    with rigs.terminal("send", "1") as screen:
        screen.until("any other key does not.")
        _close(screen, how)
    assert (rows()["letter"], rigs.letters(mail)) == (0, [])


@pytest.mark.parametrize("how", ["window", "SIGTERM"])
def test_send_closed_while_it_counts_down_takes_the_letter_back(how: str, mail: Path) -> None:
    add()
    with rigs.terminal("send", "1") as screen:
        screen.until("any other key does not.")
        _press_when_heard(screen, "s", "leaves in")
        _close(screen, how)
    assert value("SELECT state FROM letter") == "cancelled"
    assert rigs.letters(mail) == []


def _press_when_heard(screen: rigs.Terminal, key: str, answer: str) -> None:
    """Press a key that is dropped while the question is new, until it is heard; the next one would end a countdown."""
    screen.until(lambda: not screen.is_echoing())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rigs, "DEADLINE", 0.6)
        for _ in range(20):
            screen.send(key)
            try:
                screen.until(answer)
            except AssertionError:
                continue
            return
    pytest.fail("no key was heard")


@pytest.mark.parametrize("pasted", ["s\r", "\x1b[200~s\x1b[201~"])
def test_a_paste_into_send_sends_nothing(pasted: str, mail: Path) -> None:
    add()
    with rigs.terminal("send", "1") as screen:
        screen.until("any other key does not.")
        _press_when_heard(screen, pasted, "Not confirmed.")
        assert screen.end() == 1
    assert (rows()["letter"], rigs.letters(mail)) == (0, [])


@pytest.mark.parametrize("how", ["window", "SIGHUP"])
def test_resolve_closed_at_its_question_leaves_the_letter_held(how: str, mail: Path) -> None:
    add()
    confirm(1)
    cli_rigs.change(store_file(), "UPDATE letter SET state = 'held', reason = 'unknown'")
    with rigs.terminal("resolve", "1") as screen:
        screen.ready("it arrived")
        _close(screen, how)
    assert value("SELECT state FROM letter") == "held"
    assert rigs.letters(mail) == []


def test_the_password_question_closed_stores_and_says_nothing(home: Path) -> None:
    rigs.configure(home, text=SMTP)
    with rigs.terminal("credentials", "set") as screen:
        screen.until("(hidden)")
        screen.send("half a pass")
        screen.close_window()
        screen.end()
        assert "half a pass" not in screen.text
    assert not (home / ".local/share/python_keyring").exists()


@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        (("review",), "<&-", 2),
        (("send", "1"), "<&- >&-", 1),
        (("config",), "<&- >&- 2>&-", 0),
        (("doctor", "--offline", "--json"), "<&- >&- 2>&-", 69),
    ],
)
def test_with_streams_closed_nothing_is_asked_done_or_lost(
    words: tuple[str, ...], closed: str, code: int, mail: Path
) -> None:
    add()
    before = rows()
    script = f"exec {shlex.join([rigs.PROGRAM, *words])} {closed}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=60)
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr
    assert (rigs.letters(mail), rows()["letter"], rows()["thanks"]) == ([], 0, before["thanks"])
