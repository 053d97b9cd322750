"""English sentences made of what people typed: details, promises, places and topics. Pure.

A detail may be a noun phrase ("your compiler talk"), a clause ("why you left Rust") or a sentence ("You showed me the
lifetimes trick."). Each function finds the form from the first words; where it can't be told, it uses a form with a
colon, which is right for all of them. Nothing is added to what was said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from thanksd.facts import GAP, Meeting, Promise


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ASKING = _set("why how what where when who whom whose which whether")
_SUBJECTS = _set("you we i it they he she there everybody everyone nobody somebody someone people")
_DETERMINERS = _set(
    "the a an my your our his her its their this these those some any every each all both two three four five no"
)
_AUXILIARIES = _set("is are was were am has have had do does did can could will would shall should may might must isn")
_PAST = _set(
    "made said showed gave told kept left went came took knew saw got brought thought taught felt found built wrote"
    " drew ran began spoke lent sent won lost held led let put paid sold stood understood grew met makes says shows"
    " agreed freed gives helps means works tells keeps needs wants feels"
)
# First words after which "about" would be wrong.
_NO_OBJECT = _set(
    "to if because as since while after before although though unless until with for from on in at by of into over"
    " never always do don be just only not let keep please and but so"
)
_NOUNS_TOO = _set(
    "answer ask book call copy draft email help link look mail meeting note plan post print reply report review show"
    " summary talk test translation update visit work"
)
_VERBS = _set(
    "add answer arrange ask book bring buy call check come connect contact copy do draft email find finish fix follow"
    " forward get give go help introduce invite keep leave lend let link look mail make meet move order organise"
    " organize pass pay phone pick plan post prepare print publish put read recommend refer reply report return review"
    " say scan search send set share show sign speak talk teach tell test thank think translate try update upload visit"
    " watch work write"
)
_LOWERED = _ASKING | _SUBJECTS | _DETERMINERS | _NO_OBJECT | _VERBS | {"that", "about"}
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}

EMBED, THAT, COLON, SENTENCE = "embed", "that", "colon", "sentence"


def remembered(details: Sequence[str], variant: int = 1) -> str:
    """Give the sentences that say what has stayed with the writer; with no detail, one with the gap in it.

    `variant` (from 1) is of the words around what can stand in the middle of a sentence.
    """
    lead, word = _LEADS[(variant - 1) % len(_LEADS)]
    found = [(form(text), text) for text in map(_bare, details) if text]
    if not found:
        return f"{lead} {word}{GAP}."
    order = (EMBED, THAT, COLON, SENTENCE)
    found.sort(key=lambda one: order.index(one[0]))  # stable: within a form as they were noted
    said = []
    for kind, group in groupby(found, lambda one: one[0]):
        texts = [text for _, text in group]
        if kind == EMBED:
            said.append(f"{lead} {_embedded(texts, word)}.")
        else:
            said.append(_named(texts, is_more=bool(said)) if kind == COLON else _SAYING[kind](texts))
    return " ".join(said)


# What leads to a noun phrase or an asking clause, and the word that stands before each of them.
# Three for each wording; a kind of note begins at the first, the fourth or the seventh.
_LEADS = (
    ("I keep thinking", "about "),
    ("What has stayed with me is", ""),
    ("I keep coming back", "to "),
    ("I came away thinking", "about "),
    ("What I remember best is", ""),
    ("I am still thinking", "about "),
    ("I will remember", ""),
    ("I will not soon forget", ""),
    ("I have thought more than once", "about "),
)


def form(detail: str) -> str:
    """Say in which sentence a detail fits: after "about", after "is that", after a colon, or as one of its own."""
    words = [_key(word) for word in detail.split()]
    inverted = words[0] in {"why", "how", "where", "when"} and words[1:2] and words[1] in _AUXILIARIES
    if detail.endswith("?") or inverted:
        return COLON
    if detail.endswith("!") or re.search(r"[.!?] \w", detail):
        return SENTENCE
    return _form_of_words(words, ends=detail.endswith("."))


def _form_of_words(words: list[str], *, ends: bool) -> str:
    first, second = words[0], words[1] if len(words) > 1 else ""
    if first in _ASKING:
        return EMBED
    if first == "that":
        return _form_of_that(second)
    if first in _SUBJECTS and second:
        return COLON if second in {"and", "two", "all", "both", "who"} else SENTENCE
    return COLON if second and first in _NO_OBJECT | _VERBS else _form_of_noun(words, ends=ends)


def _form_of_that(second: str) -> str:
    if second in _AUXILIARIES:
        return SENTENCE
    return THAT if second in _SUBJECTS | _DETERMINERS else COLON


def _form_of_noun(words: list[str], *, ends: bool) -> str:
    """Tell "the way you explained it" (a noun phrase) from "your talk helped me" (perhaps a sentence)."""
    verbs = [place for place, word in enumerate(words) if place and _may_be_verb(word)]
    if not verbs:
        return EMBED
    if ends:
        return SENTENCE
    relative = any(word in _SUBJECTS or word in {"that", "which", "who"} for word in words[1 : verbs[0]])
    return EMBED if relative else COLON


def _may_be_verb(word: str) -> bool:
    if word in _AUXILIARIES or word in _PAST:
        return True
    # "helped", but neither "red", "speed" nor "fixed-size".
    return word.endswith("ed") and len(word) > len("red") and not word.endswith("eed") and "-" not in word


def _embedded(texts: list[str], word: str) -> str:
    return _listed([f"{word}{_lowered(text)}" for text in texts])


def _stating(texts: list[str]) -> str:
    return f"What stands out is {_listed([_lowered(text) for text in texts])}."


def _named(texts: list[str], *, is_more: bool) -> str:
    """Name what fits into no sentence; "stayed with me" may stand before it already."""
    lowered = [_lowered(text, period=text.endswith("?")) for text in texts]
    things = "thing" if len(lowered) == 1 else "things"
    count = _COUNTS.get(len(lowered), "several")
    if is_more:
        return _ended(f"And {count} more {things}: {'; '.join(lowered)}")
    verb = "has" if len(lowered) == 1 else "have"
    return _ended(f"{count.capitalize()} {things} {verb} stayed with me: {'; '.join(lowered)}")


def _standing(texts: list[str]) -> str:
    return f"{' '.join(_ended(_raised(text)) for text in texts)} I have thought about that since."


_SAYING: dict[str, Callable[[list[str]], str]] = {
    THAT: _stating,
    SENTENCE: _standing,
}


def promised(promises: Sequence[Promise]) -> str:
    """Give the sentences that confirm what was promised, "" for nothing."""
    said = [(_promise_text(one["text"]), one["due"].strip()) for one in promises]
    return " ".join(_promise(text, due, first=not place) for place, (text, due) in enumerate(filter(_has_text, said)))


def _has_text(promise: tuple[str, str]) -> bool:
    return bool(promise[0])


def _promise_text(text: str) -> str:
    """Give "send the paper" of "I will send the paper." and its like."""
    bare = re.sub(
        r"^(?:that )?i(?:'ll| will| would|'d| promised(?: you)?)(?: to)? ", "", _bare(text), flags=re.IGNORECASE
    )
    return re.sub(r"^to (?=\w)", "", bare, flags=re.IGNORECASE).rstrip(" .!")


def _promise(text: str, due: str, *, first: bool) -> str:
    by = f" by {due}" if due and f"by {due}".casefold() not in text.casefold() else ""
    also, end = ("", ", as promised.") if first else (" also", ".")
    if _is_deed(text):
        return f"I will{also} {_lowered(text)}{by}{end}"
    if _is_named_thing(text):
        return f"You will{also} have {_lowered(text)}{by}{end}"
    lead = "My promise to you stands" if first else "My other promise to you stands as well"
    return _ended(f"{lead}: {_lowered(text)}{f',{by}' if by else ''}")


def _is_deed(text: str) -> bool:
    words = text.split()
    first, second = _key(words[0]), words[1] if len(words) > 1 else ""
    if first not in _VERBS:
        return False
    has_object = _key(second) in _DETERMINERS | {"you", "them", "him", "it", "me", "us", "that"} or second[:1].isupper()
    # "review the draft" is a deed, "review of the draft" a thing; "send" is always a deed.
    return first not in _NOUNS_TOO or has_object


def _is_named_thing(text: str) -> bool:
    return _key(text.split(maxsplit=1)[0]) in _DETERMINERS and not text.endswith("?")


_PREPOSITIONS = _set("at in on over near by outside inside during around beside between behind before after via from")
_WHERE_WORDS = _set("online outside remotely here there abroad downtown upstairs")
_SCREENS = _set("zoom teams skype meet jitsi facetime whatsapp signal slack discord")


def at_place(place: str) -> str:
    """Give " at Café Einstein" with its leading space, " in Berlin" of "in Berlin", "" of ""."""
    text = _bare(place).rstrip(".")
    words = [_key(word) for word in text.split()]
    if not words:
        return ""
    if words[0] in _PREPOSITIONS or words[0] in _WHERE_WORDS:
        return f" {_lowered_if(text, _PREPOSITIONS | _WHERE_WORDS)}"
    if words[-1] in _SCREENS or words in (["phone"], ["the", "phone"]):
        return " on the phone" if words[-1] == "phone" else f" on {text}"
    return f" at {_lowered(text)}"


def on_day(meeting: Meeting, days_since: int) -> str:
    """Give " on Tuesday", after more than six days " on 11 March", "" where neither is known."""
    day = meeting["date"] or meeting["weekday"] if days_since > DAYS_OF_A_WEEKDAY else meeting["weekday"]
    return f" on {day or meeting['date']}" if day or meeting["date"] else ""


# The day a week ago has the same name as today.
DAYS_OF_A_WEEKDAY = 6


def topic(about: str) -> str:
    """Give what fits after "about": a noun phrase or an asking clause; "" for anything else."""
    text = _bare(about)
    return _lowered(text) if text and form(text) == EMBED else ""


def thing(about: str) -> str:
    """Give a topic that can stand as a thing in a sentence: "the blue scarf", "Grace Hopper"; "" of "scarf"."""
    text = topic(about)
    named = text.split()[0].casefold() in _DETERMINERS or text[0].isupper() if text else False
    return text if named else ""


def label(about: str) -> str:
    """Give "compiler engineer" of "the compiler engineer", to stand before a noun; "" where it is no short label."""
    words = topic(about).split()
    if words and words[0].casefold() in _DETERMINERS:
        words = words[1:]
    loose = {_key(word) for word in words} & (_PREPOSITIONS | _ASKING | _SUBJECTS | _set("of with to for and or"))
    return " ".join(words) if words and len(words) <= _LABEL_WORDS and not loose else ""


_LABEL_WORDS = 4


def people(names: Sequence[str]) -> str:
    """Give "Grace", "Grace and Tom", "Grace, Tom and Chen"."""
    said = [" ".join(name.split()) for name in names if name.strip()]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)


def _bare(text: str) -> str:
    """Strip what people type around a detail: dots before it, "about", "I keep thinking about"."""
    plain = " ".join(text.replace("\N{HORIZONTAL ELLIPSIS}", "...").split())
    plain = re.sub(r"^(?:\.\.+ ?)?(?:(?:i keep thinking )?about )?", "", plain, flags=re.IGNORECASE)
    plain = plain.rstrip(" ,;:")
    return plain.rstrip(" ,;:.") if plain.endswith("..") else plain


def _key(word: str) -> str:
    """Give a word as the lists above have it: "you're" is "you"."""
    return re.split(r"['\N{RIGHT SINGLE QUOTATION MARK}]", word.strip('.,;:!?"()').casefold(), maxsplit=1)[0]


def _lowered(text: str, *, period: bool = False) -> str:
    """Give a text for the middle of a sentence: no capital that only began it, no period."""
    kept = text if period else text.rstrip(".")
    return _lowered_if(kept, _LOWERED)


def _lowered_if(text: str, words: frozenset[str]) -> str:
    first = text.split(maxsplit=1)[0] if text else ""
    if _key(first) == "i":
        return f"I{text[1:]}"
    return f"{text[0].lower()}{text[1:]}" if first[1:].islower() | (first == "A") and _key(first) in words else text


def _raised(text: str) -> str:
    # "eBPF" and "iPhone" begin sentences as they are.
    return f"{text[0].upper()}{text[1:]}" if text.split(maxsplit=1)[0].islower() else text


def _ended(text: str) -> str:
    return text if re.search(r"[.!?][\"')\N{RIGHT DOUBLE QUOTATION MARK}]?$", text) else f"{text}."


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
