"""The sender: one daemon thread per connection that carries the journal to the store.

Its rules: training never waits for it and never sees an error of it. What may pass later (no connection, 429, 503, 507, a token that was
refused) is tried again for as long as the process lives, with growing pauses. What the store refuses for good is divided until the
offending points are alone; those are given up, counted and named once, and the rest goes on.

Thread safety: :meth:`Sender.log`, :meth:`Sender.flush` and :meth:`Sender.tally` may be called from any thread. After a fork the child has
an empty journal with a new identity and starts a thread of its own when it logs; what the parent had not sent stays the parent's.
"""

from __future__ import annotations

import atexit
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.client.appending import at_work
from modelbox.client.journal import Batch, Journal, MemoryJournal, Tally
from modelbox.client.notices import Notices
from modelbox.errors import (
    BatchConflict,
    ModelBoxError,
    NotFound,
    RateLimited,
    ServerUnreachable,
    StorageError,
    StorageUnavailable,
    TooLarge,
    Unauthenticated,
)

if TYPE_CHECKING:
    from modelbox.client.buffer import Record
    from modelbox.client.transport import Transport

__all__ = ["EXIT_FLUSH_S", "FlushReport", "Pace", "Sender", "exit_time_left_s", "flush_all"]

EXIT_FLUSH_S = 5.0
"""How long the end of a process may wait for points that are still on their way."""

_LATER = (ServerUnreachable, StorageUnavailable, RateLimited, Unauthenticated)
_MAX_RETRY_AFTER_S = 300.0
_TRIES_OF_A_FAILING_BATCH = 3
_LAST_ANSWER_S = 1.0
_ENOUGH_POINTS = 100_000
_STEADY = 5


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What became of the points that were logged so far; true when none is left.

    Parameters
    ----------
    pending
        Points that the store has not acknowledged yet; they are sent in the background.
    dropped
        Points that were lost because too many waited.
    rejected
        Points that the store refused for good.
    """

    pending: int
    dropped: int
    rejected: int

    def __bool__(self) -> bool:
        return not self.pending


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the sender sends, and how long it pauses when a store is away.

    What is logged after a silence is sent after `interval_s`. While more keeps coming the intervals grow to five times that: each time that
    the sender is at work, training shares the interpreter with it.
    """

    interval_s: float = 0.2
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    def pause_s(self, failures: int, error: ModelBoxError) -> float:
        """Return how long to wait after so many failures in a row: doubling, with jitter, and never less than the server asked for."""
        ceiling = min(self.first_pause_s * 2.0 ** min(failures - 1, 16), self.longest_pause_s)
        jittered = ceiling * random.uniform(0.5, 1.0)  # noqa: S311  (spreads clients; nothing secret)
        return max(jittered, min(error.retry_after_s or 0.0, _MAX_RETRY_AFTER_S))


