"""The doctor: everything looked at, each fault named with what mends it, nothing changed and nothing waited for."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cli_rigs
import desktop_rigs
import pytest
import smtp_rigs
from cli_rigs import config_file, configure, new_ledger, store_file, thanksd
from daemon_rigs import add, confirm, daemon, settings, store_url
from terminal_rigs import terminal

from thanksd import checks, client
from thanksd.checks import Check, Finding, Place, places

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
SMTP = """\
[me]
name = "Sam Lee"
email = "ada@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "localhost"
port = {port}
security = "{security}"
password_command = "{command}"
"""


def place(*, now: datetime = NOW, offline: bool = False, **environ: str) -> Place:
    return Place(store_url(), config_file(), {**os.environ, **environ}, now, offline)


def look(*names: str, at: Place | None = None) -> list[Finding]:
    """Run some checks here, and give what they found."""
    wanted = tuple(check for check in checks.CHECKS if check.name in names)
    assert len(wanted) == len(names)
    return list(checks.examine(at or place(), wanted))


def one(name: str, at: Place | None = None) -> Finding:
    (found,) = look(name, at=at)
    return found


def private(text: str) -> None:
    configure(text)
    config_file().chmod(0o600)


def states(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in found}


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell finds thanksd by its name."""
    monkeypatch.setenv("PATH", f"{cli_rigs.SCRIPT.parent}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> smtp_rigs.Authority:
    return smtp_rigs.Authority(tmp_path_factory.mktemp("ca"))


def _tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below a folder but the runtime one: sizes, modes and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_relative_to(folder / "run"):
            info = path.lstat()
            found[str(path)] = (info.st_size, info.st_mode, info.st_mtime_ns)
    return found


# --- the whole ---


@pytest.mark.usefixtures("on_path")
def test_a_machine_that_is_well_is_all_ok_and_nothing_is_changed(
    home: Path, authority: smtp_rigs.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with smtp_rigs.mail_server(authority.context()) as box, desktop_rigs.desk(home / "run") as desk, desk.dunst():
        word = home / "password"
        word.write_text(smtp_rigs.PASSWORD, encoding="utf-8")
        private(SMTP.format(port=box.port, security="starttls", command=f"cat {word}"))
        for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY"):
            monkeypatch.setenv(name, desk.environ[name])
        add()
        with daemon():
            before = _tree(home)
            done = thanksd("doctor", "--json", env={"LANG": "C.UTF-8", "PATH": os.environ["PATH"]})
            assert _tree(home) == before
    found = done.json["checks"]
    assert states(found) == {
        **dict.fromkeys(("config", "store", "folder", "disk", "clock", "letters", "credentials", "transport"), "ok"),
        **dict.fromkeys(("states", "nudges", "copies"), "ok"),
        **dict.fromkeys(("notifications", "terminal", "channels", "daemon", "environment"), "ok"),
        "unit": "warn",
    }, found
    assert {frozenset(each) for each in found} == {frozenset(("name", "state", "message", "remedy"))}
    said = {each["name"]: each["message"] for each in found}
    assert "dunst 1." in said["notifications"]
    assert "localhost let us in: 235" in said["transport"]
    assert smtp_rigs.PASSWORD not in done.out
    assert not box.letters
    assert [each["remedy"] for each in found if each["state"] == "ok"] == [""] * 16


def test_everything_broken_at_once_is_named_line_by_line_and_exits_69(home: Path) -> None:
    private("[me\n")
    store_file().parent.mkdir(mode=0o700, parents=True)
    store_file().write_bytes(b"no ledger at all" * 1000)
    before = _tree(home)
    done = thanksd("doctor")
    assert (done.code, done.err) == (69, "")
    assert _tree(home) == before
    rows = [line.split("\t") for line in done.out.splitlines()]
    found = {name: (word, message, remedy) for word, name, message, remedy in rows}
    assert found["config"][0] == "mend"
    assert "not TOML" in found["config"][1]
    assert found["store"][0] == "mend"
    assert "not a database" in found["store"][1]
    for name in ("clock", "transport", "notifications", "terminal"):
        assert found[name][:2] == ("look", "Not looked at: the config can't be read.")
    assert found["letters"][:2] == ("look", "Not looked at: the ledger can't be read.")
    assert found["daemon"][1] == "Nobody will remind you: the daemon is not running."
    assert all(remedy for word, _, remedy in found.values() if word != "ok")


def test_on_a_terminal_every_fault_has_its_remedy_below_and_a_sum_at_the_end() -> None:
    settings(quiet="late")
    with terminal("doctor", "--offline", lines=60) as screen:
        assert screen.end() == 69
        lines = screen.lines
    row = next(number for number, line in enumerate(lines) if line.startswith("mend  config"))
    assert "nudge.quiet_hours can't be 'late'" in lines[row]
    assert "      Set it anew: thanksd config set nudge.quiet_hours 21:00-08:30" in lines
    assert lines[-1].endswith("to mend.")
    assert all(len(line) <= 80 for line in lines)


def test_a_check_that_hangs_or_fails_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    private("")
    gate = threading.Event()

    def hangs(_: Place) -> Iterator[Finding]:
        yield checks.ok("disk", "the first half")
        gate.wait(20)

    def fails(_: Place) -> Iterator[Finding]:
        raise RecursionError("too deep")

    monkeypatch.setattr(places, "disk", hangs)
    monkeypatch.setattr(places, "folder", fails)
    table = (Check("disk", "places", 0.2), Check("folder", "places", 5), Check("config", "settings", 5))
    found = list(checks.examine(place(), table))
    gate.set()
    assert [(each.name, each.state) for each in found] == [
        ("disk", "ok"),
        ("disk", "bad"),
        ("folder", "bad"),
        ("config", "ok"),
    ]
    assert "0.2 seconds" in found[1].message
    assert "RecursionError: too deep" in found[2].message
    assert all(each.remedy for each in found[1:3])


# --- settings and files ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[nudge]\nquiet_hours = "late"', "nudge.quiet_hours"),
        ('[nudge]\nask = "some day"', "nudge.ask"),
        ('[kind.coffee]\nnudge = "soonish"', "kind.coffee.nudge"),
        ('[send]\nundo = "a while"', "send.undo"),
        ('[me]\ntimezone = "Europe/Berlim"', "me.timezone"),
        ('[me]\nemail = "ada"', "me.email"),
    ],
)
def test_a_value_that_is_understood_only_when_used_is_found(text: str, name: str) -> None:
    private(text)
    found = one("config")
    assert found.state == "bad"
    assert found.message.startswith(f"{name} can't be ")
    assert f"thanksd config set {name} " in found.remedy


