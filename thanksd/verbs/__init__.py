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
    "edit": "editing",
    "owed": "listing",
    "show": "listing",
    "outbox": "listing",
    "log": "listing",
    "summary": "listing",
    "letter_text": "listing",
    "people": "people",
    "person": "people",
    "edit_person": "people",
    "forget_person": "people",
    "snooze": "closing",
    "waive": "closing",
    "done": "closing",
    "undo": "closing",
    "draft": "writing",
    "prepare": "writing",
    "reviewing": "writing",
    "confirm": "confirming",
    "resolve": "sending",
    "leave_now": "sending",
    "dispatch": "sending",
    "recover": "sending",
    "release": "sending",
    "next_moment": "nudging",
    "due_nudges": "nudging",
    "nudges_shown": "nudging",
    "nudges_failed": "nudging",
    "nudges_closed": "nudging",
    "answer": "nudging",
    "show_again": "nudging",
    "answered_popups": "nudging",
}

# What the socket offers. The others are the daemon's own.
PUBLIC = frozenset(TABLE) - {"dispatch", "recover", "next_moment", "nudges_failed", "nudges_closed", "show_again",
                             "answer", "answered_popups"}  # fmt: skip


def call(name: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Call a verb by name.

    Raises KeyError for no such verb, and whatever ThanksdError the verb has for people.
    """
    module = import_module(f"thanksd.verbs.{TABLE[name]}")
    result: dict[str, Any] = getattr(module, name)(context, **params)
    return result
