"""The shipped templates in every language: each is a good note, whatever is known and whatever is not."""

from __future__ import annotations

import itertools
import re
import unicodedata

import corpus
import pytest

from thanksd import drafts, etiquette, paths, policy
from thanksd.facts import GAP, Around, Facts, fitting

LANGUAGES = policy.cultures()
KINDS = policy.kinds()


def assert_well_written(draft: drafts.Draft, known: Facts) -> None:
    """Hold what no note may have: a gap, a double space, a loose sign, a word twice, a signature that is missing."""
    text = f"{draft.subject}\n{draft.body}"
    lang = known["person"]["lang"]
    assert "  " not in text, text
    # French has a no-break space before its colons and their like.
    loose = r"\s[,.]| [;:?!]|[(（]\s*[)）]" if lang == "fr" else r"\s[,.;:?!]|[(（]\s*[)）]"
    assert not re.search(loose, text), text
    assert not re.search(
        r"[,;:，；：、]\s*[,.;:，。；：、]|\.\.|。。|「」|“”|„“|« »|«\s*»|None|Undefined|[{}\[\]]", text
    ), text
    assert not re.search(r"\b([^\W\d_]+) \1\b", text), text
    assert draft.body.split("\n")[0] == known["fitting"]["greeting"], text
    assert draft.body.split("\n")[-2:] == [known["fitting"]["closing"], known["me"]["name"]], text
    for paragraph in draft.body.split("\n\n")[1:-1]:
        assert re.search(r"[.!?。！？」”»“]$", paragraph), text
    assert draft.body == unicodedata.normalize("NFC", draft.body)


def assert_good(kind: str, known: Facts) -> None:
    draft = corpus.render(kind, known)
    assert_well_written(draft, known)
    assert etiquette.check(draft.subject, draft.body, known, "ada@example.com") == [], draft.body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_combinations_of_facts_give_notes_that_pass_their_own_check(lang: str, kind: str) -> None:
    for known in corpus.combinations(kind, lang, corpus.SOME, f"{lang} {kind}"):
        assert_good(kind, known)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_combination_of_facts_gives_a_note_that_passes_its_own_check(lang: str, kind: str) -> None:
    for known in corpus.combinations(kind, lang):
        assert_good(kind, known)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_wordings_of_a_note_differ_from_their_first_words_on(lang: str, kind: str) -> None:
    for seniority in policy.SENIORITIES:
        bodies = [
            corpus.render(kind, corpus.facts(kind, lang, variant=one, seniority=seniority)).body for one in (1, 2, 3)
        ]
        openings = {body.split("\n\n")[1][:30] for body in bodies}
        seconds = {body.split("\n\n")[2] for body in bodies}
        assert (len(openings), len(seconds)) == (3, 3), bodies


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_a_detail_there_is_a_gap_and_it_blocks(lang: str, kind: str) -> None:
    known = corpus.facts(kind, lang, details=[])
    draft = corpus.render(kind, known)
    assert draft.body.count(GAP) == 1
    found = etiquette.check(draft.subject, draft.body, known, "ada@example.com")
    assert [(one["code"], one["severity"]) for one in found] == [("gap", "block"), ("detail", "block")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_is_said_that_is_not_known(lang: str, kind: str) -> None:
    full = drafts.sample_facts(kind, lang)
    draft = corpus.render(kind, corpus.facts(kind, lang, place="", about="", weekday="", date=""))
    text = f"{draft.subject} {draft.body}"
    meeting = full["meeting"]
    unknown = [meeting["place"], meeting["about"], meeting["weekday"], meeting["date"], full["via"], full["others"][0]]
    assert [words for words in unknown if words in text] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_day_the_detail_the_promise_and_who_introduced_us_are_said(lang: str, kind: str) -> None:
    full = drafts.sample_facts(kind, lang)
    for variant in (1, 2, 3):
        body = corpus.render(kind, {**full, "variant": variant}).body
        promise = full["promises"][0]
        said = [full["details"][0], full["meeting"]["weekday"], full["via"], promise["text"], promise["due"]]
        assert [words for words in said if words.casefold() not in body.casefold()] == [], body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_short_form_fits_into_a_message_and_the_card_has_three_lines(lang: str, kind: str) -> None:
    for variant in (1, 2, 3):
        known = corpus.facts(kind, lang, variant=variant)
        short, card = (corpus.render(kind, known, form).body for form in ("short", "card"))
        assert len(short) <= 200, short
        assert "\n" not in short
        assert len(card.split("\n")) == 3, card
        for text in (short, card):
            assert known["details"][0] in text
            assert "  " not in text
            assert text.endswith(known["me"]["name"])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_introducer_is_told_what_came_of_it_in_other_words_than_the_first_thanks(lang: str) -> None:
    met = corpus.sheet(lang)["people"][0]
    for seniority, variant in itertools.product(policy.SENIORITIES, (1, 2, 3)):
        known = corpus.facts("introduction", lang, variant=variant, seniority=seniority, about=met)
        first, told = corpus.render("introduction", known), corpus.render("introduction", {**known, "outcome": met})
        assert met in told.body
        assert_well_written(told, known)
        around = Around(earlier=(first.body,))
        outcome: Facts = {**known, "outcome": met}
        assert etiquette.check(told.subject, told.body, outcome, "ada@example.com", around=around) == [], told.body


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_name_is_greeted_as_its_form_asks(lang: str) -> None:
    for seniority in policy.SENIORITIES:
        rule = policy.rule("coffee", lang, seniority)
        found = {name: fitting(rule, name)["greeting"] for name in corpus.sheet(lang)["names"]}
        assert found == corpus.sheet(lang)["greetings"][seniority]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_late_note_says_so_once_and_one_after_half_a_year_says_it_otherwise(lang: str, kind: str) -> None:
    usual, late, very = (
        corpus.render(kind, corpus.facts(kind, lang, belated=belated, days_since=days)).body.split("\n\n")
        for belated, days in ((False, 20), (True, 20), (True, 200))
    )
    assert len(late) == len(very) == len(usual) + 1
    assert late[1] != very[1]
    assert late[2][1:] == usual[1][1:]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_shipped_template_is_there_and_passes_templates_check(lang: str) -> None:
    folder = paths.data_folder("templates") / lang
    found = drafts.available(lang, corpus.NOBODY)
    assert [(one.name, one.lang) for one in found] == [(kind, lang) for kind in sorted(KINDS)]
    for one in found:
        assert one.description
        assert drafts.wordings(one.name, lang, corpus.NOBODY) == [one.name, f"{one.name}/2", f"{one.name}/3"]
        assert drafts.check(folder / f"{one.name}.txt.j2", corpus.NOBODY) == []
