"""The words of popups. Pure: plain values in, a `Popup` out; whatever came from outside is cleaned and cut.

A popup is a pointer, never the only place something is said: where it is cut, `thanksd` shows the whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from thanksd.channels import Button, Popup

TITLE_LENGTH = 40
LINE_LENGTH = 42

_REVIEW = Button("review", "Review")
_LATER = Button("later", "Later")
_WAIVE = Button("waive", "Not needed")
# What a pressed "Later" can be moved to: a DELAY of `thanksd snooze`, and its button. Two: GNOME draws three buttons.
DELAYS = {"tomorrow 9:00": "Tomorrow", "1w": "In a week"}
_READY = " Draft is ready."
_SHORTLY = 10_000
_BROKE = "The line broke at the end. Check Sent."
_ADOPTED = "It came with another machine's ledger.\nCheck Sent."
_WHEN_LENGTH = LINE_LENGTH - len("It was to go . Text is kept.")

# A reply's codes (RFC 5321 4.2, RFC 3463): "550 5.1.1 ".
_CODES = re.compile(r"^\d{3}[ -]?(\d\.\d{1,3}\.\d{1,3} ?)?")

# Not of the specification: our word for a server that makes a button of the default action.
DRAWS_DEFAULT = "x-thanksd-draws-default"

# Zero-width (non-)joiners are format characters too, but Persian, Indic scripts and emoji are wrong without them.
_JOINERS = "\u200c\u200d"
# Controls, line and paragraph separators part words; lone surrogates (D-Bus refuses them) and format characters don't.
# Among the last are the bidi marks, with which a name could turn the rest of the line around.
_PARTING = ("Cc", "Zl", "Zp")
_UNSEEN = ("Cs", "Cf")


class Sayable(NamedTuple):
    """A popup in the form one notification server can show; `actions` is key, label, key, label, ..."""

    title: str
    body: str
    actions: list[str]


def thanks_popup(ref: int, person: str, kind: str, when_words: str, detail: str, best_by_words: str) -> Popup:
    """Ask for one thanks; `detail` empty means nothing is noted yet, `best_by_words` may also say "late by 1 day"."""
    about = f" · {clean(detail)}" if clean(detail) else ""
    first = short(f"{_capital(clean(kind))} {clean(when_words)}{about}", LINE_LENGTH)
    best_by = _best_by(best_by_words)
    second = best_by if about else "One question, then it is ready."
    day = clean(when_words).rpartition(" ")[0] or clean(when_words)
    return Popup(
        title=_titled("Thank ", person, "?"),
        body=f"{first}\n{second}",
        buttons=(_REVIEW, _LATER, _WAIVE),
        fallback=f"Run: thanksd review {ref}",
        brief=best_by.removesuffix(_READY),
        about=short(f"{clean(kind)} {day}", LINE_LENGTH),
    )


def digest_popup(names: list[str], oldest_late: str) -> Popup:
    """Ask for several thanks at once; `oldest_late` is "late by 1 day", or empty where none is late."""
    oldest = f"Oldest {clean(oldest_late)}." if clean(oldest_late) else ""
    everybody = ", ".join(_first_name(name) for name in names) + "."
    one_line = f"{everybody} {oldest}".rstrip()
    body = one_line if len(one_line) <= LINE_LENGTH else f"{_names(names)}\n{short(oldest, LINE_LENGTH)}".rstrip()
    return Popup(
        title=f"{len(names)} people to thank",
        body=body,
        buttons=(_REVIEW, _LATER),
        fallback="Run: thanksd review",
        brief=short(one_line, LINE_LENGTH),
    )


def refused_popup(ref: int, person: str, address: str, server_words: str, *, about_address: bool = True) -> Popup:
    """Say that a mail server refused a letter for good; `server_words` is its answer, with or without its codes.

    Where it was not `about_address`, the letter itself was refused.
    """
    said = _CODES.sub("", clean(server_words)).replace(f"<{clean(address)}>", "").lstrip(" :")
    return Popup(
        title=_titled("", _first_name(person), f"'s {'address' if about_address else 'letter'} was refused"),
        body=_two_rows(f"{clean(address)}:", said),
        buttons=(Button("fix", "Fix it"),),
        fallback=f"Run: thanksd review {ref}",
        brief="Its text is kept.",
    )


def held_popup(ref: int, person: str) -> Popup:
    """Ask the owner whether a letter arrived whose outcome can't be known."""
    return _look_into(ref, _titled("Did ", _first_name(person), "'s letter arrive?"), _BROKE)


