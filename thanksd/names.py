"""How a stored name is said in a greeting, and whether a greeting says it. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

from thanksd.language import Language, any_of, read

_TITLE_WORDS = (
    "dr prof professor mr mrs ms mx miss sir dame lord lady rev reverend fr hon judge madam madame"
    " herr frau sr sra srta señor señora monsieur mme mlle"
    " docteur docteure professeur professeure maître capitaine capitán mag magistra"
    " dipl-ing dra profa ing lic arq mtro mtra don doña d dña doctor doctora profesor profesora"
)
_TITLES = frozenset(_TITLE_WORDS.split())
_ACADEMIC = frozenset({"dr", "prof", "professor", "mag", "magistra", "dra", "profa"})
_HE = frozenset({"mr", "sir", "lord", "herr", "sr", "señor", "monsieur", "don", "profesor"})
_SHE_WORDS = "mrs ms miss lady dame madam madame mme mlle frau sra srta señora dra profa doña dña doctora profesora"
_SHE = frozenset(_SHE_WORDS.split())
# Written small, they begin a family name.
_PARTICLE_WORDS = "von van der den de del della di da dos du la le bin ibn al ter ten zu zur af av"
_PARTICLES = frozenset(_PARTICLE_WORDS.split())
_DEGREE_WORDS = "phd md jr sr ii iii iv mba esq msc bsc dphil mph cbe obe mbe frs"
_DEGREES = frozenset(_DEGREE_WORDS.split())
# A first line of more words, or characters where there are no words, is no greeting but the letter itself.
_LONGEST_HEAD, _MOST_CHARACTERS = 6, 24

# What a form adds to a name that has it already: the first of these goes before it, the second stands alone.
_DOUBLED = (re.compile("(?:様|さん|さま|氏|殿|君)様"), re.compile("(先生|教授|博士|部長|課長|社長|会長)様"))


def first(name: str) -> str:
    """Give the name a peer is greeted by: "Ada" of "Dr. Ada Lovelace", "Dr. Lovelace" of itself, "" of ""."""
    parts = _parts(name)
    titled = len(parts) < len(_reordered(name).split())
    if titled and len(parts) <= 1:
        return _reordered(name)
    return parts[0] if parts else ""


def greeting(name: str, seniority: str) -> str:
    """Give the name for "Dear ...,": the full one for somebody "above", else the first."""
    return _reordered(name) if seniority == "above" else first(name)


def filled(form: str, name: str, gap: str) -> str:
    """Fill a greeting's form ("Dear {first},") with a name; `gap` stands for what the name does not have.

    {first} and {last} are its parts, {full} is all of it, {title} its academic titles, or nothing.
    """
    parts = _parts(name)
    titles = [word for word in _reordered(name).split() if _key(word) in _ACADEMIC]
    said = {"first": first(name), "last": " ".join(_family(parts)), "full": _reordered(name)}
    words = {key: value or gap for key, value in said.items()} | {"title": " ".join(titles)}
    for key, value in words.items():
        form = form.replace(f"{{{key}}}", value)
    form = _DOUBLED[1].sub(r"\1", _DOUBLED[0].sub("様", form))
    return form if titles else form.replace("  ", " ")


def _family(parts: list[str]) -> list[str]:
    """Give the family name with what belongs to it: "van Beethoven", "de la Cruz", "bin Laden"."""
    start = next((place for place, word in enumerate(parts) if place and word in _PARTICLES), len(parts) - 1)
    return parts[max(start, 0) :]


def pronoun(name: str) -> Literal["he", "she", ""]:
    """Say whether a name is written with a word that tells how somebody is spoken of: Herr, Ms, Sra., 先生."""
    keys = {_key(word) for word in name.split()}
    if keys & _HE or name.endswith("先生"):
        return "he"
    return "she" if keys & _SHE or name.endswith(("女士", "小姐")) else ""


def is_greeted(line: str, name: str, known: Language) -> bool:
    """Say whether a letter's first line greets the person, spelled as stored: first, last or full name, any title."""
    _, said = _split(line, known)
    words = _untitled(_plain(said).split())
    # What stands before the name in small letters is a title too: "Estimado capitán Otero".
    while len(words) > 1 and (words[0].islower() or _key(words[0]) in _TITLES):
        words = words[1:]
    rest = " ".join(words)
    if rest in _forms(_plain(name), two_surnames=known.words.two_surnames):
        return True
    # In Japanese the company's name may stand before it on the same line.
    return any(_is_part(_closed_up(part, known), name, known) for part in (rest, rest.rpartition(" ")[2]))


