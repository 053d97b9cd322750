"""One ledger, more than one machine: a copy that was synced, doubled or put back by hand sends nothing a second time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import parts
import program_rigs
import pytest
from cli_rigs import SCRIPT, Done, change, store_file, thanksd
from daemon_rigs import daemon, query, store_url
from kill_rigs import account, confirm, deliveries, world
from smtp_rigs import Sink, smtp_sink, wait_for
from store_rigs import Desk, killed_at, new_store

from thanksd import guard, mounts, stamp
from thanksd.database import open_store
from thanksd.errors import ConfigError, DataError, ThanksdError, TryLaterError
from thanksd.stamp import Witness
from thanksd.store import Store

OLDER = [
    "This ledger is an older copy: letters left since then. Nothing was changed.",
    "If there is no newer one: thanksd adopt",
]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with smtp_sink() as running:
        account(running.port)
        yield running


def queue(*names: str) -> None:
    """Add these people and confirm their letters, to leave at once."""
    if not store_file().exists():
        new_store(store_file()).close()
    with world() as opened:
        for name in names:
            who = f"{name} {name.split()[0].lower()}@example.com"
            added = opened.call("add", {"who": who, "kind": "coffee", "details": ["why you left Rust"]})
            confirm(opened, added["thanks"][0]["id"])


def go(store: Path | None = None) -> int:
    """Let a daemon do one pass over a ledger, and give its exit code."""
    done = thanksd("run", "--once", "--store", str(store or store_file()))
    assert done.out == ""
    return done.code


def copy_to(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(store_file(), path)
    return path


def delivered(sink: Sink) -> list[int]:
    """Give how often each letter was taken."""
    return list(deliveries([sink]).values())


class Other:
    """Another machine: its own /etc/machine-id, in a mount namespace, and its own state folder."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may give a program another /etc/machine-id")
        parts.need("unshare", "mount")
        folder.mkdir()
        self.id = folder / "machine-id"
        self.id.write_text("0123456789abcdef0123456789abcdef\n")
        self.env = dict(os.environ) | {"XDG_STATE_HOME": str(folder / "state")}

    def thanksd(self, *words: str) -> Done:
        inside = 'mount --bind "$1" /etc/machine-id && shift && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", inside, "sh", str(self.id), str(SCRIPT), *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)


def test_a_ledger_synced_to_another_machine_can_be_read_there_and_sends_only_what_is_decided_anew(
    short_dir: Path, sink: Sink
) -> None:
    queue("Ada Lovelace", "Bob Ray")
    change(store_file(), "UPDATE ledger SET host = 'ada-x1'")
    other, copy = Other(short_dir / "other"), str(copy_to(short_dir / "synced" / "thanksd.db"))
    assert other.thanksd("owed", "--store", copy).out.count("example.com") == 2
    assert other.thanksd("log", "--store", copy).code == 0
    for words in (("waive", "1"), ("run",), ("add", "Cy Young")):
        done = other.thanksd(*words, "--store", copy)
        assert (done.code, done.out) == (78, ""), words
        first, second = done.err.splitlines()[-2:]
        assert first.startswith("This ledger was last used on ada-x1, ")
        assert first.endswith(" ago.")
        assert second == "If that machine is retired: thanksd adopt"
    assert (go(), delivered(sink)) == (0, [1, 1])
    # Nobody is there to be asked.
    assert other.thanksd("adopt", "--store", copy).code == 1
    adopted = other.thanksd("adopt", "--yes", "--json", "--store", copy).json
    assert adopted["adopted"]
    assert [one["letter"]["reason"] for one in adopted["thanks"]] == ["adopted", "adopted"]
    assert [one["state"] for one in adopted["thanks"]] == ["confirmed", "confirmed"]
    assert other.thanksd("run", "--once", "--store", copy).code == 0
    assert delivered(sink) == [1, 1]
    again = other.thanksd("adopt", "--store", copy)
    assert (again.code, again.out) == (0, "This ledger is this machine's already.\n")
    assert other.thanksd("resolve", "1", "--sent", "--store", copy).code == 0
    # What it writes itself it sends itself; and the first machine goes on with its own copy alone.
    shutil.copyfile(copy, store_file())
    done = thanksd("waive", "2")
    assert (done.code, done.err.splitlines()[-1]) == (78, "If that machine is retired: thanksd adopt")
    # Only the home differs: the same machine, and another installation.
    elsewhere = thanksd("undo", env={"XDG_STATE_HOME": str(short_dir / "state2")})
    assert elsewhere.code == 78


