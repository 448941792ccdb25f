"""Which journal a SQLite file gets.

A write-ahead log lets readers and a writer work at once, but needs memory that all processes share: over a network file system two machines
would each have their own, and destroy the file. There the rollback journal takes its place, with which they wait for each other.
"""

import logging
import re
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["JournalMode", "filesystem_of", "journal_mode"]

log = logging.getLogger(__name__)

JournalMode: TypeAlias = Literal["wal", "delete"]
"""As in ``PRAGMA journal_mode``."""

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = re.compile(r"nfs4?|cifs|smb\d?|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|ocfs2|gfs2|fuse|fuse\.(?!fuse-overlayfs$).*")


def journal_mode(path: Path) -> JournalMode:
    """Return the journal that the database at `path`, whose folder exists, can be kept with; say so once where it is the slower one."""
    try:
        mounts = _MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return "wal"  # not Linux: nothing tells, and local disks are what there is nearly always
    folder = path.resolve().parent
    kind = filesystem_of(folder, mounts)
    if kind is None or not _REMOTE.fullmatch(kind):
        return "wal"
    _say_once(folder, kind)
    return "delete"


def filesystem_of(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system that a folder lies on, as ``/proc/self/mountinfo`` tells; ``None`` when that names no place above.

    Parameters
    ----------
    folder
        Without links.
    mounts
        The text of that file.
    """
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5:
            continue
        place = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        depth = len(place.parts)
        # What is mounted later over the same place hides what was there.
        if folder.is_relative_to(place) and (found is None or depth >= found[0]):
            found = depth, kinds[0]
    return None if found is None else found[1]


@cache
def _say_once(folder: Path, kind: str) -> None:
    log.warning(
        "%s lies on a network file system (%s), which allows SQLite no write-ahead log: readers and writers of the store wait for each "
        "other there; choose a local disk (MODELBOX_DATA_DIR) where many write at once.",
        folder,
        kind,
    )
