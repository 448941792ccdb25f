"""Blocks of metric points as an Arrow IPC stream: one row per series, its points in list columns.

========== ============================== ==========================================
column     type                           holds
========== ============================== ==========================================
object_id  utf8                           what the points belong to
key        utf8                           name of the metric
step       large_list<int64>              steps
wall_time  large_list<timestamp[us, UTC]> wall clocks
value      large_list<float64>, nullable  the values of a float series
text       large_list<utf8>, nullable     the values of a text series
bytes      large_list<binary>, nullable   the values of a bytes series
========== ============================== ==========================================

Exactly one of ``value``, ``text``, ``bytes`` is not null in a row. Any Arrow implementation reads and writes this; ``explode`` gives the
long form. With *list views* (``large_list_view``, which fewer implementations know) for ``step`` and ``wall_time``, series that were logged
together carry their steps and clocks once: a third of the bytes. Our client and server speak so with each other.

This module writes: pieces that are views into the columns of the blocks wherever they can be, so that a client needs neither numpy nor
pyarrow and nobody copies points. Reading is in :mod:`modelbox.wire.arrow_reader`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias, cast

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidRequest, TooLarge, shortened
from modelbox.wire.flatbuffers_builder import Field, Pairs, Scalar, Table, built

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ARROW_END", "ARROW_STREAM", "arrow_batch", "arrow_schema", "arrow_stream", "blocks_to_arrow"]

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of an Arrow IPC stream."""

ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"
"""What ends a stream."""

_CONTINUATION = b"\xff\xff\xff\xff"
_VERSION_5 = Scalar("h", 4)
_SCHEMA_HEADER, _BATCH_HEADER = Scalar("B", 1), Scalar("B", 3)
_INT32_MAX = 2**31 - 1
_ALIGNMENT = 8

# A type, as the format's Schema.fbs numbers it, and what describes it further.
_Type: TypeAlias = tuple[int, Table]
_INT64: _Type = (2, Table([Scalar("i", 64), Scalar("B", 1)]))
_FLOAT64: _Type = (3, Table([Scalar("h", 2)]))
_BINARY: _Type = (4, Table())
_UTF8: _Type = (5, Table())
_MOMENT: _Type = (10, Table([Scalar("h", 2), "UTC"]))
_LARGE_LIST: _Type = (21, Table())
_LARGE_LIST_VIEW: _Type = (26, Table())


def blocks_to_arrow(blocks: Sequence[SeriesBlock], *, list_views: bool = False) -> bytes:
    """Return `blocks` as one Arrow IPC stream.

    Raises
    ------
    InvalidRequest
        The columns of a block differ in length, or a text has a lone surrogate.
    TooLarge
        The texts or bytes of one column pass 2 GiB.
    """
    return b"".join(arrow_stream(blocks, list_views=list_views))


def arrow_stream(blocks: Sequence[SeriesBlock], *, list_views: bool = False) -> list[bytes | memoryview]:
    """Return the pieces of the same stream; they are views into the columns of `blocks` where those are numbers."""
    return [arrow_schema(list_views=list_views), *(arrow_batch(blocks, list_views=list_views) if blocks else ()), ARROW_END]


@cache
def arrow_schema(*, list_views: bool) -> bytes:
    """Return the message that begins a stream."""
    points = _LARGE_LIST_VIEW if list_views else _LARGE_LIST
    fields = [
        _field("object_id", _UTF8),
        _field("key", _UTF8),
        _field("step", points, _INT64),
        _field("wall_time", points, _MOMENT),
        _field("value", _LARGE_LIST, _FLOAT64),
        _field("text", _LARGE_LIST, _UTF8),
        _field("bytes", _LARGE_LIST, _BINARY),
    ]
    return _message(_SCHEMA_HEADER, Table([Scalar("h", 0), fields]), 0)


def arrow_batch(blocks: Sequence[SeriesBlock], *, list_views: bool) -> list[bytes | memoryview]:
    """Return the pieces of a record batch with these blocks as its rows; see :func:`blocks_to_arrow` for what is raised."""
    for block in blocks:
        _check_lengths(block)
    body = _Body()
    _add_strings(body, [_encoded(block.object_id, block) for block in blocks])
    _add_strings(body, [_encoded(block.key, block) for block in blocks])
    for column in ([block.steps for block in blocks], [block.wall_times_us for block in blocks]):
        if list_views:
            _add_views(body, column)
        else:
            _add_numbers(body, column)
    _add_numbers(body, [cast("Buffer", block.values) if block.kind is ValueKind.FLOAT else None for block in blocks])
    _add_lists_of_strings(body, [_texts(block) if block.kind is ValueKind.TEXT else None for block in blocks])
    _add_lists_of_strings(body, [cast("Sequence[bytes]", block.values) if block.kind is ValueKind.BYTES else None for block in blocks])
    header = Table([Scalar("q", len(blocks)), Pairs(body.nodes), Pairs(body.buffers)])
    return [_message(_BATCH_HEADER, header, body.size_bytes), *body.pieces]


