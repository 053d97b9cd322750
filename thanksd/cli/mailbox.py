"""Question 3 of `thanksd init`: how letters leave, and through which server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thanksd.cli.asker import Asker, complain
from thanksd.cli.login import Account, Login
from thanksd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from thanksd.config import Config, Smtp
    from thanksd.providers import Provider

_STARTTLS_PORT, _HIGHEST_PORT = 587, 65535
_KEY, _SMTP, _OPEN = "transport.kind", "transport.smtp.", "transport.mailto.open"
_NO_PASSWORDS = "  It takes no passwords from programs. Letters can open in Outlook, for you to send."
_SECURED = {"tls": "TLS", "starttls": "STARTTLS", "none": "not encrypted"}


def ask_account(asker: Asker, old: Config, email: str) -> Account:
    """Ask how letters leave, and for the login where they go through a server.

    Raises UsageError naming what is missing where nobody can be asked, and what the login raises there.
    """
    smtp, provider = _known(asker, old, email)
    kind = _ask_kind(asker, old, smtp, provider)
    if kind != "smtp":
        opens = provider.hand_off if provider and provider.auth == "xoauth2" else old.transport.mailto.open
        return Account(kind, smtp, asker.given.get(_OPEN, opens))
    while True:
        if not smtp.host:
            smtp, provider = _ask_server(asker, email, smtp)
            if _is_handed_over(asker, smtp, provider):
                return Account("mailto", smtp, asker.given.get(_OPEN, provider.hand_off if provider else "system"))
        try:
            return Login(asker, email, smtp, provider).ask()
        except ConfigError as error:
            if not asker.can_ask:
                raise
            complain(error)
            asker.given.pop(_SMTP + "host", None)
            smtp = replace(smtp, host="")


def _known(asker: Asker, old: Config, email: str) -> tuple[Smtp, Provider | None]:
    """Give the account as far as it is known: as given, as it was, or as the table of providers has it."""
    from thanksd import providers  # noqa: PLC0415  for this command alone

    before, host = old.transport.smtp, asker.given.get(_SMTP + "host", "")
    if before.host and email == old.me.email and host in ("", before.host):
        return _as_given(asker, before), providers.by_host(before.host)
    provider = providers.by_host(host) if host else providers.by_domain(email.rpartition("@")[2])
    smtp = replace(before, host=host, port=0, username="", password_command="", token_command="")
    return _as_given(asker, _of_provider(smtp, provider, email)), provider


def _of_provider(smtp: Smtp, provider: Provider | None, email: str) -> Smtp:
    if provider is None:
        return smtp
    return replace(
        smtp,
        host=provider.host,
        port=provider.port,
        security=provider.security,
        auth=provider.auth,
        username=provider.username(email),
    )


def _as_given(asker: Asker, smtp: Smtp) -> Smtp:
    """Put what --set says over what is known."""
    given = {name.removeprefix(_SMTP): words for name, words in asker.given.items() if name.startswith(_SMTP)}
    fields: dict[str, Any] = {name: int(words) if name == "port" else words for name, words in given.items()}
    return replace(smtp, **fields)


def _ask_kind(asker: Asker, old: Config, smtp: Smtp, provider: Provider | None) -> str:
    """Ask question 3, and give the transport's kind; one that is no answer here, such as maildir, can stay as it is."""
    given = asker.given.get(_KEY, "smtp" if _SMTP + "host" in asker.given else None)
    if given is not None:
        return given
    name = provider.name if provider else smtp.host or "your mail server"
    ways = {"1": f"through {name}", "2": "my mail program", "3": "decide later"}
    if smtp.host:
        port = f", port {smtp.port}" if smtp.port else ""
        asker.say(f"  This is {name}: {smtp.host}{port}, {_SECURED[smtp.security]}.")
    needs_token = _needs_token(smtp, provider)
    if needs_token:
        asker.say(_NO_PASSWORDS)
        ways |= {"1": f"through {name}, by access tokens", "2": "in Outlook on the web"}
    kinds = {"1": "smtp", "2": "mailto", "3": ""}
    default = "2" if needs_token else "1"
    if old.me.email and (old.transport.kind or not needs_token):
        default = {kind: digit for digit, kind in kinds.items()}.get(old.transport.kind, "4")
    if default == "4":
        ways["4"], kinds["4"] = f"as it is ({old.transport.kind})", old.transport.kind
    return kinds[asker.choose(_KEY, "How do letters leave?", ways, default)]


def _needs_token(smtp: Smtp, provider: Provider | None) -> bool:
    return bool(provider and provider.auth == "xoauth2" and not smtp.token_command)


def _is_handed_over(asker: Asker, smtp: Smtp, provider: Provider | None) -> bool:
    """Ask, where the server that was just named takes no passwords, whether letters open there instead."""
    if _KEY in asker.given or not _needs_token(smtp, provider):
        return False
    asker.say(_NO_PASSWORDS)
    return asker.agree("Open them in Outlook on the web?", default=True, numbered=False)


def _ask_server(asker: Asker, email: str, smtp: Smtp) -> tuple[Smtp, Provider | None]:
    """Ask for the server of a domain that no provider is known for; its provider's name is an answer too."""
    from thanksd import providers  # noqa: PLC0415  as above

    # A guess that nobody looked at is no default.
    guess = "" if asker.yes else f"smtp.{email.rpartition('@')[2]}"
    host = asker.line(_SMTP + "host", "  Its server, or who runs it (google, microsoft, ionos ...)", guess)
    provider = providers.by_name(host) or providers.by_host(host)
    if provider is not None:
        return _as_given(asker, _of_provider(smtp, provider, email)), provider
    port = asker.line(_SMTP + "port", "  Its port: 465, or 587 for STARTTLS", "465", _port)
    secured = "starttls" if int(port) == _STARTTLS_PORT else "tls"
    secured = asker.line(_SMTP + "security", "  tls from the start, or starttls", secured, _security)
    user = asker.line(_SMTP + "username", "  Your login name there", email)
    return replace(
        smtp, host=host, port=int(port), security=secured, username="" if user == email else user, auth="password"
    ), None


def _port(words: str) -> str:
    if not (words.isascii() and words.isdigit() and 0 < int(words) <= _HIGHEST_PORT):
        raise UsageError(f"{words[:20]!r} is no port.", "It is a number: 465, or 587 for STARTTLS.")
    return words


def _security(words: str) -> str:
    from thanksd import config_file  # noqa: PLC0415  as above

    return str(config_file.understood(_SMTP + "security", words.lower()))
