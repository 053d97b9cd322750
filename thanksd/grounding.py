"""Is everything that a note says true of this meeting: names, numbers, quoted topics, promises. Pure.

A mixed-up name is the mistake that is not forgiven ("never mix up names or banks": breakingintofinance.info), and what
no note of the meeting holds is, at best, from memory. Where a rule can't be had in a language, it says so.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from thanksd import names, telling
from thanksd.facts import BLOCK, HINT, WARN, Around, Facts, Finding, finding, noted, unique
from thanksd.language import Language, any_of, of, plain, read, words_of
from thanksd.tone import sentences

_SHORTEST_NAME, _SHORTEST_WRITTEN_TOGETHER = 4, 3


def check_person(text: str, facts: Facts, around: Around, language: Language) -> Finding | None:
    """Block a note that names somebody, or a company, that had nothing to do with this meeting.

    A first name alone is told where it can't be another word: not in German, nor in characters, nor a month's.
    """
    known, said = noted(facts), plain(text)
    here = set(re.findall(r"\w+", known))
    whole = [name for name in around.acquaintances if name not in known and _is_said(name, said, language)]
    parts = {part for name in whole if " " in name for part in name.split()}
    alone = [name.split(maxsplit=1)[0] for name in around.acquaintances if " " in name and name not in whole]
    usual = {*language.dates.months, *language.dates.weekdays}
    if language.words.nouns_capitalised or language.words.by_characters:
        alone = []
    firsts = [one for one in alone if one not in here | parts | usual and one[2:] and _is_said(one, said, language)]
    found = unique([*(name for name in whole if name not in here | parts), *firsts])
    message = f"it names somebody who was not there: {found}."
    return finding("person", BLOCK, message, found) if found else None


def _is_said(name: str, text: str, language: Language) -> bool:
    if not re.search(_CJK, name):
        return re.search(rf"\b{re.escape(name)}\b", text) is not None
    # A name in characters may have a space in it; one of two characters is a word too, unless an honorific follows.
    closed = "".join(name.split())
    behind = "" if len(closed) >= _SHORTEST_WRITTEN_TOGETHER else f"(?:{language.words.honorifics or '(?!)'})"
    return re.search(f"{re.escape(closed)}{behind}", _closed(text)) is not None


# Characters of Chinese and Japanese, katakana too.
_CJK = r"[\u30a0-\u30ff\u3400-\u9fff]"


def _closed(text: str) -> str:
    """Give a text without the spaces that stand between characters."""
    return re.sub(rf"(?<={_CJK})\s+(?={_CJK})", "", text)


def check_typo(text: str, facts: Facts, known: Language) -> Finding | None:
    """Block a name that is written otherwise by a letter or two: the recipient's, or another's of this meeting."""
    found = unique(f"{word} for {name}" for word, name in _misspelt(text, facts, known))
    return finding("typo", BLOCK, f"a name is misspelt: {found}.", found) if found else None


def _misspelt(text: str, facts: Facts, known: Language) -> list[tuple[str, str]]:
    """Give the words that are nearly a name of this meeting, each with that name."""
    own = [facts["person"]["name"], facts["via"], *facts["others"], facts["me"]["name"]]
    if known.words.by_characters:
        return _slips_together(text, own, noted(facts), known)
    return _slips(text, own, noted(facts), nouns_capitalised=known.words.nouns_capitalised)


def _slips(text: str, names_: list[str], known: str, *, nouns_capitalised: bool) -> list[tuple[str, str]]:
    """Give words that are nearly a part of a name, and begin with a capital where no sentence begins.

    One that stands beside another part of the name, or behind a title, is told wherever it is; where every noun has a
    capital, only such a one.
    """
    right = set(re.findall(r"[^\W\d_]+", known))
    parts = {part for name in names_ for part in re.findall(r"[^\W\d_]+", name) if len(part) >= _SHORTEST_NAME}
    said = [] if nouns_capitalised else _capitalised(text)
    found = [(word, part) for word in said for part in sorted(parts) if names.is_slip(word, part)]
    found += [slip for name in names_ for slip in _slips_beside(text, name)]
    return [(word, part) for word, part in found if word not in right and len(word) >= _SHORTEST_NAME]


def _slips_beside(text: str, name: str) -> list[tuple[str, str]]:
    """Give slips of a name's first part before its last, and of its last behind the first or a title."""
    *others, last = re.findall(r"[^\W\d_]+", name) or [""]
    first = next((part for part in others if not names.is_title(part)), "")
    titles = "|".join(re.escape(part) for part in others)
    found = [
        (word, last)
        for word in re.findall(rf"\b(?=(?:{titles})\.? ([^\W\d_]+))", text)
        if titles and names.is_slip(word, last)
    ]
    return found + [
        (word, first) for word in re.findall(rf"([^\W\d_]+) {last}\b", text) if first and names.is_slip(word, first)
    ]


