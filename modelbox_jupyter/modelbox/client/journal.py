"""The journal: where records wait until the store has acknowledged them.

:class:`Journal` is the seam. :class:`MemoryJournal` forgets what is left when the process dies; a journal on disk keeps the same promises
and outlives it. The sender knows only the protocol.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from modelbox.client.buffer import Columns, Record, split_blocks
from modelbox.entities.ids import random_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelbox.client.operations import Operation
    from modelbox.entities.series import SeriesBlock

__all__ = ["MAX_BATCH_POINTS", "MAX_PENDING_POINTS", "Batch", "Journal", "MemoryJournal", "Tally"]

MAX_BATCH_POINTS = 50_000
"""About how many points a batch holds; a single record is never torn apart."""

MAX_PENDING_POINTS = 5_000_000
"""How many points may wait in memory; more are dropped, and counted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Points under a number that they keep however often they are sent; or one operation, and no points."""

    client: str
    """Id that the number counts within; never shared by two journals or two processes."""
    number: int
    blocks: list[SeriesBlock] = field(repr=False)
    points: int
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many points and operations a journal took and what became of them."""

    appended: int = 0
    acknowledged: int = 0
    rejected: int = 0
    dropped: int = 0
    volatile: int = 0
    """How many of the points that still wait are lost when the process ends."""
    operations: int = 0
    settled_operations: int = 0
    """How many of the operations the store has answered, with whatever answer."""
    volatile_operations: int = 0
    """How many of the operations that still wait are lost when the process ends."""

    @property
    def pending(self) -> int:
        """Points that still wait."""
        return self.appended - self.acknowledged - self.rejected

    @property
    def pending_operations(self) -> int:
        """Operations that still wait."""
        return self.operations - self.settled_operations

    @property
    def settled(self) -> int:
        """How many points and operations need no waiting for any more."""
        return self.acknowledged + self.rejected + self.settled_operations

    def __add__(self, other: Tally) -> Tally:
        # Field by field: every read of a connection asks, and dataclasses.astuple copies in depth.
        return Tally(
            self.appended + other.appended,
            self.acknowledged + other.acknowledged,
            self.rejected + other.rejected,
            self.dropped + other.dropped,
            self.volatile + other.volatile,
            self.operations + other.operations,
            self.settled_operations + other.settled_operations,
        )


class Journal(Protocol):
    """Keeps records in order until they are acknowledged.

    `append` may be called from any thread; the other methods only from one sender at a time.
    """

    @property
    def kept(self) -> str:
        """Where records wait, as part of a sentence: ``"in memory"``."""
        ...

    def append(self, record: Record) -> bool:
        """Keep a record as a whole; return ``False`` when there is no room, and count its points as dropped."""
        ...

    def append_operation(self, operation: Operation) -> None:
        """Keep an operation, after everything that was appended before it. There is always room: it may be what the points hang on."""
        ...

    def keep_file(self, copy: Callable[[Path], None], size_bytes: int) -> str | None:
        """Keep the bytes of a file with the journal, as `copy` writes them to a path; return their name for :attr:`Operation.file`.

        ``None`` when this journal keeps none, or has no room for so many.
        """
        ...

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged, the same one with the same content until it is; ``None`` when all are."""
        ...

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        ...

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch, which the store refused as a whole, by two smaller ones with new numbers.

        Return ``False`` when it is a single series (with `points`: a single point).
        """
        ...

    def resolve(self, batch: Batch, stored_points: int) -> bool:
        """Put right a batch under whose number the store has `stored_points` of the same journal: another one sent them.

        That happens when a journal is sent from copies that were made at different times. Return ``False`` when it cannot be that.
        """
        ...

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take, and count its points."""
        ...

    def tally(self) -> Tally:
        """Return how many points were appended, acknowledged, rejected and dropped so far."""
        ...

    def compact(self) -> None:
        """Take less memory if that is possible; called now and then while the store is away."""
        ...

    def close(self) -> None:
        """Leave what waits to the next process, where that is possible, and nothing else behind."""
        ...

    def leave(self) -> None:
        """Let go of it in a forked child: everything in it stays the parent's."""
        ...


