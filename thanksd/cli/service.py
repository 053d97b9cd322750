"""The commands about the daemon as a systemd user service: install, uninstall, status.

Three more are for programs and listed nowhere: `alarm` is run by systemd, `furnish` and `renew` by `make install`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from thanksd.cli.output import note, say, state_of, wants_json
from thanksd.cli.root import Group
from thanksd.errors import ThanksdError
from thanksd.moments import from_iso, say_span


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def service(context: click.Context) -> None:
    """Have the daemon started with your session; or see how it is."""
    if context.invoked_subcommand is None:
        _status(context)


@service.command()
@click.pass_context
def install(context: click.Context) -> None:
    """Write the systemd user unit, start the daemon, and have it started at each login."""
    from thanksd import service as unit  # noqa: PLC0415  no other command needs it

    words = unit.install(_environ(context), unit.program())
    if not wants_json(context, service=_facts(context)):
        say(words)


@service.command()
@click.pass_context
def uninstall(context: click.Context) -> None:
    """Stop the daemon and remove the unit. Your ledger stays."""
    from thanksd import service as unit  # noqa: PLC0415  as above

    words = unit.uninstall(_environ(context))
    if not wants_json(context, service=_facts(context)):
        say(words)


@service.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Tell whether the daemon runs, and how its unit stands."""
    _status(context)


@service.command(hidden=True)
@click.pass_context
def alarm(context: click.Context) -> None:
    """Say on the desktop that no daemon runs, until that popup is closed."""
    import asyncio  # noqa: PLC0415  no other command here needs it

    from thanksd.alarm import ring  # noqa: PLC0415  as above

    if _wants_popups(state_of(context).config_file):
        asyncio.run(ring(os.environ))


def _wants_popups(config_file: str) -> bool:
    from thanksd import config  # noqa: PLC0415  as above

    try:
        return "desktop" in config.load(Path(config_file)).nudge.channels
    except ThanksdError:
        # Settings with a mistake may be why the daemon is down.
        return True


@service.command(hidden=True)
@click.pass_context
def furnish(context: click.Context) -> None:
    """Write menu entry, icon, completion and man page to where desktop, shells and man look for them."""
    from thanksd.cli import topics  # noqa: PLC0415  it loads every command
    from thanksd.service import furniture, program  # noqa: PLC0415  as above

    environ = _environ(context)
    files = furniture.desktop_files(environ, program())
    for word, place in furniture.shell_places(environ).items():
        text = topics.man_page(context) if word == "man" else topics.completion(word)
        files[place] = f"{text}{_COMMENT[word]} {furniture.MARK}\n"
    for path in furniture.put(files):
        note(f"Left alone, as thanksd did not write it: {path}")


# How a line that is not meant for the reading program begins (man(7); the three shells agree).
_COMMENT = {"man": '.\\"', "bash": "#", "zsh": "#", "fish": "#"}


@service.command(hidden=True)
@click.pass_context
def renew(context: click.Context) -> None:
    """Bring the unit up to date after an upgrade, and restart a daemon that runs."""
    from thanksd import service as unit  # noqa: PLC0415  as above

    words = unit.renew(_environ(context), unit.program())
    if words:
        say(words)


def _status(context: click.Context) -> None:
    facts = _facts(context)
    if wants_json(context, service=facts):
        return
    if facts["running"]:
        say(f"Running: thanksd {facts['version']}, process {facts['pid']}.{_last_pass(facts['last_pass_at'])}")
    else:
        say("Not running: nobody will remind you. Start it: thanksd service install")
    at_login = "started at each login" if facts["enabled"] else "not started at login"
    say(f"Unit {facts['unit']}: {at_login}, {facts['active']}." if facts["installed"] else "No unit is installed.")
    for words in _complaints(facts):
        say(words)


def _complaints(facts: dict[str, Any]) -> list[str]:
    """Say what is wrong with a unit that is written."""
    start = facts["exec_start"]
    if not facts["installed"] or start is None:
        return []
    if not facts["program_exists"]:
        return [f"It starts a program that is gone: {start}. Mend it: thanksd service install"]
    if facts["program_version"] is None:
        return [f"It starts a program that does not work: {start}. Mend it: thanksd service install"]
    if not facts["unit_current"] or facts["version"] not in {None, facts["program_version"]}:
        return ["It is of another version than the program. Bring both together: thanksd service install"]
    return []


def _facts(context: click.Context) -> dict[str, Any]:
    """Give what systemd says of the unit, and what the daemon of this store says of itself."""
    from thanksd import service as unit  # noqa: PLC0415  as above

    found = unit.status(_environ(context))
    answer = state_of(context).client.ask_status()
    said = answer or {"running": False, "version": None, "last_pass_at": None, "pid": None}
    # The daemon may run without the unit (thanksd run), and the unit's may keep another store.
    return {**found, **{key: said[key] for key in ("running", "version", "last_pass_at", "pid")}}


def _last_pass(at: str | None) -> str:
    return f" It looked at the ledger {say_span(datetime.now(UTC) - from_iso(at))} ago." if at else ""


def _environ(context: click.Context) -> dict[str, str]:
    """Give the environment with --config and --store in it, as the daemon has to share them."""
    state = state_of(context)
    given = {"THANKSD_CONFIG": state.config, "THANKSD_STORE": state.store}
    return {**os.environ, **{name: value for name, value in given.items() if value}}
