"""What can be asked of the page, and by whom it is answered: one table."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from thanksd.addresses import fold
from thanksd.config import Config
from thanksd.errors import NotFoundError, ThanksdError, TryLaterError, UnavailableError
from thanksd.page import habit, lists, people, reviewing, secret
from thanksd.page.gate import RefusedError
from thanksd.page.visit import Call, Visit, page
from thanksd.page.visits import Session, Visits, is_same
from thanksd.page.words import Words

_STATIC = Path(__file__).parent / "static"
# The only files there are: nothing that a browser asks for names a file.
_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_LONGEST_NUMBER = 12
# Fields that nobody typed.
_HIDDEN = frozenset(
    {
        "token",
        "base",
        "delay",
        "how",
        "lang",
        "to",
        "from",
        "by",
        "transport",
        "hold",
        "shown_name",
        "seen",
        "override",
        "again",
    }
)
# Who is let in and asks for what is not there is no stranger.
_NO_STRANGERS = frozenset({"no_page", "wrong_method", "failed"})

Handler = Callable[[Visit], Awaitable[Response]]

log = logging.getLogger("thanksd")

# Path -> who answers a GET, and who a POST.
_TABLE: dict[str, tuple[Handler | None, Handler | None]] = {
    "/": (lists.home, None),
    "/next": (lists.following, None),
    "/add": (lists.add_form, lists.add),
    "/outbox": (lists.outbox, None),
    "/promises": (lists.promises, None),
    "/promises/{number}/done": (None, lists.promise_done),
    "/stats": (habit.habit, None),
    "/people": (people.everybody, None),
    "/people/{number}": (people.person, people.edit),
    "/people/{number}/interest": (None, people.add_interest),
    "/people/{number}/no-longer": (None, people.no_longer),
    "/people/{number}/replied": (None, people.replied),
    "/thanks/{number}": (reviewing.review, None),
    "/thanks/{number}/check": (None, reviewing.check),
    "/thanks/{number}/draft": (None, reviewing.save),
    "/thanks/{number}/send": (None, reviewing.send),
    "/thanks/{number}/another": (None, reviewing.another),
    "/thanks/{number}/facts": (None, reviewing.facts),
    "/thanks/{number}/later": (None, reviewing.later),
    "/thanks/{number}/waive": (None, reviewing.waive),
    "/thanks/{number}/done": (None, reviewing.done),
    "/thanks/{number}/undo": (None, reviewing.undo),
    "/thanks/{number}/now": (None, reviewing.leave_now),
    "/thanks/{number}/resolve": (None, reviewing.resolve),
    "/thanks/{number}/letter": (reviewing.letter, None),
}


class Routes:
    """The routes of one daemon's page. `cookie` is the session's name, `state` the folder of the feed's secret."""

    def __init__(self, call: Call, config: Callable[[], Config], visits: Visits, port: int, state: Path) -> None:
        self._call, self._config, self._visits, self._state = call, config, visits, state
        self.cookie = f"thanksd-{port}"
        self._origin = f"http://127.0.0.1:{port}"

    def table(self) -> list[BaseRoute]:
        """Give the routes for Starlette."""
        pages = [
            Route(path, self._answering(handler), methods=[method])
            for path, both in _TABLE.items()
            for method, handler in zip(("GET", "POST"), both, strict=True)
            if handler is not None
        ]
        return [
            *pages,
            Route("/enter/{secret}", self._enter),
            Route("/feed/{secret}.ics", self._feed),
            Route("/static/{name}", _static),
        ]

    def handlers(self) -> Mapping[Any, Any]:
        """Give who answers what no route does."""
        return {HTTPException: self._no_route, Exception: self._failed}

    def refused(self, error: RefusedError, form: Mapping[str, str], path: str = "") -> Response:
        """Answer who was not let in; what they typed is given back to them.

        With `path` it may be looked at once more: a link in another page brings no cookie (SameSite), one here does.
        """
        return page(
            "refused.html",
            self._words(),
            error.status,
            why=error.why,
            typed=_typed(form),
            again=f"{self._origin}{path}" if path and error.why == "no_session" else "",
            is_stranger=error.why not in _NO_STRANGERS,
        )

    def _words(self) -> Words:
        return Words(self._config().me.language)

    def _answering(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                return await handler(visit)
            except ThanksdError as error:
                # What was typed and could not be stored is given back.
                return visit.show("sorry.html", _status(error), error=error, typed=_typed(visit.form))

        return answer

    def _visit(self, request: Request) -> Visit:
        session: Session = request.state.session
        return Visit(
            call_verb=self._call,
            words_now=self._words,
            session=session,
            form=request.state.form,
            query=request.query_params,
            number=_number(request.path_params.get("number", "0")),
            me=fold(self._config().me.email),
        )

    async def _enter(self, request: Request) -> Response:
        """Come in by a link: a session, and on to its page. A HEAD, as previews send it, does not use the link up."""
        if request.method != "GET":
            return Response(status_code=204)
        entered = self._visits.enter(str(request.path_params["secret"]))
        if entered is None:
            return self.refused(RefusedError(403, "old_link"), {})
        session, target = entered
        # A page that leads on: a redirect would be of whoever had the link, and SameSite keep the cookie back.
        answer = page("enter.html", self._words(), target=target)
        answer.set_cookie(self.cookie, session.key, httponly=True, samesite="strict", path="/")
        return answer

    async def _feed(self, request: Request) -> Response:
        """Give the calendar to whoever has its secret: a calendar program has no session."""
        right = secret.read(self._state)
        if not right or not is_same(str(request.path_params["secret"]), right):
            return self.refused(RefusedError(403, "no_page"), {})
        return await habit.feed(self._call)

    async def _no_route(self, request: Request, error: HTTPException) -> Response:
        del request
        why = "wrong_method" if error.status_code == 405 else "no_page"  # noqa: PLR2004  HTTP's own number
        return self.refused(RefusedError(error.status_code, why), {})

    async def _failed(self, request: Request, error: Exception) -> Response:
        log.error("the page %s failed", request.url.path, exc_info=error)
        form = getattr(request.state, "form", {})
        return self.refused(RefusedError(500, "failed"), form)


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in form.items() if value.strip() and name not in _HIDDEN}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise HTTPException(404)
    return int(text)


def _status(error: ThanksdError) -> int:
    """Give HTTP's number for an error of a verb: not there, not now, or not so (RFC 9110, section 15)."""
    if isinstance(error, NotFoundError):
        return 404
    return 503 if isinstance(error, (TryLaterError, UnavailableError)) else 400


async def _static(request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(_STATIC / name, media_type=_FILES[name])
