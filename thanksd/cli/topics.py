"""The command help: the manual by topic, and as a man page."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem, get_completion_class

from thanksd import __version__, topics
from thanksd.cli.output import say, wants_json
from thanksd.cli.root import COMMANDS, Command, Group, app
from thanksd.errors import NotFoundError

_MAN = "man"
# Of every command, and so told once.
_EVERYWHERE = frozenset({"json", "config", "store", "debug", "version", "help"})


def _complete(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(one, help=topics.title(one)) for one in topics.TOPICS if one.startswith(start)]


@click.command("help", cls=Command)
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def help(context: click.Context, topic: str | None) -> None:  # noqa: A001  the command's name, found by it
    """Tell more about one topic; alone, list them. "help man" prints it all as a man page."""
    if topic is None:
        _list(context)
    elif topic == _MAN:
        click.echo(man_page(context), nl=False)
    elif topic in topics.TOPICS:
        _tell(context, topic)
    elif topic in COMMANDS:
        command = _command(context, topic)
        click.echo(command.get_help(click.Context(command, info_name=topic, parent=context.find_root())))
    else:
        close = difflib.get_close_matches(topic[:60], (*topics.TOPICS, *COMMANDS, _MAN), n=1, cutoff=0.5)
        hint = f"Did you mean: thanksd help {close[0]}?" if close else "See what there is: thanksd help"
        raise NotFoundError(f"There is no topic {topic[:60]!r}.", hint)


def _list(context: click.Context) -> None:
    if wants_json(context, topics=[{"name": one, "title": topics.title(one)} for one in topics.TOPICS]):
        return
    for one in topics.TOPICS:
        say(f"{one:<12} {topics.title(one)}")
    say("")
    say("Read one: thanksd help start    Options of a command: thanksd add --help")


def _tell(context: click.Context, topic: str) -> None:
    title, text = topics.title(topic), topics.text(topic)
    if wants_json(context, topics=[{"name": topic, "title": title, "text": text}]):
        return
    say(title)
    say("")
    for line in text.splitlines():
        say(line)


def completion(shell: str) -> str:
    """Give the script that completes our commands in "bash", "zsh" or "fish"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise NotFoundError(f"There is no completion for {shell!r}.", "See: thanksd help completion")
    script = kind(app, {}, "thanksd", "_THANKSD_COMPLETE")
    # Its source() would look for the shell's own version first, and complain where it is not installed.
    return script.source_template % script.source_vars()


def man_page(context: click.Context) -> str:
    """Give the manual as a man page, in roff."""
    commands = [one for name in COMMANDS for one in _with_subcommands(_command(context, name), f"thanksd {name}")]
    shared = [_option(one) for one in _command(context, "help").params if one.name in _EVERYWHERE]
    return topics.man_page(__version__, (app.help or "").rstrip("."), commands, shared)


def _command(context: click.Context, name: str) -> click.Command:
    found = app.get_command(context, name)
    if found is None:
        raise NotFoundError(f"There is no command {name!r}.", "See: thanksd --help")
    return found


def _with_subcommands(command: click.Command, words: str) -> Iterator[topics.Command]:
    """Give a command and, of a group, each of its own."""
    own = [_option(one) for one in command.params if isinstance(one, click.Option) and one.name not in _EVERYWHERE]
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    yield topics.Command(" ".join([words, *arguments]), inspect.cleandoc(command.help or ""), own)
    if isinstance(command, Group):
        for name, below in command.commands.items():
            if not below.hidden:
                yield from _with_subcommands(below, f"{words} {name}")


def _option(parameter: click.Parameter) -> topics.Option:
    record = parameter.get_help_record(click.Context(click.Command("thanksd")))
    return topics.Option(*(record or (str(parameter.name), "")))
