"""When a thanks pops up again that its owner has in hand just now: taken back, dropped, or come back."""

from __future__ import annotations

from datetime import datetime

from thanksd import timing
from thanksd.verbs.context import Context


def next_popup(context: Context, now: datetime, nudge_at: datetime) -> datetime:
    """Give the next popup (UTC) of a thanks that its owner has in hand just now: not in the same minute."""
    quiet = timing.parse_quiet(context.config.nudge.quiet_hours)
    only = context.config.nudge.weekdays_only
    return timing.first_popup(nudge_at, now, context.zone, quiet, weekdays_only=only, outright=False)


def out_of_quiet(context: Context, moment: datetime) -> datetime:
    """Give a moment, or where it lies in quiet hours or on a weekend that is to be quiet, the next one that is not."""
    nudge = context.config.nudge
    quiet = timing.parse_quiet(nudge.quiet_hours)
    return timing.after_quiet(moment, context.zone, quiet, weekdays_only=nudge.weekdays_only)