def test_an_old_copy_put_in_the_ledger_s_place_sends_nothing_again(short_dir: Path, sink: Sink) -> None:
    queue("Ada Lovelace")
    old = copy_to(short_dir / "old.db")
    assert (go(), delivered(sink)) == (0, [1])
    queue("Bob Ray")
    shutil.copyfile(old, store_file())
    assert (go(), delivered(sink)) == (78, [1])
    done = thanksd("send", "1", "--yes", "--now")
    assert done.code != 0
    assert thanksd("done", "1").err.splitlines() == OLDER
    assert thanksd("show", "1").code == 0
    adopted = thanksd("adopt", "--yes")
    assert (adopted.code, adopted.out) == (0, "This ledger is this machine's now.\n")
    assert adopted.err.splitlines() == [
        "1 letter may have left already and waits for your word:",
        "  Ada Lovelace: thanksd resolve 1",
    ]
    assert (go(), delivered(sink)) == (0, [1])
    assert thanksd("outbox", "--json").json["letters"][0]["reason"] == "adopted"
    # And it is a ledger as any other from then on.
    queue("Cy Young")
    assert (go(), delivered(sink)) == (0, [1, 1])


def test_two_copies_on_one_machine_never_both_send_a_letter_however_they_race(short_dir: Path, sink: Sink) -> None:
    names = ["Ada Lovelace", "Bob Ray", "Cy Young"]
    queue(*names)
    stores = [store_file(), copy_to(short_dir / "a" / "t.db"), copy_to(short_dir / "b" / "t.db")]
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                program_rigs.Program([str(SCRIPT), "run", "--once", "--store", str(one)], stderr=subprocess.DEVNULL)
            )
            for one in stores
        ]
        codes = sorted(one.wait(60) for one in running)
    assert codes[0] == 0
    assert sorted(delivered(sink)) == [1] * len(names)
    for store in stores * 2:
        go(store)
    assert sorted(delivered(sink)) == [1] * len(names)


@pytest.mark.parametrize("copy_first", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_a_program_killed_around_its_claim_leaves_one_copy_that_may_send(
    short_dir: Path, sink: Sink, number: int, copy_first: bool
) -> None:
    queue("Ada Lovelace")
    copy = copy_to(short_dir / "copy" / "t.db")
    # A new ticket is written down beside the old one, the claim is committed, then it stands alone; each is a rename.
    assert killed_at("rename", number, [str(SCRIPT), "run", "--once"]) == -signal.SIGKILL
    assert delivered(sink) == []
    order = [copy, store_file()] if copy_first else [store_file(), copy]
    assert [go(one) for one in order] == [0, 78]
    assert delivered(sink) == [1]
    assert [go(one) for one in order] == [0, 78]
    assert delivered(sink) == [1]


def test_a_letter_whose_number_can_not_be_kept_does_not_leave_and_is_not_lost(short_dir: Path) -> None:
    desk = Desk(short_dir)
    number = desk.queued()
    folder = Witness(desk.rows("SELECT uid FROM ledger")[0]["uid"])._folder
    (folder / "tickets.new").mkdir(parents=True)
    with pytest.raises(ThanksdError, match="can't be kept"):
        desk("dispatch")
    assert (desk.letter(number)["state"], desk.saved()) == ("queued", [])
    (folder / "tickets.new").rmdir()
    desk("dispatch")
    assert (desk.letter(number)["state"], len(desk.saved())) == ("sent", 1)


def test_a_ledger_of_which_nothing_is_remembered_here_is_not_trusted(short_dir: Path) -> None:
    desk = Desk(short_dir)
    desk.queued()
    desk("dispatch")
    shutil.rmtree(Path(os.environ["XDG_STATE_HOME"]) / "thanksd" / "ledgers")
    with pytest.raises(ConfigError) as refused:
        desk.add("Bob Ray")
    assert refused.value.hint == OLDER[1]
    assert desk("adopt") | {"zone": ""} == {"adopted": True, "thanks": [], "zone": ""}
    desk.queued("Bob Ray")
    desk("dispatch")
    assert len(desk.saved()) == 2


def test_what_is_kept_of_an_installation_is_private_and_made_once_by_eight_programs() -> None:
    program = [sys.executable, "-c", "from thanksd import stamp; print(stamp.here().install)"]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen(program, stdout=subprocess.PIPE, text=True)) for _ in range(8)]
        names = {one.communicate(timeout=60)[0] for one in running}
    assert names == {f"{stamp.here().install}\n"}
    kept = Path(os.environ["XDG_STATE_HOME"]) / "thanksd"
    assert {path.name: path.stat().st_mode & 0o777 for path in (kept, kept / "install")} == {
        "thanksd": 0o700,
        "install": 0o600,
    }
    machine_id = Path("/etc/machine-id")
    assert not machine_id.exists() or machine_id.read_text().strip() not in str(stamp.here())


