"""The commands about the ledger as a whole: backup, restore, export, import, adopt.

They work on the file itself and never ask a daemon, which could only hand on what is too big for its socket.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thanksd.cli.output import can_ask, columns, is_terminal, note, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import DataError, NotFoundError, PermissionDeniedError, UsageError
from thanksd.moments import to_iso

if TYPE_CHECKING:
    from thanksd import kept
    from thanksd.world import World

_LARGEST = 256 << 20


def _refuse_server(context: click.Context, what: str, instead: str) -> None:
    """Raise UsageError where a server keeps the ledger: it is no file that could be copied or replaced."""
    from thanksd import paths  # noqa: PLC0415  as above

    if paths.is_server(state_of(context).store_url):
        raise UsageError(f"This ledger is on a server, whose keeper {what}. Nothing was done.", instead)


@click.command(cls=Command)
@click.argument("file", required=False, default="")
@click.option("--list", "lists", is_flag=True, help="Only list the copies there are, the newest last.")
@click.pass_context
def backup(context: click.Context, file: str, lists: bool) -> None:
    """Keep a copy of the ledger: in FILE, or by its day in the folder `backups` beside the ledger.

    The daemon keeps one each day by itself; see: thanksd help machines.
    """
    _refuse_server(context, "keeps its copies", "There: pg_dump. All of it into a file, to go on there: move-store")
    if lists:
        _list_copies(context)
        return
    from thanksd.verbs.keeping import backup as keep  # noqa: PLC0415  SQLAlchemy

    found = keep(state_of(context).store_url, _place_of_backup(file))
    if not wants_json(context, backup=found):
        say(f"Kept, and looked through: {found['path']} ({found['thanks']} thanks)")
        note(f"Put it back: thanksd restore {found['path']}")


def _list_copies(context: click.Context) -> None:
    """List the copies of this ledger: until when each holds what was noted, its size, why it was made, its file."""
    found = [(one, one.path.stat()) for one in _copies(context)]
    until = [to_iso(datetime.fromtimestamp(info.st_mtime, UTC)) for _, info in found]
    facts = [
        {"path": str(one.path), "until": moment, "bytes": info.st_size, "why": one.why}
        for (one, info), moment in zip(found, until, strict=True)
    ]
    if wants_json(context, copies=facts):
        return
    columns(
        [
            [f"{moment[:10]} {moment[11:16]} UTC", f"{info.st_size >> 10} KiB", one.why, str(one.path)]
            for (one, info), moment in zip(found, until, strict=True)
        ]
    )
    if not found and is_terminal():
        say("None yet. Keep one: thanksd backup")


def _copies(context: click.Context) -> list[kept.Copy]:
    from thanksd import kept  # noqa: PLC0415  as above
    from thanksd.database import sqlite_file  # noqa: PLC0415  as above

    return kept.copies(sqlite_file(state_of(context).store_url))


def _newest_copy(context: click.Context) -> UsageError:
    """Give the error that names the newest copy, where none was named: which one is put back is not to be guessed."""
    found = _copies(context)
    if not found:
        return UsageError("Which copy? None is kept where thanksd puts them.", "Name its file: thanksd restore FILE")
    return UsageError(
        f"Which copy? There are {len(found)}, and this is the newest.", f"thanksd restore {found[-1].path}"
    )


def _place_of_backup(file: str) -> Path:
    """Give the file to write: as it was named, or a free name with the day in it."""
    from thanksd import paths  # noqa: PLC0415  as above

    named = Path(file).expanduser().absolute()
    if file and not named.is_dir():
        return named
    folder = named if file else paths.private_folder(paths.backups_folder())
    day = datetime.now().astimezone().date().isoformat()
    names = (f"thanksd-{day}{f'-{number}' if number > 1 else ''}.db" for number in range(1, 10_000))
    return next(folder / name for name in names if not (folder / name).exists())


@click.command(cls=Command)
@click.argument("file", required=False, default="")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def restore(context: click.Context, file: str, yes: bool) -> None:
    """Put a kept copy in the ledger's place; the ledger of now is kept beside it. Without FILE it names the newest.

    Letters that waited when the copy was made don't leave by themselves: they may have left since.
    """
    from thanksd.verbs import keeping  # noqa: PLC0415  as above

    _refuse_server(context, "puts copies of it back", "There: pg_restore; then here: thanksd adopt")
    if not file:
        raise _newest_copy(context)
    source = Path(file).expanduser().absolute()
    if not yes:
        _confirm(f"This puts {source} in the place of your ledger, which is kept beside it.", "Put it there?")
    found = keeping.restore(state_of(context).store_url, source, datetime.now(UTC))
    _look_for_daemon(context)
    facts = {name: found[name] for name in ("path", "kept", "forgotten", "left_out")}
    if wants_json(context, restored=facts, thanks=found["thanks"], learned=found["learned"]):
        return
    say(f"Put back: {found['path']}")
    if found["kept"]:
        note(f"The ledger of before is kept: {found['kept']}")
    if found["learned"]:
        note(f"Thanked since that copy, as the ledger of before knows: {_names(found['learned'])}.")
    if found["forgotten"]:
        note(f"Forgotten since that copy, and so again: {found['forgotten']} of its people.")
    _say_left_out(found["left_out"])
    _say_held(found["thanks"])


@click.command(cls=Command)
@click.argument("file", default="-")
@click.pass_context
def export(context: click.Context, file: str) -> None:
    """Write everything into FILE, or to standard output: one JSON object that any thanksd can import."""
    found = _world(context).call("export", {})
    text = json.dumps({"v": 1, **found})
    if file == "-":
        click.echo(text)
        return
    path = Path(file).expanduser().absolute()
    _write_new(path, text)
    if not wants_json(context, export={"path": str(path), "thanks": len(found["thanks"])}):
        say(f"Exported {len(found['thanks'])} thanks: {path}")


def _write_new(path: Path, text: str) -> None:
    """Write a private file that was not there before, whole or not at all."""
    from thanksd.verbs.keeping import put_in_place  # noqa: PLC0415  as above

    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "w") as stream:
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(stream.fileno())
        put_in_place(part, path)
    except OSError as error:
        words = f"The export can't be written: {path}: {error.strerror}."
        raise PermissionDeniedError(words, "Name another place.") from error
    finally:
        part.unlink(missing_ok=True)


@click.command("import", cls=Command)
@click.argument("file")
@click.pass_context
def import_(context: click.Context, file: str) -> None:
    """Add what another ledger exported into FILE (- is standard input): what is new here, and nothing twice.

    Letters that were still to leave there are held here, until you say what became of them.
    """
    parcel = _read(file)
    client = state_of(context).client
    _tell_import(context, client.world.call("take_in", {"parcel": parcel}))
    # Last: the import is done, whether or not a daemon listens.
    client.poke()


def _tell_import(context: click.Context, found: dict[str, Any]) -> None:
    facts = {"new": found["new"], "known": found["known"]}
    facts |= {"forgotten": found["forgotten"], "left_out": found["left_out"]}
    if wants_json(context, imported=facts, thanks=found["thanks"], learned=found["learned"]):
        return
    say(f"New here: {found['new']} thanks. Known already: {found['known']}.")
    if found["forgotten"]:
        note(f"Left out: {found['forgotten']} thanks of people who were forgotten here.")
    _say_left_out(found["left_out"])
    if found["learned"]:
        note(f"Thanked there already, so here too: {_names(found['learned'])}.")
    _say_held(found["thanks"])


def _say_left_out(count: int) -> None:
    if count:
        note(f"{count} addresses that are to be left alone there are not known here: both ledgers have such a list.")


def _read(file: str) -> dict[str, Any]:
    """Read a JSON object. Raises DataError for anything else, UsageError for a file that is not there."""
    try:
        with sys.stdin.buffer if file == "-" else Path(file).expanduser().open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(
            f"There is no such file: {file}. Nothing was stored.", "Make one: thanksd export FILE"
        ) from error
    try:
        found = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError("This is no export of thanksd. Nothing was stored.", "Make one: thanksd export FILE")
    return found


@click.command(cls=Command)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def adopt(context: click.Context, yes: bool) -> None:
    """Take over a ledger that another machine used, or an older copy. Its waiting letters are held."""
    world = _world(context)
    now = world.call("whose", {})
    if not now["ours"] and not yes:
        held = f" {_letters(now['letters'])} waiting will be held, for you to decide." if now["letters"] else ""
        _confirm(f"{now['words']} Only one may go on.{held}", "Take it over?")
    found = world.call("adopt", {})
    _look_for_daemon(context)
    if wants_json(context, adopted=found["adopted"], thanks=found["thanks"]):
        return
    say(f"This ledger {_whose(context)} {'now' if found['adopted'] else 'already'}.")
    _say_held(found["thanks"])


def _whose(context: click.Context) -> str:
    from thanksd import paths  # noqa: PLC0415  as above

    return "goes on where it is" if paths.is_server(state_of(context).store_url) else "is this machine's"


def _world(context: click.Context) -> World:
    from thanksd.world import World  # noqa: PLC0415  as above

    return World(state_of(context).store_url, state_of(context).config_file)


def _look_for_daemon(context: click.Context) -> None:
    """Let the command end, on a terminal, with how to start the daemon: it had to be stopped for this."""
    state_of(context).client.poke()


def _confirm(words: str, question: str) -> None:
    """Ask before a ledger changes hands.

    Raises NotFoundError (exit 1, not confirmed), also where nobody can be asked.
    """
    if not can_ask():
        raise NotFoundError(f"{words} Nothing was changed.", "If that is meant: --yes")
    note(words)
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    if not keys.confirm(question):
        raise NotFoundError("Nothing was changed.", "See what is owed: thanksd")


def _say_held(thanks: list[dict[str, Any]]) -> None:
    if thanks:
        many = len(thanks) > 1
        note(f"{_letters(len(thanks))} may have left already and {'wait' if many else 'waits'} for your word:")
        for one in thanks:
            note(f"  {one['person']['name']}: thanksd resolve {one['id']}")


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"


def _names(thanks: list[dict[str, Any]]) -> str:
    return ", ".join(str(one["person"]["name"]) for one in thanks)
