"""Where things are: XDG folders (the XDG Base Directory Specification), and our own data folders."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from thanksd.errors import ConfigError, PermissionDeniedError

_PACKAGE = Path(__file__).resolve().parent
# How a shared store's name may begin; the first is the one that SQLAlchemy is given.
_SERVERS = ("postgresql+psycopg://", "postgresql://", "postgres://")
# What SQLAlchemy takes for one, which may hold a slash.
_WITH_PASSWORD = re.compile(r"[^:/]*:[^@]*@")


def data_folder(name: str) -> Path:
    """Find `templates`, `migrations`, `systemd` or `desktop`: inside the package, or beside it in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def config_file() -> Path:
    """Give the config file's default place."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "thanksd" / "config.toml"


def user_templates(config: Path) -> Path:
    """Give the folder of the user's own templates, beside the config file."""
    return config.parent / "templates"


def store_file() -> Path:
    """Give the store's default place."""
    return _xdg("XDG_DATA_HOME", ".local/share") / "thanksd" / "thanksd.db"


def store_url(text: str) -> str:
    """Give the SQLAlchemy URL for a URL or a path.

    Raises ConfigError where it names no store of a kind we know.
    """
    if is_server(text):
        return _server_url(text)
    if "?" in text:
        # In a URL it begins options, which a file has none of; SQLAlchemy would look for another one.
        raise ConfigError(f"The store's name can't hold a question mark: {text}.", "Name another file.")
    if "://" not in text:
        return f"sqlite:///{Path(text).expanduser().resolve()}"
    if not text.startswith("sqlite:///"):
        kind = text.partition("://")[0]
        raise ConfigError(
            f"There is no such kind of store: {kind}.",
            "Give a path, or postgresql+psycopg://user@host/name for one that a team shares.",
        )
    return f"sqlite:///{Path(text.removeprefix('sqlite:///')).resolve()}"


def is_server(text: str) -> bool:
    """Say whether a store's name is that of one which a PostgreSQL server keeps."""
    return text.startswith(_SERVERS)


def _server_url(text: str) -> str:
    """Give a server's URL with the driver that is ours. A password in it would be seen in `ps` and in unit files."""
    from urllib.parse import unquote  # noqa: PLC0415  who has a file never needs it

    rest = text.partition("://")[2]
    if not rest.isprintable():
        raise ConfigError("The store's name has a character that no name can hold.", "Type it anew.")
    if _WITH_PASSWORD.match(rest) or "password=" in unquote(rest.partition("?")[2]):
        raise ConfigError("A password has no place in the store's name.", "Keep it in ~/.pgpass (mode 0600).")
    return f"{_SERVERS[0]}{rest}"


def store_lock(url: str) -> Path:
    """Give the place of the lock that keeps one daemon on this machine for a store that a server keeps."""
    return private_folder(state_folder() / "locks") / f"{_digest(url)}.lock"


def socket_file(url: str) -> Path:
    """Give the daemon's socket: one per store, named by a hash of the store's URL, in the runtime folder."""
    return runtime_folder() / f"{_digest(url)}.sock"


def _digest(url: str) -> str:
    return hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


def state_folder() -> Path:
    """Give the folder of what this installation remembers beside any ledger. It is made when missing.

    Raises PermissionDeniedError where it can't be.
    """
    return private_folder(_xdg("XDG_STATE_HOME", ".local/state") / "thanksd")


def backups_folder() -> Path:
    """Give the default place of kept copies of the ledger."""
    return store_file().parent / "backups"


def _xdg(variable: str, under_home: str) -> Path:
    # The specification: a relative path in these variables is invalid and must be ignored.
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else home() / under_home


def home() -> Path:
    """Give the home folder.

    Raises ConfigError where neither HOME nor the user database knows one.
    """
    found = os.path.expanduser("~")  # noqa: PTH111  Path.home() raises RuntimeError, this gives "~" back
    if not found.startswith("/"):
        raise ConfigError(
            "There is no home folder.",
            "Set HOME, or XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME and XDG_RUNTIME_DIR.",
        )
    return Path(found)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter (0700), and give it.

    Raises PermissionDeniedError where it can't be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionDeniedError(
            f"The folder can't be made: {path}: {error.strerror}.", "Nothing stored."
        ) from error
    return path


def runtime_folder() -> Path:
    """Give the folder of the socket: private, ours, gone at logout. It is made when missing.

    Raises PermissionDeniedError where somebody else owns it (a shared /tmp invites that).
    """
    folder = private_folder(_runtime_base() / "thanksd")
    info = folder.lstat()
    if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode):
        raise PermissionDeniedError(f"The folder belongs to somebody else: {folder}.", "Set XDG_RUNTIME_DIR.")
    if stat.S_IMODE(info.st_mode) & 0o077:
        folder.chmod(0o700)
    return folder


def _runtime_base() -> Path:
    # cron, su and ssh without PAM lack XDG_RUNTIME_DIR while the folder is there (pam_systemd(8)).
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    usual = Path(f"/run/user/{os.getuid()}")
    if value.startswith("/"):
        return Path(value)
    return usual if usual.is_dir() else _xdg("XDG_CACHE_HOME", ".cache")
