"""The review page in a real Chromium: from the popup to the mail, with keyboard, screen reader and attackers in mind."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import desktop_rigs
import page_rigs
import parts
import pytest
from axe_playwright_python.sync_playwright import Axe
from cli_rigs import configure
from daemon_rigs import Ledger, add, daemon, value, wait_for
from desktop_rigs import Desk
from page_rigs import CHROMIUM, Site
from playwright.sync_api import Browser, Page, sync_playwright
from smtp_rigs import mail_server

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_SETTINGS = """\
[me]
name = "Sam Lee"
email = "sam.lee@example.org"
timezone = "Europe/Berlin"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = {mail}
security = "none"
auth = "none"
[nudge]
quiet_hours = ""
[page]
browser = "{browser}"
[send]
undo = "{undo}"
"""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Run Chromium without a window until the block ends."""
    parts.need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=parts.find("chromium"), args=[*CHROMIUM, *arguments])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("--host-resolver-rules=MAP evil.test 127.0.0.1") as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "t.db")


@pytest.fixture
def site(ledger: Ledger) -> Iterator[Site]:
    with page_rigs.site(ledger) as running:
        yield running


@contextmanager
def _visit(site: Site, browser: Browser, path: str = "/", **options: Any) -> Iterator[Page]:
    """Come in to the page by a link; whatever it asks of anybody else fails the test."""
    context = browser.new_context(**options)
    try:
        page = context.new_page()
        elsewhere: list[str] = []
        page.on(
            "request", lambda request: None if request.url.startswith(site.origin) else elsewhere.append(request.url)
        )
        page.goto(site.origin + site.link(path)[0])
        page.wait_for_url(site.origin + path)
        yield page
        assert elsewhere == []
    finally:
        context.close()


# --- the whole way ---


def _window(folder: Path, port: int) -> Path:
    """Give a program that opens Chromium in a window, where a test can look over its shoulder."""
    script = folder / "browser"
    words = " ".join([*CHROMIUM, f"--user-data-dir={folder / 'profile'}", f"--remote-debugging-port={port}"])
    script.write_text(f'#!/bin/sh\nexec chromium {words} --window-size=780,590 --window-position=0,0 "$@"\n')
    script.chmod(0o700)
    return script


def test_a_popup_leads_to_the_page_where_one_detail_is_typed_and_the_letter_sent_taken_back_and_sent_again(
    short_dir: Path,
) -> None:
    parts.need("chromium")
    port = page_rigs.free_port()
    with mail_server(login=False) as mail, desktop_rigs.desk(short_dir) as desk, desk.dunst():
        configure(_SETTINGS.format(mail=mail.port, browser=_window(short_dir, port), undo="3s"))
        _to_and_fro(desk, port)
    (letter,) = mail.letters
    assert letter.rcpt_tos == ["ada@example.com"]
    assert b"why you left Rust" in (letter.content or b"")
    assert value("SELECT state FROM thanks") == "thanked"


def _to_and_fro(desk: Desk, port: int) -> None:
    """Press Review, type the detail, send, undo, and send again, as a person would."""
    with daemon(environ=desk.environ):
        number = add("Ada Lovelace", after="1s", details=[])
        wait_for(lambda: desk.displayed() == 1)
        desk.press("Review")
        with page_rigs.shoulder(port) as page:
            page.wait_for_url(f"**/thanks/{number}")
            page.get_by_label("What stood out?").fill("why you left Rust")
            page.get_by_role("button", name="Note it").first.click()
            page.locator("textarea", has_text="why you left Rust").first.wait_for()
            page.get_by_role("button", name="Send", exact=True).click()
            page.get_by_text("Leaves in").wait_for()
            assert value("SELECT state FROM letter") == "queued"
            page.get_by_role("button", name="Undo").click()
            page.get_by_text("Your text is kept").wait_for()
            assert value("SELECT state FROM letter") == "cancelled"
            page.get_by_role("button", name="Send", exact=True).click()
            page.get_by_text("Leaves in").wait_for()
            page.get_by_role("heading", name="thanked").wait_for(timeout=20_000)


