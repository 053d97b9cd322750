"""The nearest tool for each of the ten tasks, and what is typed there: read beside tests/keystrokes.py.

Each line was typed once by hand on Debian 12, with taskwarrior 2.6.2 and neomutt 20220429, and did what is said here.
Enter is \\r, Escape \\x1b, Ctrl-U \\x15.
"""

from __future__ import annotations

from dataclasses import dataclass

_LETTER = """\
Dear Ada,

Thank you for the coffee on Tuesday, and for the time you took. I keep thinking
about why you left Rust.

You must have had plenty else to do, and it was kind of you to fit me in. You
were generous with your thoughts, too, and none of it was lost on me.

With best wishes,
Sam Lee"""
_COMPOSE = 'neomutt -s "Thank you for the coffee on Tuesday" ada@example.com\r'
_VI = "i" + _LETTER.replace("\n", "\r") + "\x1b:wq\r"


@dataclass(frozen=True)
class Neighbour:
    """What is typed in the nearest tool, how many screens it shows (0: they were not counted), and what differs."""

    tool: str
    typed: tuple[str, ...]
    note: str
    screens: int = 0


def _resend(address: str) -> tuple[str, ...]:
    return ("neomutt -f =Sent\r", "\x1be", ":q\r", f"t\x15{address}\r", "y")


NEIGHBOURS = {
    "known": Neighbour(
        "taskwarrior",
        ("task add Thank Ada for coffee, why you left Rust due:24h\r",),
        "It keeps a line of text: no address, no letter, no popup. Without a reason or a due date it is shorter.",
        1,
    ),
    "stranger": Neighbour(
        "taskwarrior",
        ("task add Thank Ada Lovelace ada@example.com for coffee tue 15:00, why you left Rust due:24h\r",),
        "The same words, as one line of text; the two are about as long.",
        1,
    ),
    "send": Neighbour(
        "neomutt, with vi",
        (_COMPOSE, "\r", "\r", _VI, "y"),
        "The letter is typed oneself: the same words, and they count. Without them it is shorter than most programs.",
        4,
    ),
    "detail": Neighbour(
        "taskwarrior",
        ("task 1 mod '/why you left Rust/how you found the moth/'\r",),
        "It changes the note; here the letter changes with it, and the old words need not be typed.",
        1,
    ),
    "undo": Neighbour(
        "Gmail's web page",
        ("z",),
        "Gmail is shorter, for 5 to 30 s while its page is open; thanksd undo works from any terminal until the letter "
        "left (30 s, at most 10 min). In thanksd review it is one key too: u.",
    ),
    "snooze": Neighbour(
        "taskwarrior",
        ("task 1 mod wait:3h\r",),
        "taskwarrior is as short, and wants its number looked up. On the popup it is one button: Later.",
        1,
    ),
    "address": Neighbour(
        "neomutt, with vi",
        _resend("ada@example.com"),
        "Where the server refused while sending, neomutt stays at the letter, and `t`, the address and `y` do: shorter. "
        "This is for a refusal that came as a mail.",
        4,
    ),
    "bounce": Neighbour(
        "neomutt, with vi",
        _resend("lovelace@example.org"),
        "neomutt is shorter; it does not remember that the old address is bad.",
        4,
    ),
    "holiday": Neighbour(
        "taskwarrior",
        ("task status:pending mod wait:2025-03-31\r",),
        "It hides the tasks that are there; what is added later is not hidden, and due dates stay. With three or more "
        "tasks it asks.",
        1,
    ),
    "password": Neighbour(
        "neomutt",
        (":source ~/.neomuttrc\r", "y"),
        "As long as the letter's window stays open; closed, it is lost or postponed. The password itself is changed where "
        "it is kept, for both.",
        2,
    ),
}
