"""The first month of three people: sleep, holiday, a changed password, a bounce, a second machine, an old copy put back.

Each is at a real login, with a user manager, a desktop, a keyring and a mail provider. Their clock is moved ahead: it
begins on a Monday at ten, and everything in the session that tells the time, the daemon too, sees the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from clock_rigs import faketime
from people_rigs import Login, login, provider, settle_in
from smtp_rigs import Mailbox
from systemd_rigs import MachineUser

_BERLIN = ZoneInfo("Europe/Berlin")
# Their event loop gives the kernel timers of its own clock, and fails now and then where another one is told.
_WITHOUT_CLOCK = '#!/bin/sh\nunset LD_PRELOAD\nexec /usr/bin/{name} "$@"\n'
# Where a machine keeps what is its owner's.
_OF_MACHINE = (".config", ".local")
_OTHER_MACHINE = "0123456789abcdef0123456789abcdef"
# What popups wait after an absence, and a little.
_SETTLED = timedelta(minutes=2, seconds=5)


class Month:
    """Somebody with a mail account, and the clock of their session: this machine's, and so many seconds ahead.

    All its clocks go ahead together, as the wall's and CLOCK_BOOTTIME do while a machine sleeps (clock_gettime(2)).
    """

    def __init__(self, user: MachineUser, box: Mailbox, host: str, address: str) -> None:
        self.user, self.box, self._host, self._address = user, box, host, address
        self.ahead = timedelta()
        today = datetime.now(_BERLIN).replace(hour=10, minute=0, second=0, microsecond=0)
        self.forward(today + timedelta(days=7 - today.weekday()) - datetime.now(_BERLIN))

    def forward(self, by: timedelta) -> None:
        """Let so much time go by at once."""
        self.ahead += by
        new = self.user.write("clock.new", f"+{self.ahead.total_seconds():.0f}\n")
        new.rename(self.user.home / "clock")

    @contextmanager
    def login(self, machine_id: str = "") -> Iterator[Login]:
        """Log in, as after a boot."""
        hosts = f"{self._address} {self._host}"
        with login(self.user, hosts=hosts, machine_id=machine_id, lines=40, PATH=_path(self.user)) as one:
            yield one

    def passes(self, one: Login, by: timedelta) -> None:
        """Let time go by, and wait until the daemon has looked at the ledger since."""
        before = _last_pass(one)
        self.forward(by)
        # This makes the daemon look at once, and not at its next half minute of a clock that nobody moves.
        assert "Nothing is paused." in one.runs("thanksd pause") or "Paused until" in one.screen
        one.until(lambda: _last_pass(one) not in (before, ""))

    def received(self) -> Counter[str]:
        """Give how many letters the server got for each address, copies to oneself apart."""
        to = [address for letter in self.box.letters for address in letter.rcpt_tos]
        return Counter(address for address in to if address != self.box.login[0])


def _path(user: MachineUser) -> str:
    return f"{user.home}/tools:{user.home}/venv/bin:/usr/bin:/bin"


def _last_pass(one: Login) -> str:
    return str(one.asks("service", "status").get("service", {}).get("last_pass_at") or "")


@contextmanager
def _month(user: MachineUser, folder: Path, host: str, address: str, me: str, word: str) -> Iterator[Month]:
    """Have a provider of this name, and a home whose units and shell have the clock."""
    with provider(folder, host, address, me, word) as (box, authority):
        settle_in(user)
        month = Month(user, box, host, address)
        trusted = user.write("ca.pem", authority.file.read_text(encoding="ascii"))
        variables = {
            "LD_PRELOAD": faketime(),
            "FAKETIME_TIMESTAMP_FILE": f"{user.home}/clock",
            "FAKETIME_NO_CACHE": "1",
            "SSL_CERT_FILE": str(trusted),
            "PATH": _path(user),
        }
        for name in ("systemctl", "systemd-run"):
            user.write(f"tools/{name}", _WITHOUT_CLOCK.format(name=name), 0o700)
        lines = [f"{name}={value}" for name, value in variables.items()]
        user.write(".config/environment.d/50-clock.conf", "".join(f"{one}\n" for one in lines))
        with (user.home / "rc.shell").open("a", encoding="utf-8") as shell:
            shell.writelines(f"export {one}\n" for one in lines)
        user.write("word", f"{word}\n")
        yield month


def _sets_up(one: Login, me: str) -> None:
    # Without the weekly question: when it comes is another test's.
    given = (
        f"--set nudge.review=terminal --set me.name='Sam Lee' --set me.email={me} --set send.undo=1s --set nudge.ask="
    )
    assert "Ready." in one.runs(f"thanksd init {given} --yes --no-practice <~/word")


def _adds(one: Login, *people: str, kind: str = "coffee") -> None:
    for who in people:
        assert "best by" in one.runs(f"thanksd add {who} -k {kind} -d 'why you left Rust'")


def _flat(text: str) -> str:
    return " ".join(text.split())


# --- the engineer: i3, Fastmail; a night's sleep, and a password that was changed ---


def test_an_engineer_back_from_sleep_gets_one_digest_and_a_changed_password_loses_no_letter(
    machine_user: MachineUser, tmp_path: Path
) -> None:
    me = "sam.lee@fastmail.com"
    with (
        _month(machine_user, tmp_path, "smtp.fastmail.com", "127.77.0.2", me, "first") as month,
        month.login() as one,
    ):
        _sets_up(one, me)
        _adds(one, "Ada Lovelace ada@example.com", "Chen Wei chen@example.com")
        _wakes_to_a_digest(one, month)
        month.box.login = (me, "second")
        _waits_for_the_password(one, month)
        _tells_the_password(one, month)
        assert month.received() == {f"{name}@example.com": 1 for name in ("ada", "chen", "tom", "grace")}


def _wakes_to_a_digest(one: Login, month: Month) -> None:
    month.passes(one, timedelta(hours=5))
    assert (one.state(1), one.state(2), one.shown()) == ("due", "due", 0)
    month.passes(one, _SETTLED)
    one.until(lambda: one.shown() == 1)
    one.presses("Review")
    one.until(one.has_window)
    for number in (1, 2):
        _presses_s(one, number)
    one.until(lambda: len(month.box.letters) == 2)
    assert set(month.received()) == {"ada@example.com", "chen@example.com"}
    one.until(lambda: (one.state(1), one.state(2)) == ("thanked", "thanked"))
    one.until(lambda: one.shown() == 0)
    assert _popups(one) == ["2 people to thank"]


def _presses_s(one: Login, number: int) -> None:
    """Press s until it counts: keys from before the letter stands there are no answer."""

    def is_taken() -> bool:
        if one.state(number) == "due":
            one.presses_key("s")
        return one.state(number) in ("confirmed", "thanked")

    one.until(is_taken)


def _popups(one: Login) -> list[str]:
    """Give the titles of the popups that are gone, oldest first."""
    found = json.loads(one.does("dunstctl history"))["data"][0]
    return [str(popup["summary"]["data"]) for popup in reversed(found)]


def _waits_for_the_password(one: Login, month: Month) -> None:
    logins = month.box.seen.count(b"AUTH ")
    _adds(one, "Tom Jones tom@example.com", "Grace Hopper grace@example.com")
    one.runs("thanksd send 3 --yes")
    one.until(lambda: one.shown() == 1)
    assert "Fastmail refused the password. 1 letter waits: thanksd credentials set" in one.runs("thanksd")
    one.runs("thanksd send 4 --yes")
    month.passes(one, timedelta(hours=2))
    first, *_ = one.runs("thanksd").split("\n")
    assert first == "Fastmail refused the password. 2 letters wait: thanksd credentials set"
    assert one.shown() == 1
    assert month.box.seen.count(b"AUTH ") == logins + 1
    assert len(month.box.letters) == 2


def _tells_the_password(one: Login, month: Month) -> None:
    one.types("clear; thanksd credentials set")
    one.terminal.until("(hidden)")
    one.terminal.send("second\r")
    one.terminal.until("2 letters are waiting. Send them now? [Y/n]")
    one.terminal.send("\r")
    assert "2 letters are on the way again." in one.back()
    one.until(lambda: len(month.box.letters) == 4)
    one.until(lambda: (one.state(3), one.state(4)) == ("thanked", "thanked"))
    one.until(lambda: one.shown() == 0)
    assert _popups(one)[1:] == ["Fastmail refused the password"]
    assert "refused the password" not in one.runs("thanksd")
    assert "second" not in one.terminal.raw.decode()


# --- the job seeker: Gmail; a letter that came back, and a holiday ---


def test_a_job_seeker_s_letter_that_came_back_goes_to_the_right_address_and_a_holiday_is_one(
    machine_user: MachineUser, tmp_path: Path
) -> None:
    me, word = "sam.lee@gmail.com", "abcdefghijklmnop"
    with (
        _month(machine_user, tmp_path, "smtp.gmail.com", "127.77.0.3", me, word) as month,
        month.login() as one,
    ):
        _sets_up(one, me)
        _sends_again_to_another_address(one, month)
        _goes_on_holiday(one, month)


def _sends_again_to_another_address(one: Login, month: Month) -> None:
    old, new = "ada@old.example.com", "ada@new.example.com"
    _adds(one, f"Ada Lovelace {old}", kind="interview")
    one.runs("thanksd send 1 --yes")
    one.until(lambda: one.state(1) == "thanked")
    said = one.runs(f"thanksd resolve 1 --bounced --email {new}")
    assert f"Ada Lovelace: the letter to {old} came back. Your text is kept. Due again: thanksd review 1" in _flat(said)
    one.types("clear; thanksd review 1")
    one.sees(f"To       Ada Lovelace <{new}>", "s send")
    one.terminal.key("s")
    one.back()
    one.until(lambda: len(month.box.letters) == 2)
    assert month.received() == {old: 1, new: 1}
    before, after = ((letter.content or b"") for letter in month.box.letters)
    assert _body(before) == _body(after) != b""
    # Whoever gives the old address once more is told, and nothing goes there.
    _adds(one, f"Ada Byron {old}")
    said = one.runs("thanksd send 2 --yes; echo code $?")
    assert f"Not sent: {old} came back." in said
    assert "code 65" in said
    assert "Not needed" in one.runs("thanksd waive 2") or one.state(2) == "waived"
    assert len(month.box.letters) == 2


def _body(letter: bytes | str) -> bytes:
    assert isinstance(letter, bytes)
    return letter.partition(b"\r\n\r\n")[2]


def _goes_on_holiday(one: Login, month: Month) -> None:
    _adds(one, "Chen Wei chen@example.com", "Tom Jones tom@example.com")
    assert "Paused until Mon " in one.runs("thanksd pause 2w")
    for days in (2, 9):
        month.passes(one, timedelta(days=days))
        month.passes(one, _SETTLED)
        assert one.runs("thanksd").startswith("Paused until Mon ")
        assert (one.state(3), one.state(4), one.shown()) == ("due", "due", 0)
    assert "Popups come again. 2 to thank now: thanksd review" in one.runs("thanksd resume")
    assert one.shown() == 0
    assert "nudged" not in one.runs("thanksd log")
    month.passes(one, _SETTLED)
    one.until(lambda: one.shown() == 1)
    assert not one.runs("thanksd").startswith("Paused")
    one.presses("Later")
    one.until(lambda: (one.state(3), one.state(4)) == ("snoozed", "snoozed"))
    one.until(lambda: _popups(one) == ["2 people to thank"])


# --- the assistant: a second machine, an old copy put back, and what each knows brought together ---


def test_a_ledger_that_an_assistant_copies_to_a_second_machine_and_back_thanks_nobody_twice(
    machine_user: MachineUser, tmp_path: Path
) -> None:
    me = "mentor@posteo.de"
    with _month(machine_user, tmp_path, "posteo.de", "127.77.0.4", me, "word") as month:
        with month.login() as one:
            _sets_up(one, me)
            _copies_what_waits(one, month)
        _changes_machine(machine_user, "first", "second")
        with month.login(_OTHER_MACHINE) as one:
            _takes_over(one, month)
        assert month.received() == {"ada@example.com": 1, "chen@example.com": 1}
        _changes_machine(machine_user, "second", "first")
        with month.login() as one:
            _brings_together(one)
            _puts_the_old_copy_back(one)
            one.runs("thanksd send dora --now --yes")
            one.until(lambda: month.received().total() == 3)
            assert "Nobody is waiting for thanks." in one.runs("thanksd")
        assert month.received() == {"ada@example.com": 1, "chen@example.com": 1, "dora@example.com": 1}


def _changes_machine(user: MachineUser, old: str, new: str) -> None:
    """Put what the old machine has aside, and what the new one has in its place."""
    for name in _OF_MACHINE:
        (user.home / old).mkdir(exist_ok=True)
        (user.home / name).rename(user.home / old / name)
        (user.home / new / name).rename(user.home / name)


def _copies_what_waits(one: Login, month: Month) -> None:
    """Copy the ledger while a letter waits, as a backup and for a second machine; then let the letter leave."""
    one.runs("thanksd config set send.undo 10m")
    _adds(one, "Ada Lovelace ada@example.com", "Chen Wei chen@example.com")
    one.runs("thanksd send 1 --yes")
    assert "ON ITS WAY" in one.runs("thanksd")
    assert "Kept, and looked through: " in one.runs("thanksd backup ~/before.db")
    one.runs(
        "mkdir -p second/.config second/.local/share && cp -r .config/thanksd .config/environment.d second/.config"
    )
    one.runs("cp -r .local/share/thanksd second/.local/share")
    month.passes(one, timedelta(minutes=11))
    one.until(lambda: one.state(1) == "thanked")
    assert month.received() == {"ada@example.com": 1}


def _takes_over(one: Login, month: Month) -> None:
    """Read there, be refused, take it over, and say what became of the letter that had waited."""
    text = one.runs("thanksd")
    assert "Ada Lovelace" in text
    assert "Chen Wei" in text
    for words in ("send 2 --yes", "add Tom", "run"):
        said = _flat(one.runs(f"thanksd {words}; echo code $?"))
        assert "This ledger was last used on " in said, words
        assert "If that machine is retired: thanksd adopt" in said
        assert "code 78" in said
    one.types("clear; thanksd adopt")
    text = one.terminal.until("Take it over? [y/N]")
    assert "1 letter waiting will be held, for you to decide." in _flat(text)
    one.terminal.send("y\r")
    text = one.back()
    assert "This ledger is this machine's now." in text
    assert "Ada Lovelace: thanksd resolve 1" in text
    assert "Ready." in one.runs(
        "thanksd init --set nudge.review=terminal --set send.undo=1s --yes --no-practice <~/word"
    )
    one.runs("thanksd send 2 --yes")
    one.until(lambda: one.state(2) == "thanked")
    month.passes(one, timedelta(days=1))
    assert month.received() == {"ada@example.com": 1, "chen@example.com": 1}
    assert "sent? thanksd resolve 1" in one.runs("thanksd")
    one.types("clear; thanksd resolve 1")
    one.terminal.until("s it arrived")
    one.terminal.key("s")
    one.until(lambda: one.state(1) == "thanked")
    _adds(one, "Dora Maar dora@example.com")
    assert "Exported 3 thanks" in one.runs("thanksd export ~/export.json")


def _brings_together(one: Login) -> None:
    assert one.state(2) in ("owed", "due")
    text = _flat(one.runs("thanksd import ~/export.json"))
    assert "New here: 1 thanks. Known already: 2. Thanked there already, so here too: Chen Wei." in text
    (first, *rest) = one.runs("thanksd import ~/export.json").split("\n")
    assert (first, rest) == ("New here: 0 thanks. Known already: 3.", ["~>"])


def _puts_the_old_copy_back(one: Login) -> None:
    """Follow what it says, from the first refusal on."""
    text = _restores(one)
    assert "(daemon) has this ledger. Nothing was changed." in text
    stop = text.rpartition("Stop it: ")[2].split("\n")[0]
    one.runs(stop)
    one.until(lambda: one.asks("service", "status")["service"]["running"] is False)
    text = _flat(_restores(one))
    assert "Put back: " in text
    assert "Thanked since that copy, as the ledger of before knows: Ada Lovelace, Chen Wei." in text
    assert "Start it: thanksd service install" in text
    one.runs("thanksd service install")
    one.until(lambda: one.asks("service", "status")["service"]["running"])
    # What came after the copy is in the export still.
    assert "New here: 1 thanks. Known already: 2." in one.runs("thanksd import ~/export.json")


def _restores(one: Login) -> str:
    one.types("clear; thanksd restore ~/before.db")
    one.terminal.until("[y/N]")
    one.terminal.send("y\r")
    return one.back()
