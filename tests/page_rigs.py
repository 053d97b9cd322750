"""The review page served from a ledger of its own, and asked over HTTP as a browser asks; and a real Chromium."""

from __future__ import annotations

import asyncio
import html
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from daemon_rigs import Ledger, wait_for
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from thanksd import paths, verbs
from thanksd.config import Config
from thanksd.page.server import PageServer
from thanksd.page.visits import Link

# Chromium as root, and silent: without these it looks for its maker's hosts at every start.
__all__ = ["quote", "urlencode"]

CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-quic"),
]


class Answer(NamedTuple):
    """What the page answered."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def token(self) -> str:
        """The token of the first form."""
        return self.text.partition('name="token" value="')[2].partition('"')[0]


class Verbs(Protocol):
    """Whatever calls the verbs on a ledger, as Ledger does."""

    def call(self, verb: str, **params: Any) -> dict[str, Any]: ...


class Site:
    """The page of a ledger, running. `called` are the verbs it called, in order."""

    def __init__(self, ledger: Verbs, config: Callable[[], Config], state: Path) -> None:
        self.ledger, self.called = ledger, []  # type: tuple[Verbs, list[str]]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server = PageServer(self._call, config, state)

    async def _call(self, verb: str, params: dict[str, Any]) -> dict[str, Any]:
        assert verb in verbs.PUBLIC, f"{verb} is not for a page"
        self.called.append(verb)
        return await asyncio.to_thread(self.ledger.call, verb, **params)

    def start(self) -> None:
        self._thread.start()
        self._in_loop(self._started())

    async def _started(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self._in_loop(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _in_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def link(self, target: str = "/") -> tuple[str, Link]:
        """Give the path of a link that opens once, and the link."""
        url, link = self.server.link(target)
        return url.removeprefix(self.origin), link

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: str | bytes = "") -> Answer:
        """Send one request, with these headers and no other than HTTP's own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers or {})
            got = connection.getresponse()
            fields = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, fields, got.read().decode())
        finally:
            connection.close()


class Visitor:
    """A browser that came in by a link: it keeps its cookie, sends the Origin, and follows to the next page."""

    def __init__(self, site: Site) -> None:
        self.site = site
        path, _ = site.link()
        answer = site.ask("GET", path)
        assert answer.status == 200
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def get(self, path: str, **headers: str) -> Answer:
        return self.site.ask("GET", path, {"Cookie": self.cookie} | headers)

    def headers(self) -> dict[str, str]:
        kind = "application/x-www-form-urlencoded"
        return {"Cookie": self.cookie, "Origin": self.site.origin, "Content-Type": kind}

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        """Send a form with the session's token, and follow to the page that answers."""
        form = {"token": self.get("/add").token} | (fields or {})
        answer = self.site.ask("POST", path, self.headers() | headers, urlencode(form))
        return self.get(answer.headers["location"]) if answer.status == 303 else answer

    def letter(self, number: int) -> dict[str, str]:
        """Give the fields of a letter's form as the page shows them."""
        page = self.get(f"/thanks/{number}").text
        body = html.unescape(page.partition('dir="auto" lang="')[2].partition(">\n")[2].partition("</textarea>")[0])
        fields = re.findall(r'<input [^>]*name="([a-z_]+)" value="([^"]*)"', page.partition('id="letter"')[2])
        return {name: html.unescape(value) for name, value in fields if name != "override"} | {"body": body}


@contextmanager
def site(ledger: Ledger) -> Iterator[Site]:
    """Serve the page of a ledger until the block ends."""
    with served(ledger, lambda: ledger._config, paths.state_folder()) as running:
        yield running


@contextmanager
def served(ledger: Verbs, config: Callable[[], Config], state: Path) -> Iterator[Site]:
    """Serve the page of whatever calls the verbs, its port and key kept in the folder `state`, until the block ends."""
    running = Site(ledger, config, state)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def free_port() -> int:
    """Give a port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def shoulder(port: int) -> Iterator[Page]:
    """Look at the page of a Chromium that somebody else started, by its port for debuggers, once it is there."""
    with sync_playwright() as playwright:
        browser = wait_for(lambda: _connected(playwright, port))
        yield wait_for(lambda: next((page for context in browser.contexts for page in context.pages), None))


def _connected(playwright: Playwright, port: int) -> Browser | None:
    try:
        return playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
    except PlaywrightError:
        return None
