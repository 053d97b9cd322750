"""What people type, put into sentences of every language but English: right for any form, or left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanksd import language, phrases, phrasing, policy
from thanksd.facts import GAP

OTHERS = [code for code in policy.cultures() if code != "en"]


def said(code: str) -> Any:
    return language.read(code).sentences


@pytest.mark.parametrize(
    ("code", "detail", "ending"),
    [
        ("de", "warum du gehst", ", warum du gehst."),
        ("de", "Warum du gehst", ", warum du gehst."),
        ("de", "dass du bleibst.", ", dass du bleibst."),
        ("de", "Du hast gesungen.", "Du hast gesungen. "),
        ("de", "Warum nicht einfach testen?", ": Warum nicht einfach testen?"),
        ("de", "erst testen, dann schreiben", ": erst testen, dann schreiben."),
        ("fr", "pourquoi vous partez", " pourquoi vous partez."),
        ("es", "por qué te fuiste", " por qué te fuiste."),
        ("es", "Que contestas todo", " que contestas todo."),
    ],
)
def test_a_detail_is_taken_up_as_its_first_word_says(code: str, detail: str, ending: str) -> None:
    made = phrasing.remembered(said(code), [detail])
    assert made.endswith(ending) or ending in made, made


@pytest.mark.parametrize("code", OTHERS)
def test_several_details_stand_in_one_sentence_and_none_leaves_the_gap(code: str) -> None:
    sample = language.read(code).sample
    both = phrasing.remembered(said(code), [sample.detail, sample.about])
    assert sample.detail in both
    assert sample.about in both
    assert phrasing.remembered(said(code), []).count(GAP) == 1
    assert phrasing.remembered(said(code), ["", " "]) == phrasing.remembered(said(code), [])


@pytest.mark.parametrize("code", OTHERS)
def test_each_wording_has_words_of_its_own_around_a_detail(code: str) -> None:
    detail = language.read(code).sample.detail
    made = {phrasing.remembered(said(code), [detail], variant) for variant in (1, 2, 3)}
    assert len(made) == 3
    assert all(detail in one for one in made)


@pytest.mark.parametrize("code", OTHERS)
def test_a_promise_is_named_with_its_day_once(code: str) -> None:
    made = phrasing.promised(said(code), [{"text": "XYZ", "due": "QQQ"}, {"text": "ABC", "due": ""}])
    assert (made.count("XYZ"), made.count("QQQ"), made.count("ABC")) == (1, 1, 1)
    assert phrasing.promised(said(code), [{"text": "XYZ QQQ", "due": "QQQ"}]).count("QQQ") == 1
    assert phrasing.promised(said(code), []) == phrasing.promised(said(code), [{"text": " . ", "due": "QQQ"}]) == ""


@pytest.mark.parametrize(
    ("code", "place", "phrase"),
    [
        ("de", "Café Einstein", " im Café Einstein"),
        ("de", "in Berlin", " in Berlin"),
        ("de", "Zoom", " per Zoom"),
        ("de", "Müllers Garten", ""),
        ("de", "", ""),
    ],
)
def test_a_place_gets_the_word_that_fits_or_is_left_out(code: str, place: str, phrase: str) -> None:
    assert phrasing.at_place(said(code), place) == phrase


@pytest.mark.parametrize("code", OTHERS)
def test_the_day_is_a_weekday_for_six_days_and_a_date_after(code: str) -> None:
    dates = language.read(code).dates
    meeting: Any = {"weekday": "W", "date": "D"}
    assert "W" in phrasing.on_day(dates, meeting, phrases.DAYS_OF_A_WEEKDAY)
    assert "D" in phrasing.on_day(dates, meeting, phrases.DAYS_OF_A_WEEKDAY + 1)
    nothing: Any = {"weekday": "", "date": ""}
    assert phrasing.on_day(dates, nothing, 1) == ""


@pytest.mark.parametrize(
    ("code", "about", "topic", "thing", "label"),
    [
        ("de", "das Compiler-Team", "das Compiler-Team", "das Compiler-Team", "Compiler-Team"),
        ("de", "Compiler", "Compiler", "", "Compiler"),
        ("de", "Du sagtest es.", "", "", ""),
        ("de", "warum Rust", "warum Rust", "", ""),
        ("fr", "l'équipe compilateur", "l'équipe compilateur", "l'équipe compilateur", "équipe compilateur"),
        ("ja", "コンパイラ", "コンパイラ", "コンパイラ", "コンパイラ"),
    ],
)
def test_a_topic_is_said_only_where_it_fits(code: str, about: str, topic: str, thing: str, label: str) -> None:
    known = language.read(code)
    found = (phrasing.topic(said(code), about), phrasing.thing(known, about), phrasing.label(known, about))
    assert found == (topic, thing, label)


def test_english_has_the_sentences_of_its_own() -> None:
    assert phrasing.filters("en")["remembered"] is phrases.remembered
    assert set(phrasing.filters("de")) == set(phrasing.filters("en"))


@given(st.sampled_from(OTHERS), st.lists(st.text(max_size=40), max_size=4), st.text(max_size=40), st.integers(1, 3))
@settings(deadline=None)
def test_no_text_at_all_breaks_a_phrase(code: str, details: list[str], text: str, variant: int) -> None:
    filters = phrasing.filters(code)
    assert filters["remembered"](details, variant)
    filters["promised"]([{"text": text, "due": text}])
    for name in ("at_place", "topic", "thing", "label"):
        filters[name](text)
    filters["people"](details)
