"""Questions with a line for an answer: the form of `thanksd add`, and the ones that review asks too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from thanksd.addresses import check_address, display_safe, fold
from thanksd.cli import keys
from thanksd.cli.completing import at_prompt
from thanksd.cli.output import note, say, state_of
from thanksd.client import Client
from thanksd.errors import NotFoundError, ThanksdError, UsageError
from thanksd.policy import kinds, known_kind
from thanksd.when import parse_when

# The kinds in the order of their digits, 1 to 9 and 0: the usual ones under the left hand.
_DIGITS = dict(
    zip(
        "1234567890",
        ("coffee", "interview", "event", "introduction", "referral", "mentoring", "meal", "gift", "speaker", "general"),
        strict=True,
    )
)

_RECENT = 50  # events, newest first, among which the last meeting added is looked for
_Ask = Callable[[str, str], str]


def add(context: click.Context, facts: dict[str, Any]) -> None:
    """Ask for meetings, one after the other; each is stored by adding.store and echoed as soon as it is told.

    `facts` are the options that were given already; kind, when and place hold for everybody that follows. What can't be
    understood is asked again. Ctrl-C raises KeyboardInterrupt: what was echoed stays, and nothing of the one that was
    being told. Raises what the verb `add` raises besides UsageError; exits with 1 where nothing was stored.
    """
    form = _Form(state_of(context).client, {"who": "", **facts})
    is_stored = _tell(context, form)
    while (who := keys.ask_line("Anybody else? [Enter: no] ")).lower() not in ("", "n", "no"):
        form = form.following(who)
        is_stored = _tell(context, form) or is_stored
    if not is_stored:
        context.exit(1)


def _tell(context: click.Context, form: _Form) -> bool:
    """Ask until the meeting is stored; False where its owner does not want it twice."""
    from thanksd.cli import adding  # noqa: PLC0415  it imports this module

    while True:
        form.ask()
        try:
            adding.store(context, {"again": False, **form.answers})
        except UsageError as error:
            _complain(error)
        except NotFoundError as error:
            if error.code != "duplicate":
                raise
            note("Nothing was stored.")
            return False
        else:
            return True


class _Form:
    """The answers so far; asked anew, they are there to be edited or stand in the brackets."""

    def __init__(self, client: Client, facts: dict[str, Any]) -> None:
        self.answers = facts
        self._client = client
        self._is_named = bool(facts["who"])
        self._people = client.call("people")["people"]
        events = client.call("log", limit=_RECENT)
        self._zone = str(events["zone"])
        self._kind = known_kind(facts["kind"]) if facts["kind"] else _last_kind(client, events["events"])

    def following(self, who: str) -> _Form:
        """Give the form for the next one met: kind, when and place are kept."""
        kept = {name: self.answers[name] for name in ("kind", "when", "place")}
        return _Form(self._client, {"who": who, "email": "", "details": [], "promises": [], "others": (), **kept})

    def ask(self) -> None:
        """Ask for who, address, kind, when, detail and promise: six questions at most."""
        answers = self.answers
        if not self._is_named:
            answers["who"] = self._ask_who(answers["who"])
        # Where the ledger refuses what was told, who it was may be what is wrong.
        self._is_named = False
        if self._is_new(answers["who"]):
            answers["email"] = ask_address("Address (Enter: none yet) ", answers["email"], keys.ask_line)
        answers["kind"] = self._kind = self._ask_kind(self._kind)
        answers["when"] = self._ask_when(answers["when"])
        answers["details"] = _ask_detail(answers["who"], "".join(answers["details"][:1]))
        answers["other_details"] = [_ask_detail(other) for other in answers["others"]] or None
        promised = keys.ask_line("Did you promise something? (Enter: no) ", "".join(answers["promises"][:1]))
        answers["promises"] = _one_or_none(promised)

    def _ask_who(self, old: str) -> str:
        with at_prompt([one["name"] for one in self._people]):
            return _until("Whom did you meet? ", old, _somebody)

    def _is_new(self, who: str) -> bool:
        """Say whether an address is worth asking for: none was typed, and the name is not exactly one person's."""
        if "@" in who:
            return False
        same = [one for one in self._people if fold(one["name"]) == fold(who)]
        if len(same) == 1:
            say(f"You know {same[0]['name']}" + (f" <{same[0]['email']}>." if same[0]["email"] else "."))
        return len(same) != 1

    def _ask_kind(self, last: str) -> str:
        choices = [f"{digit} {kind}" for digit, kind in _DIGITS.items()]
        for head, row in (("Kind  ", choices[:5]), ("      ", choices[5:])):
            say(head + "  ".join(row))
        digit = next((digit for digit, kind in _DIGITS.items() if kind == last), "0")
        return _read_kind(_until(f"A digit [{digit} {last}] ", "", lambda text: _read_kind(text or last)) or last)

    def _ask_when(self, last: str) -> str:
        return (
            _until(f"When? [{display_safe(last) or 'now'}] ", "", lambda text: self._check_when(text or last)) or last
        )

    def _check_when(self, text: str) -> None:
        if text:
            parse_when(text, datetime.now(UTC), self._zone)


