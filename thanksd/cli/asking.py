"""Questions with a line for an answer: the form of `thanksd add`, and the ones that review asks too."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from thanksd.addresses import check_address, display_safe, fold
from thanksd.cli import keys
from thanksd.cli.output import note, say, state_of
from thanksd.client import Client
from thanksd.errors import ThanksdError, UsageError
from thanksd.policy import KINDS, known_kind
from thanksd.when import parse_when

# The kinds in the order of their digits, 1 to 9 and 0: the usual ones under the left hand.
_DIGITS = dict(
    zip(
        "1234567890",
        ("coffee", "interview", "event", "introduction", "referral", "mentoring", "meal", "gift", "speaker", "general"),
        strict=True,
    )
)

# Mail providers whose names people mistype; only a near miss of one of these is asked about.
_PROVIDERS = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "me.com"),
    *("fastmail.com", "proton.me", "protonmail.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "posteo.de"),
    *("mailbox.org", "aol.com", "t-online.de", "orange.fr", "zoho.com"),
)
_NEAR = 0.8

_RECENT = 50  # events, newest first, among which the last meeting added is looked for
_Ask = Callable[[str, str], str]


def add(context: click.Context, facts: dict[str, Any]) -> None:
    """Ask for a meeting, store it by adding.store, and echo it. `facts` are the options that were given already.

    What can't be understood is asked again, with the answers so far to be edited. Nothing is stored before the end:
    Ctrl-C raises KeyboardInterrupt and leaves nothing. Raises what the verb `add` raises besides UsageError.
    """
    from thanksd.cli import adding  # noqa: PLC0415  it imports this module

    form = _Form(state_of(context).client, facts)
    while True:
        form.ask()
        try:
            adding.store(context, {"again": False, **form.answers})
        except UsageError as error:
            _complain(error)
        else:
            return


class _Form:
    """The answers so far; asked anew, they are there to be edited."""

    def __init__(self, client: Client, facts: dict[str, Any]) -> None:
        self.answers: dict[str, Any] = {"who": "", **facts}
        self._people = client.call("people")["people"]
        events = client.call("log", limit=_RECENT)
        self._zone = str(events["zone"])
        self._kind = _last_kind(client, events["events"])

    def ask(self) -> None:
        """Ask for who, address, kind, when, detail and promise: six questions at most."""
        answers = self.answers
        answers["who"] = _until("Whom did you meet? ", answers["who"], _somebody)
        if self._is_new(answers["who"]):
            answers["email"] = ask_address("Address (Enter: none yet) ", answers["email"], keys.ask_line)
        answers["kind"] = self._ask_kind(answers["kind"])
        answers["when"] = _until("When? [now] ", answers["when"], self._check_when)
        first = display_safe(answers["who"].split()[0].strip('<>,"'))
        say(f'Finish it as if to {first}: "I keep thinking about ..."')
        answers["details"] = _one_or_none(keys.ask_line("(Enter: later) ", "".join(answers["details"][:1])))
        promised = keys.ask_line("Did you promise something? (Enter: no) ", "".join(answers["promises"][:1]))
        answers["promises"] = _one_or_none(promised)

    def _is_new(self, who: str) -> bool:
        """Say whether an address is worth asking for: none was typed, and the name is not exactly one person's."""
        if "@" in who:
            return False
        same = [one for one in self._people if fold(one["name"]) == fold(who)]
        if len(same) == 1:
            say(f"You know {same[0]['name']}" + (f" <{same[0]['email']}>." if same[0]["email"] else "."))
        return len(same) != 1

    def _ask_kind(self, old: str) -> str:
        choices = [f"{digit} {kind}" for digit, kind in _DIGITS.items()]
        for head, row in (("Kind  ", choices[:5]), ("      ", choices[5:])):
            say(head + "  ".join(row))
        last = old or self._kind
        digit = next((digit for digit, kind in _DIGITS.items() if kind == last), "0")
        answer = _until(f"A digit [{digit} {last}] ", "", lambda text: _read_kind(text) if text else last)
        return _read_kind(answer) if answer else last

    def _check_when(self, text: str) -> None:
        if text:
            parse_when(text, datetime.now(UTC), self._zone)


def _somebody(text: str) -> None:
    if not text:
        raise UsageError("Nobody was named.", "For example: Ada Lovelace ada@example.com")


def _read_kind(text: str) -> str:
    """Give the kind of a digit or a word. Raises UsageError for any other, with the nearest right one."""
    return _DIGITS.get(text) or known_kind(text)


def _one_or_none(text: str) -> list[str]:
    return [text] if text else []


def _last_kind(client: Client, events: list[dict[str, Any]]) -> str:
    """Give the kind of the meeting added last, or general."""
    number = next((one["thanks"] for one in reversed(events) if one["what"] == "added"), None)
    if number is None:
        return "general"
    kind = str(client.call("show", ref=str(number))["thanks"][0]["meeting"]["kind"])
    return kind if kind in KINDS else "general"


def _until(prompt: str, old: str, check: Callable[[str], object]) -> str:
    """Ask until `check` raises no UsageError, and give the answer."""
    while True:
        old = keys.ask_line(prompt, old)
        try:
            check(old)
        except UsageError as error:
            _complain(error)
        else:
            return old


def _complain(error: ThanksdError) -> None:
    for line in (error.message, error.hint):
        if line:
            note(line)


def ask_address(prompt: str, old: str, ask: _Ask) -> str:
    """Ask for an address until it is one, or nothing; near misses of the usual providers are asked about.

    `ask(prompt, old)` gives a typed line. Words without an @ are asked again.
    """
    while True:
        old = ask(prompt, old)
        if not old:
            return ""
        try:
            return mend_domain(check_address(old), ask)
        except UsageError as error:
            _complain(error)


def mend_domain(address: str, ask: _Ask) -> str:
    """Ask whether a well-known provider was meant where the domain nearly is one's: gmial.com."""
    local, _, domain = address.rpartition("@")
    near = difflib.get_close_matches(domain, _PROVIDERS, n=1, cutoff=_NEAR)
    if domain in _PROVIDERS or not near:
        return address
    answer = ask(f"{near[0]}? [Y/n] ", "")
    return address if answer.lower().startswith("n") else f"{local}@{near[0]}"


def ask_details(texts: list[str], ask: _Ask) -> list[str]:
    """Ask for what is remembered, each of the old texts to be edited; an emptied one is dropped."""
    return [text for old in texts or [""] if (text := ask("> ", old))]
