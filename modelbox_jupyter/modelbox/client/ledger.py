"""Which records of a segment are which batch, and which batches are done: the file that makes sending again harmless.

A batch gets its number and its bytes here before it is sent for the first time. Whoever sends it again, this process or the one that finds
the journal after a crash, sends the same content under the same number, and the store takes it once.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec

from modelbox.client.segments import framed, whole_payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["BatchRange", "Ledger", "write_whole"]

_MAGIC = b"MBXBATC1"


class BatchRange(msgspec.Struct, frozen=True):
    """A batch: bytes of its segment, and which part of their points when the store refused them as a whole.

    `path` holds one (by points, half) per division; see :func:`modelbox.client.buffer.split_blocks`.
    """

    number: int
    begin: int
    end: int
    points: int
    path: tuple[tuple[bool, int], ...] = ()


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes true at once."""

    batches: list[BatchRange] = []
    done: list[int] = []


class Ledger:
    """The batches of one segment.

    Parameters
    ----------
    path
        Made when it is not there. What a crash left half written at its end is cut off.
    write
        Writes bytes; for tests of full disks.
    """

    def __init__(self, path: Path, *, write: Callable[[int, bytes], int] = os.write) -> None:
        self._write = write
        self.waiting: dict[int, BatchRange] = {}
        self.frozen_bytes = 0
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self) -> None:
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        if data[: len(_MAGIC)] == _MAGIC:
            payloads, used_bytes = whole_payloads(data[len(_MAGIC) :])
            self.size_bytes = len(_MAGIC) + used_bytes
            os.ftruncate(self._fd, self.size_bytes)
        else:
            payloads = []
            os.ftruncate(self._fd, 0)
            self.size_bytes = 0
            write_whole(self._fd, _MAGIC, 0, self._write)
            self.size_bytes = len(_MAGIC)
        for payload in payloads:
            self._apply(msgspec.json.decode(payload, type=_Entry))

    def freeze(self, batch: BatchRange) -> None:
        """Fix a batch.

        Raises
        ------
        OSError
            It could not be written, so it must not be sent.
        """
        self._add(_Entry([batch]))

    def replace(self, old: Sequence[int], new: Sequence[BatchRange]) -> None:
        """Put batches in the place of others; a number may stay, with other bytes."""
        kept = {batch.number for batch in new}
        self._add_if_possible(_Entry(list(new), [number for number in old if number not in kept]))

    def done(self, number: int) -> None:
        """Note that a batch needs no sending any more."""
        self._add_if_possible(_Entry(done=[number]))

    def sync(self) -> None:
        """Wait until it would survive a power failure."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _add(self, entry: _Entry) -> None:
        data = framed(msgspec.json.encode(entry))
        write_whole(self._fd, data, self.size_bytes, self._write)
        self.size_bytes += len(data)
        self._apply(entry)

    def _add_if_possible(self, entry: _Entry) -> None:
        try:
            self._add(entry)
        except OSError:
            # A disk that is full must not keep the sender from emptying it. Who has to send again after a crash does no harm.
            self._apply(entry)

    def _apply(self, entry: _Entry) -> None:
        for batch in entry.batches:
            self.waiting[batch.number] = batch
            self.frozen_bytes = max(self.frozen_bytes, batch.end)
        for number in entry.done:
            self.waiting.pop(number, None)


def write_whole(fd: int, data: bytes, size_bytes: int, write: Callable[[int, bytes], int]) -> None:
    """Append `data` to a file of `size_bytes`, all of it or nothing.

    Raises
    ------
    OSError
        It does not fit, or the disk fails; the file is as it was.
    """
    try:
        if write(fd, data) == len(data):
            return
    except OSError:
        os.ftruncate(fd, size_bytes)
        raise
    # A disk that fills up takes the beginning; the next attempt says why.
    os.ftruncate(fd, size_bytes)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
