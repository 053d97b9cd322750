"""What is fitting for which kind of meeting, in which language, towards whom, and the words for these. Pure.

The table is `policy.toml` beside this file, with its sources. One source is not a culture: what is there is a default,
and the user's to change in `[kind.NAME]`, but for `earliest`, which is advice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from thanksd.errors import UsageError

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Rule(NamedTuple):
    """What is fitting for one kind of meeting, in one language, towards a peer or somebody above.

    `earliest` and `belated` are spans after the meeting, `nudge` and `best_by` words that `timing.schedule` reads.
    `offers` are some of OFFERS. A greeting has {first}, {last}, {full} and {title} in it; `greeting_he` and
    `greeting_she` are for a name that says which ("" where that makes no difference). `shortest` and `longest` are in
    words, or in characters where the language has none between spaces. `most` letters may go unanswered `within` a
    span; what is an `encounter` answers those before it.
    """

    earliest: str
    nudge: str
    best_by: str
    belated: str
    template: str
    offers: tuple[str, ...]
    greeting: str
    greeting_he: str
    greeting_she: str
    closing: str
    shortest: int
    longest: int
    most: int
    within: str
    encounter: bool


OFFERS = ("coffee", "meal", "meeting", "connection", "help")

# What people call some of them.
SYNONYMS = {
    **dict.fromkeys(("tea", "chat", "coffee chat", "walk"), "coffee"),
    **dict.fromkeys(("informational interview", "informational chat"), "informational"),
    **dict.fromkeys(("job interview", "phone screen", "onsite"), "interview"),
    **dict.fromkeys(("panel interview", "interview panel", "committee"), "panel"),
    **dict.fromkeys(("conference", "meetup", "party", "fair", "workshop", "networking"), "event"),
    **dict.fromkeys(("recommendation", "letter of recommendation"), "reference"),
    **dict.fromkeys(("advice", "coaching", "office hours"), "mentoring"),
    **dict.fromkeys(("lunch", "dinner", "breakfast", "brunch"), "meal"),
    "present": "gift",
    **dict.fromkeys(("donor", "contribution", "sponsorship"), "donation"),
    **dict.fromkeys(("talk", "lecture", "keynote"), "speaker"),
    **dict.fromkeys(("other", "meeting", "call"), "general"),
}

SENIORITIES = ("peer", "above")

# The languages whose templates are shipped; a user's own templates may add more.
LANGUAGES = ("en", "de", "fr", "es", "ja", "zh")

# In every zone folder, yet no place: they mean this machine, or count leap seconds.
_NO_PLACE = ("localtime", "posixrules", "Factory", "posix/", "right/")

_SHOWN = 40


@cache
def _table() -> dict[str, Any]:
    """Read the table as it stands in its file."""
    import tomllib  # noqa: PLC0415  what asks for no rule needs no parser

    return tomllib.loads(Path(__file__).with_name("policy.toml").read_text(encoding="utf-8"))


@cache
def kinds() -> tuple[str, ...]:
    """Give the kinds of meetings, in the table's order."""
    return tuple(_table()["kind"])


def rule(kind: str, lang: str = "en", seniority: str = "peer", own: Mapping[str, object] = _NOTHING) -> Rule:
    """Give the table's row for a kind, a language tag and a seniority, with the user's `own` fields over it.

    An own field that is empty (or 0) is none. The user's words for times are checked where they are read, by
    `timing.schedule`. A language without rows of its own has those of any. Raises UsageError for an unknown kind.
    """
    row = _rule(known_kind(kind), culture(lang), seniority)
    given: dict[str, Any] = {name: value for name, value in own.items() if value}
    row = row._replace(**given)
    if "greeting" in given:
        row = row._replace(greeting_he="", greeting_she="")
    if lang.lower().startswith(_WITHOUT_SHARP_S):
        row = row._replace(closing=row.closing.replace("ß", "ss"))
    return row._replace(offers=tuple(one for one in row.offers if one in OFFERS))


# Where German is written with ss alone: Switzerland and Liechtenstein (conviva-plus.ch).
_WITHOUT_SHARP_S = ("de-ch", "de-li")


@cache
def _rule(kind: str, language: str, seniority: str) -> Rule:
    table = _table()
    own = table["language"].get(language, {})
    parts = (table["any"], table["kind"][kind], own, own.get("kind", {}).get(kind, {}))
    if seniority == "above":
        parts += tuple(part.get("above", {}) for part in parts)
    fields = {name: value for part in parts for name, value in part.items() if name in Rule._fields}
    return Rule(**fields | {"offers": tuple(fields["offers"])})


# Chinese is written in two scripts, and a region says which (CLDR's likely subtags).
_SCRIPTS = {
    **dict.fromkeys(("zh", "zh-cn", "zh-sg", "zh-hans"), "zh-hans"),
    **dict.fromkeys(("zh-hk", "zh-tw", "zh-mo", "zh-hant"), "zh-hant"),
}


