"""What every test stands on: an own home with short paths, a fixed zone and umask, and nothing of who runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from program_rigs import Start

# What a rig asserts is told as what a test does.
_RIGS = {path.stem for path in Path(__file__).parent.glob("*_rigs.py")}
pytest.register_assert_rewrite(*sorted(_RIGS - set(sys.modules)))

pytest_plugins = ["systemd_rigs", "cells", "postgres_rigs"]

CHECKOUT = Path(__file__).resolve().parent.parent

# What a session, a shell or a CI job may have set and the product or its parts would listen to.
_OF_OTHERS = (
    *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "TERMINAL"),
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "LISTEN_FDS", "CREDENTIALS_DIRECTORY"),
    *("EDITOR", "VISUAL", "PAGER", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"),
    *("LANGUAGE", "LC_TIME", "LC_MESSAGES", "LC_CTYPE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("XDG_CONFIG_DIRS", "XDG_DATA_DIRS"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-start", action="store_true", help="start the program by its script each time (slow)")


def pytest_configure(config: pytest.Config) -> None:
    Start.is_whole = bool(config.getoption("--whole-start"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long text by its beginning: the name is in each program's environment, which has to fit into a message."""
    return f"{val[:40]!a}, {len(val)} long" if isinstance(val, str | bytes) and len(val) > 200 else None


# First: xdist reads the groups as its workers collect, and knows no mark that is put on after that.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what needs the built package in one process: it is built, and installed for a user of the machine, once."""
    for item in items:
        if "dist" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("installed"))


@pytest.fixture
def whole_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the program by its script, as a person's shell does."""
    monkeypatch.setattr(Start, "is_whole", True)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A private folder whose path is short: a Unix socket's has room for 107 bytes, and tmp_path is long."""
    folder = Path(tempfile.mkdtemp(prefix="td-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def home(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home, and every XDG folder in it; the zone is Europe/Berlin, the umask Debian's usual 022."""
    folder = short_dir / "h"
    folder.mkdir(mode=0o700)
    for variable, name in _folders().items():
        monkeypatch.setenv(variable, str(folder / name) if name else str(folder))
    (folder / "run").mkdir(mode=0o700)
    for variable in (*_OF_OTHERS, *(name for name in os.environ if name.startswith(("THANKSD_", "PYTHON")))):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    umask = os.umask(0o022)
    yield folder
    os.umask(umask)
    monkeypatch.undo()
    time.tzset()


def _folders() -> dict[str, str]:
    return {
        "HOME": "",
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
        "XDG_RUNTIME_DIR": "run",
    }


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist of this checkout and the wheel that was built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The wheel, as it is shipped."""
    (found,) = dist.glob("*.whl")
    return found