def _somebody(text: str) -> None:
    if not text:
        raise UsageError("Nobody was named.", "For example: Ada Lovelace ada@example.com")


def _read_kind(text: str) -> str:
    """Give the kind of a digit or a word. Raises UsageError for any other, with the nearest right one."""
    return _DIGITS.get(text) or known_kind(text)


def with_details(who: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Give the facts with a detail for each person of a meeting of several, asked for where none was given."""
    if not facts["others"]:
        return facts
    details = facts["details"] or _ask_detail(who)
    return {**facts, "details": details, "other_details": [_ask_detail(other) for other in facts["others"]]}


def _ask_detail(who: str, old: str = "") -> list[str]:
    """Ask for what stood out, as a sentence to finish: that gets what can be said to them."""
    first = display_safe((who.split() or [""])[0].strip('<>,"'))
    say(f'Finish it as if to {first}: "I keep thinking about ..."')
    return _one_or_none(keys.ask_line("(Enter: later) ", old))


def _one_or_none(text: str) -> list[str]:
    return [text] if text else []


def _last_kind(client: Client, events: list[dict[str, Any]]) -> str:
    """Give the kind of the meeting added last, or general."""
    number = next((one["thanks"] for one in reversed(events) if one["what"] == "added"), None)
    if number is None:
        return "general"
    kind = str(client.call("show", ref=str(number))["thanks"][0]["meeting"]["kind"])
    return kind if kind in kinds() else "general"


def _until(prompt: str, old: str, check: Callable[[str], object]) -> str:
    """Ask until `check` raises no UsageError, and give the answer.

    After a mistake the line is empty: who sees their own words there types over them. The message has them.
    """
    while True:
        answer = keys.ask_line(prompt, old)
        try:
            check(answer)
        except UsageError as error:
            _complain(error)
            old = ""
        else:
            return answer


def _complain(error: ThanksdError) -> None:
    for line in (error.message, error.hint):
        if line:
            note(line)


def ask_address(prompt: str, old: str, ask: _Ask) -> str:
    """Ask for an address until it is one, or nothing; near misses of the usual providers are asked about.

    `ask(prompt, old)` gives a typed line. Words without an @ are asked again, with an empty line.
    """
    while answer := ask(prompt, old):
        try:
            return mend_domain(check_address(answer), ask)
        except UsageError as error:
            _complain(error)
            old = ""
    return ""


def mend_domain(address: str, ask: _Ask) -> str:
    """Ask whether a well-known provider was meant where the domain nearly is one's: gmial.com."""
    from thanksd import providers  # noqa: PLC0415  the table is for addresses just typed

    local, _, domain = address.rpartition("@")
    near = providers.nearest_domain(domain)
    if not near:
        return address
    answer = ask(f"{near}? [Y/n] ", "")
    return address if answer.lower().startswith("n") else f"{local}@{near}"


def ask_details(texts: list[str], ask: _Ask) -> list[str]:
    """Ask for what is remembered, each of the old texts to be edited; an emptied one is dropped."""
    return [text for old in texts or [""] if (text := ask("> ", old))]
