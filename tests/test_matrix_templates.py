"""The fault matrix, table "Templates": what a user's template can't do, and that all else goes on beside it."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from cells import Say, cell
from cli_rigs import config_file, new_ledger
from daemon_rigs import add, answers, client, confirm, daemon, query, settings, value, wait_for

from thanksd import paths
from thanksd.errors import ThanksdError

_TABLE: Final = "Templates"
_LOOK = "Look at it: thanksd templates check"
_SECRET = "hunter2"


class Evil(NamedTuple):
    """A template's body and subject, and what is said of it; `line` is where, 0 where that can't be known."""

    body: str
    words: str = ""
    line: int = 3
    subject: str = "Thanks"
    head: str = ""


def _say(expression: str, words: str = "") -> Evil:
    return Evil(f"{{{{ {expression} }}}}", words)


_ESCAPES = {
    "attribute walks": [
        _say("().__class__.__base__.__subclasses__()", "unsafe"),
        _say("''.__class__.__mro__[1].__subclasses__()", "unsafe"),
        _say("person['__class__']", "'__class__'"),
        _say("(details|map(attribute='__class__')|list)[0].__name__", "unsafe"),
        _say("(details|groupby('__class__')|first)[0].__name__", "__class__"),
        _say("remembered.__globals__", "undefined"),
        Evil("{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}", "unsafe"),
    ],
    "str.format, format_map": [
        _say("'{0.__class__}'.format(1)", "unsafe"),
        _say("'{0.__class__.__mro__[1]}'.format(1)", "unsafe"),
        _say("'{x.__class__}'.format_map({'x': 1})", "unsafe"),
        _say("'{x[__class__].__init__}'.format(x=person)", "unsafe"),
    ],
    "`|attr`, `|map`": [
        _say("''|attr('__class__')", "unsafe"),
        _say("''|attr('__cla' ~ 'ss__')", "unsafe"),
        _say("[details]|map('attr', '__class__')|list|first ~ ''", "unsafe"),
    ],
    "cycler, joiner, namespace, lipsum": [
        _say("cycler.__init__.__globals__.os.system('id')", "unsafe"),
        _say("joiner.__init__.__globals__.__builtins__", "unsafe"),
        _say("namespace.__init__.__globals__", "unsafe"),
        _say("lipsum.__globals__['os']", "unsafe"),
        _say("GAP.__class__", "unsafe"),
    ],
    "CVE-2024-56326: format by another name": [
        Evil("{% set f = '{0.__class__}'.format %}{{ f(1) }}", "unsafe"),
        Evil("{% set f = '{x.__class__}'.format_map %}{{ f({'x': 1}) }}", "unsafe"),
        Evil("{% macro m(f) %}{{ f(1) }}{% endmacro %}{{ m('{0.__class__}'.format) }}", "unsafe"),
    ],
    "CVE-2025-27516: `|attr('format')`": [
        _say("('{0.__class__}'|attr('format'))(1)", "unsafe"),
        _say("('{x.__class__}'|attr('format_map'))({'x': 1})", "unsafe"),
        _say("(['{0.__class__}']|map('attr', 'format')|first)(1)", "unsafe"),
    ],
    "self, the template itself": [
        _say("self.__init__.__globals__", "unsafe"),
        _say("self._TemplateReference__context", "unsafe"),
        _say("self.body.__call__.__globals__", "unsafe"),
    ],
    "what Python has": [
        _say("open('/etc/passwd')", "'open' is undefined"),
        _say("__import__('os')", "'__import__' is undefined"),
        Evil("{% import 'os' as os %}", "no template os"),
    ],
    "changing what it is given": [
        _say("details.append('x')", "unsafe"),
        _say("person.clear()", "unsafe"),
        _say("person.update(name='Eve')", "unsafe"),
    ],
}


def _bomb(expression: str) -> Evil:
    """Give what needs too much memory; on a busy machine its time may be over before that is known, and where."""
    return Evil(f"{{{{ {expression} }}}}", "", 0)


_MEMORY = {
    "repetition": [_bomb("('a' * 10 ** 9)|length"), _bomb("[1] * 10 ** 9"), _bomb("('a' * 10 ** 9) ~ ('b' * 10 ** 9)")],
    "padding": [_bomb("'x'.ljust(10 ** 9)"), _bomb("'x'|center(10 ** 9)"), _bomb("'%01000000000d' % 1")],
    "replacing": [_bomb("('x' * 10 ** 5)|replace('x', 'x' * 10 ** 5)")],
    "`|format`, str.format": [_bomb("'%1000000000s'|format(1)"), _bomb("'{:1000000000}'.format(1)")],
    "doubling in a loop": [
        Evil(
            "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
            "",
            0,
        )
    ],
    "ranges in ranges": [
        Evil(
            "{% set n = namespace(x=[]) %}{% for a in range(99999) %}{% set n.x = n.x + range(9999)|list %}{% endfor %}",
            "",
            0,
        )
    ],
}
_ENDLESS = "took longer than"
_PROCESSOR = {
    "loops in loops": [
        Evil("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", _ENDLESS, 0)
    ],
    "a power": [Evil("{{ 10 ** (10 ** 9) }}", _ENDLESS, 0)],
    "slow filters": [
        Evil("{{ ('a ' * 5000000)|wordwrap(1)|length }}", _ENDLESS, 0),
        Evil("{% for a in range(9999) %}{{ (range(99999)|sort|unique|list)|length }}{% endfor %}", _ENDLESS, 0),
    ],
}
_RECURSION = {
    "a macro that calls itself": [Evil("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion")],
    "an include of itself": [Evil("{% include 'evil.txt.j2' %}", "", 3)],
    "two that include each other": [Evil("{% include 'pong.txt.j2' %}", "recursion", 0)],
    "itself as its frame": [Evil("Hello", "recursion", 0, head="{% extends 'evil.txt.j2' %}")],
    "ten thousand brackets": [Evil("{{ " + "[" * 10_000 + "]" * 10_000 + " }}", "", 0)],
}
_TAGS = {
    "include": "{{% include '{}' %}}",
    "import": "{{% import '{}' as it %}}",
    "extends": "{{% extends '{}' %}}",
}
_OUTSIDE = {
    "`..`": ["../secret.txt", "sub/../../secret.txt", "../templates/../secret.txt"],
    "an absolute path": ["/etc/passwd", "/proc/self/environ", "//etc/passwd"],
    "a symlink out": ["link.txt", "linked/secret.txt", "environ.txt", "zero.txt"],
    "a named pipe, a device, a folder": ["pipe.txt", "null.txt", "sub"],
}
_OUTPUT = {
    "over 256 KiB": [Evil("{% for a in range(999) %}{{ 'x' * 999 }}{% endfor %}", "more than 256 KiB of text", 0)],
    "a subject of two lines": [Evil("Hello", "its subject has more than one line", 0, "Hi\nBcc: eve@example.com")],
    "NUL and other controls": [
        Evil(f"Hel{char}lo", f"U+{ord(char):04X}", 0) for char in ("\x00", "\x1b", "\x7f", "\u2028")
    ],
}
_MISTAKES = {
    "a name that is not there": [
        Evil("Dear\n{{ persn.name }}", "'persn' is undefined", 4),
        Evil("Dear\n\n{{ person.nmae }}", "has no attribute 'nmae'", 5),
        Evil("{{ details | rememberd }}", "rememberd"),
        Evil("{% include 'other.txt.j2' %}", "there is no template other.txt.j2"),
    ],
    "syntax": [
        Evil("{% if %}", "Expected an expression"),
        Evil("{% for %}", "Expected"),
        Evil("{{ 'x", "", 3),
        Evil("{% block body %}{% endblock %}", "", 3),
    ],
    "an error while it runs": [Evil("{{ 1 / 0 }}", "division by zero"), Evil("{{ details + 1 }}", "concatenate")],
}
_ROWS = {
    "Escapes from the sandbox": _ESCAPES,
    "Memory bombs": _MEMORY,
    "Processor bombs": _PROCESSOR,
    "Recursion": _RECURSION,
    "What it gives": _OUTPUT,
    "Mistakes": _MISTAKES,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """The folder of the user's templates; in the ledger somebody is to be thanked for a coffee."""
    settings(channels='["terminal"]')
    new_ledger()
    made = paths.user_templates(config_file())
    made.mkdir(mode=0o700)
    yield made
    assert [path for path in config_file().parent.rglob("core*") if path.is_file()] == []