def test_what_others_may_read_is_closed_by_one_command() -> None:
    private("")
    file = new_ledger()
    config_file().parent.chmod(0o755)
    assert one("config").remedy == f"Close it: chmod 700 {config_file().parent}"
    config_file().chmod(0o644)
    config_file().parent.chmod(0o700)
    assert one("config").state == "warn"
    assert one("folder").state == "ok"
    file.chmod(0o644)
    file.parent.chmod(0o755)
    found = one("folder")
    assert (found.state, found.remedy) == ("bad", f"Close it: chmod 700 {file.parent}")


def test_a_synced_folder_and_another_machines_disk_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".stfolder").mkdir()
    found = one("folder")
    assert found.state == "warn"
    assert "in a folder of Syncthing" in found.message
    assert found.remedy == f"Take {store_file().parent} out of Syncthing."
    (home / ".stfolder").rmdir()
    (home / "mounts").write_text(f"23 22 0:40 / {home} rw shared:1 - nfs4 host:/ rw\n")
    monkeypatch.setattr(places, "_MOUNTS", home / "mounts")
    found = one("folder")
    assert (found.state, "(nfs4)" in found.message) == ("bad", True)


def test_little_room_and_no_room_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((9, "bad"), (99, "warn"), (100, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free << 20))
        assert one("disk").state == state


# --- the ledger ---


