"""Who we are among processes: the lock that keeps one daemon per store, and the name that a claim is made under."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from thanksd.errors import PermissionDeniedError, TryLaterError


class InstanceLock:
    """An flock(2) on a file beside the store. The kernel drops it with the process, so no stale lock is possible."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, role: str) -> bool:
        """Take the lock without waiting and write `role` and pid into it; False where somebody has it.

        Raises PermissionDeniedError where the file can't be opened, TryLaterError where it can't be written.
        """
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PermissionDeniedError(
                f"The lock can't be opened: {self.path}: {error.strerror}. Nothing stored.",
                "Check who owns that folder.",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(handle, 0)
            os.write(handle, f"{role} {os.getpid()}\n".encode("ascii"))
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError as error:
            os.close(handle)
            raise TryLaterError(
                f"The lock can't be written: {self.path}: {error.strerror}. Nothing stored.",
                "Free some space and try again.",
            ) from error
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two holders lock two files of one name."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def holder(self) -> tuple[str, int]:
        """Give the role and pid that the holder wrote; ("", 0) where nothing is known."""
        try:
            role, pid = self.path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return "", 0
        return role, int(pid)

    def held_by_daemon(self) -> bool:
        """Say whether a daemon holds the lock now."""
        # Only then is the lock tried: a daemon that starts at that very moment would find it taken.
        if self.holder()[0] != "daemon":
            return False
        if self.acquire("look"):
            self.release()
            return False
        return self.holder()[0] == "daemon"


def _start_time(pid: int) -> str:
    """Give a process's start in clock ticks since boot (proc(5), stat field 22); "" where there is none such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The command's name may hold spaces and parentheses; the fields we want follow the last one.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _machine() -> str:
    # The same machine in another pid namespace (a container) can't see our pids: treat it as another machine.
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        if path.exists():
            return f"{path.read_text(encoding='ascii').strip()[:12]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    return f"{os.uname().nodename}-{Path('/proc/self/ns/pid').stat().st_ino}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def how_to_stop(pid: int) -> str:
    """Give the command that stops a process of ours: by its unit where it runs under one (cgroups(7))."""
    try:
        group = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        group = ""
    return "systemctl --user stop thanksd" if group.rstrip().endswith("/thanksd.service") else f"kill {pid}"


def owner() -> str:
    """Name this process so that another can tell whether it is still alive: machine, boot, pid, start time."""
    pid = os.getpid()
    return f"{_machine()} {_boot()} {pid} {_start_time(pid)}"


def is_surely_dead(name: str) -> bool:
    """Say whether the owner's process is known to have ended; another machine's can't be known."""
    machine, boot, pid, start = name.split(" ")
    if machine != _machine():
        return False
    return boot != _boot() or _start_time(int(pid)) != start
