"""make install, its upgrade and its removal, and pipx, by an ordinary user of this machine without a network."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import parts
import pytest
from cells import Say
from postgres_rigs import builds, server

from thanksd import __version__

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

CHECKOUT = Path(__file__).resolve().parent.parent
NEWER = "99.0"
_SETTINGS = """\
[me]
name = "Sam Lee"
email = "sam@example.org"
[transport]
kind = "maildir"
[transport.maildir]
path = "{home}/Letters"
"""
# Each line of output that a test looks at begins with a word of its own; the rest goes to stderr, to be read on failure.
_HELPERS = r"""
set -u
said() { sed "s/^/$1: /"; }
fail() { echo "$1" >&2; exit 1; }
installing() { make -C ~/src --no-print-directory "$@"; }
letters() {
    /usr/bin/python3 -c 'import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("SELECT * FROM letter"), sep="\n")' ~/.local/share/thanksd/thanksd.db
}
pid() { systemctl --user show thanksd -p MainPID --value; }
fact() { thanksd service status --json | grep -o "\"$1\": [^,}]*" | cut -d' ' -f2 | tr -d '"'; }
"""


@pytest.fixture
def offline(machine_user: MachineUser, source: Path, wheels: Path) -> dict[str, str]:
    """The source in ~/src, and the environment of somebody who has that and what it needs, and no network."""
    assert source.is_dir()
    path = f"{machine_user.home}/.local/bin:/usr/local/bin:/usr/bin:/bin"
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PATH": path}


def _lines(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Give what was said under each word."""
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(": ")
        found.setdefault(word, []).append(rest)
    return found


def test_install_upgrade_and_uninstall_of_somebody_who_has_only_a_home(
    machine_user: MachineUser, offline: dict[str, str]
) -> None:
    parts.need("desktop-file-validate", "man", "bash", "fish", "zsh")
    machine_user.write(".config/thanksd/config.toml", _SETTINGS.format(home=machine_user.home))
    done = machine_user.run(
        _HELPERS
        + rf"""
        PATH=/usr/bin:/bin SHELL=/usr/bin/fish installing install >~/out || fail "not installed"
        said install <~/out
        thanksd --version | said version
        desktop-file-validate ~/.local/share/applications/thanksd.desktop || fail "no good entry"
        man -w thanksd | said man
        bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader thanksd; complete -p thanksd' | said bash
        fish -c 'complete -C "thanksd outb"' | said fish
        zsh -fc 'fpath=(~/.local/share/zsh/site-functions $fpath); autoload -U compinit; compinit -D
            echo $_comps[thanksd]; autoload +X _thanksd && which _thanksd | grep -c zsh_complete' | said zsh

        export THANKSD_STORE=~/.local/share/thanksd/thanksd.db
        thanksd service uninstall >&2
        test -e ~/.local/share/applications/thanksd.desktop || fail "the entry of make install is gone"
        thanksd service install >&2 || fail "no service"
        unset THANKSD_STORE
        thanksd add Grace Hopper grace@example.com -k coffee -d "how you found the moth" >&2
        thanksd send 1 --yes --at "tomorrow 10:00" >&2
        letters >~/before; sha256sum ~/.config/thanksd/config.toml >~/config.before
        old=$(pid)

        sed -i 's/^__version__ = .*/__version__ = "{NEWER}"/' ~/src/thanksd/__init__.py
        PIP_FIND_LINKS= PIP_RETRIES=0 installing install 2>&1 | grep -v '^ERROR\|^WARN\|^make' | said failed
        ls ~/.local/share/thanksd/venvs | wc -l | said versions
        thanksd --version | said version
        [ "$(pid)" = "$old" ] || fail "restarted for nothing"

        installing install >~/out || fail "not upgraded"
        said upgrade <~/out
        thanksd --version | said version
        fact version | said daemon
        fact unit_current | said current
        fact exec_start | said starts
        [ "$(pid)" != "$old" ] || fail "the old daemon runs on"
        letters | cmp - ~/before && sha256sum --quiet -c ~/config.before && echo same | said kept
        grep -c THANKSD_STORE ~/.config/systemd/user/thanksd.service | said kept
        ls ~/.local/share/thanksd/venvs | wc -l | said versions

        for time in once again; do installing uninstall >~/out || fail "not removed"; said $time <~/out; done
        systemctl --user is-active thanksd | said active
        find ~/.local ~/.config -name '*thanksd*' -not -type d | sort | said left
        """,
        timeout=300,
        env=offline,
    )
    said, home = _lines(done), machine_user.home
    assert said["install"][-4:] == [
        "Your PATH does not have ~/.local/bin yet.",
        "Type this line once, then open a new terminal:",
        "    fish_add_path ~/.local/bin",
        "Next: thanksd",
    ]
    assert said["man"] == [f"{home}/.local/share/man/man1/thanksd.1"]
    assert said["bash"] == ["complete -o nosort -F _thanksd_completion thanksd"]
    assert said["fish"][0].startswith("outbox\t")
    assert said["zsh"] == ["_thanksd", "1"]
    assert said["failed"][-2:] == [
        "thanksd could not be set up: no network, or the disk is full? The thanksd that was here works as before.",
        "Try again: make install",
    ]
    assert said["version"] == [f"thanksd {__version__}", f"thanksd {__version__}", f"thanksd {NEWER}"]
    assert said["versions"] == ["1", "1"]
    assert any(line.startswith("Daemon restarted (pid ") for line in said["upgrade"])
    assert said["upgrade"][-2:] == ["Your PATH has ~/.local/bin.", "Next: thanksd"]
    assert (said["daemon"], said["current"], said["starts"]) == ([NEWER], ["true"], [f"{home}/.local/bin/thanksd"])
    assert said["kept"] == ["same", "1"]
    assert said["once"] == [
        "thanksd is uninstalled.",
        "Letters that wait and will not leave now: 1.",
        f"Kept, your ledger: {home}/.local/share/thanksd/thanksd.db",
        f"Kept, your settings: {home}/.config/thanksd/config.toml",
    ]
    assert said["again"][0] == "thanksd is not installed here by make install."
    assert said["active"] == ["inactive"]
    assert [Path(path).name for path in said["left"]] == ["thanksd.db", "thanksd.db.lock"]


