"""Real mail servers for tests: aiosmtpd, Postfix's smtp-sink, stunnel, and a socket that says what it is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import parts
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from aiosmtpd.smtp import Envelope as Received
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from thanksd.config import Transport
from thanksd.transports import Carrier, Envelope, OnDot, Outcome, Secret

USER, PASSWORD, TOKEN = "ada@example.org", "correct horse é", "ya29.good-token"

_LASTS = dt.timedelta(days=90)


def wait_for(is_so: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def deliver(transport: Transport, me: str, secret: Secret, letter: Envelope, dot: OnDot) -> Outcome:
    """Deliver one letter, as a run of one does."""
    with Carrier(transport, me, secret) as carrier:
        return carrier.deliver(letter, dot)


class Authority:
    """A certificate authority of one test run; clients trust it by SSL_CERT_FILE=`file`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thanksd tests")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        cert = (
            self._builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, ends: dt.timedelta = _LASTS) -> Path:
        """Write a server's key and certificate as one PEM file; it is good until now and `ends`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        cert = (
            self._builder(name, key, ends)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{host}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(secret + cert.public_bytes(serialization.Encoding.PEM))
        path.chmod(0o600)
        return path

    def context(self, host: str = "localhost", ends: dt.timedelta = _LASTS) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(host, ends))
        return context

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, ends: dt.timedelta = _LASTS
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _LASTS)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )


def self_signed(host: str, folder: Path) -> ssl.SSLContext:
    """Give a server's certificate that nobody signed but itself."""
    parts.need("openssl")
    pem = folder / "self-signed.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", str(pem), "-out", f"{pem}.cert"]
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*words, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{pem}.cert", pem)
    return context


class Mailbox:
    """aiosmtpd's handler: what the server saw, took in, and is told to answer (by verb: MAIL, RCPT, DATA, EHLO)."""

    def __init__(self, *, must_log_in: bool) -> None:
        self.must_log_in = must_log_in
        self.login = (USER, PASSWORD)
        self.seen = b""
        self.letters: list[Received] = []
        self.answers: dict[str, str] = {}
        self.port = 0

    async def handle_MAIL(self, _s: SMTP, session: Session, envelope: Received, address: str, _o: list[str]) -> str:  # noqa: N802  aiosmtpd's names
        if self.must_log_in and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 2.1.0 ok")

    async def handle_RCPT(self, _s: SMTP, _n: Session, envelope: Received, address: str, _o: list[str]) -> str:  # noqa: N802  as above
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 2.1.5 ok")

    async def handle_DATA(self, _s: SMTP, _n: Session, envelope: Received) -> str:  # noqa: N802  as above
        self.letters.append(envelope)
        return self.answers.get("DATA", "250 2.0.0 queued as ABC")

    async def auth_XOAUTH2(self, server: SMTP, words: list[str]) -> AuthResult:  # noqa: N802  as above
        said = base64.b64decode(words[1])
        if said == f"user={USER}\1auth=Bearer {TOKEN}\1\1".encode():
            return AuthResult(success=True)
        problem = base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode()
        await server.challenge_auth(problem, encode_to_b64=False)
        return AuthResult(success=False, handled=False)


class _Recorded(SMTP):
    def data_received(self, data: bytes) -> None:
        self.event_handler.seen += data
        super().data_received(data)


def _authenticate(server: SMTP, _session: Session, _envelope: Received, _mechanism: str, data: Any) -> AuthResult:
    user, password = server.event_handler.login
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=is_right, handled=False)


