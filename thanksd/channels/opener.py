"""Opens the user's terminal on a command, or their browser on a page, which is what a pressed button does.

Where there is a user manager it starts the program: outside the sandbox of the daemon's own unit, with the session's
environment, and living on when the daemon is restarted. Elsewhere it is a process in a session of its own.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from thanksd.channels.popups import clean
from thanksd.errors import UnavailableError

LIMIT = 5.0  # seconds a terminal has to start
SETTLE = 1.0  # seconds after which one that started is trusted to stay: without a display they leave at once

# What stands between a terminal's name and the command it shall run, from each one's manual, in the order they are
# tried: first what the desktop or Debian says the user chose (Debian Policy 11.8.3), then what may be installed.
_FORMS = {
    "xdg-terminal-exec": (),
    "x-terminal-emulator": ("-e",),
    "gnome-terminal": ("--",),
    "ptyxis": ("--",),
    "kgx": ("--",),
    "konsole": ("-e",),
    "xfce4-terminal": ("-x",),
    "mate-terminal": ("-x",),
    "lxterminal": ("-e",),
    "alacritty": ("-e",),
    "kitty": (),
    "foot": (),
    "wezterm": ("start", "--"),
    "st": ("-e",),
    "urxvt": ("-e",),
    "xterm": ("-e",),
}
# What opens a page in the browser that the user chose: the desktop's way, GLib's, then Debian's (Policy 11.8.4).
_BROWSERS = (("xdg-open",), ("gio", "open"), ("x-www-browser",), ("sensible-browser",), ("firefox",), ("chromium",))
_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
# The daemon's own business with its service manager (sd_notify(3), systemd.exec(5)).
_NOT_HANDED_ON = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "INVOCATION_ID", "CREDENTIALS_DIRECTORY")

# With these systemd-run says on stderr that the unit runs, whatever the session's log settings are.
_LOUD = {"SYSTEMD_LOG_LEVEL": "info", "SYSTEMD_LOG_TARGET": "console"}


def terminal_argv(
    setting: str,
    command: list[str],
    environ: Mapping[str, str],
    which: Callable[..., str | None] = shutil.which,
) -> list[str]:
    """Give the words that open `command` in a terminal: the one of `[nudge] terminal`, or with "auto" the first found.

    A setting may have options, such as "foot -a thanksd"; an unknown program gets the command after -e, as xterm does.
    Raises UnavailableError where there is no such program.
    """
    names = [[name] for name in _FORMS] if setting.strip() in ("", "auto") else [_words(setting, "nudge.terminal")]
    for name, *options in names:
        program = which(name, path=environ.get("PATH"))
        if program:
            return [program, *options, *_FORMS.get(Path(name).name, ("-e",)), *command]
    if len(names) > 1:
        raise UnavailableError("No terminal program was found.", "Name yours: thanksd config set nudge.terminal NAME")
    raise UnavailableError(
        f"The terminal program {names[0][0]} was not found.",
        "Name another: thanksd config set nudge.terminal NAME",
    )


def browser_argv(
    setting: str, environ: Mapping[str, str], which: Callable[..., str | None] = shutil.which
) -> list[str] | None:
    """Give the words that open a page, whose address goes behind them; None where there is no such program.

    With "auto" it is the first found. Raises UnavailableError for a setting that can't be read.
    """
    is_auto = setting.strip() in ("", "auto")
    for name, *options in _BROWSERS if is_auto else [_words(setting, "page.browser")]:
        program = which(name, path=environ.get("PATH"))
        if program:
            return [program, *options]
    return None


def has_screen(environ: Mapping[str, str]) -> bool:
    """Say whether a window can be opened: a manager knows of one, or a display is named here."""
    return _has_manager(environ) or any(environ.get(name) for name in _DISPLAY[:2])


async def open_page(setting: str, url: str, token: str, environ: Mapping[str, str]) -> None:
    """Open a page in the user's browser; `token` lets its window come to the front.

    Raises UnavailableError where there is none, or it did not start in 5 seconds.
    """
    argv = browser_argv(setting, environ)
    if argv is None:
        raise UnavailableError("No browser was found.", "Name yours: thanksd config set page.browser NAME")
    # What opens it may be gone before the browser that it started: that one is not to be ended with it.
    await _open([*argv, url], token, environ, "--property=KillMode=process")


async def open_terminal(setting: str, command: list[str], token: str, environ: Mapping[str, str]) -> None:
    """Open `command` in the user's terminal and leave it alone; `token` lets its window come to the front.

    Returns once the terminal runs, in a second or so. Raises UnavailableError where it did not start in 5 seconds.
    """
    await _open(terminal_argv(setting, command, environ), token, environ)


async def _open(argv: list[str], token: str, environ: Mapping[str, str], *properties: str) -> None:
    is_managed = _has_manager(environ)
    variables = {name: value for name, value in environ.items() if name not in _NOT_HANDED_ON} | _tokens(token)
    if is_managed:
        argv = _by_manager(argv, token, environ, properties)
        variables |= _LOUD
    process, said = _spawn(argv, variables)
    with said:
        await _watch(process, said, is_managed=is_managed)


def _words(setting: str, name: str) -> list[str]:
    try:
        return shlex.split(setting)
    except ValueError as error:
        raise UnavailableError(
            f"The setting {name} can't be read: {error}.", f"Set it: thanksd config set {name} NAME"
        ) from error


def _has_manager(environ: Mapping[str, str]) -> bool:
    """Say whether a user manager listens, as systemd-run will look for it."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if not runtime or not shutil.which("systemd-run", path=environ.get("PATH")):
        return False
    return Path(runtime, "systemd", "private").exists()


