"""What can be asked of the page, and by whom it is answered: one table."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from thanksd.config import Config
from thanksd.errors import NotFoundError, ThanksdError
from thanksd.page import habit, lists, people, reviewing, secret
from thanksd.page.gate import RefusedError
from thanksd.page.visit import Call, Visit, page
from thanksd.page.visits import Session, Visits, is_same
from thanksd.page.words import Words

_STATIC = Path(__file__).parent / "static"
# The only files there are: nothing that a browser asks for names a file.
_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_LONGEST_NUMBER = 12

Handler = Callable[[Visit], Awaitable[Response]]

log = logging.getLogger("thanksd")

# Path -> who answers a GET, and who a POST.
_TABLE: dict[str, tuple[Handler | None, Handler | None]] = {
    "/": (lists.home, None),
    "/add": (lists.add_form, lists.add),
    "/outbox": (lists.outbox, None),
    "/promises": (lists.promises, None),
    "/promises/{number}/done": (None, lists.promise_done),
    "/promises/{number}/undo": (None, lists.promise_undo),
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

    def refused(self, error: RefusedError, form: Mapping[str, str]) -> Response:
        """Answer who was not let in; what they typed is given back to them, as nothing was stored."""
        return page("refused.html", self._words(), error.status, why=error.why, typed=_typed(form))

    def _words(self) -> Words:
        return Words(self._config().me.language)

    def _answering(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                return await handler(visit)
            except ThanksdError as error:
                # What was typed and could not be stored is given back.
                status = 404 if isinstance(error, NotFoundError) else 400
                return visit.show("sorry.html", status, error=error, typed=_typed(visit.form))

        return answer

    def _visit(self, request: Request) -> Visit:
        session: Session = request.state.session
        return Visit(
            call_verb=self._call,
            words=self._words(),
            session=session,
            form=request.state.form,
            query=request.query_params,
            number=_number(request.path_params.get("number", "0")),
        )

    async def _enter(self, request: Request) -> Response:
        """Come in by a link: a session, and on to its page. A HEAD, as previews send it, does not use the link up."""
        if request.method != "GET":
            return Response(status_code=204)
        entered = self._visits.enter(str(request.path_params["secret"]))
        if entered is None:
            return page("refused.html", self._words(), 403, why="old_link", typed={})
        session, target = entered
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(self.cookie, session.key, httponly=True, samesite="strict", path="/")
        return answer

    async def _feed(self, request: Request) -> Response:
        """Give the calendar to whoever has its secret: a calendar program has no session."""
        right = secret.read(self._state)
        if not right or not is_same(str(request.path_params["secret"]), right):
            return page("refused.html", self._words(), 403, why="no_page", typed={})
        return await habit.feed(self._call)

    async def _no_route(self, request: Request, error: HTTPException) -> Response:
        del request
        return page("refused.html", self._words(), error.status_code, why="no_page", typed={})

    async def _failed(self, request: Request, error: Exception) -> Response:
        log.error("the page %s failed", request.url.path, exc_info=error)
        form = getattr(request.state, "form", {})
        return self.refused(RefusedError(500, "failed"), form)


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form[name] for name in ("subject", "body") if form.get(name)}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise HTTPException(404)
    return int(text)


async def _static(request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(_STATIC / name, media_type=_FILES[name])
