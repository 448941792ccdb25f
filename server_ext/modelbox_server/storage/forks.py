"""Keep database connections out of forked children.

A connection that both sides of a fork use corrupts a network protocol, and SQLite files too: the child believes that it holds file locks
which the kernel gave to the parent only, and a parent that ends could then remove the log the child is writing to. So a store closes its
idle connections just before a fork, after letting transactions that are under way end, and starts with new locks in the child.

Thread safety: a guard may be used from any thread; a fork waits, for a bounded time, until no other thread is inside :meth:`ForkGuard.use`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

from modelbox.forking import at_fork

__all__ = ["ForkGuard"]

_WAIT_S = 5.0


class ForkGuard:
    """Stands between the connections of one store and any fork of the process.

    Parameters
    ----------
    close_idle
        Closes every connection that nobody uses; called in the parent, before the fork.
    renew
        Drops, without closing, whatever is left of the parent's connections, and replaces locks; called in the child.
    """

    def __init__(self, close_idle: Callable[[], None], renew: Callable[[], None]) -> None:
        self._close_idle = close_idle
        self._renew = renew
        self._changed = threading.Condition()
        self._uses = 0
        self._own = threading.local()
        _guards.add(self)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Hold off forks of other threads while the block runs."""
        with self._changed:
            self._uses += 1
        self._own.uses = self._own_uses() + 1
        try:
            yield
        finally:
            self._own.uses -= 1
            with self._changed:
                self._uses -= 1
                self._changed.notify_all()

    def _own_uses(self) -> int:
        return getattr(self._own, "uses", 0)

    def _before(self) -> None:
        # Held until the fork is done: nothing new begins meanwhile. A fork from inside a transaction does not wait for that one.
        self._changed.acquire()
        self._changed.wait_for(lambda: self._uses <= self._own_uses(), timeout=_WAIT_S)
        self._close_idle()

    def _after_in_parent(self) -> None:
        self._changed.release()

    def _after_in_child(self) -> None:
        self._changed = threading.Condition()
        self._uses = self._own_uses()
        self._renew()


_guards: WeakSet[ForkGuard] = WeakSet()
_held: list[ForkGuard] = []


def _before() -> None:
    _held.extend(_guards)
    for guard in _held:
        guard._before()


def _after_in_parent() -> None:
    for guard in _held:
        guard._after_in_parent()
    _held.clear()


def _after_in_child() -> None:
    for guard in _held:
        guard._after_in_child()
    _held.clear()


at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
