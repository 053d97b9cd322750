"""The command line: parse, call a verb, format. No rules of its own."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line and exit with its code. Nothing on the way to here imports what only one command needs."""
    if sys.argv[1:] == ["prompt"]:
        from thanksd.prompt import tell  # noqa: PLC0415  at every prompt of a shell: click alone would take too long

        tell()
    # Files that this program makes hold other people's names: nobody else's to read.
    os.umask(0o077)
    _open_what_is_closed()
    from thanksd.cli.root import run  # noqa: PLC0415  after umask

    sys.exit(run())


def _open_what_is_closed() -> None:
    """Put nothing where a standard stream was closed: else a file opened next takes its number, and messages with it.

    A closed stdin stays None for those who would read it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # open(2) gives the lowest number that is free: this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  as above
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a terminal of an old encoding a name still shows, with its strange letters written out.
        sys.stdout.reconfigure(errors="backslashreplace")
