"""The commands about the secrets: set, forget, test. None is ever on an argument list."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thanksd.cli.output import can_ask, note, say, state_of, wants_json
from thanksd.cli.root import Group
from thanksd.errors import ConfigError, ThanksdError, UsageError

if TYPE_CHECKING:
    from thanksd.config import Config

# Google shows an app password as four groups of four letters; it is the letters alone.
_GROUPED = ("smtp.gmail.com", "smtp.googlemail.com")
_LONGEST = 65536
_KINDS = ("mail", "push")
_NONE = "No password was given. Nothing was stored."
# Why a letter waits for a login that works (verb release).
_WAITING = ("credentials", "password")


@click.group(cls=Group)
def credentials() -> None:
    """Store, forget or test the mail account's password, or a phone's push address. They live in your keyring."""


@credentials.command("set")
@click.argument("what", type=click.Choice(_KINDS), default="mail")
@click.option("--no-test", is_flag=True, help="Store it without logging in.")
@click.pass_context
def set_(context: click.Context, what: str, no_test: bool) -> None:
    """Ask for the password, hidden, test the login, and keep it in the keyring.

    With "push" it is the address of a push service, in Apprise's form; of several, with spaces between. Without a
    terminal it is the first line of standard input.
    """
    from thanksd import credentials as keeper  # noqa: PLC0415  no other command needs it

    if what == "push":
        _set_push(context, no_test=no_test)
        return
    settings = _account(context, needs_password=True)
    smtp, user = settings.transport.smtp, keeper.account(settings.transport.smtp, settings.me.email)
    word = typed(_ask(f"Password of {smtp.username or settings.me.email} at {smtp.host} (hidden)"), smtp.host)
    reply = "" if no_test else _log_in(settings, word)
    keeper.store(user, word)
    if not wants_json(context, credentials={"account": user, "stored": True, "tested": not no_test, "reply": reply}):
        say(f"Stored in the keyring for {user}." + ("" if no_test else f" {smtp.host} said: {reply}"))
    if not no_test:
        _release(context)


def _set_push(context: click.Context, *, no_test: bool) -> None:
    """Ask for push addresses and keep them. What the services are is looked up, and nothing is sent."""
    import asyncio  # noqa: PLC0415  no other command needs it

    from thanksd import credentials as keeper  # noqa: PLC0415  as above
    from thanksd.channels import push  # noqa: PLC0415  as above

    _refuse_push_command(context)
    if not no_test:
        push.check_library()
    word = _ask("Address of the push service (hidden)", "No address was given. Nothing was stored.")
    names = [] if no_test else asyncio.run(push.names(word, os.environ))
    keeper.store(keeper.PUSH, word)
    facts = {"account": keeper.PUSH, "stored": True, "tested": not no_test, "reply": " ".join(names)}
    if not wants_json(context, credentials=facts):
        say(f"Stored in the keyring{': ' if names else ''}{', '.join(names)}. See it come: thanksd doctor --nudge")


def _refuse_push_command(context: click.Context) -> None:
    """Refuse what the keyring has no part in. Raises ConfigError."""
    from thanksd.config import load  # noqa: PLC0415  as above

    if load(Path(state_of(context).config_file)).nudge.push_command:
        raise ConfigError(
            "The push address comes from nudge.push_command, not from the keyring.", "See: thanksd config"
        )


@credentials.command()
@click.argument("what", type=click.Choice(_KINDS), default="mail")
@click.pass_context
def forget(context: click.Context, what: str) -> None:
    """Take the password out of the keyring, or with "push" the push address."""
    from thanksd import credentials as keeper  # noqa: PLC0415  as above

    if what == "push":
        keeper.forget(keeper.PUSH)
        if not wants_json(context, credentials={"account": keeper.PUSH, "stored": False}):
            say("The keyring has no push address any more.")
        return
    settings = _account(context, needs_password=True)
    user = keeper.account(settings.transport.smtp, settings.me.email)
    keeper.forget(user)
    if not wants_json(context, credentials={"account": user, "stored": False}):
        say(f"The keyring has no password for {user} any more.")


@credentials.command()
@click.pass_context
def test(context: click.Context) -> None:
    """Log in as a letter would, and send nothing."""
    from thanksd import credentials as keeper  # noqa: PLC0415  as above
    from thanksd.transports.smtp import test_login  # noqa: PLC0415  as above

    settings = _account(context, needs_password=False)
    smtp, me = settings.transport.smtp, settings.me.email
    reply = test_login(smtp, me, keeper.reader(smtp, me, os.environ))
    if not wants_json(context, credentials={"account": keeper.account(smtp, me), "tested": True, "reply": reply}):
        say(f"{smtp.host} said: {reply}")
    _release(context)


def _account(context: click.Context, *, needs_password: bool) -> Config:
    """Read the settings of an account that has a login.

    Raises ConfigError where there is none, or none that the keyring has a part in.
    """
    from thanksd.config import load  # noqa: PLC0415  as above

    settings = load(Path(state_of(context).config_file))
    smtp = settings.transport.smtp
    if settings.transport.kind in ("mailto", "eml"):
        raise ConfigError("Letters open in your mail program, which logs in by itself.", "See: thanksd help account")
    if settings.transport.kind != "smtp" or not smtp.host:
        raise ConfigError("No mail account is set up.", "Set one up: thanksd init")
    if not (smtp.username or settings.me.email):
        raise ConfigError("The mail account has no login name.", "Set it: thanksd config set me.email YOU@EXAMPLE.COM")
    if not needs_password:
        return settings
    if smtp.auth == "none":
        raise ConfigError(f"{smtp.host} is used without a login.", "See: thanksd config get transport.smtp.auth")
    setting = "token_command" if smtp.auth == "xoauth2" else "password_command" if smtp.password_command else ""
    if setting:
        raise ConfigError(
            f"The login of {smtp.host} comes from transport.smtp.{setting}, not from the keyring.",
            "Test it: thanksd credentials test",
        )
    return settings


def typed(word: str, host: str) -> str:
    """Give a password as the server wants it: Google's app passwords are pasted with the spaces they are shown with."""
    return "".join(word.split()) if host.lower() in _GROUPED else word


