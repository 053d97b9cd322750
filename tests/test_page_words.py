"""The page's own words: each language has them all, and says what the check finds in them too."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import corpus

from thanksd import etiquette
from thanksd.facts import Around
from thanksd.page import words as page_words
from thanksd.page.words import Words, codes


def test_every_language_has_every_word_with_the_same_places_to_fill() -> None:
    english = Words("en")
    for code in codes():
        words = Words(code)
        assert words.code == code
        for table in ("dates", "units", "kinds", "states", "texts", "said"):
            ours, theirs = english._texts[table], words._texts[table]
            assert set(ours) == set(theirs), (code, table)
        for key, text in english._texts["texts"].items():
            assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", words._texts["texts"][key])), (
                code,
                key,
            )


def _of_corpus() -> set[str]:
    """Give all that the check says of the labelled notes."""
    return {
        one["message"]
        for lang in corpus.languages()
        for others in (False, True)
        for note in corpus.samples(lang, others=others)
        for one in etiquette.check(note.subject, note.body, note.known, "ada@example.com", around=note.around)
    }


def _seldom() -> set[str]:
    """Give what the check says for reasons that no note of the corpus has."""
    known, night = corpus.facts("coffee", "en"), datetime(2025, 3, 12, 2, tzinfo=UTC)
    me = "I think I know what I said, and I hope I said it as I meant it, as I often do."
    often = "2 letters to them are unanswered. Fitting again Thu 9 Apr; they replied? people edit WHO --replied"
    around = Around(panel=(me,), interests=("old maps",), too_often=often)
    days = night.date(), night.date() + timedelta(days=2)
    body = f"Dear Ada,\n\nI met you yesterday. {me}\n\nSam"
    found = [
        *etiquette.check("a\nb", body, known, "no address", days, around),
        *etiquette.check("Thanks", body, {**known, "details": []}, "no address", days, around),
        *filter(None, [etiquette.left_alone(), etiquette.to_come(), etiquette.at_night(night, "Europe/Berlin")]),
    ]
    return {one["message"] for one in found}


def test_whatever_the_check_says_is_said_in_each_language() -> None:
    found = _of_corpus() | _seldom()
    assert {key for key, pattern in page_words._sentences() if any(map(pattern.fullmatch, found))} == set(
        Words("en")._texts["said"]
    )
    for code in codes():
        words = Words(code)
        silent = {one for one in found if not words.said(one)}
        assert silent == (found if code == "en" else set()), code
