"""The spool: the journals of this user on disk, by store; and the journal that a connection writes to.

:class:`SpooledJournal` writes to disk as long as the disk takes it. A full disk, a read-only folder or an input/output error never reaches
training: there is one warning, and records wait in memory until the disk takes them again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from modelbox.client.appending import append
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.journal import Batch, MemoryJournal, Tally
from modelbox.client.notices import Notices
from modelbox.client.rejected import REJECTED
from modelbox.settings import JOURNAL_LOCK, spool_folder

if TYPE_CHECKING:
    from modelbox.client.buffer import Record
    from modelbox.client.discovery import Where
    from modelbox.client.operations import Operation

__all__ = ["Durability", "SpoolOptions", "SpooledJournal", "adopted", "journals_in", "spool_of"]

Durability: TypeAlias = Literal["process", "disk", "memory"]
"""What a returned ``log()`` survives: the end of the process, also that of the machine, or neither."""

_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """How journals on disk are written; see :class:`modelbox.client.disk_journal.DiskJournal`."""

    durability: Literal["process", "disk"] = "process"
    max_bytes: int | None = None
    write: Callable[[int, bytes], int] = append
    sends: bool = True


class SpooledJournal:
    """A journal on disk, and in memory where the disk fails. See :class:`modelbox.client.journal.Journal`.

    Parameters
    ----------
    root
        The journals of the store; nothing is made before the first record.
    options
        How to write.
    disk
        A journal that is there already.
    """

    def __init__(self, root: Path, options: SpoolOptions | None = None, *, disk: DiskJournal | None = None) -> None:
        self._root = root
        self._options = options or SpoolOptions()
        self._notices = Notices()
        self._memory = MemoryJournal()
        self._disk = disk
        self._opening = threading.RLock()  # a signal handler may log while a journal is being made
        self._retry_at_s = 0.0
        self._before = Tally()

    @property
    def kept(self) -> str:
        """Where records wait."""
        return self._memory.kept if self._disk is None or self._retry_at_s else self._disk.kept

    def append(self, record: Record) -> bool:
        """Keep a record as a whole; return ``False`` when there is no room, and count its points as dropped."""
        if not self._retry_at_s or time.monotonic() >= self._retry_at_s:
            try:
                kept = (self._disk or self._open()).append(record)
            except OSError as error:
                self._disk_failed(error)
            else:
                if self._retry_at_s:
                    self._disk_works()
                return kept
        return self._memory.append(record)

    def append_operation(self, operation: Operation) -> None:
        """Keep an operation, after everything that was appended before it."""
        if not self._retry_at_s or time.monotonic() >= self._retry_at_s:
            try:
                (self._disk or self._open()).append_operation(operation)
            except OSError as error:
                self._disk_failed(error)
            else:
                self._disk_works()
                return
        self._memory.append_operation(operation)

    def keep_file(self, copy: Callable[[Path], None], size_bytes: int) -> str | None:
        """Keep the bytes of a file with the journal; return their name, or ``None`` when there is no room for so many."""
        try:
            return (self._disk or self._open()).keep_file(copy, size_bytes)
        except OSError as error:
            self._disk_failed(error)
            return None

    def _disk_failed(self, error: OSError) -> None:
        self._retry_at_s = time.monotonic() + _RETRY_S
        self._notices.log(
            "disk",
            f"ModelBox: the journal in {self._root} cannot be written ({error.strerror or error}); points wait in memory instead "
            "and are lost if this process is killed. Free some space, or set MODELBOX_STATE_DIR to another folder.",
        )

    def _disk_works(self) -> None:
        self._retry_at_s = 0.0
        self._notices.forget("disk")

    def _open(self) -> DiskJournal:
        options = self._options
        with self._opening:
            if self._disk is None:  # no other thread was faster
                self._disk = DiskJournal(
                    self._root,
                    durability=options.durability,
                    max_bytes=options.max_bytes,
                    write=options.write,
                    on_sync_error=self._warn_of_sync,
                    sends=options.sends,
                )
            return self._disk

    def _warn_of_sync(self, error: OSError) -> None:
        self._notices.log(
            "sync",
            f"ModelBox: the disk does not confirm what is written to {self._root} ({error.strerror or error}); points survive the end of "
            "this process, but perhaps not that of the machine.",
        )

    def next_batch(self) -> Batch | None:
        """Return the oldest batch that is not acknowledged; ``None`` when all are."""
        try:
            batch = None if self._disk is None else self._disk.next_batch()
        except OSError as error:
            # What cannot be numbered on disk must not be sent: it could be sent twice. It stays where it is.
            self._notices.log(
                "read", f"ModelBox: the journal in {self._root} cannot be read or extended ({error.strerror or error}); it is kept."
            )
            batch = None
        return batch or self._memory.next_batch()

    def creations(self) -> list[Operation]:
        """Return the operations among what waits on disk that create experiments."""
        return [] if self._disk is None else self._disk.creations()

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that the store has."""
        if (owner := self._owner(batch)) is not None:
            owner.acknowledge(batch)

    def divide(self, batch: Batch, *, points: bool = False) -> bool:
        """Replace a batch by two smaller ones with new numbers; return ``False`` when it cannot be divided."""
        owner = self._owner(batch)
        return owner is None or owner.divide(batch, points=points)

    def resolve(self, batch: Batch, stored_points: int) -> bool:
        """Put right a batch under whose number the store has `stored_points` of this journal: another copy of it was sent."""
        owner = self._owner(batch)
        return owner is None or owner.resolve(batch, stored_points)

    def reject(self, batch: Batch, reason: str = "") -> None:
        """Give up a batch that the store will never take."""
        if (owner := self._owner(batch)) is not None:
            owner.reject(batch, reason)

    def _owner(self, batch: Batch) -> DiskJournal | MemoryJournal | None:
        """Return the journal that a batch is from; ``None`` when it was closed meanwhile, so that the next process decides."""
        journals = (self._memory, self._disk)
        return next((journal for journal in journals if journal is not None and journal.client == batch.client), None)

    def tally(self) -> Tally:
        """Return how many points and operations were appended, and what became of them."""
        kept = self._before + self._memory.tally()
        return kept if self._disk is None else kept + self._disk.tally()

    def compact(self) -> None:
        """Take less memory, and write through to the disk."""
        self._memory.compact()
        if self._disk is not None:
            self._disk.compact()

    def close(self) -> None:
        """Leave what waits on disk to the next process, and nothing else behind."""
        if self._disk is not None:
            self._before += _handled(self._disk.tally())
            self._disk.close()
            self._disk = None

    def leave(self) -> None:
        """Let go of it in a forked child."""
        if self._disk is not None:
            self._disk.leave()


