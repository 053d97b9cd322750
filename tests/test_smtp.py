from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from smtp_rigs import (
    DROP,
    PASSWORD,
    RESET,
    TOKEN,
    USER,
    Authority,
    Scripted,
    deliver,
    mail_server,
    smtp_sink,
    wait_for,
)

from thanksd import states, transports
from thanksd.config import Smtp, Transport
from thanksd.credentials import CredentialsError
from thanksd.errors import ConfigError, PermissionDeniedError, UnavailableError
from thanksd.states import ACCEPTED, CREDENTIALS, NOT_NOW, REJECTED, UNKNOWN
from thanksd.transports import Envelope, Outcome, smtp

RAW = (
    b"From: Ada <ada@example.org>\r\nTo: bob@example.net\r\nSubject: Thank you\r\n"
    b"Message-ID: <1.x@example.org>\r\n\r\n.\r\n..\r\n.begins with a dot\r\nmid . dot.\r\nBye\r\n"
)
LETTER = Envelope("ada@example.org", "bob@example.net", RAW, "<1.x@example.org>")


class Dot:
    """What the outbox does at the border: counts the calls, and answers as told."""

    def __init__(self, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self) -> bool:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def send(
    port: int,
    *,
    host: str = "127.0.0.1",
    security: str = "none",
    auth: str = "none",
    word: str = PASSWORD,
    dot: Callable[[], bool] | None = None,
    letter: Envelope = LETTER,
) -> Outcome:
    account = Smtp(host=host, port=port, security=security, auth=auth)
    transport = Transport(kind="smtp", smtp=account)
    return deliver(transport, USER, lambda: word, letter, dot or Dot())


def send_tls(port: int, *, security: str = "starttls", auth: str = "password", word: str = PASSWORD) -> Outcome:
    return send(port, host="localhost", security=security, auth=auth, word=word)


# The letter arrives, exactly.


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_letter_arrives_byte_for_byte_over_tls_after_a_login(trusted: Authority, security: str) -> None:
    with mail_server(trusted.context(), implicit=security == "tls") as box:
        outcome = send_tls(box.port, security=security)
    assert outcome == Outcome(ACCEPTED, "250 2.0.0 queued as ABC", 250, "")
    (letter,) = box.letters
    assert letter.original_content == RAW
    assert (letter.mail_from, letter.rcpt_tos) == (LETTER.sender, [LETTER.recipient])
    assert box.seen.endswith(b"\r\n.\r\nQUIT\r\n")


def test_dots_at_line_starts_are_doubled_on_the_wire_and_nothing_else_is_changed() -> None:
    with Scripted({}) as server:
        assert send(server.port).kind == ACCEPTED
    stuffed = RAW.replace(b"\r\n.", b"\r\n..")
    assert stuffed + b".\r\n" in server.seen


def test_the_host_name_is_neither_looked_up_nor_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(*_: object) -> str:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getfqdn", leak)
    with Scripted({}) as server:
        assert send(server.port).kind == ACCEPTED
    assert b"[127.0.0.1]" in server.seen.split(b"\r\n", maxsplit=1)[0]
    assert socket.gethostname().encode() not in server.seen


# The border: nothing is delivered before on_dot says True.


def test_the_body_goes_before_the_border_and_the_dot_after_it() -> None:
    def border() -> bool:
        wait_for(lambda: server.seen.endswith(b"\r\nBye\r\n"))
        assert server.verbs[-1] == "DATA"
        return True

    with Scripted({}) as server:
        assert send(server.port, dot=border).kind == ACCEPTED


def test_a_lost_lease_drops_the_connection_and_the_server_keeps_nothing(trusted: Authority) -> None:
    with mail_server(trusted.context(), login=False) as box:
        account = Smtp(host="localhost", port=box.port, security="starttls", auth="none")
        outcome = deliver(Transport(kind="smtp", smtp=account), USER, None, LETTER, Dot(answer=False))
        wait_for(lambda: box.seen.endswith(b"Bye\r\n"))
    assert (outcome.kind, outcome.reason, box.letters) == (NOT_NOW, "lost lease", [])


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("locked")])
def test_an_error_of_the_border_comes_out_and_the_server_keeps_nothing(error: Exception) -> None:
    with smtp_sink() as sink, pytest.raises(type(error), match=str(error)):
        send(sink.port, dot=Dot(answer=error))
    with Scripted({}) as server, pytest.raises(type(error)):
        send(server.port, dot=Dot(answer=error))
    assert server.seen.endswith(b"\r\nBye\r\n")


