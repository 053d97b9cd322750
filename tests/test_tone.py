"""How a note sounds: what is too loud, what a subject lacks, and whether a word of what they did is in it."""

from __future__ import annotations

import itertools

import pytest

from thanksd import days, etiquette, language, policy, tone

ENGLISH = language.of("en")

WARM = [
    "Thank you for the coffee on Tuesday. It was wonderful to hear how you read a stack trace.",
    "What a kind thought of yours! Thank you for the book.",
    "Thanks for your patience, and thank you for the tea. You were right about the tests.",
    "It is 21 \N{DEGREE SIGN}C here, and the best talk of the day was yours. Thank you.",
    "I am grateful for the hour you gave. Thank you.",
    "You asked why we left Rust; nobody else did.",
]
LOUD = [
    ("Thank you so much! It was great! Really!", "!!!"),
    ("It was an amazing talk, an incredible one.", "amazing, incredible"),
    ("Thank you, thanks, and thanks again: I am grateful.", "Thank, thanks, grateful"),
    ("Thank you for the coffee \N{PERSON WITH FOLDED HANDS}", "\N{PERSON WITH FOLDED HANDS}"),
    ("Words cannot say it. You are the best.", "Words cannot, the best"),
    ("From the bottom of my heart, eternally yours.", "From the bottom of my heart, eternally"),
]


@pytest.mark.parametrize("text", WARM)
def test_a_warm_note_is_not_loud(text: str) -> None:
    assert tone.gush(text, ENGLISH) == []


@pytest.mark.parametrize(("text", "where"), LOUD)
def test_a_loud_note_is_told_by_the_words_that_are_too_many(text: str, where: str) -> None:
    found = etiquette.check_gush(text, ENGLISH)
    assert found is not None
    assert (found["code"], found["severity"], found["where"]) == ("gush", "warn", where)


@pytest.mark.parametrize(
    "subject",
    [
        *("Thank you for the coffee", "Thank you for your talk on Tuesday", "The compiler team, and my thanks"),
        *("Re: your compiler paper", "Thank you, Ada", "With thanks from Berlin!"),
    ],
)
def test_a_subject_that_says_for_what_is_good(subject: str) -> None:
    assert tone.subject_fault(subject, ENGLISH) == ""


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        *(("", "no subject"), ("   ", "no subject"), ("Hi", "says nothing"), ("Following up", "says nothing")),
        *(
            ("Re:", "says nothing"),
            ("Quick question!", "says nothing"),
            ("Thank you", "for what"),
            ("Coffee", "for what"),
        ),
        ("Thank you so very much for the really good coffee", "10 words"),
        *(("THANK YOU FOR COMING", "shouts"), ("Thanks for the coffee!!", "shouts")),
    ],
)
def test_a_subject_that_says_too_little_or_too_much_is_warned_of(subject: str, words: str) -> None:
    found = etiquette.check_subject(subject, ENGLISH)
    assert found is not None
    assert (found["code"], found["severity"]) == ("subject", "warn")
    assert words in found["message"]


@pytest.mark.parametrize(
    "text",
    [
        *("You took the time to explain it twice.", "It was kind of you to come.", "Your patience with my questions!"),
        *("You did not have to do it.", "You never once looked at the clock, and you listened.", "You were so open."),
        "It was a good hour. You made the hard part look easy.",
    ],
)
def test_a_note_that_says_what_they_did_praises_them(text: str) -> None:
    assert tone.praises(text, ENGLISH)


@pytest.mark.parametrize(
    "text",
    [
        *("Thank you for the coffee. I learned a lot.", "It helped me to see my way.", "It was good to meet you."),
        *("You said that the job is open.", "I hope to see you soon.", "The coffee was excellent."),
        "Thank you. It was a pleasure, and I feel ready for the next step now.",
    ],
)
def test_a_note_about_the_writer_alone_gets_a_hint(text: str) -> None:
    assert not tone.praises(text, ENGLISH)
    found = etiquette.check_praise(text, ENGLISH)
    assert found is not None
    assert (found["code"], found["severity"]) == ("praise", "hint")


@pytest.mark.parametrize("lang", policy.cultures())
def test_what_the_check_advises_passes_the_check(lang: str) -> None:
    """Each example praises, in words that are not too familiar, and what a date is replaced by dates nothing."""
    known = language.of(lang)
    for kind, seniority in itertools.product(policy.kinds(), policy.SENIORITIES):
        example = tone.example(kind, seniority, known)
        assert tone.praises(example, known), example
        assert tone.stock(example, known) == []
        assert etiquette.check_register(example, seniority, known) is None
    assert days.find(known.instead, known) == []
