"""The commands draft and send."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from thanksd.addresses import display_safe
from thanksd.cli.output import can_ask, note, say, state_of, wants_json
from thanksd.cli.root import Command
from thanksd.errors import ConfigError, DataError, NotFoundError, UnavailableError, UsageError

if TYPE_CHECKING:
    from thanksd.client import Client

_LONGEST_BODY = 1 << 20


@click.command(cls=Command)
@click.argument("ref", nargs=-1, required=True)
@click.option("--edit", "in_editor", is_flag=True, help="Change it in your editor.")
@click.option("--another", is_flag=True, help="Start anew in another wording.")
@click.option("--template", default="", metavar="NAME", help="Start anew from this template.")
@click.option("--subject", default=None, help="Another subject; it is kept.")
@click.option("--body-file", default=None, metavar="FILE", help="The body from a file, or - for stdin; it is kept.")
@click.option(
    "--as", "form", type=click.Choice(["note", "short", "card"]), default="note", help="A message, or lines for a card."
)
@click.option("--by-command", is_flag=True, help="Let the program of draft.command write it.")
@click.option("--copy", "to_clipboard", is_flag=True, help="Put it on the clipboard.")
@click.pass_context
def draft(
    context: click.Context,
    ref: tuple[str, ...],
    in_editor: bool,
    another: bool,
    template: str,
    subject: str | None,
    body_file: str | None,
    form: str,
    by_command: bool,
    to_clipboard: bool,
) -> None:
    """Show the draft of a thanks, or change it.

    With --as short it is a message of 200 characters, with --as card three lines to write by hand; afterwards say so:
    thanksd done REF --how card.
    """
    name, is_changed = " ".join(ref), in_editor or by_command or subject is not None or body_file is not None
    if another and template:
        raise UsageError("--another and --template say two things. Nothing was changed.", "Give one of them.")
    if form != "note" and is_changed:
        raise UsageError(
            f"--as {form} is made of what was noted. Nothing was changed.", "Change the text where it goes."
        )
    body = None if body_file is None else _read_body(body_file)
    client = state_of(context).client
    result = client.call("draft", ref=name, template=template, subject=subject, body=body, another=another, form=form)
    if by_command:
        from thanksd.cli import ghostwriter  # noqa: PLC0415  only where it is asked for

        result = ghostwriter.write(context, name)
    if in_editor:
        result = _edit(client, name, result)
    if to_clipboard:
        from thanksd.cli import clipboard  # noqa: PLC0415  only where it is asked for

        clipboard.copy(result["draft"]["body"])
    if not wants_json(context, draft=result["draft"]):
        _print(result["draft"], name, form)
        if to_clipboard:
            note("It is on the clipboard.")


def _edit(client: Client, name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Let a draft be edited, once more where its owner wants that when the check blocks it; give it as it is then."""
    from thanksd.cli import editor, keys  # noqa: PLC0415  only where it is asked for
    from thanksd.moments import from_iso  # noqa: PLC0415  as above

    def keep(subject: str, body: str) -> None:
        client.call("draft", ref=name, subject=subject, body=body)

    while True:
        before, known = result["draft"], client.call("show", ref=name)
        beside = editor.beside(known["thanks"][0], before["findings"], known["zone"], from_iso(known["now"]))
        # Kept while the editor's file still is there: a ledger that is busy must not cost what was typed.
        if editor.edit(before["subject"], before["body"], keep, beside) is None:
            note("Nothing was changed.")
            return result
        result = client.call("draft", ref=name)
        blocks = [one for one in result["draft"]["findings"] if one["severity"] == "block"]
        if not blocks or not can_ask():
            return result
        for one in blocks:
            note(f"block  {one['code']}: {one['message']}")
        note("e edits it again, any other key keeps it so.")
        with keys.raw_terminal():
            if keys.read_key() != "e":
                return result


def _print(shown: dict[str, Any], name: str, form: str) -> None:
    """Print a draft; one that is no letter with what follows it."""
    if form == "note":
        _print_draft(shown, err=False)
        return
    click.echo(display_safe(shown["body"], multiline=True))
    for one in shown["findings"]:
        note(f"{one['severity']:<6} {one['code']}: {one['message']}")
    note(f"Thanked by it? thanksd done {name} --how {'message' if form == 'short' else 'card'}")


