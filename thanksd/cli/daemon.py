"""The command run: the daemon in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from thanksd.cli.output import state_of
from thanksd.cli.root import Command


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Do one full pass and end.")
@click.pass_context
def run(context: click.Context, once: bool) -> None:
    """Run the daemon in the foreground: nudges when their time has come, letters when they may leave."""
    from thanksd import daemon  # noqa: PLC0415  APScheduler and SQLAlchemy are for the daemon

    state = state_of(context)
    daemon.run(state.store_url, state.config_file, program(state.store_url, state.config_file), once=once)


def program(store: str, config: str) -> list[str]:
    """Give the command that opens this very ledger again, from a terminal that knows nothing of our environment."""
    script = Path(sys.argv[0])
    started = (
        [str(script.resolve())] if script.is_file() and script.suffix != ".py" else [sys.executable, "-m", "thanksd"]
    )
    return [*started, "--store", store, "--config", config]
