"""Who comes in to the page, and with what: the checks before any route is asked.

A browser sends its owner's cookies wherever anybody's page tells it to. So: the Host is exactly ours, which a name that
was rebound to 127.0.0.1 is not; a change comes from our own Origin, with our session's token; a GET changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from thanksd.page.visits import Session, Visits, is_same

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Form = Mapping[str, str]

# A note has 20,000 characters at most, each of them up to nine bytes in a form.
BODY_BYTES = 400_000
BODY_SECONDS = 10.0
_MOST_FIELDS = 100
_METHODS = ("GET", "HEAD", "POST")

# Nothing from elsewhere, nothing inline, in nobody's frame, in no cache; and no address of ours in another's log.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # same-origin, as with no-referrer a browser would send Origin: null even to ourselves (Fetch standard, 3.2).
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class RefusedError(Exception):
    """A request that is not let in: an HTTP status, and why as a key of the page's words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


Refuse = Callable[[RefusedError, Form, str], App]


class Gate:
    """Lets in what its owner's browser asks, and hands on the session and the form; `refuse` answers all else.

    `is_on` says whether the settings want a page at all.
    """

    def __init__(self, app: App, refuse: Refuse, visits: Visits, port: int, is_on: Callable[[], bool]) -> None:
        self._app, self._refuse, self._visits, self._is_on = app, refuse, visits, is_on
        self._host, self.cookie = f"127.0.0.1:{port}", f"thanksd-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        scope["state"] = {"form": {}, "session": None}
        app = self._app
        try:
            await self._look(scope, receive)
        except RefusedError as error:
            path = str(scope["path"]) if scope["method"] == "GET" else ""
            app = self._refuse(error, scope["state"]["form"], path)
        await app(scope, receive, _with_headers(send))

    async def _look(self, scope: Scope, receive: Receive) -> None:
        headers = _headers(scope)
        is_change = scope["method"] == "POST"
        self._check_way(headers, scope["method"])
        state = scope["state"]
        if is_change:
            # Read before the session is looked for: what was typed is shown again to whoever's session has ended.
            state["form"] = await _form(headers, receive)
        if is_public(scope):
            return
        session = state["session"] = self._session(headers)
        if session is None:
            raise RefusedError(403, "no_session")
        if is_change and not is_same(state["form"].get("token", ""), session.token):
            raise RefusedError(403, "wrong_token")

    def _check_way(self, headers: Mapping[str, str], method: str) -> None:
        if headers.get("host") != self._host:
            raise RefusedError(403, "wrong_host")
        if not self._is_on():
            raise RefusedError(403, "off")
        if method not in _METHODS:
            raise RefusedError(405, "wrong_method")
        if method == "POST" and headers.get("origin") != f"http://{self._host}":
            raise RefusedError(403, "wrong_origin")

    def _session(self, headers: Mapping[str, str]) -> Session | None:
        pairs = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
        # Another server of this machine may have set more cookies of this name: cookies know no ports.
        found = [
            session for name, _, value in pairs if name == self.cookie and (session := self._visits.session(value))
        ]
        return found[0] if len(found) == 1 else None


def is_public(scope: Scope) -> bool:
    """Say whether this can be seen without a session: what has a secret of its own, and how pages look. No change."""
    path = str(scope["path"])
    return path.startswith(("/enter/", "/static/", "/feed/")) and scope["method"] != "POST"


def _headers(scope: Scope) -> dict[str, str]:
    """Give the headers, names in small letters. Raises RefusedError where one that decides is there twice."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in found and name in ("host", "origin", "content-length", "content-type"):
            raise RefusedError(400, "wrong_request")
        found[name] = value.decode("latin-1") if name not in found else f"{found[name]}; {value.decode('latin-1')}"
    return found


async def _form(headers: Mapping[str, str], receive: Receive) -> dict[str, str]:
    """Read a form: its fields, the last of a name where there are several; several of "override" as one with spaces.

    Raises RefusedError for one that is too big, too slow, or no form.
    """
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise RefusedError(415, "wrong_request")
    try:
        body = await asyncio.wait_for(_body(receive), BODY_SECONDS)
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except TimeoutError as error:
        raise RefusedError(408, "too_slow") from error
    except ValueError as error:
        raise RefusedError(400, "wrong_request") from error
    overrides = " ".join(value for name, value in pairs if name == "override")
    return {**dict(pairs), **({"override": overrides} if overrides else {})}


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "wrong_request")
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES:
            raise RefusedError(413, "too_big")
        if not message.get("more_body"):
            return body


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in given]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sending