def _field(name: str, type_: _Type, item: _Type | None = None) -> Table:
    number, details = type_
    children: Sequence[Table] = [] if item is None else [_field("item", item)]
    fields: list[Field | None] = [name, Scalar("B", 1), Scalar("B", number), details, None, children]
    return Table(fields)


def _message(kind: Scalar, header: Table, body_bytes: int) -> bytes:
    metadata = built(Table([_VERSION_5, kind, header, Scalar("q", body_bytes)]))
    return _CONTINUATION + struct.pack("<i", len(metadata)) + metadata


class _Body:
    """The buffers of a record batch, and what its header has to say of them."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.nodes: list[tuple[int, int]] = []
        self.buffers: list[tuple[int, int]] = []
        self.size_bytes = 0

    def node(self, length: int, nulls: int = 0) -> None:
        """Begin the next field."""
        self.nodes.append((length, nulls))

    def buffer(self, pieces: Iterable[bytes | memoryview] = ()) -> None:
        """Add the next buffer; without pieces it is empty, as validity is where nothing is null."""
        begin = self.size_bytes
        for piece in pieces:
            if len(piece):
                self.pieces.append(piece)
                self.size_bytes += len(piece)
        self.buffers.append((begin, self.size_bytes - begin))
        if padding := -self.size_bytes % _ALIGNMENT:
            self.pieces.append(bytes(padding))
            self.size_bytes += padding

    def lists(self, lengths: Sequence[int], valid: Sequence[bool]) -> None:
        """Add a list column up to its items."""
        self.node(len(lengths), valid.count(False))
        bits = sum(1 << index for index, is_valid in enumerate(valid) if is_valid)
        self.buffer(() if all(valid) else [bits.to_bytes((len(valid) + 7) // 8, "little")])
        self.buffer([_little("q", accumulate(lengths, initial=0))])


def _little(type_: str, numbers: Iterable[int]) -> bytes:
    return array(type_, numbers).tobytes()


def _add_strings(body: _Body, items: Sequence[bytes]) -> None:
    if sum(map(len, items)) > _INT32_MAX:
        raise TooLarge("The texts or bytes of one batch pass 2 GiB: send them in several batches.", limit="2 GiB")
    body.node(len(items))
    body.buffer()
    body.buffer([_little("i", accumulate(map(len, items), initial=0))])
    body.buffer([b"".join(items)])


def _add_numbers(body: _Body, rows: Sequence[Buffer | None]) -> None:
    views = [None if row is None else memoryview(row).cast("B") for row in rows]
    given = [view for view in views if view is not None]
    body.lists([0 if view is None else len(view) // 8 for view in views], [view is not None for view in views])
    body.node(sum(map(len, given)) // 8)
    body.buffer()
    body.buffer(given)


def _add_views(body: _Body, rows: Sequence[Buffer]) -> None:
    """Add a list-view column: a row that equals the one before it refers to the same items."""
    pieces: list[memoryview] = []
    offsets: list[int] = []
    sizes: list[int] = []
    offset = end = 0
    before: Buffer | None = None
    before_bytes: bytes | None = None
    for row in rows:
        view = memoryview(row).cast("B")
        if row is not before:
            row_bytes = view.tobytes()  # two views would be compared byte by byte, in slow motion
            if row_bytes != before_bytes:
                pieces.append(view)
                offset, end = end, end + len(view) // 8
            before, before_bytes = row, row_bytes
        offsets.append(offset)
        sizes.append(len(view) // 8)
    body.node(len(rows))
    body.buffer()
    body.buffer([_little("q", offsets)])
    body.buffer([_little("q", sizes)])
    body.node(end)
    body.buffer()
    body.buffer(pieces)


def _add_lists_of_strings(body: _Body, rows: Sequence[Sequence[bytes] | None]) -> None:
    body.lists([len(row or ()) for row in rows], [row is not None for row in rows])
    _add_strings(body, [item for row in rows if row is not None for item in row])


def _check_lengths(block: SeriesBlock) -> None:
    clocks = memoryview(block.wall_times_us).nbytes // 8
    is_float = block.kind is ValueKind.FLOAT
    values = memoryview(cast("Buffer", block.values)).nbytes // 8 if is_float else len(cast("Sequence[object]", block.values))
    if not len(block) == clocks == values:
        raise InvalidRequest(
            f"The series {shortened(block.key)} has {len(block)} steps, {clocks} wall clocks and {values} values: send as many of each."
        )


def _encoded(text: str, block: SeriesBlock) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"A text of the series {shortened(block.key)} contains a lone surrogate: send valid Unicode.") from error


def _texts(block: SeriesBlock) -> list[bytes]:
    return [_encoded(text, block) for text in cast("Sequence[str]", block.values)]
