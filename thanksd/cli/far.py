"""Names in a shared ledger, to be completed: of the daemon or of the server, whatever comes within half a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from thanksd import config, server
from thanksd.addresses import fold
from thanksd.cli.root import State
from thanksd.errors import ThanksdError, TryLaterError

# A press of TAB that takes longer seems to hang.
_SECONDS = 0.5
# The least that the driver knows.
_CONNECT_SECONDS = 2
_PEOPLE = "SELECT name, coalesce(email, '') FROM person ORDER BY name_key"
_OPEN = """\
SELECT thanks.id, person.name, meeting.kind FROM thanks JOIN person ON person.id = thanks.person_id
JOIN meeting ON meeting.id = thanks.meeting_id WHERE closed_at IS NULL AND thanks.owner = %s ORDER BY thanks.id"""

Rows = list[tuple[str, ...]]
Found = TypeVar("Found")


def people(state: State) -> Rows:
    """Give name and address of everybody known, by name."""
    told = _of_daemon(state, "people")
    return _of_server(state, _PEOPLE) if told is None else [(one["name"], one["email"] or "") for one in told["people"]]


def open_thanks(state: State) -> Rows:
    """Give number, name and kind of the user's open thanks."""
    told = _of_daemon(state, "owed")
    if told is None:
        return _of_server(state, _OPEN, fold(config.load(Path(state.config_file)).me.email))
    rows = sorted((one["id"], one["person"]["name"], one["meeting"]["kind"]) for one in told["thanks"])
    return [(str(number), name, kind) for number, name, kind in rows]


def _of_daemon(state: State, verb: str) -> dict[str, Any] | None:
    """Give what the daemon says; None where there is none. Raises TryLaterError where it does not say it in time."""
    return _in_time(lambda: state.client.ask_daemon(verb))


def _of_server(state: State, question: str, *values: str) -> Rows:
    server.driver()  # loading it takes its time, and is no waiting
    return _in_time(lambda: _ask(state, question, values))


def _ask(state: State, question: str, values: tuple[str, ...]) -> Rows:
    with server.look(state.store_url, _CONNECT_SECONDS) as connection:
        return [tuple(map(str, row)) for row in connection.execute(question.encode(), values or None)]


def _in_time(ask: Callable[[], Found]) -> Found:
    """Give what is found in time; what still waits then ends with the program. Raises TryLaterError."""
    found: list[Found] = []

    def look() -> None:
        with suppress(ThanksdError):
            found.append(ask())

    thread = Thread(target=look, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if not found:
        raise TryLaterError("Nobody answered in time.", "See: thanksd doctor")
    return found[0]
