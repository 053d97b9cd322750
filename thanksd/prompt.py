"""What a shell's prompt says: how many are to be thanked now. Read at each prompt, so it must cost next to nothing.

Nothing of the program but this file is loaded, and of Python as little as may be. The ledger's file is opened for
reading alone and nobody is waited for: where it is locked, not there, of another version or on a server, there is
nothing to say. A prompt has no room for an error.
"""

from __future__ import annotations

import os

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib alone would take a third of the time
# What `thanksd` counts as due; in a pause nobody is reminded.
_DUE = """\
SELECT count(*) FROM thanks WHERE closed_at IS NULL AND state IN ('owed', 'snoozed')
AND nudge_at <= strftime('%Y-%m-%d %H:%M:%f', 'now') AND practice = 0 AND person_id IS NOT NULL
AND (SELECT version_num FROM alembic_version) = ? AND NOT EXISTS
(SELECT 1 FROM member WHERE owner = '' AND paused_until > strftime('%Y-%m-%d %H:%M:%f', 'now'))"""


def tell() -> None:
    """Print what the prompt says, and end the program: always well, and with nothing else said."""
    try:
        if words := said(count(_store())):
            os.write(1, f"{words}\n".encode())
    finally:
        # Whatever was raised, an interrupt too, is left unsaid; and tidying up would take as long as all the rest.
        os._exit(0)


def said(due: int | None) -> str:
    """Say a number of due thanks; "" for none, and where it is not known (None)."""
    return f"{due} to thank" if due else ""


def count(store: str) -> int | None:
    """Count what is due in the ledger of this path or URL; None where that can't be known at once."""
    import sqlite3  # noqa: PLC0415  where no file is kept, not even that is needed

    path = os.path.expanduser(store.removeprefix("sqlite:///"))  # noqa: PTH111  as above
    if "://" in path or not path:
        return None
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(f"file:{quoted}?mode=ro", timeout=0, uri=True)
        try:
            return int(connection.execute(_DUE, (_revision(),)).fetchone()[0])
        finally:
            connection.close()
    except (sqlite3.Error, OSError, ValueError):
        return None


def _store() -> str:
    """Give the ledger's place as `paths` does: THANKSD_STORE, or by the XDG Base Directory Specification."""
    if given := os.environ.get("THANKSD_STORE", ""):
        return given
    data = os.environ.get("XDG_DATA_HOME", "")
    return f"{data if data.startswith('/') else '~/.local/share'}/thanksd/thanksd.db"


def _revision() -> str:
    """Give the newest revision of the schema: the number before a migration's name."""
    inside = os.path.join(_HERE, "migrations")  # noqa: PTH118  as above
    folder = inside if os.path.isdir(inside) else os.path.join(_HERE, os.pardir, "migrations")  # noqa: PTH112, PTH118
    names = os.listdir(os.path.join(folder, "versions"))  # noqa: PTH118, PTH208  as above
    return max(name.partition("_")[0] for name in names if name.endswith(".py") and name[:1].isdigit())
