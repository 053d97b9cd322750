"""What a good thank-you note is, as rules: draft and facts in, findings out. Pure.

Length, offers and times are from the policy table. More about them than about you: Algoe, Kurtz and Hilaire 2016
(praise of the other person's act is what is felt as thanks). Nothing asked for: careers offices' advice on thank-you
notes.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from functools import cache

from thanksd import addresses, asks, dating, grounding, language, moments, names, offers, reuse, telling, tone
from thanksd.errors import UsageError
from thanksd.facts import BLOCK, HINT, SEVERITIES, WARN, Around, Facts, Finding, Fitting, finding, unique
from thanksd.language import Language, any_of, found_in, words_of

# Nothing is known of anybody else.
_NOTHING = Around()


def to_come() -> Finding:
    """Give the finding for a note that would thank somebody for a meeting before it was."""
    return {"code": "to-come", "severity": BLOCK, "message": "This meeting is still to come.", "where": "body"}


def left_alone() -> Finding:
    """Give the finding for a letter to an address whose holder was forgotten, to be left alone."""
    words = "They were forgotten here, to be left alone. If they don't mind: thanksd people edit WHO --allow"
    return {"code": "do-not-contact", "severity": BLOCK, "message": words, "where": "to"}


# Nobody is glad of a letter that was written to them at night.
NIGHT = (22, 6)


def at_night(moment: datetime, zone: str) -> Finding | None:
    """Warn of a letter that leaves (UTC) at night where its reader lives; `zone` is theirs, "" where none is noted."""
    if not zone:
        return None
    here = moments.local(moment, zone)
    if NIGHT[1] <= here.hour < NIGHT[0]:
        return None
    return finding("timing", WARN, f"it would arrive at {here:%H:%M} where they live: --at names another moment.", "at")


def check(
    subject: str,
    body: str,
    facts: Facts,
    recipient: str,
    leaving: tuple[date, date] | None = None,
    around: Around = _NOTHING,
) -> list[Finding]:
    """Give what is wrong with a draft, blocks first and hints last; at most one finding a code.

    `recipient` is the envelope address, "" while there is none. `leaving` are the day on which its words are read
    over, and the day it leaves; None where both are the same. `around` is what the ledger knows beside this thanks.
    """
    # An editor may save accents decomposed; facts are kept in NFC.
    body = unicodedata.normalize("NFC", body)
    text, details, known = core(body, facts), facts["details"], language.of(facts["person"]["lang"])
    findings = (
        check_headers(subject, recipient),
        check_gap(subject, body, known),
        check_greeting(body, facts, known),
        grounding.check_person(text, facts, around, known),
        grounding.check_typo(text, facts, known),
        check_detail(body, details, known, facts["meeting"]["kind"]),
        check_ask(subject, text, known),
        check_length(text, facts["fitting"], known),
        check_offer(subject, text, facts["fitting"], known),
        check_self_talk(text, known, facts),
        check_third_person(details, text, known),
        check_register(text, facts["person"]["seniority"], known) or check_first_name(body, facts, known),
        check_script(subject, body, known),
        reuse.check_reuse(text, _cores(around, facts), known),
        grounding.check_grounding(subject, _GAPS.sub(" ", text), facts, around, known),
        grounding.check_promise(text, facts, known),
        check_gush(text, known),
        check_stock(text, known),
        check_subject(subject, known),
        check_praise(text, known, facts),
        check_often(around),
        check_give(text, around, known),
        dating.check_relative_date(subject, text, leaving, facts),
    )
    told: dict[str, Finding] = {}
    for one in filter(None, findings):
        told.setdefault(one["code"], one)
    return sorted(told.values(), key=lambda one: SEVERITIES.index(one["severity"]))


# LinkedIn's notes to somebody new are cut there for most of its users.
LONGEST_MESSAGE = 200
# What holds for a letter alone.
_OF_LETTERS = ("length", "subject", "praise", "self-talk", "reuse", "promise", "give")


def check_message(text: str, facts: Facts, around: Around, *, is_short: bool) -> list[Finding]:
    """Give what is wrong with a note that is no letter: a message, which `is_short`, or lines for a card."""
    found = [one for one in check("", text, facts, "", around=around) if one["code"] not in _OF_LETTERS]
    if is_short and len(text) > LONGEST_MESSAGE:
        said = f"it is long: {len(text)} characters, a message has {LONGEST_MESSAGE}."
        found.append(finding("length", WARN, said, "body"))
    return found


def _cores(around: Around, facts: Facts) -> Around:
    """Give other notes without their greetings and closings."""
    earlier, panel = ([core(body, facts) for body in bodies] for bodies in (around.earlier, around.panel))
    return around._replace(earlier=tuple(earlier), panel=tuple(panel))


def core(body: str, facts: Facts) -> str:
    """Give the part of a letter that is counted: without greeting, closing line and signature."""
    known = language.of(facts["person"]["lang"])
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    lines = lines[_greeting_place(lines, facts, known) + 1 :]
    # A "how do you do" on a line of its own belongs to the greeting, as Chinese has it.
    if lines and len(lines) > 1 and names.is_only_honorific(lines[0], known):
        lines = lines[1:]
    me = facts["me"]
    ending = {line.strip() for line in (*me["signature"].splitlines(), me["name"], names.first(me["name"]))}
    while lines and lines[-1] in ending:
        lines.pop()
    if lines and (lines[-1] == facts["fitting"]["closing"] or _closing(known.code).fullmatch(lines[-1])):
        lines.pop()
    return "\n".join(lines)


def _greeting_place(lines: list[str], facts: Facts, known: Language) -> int:
    """Give which line is the greeting, -1 for none; in some languages the company's name stands over it."""
    name = facts["person"]["name"]
    for place, line in enumerate(lines[: known.words.greeting_lines]):
        if line == facts["fitting"]["greeting"] or names.is_greeting_line(line, name, known):
            return place
    return -1


