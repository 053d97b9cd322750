"""Names to be completed: in the shell, and at a prompt.

In the shell a press of TAB must be quick, must change nothing, and must never say that something is wrong. So these
look into the ledger's file by themselves, read-only: a verb would load SQLAlchemy, half a second of it, and would make
a ledger where there is none. A shared one is asked by `far`, which gives up soon. Every command that completes
something imports this, so it imports little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from thanksd.addresses import fold
from thanksd.errors import ThanksdError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_BUSY_SECONDS = 0.2
_MANY = 100
_PEOPLE = "SELECT name, coalesce(email, '') FROM person ORDER BY name_key"
_OPEN = (
    "SELECT thanks.id, person.name, meeting.kind FROM thanks JOIN person ON person.id = thanks.person_id "
    "JOIN meeting ON meeting.id = thanks.meeting_id WHERE thanks.closed_at IS NULL ORDER BY thanks.id"
)


def who(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete WHO: the next word of somebody known, after the words that are there already, or their address."""
    said = [fold(word) for word in context.params.get(str(parameter.name)) or ()] if parameter.nargs == -1 else []
    found: dict[str, str] = {}
    for name, email in _rows(context, _PEOPLE):
        words = name.split()
        if [fold(word) for word in words[: len(said)]] == said:
            nexts = [" ".join(words[len(said) :])] if parameter.nargs != -1 else words[len(said) : len(said) + 1]
            found |= {word: name for word in [*nexts, email] if word and fold(word).startswith(fold(start))}
    return _items(found)


def ref(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete REF: the number of an open thanks, or a word of its person's name."""
    found: dict[str, str] = {}
    for number, name, kind in _rows(context, _OPEN):
        wanted = [word for word in name.split() if start and fold(word).startswith(fold(start))]
        wanted += [str(number)] if str(number).startswith(start) else []
        found |= dict.fromkeys(wanted, f"{name}, {kind}")
    return _items(found)


def kind(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete a kind of meeting."""
    from thanksd.policy import kinds  # noqa: PLC0415  only for completion

    return _items(dict.fromkeys((one for one in kinds() if one.startswith(start.lower())), ""))


def _items(found: dict[str, str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415  only for completion

    # A shell evaluates nothing of it, but a control character would garble the line.
    return [
        CompletionItem(word, help=text) for word, text in list(found.items())[:_MANY] if (word + text).isprintable()
    ]


def _rows(context: click.Context, query: str) -> list[tuple[str, ...]]:
    from thanksd import paths  # noqa: PLC0415  as above
    from thanksd.cli.output import state_of  # noqa: PLC0415  as above

    try:
        state = state_of(context)
        if paths.is_server(state.store_url):
            from thanksd.cli import far  # noqa: PLC0415  a ledger of one's own needs none of it

            return far.people(state) if query == _PEOPLE else far.open_thanks(state)
        return _rows_of(state.store_url.removeprefix("sqlite:///"), query)
    except ThanksdError:
        # A name that is none: the line that is being typed will say so when it is run.
        return []


def _rows_of(file: str, query: str) -> list[tuple[str, ...]]:
    import sqlite3  # noqa: PLC0415  as above

    try:
        address = "file:" + file.replace("%", "%25").replace("#", "%23") + "?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
            return [tuple(map(str, row)) for row in connection.execute(query)]
    except (OSError, sqlite3.Error):
        # No ledger, an older or a damaged one, no home: as above.
        return []


@contextmanager
def at_prompt(names: Sequence[str]) -> Iterator[None]:
    """Let TAB complete these at the prompts of the block; a dumb terminal has none of it."""
    from thanksd.cli.keys import is_dumb  # noqa: PLC0415  only where somebody types

    if is_dumb():
        yield
        return
    import readline  # noqa: PLC0415  as above

    def complete(start: str, number: int) -> str | None:
        fitting = [one for one in dict.fromkeys(names) if one.isprintable() and fold(one).startswith(fold(start))]
        return fitting[number] if number < len(fitting) else None

    before = readline.get_completer_delims()
    readline.parse_and_bind("tab: complete")
    # A name is several words.
    readline.set_completer_delims("\t\n")
    readline.set_completer(complete)
    try:
        yield
    finally:
        readline.set_completer(None)
        readline.set_completer_delims(before)
        readline.parse_and_bind("tab: self-insert")
