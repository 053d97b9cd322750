"""The root of the command line: global options, the table of commands, and how errors reach people."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from thanksd import __version__
from thanksd.errors import PermissionDeniedError, ThanksdError, TryLaterError

if TYPE_CHECKING:
    from thanksd.client import Client

# command -> (module, what it is for). A module is loaded when its command is run, not to list it.
COMMANDS = {
    "add": ("adding", "Note that you met somebody."),
    "owed": ("listing", "What is due and owed, soonest first."),
    "review": ("review", "Every due thanks in turn: draft, findings, one key each."),
    "page": ("browsing", "The same in your browser."),
    "send": ("drafting", "Send a letter, after showing it."),
    "draft": ("drafting", "Show or change the draft of a thanks."),
    "show": ("listing", "Everything about one thanks."),
    "edit": ("adding", "Change what was noted."),
    "snooze": ("answering", "Be reminded later."),
    "waive": ("answering", "Decide not to thank."),
    "done": ("answering", "Thanked otherwise: in person, by phone, by card."),
    "undo": ("answering", "Take back a queued letter, a waive, a done, a snooze."),
    "promises": ("promising", "What you said you would do, the most pressing first."),
    "promise": ("promising", "Say that a promise was kept."),
    "outbox": ("listing", "Letters that are on their way."),
    "resolve": ("answering", "Say what became of a held letter."),
    "people": ("people", "Whom you know here."),
    "policy": ("policy", "When a thank-you is fitting, and what it may offer."),
    "templates": ("templates", "The notes' templates, and your own."),
    "log": ("listing", "What happened, with times."),
    "stats": ("stats", "How it went, week by week."),
    "feed": ("feed", "What is owed, as a calendar."),
    "pause": ("pausing", "No popups until a day: a holiday, a busy week."),
    "resume": ("pausing", "End a pause."),
    "init": ("init", "Set thanksd up: your name, your mail account, your desktop."),
    "doctor": ("doctor", "Look at everything, and say what to mend."),
    "prompt": ("prompting", "What is due now, for your shell's prompt."),
    "run": ("daemon", "The daemon, in the foreground."),
    "service": ("service", "The daemon as a systemd user service."),
    "config": ("config", "The settings."),
    "credentials": ("credentials", "The mail account's password."),
    "backup": ("ledgers", "Keep a copy of the ledger."),
    "restore": ("ledgers", "Put a kept copy in the ledger's place."),
    "export": ("ledgers", "Write everything into one file that any thanksd can read."),
    "import": ("ledgers", "Add what another ledger exported."),
    "adopt": ("ledgers", "Take over a ledger that another machine used."),
    "move-store": ("moving", "Move the ledger to a server that a team shares, or back."),
    "demo": ("demo", "See it work, in a throw-away ledger."),
    "help": ("topics", "More about one topic."),
}


class State:
    """What the global options said."""

    def __init__(self) -> None:
        self.json = False
        self.debug = False
        self.config = ""
        self.store = ""
        self.quiet_end = False
        self._client: Client | None = None

    @property
    def config_file(self) -> str:
        """The config file: --config, THANKSD_CONFIG, or its place by XDG; absolute."""
        from thanksd import paths  # noqa: PLC0415  --help and --version need none of it

        return os.path.abspath(self.config or os.environ.get("THANKSD_CONFIG", "") or paths.config_file())  # noqa: PTH100

    @property
    def store_url(self) -> str:
        """The store: --store, THANKSD_STORE, or its place by XDG."""
        from thanksd import paths  # noqa: PLC0415  as above

        return paths.store_url(self.store or os.environ.get("THANKSD_STORE", "") or str(paths.store_file()))

    @property
    def client(self) -> Client:
        """The way to the verbs."""
        if self._client is None:
            from thanksd.client import Client  # noqa: PLC0415  as above

            self._client = Client(self.store_url, self.config_file, lines_wanted=sys.stderr.isatty())
        return self._client

    @property
    def opened(self) -> Client | None:
        """The client, if a verb was called."""
        return self._client


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:  # noqa: ANN401  click's signature
    # Given before or after the command: the last one that says anything counts.
    if value:
        setattr(context.ensure_object(State), str(option.name), value)


def _global_options() -> list[click.Parameter]:
    # eager: a command's own callbacks may want the client.
    common: dict[str, Any] = {"expose_value": False, "callback": _keep, "is_eager": True}
    return [
        click.Option(["--json"], is_flag=True, help="Print facts as one JSON object.", **common),
        click.Option(["--config"], metavar="FILE", help="Another config file.", **common),
        click.Option(["--store"], metavar="URL", help="Another store: a path or an SQLAlchemy URL.", **common),
        click.Option(["--debug"], is_flag=True, help="Show where an error comes from.", **common),
    ]


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  click's signature
        super().__init__(*args, **kwargs)
        self.params += _global_options()
        self.params.append(_version_option())


class Group(click.Group):
    """A command with sub-commands, each taking the global options."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  click's signature
        super().__init__(*args, **kwargs)
        self.params += _global_options()
        self.params.append(_version_option())


