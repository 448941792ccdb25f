"""Chunks: some thousand points of one series packed into bytes, checked when they are read back.

::

    version u8 | kind u8 | points u32 | steps | wall clocks | values | CRC-32 of all before u32        (little-endian)
    column = coding u8 | bytes u32 | content

Integers are a start and a stride where they are regular (steps nearly always are), else the differences above their minimum in as few
bytes as the largest needs. Floats are written once if all are equal, as integers or with single precision where that gives back the same
bits (counters, losses of float32 models), else in full; the two high bytes of each, sign, exponent and first digits, repeat so much that
they are deflated. Texts and bytes are their lengths and their content, deflated when that pays. A typical point takes 6 to 10 bytes
instead of 24.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from modelbox.entities.series import ValueKind
from modelbox_server.storage.metrics.columns import Floats, Integers, Points

__all__ = ["MAX_CHUNK_POINTS", "DamagedChunk", "packed", "unpacked"]

MAX_CHUNK_POINTS = 8192
"""How many points a chunk may have: enough to make its overhead small, few enough to rewrite one."""

_VERSION = 1
_HEAD = struct.Struct("<BBI")
_COLUMN = struct.Struct("<BI")
_CRC = struct.Struct("<I")
_REGULAR = struct.Struct("<qQ")
_DELTAS = struct.Struct("<qqB")
_KINDS = (ValueKind.FLOAT, ValueKind.TEXT, ValueKind.BYTES)
_DEFLATE_LEVEL = 1
_DEFLATE_FROM_BYTES = 64

# Codings of integer columns …
_AS_REGULAR, _AS_DELTAS = 0, 1
# … of floats …
_AS_INTEGERS, _AS_SINGLES, _AS_DOUBLES, _AS_CONSTANT = 0, 1, 2, 3
# … and of text and bytes.
_AS_PLAIN, _AS_DEFLATED = 0, 1


class DamagedChunk(ValueError):
    """The bytes are not a chunk as it was written."""


def packed(points: Points) -> bytes:
    """Return `points` as one chunk."""
    values = points.values
    columns = [_pack_integers(points.steps), _pack_integers(points.clocks_us)]
    if isinstance(values, np.ndarray):
        columns.append(_pack_floats(values))
    else:
        columns.append(_pack_items([value.encode() if isinstance(value, str) else value for value in values]))
    parts = [_HEAD.pack(_VERSION, _KINDS.index(points.kind), len(points))]
    for coding, content in columns:
        parts += (_COLUMN.pack(coding, len(content)), content)
    body = b"".join(parts)
    return body + _CRC.pack(zlib.crc32(body))


def unpacked(chunk: bytes) -> Points:
    """Return the points of a chunk.

    Raises
    ------
    DamagedChunk
        The bytes were changed, or are cut off, or were written by a newer version.
    """
    if len(chunk) < _HEAD.size + _CRC.size:
        raise DamagedChunk(f"it has only {len(chunk)} bytes")
    view = memoryview(chunk)[: -_CRC.size]
    if zlib.crc32(view) != _CRC.unpack(chunk[-_CRC.size :])[0]:
        raise DamagedChunk("its checksum does not match its content")
    version, kind, count = _HEAD.unpack_from(view)
    if version != _VERSION:
        raise DamagedChunk(f"it has the format {version}, which a newer ModelBox writes")
    if not 0 < count <= MAX_CHUNK_POINTS:
        raise DamagedChunk(f"it claims to have {count} points")
    # From here on the bytes are what we wrote: the checksum says so. What still goes wrong is a mistake of ours, and must not pass either.
    try:
        (steps_as, steps), (clocks_as, clocks), (values_as, values) = _columns(view)
        points = Points(
            _KINDS[kind],
            _unpack_integers(steps_as, steps, count),
            _unpack_integers(clocks_as, clocks, count),
            _UNPACK[kind](values_as, values, count),
        )
    except (ValueError, IndexError, struct.error, zlib.error) as error:
        raise DamagedChunk(f"its content does not fit together ({error})") from error
    if not len(points.steps) == len(points.clocks_us) == len(points.values) == count:
        raise DamagedChunk("its columns differ in length")
    return points


def _columns(view: memoryview) -> list[tuple[int, memoryview]]:
    position = _HEAD.size
    columns: list[tuple[int, memoryview]] = []
    while position < len(view):
        coding, size = _COLUMN.unpack_from(view, position)
        position += _COLUMN.size
        columns.append((coding, view[position : position + size]))
        position += size
    return columns


# --- integers ----------------------------------------------------------------------------------------------------------------------------


def _pack_integers(numbers: Integers) -> tuple[int, bytes]:
    # Unsigned arithmetic wraps round, so that differences across the whole range of 64 bits are right as well.
    unsigned = numbers.view(np.uint64)
    differences = np.diff(unsigned)
    if not len(differences) or bool((differences == differences[0]).all()):
        stride = int(differences[0]) if len(differences) else 0
        return _AS_REGULAR, _REGULAR.pack(int(numbers[0]), stride)
    signed = differences.view(np.int64)
    least = int(signed.min())
    above = differences - np.uint64(least % 2**64)
    width = max(1, (int(above.max()).bit_length() + 7) // 8)
    return _AS_DELTAS, _DELTAS.pack(int(numbers[0]), least, width) + _low_bytes(above, width)


def _unpack_integers(coding: int, content: memoryview, count: int) -> Integers:
    if coding == _AS_REGULAR:
        start, stride = _REGULAR.unpack(content)
        return (np.uint64(start % 2**64) + np.arange(count, dtype=np.uint64) * np.uint64(stride)).view(np.int64)
    if coding != _AS_DELTAS:
        raise ValueError(f"no integers are coded as {coding}")
    start, least, width = _DELTAS.unpack_from(content)
    numbers = np.empty(count, np.uint64)
    numbers[0] = start % 2**64
    numbers[1:] = _from_low_bytes(content[_DELTAS.size :], width, count - 1)
    numbers[1:] += np.uint64(least % 2**64)
    return np.cumsum(numbers, dtype=np.uint64).view(np.int64)


def _low_bytes(numbers: npt.NDArray[np.uint64], width: int) -> bytes:
    """Return the `width` low bytes of each number."""
    if width in {1, 2, 4, 8}:
        return numbers.astype(f"<u{width}").tobytes()
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 8)[:, :width]).tobytes()


def _from_low_bytes(content: memoryview, width: int, count: int) -> npt.NDArray[np.uint64]:
    if width in {1, 2, 4, 8}:
        return np.frombuffer(content, f"<u{width}", count).astype(np.uint64)
    numbers = np.zeros((count, 8), np.uint8)
    numbers[:, :width] = np.frombuffer(content, np.uint8, count * width).reshape(count, width)
    return numbers.view(np.uint64).ravel()


# --- floats ------------------------------------------------------------------------------------------------------------------------------


def _pack_floats(values: Floats) -> tuple[int, bytes]:
    bits = values.view(np.uint64)
    if bool((bits == bits[0]).all()):
        return _AS_CONSTANT, bits[:1].tobytes()
    with np.errstate(all="ignore"):
        singles = values.astype(np.float32)
        if np.array_equal(singles.astype(np.float64).view(np.uint64), bits):
            integers = values.astype(np.int64)
            if np.array_equal(integers.astype(np.float64).view(np.uint64), bits):
                coding, content = _pack_integers(integers)
                return _AS_INTEGERS, bytes([coding]) + content
            return _AS_SINGLES, _split(singles.view(np.uint8).reshape(-1, 4))
    return _AS_DOUBLES, _split(bits.view(np.uint8).reshape(-1, 8))


def _unpack_floats(coding: int, content: memoryview, count: int) -> Floats:
    if coding == _AS_INTEGERS:
        return _unpack_integers(content[0], content[1:], count).astype(np.float64)
    if coding == _AS_SINGLES:
        return _unsplit(content, count, 4).view(np.float32).ravel().astype(np.float64)
    if coding == _AS_DOUBLES:
        return _unsplit(content, count, 8).view(np.float64).ravel()
    if coding == _AS_CONSTANT:
        return np.repeat(np.frombuffer(content, np.float64, 1), count)
    raise ValueError(f"no floats are coded as {coding}")


def _split(rows: npt.NDArray[np.uint8]) -> bytes:
    """Return the low bytes as they are, then the two high bytes of each number, deflated (one plane after the other)."""
    low = np.ascontiguousarray(rows[:, :-2]).tobytes()
    return low + zlib.compress(np.ascontiguousarray(rows[:, -2:].T).tobytes(), _DEFLATE_LEVEL)


def _unsplit(content: memoryview, count: int, width: int) -> npt.NDArray[np.uint8]:
    low_bytes = count * (width - 2)
    rows = np.empty((count, width), np.uint8)
    rows[:, :-2] = np.frombuffer(content, np.uint8, low_bytes).reshape(count, width - 2)
    rows[:, -2:] = np.frombuffer(zlib.decompress(content[low_bytes:]), np.uint8, 2 * count).reshape(2, count).T
    return rows


# --- texts and bytes ---------------------------------------------------------------------------------------------------------------------


def _pack_items(items: Sequence[bytes]) -> tuple[int, bytes]:
    lengths = np.fromiter(map(len, items), np.uint32, len(items)).tobytes()
    plain = lengths + b"".join(items)
    if len(plain) >= _DEFLATE_FROM_BYTES:
        deflated = zlib.compress(plain, _DEFLATE_LEVEL)
        if len(deflated) < len(plain):
            return _AS_DEFLATED, deflated
    return _AS_PLAIN, plain


def _unpack_items(coding: int, content: memoryview, count: int) -> list[bytes]:
    plain = zlib.decompress(content) if coding == _AS_DEFLATED else bytes(content)
    stops = (np.cumsum(np.frombuffer(plain, np.uint32, count), dtype=np.int64) + 4 * count).tolist()
    if stops[-1] != len(plain):
        raise ValueError(f"items of {stops[-1]} bytes in {len(plain)}")
    return [plain[start:stop] for start, stop in zip([4 * count, *stops], stops, strict=False)]


def _unpack_texts(coding: int, content: memoryview, count: int) -> list[str]:
    return [item.decode() for item in _unpack_items(coding, content, count)]


_UNPACK = cast("tuple[Callable[[int, memoryview, int], Floats], ...]", (_unpack_floats, _unpack_texts, _unpack_items))