def _read_body(name: str) -> str:
    """Read a body from a file or stdin.

    Raises UsageError for one that is not there, too long, or not UTF-8.
    """
    try:
        if name == "-":
            if sys.stdin is None:
                raise UsageError("There is no stdin to read from. Nothing was changed.", "Give a file instead.")
            data = sys.stdin.buffer.read(_LONGEST_BODY + 1)
        else:
            with open(name, "rb") as file:  # noqa: PTH123  a name as it was typed
                data = file.read(_LONGEST_BODY + 1)
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"The body can't be read: {error.strerror}. Nothing was changed.", "Name another file."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError("The body is not UTF-8 text. Nothing was changed.", "Save it as UTF-8.") from error


def _print_draft(shown: dict[str, Any], *, err: bool) -> None:
    tell = note if err else say
    tell(f"To       {shown['to'] or '(no address yet)'}")
    tell(f"Subject  {shown['subject']}")
    tell("")
    for line in shown["body"].splitlines():
        for part in _wrapped(line, err=err):
            tell(part)
    tell("")
    for one in shown["findings"]:
        tell(f"{one['severity']:<6} {one['code']}: {one['message']}")


def _wrapped(line: str, *, err: bool) -> list[str]:
    """Break a long line of a letter at its spaces, where a person reads it."""
    if not (sys.stderr if err else sys.stdout).isatty():
        return [line]
    from thanksd.cli import keys, page  # noqa: PLC0415  on a terminal only

    return page.wrap(line, keys.window()[0] - 1)