class Root(Group):
    """The root: commands are found in the table and loaded when run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Give the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"thanksd.cli.{COMMANDS[cmd_name][0]}")
        # A function can't be called by a word of Python's own, or with a dash.
        name = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  as above
        """List the commands from the table, without loading one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is said with the nearest right one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib  # noqa: PLC0415  only for a mistake

            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"Did you mean: thanksd {close[0]}?" if close else "See: thanksd --help"
            raise click.UsageError(f"There is no command {name!r}.\n{hint}", ctx)
        return super().resolve_command(ctx, args)


def _version_option() -> click.Option:
    def say(context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"thanksd {__version__}")
            context.exit()

    return click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=say, help="Print the version."
    )


@click.command(cls=Root, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def app(context: click.Context) -> None:
    """Make sure that nobody you met goes unthanked."""
    context.ensure_object(State)
    if context.invoked_subcommand is None:
        command = app.get_command(context, "owed")
        if command is not None:
            context.invoke(command)


def run() -> int:
    """Run one command and give its exit code; errors go to stderr as one line and one hint.

    A window that a popup opened stays until its reader closes it: it would take the last words along. A review that
    went well has said its last words already.
    """
    code = _run(State())
    opened = os.environ.get("THANKSD_OPENED") == "popup" and sys.stdin is not None and sys.stdin.isatty()
    if opened and (code or "review" not in sys.argv):
        click.echo("Enter closes this window.", err=True)
        sys.stdin.readline()
    return code


def _run(state: State) -> int:
    output = sys.stdout
    try:
        code = app.main(prog_name="thanksd", standalone_mode=False, obj=state)
        _say_the_rest(state)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (OSError, SystemExit) as error:
        return _of_system(error, state, reader_left=sys.stdout is not output)
    except ThanksdError as error:
        return _complain(error, state)
    else:
        return code if isinstance(code, int) else 0


def _of_system(error: OSError | SystemExit, state: State, *, reader_left: bool) -> int:
    """Say in words what the system refused; a reader that left (`| head`) has what it wanted."""
    # click answers such a reader by SystemExit(1), with a wrapper around stdout; and completion by SystemExit(0).
    if reader_left or isinstance(error, BrokenPipeError):
        _drop_output()
        return 0
    if isinstance(error, SystemExit):
        raise error
    if error.filename is None:
        _drop_output()
        message = f"The output can't be written: {error.strerror}. What you asked for may have been done."
        return _complain(TryLaterError(message, "See: thanksd log"), state, error)
    kind = PermissionDeniedError if isinstance(error, PermissionError) else TryLaterError
    message = f"{os.fsdecode(error.filename)}: {error.strerror}."
    return _complain(kind(message, "Look at it, then try again."), state, error)


def _drop_output() -> None:
    # Python would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say_the_rest(state: State) -> None:
    client = state.opened
    if client is not None and sys.stderr.isatty() and not state.quiet_end:
        from thanksd.cli.ending import say_the_rest  # noqa: PLC0415  on a terminal only

        say_the_rest(client)


def _complain(error: ThanksdError, state: State, cause: BaseException | None = None) -> int:
    if state.debug:
        import traceback  # noqa: PLC0415  only for --debug

        traceback.print_exception(cause or error)
    from thanksd.cli.output import note  # noqa: PLC0415  it imports this module

    for line in (error.message, error.hint):
        if line:
            note(line)
    return error.exit_code


def _usage(error: click.UsageError) -> int:
    from thanksd.cli.output import note  # noqa: PLC0415  as above

    hint = f"See: {error.ctx.command_path} --help" if error.ctx is not None else "See: thanksd --help"
    lines = error.format_message().split("\n")
    for line in lines if len(lines) > 1 else [*lines, hint]:
        note(line)
    return error.exit_code
