"""The command move-store: a ledger goes from a file to a server that a team shares, or back."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from thanksd.addresses import check_address, fold
from thanksd.cli.output import columns, is_terminal, note, say, state_of, wants_json
from thanksd.cli.root import Command

# Of a digest as much as people compare.
_DIGITS = 12


@click.command("move-store", cls=Command)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--owner", metavar="ADDRESS", help="Whose thanks they are in a shared ledger, if not yours (me.email).")
@click.pass_context
def move_store(context: click.Context, source: str, target: str, owner: str | None) -> None:
    """Move the ledger FROM a file TO a server that a team shares, or back; each a path or a URL without a password.

    All of it goes along, and is read back. The old one is kept, and sends nothing any more. Cut short, it is finished
    by the same command.
    """
    from thanksd import paths  # noqa: PLC0415  SQLAlchemy
    from thanksd.verbs.relocating import move_store as move  # noqa: PLC0415  as above

    whose = fold(check_address(owner) if owner else _own_address(state_of(context).config_file))
    found = move(paths.store_url(source), paths.store_url(target), datetime.now(UTC), whose)
    if not wants_json(context, moved={key: found[key] for key in ("from", "to", "already")}, tables=found["tables"]):
        _tell(found)


def _own_address(config_file: str) -> str:
    from thanksd import config  # noqa: PLC0415  as above

    return config.load(Path(config_file)).me.email


def _tell(found: dict[str, Any]) -> None:
    head = [["table", "rows", "digest"]] if is_terminal() else []
    columns(head + [[one["name"], str(one["rows"]), one["digest"][:_DIGITS]] for one in found["tables"]])
    if found["already"]:
        since = f" Changed there since: {', '.join(found['changed_since'])}." if found["changed_since"] else ""
        say(f"Moved already, and in use: {found['to']}.{since} Nothing was changed.")
    else:
        say(f"Moved, read back, and the same: {found['to']}")
    if found["others"]:
        note(f"Letters of others that wait, and leave from here now: {found['others']}. See them: thanksd outbox")
    _say_what_follows(found["from"], found["to"])


def _say_what_follows(source: str, target: str) -> None:
    from thanksd import paths  # noqa: PLC0415  as above

    if target == str(paths.store_file()):
        note("Use it from now on: unset THANKSD_STORE")
    else:
        note(f"Use it from now on: export THANKSD_STORE={shlex.quote(target)}")
    note(f"Let the daemon use it: thanksd service install --store {shlex.quote(target)}")
    note(f"The old ledger is kept, takes no changes, and may be removed: {source}")
