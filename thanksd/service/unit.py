"""The texts of the units: the daemon's, and the alarm's that systemd starts when it has given the daemon up.

Pure but for reading the templates in `systemd/`; only the program's path and a few folder variables are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from thanksd import paths
from thanksd.errors import ConfigError

NAME = "thanksd.service"
ALARM = "thanksd-failed.service"
NAMES = (NAME, ALARM)

# Where the shell that installs has its own idea of these, the daemon must share it, or it would keep another ledger.
_CARRIED = ("THANKSD_CONFIG", "THANKSD_STORE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
# And what the driver of a shared ledger reads (libpq's documentation, section "Environment Variables"); no password.
_CARRIED_TO_A_SERVER = (
    *("PGHOST", "PGPORT", "PGUSER", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"),
    *("PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
)
_EXEC = re.compile(r'^ExecStart=:"(/[^"\n]*)" run$', re.MULTILINE)


class Filling(NamedTuple):
    """What is filled into the templates: the program's absolute path, Environment= lines, lines about folders."""

    program: str
    variables: tuple[str, ...]
    folders: tuple[str, ...]


def filling(program: str, environ: Mapping[str, str]) -> Filling:
    """Choose what to fill in: of `environ` the folders that the daemon has to share.

    Raises ConfigError for a path that systemd can't start, and for a store address with a password in it.
    """
    _refuse_unstartable(program)
    shared = carried(environ)
    variables = tuple(f"Environment={_quoted(f'{name}={value}')}" for name, value in shared.items())
    folders = tuple(f"ReadWritePaths={_quoted(f'-{folder}')}" for folder in _store_folders(shared))
    folders += tuple(f"BindReadOnlyPaths={_quoted(f'-{folder}')}" for folder in _hidden_folders(shared))
    return Filling(program, variables, folders)


def filled_in(text: str) -> Filling | None:
    """Read back what was filled into the daemon's unit; None for a text that is not as we write it."""
    found = _EXEC.search(text)
    if found is None:
        return None
    lines = text.splitlines()
    variables = tuple(line for line in lines if line.startswith('Environment="'))
    folders = tuple(line for line in lines if line.startswith(('ReadWritePaths="-', 'BindReadOnlyPaths="-')))
    return Filling(found[1].replace("%%", "%"), variables, folders)


def texts(what: Filling) -> dict[str, str]:
    """Give both units' texts by their names."""
    return {
        NAME: _filled(NAME, what.program, [*what.variables, *what.folders]),
        ALARM: _filled(ALARM, what.program, [*what.variables]),
    }


def unit_text(program: str, environ: Mapping[str, str] | None = None) -> str:
    """Give the daemon's unit. Raises ConfigError as `filling` does."""
    return texts(filling(program, environ or {}))[NAME]


def carried(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that decide which ledger and settings are meant, with paths made absolute.

    Raises ConfigError for a store address with a password in it.
    """
    store = environ.get("THANKSD_STORE", "")
    is_server = paths.is_server(store)
    if "://" in store and (urlsplit(store).password is not None or "password" in parse_qs(urlsplit(store).query)):
        raise ConfigError(
            "The store's address has a password in it, and units are no place for one. Nothing was installed.",
            "Leave it out of THANKSD_STORE and keep it in ~/.pgpass.",
        )
    names = _CARRIED + (_CARRIED_TO_A_SERVER if is_server else ())
    return {name: _absolute(name, environ[name]) for name in names if environ.get(name)}


def _filled(name: str, program: str, lines: list[str]) -> str:
    template = (paths.data_folder("systemd") / name).read_text(encoding="utf-8")
    # systemd.unit(5): % starts a specifier. The unit's ":" keeps $ as it is.
    text = template.replace("@EXEC@", program.replace("%", "%%"))
    return text.replace("[Service]\n", "".join(["[Service]\n", *(f"{line}\n" for line in lines)]), 1)


def _store_folders(shared: Mapping[str, str]) -> list[str]:
    # They may lie outside the home, where ProtectSystem=strict makes everything read-only.
    store = shared.get("THANKSD_STORE", "").removeprefix("sqlite:///")
    folders = [shared.get("XDG_DATA_HOME", ""), shared.get("XDG_STATE_HOME", ""), str(Path(store).parent)]
    return [folder for folder in folders if folder.startswith("/")]


def _hidden_folders(shared: Mapping[str, str]) -> list[str]:
    """Give where a server's socket lies that PrivateTmp= would hide."""
    store = shared.get("THANKSD_STORE", "")
    hosts = [*parse_qs(urlsplit(store).query).get("host", ()), shared.get("PGHOST", "")] if "://" in store else []
    return [host for host in hosts if host.startswith(("/tmp", "/var/tmp"))]  # noqa: S108  named by its owner


def _absolute(name: str, value: str) -> str:
    # The daemon starts in the home folder, not in the one this was typed in.
    return str(Path(value).expanduser().absolute()) if name.startswith("THANKSD_") and "://" not in value else value


def _refuse_unstartable(path: str) -> None:
    # Quotes, backslashes and control characters in a program's name are refused by systemd itself, however they are
    # escaped.
    if not path.startswith("/") or any(char in "\"'\\\x7f" or char < " " for char in path):
        raise ConfigError(
            f"systemd can't start a program with this path: {path!r}. Nothing was installed.",
            "Install thanksd where the path has no quotes, backslashes or control characters.",
        )


def _quoted(word: str) -> str:
    # systemd.syntax(7), "Quoting": C escapes inside double quotes.
    if any(char < " " or char == "\x7f" for char in word):
        raise ConfigError(f"A control character is in {word!r}. Nothing was installed.", "Set it to another path.")
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