def word_count(body: str, facts: Facts) -> int:
    """Count the words between greeting and closing, as the `length` rule does."""
    return len(words_of(core(body, facts), language.of(facts["person"]["lang"])))


@cache
def _closing(code: str) -> re.Pattern[str]:
    """Give the pattern of "With best wishes," and its like: a few words and a comma, or one of the usual ones."""
    known = language.read(code)
    return any_of([r"[^\s,.?!]+(?: [^\s,.?!]+){0,3},", *known.words.closings], known)


def check_headers(subject: str, recipient: str) -> Finding | None:
    """Block a subject that could start another header, and a recipient that is not exactly one address."""
    if any(addresses.is_unsafe(char) for char in subject):
        return finding("headers", BLOCK, "the subject has a line break or a control character.", "subject")
    if not recipient:
        return None
    try:
        addresses.check_address(recipient)
    except UsageError as error:
        return finding("headers", BLOCK, error.message, addresses.display_safe(recipient))
    return None


_GAPS = re.compile(
    r"\[(?:\.\.\.|\N{HORIZONTAL ELLIPSIS})\]"
    r"|(?<![A-Za-z0-9_])\[[^\W\d][^\]\n]{0,40}\]"  # [Name], but neither [1] nor items[i]
    r"|\{\{[^{}\n]*\}\}|\{\{|\}\}|\{%|%\}"
    r"|(?<![A-Za-z0-9_])<[^\W\d][\w '-]{1,40}>"  # <name>, but neither <ada@example.com> nor Option<String>
    r"|(?<![A-Za-z0-9_])(?:TODO|TBD|FIXME|XXX+)(?![A-Za-z0-9_])|_{3,}"
    r"|[\u25cb\u3007\u25cf\u25b3\u25a1]{2,}|\uff3f{2,}"  # circles and lines, as forms in Japanese have them
    r"|[\u3010\u3014\uff3b][^\u3011\u3015\uff3d\n]{1,14}[\u3011\u3015\uff3d]"  # such names in Chinese brackets
)


@cache
def _nameless(code: str) -> re.Pattern[str]:
    """Give the pattern of a greeting of nobody: "Dear ,"."""
    known = language.read(code)
    salutation = any_of([known.words.salutation], known).pattern
    return re.compile(rf"^{salutation}\s*[,:!\uff0c\uff1a\uff01](?=\s*$)", re.MULTILINE | re.IGNORECASE)


def check_gap(subject: str, body: str, known: Language) -> Finding | None:
    """Block what is still to be filled in."""
    first = body.lstrip().partition("\n")[0]
    gaps = (*_GAPS.finditer(f"{subject}\n{body}"), *_nameless(known.code).finditer(first))
    found = unique(match.group() for match in gaps)
    return finding("gap", BLOCK, f"something is still to be filled in: {found}.", found) if found else None


