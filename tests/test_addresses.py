"""Text and addresses from outside."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from email import message_from_string, policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thanksd import addresses
from thanksd.addresses import check_address, clean_text, display_safe, fold
from thanksd.errors import UsageError

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("Ada.Lovelace+thanks@Example.COM", "Ada.Lovelace+thanks@example.com"),
        ("o'neil@example.co.uk", "o'neil@example.co.uk"),
        ("me@localhost", "me@localhost"),
        ("josé@example.com".replace("é", "e"), "jose@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_a_good_address_is_given_back_with_its_domain_in_plain_lower_case(text: str, expected: str) -> None:
    assert check_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example",
        "ada@.com",
        "ada@example..com",
        "ada@example.com.",
        "ada@-example.com",
        "ada@1.2.3.4",
        "ada@[127.0.0.1]",
        "ada..l@example.com",
        ".ada@example.com",
        "ada lovelace@example.com",
        '"ada lovelace"@example.com',
        "Ada <ada@example.com>",
        "<ada@example.com>",
        "ada@example.com (home)",
        "ada@example.com, eve@example.com",
        "ada@x.com; eve@x.com",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\r",
        "ada@exa\x00mple.com",
        "ada@exa\u202emple.com",
        "ada@exa\ud800mple.com",
        "alice@x.com)bob@y.com",
        "jos\u00e9@example.com",
        "ada@stra\u00dfe.de",
        "ada@" + "a" * 64 + ".com",
        "a" * 65 + "@example.com",
        "ada@" + ".".join(["a" * 60] * 5) + ".com",
        "ada@" + "\u00fc" * 10_000 + ".com",
    ],
)
def test_anything_but_one_plain_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        check_address(text)


def test_an_address_of_254_characters_is_taken_and_one_more_is_not() -> None:
    tail = "@" + ".".join(["a" * 60] * 3) + ".com"
    fits = "a" * 64 + tail
    longest = fits[:64] + "@" + "b" * (254 - len(fits) - 1) + "." + fits[65:]
    assert len(longest) == 254
    assert check_address(longest) == longest
    with pytest.raises(UsageError, match="254"):
        check_address(longest.replace("@", "@c", 1))


def test_the_refusal_shows_no_raw_control_characters() -> None:
    with pytest.raises(UsageError) as caught:
        check_address("ada\x1b[2J@example.com")
    assert "\x1b" not in caught.value.message
    assert "\\x1b" in caught.value.message


@given(st.text(max_size=40) | st.from_regex(r"[a-z.+@,;<>\"()]{1,30}@[a-zü.\-]{1,30}", fullmatch=True))
@example("a@b.c,d@e.f")
def test_an_accepted_address_is_exactly_one_to_the_mail_parser_too(text: str) -> None:
    try:
        address = check_address(text)
    except UsageError:
        return
    header = message_from_string(f"To: {address}\n\n", policy=policy.default)["To"]
    assert [found.addr_spec for found in header.addresses] == [address]
    assert not header.defects


@given(st.text(max_size=40))
def test_an_accepted_address_is_accepted_again_unchanged(text: str) -> None:
    try:
        address = check_address(text)
    except UsageError:
        return
    assert check_address(address) == address


def test_clean_text_gives_nfc_without_outer_whitespace() -> None:
    assert clean_text("  Jose\u0301 \n", "name", 100) == "Jos\u00e9"


@pytest.mark.parametrize("char", ["\x00", "\x07", "\n", "\t", "\x7f", "\x85", "\ud800", "\u2028", "\u2029", *BIDI])
def test_clean_text_refuses_what_can_not_be_kept_and_names_it(char: str) -> None:
    with pytest.raises(UsageError, match=rf"name .*U\+{ord(char):04X}"):
        clean_text(f"Ada{char}Lovelace", "name", 100)


def test_clean_text_refuses_a_text_over_its_limit_and_says_how_long_it_is() -> None:
    assert clean_text("a" * 200, "name", 200) == "a" * 200
    with pytest.raises(UsageError, match=r"name is too long: 10000 characters, at most 200"):
        clean_text("a" * 10_000, "name", 200)


@given(st.text(max_size=50))
def test_cleaned_text_is_clean_and_stays_as_it_is(text: str) -> None:
    try:
        cleaned = clean_text(text, "name", 60)
    except UsageError:
        return
    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean_text(cleaned, "name", 60 * 3) == cleaned


@pytest.mark.parametrize(
    ("one", "other"),
    [("José", "jose"), ("ÁLVAREZ  ", "alvarez"), ("Straße", "strasse"), ("Ada   Lovelace", "ada lovelace")],
)
def test_fold_ignores_case_accents_and_spacing(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_fold_keeps_different_names_apart() -> None:
    assert fold("Ada") != fold("Adam")


def test_display_safe_makes_controls_and_bidi_visible() -> None:
    assert display_safe("a\x1b[31mb\u202ec\ud800\n") == "a\\x1b[31mb\\u202ec\\ud800\\x0a"
    assert display_safe("José 你好 🎉") == "José 你好 🎉"
    assert display_safe("a\nb\r", multiline=True) == "a\nb\\x0d"


@given(st.text())
def test_display_safe_text_can_always_be_printed(text: str) -> None:
    shown = display_safe(text)
    shown.encode()
    assert not any(addresses.is_unsafe(char) for char in shown)


def test_importing_it_brings_no_mail_and_no_template_library() -> None:
    code = "import sys, thanksd.addresses; print(sorted({'email', 'jinja2', 'encodings.idna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
