"""How a note sounds: too loud, about nothing, or without a word of what they did. Pure.

Slightly warm is read best, neutral next, gushing last (Boomerang's mail study, 2016); a subject of three to eight words
that says for what; and at least one sentence about what the other person did, which is what is felt as thanks (Algoe,
Kurtz and Hilaire 2016: other-praise).
"""

from __future__ import annotations

import re
import unicodedata

from thanksd.asks import plain

MOST_MARKS, MOST_SUPERLATIVES, MOST_THANKS = 1, 1, 3
SHORTEST_SUBJECT, LONGEST_SUBJECT = 3, 8

_SUPERLATIVES = re.compile(
    r"\b(?:absolutely|totally|incredibl[ey]|unbelievabl[ey]|amazing(?:ly)?|awesome|fantastic(?:ally)?|phenomenal"
    r"|extraordinar(?:y|ily)|mind-?blowing|life-?changing|world-class|spectacular|out of this world|beyond words"
    r"|wonderful(?:ly)?|perfect(?:ly)?|the (?:very )?(?:best|greatest|most \w+)|ever so|so,? so"
    r"|words (?:can't|cannot|fail)|forever grateful|eternally|deepest|from the bottom of my heart)\b",
    re.IGNORECASE,
)
_THANKS = re.compile(r"\b(?:thank(?:s|ful|fully|ing|ed)?|grateful(?:ly)?|gratitude|appreciat\w*)\b", re.IGNORECASE)
_GREETINGS_ONLY = re.compile(
    r"(?:hi|hello|hey|dear|re|fwd?|following up|follow-?up|quick (?:note|question)|just)\W*", re.IGNORECASE
)

# "You took", "you were kind", "it was good of you", "your patience": what they did, or how they are.
_PRAISE = re.compile(
    r"\b(?:kind|good|generous|thoughtful|patient|brave|nice|considerate|gracious) of you\b"
    r"|\byour (?:\w+ )?(?:kindness|generosity|patience|care|attention|honesty|openness|warmth|thoughtfulness|example"
    r"|trust|hospitality|effort)\b"
    r"|\byou (?:also |always |really |never |have |had |did not |didn't |do not |don't )?"
    r"(?:\w+ed|made|gave|took|told|saw|kept|brought|came|went|found|spoke|knew|thought|taught|felt|built|wrote|chose"
    r"|let|put|lent|spent|got|ran|set"
    r"|showed|heard|met|read|stood|sat|left|paid|meant|led|held|did|were|make|give|take|listen|share|explain)\b",
    re.IGNORECASE,
)
# What is said of a meeting or a plan, and praises nobody.
_NO_PRAISE = re.compile(r"\byou (?:said|told me|asked|mentioned|wanted|needed|were (?:busy|there))\b", re.IGNORECASE)


def gush(text: str) -> list[str]:
    """Give the words and signs that are too many: of each sort those beyond what is warm."""
    marks = re.findall(r"!", text)
    said = [match.group() for match in _SUPERLATIVES.finditer(text)]
    thanks = [match.group() for match in _THANKS.finditer(text)]
    found = ["!" * len(marks)] if len(marks) > MOST_MARKS else []
    found += said if len(said) > MOST_SUPERLATIVES else []
    found += thanks if len(thanks) > MOST_THANKS else []
    return [*found, *dict.fromkeys(char for char in text if _is_emoji(char))]


def _is_emoji(char: str) -> bool:
    """Say whether it is a picture. CJK and symbols that people type, such as the degree sign, are none."""
    return unicodedata.category(char) == "So" and ord(char) >= 0x2600  # noqa: PLR2004  Miscellaneous Symbols, and above


def subject_fault(subject: str) -> str:
    """Say what is wrong with a subject, "" for nothing."""
    words = subject.split()
    if not words:
        return "it has no subject."
    if _GREETINGS_ONLY.fullmatch(subject.strip()):
        return f"the subject says nothing: {subject.strip()}."
    if len(words) < SHORTEST_SUBJECT:
        return f"the subject does not say for what: {subject.strip()}."
    if len(words) > LONGEST_SUBJECT:
        return f"the subject is long: {len(words)} words, at most {LONGEST_SUBJECT} are better."
    return "the subject shouts." if subject.isupper() or subject.count("!") > 1 else ""


def praises(text: str) -> bool:
    """Say whether at least one sentence says what they did, or how they are."""
    sentences = re.split(r"(?<=[.!?]) ", plain(text))
    return any(_PRAISE.search(_NO_PRAISE.sub(" ", sentence)) for sentence in sentences)