def _ask(question: str, none: str = _NONE) -> str:
    """Give the secret as it was typed, hidden, or as it came on standard input. Raises UsageError, `none`, for none."""
    from thanksd.sealing import seal  # noqa: PLC0415  no other command needs it

    if can_ask():
        seal()
        from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

        with keys.closable():
            return str(click.prompt(question, hide_input=True, err=True))
    return from_stdin(none)


def from_stdin(none: str = _NONE) -> str:
    """Give the secret that is the first line of standard input.

    Raises UsageError, `none`, for none, and for what is no line of text.
    """
    from thanksd.sealing import seal  # noqa: PLC0415  as above

    seal()
    line = sys.stdin.buffer.readline(_LONGEST) if sys.stdin is not None else b""
    try:
        word = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # The decoder's own words would quote the secret; this says nothing of it.
        word = ""
    if not word:
        raise UsageError(none, "Give it as one line on standard input.")
    return word


def _log_in(settings: Config, word: str) -> str:
    """Log in with what was typed, and give the server's words.

    Raises what the login raises, with the word that nothing was stored.
    """
    from thanksd.transports.smtp import test_login  # noqa: PLC0415  as above

    try:
        return test_login(settings.transport.smtp, settings.me.email, lambda: word)
    except ThanksdError as error:
        error.message += " Nothing was stored."
        raise


def _release(context: click.Context) -> None:
    """Offer to let the letters go on that waited for this login; without a terminal they do."""
    client = state_of(context).client
    waiting = sum(one["reason"] in _WAITING for one in client.call("outbox")["letters"])
    if not waiting:
        # A daemon whose mails to its owner were refused learns that they may leave.
        client.call("release")
        return
    letters = "1 letter is" if waiting == 1 else f"{waiting} letters are"
    if can_ask() and not _are_to_leave(f"{letters} waiting. Send them now?"):
        note(f"{letters} still waiting. When you want them to leave: thanksd credentials test")
        return
    client.call("release")
    note(f"{letters} on the way again. See: thanksd outbox")


def _are_to_leave(question: str) -> bool:
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    return keys.confirm(question, default=True)
