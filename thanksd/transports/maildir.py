"""Letters saved into a Maildir folder, atomically: written under tmp/, published by one rename into new/.

The format is Bernstein's (https://cr.yp.to/proto/maildir.html). The standard library's mailbox.Maildir rewrites line
ends and publishes in the same call, so that neither the exact bytes nor the border between them could be kept.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from thanksd.errors import ConfigError
from thanksd.states import ACCEPTED, NOT_NOW, UNKNOWN
from thanksd.transports import FOLDER, LOST_LEASE, Envelope, OnDot, OnWait, Outcome, printable

if TYPE_CHECKING:
    from thanksd import config


class Folder:
    """Letters saved into a Maildir; nothing is kept open between them."""

    def __init__(self, maildir: config.Maildir) -> None:
        self._maildir = maildir

    def deliver(self, envelope: Envelope, on_dot: OnDot, _on_wait: OnWait) -> Outcome:
        """Save a letter's exact bytes as a new file, and give its path as the reply.

        A folder that can't be written is NOT_NOW; a failure once `on_dot` has said True is UNKNOWN. Raises ConfigError
        where the path is not a full one, and whatever `on_dot` raises, with nothing saved.
        """
        folder = folder_of(self._maildir)
        try:
            written = _write(folder, envelope.raw)
        except OSError as error:
            return Outcome(NOT_NOW, printable(f"The folder can't be written: {error}"), None, FOLDER)
        is_going = False
        try:
            is_going = on_dot()
        finally:
            if not is_going:
                written.unlink(missing_ok=True)
        return _publish(written, folder / "new" / written.name) if is_going else Outcome(NOT_NOW, "", None, LOST_LEASE)

    def close(self) -> None:
        """Nothing is open."""


def folder_of(maildir: config.Maildir) -> Path:
    """Give the folder. Raises ConfigError where the path is not a full one."""
    try:
        folder = Path(maildir.path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"transport.maildir.path can't be found: {error}", "Give the full path.") from error
    # A relative path would be one folder for the daemon and another for the command line.
    if not folder.is_absolute():
        raise ConfigError(
            f"transport.maildir.path is no full path: {maildir.path!r}.", "Begin it with / or ~/, such as ~/Mail/thanks"
        )
    return folder


def _write(folder: Path, raw: bytes) -> Path:
    """Put the bytes, safe on disk, under tmp/; the folder is made where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(mode=0o700, exist_ok=True)
    path = folder / "tmp" / f"{int(time.time())}.R{secrets.token_hex(10)}.thanksd"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _publish(written: Path, target: Path) -> Outcome:
    try:
        written.rename(target)
        _sync(target.parent)
    except Exception as error:  # noqa: BLE001  whatever it was, the letter may stand in the folder
        return Outcome(UNKNOWN, printable(f"The letter may have been saved: {error}"), None, FOLDER)
    return Outcome(ACCEPTED, printable(str(target)), None, "")


def _sync(folder: Path) -> None:
    """Make the rename itself survive a power cut: a folder's entries are synced apart from the file (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
