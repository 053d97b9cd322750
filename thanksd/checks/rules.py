"""The checks `states`, `nudges` and `copies`: what no rule allows, reminders nobody showed, and how old the copies are.

The rules are SQL that both kinds of ledger know, and each question has a limit in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from thanksd import database, kept
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.checks.reading import Reader, mine, moment_of, reading, stored
from thanksd.moments import say_span

_SHOWN_BY = 5
_SET_RIGHT = "Set it right: thanksd doctor --mend"

# What must not be, and what finds the thanks of which it is true.
_RULES = (
    (
        "confirmed without a letter under way",
        """\
SELECT id FROM thanks WHERE closed_at IS NULL AND state = 'confirmed' AND NOT EXISTS (SELECT 1 FROM letter
WHERE thanks_id = thanks.id AND settled_at IS NULL AND state NOT IN ('sent', 'failed', 'cancelled'))""",
    ),
    (
        "with a letter under way that they know nothing of",
        """\
SELECT thanks.id FROM letter JOIN thanks ON thanks.id = thanks_id WHERE settled_at IS NULL
AND letter.state NOT IN ('sent', 'failed', 'cancelled') AND thanks.state <> 'confirmed'""",
    ),
    (
        "with a letter that is being sent by nobody",
        """\
SELECT thanks_id FROM letter WHERE settled_at IS NULL AND state = 'sending'
AND (owner = '' OR lease_until IS NULL)""",
    ),
    (
        "with a letter that ended at no time, or goes on after its end",
        """\
SELECT thanks_id FROM letter WHERE (settled_at IS NULL) = (state IN ('sent', 'failed', 'cancelled'))""",
    ),
    (
        "closed at no time, or open after their end",
        "SELECT id FROM thanks WHERE (closed_at IS NULL) = (state IN ('thanked', 'waived'))",
    ),
    (
        "in a state that there is not",
        "SELECT id FROM thanks WHERE state NOT IN ('owed', 'snoozed', 'confirmed', 'thanked', 'waived')",
    ),
)


def states(place: Place) -> Iterator[Finding]:
    """Look for what no rule allows: rows without those they belong to, and states that contradict each other."""
    with reading(place) as ledger:
        if ledger is None:
            yield ok("states", "None yet.")
            return
        # A server holds its references itself.
        orphans = [] if place.is_shared else list(_orphans(ledger, database.sqlite_file(place.store)))
        found = [*orphans, *_broken(ledger)]
    yield from found or [ok("states", "As the rules want them.")]


def _orphans(ledger: Reader, file: Path) -> Iterator[Finding]:
    rows = ledger.ask("PRAGMA foreign_key_check")
    if rows:
        words = f"{len(rows)} entries of the ledger belong to none that is there, the first in {rows[0][0]}: {file}"
        yield mend("states", words, database.how_to_put_back(file, "Keep what is there: thanksd backup"))


def _broken(ledger: Reader) -> Iterator[Finding]:
    for words, question in _RULES:
        numbers = sorted({int(row[0]) for row in ledger.ask(question)})
        if numbers:
            listed = ", ".join(map(str, numbers[:_SHOWN_BY])) + (" ..." if len(numbers) > _SHOWN_BY else "")
            yield mend("states", f"{len(numbers)} thanks {words}: {listed}.", _SET_RIGHT)


# A popup that could not be shown is tried again within minutes; so long after, something is wrong.
_UNSHOWN = timedelta(hours=1)
_LATELY = timedelta(days=7)
_UNSEEN = """\
SELECT count(DISTINCT nudge.thanks_id), max(nudge.error) FROM nudge JOIN thanks ON thanks.id = nudge.thanks_id
WHERE thanks.closed_at IS NULL AND nudge.answered_at IS NULL AND nudge.attempted_at BETWEEN ? AND ?
AND NOT EXISTS (SELECT 1 FROM nudge AS later WHERE later.thanks_id = nudge.thanks_id AND later.id >= nudge.id
AND later.shown_at IS NOT NULL)"""


def nudges(place: Place) -> Iterator[Finding]:
    """Look for reminders of the user's that were tried, and of which no channel ever said that it showed them."""
    since, until = (stored(place.now - span) for span in (_LATELY, _UNSHOWN))
    which, whose = mine(place, "thanks.owner")
    with reading(place) as ledger:
        if ledger is None:
            yield ok("nudges", "None yet.")
            return
        ((count, error),) = ledger.ask(f"{_UNSEEN}{which}", since, until, *whose) or [(0, None)]
    if not count:
        yield ok("nudges", "Each one that was tried lately was shown.")
        return
    why = f" Last heard: {error}" if error else ""
    many = "1 reminder was" if count == 1 else f"{count} reminders were"
    yield look_at("nudges", f"{many} tried, and nobody showed them.{why}", "Try one: thanksd doctor --nudge")


# A machine that was off over a long weekend is no reason to worry anybody.
_OLD = timedelta(days=4)


def copies(place: Place) -> Iterator[Finding]:
    """Look how much would be lost with the ledger's file: what was noted since the newest copy."""
    file, wanted = database.sqlite_file(place.store), place.settings().copies
    if not file.exists():
        yield ok("copies", "There is nothing to keep a copy of yet.")
        return
    found = [one for one in kept.copies(file) if one.why != kept.RESTORE]
    since = found[-1].path.stat().st_mtime if found else _began(place)
    missing = timedelta(seconds=max(file.stat().st_mtime - since, 0))
    if max(wanted.days, 0) + max(wanted.weeks, 0) + max(wanted.months, 0) == 0:
        yield ok("copies", f"{_count(found)}. None is made by itself (copies.days).")
    elif missing > _OLD:
        words = f"{_count(found)}: what was noted in the last {say_span(missing)} is in none."
        yield look_at("copies", words, "Keep one now: thanksd backup")
    else:
        yield ok("copies", f"{_count(found)}; the daemon keeps one each day.")


def _count(found: list[kept.Copy]) -> str:
    return {0: "No copy is kept yet", 1: "1 copy is kept"}.get(len(found), f"{len(found)} copies are kept")


def _began(place: Place) -> float:
    """Give when the ledger's first entry was written, in seconds since 1970; now where there is none."""
    with reading(place) as ledger:
        rows = ledger.ask("SELECT min(at) FROM (SELECT at FROM event ORDER BY id LIMIT 100) AS first") if ledger else []
    return moment_of(rows[0][0]).timestamp() if rows and rows[0][0] else place.now.timestamp()
