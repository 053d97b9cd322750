"""Every step of handing a letter over, and everything that a server can do there instead of going on.

Each cell takes the real way: a letter confirmed and dispatched on a real store, a server with the fault, then the same
dispatch while it must not be tried, and later with a good server. Postfix's smtp-sink does what its flags can, the rest
a server that is told what to say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cells import Say, cell
from cli_rigs import thanksd
from posting_rigs import (
    ADDRESS,
    FAILED,
    HELD,
    LOGIN,
    LONG,
    SENT,
    Post,
    deferred,
    follow,
    held,
    refused_login,
    scripted,
    sent,
    shorten,
)
from scripted_rigs import (
    Fault,
    drops,
    is_silent,
    late,
    reads_no_more,
    reads_slowly,
    reads_then,
    resets,
    says,
    says_and_drops,
)
from smtp_rigs import Authority, smtp_sink
from store_rigs import smtp

from thanksd.transports import session as product

# What follows: sent, held, failed, a refused login, or why it is deferred.
COLUMNS = ("4xx", "5xx", "421", "drop", "silence", "garbage", "slow")
GRID = {
    "greeting": ("busy", "refused", "busy", "dropped", "dropped", "garbled", SENT),
    "EHLO": ("busy", "refused", "busy", "dropped", "dropped", "garbled", SENT),
    "STARTTLS": ("tls", "tls", "tls", "dropped", "dropped", "tls", SENT),
    "AUTH": ("busy", LOGIN, "busy", "dropped", "dropped", "garbled", SENT),
    "MAIL": ("busy", FAILED, "busy", "dropped", "dropped", "garbled", SENT),
    "RCPT": ("busy", ADDRESS, "busy", "dropped", "dropped", "garbled", SENT),
    "DATA": ("busy", FAILED, "busy", "dropped", "dropped", "garbled", SENT),
    "body": ("busy", FAILED, "dropped", "dropped", "dropped", "garbled", SENT),
    "final dot": ("busy", FAILED, HELD, HELD, HELD, HELD, SENT),
    "QUIT": (SENT, SENT, SENT, SENT, SENT, SENT, SENT),
}
DAILY = {
    *(("greeting", "4xx"), ("EHLO", "5xx"), ("STARTTLS", "4xx"), ("AUTH", "5xx"), ("MAIL", "421"), ("RCPT", "5xx")),
    *(("DATA", "drop"), ("body", "garbage"), ("final dot", "421"), ("QUIT", "drop")),
}
# How smtp-sink calls the steps that its flags reach, and those flags.
AT_SINK = {"greeting": "CONNECT", "final dot": ".", **{step: step for step in ("EHLO", "MAIL", "RCPT", "DATA", "QUIT")}}
FLAGS = {"4xx": "-r", "5xx": "-f", "421": "-Q", "drop": "-q", "slow": "-W"}
# RFC 3463 X.1.1 is about an address: the recipient's, or the sender's, which the recipient has not to bear.
TEXTS = {("RCPT", "5xx"): "550 5.1.1 no such person", ("MAIL", "5xx"): "550 5.1.1 no such sender"}

FAULTS: dict[str, Fault] = {
    "4xx": says("454 4.7.0 not now"),
    "5xx": says("535 5.7.8 no"),
    "421": says_and_drops("421 4.3.2 shutting down"),
    "drop": drops,
    "silence": is_silent,
    "garbage": says("HTTP/1.1 400 Bad Request"),
    "slow": late(1),
}
BODY_FAULTS = {
    "4xx": says("451 4.3.0 not now"),
    "5xx": says("554 5.7.1 spam"),
    "silence": reads_no_more,
    "slow": reads_slowly,
}


def _grid() -> Iterator[Any]:
    for step, row in GRID.items():
        for column, follows in zip(COLUMNS, row, strict=True):
            yield cell("SMTP", step, column, step, column, follows, daily=(step, column) in DAILY)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextlib.contextmanager
def at_sink(folder: Path, follows: str, step: str, *flags: str) -> Iterator[Post]:
    """Give a desk before a smtp-sink with these flags; a good one takes its place when it is mended."""
    with smtp_sink(*flags) as bad, smtp_sink() as good:
        # What it refuses at the dot it has read; a clear no is no delivery.
        counts = step != "." or follows in (HELD, SENT)
        post = Post(folder, smtp(bad.port), lambda: len(good.dumps()) + (len(bad.dumps()) if counts else 0))
        post.mends.append(lambda: post.leave_by(smtp(good.port)))
        yield post


@contextlib.contextmanager
def _faulty(folder: Path, step: str, column: str, follows: str, authority: Authority) -> Iterator[Post]:
    if step in AT_SINK and column in FLAGS:
        name = AT_SINK[step]
        text: tuple[str, ...] = ("-B", TEXTS[step, column]) if (step, column) in TEXTS else ()
        at = f"{name}:2" if column == "slow" else name
        # A command that smtp-sink delays it answers after those that came with it: so none may come with it.
        text += ("-p",) if column == "slow" else ()
        with at_sink(folder, follows, name, *text, FLAGS[column], at) as post:
            yield post
        return
    key = {"greeting": "", "final dot": "."}.get(step, step)
    fault = (BODY_FAULTS if step == "body" else {}).get(column, FAULTS[column])
    with scripted(folder, {key: fault}, authority, login=step == "AUTH", tls=step == "STARTTLS") as (post, _):
        yield post


@pytest.mark.parametrize(("step", "column", "follows"), list(_grid()))
def test_a_fault_at_a_step_has_what_follows_it(
    step: str,
    column: str,
    follows: str,
    short_dir: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    seen: Say,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert product.SECONDS["dot"] == 600
    put_back = shorten(monkeypatch, 0.5) if column == "silence" else bool
    if (step, column) == ("final dot", "slow"):
        # Its answer is waited for longer than all others: giving up on it makes duplicates.
        shorten(monkeypatch, 1, "connect", "command", "data", "body")
    with _faulty(short_dir, step, column, follows, authority) as post:
        post.mends.append(put_back)
        post.confirm(LONG if step == "body" else "")
        assert post.dispatch() == 1
        seen(follow(post, follows))


# --- what a reply's codes say besides ---


@pytest.mark.parametrize(
    ("text", "flag", "step", "follows"),
    [
        cell("SMTP", "RCPT: 550 5.7.1", "5xx", "550 5.7.1 not from you", "-f", "RCPT", FAILED, daily=True),
        cell("SMTP", "final dot: 451 4.4.2", "4xx", "451 4.4.2 timed out behind me", "-r", ".", HELD, daily=True),
        cell("SMTP", "MAIL: 530", "5xx", "530 5.7.0 log in first", "-f", "MAIL", LOGIN, daily=True),
    ],
)
def test_what_postfix_says_beside_its_first_digit_counts(
    text: str, flag: str, step: str, follows: str, short_dir: Path, seen: Say
) -> None:
    with at_sink(short_dir, follows, step, "-b" if flag == "-r" else "-B", text, flag, step) as post:
        post.confirm()
        assert post.dispatch() == 1
        seen(follow(post, follows))


@pytest.mark.parametrize("text", [cell("SMTP", "final dot: 452", "4xx", "452 4.2.2 mailbox full", daily=True)])
def test_a_full_mailbox_is_given_more_time(text: str, short_dir: Path, seen: Say) -> None:
    with at_sink(short_dir, "busy", ".", "-b", text, "-r", ".") as post:
        post.confirm()
        assert post.dispatch() == 1
        seen(deferred(post, "busy", minutes=30))


@pytest.mark.parametrize("text", [cell("SMTP", "greylisting", "4xx", "450 4.7.1 Greylisted for 600 s", daily=True)])
def test_greylisting_is_waited_for_and_the_letter_is_sent_once(
    text: str, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"RCPT": says(text)}, authority) as (post, server):
        post.confirm()
        assert post.dispatch() == 1
        assert (post.letter["state"], post.letter["reason"]) == ("deferred", "greylisted")
        post.desk.clock.forward(minutes=5)
        assert post.dispatch() == 1
        post.wait_again("greylisted", minutes=15)
        # It is the same letter that comes again, or the server would begin to count anew.
        assert len({line for line in server.lines if line.startswith((b"MAIL", b"RCPT"))}) == 2
        assert sent(post) == "sent"
        seen("deferred: greylisted; tried again after 5 and 15 min: sent")


# --- the login ---

APP_PASSWORD, OAUTH, SETTINGS = "app password here, or OAuth", "OAuth does", "security, auth and username"


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        cell("SMTP", "AUTH: 535", "5xx", "535 5.7.8 Username and Password not accepted.", APP_PASSWORD, daily=True),
        cell("SMTP", "AUTH: 534", "5xx", "534-5.7.9 App password\r\n534 5.7.9 required.", APP_PASSWORD, daily=True),
        cell("SMTP", "AUTH: 5.7.30", "5xx", "550 5.7.30 Basic authentication is off.", OAUTH, daily=True),
        cell("SMTP", "AUTH: 530", "5xx", "530 5.7.0 Must issue a STARTTLS command first.", SETTINGS, daily=True),
        cell("SMTP", "AUTH: 538", "5xx", "538 5.7.11 Encryption required.", SETTINGS, daily=True),
    ],
)
def test_a_refused_login_is_tried_once_and_its_remedy_named(
    reply: str, advice: str, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"AUTH": says(reply)}, authority, login=True) as (post, server):
        post.confirm()
        assert post.dispatch() == 1
        shown = thanksd("show", str(post.number), "--store", str(post.desk.file))
        assert (shown.code, "credentials" in shown.out, advice in shown.out) == (0, True, True)
        for _ in range(3):
            assert (post.dispatch(), server.count("AUTH"), server.connections) == (0, 1, 1)
            post.desk.clock.forward(hours=1)
        refused_login(post)
        assert server.count("AUTH") == 2
    seen(f"deferred: credentials; one try in 3 passes, you are told: ... {advice} ...")


@pytest.mark.parametrize("reply", [cell("SMTP", "AUTH: 454", "4xx", "454 4.7.0 Temporary failure", daily=True)])
def test_a_login_that_can_not_be_looked_up_just_now_is_tried_again(
    reply: str, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"AUTH": says(reply)}, authority, login=True) as (post, server):
        post.confirm()
        assert post.dispatch() == 1
        assert post.desk("due_nudges", channel="terminal")["nudges"] == []
        seen(deferred(post, "busy"))
        assert server.count("AUTH") == 2


# --- bytes that get through in part, or not at their time ---


@pytest.mark.parametrize("bytes_read", [cell("SMTP", "partial write", "slow", 4096, daily=False)])
def test_a_window_that_opens_a_crack_at_a_time_gets_the_whole_letter(
    bytes_read: int, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"body": reads_slowly}, authority) as (post, server):
        post.confirm(LONG)
        assert len(post.letter["raw"]) > 50 * bytes_read
        assert post.dispatch() == 1
        sent(post)
        assert server.taken == [post.letter["raw"] + b".\r\n"]
        seen("sent, byte for byte")


@pytest.mark.parametrize("fault", [cell("SMTP", "partial write", "drop", reads_then(resets), daily=True)])
def test_a_window_that_closes_in_mid_body_and_a_line_that_breaks_then_deliver_nothing(
    fault: Fault, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"body": fault}, authority) as (post, server):
        post.confirm(LONG)
        assert post.dispatch() == 1
        seen(deferred(post, "dropped"))
        assert server.taken == [post.letter["raw"] + b".\r\n"]


EARLY = "250 2.0.0 taken"


@pytest.mark.parametrize(
    ("faults", "body"),
    [
        cell("SMTP", "yes before its time", "in mid-body", {"body": says(EARLY)}, LONG, daily=True),
        cell("SMTP", "yes before its time", "with the answer to DATA", {"DATA": says(f"354 go\r\n{EARLY}")}, ""),
    ],
)
def test_a_yes_before_the_dot_is_no_yes_to_the_letter(
    faults: dict[str, Fault], body: str, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, faults | {".": says("554 5.7.1 refused")}, authority) as (post, server):
        post.confirm(body)
        assert post.dispatch() == 1
        assert server.count(".") == 0
        seen(deferred(post, "garbled"))


@pytest.mark.parametrize("fault", [cell("SMTP", "final dot: reset", "drop", resets, daily=False)])
def test_a_line_that_breaks_at_the_dot_leaves_the_letter_to_a_person(
    fault: Fault, short_dir: Path, authority: Authority, seen: Say
) -> None:
    with scripted(short_dir, {".": fault}, authority) as (post, _):
        post.confirm()
        assert post.dispatch() == 1
        seen(held(post))
