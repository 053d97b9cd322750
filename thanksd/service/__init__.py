"""The daemon as a systemd user unit: written, started, stopped and looked at. No rules of the product.

`unit` has the texts, `manager` is the way to systemd, `furniture` are the files that desktop, shells and man find by
themselves. No secret is ever written into any of them. Standard library only: `make install` uses it before anything
is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from thanksd.errors import UnavailableError
from thanksd.service import furniture
from thanksd.service.manager import properties, systemctl, unit_folder
from thanksd.service.unit import ALARM, NAME, NAMES, filled_in, filling, texts, unit_text

__all__ = ["ALARM", "NAME", "NAMES", "install", "program", "renew", "status", "uninstall", "unit_text"]

_INSTALL = "thanksd service install"
_VERSION_SECONDS = 20.0


def program() -> str:
    """Give the absolute path of the running `thanksd` for ExecStart.

    A link stays a link: those in ~/.local/bin keep their place when what they lead to is made anew by an upgrade.
    Raises UnavailableError where it runs from something that is no program file of its own (a module, a zip).
    """
    started = shutil.which(sys.argv[0]) or ""
    # `python -m thanksd` is started by a module's path; the script that pip made stands beside the interpreter.
    beside = Path(sys.executable).parent / "thanksd"
    for candidate in (Path(started), beside):
        if candidate.name == "thanksd" and os.access(candidate, os.X_OK) and candidate.is_file():
            return os.path.abspath(candidate)  # noqa: PTH100  Path.absolute() keeps the ".." of a path typed
    raise UnavailableError(
        "There is no thanksd program that systemd could start.",
        "Install thanksd (make install), and run it by name.",
    )


def install(environ: Mapping[str, str], exec_path: str) -> str:
    """Write the units and the menu entry, have the daemon running now and after each login; say so in a sentence.

    `environ` is the environment of the one who installs, with --config and --store already put into it. A daemon that
    already runs is restarted, so that it is of this version and under this unit; a letter in hand is finished first.
    Raises UnavailableError where no user manager answers (the unit is written all the same) or the daemon does not
    start, PermissionDeniedError where a file can't be written.
    """
    folder = unit_folder(environ)
    _write(folder, texts(filling(exec_path, environ)))
    if not furniture.is_made(environ):
        furniture.put(furniture.desktop_files(environ, exec_path))
    reloaded = systemctl(environ, "daemon-reload")
    if not reloaded.ok:
        raise UnavailableError(
            f"The unit is written ({folder / NAME}), but no systemd user manager answers: {reloaded.error}.",
            "From a login of your own: systemctl --user enable --now thanksd. Without systemd: thanksd run",
        )
    _start(environ, folder / NAME)
    return f"Daemon running (pid {_pid(environ)}), and started at each login. The unit: {folder / NAME}"


def _start(environ: Mapping[str, str], path: Path) -> None:
    # A unit that kept failing is not started again before its counter is reset.
    systemctl(environ, "reset-failed", NAME)
    for move in ("enable", "restart"):
        answer = systemctl(environ, move, NAME)
        if not answer.ok:
            raise UnavailableError(
                f"The unit is written ({path}), but the daemon does not start: {answer.error}.",
                "See why: systemctl --user status thanksd, or: thanksd run",
            )


def renew(environ: Mapping[str, str], exec_path: str) -> str:
    """After an upgrade of the program at `exec_path`: bring its units up to date and restart a daemon that runs.

    What was filled into the unit stays. Gives a sentence, or "" where there is no unit. Raises UnavailableError where
    the daemon runs on with the old version, or not at all.
    """
    folder = unit_folder(environ)
    path = folder / NAME
    if not path.exists():
        return ""
    found = filled_in(path.read_text(encoding="utf-8"))
    if found is None or Path(found.program).resolve() != Path(exec_path).resolve():
        return f"The daemon's unit starts another program, and was left alone: {path}. To have this one: {_INSTALL}"
    _write(folder, texts(found))
    for move in (["daemon-reload"], ["try-restart", NAME]):
        answer = systemctl(environ, *move)
        if not answer.ok:
            raise UnavailableError(
                f"The daemon could not be restarted: {answer.error}. Nothing is lost.", f"Start it: {_INSTALL}"
            )
    pid = _pid(environ)
    return f"Daemon restarted (pid {pid})." if pid else f"The daemon is not running. Start it: {_INSTALL}"


def uninstall(environ: Mapping[str, str]) -> str:
    """Stop the daemon, remove units and menu entry, and say so in a sentence; the ledger stays where it is.

    Raises UnavailableError where the daemon can't be stopped; the units are then left in place.
    """
    folder = unit_folder(environ)
    if not furniture.is_made(environ):
        furniture.take_away(furniture.desktop_places(environ))
    if not any((folder / name).exists() for name in NAMES):
        return "There is no unit to remove."
    if systemctl(environ, "daemon-reload").ok:
        _stop(environ, folder)
    for path in (folder / "default.target.wants" / NAME, *(folder / name for name in NAMES)):
        path.unlink(missing_ok=True)
    systemctl(environ, "daemon-reload")
    return f"Daemon stopped, unit removed: {folder / NAME}. Your ledger is untouched."


def _stop(environ: Mapping[str, str], folder: Path) -> None:
    for name, move in ((NAME, ["disable", "--now"]), (ALARM, ["stop"])):
        stopped = systemctl(environ, *move, name) if (folder / name).exists() else None
        if stopped is not None and not stopped.ok:
            raise UnavailableError(
                f"The daemon was not stopped: {stopped.error}.", f"Try: systemctl --user stop {name}"
            )
    systemctl(environ, "reset-failed", *NAMES)


def status(environ: Mapping[str, str]) -> dict[str, bool | int | str | None]:
    """Tell how the unit stands, as JSON-able values.

    `installed`: the unit is written. `enabled`: it starts at each login. `active`: systemd's word (active, activating,
    inactive, failed ...), or unknown where no user manager answers. `pid`: the daemon's, or null. `unit`: its path.
    `exec_start`: the program it starts, or null where it is not written or not as we write it. `program_exists`: that
    program is there and may be run. `program_version`: what it says itself, null where it does not even say that.
    `unit_current`: both units are as this version writes them.
    """
    path = unit_folder(environ) / NAME
    found = properties(environ, NAME, "ActiveState", "MainPID", "UnitFileState")
    return {
        "installed": path.exists(),
        "enabled": found.get("UnitFileState") == "enabled",
        "active": found.get("ActiveState", "unknown"),
        "pid": int(found.get("MainPID", "0")) or None,
        "unit": str(path),
        **_written(path),
    }


def _written(path: Path) -> dict[str, bool | str | None]:
    """Give what the units as they are written say, and of the program that they start."""
    units = {name: _read(path.with_name(name)) for name in NAMES}
    found = filled_in(units[NAME])
    start = found.program if found else None
    exists = start is not None and Path(start).is_file() and os.access(start, os.X_OK)
    return {
        "exec_start": start,
        "program_exists": exists,
        "program_version": _version(start) if start and exists else None,
        "unit_current": found is not None and texts(found) == units,
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _version(start: str) -> str | None:
    # A script stays when the Python under it has gone with an upgrade of the system: only running it tells.
    try:
        done = subprocess.run(
            [start, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    name, _, version = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and name == "thanksd" and version else None


def _pid(environ: Mapping[str, str]) -> int | None:
    return int(properties(environ, NAME, "MainPID").get("MainPID", "0")) or None


def _write(folder: Path, units: Mapping[str, str]) -> None:
    for name in reversed(NAMES):
        furniture.write(folder / name, units[name])
