"""Words by which a letter asks for a job or a favour, in its language's table. Pure.

Careers offices agree that a thank-you which asks is none. The patterns look for the asking, not for its subject:
"the job you described", "thank you for the referral" and "let me know if I can help" are welcome.
"""

from __future__ import annotations

import re
from functools import cache

from thanksd.language import Language, any_of, plain, read


def find(text: str, known: Language) -> list[str]:
    """Give the words that ask, in order; two or more questions are asking too, and give "?"."""
    text = plain(text)
    found = [match.group() for match in _asks(known.code).finditer(text)]
    return [*found, "?"] if len(re.findall(r"[?\N{FULLWIDTH QUESTION MARK}]", text)) > 1 else found


def before(sentence: str, known: Language) -> str:
    """Give what of a sentence stands before it begins to ask, all of one that does not."""
    sentence = plain(sentence)
    found = _asks(known.code).search(sentence)
    return sentence[: found.start()] if found else sentence


@cache
def _asks(code: str) -> re.Pattern[str]:
    known = read(code)
    return any_of(known.asks, known)
