"""Puts a text on the desktop's clipboard, by the program that is there for it."""

from __future__ import annotations

import os
import shutil
import subprocess

from thanksd.errors import UnavailableError

# What sets the variable, and the program with what it needs to hear: on Wayland, and on X11. Each reads the text from
# stdin, as a note belongs on no command line, and stays behind to hand it out.
_PROGRAMS = (
    ("WAYLAND_DISPLAY", ["wl-copy"]),
    ("DISPLAY", ["xclip", "-selection", "clipboard"]),
    ("DISPLAY", ["xsel", "--clipboard", "--input"]),
)
_SECONDS = 5


def copy(text: str) -> None:
    """Put a text on the clipboard.

    Raises UnavailableError where no program can, or it did not.
    """
    command = next((words for name, words in _PROGRAMS if os.environ.get(name) and shutil.which(words[0])), None)
    if command is None:
        raise UnavailableError(
            "Nothing here can copy: no desktop, or none of wl-copy, xclip and xsel.", "Leave out --copy, and mark it."
        )
    # The one that stays behind would keep pipes open, and be waited for.
    quiet = subprocess.DEVNULL
    try:
        subprocess.run(command, input=text.encode(), stdout=quiet, stderr=quiet, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{command[0]} could not copy it.", "Leave out --copy, and mark it.") from error
