"""The summaries of all series of an object in one row: what a table of runs reads instead of a row per series.

A table of 1,000 runs with 20 metrics shows 20,000 series. Fetched row by row they cost 180,000 objects of Python; as one blob per run numpy
takes them apart at once. An overview is made of the rows of the table ``series``, in the transaction that changes them, and says nothing
that those do not say: an object may well be without one, and what reads it makes it on the fly then.
"""

from __future__ import annotations

from itertools import chain, groupby, pairwise, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from modelbox.entities.series import ValueKind
from modelbox.wire.messages import SummaryColumns

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SCHEMA", "make_missing_overviews", "overview_columns", "renew_overviews"]

SCHEMA = """
CREATE TABLE overviews (
    object_id TEXT PRIMARY KEY,
    layout TEXT NOT NULL,
    numbers BLOB NOT NULL,
    texts TEXT NOT NULL
)
"""

_MAX_SERIES = 1000
"""An object with more series has no overview: making it anew with every batch would take longer than it ever saves."""

_AT_ONCE = 500
_KINDS = list(ValueKind)
_FLOAT, _TEXT = _KINDS.index(ValueKind.FLOAT), _KINDS.index(ValueKind.TEXT)
_NUMBERS = np.dtype(
    [("count", "<i8"), ("last_step", "<i8"), ("numbers", "<i8"), ("last", "<f8"), ("min", "<f8"), ("max", "<f8"), ("mean", "<f8")]
)
_ROWS = """
SELECT object_id, series.key, kind, points, last_step, numbers, last, low, high, mean
FROM json_each(?) AS wanted CROSS JOIN series ON object_id = wanted.value
"""
"""By object as asked, then by key and kind: the order of the index that finds them."""


class _Overview(NamedTuple):
    """The series of one object, by key and then by kind.

    `layout` is JSON, a list of keys and one of kinds; equal for objects with the same series. `numbers` has one item of :data:`_NUMBERS`
    per series, `texts` is JSON of what text series have last, in their order.
    """

    layout: str
    numbers: bytes
    texts: str


def renew_overviews(connection: sqlite3.Connection, object_ids: Iterable[str]) -> None:
    """Make the overviews of these objects anew; to be called where their series have changed, in the same transaction."""
    ids = _json(list(object_ids))
    connection.execute("DELETE FROM overviews WHERE object_id IN (SELECT value FROM json_each(?))", (ids,))
    made = ((object_id, *overview) for object_id, overview, width in _made(connection, ids) if width <= _MAX_SERIES)
    connection.executemany("INSERT INTO overviews VALUES (?, ?, ?, ?)", made)


def make_missing_overviews(connection: sqlite3.Connection) -> None:
    """Make the overviews of the objects that have none; for files whose series are older than overviews."""
    rows = connection.execute("SELECT DISTINCT object_id FROM series WHERE object_id NOT IN (SELECT object_id FROM overviews)")
    missing = [object_id for (object_id,) in rows]
    for begin in range(0, len(missing), _AT_ONCE):
        renew_overviews(connection, missing[begin : begin + _AT_ONCE])


def overview_columns(connection: sqlite3.Connection, object_ids: Sequence[str]) -> SummaryColumns:
    """Return the summaries of all series of these objects as columns, by key, then by object as asked, then by kind."""
    stored = connection.execute(
        "SELECT wanted.key, layout, numbers, texts FROM json_each(?) AS wanted CROSS JOIN overviews ON object_id = wanted.value",
        (_json(object_ids),),
    ).fetchall()
    rows_of: dict[str, list[tuple[int, bytes, str]]] = {}
    for row, layout, numbers, texts in stored:
        rows_of.setdefault(layout, []).append((row, numbers, texts))
    if len(stored) < len(object_ids):
        row_of = dict(zip(object_ids, range(len(object_ids)), strict=True))
        known = {row for row, *_ in stored}
        missing = [object_id for object_id, row in row_of.items() if row not in known]
        for object_id, overview, _ in _made(connection, _json(missing)):
            rows_of.setdefault(overview.layout, []).append((row_of[object_id], overview.numbers, overview.texts))
    parts = [part for layout, rows in rows_of.items() for part in _parts(layout, rows)]
    return _columns(parts)