class Sender:
    """Sends what is logged to `transport`.

    Parameters
    ----------
    transport
        Where to.
    make_journal
        Makes the journal, and a new one after a fork.
    pace
        How often.
    """

    def __init__(self, transport: Transport, *, make_journal: Callable[[], Journal] = MemoryJournal, pace: Pace | None = None) -> None:
        self._transport = transport
        self._make_journal = make_journal
        self._pace = pace or Pace()
        self._notices = Notices()
        self._closed = False
        self._begin()
        _senders.add(self)

    def _begin(self) -> None:
        self._journal = self._make_journal()
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()  # a signal handler may log while a thread is being started
        self._only_one = threading.Lock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._settled = threading.Condition()
        self._gathered_points = 0

    def log(self, record: Record) -> bool:
        """Keep a record and return at once; ``False`` when too many points wait, so that this one was dropped."""
        kept = not self._closed and self._journal.append(record)
        if self._closed:
            self._notices.log("closed", "ModelBox: this connection was closed, so what is logged through it is not kept.")
        elif not kept:
            self._notices.log(
                "dropped",
                f"ModelBox: more points wait {self._journal.kept} than may, so new ones are dropped until the store answers again.",
            )
        if self._thread is None and kept:
            self._start()
        # Two threads may count as one here, which delays a batch by little.
        self._gathered_points += len(record.values)
        if self._gathered_points >= _ENOUGH_POINTS:
            self._gathered_points = 0
            self._urgent.set()
        if not self._wake.is_set():
            self._wake.set()
        return kept

    def flush(self, timeout_s: float | None = None) -> FlushReport:
        """Wait until the store has every point that was logged before this call, at most `timeout_s`; never raises for outages."""
        target = self._journal.tally().appended
        deadline = None if timeout_s is None else time.monotonic() + timeout_s

        def done() -> bool:
            return self._handled() >= target

        if not done() and (self._thread is not None or self._start()):
            self._urgent.set()
            self._wake.set()
            with self._settled:
                self._settled.wait_for(done, None if deadline is None else max(0.0, deadline - time.monotonic()))
        tally = self._journal.tally()
        return FlushReport(max(0, target - tally.acknowledged - tally.rejected), tally.dropped, tally.rejected)

    @property
    def kept(self) -> str:
        """Where points wait, as part of a sentence."""
        return self._journal.kept

    def tally(self) -> Tally:
        """Return how many points were logged and what became of them."""
        return self._journal.tally()

    def close(self, timeout_s: float = EXIT_FLUSH_S) -> FlushReport:
        """Flush, then end the thread."""
        report = self.flush(timeout_s)
        self._closed = True
        self._urgent.set()
        self._wake.set()
        thread = self._thread
        if thread is None:
            self._journal.close()
        elif thread is not threading.current_thread():
            thread.join(_LAST_ANSWER_S)
        return report

    def retire(self) -> None:
        """Leave the journal to the next process, or nothing when nothing waits: the end of this one has come."""
        self._journal.close()

    def _start(self) -> bool:
        with self._starting:
            if self._thread is not None:
                return True
            thread = threading.Thread(target=self._run, name="modelbox-sender", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down
                return False
            self._thread = thread
        _flush_before_multiprocessing_exits()
        return True

    def _run(self) -> None:
        # Ctrl-C while a thread is being started leaves a thread that nobody knows of: the first to come here is the sender.
        if not self._only_one.acquire(blocking=False):
            return
        shortest_s = interval_s = self._pace.interval_s
        while not self._closed:
            silent_since_s = time.monotonic()
            self._wake.wait()
            interval_s = shortest_s if time.monotonic() - silent_since_s > shortest_s else min(2 * interval_s, _STEADY * shortest_s)
            # Gather a little, unless somebody waits or a batch is full: one request for many points.
            self._urgent.wait(interval_s)
            self._wake.clear()
            self._urgent.clear()
            self._gathered_points = 0
            self._drain()
        self._journal.close()

    def _drain(self) -> None:
        """Send what waits now. What comes in the meantime waits for the next time, so that it makes whole batches too."""
        failures, faults = 0, 0
        target = self._journal.tally().appended
        while not self._closed and self._handled() < target and (batch := self._next_batch()) is not None:
            try:
                with at_work():
                    self._transport.append_metrics(batch.blocks, client=batch.client, batch=batch.number)
            except _LATER as error:
                failures += 1
                self._wait_for_better_times(failures, error)
            except StorageError as error:
                # Perhaps a fault that passes, perhaps one that these points cause.
                failures += 1
                faults += 1
                self._wait_for_better_times(failures, error)
                if faults >= _TRIES_OF_A_FAILING_BATCH:
                    faults = 0
                    self._refused(batch, error)
            except ModelBoxError as error:
                self._refused(batch, error)
            except Exception as error:  # noqa: BLE001  (a fault of ours must neither end this thread nor reach training)
                self._refused(batch, ModelBoxError(f"{type(error).__name__}: {error}"))
            else:
                failures = faults = 0
                self._notices.forget("away")
                self._journal.acknowledge(batch)
                self._tell_waiting()

    def _next_batch(self) -> Batch | None:
        with at_work():
            return self._journal.next_batch()

    def _handled(self) -> int:
        tally = self._journal.tally()
        return tally.acknowledged + tally.rejected

    def _wait_for_better_times(self, failures: int, error: ModelBoxError) -> None:
        self._notices.log("away", f"ModelBox: {error.detail} Points are kept {self._journal.kept} and sent again until they arrive.")
        self._tell_waiting()
        end = time.monotonic() + self._pace.pause_s(failures, error)
        while (left_s := end - time.monotonic()) > 0 and not self._closed:
            self._journal.compact()
            if self._urgent.wait(min(left_s, 1.0)):
                self._urgent.clear()
                break

    def _refused(self, batch: Batch, error: ModelBoxError) -> None:
        if isinstance(error, BatchConflict):
            # The store has other content under this number, so it has seen these points: under new numbers they could be stored twice.
            self._give_up(batch, error)
            return
        one_object_is_gone = isinstance(error, NotFound) and len({block.object_id for block in batch.blocks}) == 1
        if not one_object_is_gone and self._journal.divide(batch, points=isinstance(error, TooLarge)):
            return
        self._give_up(batch, error)

    def _give_up(self, batch: Batch, error: ModelBoxError) -> None:
        self._journal.reject(batch, error.detail)
        key = batch.blocks[0].key
        self._notices.log(
            f"rejected {error.code}", f"ModelBox: points were refused and are not kept, first of metric {key!r}: {error.detail}"
        )
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        with self._settled:
            self._settled.notify_all()


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_registered_in_pid = -1
_exit_deadline_s: float | None = None


def exit_time_left_s() -> float:
    """Return what is left of :data:`EXIT_FLUSH_S`, which begins with the first call: all that ends with the process shares it."""
    global _exit_deadline_s
    if _exit_deadline_s is None:
        _exit_deadline_s = time.monotonic() + EXIT_FLUSH_S
    return max(0.0, _exit_deadline_s - time.monotonic())


def flush_all() -> int:
    """Flush every sender at the end of the process, say what becomes of the points that are left, and return how many those are."""
    left = kept = 0
    places: set[str] = set()
    for sender in list(_senders):
        sender.flush(exit_time_left_s())
        tally = sender.tally()
        left += tally.volatile
        if tally.pending > tally.volatile:
            kept += tally.pending - tally.volatile
            places.add(sender.kept)
        sender.retire()
    if left:
        sys.stderr.write(f"ModelBox: {left} points did not reach the store before the process ended; they are lost.\n")
    if kept:
        sys.stderr.write(
            f"ModelBox: {kept} points did not reach the store before the process ended; they are kept {', '.join(sorted(places))} and are "
            "sent when ModelBox is used next, or by 'modelbox sync'.\n"
        )
    return left + kept


def _flush_before_multiprocessing_exits() -> None:
    """Children of multiprocessing leave by ``os._exit``, past atexit, but run these finalizers."""
    global _registered_in_pid
    if _registered_in_pid != os.getpid() and (util := sys.modules.get("multiprocessing.util")) is not None:
        _registered_in_pid = os.getpid()
        util.Finalize(None, flush_all, exitpriority=100)


def _begin_anew_in_child() -> None:
    global _exit_deadline_s
    _exit_deadline_s = None
    for sender in list(_senders):
        sender._journal.leave()
        sender._begin()


atexit.register(flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