def test_a_server_that_aborts_in_the_body_is_not_taken_for_yes() -> None:
    with smtp_sink("-A", "0") as sink:
        assert send(sink.port).kind != ACCEPTED


# What no well-kept server says.


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("250-taken\r\n250 as 7", ACCEPTED),
        ("299 taken", ACCEPTED),
        ("554 5.7.1 spam", REJECTED),
        ("535 5.7.8 log in first", NOT_NOW),
        ("450 4.2.0 later", NOT_NOW),
        ("451 see 8.8.4.4 and 14.4.2", NOT_NOW),
        ("451 later (4.4.1)", UNKNOWN),
        ("450-4.7.1 no\r\n450 4.4.0 lost the relay", UNKNOWN),
        ("421 4.3.2 shutting down", UNKNOWN),
        ("454 4.7.0 odd here", UNKNOWN),
        ("354 go on", UNKNOWN),
        ("150 preliminary", UNKNOWN),
        ("2x0 ok", UNKNOWN),
        (" 25 ok", UNKNOWN),
        ("2500 ok", UNKNOWN),
        ("250-yes\r\n550 no", UNKNOWN),
        ("", UNKNOWN),
        ("HTTP/1.1 200 OK", UNKNOWN),
        ("250-more\r\n" * 200 + "250 end", UNKNOWN),
        (b"250 " + b"x" * 9000 + b"\r\n", UNKNOWN),
        (b"250 cut of", UNKNOWN),
        (b"250-half\r\n", UNKNOWN),
        (b"451 cut", UNKNOWN),
        (b"\xff\xfe\x00", UNKNOWN),
        (DROP, UNKNOWN),
        (RESET, UNKNOWN),
    ],
)
def test_only_a_clear_answer_to_the_dot_decides(reply: str | bytes, kind: str) -> None:
    with Scripted({".": reply}) as server:
        assert send(server.port).kind == kind


def test_a_reply_is_one_safe_line_of_at_most_500_characters() -> None:
    with Scripted({"RCPT": "550-no\u202e\x1b[31m\r\n550 " + "x" * 600}) as server:
        outcome = send(server.port)
    assert outcome.reply.startswith("550 no [31m xxx")
    assert outcome.reply.isprintable()
    assert len(outcome.reply) == 500


# TLS.


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "501 no", "250 ok"])
def test_where_starttls_is_refused_nothing_more_is_said(reply: str) -> None:
    with Scripted({"EHLO": "250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": reply}) as server:
        outcome = send_tls(server.port)
    assert (outcome.kind, outcome.reason) == (NOT_NOW, "tls")
    assert server.verbs == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize("host", ["mail.example.org", "10.0.0.1", "localhost.example.org"])
def test_no_security_is_for_loopback_alone(host: str) -> None:
    with pytest.raises(ConfigError, match="would show"):
        send(25, host=host)


@pytest.mark.parametrize("host", ["", "a b", "x\0y", "a..b", "\n", "x" * 64 + ".org"])
def test_a_host_that_can_not_be_is_a_mistake_of_the_config(host: str) -> None:
    with pytest.raises(ConfigError):
        send(465, host=host, security="tls")


# Logging in.


@pytest.mark.parametrize("without", [(), ("PLAIN",)])
def test_a_wrong_password_is_tried_once_and_named(trusted: Authority, without: tuple[str, ...]) -> None:
    dot = Dot()
    with mail_server(trusted.context(), without=without) as box:
        outcome = send(box.port, host="localhost", security="starttls", auth="password", word="wrong horse 7f", dot=dot)
    assert (outcome.kind, outcome.reason, outcome.code) == (NOT_NOW, CREDENTIALS, 535)
    assert "app password" in outcome.reply
    assert "OAuth" in outcome.reply
    assert "wrong horse 7f" not in outcome.reply
    assert (box.seen.upper().count(b"AUTH "), dot.calls) == (1, 0)


def test_a_server_that_knows_only_login_is_spoken_to_so(trusted: Authority) -> None:
    with mail_server(trusted.context(), without=("PLAIN",)) as box:
        assert send_tls(box.port).kind == ACCEPTED


