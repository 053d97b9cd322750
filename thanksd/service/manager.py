"""The user's systemd manager, asked by `systemctl --user`, and the folder it reads units from."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from thanksd import paths

# `enable --now` waits until the daemon says READY=1, which the unit allows five minutes for.
_START_SECONDS = 330.0


class Answer(NamedTuple):
    """What systemctl said: whether it went well, its output, and its complaint as one line."""

    ok: bool
    out: str
    error: str


def systemctl(environ: Mapping[str, str], *arguments: str) -> Answer:
    """Ask the user manager; a machine without systemd answers like one whose manager is not there."""
    tool = shutil.which("systemctl", path=environ.get("PATH"))
    if tool is None:
        return Answer(ok=False, out="", error="systemctl is not installed")
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
        return Answer(ok=False, out="", error=f"no answer in {_START_SECONDS:.0f} s")
    error = " ".join(done.stderr.split()).rstrip(".") or f"systemctl ended with {done.returncode}"
    return Answer(done.returncode == 0, done.stdout, error)


def properties(environ: Mapping[str, str], unit: str, *names: str) -> dict[str, str]:
    """Give properties of a unit by name (systemctl show); empty where no manager answers."""
    answer = systemctl(environ, "show", unit, "--property", ",".join(names))
    return dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line) if answer.ok else {}


def unit_folder(environ: Mapping[str, str]) -> Path:
    """Choose the folder for units that the running manager reads.

    The manager started with its own environment: an XDG_CONFIG_HOME set in a shell's start-up file is unknown to it.
    """
    usual = Path(environ.get("HOME") or paths.home()) / ".config"
    set_here = Path(environ.get("XDG_CONFIG_HOME", ""))
    candidates = [base / "systemd/user" for base in (set_here, usual) if base.is_absolute()]
    read = systemctl(environ, "show", "--property", "UnitPath", "--value").out.split()
    return next((folder for folder in candidates if str(folder) in read), candidates[0])


def _with_runtime_folder(environ: Mapping[str, str]) -> dict[str, str]:
    # cron, su and ssh without PAM lack the variable while the folder, and the manager in it, are there.
    usual = Path(f"/run/user/{os.getuid()}")
    found = {"XDG_RUNTIME_DIR": str(usual)} if usual.is_dir() else {}
    return {**found, **environ, "LC_ALL": "C.UTF-8"}