def adopted_popup(ref: int, person: str) -> Popup:
    """Ask whether a letter arrived that another machine may have sent: it came with that machine's ledger."""
    return _look_into(ref, _titled("Did ", _first_name(person), "'s letter arrive?"), _ADOPTED)


def handed_off_popup(ref: int, person: str) -> Popup:
    """Ask whether a letter was sent that was handed over to the owner's own mail program."""
    return _look_into(
        ref, _titled("Did you send ", _first_name(person), "'s letter?"), "It waits in your mail program."
    )


def _look_into(ref: int, title: str, body: str) -> Popup:
    brief = body.rpartition("\n")[2]
    return Popup(title, body, (Button("resolve", "Look into it"),), fallback=f"Run: thanksd resolve {ref}", brief=brief)


def stale_popup(ref: int, person: str, leaves_words: str) -> Popup:
    """Say that a letter could not leave for so long that it does not go by itself; it was to go "Fri 17:00"."""
    return Popup(
        title=_titled("", _first_name(person), "'s letter did not leave"),
        body=f"It was to go {short(clean(leaves_words), _WHEN_LENGTH)}. Text is kept.",
        buttons=(_REVIEW,),
        fallback=f"Run: thanksd review {ref}",
        brief="Its text is kept.",
    )


def promise_popup(person: str, promise: str, due_words: str, count: int) -> Popup:
    """Ask for what was promised; `due_words` is "by Fri 17:00", "" for no day. Of several the first is named."""
    first = short(clean(promise), LINE_LENGTH)
    more = f"and {count - 1} more" if count > 1 else ""
    return Popup(
        title=_titled("You promised ", person, "") if count == 1 else f"{count} promises to keep",
        body="\n".join(filter(None, [first, " ".join(filter(None, [clean(due_words), more]))])),
        buttons=(Button("done", "Done" if count == 1 else "All done"), _LATER),
        fallback="Run: thanksd promises",
        brief=short(clean(due_words), LINE_LENGTH),
    )


def ask_popup(met: int, thanked: int) -> Popup:
    """Ask the weekly question, with how many were met this week and how many of those thanked."""
    counts = f"{met} met, {thanked} thanked so far."
    return Popup(
        title="Whom did you meet this week?",
        body=counts,
        buttons=(Button("add", "Add"), Button("nobody", "Nobody")),
        fallback="Run: thanksd add",
        brief=counts,
    )


def password_popup(provider: str, letters: int, *, refused: bool = True) -> Popup:
    """Say that the mail account (`provider`, such as "Gmail") refused the login while `letters` letters wait.

    Where it was not `refused`, the password could not be read here: a keyring is locked, a command failed.
    """
    waiting = "1 letter waits" if letters == 1 else f"{letters} letters wait"
    return Popup(
        title=_titled("", provider, " refused the password") if refused else "The password could not be read",
        body=f"{waiting}. Nothing is lost.",
        buttons=(Button("fix", "Fix it"),),
        fallback="Run: thanksd credentials set",
        brief=f"{waiting}. Nothing is lost.",
    )


def waived_popup(ref: int, person: str) -> Popup:
    """Answer a pressed "Not needed", so that a stray press can be taken back."""
    return Popup(
        title=_titled("Not needed: ", person, ""),
        body="",
        buttons=(Button("undo", "Undo"),),
        expires=_SHORTLY,
        fallback=f"Run: thanksd undo {ref}",
    )


def later_popup(ref: int, people: list[str], until_words: str) -> Popup:
    """Answer a pressed "Later" with the moment it came to, "today 15:00", and others to choose from.

    The first button is that moment: a click on the popup itself, which presses it, changes nothing.
    """
    choices = [Button(delay, label) for delay, label in DELAYS.items() if not until_words.startswith(label.lower())]
    who = people[0] if len(people) == 1 else f"{len(people)} people"
    return Popup(
        title=_titled("Later: ", who, ""),
        body="Another time is one click away.",
        buttons=(Button("keep", short(_capital(clean(until_words)), LINE_LENGTH)), *choices),
        expires=_SHORTLY,
        fallback=f"Run: thanksd snooze {ref} tomorrow" if len(people) == 1 else "Run: thanksd",
    )


