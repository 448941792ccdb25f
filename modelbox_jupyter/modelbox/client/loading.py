"""Imports of background threads, which a fork must not cut in half: the child could neither finish nor repeat them.

:func:`loading` is held around them, and a fork waits until nobody holds it (:mod:`modelbox.client.process_end` sees to that).
"""

from __future__ import annotations

# Loaded in the middle of a fork, it would release a lock afterwards that it had not taken before.
import concurrent.futures.thread  # noqa: F401
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["go_on_loading", "loading", "renew_loading", "wait_for_loading"]

_lock = threading.RLock()


@contextmanager
def loading() -> Iterator[None]:
    """Hold off forks of other threads, and other such blocks, while the block runs."""
    with _lock:
        yield


def wait_for_loading() -> None:
    """Wait until nobody holds :func:`loading`, and hold it: for the time of a fork."""
    _lock.acquire()


def go_on_loading() -> None:
    """End what :func:`wait_for_loading` began."""
    _lock.release()


def renew_loading() -> None:
    """Begin anew in a forked child."""
    global _lock
    _lock = threading.RLock()
