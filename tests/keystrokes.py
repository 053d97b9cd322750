"""Ten everyday tasks typed into the real program at a real terminal, and what each costs: keys and screens.

`python tests/keystrokes.py` (make keystrokes) writes docs/EXPERIENCE.md from them; tests/test_keystrokes.py holds it
true. The wall clock of the program and its daemon stands still, so that every screen is the same on every day.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from daemon_rigs import daemon, value
from neighbours import NEIGHBOURS
from smtp_rigs import USER, mail_server
from terminal_rigs import Terminal
from typist_rigs import YESTERDAY, Home, Task, Typist, keys

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/EXPERIENCE.md"
_NEW_PASSWORD = "another horse"
_FOLDERS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_RUNTIME_DIR": "run",
}
_NAMES = {"\r": "⏎", "\t": "⇥", "\x1b": "⎋", "\x15": "^U"}
_INTRODUCTION = """\
# What ten tasks cost: keys and screens

Made by `make keystrokes`; a test does every task again and compares. The real program ran in a terminal of 80 by 24
beside its daemon and a mail server; only its clock stood still, at Wednesday 12 March 2025, 10:42.

Every key counts: what is typed at the shell's prompt, the sentence of a detail, Enter (⏎), Tab (⇥), Escape (⎋), and a
letter with Ctrl (^U) as one. A screen is what one reads before the next is drawn; one that grows or scrolls by a few
lines is the same. Beside it stands the nearest tool we know for the same task, its keys counted by the same rule from
lines that were typed by hand on Debian 12 (taskwarrior 2.6.2, neomutt 20220429 with vi, its account set up). Gmail's
key is the one its help names with shortcuts turned on (https://support.google.com/mail/answer/6594), the time it has
is from https://support.google.com/mail/answer/2819488; its screens were not counted (-).

From popup to sent it takes two: the popup's button Review, and s. The test of the whole way (add, nudge, Review, one
key, and the letter is accepted) presses exactly these on a real desktop.

| task | thanksd: keys | screens | nearest tool | keys | screens | note |
|---|---:|---:|---|---:|---:|---|
"""


# --- the ten tasks: what was there before, uncounted and without a daemon, and what is done ---


def _met(home: Home) -> None:
    home.met_ada()


def _met_nobody(_home: Home) -> None:
    pass


def _met_before(home: Home) -> None:
    home.runs("add Ada Lovelace ada@example.com -k interview -d 'how you found the moth'", YESTERDAY)


def _add_known(_home: Home, typist: Typist) -> None:
    with typist.starts("thanksd add") as terminal:
        typist.answers(terminal, "A\t", "Whom did you meet?")
        typist.answers(terminal, "1", "You know Ada Lovelace", "A digit")
        typist.answers(terminal, "", "When?")
        typist.answers(terminal, "why you left Rust", "Finish it as if to Ada")
        typist.answers(terminal, "", "Did you promise")
        typist.answers(terminal, "", "Anybody else?")


def _add_stranger(_home: Home, typist: Typist) -> None:
    typist.runs('thanksd add Ada Lovelace ada@example.com -k coffee -w "tue 15:00" -d "why you left Rust"')


def _send_shown(home: Home, typist: Typist, terminal: Terminal, *texts: str, count: int = 1) -> None:
    """Press s, read on, and leave the program to its countdown."""
    typist.presses(terminal, "s", "Dear Ada,", "s send", *texts)
    terminal.until("any other key closes")
    typist.looks(terminal)
    home.sees_sent(count)


def _review_and_send(home: Home, typist: Typist) -> None:
    with typist.starts("thanksd review") as terminal:
        _send_shown(home, typist, terminal, "why you left Rust")


def _change_detail(_home: Home, typist: Typist) -> None:
    with typist.starts("thanksd review") as terminal:
        typist.presses(terminal, "d", "why you left Rust", "s send")
        typist.replies(terminal, "> why you left Rust", "\x15how you found the moth")
        typist.presses(terminal, "q", "about how you found the moth", "s send")


def _undo(home: Home, typist: Typist) -> None:
    home.runs("send 1 --yes")
    typist.runs("thanksd undo")
    assert value("SELECT state FROM letter") == "cancelled"


def _snooze(_home: Home, typist: Typist) -> None:
    typist.runs("thanksd snooze ada")
    assert value("SELECT state FROM thanks") == "snoozed"


def _refused(home: Home) -> None:
    home.met_ada("ada@exmaple.com")
    home.box.answers["RCPT"] = "550 5.1.1 no such user"
    home.has_sent(65)
    home.box.answers.clear()


def _wrong_address(home: Home, typist: Typist) -> None:
    with typist.starts("thanksd review") as terminal:
        typist.answers(terminal, "ada@example.com", "Ada's address?")
        _send_shown(home, typist, terminal, "Ada Lovelace <ada@example.com>")


def _sent(home: Home) -> None:
    home.met_ada()
    home.has_sent()


def _bounce(home: Home, typist: Typist) -> None:
    typist.runs("thanksd resolve ada --bounced -e lovelace@example.org")
    with typist.starts("thanksd review ada") as terminal:
        _send_shown(home, typist, terminal, "Ada Lovelace <lovelace@example.org>", count=2)


def _holiday(_home: Home, typist: Typist) -> None:
    typist.runs("thanksd pause mon 31 mar")
    assert value("SELECT paused_until FROM member").startswith("2025-03-31 07:00")


def _not_let_in(home: Home) -> None:
    home.met_ada()
    home.box.login = (USER, _NEW_PASSWORD)
    home.has_sent(77)
    home.knows(_NEW_PASSWORD)


def _changed_password(home: Home, typist: Typist) -> None:
    with typist.starts("thanksd credentials test") as terminal:
        typist.replies(terminal, "Send them now? [Y/n]:", "")
    home.sees_sent()


class Row(NamedTuple):
    """A task of the document: its title, how it comes about, and how it is done."""

    title: str
    before: Callable[[Home], None]
    do: Callable[[Home, Typist], None]


TASKS = {
    "known": Row("Add somebody known", _met_before, _add_known),
    "stranger": Row("Add a stranger", _met_nobody, _add_stranger),
    "send": Row("Review and send", _met, _review_and_send),
    "detail": Row("Change the detail", _met, _change_detail),
    "undo": Row("Undo", _met, _undo),
    "snooze": Row("Snooze", _met, _snooze),
    "address": Row("Wrong address", _refused, _wrong_address),
    "bounce": Row("Bounce", _sent, _bounce),
    "holiday": Row("Holiday", _met, _holiday),
    "password": Row("Changed password", _not_let_in, _changed_password),
}


def measure(name: str) -> Task:
    """Do one task in the environment's home, beside a running daemon and a mail server."""
    with mail_server() as box:
        home = Home(box)
        TASKS[name].before(home)
        with daemon(environ=home.environ, quick=True):
            typist = Typist(home)
            TASKS[name].do(home, typist)
    return typist.task


