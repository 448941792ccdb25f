"""Overviews in the SQLite file: made of the rows of the table ``series``, in the transaction that changes them."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from modelbox_server.storage.metrics.overviews import MAX_SERIES, columns_of, overview_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from modelbox.wire.messages import SummaryColumns
    from modelbox_server.storage.metrics.overviews import FoundOverview, Overview

__all__ = ["SCHEMA", "make_missing_overviews", "overview_columns", "renew_overviews"]

SCHEMA = """
CREATE TABLE overviews (
    object_id TEXT PRIMARY KEY,
    layout TEXT NOT NULL,
    numbers BLOB NOT NULL,
    texts TEXT NOT NULL
)
"""

_AT_ONCE = 500
_ROWS = """
SELECT object_id, series.key, kind, points, last_step, numbers, last, low, high, mean
FROM json_each(?) AS wanted CROSS JOIN series ON object_id = wanted.value
"""
"""By object as asked, then by key and kind: the order of the index that finds them."""


def renew_overviews(connection: sqlite3.Connection, object_ids: Iterable[str]) -> None:
    """Make the overviews of these objects anew; to be called where their series have changed, in the same transaction."""
    ids = _json(list(object_ids))
    connection.execute("DELETE FROM overviews WHERE object_id IN (SELECT value FROM json_each(?))", (ids,))
    made = ((object_id, *overview) for object_id, overview, width in _made(connection, ids) if width <= MAX_SERIES)
    connection.executemany("INSERT INTO overviews VALUES (?, ?, ?, ?)", made)


def make_missing_overviews(connection: sqlite3.Connection) -> None:
    """Make the overviews of the objects that have none; for files whose series are older than overviews."""
    rows = connection.execute("SELECT DISTINCT object_id FROM series WHERE object_id NOT IN (SELECT object_id FROM overviews)")
    missing = [object_id for (object_id,) in rows]
    for begin in range(0, len(missing), _AT_ONCE):
        renew_overviews(connection, missing[begin : begin + _AT_ONCE])


def overview_columns(connection: sqlite3.Connection, object_ids: Sequence[str]) -> SummaryColumns:
    """Return the summaries of all series of these objects as columns, by key, then by object as asked, then by kind."""
    found: list[FoundOverview] = connection.execute(
        "SELECT wanted.key, layout, numbers, texts FROM json_each(?) AS wanted CROSS JOIN overviews ON object_id = wanted.value",
        (_json(object_ids),),
    ).fetchall()
    if len(found) < len(object_ids):
        row_of = dict(zip(object_ids, range(len(object_ids)), strict=True))
        known = {row for row, *_ in found}
        missing = [object_id for object_id, row in row_of.items() if row not in known]
        made = _made(connection, _json(missing))
        found += [(row_of[object_id], overview.layout, overview.numbers, overview.texts) for object_id, overview, _ in made]
    return columns_of(found)


def _made(connection: sqlite3.Connection, ids: str) -> Iterator[tuple[str, Overview, int]]:
    """Yield what the series of objects give, and how many series each has."""
    for object_id, group in groupby(connection.execute(_ROWS, (ids,)).fetchall(), key=itemgetter(0)):
        rows = [row[1:] for row in group]
        yield object_id, overview_of(rows), len(rows)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