def _write(folder: Path, evil: Evil) -> Path:
    (folder / "pong.txt.j2").write_text("{% include 'evil.txt.j2' %}")
    path = folder / "evil.txt.j2"
    text = f"{evil.head}{{% block subject %}}{evil.subject}{{% endblock %}}\n{{% block body %}}\n{evil.body}\n{{% endblock %}}\n"
    path.write_text(text, encoding="utf-8")
    return path


def _refusal(thanks: int) -> str:
    """Have a draft written by the evil template, and give why it was not."""
    with pytest.raises(ThanksdError) as caught:
        client().call("draft", ref=str(thanks), template="evil")
    assert (caught.value.exit_code, caught.value.hint) == (65, _LOOK)
    return caught.value.message


def _is_refused(folder: Path, evil: Evil, thanks: int) -> None:
    path = _write(folder, evil)
    message = _refusal(thanks)
    where = f"{path}, line {evil.line}: " if evil.line else str(folder)
    assert where in message, (evil, message)
    assert evil.words in message, (evil, message)
    assert _SECRET not in message


def _is_as_before(thanks: int) -> None:
    """The thanks is due with nothing lost, and a draft by the shipped template is written."""
    assert client().call("show", ref=str(thanks))["thanks"][0]["state"] == "owed"
    assert client().call("draft", ref=str(thanks), template="coffee")["draft"]["body"].startswith("Dear Ada")


