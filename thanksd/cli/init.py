"""The command init: seven questions, then everything is saved at once, and a practice letter goes the whole way."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thanksd.cli.asker import Asker, missing
from thanksd.cli.output import can_ask, note, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import ThanksdError, UsageError

if TYPE_CHECKING:
    from thanksd.cli.login import Account
    from thanksd.config import Config

_FRIDAY = "fri 16:00"
_NO_POPUP = 69  # EX_UNAVAILABLE: everything is saved, and nobody could be reminded here
_DISTURBING = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}


@dataclass
class Plan:
    """What will be done once every question was answered: settings as words, the account, and whether to start."""

    values: dict[str, str]
    account: Account
    service: bool
    said: list[str] = field(default_factory=list)


@click.command(cls=Command)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Answer one question here. Repeatable.")
@click.option("-y", "--yes", is_flag=True, help="Take the default of every question that has one.")
@click.option("--no-service", is_flag=True, help="Do not start the daemon with the session.")
@click.option("--no-practice", is_flag=True, help="No practice letter to yourself.")
@click.pass_context
def init(context: click.Context, settings: tuple[str, ...], yes: bool, no_service: bool, no_practice: bool) -> int:
    """Set thanksd up: your name, your mail account, your desktop.

    Seven questions at most; nothing is saved before the end. Without a terminal the password is the first line of
    standard input.
    """
    from thanksd.config import load  # noqa: PLC0415  the settings are read by few commands

    state = state_of(context)
    given = _given(settings)
    old = load(Path(state.config_file))
    asker = Asker(given, yes=yes, can_ask=can_ask() and not state.json)
    try:
        plan = _interview(asker, old, no_service=no_service)
    except (EOFError, OSError) as error:
        # The window is gone, and with it whoever was asked.
        raise click.Abort from error
    written = _save(context, plan)
    daemon = _start(context, plan)
    facts = {"config": state.config_file, "set": written, "password": plan.account.keep, "tested": plan.account.tested}
    if wants_json(context, init={**facts, "daemon": daemon, "notes": plan.said}):
        return 0
    for line in plan.said:
        asker.say(line) if asker.can_ask else note(line)
    return _practise(context, plan, wanted=not no_practice and can_ask())


def _given(settings: tuple[str, ...]) -> dict[str, str]:
    """Read KEY=VALUE, and check each as the config would."""
    from thanksd import config_file  # noqa: PLC0415  as above

    given = {}
    for words in settings:
        key, equals, value = words.partition("=")
        if not equals:
            raise UsageError(f"--set {key[:60]} has no value. Nothing was saved.", f"Write: --set {key[:60]}=VALUE")
        config_file.understood(key, value)
        given[key] = value
    return given


# --- the questions ---


def _interview(asker: Asker, old: Config, *, no_service: bool) -> Plan:
    """Ask everything, and give what to do. Nothing is written here, whatever happens."""
    from thanksd.cli import mailbox  # noqa: PLC0415  only where somebody sets it up

    asker.say("Seven questions; Enter takes the [answer]. Nothing is saved before the end.")
    name = asker.ask("me.name", "Your name, as under a letter", old.me.name or _own_name(), _name)
    email = asker.ask("me.email", "Your email address", old.me.email, lambda text: _address(asker, text))
    account = mailbox.ask_account(asker, old, email)
    values = {"me.name": name, "me.email": email, **_of_account(account)}
    values["nudge.quiet_hours"] = _ask_quiet(asker, old)
    values["nudge.ask"] = _ask_weekly(asker, old)
    service = not no_service and _ask_service(asker)
    zone = _zone(old)
    asker.say(f"Language {old.me.language}, time zone {zone} (change: thanksd config set me.timezone Z)")
    return Plan({**values, **asker.given}, account, service)


def _own_name() -> str:
    """Give the name the system knows its user by: the GECOS field's first part (passwd(5))."""
    try:
        return pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0].strip()
    except KeyError:
        return ""


def _name(text: str) -> str:
    from thanksd import config_file  # noqa: PLC0415  as above

    if not text.strip():
        raise UsageError("A letter needs a name under it.", "Type yours.")
    return str(config_file.understood("me.name", text.strip()))


def _address(asker: Asker, text: str) -> str:
    from thanksd.addresses import check_address  # noqa: PLC0415  as above
    from thanksd.cli.asking import mend_domain  # noqa: PLC0415  as above

    return mend_domain(check_address(text), asker.typo_line)


def _of_account(account: Account) -> dict[str, str]:
    """Give the settings of an account as words; those of a server only where letters go through one."""
    values = {"transport.kind": account.kind}
    if account.kind == "mailto":
        values["transport.mailto.open"] = account.opens
    if account.kind == "smtp":
        values |= {f"transport.smtp.{name}": str(value) for name, value in vars(account.smtp).items()}
    return values