def check_greeting(body: str, facts: Facts, known: Language) -> Finding | None:
    """Block a greeting that is not the recipient's name as it is stored (first, last or full)."""
    lines, name = [line.strip() for line in body.splitlines() if line.strip()], facts["person"]["name"]
    place = max(_greeting_place(lines, facts, known), 0)
    line = lines[place] if lines else ""
    if _is_right_greeting(line, facts, known) or _GAPS.search(line) or _nameless(known.code).match(line):
        return None
    slip, right = names.greeted_slip(line, name, known)
    if slip:
        return finding("typo", BLOCK, f"a name is misspelt: {slip} for {right}.", f"{slip} for {right}")
    seniority = facts["person"]["seniority"]
    first, said = names.greeting(name, seniority) or names.first(name), names.greeting_words(line, known)
    if not said:
        return finding("greeting", BLOCK, f"the letter does not start by greeting {first}.", "body")
    return finding("greeting", BLOCK, f'the letter says "{said}", the person is {first}.', said)


def _is_right_greeting(line: str, facts: Facts, known: Language) -> bool:
    """Say whether a line greets the person, alone or with others who were there, or by a title that is enough."""
    name, is_above = facts["person"]["name"], facts["person"]["seniority"] == "above"
    if line == facts["fitting"]["greeting"] or names.is_greeted(line, name, known):
        return True
    return names.are_greeted(line, [name, *facts["others"]], known) or (
        is_above and names.is_courtesy(line, name, known)
    )


def check_detail(body: str, details: list[str], known: Language, kind: str = "") -> Finding | None:
    """Block a note with nothing of this meeting in it, and one for which no detail was noted."""
    noted, about = [detail for detail in details if detail.strip()], dating.NO_MEETING.get(kind, "meeting")
    if not noted:
        return finding("detail", BLOCK, f"no detail of this {about} is noted yet.", "body")
    if any(telling.mentions(body, detail, known) for detail in noted):
        return None
    # A sum of money is what nobody wants to read of first.
    said = min(noted, key=lambda detail: any(char.isdigit() for char in detail))
    return finding("detail", BLOCK, f'nothing of this {about} is in it. You noted: "{said}". Say it to them.', "body")


def check_length(text: str, fitting: Fitting, known: Language) -> Finding | None:
    """Warn of a letter that is shorter or longer than fitting, greeting and closing aside."""
    shortest, longest, by_characters = fitting["shortest"], fitting["longest"], known.words.by_characters
    # As people count them there, signs are characters too.
    count, unit = (len("".join(text.split())), "characters") if by_characters else (len(words_of(text, known)), "words")
    if count < shortest:
        return finding("length", WARN, f"it is short: {count} {unit}, at least {shortest} are better.", "body")
    if count > longest:
        return finding("length", WARN, f"it is long: {count} {unit}, at most {longest} are better.", "body")
    return None


def check_offer(subject: str, text: str, fitting: Fitting, known: Language) -> Finding | None:
    """Block an offer that is not fitting here: a coffee, a meal or a meeting costs somebody above you more time."""
    made = offers.find(f"{subject}\n{text}", known)
    found = unique(words for offer, words in made if offer not in fitting["offers"])
    return finding("offer", BLOCK, f"it offers what is not fitting here: {found}.", found) if found else None


# One "I" more than "you" is no vanity.
MARGIN = 1


# Of what somebody set going for the writer the news is the writer's own: it may be said twice as often.
_NEWS = ("introduction", "referral", "reference")


def check_self_talk(text: str, known: Language, facts: Facts | None = None) -> Finding | None:
    """Warn of a letter that speaks of I and my more often than of you, your and yours.

    Me is passed over where a language tells it from I: it is whom they told, helped and invited. It does not apply
    where a language leaves both words out, as Japanese does: its table lists none.
    """
    own, theirs = (found_in(text, part, known) for part in (known.words.own, known.words.theirs))
    details = facts["details"] if facts else []
    is_news = facts is not None and facts["meeting"]["kind"] in _NEWS
    told = is_news and any(telling.mentions(text, detail, known) for detail in details)
    if len(own) <= len(theirs) * (2 if told else 1) + MARGIN:
        return None
    said = f"it is more about you than about them: {len(own)} times I or my, {len(theirs)} times you. "
    said += f'Leave some out, and say what they did or said, such as "{details[0]}".' if details else "Leave some out."
    return finding("self-talk", WARN, said, unique(own))


