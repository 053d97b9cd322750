"""One request that was let in: who asks, in which language, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from thanksd.errors import ThanksdError
from thanksd.moments import from_iso
from thanksd.page.visits import Session
from thanksd.page.words import Words

_FOLDER = Path(__file__).parent / "html"
_MOST_NOTICES = 5

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass
class Visit:
    """One request: `form` is what was sent, `query` what stands behind the ?, `number` the one in the path.

    `me` is the user's address, folded.
    """

    call_verb: Call
    words_now: Callable[[], Words]
    session: Session
    form: Mapping[str, str]
    query: Mapping[str, str]
    number: int
    me: str

    @property
    def words(self) -> Words:
        """The page's words; a verb reads the settings again, and its answer is shown in the language that they name."""
        return self.words_now()

    def is_mine(self, one: Mapping[str, Any]) -> bool:
        """Say whether a thanks is the user's to answer; in a ledger of one's own all are."""
        return one.get("owner", "") in ("", self.me)

    async def call(self, verb: str, **params: object) -> dict[str, Any]:
        """Run a verb. Raises the ThanksdError it has for people."""
        return await self.call_verb(verb, params)

    async def one(self) -> tuple[dict[str, Any], str, datetime]:
        """Give the thanks of the path, the user's zone and the moment. Raises NotFoundError for one that is not."""
        found = await self.call("show", ref=str(self.number))
        return found["thanks"][0], found["zone"], from_iso(found["now"])

    def field(self, name: str) -> str:
        """Give a field of the form without the spaces around it, "" where it is not there."""
        return self.form.get(name, "").strip()

    def lines(self, name: str) -> list[str]:
        """Give a field's lines that say something."""
        return [line.strip() for line in self.form.get(name, "").splitlines() if line.strip()]

    def say(self, *notices: str) -> None:
        """Keep something to be said on the next page."""
        said = (self.words.said(one) or one for one in notices if one)
        self.session.notices = [*self.session.notices, *said][-_MOST_NOTICES:]

    def say_error(self, error: ThanksdError) -> None:
        """Keep what went wrong, and what mends it, to be said on the next page."""
        # A hint is a command, in English.
        self.say(self.words.said(error.message) or f"{error.message} {error.hint}".strip())

    def show(self, template: str, /, status: int = 200, **values: Any) -> Response:  # noqa: ANN401  a template's values
        """Answer with a page."""
        notices, self.session.notices = self.session.notices, []
        return page(template, self.words, status, token=self.session.token, notices=notices, **values)

    @staticmethod
    def go(path: str) -> Response:
        """Answer a change: the browser asks for that page then, and a reload of it sends nothing again."""
        return RedirectResponse(path, status_code=303)


def page(template: str, words: Words, status: int = 200, **values: object) -> Response:
    """Give a page as HTML; all values are escaped."""
    made = _environment().get_template(template).render(w=words, **values)
    return HTMLResponse(made, status_code=status)


@cache
def _environment() -> Environment:
    """Give the environment of our own templates; a letter's are others, and are rendered elsewhere."""
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