def test_a_ledger_is_told_whole_older_newer_damaged_or_somebody_elses() -> None:
    file = new_ledger()
    assert "whole" in one("store").message
    cli_rigs.change(file, "UPDATE alembic_version SET version_num = '0001'")
    assert one("store").state == "warn"
    cli_rigs.change(file, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer thanksd" in one("store").message
    file.unlink()
    cli_rigs.change(file, "CREATE TABLE other (a)")
    assert "not a ledger of thanksd" in one("store").message


def test_a_ledger_of_another_machine_or_an_older_copy_is_told() -> None:
    file = new_ledger()
    add()
    older = file.read_bytes()
    assert one("store").state == "ok"
    cli_rigs.change(file, "UPDATE ledger SET host = 'ada-x1', machine = 'another'")
    assert "last used on ada-x1" in one("store").message
    cli_rigs.change(file, "UPDATE ledger SET host = 'here', machine = NULL, install = NULL")
    assert one("store").state == "ok"
    file.write_bytes(older)
    cli_rigs.change(file, "UPDATE ledger SET serial = 77")
    assert "older copy" in one("store").message


def test_a_damaged_table_is_found_and_the_newest_copy_named() -> None:
    file = new_ledger()
    add()
    copy = file.with_name("thanksd.db.before-0001-5")
    copy.write_bytes(file.read_bytes())
    with sqlite3.connect(file) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'thanks'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    found = one("store")
    assert found.state == "bad"
    assert found.remedy == f"Put the newest copy in its place: thanksd restore {copy}"


def test_a_held_letter_and_one_without_a_login_are_findings_with_their_commands() -> None:
    settings()
    held, waiting, gone = (add(name) for name in ("Ada Lovelace", "Chen Wei", "Grace Hopper"))
    for number in (held, waiting, gone):
        confirm(number)
    assert one("letters") == Finding("letters", "ok", "3 on their way, none is stuck.")
    cli_rigs.change(store_file(), "UPDATE letter SET state = 'held' WHERE thanks_id = ?", held)
    cli_rigs.change(
        store_file(), "UPDATE letter SET state = 'deferred', reason = 'credentials' WHERE thanks_id = ?", waiting
    )
    first, second = look("letters")
    assert (first.state, first.remedy) == ("warn", f"Say what became of it: thanksd resolve {held}")
    assert (second.state, second.remedy) == ("bad", "Store it: thanksd credentials set")


# --- clock and terminal ---


def test_a_clock_that_can_not_be_right_is_found() -> None:
    private('[me]\ntimezone = "Europe/Berlin"')
    add()
    at = datetime.now(UTC)
    assert one("clock", place(now=at)).message.endswith("(Europe/Berlin).")
    behind = one("clock", place(now=at - timedelta(hours=1)))
    assert behind.state == "warn"
    assert "last entry is later" in behind.message
    assert "years behind" in one("clock", place(now=datetime(1970, 1, 1, tzinfo=UTC))).message
    private("")
    assert "names no zone" in one("clock", place(now=at, TZ="Europe/Berlim")).message
    private('[me]\ntimezone = "Mars/Olympus"')
    assert one("clock", place(now=at)).state == "bad"


@pytest.mark.usefixtures("on_path")
def test_a_locale_without_unicode_is_hinted_at() -> None:
    assert one("environment").state == "ok"
    found = one("environment", place(LC_ALL="POSIX"))
    assert (found.state, found.remedy) == ("warn", "Choose one, for example: export LC_ALL=C.UTF-8")


# --- account ---


def test_a_wrong_password_is_told_with_the_servers_words(
    authority: smtp_rigs.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with smtp_rigs.mail_server(authority.context(), implicit=True) as box:
        private(SMTP.format(port=box.port, security="tls", command="echo wrong"))
        first, second = look("transport")
        assert (first.name, first.state) == ("credentials", "ok")
        assert (second.name, second.state) == ("transport", "bad")
        assert "535" in second.message
        assert "credentials set" in second.remedy
        assert look("transport", at=place(offline=True))[1].message == "Not tested (--offline)."
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
        assert "could not prove who it is" in look("transport")[1].message


def test_a_password_that_can_not_be_had_is_one_finding_and_no_login_is_tried() -> None:
    private(SMTP.format(port=9, security="tls", command="false"))
    first, second = look("transport")
    assert (first.name, first.state) == ("credentials", "bad")
    assert "password_command failed with status 1" in first.message
    assert second.state == "warn"


def test_a_password_that_systemd_hands_to_the_daemon_alone_is_well(home: Path) -> None:
    private(SMTP.format(port=9, security="tls", command=""))
    drop_in = home / ".config/systemd/user/thanksd.service.d/password.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nLoadCredential=smtp-password:%h/secret\n")
    assert [each.state for each in look("transport")] == ["ok", "ok"]


def test_a_folder_for_letters_must_be_one_that_can_be_written() -> None:
    settings()
    assert "nobody is mailed" in look("transport")[1].message
    private('[me]\nemail = "a@example.org"\n[transport]\nkind = "maildir"\n[transport.maildir]\npath = "mail"')
    assert "no full path" in one("transport").message
    private("")
    assert one("transport").remedy == "Set one up: thanksd init"


# --- desktop ---


@contextmanager
def _without_buttons(environ: dict[str, str]) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    server = desktop_rigs.ScriptedServer(environ, ["body"])
    loop.run_until_complete(server.__aenter__())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_who_shows_popups_is_told_or_how_to_have_somebody(home: Path) -> None:
    private("")
    assert "no session bus" in one("notifications").message
    with desktop_rigs.bus(home / "run") as environ:
        at = place(DBUS_SESSION_BUS_ADDRESS=environ["DBUS_SESSION_BUS_ADDRESS"])
        found = one("notifications", at)
        assert (found.state, found.message) == ("bad", "Nobody on this desktop shows popups.")
        assert found.remedy.startswith("Start dunst or mako in your session")
        with _without_buttons(environ):
            found = one("notifications", at)
            assert found.state == "warn"
            assert found.message == "scripted 1 shows popups without buttons; they say what to type."
    private('[nudge]\nchannels = ["terminal"]')
    assert one("notifications").state == "ok"


def test_a_server_that_the_bus_would_start_is_told_so(home: Path) -> None:
    private("")
    with desktop_rigs.bus(home / "run", {desktop_rigs.NAME: "/bin/false"}) as environ:
        found = one("notifications", place(DBUS_SESSION_BUS_ADDRESS=environ["DBUS_SESSION_BUS_ADDRESS"]))
    assert (found.state, found.remedy) == ("warn", "See: thanksd doctor --nudge")


def test_the_terminal_that_review_opens_is_named() -> None:
    private('[nudge]\nterminal = "nosuchterm"')
    found = one("terminal")
    assert (found.state, found.remedy) == ("warn", "Name another: thanksd config set nudge.terminal NAME")
    private('[nudge]\nterminal = "sh -c"')
    assert one("terminal").message.startswith("Review opens sh")


def test_the_browser_that_review_opens_the_page_in_is_named_where_there_is_a_screen() -> None:
    private('[nudge]\nterminal = "sh -c"\n[page]\nbrowser = "cat"')
    assert one("terminal", place(DISPLAY=":9")).message.startswith("Review opens the page by cat, else sh")
    private('[nudge]\nreview = "terminal"\nterminal = "sh -c"\n[page]\nbrowser = "cat"')
    assert one("terminal", place(DISPLAY=":9")).message.startswith("Review opens sh")


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 69)])
def test_a_real_popup_is_shown_and_asked_about_until_it_is_answered(home: Path, answer: str, code: int) -> None:
    settings()
    config_file().chmod(0o600)
    with desktop_rigs.desk(home / "run") as desk, desk.dunst(), daemon():
        bus = desk.environ["DBUS_SESSION_BUS_ADDRESS"]
        with terminal("doctor", "--nudge", "--offline", lines=60, DBUS_SESSION_BUS_ADDRESS=bus) as screen:
            screen.until("Did you see it? [Y/n]")
            assert "Popup shown by dunst 1." in screen.text
            assert desk.displayed() == 1
            screen.send(f"{answer}\r")
            assert screen.end() == code
            assert ("nobody saw it" in screen.text) is (answer == "n")
        desktop_rigs.wait_for(lambda: desk.displayed() == 0)
        assert desk.history()[0]["summary"] == "This is how thanksd reminds you"


