"""Reading FlatBuffers, the metadata of Arrow messages, from somebody we do not know.

A table is a position in a buffer; every offset in it is followed only inside the buffer, so that damaged or hostile bytes end in one
exception and nothing else. (The reader of nanoarrow 0.9 follows them unchecked: four changed bytes end the process.)
"""

import struct
from typing import TypeAlias

__all__ = ["Damaged", "Table", "root"]

_INT16 = struct.Struct("<h")
_UINT16 = struct.Struct("<H")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_INT64 = struct.Struct("<q")
_PAIR = struct.Struct("<qq")

_Number: TypeAlias = struct.Struct


class Damaged(ValueError):
    """An offset or a length points outside the buffer."""


def root(data: memoryview) -> "Table":
    """Return the outermost table of a buffer."""
    return Table(data, _number(data, _UINT32, 0))


def _number(data: memoryview, form: _Number, position: int) -> int:
    if not 0 <= position <= len(data) - form.size:
        raise Damaged(f"an offset points to byte {position} of {len(data)}")
    value: int = form.unpack_from(data, position)[0]
    return value


class Table:
    """One table: fields by number, each with the default that stands for "not written"."""

    __slots__ = ("_data", "_position", "_vtable", "_vtable_bytes")

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _number(data, _INT32, position)
        self._vtable_bytes = _number(data, _UINT16, self._vtable)

    def _field(self, index: int) -> int | None:
        entry = 4 + 2 * index
        offset = _number(self._data, _UINT16, self._vtable + entry) if entry < self._vtable_bytes else 0
        return self._position + offset if offset else None

    def _scalar(self, index: int, form: _Number, default: int) -> int:
        position = self._field(index)
        return default if position is None else _number(self._data, form, position)

    def uint8(self, index: int, default: int = 0) -> int:
        """Return a field of one byte."""
        position = self._field(index)
        if position is None:
            return default
        if position >= len(self._data):
            raise Damaged(f"an offset points to byte {position} of {len(self._data)}")
        return self._data[position]

    def int16(self, index: int, default: int = 0) -> int:
        """Return a field of two bytes."""
        return self._scalar(index, _INT16, default)

    def int32(self, index: int, default: int = 0) -> int:
        """Return a field of four bytes."""
        return self._scalar(index, _INT32, default)

    def int64(self, index: int, default: int = 0) -> int:
        """Return a field of eight bytes."""
        return self._scalar(index, _INT64, default)

    def has(self, index: int) -> bool:
        """Tell whether the field was written."""
        return self._field(index) is not None

    def table(self, index: int) -> "Table":
        """Return the table that a field refers to."""
        return Table(self._data, self._follow(index))

    def text(self, index: int) -> str:
        """Return the text that a field refers to; empty when it is missing."""
        if self._field(index) is None:
            return ""
        start, count = self._vector(index, 1)
        return bytes(self._data[start : start + count]).decode(errors="replace")

    def tables(self, index: int) -> list["Table"]:
        """Return the tables of a vector."""
        if self._field(index) is None:
            return []
        start, count = self._vector(index, 4)
        entries = range(start, start + 4 * count, 4)
        return [Table(self._data, entry + _number(self._data, _UINT32, entry)) for entry in entries]

    def pairs(self, index: int) -> list[tuple[int, int]]:
        """Return a vector of structs that are two 64-bit integers each."""
        if self._field(index) is None:
            return []
        start, count = self._vector(index, _PAIR.size)
        return [(first, second) for first, second in _PAIR.iter_unpack(self._data[start : start + _PAIR.size * count])]

    def _follow(self, index: int) -> int:
        position = self._field(index)
        if position is None:
            raise Damaged(f"field {index} is missing")
        return position + _number(self._data, _UINT32, position)

    def _vector(self, index: int, item_bytes: int) -> tuple[int, int]:
        """Return where the items of a vector begin, and how many there are."""
        position = self._follow(index)
        count = _number(self._data, _UINT32, position)
        if position + 4 + count * item_bytes > len(self._data):
            raise Damaged(f"a vector of {count} items does not fit into {len(self._data)} bytes")
        return position + 4, count
