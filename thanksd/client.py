"""Calls a verb: over the running daemon's socket, else in this process; the same verb with the same result.

Kept thin: what only the in-process way needs is imported there. One request a connection, one JSON line each way.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from thanksd import __version__, paths
from thanksd.errors import ConfigError, TryLaterError, from_plain

if TYPE_CHECKING:
    from thanksd.world import World

# Long enough for a busy daemon, short enough for a person: no verb waits for the network.
_ANSWER_SECONDS = 10.0


class Client:
    """One command's way to its verbs. `daemon` says, after a call, whether a daemon was there."""

    def __init__(self, store: str, config: str, *, lines_wanted: bool) -> None:
        self.store = store
        self.config = config
        self.daemon: bool | None = None
        self.lines: list[dict[str, Any]] = []
        self._lines_wanted = lines_wanted
        self._world: World | None = None

    def call(self, verb: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401  a verb's own arguments
        """Call a verb and give its result.

        Raises the verb's own ThanksdError, and TryLaterError where a daemon is there but does not answer: running the
        verb again here could do it twice.
        """
        answer = self._ask({"verb": verb, "params": params})
        if answer is None:
            self.daemon = False
            return self.world.call(verb, params)
        if "other" in answer:
            result = self.world.call(verb, params)
            self.poke()
            return result
        self.lines += answer.get("lines", [])
        if "error" in answer:
            raise from_plain(answer["error"])
        given: dict[str, Any] = answer["result"]
        return given

    def poke(self) -> None:
        """Let a daemon look at what was changed behind its back; say in `daemon` whether there is one."""
        if self._ask({"verb": "poke", "params": {}}) is None:
            self.daemon = False

    @property
    def world(self) -> World:
        """The in-process way, opened when it is first needed."""
        if self._world is None:
            from thanksd.world import World  # noqa: PLC0415  SQLAlchemy is 30 times a bare Python

            self._world = World(self.store, self.config)
        return self._world

    def ask_status(self) -> dict[str, Any] | None:
        """Give what the daemon says of itself: running, pid, version, last_pass_at; None where there is none."""
        answer = self._ask({"verb": "status", "params": {}})
        if answer is None:
            self.daemon = False
            return None
        result: dict[str, Any] = answer["result"]
        return result

    def ask_page(self, thanks: int = 0, *, feed: bool = False) -> str | None:
        """Give a link that opens the daemon's page once, at a thanks or (0) at its beginning; None without a daemon.

        With `feed` it is the lasting address of the calendar of what is owed.

        Raises the ThanksdError that says why there is no page.
        """
        answer = self._ask({"verb": "page", "params": {"thanks": thanks, "feed": feed}})
        if answer is None:
            self.daemon = False
            return None
        if "error" in answer:
            raise from_plain(answer["error"])
        if "result" not in answer:
            raise TryLaterError(
                "The daemon is of another version, and has no page.", "systemctl --user restart thanksd"
            )
        return str(answer["result"]["url"])

    def ask_daemon(self, verb: str) -> dict[str, Any] | None:
        """Call a verb, without arguments, of the daemon alone; None where it has no result for us, or is not there.

        Raises TryLaterError as `call` does.
        """
        answer = self._ask({"verb": verb, "params": {}})
        return None if answer is None else answer.get("result")

    def waiting_lines(self) -> list[dict[str, Any]]:
        """Give the nudges that no popup could show, as lines for this terminal; say shown() once they are printed."""
        if self._world is not None and self._lines_wanted and not self.daemon:
            self.lines += self._world.call("due_nudges", {"channel": "terminal"})["nudges"]
        return self.lines

    def shown(self, ids: list[int]) -> None:
        """Note that these lines were printed where their owner reads."""
        self.call("nudges_shown", ids=ids)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the daemon; None where there is none.

        Raises TryLaterError where it is there and does not answer.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            try:
                connection.connect(_address(self.store))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except OSError as error:
                raise TryLaterError(
                    f"The daemon can't be reached: {error.strerror or error}. Nothing was done.", "Try again."
                ) from error
            self.daemon = True
            try:
                connection.sendall(json.dumps(self._signed(request)).encode() + b"\n")
                return _read_answer(connection)
            except OSError as error:
                raise _no_answer() from error

    def _signed(self, request: dict[str, Any]) -> dict[str, Any]:
        world = {"version": __version__, "config": self.config, "tz": os.environ.get("TZ", "")}
        return world | {"lines": self._lines_wanted} | request


def _address(store: str) -> str:
    path = str(paths.socket_file(store))
    # sockaddr_un holds 108 bytes with the ending zero (unix(7)).
    if len(os.fsencode(path)) > 107:  # noqa: PLR2004  unix(7)
        raise ConfigError(f"The path of the daemon's socket is too long: {path}.", "Set a shorter XDG_RUNTIME_DIR.")
    return path


def _read_answer(connection: socket.socket) -> dict[str, Any]:
    chunks = []
    while chunk := connection.recv(1 << 16):
        chunks.append(chunk)
    data = b"".join(chunks)
    if not data.endswith(b"\n"):
        raise _no_answer()
    answer: dict[str, Any] = json.loads(data)
    return answer


def _no_answer() -> TryLaterError:
    return TryLaterError("The daemon did not answer. What you asked for may have been done or not.", "See: thanksd log")
