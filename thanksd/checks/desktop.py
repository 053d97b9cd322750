"""The checks `notifications` and `terminal`, and a real popup to see: what stands between a nudge and its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from thanksd.channels import Popup
from thanksd.channels.desktop import Desktop
from thanksd.channels.opener import browser_argv, has_screen, terminal_argv
from thanksd.channels.servers import look
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.errors import UnavailableError

_TRY = "thanksd doctor --nudge"
_START = f"Start dunst or mako in your session (i3, sway), then: {_TRY}"
_WITHOUT = "Without a desktop, be reminded at the prompt: thanksd config set nudge.channels terminal"
_SHORTLY = 10_000  # milliseconds


def notifications(place: Place) -> Iterator[Finding]:
    """Look who would show popups, and what they can do."""
    if "desktop" not in place.settings().nudge.channels:
        yield ok("notifications", "No popups are wanted (nudge.channels).")
        return
    try:
        found = asyncio.run(look(place.environ))
    except UnavailableError as error:
        yield mend("notifications", f"{error.message} No popup can be shown.", _WITHOUT)
        return
    if found.server is None and found.can_start:
        yield look_at("notifications", "None runs; your desktop starts one with the first popup.", f"See: {_TRY}")
    elif found.server is None:
        yield mend("notifications", "Nobody on this desktop shows popups.", _START)
    elif "actions" not in found.server.capabilities:
        words = (
            f"{_named(found.server.name, found.server.version)} shows popups without buttons; they say what to type."
        )
        yield look_at("notifications", words, "For buttons, use dunst, mako or your desktop's own.")
    else:
        yield ok("notifications", f"{_named(found.server.name, found.server.version)}, with buttons.")


def _named(name: str, version: str) -> str:
    return f"{name} {version.partition(' ')[0]}".strip()


def terminal(place: Place) -> Iterator[Finding]:
    """Look what a pressed Review would open: the page in a browser, or which terminal program."""
    settings, page = place.settings().nudge, _page(place)
    try:
        program = Path(terminal_argv(settings.terminal, [], place.environ)[0])
    except UnavailableError as error:
        if page:
            yield ok("terminal", f"{page}. {error.message}")
        else:
            yield look_at("terminal", f"{error.message} Review can open nothing.", error.hint)
        return
    real = program.resolve().name
    words = program.name + (f" ({real})" if real != program.name else "")
    yield ok("terminal", f"{page}, else {words}." if page else f"Review opens {words}.")


def _page(place: Place) -> str:
    """Say by what Review opens the page, "" where it opens a terminal."""
    settings = place.settings()
    if settings.nudge.review == "terminal" or not settings.page.enabled or not has_screen(place.environ):
        return ""
    found = browser_argv(settings.page.browser, place.environ)
    return f"Review opens the page by {Path(found[0]).name}" if found else ""


@contextmanager
def nudged(environ: Mapping[str, str], *, is_read: bool) -> Iterator[Finding]:
    """Show a real popup by the channel that nudges take, for as long as the block lasts, and give what came of it.

    With nobody to look at it (`is_read`), it goes by itself.
    """
    title, body = "This is how thanksd reminds you", "thanksd doctor asked for it."
    popup = Popup(title, body, buttons=(), expires=0 if is_read else _SHORTLY)
    with asyncio.Runner() as runner:
        channel = Desktop(_ignore, _ignore, _ignore, environ)
        try:
            receipt = runner.run(channel.show(popup))
            if receipt.shown:
                server = runner.run(look(environ)).server
                by = _named(server.name, server.version) if server else "a server that left"
                yield ok("nudge", f"Popup shown by {by}.")
                if is_read:
                    runner.run(channel.close(receipt.popup_id, receipt.server))
            else:
                yield mend("nudge", f"No popup: {receipt.error}", _START)
        finally:
            runner.run(channel.stop())


def _ignore(*_: object) -> None:
    """Let a press or a closing pass: this popup asks for nothing."""
