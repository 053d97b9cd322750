"""Whoever is not the owner's own browser gets nothing from the review page, and changes nothing by it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import page_rigs
import parts
import pytest
from daemon_rigs import Ledger
from page_rigs import Site, Visitor

from thanksd.errors import UnavailableError
from thanksd.page import gate, owner, routes, visits

_CHANGES = sorted(path for path, (_, post) in routes._TABLE.items() if post)
_LOOKS = sorted(path for path, (get, _) in routes._TABLE.items() if get)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "t.db")


@pytest.fixture
def site(ledger: Ledger) -> Iterator[Site]:
    ledger.add("Ada Lovelace", email="ada@example.com", promises=["send the paper"])
    ledger.later(hours=2)
    with page_rigs.site(ledger) as running:
        yield running


def _path(path: str) -> str:
    return path.replace("{number}", "1")


def _dump(ledger: Ledger) -> str:
    with ledger.store.read() as connection:
        raw = connection.connection.dbapi_connection
        return "\n".join(raw.iterdump())  # type: ignore[union-attr]


def test_a_link_opens_once(site: Site) -> None:
    path, link = site.link("/thanks/1")
    assert site.ask("HEAD", path).status == 204
    assert not link.opened.is_set()
    first = site.ask("GET", path)
    assert (first.status, 'content="0; url=/thanks/1"' in first.text) == (200, True)
    assert all(word in first.headers["set-cookie"] for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert link.opened.is_set()
    second = site.ask("GET", path)
    assert second.status == 403
    assert "set-cookie" not in second.headers


def test_a_link_is_good_for_two_minutes_and_a_session_for_ten_hours() -> None:
    now = 0.0
    known = visits.Visits(lambda: now)
    old, _ = known.link("/")
    now = 121.0
    assert known.enter(old) is None
    entered = known.enter(known.link("/")[0])
    assert entered is not None
    now += 9.9 * 3600
    assert known.session(entered[0].key)
    now += 9.9 * 3600
    assert known.session(entered[0].key)
    now += 10.1 * 3600
    assert known.session(entered[0].key) is None


@pytest.mark.parametrize("path", _LOOKS)
def test_without_a_session_nothing_is_seen(site: Site, path: str) -> None:
    for headers in ({}, {"Cookie": f"thanksd-{site.server.port}=wrong"}, {"Cookie": "a=b; ; =; x"}):
        answer = site.ask("GET", _path(path), headers)
        assert answer.status == 403
        assert "Ada" not in answer.text
    assert site.called == []


@pytest.mark.parametrize("host", ["evil.test:{}", "localhost:{}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{}.evil.test"])
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(site: Site, host: str) -> None:
    visitor = Visitor(site)
    answer = visitor.get("/", Host=host.format(site.server.port))
    assert answer.status == 403
    assert "Ada" not in answer.text


@pytest.mark.parametrize("path", _CHANGES)
def test_a_change_without_our_own_origin_and_token_changes_nothing(site: Site, ledger: Ledger, path: str) -> None:
    visitor, before = Visitor(site), _dump(ledger)
    token = visitor.get("/add").token
    right, form = visitor.headers(), urlencode({"token": token, "who": "Eve", "how": "sent"})
    stranger = Visitor(site).get("/add").token
    without = {name: value for name, value in right.items() if name != "Origin"}
    attempts = [
        (without, form),
        (right | {"Origin": "null"}, form),
        (right | {"Origin": "http://evil.test"}, form),
        (right | {"Origin": site.origin.replace("127.0.0.1", "localhost")}, form),
        (right | {"Origin": f"{site.origin}.evil.test"}, form),
        (right, urlencode({"who": "Eve"})),
        (right, urlencode({"token": stranger, "who": "Eve"})),
        (right, urlencode({"token": "", "who": "Eve"})),
        (right | {"Content-Type": "text/plain"}, form),
        (right | {"Content-Type": "application/json"}, form),
        ({name: value for name, value in right.items() if name != "Cookie"}, form),
    ]
    for headers, body in attempts:
        assert site.ask("POST", _path(path), headers, body).status in (403, 415)
    assert _dump(ledger) == before
    assert site.ask("GET", _path(path), {"Cookie": visitor.cookie}).status in (200, 405)
    assert site.ask("PUT", _path(path), right, form).status == 405
    assert _dump(ledger) == before


def test_looking_at_every_page_changes_nothing(site: Site, ledger: Ledger) -> None:
    visitor, before = Visitor(site), _dump(ledger)
    for path in _LOOKS:
        assert visitor.get(_path(path)).status in (200, 303, 404)
    assert _dump(ledger) == before


def test_every_answer_forbids_what_is_not_its_own_and_is_kept_nowhere(site: Site) -> None:
    visitor = Visitor(site)
    for path in (
        "/",
        "/thanks/1",
        "/static/page.css",
        "/nothing",
        "/static/../server.py",
        "/enter/x",
        "/thanks/x",
        f"/thanks/{'9' * 1000}",
    ):
        for answer in (visitor.get(path), site.ask("GET", path)):
            assert answer.headers["content-security-policy"].startswith("default-src 'none';")
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers
            assert "PageServer" not in answer.text


def test_a_cookie_of_the_same_name_by_another_server_neither_lets_in_nor_locks_out(site: Site) -> None:
    visitor, other = Visitor(site), Visitor(site)
    assert visitor.get("/", Cookie=f"thanksd-{site.server.port}=tossed; {visitor.cookie}").status == 200
    assert visitor.get("/", Cookie=f"{other.cookie}; {visitor.cookie}").status == 403


def test_switched_off_it_lets_nobody_in_from_that_moment(site: Site, ledger: Ledger) -> None:
    visitor = Visitor(site)
    ledger._config = replace(ledger._config, page=replace(ledger._config.page, enabled=False))
    assert visitor.get("/").status == 403
    with pytest.raises(UnavailableError):
        site.server.link("/")


def test_a_port_that_can_t_be_had_is_said_and_stops_nothing(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    for port in (1 << 20, -1):
        ledger._config = replace(ledger._config, page=replace(ledger._config.page, port=port))
        with page_rigs.site(ledger) as site, pytest.raises(UnavailableError):
            site.server.link("/")
        assert f"port {port} can't be had" in caplog.text


def test_a_program_that_speaks_ipv4_by_an_ipv6_socket_is_known_too(site: Site) -> None:
    with socket.socket(socket.AF_INET6) as mapped:
        mapped.connect(("::ffff:127.0.0.1", site.server.port))
        mapped.sendall(f"GET /static/page.css HTTP/1.1\r\nHost: 127.0.0.1:{site.server.port}\r\n\r\n".encode())
        assert mapped.recv(100).startswith(b"HTTP/1.1 200")


def test_a_page_that_could_not_be_loaded_refuses_instead_of_keeping_one_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = site.server.port

    def fails(_: object) -> None:
        raise ImportError("gone with an upgrade")

    monkeypatch.setattr(type(site.server), "_make", fails)
    with pytest.raises(OSError, match=r"reset|refused|closed|Remote end"):
        site.ask("GET", "/")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 20):
        pass
    with pytest.raises(UnavailableError):
        site.server.link("/")


def test_the_next_daemon_has_the_same_port_so_that_an_open_page_gets_its_text_back(ledger: Ledger) -> None:
    with page_rigs.site(ledger) as first:
        port = first.server.port
        headers = Visitor(first).headers()
    with page_rigs.site(ledger) as second:
        assert second.server.port == port
        form = urlencode({"token": "x", "body": "My own words.", "details": "a story"})
        answer = second.ask("POST", "/thanks/1/draft", headers, form)
    assert (answer.status, "My own words." in answer.text, "a story" in answer.text) == (403, True, True)


def test_a_body_that_is_too_big_is_read_no_further(site: Site, ledger: Ledger) -> None:
    visitor, before = Visitor(site), _dump(ledger)
    form = urlencode({"token": visitor.get("/add").token, "who": "E" * gate.BODY_BYTES})
    assert site.ask("POST", "/add", visitor.headers(), form).status == 413
    many = urlencode([("token", visitor.get("/add").token), *(("who", "x") for _ in range(1000))])
    assert site.ask("POST", "/add", visitor.headers(), many).status == 400
    assert _dump(ledger) == before


def test_a_body_that_never_ends_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)
    visitor = Visitor(site)
    with socket.create_connection(("127.0.0.1", site.server.port), 20) as slow:
        head = "".join(f"{name}: {value}\r\n" for name, value in visitor.headers().items())
        slow.sendall(
            f"POST /add HTTP/1.1\r\nHost: 127.0.0.1:{site.server.port}\r\n{head}Content-Length: 99\r\n\r\nw".encode()
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_another_user_of_the_machine_gets_not_one_byte(site: Site) -> None:
    parts.need("setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    path, link = site.link("/")
    words = (
        "import socket, sys\n"
        f"s = socket.create_connection(('127.0.0.1', {site.server.port}), 20)\n"
        f"s.sendall(b'GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{site.server.port}\\r\\n\\r\\n')\n"
        "try:\n    print(len(s.recv(1000)))\nexcept ConnectionResetError:\n    print(0)\n"
    )
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", words]
    assert site.ask("GET", "/enter/none").status == 403
    done = subprocess.run(stranger, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "0\n"
    assert not link.opened.is_set()
    assert site.ask("GET", path).status == 200


def test_a_kernel_that_does_not_say_whose_a_connection_is_lets_nobody_in(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as one:
        peer, here = one.getsockname(), listening.getsockname()
        assert owner.is_ours(peer, here)
        assert not owner.is_ours(peer, here, [tmp_path / "missing"])
        assert not owner.is_ours((peer[0], 1), here)


def test_importing_the_door_loads_nothing_that_only_a_visit_needs() -> None:
    words = "import sys, thanksd.page.server; print([one for one in ('uvicorn', 'starlette', 'jinja2') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
