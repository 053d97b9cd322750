from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from smtp_rigs import (
    DROP,
    PASSWORD,
    RESET,
    SILENT,
    TOKEN,
    USER,
    Authority,
    Scripted,
    deliver,
    mail_server,
    smtp_sink,
    stunnel,
    wait_for,
)

from thanksd import states, transports
from thanksd.config import Smtp, Transport
from thanksd.credentials import CredentialsError
from thanksd.errors import ConfigError, PermissionDeniedError, UnavailableError
from thanksd.states import ACCEPTED, CREDENTIALS, NOT_NOW, REJECTED, UNKNOWN
from thanksd.transports import Envelope, Outcome, session, smtp

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


@pytest.mark.parametrize("starttls", [False, True])
def test_a_letter_arrives_at_postfix_behind_stunnel(trusted: Authority, starttls: bool) -> None:
    with smtp_sink() as sink, stunnel(trusted, sink.port, starttls=starttls) as port:
        outcome = send_tls(port, security="starttls" if starttls else "tls", auth="none")
        assert (outcome.kind, outcome.code) == (ACCEPTED, 250)
        wait_for(lambda: len(sink.dumps()) == 1)
        assert b"begins with a dot" in sink.dumps()[0]


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


# The reply table, against Postfix's test server with its fault flags.


@pytest.mark.parametrize(
    ("flags", "kind", "reason", "dots"),
    [
        (["-f", "CONNECT"], NOT_NOW, "refused", 0),
        (["-r", "CONNECT"], NOT_NOW, "busy", 0),
        (["-q", "CONNECT"], NOT_NOW, "dropped", 0),
        (["-Q", "CONNECT"], NOT_NOW, "busy", 0),
        (["-f", "EHLO"], NOT_NOW, "refused", 0),
        (["-r", "EHLO"], NOT_NOW, "busy", 0),
        (["-q", "EHLO"], NOT_NOW, "dropped", 0),
        (["-f", "MAIL"], REJECTED, "", 0),
        (["-r", "MAIL"], NOT_NOW, "busy", 0),
        (["-q", "MAIL"], NOT_NOW, "dropped", 0),
        (["-Q", "MAIL"], NOT_NOW, "busy", 0),
        (["-f", "RCPT"], REJECTED, "", 0),
        (["-r", "RCPT"], NOT_NOW, "busy", 0),
        (["-q", "RCPT"], NOT_NOW, "dropped", 0),
        (["-Q", "RCPT"], NOT_NOW, "busy", 0),
        (["-b", "451 4.7.1 Greylisted for 300 s", "-r", "RCPT"], NOT_NOW, "greylisted", 0),
        (["-B", "550 5.1.1 No such user", "-f", "RCPT"], REJECTED, "address", 0),
        (["-B", "530 5.7.0 Authentication required", "-f", "MAIL"], NOT_NOW, CREDENTIALS, 0),
        (["-B", "550 5.7.30 Basic authentication is not supported", "-f", "MAIL"], NOT_NOW, CREDENTIALS, 0),
        (["-f", "DATA"], REJECTED, "", 0),
        (["-r", "DATA"], NOT_NOW, "busy", 0),
        (["-q", "DATA"], NOT_NOW, "dropped", 0),
        (["-Q", "DATA"], NOT_NOW, "busy", 0),
        (["-f", "."], REJECTED, "", 1),
        (["-r", "."], NOT_NOW, "busy", 1),
        (["-b", "452 4.2.2 Mailbox full", "-r", "."], NOT_NOW, "busy", 1),
        (["-b", "451 4.4.2 Timeout at the next server", "-r", "."], UNKNOWN, "busy", 1),
        (["-q", "."], UNKNOWN, "dropped", 1),
        (["-Q", "."], UNKNOWN, "busy", 1),
        (["-f", "QUIT"], ACCEPTED, "", 1),
        (["-q", "QUIT"], ACCEPTED, "", 1),
    ],
    ids=str,
)
def test_each_reply_of_postfix_has_its_outcome(flags: list[str], kind: str, reason: str, dots: int) -> None:
    dot = Dot()
    with smtp_sink(*flags) as sink:
        outcome = send(sink.port, dot=dot)
    assert (outcome.kind, outcome.reason, dot.calls) == (kind, reason, dots)


def test_a_server_that_drops_at_the_dot_had_the_letter() -> None:
    with smtp_sink("-q", ".") as sink:
        assert send(sink.port).kind == UNKNOWN
        wait_for(lambda: len(sink.dumps()) == 1)


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