def _slips_together(text: str, names_: list[str], said: str, known: Language) -> list[tuple[str, str]]:
    """Give what is a name of three characters or more but for one of them that is not its first.

    A given name alone, or a family name with an honorific behind it, is no slip.
    """
    found, closed = [], _closed(text)
    for name in (names.bare(name, known) for name in names_):
        if len(name) < _SHORTEST_WRITTEN_TOGETHER or not re.fullmatch(rf"{_CJK}+", name) or name in closed:
            continue
        for match in re.finditer(f"(?={name[0]}({_CJK}{{{len(name) - 1}}}))", closed):
            piece = name[0] + match[1]
            other = [place for place, (one, right) in enumerate(zip(piece, name, strict=True)) if one != right]
            if (
                len(other) == 1
                and piece not in said
                and not names.is_honorific(closed[match.start() + other[0] :], known)
            ):
                found.append((piece, name))
    return found


# Neither the [1] of a footnote nor a heart (<3).
_NUMBER = re.compile(r"(?<![<\[])\d+(?:[.,:]\d+)*")
_QUOTED = re.compile(
    r"\"([^\"\n]{2,80})\"|\u201c([^\u201d\n]{2,80})\u201d|\u201e([^\u201c\u201d\n]{2,80})[\u201c\u201d]"
    r"|\u00ab\s?([^\u00bb\n]{2,80}?)\s?\u00bb|\u300c([^\u300d\n]{2,80})\u300d|\u300e([^\u300f\n]{2,80})\u300f"
)


def unquoted(text: str) -> str:
    """Give a text without what stands in quotation marks."""
    return _QUOTED.sub(" ", text)


def check_grounding(subject: str, text: str, facts: Facts, around: Around, known: Language) -> Finding | None:
    """Warn of a number or a quoted topic that is in none of the meeting's notes, hint at such a name.

    Names that `check_person` or `check_typo` tells of are not told again, nor is what is said of the writer's own side.

    German writes every noun with a capital, so there a name is not told from any other word.
    """
    own_side = [one for one in sentences(text) if _own_side(known.code).search(one)]
    ours = set(re.findall(r"\w+", " ".join(own_side)))
    told = [*_numbers(f"{subject}\n{text}", facts), *_topics(f"{subject}\n{text}", facts)]
    misspelt = {word for word, _ in _misspelt(text, facts, known)}
    misspelt |= {part for name in around.acquaintances for part in name.split()}
    names_ = [] if known.words.nouns_capitalised else unknown_names(text, facts)
    told = [one for one in told if not ours.issuperset(re.findall(r"\w+", one))]
    named = [one for one in names_ if one not in misspelt and not ours.issuperset(re.findall(r"\w+", one))]
    found = unique([*told, *named])
    message = (
        f"your notes of this meeting do not have it: {found}. Is it true? Then note it: thanksd edit REF --detail WORDS"
    )
    return finding("grounding", WARN if told else HINT, message, found) if found else None


def _numbers(said: str, facts: Facts) -> list[str]:
    """Give the numbers of a text that are in none of the notes; the day of the meeting is there in whatever form."""
    known = " ".join(noted(facts).casefold().split())
    said = _without_date(unicodedata.normalize("NFKC", said), facts)
    return [one for one in _NUMBER.findall(said) if not re.search(rf"(?<!\d){re.escape(one)}(?!\d)", known)]


