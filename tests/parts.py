"""Real parts that tests need: found on PATH, or the test says which one is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"


def find(name: str) -> str | None:
    """Give the full path of an executable, also of one that lives where only root looks."""
    return shutil.which(name, path=_PATH)


def need_open_way(path: Path) -> None:
    """Skip a test that becomes somebody else, as root does, where only root can go to `path`, such as below /root."""
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents):
        pytest.skip(f"another user can't go to {path}")


def need(*names: str) -> None:
    """Skip the test with a reason where a part is missing; with CI=true that is a failure."""
    missing = [name for name in names if find(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)} (the line that installs them: make parts)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
