"""What review asks in place of a letter, or about one: the address, the detail, how somebody was thanked, the text.

Each gives a key of review's that was typed instead, or NOTED, ASK_AGAIN: the same thanks is shown anew.
"""

from __future__ import annotations

from typing import Any

import click

from thanksd.addresses import check_address
from thanksd.cli import asking, editor, screen
from thanksd.cli.desk import Desk, LeftError
from thanksd.cli.output import say
from thanksd.client import Client

NOTED = "noted"
_KEYS = frozenset("lwtnuq")
_HOW = {"p": "in person", "h": "by phone", "c": "by card"}
_ASK_HOW = "How? p in person   h by phone   c by card   o otherwise   other keys: not yet"


def address(desk: Desk, client: Client) -> str:
    """Ask for the address; an empty line asks how else they were thanked, so that Enter alone closes nothing."""
    about = [f"{desk.draft['to']} came back."] if desk.draft["to"] else []
    answer = _line(desk, [*about, f"{desk.name}'s address? (Enter: thanked another way)"], "q quit")
    if answer in _KEYS:
        return answer
    if not answer:
        return "t"
    email = asking.mend_domain(check_address(answer), desk.line)
    client.call("edit", ref=desk.ref, email=email)
    desk.forget()
    return NOTED


def _line(desk: Desk, texts: list[str], hint: str) -> str:
    """Ask in place of the letter. Ctrl-C leaves the question, not the review: letters may wait for its end."""
    try:
        return desk.ask(texts, hint)
    except LeftError:
        return "n"


def detail(desk: Desk, client: Client) -> str:
    """Ask for what is missing in the letter."""
    question = f"Finish it as if to {desk.name}, for example: why you left Rust"
    answer = _line(desk, [screen.lead(desk.draft), question], "Enter alone: skip for now    q quit")
    if answer in _KEYS or not answer:
        return answer or "n"
    client.call("edit", ref=desk.ref, details=[answer])
    desk.forget()
    return NOTED


def how_thanked(desk: Desk) -> str:
    """Ask in what other way they were thanked; "" for not at all."""
    click.echo()
    key = desk.choose(_ASK_HOW)
    if key == "o":
        return desk.line("How? (Enter: otherwise) ") or "otherwise"
    return _HOW.get(key, "")


def better_detail(desk: Desk, client: Client) -> str:
    """Give the details to be edited; gives what is to be said of it."""
    click.echo()
    say(f'Finish it as if to {desk.name}: "I keep thinking about ..."')
    old, body = desk.one["details"], desk.draft["body"]
    details = asking.ask_details(old, desk.line)
    if not details or details == old:
        return "Nothing was changed."
    client.call("edit", ref=desk.ref, details=details)
    desk.forget()
    desk.prepare()
    return "Noted. Your own text stays as it is: e edits it, a starts anew." if desk.draft["body"] == body else ""


def edit(desk: Desk, client: Client) -> str:
    """Open subject and text in the editor; gives what is to be said of it."""
    draft, ref = desk.draft, desk.ref

    def store(subject: str, body: str) -> None:
        client.call("draft", ref=ref, subject=subject, body=body)

    text = editor.edit(draft["subject"], draft["body"], store, desk.beside())
    desk.forget()
    return "" if text else "Nothing was changed."


class Wordings:
    """The texts that stood there before another wording was tried, by thanks."""

    def __init__(self) -> None:
        self._first: dict[str, dict[str, Any]] = {}

    def next(self, desk: Desk, client: Client) -> str:
        """Go to the next wording; back at the first, the text that stood there is there again."""
        first = self._first.setdefault(desk.ref, desk.draft)
        client.call("draft", ref=desk.ref, another=True)
        desk.forget()
        desk.prepare()
        following = desk.draft["template"]
        is_own = (desk.draft["subject"], desk.draft["body"]) != (first["subject"], first["body"])
        if following == first["template"] and is_own:
            client.call("draft", ref=desk.ref, subject=first["subject"], body=first["body"])
            desk.forget()
        return f"In the words of: {following}"