# --- the document ---


def row(name: str, task: Task) -> str:
    """Give a task's row of the table."""
    near = NEIGHBOURS[name]
    ours = f"| {TASKS[name].title} | {task.keys} | {len(task.screens)} "
    return f"{ours}| {near.tool} | {keys(near.typed)} | {near.screens or '-'} | {near.note} |\n"


def section(name: str, task: Task) -> str:
    """Give a task's section: what was typed, the screens, and what is typed in the nearest tool."""
    screens = "".join(_block(screen) for screen in task.screens)
    near = NEIGHBOURS[name]
    typed = f"Typed, {task.keys} keys:\n\n{_block(_named(task.typed))}"
    theirs = f"{near.tool[0].upper()}{near.tool[1:]}, {keys(near.typed)} keys:\n\n{_block(_named(near.typed))}"
    return f"\n## {TASKS[name].title}\n\n{typed}{screens}{theirs}".rstrip("\n") + "\n"


def _named(typed: Sequence[str]) -> str:
    """Give typed lines with names for the keys that are no characters; a line breaks after each Enter."""
    text = "\n".join(typed)
    for key, name in _NAMES.items():
        text = text.replace(key, name)
    return "\n".join(line for part in text.split("\n") for line in part.replace("⏎", "⏎\n").splitlines())


def _block(text: str) -> str:
    return f"```text\n{text}\n```\n\n"


def _measure_anywhere(name: str) -> Task:
    """Do a task in a home of its own, with nothing of who runs this in its environment."""
    with tempfile.TemporaryDirectory(prefix="td-", dir="/tmp") as folder:
        environ = {name: f"{folder}/{place}" for name, place in _FOLDERS.items()}
        environ |= {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8", "TZ": "Europe/Berlin"}
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        Path(folder, "run").mkdir(mode=0o700)
        return measure(name)


def main() -> None:
    """Do every task, and write the document anew."""
    done = {name: _measure_anywhere(name) for name in TASKS}
    rows = "".join(row(name, task) for name, task in done.items())
    sections = "".join(section(name, task) for name, task in done.items())
    DOCUMENT.write_text(_INTRODUCTION + rows + sections, encoding="utf-8")


if __name__ == "__main__":
    main()
