"""Whom a greeting greets, in the languages that write names otherwise than English does."""

from __future__ import annotations

from typing import Any

import pytest

from thanksd import language, names
from thanksd.grounding import check_typo


@pytest.mark.parametrize(
    ("lang", "name", "line"),
    [
        ("ja", "佐藤 健一", "佐藤健一様"),
        ("ja", "佐藤 健一", "佐藤様"),
        ("ja", "佐藤 健一", "健一さんへ"),
        ("ja", "佐藤 健一", "株式会社青空製作所 佐藤様"),
        ("ja", "三浦 誠一議員", "三浦議員"),
        ("ja", "医師 大野 恵先生", "大野先生"),
        ("zh-hant", "駱啟邦行長", "駱行長："),
        ("zh-hant", "陳大文先生", "陳先生，你好："),
        ("zh-hans", "王小明", "小明，你好！"),
        ("zh-hans", "李明教授", "尊敬的李教授："),
        ("fr", "Françoise Lemaire", "Chère Docteur Lemaire,"),
        ("es", "Fermín Otero", "Estimado capitán Otero:"),
        ("es", "Ana María Ruiz Soto", "Estimada Sra. Ruiz:"),
        ("es", "Encarna", "¡¡Encarna!!"),
        ("de", "Frau Dr. Ada Brandt", "Liebe Frau Brandt,"),
    ],
)
def test_a_usual_way_to_greet_somebody_is_taken(lang: str, name: str, line: str) -> None:
    assert names.is_greeted(line, name, language.of(lang))


@pytest.mark.parametrize(
    ("lang", "name", "line"),
    [
        ("ja", "佐藤 健一", "鈴木様"),
        ("ja", "佐藤 健一", "佐藤健二様"),
        ("zh-hant", "駱啟邦行長", "羅行長："),
        ("zh-hans", "王小明", "王大明："),
        ("fr", "Françoise Lemaire", "Chère Docteur Lamare,"),
        ("es", "Ana María Ruiz Soto", "Estimada Sra. Vega:"),
        ("en", "Ada Lovelace", "Dear Eve Lovelace,"),
    ],
)
def test_another_name_is_not(lang: str, name: str, line: str) -> None:
    assert not names.is_greeted(line, name, language.of(lang))


@pytest.mark.parametrize(
    ("line", "others", "greets"),
    [
        ("Dear Ada and Tom,", ["Tom Ray"], True),
        ("Dear Ada, Tom and Chen,", ["Tom Ray", "Chen Wei"], True),
        ("Dear Ada and Bob,", ["Tom Ray"], False),
        ("Dear Tom and Ada,", ["Tom Ray"], False),
    ],
)
def test_two_may_be_greeted_where_both_were_there(line: str, others: list[str], *, greets: bool) -> None:
    assert names.are_greeted(line, ["Ada Lovelace", *others], language.of("en")) is greets


def test_a_courtesy_title_alone_greets_where_it_is_not_the_wrong_one() -> None:
    french = language.of("fr")
    assert names.is_courtesy("Chère Madame,", "Mme Claire Fontaine", french)
    assert names.is_courtesy("Monsieur,", "Paul Renaud", french)
    assert not names.is_courtesy("Monsieur,", "Mme Claire Fontaine", french)
    assert not names.is_courtesy("Bonjour Claire,", "Mme Claire Fontaine", french)


@pytest.mark.parametrize(
    ("one", "other", "letters"),
    [
        ("Lovelace", "Lovelace", 0),
        ("Lovelace", "Lovelac", 1),
        ("Lovelace", "Lvoelace", 1),
        ("Ada", "Bob", 3),
        ("", "Ada", 3),
    ],
)
def test_letters_added_dropped_changed_or_swapped_are_counted(one: str, other: str, letters: int) -> None:
    assert names.distance(one, other) == names.distance(other, one) == letters


@pytest.mark.parametrize(
    ("name", "text", "slip"),
    [
        ("Ada Lovelace", "You know, Ms Lovelase, how it is.", "Lovelase for Lovelace"),
        ("Matthew Akintola", "Mathew Akintola was right.", "Mathew for Matthew"),
        ("Ada Lovelace", "You and Lovelaces of this world.", ""),
        ("Ada Lovelace", "It was Lovely.", ""),
        ("Mark Hill", "You make Mary smile.", ""),
    ],
)
def test_a_name_misspelt_in_the_text_is_found_and_no_other_word(name: str, text: str, slip: str) -> None:
    known: Any = {
        "me": {"name": "Sam Lee", "email": "", "signature": ""},
        "person": {"name": name, "email": "", "lang": "en", "seniority": "peer"},
        "meeting": {"kind": "coffee", "weekday": "", "date": "", "place": "", "about": ""},
        "details": [],
        "promises": [],
        "others": [],
        "via": "",
        "again": "",
        "outcome": "",
        "pass_on": [],
    }
    found = check_typo(text, known, language.of("en"))
    assert (found["where"] if found else "") == slip