@contextlib.contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None,
    *,
    implicit: bool = False,
    login: bool = True,
    without: tuple[str, ...] = (),
    address: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Mailbox]:
    """Run aiosmtpd: STARTTLS, TLS from the start, or (tls None) in the clear; `without` hides login mechanisms."""
    box = Mailbox(must_log_in=login)
    loop = asyncio.new_event_loop()

    def session() -> SMTP:
        return _Recorded(
            box,
            hostname="mail.test",
            tls_context=None if implicit else tls,
            require_starttls=bool(tls) and not implicit,
            auth_require_tls=bool(tls) and not implicit,
            auth_exclude_mechanism=without,
            authenticator=_authenticate,
            loop=loop,
        )

    server = loop.run_until_complete(loop.create_server(session, *address, ssl=tls if implicit else None))
    box.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_finish(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _finish() -> None:
    """Let sessions that see their client leave end themselves, then end the rest."""
    mine = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not mine]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=1)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    await asyncio.sleep(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers_at(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _process(words: list[str], port: int, address: str = "127.0.0.1") -> Iterator[None]:
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            wait_for(lambda: answers_at(port, address) or child.poll() is not None)
            assert child.poll() is None, f"{words[0]} did not start"
            yield
        finally:
            child.terminate()


class Sink:
    """A running smtp-sink: its port, and the letters whose bytes it has read up to the dot."""

    def __init__(self, port: int, folder: Path, address: str = "127.0.0.1") -> None:
        self.port = port
        self.folder = folder
        self.address = address

    def dumps(self) -> list[bytes]:
        return [data for data in (path.read_bytes() for path in self.folder.iterdir()) if data]


@contextlib.contextmanager
def smtp_sink(*flags: str, address: str = "127.0.0.1") -> Iterator[Sink]:
    """Run Postfix's test server with its fault flags, see smtp-sink(1), on an address of this machine."""
    parts.need("smtp-sink")
    folder, port = Path(tempfile.mkdtemp(prefix="sink-")), free_port()
    # As root it insists on giving root up, and then must be able to write.
    folder.chmod(0o777 if os.geteuid() == 0 else 0o700)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    words = [str(parts.find("smtp-sink")), *user, "-d", f"{folder}/%M.", *flags, f"{address}:{port}", "10"]
    try:
        with _process(words, port, address):
            yield Sink(port, folder, address)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def stunnel(authority: Authority, to_port: int, *, starttls: bool, address: str = "127.0.0.1") -> Iterator[int]:
    """Run stunnel before another server, on an address of this machine, and give its port."""
    parts.need("stunnel")
    port, pem = free_port(), authority.issue("localhost" if address == "127.0.0.1" else address)
    settings = authority.folder / f"stunnel-{port}.conf"
    lines = ["foreground = yes", "pid =", f"cert = {pem}", "[smtp]", f"accept = {address}:{port}"]
    lines += [f"connect = 127.0.0.1:{to_port}", *(["protocol = smtp"] if starttls else [])]
    settings.write_text("\n".join(lines) + "\n")
    with _process([str(parts.find("stunnel")), str(settings)], port, address):
        yield port


DROP, RESET, SILENT = "<drop>", "<reset>", "<silent>"

_USUAL = {"": "220 test", "EHLO": "250 test", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", ".": "250 taken"}


class Scripted:
    """A server that says what it is told, by verb ("" is the greeting, "." the final dot).

    Text is sent with CRLF; bytes are sent as they are, and then the connection is closed; DROP, RESET and SILENT do
    that. With `tls`, STARTTLS is answered and done. "MAIL 2" is the second MAIL of a connection; `then` are the replies
    on the connections after the first.
    """

    def __init__(
        self,
        replies: dict[str, str | bytes],
        tls: ssl.SSLContext | None = None,
        then: Sequence[dict[str, str | bytes]] = (),
    ) -> None:
        self.replies: dict[str, str | bytes] = {}
        self._scripts = [{**_USUAL, **script} for script in (replies, *then)]
        self._counted: Counter[str] = Counter()
        self._read = 0
        self._wants_body = False
        self.tls = tls
        self.seen = b""
        self.verbs: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        for script in self._scripts:
            self.replies = script
            self._counted.clear()
            self._read = len(self.seen)
            self._serve_one()

    def _serve_one(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            client.settimeout(20)
            with contextlib.ExitStack() as stack:
                stack.enter_context(contextlib.closing(client))
                verb = ""
                while self._say(client, verb):
                    if verb == "STARTTLS" and self.tls:
                        client = stack.enter_context(contextlib.closing(self.tls.wrap_socket(client, server_side=True)))
                    verb = self._next(client, is_body=self._wants_body)

    def _next(self, client: socket.socket, *, is_body: bool) -> str:
        end = b"\r\n.\r\n" if is_body else b"\r\n"
        while end not in self.seen[self._read :]:
            data = client.recv(65536)
            if not data:
                raise ConnectionAbortedError
            self.seen += data
        start, self._read = self._read, self.seen.index(end, self._read) + len(end)
        self.verbs.append("." if is_body else self.seen[start:].split()[0].decode().upper())
        return self.verbs[-1]

    def _say(self, client: socket.socket, verb: str) -> bool:
        self._counted[verb] += 1
        self._wants_body = False
        reply = self.replies.get(f"{verb} {self._counted[verb]}", self.replies.get(verb, "250 ok"))
        if reply == SILENT:
            client.recv(1)
        elif reply == RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(reply, bytes):
            client.sendall(reply)
        elif reply != DROP:
            client.sendall(f"{reply}\r\n".encode())
            self._wants_body = verb == "DATA" and reply.startswith("354")
            return True
        return False
