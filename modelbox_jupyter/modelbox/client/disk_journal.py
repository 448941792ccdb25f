"""The journal on disk: what ``log()`` kept survives kill -9, and whoever comes next sends it.

::

    ROOT/CLIENT/owner.lock     locked while a process writes or sends
    ROOT/CLIENT/0001.log       a segment: the records (modelbox.client.segments)
    ROOT/CLIENT/0001.batches   which of its bytes are which batch, and which are done (modelbox.client.ledger)
    ROOT/rejected/             what the store refused for good, or what could not be read

A segment goes when it is full, read to its end, and every batch of it is acknowledged. The number of a batch contains that of its segment,
so that no number ever returns, whatever was deleted.

Thread safety: appending is guarded by one reentrant lock, which nothing holds for longer than a write; sending by another.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.client.appending import append
from modelbox.client.buffer import Record, split_blocks
from modelbox.client.journal import Batch, Tally
from modelbox.client.ledger import BatchRange, Ledger, write_whole
from modelbox.client.locks import hold
from modelbox.client.segments import MAGIC, Folded, Layouts, RecordEncoder, fold
from modelbox.entities.ids import random_id
from modelbox.settings import JOURNAL_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from modelbox.entities.series import SeriesBlock

__all__ = ["REJECTED", "DiskJournal", "default_max_bytes"]

REJECTED = "rejected"

_MAX_BYTES = 1 << 30
_SEGMENT_BYTES = 8 << 20
_BATCH_BYTES = 2 << 20
_LEDGER_BYTES = 1 << 20
_READ, _APPEND = os.O_RDONLY, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL


def default_max_bytes(folder: Path) -> int:
    """Return how much a journal may take: 1 GiB, or a tenth of what is free if that is less."""
    return min(_MAX_BYTES, shutil.disk_usage(folder).free // 10)


class _Segment:
    """One segment, as its sender sees it."""

    def __init__(self, path: Path, fd: int, write: Callable[[int, bytes], int]) -> None:
        self.path = path
        self.number = int(path.stem)
        self.fd = fd
        self.read_bytes = len(MAGIC)
        self.end_bytes = len(MAGIC)
        self.layouts: Layouts = {}
        self.synced_bytes = 0
        self.full = False
        self._write = write
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """Its batches; the file is made when the first is frozen."""
        if self._ledger is None:
            self._ledger = Ledger(self.path.with_suffix(".batches"), write=self._write)
        return self._ledger

    def sync(self, upto: int) -> None:
        os.fdatasync(self.fd)
        if self._ledger is not None:
            self._ledger.sync()
        if not self.synced_bytes:  # its name has to last as well
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self.synced_bytes = upto

    def read(self, begin: int, end: int, *, verify: bool = False) -> Folded:
        return fold(os.pread(self.fd, end - begin, begin), self.layouts, verify=verify)

    def close(self) -> None:
        os.close(self.fd)
        if self._ledger is not None:
            self._ledger.close()

    def remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".batches").unlink(missing_ok=True)


class DiskJournal:
    """A journal in a folder of its own. See :class:`modelbox.client.journal.Journal`; unlike it, any method may raise ``OSError``.

    Parameters
    ----------
    root
        The journals of one store; made when it is not there.
    durability
        ``"process"``: a returned record survives the end of the process, and within about a second that of the machine. ``"disk"``: it
        survives both when ``append`` returns, which takes as long as the disk does.
    max_bytes
        Bound on what waits; :func:`default_max_bytes` when left out.
    segment_bytes, batch_bytes
        About how large segments and batches are.
    write
        Writes bytes; for tests of full disks.
    on_sync_error
        Called when the disk would not confirm that it has something; the record is kept all the same.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Literal["process", "disk"] = "process",
        max_bytes: int | None = None,
        segment_bytes: int = _SEGMENT_BYTES,
        batch_bytes: int = _BATCH_BYTES,
        write: Callable[[int, bytes], int] = append,
        on_sync_error: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self.client = random_id()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = root / self.client
        self._lock_fd = _new_folder(self.folder)
        self._set_up(segment_bytes, batch_bytes, write, on_sync_error)
        self._sync_each = durability == "disk"
        self._max_bytes = default_max_bytes(root) if max_bytes is None else max_bytes

    @classmethod
    def adopt(cls, folder: Path, *, batch_bytes: int = _BATCH_BYTES, write: Callable[[int, bytes], int] = os.write) -> DiskJournal | None:
        """Take over the journal of a process that has ended; ``None`` when its owner lives, or somebody else was faster."""
        lock_fd = hold(folder / JOURNAL_LOCK)
        if lock_fd is None:
            return None
        journal = cls.__new__(cls)
        journal.client, journal.folder, journal._lock_fd = folder.name, folder, lock_fd
        journal._set_up(_SEGMENT_BYTES, batch_bytes, write, lambda error: None)
        journal._max_bytes = 0
        try:
            journal._take_stock()
        except BaseException:
            journal.leave()
            raise
        return journal

    def _set_up(
        self, segment_bytes: int, batch_bytes: int, write: Callable[[int, bytes], int], on_sync_error: Callable[[OSError], None]
    ) -> None:
        # Reentrant: a signal handler that logs may interrupt a log() of the same thread.
        self._lock = threading.RLock()
        self._reading = threading.RLock()
        self._write = write
        self._on_sync_error = on_sync_error
        self._segment_bytes = segment_bytes
        self._batch_bytes = batch_bytes
        self._segments: deque[_Segment] = deque()
        self._active: _Segment | None = None
        self._encoder = RecordEncoder()
        self._last_number = 0
        self._size = 0
        self._stored_bytes = 0
        self._rotate = False
        self._closed = False
        self._sync_each = False
        self._waiting: deque[tuple[_Segment, BatchRange]] = deque()
        self._head: Batch | None = None
        self._appended = self._acknowledged = self._rejected = self._dropped = 0

    def _take_stock(self) -> None:
        paths = sorted((path for path in self.folder.glob("*.log") if path.stem.isdecimal()), key=lambda path: int(path.stem))
        for path in paths:
            segment = _Segment(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)), self._write)
            segment.full = True
            self._segments.append(segment)
            self._find_end(segment)
            segment.read_bytes = max(segment.read_bytes, segment.ledger.frozen_bytes)
            self._stored_bytes += segment.end_bytes
            in_order = sorted(segment.ledger.waiting.values(), key=lambda batch: (batch.begin, batch.path))
            self._waiting.extend((segment, batch) for batch in in_order)
        while self._freeze_more() is not None:
            # What is known of a batch is its place; its points are read again when it is sent.
            self._head = None
        self._appended = sum(batch.points for _, batch in self._waiting)

    def _find_end(self, segment: _Segment) -> None:
        """Read a segment of another process through: its layouts, and where its whole frames end."""
        size = os.fstat(segment.fd).st_size
        if os.pread(segment.fd, len(MAGIC), 0) != MAGIC:
            if size >= len(MAGIC):
                self._keep_unreadable(segment, 0, size)
            return
        for begin, folded in self._pieces(segment, size, verify=True):  # another process wrote it
            segment.end_bytes = begin + folded.used_bytes
            if folded.damaged:
                self._keep_unreadable(segment, segment.end_bytes, size)

    def _pieces(self, segment: _Segment, end: int, *, verify: bool = False) -> Iterator[tuple[int, Folded]]:
        begin, wanted = segment.read_bytes, self._batch_bytes
        while begin < end:
            folded = segment.read(begin, min(begin + wanted, end), verify=verify)
            yield begin, folded
            if folded.damaged or (not folded.used_bytes and begin + wanted >= end):
                return
            begin += folded.used_bytes
            wanted = self._batch_bytes if folded.used_bytes else wanted * 2

    # --- writing -------------------------------------------------------------------------------------------------------------------------

    @property
    def kept(self) -> str:
        """Where records wait."""
        return f"in {self.folder.parent}"

    def append(self, record: Record) -> bool:
        """Keep a record as a whole; return ``False`` when there is no room, and count its points as dropped."""
        with self._lock:
            segment = self._active
            if segment is None or self._size >= self._segment_bytes or self._rotate:
                segment = self._next_segment()
            frame, explained = self._encoder.encode(record)
            if self._stored_bytes + len(frame) > self._max_bytes:
                self._dropped += len(record.values)
                return False
            try:
                written = self._write(segment.fd, frame)
                if written == len(frame):
                    # No call from here on: an interrupt comes before all of these, or after.
                    self._size += written
                    self._stored_bytes += written
                    self._appended += len(record.values)
            except BaseException:
                self._look_again(segment, len(frame), len(record.values))
                raise
            if written != len(frame):
                self._write_again(segment, frame, len(record.values))
            if explained is not None:
                self._encoder.confirm(explained)
            if self._sync_each:
                self._sync_segment(segment, self._size)
        return True

    def _next_segment(self) -> _Segment:
        if self._closed:
            raise OSError(errno.EBADF, "the journal is closed")
        path = self.folder / f"{self._last_number + 1:04}.log"
        fd = os.open(path, _APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        self._last_number += 1
        try:
            write_whole(fd, MAGIC, 0, self._write)
        except BaseException:
            os.close(fd)
            path.unlink()
            raise
        segment = _Segment(path, fd, self._write)
        if self._active is not None:
            self._active.end_bytes = self._size
            self._active.full = True
        self._encoder = RecordEncoder()
        self._size = len(MAGIC)
        self._stored_bytes += self._size
        self._rotate = False
        self._active = segment
        self._segments.append(segment)
        return segment

    def _look_again(self, segment: _Segment, frame_bytes: int, points: int) -> None:
        """Find out whether a write that was interrupted or failed is in the file, and count it if it is."""
        beyond = os.fstat(segment.fd).st_size - self._size if segment is self._active else 0
        if beyond >= frame_bytes:
            self._size += frame_bytes
            self._stored_bytes += frame_bytes
            self._appended += points
        elif beyond:
            self._cut_off(segment)

    def _write_again(self, segment: _Segment, frame: bytes, points: int) -> None:
        """Write a frame of which only the beginning was written, or hear why that cannot be."""
        self._cut_off(segment)
        if self._rotate:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write_whole(segment.fd, frame, self._size, self._write)
        self._look_again(segment, len(frame), points)

    def _cut_off(self, segment: _Segment) -> None:
        try:
            os.ftruncate(segment.fd, self._size)
        except OSError:
            self._rotate = True  # nothing more goes behind half a frame

    def sync(self) -> None:
        """Write what was appended through to the disk, if that was not done yet."""
        with self._reading:
            for segment in list(self._segments):
                end_bytes = self._end_of(segment)
                if segment.synced_bytes < end_bytes:
                    self._sync_segment(segment, end_bytes)

    def _sync_segment(self, segment: _Segment, upto: int) -> None:
        try:
            segment.sync(upto)
        except OSError as error:
            self._on_sync_error(error)

    def _end_of(self, segment: _Segment) -> int:
        with self._lock:
            if segment is self._active:
                segment.end_bytes = self._size
            return segment.end_bytes

    # --- sending -------------------------------------------------------------------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged; ``None`` when all are."""
        with self._reading:
            while not self._closed:
                if not self._waiting and self._freeze_more() is None:
                    return None
                segment, batch = self._waiting[0]
                if self._head is None or self._head.number != batch.number:
                    self._head = self._read_again(segment, batch)
                if self._head.blocks:
                    return self._head
                self._finish(self._head)
            return None

    def _freeze_more(self) -> BatchRange | None:
        """Make a batch of what was not read yet, on disk before it is sent."""
        for segment in list(self._segments):
            for begin, folded in self._pieces(segment, self._end_of(segment)):
                if not folded.points:
                    segment.read_bytes = begin + folded.used_bytes
                    continue
                number = segment.number << 32 | segment.ledger.count
                batch = BatchRange(number, begin, begin + folded.used_bytes, folded.points)
                segment.ledger.freeze(batch)
                segment.read_bytes = batch.end
                self._waiting.append((segment, batch))
                self._head = Batch(self.client, number, folded.blocks, folded.points)
                self._sync_segment(segment, batch.end)
                if segment is self._active and segment.ledger.size_bytes > _LEDGER_BYTES:
                    self._rotate = True
                return batch
            self._remove_if_done(segment)
        return None

    def _read_again(self, segment: _Segment, batch: BatchRange) -> Batch:
        blocks = segment.read(batch.begin, min(batch.end, segment.end_bytes)).blocks
        for by_points, half in batch.path:
            halves = split_blocks(blocks, points=by_points)
            blocks = halves[half] if halves is not None else []
        return Batch(self.client, batch.number, blocks, sum(map(len, blocks)))

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        with self._reading, self._lock:
            if not self._closed:
                self._acknowledged += batch.points
                self._finish(batch)

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch by two smaller ones with new numbers; return ``False`` when it cannot be divided."""
        halves = split_blocks(batch.blocks, points=points)
        if halves is None:
            return False
        with self._reading:
            if self._closed:
                return True
            segment, whole = self._take(batch)
            first, second = (
                BatchRange(
                    segment.number << 32 | segment.ledger.count + half,
                    whole.begin,
                    whole.end,
                    sum(map(len, halves[half])),
                    (*whole.path, (points, half)),
                )
                for half in (0, 1)
            )
            segment.ledger.divide(whole.number, (first, second))
            self._waiting.remove((segment, whole))
            self._waiting.extendleft([(segment, second), (segment, first)])
        return True

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take: its points go to the folder ``rejected``."""
        with self._reading, self._lock:
            if self._closed:
                return
            try:
                name = self._rejected_folder() / f"{self.client}-{batch.number}"
                name.with_suffix(".txt").write_text(f"{reason}\n", encoding="utf-8")
                _write_segment(name.with_suffix(".log"), batch.blocks)
            except OSError as error:
                self._on_sync_error(error)
            self._rejected += batch.points
            self._finish(batch)

    def _take(self, batch: Batch) -> tuple[_Segment, BatchRange]:
        return next((segment, known) for segment, known in self._waiting if known.number == batch.number)

    def _finish(self, batch: Batch) -> None:
        segment, known = self._take(batch)
        self._waiting.remove((segment, known))
        self._head = None
        segment.ledger.done(known.number)
        self._remove_if_done(segment)

    def _remove_if_done(self, segment: _Segment) -> None:
        if segment.full and segment.read_bytes >= segment.end_bytes and not segment.ledger.waiting:
            self._segments.remove(segment)
            segment.remove()
            with self._lock:
                self._stored_bytes -= segment.end_bytes

    def tally(self) -> Tally:
        """Return how many points were appended, acknowledged, rejected and dropped so far."""
        with self._lock:
            return Tally(self._appended, self._acknowledged, self._rejected, self._dropped)

    def compact(self) -> None:
        """Write through to the disk: it takes no memory to speak of."""
        self.sync()

    # --- its end -------------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave what waits to the next process, and nothing when nothing does."""
        with self._reading, self._lock:
            if self._closed:
                return
            empty = not self._waiting and all(segment.read_bytes >= self._end_of(segment) for segment in self._segments)
            self._close_segments()
            if empty:
                shutil.rmtree(self.folder, ignore_errors=True)
                _remove_if_empty(self.folder.parent)
            os.close(self._lock_fd)

    def leave(self) -> None:
        """Let go of it in a forked child: everything in it stays the parent's."""
        # The lock is the parent's until the parent closes it too.
        if not self._closed:
            self._close_segments()
            os.close(self._lock_fd)

    def _close_segments(self) -> None:
        self._closed = True
        for segment in self._segments:
            segment.close()
        self._segments.clear()
        self._active = None

    def _rejected_folder(self) -> Path:
        folder = self.folder.parent / REJECTED
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _keep_unreadable(self, segment: _Segment, begin: int, end: int) -> None:
        data = os.pread(segment.fd, end - begin, begin)
        name = f"{self.client}-{segment.path.stem}-from-byte-{begin}"
        (self._rejected_folder() / f"{name}.bin").write_bytes(data)


def _new_folder(folder: Path) -> int:
    """Make a folder that is locked from its first moment on, and return the lock."""
    unborn = folder.with_name(f".{folder.name}")
    unborn.mkdir(mode=0o700)
    lock_fd = hold(unborn / JOURNAL_LOCK)
    assert lock_fd is not None  # noqa: S101  (nobody else knows the name)
    unborn.rename(folder)
    return lock_fd


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others use it


def _write_segment(path: Path, blocks: list[SeriesBlock]) -> None:
    encoder = RecordEncoder()
    with path.open("wb") as file:
        file.write(MAGIC)
        for block in blocks:
            steps, walls = (memoryview(column).cast("B").cast("q").tolist() for column in (block.steps, block.wall_times_us))
            # The kind of the block decides what its values are, which its type cannot say.
            values = block.values if isinstance(block.values, list) else memoryview(block.values).cast("B").cast("d").tolist()  # type: ignore[arg-type]
            for step, wall_time_us, value in zip(steps, walls, values, strict=True):
                frame, explained = encoder.encode(Record(block.object_id, step, wall_time_us, {block.key: value}))
                file.write(frame)
                if explained is not None:
                    encoder.confirm(explained)
