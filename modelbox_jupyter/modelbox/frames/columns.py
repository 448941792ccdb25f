"""Columns of frames: how values of records, metadata and points become typed columns."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import pandas as pd

from modelbox.entities.times import to_us
from modelbox.entities.values import json_from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import ArrayLike

    from modelbox.entities.records import Json

__all__ = [
    "Array",
    "by_key",
    "categories_column",
    "joined",
    "numbers_column",
    "objects_column",
    "plain_values",
    "tag_column",
    "text_column",
    "times_column",
    "typed_column",
]

Array: TypeAlias = np.ndarray[tuple[int], np.dtype[np.generic]]

_EXACT_IN_FLOAT = 2**53
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NOT_A_TIME = -(2**63)
_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def by_key(keys: Sequence[str], *columns: list[Any]) -> dict[str, list[list[Any]]]:
    """Return the part of each column that belongs to each key; fast where equal keys stand together, as stores send them."""
    grouped: dict[str, list[list[Any]]] = {}
    start = 0
    for key, run in groupby(keys):
        stop = start + len(list(run))
        parts = [column[start:stop] for column in columns]
        if (known := grouped.setdefault(key, parts)) is not parts:
            for whole, part in zip(known, parts, strict=True):
                whole += part
        start = stop
    return grouped


def plain_values(values: list[Json]) -> list[Json]:
    """Return values of the wire as what they stand for; numbers and text do so by themselves."""
    return values if set(map(type, values)) <= _PLAIN else [json_from_wire(value) for value in values]


def typed_column(rows: list[int], values: list[Json], height: int) -> object:
    """Return the values as the narrowest column that holds each of them unchanged."""
    kinds = set(map(type, values))
    complete = len(rows) == height and type(None) not in kinds
    kinds.discard(type(None))
    if kinds == {int}:
        return _placed(rows, values, height, np.dtype(np.int64), 0) if complete else _nullable(rows, values, height, "Int64")
    if kinds == {bool}:
        return _placed(rows, values, height, np.dtype(np.bool_), False) if complete else _nullable(rows, values, height, "boolean")
    if kinds == {float} or (kinds == {int, float} and all(type(v) is float or abs(v) <= _EXACT_IN_FLOAT for v in values if v is not None)):
        return _placed(rows, [np.nan if value is None else value for value in values], height, np.dtype(np.float64), np.nan)
    if kinds == {str}:
        return text_column(cast("list[str | None]", _spread(rows, values, height)))
    return objects_column(_spread(rows, values, height))


def tag_column(rows: list[int], values: list[Json], height: int) -> object:
    """Return a boolean column: a tag that is not there is false."""
    return _placed(rows, [bool(value) for value in values], height, np.dtype(np.bool_), False)


def numbers_column(rows: list[int], values: list[Json], height: int) -> object:
    """Return summaries as float64; text series have text there, and NaN may have travelled as a word."""
    if (floats := _floats(values)) is not None:
        return floats if rows == _every(height) else _placed(rows, floats, height, floats.dtype, np.nan)
    plain = [float(value) if isinstance(value, int) or value in _NON_FINITE else value for value in values]
    if any(isinstance(value, str) for value in plain):
        return objects_column(_spread(rows, plain, height))
    return _placed(rows, [np.nan if value is None else value for value in plain], height, np.dtype(np.float64), np.nan)


def _floats(values: Sequence[object]) -> Array | None:
    """Return numbers as float64, ``None`` where anything else is among them; a quarter of what looking at each and copying them takes."""
    packed = bytearray(8 * len(values))
    try:
        struct.pack_into(f"{len(values)}d", packed, 0, *values)
    except struct.error:
        return None
    return np.frombuffer(packed, np.float64)


def _placed(rows: list[int], values: Sequence[object] | Array, height: int, dtype: np.dtype[np.generic], missing: object) -> object:
    if rows == _every(height):
        return np.array(values, dtype=dtype)
    column = np.full(height, missing, dtype=dtype)
    column[rows] = cast("ArrayLike", values)
    return column


@lru_cache(maxsize=4)
def _every(height: int) -> list[int]:
    return list(range(height))


def _nullable(rows: list[int], values: Sequence[object], height: int, dtype: str) -> object:
    return pd.array([pd.NA if value is None else value for value in _spread(rows, values, height)], dtype=dtype)  # type: ignore[call-overload]


def _spread(rows: list[int], values: Sequence[object], height: int) -> list[object]:
    if rows == _every(height):
        return list(values)
    spread: list[object] = [None] * height
    for row, value in zip(rows, values, strict=True):
        spread[row] = value
    return spread


def objects_column(values: Sequence[object]) -> Array:
    """Return a column of Python objects."""
    column = np.empty(len(values), dtype=object)
    # A plain assignment of lists would try to make a second dimension of them.
    for i, value in enumerate(values):
        column[i] = value
    return column


def text_column(values: Sequence[str | None]) -> object:
    """Return a column of text, ``None`` as missing values."""
    return pd.array(values, dtype="str")


def times_column(moments: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """Return a column of aware UTC times, ``None`` as missing values."""
    us = [_NOT_A_TIME if moment is None else to_us(moment) for moment in moments]
    return pd.DatetimeIndex(np.array(us, dtype=np.int64).view("M8[us]")).tz_localize("UTC")


def categories_column(values: Sequence[str], lengths: Sequence[int], *, in_order: bool = False) -> pd.Categorical:
    """Return each value as many times as its length says; categories stand in the order of the alphabet, or as the values do."""
    names = sorted(set(values)) if in_order else list(dict.fromkeys(values))
    code_of = {name: code for code, name in enumerate(names)}
    codes = np.array([code_of[value] for value in values], dtype=np.min_scalar_type(-max(1, len(names))))
    dtype = pd.CategoricalDtype(pd.Index(names, dtype="str"))
    return pd.Categorical.from_codes(np.repeat(codes, lengths), dtype=dtype, validate=False)


def joined(arrays: Sequence[Array], dtype: np.dtype[np.generic]) -> Array:
    """Return the arrays one after the other, as one of this type."""
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype=dtype)
