"""Lets a program of the user's write a draft: it gets the facts, and its text passes the same check as any other.

Off unless `draft.command` names one; nothing is handed to anybody without that. It is run here, as its user, and never
by the daemon.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click

from thanksd.cli import editor
from thanksd.cli.output import state_of
from thanksd.config import load
from thanksd.errors import ConfigError, DataError, UnavailableError

# A person waits for it; and what is longer than a letter may be is none.
_SECONDS, _LONGEST = 120, 1 << 20


def write(context: click.Context, name: str) -> dict[str, Any]:
    """Run the program, keep what it wrote as the draft of this thanks, and give that as the verb `draft` does.

    Raises ConfigError where none is set, UnavailableError where it could not be run or failed, DataError for a text
    that is empty, too long or not UTF-8; nothing is changed then.
    """
    client = state_of(context).client
    command = load(Path(state_of(context).config_file)).draft.command
    if not command:
        raise ConfigError("No program is set to write drafts.", "thanksd config set draft.command 'my-writer --polite'")
    found = client.call("draft", ref=name, facts=True)
    text = _run(command, json.dumps(found["facts"], ensure_ascii=False))
    subject, body = editor.parse(text, found["draft"]["subject"])
    if not body:
        raise DataError("The program of draft.command wrote nothing. Nothing was changed.", "Try it by itself.")
    result: dict[str, Any] = client.call("draft", ref=name, subject=subject, body=body)
    return result


def _run(command: str, facts: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(command), input=facts.encode(), stdout=subprocess.PIPE, timeout=_SECONDS, check=True
        )
        text = done.stdout.decode()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise DataError("What the program of draft.command wrote is not UTF-8. Nothing was changed.", "") from error
        raise UnavailableError(
            f"The program of draft.command failed: {error}. Nothing was changed.", "Try it by itself."
        ) from error
    if len(text) > _LONGEST:
        raise DataError("The program of draft.command wrote too much. Nothing was changed.", "Try it by itself.")
    return text
