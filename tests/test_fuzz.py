"""Anything at all at the doors that take text or bytes: it is read or refused in words, and nobody dies of it.

WHEN and DELAY are in test_when, addresses and what is printed in test_addresses, letters in test_drafts, popups in
test_popups: each beside the plain tests of the same door.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import string
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from cli_rigs import config_file as place_of_config
from cli_rigs import new_ledger
from daemon_rigs import answers, daemon, settings, socket_path
from hypothesis import HealthCheck, example, given
from hypothesis import settings as how
from hypothesis import strategies as st
from jeepney import DBusAddress, new_signal  # type: ignore[import-untyped]  # jeepney ships no types
from model_rigs import memory
from smtp_rigs import Scripted, deliver
from store_rigs import NOON, Desk

from thanksd import (
    __version__,
    config,
    config_file,
    drafts,
    policy,
    reminder,
    rendering,
    states,
    timing,
    transports,
    world,
)
from thanksd.addresses import check_address, is_unsafe
from thanksd.channels.desktop import Desktop
from thanksd.channels.wire import Wire
from thanksd.config import Config, Smtp, Transport
from thanksd.errors import ConfigError, ThanksdError, UnavailableError, UsageError
from thanksd.page.visits import Visits
from thanksd.rendering import Fault, Folder, Note
from thanksd.transports import Envelope, Outcome, replies
from thanksd.transports.session import Session
from thanksd.verbs import PUBLIC
from thanksd.verbs.who import parse_who

QUIETLY: dict[str, Any] = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
anything = st.text(max_size=80)


# --- WHO ---

_WHO = st.lists(
    st.sampled_from(
        ["Ada", "Lovelace", "ada@example.com", "<ada@example.com>", "@", "<", ">", ",", '"', "\t", "\u202e"]
    )
    | st.text(max_size=8),
    max_size=5,
).map(" ".join)


@how(max_examples=200, **QUIETLY)
@given(_WHO, st.sampled_from(["", "ada@example.com", "x"]))
@example("Ada  Lovelace <ada@example.com>", "")
def test_who_is_read_into_a_name_and_an_address_that_can_be_shown_or_refused(words: str, email: str) -> None:
    try:
        who = parse_who(words, email)
    except UsageError:
        return
    assert who.name or who.email
    assert not any(is_unsafe(char) for char in who.name + who.email)
    assert not who.email or check_address(who.email) == who.email
    assert parse_who(who.name, who.email) == who if "@" not in who.name else True


@how(max_examples=25, **QUIETLY)
@given(st.lists(_WHO, min_size=1, max_size=3), anything, anything, anything)
def test_what_an_add_took_is_found_and_shown_again(who: list[str], detail: str, place: str, when: str) -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        desk = Desk(Path(folder))
        with contextlib.suppress(ThanksdError):
            found = desk("add", who=who[0], others=who[1:], details=[detail], place=place, when=when)["thanks"]
            listed = {one["id"]: one for one in desk("owed", everything=True)["thanks"]}
            assert [listed[one["id"]] for one in found] == found
        assert len(json.dumps(desk("owed", everything=True))) > 0
        desk.context.store.close()


# --- the config ---

_NAMES = sorted({row.name.replace("NAME", "coffee") for row in config.table()})
_TOML = st.one_of(
    st.text(max_size=30),
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=8), max_size=3),
    st.just({}),
    st.sampled_from(
        ["smtp", "maildir", "21:00-08:30", "fri 16:00", "30s", "next day 09:00", "Europe/Berlin", "desktop"]
    ),
)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{}"
    return json.dumps(value) if not isinstance(value, str) else json.dumps(value).replace("\x7f", "\\u007f")


@how(max_examples=200, **QUIETLY)
@given(st.dictionaries(st.sampled_from(_NAMES), _TOML, max_size=4))
def test_any_value_of_any_setting_is_taken_or_refused_with_its_name(values: dict[str, Any]) -> None:
    text = "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())
    refused: list[ConfigError] = []
    try:
        loaded = config.parse(text)
    except ConfigError as error:
        refused.append(error)
    if refused:
        words = refused[0].message
        assert refused[0].hint
        assert any(name.rpartition(".")[2] in words for name in values) or "TOML" in words
        return
    assert {name: config_file.value_of(loaded, name) for name in values} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    _use(loaded)


def _use(loaded: Config) -> None:
    """Read every setting as those do who need it: each knows a mistake for one."""
    times = loaded.kind.get("coffee", config.KindRule())
    uses: list[Callable[[], object]] = [
        lambda: timing.parse_quiet(loaded.nudge.quiet_hours),
        lambda: timing.parse_ask(loaded.nudge.ask),
        lambda: timing.undo_hold(loaded.send.undo),
        lambda: timing.schedule(
            policy.rule("coffee", own={"nudge": times.nudge, "best_by": times.best_by}), NOON, "UTC"
        ),
        lambda: world.user_zone(loaded.me.timezone, ""),
        lambda: transports.check(loaded.transport),
        lambda: transports.describe(loaded.transport),
    ]
    for use in uses:
        with contextlib.suppress(ConfigError):
            use()


@how(max_examples=200, **QUIETLY)
@given(st.sampled_from(_NAMES) | anything, anything | st.sampled_from(["true", "25", "desktop,terminal", "7:00-8:00"]))
def test_a_setting_given_in_words_is_understood_or_refused(name: str, words: str) -> None:
    try:
        value = config_file.understood(name, words)
    except UsageError:
        return
    assert type(value) is type(config_file.row(name).default)


# --- templates ---

_PIECES = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            " ",
            "\n",
            "person",
            ".name",
            "details",
            "[0]",
            "|greeted",
            "|remembered",
        ),
        *("|upper", "|length", "{{ person.name }}", "{% if details %}", "{% endif %}", "{% for d in details %}"),
        *("{% endfor %}", "{{ d }}", "{{ nobody }}", "{{ 1/0 }}", "{{ meeting.kind|at_place }}", "{{ self }}"),
        *(
            "{% block body %}",
            "{% endblock %}",
            "{% include 'x' %}",
            "{% extends '_frame.txt.j2' %}",
            "{{ ''.__class__ }}",
        ),
    ]
)


@how(max_examples=150, **QUIETLY)
@given(st.lists(_PIECES | st.text(max_size=6), max_size=8).map("".join))
@example("{{ details|remembered }}")
def test_any_template_gives_a_note_or_says_what_is_wrong_with_it(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        head = "{% block subject %}Thanks{% endblock %}{% block body %}"
        (Path(folder) / "x.txt.j2").write_text(f"{head}{text}{{% endblock %}}", encoding="utf-8")
        sandbox = rendering.environment([Folder(folder, folder)], [], "en")
        made = rendering.render_here(sandbox, "x.txt.j2", drafts.sample_facts("coffee"), "note")
        assert isinstance(made, (Note, Fault))
        assert not isinstance(made, Fault) or (made.line >= 0 and made.message)


@how(max_examples=4, **QUIETLY)
@given(st.lists(_PIECES | st.text(max_size=6), max_size=8).map("".join))
def test_any_template_is_rendered_in_the_child_or_refused_in_words(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "coffee.txt.j2").write_text(text, encoding="utf-8")
        with contextlib.suppress(ThanksdError):
            drafts.render("coffee", drafts.sample_facts("coffee"), "en", Path(folder))


# --- what a mail server says ---

_LINE = st.one_of(
    st.binary(max_size=30).map(lambda data: data + b"\r\n"),
    st.from_regex(rb"[0-9]{1,4}[- ]?[ -~]{0,20}\r?\n?", fullmatch=True),
    st.sampled_from(
        [b"250 ok\r\n", b"250-more\r\n", b"354 go\r\n", b"451 later\r\n", b"554 no\r\n", b"535 who\r\n", b"\xff"]
    ),
)
_SAID = st.lists(_LINE, max_size=4).map(b"".join)
_A_YES = re.compile(rb"(?:(2\d\d)-[^\n]*\n(?:\1-[^\n]*\n)*\1|2\d\d)(?: [^\n]*)?\r?\n")


@how(max_examples=200, **QUIETLY)
@given(_SAID)
@example(b"250-a\r\n550 b\r\n")
@example(b"250 ok")
def test_bytes_after_the_dot_are_taken_for_yes_only_where_they_are_one(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    session = Session(timeout=5)
    session.sock = ours
    ours.settimeout(5)
    with theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        try:
            code, text = session.getreply()
            outcome = replies.after_dot(code, replies.words_of(code, text))
        except OSError:
            outcome = Outcome(states.UNKNOWN, "", None, "")
    session.close()
    assert (outcome.kind == states.ACCEPTED) <= (_A_YES.match(said) is not None)
    assert outcome.reply.isprintable()
    assert len(outcome.reply) <= transports.LONGEST_REPLY + 200


@how(max_examples=60, **QUIETLY)
@given(st.sampled_from(["", "EHLO", "MAIL", "RCPT", "DATA", "."]), _SAID)
def test_a_server_that_talks_nonsense_never_makes_a_letter_sent_nor_an_end_unknown_before_the_dot(
    verb: str, said: bytes
) -> None:
    on_dot = Mock(return_value=True)
    with Scripted({verb: said}) as server:
        outcome = _tried(server.port, on_dot)
    if verb != "." and not (verb == "DATA" and re.match(rb"354(?:[- ]|\r?\n)", said)):
        # It hangs up after what it said.
        assert outcome.kind in (states.NOT_NOW, states.REJECTED)
        assert not on_dot.called
    assert (outcome.kind == states.ACCEPTED) <= (verb == "." and _A_YES.match(said) is not None)


def _tried(port: int, on_dot: Callable[[], bool]) -> Outcome:
    account = Smtp(host="127.0.0.1", port=port, security="none", auth="none")
    letter = Envelope("sam@example.org", "ada@example.com", b"Subject: x\r\n\r\nx\r\n", "<1@example.org>")
    return deliver(Transport(kind="smtp", smtp=account), "", None, letter, on_dot)


# --- the session bus ---

_NOTIFICATIONS = DBusAddress("/org/freedesktop/Notifications", None, "org.freedesktop.Notifications")
_SIGNALS = st.one_of(
    st.tuples(
        st.just("ActionInvoked"), st.just("us"), st.tuples(st.integers(0, 9), anything.filter(lambda t: "\0" not in t))
    ),
    st.tuples(st.just("NotificationClosed"), st.just("uu"), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.tuples(st.just("ActionInvoked"), st.just("ai"), st.tuples(st.lists(st.integers(0, 9), max_size=3))),
).map(lambda one: new_signal(_NOTIFICATIONS, *one).serialise(1))


@st.composite
def _wire_bytes(draw: st.DrawFn) -> bytes:
    """Give messages as they come, some with bytes of them changed, or none at all."""
    data = bytearray(b"".join(draw(st.lists(_SIGNALS | st.binary(max_size=40), max_size=4))))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4)):
        if at < len(data):
            data[at] = byte
    return bytes(data)


@how(max_examples=150, **QUIETLY)
@given(_wire_bytes())
@example(b"\0" * 20)
def test_whatever_the_bus_sends_the_connection_ends_well_and_the_loop_goes_on(data: bytes) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.run(asyncio.wait_for(_listen(data, faults), 10))
    assert not faults, faults


async def _listen(data: bytes, faults: list[dict[str, Any]]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    lost = asyncio.Event()
    desktop = Desktop(lambda *_: None, lambda *_: None, lambda _: None, {})
    desktop._owner, desktop._first_keys = "", dict.fromkeys(range(5), "review")
    wire = Wire(reader, writer, desktop._on_signal, lost.set)
    theirs.sendall(data)
    theirs.close()
    await lost.wait()
    assert wire._reading.done() or await asyncio.wait([wire._reading])
    assert wire._reading.exception() is None
    await wire.close()


_VALUES = st.one_of(
    st.integers(), anything, st.none(), st.lists(st.integers(), max_size=2), st.tuples(st.integers(0, 3))
)


@how(max_examples=150, **QUIETLY)
@given(
    st.sampled_from([":1.7", "org.freedesktop.DBus", ""]) | anything,
    st.sampled_from(["ActionInvoked", "NotificationClosed", "ActivationToken", "NameOwnerChanged"]) | anything,
    st.lists(_VALUES | st.integers(0, 4), max_size=4).map(tuple),
)
def test_a_signal_with_any_values_calls_back_only_for_popups_that_stand(sender: str, member: str, body: Any) -> None:
    asyncio.run(_signalled(sender, member, body))


async def _signalled(sender: str, member: str, body: Any) -> None:
    heard: list[tuple[Any, ...]] = []
    desktop = Desktop(lambda *one: heard.append(one), lambda *one: heard.append(one), lambda _: None, {})
    desktop._owner, desktop._first_keys = ":1.7", {1: "review", 2: ""}
    desktop._on_signal(sender, member, body)
    assert all(popup in (1, 2) for popup, *_ in heard)
    assert not heard or (sender == ":1.7" and member in ("ActionInvoked", "NotificationClosed"))


@how(max_examples=12, **QUIETLY)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["later", "waive", "review", "resolve", "fix", "add", "nobody", "default"]) | anything,
        ),
        min_size=1,
        max_size=6,
    )
)
@example([(3, "waive")])
@example([(2, "waive"), (2, "waive"), (3, "later")])
def test_any_button_pressed_on_any_popup_is_answered_without_a_fault(presses: list[tuple[int, str]]) -> None:
    faults = _Faults()
    logging.getLogger("thanksd").addHandler(faults)
    with tempfile.TemporaryDirectory(dir=memory()) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reminder, "open_terminal", _no_terminal)
        patch.setenv("XDG_STATE_HOME", folder)
        desk = _desk_with_popups(Path(folder))
        asyncio.run(_press(desk, presses))
        desk.context.store.close()
    logging.getLogger("thanksd").removeHandler(faults)
    assert not faults.found


class _Faults(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


def _desk_with_popups(folder: Path) -> Desk:
    """Let popup 1 be about one thanks, 2 about all four, and 3 be the weekly question."""
    desk = Desk(folder)
    nudge = config.Nudge(quiet_hours="", ask="fri 16:00")
    desk.set(config=replace(desk.context.config, nudge=nudge))
    desk.add()
    desk("next_moment")
    desk.clock.forward(hours=4)
    _show(desk, 1)
    for name in ("Bob Ray", "Cy Young", "Dee Ito"):
        desk.add(name)
    desk.clock.forward(days=4)
    _show(desk, 2)
    return desk


def _show(desk: Desk, first: int) -> None:
    for popup, nudge in enumerate(desk("due_nudges", channel="desktop")["nudges"], first):
        desk("nudges_shown", ids=nudge["ids"], popup_id=popup, server=":1.7")


async def _no_terminal(*_: object) -> None:
    raise UnavailableError("There is no terminal.")


async def _press(desk: Desk, presses: list[tuple[int, str]]) -> None:
    async def call(verb: str, params: dict[str, Any]) -> dict[str, Any]:
        return desk(verb, **params)

    hand = reminder.Reminder(
        call,
        lambda: None,
        lambda: desk.context.config,
        ["thanksd"],
        {"XDG_RUNTIME_DIR": "/nowhere"},
        "",
        Visits(time.monotonic).link,
    )
    hand._servers = dict.fromkeys(range(1, 4), ":1.7")
    for popup, key in presses:
        hand._pressed(popup, key, "")
        hand._closed(popup, 2)
        while hand._tasks:
            await asyncio.wait(hand._tasks)
            await asyncio.sleep(0)
    await hand.stop()


# --- the daemon's socket ---

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_PARAMS = st.dictionaries(st.sampled_from(["ref", "refs", "who", "letters", "when", "delay", "how"]), _JSON, max_size=3)
_REQUESTS = st.one_of(
    st.binary(max_size=60),
    _JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {
            "verb": st.sampled_from(sorted(PUBLIC)) | st.sampled_from(["poke", "status", "dispatch", ""]),
            "params": _PARAMS | _JSON,
            "version": st.just(__version__),
            "config": st.just("CONFIG"),
            "tz": st.sampled_from(["", "Europe/Berlin", ":x", "../../etc/passwd"]) | anything,
            "lines": st.booleans(),
        }
    ).map(lambda value: json.dumps(value).encode()),
)


def _request(verb: str, params: dict[str, Any]) -> bytes:
    asked = {"verb": verb, "params": params, "version": __version__, "config": "CONFIG", "tz": "", "lines": False}
    return json.dumps(asked).encode()


def test_whatever_comes_over_the_socket_is_answered_or_dropped_and_the_daemon_lives() -> None:
    settings()
    new_ledger()
    with daemon() as running:

        @how(max_examples=250, **QUIETLY)
        @given(_REQUESTS, st.booleans())
        @example(_request("reviewing", {"refs": 5}), True)
        @example(_request("reviewing", {"refs": ["\u00b2"]}), True)
        def say(request: bytes, whole: bool) -> None:
            answer = _ask(request.replace(b'"CONFIG"', json.dumps(str(place_of_config())).encode()) + b"\n" * whole)
            assert not answer or {"result", "error", "other"} & set(json.loads(answer))

        say()
        assert answers()
        assert "Unhandled" not in running.log
        assert "never retrieved" not in running.log


def _ask(data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(20)
        line.connect(str(socket_path()))
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        with line.makefile("rb") as answer:
            return answer.read()


# --- names ---


@how(max_examples=150, **QUIETLY)
@given(st.text(max_size=700) | st.text(string.printable, max_size=80))
def test_a_strangers_words_are_kept_as_one_printable_line(text: str) -> None:
    line = transports.printable(text)
    assert line.isprintable()
    assert len(line) <= transports.LONGEST_REPLY
