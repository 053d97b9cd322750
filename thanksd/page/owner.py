"""Whose program is at the other end of a connection over loopback: the kernel says so, in /proc/net/tcp (proc(5)).

Every user of the machine can connect to a port of it, and read on another's command line the link that a browser is
started with. So who connects is looked at before a byte is read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "0000000000000000FFFF0000" if socket.htons(1) != 1 else "00000000000000000000FFFF"
# Columns of the table: which socket, its peer, and the user it belongs to.
_LOCAL, _PEER, _UID = 1, 2, 7


def is_ours(peer: tuple[str, int], here: tuple[str, int], tables: Sequence[Path] = TABLES) -> bool:
    """Say whether the socket at `peer`, connected to ours at `here`, is of our own user; both are (IPv4, port).

    Where the kernel's tables can't be read, or have no such socket, it is not: better no page than one for everybody.
    """
    pair = [_hex(peer), _hex(here)]
    # A socket of IPv6 that speaks IPv4 stands in the other table (RFC 4291, 2.5.5.2).
    mapped = [_MAPPED + address for address in pair]
    found = [row for table in tables for row in _rows(table) if row[_LOCAL : _PEER + 1] in (pair, mapped)]
    return bool(found) and all(int(row[_UID]) == os.getuid() for row in found)


def _rows(table: Path) -> list[list[str]]:
    try:
        return [row.split() for row in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []


def _hex(address: tuple[str, int]) -> str:
    """Write an address as the table does: the four bytes in the machine's own order, then the port."""
    host = int.from_bytes(socket.inet_aton(address[0]), "little" if _is_little() else "big")
    return f"{host:08X}:{address[1]:04X}"


def _is_little() -> bool:
    return socket.htons(1) != 1