def not_opened_popup(words: list[str], what: str) -> Popup:
    """Say that a pressed button could not open `what`, and what to type instead: `words` after thanksd."""
    command = " ".join(["thanksd", *words])
    # A digest has too many numbers for a line, and without them review takes all that is due.
    fits = len(f"Run: {command}") <= LINE_LENGTH
    return Popup(
        title=f"Could not open a {what}", body=f"Run: {command if fits else f'thanksd {words[0]}'}", buttons=()
    )


def sick_note(channel: str, since_words: str) -> str:
    """Say of "desktop" that it could not be reached since "09:00", or "Tue 09:00"."""
    return short(f"{_capital(channel)} not reached since {since_words}.", LINE_LENGTH)


def line(popup: Popup, command: str) -> str:
    """Give the same nudge as one line for a terminal, ending in the `command` to type."""
    title = popup.title if popup.title.endswith("?") else f"{popup.title}."
    last = popup.body.rpartition("\n")[2].removesuffix(_READY)
    said = f"{title} {last}".rstrip()
    return f"{said}  {command}"


def sayable(popup: Popup, capabilities: Collection[str]) -> Sayable:
    """Fit a popup to a server's capabilities (Desktop Notifications Specification, GetCapabilities).

    Markup is escaped only where the server would interpret it, and only in the body: titles are plain text to all.
    """
    rows = [clean(row) for row in popup.body.split("\n")]
    if "actions" not in capabilities and popup.fallback:
        rows = [*rows[:1], popup.fallback]
    body = "\n".join(row for row in (*rows, popup.note) if row)
    if "body-markup" in capabilities:
        body = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Sayable(clean(popup.title), body, _actions(popup.buttons, capabilities))


def _actions(buttons: tuple[Button, ...], capabilities: Collection[str]) -> list[str]:
    """Put a `default` action before the buttons: without it they do nothing in dunst where dmenu is missing.

    A server that would draw it as one more button gets none.
    """
    if not buttons or "actions" not in capabilities:
        return []
    default = () if DRAWS_DEFAULT in capabilities else (Button("default", buttons[0].label),)
    return [word for button in (*default, *buttons) for word in button]


def clean(text: str) -> str:
    """Make text of unknown origin one harmless line: no controls, no bidi marks, single spaces."""
    return " ".join("".join(map(_harmless, text)).split()).strip(_JOINERS)


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category in _PARTING:
        return " "
    return "" if category in _UNSEEN and character not in _JOINERS else character


def short(text: str, length: int) -> str:
    """Cut text to `length` characters, the last of them an ellipsis where something is missing."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _two_rows(first: str, second: str) -> str:
    """Put two halves of a sentence into one line, or where they are too long for it, into two."""
    both = f"{first} {second}".rstrip()
    return both if len(both) <= LINE_LENGTH else f"{short(first, LINE_LENGTH)}\n{short(second, LINE_LENGTH)}".rstrip()


def _titled(before: str, name: str, after: str) -> str:
    room = TITLE_LENGTH - len(before) - len(after)
    return f"{before}{short(clean(name) or 'somebody', room)}{after}"


def _best_by(words: str) -> str:
    words = clean(words)
    opening = "" if words.startswith("late") else "Best by "
    words = words if opening else _capital(words)
    return f"{opening}{short(words, LINE_LENGTH - len(opening) - len(_READY) - 1)}.{_READY}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _first_name(name: str) -> str:
    return (clean(name).split(" ")[0]) or "somebody"


def _names(names: list[str]) -> str:
    """As many first names as fit one line, and how many more there are."""
    firsts = [short(_first_name(name), 20) for name in names[:10]]
    for count in range(len(firsts), 0, -1):
        rest = len(names) - count
        said = ", ".join(firsts[:count]) + (f" and {rest} more." if rest else ".")
        if len(said) <= LINE_LENGTH:
            return said
    return f"{len(names)} people."