@pytest.mark.cell("Team", "installed with its driver", "make install EXTRAS=postgres, the unit in its sandbox")
@pytest.mark.matrix
def test_the_driver_of_a_shared_ledger_comes_when_asked_for_stays_and_reaches_its_server_from_the_unit(
    machine_user: MachineUser, offline: dict[str, str], seen: Say
) -> None:
    machine_user.write(".config/thanksd/config.toml", _SETTINGS.format(home=machine_user.home))
    with server(builds()[0], "127.0.0.1") as at:
        at.folder.chmod(0o755)
        by_address = at.new_database()
        name = by_address.rpartition("/")[2]
        at.do("ALTER ROLE team PASSWORD 'word'")
        rules = "local all all trust\nhost all all all scram-sha-256\n"
        (at.folder / "data" / "pg_hba.conf").write_text(rules, encoding="utf-8")
        at.do("SELECT pg_reload_conf()")
        done = machine_user.run(
            _HELPERS
            + rf"""
            installing install EXTRAS=mysql 2>&1 | grep -v ^make | said unknown
            ls ~/.local/share/thanksd 2>/dev/null | said nothing
            installing install >&2 || fail "not installed"
            THANKSD_STORE=postgresql:///nowhere thanksd 2>&1 | said without
            installing install EXTRAS=postgres >&2 || fail "not installed"
            installing install >&2 || fail "not upgraded"
            ~/.local/share/thanksd/venv/bin/python -c 'import psycopg; print(psycopg.pq.__impl__)' | said driver
            (umask 077; echo '127.0.0.1:{at.port}:{name}:team:word' >~/.pgpass)
            for store in 'postgresql://team@/{name}?host={at.folder}&port={at.port}' '{by_address}'; do
                export THANKSD_STORE=$store
                thanksd service install >&2 || fail "no service"
                until thanksd doctor --offline >~/out; grep -q '1 daemon runs' ~/out; do sleep 0.2; done
                grep -P '\t(daemon|team|store)\t' ~/out | cut -f1,2,3 | said doctor
                unset THANKSD_STORE
            done
            """,
            timeout=500,
            env=offline,
        )
    said = _lines(done)
    assert said["unknown"] == [
        "There is no extra 'mysql'. Nothing was changed.",
        "There is: make install EXTRAS=postgres",
    ]
    assert "nothing" not in said
    assert said["without"][0].startswith("This store is on a server, and the driver for that is not installed.")
    assert said["driver"] == ["binary"]
    words = [line.split("\t") for line in said["doctor"]]
    assert [(state, check) for state, check, _ in words] == [("ok", "store"), ("ok", "team"), ("ok", "daemon")] * 2
    assert ["1 daemon runs" in text for _, check, text in words if check == "team"] == [True, True]
    seen(
        "the driver stays with an upgrade; the daemon reaches its server by a socket, and by an address with ~/.pgpass",
        2,
    )


