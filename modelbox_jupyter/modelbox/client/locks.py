"""Locks that the system releases when their process ends, however it ends: how a journal shows that its owner lives."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hold", "is_held"]


def hold(path: Path) -> int | None:
    """Lock a file and return its descriptor, which holds the lock until it is closed; ``None`` when the lock is taken, or the file gone.

    Raises
    ------
    OSError
        The folder cannot be written to, or this system has no such locks.
    """
    if sys.platform == "win32":
        raise OSError("file locks need a POSIX system")
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody may have finished with the folder, and removed it, between the two lines above.
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock on a file."""
    if not path.exists():
        return False
    descriptor = hold(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
