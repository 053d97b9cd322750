"""Letters opened in the person's own mail program: a real xdg-open, whose handler writes down what it was given."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import parts
import program_rigs
import pytest
import store_rigs
import systemd_rigs
import terminal_rigs as rigs
from hypothesis import given
from hypothesis import strategies as st
from smtp_rigs import deliver

from thanksd import addresses, letters
from thanksd.config import Config, Mailto, Nudge, Transport
from thanksd.errors import ConfigError, ThanksdError
from thanksd.transports import Envelope, check, describe, handoff

CONFIG = """\
[me]
name = "Sam Lee"
email = "{me}"
timezone = "Europe/Berlin"
[transport]
kind = "{kind}"
mailto.open = "{where}"
"""
_HANDLER = """#!/bin/sh
printf '%s' "$1" >"{folder}/opened.$(date +%s%N)"
if [ -f "$1" ]; then cat "$1" >"{folder}/file"; fi
{more}
"""
_DESKTOP = "[Desktop Entry]\nType=Application\nName=Mail\nExec={script} %u\nMimeType={types}\n"
_TYPES = ("x-scheme-handler/mailto", "x-scheme-handler/https", "message/rfc822")


def configure(home: Path, kind: str = "mailto", where: str = "system", me: str = "sam.lee@example.org") -> None:
    rigs.configure(home, text=CONFIG.format(kind=kind, where=where, me=me))


class Program:
    """The person's mail program and browser, as the desktop knows them: an entry and a default for each type."""

    def __init__(self, home: Path) -> None:
        parts.need("xdg-open", "xdg-mime", "file")
        self.folder = home / "seen"
        self.folder.mkdir()
        self._script, entries = home / "mailer", home / ".local/share/applications"
        entries.mkdir(parents=True)
        (entries / "mailer.desktop").write_text(_DESKTOP.format(script=self._script, types=";".join(_TYPES)))
        (home / ".config").mkdir(exist_ok=True)
        defaults = "".join(f"{name}=mailer.desktop\n" for name in _TYPES)
        (home / ".config/mimeapps.list").write_text(f"[Default Applications]\n{defaults}")
        self.does("")

    def does(self, more: str) -> None:
        """Let it do something more when it was started."""
        self._script.write_text(_HANDLER.format(folder=self.folder, more=more))
        self._script.chmod(0o700)

    @property
    def opened(self) -> list[str]:
        """What it was started with, oldest first."""
        return [path.read_text() for path in sorted(self.folder.glob("opened.*"))]

    def wait(self, count: int = 1) -> list[str]:
        end = time.monotonic() + rigs.DEADLINE
        while len(self.opened) < count or not all(self.opened):
            assert time.monotonic() < end, self.opened
            time.sleep(0.05)
        return self.opened


