"""What is known of a language that notes are written in: days, sentences, and the words a check looks for. Pure.

One file a language, `languages/CODE.toml`; which of them a tag is written in says `policy.culture`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from thanksd import policy


class Dates(NamedTuple):
    """How a day is said: names from Monday and from January; forms with {weekday}, {day} and {month}.

    `on_weekday` and `on_date` have {} for such a day, and the space before it, as a sentence takes it up.
    """

    weekdays: list[str]
    months: list[str]
    date: str
    full: str
    on_weekday: str
    on_date: str


class Sentences(NamedTuple):
    """How what people typed is put into sentences; forms have {} for it, and are lists where each wording has its own.

    A detail may be a noun phrase (it begins with one of `determiners`), a clause (with one of `asking`), a sentence of
    its own (with one of `subjects`), or else something that `anything` is right for. `several` stands between details,
    `aside` after a sentence. A promise's form has {text}, with a day {due} too. `places` are rows of `words`, one of
    which such a place begins with, and its `form`; `place` is the form of any other, "" where it is left out.
    """

    nouns: list[str]
    clauses: list[str]
    anything: list[str]
    determiners: str
    asking: str
    subjects: str
    several: str
    aside: str
    promise: str
    promise_by: str
    also: str
    places: list[dict[str, str]]
    place: str
    comma: str
    last: str


class Words(NamedTuple):
    """What the etiquette check looks for: lists of words with spaces between, and patterns (regular expressions).

    A word with a capital is looked for as it is, any other in every case; where no spaces stand between words, it is a
    pattern. `run` is how many of a detail's words in a
    row a note has to have. `honorifics` are a pattern of what may stand behind a name in a greeting, which may be in
    one of the first `greeting_lines`. With `elisions` words are cut before an apostrophe ("l'exposé"). `foreign` are
    characters of another script than this language's, `familiar` words
    that are too familiar towards somebody above; where a greeting is `formal`, so is their first name alone.

    `examples` are sentences that praise, for time, a gift, a talk and help (`tone.SORTS`): for a peer, and for somebody
    above where that is said otherwise. `own_side` is what the writer says of their own side ("in my last job"),
    `apology` what they are sorry for. Each pattern of `alike` finds verbs that come to the same in a promise.
    """

    by_characters: bool
    run: int
    salutation: str
    honorifics: str
    greeting_lines: int
    closings: list[str]
    common: str
    own: str
    theirs: str
    third: str
    familiar: str
    foreign: str
    superlatives: list[str]
    thanks: list[str]
    praise: list[str]
    no_praise: list[str]
    empty_subjects: list[str]
    subject_shortest: int
    subject_longest: int
    promising: list[str]
    own_side: list[str]
    apology: list[str]
    alike: list[str]
    examples: dict[str, list[str]]
    nouns_capitalised: bool = False
    two_surnames: bool = False
    elisions: bool = False
    formal: bool = False
    stock: list[str] = []  # noqa: RUF012  never changed


class Sample(NamedTuple):
    """What is made up of a meeting, to show a template with; `of` has what else it is `about` for some kinds."""

    me: str
    person: str
    place: str
    about: str
    detail: str
    promise: str
    other: str
    via: str
    of: dict[str, dict[str, str]]

    def at(self, kind: str) -> Sample:
        """Give what is made up of a meeting of this kind."""
        other: dict[str, Any] = self.of.get(kind, {})
        return self._replace(**other)


class Language(NamedTuple):
    """All of it. `code` is the name of its file; `sentences` is None for English, whose sentences are `phrases`.

    `one_day`, `one_week` and `one_month` are words that are true for so long only, `harmless` what dates nothing. Those
    of `today` and `last_week` can't be the day of a meeting that was longer ago. `instead` is what a language says in
    their place, "" where it names the day.
    """

    code: str
    dates: Dates
    sentences: Sentences | None
    words: Words
    sample: Sample
    asks: list[str]
    offers: dict[str, list[str]]
    one_day: list[str]
    one_week: list[str]
    one_month: list[str]
    harmless: list[str]
    today: list[str]
    last_week: list[str]
    instead: str


def of(tag: str) -> Language:
    """Give the language that a tag is written in, English where it has none of its own."""
    return read(policy.culture(tag))


@cache
def read(code: str) -> Language:
    """Give a language by the name of its file, one of `policy.cultures`."""
    import tomllib  # noqa: PLC0415  what writes no note needs no parser

    path = Path(__file__).with_name("languages") / f"{code}.toml"
    table = {name: _filled(part) for name, part in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    return Language(
        code=code,
        dates=Dates(**table["dates"]),
        sentences=Sentences(**table["sentences"]) if "sentences" in table else None,
        words=Words(**table["words"]),
        sample=Sample(**table["sample"]),
        asks=table["asks"]["patterns"],
        offers=table["offers"],
        **table["days"],
    )


def _filled(table: dict[str, Any]) -> dict[str, Any]:
    """Give a table without its choices, which stand for <NAME> in its texts."""
    choices = table.pop("choices", {})
    return {key: _chosen(value, choices) for key, value in table.items()}


def _chosen(value: Any, choices: dict[str, str]) -> Any:  # noqa: ANN401  any value of a TOML file
    if isinstance(value, list):
        return [_chosen(one, choices) for one in value]
    if isinstance(value, str):
        for name, words in choices.items():
            value = value.replace(f"<{name}>", words)
    return value


def any_of(patterns: Iterable[str], known: Language, *, whole: bool = False) -> re.Pattern[str]:
    """Give the pattern of any of these, whatever the case; without any it matches nothing.

    Where a language has spaces between its words, each begins a word, and ends one where it is `whole`.
    """
    joined = "|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)"
    if not known.words.by_characters:
        joined = rf"\b(?:{joined})" + (r"\b" if whole else "")
    return re.compile(joined, re.IGNORECASE)


def listed(words: str) -> frozenset[str]:
    """Give a list's words."""
    return frozenset(words.split())


