"""Words by which a letter asks for a job or a favour. Pure.

Careers offices agree that a thank-you which asks is none. The patterns look for the asking, not for its subject:
"the job you described", "thank you for the referral" and "let me know if I can help" are welcome.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_CHOICES = {
    "WORK": "(?:jobs?|internships?|positions?|openings?|vacanc(?:y|ies)|roles?|opportunit(?:y|ies)|referrals?)",
    "WORD": "(?:introductions?|intros?|recommendations?)",
    "A": "(?:an?|any|some|the|your|another)",
    "CAN": "(?:can|could|will|would|might|may)",
    "SOFT": "(?:(?:please|kindly|possibly|perhaps|also|maybe|just|ever|really|very much|still|currently) )*",
    "GREETING": "(?:thanks|best|regards|greetings|love|warm|kind)",
    "CV": "(?:cv|r[eé]sum[eé])",
    "DO": (
        "(?:introduce|refer|recommend|forward|hire|connect|put|pass|send|share|help|review|look|write|give|tell|teach"
        "|consider|let|take|spare|meet|call|check|have|find|get|know|make|read|show|try|join|speak|talk|arrange)"
    ),
}

# <NAME> stands for its choices above.
_PATTERNS = (
    r"pick(?:ing)? your brains?",
    r"(?<!how )(?<!what )(?:can|could|will|would) you <SOFT><DO>\b",
    r"would you (?:mind|like to|be (?:able|willing|open|so kind|available|up|free|interested))\b",
    r"are (?:you|your (?:team|company|group)) <SOFT>(?:hiring|recruiting|looking for)",
    r"do you (?:happen to )?(?:have|know of|know about) (?:<A> )?(?:\w+ )?(?:<WORK>|time|anyone|somebody)\b",
    r"(?:is|are) there (?:<A> )?(?:\w+ )?<WORK>\b[^.!?]{0,100}\?",
    r"let me know (?!\w+ i can\b)[^.!?]{0,100}?\b(?:<WORK>|hiring|hear|refer|introduce)\b",
    r"let me know (?:if|when|whether) you (?:<CAN>|are free|have time)\b",
    r"if you (?:ever |should )?(?:hear|know|learn|come across)(?: of| about)? <A> (?:\w+ )?<WORK>\b",
    r"keep(?:ing)? (?:me|my \w+) in mind",
    r"keep an eye (?:out|open)",
    r"put(?:ting)? in a (?:good |kind )?word",
    r"i(?: would|'d) <SOFT>(?:appreciate|be (?:\w+ )?(?:grateful|thankful)) (?:it )?if you\b",
    r"i(?: would|'d) <SOFT>be (?:\w+ )?(?:glad|happy) if you <CAN>\b",
    r"i(?: would|'d) <SOFT>appreciate (?:your|any) (?:help|advice|feedback|support|thoughts|<WORK>|<WORD>)\b",
    r"i(?: would|'d) <SOFT>be (?:\w+ )?(?:grateful|thankful) for <A> (?:\w+ )?(?:help|advice|feedback|<WORK>|<WORD>)\b",
    r"i(?: was|'m| am) (?:hoping|wondering) (?:if |whether |that )?you <CAN>\b",
    r"i wonder(?:ed)? (?:if|whether) you <CAN>\b",
    r"i hope (?:that )?you <CAN> <SOFT>(?:introduce|refer|recommend|hire|help|forward|consider|put)\b",
    r"i(?: am|'m) <SOFT>(?:looking|searching|hunting|applying|hoping) for (?:<A> )?(?:\w+ ){0,2}(?:<WORK>|work)\b",
    r"i(?: would|'d) <SOFT>(?:love|like) <A> (?:\w+ )?(?:<WORK>|<WORD>)\b",
    r"i <SOFT>(?:want|need) <A> (?:\w+ )?(?:<WORK>|<WORD>)\b(?! (?:you|that)\b)",
    r"please (?:introduce|refer|recommend|forward|hire|consider|help|send|share|reply|respond)\b(?! my <GREETING>)",
    r"please (?:pass|put|keep) (?:on )?(?:me|my (?!<GREETING>))\b",
    r"(?:may|could|can|might) (?:i|we) <SOFT>(?:ask|get|have|set up|schedule|visit|join|apply|shadow|meet|talk|call)\b",
    r"(?:do|ask|asking)(?: me| you)?(?: for)? a (?:\w+ )?favou?r",
    r"a favou?r to ask",
    r"would it be possible|(?:is it|might it be) possible (?:to|for)\b",
    r"is there any chance|any chance (?:of|you|that you)\b",
    r"(?:attached|enclosed)(?: \w+){0,4} my <CV>|my <CV> is (?:attached|enclosed)",
    r"(?:pass|forward|send)(?: on)? my <CV>",
)


def any_of(patterns: Iterable[str], choices: Mapping[str, str]) -> re.Pattern[str]:
    """Give the pattern of any of these, which begin a word; <NAME> stands for its choices. Case is ignored."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    for name, words in choices.items():
        joined = joined.replace(f"<{name}>", words)
    return re.compile(rf"\b(?:{joined})", re.IGNORECASE)


def plain(text: str) -> str:
    """Give a text on one line, with the apostrophe that keyboards have."""
    return " ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


_ASKS = any_of(_PATTERNS, _CHOICES)


def find(text: str) -> list[str]:
    """Give the words that ask, in order; two or more questions are asking too, and give "?"."""
    text = plain(text)
    found = [match.group() for match in _ASKS.finditer(text)]
    return [*found, "?"] if text.count("?") > 1 else found
