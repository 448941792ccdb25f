"""One segment of a journal on disk, as its sender sees it: the records, and beside them which of them are which batch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelbox.client.ledger import Ledger
from modelbox.client.segments import MAGIC, Folded, Layouts, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["SegmentFile"]


class SegmentFile:
    """One segment.

    Parameters
    ----------
    path
        The file.
    fd
        Its descriptor.
    write
        Writes bytes; for tests of full disks.

    Attributes
    ----------
    read_bytes, end_bytes
        How much of it is in batches, and where its whole frames end as far as is known.
    full
        Nothing more is appended to it.
    """

    def __init__(self, path: Path, fd: int, write: Callable[[int, bytes], int]) -> None:
        self.path = path
        self.number = int(path.stem)
        self.fd = fd
        self.read_bytes = len(MAGIC)
        self.end_bytes = len(MAGIC)
        self.synced_bytes = 0
        self.full = False
        self._layouts: Layouts = {}
        self._write = write
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """Its batches; the file is made when the first is frozen."""
        if self._ledger is None:
            self._ledger = Ledger(self.path.with_suffix(".batches"), write=self._write)
        return self._ledger

    @property
    def is_done(self) -> bool:
        """Whether everything in it is acknowledged, and nothing more will come."""
        return self.full and self.read_bytes >= self.end_bytes and not self.ledger.waiting

    def sync(self, upto: int) -> None:
        """Write it through to the disk."""
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
        """Return the frames from `begin` on, up to an operation or to `end`."""
        return fold(os.pread(self.fd, end - begin, begin), self._layouts, verify=verify)

    def read_frame(self, begin: int) -> Folded:
        """Return the one frame that begins there."""
        head = os.pread(self.fd, 4, begin)
        return self.read(begin, begin + 8 + int.from_bytes(head, "little"))

    def pieces(self, begin: int, end: int, piece_bytes: int, *, verify: bool = False) -> Iterator[tuple[int, Folded]]:
        """Yield what stands between `begin` and `end` in pieces of about `piece_bytes`, each with its place."""
        wanted = piece_bytes
        while begin < end:
            folded = self.read(begin, min(begin + wanted, end), verify=verify)
            yield begin, folded
            if folded.damaged or (not folded.used_bytes and begin + wanted >= end):
                return
            begin += folded.used_bytes
            wanted = piece_bytes if folded.used_bytes else wanted * 2

    def find_end(self, piece_bytes: int) -> int | None:
        """Read on what another process wrote: its layouts, and where its whole frames end.

        Return where it is damaged: at a frame that cannot become whole. A frame that is not whole yet is no damage.
        """
        size = os.fstat(self.fd).st_size
        if os.pread(self.fd, len(MAGIC), 0) != MAGIC:
            return 0 if size >= len(MAGIC) else None
        for begin, folded in self.pieces(self.end_bytes, size, piece_bytes, verify=True):
            self.end_bytes = begin + folded.used_bytes
            if folded.damaged:
                return self.end_bytes
        return None

    def close(self) -> None:
        """Close its files."""
        os.close(self.fd)
        if self._ledger is not None:
            self._ledger.close()

    def remove(self) -> None:
        """Close and delete its files."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".batches").unlink(missing_ok=True)
