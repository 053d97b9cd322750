"""The daemon as a systemd user unit: written, started, stopped and looked at. No rules of the product.

`systemd/thanksd.service` is the unit; only the program's path and a few folder variables are filled in. No secret is
ever written into it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from thanksd import paths
from thanksd.errors import ConfigError, PermissionDeniedError, UnavailableError

NAME = "thanksd.service"

# Where the shell that installs has its own idea of these, the daemon must share it, or it would keep another ledger.
_CARRIED = ("THANKSD_CONFIG", "THANKSD_STORE", "XDG_CONFIG_HOME", "XDG_DATA_HOME")

# `enable --now` waits until the daemon says READY=1, which the unit allows five minutes for.
_START_SECONDS = 330.0


class _Answer(NamedTuple):
    ok: bool
    out: str
    error: str


def program() -> str:
    """Give the absolute path of the running `thanksd`, links resolved, for ExecStart.

    Raises UnavailableError where it runs from something that is no program file of its own (a module, a zip).
    """
    started = shutil.which(sys.argv[0]) or ""
    # `python -m thanksd` is started by a module's path; the script that pip made stands beside the interpreter.
    beside = Path(sys.executable).parent / "thanksd"
    for candidate in (Path(started), beside):
        if candidate.name == "thanksd" and os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate.resolve())
    raise UnavailableError(
        "There is no thanksd program that systemd could start.",
        "Install thanksd (pipx install ...), and run it by name.",
    )


def unit_text(exec_path: str, environ: Mapping[str, str] | None = None) -> str:
    """Fill in the unit: the program's absolute path, and of `environ` the folders the daemon has to share.

    Raises ConfigError for a path that systemd can't start, and for a store address with a password in it.
    """
    template = (paths.data_folder("systemd") / NAME).read_text(encoding="utf-8")
    carried = _carried(environ or {})
    lines = [f"Environment={_quoted(f'{name}={value}')}\n" for name, value in carried.items()]
    lines += [f"ReadWritePaths={_quoted(f'-{folder}')}\n" for folder in _store_folders(carried)]
    text = template.replace("@EXEC@", _escaped_program(exec_path))
    return text.replace("[Service]\n", "[Service]\n" + "".join(lines), 1)


def _carried(environ: Mapping[str, str]) -> dict[str, str]:
    store = environ.get("THANKSD_STORE", "")
    if "://" in store and urlsplit(store).password is not None:
        raise ConfigError(
            "The store's address has a password in it, and units are no place for one. Nothing was installed.",
            "Leave it out of THANKSD_STORE and keep it in ~/.pgpass.",
        )
    return {name: _absolute(name, environ[name]) for name in _CARRIED if environ.get(name)}


def _store_folders(carried: Mapping[str, str]) -> list[str]:
    # They may lie outside the home, where ProtectSystem=strict makes everything read-only.
    store = carried.get("THANKSD_STORE", "").removeprefix("sqlite:///")
    folders = [carried.get("XDG_DATA_HOME", ""), str(Path(store).parent)]
    return [folder for folder in folders if folder.startswith("/")]


def _absolute(name: str, value: str) -> str:
    # The daemon starts in the home folder, not in the one this was typed in.
    return str(Path(value).expanduser().absolute()) if name.startswith("THANKSD_") and "://" not in value else value


def _escaped_program(path: str) -> str:
    # systemd.unit(5): % starts a specifier. The unit's ":" keeps $ as it is. Quotes, backslashes and control
    # characters in a program's name are refused by systemd itself, however they are escaped.
    if not path.startswith("/") or any(char in "\"'\\\x7f" or char < " " for char in path):
        raise ConfigError(
            f"systemd can't start a program with this path: {path!r}. Nothing was installed.",
            "Install thanksd where the path has no quotes, backslashes or control characters.",
        )
    return path.replace("%", "%%")


def _quoted(word: str) -> str:
    # systemd.syntax(7), "Quoting": C escapes inside double quotes.
    if any(char < " " or char == "\x7f" for char in word):
        raise ConfigError(f"A control character is in {word!r}. Nothing was installed.", "Set it to another path.")
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def install(environ: Mapping[str, str], exec_path: str) -> str:
    """Write the unit and have the daemon running now and after each login; give the sentence that says so.

    `environ` is the environment of the one who installs, with --config and --store already put into it. A daemon that
    already runs is restarted, so that it is of this version and under this unit; a letter in hand is finished first.
    Raises UnavailableError where no user manager answers (the unit is written all the same) or the daemon does not
    start, PermissionDeniedError where the unit can't be written.
    """
    text = unit_text(exec_path, environ)
    path = _folder(environ) / NAME
    _write(path, text)
    reloaded = _systemctl(environ, "daemon-reload")
    if not reloaded.ok:
        raise UnavailableError(
            f"The unit is written ({path}), but no systemd user manager answers: {reloaded.error}.",
            "From a login of your own: systemctl --user enable --now thanksd. Without systemd: thanksd run",
        )
    _start(environ, path)
    return f"Daemon running (pid {status(environ)['pid']}), and started at each login. The unit: {path}"


def _start(environ: Mapping[str, str], path: Path) -> None:
    # A unit that kept failing is not started again before its counter is reset.
    _systemctl(environ, "reset-failed", NAME)
    for move in ("enable", "restart"):
        answer = _systemctl(environ, move, NAME)
        if not answer.ok:
            raise UnavailableError(
                f"The unit is written ({path}), but the daemon does not start: {answer.error}.",
                "See why: systemctl --user status thanksd, or: thanksd run",
            )


def uninstall(environ: Mapping[str, str]) -> str:
    """Stop the daemon, remove the unit and give the sentence that says so; the ledger stays where it is.

    Raises UnavailableError where the daemon can't be stopped; the unit is then left in place.
    """
    path = _folder(environ) / NAME
    if not path.exists():
        return "There is no unit to remove."
    if _systemctl(environ, "daemon-reload").ok:
        stopped = _systemctl(environ, "disable", "--now", NAME)
        if not stopped.ok:
            raise UnavailableError(
                f"The daemon was not stopped: {stopped.error}.", "Try: systemctl --user stop thanksd"
            )
    (path.parent / "default.target.wants" / NAME).unlink(missing_ok=True)
    path.unlink()
    _systemctl(environ, "daemon-reload")
    return f"Daemon stopped, unit removed: {path}. Your ledger is untouched."


def status(environ: Mapping[str, str]) -> dict[str, bool | int | str | None]:
    """Tell how the unit stands, as JSON-able values.

    `installed`: the unit is written. `enabled`: it starts at each login. `active`: systemd's word (active, activating,
    inactive, failed ...), or unknown where no user manager answers. `pid`: the daemon's, or null. `unit`: its path.
    """
    path = _folder(environ) / NAME
    properties = _properties(environ, "ActiveState", "MainPID", "UnitFileState")
    return {
        "installed": path.exists(),
        "enabled": properties.get("UnitFileState") == "enabled",
        "active": properties.get("ActiveState", "unknown"),
        "pid": int(properties.get("MainPID", "0")) or None,
        "unit": str(path),
    }


def _properties(environ: Mapping[str, str], *names: str) -> dict[str, str]:
    answer = _systemctl(environ, "show", NAME, "--property", ",".join(names))
    return dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line) if answer.ok else {}


def _folder(environ: Mapping[str, str]) -> Path:
    """Choose the folder for units that the running manager reads.

    The manager started with its own environment: an XDG_CONFIG_HOME set in a shell's start-up file is unknown to it.
    """
    usual = Path(environ.get("HOME") or paths.home()) / ".config"
    set_here = Path(environ.get("XDG_CONFIG_HOME", ""))
    candidates = [base / "systemd/user" for base in (set_here, usual) if base.is_absolute()]
    read = _systemctl(environ, "show", "--property", "UnitPath", "--value").out.split()
    return next((folder for folder in candidates if str(folder) in read), candidates[0])


def _write(path: Path, text: str) -> None:
    """Write the unit whole or not at all (0600)."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{NAME}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise PermissionDeniedError(
            f"The unit can't be written: {path}: {error.strerror}.", f"Make the folder writable: {path.parent}"
        ) from error


def _systemctl(environ: Mapping[str, str], *arguments: str) -> _Answer:
    """Ask the user manager; a machine without systemd answers like one whose manager is not there."""
    tool = shutil.which("systemctl", path=environ.get("PATH"))
    if tool is None:
        return _Answer(ok=False, out="", error="systemctl is not installed")
    try:
        done = subprocess.run(
            [tool, "--user", "--no-pager", *arguments],
            env=_with_runtime_folder(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Answer(ok=False, out="", error=f"no answer in {_START_SECONDS:.0f} s")
    error = " ".join(done.stderr.split()).rstrip(".") or f"systemctl ended with {done.returncode}"
    return _Answer(done.returncode == 0, done.stdout, error)


def _with_runtime_folder(environ: Mapping[str, str]) -> dict[str, str]:
    # cron, su and ssh without PAM lack the variable while the folder, and the manager in it, are there.
    usual = Path(f"/run/user/{os.getuid()}")
    found = {"XDG_RUNTIME_DIR": str(usual)} if usual.is_dir() else {}
    return {**found, **environ, "LC_ALL": "C.UTF-8"}