def _ask_quiet(asker: Asker, old: Config) -> str:
    from thanksd import config_file  # noqa: PLC0415  as above

    def check(text: str) -> str:
        return str(config_file.understood("nudge.quiet_hours", "" if text.lower() in ("off", "none") else text))

    return asker.ask("nudge.quiet_hours", "No reminders between", old.nudge.quiet_hours or "off", check)


def _ask_weekly(asker: Asker, old: Config) -> str:
    if "nudge.ask" in asker.given:
        return asker.given["nudge.ask"]
    if not (asker.can_ask or asker.yes):
        raise missing("nudge.ask")
    moment = old.nudge.ask or _FRIDAY
    when = "Friday 16:00" if moment == _FRIDAY else moment
    # Whoever set it up before and has no question said no.
    wanted = asker.agree(f"Ask every {when} whom you met?", default=bool(old.nudge.ask or not old.me.email))
    return moment if wanted else ""


def _ask_service(asker: Asker) -> bool:
    if shutil.which("systemctl") is None:
        asker.say("No systemd here: whenever you want reminders, keep this running: thanksd run")
        return False
    return asker.agree("Start with your session, so that reminders come?", default=True)


def _zone(old: Config) -> str:
    from thanksd.world import user_zone  # noqa: PLC0415  as above

    return user_zone(old.me.timezone, os.environ.get("TZ", ""))


# --- what is done at the end ---


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no Ctrl-C and no closed window come between the parts of one change; they count when it is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _DISTURBING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _save(context: click.Context, plan: Plan) -> dict[str, Any]:
    """Write the settings in one go, then the password; gives the settings that changed.

    Raises what the config raises, with nothing saved. A password that can't be kept now is said, and can be given
    later: the other answers are not lost for it.
    """
    from thanksd import config_file  # noqa: PLC0415  as above
    from thanksd.config import load  # noqa: PLC0415  as above

    path = Path(state_of(context).config_file)
    now = config_file.settings(load(path))
    changed = {name: words for name, words in plan.values.items() if words != config_file.as_words(now.get(name, ""))}
    with _undisturbed():
        written = config_file.set_values(path, changed) if changed or not path.exists() else {}
        plan.said.append(f"Saved {_short(path)}.")
        if plan.account.kind == "smtp":
            _keep(context, plan)
    return written


def _keep(context: click.Context, plan: Plan) -> None:
    """Put the password where it was said to go, and take an older one away from where it would win over it."""
    from thanksd import credentials, service  # noqa: PLC0415  as above

    account, email = plan.account, plan.values["me.email"]
    file = Path(state_of(context).config_file).with_name(credentials.CREDENTIAL_FILE)
    unit = Path(str(service.status(_environ(context))["unit"]))
    try:
        if account.keep == "credential":
            credentials.keep_for_unit(account.word, file, unit)
            plan.said.append(f"The password is in {_short(file)}, for the daemon alone, not encrypted.")
        else:
            credentials.forget_for_unit(file, unit)
        if account.keep == "keyring":
            user = credentials.account(account.smtp, email)
            credentials.store(user, account.word)
            plan.said.append(f"The password is in your keyring, as {user}.")
    except ThanksdError as error:
        plan.said += [f"The password was not kept: {error.message}", "Give it later: thanksd credentials set"]
    except OSError as error:
        plan.said += [f"The password was not kept: {error.filename}: {error.strerror}.", "Try again: thanksd init"]


def _start(context: click.Context, plan: Plan) -> dict[str, Any] | None:
    """Start the daemon if that was wanted, and give what it says of itself; None where none runs."""
    from thanksd import service  # noqa: PLC0415  as above

    if plan.service:
        try:
            service.install(_environ(context), service.program())
        except ThanksdError as error:
            plan.said += [error.message, error.hint]
    status = state_of(context).client.ask_status()
    if status is not None:
        plan.said[0] += f" Daemon running (pid {status['pid']})."
    return status


def _practise(context: click.Context, plan: Plan, *, wanted: bool) -> int:
    """Let the practice letter go its way, say what comes next, and give the exit code."""
    from thanksd.cli import practice  # noqa: PLC0415  as above

    is_well = practice.run(state_of(context).client, plan.values["transport.kind"]) if wanted else True
    if not is_well:
        return _NO_POPUP
    say("Ready. Met somebody? thanksd add   What is owed? thanksd   thanksd help start")
    return 0


def _environ(context: click.Context) -> Mapping[str, str]:
    """Give the environment with --config and --store in it, as the daemon has to share them."""
    state = state_of(context)
    given = {"THANKSD_CONFIG": state.config, "THANKSD_STORE": state.store}
    return {**os.environ, **{name: value for name, value in given.items() if value}}


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
