"""Opens a letter's subject and body in the user's editor, in a private file that is gone afterwards.

Below a line that says so stands what is known, and what the check says: none of it reaches the letter.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from thanksd.errors import DataError, ThanksdError, UnavailableError, UsageError
from thanksd.moments import from_iso, say_full, say_short

# Debian's choice of the system, then what is there nearly always.
_USUAL = ("sensible-editor", "editor", "nano", "vi")
_SUBJECT = "subject:"
# As git's: a letter may have lines of its own that begin with #.
_BELOW = "# ---------- 8< ---------- what is below this line is for you, and is not sent ----------"


def edit(
    subject: str, body: str, store: Callable[[str, str], object], beside: Sequence[str] = ()
) -> tuple[str, str] | None:
    """Open the text in $VISUAL, $EDITOR or a usual editor, and give it changed; None where nothing changed.

    `beside` are lines to be seen there below the letter. An empty file changes nothing. `store` is called with the
    changed text. Where it raises, or the text can't be read, the file is kept and the error names it: nothing that was
    typed is lost. Raises UnavailableError where no editor could be run, DataError for a text without a body or not
    UTF-8, and what `store` raises.
    """
    folder = Path(tempfile.mkdtemp(prefix="thanksd-"))  # 0700: an editor's own copies beside it are as private
    below = "".join(f"{line}\n" for line in ("", _BELOW, *(f"# {line}".rstrip() for line in beside)))
    path, before = folder / "letter.txt", f"Subject: {subject}\n\n{body}\n{below}"
    try:
        _write(path, before)
        open_file(path)
        text = _read(path, subject)
        is_changed = text not in (None, parse(before, subject))
        if text is not None and is_changed:
            store(*text)
    except ThanksdError as error:
        if _is_worth_keeping(path, before):
            raise type(error)(error.message, f"{error.hint} Your text is in {path}".strip(), code=error.code) from error
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return text if is_changed else None


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def _is_worth_keeping(path: Path, before: str) -> bool:
    return path.exists() and path.read_bytes().strip() not in (b"", before.encode().strip())


def _command() -> list[str]:
    """Give the editor's words, such as ["code", "--wait"].

    Raises UsageError for a setting that a shell could not read either, UnavailableError where there is none.
    """
    for name in ("VISUAL", "EDITOR"):
        if words := os.environ.get(name, "").strip():
            try:
                return shlex.split(words)
            except ValueError as error:
                raise UsageError(f"{name} can't be read: {error}. Nothing was changed.", f"Set {name}.") from error
    found = next((path for name in _USUAL if (path := shutil.which(name))), None)
    if found is None:
        raise UnavailableError("There is no editor. Nothing was changed.", "Name yours: export EDITOR=nano")
    return [found]


def open_file(path: Path) -> None:
    """Open a file in the user's editor, and wait for it. Raises UnavailableError where none could be run."""
    command = _command()
    # Ctrl-C belongs to the editor. A handler of ours that does nothing, unlike SIG_IGN, is not inherited by it.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        code = subprocess.run([*command, str(path)], check=False).returncode
    except OSError as error:
        raise UnavailableError(
            f"The editor {command[0]} could not be run: {error.strerror}. Nothing was changed.", "Set EDITOR."
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise UnavailableError(f"The editor ended with {code}. Nothing was changed.", "Try it again.")


def beside(one: dict[str, Any], findings: Sequence[dict[str, Any]], zone: str, now: datetime) -> list[str]:
    """Give what is known of a thanks (as the verb `show` has it), and what the check says of its draft, a line each."""
    person, meeting = one["person"], one["meeting"]
    when = say_full(from_iso(meeting["at"]), meeting["tz"])
    known = [f"{person['name']}, {meeting['kind']}, {when}, towards you: {person['seniority']}"]
    known += [f"{name}: {meeting[key]}" for name, key in (("Place", "place"), ("About", "about")) if meeting[key]]
    known += [f"Detail: {detail}" for detail in one["details"]]
    for promise in one["promises"]:
        due = f", by {say_short(from_iso(promise['due']), now, zone)}" if promise["due"] else ""
        known.append(f"Promise: {promise['text']}{due}")
    said = [f"{found['severity']:<6} {found['code']}: {found['message']}" for found in findings]
    return [" ".join(line.splitlines()) for line in (*known, "", *(said or ["The check finds nothing."]))]


def _read(path: Path, subject: str) -> tuple[str, str] | None:
    """Give what the editor left, None for an empty file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("What the editor left can't be read as UTF-8 text. Nothing was changed.", "") from error
    found = parse(text, subject)
    if not text.strip():
        return None
    if not found[1]:
        raise DataError("The letter is empty. Nothing was changed.", "Edit it again.")
    return found


def parse(text: str, subject: str) -> tuple[str, str]:
    """Split the text into subject and body; where its first line is no subject, the old one stays."""
    text = text.partition(_BELOW)[0]
    first, _, rest = text.lstrip().partition("\n")
    if first.lower().startswith(_SUBJECT):
        return first[len(_SUBJECT) :].strip(), rest.strip()
    return subject, text.strip()