def encounters() -> tuple[str, ...]:
    """Give the kinds that are encounters."""
    return tuple(kind for kind in kinds() if _rule(kind, "en", "peer").encounter)


def culture(lang: str) -> str:
    """Give the key of a language tag's rows in the table, "en" (those of any) where it has none of its own."""
    tag = lang.lower()
    known = _SCRIPTS.get(tag) or _SCRIPTS.get("-".join(tag.split("-")[:2]), tag.partition("-")[0])
    return known if known in _table()["language"] else "en"


def known_kind(word: str) -> str:
    """Give the kind as the table spells it: from its name, a usual word for it, or the beginning of its name alone.

    Case is ignored. Raises UsageError with the nearest right one, or with the kinds that begin alike.
    """
    said = " ".join(word.lower().split())
    if said in kinds():
        return said
    if said in SYNONYMS:
        return SYNONYMS[said]
    begun = [kind for kind in kinds() if said and kind.startswith(said)]
    if len(begun) > 1:
        raise UsageError(f"{said!r} may be {' or '.join(begun)}.", "Say a letter more.")
    return begun[0] if begun else _known(word, "kind of meeting", kinds())


def known_seniority(word: str) -> str:
    """Give "peer" or "above", ignoring case.

    Raises UsageError with the nearest right one.
    """
    return _known(word, "seniority", SENIORITIES)


def known_language(word: str, languages: Collection[str] = LANGUAGES) -> str:
    """Give a language tag in lower case: a code there are templates for, with or without script and region ("zh-hk").

    `languages` are the codes there are templates for. The form is BCP 47's (RFC 5646), cut to language, script (of
    Chinese alone, which is written in two) and region. Raises UsageError with the nearest right one.
    """
    code, *rest = word.strip().lower().replace("_", "-").split("-")
    script = rest[:1] if code == "zh" and rest[:1] in (["hans"], ["hant"]) else []
    region = rest[len(script) :]
    if code not in languages or len(region) > 1 or not all(map(_is_region, region)):
        raise _unknown(word, "language", languages)
    return "-".join([code, *script, *region])


def _is_region(text: str) -> bool:
    """Tell whether it has a region's form: two letters (ISO 3166) or three digits (UN M.49)."""
    letters, digits = 2, 3
    return text.isascii() and ((len(text) == letters and text.isalpha()) or (len(text) == digits and text.isdigit()))


def cultures() -> tuple[str, ...]:
    """Give the languages that have rows of their own, and English, whose rows are those of any."""
    return ("en", *_table()["language"])


def known_culture(word: str) -> str:
    """Give the language whose rows hold for a tag: "zh-hant" of "zh-HK". Raises UsageError for one without rows."""
    found = culture(word.strip().replace("_", "-"))
    if found == "en" and word.strip().lower().replace("_", "-").partition("-")[0] != "en":
        raise _unknown(word, "language", cultures())
    return found


def known_zone(name: str) -> str:
    """Give the IANA time zone's name as the tz database spells it, ignoring case.

    Raises UsageError with the nearest right one.
    """
    import zoneinfo  # noqa: PLC0415  most commands check no zone, and this one reads a folder tree

    wanted = name.strip()
    if _is_zone(wanted):
        return wanted
    names = sorted(zone for zone in zoneinfo.available_timezones() if not zone.startswith(_NO_PLACE))
    for zone in names:
        if zone.lower() == wanted.lower():
            return zone
    raise _unknown(name, "time zone", names, listed=False)


def _is_zone(name: str) -> bool:
    """Tell whether the tz database has this very name, without reading all of it."""
    import zoneinfo  # noqa: PLC0415  as above

    if name.startswith(_NO_PLACE):
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: an absolute path, "..", NUL. OSError: a folder such as "Europe", or a name too long for a file.
        return False
    return True


def _known(word: str, what: str, names: Collection[str]) -> str:
    found = word.strip().lower()
    if found not in names:
        raise _unknown(word, what, names)
    return found


def _unknown(word: str, what: str, names: Collection[str], *, listed: bool = True) -> UsageError:
    """Build the error for a word that is none of `names`, with the nearest; `listed` adds all of them."""
    import difflib  # noqa: PLC0415  only a mistyped word needs it

    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word[:_SHOWN].strip().lower(), list(by_lower), n=1, cutoff=0.5)
    nearest = f"Did you mean {by_lower[close[0]]}?" if close else ""
    every = f"There are: {', '.join(names)}." if listed else ""
    hint = " ".join(part for part in (nearest, every) if part)
    # repr: an error goes to a terminal, and the word may hold control or bidi characters.
    return UsageError(f"There is no {what} {word[:_SHOWN]!r}.", hint or "Names look like Europe/Berlin.")
