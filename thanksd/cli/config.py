"""The commands about the settings: config, config get, config set, config path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from thanksd.cli.output import is_terminal, note, say, state_of, tabbed, wants_json
from thanksd.cli.root import Group

if TYPE_CHECKING:
    from thanksd.config_file import Value


def _complete(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    from thanksd import config_file  # noqa: PLC0415  only for completion

    return [CompletionItem(name) for name in config_file.names() if name.startswith(start)]


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """Show every setting with its value and meaning; or get and set one."""
    if context.invoked_subcommand is not None:
        return
    from thanksd import config_file  # noqa: PLC0415  the settings are read by few commands
    from thanksd.config import load  # noqa: PLC0415  as above

    values = config_file.settings(load(_path(context)))
    if wants_json(context, config=values):
        return
    if is_terminal():
        _show(_path(context), values)
    else:
        tabbed([[name, config_file.as_words(value), config_file.row(name).meaning] for name, value in values.items()])


def _show(path: Path, values: dict[str, Value]) -> None:
    """Print the settings as the file would have them, each with its meaning."""
    from thanksd import config_file  # noqa: PLC0415  as above

    say(f"# {path}" + ("" if path.exists() else " (not there yet: these are the defaults)"))
    table = ""
    for name, value in values.items():
        above, _, key = name.rpartition(".")
        if above != table:
            table = above
            say("")
            say(f"[{table}]")
        say(f"{f'{key} = {_toml(value)}':<32} # {config_file.row(name).meaning}")
    if "kind" not in {name.partition(".")[0] for name in values}:
        say("")
        say("# Times of one kind of meeting: thanksd config set kind.coffee.nudge 2h")


def _toml(value: Value) -> str:
    # A JSON value of these types is a TOML value too.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


@config.command("get")
@click.argument("name", shell_complete=_complete)
@click.pass_context
def get_(context: click.Context, name: str) -> None:
    """Print one setting's value."""
    from thanksd import config_file  # noqa: PLC0415  as above
    from thanksd.config import load  # noqa: PLC0415  as above

    value = config_file.value_of(load(_path(context)), name)
    if wants_json(context, config={name: value}):
        return
    for line in config_file.as_words(value).split("\n"):
        say(line)


# Without options of words: a value may begin with a dash.
@config.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name", shell_complete=_complete)
@click.argument("value")
@click.pass_context
def set_(context: click.Context, name: str, value: str) -> None:
    """Set one setting: text, true or false, a number, or a list with commas. "" empties it."""
    from thanksd import config_file  # noqa: PLC0415  as above

    understood = config_file.set_value(_path(context), name, value)
    if not wants_json(context, config={name: understood}):
        note(f"{name} = {_toml(understood)}")


@config.command()
@click.pass_context
def path(context: click.Context) -> None:
    """Print where the config file is, or would be."""
    found = state_of(context).config_file
    if not wants_json(context, config={"path": found}):
        say(found)


def _path(context: click.Context) -> Path:
    return Path(state_of(context).config_file)
