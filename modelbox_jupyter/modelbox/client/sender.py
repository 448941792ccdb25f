"""The sender: one daemon thread per connection that carries the journal to the store, points and operations in their order.

Its rules: training never waits for it and never sees an error of it. What may pass later (no connection, 429, 503, 507, a token that was
refused) is tried again for as long as the process lives, with growing pauses. What the store refuses for good is divided until the
offending points are alone; those are given up, counted and named once, and the rest goes on.

Thread safety: what logs, submits, flushes or counts may be called from any thread. After a fork the child has an empty journal with a new
identity and starts a thread of its own when it logs; what the parent had not sent stays the parent's. Only creations that the store had not
answered are in both: the child may be first to log to an experiment.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from modelbox.client.appending import at_work, keep_between_turns
from modelbox.client.journal import Batch, Journal, MemoryJournal, Tally
from modelbox.client.loading import loading
from modelbox.client.notices import Notices
from modelbox.client.process_end import EXIT_FLUSH_S, flush_before_multiprocessing_exits, watch
from modelbox.errors import (
    AlreadyDone,
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
    from pathlib import Path

    from modelbox.client.buffer import Record
    from modelbox.client.operations import Operation
    from modelbox.client.transport import Transport

__all__ = ["FlushReport", "Pace", "Sender"]

_LATER = (ServerUnreachable, StorageUnavailable, RateLimited, Unauthenticated)
_MAX_RETRY_AFTER_S = 300.0
_TRIES_OF_A_FAILING_BATCH = 3
_LAST_ANSWER_S = 1.0
_ENOUGH_POINTS = 100_000
_FAST_POINTS_PER_S = 200_000
_STEADY = 5
_SYNC_S = 1.0
_BEFORE_FORK_S = 2.0
_logger = logging.getLogger("modelbox")


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
    operations
        Creations, metadata, events and files that the store has not acknowledged yet.
    """

    pending: int
    dropped: int
    rejected: int
    operations: int = 0

    def __bool__(self) -> bool:
        return not self.pending and not self.operations


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
        Where to; ``None`` to send nothing, and only write what was logged through to the disk now and then.
    make_journal
        Makes the journal, and a new one after a fork.
    pace
        How often.
    """

    def __init__(
        self, transport: Transport | None, *, make_journal: Callable[[], Journal] = MemoryJournal, pace: Pace | None = None
    ) -> None:
        self._transport = transport
        self._make_journal = make_journal
        self._pace = pace or Pace()
        self._notices = Notices()
        self._closed = False
        self._begin()
        watch(self)

    def _begin(self, creations: Iterable[Operation] = ()) -> None:
        self._journal = self._make_journal()
        self._inherited = list(creations)
        self._unanswered: dict[str, tuple[Operation, Callable[[object], None]]] = {}
        self._is_away = False
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()  # a signal handler may log while a thread is being started
        self._only_one = threading.Lock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._settled = threading.Condition()
        self._gathered_points = 0

    def log(self, record: Record) -> bool:
        """Keep a record and return at once; ``False`` when too many points wait, so that this one was dropped."""
        if self._inherited:
            self._submit_inherited()
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
        if self._gathered_points >= _ENOUGH_POINTS and not self.is_away and not self._urgent.is_set():
            self._urgent.set()
        if not self._wake.is_set():
            self._wake.set()
        return kept

    def submit(self, operation: Operation, answered: Callable[[object], None] = lambda answer: None) -> bool:
        """Keep an operation and return at once; ``False`` when this connection is closed.

        Parameters
        ----------
        operation
            What is to be done, after everything that was logged so far.
        answered
            Called with the answer of the store, by another thread; not called when the store refuses.
        """
        if self._closed:
            self._notices.log("closed", "ModelBox: this connection was closed, so what is logged through it is not kept.")
            return False
        if self._inherited:
            self._submit_inherited()
        self._unanswered[operation.key] = (operation, answered)
        self._journal.append_operation(operation)
        if self._thread is None:
            self._start()
        self._wake.set()
        return True

    def _submit_inherited(self) -> None:
        creations, self._inherited = self._inherited, []
        for creation in creations:
            self._journal.append_operation(creation)

    def keep_file(self, copy: Callable[[Path], None], size_bytes: int) -> str | None:
        """Keep the bytes of a file with the journal; return their name, or ``None`` when there is no room, or no place for files."""
        return self._journal.keep_file(copy, size_bytes)

    @property
    def is_away(self) -> bool:
        """Whether the store did not answer when it was asked last, or is never asked."""
        return self._is_away or self._transport is None

    @property
    def owes_operations(self) -> bool:
        """Whether operations wait."""
        return bool(self._unanswered or self._inherited)

    def flush(self, timeout_s: float | None = None, *, patient: bool = True) -> FlushReport:
        """Wait until the store has everything that was logged before this call, at most `timeout_s`; never raises for outages.

        Unless `patient`, a store that does not answer is not waited for.
        """
        before = self._journal.tally()
        target = before.appended + before.operations
        deadline = None if timeout_s is None else time.monotonic() + timeout_s

        def done() -> bool:
            return self._handled() >= target or self._closed or (not patient and self._is_away)

        if self._transport is None:
            self._journal.compact()
        elif not done() and (self._thread is not None or self._start()):
            self._urgent.set()
            self._wake.set()
            with self._settled:
                self._settled.wait_for(done, None if deadline is None else max(0.0, deadline - time.monotonic()))
        tally = self._journal.tally()
        return FlushReport(
            max(0, before.appended - tally.acknowledged - tally.rejected),
            tally.dropped,
            tally.rejected,
            max(0, before.operations - tally.settled_operations),
        )

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

    @property
    def is_offline(self) -> bool:
        """Whether nothing is ever sent."""
        return self._transport is None

    def settle_before_fork(self) -> None:
        """Let the store know of new experiments before a child logs to them."""
        if self.owes_operations and not self.is_away and threading.current_thread() is not self._thread:
            self.flush(_BEFORE_FORK_S, patient=False)

    def begin_anew_in_child(self) -> None:
        """Leave what waits to the parent, all but creations that the store has not answered."""
        creations = [operation for operation, _ in self._unanswered.values() if operation.creates is not None]
        self._journal.leave()
        self._begin([*self._inherited, *creations])

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
        flush_before_multiprocessing_exits()
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
            woken_s = time.monotonic()
            self._urgent.wait(interval_s)
            gathered_s = time.monotonic() - woken_s
            if gathered_s >= shortest_s / 2:
                keep_between_turns(self._gathered_points < _FAST_POINTS_PER_S * gathered_s)
            self._wake.clear()
            self._urgent.clear()
            self._gathered_points = 0
            if self._transport is None:
                self._urgent.wait(_SYNC_S)
                self._journal.compact()
                continue
            with loading(), at_work():  # here, after a pause: training has its first steps to itself
                import_module("modelbox.wire.series")
            self._drain()
        self._journal.close()

    def _drain(self) -> None:
        """Send what waits now. What comes in the meantime waits for the next time, so that it makes whole batches too."""
        failures, faults = 0, 0
        before = self._journal.tally()
        target = before.appended + before.operations
        while not self._closed and self._transport is not None and self._handled() < target:
            batch = self._next_batch()
            if batch is None:
                break
            try:
                with at_work():
                    answer = _send(batch, self._transport)
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
                self._is_away = False
                self._notices.forget("away")
                if batch.operation is not None:
                    self._answered(batch.operation, answer)
                self._journal.acknowledge(batch)
                self._tell_waiting()

    def _next_batch(self) -> Batch | None:
        with at_work():
            return self._journal.next_batch()

    def _handled(self) -> int:
        return self._journal.tally().settled

    def _answered(self, operation: Operation, answer: object) -> None:
        _, callback = self._unanswered.pop(operation.key, (None, None))
        if callback is None:
            return
        try:
            callback(answer)
        except Exception as error:  # noqa: BLE001  (a fault of ours must not end this thread)
            _logger.warning("ModelBox: the answer to %s was not understood: %s: %s", operation.what, type(error).__name__, error)

    def _wait_for_better_times(self, failures: int, error: ModelBoxError) -> None:
        self._notices.log("away", f"ModelBox: {error.detail} Points are kept {self._journal.kept} and sent again until they arrive.")
        self._is_away = True
        self._tell_waiting()
        end = time.monotonic() + self._pace.pause_s(failures, error)
        while (left_s := end - time.monotonic()) > 0 and not self._closed:
            self._journal.compact()
            if self._urgent.wait(min(left_s, 1.0)):
                self._urgent.clear()
                break

    def _refused(self, batch: Batch, error: ModelBoxError) -> None:
        if isinstance(error, AlreadyDone) and batch.operation is not None:
            self._unanswered.pop(batch.operation.key, None)
            self._journal.acknowledge(batch)
            self._tell_waiting()
            return
        if isinstance(error, BatchConflict):
            # Another copy of this journal was sent, and had more or fewer points. Otherwise the store has other content under this number,
            # so it has seen these points: under new numbers they could be stored twice.
            if not self._journal.resolve(batch, error.stored_points):
                self._give_up(batch, error)
            self._tell_waiting()
            return
        if batch.operation is not None:
            self._give_up(batch, error)
            return
        one_object_is_gone = isinstance(error, NotFound) and len({block.object_id for block in batch.blocks}) == 1
        if not one_object_is_gone and self._journal.divide(batch, points=isinstance(error, TooLarge)):
            return
        self._give_up(batch, error)

    def _give_up(self, batch: Batch, error: ModelBoxError) -> None:
        self._journal.reject(batch, error.detail)
        if batch.operation is not None:
            self._unanswered.pop(batch.operation.key, None)
            self._notices.log(
                f"refused {batch.operation.route} {error.code}", f"ModelBox: {batch.operation.what} was refused: {error.detail}"
            )
        else:
            key = batch.blocks[0].key
            self._notices.log(
                f"rejected {error.code}", f"ModelBox: points were refused and are not kept, first of metric {key!r}: {error.detail}"
            )
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        with self._settled:
            self._settled.notify_all()


def _send(batch: Batch, transport: Transport) -> object:
    if batch.operation is None:
        return transport.append_metrics(batch.blocks, client=batch.client, batch=batch.number)
    operation = batch.operation
    try:
        return operation.carry_out(transport)
    except NotFound:
        created = operation.creates
        if created is None or created.parent_id is None:
            raise
        # A parent that the store does not know must not cost the experiment, and with it all its points.
        _logger.warning("ModelBox: there is no experiment %s, so %r is kept without a parent.", created.parent_id, created.name)
        return operation.without_parent().carry_out(transport)
