"""The page's lists: what is due and owed, what is on its way, what was promised; and a new meeting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from thanksd import policy, states
from thanksd.errors import ThanksdError
from thanksd.moments import from_iso
from thanksd.page import views
from thanksd.page.visit import Visit

_FIELDS = ("who", "kind", "when", "place", "about", "via", "lang", "seniority")
_LISTS = ("details", "promises")


async def home(visit: Visit) -> Response:
    """List what is due, what is owed, what is on its way, and the last that were thanked; or whom a search finds."""
    search = visit.query.get("q", "").strip()
    found = await visit.call("owed", search=search, newest=20)
    zone, now = found["zone"], from_iso(found["now"])
    shown = [views.thanks(one, visit.words, zone, now) for one in sorted(found["thanks"], key=_pressing)]
    groups = [(key, [one for one in shown if one["state"] in which]) for key, which in _GROUPS]
    paused = from_iso(found["paused_until"]) if found["paused_until"] else None
    return visit.show(
        "home.html",
        groups=groups,
        search=search,
        paused=visit.words.moment(paused, now, zone) if paused else "",
        summary=await visit.call("summary"),
    )


def _pressing(one: dict[str, Any]) -> str:
    """Sort what is due by its best-by, as a review goes through it; all others stay in the order of their nudges."""
    return str(one["due_by"]) if one["state"] == states.DUE else ""


async def following(visit: Visit) -> Response:
    """Go on to whoever is next, as a review does; to the list where nobody is."""
    due = (await visit.call("reviewing", refs=[]))["thanks"]
    return visit.go(f"/thanks/{due[0]['id']}" if due else "/")


_GROUPS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("group_due", (states.DUE,)),
    ("group_confirmed", (states.CONFIRMED,)),
    ("group_owed", (states.OWED, states.SNOOZED)),
    ("group_ended", (states.THANKED, states.WAIVED)),
)


async def outbox(visit: Visit) -> Response:
    """List the letters that are on their way."""
    found = await visit.call("outbox")
    zone, now = found["zone"], from_iso(found["now"])
    letters = [views.letter(one, visit.words, zone, now) | {"thanks": one["thanks"]} for one in found["letters"]]
    return visit.show("outbox.html", letters=letters)


async def promises(visit: Visit) -> Response:
    """List what was promised and is not done."""
    found = await visit.call("promises")
    zone, now = found["zone"], from_iso(found["now"])
    shown = [
        views.promise(one, visit.words, zone, now) | {"name": one["person"], "thanks": one["thanks"]}
        for one in found["promises"]
    ]
    return visit.show("promises.html", promises=shown)


async def promise_done(visit: Visit) -> Response:
    """Note that a promise was kept."""
    await visit.call("promise_done", number=visit.number)
    visit.say(visit.words("promise_kept"))
    return visit.go("/promises")


async def add_form(visit: Visit) -> Response:
    """Ask for a meeting."""
    return _form(visit, {})


def _form(visit: Visit, values: dict[str, str], error: ThanksdError | None = None) -> Response:
    given = {name: values.get(name, "") for name in (*_FIELDS, *_LISTS)}
    said = visit.words.said(error.message) if error else ""
    return visit.show("add.html", 400 if error else 200, values=given, error=error, said=said, kinds=policy.kinds())


async def add(visit: Visit) -> Response:
    """Note a meeting; what can't be understood is said beside what was typed."""
    params: dict[str, Any] = {name: visit.field(name) for name in _FIELDS} | {
        name: visit.lines(name) for name in _LISTS
    }
    try:
        result = await visit.call("add", again=visit.field("again") == "yes", **params)
    except ThanksdError as error:
        return _form(visit, dict(visit.form), error)
    visit.say(visit.words("added", name=result["thanks"][0]["person"]["name"]), *result["notes"])
    return visit.go(f"/thanks/{result['thanks'][0]['id']}")
