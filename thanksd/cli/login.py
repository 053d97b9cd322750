"""Question 4 of `thanksd init`: the password, where it is kept, and a login that is tested before anything is saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from thanksd.cli.asker import Asker, missing
from thanksd.errors import PermissionDeniedError, ThanksdError, UnavailableError, UsageError

if TYPE_CHECKING:
    from thanksd.config import Smtp
    from thanksd.providers import Provider

PASSWORD_COMMAND, TOKEN_COMMAND = "transport.smtp.password_command", "transport.smtp.token_command"
_TRIES = 3
# What a refusal ends with, for the readers of logs; here there is a usual cause instead.
_ADVICE = (" (Many providers want", " (Check security, auth")
_PLACES = {"1": "command", "2": "credential", "3": ""}
_TO_MAIL_PROGRAM = "2"


@dataclass(frozen=True)
class Account:
    """How letters will leave. `keep` says where the password `word` goes: keyring, credential, or "" nowhere.

    `opens` is where a letter opens that is handed to a mail program; `tested` whether the server took the login.
    """

    kind: str
    smtp: Smtp
    opens: str = "system"
    keep: str = ""
    word: str = ""
    tested: bool = False


class Login:
    """One account's login, asked for and proved. `email` is its owner's address."""

    def __init__(self, asker: Asker, email: str, smtp: Smtp, provider: Provider | None) -> None:
        self._asker, self._email, self._smtp, self._provider = asker, email, smtp, provider
        self._name = provider.name if provider else smtp.host

    def ask(self) -> Account:
        """Ask for what this login needs, try it, and give the account; one without a kind where it can't be had.

        Raises ConfigError for a server that can't be, and what the login raises where nobody can be asked.
        """
        if self._smtp.auth == "xoauth2":
            return self._by_command(TOKEN_COMMAND, "access token", self._smtp.token_command)
        if self._smtp.auth == "none":
            return self._prove(Account("smtp", self._smtp), lambda: "", 0) or Account("", self._smtp)
        if self._smtp.password_command:
            return self._by_command(PASSWORD_COMMAND, "password", self._smtp.password_command)
        return self._by_password()

    # --- a command ---

    def _by_command(self, key: str, what: str, old: str) -> Account:
        """Let a command print the password or token: it is run, and what it prints is tried."""
        from thanksd import credentials  # noqa: PLC0415  for this command alone

        text = f"Command that prints the {what}"
        for left in range(_TRIES - 1, -1, -1):
            ask = self._asker.ask if left == _TRIES - 1 else self._asker.line
            old = ask(key, text, old, _not_empty)
            token, word = (old, self._smtp.password_command) if key == TOKEN_COMMAND else ("", old)
            smtp = replace(self._smtp, token_command=token, password_command=word)
            account = self._prove(Account("smtp", smtp), credentials.reader(smtp, self._email, os.environ), left)
            if account is not None:
                return account
            self._asker.given.pop(key, None)
        return self._given_up()

    # --- a password ---

    def _by_password(self) -> Account:
        number = self._asker.number()
        keep, kept = self._place()
        if keep == "command":
            return self._by_command(PASSWORD_COMMAND, "password", "")
        if not keep:
            return Account("", self._smtp)
        self._explain(number, keep)
        if kept:
            self._asker.say("  Enter alone: the one your keyring has.")
        for left in range(_TRIES - 1, -1, -1):
            word = self._ask_word(kept or "")
            if word == _TO_MAIL_PROGRAM and self._asker.can_ask:
                return Account("mailto", self._smtp)
            account = self._prove(Account("smtp", self._smtp, keep=keep, word=word), _giving(word), left)
            if account is not None:
                return account
        return self._given_up()

    def _ask_word(self, kept: str) -> str:
        from thanksd.cli import credentials  # noqa: PLC0415  as above

        if not self._asker.can_ask:
            return kept or credentials.typed(credentials.from_stdin(), self._smtp.host)
        while not (word := credentials.typed(self._asker.hidden(), self._smtp.host) or kept):
            self._asker.say("  Nothing was typed. Ctrl-C leaves, and nothing is saved.")
        return word

    def _explain(self, number: int, keep: str) -> None:
        place = "kept in your keyring" if keep == "keyring" else "kept in a file, 0600, not encrypted"
        if self._provider is None:
            self._asker.say(f"{number} Password at {self._smtp.host}, hidden ({place}).")
            return
        wrong = f"NOT {self._provider.not_the}; " if self._provider.not_the else ""
        self._asker.say(f"{number} {self._provider.password}, hidden ({wrong}{place}).")
        self._asker.say(f"  Get one, {self._provider.advice}: {self._provider.url}")

    def _place(self) -> tuple[str, str | None]:
        """Find out where a password can be kept, and what the keyring has already.

        Gives keyring, command, credential, or "" to decide later. Raises CredentialsError where nobody can be asked.
        """
        from thanksd import credentials  # noqa: PLC0415  as above

        self._asker.begin("Looking for your keyring")
        try:
            kept = credentials.look_up(credentials.account(self._smtp, self._email))
        except credentials.CredentialsError as error:
            self._asker.end("no.")
            if not self._asker.can_ask:
                error.message += " Nothing was saved."
                raise
            self._asker.say(f"  {error.message} Instead, the password can come from")
        else:
            self._asker.end("found.")
            return "keyring", kept
        self._asker.say("  1 a command that prints it, such as: pass show mail")
        self._asker.say("  2 a file that systemd hands to the daemon: 0600, not encrypted")
        self._asker.say("  3 decide later")
        return _PLACES[self._asker.line("", "  Which", "1", _place_of)], None

    # --- the test ---

    def _prove(self, account: Account, fetch: Callable[[], str] | None, left: int) -> Account | None:
        """Log in for real, and give the account; None where it was refused.

        Where nobody could tell the user may go on. `left` is how many tries there are after this one. Raises what the
        login raises where nobody can be asked.
        """
        from thanksd.transports.smtp import test_login  # noqa: PLC0415  as above

        while True:
            self._asker.begin("Testing the login")
            try:
                test_login(account.smtp, self._email, fetch)
            except UnavailableError as error:
                if self._goes_on_without(error):
                    return account
            except PermissionDeniedError as error:
                self._tell_refusal(error, left)
                return None
            else:
                self._asker.end("accepted.")
                return replace(account, tested=True)

    def _goes_on_without(self, error: ThanksdError) -> bool:
        """Say why nobody could tell whether the login is right, and ask whether to go on."""
        self._asker.end("no answer.")
        if not self._asker.can_ask:
            _raise(error)
        self._asker.say(f"  {error.message}")
        if self._provider is not None and self._smtp.host.startswith("127."):
            self._asker.say(f"  {self._provider.advice}.")
        return self._asker.agree("Go on without the test?", default=True, numbered=False)

    def _tell_refusal(self, error: ThanksdError, left: int) -> None:
        """Say the server's words, or why there was no password."""
        self._asker.end("refused.")
        if not self._asker.can_ask:
            _raise(error)
        ours, _, words = error.message.partition(" did not let us in: ")
        for advice in _ADVICE:
            words = words.partition(advice)[0]
        self._asker.say(f"  {self._name} said: {words}" if words else f"  {ours}")
        if words and self._provider and "app" in self._provider.password.lower():
            self._asker.say("  Usual cause: your normal password instead of an app password.")
        if left:
            self._asker.say("  Try again, or 2 to use your mail program.")

    def _given_up(self) -> Account:
        if not self._asker.can_ask:
            raise missing(PASSWORD_COMMAND)
        self._asker.say(f"  Refused {_TRIES} times: going on without it. Letters are shown, not sent.")
        self._asker.say("  When you have the right one: thanksd init")
        return Account("", self._smtp)


def _raise(error: ThanksdError) -> NoReturn:
    error.message += " Nothing was saved."
    raise error


def _giving(word: str) -> Callable[[], str]:
    return lambda: word


def _not_empty(words: str) -> str:
    if not words:
        raise UsageError("Nothing was typed.", 'For example: pass show mail. For pipes write: sh -c "..."')
    return words


def _place_of(digit: str) -> str:
    if digit not in _PLACES:
        raise UsageError(f"There is no choice {digit[:20]!r}.", f"Type one of: {', '.join(_PLACES)}")
    return digit