@pytest.fixture
def program(home: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("DISPLAY", ":77")
    configure(home)
    return Program(home)


def add(name: str = "Ada Lovelace", email: str = "ada@example.com") -> None:
    rigs.thanksd("add", name, email, "-k", "coffee", "-w", "5h ago", "-d", "why you left Rust")


def draft(number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rigs.thanksd("draft", str(number), "--json"))["draft"]
    return found


def thanks(number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rigs.thanksd("show", str(number), "--json"))["thanks"][0]
    return found


def standing(number: int = 1) -> tuple[str, str | None, str | None]:
    """Give the state of a thanks, and state and reason of its letter."""
    one = thanks(number)
    letter = one["letter"] or {"state": None, "reason": None}
    return one["state"], letter["state"], letter["reason"]


HELD = ("confirmed", "held", "handed-off")
ASKED = "Did you send it? [y] yes [n] not yet [c] no, cancel"


def read(link: str) -> dict[str, str]:
    """Read a link as a mail program or a web page does: address, subject, body; a plus stays a plus (RFC 6068)."""
    link.encode("ascii")
    parsed = urlsplit(link)
    found = dict(parse_qsl(parsed.query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(parsed.query)))
    if parsed.scheme == "mailto":
        found["to"] = unquote(parsed.path)
    found["subject"] = found.pop("su", found.get("subject", ""))
    assert "\n" not in found.get("body", "").replace("\r\n", "")
    return found | {"body": found.get("body", "").replace("\r\n", "\n")}


# --- the whole way, in a terminal ---


def test_s_opens_exactly_what_was_shown_and_yes_makes_it_thanked(program: Program) -> None:
    add()
    shown = draft()
    with rigs.terminal("review") as terminal:
        text = terminal.ready("? help")
        assert "From     Sam Lee <sam.lee@example.org>, by your mail program" in text
        assert "It opens in your mail program; what you send there can't be taken back here." in text
        assert " s open in mail program   e edit" in text
        terminal.key("s")
        terminal.ready("Opened in your mail program.", ASKED)
        assert standing() == HELD
        terminal.key("y")
        assert terminal.end() == 0
        assert "Ada: thanked." in terminal.text
        assert "1 thanked. This month 1 met, 1 thanked, 1 in time." in terminal.text
    (link,) = program.wait()
    assert link.startswith("mailto:ada@example.com?subject=")
    assert read(link) == {"to": "ada@example.com", "subject": shown["subject"], "body": shown["body"]}
    assert standing() == ("thanked", "sent", None)


def test_not_yet_keeps_it_held_and_counts_nobody_as_thanked(program: Program) -> None:
    add()
    add("Chen Wei", "chen@example.com")
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready(ASKED)
        terminal.key("n")
        text = terminal.ready("2 of 2 due", "Dear Chen,")
        assert text.startswith("Ada: not sent yet. When it is: thanksd resolve 1\n")
        terminal.key("u")
        terminal.ready("Ada's letter may have left already.", "thanksd resolve 1", "Dear Chen,")
        terminal.key("q")
        assert terminal.end() == 0
        assert "0 thanked. This month 2 met, 0 thanked, 0 in time." in terminal.text
    assert standing() == HELD
    assert len(program.wait()) == 1
    assert "to be sent in your mail program" in rigs.thanksd("log", "1")
    with rigs.terminal() as terminal:
        terminal.until("sent? thanksd resolve 1")


def test_cancel_takes_it_back_with_its_text_and_the_same_letter_can_go_again(program: Program) -> None:
    add()
    rigs.thanksd("draft", "1", "--subject", "In my own words")
    with rigs.terminal("review") as terminal:
        for answer in "cy":
            terminal.key("s")
            terminal.ready(ASKED)
            terminal.key(answer)
            if answer == "c":
                terminal.ready("Taken back: Ada's letter. Your text is kept. Due again", "Subject  In my own words")
                assert standing()[:2] == ("due", "cancelled")
        assert terminal.end() == 0
    assert [read(link)["subject"] for link in program.wait(2)] == ["In my own words"] * 2
    assert standing() == ("thanked", "sent", None)


@pytest.mark.parametrize("how", ["ctrl-c", "window"])
def test_an_unanswered_question_is_never_taken_for_sent(program: Program, how: str) -> None:
    add()
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready(ASKED)
        if how == "window":
            terminal.close_window()
        else:
            terminal.interrupt()
        terminal.end()
    assert standing() == HELD
    assert len(program.wait()) == 1


def test_a_program_killed_before_anything_opened_leaves_the_letter_held(program: Program) -> None:
    add()
    words = ["setsid", "--wait", rigs.PROGRAM, "send", "1", "--yes"]
    # The last program that is started is the opener.
    parts.need("strace")
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=vfork,clone,clone3", "-e"]
    for number in range(1, 12):
        kill = f"inject=vfork,clone,clone3:signal=SIGKILL:when={number}"
        done = subprocess.run([*strace, kill, *words], capture_output=True, check=False, timeout=60)
        if standing()[0] == "confirmed":
            break
        assert standing()[0] == "due"
        assert done.returncode != 0
    assert standing() == HELD
    assert program.opened == []


@pytest.mark.parametrize("lacking", ["screen", "opener", "handler"])
def test_where_nothing_opens_the_thanks_is_due_and_its_text_kept(
    program: Program, home: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add()
    rigs.thanksd("draft", "1", "--subject", "In my own words")
    if lacking == "screen":
        monkeypatch.delenv("DISPLAY")
    elif lacking == "opener":
        monkeypatch.setenv("PATH", str(home))
    else:
        program.does("echo no such account >&2; exit 1")
    words = {
        "screen": ("DISPLAY is not set", "In a terminal of your desktop: thanksd review 1"),
        "opener": ("xdg-open is not installed", "sudo apt install xdg-utils"),
        "handler": ("no such account. Taken back", "xdg-mime default thunderbird.desktop x-scheme-handler/mailto"),
    }[lacking]
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        text = " ".join(terminal.ready("text is kept.", "In my own words", "s open in").split())
        assert all(" ".join(word.split()) in text for word in words), text
        terminal.key("q")
        assert terminal.end() == 69
    said = rigs.thanksd("send", "1", "--yes", code=69)
    assert all(word in said for word in words)
    assert thanks()["state"] == "due"
    assert draft()["subject"] == "In my own words"
    assert len(program.opened) == (2 if lacking == "handler" else 0)


def test_an_opener_that_stays_has_become_the_mail_program(program: Program) -> None:
    add()
    program.does("sleep 6; exit 1")
    with rigs.terminal("review") as terminal:
        terminal.key("s")
        terminal.ready(ASKED)
        terminal.key("y")
        assert terminal.end() == 0
    assert standing()[0] == "thanked"


def test_an_eml_file_is_private_and_has_the_confirmed_bytes(program: Program, home: Path) -> None:
    configure(home, kind="eml")
    add()
    with rigs.terminal("review") as terminal:
        terminal.ready("by your mail program")
        terminal.key("s")
        terminal.ready(ASKED)
        (path,) = map(Path, program.wait())
        assert path == home / ".local/state/thanksd/letters/thanks-1.eml"
        assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
        terminal.key("y")
        assert terminal.end() == 0
    assert not path.exists()
    found = (program.folder / "file").read_bytes()
    assert message_from_bytes(found, policy=default)["X-Unsent"] == "1"
    confirmed = json.loads(rigs.thanksd("show", "1", "--letter", "--json"))["letter_text"]
    assert found.replace(b"X-Unsent: 1\r\n", b"", 1).decode() == confirmed


@pytest.mark.parametrize(
    ("where", "me", "begins"),
    [
        ("gmail", "sam.lee@gmail.com", "https://mail.google.com/mail/?authuser=sam.lee%40gmail.com&view=cm&fs=1&to="),
        ("outlook", "sam@example.org", "https://outlook.office.com/mail/deeplink/compose?to="),
        ("outlook", "sam@hotmail.de", "https://outlook.live.com/mail/0/deeplink/compose?to="),
    ],
)
def test_a_web_page_gets_the_same_letter(program: Program, home: Path, where: str, me: str, begins: str) -> None:
    configure(home, where=where, me=me)
    add(email="ada+x@example.com")
    shown = draft()
    with rigs.terminal("review") as terminal:
        text = terminal.ready(f"by {where.title()}'s web page", f"s open in {where.title()}'s web page", "? help")
        assert f"It opens in {where.title()}'s web page;" in text
        terminal.key("s")
        text = terminal.ready(ASKED)
        assert ("may turn a + into a space" in text) is (where == "outlook")
        terminal.key("y")
        assert terminal.end() == 0
    (link,) = program.wait()
    found = read(link)
    assert link.startswith(begins)
    assert (found["to"], found["subject"], found["body"]) == ("ada+x@example.com", shown["subject"], shown["body"])


def test_a_letter_too_long_for_a_link_is_there_to_be_pasted(program: Program, home: Path) -> None:
    add()
    body = "Dear Ada,\n\n" + "\n".join(["Grüße & 100% + mehr: why you left Rust, wirklich."] * 90) + "\n\nSam Lee"
    words = [rigs.PROGRAM, "draft", "1", "--body-file", "-"]
    assert program_rigs.run(words, stdin=body.encode()).returncode == 0
    shown = draft()
    dry = rigs.thanksd("send", "1", "--dry-run")
    assert "Opens in your mail program; what you send there can't be taken back here." in dry
    assert "It is too long for a link: you will paste its text there." in dry
    with rigs.terminal("review", lines=24) as terminal:
        while "the end; space" not in terminal.ready("It is too long for a link: you will paste its text there."):
            terminal.key(" ")
        terminal.key("s")
        path = home / ".local/state/thanksd/letters/thanks-1.txt"
        text = terminal.ready(ASKED, "only address and subject are there")
        assert str(path) in text.replace("\n", "")
        assert path.read_text() == shown["body"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        terminal.key("y")
        assert terminal.end() == 0
    (link,) = program.wait()
    assert read(link) == {"to": "ada@example.com", "subject": shown["subject"], "body": ""}
    assert not path.exists()


@contextmanager
def _daemon() -> Iterator[None]:
    environ = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    process = program_rigs.Program(
        [rigs.PROGRAM, "run"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + rigs.DEADLINE
        while not list((Path(os.environ["XDG_RUNTIME_DIR"]) / "thanksd").glob("*.sock")):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_with_a_daemon_it_opens_in_the_persons_own_session(program: Program) -> None:
    add()
    with _daemon():
        with rigs.terminal("review") as terminal:
            terminal.key("s")
            terminal.ready(ASKED)
            terminal.key("n")
            assert terminal.end() == 0
        # The daemon has no screen: had it been the one, nothing would have opened.
        assert len(program.wait()) == 1
        assert rigs.thanksd("outbox").split("\t")[1] == "held"
        rigs.thanksd("resolve", "1", "--sent")
    assert standing()[0] == "thanked"


def test_send_without_a_terminal_opens_it_and_leaves_the_answer_open(program: Program) -> None:
    add()
    add("Chen Wei", "chen@example.com")
    assert "--at can't be" in rigs.thanksd("send", "2", "--at", "tomorrow 9:00", "--yes", code=2)
    said = rigs.thanksd("send", "1", "2", "--yes", code=75)
    assert "Ada: not sent yet. When it is: thanksd resolve 1\n" in said
    assert [standing(number) for number in (1, 2)] == [HELD, HELD]
    assert [read(link)["to"] for link in program.wait(2)] == ["ada@example.com", "chen@example.com"]


def test_a_login_is_neither_needed_nor_tested(program: Program) -> None:
    said = rigs.thanksd("credentials", "test", code=78)
    assert "your mail program" in said
    assert program.opened == []


# --- in the ledger ---


@pytest.fixture
def desk(tmp_path: Path) -> store_rigs.Desk:
    return store_rigs.Desk(tmp_path, Transport(kind="mailto"))


def test_a_letter_handed_over_is_held_from_the_start_and_no_worker_takes_it(desk: store_rigs.Desk) -> None:
    number = desk.add()
    shown = desk("prepare", ref=str(number))["prepared"]
    result = desk("confirm", letters=[{"thanks": number, "sha256": shown["sha256"]}])
    assert [one["thanks"] for one in result["handed"]] == [number]
    letter = desk.letter(number)
    assert (letter["state"], letter["reason"], letter["attempts"], letter["settled_at"]) == (
        "held",
        "handed-off",
        0,
        None,
    )
    desk.clock.forward(days=3)
    assert desk("dispatch") == {"letters": 0}
    with pytest.raises(ThanksdError, match="may have left already"):
        desk("undo", ref=str(number))
    desk("resolve", ref=str(number), how="sent")
    assert desk.thanks(number)["state"] == "thanked"


@pytest.mark.parametrize(
    ("forward", "asked"),
    [
        ({}, "2026-03-11 08:00:00"),  # noon
        ({"hours": 10}, "2026-03-11 08:00:00"),  # 22:00
        ({"hours": 15}, "2026-03-11 08:00:00"),  # 03:00 of the next day
        ({"hours": 18}, "2026-03-12 08:00:00"),  # 06:00: that morning is too near
        ({"days": 3}, "2026-03-16 07:30:00"),  # a Friday, with weekdays only: Monday, when the quiet hours end
    ],
)
def test_the_question_comes_back_the_next_morning(desk: store_rigs.Desk, forward: dict[str, int], asked: str) -> None:
    config = Config(me=store_rigs.ME, transport=Transport(kind="mailto"), nudge=Nudge(weekdays_only=True))
    desk.set(config=config)
    desk.clock.forward(**forward)
    number = desk.queued()
    assert str(desk.thanks(number)["popup_at"]).partition(".")[0] == asked


def test_what_was_confirmed_to_be_sent_is_not_handed_over_later() -> None:
    transport = Transport(kind="eml")
    check(transport)
    assert describe(transport) == "your mail program"
    with pytest.raises(ConfigError, match="letters open in your mail program now"):
        deliver(transport, "", None, Envelope("a@example.org", "b@example.org", b"", "<x@y>"), lambda: True)


# --- links ---

LINES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp")), max_size=60)
HOSTILE = [
    "&body=x",
    "%0d%0aBcc: eve@example.com",
    "?cc=eve@example.com",
    '"quoted"',
    "'$(id)`id`;|<>\\",
    "#x",
    "+ a+b",
]


@given(subject=LINES | st.sampled_from(HOSTILE), body=st.lists(LINES | st.sampled_from(HOSTILE), max_size=6))
@pytest.mark.parametrize("where", ["system", "gmail", "outlook"])
def test_whatever_a_letter_holds_comes_out_of_the_link_again(where: str, subject: str, body: list[str]) -> None:
    subject = letters.clean_line(subject, 500)
    text = letters.clean_body("\n".join(body), 10_000)
    to = addresses.check_address("o'neil+a&b=c%d?e#f/g@example.com")
    found = read(_link(where, to, subject, text))
    assert (found["to"], found["subject"], found["body"]) == (to, subject, text)
    assert set(found) - {"view", "fs", "authuser"} == {"to", "subject", "body"}


def _link(where: str, to: str, subject: str, body: str) -> str:
    frozen = letters.freeze(
        sender_name="Sam Lee",
        sender_email="sam@example.org",
        to_name="Ada",
        to_email=to,
        subject=subject,
        body=body,
        date=store_rigs.NOON,
        thanks_uid="u1",
        unique="m1",
    )
    transport = Transport(kind="mailto", mailto=Mailto(open=where))
    handed = handoff.handed(transport, "sam@example.org", to, subject, frozen.raw)
    return handed.url


# --- from a popup's own window ---

FROM_A_POPUP = """
set -e
mkdir -p ~/.config/thanksd ~/.local/share/applications
printf '#!/bin/sh\\nsleep 5\\nsystemctl --user status $$ --no-pager >~/alive\\n' >~/mailer
chmod 700 ~/mailer
printf '[Desktop Entry]\\nType=Application\\nName=Mail\\nExec=%s %%u\\n' ~/mailer >~/.local/share/applications/mailer.desktop
printf '[Default Applications]\\nx-scheme-handler/mailto=mailer.desktop\\n' >~/.config/mimeapps.list
printf '[me]\\nname = "Sam"\\nemail = "sam@example.org"\\n[transport]\\nkind = "mailto"\\n' >~/.config/thanksd/config.toml
thanksd add Ada ada@example.com -k coffee -w '5h ago' -d 'why you left Rust'
# As a pressed button starts the terminal; what it waits for is the window's own end.
systemd-run --user --collect --wait --quiet --setenv=DISPLAY=:77 -- \
    env PATH="$PATH" THANKSD_OPENED=popup thanksd send 1 --yes || test $? = 75
test ! -e ~/alive
sleep 5
cat ~/alive
"""


def test_a_mail_program_outlives_the_window_of_the_popup_that_led_to_it(
    machine_user: systemd_rigs.MachineUser,
) -> None:
    parts.need("xdg-open")
    done = machine_user.run(FROM_A_POPUP)
    assert done.returncode == 0, done.stdout + done.stderr
    alive = done.stdout.partition(".scope")[2]
    assert "a letter, opened by thanksd" in alive
    assert "why%20you%20left" not in alive.partition("CGroup")[0]
