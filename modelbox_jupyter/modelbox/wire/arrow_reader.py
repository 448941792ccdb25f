"""Reading blocks of metric points from an Arrow IPC stream: the table of :mod:`modelbox.wire.arrow`, and nothing else.

Whatever the bytes are, the result is blocks or an error with a sentence. Number columns are views into the stream itself; texts and bytes
are copied out. Lists and texts may have offsets of 32 or 64 bits, as the common implementations write them, and ``step`` and ``wall_time``
may be list views. Compressed bodies are refused: compress the HTTP body instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidRequest, TooLarge, UnsupportedMedia, shortened
from modelbox.wire.flatbuffers import Damaged, Table, root

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["MAX_ARROW_POINTS", "blocks_from_arrow"]

MAX_ARROW_POINTS = 10_000_000
"""How many points one Arrow batch may have."""

T = TypeVar("T", str, bytes)

_Numbers: TypeAlias = "memoryview[int] | memoryview[float]"

_TYPES = {
    "object_id": "utf8",
    "key": "utf8",
    "step": "large_list<int64>",
    "wall_time": "large_list<timestamp[us, UTC]>",
    "value": "large_list<float64>",
    "text": "large_list<utf8>",
    "bytes": "large_list<binary>",
}
_CONTINUATION = b"\xff\xff\xff\xff"
_SCHEMA_MESSAGE, _BATCH_MESSAGE = 1, 3
# Numbers of types in the format's Schema.fbs, and the width of the offsets of each.
_UTF8 = {5: 4, 20: 8}
_BINARY = {4: 4, 19: 8}
_LIST = {12: 4, 21: 8}
_LIST_VIEW = {25: 4, 26: 8}
_INT, _FLOAT, _TIMESTAMP = 2, 3, 10


def blocks_from_arrow(data: Buffer, *, max_points: int | None = MAX_ARROW_POINTS) -> list[SeriesBlock]:
    """Return the blocks of an Arrow IPC stream.

    Parameters
    ----------
    data
        The stream.
    max_points
        Bound for what a stranger sent; ``None`` for an answer, which has as many points as were asked for.

    Raises
    ------
    InvalidRequest
        It is no Arrow IPC stream, it is cut off, or its columns are not those of :mod:`modelbox.wire.arrow`.
    UnsupportedMedia
        Its bodies are compressed.
    TooLarge
        It has more than `max_points` points.
    """
    blocks: list[SeriesBlock] = []
    points = 0
    try:
        messages = _messages(memoryview(data).cast("B"))
        columns = _columns(next(messages, None))
        for message, body in messages:
            added = _blocks(_Batch(message, body), columns)
            points += sum(map(len, added))
            if max_points is not None and points > max_points:
                raise TooLarge(
                    f"The batch has more than {max_points:,} points: send it in parts.", field="body", limit=f"{max_points} points"
                )
            blocks += added
    except Damaged as error:
        raise InvalidRequest(f"The body is no valid Arrow IPC stream: {error}.", field="body") from error
    return blocks


_Message: TypeAlias = tuple[Table, memoryview]


def _messages(data: memoryview) -> Iterator[_Message]:
    """Yield metadata and body of each message up to the end-of-stream marker."""
    position = 0
    while True:
        if bytes(data[position : position + 4]) != _CONTINUATION:
            raise Damaged(f"no message begins at byte {position} of {len(data)}, so it may be cut off")
        metadata_bytes = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if position > len(data) or position + metadata_bytes > len(data):
            raise Damaged(f"it is cut off after {len(data)} bytes")
        if not metadata_bytes:
            return
        message = root(data[position : position + metadata_bytes])
        position += metadata_bytes
        body_bytes = message.int64(3)
        if not 0 <= body_bytes <= len(data) - position:
            raise Damaged(f"it is cut off after {len(data)} bytes")
        yield message, data[position : position + body_bytes]
        position += body_bytes


def _columns(message: _Message | None) -> dict[str, int]:
    """Check the schema, and return the width of the offsets of each column, negative for list views.

    That of its texts stands under ``"<name>.item"``.
    """
    if message is None or message[0].uint8(1) != _SCHEMA_MESSAGE:
        raise Damaged("it does not begin with a schema")
    schema = message[0].table(2)
    fields = {field.text(0): field for field in schema.tables(1)}
    if list(fields) != list(_TYPES) or len(schema.tables(1)) != len(_TYPES):
        raise InvalidRequest(
            f"The Arrow stream has the columns {shortened(list(fields), 160)}: send exactly {', '.join(_TYPES)}.", field="body"
        )
    if schema.int16(0):
        raise UnsupportedMedia("The Arrow stream is big-endian: send it little-endian.", field="body")
    widths: dict[str, int] = {}
    for name, field in fields.items():
        offsets = _offset_widths(name, field)
        if offsets is None:
            raise InvalidRequest(f"The column {name!r} of the Arrow stream has another type: send it as plain {_TYPES[name]}.", field=name)
        widths |= offsets
    return widths


def _offset_widths(name: str, field: Table) -> dict[str, int] | None:
    """Return the widths of the offsets of a column, or ``None`` if its type is not as it should be."""
    children = field.tables(5)
    if field.has(4) or any(child.has(4) for child in children):  # dictionary-encoded
        return None
    if name in {"object_id", "key"}:
        width = _UTF8.get(field.uint8(2))
        return None if width is None else {name: width}
    kind_of_list = field.uint8(2)
    width = _LIST.get(kind_of_list)
    if width is None and name in {"step", "wall_time"} and kind_of_list in _LIST_VIEW:
        width = -_LIST_VIEW[kind_of_list]
    if width is None or len(children) != 1:
        return None
    item = children[0]
    kind, type_ = item.uint8(2), item.table(3)
    match name:
        case "step" if kind == _INT and type_.int32(0) == 64 and type_.uint8(1):
            return {name: width}
        case "wall_time" if kind == _TIMESTAMP and type_.int16(0) == 2 and type_.text(1) == "UTC":
            return {name: width}
        case "value" if kind == _FLOAT and type_.int16(0) == 2:
            return {name: width}
        case "text" if kind in _UTF8:
            return {name: width, "text.item": _UTF8[kind]}
        case "bytes" if kind in _BINARY:
            return {name: width, "bytes.item": _BINARY[kind]}
    return None


class _Batch:
    """A record batch: hands out nodes and buffers in the order in which the format lists them."""

    def __init__(self, message: Table, body: memoryview) -> None:
        if message.uint8(1) != _BATCH_MESSAGE:
            raise Damaged("it has a message that is neither schema nor record batch; dictionaries are not used here")
        batch = message.table(2)
        if batch.has(3):
            raise UnsupportedMedia(
                "The record batches of the Arrow stream are compressed: write them uncompressed, or compress the HTTP body.", field="body"
            )
        self.rows = batch.int64(0)
        self._body = body
        self._nodes = iter(batch.pairs(1))
        self._buffers = iter(batch.pairs(2))

    def node(self) -> tuple[int, int]:
        """Return length and number of nulls of the next field."""
        node = next(self._nodes, None)
        if node is None or node[0] < 0:
            raise Damaged("a record batch lacks a column")
        return node

    def buffer(self) -> memoryview:
        """Return the next buffer."""
        start, size = next(self._buffers, (-1, 0))
        if start < 0 or size < 0 or start + size > len(self._body):
            raise Damaged("a buffer lies outside its record batch")
        return self._body[start : start + size]

    def numbers(self, count: int, form: Literal["q", "d"]) -> _Numbers:
        """Return the next buffer as `count` numbers of 8 bytes."""
        content = self.buffer()
        if len(content) < 8 * count:
            raise Damaged(f"a buffer has {len(content)} bytes for {count} numbers")
        return content[: 8 * count].cast("d") if form == "d" else content[: 8 * count].cast("q")

    def offsets(self, count: int, width: int) -> list[int]:
        """Return the next buffer as the offsets of `count` items: none negative, none smaller than the one before it."""
        content = self.buffer()
        if not count and not content:  # older writers leave the offsets of empty columns out
            return [0]
        if len(content) < width * (count + 1):
            raise Damaged(f"a buffer has {len(content)} bytes for the offsets of {count} items")
        offsets = content[: width * (count + 1)].cast("i" if width == 4 else "q").tolist()
        if offsets[0] < 0 or any(start > stop for start, stop in pairwise(offsets)):
            raise Damaged("offsets go backwards")
        return offsets

    def spans(self, count: int, width: int) -> list[tuple[int, int]]:
        """Return the next two buffers, offsets and sizes of `count` items, as where each begins and ends."""
        columns: list[list[int]] = []
        for _ in range(2):
            content = self.buffer()
            if len(content) < width * count:
                raise Damaged(f"a buffer has {len(content)} bytes for the places of {count} items")
            columns.append(content[: width * count].cast("i" if width == 4 else "q").tolist())
        if any(number < 0 for column in columns for number in column):
            raise Damaged("offsets or sizes are negative")
        return [(offset, offset + size) for offset, size in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class _List:
    """A list column: where each row begins and ends in the items (``None`` for a null)."""

    bounds: list[tuple[int, int] | None]
    count: int
    """How many items there are."""


def _list(batch: _Batch, name: str, width: int) -> _List:
    rows, nulls = batch.node()
    validity = batch.buffer()
    bounds: list[tuple[int, int] | None] = list(pairwise(batch.offsets(rows, width)) if width > 0 else batch.spans(rows, -width))
    count, item_nulls = batch.node()
    if item_nulls or (nulls and name in {"step", "wall_time"}):
        raise InvalidRequest(f"The column {name!r} of the Arrow stream has nulls: leave them out.", field=name)
    if max((span[1] for span in bounds if span is not None), default=0) > count:
        raise Damaged(f"the lists of {name!r} have more items than there are")
    if nulls:
        if len(validity) * 8 < rows:
            raise Damaged(f"{name!r} announces nulls without saying which")
        bounds = [span if validity[row >> 3] >> (row & 7) & 1 else None for row, span in enumerate(bounds)]
    batch.buffer()  # validity of the items, which have no nulls
    return _List(bounds, count)


def _numbers(batch: _Batch, name: str, width: int) -> list[_Numbers | None]:
    lists = _list(batch, name, width)
    items = batch.numbers(lists.count, "d" if name == "value" else "q")
    # Rows of list views that see the same items get the same object, so that a reader notices.
    seen: dict[tuple[int, int], _Numbers] = {}
    return [None if span is None else seen.setdefault(span, items[span[0] : span[1]]) for span in lists.bounds]


def _binaries(batch: _Batch, count: int, width: int) -> list[bytes]:
    offsets = batch.offsets(count, width)
    content = batch.buffer()
    if offsets[-1] > len(content):
        raise Damaged("texts reach beyond their buffer")
    return [bytes(content[start:stop]) for start, stop in pairwise(offsets)]


def _texts(items: list[bytes], name: str) -> list[str]:
    try:
        return [item.decode() for item in items]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The column {name!r} of the Arrow stream is not valid UTF-8: encode it so.", field=name) from error


def _names(batch: _Batch, name: str, width: int) -> list[str]:
    rows, nulls = batch.node()
    if nulls:
        raise InvalidRequest(f"The column {name!r} of the Arrow stream has nulls: leave them out.", field=name)
    batch.buffer()
    return _texts(_binaries(batch, rows, width), name)


def _cut(lists: _List, items: Sequence[T]) -> list[Sequence[T] | None]:
    return [None if span is None else items[span[0] : span[1]] for span in lists.bounds]


def _blocks(batch: _Batch, widths: dict[str, int]) -> list[SeriesBlock]:
    ids = _names(batch, "object_id", widths["object_id"])
    keys = _names(batch, "key", widths["key"])
    steps = _numbers(batch, "step", widths["step"])
    clocks = _numbers(batch, "wall_time", widths["wall_time"])
    floats = _numbers(batch, "value", widths["value"])
    text_lists = _list(batch, "text", widths["text"])
    texts = _cut(text_lists, _texts(_binaries(batch, text_lists.count, widths["text.item"]), "text"))
    bytes_lists = _list(batch, "bytes", widths["bytes"])
    binaries = _cut(bytes_lists, _binaries(batch, bytes_lists.count, widths["bytes.item"]))
    columns = (ids, keys, steps, clocks, floats, texts, binaries)
    if any(len(column) != batch.rows for column in columns):
        raise Damaged("the columns of a record batch differ in length")
    return [_block(row, *values) for row, values in enumerate(zip(*columns, strict=True))]


def _block(
    row: int,
    object_id: str,
    key: str,
    steps: _Numbers | None,
    clocks: _Numbers | None,
    floats: _Numbers | None,
    texts: Sequence[str] | None,
    binaries: Sequence[bytes] | None,
) -> SeriesBlock:
    given = [
        (kind, values)
        for kind, values in ((ValueKind.FLOAT, floats), (ValueKind.TEXT, texts), (ValueKind.BYTES, binaries))
        if values is not None
    ]
    if len(given) != 1:
        raise InvalidRequest(
            f"Row {row} ({shortened(key)}) has {len(given)} of value, text and bytes: exactly one of them must not be null.", field="value"
        )
    kind, values = given[0]
    if steps is None or clocks is None or not len(steps) == len(clocks) == len(values):
        raise InvalidRequest(f"Row {row} ({shortened(key)}) has columns of different lengths: send as many of each.", field="value")
    return SeriesBlock(object_id=object_id, key=key, kind=kind, steps=steps, wall_times_us=clocks, values=values)