_WORD = re.compile(r"\w+(?:-\w+)*")
# Where no spaces stand between words, each character counts, and each word in other letters.
_CHARACTERS = r"\u3040-\u30ff\u3400-\u9fff"
_CHARACTER = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+")


def words_of(text: str, known: Language) -> list[str]:
    """Give a text's words, or its characters where a language has none between spaces."""
    if known.words.by_characters:
        return _CHARACTER.findall(text)
    if known.words.elisions:
        # "l'exposé" is two words, and the second is the telling one.
        return _WORD.findall(re.sub(r"(?<=\w)['\N{RIGHT SINGLE QUOTATION MARK}]", " ", text))
    # "you're" is "you" and a tail; the tail is no word of its own, so that "I'd" counts as one.
    return _WORD.findall(re.sub(r"(?<=\w)['\N{RIGHT SINGLE QUOTATION MARK}]\w+", "", text))


def among(words: list[str], known: frozenset[str]) -> list[str]:
    """Give those words that are listed, as they are or in small letters."""
    return [word for word in words if word in known or word.casefold() in known]


def telling_stems(text: str, known: Language) -> list[str]:
    """Give the beginnings of the words of a text that tell something, in small letters: "lifetim" of "lifetimes"."""
    common = listed(known.words.common)
    words = [word.casefold() for word in words_of(text, known) if word.casefold() not in common]
    return list(dict.fromkeys(word[: max(_SHORTEST_STEM, len(word) - 2)] for word in words))


_SHORTEST_STEM = 4


def found_in(text: str, words: str, known: Language) -> list[str]:
    """Give what of a list of words a text has, each time it has it."""
    if known.words.by_characters:
        return re.findall("|".join(words.split()) or "(?!)", text)
    return among(words_of(text, known), listed(words))


def plain(text: str) -> str:
    """Give a text on one line, with the apostrophe that keyboards have."""
    return " ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