def test_the_moment_of_use_is_written_once_an_hour(short_dir: Path) -> None:
    desk = Desk(short_dir)
    desk.add()
    first = desk.rows("SELECT used_at FROM ledger")
    desk.add("Bob Ray")
    assert desk.rows("SELECT used_at FROM ledger") == first
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    change(desk.file, "UPDATE ledger SET used_at = ?", long_ago.strftime("%Y-%m-%d %H:%M:%S.%f"))
    desk.add("Cy Young")
    assert desk.rows("SELECT used_at FROM ledger")[0]["used_at"] > first[0]["used_at"]


@pytest.mark.parametrize("uid", ["../../../etc", "", "x" * 32])
def test_a_ledger_with_a_name_that_is_no_name_is_refused(short_dir: Path, uid: str) -> None:
    desk = Desk(short_dir)
    change(desk.file, "UPDATE ledger SET uid = ?", uid)
    with pytest.raises(DataError, match="no name"):
        desk.add()
    change(desk.file, "DELETE FROM ledger")
    with pytest.raises(DataError, match="no name"):
        desk.add()


def test_tickets_only_grow_fit_the_store_and_differ_between_copies() -> None:
    grown = [0]
    for _ in range(50):
        grown.append(stamp.next_ticket(grown[-1]))
    assert grown == sorted(set(grown))
    assert len({stamp.next_ticket(7) for _ in range(20)}) > 15
    assert 0 <= stamp.next_ticket(2**63 - 1) < 2**63


def test_a_ledger_is_not_adopted_under_a_running_daemon() -> None:
    new_store(store_file()).close()
    thanksd("add", "Ada Lovelace", "--after", "1h")
    with daemon() as running:
        change(store_file(), "UPDATE ledger SET install = 'another'")
        done = thanksd("adopt", "--yes")
        assert done.code == 75
        assert done.err.splitlines() == [
            f"Process {running.pid} (daemon) has this ledger. Nothing was changed.",
            f"Stop it: kill {running.pid}",
        ]
        # Its own verbs refuse too.
        assert thanksd("waive", "1").code == 78
        assert query("SELECT state FROM thanks") == [("owed",)]


def touch(store: Store, meanwhile: Callable[[], object] = bool) -> None:
    with store.write() as connection:
        meanwhile()
        guard.put_stamp(connection, stamp.here(), datetime.now(UTC))


def test_a_program_whose_ledger_was_replaced_under_it_finds_the_new_one(short_dir: Path) -> None:
    new_store(store_file()).close()
    store = open_store(store_url(), keep_connections=True)
    with store.write() as connection:
        assert guard.row_of(connection).serial == 0
    other, another = new_store(short_dir / "other.db"), new_store(short_dir / "another.db")
    with other.read() as connection:
        uid = guard.row_of(connection).uid
    other.file.rename(store_file())
    # A daemon that has nothing to write must see it too.
    with store.read() as connection:
        assert guard.row_of(connection).uid == uid
    touch(store)
    with pytest.raises(TryLaterError, match="in this one's place"):
        touch(store, lambda: another.file.rename(store_file()))
    with store.write() as connection:
        assert guard.row_of(connection).install == stamp.here().install
    store.close()


