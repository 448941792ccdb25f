"""Chunks: some thousand points of one series packed into bytes, checked when they are read back.

::

    version u8 | kind u8 | points u32 | steps | wall clocks | values | CRC-32 of all before u32        (little-endian)
    column = coding u8 | bytes u32 | content

:mod:`modelbox_server.storage.metrics.codings` has the codings; version 2 brought new ones. Steps and wall clocks are the *axis* of a chunk.
Series that were logged together have axes of equal bytes, so that a reader of many series unpacks most axes once. A typical point takes 9
bytes instead of 24.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from modelbox.entities.series import ValueKind
from modelbox_server.storage.metrics.codings import (
    pack_floats,
    pack_integers,
    pack_items,
    unpack_floats,
    unpack_integers,
    unpack_items,
)
from modelbox_server.storage.metrics.columns import Points

if TYPE_CHECKING:
    from modelbox_server.storage.metrics.columns import Floats, Integers

__all__ = ["MAX_CHUNK_POINTS", "DamagedChunk", "PackedChunk", "opened", "packed", "packed_axis", "unpacked"]

MAX_CHUNK_POINTS = 16_384
"""How many points a chunk may have: enough to make its overhead small, few enough to rewrite one."""

_VERSION = 2
_HEAD = struct.Struct("<BBI")
_COLUMN = struct.Struct("<BI")
_CRC = struct.Struct("<I")
_KINDS = (ValueKind.FLOAT, ValueKind.TEXT, ValueKind.BYTES)


class DamagedChunk(ValueError):
    """The bytes are not a chunk as it was written."""


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """A chunk that was found whole, not unpacked yet.

    Parameters
    ----------
    kind
        What its values are.
    count
        How many points it has.
    axis
        Its steps and wall clocks; chunks with equal ones have equal axes.
    """

    kind: ValueKind
    count: int
    axis: bytes
    _values_as: int
    _values: memoryview

    def unpacked_axis(self) -> tuple[Integers, Integers]:
        """Return steps and wall clocks.

        Raises
        ------
        DamagedChunk
            The content is not what the checksum said it was: a mistake of ours.
        """
        try:
            (steps_as, steps), (clocks_as, clocks) = _columns(memoryview(self.axis))
            columns = (unpack_integers(steps_as, steps, self.count), unpack_integers(clocks_as, clocks, self.count))
        except (ValueError, IndexError, struct.error) as error:
            raise _unfitting(error) from error
        return columns

    def fill(self, target: Floats) -> None:
        """Write the values of a float chunk to `target`, which has as many places.

        Raises
        ------
        DamagedChunk
            The content is not what the checksum said it was: a mistake of ours.
        """
        try:
            target[:] = unpack_floats(self._values_as, self._values, self.count)
        except (ValueError, IndexError, struct.error, zlib.error) as error:
            raise _unfitting(error) from error

    def points(self) -> Points:
        """Return the points.

        Raises
        ------
        DamagedChunk
            The content is not what the checksum said it was: a mistake of ours.
        """
        steps, clocks_us = self.unpacked_axis()
        if self.kind is not ValueKind.FLOAT:
            return Points(self.kind, steps, clocks_us, self.items())
        values = np.empty(self.count)
        self.fill(values)
        return Points(self.kind, steps, clocks_us, values)

    def items(self) -> list[str] | list[bytes]:
        """Return the values of a text or bytes chunk.

        Raises
        ------
        DamagedChunk
            The content is not what the checksum said it was: a mistake of ours.
        """
        try:
            items = unpack_items(self._values_as, self._values, self.count)
            return [item.decode() for item in items] if self.kind is ValueKind.TEXT else items
        except (ValueError, IndexError, struct.error, zlib.error) as error:
            raise _unfitting(error) from error


def packed(points: Points, axis: bytes | None = None) -> bytes:
    """Return `points` as one chunk; `axis` is what :func:`packed_axis` made of them, if that is known."""
    values = points.values
    if isinstance(values, np.ndarray):
        coding, content = pack_floats(values)
    else:
        coding, content = pack_items([value.encode() if isinstance(value, str) else value for value in values])
    head = _HEAD.pack(_VERSION, _KINDS.index(points.kind), len(points))
    parts = (head, packed_axis(points) if axis is None else axis, _COLUMN.pack(coding, len(content)), content)
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join((*parts, _CRC.pack(checksum)))


def packed_axis(points: Points) -> bytes:
    """Return steps and wall clocks as they stand in a chunk."""
    parts: list[bytes] = []
    for coding, content in (pack_integers(points.steps), pack_integers(points.clocks_us)):
        parts += (_COLUMN.pack(coding, len(content)), content)
    return b"".join(parts)


def opened(chunk: bytes) -> PackedChunk:
    """Return a chunk whose bytes are those that were written.

    Raises
    ------
    DamagedChunk
        The bytes were changed, or are cut off, or were written by a newer version.
    """
    if len(chunk) < _HEAD.size + _CRC.size:
        raise DamagedChunk(f"it has only {len(chunk)} bytes")
    view = memoryview(chunk)[: -_CRC.size]
    if zlib.crc32(view) != _CRC.unpack_from(chunk, len(view))[0]:
        raise DamagedChunk("its checksum does not match its content")
    version, kind, count = _HEAD.unpack_from(view)
    if version > _VERSION:
        raise DamagedChunk(f"it has the format {version}, which a newer ModelBox writes")
    if not 0 < count <= MAX_CHUNK_POINTS:
        raise DamagedChunk(f"it claims to have {count} points")
    # From here on the bytes are what we wrote: the checksum says so. What still goes wrong is a mistake of ours, and must not pass either.
    try:
        _, steps_bytes = _COLUMN.unpack_from(view, _HEAD.size)
        _, clocks_bytes = _COLUMN.unpack_from(view, _HEAD.size + _COLUMN.size + steps_bytes)
        values_at = _HEAD.size + 2 * _COLUMN.size + steps_bytes + clocks_bytes
        values_as, values_bytes = _COLUMN.unpack_from(view, values_at)
        if values_at + _COLUMN.size + values_bytes != len(view):
            raise ValueError(f"columns of other lengths than its {len(view)} bytes")
        return PackedChunk(_KINDS[kind], count, chunk[_HEAD.size : values_at], values_as, view[values_at + _COLUMN.size :])
    except (ValueError, IndexError, struct.error) as error:
        raise _unfitting(error) from error


def unpacked(chunk: bytes) -> Points:
    """Return the points of a chunk.

    Raises
    ------
    DamagedChunk
        The bytes were changed, or are cut off, or were written by a newer version.
    """
    return opened(chunk).points()


def _columns(view: memoryview) -> list[tuple[int, memoryview]]:
    position = 0
    columns: list[tuple[int, memoryview]] = []
    while position < len(view):
        coding, size = _COLUMN.unpack_from(view, position)
        position += _COLUMN.size
        columns.append((coding, view[position : position + size]))
        position += size
    return columns


def _unfitting(error: Exception) -> DamagedChunk:
    return DamagedChunk(f"its content does not fit together ({error})")
