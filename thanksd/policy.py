"""What is fitting for which kind of meeting: a table, and the words it accepts. Pure.

One source is not a culture: every default here is the user's to change, in `[kind.NAME]`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from thanksd.errors import UsageError


class Rule(NamedTuple):
    """When to remind of a thanks, and until when it is in time.

    Both are words, read by `timing.schedule`: a span after the meeting ("3h"), or "next day 09:00" on its local clock.
    """

    nudge: str
    best_by: str


KINDS: dict[str, Rule] = {
    # One hour to one day after (postdocs.yale.edu on informational talks).
    "coffee": Rule("3h", "24h"),
    # "Not the minute you leave" (tudelft.nl); one to two hours after, at most a day (smithhanley.com, roberthalf.com).
    "interview": Rule("2h", "24h"),
    # One to three days after, while both recall it (theladders.com on conference contacts).
    "event": Rule("next day 09:00", "72h"),
    # At once, and again with the outcome (fourathens.com, career-horizons.com).
    "introduction": Rule("15min", "24h"),
    "referral": Rule("15min", "24h"),
    # Within a day; what became of the advice is reported later (HKU's tips for mentees: prompt replies).
    "mentoring": Rule("3h", "24h"),
    # From the next morning; 48 h, a few days at most (custom of hosts and guests).
    "meal": Rule("next day 09:00", "48h"),
    # Within a week (experto.de; livingcrunch.com allows two in the US).
    "gift": Rule("next day 09:00", "7d"),
    # Within 48 h (custom).
    "speaker": Rule("3h", "48h"),
    # Anything else goes as a meal does.
    "general": Rule("next day 09:00", "48h"),
}

# What people call some of them.
SYNONYMS = {
    **dict.fromkeys(("tea", "chat", "coffee chat", "informational interview"), "coffee"),
    **dict.fromkeys(("job interview", "phone screen", "onsite"), "interview"),
    **dict.fromkeys(("conference", "meetup", "party", "fair", "workshop", "networking"), "event"),
    **dict.fromkeys(("recommendation", "reference"), "referral"),
    **dict.fromkeys(("advice", "coaching", "office hours"), "mentoring"),
    **dict.fromkeys(("lunch", "dinner", "breakfast", "brunch"), "meal"),
    "present": "gift",
    **dict.fromkeys(("talk", "lecture", "keynote"), "speaker"),
    **dict.fromkeys(("other", "meeting", "call"), "general"),
}

SENIORITIES = ("peer", "above")

# The languages whose templates are shipped; a user's own templates may add more.
LANGUAGES = ("en",)

# In every zone folder, yet no place: they mean this machine, or count leap seconds.
_NO_PLACE = ("localtime", "posixrules", "Factory", "posix/", "right/")

_SHOWN = 40


def rule(kind: str, nudge: str = "", best_by: str = "") -> Rule:
    """Give the table's row for `kind`, with the user's own words where they are not empty.

    The user's words are checked where they are read, by `timing.schedule`. Raises UsageError for an unknown kind.
    """
    row = KINDS[known_kind(kind)]
    return Rule(nudge or row.nudge, best_by or row.best_by)


def known_kind(word: str) -> str:
    """Give the kind as the table spells it: from its name, a usual word for it, or the beginning of its name alone.

    Case is ignored. Raises UsageError with the nearest right one, or with the kinds that begin alike.
    """
    said = " ".join(word.lower().split())
    if said in KINDS:
        return said
    if said in SYNONYMS:
        return SYNONYMS[said]
    begun = [kind for kind in KINDS if said and kind.startswith(said)]
    if len(begun) > 1:
        raise UsageError(f"{said!r} may be {' or '.join(begun)}.", "Say a letter more.")
    return begun[0] if begun else _known(word, "kind of meeting", KINDS)


def known_seniority(word: str) -> str:
    """Give "peer" or "above", ignoring case.

    Raises UsageError with the nearest right one.
    """
    return _known(word, "seniority", SENIORITIES)


def known_language(word: str, languages: Collection[str] = LANGUAGES) -> str:
    """Give a language tag in lower case: a code there are templates for, with or without a region ("en", "en-gb").

    `languages` are the codes there are templates for. The form is BCP 47's (RFC 5646), cut to language and region.
    Raises UsageError with the nearest right one.
    """
    code, dash, region = word.strip().lower().replace("_", "-").partition("-")
    if code not in languages or (dash and not _is_region(region)):
        error = _unknown(word, "language", languages)
        raise UsageError(
            error.message, f"Only English ships so far. {error.hint}" if languages == LANGUAGES else error.hint
        )
    return f"{code}{dash}{region}"


def _is_region(text: str) -> bool:
    """Tell whether it has a region's form: two letters (ISO 3166) or three digits (UN M.49)."""
    letters, digits = 2, 3
    return text.isascii() and ((len(text) == letters and text.isalpha()) or (len(text) == digits and text.isdigit()))


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
