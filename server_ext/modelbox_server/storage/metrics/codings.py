"""How the columns of a chunk are written as bytes: a number that says how, and the content.

Integers are a start and a stride where they are regular (steps nearly always are), else the differences above their minimum in few bytes;
the differences that do not fit, such as the clock of a step after a pause, stand behind them. Floats are written once if all are equal, as
integers or with single precision where that gives back the same bits (counters, losses of float32 models), else as they lie in memory: a
reader copies them to where they are wanted, which nothing that saves another byte can keep up with. Texts and bytes are their lengths and
their content, deflated when that pays.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from modelbox_server.storage.metrics.columns import Floats, Integers

__all__ = ["pack_floats", "pack_integers", "pack_items", "unpack_floats", "unpack_integers", "unpack_items"]

_REGULAR = struct.Struct("<qQ")
_DELTAS = struct.Struct("<qqB")
_PATCHED = struct.Struct("<qqBI")
_PATCH_BYTES = 12
_DEFLATE_LEVEL = 1
_DEFLATE_FROM_BYTES = 64
_SAMPLE = 16

# Codings of integers …
_AS_REGULAR, _AS_DELTAS, _AS_PATCHED = 0, 1, 2
# … of floats; the split ones are of version 1, whose high bytes were deflated …
_AS_INTEGERS, _AS_SPLIT_SINGLES, _AS_SPLIT_DOUBLES, _AS_CONSTANT, _AS_SINGLES, _AS_DOUBLES = 0, 1, 2, 3, 4, 5
# … and of text and bytes.
_AS_PLAIN, _AS_DEFLATED = 0, 1


# --- integers ----------------------------------------------------------------------------------------------------------------------------


def pack_integers(numbers: Integers) -> tuple[int, bytes]:
    """Return the coding and the content of integers, at least one."""
    # Unsigned arithmetic wraps round, so that differences across the whole range of 64 bits are right as well.
    unsigned = numbers.view(np.uint64)
    differences = np.diff(unsigned)
    if not len(differences) or bool((differences == differences[0]).all()):
        stride = int(differences[0]) if len(differences) else 0
        return _AS_REGULAR, _REGULAR.pack(int(numbers[0]), stride)
    least = int(differences.view(np.int64).min())
    above = differences - np.uint64(least % 2**64)
    width = max(1, (int(above.max()).bit_length() + 7) // 8)
    for narrow in (1, 2, 4):
        if narrow >= width:
            break
        places = np.flatnonzero(above >> np.uint64(8 * narrow))
        if _PATCH_BYTES * len(places) < (width - narrow) * len(above):
            head = _PATCHED.pack(int(numbers[0]), least, narrow, len(places))
            return _AS_PATCHED, b"".join((head, _low_bytes(above, narrow), places.astype("<u4").tobytes(), above[places].tobytes()))
    return _AS_DELTAS, _DELTAS.pack(int(numbers[0]), least, width) + _low_bytes(above, width)


def unpack_integers(coding: int, content: memoryview, count: int) -> Integers:
    """Return `count` integers."""
    if coding == _AS_REGULAR:
        start, stride = _REGULAR.unpack(content)
        return (np.uint64(start % 2**64) + np.arange(count, dtype=np.uint64) * np.uint64(stride)).view(np.int64)
    numbers = np.empty(count, np.uint64)
    if coding == _AS_DELTAS:
        start, least, width = _DELTAS.unpack_from(content)
        numbers[1:] = _from_low_bytes(content[_DELTAS.size :], width, count - 1)
    elif coding == _AS_PATCHED:
        start, least, width, patches = _PATCHED.unpack_from(content)
        rest = content[_PATCHED.size + width * (count - 1) :]
        if len(rest) != _PATCH_BYTES * patches:
            raise ValueError(f"{patches} patches in {len(rest)} bytes")
        numbers[1:] = _from_low_bytes(content[_PATCHED.size :], width, count - 1)
        numbers[1:][np.frombuffer(rest, "<u4", patches)] = np.frombuffer(rest, np.uint64, patches, 4 * patches)
    else:
        raise ValueError(f"no integers are coded as {coding}")
    numbers[0] = start % 2**64
    numbers[1:] += np.uint64(least % 2**64)
    return np.cumsum(numbers, dtype=np.uint64, out=numbers).view(np.int64)


def _low_bytes(numbers: npt.NDArray[np.uint64], width: int) -> bytes:
    """Return the `width` low bytes of each number."""
    if width in {1, 2, 4, 8}:
        return numbers.astype(f"<u{width}").tobytes()
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 8)[:, :width]).tobytes()


def _from_low_bytes(content: memoryview, width: int, count: int) -> npt.NDArray[np.unsignedinteger]:
    if width in {1, 2, 4, 8}:
        return np.frombuffer(content, f"<u{width}", count)
    numbers = np.zeros((count, 8), np.uint8)
    numbers[:, :width] = np.frombuffer(content, np.uint8, count * width).reshape(count, width)
    return numbers.view(np.uint64).ravel()


# --- floats ------------------------------------------------------------------------------------------------------------------------------


def pack_floats(values: Floats) -> tuple[int, bytes]:
    """Return the coding and the content of floats, at least one."""
    bits = values.view(np.uint64)
    if bool((bits == bits[0]).all()):
        return _AS_CONSTANT, bits[:1].tobytes()
    if _are_singles(values[:_SAMPLE]) and _are_singles(values):
        with np.errstate(all="ignore"):
            integers = values.astype(np.int64)
        if np.array_equal(integers.astype(np.float64).view(np.uint64), bits):
            coding, content = pack_integers(integers)
            return _AS_INTEGERS, bytes([coding]) + content
        return _AS_SINGLES, values.astype("<f4").tobytes()
    return _AS_DOUBLES, values.tobytes()


def _are_singles(values: Floats) -> bool:
    with np.errstate(all="ignore"):
        return np.array_equal(values.astype(np.float32).astype(np.float64).view(np.uint64), values.view(np.uint64))


def unpack_floats(coding: int, content: memoryview, count: int) -> npt.NDArray[np.floating]:
    """Return `count` floats: a view into `content` where they lie there as they are, of single precision where that is all they have."""
    if coding == _AS_DOUBLES:
        return np.frombuffer(content, np.float64, count)
    if coding == _AS_SINGLES:
        return np.frombuffer(content, np.float32, count)
    if coding == _AS_CONSTANT:
        return np.repeat(np.frombuffer(content, np.float64, 1), count)
    if coding == _AS_INTEGERS:
        return unpack_integers(content[0], content[1:], count).astype(np.float64)
    if coding == _AS_SPLIT_SINGLES:
        return _unsplit(content, count, 4).view(np.float32).ravel()
    if coding == _AS_SPLIT_DOUBLES:
        return _unsplit(content, count, 8).view(np.float64).ravel()
    raise ValueError(f"no floats are coded as {coding}")


def _unsplit(content: memoryview, count: int, width: int) -> npt.NDArray[np.uint8]:
    """Put together low bytes as they are, and behind them the two high bytes of each number, deflated (one plane after the other)."""
    low_bytes = count * (width - 2)
    rows = np.empty((count, width), np.uint8)
    rows[:, :-2] = np.frombuffer(content, np.uint8, low_bytes).reshape(count, width - 2)
    rows[:, -2:] = np.frombuffer(zlib.decompress(content[low_bytes:]), np.uint8, 2 * count).reshape(2, count).T
    return rows


# --- texts and bytes ---------------------------------------------------------------------------------------------------------------------


def pack_items(items: Sequence[bytes]) -> tuple[int, bytes]:
    """Return the coding and the content of texts or bytes."""
    lengths = np.fromiter(map(len, items), np.uint32, len(items)).tobytes()
    plain = lengths + b"".join(items)
    if len(plain) >= _DEFLATE_FROM_BYTES:
        deflated = zlib.compress(plain, _DEFLATE_LEVEL)
        if len(deflated) < len(plain):
            return _AS_DEFLATED, deflated
    return _AS_PLAIN, plain


def unpack_items(coding: int, content: memoryview, count: int) -> list[bytes]:
    """Return `count` texts or bytes."""
    plain = zlib.decompress(content) if coding == _AS_DEFLATED else bytes(content)
    stops = (np.cumsum(np.frombuffer(plain, np.uint32, count), dtype=np.int64) + 4 * count).tolist()
    if stops[-1] != len(plain):
        raise ValueError(f"items of {stops[-1]} bytes in {len(plain)}")
    return [plain[start:stop] for start, stop in zip([4 * count, *stops], stops, strict=False)]