# 11/3, 3/11/2025, 11.3., 2025-03-11 and their like.
_DATE = re.compile(r"(?<![\d.,:/-])(?:\d{4}([./-])\d{1,2}\1\d{1,2}|\d{1,2}([./-])\d{1,2}(?:\2(?:\d{4}|\d{2}))?)(?!\d)")


def _without_date(text: str, facts: Facts) -> str:
    """Give a text without the meeting's date in numbers, and without a year beside it."""
    date, months = facts["meeting"]["date"], of(facts["person"]["lang"]).dates.months
    month = next((place for place, name in reversed([*enumerate(months, 1)]) if name in date), 0)
    days = [int(one) for one in re.findall(r"\d+", date.replace(months[month - 1], " "))]
    if not month or len(days) != 1:
        return text
    name, wanted = re.escape(months[month - 1]), {days[0], month}
    text = _DATE.sub(
        lambda match: " " if wanted <= {int(one) for one in re.findall(r"\d+", match.group())} else match.group(), text
    )
    day = rf"{days[0]}(?!\d)"
    behind = rf"({name}[^\w\n]{{0,2}}(?:{day}\w{{0,2}})?[^\w\n]{{1,2}}(?:del? )?)(?:19|20)\d\d\b"
    return re.sub(rf"{behind}|(?:19|20)\d\d\u5e74(?={name})", r"\1 ", text)


def _topics(said: str, facts: Facts) -> list[str]:
    """Give what a text quotes that is in none of the notes."""
    known = " ".join(noted(facts).casefold().split())
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(said)]
    return [one for one in quoted if one.casefold().strip(" .,!?\u3002") not in known]


@cache
def _own_side(code: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(known.words.own_side, known)


# Where people write and meet: named, they are no facts of a meeting.
_SERVICES = frozenset({"linkedin", "xing", "zoom", "teams", "skype", "slack", "whatsapp", "wechat", "github", "google"})


def unknown_names(text: str, facts: Facts) -> list[str]:
    """Give the words of a text that look like names and are in none of the meeting's notes; in German, all nouns."""
    known = of(facts["person"]["lang"])
    usual = {word.casefold() for word in (*known.dates.weekdays, *known.dates.months)}
    # "Tue" and "Mar" are the meeting's own day.
    day = [*facts["meeting"]["weekday"].split(), *facts["meeting"]["date"].split()]
    usual |= {word[:end].casefold() for word in day for end in range(3, len(word))}
    facts_said = noted(facts).casefold()
    right = {*words_of(facts_said, known), *re.findall(r"\w+", facts_said), *usual, *_SERVICES}
    if known.words.by_characters:
        # A word in other letters is a name there.
        said = [word for word in words_of(text, known) if word[:1].isupper() or word.isascii()]
        return [word for word in said if word.casefold() not in right and not word.isdigit() and word[1:]]
    said = [word for word in _capitalised(text) if not word.isupper() and not names.is_title(word)]
    return [word for word in said if not right.issuperset(re.findall(r"\w+", word.casefold()))]


def _capitalised(text: str) -> list[str]:
    """Give the words with a capital that do not begin a sentence, a quotation or a line."""
    found = re.finditer(r"(?<=[\w,;)\u2019'] )[^\W\d_]+(?:-[^\W\d_]+)*", _plain_lines(text))
    return [match.group() for match in found if match.group()[:1].isupper() and match.group()[1:2]]


def _plain_lines(text: str) -> str:
    """Give a text line by line, each with single spaces."""
    return "\n".join(plain(line) for line in text.splitlines())


def check_promise(text: str, facts: Facts, known: Language) -> Finding | None:
    """Warn of a promise that was noted and is not named, and of one that is made and was not noted."""
    missing = [one["text"] for one in facts["promises"] if not telling.keeps(text, one["text"], known)]
    if missing:
        found = unique(missing)
        return finding("promise", WARN, f"a promise is not named: {found}.", found)
    made = unique(match.group() for match in _promising(known.code).finditer(plain(text)))
    if not made or facts["promises"]:
        return None
    words = f"it promises what is not noted: {made}. Note it: thanksd edit REF --promise WORDS"
    return finding("promise", WARN, words, made)


@cache
def _promising(code: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(known.words.promising, known)
