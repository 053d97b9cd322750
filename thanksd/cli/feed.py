"""The command feed: what is owed, as a calendar."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from thanksd.cli.output import note, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import PermissionDeniedError, UnavailableError, UsageError


@click.command(cls=Command)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default=None, help="Into this file, over an old one.")
@click.option("--url", is_flag=True, help="Give the address where the daemon serves it, for calendars on this machine.")
@click.pass_context
def feed(context: click.Context, output: str | None, url: bool) -> None:
    """Write what is owed as a calendar (iCalendar), for any calendar program; see: thanksd help calendar.

    Each thanks that waits stands at its reminder, each promise at its day. The file is for you alone.
    """
    if url:
        _say_url(context)
        return
    found = state_of(context).client.call("feed")
    path = _place(output) if output else None
    if path is None and wants_json(context, feed={"path": None, "events": found["events"]}):
        return
    from thanksd import calendar_file  # noqa: PLC0415  not needed for JSON

    data = calendar_file.calendar(found["events"], found["zone"])
    if path is None:
        click.echo(data, nl=False)
        return
    _write(path, data)
    if not wants_json(context, feed={"path": str(path), "events": found["events"]}):
        count = len(found["events"])
        say(f"Written: {path} ({count} {'entry' if count == 1 else 'entries'})")
        note("It is as it stands now. Again each hour: thanksd help calendar")


def _say_url(context: click.Context) -> None:
    address = state_of(context).client.ask_page(feed=True)
    if address is None:
        raise UnavailableError("Nothing serves it: the daemon is not running.", "Start it: thanksd service install")
    if not wants_json(context, url=address):
        say(address)
        note("Whoever of your own programs knows it can read what is owed. It can be asked for on this machine only.")


def _place(output: str) -> Path:
    """Give the file that is meant, behind a link too. Raises UsageError for a device, which is not to be replaced."""
    path = Path(output).expanduser().resolve()
    if path.exists() and not path.is_file():
        raise UsageError(f"This is no file: {path}. Nothing was written.", "Without --output it goes to stdout.")
    return path


def _write(path: Path, data: bytes) -> None:
    """Write a private file (0600), whole or not at all, over an older one. Raises PermissionDeniedError."""
    part = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:50]}.", delete=False) as file:
            part = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        words = f"The calendar can't be written: {path}: {error.strerror}. Nothing was changed."
        raise PermissionDeniedError(words, "Name another place.") from error
