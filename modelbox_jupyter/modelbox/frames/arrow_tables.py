"""Points as an Arrow table, for polars, pyarrow, DuckDB and everything else that knows Arrow's PyCapsule interface; no pandas between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from modelbox.entities.series import ValueKind

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from modelbox.entities.series import SeriesBlock

__all__ = ["ArrowPoints"]

# Offsets of text have 32 bits, and ids 40 bytes.
_BATCH_POINTS = 1 << 20

_Part: TypeAlias = "tuple[SeriesBlock, int, int]"


class ArrowPoints:
    """Points of many series as an Arrow table in the long form; made by ``modelbox.metrics(…, format="arrow")``.

    Its columns are ``experiment_id`` (utf8), ``key`` (utf8), ``step`` (int64), ``wall_time`` (timestamp[us, UTC]) and ``value`` (float64);
    where there are such series also ``text`` (utf8) and ``bytes`` (binary). What another column holds is null in these three.

    It may be read any number of times, by whatever takes an object with ``__arrow_c_stream__``: ``polars.DataFrame(points)``,
    ``pyarrow.table(points)``, ``duckdb.sql("select … from points")``.

    Parameters
    ----------
    blocks
        The series.

    Examples
    --------
    >>> import modelbox, modelbox.testing, polars
    >>> with modelbox.testing.memory_connection() as box:
    ...     run = box.start("digits")
    ...     for step in range(3):
    ...         run.log(loss=1 / (step + 1), step=step)
    ...     points = modelbox.metrics(run, format="arrow", connection=box)
    >>> len(points), polars.DataFrame(points)["value"].min()
    (3, 0.3333333333333333)
    """

    def __init__(self, blocks: Sequence[SeriesBlock]) -> None:
        self._blocks = [block for block in blocks if len(block)]
        kinds = {block.kind for block in self._blocks}
        self._kinds = (ValueKind.FLOAT, *(kind for kind in (ValueKind.TEXT, ValueKind.BYTES) if kind in kinds))

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __repr__(self) -> str:
        return f"<{len(self)} points of {len(self._blocks)} series: {', '.join(self.column_names)}>"

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return ["experiment_id", "key", "step", "wall_time", *(_VALUE_COLUMNS[kind] for kind in self._kinds)]

    def __arrow_c_schema__(self) -> object:
        """Return the schema as a PyCapsule."""
        from nanoarrow.c_schema import c_schema

        return c_schema(self._schema()).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table as a PyCapsule with a stream of batches; a requested schema is not heeded, as the interface permits."""
        from nanoarrow.c_array_stream import CArrayStream
        from nanoarrow.c_schema import c_schema

        batches = [self._batch(parts) for parts in _parts(self._blocks)]
        return CArrayStream.from_c_arrays(batches, c_schema(self._schema()), move=True).__arrow_c_stream__(None)

    def _schema(self) -> Any:
        import nanoarrow as na

        types = (na.string(), na.string(), na.int64(), na.timestamp("us", timezone="UTC"))
        values = {ValueKind.FLOAT: na.float64(), ValueKind.TEXT: na.string(), ValueKind.BYTES: na.binary()}
        return na.struct(dict(zip(self.column_names, (*types, *(values[kind] for kind in self._kinds)), strict=True)))

    def _batch(self, parts: Sequence[_Part]) -> Any:
        from nanoarrow.c_array import c_array_from_buffers

        schema = self._schema()
        points = sum(end - begin for _, begin, end in parts)
        columns = [
            _repeated([(block.object_id, end - begin) for block, begin, end in parts]),
            _repeated([(block.key, end - begin) for block, begin, end in parts]),
            [None, _numbers([(block.steps, begin, end) for block, begin, end in parts])],
            [None, _numbers([(block.wall_times_us, begin, end) for block, begin, end in parts])],
            *(_values(parts, kind) for kind in self._kinds),
        ]
        children = [c_array_from_buffers(schema.field(at), points, buffers) for at, buffers in enumerate(columns)]
        return c_array_from_buffers(schema, points, [None], children=children, move=True)


_VALUE_COLUMNS = {ValueKind.FLOAT: "value", ValueKind.TEXT: "text", ValueKind.BYTES: "bytes"}


def _parts(blocks: Sequence[SeriesBlock]) -> Iterator[list[_Part]]:
    """Yield the parts of series that one batch has."""
    batch: list[_Part] = []
    room = _BATCH_POINTS
    for block in blocks:
        begin = 0
        while begin < len(block):
            end = min(begin + room, len(block))
            batch.append((block, begin, end))
            room -= end - begin
            begin = end
            if room == 0:
                yield batch
                batch, room = [], _BATCH_POINTS
    if batch:
        yield batch


def _repeated(texts: Sequence[tuple[str, int]]) -> list[Any]:
    """Return the buffers of a column in which each text stands some times in a row."""
    encoded = [(text.encode(), times) for text, times in texts]
    lengths = np.repeat([len(text) for text, _ in encoded], [times for _, times in encoded])
    return [None, _offsets(lengths), b"".join(text * times for text, times in encoded)]


def _offsets(lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)


def _numbers(columns: Sequence[tuple[Buffer, int, int]]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.frombuffer(memoryview(column), np.int64)[begin:end] for column, begin, end in columns])


def _values(parts: Sequence[_Part], kind: ValueKind) -> list[Any]:
    """Return the buffers of the column that has the values of this kind."""
    valid = np.repeat([block.kind is kind for block, _, _ in parts], [end - begin for _, begin, end in parts])
    validity = None if valid.all() else np.packbits(valid, bitorder="little")
    if kind is ValueKind.FLOAT:
        return [validity, np.concatenate([_floats(*part) for part in parts])]
    items = [item for part in parts for item in _items(*part, kind=kind)]
    return [validity, _offsets(np.array([len(item) for item in items], np.int64)), b"".join(items)]


def _floats(block: SeriesBlock, begin: int, end: int) -> np.ndarray[Any, Any]:
    if block.kind is not ValueKind.FLOAT:
        return np.zeros(end - begin)
    return np.frombuffer(memoryview(cast("Buffer", block.values)), np.float64)[begin:end]


def _items(block: SeriesBlock, begin: int, end: int, *, kind: ValueKind) -> list[bytes]:
    if block.kind is not kind:
        return [b""] * (end - begin)
    values = cast("Sequence[str | bytes]", block.values)[begin:end]
    return [value.encode() if isinstance(value, str) else bytes(value) for value in values]
