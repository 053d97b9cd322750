"""A real `systemd --user` of a real unprivileged user who installed the wheel, also where PID 1 is no systemd.

Everything happens in namespaces of its own (mounts and processes), so nothing outlives a run and the machine's own
/run and services are never touched. Needs root and the right to make namespaces.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import parts
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# The interpreter an ordinary user of the machine has; root's own (pyenv) lies where that user can't read.
PYTHON = "/usr/bin/python3"
_LEFT_IN_HOME = frozenset({"venv"})

# $1 user, $2 the user's script, the rest NAME=VALUE for it. A tmpfs hides the machine's /run; systemd asks only for
# /run/systemd/system to believe that it may start. The new cgroup belongs to the user, as a login would arrange it.
_AS_ROOT = r"""
set -euo pipefail
user=$1 script=$2; shift 2
uid=$(id -u "$user") gid=$(id -g "$user") home=$(getent passwd "$user" | cut -d: -f6)
mount -t tmpfs -o mode=755 tmpfs /run
# /run/credentials: a system's own manager made it at boot; a unit with a mount namespace gets its credentials below it.
mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/propagate /run/lock /run/credentials "/run/user/$uid"
chown "$uid:$gid" "/run/user/$uid"; chmod 700 "/run/user/$uid"
# What stands in $HOSTS, such as a provider's name for a server of ours, is in nobody else's /etc/hosts.
if [ -n "${HOSTS:-}" ]; then
    { cat /etc/hosts; echo "$HOSTS"; } >/run/hosts; chmod 644 /run/hosts; mount --bind /run/hosts /etc/hosts
fi
# Another machine is one with another /etc/machine-id.
if [ -n "${MACHINE_ID:-}" ]; then
    echo "$MACHINE_ID" >/run/machine-id; chmod 444 /run/machine-id; mount --bind /run/machine-id /etc/machine-id
fi
# Where none is mounted there is none in the way.
! mountpoint -q /sys/fs/cgroup || umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/$user
mkdir -p "$group"; chown -R "$uid:$gid" "$group"; echo $$ >"$group/cgroup.procs"
set +e
setpriv --reuid="$uid" --regid="$gid" --init-groups env -i HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
    PATH="$home/venv/bin:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 TZ=Europe/Berlin XDG_RUNTIME_DIR="/run/user/$uid" \
    "$@" bash -c "$AS_USER" bash "$script"
code=$?
echo $$ >/sys/fs/cgroup/cgroup.procs
find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
exit $code
"""

# $1 is the script. The manager gets an environment without the session bus: its own dbus.socket says where that is.
_AS_USER = r"""
cd "$HOME" && umask 022
/lib/systemd/systemd --user --unit=default.target >"$XDG_RUNTIME_DIR/manager.log" 2>&1 & manager=$!
state=none
for _ in $(seq 200); do
    state=$(systemctl --user is-system-running 2>/dev/null)
    case $state in running|degraded) break ;; esac
    sleep 0.1
