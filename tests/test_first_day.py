"""The first day of three people, from installing to the first real thanks, each at a desktop and a provider of theirs."""

from __future__ import annotations

import email
import email.policy
import pwd
import re
import shutil
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import parts
from aiosmtpd.smtp import Envelope
from people_rigs import Login, login, provider, settle_in
from systemd_rigs import MachineUser

_BUILD = 180.0  # seconds that a slow machine may take to install
# Debian's PATH for somebody whose home has no programs yet.
_PATH = "/usr/local/bin:/usr/bin:/bin"
_CONTACTS = """\
name,email,kind,when,detail
Ada Lovelace,ada@example.com,coffee,2h ago,why you left Rust
Chen Wei,chen@example.com,interview,2h ago,how you read a stack trace aloud
Tom O'Neil,tom@example.com,referral,2h ago,your note to the hiring team
José Álvarez,jose@example.com,introduction,2h ago,the link to the kernel group
Priya Natarajan,priya@example.com,event,2h ago,your talk on slow queries
"""
_PASS = """\
#!/bin/sh
test "$*" = "show mail/fastmail" && cat ~/.password-store/mail
"""
_EVENT = re.compile(r"[A-Z][a-z]{2} \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d  ")
_BY_POPUP = ["added", "nudged, by desktop", "opened from the popup (review)", "confirmed"]
_ASKED = "Did you send it? [y] yes [n] not yet [c] no, cancel"