def _handled(ended: Tally) -> Tally:
    # What an ended journal still held is somebody else's to send.
    return replace(ended, appended=ended.acknowledged + ended.rejected, operations=ended.settled_operations)


def spool_of(where: Where, env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the journals for a store.

    A Jupyter server has another port tomorrow, but the same store: its extension tells kernels which.
    """
    store = (os.environ if env is None else env).get("MODELBOX_JUPYTER_STORE") if where.kind == "jupyter" else None
    return spool_folder(store or where.address, env)


def journals_in(folder: Path) -> Iterator[Path]:
    """Yield the journals in a folder, at any depth; what is no journal, and what is still being made, is passed over."""
    if (folder / JOURNAL_LOCK).is_file():
        yield folder
        return
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and path.name != REJECTED and not path.name.startswith("."))
    except OSError:
        return
    for path in below:
        yield from journals_in(path)


def adopted(folder: Path) -> SpooledJournal | None:
    """Return the journal in `folder`, taken over from a process that has ended; ``None`` while somebody else holds it, or it is empty.

    Raises
    ------
    OSError
        It cannot be read or written.
    """
    disk = DiskJournal.adopt(folder)
    if disk is None:
        return None
    tally = disk.tally()
    if not tally.pending and not tally.pending_operations:
        disk.close()
        return None
    return SpooledJournal(folder.parent, disk=disk)