@pytest.mark.parametrize(
    "evils",
    [
        cell(_TABLE, row, column, each, daily=column == next(iter(columns)))
        for row, columns in _ROWS.items()
        for column, each in columns.items()
    ],
)
def test_a_template_that_does_harm_is_refused_by_file_and_line(evils: list[Evil], folder: Path, seen: Say) -> None:
    thanks = add()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    for evil in evils:
        _is_refused(folder, evil, thanks)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert time.monotonic() - begun < 20 * len(evils)
    _is_as_before(thanks)
    seen(_said(evils), len(evils))


def _said(evils: list[Evil]) -> str:
    ended = "ended after 2 s of work, or 5 s in all; " if evils[0].words == _ENDLESS else ""
    return f"{ended}refused by file" + (" and line" if all(evil.line for evil in evils) else ", and line where known")


def _lay_out(folder: Path) -> None:
    """Put what must not be read around the folder, and ways to it inside."""
    outside = folder.parent / "outside"
    outside.mkdir()
    for path in (outside / "secret.txt", folder.parent / "secret.txt"):
        path.write_text(_SECRET)
    (folder / "sub").mkdir()
    links = {"link.txt": outside / "secret.txt", "linked": outside, "environ.txt": Path("/proc/self/environ")}
    for name, target in (links | {"zero.txt": Path("/dev/zero")}).items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.txt")
    if os.geteuid() == 0:
        os.mknod(folder / "null.txt", 0o20600, os.makedev(1, 5))
    else:
        (folder / "null.txt").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        cell(_TABLE, f"Files outside its folder: {what}", f"`{tag}`", form, names, daily=tag == "include")
        for what, names in _OUTSIDE.items()
        for tag, form in _TAGS.items()
    ],
)
def test_nothing_outside_its_folder_is_read(tag: str, names: list[str], folder: Path, seen: Say) -> None:
    thanks = add()
    _lay_out(folder)
    for name in names:
        found = tag.format(name)
        # A frame is named on the first line, or not at all.
        evil = Evil("Hello", line=1, head=found) if "extends" in found else Evil(found)
        _is_refused(folder, evil, thanks)
    _is_as_before(thanks)
    seen("refused by file and line", len(names))


