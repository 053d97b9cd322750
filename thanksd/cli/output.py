"""Printing: safe text, columns, JSON. Data alone on stdout; what is about the data on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from thanksd.addresses import display_safe
from thanksd.cli.lines import cells, fitted
from thanksd.cli.root import State


def state_of(context: click.Context) -> State:
    """Give what the global options said."""
    return context.ensure_object(State)


def wants_json(context: click.Context, **facts: object) -> bool:
    """Print the facts as one JSON object where --json was given, and say whether that was so."""
    if not state_of(context).json:
        return False
    click.echo(json.dumps({"v": 1, **facts}))
    return True


def say(text: str, indent: int | None = None) -> None:
    """Print one line for people, harmless whatever the data in it.

    On a terminal it is broken at spaces; the other lines begin with `indent` spaces, or where the first one does.
    """
    click.echo(fitted(display_safe(text), sys.stdout, indent))


def note(text: str) -> None:
    """Print one line about the data, on stderr, broken as by `say`."""
    click.echo(fitted(display_safe(text), sys.stderr), err=True)


def notes(result: dict[str, Any]) -> None:
    """Print what a verb wants said besides its facts."""
    for text in result.get("notes", []):
        note(text)


def heading(text: str) -> None:
    """Print a heading, bold where colour is wanted."""
    say_styled(text, bold=True)


def say_styled(text: str, *, indent: int | None = None, **style: Any) -> None:  # noqa: ANN401  click.style's arguments
    """Print one line as `say` does, with colour on a terminal unless NO_COLOR or a dumb terminal says otherwise."""
    text = fitted(display_safe(text), sys.stdout, indent)
    click.echo(click.style(text, **style) if wants_colour() else text)


def wants_colour() -> bool:
    """Say whether stdout may have colour (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal() -> bool:
    """Say whether somebody reads stdout."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Say whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def pad(text: str, width: int) -> str:
    """Cut or fill text to `width` cells; wide characters take two."""
    text = display_safe(text)
    if text.isascii():
        return (text if len(text) <= width else text[: width - 1] + "~").ljust(width)
    return _pad_wide(text, width)


def _pad_wide(text: str, width: int) -> str:
    if cells(text) > width:
        while text and cells(text) > width - 1:
            text = text[:-1]
        text += "~"
    return text + " " * (width - cells(text))


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> None:
    """Print rows in columns on a terminal, else separated by tabs."""
    if not is_terminal():
        tabbed(rows)
        return
    widths = [max(cells(display_safe(cell)) for cell in column) for column in zip(*rows, strict=True)]
    last = sum(widths[:-1]) + len(gap) * len(widths[:-1])
    for row in rows:
        say(gap.join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip(), last)


def tabbed(rows: Sequence[Sequence[str]]) -> None:
    """Print rows for programs, in one go: cells separated by tabs, each of them harmless."""
    text = "".join("\t".join(map(display_safe, row)) + "\n" for row in rows)
    if text:
        click.echo(text, nl=False)
