"""The page's own words: each language has them all, and says what the check finds in them too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import corpus
import pytest
from store_rigs import Desk

from thanksd import etiquette
from thanksd.errors import NotFoundError, UsageError
from thanksd.facts import Around
from thanksd.page import words as page_words
from thanksd.page.words import Words, codes


def test_every_language_has_every_word_with_the_same_places_to_fill() -> None:
    english = Words("en")
    for code in codes():
        words = Words(code)
        assert words.code == code
        for table in ("dates", "units", "kinds", "states", "texts", "said", "told"):
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
    asks = "Could you get me a job? How is your cat?"
    me = "I think I know what I said, and I hope I said it as I meant it, as I often do."
    often = "2 letters to them are unanswered. Fitting again Thu 9 Apr; they replied? people edit WHO --replied"
    around = Around(panel=(me,), interests=("old maps",), too_often=often)
    days = night.date(), night.date() + timedelta(days=2)
    body = f"Dear Ada,\n\nI met you yesterday. {me}\n\nSam"
    found = [
        *etiquette.check("a\nb", body, known, "no address", days, around),
        *etiquette.check("Thanks", body, {**known, "details": []}, "no address", days, around),
        *etiquette.check("Thanks", f"Dear Ada,\n\n{asks}\n\nSam", known, ""),
        *filter(None, [etiquette.left_alone(), etiquette.to_come(), etiquette.at_night(night, "Europe/Berlin")]),
    ]
    return {one["message"] for one in found}


def _keys_of(found: set[str]) -> set[str]:
    """Give the keys of the sentences that one of these is."""
    return {key for _, key, pattern in page_words._sentences() if any(map(pattern.fullmatch, found))}


def test_whatever_the_check_says_is_said_in_each_language() -> None:
    found = _of_corpus() | _seldom()
    assert _keys_of(found) == set(Words("en")._texts["said"])
    for code in codes():
        words = Words(code)
        silent = {one for one in found if not words.said(one)}
        assert silent == (found if code == "en" else set()), code


def _told(desk: Desk) -> Iterator[str]:
    """Answer in each way, take it back, and at last too late; give what verbs say of it."""
    with pytest.raises(UsageError) as unreadable:
        desk.add("Cy Young", when="gestern")
    yield unreadable.value.message
    soon, later = desk.add(after="1s"), desk.add("Bob Ray", after="3h")
    with pytest.raises(NotFoundError) as same:
        desk.add(after="1s")
    yield same.value.message
    desk.clock.forward(minutes=1)
    for number in (soon, later):
        for verb, how in (("waive", {}), ("done", {"how": "by card"}), ("snooze", {"delay": "9w"})):
            yield from desk(verb, ref=str(number), **how)["notes"]
            yield from desk("undo", ref=str(number))["notes"]
        desk.confirm(number, at_once=False)
        yield from desk("undo", ref=str(number))["notes"]
    yield from desk("add", who="Eve Young", kind="coffee", via="Tom Ray")["notes"]
    yield from desk("done", ref="eve", how="by card")["notes"]
    desk.confirm(soon)
    desk("dispatch")
    with pytest.raises(UsageError) as late:
        desk("undo", ref=str(soon))
    yield late.value.message
    desk("bounced", ref=str(soon))
    yield from desk("undo", ref=str(soon))["notes"]


def test_what_became_of_an_answer_is_said_in_each_language(short_dir: Path) -> None:
    found = set(_told(Desk(short_dir)))
    # Those of a letter that is in a carrier's hands at this moment.
    assert _keys_of(found) == set(Words("en")._texts["told"]) - {"maybe_left", "leaving"}
    for code in codes():
        assert {one for one in found if not Words(code).said(one)} == (found if code == "en" else set()), code