def test_a_popup_that_nobody_shows_is_said_with_what_starts_a_server(home: Path) -> None:
    settings()
    with desktop_rigs.bus(home / "run") as environ:
        bus = {"DBUS_SESSION_BUS_ADDRESS": environ["DBUS_SESSION_BUS_ADDRESS"]}
        done = thanksd("doctor", "--nudge", "--offline", env=bus)
    assert done.code == 69
    assert done.out.splitlines()[-1].startswith(
        "mend\tnudge\tNo popup: No notification server is running.\tStart dunst"
    )


# --- daemon ---


def test_a_daemon_that_hangs_or_stands_still_is_told_from_one_that_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_ANSWER_SECONDS", 0.5)
    settings()
    with daemon() as running:
        found = one("daemon", place(now=datetime.now(UTC)))
        assert (found.state, found.message.split(", ")[1]) == ("ok", f"process {running.pid}.")
        late = one("daemon", place(now=datetime.now(UTC) + timedelta(minutes=5)))
        assert late.state == "bad"
        assert "has not looked at the ledger for 5 min" in late.message
        with running.frozen():
            assert "does not answer" in one("daemon").message
    assert one("daemon").message == "Nobody will remind you: the daemon is not running."


def test_under_systemd_the_unit_and_the_program_it_starts_are_looked_at(machine_user: MachineUser) -> None:
    machine_user.write(".config/thanksd/config.toml", '[transport]\nkind = ""\n')
    done = machine_user.run(
        "thanksd owed; thanksd doctor --offline | grep -P '\t(daemon|unit)\t';"
        "thanksd service install >/dev/null; thanksd doctor --offline | grep -P '\t(daemon|unit)\t';"
        f"unit=~/.config/systemd/user/thanksd.service; sed -i 's,{machine_user.thanksd},/gone/thanksd,' $unit;"
        "thanksd doctor --offline | grep -P '\tunit\t'"
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(word, name) for word, name, *_ in rows] == [
        *(("mend", "daemon"), ("look", "unit")),
        *(("ok", "daemon"), ("ok", "unit")),
        ("mend", "unit"),
    ], done
    assert rows[0][3] == rows[1][3] == "Start it: thanksd service install"
    assert rows[4][2:] == ["The program it starts is gone: /gone/thanksd.", "Write it anew: thanksd service install"]