def test_a_good_token_logs_in_and_a_bad_one_is_credential_trouble(trusted: Authority) -> None:
    with mail_server(trusted.context()) as box:
        good = send_tls(box.port, auth="xoauth2", word=TOKEN)
        bad = send_tls(box.port, auth="xoauth2", word="ya29.bad")
    assert good.kind == ACCEPTED
    assert (bad.kind, bad.reason, len(box.letters)) == (NOT_NOW, CREDENTIALS, 1)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("432 4.7.12 password transition needed", CREDENTIALS),
        ("500 what?", CREDENTIALS),
        ("334 bW9yZQ==", "garbled"),
    ],
)
def test_what_stops_a_login_is_told_apart(reply: str, reason: str) -> None:
    with Scripted({"EHLO": "250-test\r\n250 AUTH PLAIN", "AUTH": reply}) as server:
        outcome = send(server.port, auth="password")
    assert (outcome.kind, outcome.reason) == (NOT_NOW, reason)
    assert "MAIL" not in server.verbs


def test_a_reply_that_quotes_the_login_is_kept_without_it() -> None:
    quoted = "AHUAcHc="  # "\0u\0pw"
    reply = f"535 bad line AUTH PLAIN {quoted} {'y' * 300} {quoted}"
    with Scripted({"EHLO": "250-test\r\n250 AUTH PLAIN", "AUTH": reply}) as server:
        account = Smtp(host="127.0.0.1", port=server.port, security="none", username="u")
        outcome = deliver(Transport(kind="smtp", smtp=account), USER, lambda: "pw", LETTER, Dot())
    assert quoted.encode() in server.seen
    assert quoted not in outcome.reply
    assert "535 bad line AUTH PLAIN ***" in outcome.reply


def test_a_secret_that_can_not_be_had_defers_without_connecting() -> None:
    def locked() -> str:
        raise CredentialsError("The keyring is locked.", "Unlock it.", "locked")

    with Scripted({}) as server:
        account = Smtp(host="127.0.0.1", port=server.port, security="none")
        outcome = deliver(Transport(kind="smtp", smtp=account), USER, locked, LETTER, Dot())
        assert server.seen == b""
    assert outcome == Outcome(NOT_NOW, "The keyring is locked.", None, states.PASSWORD)


# Letters that can't be sent as they are.


@pytest.mark.parametrize(
    "letter",
    [
        LETTER._replace(recipient="jürgen@example.org"),
        LETTER._replace(recipient="a@b.org>\r\nRCPT TO:<evil@b.org"),
        LETTER._replace(recipient="a@b.org> SIZE=1"),
        LETTER._replace(recipient="a b@b.org"),
        LETTER._replace(sender=""),
        LETTER._replace(raw=RAW + b"no end"),
        LETTER._replace(raw=RAW + b"bare\n.\r\n"),
        LETTER._replace(raw=RAW + b"bare\r.\r\n"),
        LETTER._replace(raw=RAW + "gr\u00fcn\r\n".encode()),
        LETTER._replace(raw=RAW + b"\0\r\n"),
    ],
)
def test_what_would_not_arrive_as_it_is_is_refused_before_connecting(letter: Envelope) -> None:
    with Scripted({}) as server:
        outcome = send(server.port, letter=letter)
        assert server.seen == b""
    assert (outcome.kind, outcome.reason) == (REJECTED, "letter")
    assert outcome.reply.isprintable()


# Trying the login alone.


def test_a_login_is_tried_for_real_and_sends_nothing(trusted: Authority) -> None:
    with mail_server(trusted.context()) as box:
        account = Smtp(host="localhost", port=box.port, security="starttls")
        assert smtp.test_login(account, USER, lambda: PASSWORD).startswith("235 ")
        wait_for(lambda: box.seen.endswith(b"QUIT\r\n"))
        assert b"MAIL" not in box.seen
        with pytest.raises(PermissionDeniedError, match="535") as refused:
            smtp.test_login(account, USER, lambda: "wrong horse 7f")
    assert "wrong horse 7f" not in repr(refused.value) + str(refused.value.__context__)
    with pytest.raises(UnavailableError):
        smtp.test_login(account, USER, lambda: PASSWORD)


def test_no_transport_is_a_mistake_of_the_config_that_says_so() -> None:
    with pytest.raises(ConfigError, match="no mail account is set up"):
        deliver(Transport(), USER, None, LETTER, Dot())
    assert transports.describe(Transport()) == ""
    assert transports.describe(Transport(kind="smtp", smtp=Smtp(host="smtp.x.org"))) == "smtp.x.org"
