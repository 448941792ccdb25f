"""Tables of any columns as Arrow, for polars, pyarrow and everything else that knows Arrow's PyCapsule interface; pyarrow is not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from modelbox.entities.values import json_to_wire

__all__ = ["ArrowTable"]


class ArrowTable:
    """A table of runs, or of what SQL selects, as Arrow; made by ``format="arrow"``.

    Its columns are those of the DataFrame: int64, float64, bool, utf8 and timestamp[us, UTC], with nulls where something is missing. A
    column of a mixture is utf8: text as it is, everything else as JSON. It may be read any number of times, as in
    ``polars.DataFrame(runs)`` or ``pyarrow.table(runs)``; DuckDB queries it by the name of its variable.

    Parameters
    ----------
    columns
        Columns of one length, as a DataFrame takes them.

    Examples
    --------
    >>> import modelbox, modelbox.testing, polars
    >>> with modelbox.testing.memory_connection() as box:
    ...     run = box.start("digits", params={"lr": 0.1})
    ...     polars.DataFrame(modelbox.experiments(format="arrow", connection=box))["params.lr"].to_list()
    [0.1]
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {len(self._columns)} columns: {', '.join(self.column_names[:8])}{', …' * (len(self._columns) > 8)}>"

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def __arrow_c_schema__(self) -> object:
        """Return the schema as a PyCapsule."""
        from nanoarrow.c_schema import c_schema

        return c_schema(self._schema()).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table as a PyCapsule with a stream of one batch; a requested schema is not heeded, as the interface permits."""
        from nanoarrow.c_array import c_array_from_buffers
        from nanoarrow.c_array_stream import CArrayStream
        from nanoarrow.c_schema import c_schema

        schema, rows = self._schema(), len(self)
        children = [c_array_from_buffers(schema.field(at), rows, _buffers(column)) for at, column in enumerate(self._columns.values())]
        batch = c_array_from_buffers(schema, rows, [None], children=children, move=True)
        return CArrayStream.from_c_arrays([batch], c_schema(schema), move=True).__arrow_c_stream__(None)

    def _schema(self) -> Any:
        import nanoarrow as na

        types = {"i": na.int64(), "f": na.float64(), "b": na.bool_(), "M": na.timestamp("us", timezone="UTC")}
        return na.struct({name: types.get(column.dtype.kind, na.string()) for name, column in self._columns.items()})


def _buffers(column: Any) -> list[Any]:
    """Return the buffers of a column: what is valid, and the values."""
    missing = _missing(column)
    validity = np.packbits(~missing, bitorder="little") if missing.any() else None
    match column.dtype.kind:
        case "M":
            return [validity, column.as_unit("us").asi8]
        case "i":
            return [validity, _plain(column, np.dtype(np.int64), 0)]
        case "f":
            return [None, np.ascontiguousarray(column, np.float64)]
        case "b":
            return [validity, np.packbits(_plain(column, np.dtype(np.bool_), False), bitorder="little")]
        case _:
            return [validity, *_texts([b"" if absent else _text(value) for value, absent in zip(column, missing, strict=True)])]


def _missing(column: Any) -> np.ndarray[Any, Any]:
    """Return what is not there. NaN is a value, of floats and among objects."""
    if column.dtype.kind == "f":
        return np.zeros(len(column), bool)
    if column.dtype == object:
        return np.array([value is None for value in column], bool)
    return np.asarray(pd.isna(column))


def _plain(column: Any, dtype: np.dtype[Any], missing: object) -> np.ndarray[Any, Any]:
    return column if isinstance(column, np.ndarray) else np.asarray(column.to_numpy(dtype, na_value=missing))


def _text(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return json.dumps(json_to_wire(msgspec.to_builtins(value)), ensure_ascii=False).encode()


def _texts(encoded: Sequence[bytes]) -> list[Any]:
    offsets = np.concatenate(([0], np.cumsum([len(text) for text in encoded]))).astype(np.int32)
    return [offsets, b"".join(encoded)]