@click.command(cls=Command)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option("-y", "--yes", is_flag=True, help="It was seen; don't ask.")
@click.option("--now", "at_once", is_flag=True, help="Leave at once, without the hold.")
@click.option("--at", default="", metavar="WHEN", help="Leave then: 'tomorrow 9:00', 2025-03-12 09:00.")
@click.option("--override", "overrides", multiple=True, metavar="CODE", help="Send although this blocks; recorded.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.pass_context
def send(
    context: click.Context,
    refs: tuple[str, ...],
    yes: bool,
    at_once: bool,
    at: str,
    overrides: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Send letters, after showing them. With several, all are checked first, and one block sends none."""
    client = state_of(context).client
    shown = _prepare(context, refs, at, at_once=at_once)
    if dry_run:
        _print_dry_run(context, shown)
    else:
        for one in shown:
            _print_letter(one, err=True)
    for one in shown:
        _refuse(one, overrides)
    if dry_run:
        return
    if shown[0]["prepared"]["place"]:
        context.exit(_hand_over(context, shown, list(overrides), yes=yes))
    if at and not client.daemon:
        raise UnavailableError(
            "Nothing would send it then: the daemon is not running. Nothing was sent.",
            "Start it: thanksd service install",
        )
    _ask("s sends it, any other key does not.", yes=yes)
    letters = [{"thanks": one["thanks"][0]["id"], "sha256": one["prepared"]["sha256"]} for one in shown]
    result = client.call("confirm", letters=letters, overrides=list(overrides), at=at, at_once=at_once)
    _let_go(context, result)


def _prepare(context: click.Context, refs: tuple[str, ...], at: str, *, at_once: bool) -> list[dict[str, Any]]:
    """Prepare every letter, before anything is confirmed.

    Raises UsageError where the words say two things.
    """
    if at and at_once:
        raise UsageError("--now and --at say two things.", "Give one of them.")
    client = state_of(context).client
    shown = [client.call("prepare", ref=ref, at=at, at_once=at_once) for ref in refs]
    if len({one["thanks"][0]["id"] for one in shown}) < len(shown):
        raise UsageError("The same thanks was named twice. Nothing was sent.", "Name each once.")
    return shown


def _print_letter(one: dict[str, Any], *, err: bool) -> None:
    _print_draft(one["prepared"], err=err)
    prepared = one["prepared"]
    tell = note if err else say
    tell(f"From     {prepared['from']}, by {prepared['by'] or 'nothing yet'}")
    if prepared["place"]:
        tell(f"Opens in {prepared['place']}; what you send there can't be taken back here.")
        if prepared["paste"]:
            tell("It is too long for a link: you will paste its text there.")
    elif prepared["hold"] is None:
        from thanksd.moments import from_iso, say_full  # noqa: PLC0415  where a moment was named

        tell(f"Leaves   {say_full(from_iso(prepared['leaves']), one['zone'])}")
    else:
        tell(f"Leaves   {prepared['hold']} s after it is confirmed" if prepared["hold"] else "Leaves   at once")
    if prepared["sha256"]:
        tell(f"sha256   {prepared['sha256']}")


def _print_dry_run(context: click.Context, shown: list[dict[str, Any]]) -> None:
    if not state_of(context).json:
        for one in shown:
            _print_letter(one, err=False)
        return
    keys = ("to", "subject", "body", "template", "findings")
    drafts = [{key: one["prepared"][key] for key in keys} for one in shown]
    if len(drafts) == 1:
        wants_json(context, draft=drafts[0])
    else:
        wants_json(context, drafts=drafts)


def _refuse(one: dict[str, Any], overrides: tuple[str, ...]) -> None:
    """Refuse a letter that can't be sent, saying the first thing it needs."""
    prepared, number, name = one["prepared"], one["thanks"][0]["id"], one["thanks"][0]["person"]["name"]
    if prepared["missing"] == "transport":
        raise ConfigError("Not sent: no mail account is set up.", "Set one up: thanksd init")
    if prepared["missing"] == "sender":
        raise ConfigError("Not sent: your own address is not set.", "thanksd config set me.email you@example.com")
    if prepared["missing"] == "address" and prepared["to"]:
        raise DataError(f"Not sent: {prepared['to']} came back.", f"thanksd edit {number} --email NEW")
    if prepared["missing"] == "address":
        raise DataError(f"Not sent: {name} has no address.", f"thanksd edit {number} --email ada@example.com")
    blocks = [
        found for found in prepared["findings"] if found["severity"] == "block" and found["code"] not in overrides
    ]
    if blocks:
        codes = ", ".join(found["code"] for found in blocks)
        words = " ".join(found["message"] for found in blocks)
        raise DataError(
            f"Blocked: {codes}. Nothing was sent. {words}", f"Mend it: thanksd review {number}", code="blocked"
        )


def _hand_over(context: click.Context, shown: list[dict[str, Any]], overrides: list[str], *, yes: bool) -> int:
    """Let the letters be opened in the person's own mail program, and give the exit code."""
    from thanksd.cli import handing  # noqa: PLC0415  only where letters are not sent from here

    handing.refuse_without_screen(shown[0]["thanks"][0]["id"])
    _ask(f"s opens it in {shown[0]['prepared']['place']}, any other key does not.", yes=yes)
    return handing.send(context, shown, overrides)


def _ask(question: str, *, yes: bool) -> None:
    """Ask for the one key that confirms.

    Raises NotFoundError (not confirmed) for any other key, and where nobody is there to press one.
    """
    if yes:
        return
    if not can_ask():
        raise NotFoundError("Not confirmed: nobody is here to press a key. Nothing was sent.", "Seen it? Add --yes.")
    from thanksd.cli import keys  # noqa: PLC0415  on a terminal only

    note(question)
    with keys.raw_terminal():
        keys.discard(0.3)
        pressed = keys.read_key()
    if pressed != "s":
        raise NotFoundError("Not confirmed. Nothing was sent.", "Your text is kept.")


def _let_go(context: click.Context, result: dict[str, Any]) -> None:
    client, thanks = state_of(context).client, result["thanks"]
    if client.daemon:
        if not wants_json(context, thanks=thanks):
            for one in thanks:
                _say_leaving(one, result["now"])
        return
    from thanksd.cli import leaving  # noqa: PLC0415  where no daemon sends

    code = leaving.wait_and_send(context, thanks)
    if state_of(context).json:
        wants_json(context, thanks=[client.call("show", ref=str(one["id"]))["thanks"][0] for one in thanks])
    context.exit(code)


def _say_leaving(one: dict[str, Any], now: str) -> None:
    from thanksd.moments import from_iso, say_span  # noqa: PLC0415  for people

    left = from_iso(one["letter"]["send_after"]) - from_iso(now)
    words = f"leaves in {say_span(left)}" if left.total_seconds() > 0 else "leaves now"
    say(f"{one['person']['name']}: {words}. Take it back: thanksd undo {one['id']}")
