"""The daemon's socket: one request a connection, one JSON line each way, answered by the very verbs.

Only the owner of the store may speak: the socket is 0600 in a folder that is 0700, and the peer's uid is checked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from thanksd import __version__
from thanksd.errors import ThanksdError, UsageError, to_plain
from thanksd.verbs import PUBLIC

# A letter's body may come along; its limit is 20,000 characters.
_LONGEST_REQUEST = 1 << 20
_REQUEST_SECONDS = 10
_UCRED = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)

# Commands that end with a word to their reader: there the nudges may go that no popup could show.
_LISTENING = frozenset({"add", "edit", "owed", "show", "outbox", "log", "snooze", "waive", "done", "undo", "people"})

Call = Callable[[str, dict[str, Any], str], Awaitable[dict[str, Any]]]

log = logging.getLogger("thanksd")


class Listener:
    """Answers requests. `call` runs a verb, `lines` gives nudges for a terminal, `changed` is told after each verb.

    `asked` answers what is asked of the daemon itself: "status", or "page" for a link to it.
    """

    def __init__(
        self,
        path: Path,
        config_file: Path,
        call: Call,
        lines: Callable[[], Awaitable[list[dict[str, Any]]]],
        changed: Callable[[str, dict[str, Any]], None],
        asked: Callable[[str, dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._path, self._config = path, config_file
        self._call, self._lines, self._changed, self._asked = call, lines, changed, asked
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket left by a dead daemon is in the way; the instance lock says that it is dead."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LONGEST_REQUEST)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening; whoever comes now runs the verb in process."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) == os.getuid():
                line = await asyncio.wait_for(reader.readline(), _REQUEST_SECONDS)
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, OSError, ValueError, RecursionError) as error:
            # The client went away, or spoke another language; it says so to its person.
            log.info("a request was dropped: %s", error)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = _read(line)
        verb = request["verb"]
        if verb == "poke":
            self._changed("poke", {})
            return {"result": {}}
        if verb in ("status", "page"):
            return self._of_daemon(verb, request)
        if request["version"] != __version__ or Path(request["config"]) != self._config:
            return {"other": "version or config"}
        return await self._run(verb, request)

    def _of_daemon(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        params = request.get("params")
        try:
            return {"result": self._asked(verb, params if isinstance(params, dict) else {})}
        except ThanksdError as error:
            return {"error": to_plain(error)}

    async def _run(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        if verb == "reviewing":
            # Whatever the verb will say: a window is open.
            self._changed("opened", dict(request["params"]))
        try:
            _check_public(verb)
            result = await self._call(verb, request["params"], request["tz"])
        except ThanksdError as error:
            return {"error": to_plain(error)}
        except Exception:
            log.exception("the verb %s failed", verb)
            return {"error": to_plain(ThanksdError("Something went wrong in the daemon.", "See: thanksd log"))}
        self._changed(verb, result)
        return {"result": result, "lines": await self._lines_for(verb) if request["lines"] else []}

    async def _lines_for(self, verb: str) -> list[dict[str, Any]]:
        # The verb is done: a ledger that is busy now must not make it look as if it had failed.
        try:
            return await self._lines() if verb in _LISTENING else []
        except ThanksdError as error:
            log.warning("%s %s", error.message, error.hint)
            return []


# What a request must have, and of which type; those about the daemon itself need the verb alone.
_FIELDS = {"verb": str, "params": dict, "version": str, "config": str, "tz": str, "lines": bool}


def _read(line: bytes) -> dict[str, Any]:
    """Read a request. Raises ValueError for what is none."""
    found = json.loads(line)
    request: dict[str, Any] = found if isinstance(found, dict) else {}
    wanted = {"verb": str} if request.get("verb") in ("poke", "status", "page") else _FIELDS
    missing = [name for name, kind in wanted.items() if not isinstance(request.get(name), kind)]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    return request


def _check_public(verb: str) -> None:
    if verb not in PUBLIC:
        raise UsageError(f"There is no verb {verb}.", "Is the daemon of another version?")


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])
