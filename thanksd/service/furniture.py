"""What desktop, shells and man find by themselves: the menu entry and its icon, completion, the man page.

Every file bears `MARK`; one without it is somebody else's, and is neither written over nor removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from thanksd import paths
from thanksd.errors import ConfigError, PermissionDeniedError
from thanksd.service.unit import carried

MARK = "thanksd wrote this file; it renews it, and removes it when it goes"

# Of what decides the ledger, the options that say it on a command line: a menu knows no shell's variables.
_OPTIONS = {"THANKSD_STORE": "--store", "THANKSD_CONFIG": "--config"}


def link(environ: Mapping[str, str]) -> Path:
    """Give where `make install` puts the program's name."""
    return _home(environ) / ".local/bin/thanksd"


def program_folder(environ: Mapping[str, str]) -> Path:
    """Give where `make install` keeps the program: a link to the newest of the folders in `venvs` beside it."""
    return _data(environ) / "thanksd/venv"


def is_made(environ: Mapping[str, str]) -> bool:
    """Say whether `make install` put the program here; then these files are its business."""
    name = link(environ)
    return name.is_symlink() and name.readlink() == program_folder(environ) / "bin/thanksd"


def desktop_files(environ: Mapping[str, str], program: str) -> dict[Path, str]:
    """Give the menu entry and its icon: each file's place and text.

    Raises ConfigError for a store address with a password in it.
    """
    entry, icon = desktop_places(environ)
    folder = paths.data_folder("desktop")
    shared = carried(environ)
    options = [word for name, option in _OPTIONS.items() if name in shared for word in (option, shared[name])]
    text = (folder / "thanksd.desktop").read_text(encoding="utf-8")
    text = text.replace("@PROGRAM@", _string(program)).replace(
        "@COMMAND@", " ".join(map(_argument, [program, *options]))
    )
    return {entry: text, icon: (folder / "thanksd.svg").read_text(encoding="utf-8")}


def desktop_places(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Give the places of the menu entry and of its icon (Desktop Menu and Icon Theme Specifications)."""
    data = _data(environ)
    return data / "applications/thanksd.desktop", data / "icons/hicolor/scalable/apps/thanksd.svg"


def shell_places(environ: Mapping[str, str]) -> dict[str, Path]:
    """Give the places of the completion for bash, zsh and fish, and of the man page, by these words.

    bash-completion and fish load theirs by themselves, and man looks beside the folders of PATH (manpath(5)); zsh has
    no folder of its own in a home and must be told of this one.
    """
    data = _data(environ)
    return {
        "bash": data / "bash-completion/completions/thanksd",
        "zsh": data / "zsh/site-functions/_thanksd",
        "fish": data / "fish/vendor_completions.d/thanksd.fish",
        "man": _home(environ) / ".local/share/man/man1/thanksd.1",
    }


def put(files: Mapping[Path, str]) -> list[Path]:
    """Write the files, each whole or not at all; give those that are somebody else's, which were left alone.

    Raises PermissionDeniedError where one can't be written.
    """
    others = [path for path in files if os.path.lexists(path) and not _is_ours(path)]
    for path, text in files.items():
        if path not in others:
            write(path, text)
    # GTK trusts an icon cache, should there be one, unless the theme's folder is newer.
    for folder in {path.parents[2] for path in files if path.suffix == ".svg"}:
        os.utime(folder)
    return others


def take_away(places: Iterable[Path]) -> None:
    """Remove those of the files that we wrote."""
    for path in places:
        if _is_ours(path):
            path.unlink()


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all (0600). Raises PermissionDeniedError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise PermissionDeniedError(
            f"The file can't be written: {path}: {error.strerror}.", f"Make the folder writable: {path.parent}"
        ) from error


def _is_ours(path: Path) -> bool:
    try:
        return not path.is_symlink() and MARK in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _string(text: str) -> str:
    # Desktop Entry Specification, "Possible value types": a backslash begins an escape.
    return text.replace("\\", "\\\\")


def _argument(word: str) -> str:
    """Quote one word of Exec= (Desktop Entry Specification, "The Exec key"), and then as any string's value."""
    if any(char < " " or char == "\x7f" for char in word):
        raise ConfigError(f"A control character is in {word!r}. Nothing was installed.", "Set it to another path.")
    quoted = "".join(f"\\{char}" if char in '"`$\\' else char for char in word).replace("%", "%%")
    return _string(f'"{quoted}"')


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or paths.home())


def _data(environ: Mapping[str, str]) -> Path:
    # A relative path in the variable is invalid and must be ignored (XDG Base Directory Specification).
    value = environ.get("XDG_DATA_HOME", "")
    return Path(value) if value.startswith("/") else _home(environ) / ".local/share"