# --- what no rule allows ---

BROKEN = {
    "confirmed without a letter": ("UPDATE letter SET state = 'failed', settled_at = confirmed_at",),
    "know nothing of": ("UPDATE thanks SET state = 'owed'",),
    "being sent by nobody": ("UPDATE letter SET state = 'sending', owner = ''",),
    "ended at no time": (
        "UPDATE letter SET state = 'sent'",
        "UPDATE thanks SET state = 'thanked', closed_at = nudge_at",
    ),
    "goes on after its end": ("UPDATE letter SET settled_at = confirmed_at",),
    "closed at no time": ("DELETE FROM letter", "UPDATE thanks SET state = 'waived'"),
    "open after their end": ("UPDATE thanks SET closed_at = nudge_at",),
}


@pytest.mark.parametrize("words", BROKEN)
def test_states_that_no_rule_allows_are_named_and_set_right_and_nothing_leaves(words: str) -> None:
    settings(undo="10m")
    number = add()
    confirm(number)
    add("Bob Ray")
    assert one("states") == Finding("states", "ok", "As the rules want them.")
    for statement in BROKEN[words]:
        which = "" if "letter" in statement else f" WHERE id = {number}"
        cli_rigs.change(store_file(), statement + which)
    found = look("states")
    assert any(words in each.message and str(number) in each.message for each in found), found
    assert {(each.state, each.remedy) for each in found} == {("bad", "Set it right: thanksd doctor --mend")}
    done = thanksd("doctor", "--mend", "--offline")
    assert f"Set right: thanks {number}." in done.err
    assert one("states").state == "ok"
    # Whatever state it was, its thanks goes on: nothing left, and a person is asked.
    assert thanksd("run", "--once").code == 0
    assert not (Path(os.environ["HOME"]) / "mail" / "new").exists()
    state = client.Client(store_url(), str(config_file()), lines_wanted=False).call("show", ref=str(number))["thanks"][
        0
    ]
    letter = state["letter"]["state"] if state["letter"] else None
    assert (state["state"], letter) in {
        ("due", "failed"), ("owed", "failed"), ("confirmed", "held"), ("thanked", "sent"), ("waived", None),
        ("confirmed", "queued"),
    }  # fmt: skip
    assert "Nothing had" not in done.err
    assert "No state had to be set right." in thanksd("doctor", "--mend", "--offline").err