@pytest.mark.parametrize((), [cell(_TABLE, "Files outside its folder: a symlink out", "the template itself is one")])
def test_a_template_that_is_a_symlink_out_a_pipe_or_a_device_is_refused(folder: Path, seen: Say) -> None:
    thanks = add()
    _lay_out(folder)
    path = folder / "evil.txt.j2"
    for target in ("link.txt", "linked/secret.txt", "environ.txt", "zero.txt", "nowhere", "pipe.txt", "sub"):
        path.symlink_to(folder / target)
        with pytest.raises(ThanksdError) as caught:
            client().call("draft", ref=str(thanks), template="evil")
        assert str(path) in caught.value.message
        assert _SECRET not in caught.value.message
        path.unlink()
    _is_as_before(thanks)
    seen("refused by file", 7)


_ONE_EACH = {
    "Escapes from the sandbox": _ESCAPES["CVE-2025-27516: `|attr('format')`"][0],
    "Memory bombs": _MEMORY["padding"][0],
    "Processor bombs": _PROCESSOR["loops in loops"][0],
    "Recursion": _RECURSION["an include of itself"][0],
    "What it gives": _OUTPUT["NUL and other controls"][0],
    "Mistakes": _MISTAKES["a name that is not there"][0],
    **{f"Files outside its folder: {what}": Evil(_TAGS["include"].format(n[0])) for what, n in _OUTSIDE.items()},
}


@pytest.mark.parametrize("evil", [cell(_TABLE, row, "a daemon lives on", one) for row, one in _ONE_EACH.items()])
def test_a_daemon_lives_on_and_the_rest_goes_out(evil: Evil, folder: Path, seen: Say) -> None:
    with daemon(quick=True) as running:
        _lay_out(folder)
        _goes_on_beside(folder, evil)
        assert running.process.poll() is None
        assert "Traceback" not in running.log
    seen("refused; meanwhile another letter left and another nudge came")


@pytest.mark.parametrize(
    "evils", [cell(_TABLE, "All of these", "one daemon, one after the other", list(_ONE_EACH.values()), daily=True)]
)
def test_one_daemon_outlives_them_all(evils: list[Evil], folder: Path, seen: Say) -> None:
    with daemon(quick=True) as running:
        _lay_out(folder)
        for turn, evil in enumerate(evils):
            _goes_on_beside(folder, evil, turn)
        assert running.process.poll() is None
        assert "Traceback" not in running.log
    seen("each refused; meanwhile other letters left and other nudges came", len(evils))


def _goes_on_beside(folder: Path, evil: Evil, turn: int = 0) -> None:
    """While a template does its harm a letter that waits leaves; then a nudge comes, and the draft is not lost."""
    thanks, other, third = add(f"Ada{turn} Fay"), add(f"Bob{turn} Ray"), add(f"Cy{turn} Young", after="0s")
    path, before = _write(folder, evil), value("SELECT count(*) FROM letter WHERE state = 'sent'")
    confirm(other)
    said: list[str] = []
    harm = threading.Thread(target=lambda: said.append(_refusal(thanks)))
    harm.start()
    wait_for(lambda: value("SELECT count(*) FROM letter WHERE state = 'sent'") == before + 1)
    harm.join(20)
    assert str(path) in said[0]
    nudges = client().call("due_nudges", channel="terminal")["nudges"]
    assert third in [number for one in nudges for number in one["thanks"]]
    assert query("SELECT 1 FROM letter WHERE state != 'sent'") == []
    assert answers()
    client().call("done", ref=str(third))
