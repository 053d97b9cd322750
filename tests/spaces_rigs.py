"""Work done in a network and mounts of its own, as on a machine that has lost its names, routes or addresses."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import parts
import pytest

_T = TypeVar("_T")
# sched.h
_OWN_MOUNTS, _OWN_NETWORK = 0x00020000, 0x40000000


def mounted(folder: Path, over: str, text: str) -> tuple[str, ...]:
    """Give the command that puts a file with this text over another."""
    file = folder / Path(over).name
    file.write_text(text, encoding="utf-8")
    return ("mount", "--bind", str(file), over)


def apart(work: Callable[[], _T], *setup: Sequence[str]) -> _T:
    """Do some work in a thread that has a network of its own (lo alone, and down) and mounts of its own.

    The commands of `setup` are run there before. What the thread starts, servers too, is in there with it.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may make a network namespace")
    parts.need("mount", *{words[0] for words in setup})

    def there() -> _T:
        # Namespaces are a thread's own: the rest of the tests stays outside.
        if ctypes.CDLL(None, use_errno=True).unshare(_OWN_MOUNTS | _OWN_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare")
        for words in (("mount", "--make-rprivate", "/"), *setup):
            subprocess.run([str(parts.find(words[0])), *words[1:]], check=True)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(there).result()
