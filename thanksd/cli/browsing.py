"""The command page: the review page in the browser."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from thanksd.channels.opener import open_page
from thanksd.cli.output import note, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.config import load
from thanksd.errors import UnavailableError


@click.command(cls=Command)
@click.argument("ref", nargs=-1)
@click.option("--print", "printed", is_flag=True, help="Print the link instead; it opens the page once.")
@click.pass_context
def page(context: click.Context, /, ref: tuple[str, ...], printed: bool) -> None:
    """Open the review page in the browser, at a thanks or at its beginning."""
    state = state_of(context)
    number = state.client.call("show", ref=" ".join(ref))["thanks"][0]["id"] if ref else 0
    url = state.client.ask_page(number)
    if url is None:
        raise UnavailableError("There is no page: the daemon is not running.", "Start it: thanksd service install")
    if wants_json(context, url=url):
        return
    if printed:
        say(url)
        note("It opens once, within two minutes, in a browser of yours on this machine.")
        return
    asyncio.run(open_page(load(Path(state.config_file)).page.browser, url, "", os.environ))
    say("Opened in the browser.")
