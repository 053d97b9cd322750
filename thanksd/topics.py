"""The manual: one text a topic, for `thanksd help` and for the man page alike.

The texts are help/TOPIC.txt: the first line is the title; indented lines are shown as they are, the others are running
text. The list of settings is made from their own table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from thanksd import config

_FOLDER = Path(__file__).resolve().parent / "help"
# In the order they are listed.
TOPICS = (
    *("start", "add", "when", "account", "config", "templates", "states", "daemon", "desktop", "channels"),
    *(
        "quiet",
        "machines",
        "team",
        "page",
        "looking-back",
        "calendar",
        "privacy",
        "exit-codes",
        "files",
        "json",
        "completion",
    ),
)


class Option(NamedTuple):
    """One option or argument of a command: how it is written, and what it is for."""

    words: str
    meaning: str


class Command(NamedTuple):
    """One command for the man page: its words with arguments, what it is for, its own options."""

    usage: str
    meaning: str
    options: list[Option]


def title(topic: str) -> str:
    """Give a topic's title. Raises KeyError for one that is not in TOPICS."""
    return _read(topic)[0]


def text(topic: str) -> str:
    """Give a topic's text, without its title. Raises KeyError for one that is not in TOPICS."""
    _, body = _read(topic)
    return f"{body}\n{_settings()}" if topic == "config" else body


def _read(topic: str) -> tuple[str, str]:
    if topic not in TOPICS:
        raise KeyError(topic)
    first, _, body = (_FOLDER / f"{topic}.txt").read_text(encoding="utf-8").partition("\n")
    return first, body


def _settings() -> str:
    lines = []
    for row in config.table():
        default = list(row.default) if isinstance(row.default, tuple) else row.default
        # JSON's way to write these types is TOML's too.
        lines += [f"    {row.name} = {json.dumps(default)}", f"        {row.meaning}"]
    return "\n".join(lines) + "\n"


def man_page(version: str, purpose: str, commands: Iterable[Command], options: Iterable[Option]) -> str:
    """Give the whole manual as a man page in roff (man(7)), all ASCII."""
    parts = [
        f'.TH THANKSD 1 "" "thanksd {version}" "User Commands"',
        f".SH NAME\nthanksd \\- {_roff(purpose)}",
        ".SH SYNOPSIS\n.B thanksd\n[options] [command] [arguments]",
        f".SH DESCRIPTION\n{_running(text('start'))}",
        ".SH COMMANDS",
        *map(_command, commands),
        ".SH OPTIONS\nThey are taken before and after the command.",
        *map(_option, options),
        *(f'.SH "{_roff(title(topic)).upper()}"\n{_running(text(topic))}' for topic in TOPICS if topic != "start"),
    ]
    return "\n".join(parts) + "\n"


def _command(command: Command) -> str:
    lines = [f'.SS "{_quoted(command.usage)}"', _running(command.meaning), *map(_option, command.options)]
    return "\n".join(lines)


def _option(option: Option) -> str:
    return f'.TP\n.B "{_quoted(option.words)}"\n{_roff(option.meaning)}'


def _running(body: str) -> str:
    """Turn a topic's text into paragraphs, and blocks of lines that stay as they are."""
    lines: list[str] = []
    block = False
    for line in body.strip("\n").split("\n"):
        indented = line.startswith("    ")
        if indented != block and line:
            lines += [".RS 4", ".nf"] if indented else [".fi", ".RE"]
            block = indented
        lines.append(_roff(line.removeprefix("    ") if indented else line) if line else ".PP" if not block else "")
    return "\n".join([*lines, *([".fi", ".RE"] if block else [])])


def _quoted(words: str) -> str:
    return _roff(words).replace('"', '""')


def _roff(line: str) -> str:
    r"""Escape backslashes, hyphens that are to be copied, a dot that would be a command, and what is not ASCII."""
    plain = line.replace("\\", "\\e").replace("-", "\\-")
    plain = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in plain)
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