def _message(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    return email.message_from_bytes(envelope.content, policy=email.policy.default)


def _answer(one: Login, *answers: tuple[str, str]) -> None:
    """Type an answer to each question, once it stands there."""
    for question, words in answers:
        one.sees(question)
        one.types(words)


def _opens_review(one: Login) -> None:
    """Wait for the popup, press Review on it, and see a window open."""
    one.until(lambda: one.shown() == 1)
    one.presses("Review")
    one.until(one.has_window)


def _press_s(one: Login, number: int) -> None:
    """Press s in the window until it is taken: keys that come before the letter stands there are no answer."""

    def is_taken() -> bool:
        if one.state(number) == "due":
            one.presses_key("s")
        return one.state(number) in ("confirmed", "thanked")

    one.until(is_taken)


def _press_answer(one: Login, key: str) -> None:
    """Press a key in the window until it ends with that."""

    def is_closed() -> bool:
        one.presses_key(key)
        return not one.has_window()

    one.until(is_closed)


def _told(one: Login, number: int) -> list[str]:
    """Give what the log tells of a thanks, each event by its first words."""
    lines = one.runs(f"thanksd log {number}").split("\n")
    # Behind the moment; a line that begins with spaces goes on with the one before.
    return [re.split("[;:]", line[26:])[0] for line in lines if _EVENT.match(line)]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


# --- the job seeker: Gmail, new to the terminal ---


def test_a_job_seeker_installs_answers_seven_questions_and_thanks_the_first_one(
    machine_user: MachineUser, source: Path, wheels: Path, tmp_path: Path
) -> None:
    me, app_password = "sam.lee@gmail.com", "abcdefghijklmnop"
    settle_in(machine_user)
    with provider(tmp_path, "smtp.gmail.com", "127.71.0.1", me, app_password) as (box, authority):
        trusted = machine_user.write("ca.pem", authority.file.read_text(encoding="ascii"))
        environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PATH": _PATH, "SSL_CERT_FILE": str(trusted)}
        with login(machine_user, hosts="127.71.0.1 smtp.gmail.com", lines=50, **environ) as sam:
            _install(sam, source)
            _seven_questions(sam, app_password)
            sam.until(lambda: "popup shown" in sam.screen)
            _opens_review(sam)
            sam.until(lambda: "pressed ... window opened" in sam.screen)
            _press_s(sam, 1)
            sam.sees("look in your inbox.", "~>")
            assert "sent ... look in your inbox. Ready. Met somebody? thanksd add" in _on_one_line(sam.screen)
            assert app_password[:4] not in sam.terminal.raw.decode()
            (practice,) = box.letters
            assert (practice.mail_from, practice.rcpt_tos) == (me, [me])
            assert _message(practice).get_content().startswith("Dear Sam,\r\n")
            assert box.seen.count(b"AUTH ") == 3  # the wrong one, the right one, the letter's
            sam.until(lambda: sam.shown() == 0 and not sam.has_window())

            # The practice letter waited as long as letters do here; this one needs not.
            sam.runs("thanksd config set send.undo 2s")
            _meets_ada(sam)
            assert _on_one_line(sam.runs("thanksd")).startswith("DUE NOW")
            _opens_review(sam)
            _press_s(sam, 2)
            sam.until(lambda: sam.state(2) == "thanked")
            # Gmail files what it is sent, so no copy was mailed.
            _, letter = box.letters
            assert (letter.mail_from, letter.rcpt_tos) == (me, ["ada@example.com"])
            assert _message(letter)["From"] == "Sam Lee <sam.lee@gmail.com>"
            text = _message(letter).get_content()
            assert text.startswith("Dear Ada,\r\n")
            assert "I keep thinking about why you left Rust." in text
            assert "Nobody is waiting for thanks. This month: 1 met, 1 thanked, 1 in time." in sam.runs("thanksd")
            assert _told(sam, 2) == [*_BY_POPUP, "sent"]


def _install(sam: Login, source: Path) -> None:
    """Install from the source, and do what it says to have the program found."""
    sam.types(f"cd {source.name}")
    sam.sees("~/src>")
    sam.types("make install")
    text = sam.sees("Type this line once, then open a new terminal:", "Next: thanksd init", seconds=_BUILD)
    line = next(line.strip() for line in text.split("\n") if line.startswith("    "))
    sam.types(line)
    sam.sees(line, "~/src>")
    # What a new terminal runs.
    sam.types("cd; clear; exec bash")
    sam.back()


def _seven_questions(sam: Login, app_password: str) -> None:
    """Answer as somebody does to whom an app password is news, and an address gets a typing mistake."""
    sam.types("thanksd init --set nudge.review=terminal")
    _answer(sam, ("1 Your name, as under a letter", "Sam Lee"), ("2 Your email address", "sam.lee@gmial.com"))
    _answer(sam, ("gmail.com? [Y/n]", ""))
    _answer(sam, ("3 How do letters leave? 1 through Gmail 2 my mail program 3 decide later  [1]", ""))
    text = sam.sees("4 App password, hidden (NOT your Google password; kept in your keyring).", "https://")
    assert "This is Gmail: smtp.gmail.com, port 465, TLS." in text
    sam.types("my Google password")
    sam.sees("Gmail said: 535 5.7.8 ", "Usual cause: your normal password instead of an app password.")
    # As Google's page shows it.
    sam.types(" ".join(app_password[start : start + 4] for start in range(0, 16, 4)))
    sam.sees("Testing the login ... accepted.", "5 No reminders between              [21:00-08:30]")
    sam.types("")
    _answer(sam, ("6 Ask every Friday 16:00 whom you met?", ""))
    _answer(sam, ("7 Start with your session, so that reminders come?", ""))


def _meets_ada(sam: Login) -> None:
    """Let the form ask for everything."""
    sam.runs("true")
    sam.types("thanksd add --after 3s")
    _answer(sam, ("Whom did you meet?", "Ada Lovelace"), ("Address (Enter: none yet)", "ada@example.com"))
    _answer(sam, ("A digit [0 general]", "1"), ("When? [now]", "2h ago"))
    _answer(sam, ('Finish it as if to Ada: "I keep thinking about ..."', "why you left Rust"))
    _answer(sam, ("Did you promise something? (Enter: no)", ""))
    text = sam.sees("Anybody else? [Enter: no]")
    assert "  2  Ada Lovelace <ada@example.com>, coffee" in text
    assert re.search(r"Nudge in [123] s, best by ", text)
    sam.types("")
    sam.back()
    sam.until(lambda: sam.shown() == 1)


# --- the engineer: Fastmail, a password manager, a list of contacts ---


def test_an_engineer_installs_by_pipx_notes_seven_people_and_thanks_three_in_one_go(
    machine_user: MachineUser, wheel: Path, wheels: Path, tmp_path: Path
) -> None:
    parts.need("pipx")
    me, home = "kim@fastmail.com", machine_user.home
    settle_in(machine_user, keyring=False)
    _give(machine_user, wheel)
    machine_user.write("people.csv", _CONTACTS)
    machine_user.write(".password-store/mail", "correct horse\n")
    machine_user.write("bin/pass", _PASS, 0o700)
    with provider(tmp_path, "smtp.fastmail.com", "127.71.0.2", me, "correct horse") as (box, authority):
        trusted = machine_user.write("ca.pem", authority.file.read_text(encoding="ascii"))
        environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "SSL_CERT_FILE": str(trusted)}
        environ["PATH"] = f"{home}/.local/bin:{home}/bin:{_PATH}"
        with login(machine_user, hosts="127.71.0.2 smtp.fastmail.com", lines=40, **environ) as kim:
            kim.types(f"pipx install ~/{wheel.name}")
            kim.back(_BUILD)
            given = {"me.name": "'Kim Berg'", "me.email": me, "send.copy": "self", "send.undo": "2s"}
            given["transport.smtp.password_command"] = f"'{home}/bin/pass show mail/fastmail'"
            words = " ".join(f"--set {name}={value}" for name, value in given.items())
            text = kim.runs(f"thanksd init {words} --yes --no-practice")
            assert "Testing the login ... accepted." in text
            assert "Daemon running (pid " in text
            assert "correct horse" not in (home / ".config/thanksd/config.toml").read_text(encoding="utf-8")

            text = kim.runs("thanksd add - --after 2s < people.csv")
            assert "5 noted. See them: thanksd" in text
            kim.types("clear; thanksd add Grace Hopper grace@example.com -k meal --with 'Linus Berg linus@example.com'")
            _answer(kim, ("Finish it as if to Grace:", "the moth in the relay"), ("as if to Linus:", "your soup"))
            text = kim.sees("Linus Berg <linus@example.com>, meal", "~>")
            assert "Grace Hopper <grace@example.com>, meal" in text
            # Five fell due together, and made one popup.
            kim.until(lambda: kim.happened("nudged", 5))
            assert kim.shown() == 1

            _reviews_three(kim)
            kim.until(lambda: len(box.letters) == 6)
            text = kim.runs("thanksd")
            assert "2 to thank now: thanksd review" in text
            assert all(name in text for name in ("José", "Priya", "Grace Hopper", "Linus Berg"))
            assert _told(kim, 1) == ["added", "nudged, by desktop", "confirmed", "sent", "copy to yourself"]
    people = ("ada@example.com", "chen@example.com", "tom@example.com")
    sent = {to: letter.content for letter in box.letters for to in letter.rcpt_tos if to != me}
    assert sorted(sent) == sorted(people)
    # The copies come as envelopes of their own, with the very bytes that left.
    copies = {letter.content for letter in box.letters if letter.rcpt_tos == [me]}
    assert copies == set(sent.values())


