"""`thanksd review` as its reader meets it: the real program in a real pseudo-terminal, letters into a real Maildir."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import program_rigs
import pytest
import terminal_rigs as rigs

NO_ACCOUNT = '[me]\nname = "Sam Lee"\nemail = "sam.lee@example.org"\ntimezone = "Europe/Berlin"\n'


@pytest.fixture(autouse=True)
def mail(home: Path) -> Path:
    return rigs.configure(home)


def add(
    name: str = "Ada Lovelace", *options: str, email: str = "ada@example.com", detail: str = "why you left Rust"
) -> None:
    """Note a coffee of five hours ago: due, and in time until tomorrow."""
    details = ["-d", detail] if detail else []
    rigs.thanksd("add", name, *([email] if email else []), "-k", "coffee", "-w", "5h ago", *details, *options)


def thanks() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rigs.thanksd("owed", "--all", "--json"))["thanks"]
    return sorted(found, key=lambda one: int(one["id"]))


def states() -> list[str]:
    return [one["state"] for one in thanks()]


def body_of(letter: Path) -> str:
    return str(message_from_bytes(letter.read_bytes(), policy=default).get_content())


def until(happened: Any) -> None:
    end = time.monotonic() + rigs.DEADLINE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def daemon() -> Iterator[None]:
    process = program_rigs.Program([rigs.PROGRAM, "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: list((Path(os.environ["XDG_RUNTIME_DIR"]) / "thanksd").glob("*.sock")))
        yield
    finally:
        process.terminate()
        process.wait(20)


# --- the screen ---


def test_the_screen_shows_everything_in_the_order_of_the_drawing(mail: Path) -> None:
    add("Ada Lovelace", "--place", "Café Einstein")
    with rigs.terminal("review") as terminal:
        text = terminal.ready("? help")
        labels = [
            *("Thanks 1, 1 of 1 due", "best by to", "h left", "To       Ada Lovelace <ada@example.com>"),
            *("From     Sam Lee <sam.lee@example.org>", f"Save in {mail} (nobody is mailed)"),
            *("Subject  Thank you for the coffee", "You know coffee, ", 'Café Einstein; "why you left Rust"'),
            *("-" * 80, "Dear Ada,", "why you left Rust.", "Sam Lee", "-" * 80, "Findings none. 64 words. sha256 "),
            *("Leaves   30 s after s, today about ", "; u takes it back until then"),
            " s send   e edit   d detail   a another wording   l later\n",
            " w not needed   t thanked otherwise   n next   u undo   q quit   ? help\n>",
        ]
        at = 0
        for label in labels:
            assert label in text[at:], f"{label!r} is missing or in another place:\n{text}"
            at = text.index(label, at) + len(label)
        assert len(terminal.lines) <= 24


def test_forty_columns_and_wide_characters_break_no_line() -> None:
    add("王小明 " + "長" * 60, "--place", "京都の喫茶店" * 5, email="wang@example.com")
    with rigs.terminal("review", columns=40, lines=40) as terminal:
        terminal.ready("? help")
        assert terminal.lines[0].startswith("Thanks 1, 1 of 1 due")
        assert terminal.lines[1].startswith("best by to")
        assert terminal.lines.count("-" * 40) in (1, 2, 3)
        terminal.key("q")
        assert terminal.end() == 0
    plain = terminal.raw.decode().split("\x1b[2J")[1].split("\r\n\x1b[?2004h")[0]
    from wcwidth import wcswidth  # noqa: PLC0415  for this test only

    widths = [wcswidth(line) for line in plain.split("\r\n")]
    assert max(widths) <= 40
    assert widths[0] > 0


def test_a_window_that_changes_its_size_is_drawn_anew() -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.ready("-" * 80)
        terminal.resize(100, 30)
        terminal.until("-" * 100)
        assert terminal.lines[0].startswith("Thanks 1")


def test_a_dumb_terminal_gets_the_same_text_without_escape_codes() -> None:
    add()
    with rigs.terminal("review", lines=60, TERM="dumb") as terminal:
        text = terminal.ready("Thanks 1, 1 of 1 due", "Dear Ada,", "Sam Lee", "Findings none", "q quit")
        assert text.endswith("Key:")
        terminal.key("n")
        assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw
    assert "0 thanked. This month " in terminal.text


def test_data_can_not_command_the_terminal(home: Path) -> None:
    add()
    add("Chen Wei", email="chen@example.com")
    rigs.thanksd("draft", "1", "--subject", "My own")
    store = sqlite3.connect(home / ".local/share/thanksd/thanksd.db")
    with store:
        store.execute("UPDATE person SET name = ? WHERE id = 2", ("Chen \x1b[31m\u202eieW \x07\x9b2J",))
        store.execute("UPDATE meeting SET place = ?", ("here\x1b]0;owned\x07",))
    store.close()
    with rigs.terminal("review") as terminal:
        terminal.ready("Subject  My own", r"here\x1b]0;owned\x07; ")
        terminal.key("n")
        terminal.ready(r"Chen \x1b[31m\u202eieW \x07\x9b2J", "n next")
    for hostile in ("\x1b[31m", "\x1b]0", "\u202e", "\x9b", "\x07"):
        assert hostile.encode() not in terminal.raw


def test_an_address_beyond_ascii_is_shown_as_the_envelope_has_it_and_as_it_reads() -> None:
    add("Jörg", email="joerg@müller.example")
    with rigs.terminal("review") as terminal:
        terminal.ready("Jörg <joerg@xn--mller-kva.example>, that is joerg@müller.example")


def test_the_keys_explain_themselves() -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("?")
        terminal.ready("take back the last thing done in this review", "Any key: back")
        terminal.key("?")
        terminal.ready("Dear Ada,")


# --- sending ---


def test_s_counts_down_and_saves_exactly_what_was_shown(mail: Path) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.until("leaves in")
        assert rigs.letters(mail) == []
        terminal.send("\r")
        assert terminal.end() == 0
        assert "Saved: " in terminal.text
        assert "Sent" not in terminal.text
        assert "1 thanked. This month " in terminal.text
    (letter,) = rigs.letters(mail)
    assert "I keep thinking about why you left Rust." in " ".join(body_of(letter).split())
    assert states() == ["thanked"]


def test_the_hold_ends_by_itself(home: Path) -> None:
    mail = rigs.configure(home, undo="2s")
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        assert terminal.end() == 0
    assert len(rigs.letters(mail)) == 1


def test_enter_space_and_pastes_never_send() -> None:
    add()
    with rigs.terminal("review") as terminal:
        for typed in ("\r", " ", "ss", "s\r", "\x1b[200~s\x1b[201~", "\x1bOs", "\x1b[200~ pasted s\rs"):
            terminal.key(typed)
            terminal.ready("Dear Ada,")
        terminal.key("q")
        assert terminal.end() == 0
    assert states() == ["due"]
    assert "confirmed" not in rigs.thanksd("log")


@pytest.mark.parametrize("opened", ["", "popup"])
def test_keys_typed_before_the_prompt_are_dropped(opened: str) -> None:
    add()
    for _ in range(5):
        with rigs.terminal("review", THANKSD_OPENED=opened) as terminal:
            terminal.send("s")
            terminal.until("? help")
            # Stopped, so that it can't come to its prompt between our look and our key.
            if terminal.type_while_stopped("s", before=">"):
                terminal.until(lambda: terminal.text.endswith(">"))
                terminal.key("q")
                assert terminal.end() == 0
                assert states() == ["due"]
                return
    pytest.fail("the prompt came before anything could be typed")


def test_a_long_letter_is_sent_only_after_its_last_line_was_shown() -> None:
    add("Ada Lovelace", detail="how you explained monads to me. " * 20)
    with rigs.terminal("review") as terminal:
        first = terminal.ready("more lines: press space")
        assert "With best wishes," not in first
        terminal.key("s")
        refused = terminal.ready("more lines: press space\n>")
        assert refused.count("more lines: press space") == 2
        while "With best wishes," not in terminal.ready("Findings"):
            terminal.key(" ")
        terminal.ready("the end; space: from the top", "Sam Lee")
        terminal.key("s")
        terminal.until("leaves in")
        assert states() == ["confirmed"]


def test_a_letter_that_changed_meanwhile_is_shown_again_before_it_goes(mail: Path) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.ready("about why you left Rust.")
        rigs.thanksd("edit", "1", "-d", "how you teach")
        terminal.key("s")
        terminal.ready("The letter changed meanwhile, and nothing was sent. This is the new one.", "how you teach.")
        terminal.key("s")
        terminal.until("leaves in")
        terminal.send("\r")
        assert terminal.end() == 0
    (letter,) = rigs.letters(mail)
    assert "how you teach" in body_of(letter)


def test_a_blocked_letter_goes_only_on_the_readers_own_word(mail: Path) -> None:
    add()
    body = rigs.thanksd("draft", "1").partition("\n\n")[2].replace("Dear Ada", "Dear Adam")
    done = program_rigs.run([rigs.PROGRAM, "draft", "1", "--body-file", "-"], stdin=body.encode())
    assert done.returncode == 0
    assert b"block" in done.stdout
    with rigs.terminal("review", lines=40) as terminal:
        terminal.ready(
            'block  greeting: the letter says "Dear Adam", the person is Ada.\n       e edit   o send anyway (recorded)'
        )
        terminal.key("s")
        terminal.ready("Blocked: greeting\n>")
        terminal.key("o")
        terminal.until("leaves in")
        terminal.send("\r")
        assert terminal.end() == 0
    assert len(rigs.letters(mail)) == 1
    assert "sent although blocked: greeting" in rigs.thanksd("log", "1")


def test_o_sends_nothing_that_nothing_blocks() -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("o")
        terminal.ready("Nothing blocks it: s sends.")


def test_without_a_mail_account_the_draft_is_shown_and_s_refuses(home: Path) -> None:
    rigs.configure(home, text=NO_ACCOUNT)
    add()
    with rigs.terminal("review") as terminal:
        terminal.ready("Dear Ada,", "no mail account is set up")
        terminal.key("s")
        terminal.ready("Not sent: no mail account is set up.\nSet one up: thanksd init\n>")
        terminal.key("q")
        assert terminal.end() == 78
    assert states() == ["due"]


# --- taking back ---


def test_u_takes_the_letter_back_during_the_countdown(mail: Path) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.until("Enter sends now")
        terminal.send("u")
        assert terminal.end() == 1
        assert "Taken back: Ada's letter. Your text is kept. Due again." in terminal.text
    assert rigs.letters(mail) == []
    assert states() == ["due"]


def test_u_takes_back_the_last_one_while_the_next_is_on_the_screen(mail: Path) -> None:
    add()
    add("Chen Wei", email="chen@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("u")
        terminal.ready("Nothing was done in this review yet.")
        terminal.key("s")
        text = terminal.ready("Thanks 2, 2 of 2 due", "Dear Chen,")
        assert text.startswith("Ada: leaves when this review ends (u takes it back).\n")
        terminal.key("u")
        text = terminal.ready("Thanks 1, 1 of 2 due", "Dear Ada,")
        assert text.startswith("Taken back: Ada's letter. Your text is kept. Due again.\n")
        terminal.key("w")
        terminal.ready("Ada: not needed (u takes it back).", "Dear Chen,")
        terminal.key("u")
        terminal.ready("Taken back: not needed for Ada Lovelace.", "Dear Ada,")
        terminal.key("q")
        assert terminal.end() == 0
    assert rigs.letters(mail) == []
    assert states() == ["due", "due"]


@pytest.mark.parametrize("how", ["window", "SIGHUP", "SIGTERM"])
def test_a_closed_window_takes_back_what_nothing_would_send(mail: Path, how: str) -> None:
    add()
    add("Chen Wei", email="chen@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready("2 of 2 due")
        if how == "window":
            terminal.close_window()
        else:
            terminal.signal(signal.Signals[how])
        terminal.end()
    assert states() == ["due", "due"]
    assert "taken back: letter" in rigs.thanksd("log", "1")
    assert rigs.letters(mail) == []


def test_a_window_closed_during_the_countdown_takes_the_letter_back(mail: Path) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.until("leaves in")
        terminal.close_window()
        terminal.end()
    assert states() == ["due"]
    assert rigs.letters(mail) == []


def test_ctrl_c_is_quiet_takes_back_and_leaves_the_terminal_as_it_was() -> None:
    add()
    add("Chen Wei", email="chen@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready("2 of 2 due")
        terminal.interrupt()
        terminal.until("Taken back: Ada's letter.")
        assert terminal.is_echoing()
        assert terminal.end() == 130
        assert "Traceback" not in terminal.text
    assert states() == ["due", "due"]


# --- answering without a letter, and writing ---


def test_later_not_needed_otherwise_and_next_are_one_key_each() -> None:
    for name in ("Ada", "Chen", "Tom", "Grace"):
        add(name, email=f"{name.lower()}@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("l")
        terminal.ready("Ada: later, ", "(u takes it back).", "2 of 4")
        terminal.key("w")
        terminal.ready("Chen: not needed (u takes it back).", "3 of 4")
        terminal.key("t")
        terminal.until("How? p in person   h by phone   c by card   o otherwise")
        terminal.key("h")
        text = terminal.ready("Tom: thanked otherwise (u takes it back).", "4 of 4")
        assert "Chen" not in text
        terminal.key("n")
        assert terminal.end() == 0
        assert "1 thanked. This month " in terminal.text
    assert states() == ["snoozed", "waived", "thanked", "due"]
    assert "thanked otherwise: by phone" in rigs.thanksd("log", "3")


def test_the_last_answer_says_how_to_take_it_back_afterwards() -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("w")
        assert terminal.end() == 0
        assert "Ada: not needed. A slip? thanksd undo 1" in terminal.text


def test_a_gap_is_one_question_and_the_answer_is_in_the_letter() -> None:
    add(detail="")
    with rigs.terminal("review") as terminal:
        text = terminal.ready("Enter alone: skip for now    q quit")
        assert "Dear Ada, thank you for the coffee" in text
        assert "I keep thinking about ... Finish" in " ".join(text.split())
        assert "Finish it as if to Ada, for example: why you left Rust" in text
        assert "s send" not in text
        assert terminal.lines[-1].startswith(">")
        terminal.line("why you left C")
        terminal.ready("about why you left C.", "Findings none", "s send")
    assert thanks()[0]["details"] == ["why you left C"]


def test_enter_at_the_gap_skips_for_now() -> None:
    add(detail="")
    add("Chen Wei", email="chen@example.com")
    with rigs.terminal("review", "1", "2") as terminal:
        terminal.line("")
        terminal.ready("Thanks 2, 2 of 2 due", "Dear Chen,")
        terminal.key("q")
        assert terminal.end() == 0
    assert states() == ["due", "due"]


def test_a_missing_address_is_asked_first_and_a_mistyped_provider_is_noticed() -> None:
    add(email="")
    with rigs.terminal("review") as terminal:
        terminal.ready("Ada's address? (Enter: thanked another way)")
        terminal.line("ada at home")
        terminal.ready("there is no @", "Ada's address?")
        terminal.line("ada@gmial.com")
        terminal.ready("gmail.com? [Y/n]")
        terminal.line("")
        terminal.ready("To       Ada Lovelace <ada@gmail.com>", "s send")


def test_enter_at_the_address_asks_how_and_enter_again_closes_nothing() -> None:
    add(email="")
    with rigs.terminal("review") as terminal:
        for _ in range(2):
            terminal.line("")
            terminal.until("other keys: not yet")
            terminal.key("\r")
            terminal.ready("Nothing was changed.", "Ada's address?")
        assert states() == ["due"]
        terminal.line("")
        terminal.until("other keys: not yet")
        terminal.key("c")
        assert terminal.end() == 0
        assert "Ada: thanked otherwise. A slip? thanksd undo 1" in terminal.text
    assert states() == ["thanked"]
    assert "thanked otherwise: by card" in rigs.thanksd("log", "1")


def test_an_address_that_letters_come_back_from_is_named_and_asked_for_anew(mail: Path) -> None:
    add()
    rigs.thanksd("send", "1", "--yes", "--now")
    rigs.thanksd("resolve", "1", "--bounced")
    with rigs.terminal("review") as terminal:
        text = terminal.ready("ada@example.com came back.", "Ada's address?")
        assert text.index("came back.") < text.index("Ada's address?")
        terminal.line("ada@example.org")
        terminal.ready("To       Ada Lovelace <ada@example.org>", "s send")
    assert len(rigs.letters(mail)) == 1


def test_the_words_of_another_way_can_be_ones_own() -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("t")
        terminal.key("o")
        terminal.line("over lunch")
        assert terminal.end() == 0
    assert "thanked otherwise: over lunch" in rigs.thanksd("log", "1")


def test_a_key_and_enter_answer_a_question_as_the_key_answers_a_letter() -> None:
    add("Ada", email="")
    add("Chen", email="chen@example.com", detail="")
    add("Tom", email="")
    add("Grace", email="grace@example.com", detail="")
    add("Alan", email="")
    with rigs.terminal("review") as terminal:
        terminal.ready("Ada's address?", "Or with Enter:   l later   w not needed   t thanked otherwise")
        terminal.line("l")
        terminal.ready("Ada: later, ", "2 of 5", "Finish it as if to Chen")
        terminal.line("w")
        terminal.ready("Chen: not needed (u takes it back).", "3 of 5")
        terminal.line("u")
        terminal.ready("Taken back: not needed for Chen.", "2 of 5")
        terminal.line("w")
        terminal.ready("Tom's address?")
        terminal.line("t")
        terminal.key("p")
        terminal.ready("Tom: thanked otherwise", "4 of 5")
        terminal.line("n")
        terminal.ready("5 of 5")
        terminal.line("q")
        assert terminal.end() == 0
    assert states() == ["snoozed", "waived", "thanked", "due", "due"]


def test_ctrl_c_leaves_a_question_and_takes_back_no_letter(mail: Path) -> None:
    add()
    add("Chen Wei", email="")
    add("Tom O'Neil", email="tom@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready("2 of 3 due", "Chen's address?")
        terminal.line("chen@gmial.com")
        terminal.ready("gmail.com? [Y/n]")
        terminal.interrupt()
        terminal.ready("2 of 3 due", "Nothing was changed.", "Chen's address?")
        terminal.interrupt()
        terminal.ready("3 of 3 due", "s send")
        terminal.key("d")
        terminal.until("> why you left Rust")
        terminal.interrupt()
        terminal.ready("Nothing was changed.", "s send")
        assert states() == ["confirmed", "due", "due"]
        terminal.key("q")
        terminal.until("leaves in")
        terminal.send("\r")
        assert terminal.end() == 0
    assert states() == ["thanked", "due", "due"]
    assert len(rigs.letters(mail)) == 1


def test_the_first_week_ends_a_review_with_a_word_of_encouragement(home: Path) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("n")
        assert terminal.end() == 0
        assert "0 thanked. This month " in terminal.text
        assert "People are gladder of these than senders expect." in terminal.text
    with contextlib.closing(sqlite3.connect(home / ".local/share/thanksd/thanksd.db")) as store, store:
        store.execute("UPDATE thanks SET created_at = datetime(created_at, '-7 days')")
    with rigs.terminal("review") as terminal:
        terminal.key("n")
        assert terminal.end() == 0
        assert "0 thanked. This month " in terminal.text
        assert "gladder" not in terminal.text


def test_the_detail_key_gives_the_old_text_to_edit() -> None:
    add(detail="why she left Rust")
    with rigs.terminal("review", lines=40) as terminal:
        terminal.ready("warn  third-person:")
        terminal.key("d")
        terminal.until("> why she left Rust")
        terminal.send("\x01\x1bf\x1bb" + "\x0b" + "why you left Rust\r")
        terminal.ready("about why you left Rust.", "Findings none")
    assert thanks()[0]["details"] == ["why you left Rust"]


def test_another_wording_and_back_keeps_a_text_of_ones_own() -> None:
    add()
    rigs.thanksd("draft", "1", "--subject", "My own subject")
    with rigs.terminal("review") as terminal:
        terminal.ready("Subject  My own subject")
        terminal.key("a")
        terminal.ready("In the words of: coffee/2")
        assert "My own subject" not in terminal.text
        terminal.key("a")
        terminal.ready("In the words of: coffee/3")
        terminal.key("a")
        terminal.ready("In the words of: coffee\n", "Subject  My own subject")


def editor(folder: Path, script: str) -> str:
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def test_the_editor_gets_a_private_file_and_what_it_leaves_is_the_letter(tmp_path: Path) -> None:
    add()
    seen = tmp_path / "seen"
    command = editor(
        tmp_path,
        f'stat -c "%a %n" "$2" "$(dirname "$2")" >{seen}; sed -i "s/^Subject: .*/Subject: Thanks, Ada/; s/Rust/C/" "$2"',
    )
    with rigs.terminal("review", EDITOR="false", VISUAL=f"{command} --wait") as terminal:
        terminal.key("e")
        terminal.ready("Subject  Thanks, Ada", "why you left C.")
        terminal.key("n")
        assert terminal.end() == 0
    file, folder = seen.read_text().splitlines()
    assert (file.split()[0], folder.split()[0]) == ("600", "700")
    assert not Path(folder.split()[1]).exists()


def test_an_editor_that_fails_changes_nothing() -> None:
    add()
    with rigs.terminal("review", EDITOR="false") as terminal:
        terminal.key("e")
        terminal.ready("The editor ended with 1. Nothing was changed.", "why you left Rust.")
    with rigs.terminal("review", EDITOR="no-such-editor") as terminal:
        terminal.key("e")
        terminal.ready("no-such-editor could not be run", "why you left Rust.")


def test_a_text_that_can_not_be_stored_is_kept_for_its_writer(tmp_path: Path) -> None:
    add()
    command = editor(tmp_path, """printf 'Subject: too long%0300d\\n\\nDear Ada, my long work' 0 >"$1" """)
    with rigs.terminal("review", lines=40, EDITOR=command, TMPDIR=str(tmp_path)) as terminal:
        terminal.key("e")
        terminal.ready("Your text is in")
    (kept,) = tmp_path.glob("thanksd-*/letter.txt")
    assert "my long work" in kept.read_text()


# --- beginnings and ends ---


def test_review_without_a_terminal_says_what_to_do_instead() -> None:
    add()
    said = rigs.thanksd("review", code=2)
    assert "needs a terminal" in said
    assert "thanksd send REF --yes" in said


def test_review_of_nobody_says_so() -> None:
    with rigs.terminal("review") as terminal:
        assert terminal.end() == 0
        assert "Nobody is waiting for thanks." in terminal.text


def test_one_letter_that_can_not_be_shown_does_not_stop_the_others(home: Path) -> None:
    add()
    add("Chen Wei", "--template", "general", email="chen@example.com")
    folder = home / ".config/thanksd/templates"
    folder.mkdir(mode=0o700)
    (folder / "coffee.txt.j2").write_text("{% block subject %}{{ nothing }}{% endblock %}")
    with rigs.terminal("review") as terminal:
        terminal.ready("The template can't be used", "n next")
        terminal.key("n")
        terminal.ready("Dear Chen,")


# --- with a daemon ---


def test_with_a_daemon_any_key_closes_and_the_letter_still_goes(home: Path) -> None:
    mail = rigs.configure(home, undo="3s")
    add()
    add("Chen Wei", email="chen@example.com")
    with daemon(), rigs.terminal("review") as terminal:
        terminal.key("s")
        assert terminal.ready("2 of 2 due").startswith("Ada: leaves in 3 s (u takes it back).\n")
        terminal.key("s")
        terminal.until("any other key closes")
        terminal.send("x")
        assert terminal.end() == 0
        assert "2 thanked. This month 2 met, " in terminal.text
        until(lambda: len(rigs.letters(mail)) == 2)
        until(lambda: states() == ["thanked", "thanked"])


def test_with_a_daemon_a_closed_window_stops_no_letter(home: Path) -> None:
    mail = rigs.configure(home, undo="3s")
    add()
    with daemon(), rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.until("any other key closes")
        terminal.close_window()
        terminal.end()
        until(lambda: len(rigs.letters(mail)) == 1)