done
case $state in
running|degraded) ;;
*) echo "the user manager is $state, not running:" >&2; cat "$XDG_RUNTIME_DIR/manager.log" >&2; exit 97 ;;
esac
export DBUS_SESSION_BUS_ADDRESS="unix:path=$XDG_RUNTIME_DIR/bus"
bash -c "$1"; code=$?
systemctl --user exit 2>/dev/null || kill "$manager"
wait "$manager"
exit $code
"""


def run_as_user(
    user: str, script: str, timeout: float = 60.0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a bash script as `user` beside that user's own, fresh systemd manager and session bus.

    `timeout` is in seconds; when it ends, every process of the run is killed and TimeoutExpired raised. `env` is added
    to the few variables a login has. Standard output and error are captured apart; exit 97 is a manager that failed.
    """
    return subprocess.run(
        command_as_user(user, script, env),
        env=environ_of_root(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def command_as_user(user: str, script: str, env: dict[str, str] | None = None) -> list[str]:
    """Give the words of the command that `run_as_user` runs, for a terminal of its own; see environ_of_root."""
    arguments = [f"{name}={value}" for name, value in (env or {}).items()]
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    return [*command, "bash", "-c", _AS_ROOT, "bash", user, script, *arguments]


def environ_of_root(hosts: str = "", machine_id: str = "") -> dict[str, str]:
    """Give the environment of that command; `hosts` are lines for the user's /etc/hosts, `machine_id` is 32 hex digits."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "AS_USER": _AS_USER, "HOSTS": hosts, "MACHINE_ID": machine_id}


@dataclass(frozen=True)
class MachineUser:
    """An ordinary user of this machine, with thanksd installed from the wheel; the home is real, not under /tmp."""

    name: str
    home: Path
    thanksd: Path

    def run(
        self, script: str, timeout: float = 60.0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a bash script as this user, see run_as_user; `thanksd` is on its PATH."""
        return run_as_user(self.name, script, timeout, env)

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file of this user's into the home, folders included (0700)."""
        account, path = pwd.getpwnam(self.name), self.home / name
        for folder in reversed([parent for parent in path.parents if parent.is_relative_to(self.home)]):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, account.pw_uid, account.pw_gid)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.chown(path, account.pw_uid, account.pw_gid)
        return path

    def forget_all(self) -> None:
        """Empty the home but for the program, as if this user had never run it."""
        for entry in self.home.iterdir():
            if entry.name in _LEFT_IN_HOME:
                continue
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@pytest.fixture(scope="session")
def machine_account(wheel: Path) -> Iterator[MachineUser]:
    """The user of `machine_user`, made once and removed, home and all, at the end."""
    _need_namespaces()
    name = f"thanksd-{uuid.uuid4().hex[:8]}"
    _call("useradd", "--create-home", "--no-log-init", "--shell", "/bin/bash", name)
    try:
        user = MachineUser(name, Path(pwd.getpwnam(name).pw_dir), Path(pwd.getpwnam(name).pw_dir) / "venv/bin/thanksd")
        _install(user, wheel)
        yield user
    finally:
        _call("userdel", "--force", "--remove", name)


@pytest.fixture
def machine_user(machine_account: MachineUser) -> MachineUser:
    """An ordinary user with an empty home but for the installed program; each `run` has a fresh user manager."""
    machine_account.forget_all()
    return machine_account


@pytest.fixture(scope="session")
def wheels(machine_account: MachineUser) -> Iterator[Path]:
    """A folder that anybody may read, with all that is locked, and what pipx wants besides."""
    with tempfile.TemporaryDirectory(prefix="td-wheels-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        pip = [str(machine_account.home / "venv/bin/python"), "-m", "pip", "download", "-q", "-d", str(folder)]
        for words in (
            ["-r", "requirements-postgres.lock"],
            ["-r", "requirements-build.lock"],
            ["pip", "setuptools", "wheel"],
        ):
            done = subprocess.run(
                [*pip, *words], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300
            )
            assert done.returncode == 0, done.stderr
        yield folder


@pytest.fixture
def source(machine_user: MachineUser, dist: Path) -> Path:
    """The source as it is shipped, in the user's ~/src."""
    parts.need("make")
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(machine_user.home, filter="data")
    folder = (machine_user.home / sdist.name.removesuffix(".tar.gz")).rename(machine_user.home / "src")
    subprocess.run(["chown", "-R", f"{machine_user.name}:", str(machine_user.home)], check=True)
    return folder


def _need_namespaces() -> None:
    parts.need("unshare", "setpriv", "useradd", "systemctl", "dbus-daemon", "systemd-analyze")
    if os.geteuid() != 0:
        _cannot("only root can make a user and a mount namespace for a real systemd --user")
    if _try("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"):
        _cannot("this container does not allow mount namespaces")
    if _try(PYTHON, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"):
        _cannot(f"{PYTHON} is missing, older than 3.11, or without its venv module")


def _try(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _install(user: MachineUser, wheel: Path) -> None:
    # As root, with root's pip settings and cache: whatever let `make` install the locks lets this do it again.
    venv = user.home / "venv"
    _call(PYTHON, "-m", "venv", str(venv))
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    _call(*pip, "--require-hashes", "--requirement", str(CHECKOUT / "requirements.lock"))
    _call(*pip, "--no-deps", str(wheel))
    _call("chown", "--recursive", f"{user.name}:", str(venv))


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
