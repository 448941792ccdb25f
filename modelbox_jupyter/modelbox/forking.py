"""What has to happen before and after a fork of this process, in one order.

Unlike :func:`os.register_at_fork` this also keeps its word for what another thread registers while a fork is on its way: a store that is
opened at that moment gets ready for the fork as well.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["at_fork"]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Hooks:
    before: Callable[[], object]
    after_in_parent: Callable[[], object]
    after_in_child: Callable[[], object]


_hooks: list[_Hooks] = []
_begun: list[_Hooks] = []
# Two threads that fork at once would otherwise run the hooks in different orders.
_one_fork = threading.Lock()


def at_fork(
    *,
    before: Callable[[], object] = _nothing,
    after_in_parent: Callable[[], object] = _nothing,
    after_in_child: Callable[[], object] = _nothing,
) -> None:
    """Call these at every fork: `before` in the order of registration, the others the other way round."""
    _hooks.append(_Hooks(before, after_in_parent, after_in_child))


def _before() -> None:
    _one_fork.acquire()
    while len(_begun) < len(_hooks):  # which may grow meanwhile
        hooks = _hooks[len(_begun)]
        _begun.append(hooks)
        hooks.before()


def _after_in_parent() -> None:
    while _begun:
        _begun.pop().after_in_parent()
    _one_fork.release()


def _after_in_child() -> None:
    global _one_fork
    _one_fork = threading.Lock()
    while _begun:
        _begun.pop().after_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which never forks
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