def is_greeted_by(line: str, part: str, known: Language) -> bool:
    """Say whether a letter's first line greets by this part of a name and nothing else, no title and no "don"."""
    salutation, said = _split(line, known)
    return _plain(said).rstrip(" !.") == part and not re.search(r"\bd(?:on|oña)\b", salutation, re.IGNORECASE)


def _is_part(said: str, name: str, known: Language) -> bool:
    """Say whether this is a name written in characters: the family name, the given one, or either with its title."""
    if not said:
        return False
    if said in _written_together(name, known):
        return True
    whole = _closed_up(name, known)
    return any(said == whole[:end] + whole[len(whole) - len(said) + end :] for end in range(1, len(said)))


def are_greeted(line: str, names: list[str], known: Language) -> bool:
    """Say whether a line greets the first of these people, and beside them others of these: "Dear Ada and Tom,"."""
    salutation, _ = _split(line, known)
    said = re.split(r",? (?:and|und|et|y|e|&) |, ", line.strip()[len(salutation) :].strip(_AROUND))
    of = [{_plain(first(name)), *_forms(_plain(name))} for name in names if name]
    return len(said) > 1 and said[0] in of[0] and all(any(one in forms for forms in of[1:]) for one in said[1:])


def is_courtesy(line: str, name: str, known: Language) -> bool:
    """Say whether a line greets by a title alone, as French does ("Chère Madame,"), and by none that is wrong."""
    _, said = _split(line, known)
    words = {_key(word) for word in line.split()}
    titles = {"he": words & _HE, "she": words & _SHE}
    told = next((which for which in ("he", "she") if titles[which]), "")
    alone = all(_key(word) in _TITLES for word in said.split())
    return alone and bool(told) and pronoun(name) in ("", told)


def is_greeting_line(line: str, name: str, known: Language) -> bool:
    """Say whether the whole line is a greeting, be it the person's or somebody else's."""
    salutation, said = _split(line, known)
    rest = line.strip()[len(salutation) :].strip(_AROUND)
    rest = _affixes(known.code)[1].sub("", rest).strip(_AROUND)
    alone = len(rest) <= len(said) or not _HEAD_END.search(rest)
    return alone and bool(greeting_words(line, known) or is_greeted(line, name, known))


def greeting_words(line: str, known: Language) -> str:
    """Give the greeting's words without its comma, such as "Dear Adam"; "" where the line has no greeting."""
    salutation, said = _split(line, known)
    head = f"{salutation}{said}".strip(_AROUND)
    if len(head.split()) > _LONGEST_HEAD or (known.words.by_characters and len(head) > _MOST_CHARACTERS):
        return ""
    called = head != line.strip() and len(head.split()) <= 2  # noqa: PLR2004  "Ada, ..." or "Ada Lovelace, ..."
    return head if salutation or called else ""


# What ends a greeting, and what may stand around it; the last ones are of Chinese and Japanese.
_HEAD_END = re.compile(r"[,:!\u2013\u2014\uff0c\uff1a\uff01]")
_AROUND = " ,:!.\u00a1\uff0c\uff1a\uff01\u3002"


def _split(line: str, known: Language) -> tuple[str, str]:
    """Give a line's salutation with the space behind it ("Dear "), and what is called by it, up to a comma or colon."""
    before, after = _affixes(known.code)
    line = line.strip(" \u00a1")
    found = before.match(line.strip())
    salutation = found.group() if found else ""
    said = _HEAD_END.split(line.strip()[len(salutation) :], maxsplit=1)[0].strip()
    return salutation, said if known.words.honorifics == "" else after.sub("", said).strip()