def _give(user: MachineUser, wheel: Path) -> None:
    """Put the wheel into the home, as a download would."""
    account, path = pwd.getpwnam(user.name), user.home / wheel.name
    shutil.copy(wheel, path)
    shutil.chown(path, account.pw_uid, account.pw_gid)


def _reviews_three(kim: Login) -> None:
    """Go through three thanks with one key each."""
    kim.types("clear; thanksd review 1 2 3")
    for number, (name, detail) in enumerate(
        (("Ada", "why you left Rust"), ("Chen", "read a stack trace aloud"), ("Tom", "note to the hiring team")), 1
    ):
        text = kim.sees(f"Thanks {number}, {number} of 3 due", f"Dear {name},")
        assert detail in _on_one_line(text)
        kim.terminal.key("s")
    kim.sees("3 thanked. This month", "7 met, 3 thanked, 3 in time.", "~>")


# --- the assistant: a mentor's account at Microsoft 365 ---


def test_an_assistant_sets_it_up_for_a_mentor_whose_letters_open_in_outlook(machine_user: MachineUser) -> None:
    parts.need("gio")
    settle_in(machine_user)
    opened = machine_user.home / "opened"
    with login(machine_user, lines=50) as rosa:
        rosa.types("thanksd init --set nudge.review=terminal")
        _answer(rosa, ("1 Your name", "Rosa Okafor"), ("2 Your email address", "r.okafor@careers.example.org"))
        _answer(rosa, ("3 How do letters leave?", "1"), ("Its server, or who runs it", "microsoft"))
        text = _on_one_line(rosa.sees("Open them in Outlook on the web?  [Y]"))
        assert "It takes no passwords from programs. Letters can open in Outlook, for you to send." in text
        rosa.types("")
        _answer(rosa, ("No reminders between", ""), ("Ask every Friday", ""), ("Start with your session", ""))
        rosa.until(lambda: "popup shown" in rosa.screen)
        _opens_review(rosa)
        _press_s(rosa, 1)
        _press_answer(rosa, "y")
        rosa.sees("Ready. Met somebody? thanksd add", "~>")
        assert "popup shown ... pressed ... window opened ... sent" in _on_one_line(rosa.screen)

        rosa.runs("thanksd add Ada Lovelace ada@example.com -k mentoring -d 'how you listen & wait' --after 1s")
        shown = rosa.asks("draft", "2")["draft"]
        _opens_review(rosa)
        _press_s(rosa, 2)
        _press_answer(rosa, "n")
        link = urlsplit(opened.read_text(encoding="utf-8").splitlines()[-1])
        assert f"{link.scheme}://{link.netloc}{link.path}" == "https://outlook.office.com/mail/deeplink/compose"
        read = dict(parse_qsl(link.query, strict_parsing=True))
        assert read == {
            "to": "ada@example.com",
            "subject": shown["subject"],
            "body": shown["body"].replace("\n", "\r\n"),
        }
        assert "how you listen & wait" in read["body"]
        assert _on_one_line("HELD: needs you\n  2  Ada Lovelace  mentoring") in _on_one_line(rosa.runs("thanksd"))
        rosa.types("clear; thanksd resolve 2")
        rosa.sees(_ASKED)
        rosa.terminal.key("y")
        rosa.sees("Ada Lovelace: thanked.", "~>")
        assert "Nobody is waiting for thanks. This month: 1 met, 1 thanked, 1 in time." in rosa.runs("thanksd")
        assert _told(rosa, 2) == [*_BY_POPUP, "to be sent in Outlook's web page", "resolved"]