# --- where a ledger may lie ---

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/ada/local rw - ext4 /dev/sdb rw
32 27 0:42 / /mnt/my\\040disk rw - cifs //server/x rw
33 27 0:43 / /media/dav rw - fuse https://dav.example.org/ rw
34 27 0:44 / /media/stick rw - fuse.ntfs-3g /dev/sdc rw
35 27 0:45 / /media/ssh rw - fuse.sshfs ada@host:/ rw
36 27 0:46 / /over rw - ext4 /dev/sdd rw
37 36 0:47 / /over rw - 9p share rw
38 27 0:48 / /under rw - nfs server:/x rw
39 38 0:49 / /under rw - tmpfs tmpfs rw
garbage
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/home/ada/thanksd.db", "nfs4"),
        ("/home/ada/local/thanksd.db", ""),
        ("/home2/thanksd.db", ""),
        ("/mnt/my disk/a/b/thanksd.db", "cifs"),
        ("/media/dav/t.db", "davfs"),
        ("/media/stick/t.db", ""),
        ("/media/ssh/not/there/yet/t.db", "fuse.sshfs"),
        ("/over/t.db", "9p"),
        ("/under/t.db", ""),
        ("/t.db", ""),
    ],
)
def test_a_file_is_on_the_file_system_of_the_nearest_mount_above_it(file: str, kind: str) -> None:
    assert mounts.network_kind(MOUNTS, Path(file)) == kind


@contextlib.contextmanager
def sshfs(folder: Path) -> Iterator[Path]:
    """Mount a folder of "another machine": sshfs with OpenSSH's own server at the other end of a socket."""
    parts.need("sshfs", "fusermount3")
    server = Path("/usr/lib/openssh/sftp-server")
    if os.geteuid() != 0 or not Path("/dev/fuse").exists() or not server.exists():
        pytest.skip("sshfs needs root, /dev/fuse and openssh-sftp-server here")
    far, near = folder / "far", folder / "near"
    far.mkdir()
    near.mkdir()
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.ExitStack() as stack:
        far_end = stack.enter_context(subprocess.Popen([str(server)], stdin=theirs.fileno(), stdout=theirs.fileno()))
        command = ["sshfs", "-f", "-o", "passive", f":{far}", str(near)]
        mounted = stack.enter_context(
            subprocess.Popen(command, stdin=ours.fileno(), stdout=ours.fileno(), stderr=subprocess.DEVNULL)
        )
        ours.close()
        theirs.close()
        try:
            wait_for(lambda: near.is_mount() or mounted.poll() is not None)
            assert near.is_mount()
            yield near
        finally:
            subprocess.run(["fusermount3", "-u", str(near)], check=False)
            far_end.terminate()
            mounted.terminate()


def test_a_ledger_on_another_machine_s_file_system_is_refused_before_anything_is_made(short_dir: Path) -> None:
    with sshfs(short_dir) as folder:
        for words in (("add", "Ada Lovelace"), ("owed",), ("run", "--once")):
            done = thanksd(*words, "--store", str(folder / "new" / "thanksd.db"))
            assert (done.code, done.out) == (78, "")
            assert "network file system (fuse.sshfs)" in done.err
            assert "XDG_DATA_HOME" in done.err.splitlines()[-1]
        assert list(folder.iterdir()) == []


def test_a_new_ledger_in_a_synced_folder_is_made_with_a_word_of_warning(home: Path) -> None:
    folder = home / "Documents" / "deep"
    folder.mkdir(parents=True)
    (home / "Documents" / ".stfolder").mkdir()
    (home / ".dropbox").mkdir()
    words = "Syncthing carries this folder to other machines, one at a time may use the ledger:"
    first = thanksd("owed", "--store", str(folder / "t.db"))
    assert (first.code, first.err) == (0, f"{words} {folder}\n")
    assert thanksd("owed", "--store", str(folder / "t.db")).err == ""
    # What Dropbox keeps in a home does not make the home a synced folder.
    assert mounts.synced_by(home) == ""
    for name, program in (
        ("Dropbox", "Dropbox"),
        ("OneDrive - Work", "OneDrive"),
        ("Nextcloud", "Nextcloud or ownCloud"),
    ):
        assert mounts.synced_by(home / name / "ledger") == program
