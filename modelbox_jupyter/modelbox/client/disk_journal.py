"""The journal on disk: what was logged survives kill -9, and whoever comes next sends it.

::

    ROOT/CLIENT/owner.lock     locked by who sends: the process that writes, or the one that comes after it
    ROOT/CLIENT/writer.lock    only where a process writes without sending, offline: locked while it lives
    ROOT/CLIENT/0001.log       a segment: records and operations (modelbox.client.segments)
    ROOT/CLIENT/0001.batches   which of its bytes are which batch, and which are done (modelbox.client.ledger)
    ROOT/CLIENT/files/         files that operations upload
    ROOT/rejected/             what the store refused for good, or what could not be read (modelbox.client.rejected)

A segment goes when it is full, read to its end, and every batch of it is acknowledged (:mod:`modelbox.client.outbox`).

Thread safety: appending is guarded by one reentrant lock, which nothing holds for longer than a write; sending by another.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelbox.client.appending import append
from modelbox.client.journal import Batch, Tally
from modelbox.client.ledger import write_whole
from modelbox.client.locks import hold, is_held
from modelbox.client.outbox import FILES, Outbox
from modelbox.client.segment_file import SegmentFile
from modelbox.client.segments import MAGIC, RecordEncoder, call_frame
from modelbox.entities.ids import random_id
from modelbox.settings import JOURNAL_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from modelbox.client.buffer import Record
    from modelbox.client.operations import Operation

__all__ = ["DiskJournal", "default_max_bytes"]

_WRITER_LOCK = "writer.lock"
_MAX_BYTES = 1 << 30
_SEGMENT_BYTES = 8 << 20
_BATCH_BYTES = 2 << 20
_LEDGER_BYTES = 1 << 20
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL


def default_max_bytes(folder: Path) -> int:
    """Return how much a journal may take: 1 GiB, or a tenth of what is free if that is less."""
    return min(_MAX_BYTES, shutil.disk_usage(folder).free // 10)


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
    sends
        Whether this process sends what it writes; otherwise another one may, while this one still writes.

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
        sends: bool = True,
    ) -> None:
        self.client = random_id()
        self.folder = root / self.client
        self._lock_fd = _new_folder(self.folder, JOURNAL_LOCK if sends else _WRITER_LOCK)
        self._set_up(segment_bytes, batch_bytes, write, on_sync_error)
        self._sync_each = durability == "disk"
        self._max_bytes = default_max_bytes(root) if max_bytes is None else max_bytes
        self._sends = sends

    @classmethod
    def adopt(cls, folder: Path, *, batch_bytes: int = _BATCH_BYTES, write: Callable[[int, bytes], int] = os.write) -> DiskJournal | None:
        """Take over the journal of a process that has ended, or that writes without sending.

        ``None`` when its owner lives, or somebody else was faster.
        """
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
        self._write = write
        self._on_sync_error = on_sync_error
        self._segment_bytes = segment_bytes
        self._active: SegmentFile | None = None
        self._encoder = RecordEncoder()
        self._last_number = 0
        self._size = 0
        self._stored_bytes = 0
        self._rotate = False
        self._closed = False
        self._sync_each = False
        self._sends = True
        self._is_written = False  # by another process, at this very moment
        self._appended = self._dropped = self._operations = 0
        self._outbox = Outbox(
            self.folder,
            batch_bytes=batch_bytes,
            end_of=self._end_of,
            frozen=self._was_frozen,
            removed=self._was_removed,
            on_error=on_sync_error,
        )

    def _take_stock(self) -> None:
        # Before the list of segments: one that is not the last when the writer ends is full.
        self._is_written = is_held(self.folder / _WRITER_LOCK)
        paths = sorted((path for path in self.folder.glob("*.log") if path.stem.isdecimal()), key=lambda path: int(path.stem))
        for path in paths:
            segment = SegmentFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)), self._write)
            segment.full = not self._is_written or path is not paths[-1]
            self._outbox.take_stock(segment)
            self._stored_bytes += segment.end_bytes
        self._appended, self._operations = self._outbox.freeze_all()

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

    def append_operation(self, operation: Operation) -> None:
        """Keep an operation, after everything that was appended before it. There is always room: it may be what the points hang on."""
        frame = call_frame(msgspec.json.encode(operation))
        with self._lock:
            segment = self._active
            if segment is None or self._size >= self._segment_bytes or self._rotate:
                segment = self._next_segment()
            write_whole(segment.fd, frame, self._size, self._write)
            self._size += len(frame)
            self._stored_bytes += len(frame)
            self._operations += 1
            if self._sync_each:
                self._sync_segment(segment, self._size)

    def keep_file(self, copy: Callable[[Path], None], size_bytes: int) -> str | None:
        """Keep the bytes of a file with the journal; return their name, or ``None`` when there is no room for so many."""
        with self._lock:
            if self._stored_bytes + size_bytes > self._max_bytes:
                return None
            self._stored_bytes += size_bytes
        name = random_id()
        folder = self.folder / FILES
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            copy(folder / name)
        except BaseException:
            (folder / name).unlink(missing_ok=True)
            raise
        return name

    def _next_segment(self) -> SegmentFile:
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
        segment = SegmentFile(path, fd, self._write)
        if self._active is not None:
            self._active.end_bytes = self._size
            self._active.full = True
        self._encoder = RecordEncoder()
        self._size = len(MAGIC)
        self._stored_bytes += self._size
        self._rotate = False
        self._active = segment
        self._outbox.segments.append(segment)
        return segment

    def _look_again(self, segment: SegmentFile, frame_bytes: int, points: int) -> None:
        """Find out whether a write that was interrupted or failed is in the file, and count it if it is."""
        beyond = os.fstat(segment.fd).st_size - self._size if segment is self._active else 0
        if beyond >= frame_bytes:
            self._size += frame_bytes
            self._stored_bytes += frame_bytes
            self._appended += points
        elif beyond:
            self._cut_off(segment)

    def _write_again(self, segment: SegmentFile, frame: bytes, points: int) -> None:
        """Write a frame of which only the beginning was written, or hear why that cannot be."""
        self._cut_off(segment)
        if self._rotate:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write_whole(segment.fd, frame, self._size, self._write)
        self._look_again(segment, len(frame), points)

    def _cut_off(self, segment: SegmentFile) -> None:
        try:
            os.ftruncate(segment.fd, self._size)
        except OSError:
            self._rotate = True  # nothing more goes behind half a frame

    def sync(self) -> None:
        """Write what was appended through to the disk, if that was not done yet."""
        with self._outbox.lock:
            for segment in list(self._outbox.segments):
                end_bytes = self._end_of(segment)
                if segment.synced_bytes < end_bytes:
                    self._sync_segment(segment, end_bytes)

    def _sync_segment(self, segment: SegmentFile, upto: int) -> None:
        try:
            segment.sync(upto)
        except OSError as error:
            self._on_sync_error(error)

    def _end_of(self, segment: SegmentFile) -> int:
        with self._lock:
            if segment is self._active:
                segment.end_bytes = self._size
            return segment.end_bytes

    # --- sending -------------------------------------------------------------------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged; ``None`` when all are."""
        return self._outbox.next_batch()

    def creations(self) -> list[Operation]:
        """Return the operations among what waits that create experiments."""
        return self._outbox.creations()

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        self._outbox.acknowledge(batch)

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch by two smaller ones with new numbers; return ``False`` when it cannot be divided."""
        return self._outbox.divide(batch, points=points)

    def resolve(self, batch: Batch, stored_points: int) -> bool:
        """Put right a batch under whose number the store has `stored_points` of this journal: another copy of it was sent."""
        return self._outbox.resolve(batch, stored_points)

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take: it goes to the folder ``rejected``."""
        self._outbox.reject(batch, reason)

    def _was_frozen(self, segment: SegmentFile, upto: int) -> None:
        self._sync_segment(segment, upto)
        if segment is self._active and segment.ledger.size_bytes > _LEDGER_BYTES:
            self._rotate = True

    def _was_removed(self, size_bytes: int) -> None:
        with self._lock:
            self._stored_bytes -= size_bytes

    def tally(self) -> Tally:
        """Return how many points and operations were appended, and what became of them."""
        with self._lock:
            outbox = self._outbox
            return Tally(
                self._appended, outbox.acknowledged, outbox.rejected, self._dropped, 0, self._operations, outbox.settled_operations
            )

    def compact(self) -> None:
        """Write through to the disk: it takes no memory to speak of."""
        self.sync()

    # --- its end -------------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave what waits to the next process, and nothing when nothing does."""
        with self._outbox.lock, self._lock:
            if self._closed:
                return
            empty = self._outbox.is_empty and not self._is_written
            if empty or not self._sends:
                self.sync()
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
        self._outbox.close()
        self._active = None


def _new_folder(folder: Path, lock: str) -> int:
    """Make a folder that is locked from its first moment on, and return the lock."""
    unborn = folder.with_name(f".{folder.name}")
    for is_last_try in (*[False] * 100, True):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            unborn.mkdir(mode=0o700)
            break
        except FileNotFoundError:
            # Who sent the last journal there was removed the empty folder above, at this very moment.
            if is_last_try:
                raise
            time.sleep(0.001)  # out of step with them
    lock_fd = hold(unborn / lock)
    assert lock_fd is not None  # noqa: S101  (nobody else knows the name)
    if lock != JOURNAL_LOCK:
        (unborn / JOURNAL_LOCK).touch(mode=0o600)  # by which journals are found
    unborn.rename(folder)
    return lock_fd


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others use it
