"""Writing FlatBuffers, the metadata of Arrow messages: say what is wanted as nested tables, get the bytes.

Everything is written in the order in which it is met, a table before what it refers to, and aligned as the format asks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Field", "Pairs", "Scalar", "Table", "built"]

_UINT32 = struct.Struct("<I")
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, and how :mod:`struct` writes it."""

    form: str
    value: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A vector of structs that are two 64-bit integers each."""

    items: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its fields by number, ``None`` for those that are left out."""

    fields: Sequence[Field | None] = ()


Field: TypeAlias = "Scalar | str | Table | Pairs | Sequence[Table]"


def built(root: Table) -> bytes:
    """Return a buffer with this table as its outermost; its length is a multiple of eight."""
    out = bytearray(_UINT32.size)
    _UINT32.pack_into(out, 0, _write_table(out, root))
    _pad(out, _ALIGNMENT)
    return bytes(out)


def _write(out: bytearray, value: str | Table | Pairs | Sequence[Table]) -> int:
    """Append something that is referred to, and return where it begins."""
    match value:
        case Table():
            return _write_table(out, value)
        case str():
            return _write_text(out, value)
        case Pairs():
            return _write_pairs(out, value)
        case _:
            return _write_tables(out, value)


def _write_table(out: bytearray, table: Table) -> int:
    given = [(number, field) for number, field in enumerate(table.fields) if field is not None]
    # The largest first: behind the four bytes that begin a table everything is aligned then.
    given.sort(key=lambda item: -_size(item[1]))
    places: dict[int, int] = {}
    end = 4
    for number, field in given:
        places[number] = end
        end += _size(field)
    _pad(out, 2)
    vtable = len(out)
    entries = [places.get(number, 0) for number in range(len(table.fields))]
    out += struct.pack(f"<{2 + len(entries)}H", 4 + 2 * len(entries), end, *entries)
    _pad(out, _ALIGNMENT, behind=4)
    begin = len(out)
    out += struct.pack("<i", begin - vtable) + bytes(end - 4)
    for number, field in sorted(given):
        place = begin + places[number]
        if isinstance(field, Scalar):
            struct.pack_into(f"<{field.form}", out, place, field.value)
        else:
            _UINT32.pack_into(out, place, _write(out, field) - place)
    return begin


def _write_text(out: bytearray, text: str) -> int:
    data = text.encode()
    _pad(out, 4)
    begin = len(out)
    out += _UINT32.pack(len(data)) + data + b"\0"
    return begin


def _write_pairs(out: bytearray, pairs: Pairs) -> int:
    _pad(out, _ALIGNMENT, behind=4)
    begin = len(out)
    out += _UINT32.pack(len(pairs.items))
    for first, second in pairs.items:
        out += struct.pack("<qq", first, second)
    return begin


def _write_tables(out: bytearray, tables: Sequence[Table]) -> int:
    _pad(out, 4)
    begin = len(out)
    out += _UINT32.pack(len(tables)) + bytes(4 * len(tables))
    for number, table in enumerate(tables):
        place = begin + 4 + 4 * number
        _UINT32.pack_into(out, place, _write_table(out, table) - place)
    return begin


def _size(field: Field) -> int:
    return struct.calcsize(f"<{field.form}") if isinstance(field, Scalar) else _UINT32.size


def _pad(out: bytearray, alignment: int, *, behind: int = 0) -> None:
    """Append zeros until the place `behind` bytes further on is aligned."""
    out += bytes(-(len(out) + behind) % alignment)
