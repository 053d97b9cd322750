"""Words by which a letter offers something: a coffee, a meal, a meeting, a connection, help. Pure.

What a note may offer is the policy's to say: towards somebody above you an invitation is one more thing to answer
("let's do coffee": theamericangenius.com). The patterns look for the offering, not for its subject: "thank you for the
coffee" and "the lunch you gave" are thanks.
"""

from __future__ import annotations

from collections.abc import Iterator

from thanksd.asks import any_of, plain

_WORDS = {
    "COFFEE": "(?:coffees?|teas?|cuppa|drinks?|beers?|pint)",
    "MEAL": "(?:lunch(?:es)?|dinners?|breakfasts?|brunch|a meal|a bite|something to eat)",
    "MEET": (
        "(?:meet(?: up| again)?|catch up|get together|sit down together|see each other|chat again|talk again"
        "|hop on a call)"
    ),
    "I": "(?:i|we)(?:'d| would| will|'ll)?(?: also| really| very much)?",
    "LET": (
        "(?:let'?s|let us|shall we|why don't we|we (?:should|could|must|can)|(?:can|could|may|might|shall) (?:i|we))"
    ),
}

# <NAME> stands for its choices above. What is offered stands at the end, or near it.
_PATTERNS = {
    "coffee": (
        r"<LET> (?:\w+ ){0,4}<COFFEE>\b",
        r"(?:buy|get|treat|invite|take) you (?:\w+ ){0,3}<COFFEE>\b",
        r"<I> (?:love|like|be (?:glad|happy|delighted)) to (?:\w+ ){0,4}<COFFEE>\b",
        r"<COFFEE> (?:is|are) on me\b",
        r"(?:another|next|a) <COFFEE> (?:some ?time|soon|next week|again)\b",
    ),
    "meal": (
        r"<LET> (?:\w+ ){0,4}<MEAL>\b",
        r"(?:buy|get|treat|invite|take) you (?:\w+ ){0,3}<MEAL>\b",
        r"<I> (?:love|like|be (?:glad|happy|delighted)) to (?:\w+ ){0,4}<MEAL>\b",
        r"<MEAL> (?:is|are) on me\b",
        r"(?:another|next|for|do|have) <MEAL> (?:some ?time|soon|next week|again)\b",
    ),
    "meeting": (
        r"<LET> (?:\w+ ){0,2}<MEET>\b",
        r"<I> (?:love|like|be (?:glad|happy|delighted)) to <MEET>\b",
        r"(?:grab|find|set up|schedule|arrange) (?:some |a |another )?(?:time|call|meeting|chat)\b",
        r"(?:whenever|if|when) you (?:are|'re) (?:free|around|in town)\b",
    ),
    "connection": (
        r"(?:connect|add (?:you|me)|link up|stay in touch|keep in touch|find (?:you|me)) (?:\w+ ){0,2}on linkedin\b",
        r"(?:send|sent) you (?:a|an) (?:\w+ )?(?:connection request|invitation|invite)\b",
        r"<LET> (?:\w+ ){0,2}connect\b",
    ),
    "help": (
        r"let me know (?:if|how|when|whether|what) (?:there is anything )?i can\b",
        r"if (?:there is|there's) (?:ever )?anything i can do\b",
        r"<I> be (?:glad|happy|delighted) to (?:help|return|lend)\b",
        r"happy to (?:help|return the favou?r)\b",
    ),
}


_OFFERS = {offer: any_of(patterns, _WORDS) for offer, patterns in _PATTERNS.items()}


def find(text: str) -> Iterator[tuple[str, str]]:
    """Give what is offered (one of `policy.OFFERS`) and the words that do it."""
    text = plain(text)
    for offer, pattern in _OFFERS.items():
        for match in pattern.finditer(text):
            yield offer, match.group()