@pytest.mark.parametrize("verb", ["", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["2x0 ok", "199 hm", b"2", DROP, RESET, SILENT])
def test_nonsense_before_the_dot_is_tried_again_later(
    verb: str, reply: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("connect", "command", "data"):
        monkeypatch.setitem(session.SECONDS, step, 0.5)
    dot = Dot()
    with Scripted({verb: reply}) as server:
        outcome = send(server.port, dot=dot)
    assert (outcome.kind, dot.calls) == (NOT_NOW, 0)
    assert outcome.reason in ("garbled", "dropped", "no network")


def test_silence_after_the_dot_is_unknown_and_waits_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session.SECONDS["dot"] == 600
    monkeypatch.setitem(session.SECONDS, "dot", 0.3)
    with Scripted({".": SILENT}) as server:
        outcome = send(server.port)
    assert (outcome.kind, outcome.reason) == (UNKNOWN, "dropped")


def test_a_slow_answer_to_the_dot_outlives_the_other_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("connect", "command", "data", "body"):
        monkeypatch.setitem(session.SECONDS, step, 2.0)
    with smtp_sink("-W", ".:3") as sink:
        assert send(sink.port).kind == ACCEPTED


def test_a_reply_is_one_safe_line_of_at_most_500_characters() -> None:
    with Scripted({"RCPT": "550-no\u202e\x1b[31m\r\n550 " + "x" * 600}) as server:
        outcome = send(server.port)
    assert outcome.reply.startswith("550 no [31m xxx")
    assert outcome.reply.isprintable()
    assert len(outcome.reply) == 500


def test_a_refused_connection_and_an_unknown_host_are_tried_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused, unknown = send(port), send(465, host="no.such.host.invalid", security="tls")
    assert (refused.kind, refused.reason) == (NOT_NOW, "refused")
    assert (unknown.kind, unknown.reason) == (NOT_NOW, "no network")


# TLS.


def test_where_starttls_is_not_offered_nothing_is_said_in_the_clear() -> None:
    with mail_server() as box:
        outcome = send_tls(box.port)
    assert (outcome.kind, outcome.reason) == (NOT_NOW, "tls")
    assert b"STARTTLS" in outcome.reply.encode()
    assert box.seen.split()[:1] == [b"ehlo"]
    assert box.seen.count(b"\r\n") == 1


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "501 no", "250 ok"])
def test_where_starttls_is_refused_nothing_more_is_said(reply: str) -> None:
    with Scripted({"EHLO": "250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": reply}) as server:
        outcome = send_tls(server.port)
    assert (outcome.kind, outcome.reason) == (NOT_NOW, "tls")
    assert server.verbs == ["EHLO", "STARTTLS"]


def test_what_was_slipped_in_before_tls_is_not_believed(trusted: Authority) -> None:
    slipped = "220 go\r\n250-test\r\n250 AUTH PLAIN LOGIN"
    with Scripted({"EHLO": "250-test\r\n250 STARTTLS", "STARTTLS": slipped}, trusted.context()) as server:
        outcome = send_tls(server.port)
    assert (outcome.kind, outcome.reason) == (NOT_NOW, CREDENTIALS)
    assert "offered: none" in outcome.reply
    assert server.verbs == ["EHLO", "STARTTLS", "EHLO"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("fault", ["self-made", "other host"])
def test_a_server_that_can_not_prove_itself_gets_no_login(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, security: str, fault: str
) -> None:
    if fault == "other host":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    host = "localhost" if fault == "self-made" else "mail.example.org"
    with mail_server(authority.context(host), implicit=security == "tls") as box:
        outcome = send_tls(box.port, security=security)
    assert (outcome.kind, outcome.reason) == (NOT_NOW, "tls")
    assert "certificate verify failed" in outcome.reply
    assert b"AUTH" not in box.seen


def test_a_plain_server_at_the_tls_port_gets_nothing() -> None:
    with mail_server() as box:
        outcome = send_tls(box.port, security="tls")
    assert (outcome.kind, outcome.reason) == (NOT_NOW, "tls")
    assert b"AUTH" not in box.seen


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
        ("534 5.7.9 Application-specific password required", CREDENTIALS),
        ("550 5.7.30 Basic authentication is not supported", CREDENTIALS),
        ("432 4.7.12 password transition needed", CREDENTIALS),
        ("538 5.7.11 encryption required", CREDENTIALS),
        ("500 what?", CREDENTIALS),
        ("334 bW9yZQ==", "garbled"),
        ("454 4.7.0 try later", "busy"),
        ("421 4.7.0 too many logins", "busy"),
        (DROP, "dropped"),
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
