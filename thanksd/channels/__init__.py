"""Channels carry nudges to the owner: cheap, and they may repeat. Plain values in, plain values out.

A channel is a choice of `[nudge] channels`, a module beside this file, and a branch in `reminder`: `desktop` shows
popups with buttons, `push` a line on a phone, `mail` is a mail to oneself, `terminal` one line where the daemon has a
terminal, else at the next command.
What every channel shares is below: what to show (`Popup`), and what became of it (`Receipt`).
"""

from __future__ import annotations

from typing import NamedTuple

# How the error of a nudge begins whose mail the server let in by no login: trying on would lock the account.
REFUSED_LOGIN = "The mail account refused the login"
# And how that of one begins whose mail left without an answer: mailed again at once, it could come without end.
PERHAPS = "The mail may have come"


class Button(NamedTuple):
    """A button of a popup: `key` comes back when it is pressed, `label` is read.

    Labels have no & and no <: notification-daemon drops such a label.
    """

    key: str
    label: str


class Popup(NamedTuple):
    """What a nudge says: a title of at most 40 characters, a body of at most 2 lines of 42.

    `replaces` is the id of the popup this one takes the place of, and `server` who gave that id: ids mean nothing to
    another server. `fallback` is the command line that stands in for the buttons where the server has none.
    `expires` is in milliseconds; 0 stays until it is answered or closed. `brief` is one line without anything of the
    meeting or the note, for where others may look along; `about` a few words for a mail's subject. `note` is a line
    about the channels themselves, and empty as a rule.
    """

    title: str
    body: str
    buttons: tuple[Button, ...]
    replaces: int = 0
    server: str = ""
    fallback: str = ""
    expires: int = 0
    brief: str = ""
    about: str = ""
    note: str = ""


class Receipt(NamedTuple):
    """What became of a popup: `shown` is true only when the notification server said so.

    `server` is its unique bus name, such as ":1.7"; `error` a sentence where it was not shown.
    """

    shown: bool
    popup_id: int
    server: str
    error: str
