"""Words of a note that date something by the day they are said on, and what may be said in their place. Pure."""

from __future__ import annotations

from datetime import date

from thanksd import days, tone
from thanksd.facts import BLOCK, WARN, Facts, Finding, finding, unique
from thanksd.language import Language, found_in, of

# What a note is about where they were not met.
NO_MEETING = {"gift": "gift", "donation": "gift", "reference": "help", "referral": "help"}


def check_relative_date(subject: str, text: str, leaving: tuple[date, date] | None, facts: Facts) -> Finding | None:
    """Warn of words like "yesterday": the letter may be read on another day; block where they are wrong on leaving."""
    known = of(facts["person"]["lang"])
    found = [*days.find(subject, known), *days.find(text, known)]
    wrong = [one for one in found if leaving and not one.holds(*leaving)]
    if wrong:
        words = unique(_small(one.words) for one in wrong)
        return finding("relative-date", BLOCK, f"it leaves on another day, when this is not true: {words}.", words)
    words = unique(_small(one.words) for one in found if one.words not in _news(subject, text, facts, known))
    if not words:
        return None
    advice = "leave the day out, or name it" if facts["meeting"]["kind"] in NO_MEETING else "name the day"
    advice = f"write {known.instead}" if known.instead else advice
    return finding("relative-date", WARN, f"it may be read on another day: {advice}, not {words}.", words)


def _small(words: str) -> str:
    """Give words as they stand within a sentence."""
    return words[:1].lower() + words[1:]


def _news(subject: str, text: str, facts: Facts, known: Language) -> set[str]:
    """Give the words that date the writer's own news only: they can't date the meeting, nor what the other did."""
    dated = [
        (
            one.words,
            one.back is not None and facts["days_since"] > one.back and not _is_theirs(one.words, sentence, known),
        )
        for sentence in (subject, *tone.sentences(text))
        for one in days.find(sentence, known)
    ]
    return {words for words, is_news in dated if is_news} - {words for words, is_news in dated if not is_news}


def _is_theirs(words: str, sentence: str, known: Language) -> bool:
    """Say whether words date what somebody did: it is thanked for, or stands before them ("your talk today")."""
    if tone.thanks(sentence, known):
        return True
    # In Chinese and Japanese the day is said first.
    before = sentence if known.words.by_characters else sentence.partition(words)[0]
    return bool(found_in(before, known.words.theirs, known)) or (
        known.words.by_characters and tone.praises(before, known)
    )
