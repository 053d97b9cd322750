"""How a note sounds: too loud, about nothing, or without a word of what they did. Pure.

Slightly warm is read best, neutral next, gushing last (Boomerang's mail study, 2016); a subject of three to eight words
that says for what; and at least one sentence about what the other person did, which is what is felt as thanks (Algoe,
Kurtz and Hilaire 2016: other-praise).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from thanksd import asks
from thanksd.language import Language, any_of, found_in, plain, read

MOST_MARKS, MOST_SUPERLATIVES, MOST_THANKS = 1, 1, 3


@cache
def _pattern(code: str, field: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(getattr(known.words, field), known, whole=True)


def gush(text: str, known: Language) -> list[str]:
    """Give the words and signs that are too many: of each sort those beyond what is warm."""
    text = plain(text)
    marks = re.findall("[!\N{FULLWIDTH EXCLAMATION MARK}]", text)
    said = [match.group() for match in _pattern(known.code, "superlatives").finditer(text)]
    thanks = [match.group() for match in _pattern(known.code, "thanks").finditer(text)]
    found = ["".join(marks)] if len(marks) > MOST_MARKS else []
    found += said if len(said) > MOST_SUPERLATIVES else []
    found += thanks if len(thanks) > MOST_THANKS else []
    return [*found, *dict.fromkeys(char for char in text if _is_emoji(char))]


def stock(text: str, known: Language) -> list[str]:
    """Give the phrases that any letter may have."""
    return [match.group() for match in _pattern(known.code, "stock").finditer(plain(text))]


def _is_emoji(char: str) -> bool:
    """Say whether it is a picture. CJK and symbols that people type, such as the degree sign, are none."""
    return unicodedata.category(char) == "So" and ord(char) >= 0x2600  # noqa: PLR2004  Miscellaneous Symbols, and above


def subject_fault(subject: str, known: Language) -> str:
    """Say what is wrong with a subject, "" for nothing; its length is in words, or in characters (`by_characters`)."""
    words, unit = known.words, "characters" if known.words.by_characters else "words"
    bare = subject.strip(" .,:;!?-")
    length = len("".join(subject.split())) if words.by_characters else len(subject.split())
    if not bare:
        return "it has no subject."
    if _pattern(known.code, "empty_subjects").fullmatch(bare):
        return f"the subject says nothing: {subject.strip()}."
    if subject.isupper() or subject.count("!") > 1:
        return "the subject shouts."
    if length < words.subject_shortest:
        return f"the subject does not say for what: {subject.strip()}."
    if length > words.subject_longest:
        return f"the subject is long: {length} {unit}, at most {words.subject_longest} are better."
    return ""


# So often "you", besides in a word of thanks, and a note is about them, whatever its words.
MANY_YOU = 4


def praises(text: str, known: Language) -> bool:
    """Say whether at least one sentence says what they did, or how they are, or the whole is about them."""
    no_praise, praise = (_pattern(known.code, field) for field in ("no_praise", "praise"))
    # "Your boss" in what is asked for is no praise.
    said = [asks.before(sentence, known) for sentence in sentences(text)]
    if any(praise.search(no_praise.sub(" ", sentence)) for sentence in said):
        return True
    thanks = "|".join(known.words.thanks)
    besides = re.sub(
        rf"(?:{thanks})(?: |\b)(?:\w+ )?(?:{'|'.join(known.words.theirs.split()) or '(?!)'})",
        " ",
        " ".join(said),
        flags=re.IGNORECASE,
    )
    return len(found_in(besides, known.words.theirs, known)) >= MANY_YOU


def sentences(text: str) -> list[str]:
    """Give a text's sentences, with the apostrophe that keyboards have."""
    return re.split(r"(?<=[.!?]) |(?<=[\u3002\uff01\uff1f])", plain(text))


def thanks(text: str, known: Language) -> bool:
    """Say whether a text has a word of thanks."""
    return _pattern(known.code, "thanks").search(text) is not None


# Of what sort their deed was, by the kind of meeting; any other is time that they gave.
SORTS = {
    **dict.fromkeys(("gift", "meal"), "gift"),
    **dict.fromkeys(("speaker", "panel"), "talk"),
    **dict.fromkeys(("donation", "reference", "referral", "introduction"), "help"),
}


def example(kind: str, seniority: str, known: Language) -> str:
    """Give a sentence that praises what somebody did, fitting the kind of meeting."""
    forms = known.words.examples[SORTS.get(kind, "time")]
    return forms[-1] if seniority == "above" else forms[0]
