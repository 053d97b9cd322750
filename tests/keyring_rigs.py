"""A real keyring of one's own on a bus of a test: gnome-keyring, and the window in which it asks to be unlocked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import parts
from cli_rigs import thanksd
from desktop_rigs import wait_for

_LOGIN_WORD = "pw"
_NAME = "org.freedesktop.secrets"
_PROMPTER = "org.gnome.keyring.SystemPrompter"
_COLLECTION = "['/org/freedesktop/secrets/collection/login']"
_LOCK = ("-o", "/org/freedesktop/secrets", "-m", "org.freedesktop.Secret.Service.Lock", _COLLECTION)
_HAS_OWNER = ("-o", "/", "-m", "org.freedesktop.DBus.NameHasOwner", _NAME)


def need() -> None:
    """Skip, or fail with CI=true, where the keyring's parts are not installed."""
    parts.need("dbus-daemon", "gnome-keyring-daemon", "gdbus", "setpriv")


def prompter(display: str) -> dict[str, str]:
    """Give the service by which a bus opens the window that asks to unlock, on that display."""
    return {_PROMPTER: f"/usr/bin/env DISPLAY={display} /usr/libexec/gcr-prompter"}


class Keyring:
    """A running keyring, unlocked; its files are in the home of the test, so the next one there has what this one kept."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._environ, self.pid = dict(environ), pid

    def keep(self, secret: str) -> None:
        """Keep the mail account's password, as its owner does."""
        done = thanksd("credentials", "set", "--no-test", stdin=f"{secret}\n".encode(), env=self._environ)
        assert done.code == 0, done

    def lock(self) -> None:
        self._call(_NAME, *_LOCK)

    def _call(self, name: str, *words: str) -> str:
        done = subprocess.run(
            ["gdbus", "call", "--session", "-d", name, *words],
            env={**os.environ, **self._environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def is_there(self) -> bool:
        return "true" in self._call("org.freedesktop.DBus", *_HAS_OWNER)


@contextmanager
def keyring(environ: Mapping[str, str]) -> Iterator[Keyring]:
    """Run a keyring on the bus of `environ` until the block ends, unlocked as by a login."""
    need()
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "gnome-keyring-daemon",
        "--foreground",
        "--unlock",
        "--components=secrets",
    ]
    with subprocess.Popen(
        words,
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(_LOGIN_WORD.encode())
            process.stdin.close()
            running = Keyring(environ, process.pid)
            wait_for(running.is_there)
            yield running
        finally:
            process.kill()


def prompts(environ: Mapping[str, str]) -> list[str]:
    """Give the windows that ask to unlock the keyring now."""
    seek = ["xdotool", "search", "--onlyvisible", "--class", "gcr-prompter"]
    return subprocess.run(seek, env=dict(environ), capture_output=True, text=True, check=False).stdout.split()


def answer(environ: Mapping[str, str]) -> None:
    """Type the keyring's own password into the window that asks for it."""
    wait_for(lambda: bool(prompts(environ)))
    window = prompts(environ)[-1]
    words = ["xdotool", "windowfocus", "--sync", window, "type", _LOGIN_WORD]
    subprocess.run(words, env=dict(environ), check=True, capture_output=True)
    subprocess.run(["xdotool", "key", "Return"], env=dict(environ), check=True, capture_output=True)