def test_it_all_works_without_javascript(site: Site, ledger: Ledger, browser: Browser) -> None:
    number = ledger.add("Ada Lovelace", email="ada@example.com", details=[])
    ledger.later(hours=2)
    with _visit(site, browser, f"/thanks/{number}", java_script_enabled=False) as page:
        page.get_by_label("What stood out?").fill("why you left Rust")
        page.keyboard.press("Enter")
        page.get_by_label("Text", exact=True).fill("Dear Ada,\n\nThank you for telling why you left Rust.\n\nSam Lee")
        page.get_by_role("button", name="Keep for later").click()
        assert "Kept." in page.inner_text("main")
        page.get_by_role("button", name="Send", exact=True).click()
        assert "Leaves in 30 s" in page.inner_text("main")
    assert ledger.state(number) == "confirmed"


def test_findings_follow_the_text_while_it_is_typed(site: Site, ledger: Ledger, browser: Browser) -> None:
    number = ledger.add("Ada Lovelace", email="ada@example.com")
    ledger.later(hours=2)
    with _visit(site, browser, f"/thanks/{number}") as page:
        page.get_by_label("Text", exact=True).press("Control+End")
        page.keyboard.type(" See you tomorrow!")
        page.locator("mark", has_text="tomorrow").wait_for(state="attached")
        page.get_by_role("listitem").filter(has_text="relative-date").wait_for()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("Leaves in").wait_for()
    assert ledger.state(number) == "confirmed"


# --- for everybody ---


def test_a_block_that_comes_while_typing_can_be_overridden_there_and_stays_so_while_typing_goes_on(
    site: Site, ledger: Ledger, browser: Browser
) -> None:
    number = ledger.add("Ada Lovelace", email="ada@example.com")
    ledger.later(hours=2)
    with _visit(site, browser, f"/thanks/{number}") as page:
        body = page.get_by_label("Text", exact=True)
        body.fill(body.input_value() + "\nCould you get me a job?")
        box = page.locator("#findings input[value=ask]")
        box.check()
        body.press("Control+End")
        page.keyboard.type(" See you tomorrow!")
        page.get_by_role("listitem").filter(has_text="relative-date").wait_for()
        assert box.is_checked()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("Leaves in").wait_for()
    assert "overridden" in [event["what"] for event in ledger.call("log", ref=str(number))["events"]]


def _full(ledger: Ledger) -> list[str]:
    """Fill a ledger with people of several scripts, and give the pages worth a look."""
    ada = ledger.add("Ada Lovelace", email="ada@example.com", promises=["send the compiler paper by fri"])
    ledger.call("edit_person", who="1", cares_about=["compilers for small machines"], source="coffee")
    ledger.add("王小明", email="ming@example.com", kind="meal", lang="zh-hant", details=["您說的第一份工作"])
    liat = ledger.add("ליאת כהן", email="liat@example.com", kind="mentoring", details=["הסיפור על הספרייה"])
    sent = ledger.add("Tom O'Neil", email="tom@example.com", kind="interview")
    ledger.later(hours=2)
    ledger.call("draft", ref=str(liat), body="Thanks a lot!!! See you tomorrow, and may I ask you for a job?")
    prepared = ledger.call("prepare", ref=str(sent))["prepared"]
    ledger.call("confirm", letters=[{"thanks": sent, "sha256": prepared["sha256"]}])
    lists = ["/", "/add", "/people", "/people/1", "/promises", "/outbox", "/stats", "/nothing"]
    return [*lists, f"/thanks/{ada}", f"/thanks/{liat}", f"/thanks/{sent}", f"/thanks/{sent}/letter"]


_RULES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    # Of what axe looks at, the dark page differs in its colours alone.
    "dark": ["cat.color"],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(site: Site, ledger: Ledger, browser: Browser, scheme: str) -> None:
    with _visit(site, browser, color_scheme=scheme) as page:
        for path in _full(ledger):
            page.goto(site.origin + path)
            found = Axe().run(page, options={"runOnly": _RULES[scheme]})
            assert found.violations_count == 0, found.generate_report()


