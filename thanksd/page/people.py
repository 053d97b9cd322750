"""People on the page: everybody, and one person with what is known, promised, cared about and was written."""

from __future__ import annotations

from starlette.responses import Response

from thanksd.addresses import fold
from thanksd.moments import from_iso
from thanksd.page import views
from thanksd.page.visit import Visit

_FIELDS = ("name", "email", "lang", "tz", "seniority")


async def everybody(visit: Visit) -> Response:
    """List everybody, or those whose name or address holds what was searched for."""
    search = visit.query.get("q", "").strip()
    found = (await visit.call("people"))["people"]
    key = fold(search)
    shown = [one for one in found if key in fold(f"{one['name']} {one['email'] or ''}")]
    return visit.show("people.html", people=shown, search=search)


async def person(visit: Visit) -> Response:
    """Show one person."""
    found = await visit.call("person", who=str(visit.number))
    clock = await visit.call("outbox")
    zone, now = clock["zone"], from_iso(clock["now"])
    one = found["people"][0]
    replied = visit.words.day(from_iso(one["replied_at"]), now, zone) if one["replied_at"] else ""
    return visit.show(
        "person.html",
        person=one,
        replied=replied,
        thanks=[views.thanks(each, visit.words, zone, now) for each in reversed(found["thanks"])],
    )


async def edit(visit: Visit) -> Response:
    """Change what is known of somebody, as far as it was given and is another."""
    known = (await visit.call("person", who=str(visit.number)))["people"][0]
    given = {name: visit.field(name) for name in _FIELDS}
    return await _change(visit, {name: value for name, value in given.items() if value not in ("", known[name])})


async def add_interest(visit: Visit) -> Response:
    """Note what they care about, and from where that is known."""
    return await _change(visit, {"cares_about": [visit.field("text")], "source": visit.field("source")})


async def no_longer(visit: Visit) -> Response:
    """Remove what they care about no more."""
    return await _change(visit, {"no_longer": [visit.field("text")]})


async def replied(visit: Visit) -> Response:
    """Note that they wrote back, or called."""
    return await _change(visit, {"replied": True})


async def _change(visit: Visit, params: dict[str, object]) -> Response:
    result = await visit.call("edit_person", who=str(visit.number), **params)
    visit.say(visit.words("saved"), *result["notes"])
    return visit.go(f"/people/{visit.number}")