def _made(connection: sqlite3.Connection, ids: str) -> Iterator[tuple[str, _Overview, int]]:
    """Yield what the series of objects give, and how many series each has."""
    for object_id, group in groupby(connection.execute(_ROWS, (ids,)).fetchall(), key=itemgetter(0)):
        rows = [row[1:] for row in group]
        keys, kinds, counts, last_steps, numbers, lasts, lows, highs, means = zip(*rows, strict=True)
        packed = np.empty(len(rows), _NUMBERS)
        packed["count"], packed["last_step"], packed["numbers"] = counts, last_steps, numbers
        packed["last"] = [last if kind == _FLOAT else None for last, kind in zip(lasts, kinds, strict=True)]
        packed["min"], packed["max"], packed["mean"] = lows, highs, means
        texts = [last for last, kind in zip(lasts, kinds, strict=True) if kind == _TEXT]
        yield object_id, _Overview(_json([keys, kinds]), packed.tobytes(), _json(texts)), len(rows)


class _Part(NamedTuple):
    """One series of all objects of one layout."""

    key: str
    kind: int
    rows: np.ndarray[Any, np.dtype[np.int64]]
    numbers: np.ndarray[Any, np.dtype[Any]]
    texts: list[str]


def _parts(layout: str, found: list[tuple[int, bytes, str]]) -> Iterator[_Part]:
    """Yield the series of objects of one layout."""
    keys, kinds = msgspec.json.decode(layout, type=tuple[list[str], list[int]])
    found.sort(key=itemgetter(0))
    rows = np.array([row for row, _, _ in found], np.int64)
    table = np.frombuffer(b"".join([numbers for _, numbers, _ in found]), _NUMBERS).reshape(len(rows), len(keys))
    texts = [msgspec.json.decode(texts, type=list[str]) for _, _, texts in found] if _TEXT in kinds else []
    text_at = 0
    for at, (key, kind) in enumerate(zip(keys, kinds, strict=True)):
        of_series: list[str] = []
        if kind == _TEXT:
            of_series = [of_object[text_at] for of_object in texts]
            text_at += 1
        yield _Part(key, kind, rows, table[:, at], of_series)


def _columns(parts: list[_Part]) -> SummaryColumns:
    if not parts:
        return SummaryColumns()
    parts.sort(key=lambda part: (part.key, part.rows[0], part.kind))
    heights = [len(part.rows) for part in parts]
    rows = np.concatenate([part.rows for part in parts])
    numbers = np.concatenate([part.numbers for part in parts])
    last: list[float | str | None] = numbers["last"].tolist()
    if any(part.kind != _FLOAT for part in parts):
        start = 0
        for part, height in zip(parts, heights, strict=True):
            if part.kind != _FLOAT:
                last[start : start + height] = part.texts if part.kind == _TEXT else [None] * height
            start += height
    if any(one.key == other.key for one, other in pairwise(parts)):
        # Objects of different layouts share keys.
        first_of = {part.key: at for at, part in reversed(list(enumerate(parts)))}
        order = np.lexsort((rows, np.repeat([first_of[part.key] for part in parts], heights)))
        rows, numbers, last = rows[order], numbers[order], [last[at] for at in order.tolist()]
    columns = {name: numbers[name].tolist() for name in ("count", "last_step", "min", "max", "mean")}
    if not numbers["numbers"].all():
        # Nothing but NaN, or no numbers at all: there are no bounds. Everything else that is NaN is so itself.
        for name in ("min", "max", "mean"):
            columns[name] = [value if some else None for value, some in zip(columns[name], numbers["numbers"].tolist(), strict=True)]
    key = list(chain.from_iterable(repeat(part.key, height) for part, height in zip(parts, heights, strict=True)))
    return SummaryColumns(key=key, row=rows.tolist(), last=last, **columns)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
