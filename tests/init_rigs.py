"""What `thanksd init` meets: a mail server with TLS and a login, a keyring on a bus of its own, and somebody who answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import desktop_rigs
import parts
from smtp_rigs import USER, Authority, Mailbox, mail_server
from terminal_rigs import Terminal

NAME, EMAIL = "Your name, as under a letter", "Your email address"
KIND, SERVER, PORT = "How do letters leave?", "Its server, or who runs it", "Its port"
SECURITY, LOGIN = "tls from the start", "Your login name there"
QUIET, FRIDAY, SERVICE = "No reminders between", "Ask every Friday 16:00", "Start with your session"


@contextmanager
def account(folder: Path) -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    """Run a mail server on localhost with TLS from the start, and give it with the environment that trusts it."""
    authority = Authority(folder)
    with mail_server(authority.context(), implicit=True) as box:
        yield box, {"SSL_CERT_FILE": str(authority.file)}


@contextmanager
def keyring(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a bus and an unlocked gnome-keyring on it, and give the environment to reach it."""
    parts.need("dbus-daemon", "gnome-keyring-daemon", "busctl", "setpriv")
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "gnome-keyring-daemon",
        "--foreground",
        "--unlock",
        "--components=secrets",
    ]
    with desktop_rigs.bus(folder) as environ:
        found = {"DBUS_SESSION_BUS_ADDRESS": environ["DBUS_SESSION_BUS_ADDRESS"]}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as child:
            assert child.stdin is not None
            child.stdin.write(b"login")
            child.stdin.close()
            try:
                desktop_rigs.wait_for(lambda: _has_secrets(environ))
                yield found
            finally:
                child.kill()


def _has_secrets(environ: Mapping[str, str]) -> bool:
    words = ["busctl", "--address", environ["DBUS_SESSION_BUS_ADDRESS"], "list", "--acquired", "--no-legend"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    return "org.freedesktop.secrets" in done.stdout


def answer(terminal: Terminal, *answers: tuple[str, str]) -> None:
    """Answer questions: each is waited for, then its line is typed."""
    for question, text in answers:
        terminal.ready(question)
        terminal.line(text)


def to_the_password(terminal: Terminal, box: Mailbox, *, name: str = "Ada Byron") -> None:
    """Answer everything up to the password, with a server that no provider is known for."""
    answer(
        terminal,
        (NAME, name),
        (EMAIL, USER),
        (KIND, ""),
        (SERVER, "localhost"),
        (PORT, str(box.port)),
        (SECURITY, ""),
        (LOGIN, ""),
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder with what is in it; the programs' caches apart."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
