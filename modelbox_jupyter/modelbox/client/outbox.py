"""What a journal on disk has to send: which of its records are which batch, and what became of them.

A batch is numbered by its segment and the place of its first record in it, so that whoever sends a journal, from whichever copy, gives the
same records the same number. Who had a shorter or longer copy may have made a shorter or longer batch of them: the store then says how
many points it has under the number, and :meth:`Outbox.resolve` goes on behind those.

Thread safety: guarded by one reentrant lock.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelbox.client.buffer import split_blocks
from modelbox.client.journal import Batch
from modelbox.client.ledger import BatchRange
from modelbox.client.operations import Operation
from modelbox.client.rejected import keep_rejected, keep_unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox.client.segment_file import SegmentFile
    from modelbox.client.segments import Folded

__all__ = ["FILES", "Outbox"]

FILES = "files"
"""Folder in a journal of the files that operations upload."""

_DIVIDED = 1 << 62


class Outbox:
    """The batches of a journal.

    Parameters
    ----------
    folder
        The journal; its name is the client of the batches.
    batch_bytes
        About how large batches are.
    end_of
        Tells where the whole frames of a segment end by now.
    frozen
        Called with a segment when a batch of it was fixed.
    removed
        Called with how many bytes were freed.
    on_error
        Called when what was refused could not be kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_bytes: int,
        end_of: Callable[[SegmentFile], int],
        frozen: Callable[[SegmentFile, int], None],
        removed: Callable[[int], None],
        on_error: Callable[[OSError], None],
    ) -> None:
        self.lock = threading.RLock()
        self.segments: deque[SegmentFile] = deque()
        self.acknowledged = self.rejected = self.settled_operations = 0
        self.closed = False
        self._folder = folder
        self._batch_bytes = batch_bytes
        self._end_of = end_of
        self._frozen = frozen
        self._removed = removed
        self._on_error = on_error
        self._waiting: deque[tuple[SegmentFile, BatchRange]] = deque()
        self._head: Batch | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting and all(segment.read_bytes >= self._end_of(segment) for segment in self.segments)

    def take_stock(self, segment: SegmentFile) -> None:
        """Add a segment that another process wrote, or still writes, with the batches that were fixed."""
        self.segments.append(segment)
        damaged_at = segment.find_end(self._batch_bytes)
        if damaged_at is not None and segment.full:
            keep_unreadable(self._folder, segment, damaged_at)
        segment.read_bytes = max(segment.read_bytes, segment.ledger.frozen_bytes)
        in_order = sorted(segment.ledger.waiting.values(), key=lambda batch: (batch.begin, batch.path))
        self._waiting.extend((segment, batch) for batch in in_order)

    def freeze_all(self) -> tuple[int, int]:
        """Make batches of all there is; return how many points and operations wait."""
        with self.lock:
            while self._freeze_more() is not None:
                # What is known of a batch is its place; its points are read again when it is sent.
                self._head = None
            return sum(batch.points for _, batch in self._waiting), sum(not batch.points for _, batch in self._waiting)

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged; ``None`` when all are."""
        with self.lock:
            while not self.closed:
                if not self._waiting and self._freeze_more() is None:
                    return None
                segment, batch = self._waiting[0]
                if self._head is None or self._head.number != batch.number:
                    self._head = self._read_again(segment, batch)
                if self._head.blocks or self._head.operation is not None:
                    return self._head
                self._finish(self._head)
            return None

    def creations(self) -> list[Operation]:
        """Return the operations among what waits that create experiments: other journals may have points of those."""
        with self.lock:
            found = [self._read_again(segment, batch).operation for segment, batch in self._waiting if not batch.points]
            return [operation for operation in found if operation is not None and operation.creates is not None]

    def _freeze_more(self) -> BatchRange | None:
        """Make a batch of what was not read yet, on disk before it is sent."""
        for segment in list(self.segments):
            for begin, folded in segment.pieces(segment.read_bytes, self._end_of(segment), self._batch_bytes):
                end = begin + folded.used_bytes
                if folded.first_byte < 0:  # only layouts
                    segment.read_bytes = end
                    continue
                batch = BatchRange(segment.number << 32 | begin + folded.first_byte, begin, end, folded.points)
                segment.ledger.freeze(batch)
                segment.read_bytes = end
                self._waiting.append((segment, batch))
                self._head = self._batch(batch.number, folded)
                self._frozen(segment, end)
                return batch
            self._remove_if_done(segment)
        return None

    def _batch(self, number: int, folded: Folded) -> Batch:
        call = None if folded.call is None else msgspec.json.decode(folded.call, type=Operation)
        if call is not None and call.file:
            # An absolute path stays what it is.
            call = msgspec.structs.replace(call, file=str(self._folder / FILES / call.file))
        return Batch(self._folder.name, number, folded.blocks, folded.points, call)

    def _read_again(self, segment: SegmentFile, batch: BatchRange) -> Batch:
        whole = self._batch(batch.number, segment.read(batch.begin, min(batch.end, segment.end_bytes)))
        blocks = whole.blocks
        for by_points, half in batch.path:
            halves = split_blocks(blocks, points=by_points)
            blocks = halves[half] if halves is not None else []
        return Batch(whole.client, batch.number, blocks, sum(map(len, blocks)), whole.operation)

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        with self.lock:
            if not self.closed:
                self.acknowledged += batch.points
                self._finish(batch)

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch by two smaller ones with new numbers; return ``False`` when it cannot be divided."""
        halves = split_blocks(batch.blocks, points=points)
        if halves is None:
            return False
        with self.lock:
            if self.closed:
                return True
            segment, whole = self._take(batch)
            first, second = (
                BatchRange(
                    _number_of_half(segment, whole, points=points, half=half),
                    whole.begin,
                    whole.end,
                    sum(map(len, halves[half])),
                    (*whole.path, (points, half)),
                )
                for half in (0, 1)
            )
            segment.ledger.replace([whole.number], [first, second])
            self._waiting.remove((segment, whole))
            self._waiting.extendleft([(segment, second), (segment, first)])
        return True

    def resolve(self, batch: Batch, stored_points: int) -> bool:
        """Go on behind the points that another sender of this journal stored under the number of `batch`."""
        with self.lock:
            if self.closed:
                return True
            segment, known = self._take(batch)
            if known.path or stored_points == known.points or not stored_points:
                return False
            stored_end, found = _end_of_points(segment, known.begin, self._end_of(segment), stored_points)
            if found == stored_points and stored_end is not None:
                # Sent once more, so that the store compares it.
                again = BatchRange(known.number, known.begin, stored_end, found)
            else:
                # This copy is the shorter one: all that it has from here on is stored.
                stored_end, again = self._end_of(segment), None
            inside = [other for owner, other in self._waiting if owner is segment and not other.path and other.begin >= known.begin]
            rest = [part for other in inside if other.end > stored_end and (part := _behind(segment, other, stored_end)) is not None]
            self.acknowledged += sum(other.points for other in inside) - sum(part.points for part in rest) - (again.points if again else 0)
            kept = [*([again] if again is not None else []), *rest]
            segment.ledger.replace([other.number for other in inside], kept)
            segment.read_bytes = max(segment.read_bytes, stored_end)
            # The oldest segment is sent first: nothing of another one waits before this.
            others = [entry for entry in self._waiting if entry[0] is not segment or entry[1] not in inside]
            self._waiting = deque([*((segment, part) for part in kept), *others])
            self._head = None
            self._remove_if_done(segment)
        return True

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take: it goes to the folder ``rejected``."""
        with self.lock:
            if self.closed:
                return
            try:
                keep_rejected(self._folder, batch, reason)
            except OSError as error:
                self._on_error(error)
            self.rejected += batch.points
            self._finish(batch)

    def _take(self, batch: Batch) -> tuple[SegmentFile, BatchRange]:
        return next((segment, known) for segment, known in self._waiting if known.number == batch.number)

    def _finish(self, batch: Batch) -> None:
        segment, known = self._take(batch)
        self._waiting.remove((segment, known))
        self._head = None
        segment.ledger.done(known.number)
        if batch.operation is not None:
            self.settled_operations += 1
            if (file := Path(batch.operation.file)).parent == self._folder / FILES:
                file.unlink(missing_ok=True)
        self._remove_if_done(segment)

    def _remove_if_done(self, segment: SegmentFile) -> None:
        if segment.is_done:
            self.segments.remove(segment)
            segment.remove()
            self._removed(segment.end_bytes)

    def close(self) -> None:
        """Close every file."""
        self.closed = True
        for segment in self.segments:
            segment.close()
        self.segments.clear()


def _number_of_half(segment: SegmentFile, whole: BatchRange, *, points: bool, half: int) -> int:
    """Return the number of one half: the same wherever the same batch is divided in the same way, and never one of a whole batch."""
    name = f"{segment.number} {whole.begin} {whole.end} {whole.path} {points} {half}"
    return _DIVIDED | int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])


def _end_of_points(segment: SegmentFile, begin: int, end: int, points: int) -> tuple[int | None, int]:
    """Return where the record ends with which the points from `begin` on are `points`, and how many were counted."""
    counted, place = 0, begin
    while place < end and counted < points:
        folded = segment.read_frame(place)
        if not folded.used_bytes or folded.call is not None:
            break
        counted += folded.points
        place += folded.used_bytes
    return (place, counted) if counted == points else (None, counted)


def _behind(segment: SegmentFile, batch: BatchRange, place: int) -> BatchRange | None:
    """Return what of a batch lies behind `place`."""
    begin = max(batch.begin, place)
    folded = segment.read(begin, batch.end)
    if folded.first_byte < 0:
        return None
    return BatchRange(segment.number << 32 | begin + folded.first_byte, begin, batch.end, folded.points)
