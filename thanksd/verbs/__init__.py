"""The use cases, one function per verb: plain values in, plain values out. One table, every door.

A verb takes a Context and JSON-able keyword arguments and gives JSON-able values, so that the command line, the
daemon's socket and later doors all call the very same one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from thanksd.verbs.context import Context

# name -> module of this package; the function has the verb's name. Modules load when first called: a verb that needs
# templates must not make `owed` pay for them.
TABLE = {
    "add": "adding",
    "add_many": "batch",
    "edit": "editing",
    "owed": "listing",
    "show": "listing",
    "outbox": "listing",
    "log": "listing",
    "summary": "listing",
    "stats": "stats",
    "feed": "feed",
    "letter_text": "listing",
    "people": "people",
    "person": "people",
    "edit_person": "people",
    "forget_person": "forgetting",
    "rewrite_ledger": "forgetting",
    "keep_copy": "spare",
    "set_right": "mending",
    "snooze": "closing",
    "waive": "closing",
    "done": "closing",
    "undo": "closing",
    "promises": "promising",
    "promise_done": "promising",
    "practice": "practice",
    "practice_steps": "practice",
    "draft": "writing",
    "check": "writing",
    "prepare": "preparing",
    "reviewing": "writing",
    "confirm": "confirming",
    "resolve": "sending",
    "bounced": "bouncing",
    "leave_now": "sending",
    "dispatch": "sending",
    "recover": "sending",
    "release": "sending",
    "next_moment": "nudging",
    "due_nudges": "nudging",
    "nudges_shown": "receipts",
    "nudges_failed": "receipts",
    "nudges_closed": "receipts",
    "show_again": "receipts",
    "answered_popups": "receipts",
    "answer": "answering",
    "pause": "pausing",
    "resume": "pausing",
    "whose": "moving",
    "adopt": "moving",
    "export": "exporting",
    "take_in": "importing",
}

# What changes nothing that a daemon would have to look at.
LOOKING = frozenset(
    {
        *("owed", "show", "outbox", "log", "people", "person", "summary", "letter_text", "whose", "export", "promises"),
        *("stats", "feed", "check", "prepare"),
    }
)

# The daemon's own, and what a command does in its own process: they are not offered on the socket.
_INNER = frozenset(
    {
        *("dispatch", "recover", "next_moment", "nudges_failed", "nudges_closed", "show_again"),
        *("answer", "answered_popups", "whose", "add_many", "adopt", "export", "take_in"),
        *("forget_person", "rewrite_ledger", "keep_copy", "set_right"),
    }
)
PUBLIC = frozenset(TABLE) - _INNER


def call(name: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Call a verb by name.

    Raises KeyError for no such verb, and whatever ThanksdError the verb has for people.
    """
    module = import_module(f"thanksd.verbs.{TABLE[name]}")
    result: dict[str, Any] = getattr(module, name)(context, **params)
    return result
