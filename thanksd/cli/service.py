"""The commands about the daemon as a systemd user service: install, uninstall, status."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import click

from thanksd.cli.output import say, state_of, wants_json
from thanksd.cli.root import Group
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
