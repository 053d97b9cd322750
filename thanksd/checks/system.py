"""The checks `clock` and `environment`: is the time right, is the zone known, can this terminal show names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from thanksd.checks import Finding, NotLookedAtError, Place, look_at, mend, ok
from thanksd.checks.reading import moment_of, reading
from thanksd.errors import ConfigError
from thanksd.moments import say_full, say_span
from thanksd.world import user_zone

# No machine whose clock is right ran this program before it was written.
_WRITTEN = 2026
_STEP = timedelta(minutes=1)
_TIMEDATED_SECONDS = 3.0
_BY_NETWORK = "Set the clock by the network: sudo timedatectl set-ntp true"


def clock(place: Place) -> Iterator[Finding]:
    """Look whether the time can be true, whether the network keeps it so, and in which zone it is read."""
    zone, found = "UTC", []
    settings = place.settings()
    try:
        zone = user_zone(settings.me.timezone, place.environ.get("TZ", ""))
    except ConfigError as error:
        found.append(mend("clock", error.message, error.hint))
    found += [*_odd(place, zone), *_adrift(place.environ), *_unknown_zone(place.environ, settings.me.timezone, zone)]
    found += _other_clock(place) if place.is_shared else []
    yield from found or [ok("clock", f"{say_full(place.now, zone)}.")]


def _odd(place: Place, zone: str) -> Iterator[Finding]:
    said = say_full(place.now, zone)
    newest = _newest(place)
    if place.now.year < _WRITTEN:
        yield mend("clock", f"The clock is years behind: {said}.", _BY_NETWORK)
    elif newest is not None and newest > place.now + _STEP:
        words = f"The clock says {said}, and the ledger's last entry is later: {say_full(newest, zone)}."
        yield look_at("clock", words, _BY_NETWORK)


_NEWEST = "SELECT max(at) FROM (SELECT at FROM event ORDER BY id DESC LIMIT 100) AS newest"


def _newest(place: Place) -> datetime | None:
    """Give the moment of the newest entry in the journal; None where there is none that can be read."""
    try:
        with reading(place) as ledger:
            rows = ledger.ask(_NEWEST) if ledger else []
    except NotLookedAtError:
        return None
    return moment_of(rows[0][0]) if rows and rows[0][0] else None


def _other_clock(place: Place) -> Iterator[Finding]:
    """Say so where the server's clock is not ours: daemons on machines whose clocks agree take over from each other."""
    try:
        with reading(place) as ledger:
            rows = ledger.ask("SELECT clock_timestamp() AT TIME ZONE 'UTC'") if ledger else []
    except NotLookedAtError:
        return
    off = moment_of(rows[0][0]) - place.now if rows else timedelta()
    if abs(off) > _STEP:
        which = "ahead of" if off > timedelta() else "behind"
        words = f"The server's clock is {say_span(abs(off))} {which} this machine's."
        yield look_at("clock", words, f"{_BY_NETWORK} (there too)")


def _adrift(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say so where systemd could have the network set the clock, and it does not."""
    program = shutil.which("timedatectl", path=environ.get("PATH"))
    if program is None:
        return
    try:
        done = subprocess.run(
            [program, "show", "--property=CanNTP,NTPSynchronized"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEDATED_SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return  # no systemd that answers: nobody here knows
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if said.get("CanNTP") == "yes" and said.get("NTPSynchronized") == "no":
        yield look_at("clock", "The network does not keep the clock right.", _BY_NETWORK)


def _unknown_zone(environ: Mapping[str, str], setting: str, zone: str) -> Iterator[Finding]:
    wanted = environ.get("TZ", "").removeprefix(":")
    if wanted and not setting and wanted != zone and not wanted.startswith("/"):
        words = f"TZ is {wanted!r}, which names no zone; times are read in {zone}."
        yield look_at("clock", words, f"Say which: thanksd config set me.timezone {zone}")


def environment(place: Place) -> Iterator[Finding]:
    """Look whether this terminal can show names as they are written."""
    environ = place.environ
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    if not re.search(r"utf-?8", locale, re.IGNORECASE):
        words = f"The locale {locale or '(none is set)'} is not UTF-8: names such as José may look wrong here."
        yield look_at("environment", words, "Choose one, for example: export LC_ALL=C.UTF-8")
    if shutil.which("thanksd", path=environ.get("PATH")) is None:
        words = "The shell does not find thanksd by its name."
        yield look_at("environment", words, 'Add its folder: export PATH="$HOME/.local/bin:$PATH"')
    elif re.search(r"utf-?8", locale, re.IGNORECASE):
        term = environ.get("TERM", "")
        plain = ", a plain terminal: screens come one below the other" if term in ("", "dumb") else f", terminal {term}"
        yield ok("environment", f"Locale {locale}{plain}.")
