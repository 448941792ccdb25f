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
long form. Encoding takes any buffers, so a client needs neither numpy nor pyarrow.
"""

import base64
import binascii
import io
import struct
import time
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, cast

import nanoarrow as na
from nanoarrow.ipc import InputStream, StreamWriter

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.entities.values import float_from_wire, float_to_wire
from modelbox.errors import InvalidRequest, TooLarge
from modelbox.wire.messages import MetricsJson, SeriesJson

__all__ = ["ARROW_STREAM", "blocks_from_arrow", "blocks_from_json", "blocks_to_arrow", "blocks_to_json"]

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of an Arrow IPC stream."""

_LISTS = {"step": na.int64(), "wall_time": na.timestamp("us", timezone="UTC"), "value": na.float64()}
_SCHEMA = na.struct(
    {
        "object_id": na.string(),
        "key": na.string(),
        **{name: na.large_list(item) for name, item in _LISTS.items()},
        "text": na.large_list(na.string()),
        "bytes": na.large_list(na.binary()),
    }
)
_MAX_POINTS = 10_000_000


def blocks_to_arrow(blocks: Sequence[SeriesBlock]) -> bytes:
    """Return `blocks` as one Arrow IPC stream."""
    floats = [block.values if block.kind is ValueKind.FLOAT else None for block in blocks]
    texts = [block.values if block.kind is ValueKind.TEXT else None for block in blocks]
    binaries = [block.values if block.kind is ValueKind.BYTES else None for block in blocks]
    columns = [
        na.c_array([block.object_id for block in blocks], na.string()),
        na.c_array([block.key for block in blocks], na.string()),
        _numbers("step", [block.steps for block in blocks]),
        _numbers("wall_time", [block.wall_times_us for block in blocks]),
        _numbers("value", floats),
        _strings(na.string(), texts),
        _strings(na.binary(), binaries),
    ]
    row = na.c_array_from_buffers(_SCHEMA, len(blocks), [None], null_count=0, children=columns)
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(na.c_array_stream(row))
    return out.getvalue()