@cache
def _affixes(code: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Give the patterns of what stands before a name in a greeting, and of what stands behind it."""
    known = read(code)
    before = any_of([known.words.salutation], known, whole=True).pattern
    return re.compile(rf"{before}[ ,]*", re.IGNORECASE), re.compile(rf"(?:{known.words.honorifics or '(?!)'})+$")


def greeted_slip(line: str, name: str, known: Language) -> tuple[str, str]:
    """Give the part of a name and what a greeting says in its place, each "" where it says something else entirely."""
    _, said = _split(line, known)
    parts = [part for part in _parts(name) if part[0].isupper()]
    for word in said.split():
        for part in parts:
            if is_slip(word, part):
                return word, part
    return "", ""


def is_slip(word: str, name: str) -> bool:
    """Say whether a word is a name but for a letter or two; short names have too many neighbours: Mark and Mary."""
    if word.casefold() != name.casefold() and _spelt(word) & _spelt(name):
        return word[:1].isupper()
    if min(len(word), len(name)) < _SHORTEST or word.casefold() in (name.casefold(), f"{name}s".casefold()):
        return False
    most = 2 if min(len(word), len(name)) >= _TWO_SLIPS_FROM and word[0] == name[0] else 1
    return (
        word[:1].isupper() and abs(len(word) - len(name)) <= most and distance(word.casefold(), name.casefold()) <= most
    )


_SHORTEST, _TWO_SLIPS_FROM = 5, 8
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae", "œ": "oe"})


def _spelt(word: str) -> set[str]:
    """Give how a word is written without accents: Koehler and Kohler of Köhler."""
    small = unicodedata.normalize("NFC", word).casefold()
    bare = "".join(char for char in unicodedata.normalize("NFD", small) if not unicodedata.combining(char))
    return {bare, small.translate(_SPELT_OUT)}


def distance(one: str, other: str) -> int:
    """Count the letters to add, drop, change or swap with their neighbour between two words (optimal alignment)."""
    rows = [list(range(len(other) + 1))]
    for place, char in enumerate(one, 1):
        row = [place]
        for at, there in enumerate(other, 1):
            best = min(rows[-1][at] + 1, row[-1] + 1, rows[-1][at - 1] + (char != there))
            swapped = place > 1 and at > 1 and (char, one[place - 2]) == (other[at - 2], there)
            row.append(min(best, rows[-2][at - 2] + 1) if swapped else best)
        rows.append(row)
    return rows[-1][-1]


def is_title(word: str) -> bool:
    """Say whether a word is written before names: Dr, Ms, Frau."""
    return _key(word) in _TITLES


def bare(name: str, known: Language) -> str:
    """Give a name written in characters without its spaces and what is added to it, any other as it is."""
    return _affixes(known.code)[1].sub("", _closed_up(name, known)) or name


def is_honorific(text: str, known: Language) -> bool:
    """Say whether a text begins with what is added to a name."""
    return re.match(known.words.honorifics or "(?!)", text) is not None


def is_only_honorific(line: str, known: Language) -> bool:
    """Say whether a line has nothing but what is added to a name, such as a "how do you do" behind it."""
    return _affixes(known.code)[1].fullmatch(line.strip().strip(_AROUND)) is not None


def _closed_up(text: str, known: Language) -> str:
    """Give a name without the space that may stand in one written in characters, "" of any other."""
    closed = "".join(text.split())
    return closed if known.words.by_characters and not closed.isascii() else ""


def _written_together(name: str, known: Language) -> set[str]:
    """Give every right way to say a name whose parts have no space between them: family name, given name, all."""
    found: set[str] = set()
    parts = name.split()
    for alone in (bare("".join(parts[start:]), known) for start in range(len(parts))):
        found |= {alone[:end] for end in range(1, len(alone) + 1)} | {alone[start:] for start in range(len(alone))}
    return found - {""}


def _plain(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _key(word: str) -> str:
    return word.strip(".,()").replace(".", "").casefold()


def _untitled(words: list[str]) -> list[str]:
    while len(words) > 1 and _key(words[0]) in _TITLES:
        words = words[1:]
    return words


def _reordered(name: str) -> str:
    """Put "Lovelace, Ada" in spoken order, and leave degrees such as ", PhD" away."""
    before, _, after = name.partition(",")
    degrees = all(_key(word) in _DEGREES for word in after.replace(",", " ").split())
    return " ".join((before if degrees else f"{after} {before}").split())


def _parts(name: str) -> list[str]:
    return _untitled(_reordered(name).split())


def _forms(name: str, *, two_surnames: bool = False) -> set[str]:
    """Give every right way to say a name: it starts or ends as the name does, or is first and last.

    Of `two_surnames` the first is the one that people are called by.
    """
    parts = _parts(name)
    starts = {" ".join(parts[:end]) for end in range(1, len(parts) + 1)}
    ends = {" ".join(parts[start:]) for start in range(len(parts))}
    several = 3
    if two_surnames and len(parts) >= several:
        starts |= {parts[-2], f"{parts[0]} {parts[-2]}"}
    return starts | ends | {f"{parts[0]} {parts[-1]}" if len(parts) > 1 else first(name)} - {""}