def _by_manager(argv: list[str], token: str, environ: Mapping[str, str], properties: Sequence[str] = ()) -> list[str]:
    """Wrap `argv` for the user manager (systemd-run(1)), which waits with it: so a terminal that fails is noticed.

    As a unit of the manager's we leave the display to it, because it learns of a new login and we don't; started by
    hand, the display is where we are.
    """
    shown = {} if "INVOCATION_ID" in environ else {name: environ[name] for name in _DISPLAY if environ.get(name)}
    variables = [f"--setenv={name}={value}" for name, value in {**shown, **_tokens(token)}.items()]
    return ["systemd-run", "--user", "--collect", "--wait", *properties, *variables, "--", *argv]


def _tokens(token: str) -> dict[str, str]:
    """Give the token under its names on Wayland and on X11."""
    return {"XDG_ACTIVATION_TOKEN": token, "DESKTOP_STARTUP_ID": token} if token else {}


def _spawn(argv: list[str], environ: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start `argv` in a session of its own, and give it with the file its complaints go to. Raises UnavailableError."""
    said = tempfile.TemporaryFile()  # noqa: SIM115  handed to the caller, who closes it
    try:
        process = subprocess.Popen(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
    except OSError as error:
        said.close()
        raise UnavailableError(f"{argv[0]} could not be started: {error.strerror}.") from error
    # Not asyncio's subprocess: that kills its child when the loop ends. The thread only reaps.
    threading.Thread(target=process.wait, daemon=True).start()
    return process, said


async def _watch(process: subprocess.Popen[bytes], said: IO[bytes], *, is_managed: bool) -> None:
    """Return when the window stands, or its program handed over and left well. Raises UnavailableError."""

    def has_ended() -> bool:
        return process.poll() is not None

    def has_started() -> bool:
        return not is_managed or os.fstat(said.fileno()).st_size > 0

    if not await _until(lambda: has_ended() or has_started(), LIMIT):
        process.kill()
        raise UnavailableError("No window opened within 5 seconds.")
    if await _until(has_ended, SETTLE) and process.returncode != 0:
        # pread, because the child writes at the same file offset.
        words = clean(os.pread(said.fileno(), 4096, 0).decode(errors="replace"))
        if not words or words.startswith("Running as unit"):
            words = f"it left at once, with exit code {process.returncode}."
        raise UnavailableError(f"No window opened: {words[-200:]}")


async def _until(happened: Callable[[], bool], seconds: float) -> bool:
    """Look for at most so many seconds whether something happened, and say whether it did."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not happened():
        if loop.time() >= end:
            return False
        await asyncio.sleep(0.05)
    return True
