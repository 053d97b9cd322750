"""Keeps the memory of a process that holds a password or an access token out of core files."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4  # prctl(2)


def seal() -> None:
    """Have the kernel write no core of this process, however it ends, and let no other program of its user look in.

    Called before a secret comes in, by a read or by typing. It holds until the process ends, and not for programs that
    it starts (prctl(2), PR_SET_DUMPABLE). A limit of no bytes alone still lets a core be piped to a program (core(5)):
    that is what is left where the kernel has no prctl.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None or prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
