"""Opens a confirmed letter in the person's own mail program, and asks what became of it.

It happens here, in the person's own session, never in the daemon. The letter is held from before it opens: whatever
ends this program, nothing is taken for sent, and nothing is lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click

from thanksd import paths
from thanksd.addresses import display_safe
from thanksd.cli import resolving
from thanksd.cli.output import can_ask, note, state_of, wants_json
from thanksd.client import Client
from thanksd.errors import UnavailableError

# What desktops open links and files with: freedesktop.org's own, then GLib's.
_OPENERS = (("xdg-open",), ("gio", "open"))
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
# Openers report failure at once; one that stays has become the mail program, or waits for it.
_SETTLE = 3.0  # seconds
# Exit codes by answer; 75 where nobody said what became of the letter.
_CODES = {"sent": 0, "discard": 1, "": 75}

_Facts = dict[str, Any]


def refuse_without_screen(number: int, environ: Mapping[str, str] = os.environ) -> None:
    """Make sure that something can be opened here, before a letter is confirmed. Raises UnavailableError."""
    if not any(environ.get(name) for name in _SCREENS):
        raise UnavailableError(
            "Not opened: there is no screen here (DISPLAY is not set). Nothing was confirmed; your text is kept.",
            f"In a terminal of your desktop: thanksd review {number}",
        )
    if _opener(environ) is None:
        raise UnavailableError(
            "Not opened: the program xdg-open is not installed. Nothing was confirmed; your text is kept.",
            "Install it: sudo apt install xdg-utils",
        )


def hand_over(client: Client, one: _Facts, sha256: str, overrides: list[str]) -> str:
    """Confirm the letter that was shown, open it, and ask: "sent", "discard" (taken back), or "" for not yet.

    Where nobody can be asked it stays held, as with not yet. Raises what the verb `confirm` raises, and
    UnavailableError where nothing can be opened: nothing is confirmed then.
    """
    refuse_without_screen(one["id"])
    letters = [{"thanks": one["id"], "sha256": sha256}]
    result = client.call("confirm", letters=letters, overrides=overrides)
    for line in _open_letter(client, result["handed"][0]):
        note(line)
    return _ask(client, result["thanks"][0]) if can_ask() else ""


def _open_letter(client: Client, handed: _Facts) -> list[str]:
    """Open one letter that the verb `confirm` gave, and give what is to be said of it.

    Raises UnavailableError where nothing opened: the letter is taken back then, and the thanks is due.
    """
    try:
        pasted = _written(handed, "txt", handed["paste"]) if handed["paste"] else None
        _open(str(_written(handed, "eml", handed["eml"]) if handed["eml"] else handed["url"]), handed)
    except UnavailableError as error:
        client.call("resolve", ref=str(handed["thanks"]), how="discard")
        raise UnavailableError(f"{error.message} Taken back; your text is kept.", error.hint) from error
    too_long = f"It is too long for a link: only address and subject are there. Paste the text from {pasted}"
    return [f"Opened in {handed['place']}.", *([too_long] if pasted else []), *handed["notes"]]


def _ask(client: Client, one: _Facts) -> str:
    """Ask whether the letter was sent, and settle it so: "sent", "discard", or "" for not yet, when it stays held."""
    answer = resolving.ask(one["letter"], one["person"]["name"].split()[0])
    if answer:
        client.call("resolve", ref=str(one["id"]), how=answer)
        forget_files(one["id"])
    return answer


def words(one: _Facts, answer: str) -> str:
    """Say what the answer came to."""
    first, number = one["person"]["name"].split()[0], one["id"]
    return {
        "sent": f"{first}: thanked.",
        "discard": f"Taken back: {first}'s letter. Your text is kept. Due again: thanksd review {number}",
    }.get(answer, f"{first}: not sent yet. When it is: thanksd resolve {number}")


def send(context: click.Context, shown: list[_Facts], overrides: list[str]) -> int:
    """Open these letters, one after the other, and give the exit code; each is confirmed only when its turn comes."""
    client, codes = state_of(context).client, []
    for one in shown:
        thanks = one["thanks"][0]
        answer = hand_over(client, thanks, one["prepared"]["sha256"], overrides)
        note(words(thanks, answer))
        codes.append(_CODES[answer])
    wants_json(context, thanks=[client.call("show", ref=str(one["thanks"][0]["id"]))["thanks"][0] for one in shown])
    return max(codes)


# --- opening ---


def _written(handed: _Facts, ending: str, text: str) -> Path:
    """Put a letter into a private file (0600) of the state folder, over an older one of the same thanks."""
    folder = paths.private_folder(_state_folder())
    path = folder / f"thanks-{handed['thanks']}.{ending}"
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", dir=folder, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise UnavailableError(f"The letter can't be written: {error.strerror}.", f"Look at {folder}") from error
    return path


def forget_files(number: int) -> None:
    """Remove what a thanks' letter was opened from."""
    for ending in ("eml", "txt"):
        (_state_folder() / f"thanks-{number}.{ending}").unlink(missing_ok=True)


def _state_folder() -> Path:
    # The XDG Base Directory Specification: a relative path must be ignored.
    value = os.environ.get("XDG_STATE_HOME", "")
    base = Path(value) if value.startswith("/") else paths.home() / ".local" / "state"
    return base / "thanksd" / "letters"


def _opener(environ: Mapping[str, str]) -> list[str] | None:
    for name, *options in _OPENERS:
        if program := shutil.which(name, path=environ.get("PATH")):
            return [program, *options]
    return None


def _open(target: str, handed: _Facts) -> None:
    """Open a link or a file as the desktop does, and return once it is under way. Raises UnavailableError."""
    argv = [*_own_scope(os.environ), *(_opener(os.environ) or _OPENERS[0]), target]
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True
            )
            code = process.wait(_SETTLE)
        except subprocess.TimeoutExpired:
            return
        except OSError as error:
            raise _not_opened(handed, str(error.strerror)) from error
        if code:
            raise _not_opened(handed, _last_line(complaints) or f"{argv[0]} ended with {code}")


def _own_scope(environ: Mapping[str, str]) -> list[str]:
    """Let a mail program that starts now outlive the window of a popup, whose unit ends with everything in it.

    systemd-run(1). Without a description of ours the journal would get the letter as part of the command.
    """
    has_unit = "INVOCATION_ID" in environ and environ.get("THANKSD_OPENED") == "popup"
    if not has_unit or not shutil.which("systemd-run", path=environ.get("PATH")):
        return []
    return [
        "systemd-run",
        "--user",
        "--scope",
        "--collect",
        "--quiet",
        "--description=a letter, opened by thanksd",
        "--",
    ]


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read(65536).decode(errors="replace").split("\n")
    return display_safe(next((line.strip() for line in reversed(lines) if line.strip()), ""))[:200]


def _not_opened(handed: _Facts, why: str) -> UnavailableError:
    kind = "message/rfc822" if handed["eml"] else f"x-scheme-handler/{handed['url'].partition(':')[0]}"
    program = "firefox" if kind.endswith("https") else "thunderbird"
    return UnavailableError(
        f"The letter did not open in {handed['place']}: {why}.",
        f"Choose one: xdg-mime default {program}.desktop {kind}",
    )
