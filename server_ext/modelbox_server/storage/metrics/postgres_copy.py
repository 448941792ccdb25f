"""Rows in PostgreSQL's binary COPY format, packed and taken apart by numpy.

A row through the usual way of a driver takes 3 to 14 µs of our processor; here it is 0.1 µs. The format is a header, for each row the
number of its fields and each field with its length, and an end: rows of numbers that are never NULL are all of one length.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from modelbox.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelbox_server.storage.metrics.columns import Floats, Integers

__all__ = ["NumberRows", "RowStream", "content_rows", "number_rows", "read_content_rows", "read_number_rows", "read_rows_of_four"]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_ROWS_AT_ONCE = 8192
_FIELD = struct.Struct(">i")
_FOUR_INTEGERS = struct.Struct(">hiqiqiqiq")

NumberRows: TypeAlias = "tuple[Integers, Integers, Integers, Floats]"
"""Columns of rows that were read: id of the series, step, wall clock, value."""


def _layout(*fields: str) -> np.dtype[Any]:
    parts = [part for at, kind in enumerate(fields) for part in ((f"length {at}", ">i4"), (str(at), kind))]
    return np.dtype([("fields", ">i2"), *parts])


_WRITTEN = _layout(">i8", ">i8", ">i8", ">i8", ">f8")
_READ = _layout(">i8", ">i8", ">i8", ">f8")


def number_rows(columns: Iterable[tuple[int, int, Integers, Integers, Floats]], count: int) -> Iterator[bytes]:
    """Yield `count` rows (id of the series, place in order of arrival, step, wall clock, value).

    Parameters
    ----------
    columns
        For each series its id, how many points it has already, and the steps, wall clocks and values to add.
    count
        How many rows these are together.
    """
    rows = np.empty(min(count, _ROWS_AT_ONCE), _WRITTEN)
    rows["fields"] = 5
    for at in range(5):
        rows[f"length {at}"] = 8
    filled = 0
    for series_id, start, steps, clocks_us, values in columns:
        done = 0
        while done < len(steps):
            size = min(len(steps) - done, len(rows) - filled)
            target, source = slice(filled, filled + size), slice(done, done + size)
            rows["0"][target] = series_id
            rows["1"][target] = np.arange(start + done, start + done + size)
            rows["2"][target], rows["3"][target], rows["4"][target] = steps[source], clocks_us[source], values[source]
            filled, done = filled + size, done + size
            if filled == len(rows):
                yield rows.tobytes()
                filled = 0
    yield rows[:filled].tobytes()


def content_rows(rows: Iterable[tuple[int, int, int, int, bytes]]) -> Iterator[bytes]:
    """Yield rows (id of the series, place in order of arrival, step, wall clock, content)."""
    for series_id, number, step, clock_us, content in rows:
        yield _FOUR_INTEGERS.pack(5, 8, series_id, 8, number, 8, step, 8, clock_us) + _FIELD.pack(len(content)) + content


class RowStream:
    """A file of rows for ``COPY ... FROM STDIN``, made while it is read.

    Parameters
    ----------
    rows
        What :func:`number_rows` or :func:`content_rows` gives.
    """

    def __init__(self, rows: Iterator[bytes]) -> None:
        self._rows = rows
        self._before: bytes | None = _HEADER
        self._after: bytes | None = _END

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, more or fewer than `size_bytes`, which the driver does not mind; none at the end."""
        del size_bytes
        before, self._before = self._before, None
        if before is not None:
            return before
        rows = next(self._rows, b"") or next(self._rows, b"")
        if not rows:
            rows, self._after = self._after or b"", None
        return rows


def read_number_rows(copied: BytesIO) -> NumberRows:
    """Return the columns of rows (id of the series, step, wall clock, value) that ``COPY ... TO STDOUT`` gave."""
    buffer = copied.getbuffer()[len(_HEADER) : -len(_END)]
    if len(buffer) % _READ.itemsize:
        raise StorageError(f"The metrics database sent {len(buffer)} bytes, which are no rows of {_READ.itemsize}: is it PostgreSQL?")
    rows = np.frombuffer(buffer, _READ)
    return rows["0"].astype(np.int64), rows["1"].astype(np.int64), rows["2"].astype(np.int64), rows["3"].astype(np.float64)


def read_content_rows(copied: BytesIO) -> list[tuple[int, int, int, bytes]]:
    """Return rows (id of the series, step, wall clock, content) that ``COPY ... TO STDOUT`` gave."""
    return [
        (_integer(series_id), _integer(step), _integer(clock_us), content)
        for series_id, step, clock_us, content in read_rows_of_four(copied)
    ]


def read_rows_of_four(copied: BytesIO) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Yield rows of four fields, none of them NULL, that ``COPY ... TO STDOUT`` gave, as they lie in PostgreSQL's binary format."""
    data = copied.getvalue()
    size_at = _FIELD.unpack_from
    place, end = len(_HEADER), len(data) - len(_END)
    while place < end:
        first = place + 6
        second = first + size_at(data, first - 4)[0] + 4
        third = second + size_at(data, second - 4)[0] + 4
        fourth = third + size_at(data, third - 4)[0] + 4
        place = fourth + size_at(data, fourth - 4)[0]
        yield data[first : second - 4], data[second : third - 4], data[third : fourth - 4], data[fourth:place]


def _integer(field: bytes) -> int:
    return int.from_bytes(field, "big", signed=True)
