"""The secret in the address of the calendar feed: a file of this installation's, beside no ledger and in no store.

A calendar program asks again for years and has no cookie, so this one secret lasts, and opens nothing else.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from thanksd.errors import PermissionDeniedError

_NAME = "feed-secret"
_BYTES = 32


def read(folder: Path) -> str:
    """Give the secret kept in `folder`, "" where none was made yet."""
    try:
        return (folder / _NAME).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def make(folder: Path) -> str:
    """Give the secret, made where there is none (0600). Raises PermissionDeniedError where it can't be kept."""
    if kept := read(folder):
        return kept
    made = secrets.token_urlsafe(_BYTES)
    try:
        with os.fdopen(os.open(folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{made}\n")
    except OSError as error:
        raise PermissionDeniedError(
            f"The feed's secret can't be kept: {folder / _NAME}: {error.strerror}.", "Nothing was changed."
        ) from error
    return made
