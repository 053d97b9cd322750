"""The journal: what happened, appended in the same transaction as the change itself. Only `log` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from thanksd.models import Event, Thanks
from thanksd.rows import add_row


def record(connection: Connection, at: datetime, thanks: int | None, what: str, **data: object) -> None:
    """Append one event. `what` is a word of the table in DESIGN's sense: added, nudged, confirmed, sent ..."""
    add_row(connection, Event, at=at, thanks_id=thanks, what=what, data=data)


def read(connection: Connection, thanks: int | None, limit: int, owner: str = "") -> list[Mapping[str, Any]]:
    """Give the newest `limit` events, oldest first: of one thanks, or (None) of all that `owner` owes; empty is all."""
    query = select(Event.at, Event.thanks_id, Event.what, Event.data).order_by(Event.id.desc()).limit(limit)
    if thanks is not None:
        query = query.where(Event.thanks_id == thanks)
    elif owner:
        query = query.where(Event.thanks_id.in_(select(Thanks.id).where(Thanks.owner == owner)))
    return list(reversed([dict(row) for row in connection.execute(query).mappings()]))
