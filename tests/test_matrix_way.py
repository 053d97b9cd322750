"""The way to the server: TLS that proves nothing, names and routes that are gone, servers before servers.

As in the table of steps, each cell is a letter confirmed and dispatched on a real store; nothing of it, nor of the
login, is said on a way that is not proven.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cells import Say, cell
from posting_rigs import Post, deferred, follow, scripted, sent, shorten
from relay_rigs import dovecot
from scripted_rigs import Fault, Server, drops, never_ends, says
from smtp_rigs import USER, Authority, free_port, mail_server, self_signed, smtp_sink, stunnel
from spaces_rigs import apart, mounted
from store_rigs import smtp

from thanksd.config import Smtp, Transport

way = partial(cell, "The way to the server")
EXPIRED = dt.timedelta(days=-1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def to(port: int, security: str = "tls", host: str = "localhost", auth: str = "password") -> Transport:
    return Transport(kind="smtp", smtp=Smtp(host=host, port=port, security=security, auth=auth, username=USER))


# --- TLS ---


@pytest.mark.parametrize(
    ("flaw", "security", "words"),
    [
        way("certificate expired", "TLS", "expired", "tls", "has expired", daily=True),
        way("certificate expired", "STARTTLS", "expired", "starttls", "has expired"),
        way("certificate self-signed", "TLS", "self-signed", "tls", "self-signed"),
        way("certificate self-signed", "STARTTLS", "self-signed", "starttls", "self-signed", daily=True),
        way("certificate of another host", "TLS", "other", "tls", "mismatch", daily=True),
        way("certificate of another host", "STARTTLS", "other", "starttls", "mismatch"),
    ],
)
def test_a_server_that_can_not_prove_itself_gets_neither_login_nor_letter(
    flaw: str, security: str, words: str, short_dir: Path, trusted: Authority, seen: Say
) -> None:
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "expired": lambda: trusted.context(ends=EXPIRED),
        "self-signed": lambda: self_signed("localhost", short_dir),
        "other": lambda: trusted.context("mail.example.org"),
    }
    implicit = security == "tls"
    with (
        mail_server(contexts[flaw](), implicit=implicit) as bad,
        mail_server(trusted.context(), implicit=implicit) as good,
    ):
        post = Post(short_dir, to(bad.port, security), lambda: len(bad.letters) + len(good.letters))
        post.mends.append(lambda: post.leave_by(to(good.port, security)))
        post.confirm()
        assert post.dispatch() == 1
        assert words in post.letter["server_reply"]
        seen(f"{deferred(post, 'tls')}; you read: {words}")
        assert b"AUTH" not in bad.seen


@pytest.mark.parametrize(
    ("server_tls", "security", "reason"),
    [
        way("TLS to a plain port", "", False, "tls", "tls", daily=True),
        way("plain to a TLS port", "STARTTLS expected", True, "starttls", "dropped", daily=True),
    ],
)
def test_a_port_of_the_other_kind_gets_nothing(
    server_tls: bool,
    security: str,
    reason: str,
    short_dir: Path,
    trusted: Authority,
    monkeypatch: pytest.MonkeyPatch,
    seen: Say,
) -> None:
    put_back = shorten(monkeypatch, 0.7)
    with Server(tls=trusted.context(), implicit=server_tls, offers=["AUTH PLAIN", "STARTTLS"]) as server:
        post = Post(short_dir, to(server.port, security), lambda: len(server.taken))
        right = "tls" if server_tls else "starttls"
        post.mends += [put_back, lambda: post.leave_by(to(server.port, right))]
        post.confirm()
        assert post.dispatch() == 1
        assert server.verbs == []
        seen(deferred(post, reason))


@pytest.mark.parametrize("faults", [way("STARTTLS stripped", "", {}, daily=True)])
def test_where_starttls_is_taken_away_nothing_is_said_in_the_clear(
    faults: dict[str, Fault], short_dir: Path, trusted: Authority, seen: Say
) -> None:
    stripped = faults | {"EHLO": says("250-test\r\n250 AUTH PLAIN LOGIN")}
    with scripted(short_dir, stripped, trusted, login=True, tls=True) as (post, server):
        post.confirm()
        assert post.dispatch() == 1
        assert server.verbs == ["EHLO"]
        assert "STARTTLS" in post.letter["server_reply"]
        seen(deferred(post, "tls"))


SLIPPED = "250-evil\r\n250-AUTH LOGIN\r\n250 EVIL\r\n"


@pytest.mark.parametrize("replies", [way("answers slipped in before TLS", "", f"220 go\r\n{SLIPPED}", daily=True)])
def test_what_is_slipped_in_before_tls_is_not_believed(
    replies: str, short_dir: Path, trusted: Authority, seen: Say
) -> None:
    with scripted(short_dir, {"STARTTLS": says(replies.encode())}, trusted, login=True, tls=True) as (post, server):
        post.confirm()
        assert post.dispatch() == 1
        # LOGIN is what was slipped in; the server itself, over TLS, offers PLAIN.
        assert [line.split()[:2] for line in server.lines if line.startswith(b"AUTH")] == [[b"AUTH", b"PLAIN"]]
        assert server.count("EHLO") == 2
        seen(f"{sent(post)}; what was slipped in is dropped")


@pytest.mark.parametrize(
    "security",
    [
        way("stunnel before smtp-sink", "TLS", "tls", daily=True),
        way("stunnel before smtp-sink", "STARTTLS", "starttls"),
    ],
)
def test_a_letter_arrives_behind_stunnel(security: str, short_dir: Path, trusted: Authority, seen: Say) -> None:
    with smtp_sink() as sink, stunnel(trusted, sink.port, starttls=security == "starttls") as port:
        post = Post(short_dir, to(port, security, auth="none"), lambda: len(sink.dumps()))
        post.confirm()
        assert post.dispatch() == 1
        seen(follow(post, "sent"))


# --- a real server before another one ---


@pytest.mark.parametrize(
    ("relay", "follows"),
    [
        way("Dovecot submission before a relay", "good", {}, "sent"),
        way("Dovecot submission before a relay", "it takes and drops", {".": drops}, "held", daily=True),
        way(
            "Dovecot submission before a relay", "it refuses the person", {"RCPT": says("550 5.1.1 nobody")}, "address"
        ),
    ],
)
def test_dovecot_says_what_its_relay_did_and_what_it_does_not_know_is_held(
    relay: dict[str, Fault], follows: str, short_dir: Path, trusted: Authority, seen: Say
) -> None:
    with Server(relay, offers=["ENHANCEDSTATUSCODES"]) as behind, dovecot(trusted, behind.port) as port:
        post = Post(short_dir, to(port, "starttls"), lambda: len(behind.taken))
        post.mends.append(behind.heal)
        post.confirm()
        assert post.dispatch() == 1
        words = post.letter["server_reply"]
        assert ("421 4.4.0" in words) == (follows == "held"), words
        seen(follow(post, follows) + (f"; Dovecot says {words[:9]}" if follows == "held" else ""))


@pytest.mark.parametrize("port", [way("Dovecot submission before a relay", "dead", 0)])
def test_dovecot_before_a_dead_relay_defers(port: int, short_dir: Path, trusted: Authority, seen: Say) -> None:
    with dovecot(trusted, port or free_port()) as dead, Server() as relay, dovecot(trusted, relay.port) as alive:
        post = Post(short_dir, to(dead, "starttls"), lambda: len(relay.taken))
        post.mends.append(lambda: post.leave_by(to(alive, "starttls")))
        post.confirm()
        assert post.dispatch() == 1
        seen(deferred(post, post.letter["reason"]))


# --- names and routes ---

UP = ("ip", "link", "set", "lo", "up")


@pytest.mark.parametrize("host", [way("connection refused", "", "127.0.0.1", daily=True)])
def test_a_server_that_is_not_there_is_tried_again(host: str, short_dir: Path, seen: Say) -> None:
    with smtp_sink() as sink:
        post = Post(short_dir, at_host(smtp(free_port()), host), lambda: len(sink.dumps()))
        post.mends.append(lambda: post.leave_by(smtp(sink.port)))
        post.confirm()
        assert post.dispatch() == 1
        seen(deferred(post, "refused"))


def at_host(transport: Transport, host: str) -> Transport:
    return replace(transport, smtp=replace(transport.smtp, host=host))


@pytest.mark.parametrize("backlog", [way("a black hole", "SYN unanswered", 0, daily=True)])
def test_a_black_hole_is_left_after_its_time(
    backlog: int, short_dir: Path, monkeypatch: pytest.MonkeyPatch, seen: Say
) -> None:
    put_back = shorten(monkeypatch, 0.5)
    # A full queue of a listener that nobody serves answers no SYN.
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as hole, smtp_sink() as sink:
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(hole.getsockname())
            post = Post(short_dir, smtp(hole.getsockname()[1]), lambda: len(sink.dumps()))
            post.mends += [put_back, lambda: post.leave_by(smtp(sink.port))]
            post.confirm()
            assert post.dispatch() == 1
        seen(deferred(post, "no network"))


@pytest.mark.parametrize(
    ("missing", "host", "words"),
    [
        way("no route", "", "route", "127.0.0.1", "unreachable", daily=True),
        way("DNS gone", "", "names", "localhost", "resolution", daily=True),
    ],
)
def test_without_a_network_it_waits_for_one(missing: str, host: str, words: str, short_dir: Path, seen: Say) -> None:
    with smtp_sink() as sink:
        post = Post(short_dir, at_host(smtp(sink.port), host), lambda: len(sink.dumps()))
        post.confirm()
        nameless = [UP, mounted(short_dir, "/etc/hosts", ""), mounted(short_dir, "/etc/resolv.conf", "")]
        assert apart(post.dispatch, *(nameless if missing == "names" else [])) == 1
        assert words in post.letter["server_reply"]
        seen(deferred(post, "no network"))


BOTH = "::1 localhost\n127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("listens", "setup"),
    [
        way("name with IPv6 and IPv4", "only IPv4 is served", "127.0.0.1", (), daily=True),
        way("name with IPv6 and IPv4", "only IPv6 is served", "::1", ()),
        way("name with IPv6 and IPv4", "IPv6 is down", "127.0.0.1", ("ip", "-6", "addr", "flush", "dev", "lo")),
        way("name with IPv6 and IPv4", "IPv4 is down", "::1", ("ip", "-4", "addr", "flush", "dev", "lo")),
    ],
)
def test_the_address_that_works_is_found(listens: str, setup: tuple[str, ...], short_dir: Path, seen: Say) -> None:
    def there() -> str:
        with mail_server(login=False, address=(listens, 0)) as box:
            post = Post(short_dir, at_host(smtp(box.port), "localhost"), lambda: len(box.letters))
            post.confirm()
            assert post.dispatch() == 1
            return follow(post, "sent")

    seen(apart(there, mounted(short_dir, "/etc/hosts", BOTH), UP, *([setup] if setup else [])))


# --- servers that never come to an end ---


@pytest.mark.parametrize(
    ("step", "fault", "reason"),
    [
        way("a greeting that never ends", "a byte now and then", "", never_ends(b"2", 0.1), "dropped", daily=True),
        way("a greeting that never ends", "a line now and then", "", never_ends(b"220-hello\r\n", 0.1), "dropped"),
        way("an endless reply", "EHLO", "EHLO", never_ends(b"250-more\r\n", 0), "garbled", daily=True),
        way("an endless reply", "RCPT", "RCPT", never_ends(b"550-no\r\n", 0), "garbled"),
        way("an endless reply", "the dot", ".", never_ends(b"250-yes\r\n", 0), "held"),
        way("a very long line", "greeting", "", never_ends(b"2" * 4096, 0), "dropped"),
        way("a very long line", "the dot", ".", never_ends(b"250 " + b"y" * 4096, 0), "held", daily=True),
        way("an answer in drops", "the dot", ".", never_ends(b"250 ", 0.1), "held", daily=True),
    ],
)
def test_a_server_that_never_comes_to_an_end_does_not_hold_the_others(
    step: str,
    fault: Fault,
    reason: str,
    short_dir: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    seen: Say,
) -> None:
    put_back = shorten(monkeypatch, 1)
    with scripted(short_dir, {step: fault}, authority) as (post, _):
        post.mends.append(put_back)
        post.confirm()
        assert post.dispatch() == 1
        seen(follow(post, reason))
