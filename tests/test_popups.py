"""The words of popups, as drawn, and with the worst names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanksd.channels import Button, Popup, popups
from thanksd.channels.popups import clean, line, sayable, short, thanks_popup

ADA = thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", "why you left Rust", "today 15:00")
HOSTILE = [
    "",
    "\u200d",
    "a\nb\r\nc\x00\x1b[31m",
    "<b>&amp;</b>",
    "\u202egpj.evil\u2066",
    "\ud800 lone",
    "x" * 10_000,
    "y " * 5_000,
    "é" * 50 + "\u2028z",
]


def keys(popup: Popup) -> list[str]:
    return [button.key for button in popup.buttons]


def test_the_thanks_popup_is_as_drawn() -> None:
    assert ADA.title == "Thank Ada Lovelace?"
    assert ADA.body == "Coffee Tue 15:00 · why you left Rust\nBest by today 15:00. Draft is ready."
    assert ADA.buttons == (Button("review", "Review"), Button("later", "Later"), Button("waive", "Not needed"))
    assert ADA.fallback == "Run: thanksd review 7"


def test_without_a_detail_the_popup_promises_one_question() -> None:
    popup = thanks_popup(7, "Ada Lovelace", "coffee", "Tue 15:00", " \n", "today 15:00")
    assert popup.body == "Coffee Tue 15:00\nOne question, then it is ready."


def test_a_late_thanks_says_how_late_it_is() -> None:
    popup = thanks_popup(7, "Ada", "coffee", "Tue 15:00", "Rust", "late by 1 day")
    assert popup.body.endswith("\nLate by 1 day. Draft is ready.")


def test_long_words_end_in_an_ellipsis() -> None:
    popup = thanks_popup(7, "Maximiliana Alexandrina von Hohenzollern", "coffee", "Tue 15:00", "a b" * 20, "9" * 50)
    assert popup.title == "Thank Maximiliana Alexandrina von Hohe…?"
    first, second = popup.body.split("\n")
    assert first == "Coffee Tue 15:00 · a ba ba ba ba ba ba ba…"
    assert second == "Best by 9999999999999999…. Draft is ready."
    assert (len(popup.title), len(second)) == (40, 42)


def test_the_digest_is_as_drawn_and_has_no_not_needed() -> None:
    popup = popups.digest_popup(["Ada Lovelace", "Chen Wei", "Tom"], "late by 1 day")
    assert (popup.title, popup.body) == ("3 people to thank", "Ada, Chen, Tom. Oldest late by 1 day.")
    assert keys(popup) == ["review", "later"]
    assert popups.digest_popup(["Ada", "Tom"], "").body == "Ada, Tom."


def test_a_long_digest_takes_two_lines_and_counts_the_rest() -> None:
    popup = popups.digest_popup(["Bartholomew", "Clementine", "Persephone", *["Maximilian"] * 1000], "late by 3 days")
    assert popup.title == "1003 people to thank"
    assert popup.body == "Bartholomew, Clementine and 1001 more.\nOldest late by 3 days."


def test_troubles_are_told_as_drawn() -> None:
    refused = popups.refused_popup(7, "Ada Lovelace", "ada@exmaple.com", "no such user")
    assert refused[:2] == ("Ada's address was refused", "ada@exmaple.com: no such user")
    held = popups.held_popup(7, "Ada Lovelace")
    assert held[:2] == ("Did Ada's letter arrive?", "The line broke at the end. Check Sent.")
    assert held.buttons == (Button("resolve", "Look into it"),)
    password = popups.password_popup("Gmail", 2)
    assert password[:2] == ("Gmail refused the password", "2 letters wait. Nothing is lost.")
    assert popups.password_popup("Gmail", 1).body == "1 letter waits. Nothing is lost."
    assert refused.buttons == password.buttons == (Button("fix", "Fix it"),)
    failed = popups.not_opened_popup(["review", "7"], "terminal")
    assert failed == Popup("Could not open a terminal", "Run: thanksd review 7", ())
    many = popups.not_opened_popup(["review", *map(str, range(20, 40))], "terminal")
    assert many.body == "Run: thanksd review"


def test_the_other_occasions_are_told_as_drawn() -> None:
    ask = popups.ask_popup(4, 4)
    assert ask[:2] == ("Whom did you meet this week?", "4 met, 4 thanked so far.")
    assert ask.buttons == (Button("add", "Add"), Button("nobody", "Nobody"))
    stale = popups.stale_popup(7, "Ada Lovelace", "Fri 17:00")
    assert stale[:2] == ("Ada's letter did not leave", "It was to go Fri 17:00. Text is kept.")
    assert stale.buttons == (Button("review", "Review"),)
    handed = popups.handed_off_popup(7, "Ada Lovelace")
    assert handed[:2] == ("Did you send Ada's letter?", "It waits in your mail program.")
    adopted = popups.adopted_popup(7, "Ada Lovelace")
    assert adopted[:2] == ("Did Ada's letter arrive?", "It came with another machine's ledger.\nCheck Sent.")
    assert (handed.buttons, handed.fallback) == ((Button("resolve", "Look into it"),), "Run: thanksd resolve 7")
    assert (adopted.buttons, adopted.fallback) == (handed.buttons, handed.fallback)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("550 5.1.1 no such user", "ada@exmaple.com: no such user"),
        ("550-5.1.1 <ada@exmaple.com>: unknown", "ada@exmaple.com: unknown"),
        ("553 mailbox name not allowed", "ada@exmaple.com: mailbox name not allowed"),
        ("550 5.1.1 The email account that you tried to reach", "ada@exmaple.com:\nThe email account that you tried to reach"),
        ("", "ada@exmaple.com:"),
    ],
)  # fmt: skip
def test_a_servers_refusal_is_told_without_its_codes(said: str, body: str) -> None:
    assert popups.refused_popup(7, "Ada", "ada@exmaple.com", said).body == body


def test_a_refused_letter_is_not_told_as_a_refused_address() -> None:
    popup = popups.refused_popup(7, "Ada", "ada@example.com", "552 5.3.4 too big", about_address=False)
    assert popup.title == "Ada's letter was refused"


def test_a_pressed_later_says_the_moment_and_offers_two_others() -> None:
    popup = popups.later_popup(7, ["Ada Lovelace"], "today 15:00")
    assert popup.title == "Later: Ada Lovelace"
    assert [button.label for button in popup.buttons] == ["Today 15:00", "Tomorrow", "In a week"]
    assert popup.expires == 10_000
    evening = popups.later_popup(7, ["Ada Lovelace", "Chen Wei"], "tomorrow 09:00")
    assert evening.title == "Later: 2 people"
    assert [button.label for button in evening.buttons] == ["Tomorrow 09:00", "In a week"]


def test_a_pressed_not_needed_can_be_taken_back_for_a_short_while() -> None:
    popup = popups.waived_popup(7, "Ada Lovelace")
    assert popup == (
        "Not needed: Ada Lovelace",
        "",
        (Button("undo", "Undo"),),
        0,
        "",
        "Run: thanksd undo 7",
        10_000,
        "",
        "",
        "",
    )
    assert ADA.expires == 0


def test_a_locked_keyring_is_no_refused_password() -> None:
    assert popups.password_popup("Gmail", 2, refused=False).title == "The password could not be read"


@pytest.mark.parametrize(
    ("popup", "command", "said"),
    [
        (ADA, "thanksd review 7", "Thank Ada Lovelace? Best by today 15:00.  thanksd review 7"),
        (
            popups.digest_popup(["Ada", "Tom"], "late by 1 day"),
            "thanksd review",
            "2 people to thank. Ada, Tom. Oldest late by 1 day.  thanksd review",
        ),
        (popups.waived_popup(7, "Ada"), "thanksd undo 7", "Not needed: Ada.  thanksd undo 7"),
    ],
)
def test_the_same_nudge_is_one_line_on_a_terminal(popup: Popup, command: str, said: str) -> None:
    assert line(popup, command) == said


def test_markup_is_escaped_only_where_the_server_reads_it() -> None:
    popup = Popup("<b>Bob</b>", "<i>a & b</i>\nc", ())
    assert sayable(popup, ["body-markup"])[:2] == ("<b>Bob</b>", "&lt;i&gt;a &amp; b&lt;/i&gt;\nc")
    assert sayable(popup, ["body"])[:2] == ("<b>Bob</b>", "<i>a & b</i>\nc")


def test_the_default_action_is_the_first_button() -> None:
    assert sayable(ADA, ["actions", popups.DRAWS_DEFAULT]).actions[:2] == ["review", "Review"]
    actions = sayable(ADA, ["actions"]).actions
    assert actions == ["default", "Review", "review", "Review", "later", "Later", "waive", "Not needed"]


def test_without_buttons_the_command_stands_in_the_second_line() -> None:
    assert sayable(ADA, ["body"]) == (
        "Thank Ada Lovelace?",
        "Coffee Tue 15:00 · why you left Rust\nRun: thanksd review 7",
        [],
    )
    digest = popups.digest_popup(["Ada", "Tom"], "")
    assert sayable(digest, []).body == "Ada, Tom.\nRun: thanksd review"
    assert sayable(popups.waived_popup(7, "Ada"), []).body == "Run: thanksd undo 7"


def test_cleaning_keeps_words_apart_and_joiners_where_they_belong() -> None:
    assert clean(" a\n\tb\x00c\u2028d ") == "a b c d"
    assert clean("a\u200fb\u202ec\ud800d") == "abcd"
    assert clean("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_inside_the_popup(text: str) -> None:
    _holds_its_measure(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_name_stays_inside_the_popup(text: str) -> None:
    _holds_its_measure(text)


def _holds_its_measure(text: str) -> None:
    for popup in (
        thanks_popup(7, text, text, text, text, text),
        popups.digest_popup([text, text, "Tom"], text),
        popups.refused_popup(7, text, text, text),
        popups.refused_popup(7, text, text, text, about_address=False),
        popups.held_popup(7, text),
        popups.adopted_popup(7, text),
        popups.handed_off_popup(7, text),
        popups.stale_popup(7, text, text),
        popups.ask_popup(len(text), 10**9),
        popups.not_opened_popup(["review", *(str(ord(character)) for character in text[:50])], "terminal"),
        popups.password_popup(text, 2),
        popups.waived_popup(7, text),
    ):
        rows = popup.body.split("\n")
        assert len(popup.title) <= popups.TITLE_LENGTH
        assert len(rows) <= 2
        assert all(len(row) <= popups.LINE_LENGTH for row in rows)
        written = popup.title + popup.body.replace("\n", "") + line(popup, "thanksd")
        assert not {unicodedata.category(c) for c in written if c not in "\u200c\u200d"} & {
            "Cc",
            "Cf",
            "Cs",
            "Zl",
            "Zp",
        }


def test_shortening_counts_the_ellipsis() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"
    assert short("abcd efg", 6) == "abcd…"