def test_no_page_is_wider_than_a_phone_or_weighs_over_sixty_kilobytes(
    site: Site, ledger: Ledger, browser: Browser
) -> None:
    with _visit(site, browser, viewport={"width": 320, "height": 640}) as page:
        weights: list[int] = []
        page.on("response", lambda response: weights.append(len(response.body())))
        for path in _full(ledger):
            weights.clear()
            page.goto(site.origin + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
            assert 0 < sum(weights) < 60_000, path


def test_a_letter_is_sent_by_keys_alone(site: Site, ledger: Ledger, browser: Browser) -> None:
    number = ledger.add("Ada Lovelace", email="ada@example.com")
    ledger.later(hours=2)
    with _visit(site, browser, "/") as page:
        _tab_to(page, "Ada Lovelace")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/thanks/{number}")
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        assert ledger.state(number) == "due"
        _tab_to(page, "Send")
        page.keyboard.press("Enter")
        page.get_by_text("Leaves in").wait_for()
    assert ledger.state(number) == "confirmed"


def _tab_to(page: Page, words: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == words:
            return
    pytest.fail(f"no way by Tab to {words}")


# --- against attackers ---


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page of somebody else's, that sends the owner's browser to ours: a form, an image, a script, a frame."""

    target = ""

    def do_GET(self) -> None:
        body = (
            f'<iframe name="there" src="{self.target}/"></iframe><img src="{self.target}/thanks/1">'
            f'<form id="f" method="post" target="there" action="{self.target}/thanks/1/waive"><input name="token" value="x"></form>'
            f"<script>document.getElementById('f').submit(); fetch('{self.target}/thanks/1/waive', "
            "{method: 'POST', credentials: 'include', mode: 'no-cors', "
            "headers: {'content-type': 'application/x-www-form-urlencoded'}, body: 'token=x'})"
            f".finally(() => fetch('{self.target}/', {{credentials: 'include'}}).then(() => document.title = 'read')"
            ".catch(() => document.title = 'refused'))</script>"
        )
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _elsewhere(target: str) -> Iterator[int]:
    handler = type("Elsewhere", (_Elsewhere,), {"target": target})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1"])
def test_a_page_of_somebody_else_s_can_neither_read_ours_nor_change_anything(
    site: Site, ledger: Ledger, browser: Browser, name: str
) -> None:
    number = ledger.add("Ada Lovelace", email="ada@example.com")
    ledger.later(hours=2)
    with _visit(site, browser, f"/thanks/{number}") as page, _elsewhere(site.origin) as port:
        evil = page.context.new_page()
        frames: list[str] = []
        evil.on("framenavigated", lambda frame: frames.append(frame.url))
        evil.goto(f"http://{name}:{port}/")
        evil.wait_for_function("document.title !== ''")
        assert evil.title() == "refused"
        assert not any("Lovelace" in frame.content() for frame in evil.frames)
        page.reload()
        assert "Thank Ada Lovelace" in page.inner_text("h1")
    assert ledger.state(number) == "due"


def test_a_name_that_was_rebound_to_this_machine_shows_nothing(site: Site, ledger: Ledger, browser: Browser) -> None:
    ledger.add("Ada Lovelace", email="ada@example.com")
    with _visit(site, browser, "/") as page:
        evil = page.context.new_page()
        answer = evil.goto(f"http://evil.test:{site.server.port}/")
        assert answer is not None
        assert (answer.status, "Ada" in evil.content()) == (403, False)


def test_markup_in_a_note_does_nothing_in_the_browser(site: Site, ledger: Ledger, browser: Browser) -> None:
    hostile = "<script>document.title='x'</script><img src=x onerror=\"document.title='x'\"> tomorrow"
    number = ledger.add("Ada Lovelace", email="ada@example.com", details=[hostile], place=hostile, promises=[hostile])
    ledger.call("draft", ref=str(number), subject=hostile, body=hostile)
    ledger.later(hours=2)
    with _visit(site, browser, "/") as page:
        for path in ("/", f"/thanks/{number}", "/people/1", "/promises"):
            page.goto(site.origin + path)
            assert page.title().endswith("thanksd")
            assert page.locator("main script, main img").count() == 0
        page.goto(f"{site.origin}/thanks/{number}")
        page.get_by_label("Text", exact=True).press("Control+End")
        page.keyboard.type("</div><img src=x onerror=\"document.title='x'\"> tomorrow")
        page.locator("mark").nth(1).wait_for(state="attached")
        assert page.locator("main img").count() == 0
        assert page.title().endswith("thanksd")


@pytest.mark.skipif(os.environ.get("PICTURES") != "1", reason="PICTURES=1 writes the pictures in docs/ anew")
def test_the_pictures_in_the_docs_are_made_of_this_page(site: Site, ledger: Ledger, browser: Browser) -> None:
    _full(ledger)
    for name, path in {"page-list": "/", "page-review": "/thanks/1"}.items():
        with _visit(site, browser, path, viewport={"width": 1000, "height": 800}) as page:
            page.screenshot(path=_DOCS / f"{name}.png", full_page=True)
