"""The command line: parse, call a verb, format. No rules of its own."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code. Nothing on the way to here imports what only one command needs."""
    # Files that this program makes hold other people's names: nobody else's to read.
    os.umask(0o077)
    from thanksd.cli.root import run  # noqa: PLC0415  after umask

    sys.exit(run())
