"""Whose program is at the other end of a connection over loopback: the kernel says so, in /proc/net/tcp (proc(5)).

Every user of the machine can connect to a port of it, and read on another's command line the link that a browser is
started with. So who connects is looked at before a byte is read.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
# Columns of the table: which socket, its peer, and the user it belongs to.
_LOCAL, _PEER, _UID = 1, 2, 7


def is_ours(peer: tuple[str, int], here: tuple[str, int], table: Path = _TABLE) -> bool:
    """Say whether the socket at `peer`, connected to ours at `here`, is of our own user; both are (IPv4, port).

    Where the kernel's table can't be read, or has no such socket, it is not: better no page than one for everybody.
    """
    wanted = [_hex(peer), _hex(here)]
    try:
        rows = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return False
    found = [columns for row in rows if (columns := row.split())[_LOCAL : _PEER + 1] == wanted]
    return bool(found) and all(int(columns[_UID]) == os.getuid() for columns in found)


def _hex(address: tuple[str, int]) -> str:
    """Write an address as the table does: the four bytes in the machine's own order, then the port."""
    host = int.from_bytes(socket.inet_aton(address[0]), "little" if _is_little() else "big")
    return f"{host:08X}:{address[1]:04X}"


def _is_little() -> bool:
    return socket.htons(1) != 1