def check_register(text: str, seniority: str, known: Language) -> Finding | None:
    """Warn of a word that is too familiar towards somebody above, such as du; English has none."""
    # What is quoted is somebody's own words.
    found = found_in(grounding.unquoted(text), known.words.familiar, known) if seniority == "above" else []
    if not found:
        return None
    words = unique(found)
    return finding("register", WARN, f"it is too familiar towards somebody above you: {words}.", words)


def check_first_name(body: str, facts: Facts, known: Language) -> Finding | None:
    """Warn of somebody above who is greeted by the first name alone, where that is too familiar."""
    name, first = facts["person"]["name"], names.first(facts["person"]["name"])
    if not known.words.formal or facts["person"]["seniority"] != "above" or first == name:
        return None
    line = next((line.strip() for line in body.splitlines() if line.strip()), "")
    if line == facts["fitting"]["greeting"] or not names.is_greeted_by(line, first, known):
        return None
    said = names.greeting_words(line, known)
    message = f'it is too familiar towards somebody above you: "{said}". Write to {names.greeting(name, "above")}.'
    return finding("register", WARN, message, said)


def check_script(subject: str, body: str, known: Language) -> Finding | None:
    """Warn of characters of another script, such as simplified ones in a letter to Hong Kong."""
    foreign = frozenset(known.words.foreign)
    found = unique(char for char in f"{subject}{body}" if char in foreign)
    return finding("script", WARN, f"two scripts are mixed: {found}.", found) if found else None


def check_ask(subject: str, text: str, known: Language) -> Finding | None:
    """Block a thank-you that asks for a job or a favour."""
    found = asks.find(f"{subject}\n{text}", known)
    words = unique("more than one question" if one == "?" else one for one in found)
    message = f"a thank-you asks for nothing, this one does: {words}."
    return finding("ask", BLOCK, message, unique(found)) if found else None


def check_gush(text: str, known: Language) -> Finding | None:
    """Warn of exclamation marks, emoji, superlatives and words of thanks that are too many."""
    found = unique(tone.gush(text, known))
    return finding("gush", WARN, f"it is loud; say it once, plainly: {found}.", found) if found else None


def check_stock(text: str, known: Language) -> Finding | None:
    """Hint at phrases that any letter may have, and that say nothing of the two who write and read."""
    found = unique(tone.stock(text, known))
    return finding("stock", HINT, f"it could stand in any letter; leave it out: {found}.", found) if found else None


def check_subject(subject: str, known: Language) -> Finding | None:
    """Warn of a subject that is empty, says nothing, is long or shouts."""
    fault = tone.subject_fault(subject, known)
    return finding("subject", WARN, fault, "subject") if fault else None


def check_praise(text: str, known: Language, facts: Facts | None = None) -> Finding | None:
    """Hint at a letter without a word of what they did, or how they are."""
    if tone.praises(text, known):
        return None
    kind, seniority = (facts["meeting"]["kind"], facts["person"]["seniority"]) if facts else ("", "peer")
    example = tone.example(kind, seniority, known)
    return finding("praise", HINT, f'say what they did, in a sentence such as "{example}"', "body")


def check_often(around: Around) -> Finding | None:
    """Block one letter more where those before it went unanswered."""
    return finding("often", BLOCK, around.too_often, "to") if around.too_often else None


def check_give(text: str, around: Around, known: Language) -> Finding | None:
    """Hint at one thing to give, where it is known what they care about and the note has nothing of it."""
    if not around.interests or gives(text, around, known):
        return None
    about = around.interests[0]
    return finding("give", HINT, f"they care about {about}: if you have something for that, give it.", about)


def gives(text: str, around: Around, known: Language) -> bool:
    """Say whether a note has something of what they care about, or offers help."""
    offered = any(offer == "help" for offer, _ in offers.find(text, known))
    return offered or any(telling.mentions(text, one, known) for one in around.interests)


def check_third_person(details: list[str], text: str, known: Language) -> Finding | None:
    """Warn of a detail that speaks about the person instead of to them, and stands so in the letter."""
    about = [one for one in details if not found_in(one, known.words.theirs, known) and one[1:].rstrip(".") in text]
    found = unique(word for detail in about for word in found_in(detail, known.words.third, known))
    return finding("third-person", WARN, f"say it to them, with you: {found}.", found) if found else None
