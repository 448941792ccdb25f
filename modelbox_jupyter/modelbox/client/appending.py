"""Writing to the journal without giving the interpreter away.

``os.write`` lets other threads of the process run Python while it is in the kernel. When the sender is at work it takes that chance, and
``log()``, which is back after a microsecond, waits until the sender lets go: for milliseconds. So while a sender is at work the same system
call is made through a library handle that keeps the interpreter, and the sender gets its turns from the training step instead. That call
takes half a microsecond longer. Where somebody logs only now and then it is always made, so that a sender that wakes up does not get in
between.

Thread safety: everything here may be called from any thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["append", "at_work", "keep_between_turns"]

_lock = threading.Lock()
_workers = 0
_keeps_between_turns = False
_keeping_write: Callable[[int, bytes, int], int] | None = None
_is_looked_for = False


def append(fd: int, data: bytes) -> int:
    """Write as ``os.write`` does: return how many bytes were written, raise ``OSError``."""
    if (_workers or _keeps_between_turns) and _keeping_write is not None and type(data) is bytes:
        written = _keeping_write(fd, data, len(data))
        if written >= 0:
            return written
    # Also after a failure: it says what is wrong, or succeeds where only a signal came in between.
    return os.write(fd, data)


@contextmanager
def at_work() -> Iterator[None]:
    """Mark the calling thread as one that :func:`append` keeps the interpreter from."""
    global _workers
    _look_for_write()
    with _lock:
        _workers += 1
    try:
        yield
    finally:
        with _lock:
            _workers -= 1


def keep_between_turns(keep: bool) -> None:
    """Say whether :func:`append` keeps the interpreter while no sender is at work either; the last word counts."""
    global _keeps_between_turns
    _keeps_between_turns = keep


def _look_for_write() -> None:
    """Find the C library's ``write``, once: loading ctypes takes milliseconds, which a sender has and a first ``log()`` has not."""
    global _keeping_write, _is_looked_for
    if _is_looked_for:
        return
    _is_looked_for = True
    with suppress(ImportError, OSError, TypeError, AttributeError):  # a Python without ctypes, or Windows
        import ctypes

        write = ctypes.PyDLL(None).write
        write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
        write.restype = ctypes.c_ssize_t
        _keeping_write = write


def _begin_anew_in_child() -> None:
    global _lock, _workers, _keeps_between_turns
    _lock, _workers, _keeps_between_turns = threading.Lock(), 0, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