def test_pipx_users_get_the_service_and_the_menu_entry_and_make_install_leaves_theirs(
    machine_user: MachineUser, offline: dict[str, str], wheel: Path
) -> None:
    parts.need("pipx", "desktop-file-validate")
    own = machine_user.home / wheel.name
    own.write_bytes(wheel.read_bytes())
    account = pwd.getpwnam(machine_user.name)
    os.chown(own, account.pw_uid, account.pw_gid)
    done = machine_user.run(
        _HELPERS
        + rf"""
        pipx install ~/{wheel.name} >&2 || fail "pipx failed"
        thanksd service install >&2 || fail "no service"
        grep -h ^ExecStart ~/.config/systemd/user/thanksd*.service | said exec
        entry=~/.local/share/applications/thanksd.desktop
        desktop-file-validate $entry || fail "no good entry"
        grep ^Exec $entry | said exec
        installing install 2>&1 | grep -v ^make | said refused
        installing uninstall | said uninstall
        pid | said pid
        fact program_exists | said exists
        pipx uninstall thanksd >&2 || fail "pipx failed"
        ~/venv/bin/thanksd service status | tail -1 | said gone
        ~/venv/bin/thanksd service uninstall >&2
        find ~/.local/share/applications ~/.local/share/icons ~/.config/systemd -type f | said left
        """,
        timeout=180,
        env=offline,
    )
    said, link = _lines(done), f"{machine_user.home}/.local/bin/thanksd"
    assert said["exec"] == [
        f'ExecStart=:"{link}" service alarm',
        f'ExecStart=:"{link}" run',
        f'Exec=env THANKSD_OPENED=popup "{link}" add',
        f'Exec=env THANKSD_OPENED=popup "{link}" add',
        f'Exec=env THANKSD_OPENED=popup "{link}" review',
    ]
    assert said["refused"] == [
        f"Another thanksd is there, not of make install: {link}. Nothing was changed.",
        "Remove it first (pipx's: pipx uninstall thanksd), then: make install",
    ]
    assert (
        f"Left alone, as it starts another thanksd: {machine_user.home}/.config/systemd/user/thanksd.service"
        in (said["uninstall"])
    )
    assert (said["pid"] != ["0"], said["exists"]) == (True, ["true"])
    assert said["gone"] == [f"It starts a program that is gone: {link}. Mend it: thanksd service install"]
    assert "left" not in said


def _make_install(home: Path, python: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make install with an interpreter of ours in an empty home."""
    parts.need("make")
    program = home / "bin/python3"
    program.parent.mkdir()
    program.write_text(python, encoding="utf-8")
    program.chmod(0o755)
    variables = {"HOME": str(home), "PATH": f"{program.parent}:/usr/bin:/bin", **environ}
    command = ["make", "-C", str(CHECKOUT), "--no-print-directory", "install"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("#!/bin/sh\nexit 1\n", "thanksd needs Python 3.11 or newer as python3 (Debian: apt install python3"),
        (
            f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n',
            "python3 can not make virtual environments yet (Debian: apt install python3-venv).",
        ),
    ],
    ids=["old", "without venv"],
)
def test_a_python_that_will_not_do_is_one_line_that_names_the_package(home: Path, python: str, words: str) -> None:
    done = _make_install(home, python)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(words)
    assert [line for line in done.stderr.splitlines()[1:] if not line.startswith("make")] == []
    assert sorted(path.name for path in home.iterdir()) == ["bin", "run"]


def test_nobody_gets_it_installed_for_root_by_accident(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody who used sudo")
    done = _make_install(home, f'#!/bin/sh\nexec {sys.executable} "$@"\n', SUDO_USER="ada")
    assert "installed for you, not for root. Nothing was changed." in done.stderr
    assert sorted(path.name for path in home.iterdir()) == ["bin", "run"]
