"""The doctor of a ledger that several share: each part broken for real, named with what mends it, nothing changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import parts
import psycopg
import pytest
from cli_rigs import config_file, configure, thanksd
from postgres_rigs import Server, builds, server
from smtp_rigs import Authority, free_port, wait_for

from thanksd import __version__, checks
from thanksd.checks import Finding, Place
from thanksd.client import Client
from thanksd.server import DAEMONS, LOCKS
from thanksd.store import known_revisions

ME, OTHER = "sam@example.org", "bob@example.org"
SETTINGS = """\
[me]
name = "Sam Lee"
email = "{me}"
[transport]
kind = "maildir"
[transport.maildir]
path = "~/mail"
"""


class Shared:
    """A shared ledger in a database of its own, and the doctor of it."""

    def __init__(self, at: Server, url: str) -> None:
        self.server, self.url = at, url
        self.name = url.partition("?")[0].rpartition("/")[2]

    def add(self, who: str = "Ada Lovelace", me: str = ME) -> int:
        configure(SETTINGS.format(me=me))
        config_file().chmod(0o600)
        done = thanksd(
            "add", who, f"{who.split(maxsplit=1)[0].lower()}@example.com", "-d", "why you left Rust", "--json"
        )
        return int(done.json["thanks"][0]["id"])

    def confirmed(self, who: str = "Ada Lovelace", me: str = ME) -> int:
        """Add somebody, and confirm a letter, which waits for a daemon; give the number of the thanks."""
        number = self.add(who, me)
        client = Client(self.url, str(config_file()), lines_wanted=False)
        prepared = client.call("prepare", ref=str(number))["prepared"]
        client.call("confirm", letters=[{"thanks": number, "sha256": prepared["sha256"]}])
        return number

    def do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do something behind the program's back."""
        return self.server.do(statement, *values, database=self.name)

    def place(self, now: datetime | None = None, **environ: str) -> Place:
        at = now or datetime.now(UTC)
        return Place(self.url, config_file(), {**os.environ, **environ}, at, offline=True)

    def look(self, *names: str, at: Place | None = None) -> list[Finding]:
        """Run some checks here, and give what they found."""
        wanted = tuple(check for check in checks.SHARED if check.name in names)
        assert len(wanted) == len(names)
        return list(checks.examine(at or self.place(), wanted))

    def one(self, name: str, at: Place | None = None) -> Finding:
        (found,) = self.look(name, at=at)
        return found

    def everything(self) -> list[tuple[Any, ...]]:
        """Give all that the database holds, as its server tells it."""
        tables = self.do("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [row for (table,) in tables for row in self.do(f'SELECT * FROM "{table}" ORDER BY 1')]  # noqa: S608  the store's own names


def ledger(at: Server, monkeypatch: pytest.MonkeyPatch) -> Shared:
    made = Shared(at, at.new_database())
    monkeypatch.setenv("THANKSD_STORE", made.url)
    return made


@pytest.fixture
def shared(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Shared:
    return ledger(postgres, monkeypatch)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    """One on a server that this test may hurt."""
    with server(builds()[0]) as at:
        yield ledger(at, monkeypatch)


# --- the whole ---


def test_a_shared_ledger_that_is_well_is_all_ok_and_nothing_is_changed(shared: Shared) -> None:
    shared.add()
    before = shared.everything()
    done = thanksd("doctor", "--json", "--offline")
    assert shared.everything() == before
    found = {each["name"]: each for each in json.loads(done.out)["checks"]}
    wanted = ("store", "connection", "durability", "clock", "states", "letters", "nudges", "team", "sessions", "copies")
    assert {name: found[name]["state"] for name in wanted} == dict.fromkeys(wanted, "ok"), found
    assert {"folder", "disk"} & set(found) == set()
    assert f"database {shared.name}, as team" in found["store"]["message"]
    assert "By a socket on this machine" in found["connection"]["message"]
    assert "the server's business" in found["copies"]["message"]


def test_a_server_that_is_down_is_named_once_and_the_rest_waits_for_it(own: Shared) -> None:
    own.add()
    own.server.stop()
    found = {one.name: one for one in checks.examine(own.place())}
    assert (found["store"].state, "did not answer" in found["store"].message) == ("bad", True)
    for name in ("connection", "durability", "states", "letters", "nudges", "team", "sessions", "copies"):
        assert (found[name].state, found[name].message[:14]) == ("warn", "Not looked at:"), found[name]
    assert thanksd("doctor", "--offline").code == 69


def test_a_server_that_hangs_keeps_nobody_longer_than_the_limit(own: Shared) -> None:
    own.add()
    assert own.server.process is not None
    own.server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = own.one("store")
        assert time.monotonic() - began < 15
    finally:
        own.server.process.send_signal(signal.SIGCONT)
    assert (found.state, "did not answer" in found.message) == ("bad", True)


# --- the store ---


def test_a_database_without_a_ledger_is_told_and_stays_without_one(shared: Shared) -> None:
    configure(SETTINGS.format(me=ME))
    found = shared.one("store")
    assert (found.state, found.message[:26]) == ("ok", "There is no ledger yet: Po")
    assert {one.state for one in checks.examine(shared.place()) if one.name in ("states", "letters", "team")} == {"ok"}
    assert shared.do("SELECT to_regclass('alembic_version')") == [(None,)]
    shared.do("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    shared.do(f"ALTER DATABASE {shared.name} OWNER TO postgres")
    found = shared.one("store")
    assert (found.state, "may not make one" in found.message) == ("bad", True)


def test_a_ledger_is_told_older_newer_or_no_ledger_of_ours(shared: Shared) -> None:
    shared.add()
    shared.do("UPDATE alembic_version SET version_num = %s", known_revisions()[-2])
    found = shared.one("store")
    assert (found.state, found.remedy) == ("warn", "A command mends it: thanksd")
    with shared.server.connect(shared.name) as daemon:
        daemon.execute("SELECT pg_advisory_lock_shared(%s, %s)", (LOCKS, DAEMONS))
        found = shared.one("store")
        assert (found.state, "1 daemon of that version has it" in found.message) == ("bad", True)
    shared.do("UPDATE alembic_version SET version_num = '9999'")
    assert "newer thanksd" in shared.one("store").message
    shared.do("ALTER TABLE ledger RENAME TO other")
    assert "not a ledger of thanksd" in shared.one("store").message


def test_a_ledger_put_back_elsewhere_or_older_is_told(own: Shared) -> None:
    own.add()
    assert own.one("store").state == "ok"
    own.do("UPDATE ledger SET serial = 1")
    folder = Path(os.environ["XDG_STATE_HOME"]) / "thanksd/ledgers" / own.do("SELECT uid FROM ledger")[0][0]
    folder.mkdir(parents=True)
    (folder / "tickets").write_text(f"{5 << 31}\n")
    assert "older copy" in own.one("store").message
    (folder / "tickets").unlink()
    own.server.do(f"CREATE DATABASE other TEMPLATE {own.name} OWNER team")
    other = Shared(own.server, own.server.url("other", "team"))
    found = other.one("store")
    assert (found.state, found.remedy) == ("bad", "If nobody goes on with the other: thanksd adopt")
    assert thanksd("owed", "--store", other.url).code == 0
    assert "thanksd adopt" in thanksd("add", "Grace Hopper", "--store", other.url).err


def test_a_standby_and_a_role_that_may_only_read_are_told(own: Shared) -> None:
    own.add()
    own.server.do("CREATE ROLE reader LOGIN")
    own.do("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    own.do("GRANT EXECUTE ON FUNCTION pg_control_system() TO reader")
    reader = Shared(own.server, own.url.replace("team@", "reader@"))
    assert (reader.one("store").state, "may not write" in reader.one("store").message) == ("bad", True)
    own.server.stop()
    signal_file = own.server.folder / "data" / "standby.signal"
    signal_file.touch()
    signal_file.chmod(0o666)
    own.server.start()
    found = own.one("store")
    assert (found.state, "standby" in found.message, found.remedy) == (
        "bad",
        True,
        "Name the primary in THANKSD_STORE.",
    )
    done = thanksd("add", "Grace Hopper", "grace@example.com")
    assert (done.code, "standby" in done.err) == (78, True), done


# --- the way there ---


def test_a_password_file_that_others_may_read_is_closed_by_one_command(shared: Shared, home: Path) -> None:
    shared.add()
    file = home / ".pgpass"
    file.write_text("*:*:*:team:word\n")
    file.chmod(0o644)
    found = shared.one("connection")
    assert (found.state, found.remedy) == ("bad", f"Close it: chmod 600 {file}")
    file.chmod(0o600)
    assert shared.one("connection").state == "ok"


@contextmanager
def an_address() -> Iterator[str]:
    """Give an address of this machine's that is not for itself alone."""
    if os.geteuid() != 0:
        pytest.skip("only root may add an address")
    parts.need("ip")
    address = f"10.77.{os.getpid() % 250}.1"
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield address
    finally:
        subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=True)


def test_a_server_over_the_network_is_told_without_tls_and_without_a_proof(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(short_dir)
    with an_address() as address, server(builds()[-1], address) as at:
        with (at.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.77.0.0/16 trust\n")
        at.do("SELECT pg_reload_conf()")
        far = ledger(at, monkeypatch)
        wait_for(lambda: far.one("store").state == "ok", 10)
        far.add()
        found = far.one("connection")
        assert (found.state, "without TLS" in found.message) == ("bad", True)
        proof = authority.issue(address).read_bytes()
        for name in ("server.key", "server.crt"):
            made = at.folder / "data" / name
            made.write_bytes(proof)
            made.chmod(0o600)
            os.chown(made, *_owner_of(at.folder))
        at.do("ALTER SYSTEM SET ssl = on")
        at.do("SELECT pg_reload_conf()")
        wait_for(lambda: far.one("connection").state == "warn", 10)
        assert "nobody looks whether" in far.one("connection").message
        far.url += f"?sslmode=verify-full&sslrootcert={authority.file}"
        found = far.one("connection")
        assert (found.state, "By TLS" in found.message) == ("ok", True), found


def _owner_of(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_uid, info.st_gid


def test_a_pooler_before_the_server_is_told(shared: Shared, short_dir: Path) -> None:
    parts.need("pgbouncer")
    shared.add()
    with pgbouncer(shared.server, short_dir, shared.server.folder) as port:
        pooled = Shared(shared.server, f"postgresql+psycopg://team@127.0.0.1:{port}/{shared.name}")
        found = pooled.look("connection")
        assert [one.state for one in found] == ["bad"]
        assert "A pooler stands before the server" in found[0].message


@contextmanager
def pgbouncer(at: Server, folder: Path, data: Path) -> Iterator[int]:
    """Run one in transaction mode before a server, as its own documentation begins, and give its port."""
    port, uid = free_port(), _owner_of(data)
    (folder / "users").write_text('"team" ""\n')
    (folder / "pooler.ini").write_text(
        f"[databases]\n* = host={at.folder} port={at.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        "ignore_startup_parameters = options\n"
    )
    for path in (folder, folder / "users", folder / "pooler.ini"):
        os.chown(path, *uid)
    other = ["setpriv", f"--reuid={uid[0]}", f"--regid={uid[1]}", "--clear-groups", "--"] if os.geteuid() == 0 else []
    words = [*other, str(parts.find("pgbouncer")), "-q", str(folder / "pooler.ini")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: _answers(port), 20)
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://team@127.0.0.1:{port}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


# --- the server's promises ---


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_what_it_stored_is_told(own: Shared, name: str) -> None:
    own.add()
    own.server.do(f"ALTER SYSTEM SET {name} = off")
    own.server.do("SELECT pg_reload_conf()")
    wait_for(lambda: own.one("durability").state == "bad", 10)
    found = own.one("durability")
    assert found.message.startswith(f"{name} is off at the server")
    assert f"ALTER SYSTEM SET {name} = on" in found.remedy


def test_a_server_whose_clock_is_not_ours_is_told(shared: Shared) -> None:
    shared.add()
    assert shared.one("clock").state == "ok"
    for hours in (-2, 2):
        found = shared.look("clock", at=shared.place(datetime.now(UTC) + timedelta(hours=hours)))
        assert any("The server's clock is" in one.message for one in found), found


# --- what is in it ---


def test_states_that_no_rule_allows_are_found_and_set_right(shared: Shared) -> None:
    ada, chen = shared.confirmed(), shared.confirmed("Chen Wei")
    grace = shared.add("Grace Hopper")
    assert shared.one("states").state == "ok"
    shared.do("UPDATE thanks SET state = 'owed' WHERE id = %s", ada)
    shared.do("UPDATE letter SET state = 'sending', owner = '' WHERE thanks_id = %s", chen)
    shared.do("UPDATE thanks SET state = 'waived' WHERE id = %s", grace)
    found = shared.look("states")
    assert len(found) == 3
    assert {one.remedy for one in found} == {"Set it right: thanksd doctor --mend"}
    done = thanksd("doctor", "--mend", "--offline")
    assert f"Set right: thanks {ada}, {chen}, {grace}." in done.err
    assert shared.one("states").state == "ok"
    assert shared.do("SELECT state FROM letter ORDER BY id") == [("held",), ("held",)]


def test_a_held_letter_of_mine_is_mine_to_resolve_and_one_of_theirs_is_not(shared: Shared) -> None:
    theirs, mine = shared.confirmed("Chen Wei", OTHER), shared.confirmed()
    shared.do("UPDATE letter SET state = 'held' WHERE thanks_id = %s", theirs)
    assert shared.one("letters").state == "ok"
    shared.do("UPDATE letter SET state = 'held', confirmed_at = confirmed_at - interval '3 days'")
    found = shared.one("letters")
    assert (found.state, found.remedy) == ("warn", f"Say what became of it: thanksd resolve {mine}")
    assert "more than two days" in found.message


def test_reminders_that_nobody_showed_are_told_to_the_one_they_were_for(shared: Shared) -> None:
    theirs, mine = shared.add("Chen Wei", OTHER), shared.add()
    nudge = (
        "INSERT INTO nudge (thanks_id, occasion, channel, due_at, attempted_at, error, seat)"
        " SELECT %s, 'due', 'desktop', at, at, 'No popup', '' FROM (SELECT localtimestamp - interval '3 hours') AS t(at)"
    )
    shared.do(nudge, theirs)
    assert shared.one("nudges").state == "ok"
    shared.do(nudge, mine)
    assert shared.one("nudges").message == "1 reminder was tried, and nobody showed them. Last heard: No popup"


# --- the team ---


def test_letters_that_no_daemon_takes_are_told_with_who_could(shared: Shared) -> None:
    theirs, mine = shared.confirmed("Chen Wei", OTHER), shared.confirmed()
    assert shared.one("team").message == "No letter waits for a daemon. No daemons run."
    late = "UPDATE letter SET send_after = send_after - interval '3 days' WHERE thanks_id = %s"
    shared.do(late, theirs)
    found = shared.one("team")
    assert found.state == "warn"
    assert found.message.startswith(f"1 letter of {OTHER} waits since ")
    assert found.remedy.endswith(f"carry theirs too: thanksd config set send.also_for {OTHER}")
    shared.do(late, mine)
    first, second = shared.look("team")
    assert (first.state, second.state) == ("warn", "bad")
    assert second.remedy == "Start yours: thanksd service install"
    shared.do("UPDATE letter SET reason = 'credentials', state = 'deferred'")
    assert shared.one("team").state == "ok"


def test_what_is_in_the_others_way_is_told(shared: Shared) -> None:
    shared.add()
    assert shared.one("sessions").state == "ok"
    name = f"thanksd ada-x1 77 {__version__}.old"
    with psycopg.connect(shared.url.replace("+psycopg", ""), application_name=name) as other:
        other.execute("SELECT 1")
        found = shared.one("sessions")
        assert (found.state, found.message.partition(",")[0]) == ("warn", f"ada-x1 has thanksd {__version__}.old")
    assert shared.one("sessions").state == "ok"


def test_somebody_who_did_not_say_who_they_are_is_asked_to(shared: Shared) -> None:
    shared.add()
    configure("")
    config_file().chmod(0o600)
    found = shared.one("config")
    assert (found.state, found.remedy) == ("bad", "Set it: thanksd config set me.email YOU@EXAMPLE.COM")
    assert shared.one("team").message == "Not looked at: your own address is not set."
    assert shared.one("store").state == "ok"
