"""What the end of this process, and a fork of it, mean for its senders.

At the end each gets a little time, and a person hears what becomes of the rest. Before a fork the store hears of new experiments; the child
begins with empty journals.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING

from modelbox.client.loading import go_on_loading, renew_loading, wait_for_loading
from modelbox.forking import at_fork

if TYPE_CHECKING:
    from modelbox.client.sender import Sender

__all__ = ["EXIT_FLUSH_S", "exit_time_left_s", "flush_all", "flush_before_multiprocessing_exits", "watch"]

EXIT_FLUSH_S = 5.0
"""How long the end of a process may wait for points that are still on their way."""

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_registered_in_pid = -1
_exit_deadline_s: float | None = None


def watch(sender: Sender) -> None:
    """Mind a sender for as long as it lives."""
    _senders.add(sender)


def exit_time_left_s() -> float:
    """Return what is left of :data:`EXIT_FLUSH_S`, which begins with the first call: all that ends with the process shares it."""
    global _exit_deadline_s
    if _exit_deadline_s is None:
        _exit_deadline_s = time.monotonic() + EXIT_FLUSH_S
    return max(0.0, _exit_deadline_s - time.monotonic())


def flush_all() -> int:
    """Flush every sender at the end of the process, say what becomes of what is left, and return how much that is."""
    lost_points = lost_notes = kept_points = kept_notes = 0
    places: set[str] = set()
    for sender in list(_senders):
        sender.flush(exit_time_left_s())
        tally = sender.tally()
        if sender.is_offline:
            if tally.appended or tally.operations:
                sys.stderr.write(
                    f"ModelBox: this process was offline; its {tally.appended} points wait {sender.kept}. 'modelbox sync FOLDER' with that "
                    "folder, or a copy of it, sends them to a store.\n"
                )
        else:
            lost_points += tally.volatile
            lost_notes += tally.volatile_operations
            kept_points += tally.pending - tally.volatile
            kept_notes += tally.pending_operations - tally.volatile_operations
            if tally.pending > tally.volatile or tally.pending_operations > tally.volatile_operations:
                places.add(sender.kept)
        sender.retire()
    if lost_points or lost_notes:
        what = _points_and_notes(lost_points, lost_notes)
        sys.stderr.write(f"ModelBox: {what} did not reach the store before the process ended; they are lost.\n")
    if places:
        what = _points_and_notes(kept_points, kept_notes)
        sys.stderr.write(
            f"ModelBox: {what} did not reach the store before the process ended; they are kept {', '.join(sorted(places))} and are "
            "sent when ModelBox is used next, or by 'modelbox sync'.\n"
        )
    return lost_points + lost_notes + kept_points + kept_notes


def _points_and_notes(points: int, notes: int) -> str:
    return f"{points} points" + (f" and {notes} creations and notes" if notes else "")


def flush_before_multiprocessing_exits() -> None:
    """Children of multiprocessing leave by ``os._exit``, past atexit, but run these finalizers."""
    global _registered_in_pid
    if _registered_in_pid != os.getpid() and (util := sys.modules.get("multiprocessing.util")) is not None:
        _registered_in_pid = os.getpid()
        util.Finalize(None, flush_all, exitpriority=100)


def _settle_before_fork() -> None:
    for sender in list(_senders):
        sender.settle_before_fork()


def _begin_anew_in_child() -> None:
    global _exit_deadline_s
    _exit_deadline_s = None
    for sender in list(_senders):
        sender.begin_anew_in_child()


atexit.register(flush_all)
# In this order: what settles may have to load something.
at_fork(before=_settle_before_fork, after_in_child=_begin_anew_in_child)
at_fork(before=wait_for_loading, after_in_parent=go_on_loading, after_in_child=renew_loading)
