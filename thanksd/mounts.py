"""Where a ledger may lie: file systems of other machines, whose locks SQLite can't rely on, and synced folders."""

from __future__ import annotations

import re
from pathlib import Path

from thanksd.addresses import display_safe
from thanksd.errors import ConfigError

_MOUNTS = Path("/proc/self/mountinfo")

# By their names in mount(8). SQLite's own words are that locks are broken on many of them
# (sqlite.org/faq.html, question 5), and another machine may use the same file at the same time.
_OF_NETWORKS = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|ncpfs|9p|afs|coda|ceph|glusterfs|lustre|gpfs|beegfs|pvfs2|davfs"
    r"|fuse\.(sshfs|rclone|davfs2?|glusterfs|ceph.*|s3fs|curlftpfs|gvfsd-fuse|goofys|gcsfuse|kio-fuse|google-drive.*)"
)

# What a program that carries folders to other machines leaves in them, and what it calls them, in lower case.
_MARKS = {
    "Dropbox": (".dropbox.cache",),
    "Nextcloud or ownCloud": (".sync_*.db", "._sync_*.db", ".nextcloudsync.log", ".owncloudsync.log"),
    "Syncthing": (".stfolder",),
    "Resilio Sync": (".sync/ID",),
    "Google Drive": (".tmp.driveupload", ".tmp.drivedownload"),
    "OneDrive": (".849C9593-D756-4E56-8D6E-42412F2A707B",),
}
_NAMES = {
    "Dropbox": r"dropbox( \(.+\))?",
    "Nextcloud or ownCloud": r"nextcloud|owncloud",
    "Google Drive": r"google ?drive|my drive|googledrive-.+",
    "OneDrive": r"onedrive( - .+)?",
    "iCloud": r"icloud ?drive|com~apple~clouddocs",
    "MEGA": r"mega|megasync",
    "Seafile": r"seafile",
    "pCloud": r"pcloud ?drive",
}


def refuse_network(file: Path) -> None:
    """Refuse a store on a file system of another machine, before anything there is made or opened.

    Raises ConfigError with the remedy.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        # Without /proc nothing is known; SQLite itself still refuses where there are no locks at all.
        return
    kind = network_kind(mounts, file)
    if kind:
        raise ConfigError(
            f"The ledger can't be kept on a network file system ({display_safe(kind)}): {file}. Nothing was made.",
            "Name a file on a disk of this machine: --store FILE, THANKSD_STORE or XDG_DATA_HOME.",
        )


def network_kind(mounts: str, file: Path) -> str:
    """Give the type of the file system that `file` (absolute, resolved) is on, where it is one of another machine.

    `mounts` is the text of /proc/self/mountinfo; its fields are those of proc(5). Of two mounts on one place the later
    one is seen.
    """
    kinds: dict[str, str] = {}
    for line in mounts.splitlines():
        before, found, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if found and len(fields) > 4 and len(types) > 1:  # noqa: PLR2004  proc(5): the fifth is the mount point
            kinds[_unescaped(fields[4])] = _kind(*types[:2])
    kind = next((kinds[str(above)] for above in (file, *file.parents) if str(above) in kinds), "")
    return kind if _OF_NETWORKS.fullmatch(kind) else ""


def _kind(kind: str, source: str) -> str:
    # davfs2 calls itself fuse alone, and has the address for its source.
    return "davfs" if kind == "fuse" and "://" in source else kind


def _unescaped(point: str) -> str:
    """Give a mount point as it is: spaces, tabs, line feeds and backslashes are octal escapes there."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point)


def synced_by(folder: Path) -> str:
    """Name the program that carries this folder to other machines; "" where none is known to."""
    for above in (folder, *folder.parents):
        for program, names in _NAMES.items():
            if re.fullmatch(names, above.name.lower()):
                return program
        for program, marks in _MARKS.items():
            if any(next(above.glob(mark), None) for mark in marks):
                return program
    return ""