class MemoryJournal:
    """A journal in memory. See :class:`Journal`.

    Parameters
    ----------
    max_pending_points
        Bound on the points that wait.
    max_batch_points
        About how many points a batch holds.
    """

    def __init__(self, *, max_pending_points: int = MAX_PENDING_POINTS, max_batch_points: int = MAX_BATCH_POINTS) -> None:
        self.client = random_id()
        self._max_pending_points = max_pending_points
        self._max_batch_points = max_batch_points
        # Reentrant: a signal handler that logs may interrupt a log() of the same thread.
        self._lock = threading.RLock()
        self._records: deque[Record | Operation] = deque()
        self._batches: deque[Batch] = deque()
        self._next_number = 0
        self._appended = self._acknowledged = self._rejected = self._dropped = 0
        self._operations = self._settled_operations = 0

    @property
    def kept(self) -> str:
        """Where records wait."""
        return "in memory"

    def append(self, record: Record) -> bool:
        """Keep a record as a whole; return ``False`` when there is no room, and count its points as dropped."""
        points = len(record.values)
        with self._lock:
            if self._appended - self._acknowledged - self._rejected + points > self._max_pending_points:
                self._dropped += points
                return False
            self._appended += points
            self._records.append(record)
        return True

    def append_operation(self, operation: Operation) -> None:
        """Keep an operation, after everything that was appended before it."""
        with self._lock:
            self._operations += 1
            self._records.append(operation)

    def keep_file(self, copy: Callable[[Path], None], size_bytes: int) -> str | None:
        """Return ``None``: files stay where they are."""
        del copy, size_bytes
        return None

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged; ``None`` when all are."""
        if not self._batches and self._records:
            self._fold()
        return self._batches[0] if self._batches else None

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        self._batches.remove(batch)
        with self._lock:
            self._acknowledged += batch.points
            self._settled_operations += batch.operation is not None

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch by two smaller ones with new numbers; return ``False`` when it cannot be divided."""
        halves = split_blocks(batch.blocks, points=points)
        if halves is None:
            return False
        self._batches.remove(batch)
        for half in reversed(halves):
            self._batches.appendleft(self._numbered(half))
        return True

    def resolve(self, batch: Batch, stored_points: int) -> bool:
        """Return ``False``: nobody else has a copy of this journal."""
        del batch, stored_points
        return False

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take, and count its points."""
        self._batches.remove(batch)
        with self._lock:
            self._rejected += batch.points
            self._settled_operations += batch.operation is not None

    def tally(self) -> Tally:
        """Return how many points were appended, acknowledged, rejected and dropped so far."""
        with self._lock:
            pending = self._appended - self._acknowledged - self._rejected
            return Tally(
                self._appended,
                self._acknowledged,
                self._rejected,
                self._dropped,
                pending,
                self._operations,
                self._settled_operations,
                self._operations - self._settled_operations,
            )

    def compact(self) -> None:
        """Fold waiting records into batches: columns take a fraction of the memory while a store is away."""
        while len(self._records) > self._max_batch_points // 10:
            self._fold()

    def close(self) -> None:
        """Do nothing: what waits in memory ends with the process."""

    def leave(self) -> None:
        """Do nothing: the child has a copy, which it forgets."""

    def _fold(self) -> None:
        columns = Columns()
        records = self._records
        while records and columns.points < self._max_batch_points:
            first = records[0]
            if not isinstance(first, Record):
                if not columns.points:
                    self._batches.append(self._numbered([], first))
                    records.popleft()
                    return
                break
            columns.add(first)
            records.popleft()
        self._batches.append(self._numbered(columns.blocks()))

    def _numbered(self, blocks: list[SeriesBlock], operation: Operation | None = None) -> Batch:
        batch = Batch(self.client, self._next_number, blocks, sum(map(len, blocks)), operation)
        self._next_number += 1
        return batch
