"""Drafts: which template is taken, what is said of it, and the exact bytes of a letter."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from thanksd import drafts, letters
from thanksd.addresses import is_unsafe
from thanksd.errors import DataError, ThanksdError, UsageError
from thanksd.policy import kinds

NOTE = "{# description: mine #}\n{% block subject %}Mine{% endblock %}{% block body %}BODY{% endblock %}\n"
WHEN = datetime(2025, 3, 12, 9, 43, 8, tzinfo=timezone(timedelta(hours=1)))
HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "X-Thanksd-Id", "Content-Type", "Content-Transfer-Encoding",
    "MIME-Version",
]  # fmt: skip


def freeze(**changes: Any) -> letters.Frozen:
    arguments: dict[str, Any] = {
        "sender_name": "Sam Lee",
        "sender_email": "sam.lee@example.org",
        "to_name": "Ada Lovelace",
        "to_email": "ada@example.com",
        "subject": "Thank you for the coffee on Tuesday",
        "body": "Dear Ada,\n\nThank you.\n",
        "date": WHEN,
        "thanks_uid": "9b2e",
        "unique": "4f1c0a",
    }
    return letters.freeze(**(arguments | changes))


def parsed(frozen: letters.Frozen) -> EmailMessage:
    return message_from_bytes(frozen.raw, policy=policy.default)


def text_of(frozen: letters.Frozen) -> str:
    content: str = parsed(frozen).get_content()
    return content.replace("\r\n", "\n")


def name_in(frozen: letters.Frozen, header: str) -> str:
    """Decode the name by RFC 2047; the newer parser of some Pythons puts a space between two encoded words."""
    raw = message_from_bytes(frozen.raw)[header].replace("\r\n", "").rpartition("<")[0].strip()
    return str(make_header(decode_header(raw)))


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NOTE.replace("BODY", text), encoding="utf-8")
    return path


def body(folder: Path, language: str = "en", name: str = "coffee") -> str:
    return drafts.render(name, drafts.sample_facts("coffee"), language, folder).body


def test_a_template_is_looked_for_in_the_users_language_then_their_folder_then_the_shipped_ones(tmp_path: Path) -> None:
    assert (
        "Danke für den Kaffee" in drafts.render("coffee", drafts.sample_facts("coffee", "de"), "de", tmp_path).subject
    )
    assert "Thank you for the coffee" in body(tmp_path, "nl")
    put(tmp_path, "coffee.txt.j2", "any language")
    assert body(tmp_path, "de") == "any language"
    put(tmp_path, "de/coffee.txt.j2", "auf Deutsch")
    assert body(tmp_path, "de") == body(tmp_path, "de-at") == "auf Deutsch"
    put(tmp_path, "de-at/coffee.txt.j2", "auf Österreichisch")
    assert body(tmp_path, "de-at") == "auf Österreichisch"
    assert body(tmp_path, "en") == "any language"


def test_a_users_new_template_can_be_used_by_its_name(tmp_path: Path) -> None:
    put(tmp_path, "board_game-night.txt.j2", "dice")
    assert body(tmp_path, name="board_game-night") == "dice"


def test_an_unknown_template_is_refused_with_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        body(tmp_path, name="cofee")
    assert (caught.value.message, caught.value.hint) == ("There is no template 'cofee'.", "Did you mean coffee?")
    with pytest.raises(UsageError) as caught:
        body(tmp_path, name="\x1b[2J" + "z" * 10_000)
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 150
    assert "coffee" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["../coffee", "en/coffee", "_frame", "_macros", ".coffee", "", "coffee.txt.j2", "coffee\n"]
)
def test_a_templates_name_can_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    put(tmp_path, "coffee.txt.j2", "mine")
    with pytest.raises(UsageError, match="no template"):
        drafts.source(name, "en", tmp_path / "sub")


@pytest.mark.parametrize("language", ["../..", "", "x/y", "zz", "en-GB"])
def test_a_strange_language_gets_the_english_templates(tmp_path: Path, language: str) -> None:
    assert "Thank you for the coffee" in body(tmp_path / "none", language)


def test_the_list_has_each_template_once_and_says_whose_it_is(tmp_path: Path) -> None:
    mine = put(tmp_path, "coffee.txt.j2", "mine")
    deep = put(tmp_path, "en/zebra.txt.j2", "mine too")
    put(tmp_path, "_frame.txt.j2", "not a note")
    put(tmp_path, "notes.txt", "not a template")
    found = {info.name: info for info in drafts.available("en", tmp_path)}
    assert list(found) == sorted(found)
    assert found["coffee"] == drafts.TemplateInfo("coffee", "en", "yours", mine, "mine")
    assert found["zebra"].path == deep
    assert found["meal"].source == "shipped"
    assert len(found) == len(kinds()) + 1


def test_show_gives_the_file_and_its_text(tmp_path: Path) -> None:
    path = put(tmp_path, "coffee.txt.j2", "mine")
    assert drafts.source("coffee", "en", tmp_path) == (path, path.read_text(encoding="utf-8"))
    shipped, text = drafts.source("meal", "en", tmp_path)
    assert shipped.name == "meal.txt.j2"
    assert "{% block thanks %}" in text


def test_show_refuses_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "coffee.txt.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="can't be read"):
        drafts.source("coffee", "en", tmp_path)
    (tmp_path / "meal.txt.j2").mkdir()
    with pytest.raises(DataError, match="not a template"):
        drafts.source("meal", "en", tmp_path)
    (tmp_path / "gift.txt.j2").write_text("x" * 300_000)
    with pytest.raises(DataError, match="not a template"):
        drafts.source("gift", "en", tmp_path)


def test_check_of_a_good_template_finds_nothing(tmp_path: Path) -> None:
    assert drafts.check(put(tmp_path, "coffee.txt.j2", "{{ details | remembered }}"), tmp_path) == []
    assert drafts.check(put(tmp_path, "en/meal.txt.j2", '{% include "_part.txt.j2" %}'), tmp_path) != []
    put(tmp_path, "_part.txt.j2", "fine")
    assert drafts.check(tmp_path / "en/meal.txt.j2", tmp_path) == []


def test_check_names_file_line_and_mistake_once(tmp_path: Path) -> None:
    path = put(tmp_path, "coffee.txt.j2", "\n{{ persn }}")
    assert drafts.check(path, tmp_path) == [drafts.Problem(path, 3, "'persn' is undefined")]
    path = put(tmp_path, "coffee.txt.j2", "\n\n{% if %}")
    (problem,) = drafts.check(path, tmp_path)
    assert (problem.file, problem.line) == (path, 4)


@pytest.mark.parametrize(
    "hidden",
    [
        "{% if belated %}{{ oops }}{% endif %}",
        "{% if not details %}{{ oops }}{% endif %}",
        "{% if not promises %}{{ oops }}{% endif %}",
        "{% if not meeting.place %}{{ oops }}{% endif %}",
        "{% if person.seniority == 'above' %}{{ oops }}{% endif %}",
        "{% if others %}{{ oops }}{% endif %}",
        "{% if details and not promises %}{{ oops }}{% endif %}",
    ],
)
def test_check_looks_into_every_branch(tmp_path: Path, hidden: str) -> None:
    path = put(tmp_path, "coffee.txt.j2", f"x{hidden}")
    assert [problem.message for problem in drafts.check(path, tmp_path)] == ["'oops' is undefined"]


def test_check_takes_a_file_from_anywhere_with_its_neighbours(tmp_path: Path) -> None:
    path = put(tmp_path, "draft/coffee.txt.j2", '{% include "part.txt" %}{% include "shipped/_macros.txt.j2" %}x')
    put(tmp_path, "draft/part.txt", "fine")
    assert drafts.check(path, tmp_path / "none") == []
    with pytest.raises(UsageError, match="no such file"):
        drafts.check(tmp_path / "nothing.txt.j2", tmp_path)


def test_spaces_and_empty_lines_of_a_template_are_tidied(tmp_path: Path) -> None:
    put(tmp_path, "coffee.txt.j2", "\n\n one  two   three \t \n\n\n\n  four\r\nfive ")
    assert body(tmp_path) == "one two three\n\n four\nfive"


def test_a_letter_is_exactly_these_bytes() -> None:
    frozen = freeze(body="Dear José,\n\n.\nFrom here = there. \n" + "long " * 30)
    assert frozen.raw == (
        b"From: Sam Lee <sam.lee@example.org>\r\n"
        b"To: Ada Lovelace <ada@example.com>\r\n"
        b"Subject: Thank you for the coffee on Tuesday\r\n"
        b"Date: Wed, 12 Mar 2025 09:43:08 +0100\r\n"
        b"Message-ID: <4f1c0a@example.org>\r\n"
        b"X-Thanksd-Id: 9b2e\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: quoted-printable\r\n"
        b"MIME-Version: 1.0\r\n"
        b"\r\n"
        b"Dear Jos=C3=A9,\r\n\r\n.\r\nFrom here =3D there.=20\r\n"
        b"long long long long long long long long long long long long long long long lo=\r\n"
        b"ng long long long long long long long long long long long long long long=20\r\n"
    )
    assert frozen.sha256 == hashlib.sha256(frozen.raw).hexdigest()
    assert frozen.message_id == "<4f1c0a@example.org>"
    assert frozen.subject == "Thank you for the coffee on Tuesday"


def test_the_same_arguments_give_the_same_bytes_and_each_argument_counts() -> None:
    first = freeze()
    assert freeze() == first
    changed = {
        "sender_name": "Sam",
        "sender_email": "sam@example.org",
        "to_name": "Ada",
        "to_email": "a@example.com",
        "subject": "Thanks",
        "body": "Hi",
        "date": WHEN + timedelta(seconds=1),
        "thanks_uid": "other",
        "unique": "other",
    }
    hashes = {freeze(**{key: value}).sha256 for key, value in changed.items()}
    assert len(hashes | {first.sha256}) == len(changed) + 1


@pytest.mark.parametrize(
    "name",
    [
        "José Álvarez",
        "O'Neil, Tom",
        'Ada "Countess" Lovelace',
        "Ada <eve@example.com>",
        "ada@example.com, eve",
        "Ada (home); Eve: x",
        "陳大文",
        "Dr. Ada Lovelace",
        "=?utf-8?q?Eve?=",
        "Ñ" * 120 + ", Eve <eve@example.com>",
        "x" * 200,
        "\\",
    ],
)
def test_a_name_never_adds_a_recipient_and_comes_back_as_it_was(name: str) -> None:
    frozen = freeze(to_name=name, sender_name=name)
    for header, expected in (("To", "ada@example.com"), ("From", "sam.lee@example.org")):
        assert name_in(frozen, header) == name
        assert [address.addr_spec for address in parsed(frozen)[header].addresses] == [expected]
        assert not parsed(frozen)[header].defects


def test_no_name_is_just_the_address() -> None:
    assert b"\r\nTo: ada@example.com\r\n" in freeze(to_name="").raw


def test_an_idn_domain_goes_out_as_punycode() -> None:
    frozen = freeze(to_email="ada@Bücher.example", sender_email="sam@bücher.example")
    assert b"<ada@xn--bcher-kva.example>" in frozen.raw
    assert frozen.message_id.endswith("@xn--bcher-kva.example>")


@pytest.mark.parametrize(
    "changes",
    [
        {"to_email": "jos\u00e9@example.com"},
        {"to_email": "ada@example.com, eve@example.com"},
        {"to_email": "ada@example.com\r\nBcc: eve@example.com"},
        {"to_email": ""},
        {"sender_email": "sam"},
        {"to_name": "Ada\r\nBcc: eve@example.com"},
        {"to_name": "Ada\u202eecalevoL"},
        {"sender_name": "Sam\x00"},
        {"subject": "Thanks\nBcc: eve@example.com"},
        {"subject": "Thanks\ud800"},
        {"subject": "Thanks\u2028Bcc: eve@example.com"},
        {"subject": "Thanks\u202e"},
        {"body": "Dear Ada\x00"},
        {"body": "Dear Ada\r"},
        {"body": "Dear Ada\x1b[2J"},
        {"body": "Dear Ada\udfff"},
        {"body": "Dear Ada\u2029"},
        {"unique": "a>\r\nBcc: eve@example.com"},
        {"unique": ""},
        {"thanks_uid": "a b"},
        {"date": datetime(2025, 3, 12, 9, 43)},  # noqa: DTZ001  the naive time that must be refused
    ],
)
def test_what_can_not_be_mailed_as_it_is_is_refused_with_a_clear_message(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        freeze(**changes)
    assert not any(is_unsafe(char) for char in caught.value.message)


def test_writing_from_right_to_left_stays_in_a_body() -> None:
    text = "\u200f\u0634\u0643\u0631\u0627\u200e!\n"
    assert text_of(freeze(body=text)) == text


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=120) | st.text(
    "ab,;:<>@\"'()[]\\=?_ .\r\n\té陳\u202e", max_size=200
)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("=?utf-8?b?", "a" * 500, ".")
@example("é" * 80 + "," * 80, "é " * 60, "\t")
@settings(deadline=None, max_examples=300)
def test_nothing_that_is_typed_adds_a_header_or_a_recipient_and_all_of_it_comes_back(
    name: str, subject: str, text: str
) -> None:
    try:
        frozen = freeze(to_name=name, sender_name=name, subject=subject, body=text)
    except DataError:
        assert any(is_unsafe(char) for char in name + subject + text)
        return
    assert frozen.raw.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", frozen.raw) is None
    assert max(len(line) for line in frozen.raw.split(b"\r\n")) <= 78
    message = parsed(frozen)
    assert message.keys() == HEADERS
    assert message["Subject"] == subject
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.com"]
    assert [address.addr_spec for address in message["From"].addresses] == ["sam.lee@example.org"]
    assert name_in(frozen, "To") == " ".join(name.split())
    assert text_of(frozen) == text.rstrip("\n") + "\n"


@given(st.text(max_size=80))
@settings(deadline=None)
def test_no_address_but_one_plain_one_can_be_a_recipient(address: str) -> None:
    try:
        message = parsed(freeze(to_email=address))
    except DataError:
        return
    assert len(message["To"].addresses) == 1
    assert message.keys() == HEADERS


def test_a_date_in_utc_is_written_with_its_offset() -> None:
    assert parsed(freeze(date=WHEN.astimezone(UTC)))["Date"] == "Wed, 12 Mar 2025 08:43:08 +0000"


def test_a_typed_subject_is_one_clean_line() -> None:
    assert letters.clean_line("  Jose\u0301, thanks ", 50) == "José, thanks"
    for text in ("two\nlines", "a\x07", "x" * 51):
        with pytest.raises(UsageError, match="subject"):
            letters.clean_line(text, 50)


def test_a_typed_body_keeps_its_lines_and_loses_what_editors_add() -> None:
    assert letters.clean_body("\ufeff\r\nDear Jose\u0301,  \r\n\r\n\tThanks.\r\n\r\n", 50) == "Dear José,\n\n\tThanks."


@pytest.mark.parametrize("text", ["a\x00b", "a\rb", "a\x1b[2J", "a\x85b", "a\ud800b", "x" * 51])
def test_a_typed_body_with_what_can_not_be_mailed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="letter"):
        letters.clean_body(text, 50)


@given(st.text(max_size=100))
@settings(deadline=None)
def test_a_cleaned_body_can_be_frozen_and_comes_back(text: str) -> None:
    try:
        cleaned = letters.clean_body(text, 100)
    except ThanksdError:
        assume(False)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert letters.clean_body(cleaned, 400) == cleaned
    assert text_of(freeze(body=cleaned)) == cleaned + "\n"
