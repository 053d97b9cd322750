"""The check `transport`, and with it `credentials`: can the password be had, and would a letter leave."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from thanksd import config, credentials, service
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.errors import ConfigError, PermissionDeniedError, UnavailableError
from thanksd.transports import check, handoff

_AGAIN = "Once you are connected: thanksd doctor"


def transport(place: Place) -> Iterator[Finding]:
    """Fetch the password as a letter would, and log in with it; nothing is sent."""
    settings = place.settings()
    account = settings.transport
    if not account.kind:
        yield look_at("transport", "No mail account is set up: no letter can leave.", "Set one up: thanksd init")
        return
    try:
        check(account)
    except ConfigError as error:
        yield mend("transport", error.message, error.hint)
        return
    if account.kind == "smtp":
        yield from _smtp(place, settings)
    else:
        yield ok("credentials", "None are needed.")
        yield _maildir(account) if account.kind == "maildir" else _handed_off(place, account)


def _maildir(account: config.Transport) -> Finding:
    folder = Path(account.maildir.path).expanduser()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return mend("transport", f"Letters can't be saved in {folder}.", f"Check who owns it: ls -ld {there}")
    return ok("transport", f"Letters are saved in {folder}; nobody is mailed.")


def _handed_off(place: Place, account: config.Transport) -> Finding:
    """Look for what opens a letter or a page in the user's own program (xdg-open(1))."""
    path = place.environ.get("PATH")
    if shutil.which("xdg-open", path=path) is None and shutil.which("gio", path=path) is None:
        words = "Letters are handed to your mail program, and nothing here can open one (no xdg-open)."
        return mend("transport", words, "Install it: sudo apt install xdg-utils")
    return ok("transport", f"Letters are handed to {handoff.place(account)}.")


def _smtp(place: Place, settings: config.Config) -> Iterator[Finding]:
    """Say how the password stands, then how the login went."""
    smtp, me = settings.transport.smtp, settings.me.email
    read = credentials.reader(smtp, me, place.environ)
    secret = ""
    if read is None:
        yield ok("credentials", f"{smtp.host} is used without a login.")
    elif not (smtp.username or me):
        yield mend(
            "credentials", "The account has no login name.", "Set it: thanksd config set me.email YOU@EXAMPLE.COM"
        )
        return
    else:
        try:
            secret = read()
        except (credentials.CredentialsError, ConfigError) as error:
            yield from _without_secret(place, smtp.host, error)
            return
        yield ok("credentials", f"There is a {_source(smtp)} for {credentials.account(smtp, me)}.")
    yield ok("transport", "Not tested (--offline).") if place.offline else _login(smtp, me, secret)


def _source(smtp: config.Smtp) -> str:
    if smtp.auth == "xoauth2":
        return "token, by token_command,"
    return "password, by password_command," if smtp.password_command else "password in the keyring"


def _without_secret(place: Place, host: str, error: PermissionDeniedError | ConfigError) -> Iterator[Finding]:
    unit = Path(str(service.status(place.environ)["unit"]))
    folder = unit.with_name(f"{unit.name}.d")
    lines = [
        path.read_text(encoding="utf-8", errors="replace") for path in (unit, *folder.glob("*.conf")) if path.is_file()
    ]
    if any("LoadCredential" in text and credentials.CREDENTIAL_FILE in text for text in lines):
        yield ok("credentials", "systemd hands the password to the daemon alone.")
        yield ok("transport", f"The login at {host} can't be tested from here.")
        return
    yield mend("credentials", error.message, error.hint)
    yield look_at("transport", f"The login at {host} was not tested, for want of the password.", "Mend that first.")


def _login(smtp: config.Smtp, me: str, secret: str) -> Finding:
    from thanksd.transports.smtp import test_login  # noqa: PLC0415  no other check needs smtplib and ssl

    try:
        said = test_login(smtp, me, lambda: secret)
    except PermissionDeniedError as error:
        return mend("transport", error.message, error.hint)
    except UnavailableError as error:
        return _unreachable(smtp.host, error)
    return ok("transport", f"{smtp.host} let us in: {said}")


def _unreachable(host: str, error: UnavailableError) -> Finding:
    """Tell a machine without a network, which is no fault of the account's, from a server that can't be had."""
    words = error.message.lower()
    if "certificate" in words or "ssl" in words or "tls" in words:
        secured = "The server could not prove who it is, or speaks TLS otherwise, so nothing was sent."
        return mend("transport", f"{secured} {error.message}", "Check host, port and security: thanksd config")
    if not _has_network(host):
        return look_at("transport", "There is no network now: the login was not tested. Letters wait.", _AGAIN)
    return mend("transport", error.message, error.hint)


def _has_network(host: str) -> bool:
    """Say whether the way to `host` is known here at all; no packet is sent by connecting a datagram socket (ip(7))."""
    for address in ("192.0.2.1", "2001:db8::1"):  # RFC 5737 and RFC 3849: nobody's, and behind the default route
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((address, 9))
            except OSError:
                continue
            return True
    return host in ("localhost", "127.0.0.1", "::1")
