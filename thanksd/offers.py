"""Words by which a letter offers something: a coffee, a meal, a meeting, a connection, help. Pure.

What a note may offer is the policy's to say: towards somebody above you an invitation is one more thing to answer
("let's do coffee": theamericangenius.com). The patterns of the language's table look for the offering, not for its
subject: "thank you for the coffee" and "the lunch you gave" are thanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from thanksd.language import Language, any_of, plain, read


def find(text: str, known: Language) -> Iterator[tuple[str, str]]:
    """Give what is offered (one of `policy.OFFERS`) and the words that do it."""
    text = plain(text)
    for offer, pattern in _offers(known.code).items():
        for match in pattern.finditer(text):
            yield offer, match.group()


@cache
def _offers(code: str) -> dict[str, re.Pattern[str]]:
    known = read(code)
    return {offer: any_of(patterns, known) for offer, patterns in known.offers.items()}