def test_entries_without_those_they_belong_to_are_found_and_a_copy_named() -> None:
    add()
    copy = thanksd("backup", "--json").json["backup"]["path"]
    cli_rigs.change(store_file(), "DELETE FROM person")
    found = one("states")
    assert (found.state, found.remedy) == ("bad", f"Put the newest copy in its place: thanksd restore {copy}")


def test_a_letter_that_is_held_for_days_is_said_to_be() -> None:
    settings(undo="10m")
    numbers = [add(name) for name in ("Ada Lovelace", "Bob Ray")]
    for number in numbers:
        confirm(number)
    cli_rigs.change(store_file(), "UPDATE letter SET state = 'held', reason = 'unknown'")
    now = datetime.now(UTC)
    assert "two days" not in one("letters", place(now=now)).message
    cli_rigs.change(
        store_file(), "UPDATE letter SET confirmed_at = '2026-01-01 00:00:00' WHERE thanks_id = ?", numbers[1]
    )
    found = one("letters", place(now=now))
    assert found.message.endswith("1 of them for more than two days.")
    assert found.remedy == f"Say what became of it: thanksd resolve {numbers[1]}"


def test_reminders_that_nobody_showed_are_told_until_one_is_shown() -> None:
    settings()
    number, at = add(after="0s"), place(now=datetime.now(UTC))
    values = "(thanks_id, occasion, channel, due_at, attempted_at, shown_at, error)"
    for hours, shown in ((5, False), (3, False)):
        moment = (at.now - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S.%f")
        row = (number, "thanks", "desktop", moment, moment, moment if shown else None, "no server")
        cli_rigs.change(store_file(), f"INSERT INTO nudge {values} VALUES (?, ?, ?, ?, ?, ?, ?)", *row)  # noqa: S608  constants
    found = one("nudges", at)
    assert (found.state, found.remedy) == ("warn", "Try one: thanksd doctor --nudge")
    assert found.message == "1 reminder was tried, and nobody showed them. Last heard: no server"
    cli_rigs.change(store_file(), "UPDATE nudge SET shown_at = attempted_at WHERE id = (SELECT max(id) FROM nudge)")
    assert one("nudges", at).state == "ok"


def test_how_much_no_copy_holds_is_told() -> None:
    private("")
    assert one("copies").state == "ok"
    add()
    assert one("copies").message == "No copy is kept yet; the daemon keeps one each day."
    copy = Path(thanksd("backup", "--json").json["backup"]["path"])
    assert one("copies").state == "ok"
    before = datetime.now(UTC) - timedelta(days=9)
    os.utime(copy, (before.timestamp(), before.timestamp()))
    found = one("copies")
    assert (found.state, found.remedy) == ("warn", "Keep one now: thanksd backup")
    assert "9 d" in found.message
    private("[copies]\ndays = 0\nweeks = 0\nmonths = 0\n")
    assert one("copies").state == "ok"
