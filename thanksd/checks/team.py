"""The checks `team` and `sessions` of a shared ledger: who carries whose letters, and who else is connected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from thanksd import __version__, server
from thanksd.addresses import fold
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.checks.reading import Row, moment_of, reading, stored
from thanksd.moments import say_span

# A daemon looks every half minute; what could not leave is put off, and its next moment with it.
_LATE = timedelta(minutes=5)
_WAITING = """\
SELECT writer, count(*), min(send_after) FROM letter WHERE settled_at IS NULL AND state IN ('queued', 'deferred')
AND send_after < ? AND NOT EXISTS (SELECT 1 FROM letter AS refused WHERE refused.writer = letter.writer
AND refused.settled_at IS NULL AND refused.reason IN ('credentials', 'password')) GROUP BY writer ORDER BY writer"""


def team(place: Place) -> Iterator[Finding]:
    """Look for letters whose moment came, and which no daemon takes: whose are they, and who could carry them."""
    owner = place.owner()
    with reading(place) as ledger:
        late = ledger.ask(_WAITING, stored(place.now - _LATE)) if ledger else []
        daemons = ledger.ask(server.DAEMONS_CONNECTED) if ledger else []
    also = {fold(one) for one in place.settings().send.also_for}
    for row in late:
        yield _uncarried(row, place, is_ours=row[0] == owner or bool(also & {row[0], "*"}))
    if not late:
        yield ok("team", f"No letter waits for a daemon. {_machines(daemons)}")


def _uncarried(row: Row, place: Place, *, is_ours: bool) -> Finding:
    writer, count, since = row
    many = "1 letter of" if count == 1 else f"{count} letters of"
    waits = "waits" if count == 1 else "wait"
    words = f"{many} {writer or 'nobody'} {waits} since {say_span(place.now - moment_of(since))}: no daemon takes them."
    if is_ours:
        return mend("team", words, "Start yours: thanksd service install")
    remedy = f"Have them run thanksd service install, or carry theirs too: thanksd config set send.also_for {writer}"
    return look_at("team", words, remedy)


def _machines(daemons: list[Row]) -> str:
    names = sorted({str(name).split()[1] for (name,) in daemons if len(str(name).split()) > 1})
    many = "1 daemon runs" if len(daemons) == 1 else f"{len(daemons) or 'No'} daemons run"
    return f"{many}{', on ' + ', '.join(names) if names else ''}."


# A transaction of ours is ended by the server after ten seconds of idleness; who came otherwise is not.
_IDLE = timedelta(minutes=1)
_IDLING = """\
SELECT application_name, usename, pid FROM pg_stat_activity WHERE datname = current_database()
AND state LIKE 'idle in transaction%%' AND state_change < clock_timestamp() - make_interval(secs => ?) ORDER BY pid"""
_OURS = """\
SELECT DISTINCT split_part(application_name, ' ', 2), split_part(application_name, ' ', 4) FROM pg_stat_activity
WHERE datname = current_database() AND split_part(application_name, ' ', 1) = 'thanksd'"""


def sessions(place: Place) -> Iterator[Finding]:
    """Look for what may be in others' way: transactions that do nothing, and other versions of thanksd."""
    with reading(place) as ledger:
        idle = ledger.ask(_IDLING, _IDLE.total_seconds()) if ledger else []
        ours = ledger.ask(_OURS) if ledger else []
    for name, role, pid in idle:
        words = f"{name or 'A program'} of {role} has a transaction open and does nothing: others may wait for it."
        yield look_at("sessions", words, f"End it there; or: SELECT pg_terminate_backend({pid})")
    others = sorted({(host, version) for host, version in ours if version != __version__})
    for host, version in others:
        words = f"{host} has thanksd {version or 'of another version'}, this is {__version__}."
        yield look_at("sessions", words, "Bring all machines to one version: make install")
    if not idle and not others:
        yield ok("sessions", "Nobody is in the others' way, and all are of this version.")
