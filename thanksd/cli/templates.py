"""The commands about the notes' templates: list, show, new, check."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from thanksd import paths
from thanksd.addresses import display_safe
from thanksd.cli.output import columns, note, say, state_of, wants_json
from thanksd.cli.root import Group
from thanksd.errors import DataError, PermissionDeniedError, UsageError

if TYPE_CHECKING:
    from thanksd.drafts import Problem, TemplateInfo

_ENDING = ".txt.j2"
# What `drafts` finds again.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")


def _complete(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(one.name, help=one.description) for one in _available(context) if one.name.startswith(start)]


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def templates(context: click.Context) -> None:
    """List the templates; or show, start or check one. Yours win over the shipped ones of the same name."""
    if context.invoked_subcommand is None:
        _list(context)


@templates.command("list")
@click.pass_context
def list_(context: click.Context) -> None:
    """List the templates that can be used, yours and the shipped ones."""
    _list(context)


def _list(context: click.Context) -> None:
    found = _available(context)
    if not wants_json(context, templates=[_plain(one) for one in found]):
        columns([[one.name, one.lang, one.source, one.description] for one in found])


def _plain(one: TemplateInfo) -> dict[str, str]:
    return {
        "name": one.name,
        "lang": one.lang,
        "source": one.source,
        "path": str(one.path),
        "description": one.description,
    }


@templates.command()
@click.argument("name", shell_complete=_complete)
@click.option("--sample", is_flag=True, help="The note it gives for a made-up meeting.")
@click.option("--lang", default="", metavar="TAG", help="In this language; yours, if not given.")
@click.option("--seniority", default="peer", help="The sample's: peer or above.")
@click.option("--as", "form", type=click.Choice(["note", "short", "card"]), default="note", help="The sample's form.")
@click.pass_context
def show(context: click.Context, name: str, sample: bool, lang: str, seniority: str, form: str) -> None:
    """Print a template, or the note that it gives."""
    from thanksd import drafts, policy  # noqa: PLC0415  Jinja2 is six times a bare Python

    tag = policy.known_language(lang) if lang else _language(context)
    if sample:
        _show_sample(context, name, tag, policy.known_seniority(seniority), form)
        return
    path, text = drafts.source(name, tag, _folder(context))
    if wants_json(context, templates=[{"name": name, "path": str(path), "text": text}]):
        return
    click.echo(display_safe(text.expandtabs(), multiline=True), nl=not text.endswith("\n"))


def _show_sample(context: click.Context, name: str, lang: str, seniority: str, form: str) -> None:
    from thanksd import drafts, etiquette, policy  # noqa: PLC0415  as above
    from thanksd.facts import Around  # noqa: PLC0415  as above

    base = drafts.wording(name).base
    facts = drafts.sample_facts(base if base in policy.kinds() else "general", lang, seniority)
    made = drafts.render(name, facts, lang, _folder(context), form)
    to = facts["person"]["email"]
    if form == "note":
        findings = etiquette.check(made.subject, made.body, facts, to)
    else:
        findings = etiquette.check_message(made.body, facts, Around(), is_short=form == "short")
    if wants_json(context, draft={"to": to, **made._asdict(), "findings": findings}):
        return
    if form == "note":
        say(f"Subject: {made.subject}")
        say("")
    click.echo(display_safe(made.body, multiline=True))
    for one in findings:
        note(f"{one['severity']}  {one['code']}: {one['message']}")


@templates.command()
@click.argument("name", shell_complete=_complete)
@click.option("--lang", default="", metavar="TAG", help="In this language; yours, if not given.")
@click.option("--edit", "in_editor", is_flag=True, help="Open it in your editor, and check it.")
@click.pass_context
def new(context: click.Context, name: str, lang: str, in_editor: bool) -> None:
    """Start a template of your own: a copy of the one of that name, else of the general one."""
    from thanksd import drafts, policy  # noqa: PLC0415  as above

    tag = policy.known_language(lang) if lang else _language(context)
    known = {one.name for one in drafts.available(tag, _folder(context))}
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A template can't be called {name[:60]!r}. Nothing was written.", "Use a to z, 0 to 9, - and _."
        )
    _, text = drafts.source(name if name in known else "general", tag, _folder(context))
    path = _folder(context) / tag / f"{name}{_ENDING}"
    _create(path, text)
    if in_editor:
        from thanksd.cli import editor  # noqa: PLC0415  only where it is asked for

        editor.open_file(path)
        _tell([(path, drafts.check(path, _folder(context)))])
    elif not wants_json(context, templates=[{"name": name, "path": str(path), "text": text}]):
        say(str(path))
        note("Change it to your taste, then: thanksd templates check " + name)


def _create(path: Path, text: str) -> None:
    paths.private_folder(path.parent.parent)
    paths.private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"You have that template: {path}. It was left as it is.", "Edit it.") from error
    except OSError as error:
        raise PermissionDeniedError(
            f"The template can't be written: {path}: {error.strerror}.", "Check who owns its folder."
        ) from error


@templates.command()
@click.argument("name", required=False, shell_complete=_complete)
@click.pass_context
def check(context: click.Context, name: str | None) -> None:
    """Render a template of yours, or each of them, with made-up meetings; name file and line of every mistake."""
    from thanksd import drafts  # noqa: PLC0415  as above

    folder = _folder(context)
    files = [drafts.source(name, _language(context), folder)[0]] if name else _own(folder)
    found = [(path, drafts.check(path, folder)) for path in files]
    bad = [path for path, problems in found if problems]
    if not wants_json(context, templates=[_checked(path, problems) for path, problems in found]):
        _tell(found)
    if bad:
        raise DataError(f"{len(bad)} of {len(found)} templates can't be used.", f"Mend it: {bad[0]}")


def _checked(path: Path, problems: list[Problem]) -> dict[str, Any]:
    listed = [{"path": str(one.file), "line": one.line or None, "message": one.message} for one in problems]
    return {"name": path.name.removesuffix(_ENDING), "path": str(path), "problems": listed}


def _tell(found: list[tuple[Path, list[Problem]]]) -> None:
    if not found:
        note("You have no template of your own. Start one: thanksd templates new coffee")
    for path, problems in found:
        if not problems:
            say(f"{path}: good")
        for one in problems:
            say(f"{one.file}:{one.line or ''}: {one.message}")


def _own(folder: Path) -> list[Path]:
    """Give the user's own templates; files that others extend or import begin with _."""
    found = [*folder.glob(f"*{_ENDING}"), *folder.glob(f"*/*{_ENDING}")]
    return sorted(path for path in found if not path.name.startswith("_"))


def _available(context: click.Context) -> list[TemplateInfo]:
    from thanksd import drafts  # noqa: PLC0415  as above

    return drafts.available(_language(context), _folder(context))


def _language(context: click.Context) -> str:
    from thanksd.config import load  # noqa: PLC0415  not for --help

    return load(Path(state_of(context).config_file)).me.language


def _folder(context: click.Context) -> Path:
    return paths.user_templates(Path(state_of(context).config_file))
