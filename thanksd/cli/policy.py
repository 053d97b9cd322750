"""The command policy: what is fitting for which kind of meeting, in which language, towards whom."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from thanksd.cli import completing
from thanksd.cli.output import columns, note, state_of, wants_json
from thanksd.cli.root import Command


@click.command(cls=Command)
@click.argument("kind", required=False, shell_complete=completing.kind)
@click.option("--lang", metavar="TAG", help="The language they are written to in; yours, if not given.")
@click.option("--seniority", metavar="WORD", default="peer", help="peer, or above you.")
@click.pass_context
def policy(context: click.Context, kind: str | None, lang: str | None, seniority: str) -> None:
    """Show when a thank-you is fitting, and what it may offer: for every kind of meeting, or all about one.

    Yours go into the config: thanksd config set kind.coffee.best_by 3d
    """
    from thanksd import policy as table  # noqa: PLC0415  not for --help
    from thanksd.config import KindRule, load  # noqa: PLC0415  as above

    settings = load(Path(state_of(context).config_file))
    tag = table.known_culture(lang or settings.me.language)
    towards = table.known_seniority(seniority)
    rows: dict[str, dict[str, Any]] = {
        one: table.rule(one, tag, towards, asdict(settings.kind.get(one, KindRule())))._asdict()
        for one in ([table.known_kind(kind)] if kind else table.kinds())
    }
    of_all = {"lang": tag, "seniority": towards}
    if wants_json(context, policy=[{"kind": one, **of_all, **row} for one, row in rows.items()]):
        return
    if kind:
        columns([[name.replace("_", " "), _words(value)] for row in rows.values() for name, value in row.items()])
    else:
        columns([["kind", "nudge", "best by", "late from", "length"], *(_line(one, row) for one, row in rows.items())])
        whom = "a peer" if towards == "peer" else "somebody above you"
        note(f"For {whom}, in {tag}. All about one kind: thanksd policy coffee")


def _line(kind: str, row: dict[str, Any]) -> list[str]:
    return [kind, row["nudge"], row["best_by"], row["belated"], f"{row['shortest']} to {row['longest']}"]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return str(value) or "-"
