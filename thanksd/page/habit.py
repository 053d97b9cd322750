"""The habit page: how it went, week by week, drawn and in exact numbers; and the calendar of what is owed."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from thanksd import calendar_file, charts
from thanksd.page.visit import Call, Visit
from thanksd.page.words import Words

_WEEKS = (13, 26, 52)


async def habit(visit: Visit) -> Response:
    """Show what `thanksd stats` prints."""
    asked = visit.query.get("weeks", "")
    weeks = int(asked) if asked in map(str, _WEEKS) else _WEEKS[1]
    stats = await visit.call("stats", weeks=weeks)
    return visit.show("habit.html", stats=stats, spans=_WEEKS, weeks=weeks, **_drawn(stats, visit.words))


def _drawn(stats: dict[str, Any], words: Words) -> dict[str, Any]:
    """Draw the numbers. The charts escape every text themselves."""
    said = charts.Words(words("chart_weeks"), words("owed"), words("given"), words("late"), words.short_day)
    within = [{**row, "name": words(f"within_{place}")} for place, row in enumerate(stats["hours"]["within"])]
    return {
        "by_week": Markup(charts.weeks(stats["weeks"], said)),  # noqa: S704  see above
        "delays": Markup(charts.delays(within, words("chart_delays"))),  # noqa: S704  as above
    }


async def feed(call: Call) -> Response:
    """Give what is owed to a calendar program."""
    found = await call("feed", {})
    return Response(calendar_file.calendar(found["events"], found["zone"]), media_type=calendar_file.MEDIA_TYPE)
