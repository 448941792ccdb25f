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
long form. This module writes: from any buffers, so that a client needs neither numpy nor pyarrow. Reading is in
:mod:`modelbox.wire.arrow_reader`.
"""

import io
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import nanoarrow as na
from nanoarrow.ipc import StreamWriter
from typing_extensions import Buffer

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidRequest, TooLarge, shortened

__all__ = ["ARROW_STREAM", "blocks_to_arrow"]

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of an Arrow IPC stream."""

_COLUMNS = {
    "object_id": na.string(),
    "key": na.string(),
    "step": na.large_list(na.int64()),
    "wall_time": na.large_list(na.timestamp("us", timezone="UTC")),
    "value": na.large_list(na.float64()),
    "text": na.large_list(na.string()),
    "bytes": na.large_list(na.binary()),
}
_SCHEMA = na.struct(_COLUMNS)
_INT32_MAX = 2**31 - 1


def blocks_to_arrow(blocks: Sequence[SeriesBlock]) -> bytes:
    """Return `blocks` as one Arrow IPC stream.

    Raises
    ------
    InvalidRequest
        The columns of a block differ in length, or a text has a lone surrogate.
    TooLarge
        The texts or bytes of one column pass 2 GiB.
    """
    for block in blocks:
        _check_lengths(block)
    columns = [
        _strings("utf8", [_encoded(block.object_id, block) for block in blocks]),
        _strings("utf8", [_encoded(block.key, block) for block in blocks]),
        _list_of_numbers("step", [block.steps for block in blocks]),
        _list_of_numbers("wall_time", [block.wall_times_us for block in blocks]),
        _list_of_numbers("value", [cast(Buffer, block.values) if block.kind is ValueKind.FLOAT else None for block in blocks]),
        _list_of_strings("text", [_texts(block) if block.kind is ValueKind.TEXT else None for block in blocks]),
        _list_of_strings("bytes", [cast(Sequence[bytes], block.values) if block.kind is ValueKind.BYTES else None for block in blocks]),
    ]
    rows = na.c_array_from_buffers(_SCHEMA, len(blocks), [None], null_count=0, children=columns)
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.serialize_stream(rows)
    return out.getvalue()


def _check_lengths(block: SeriesBlock) -> None:
    clocks = memoryview(block.wall_times_us).nbytes // 8
    is_float = block.kind is ValueKind.FLOAT
    values = memoryview(cast(Buffer, block.values)).nbytes // 8 if is_float else len(cast(Sequence[object], block.values))
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
    return [_encoded(text, block) for text in cast(Sequence[str], block.values)]


def _strings(type_: str, items: Sequence[bytes]) -> object:
    content = b"".join(items)
    if len(content) > _INT32_MAX:
        raise TooLarge("The texts or bytes of one batch pass 2 GiB: send them in several batches.", limit="2 GiB")
    offsets = array("i", accumulate(map(len, items), initial=0))
    return na.c_array_from_buffers(na.binary() if type_ == "binary" else na.string(), len(items), [None, offsets, content], null_count=0)


def _list_of_numbers(name: str, rows: Sequence[Buffer | None]) -> object:
    views = [b"" if row is None else memoryview(row).cast("B") for row in rows]
    item = {"step": na.int64(), "wall_time": _COLUMNS["wall_time"].value_type, "value": na.float64()}[name]
    content = b"".join(views)
    items = na.c_array_from_buffers(item, len(content) // 8, [None, content], null_count=0)
    return _list(name, [row is not None for row in rows], [len(view) // 8 for view in views], items)


def _list_of_strings(name: str, rows: Sequence[Sequence[bytes] | None]) -> object:
    items = _strings("binary" if name == "bytes" else "utf8", [item for row in rows if row is not None for item in row])
    return _list(name, [row is not None for row in rows], [len(row or ()) for row in rows], items)


def _list(name: str, valid: Sequence[bool], lengths: Sequence[int], items: object) -> object:
    bits = sum(1 << index for index, is_valid in enumerate(valid) if is_valid)
    bitmap = None if all(valid) else bits.to_bytes((len(valid) + 7) // 8, "little")
    offsets = array("q", accumulate(lengths, initial=0))
    return na.c_array_from_buffers(_COLUMNS[name], len(lengths), [bitmap, offsets], null_count=valid.count(False), children=[items])
