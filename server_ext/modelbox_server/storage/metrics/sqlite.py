"""Points in a SQLite file: the ``integrated`` metrics store.

A series is one row with its totals, and chunks of packed points in order of arrival. A row per point would cost ten times as much; see
:mod:`modelbox_server.storage.metrics.chunks` and, for how small ones become large ones, :mod:`modelbox_server.storage.metrics.tails`.
"""

from __future__ import annotations

import math
import time
from itertools import islice
from typing import TYPE_CHECKING

from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.errors import StorageError, shortened
from modelbox_server.storage.interfaces import AppendOutcome
from modelbox_server.storage.metrics.assembly import Assembler
from modelbox_server.storage.metrics.axes import Axes
from modelbox_server.storage.metrics.chunks import DamagedChunk, packed
from modelbox_server.storage.metrics.columns import Points, grouped
from modelbox_server.storage.metrics.database import Database
from modelbox_server.storage.metrics.ledger import repeated
from modelbox_server.storage.metrics.sqlite_overviews import SCHEMA as OVERVIEWS
from modelbox_server.storage.metrics.sqlite_overviews import make_missing_overviews, overview_columns, renew_overviews
from modelbox_server.storage.metrics.tails import Tail, joining, opened_chunks, parts
from modelbox_server.storage.metrics.totals import Totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.messages import SummaryColumns
    from modelbox_server.storage.interfaces import BatchKey
    from modelbox_server.storage.metrics.chunks import PackedChunk
    from modelbox_server.storage.metrics.columns import SeriesKey
    from modelbox_server.storage.metrics.tails import ChunkRow

__all__ = ["SqliteMetricsStore"]

_APPLICATION_ID = 0x6D626D31
# Columns without a type keep a number as it is; a REAL column would turn -0.0 into 0. NaN, which SQLite makes NULL, is put back on reading.
_STEPS = (
    (
        """
        CREATE TABLE series (
            id INTEGER PRIMARY KEY,
            object_id TEXT NOT NULL,
            key TEXT NOT NULL,
            kind INTEGER NOT NULL,
            points INTEGER NOT NULL,
            first_step INTEGER NOT NULL,
            last_step INTEGER NOT NULL,
            last_clock_us INTEGER NOT NULL,
            last,
            numbers INTEGER NOT NULL,
            low,
            high,
            mean,
            UNIQUE (object_id, key, kind)
        )
        """,
        # The id of a chunk is that of its series and a number: the chunks of a series lie together without an index.
        "CREATE TABLE chunks (id INTEGER PRIMARY KEY, start INTEGER NOT NULL, points INTEGER NOT NULL, data BLOB NOT NULL)",
        """
        CREATE TABLE ingest_batches (
            client TEXT NOT NULL,
            number INTEGER NOT NULL,
            digest BLOB NOT NULL,
            points INTEGER NOT NULL,
            PRIMARY KEY (client, number)
        ) WITHOUT ROWID
        """,
        "CREATE TABLE probe (id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL)",
    ),
    # The steps of a chunk stand beside it, before its data, so that a reader of some steps knows at once whether it wants the data. Chunks
    # from before this have none, and are always read.
    (
        "ALTER TABLE chunks RENAME TO chunks_of_step_1",
        """
        CREATE TABLE chunks (
            id INTEGER PRIMARY KEY,
            start INTEGER NOT NULL,
            points INTEGER NOT NULL,
            first_step INTEGER,
            last_step INTEGER,
            data BLOB NOT NULL
        )
        """,
        "INSERT INTO chunks SELECT id, start, points, NULL, NULL, data FROM chunks_of_step_1",
        "DROP TABLE chunks_of_step_1",
    ),
    (OVERVIEWS,),
    (make_missing_overviews,),
)
_TOTALS = "points, first_step, last_step, last_clock_us, last, numbers, low, high, mean"
_KINDS = list(ValueKind)
_NUMBER_BITS = 24
_IN_ONE_QUERY = 400


class SqliteMetricsStore:
    """A metrics store in one file; see :class:`modelbox_server.storage.interfaces.MetricsStore` for what it promises.

    Parameters
    ----------
    path
        The file; it is made if it is not there.
    """

    name = "integrated"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sqlite_path = path.resolve()
        """The file, for views over it (:mod:`modelbox_server.storage.views`)."""
        self._database = Database(path, _STEPS, _APPLICATION_ID)

    def append(self, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendOutcome:
        """Add points; all of them or none, on the disk when this returns."""
        series = grouped(blocks)
        count = sum(map(len, series.values()))
        with self._database.write() as connection:
            if batch is not None:
                stored = connection.execute(
                    "SELECT digest, points FROM ingest_batches WHERE client = ? AND number = ?", (batch.client, batch.number)
                ).fetchone()
                if stored is not None:
                    return repeated(batch, *stored)
                connection.execute("INSERT INTO ingest_batches VALUES (?, ?, ?, ?)", (batch.client, batch.number, batch.digest, count))
            axes = Axes()
            for key, points in series.items():
                self._extend(connection, key, points, axes)
            renew_overviews(connection, {object_id for object_id, _, _ in series})
        return AppendOutcome(count)

    def read(
        self,
        object_ids: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        skip: Mapping[tuple[str, str], int] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> list[SeriesBlock]:
        """Return the points of every series of these objects, ordered by (step, wall clock)."""
        skip = skip or {}
        blocks: list[SeriesBlock] = []
        with self._database.read() as connection:
            wanted = [
                (id_, key, totals.count, seen)
                for id_, key, totals in _series(connection, object_ids, keys)
                if (seen := skip.get(key[:2], 0)) < totals.count
                and (steps is None or (totals.first_step <= steps[1] and totals.last_step >= steps[0]))
            ]
            assembler = Assembler()
            object_before = ""
            for id_, key, count, seen in wanted:
                if key[0] != object_before:
                    assembler.next_object()
                    object_before = key[0]
                chunks = self._chunks(connection, id_, key, seen, count, steps)
                try:
                    points = assembler.series(key[2], chunks, seen=seen, steps=steps)
                except DamagedChunk as error:
                    raise self._damaged(key, str(error)) from error
                if len(points):
                    blocks.append(points.block(*key[:2]))
        return blocks

    def summaries(self, object_ids: Sequence[str], keys: Sequence[str] | None = None) -> list[SeriesSummary]:
        """Return what is known of every series of these objects without reading points."""
        with self._database.read() as connection:
            return [_summary(row) for row in _series_rows(connection, object_ids, keys)]

    def summary_columns(self, object_ids: Sequence[str]) -> SummaryColumns:
        """Return the summaries of every series of these objects as columns by key."""
        with self._database.read() as connection:
            return overview_columns(connection, object_ids)

    def delete(self, object_ids: Sequence[str]) -> int:
        """Delete all series of these objects and return how many points they had."""
        deleted = 0
        with self._database.write() as connection:
            for id_, _, totals in _series(connection, object_ids, None):
                connection.execute("DELETE FROM chunks WHERE id BETWEEN ? AND ?", _id_range(id_))
                connection.execute("DELETE FROM series WHERE id = ?", (id_,))
                deleted += totals.count
            renew_overviews(connection, object_ids)
        return deleted

    def check(self) -> None:
        """Return if a row can be written now, raise the reason otherwise."""
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO probe VALUES (1, ?)", (time.time_ns() // 1000,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- writing -------------------------------------------------------------------------------------------------------------------------

    def _extend(self, connection: sqlite3.Connection, key: SeriesKey, points: Points, axes: Axes) -> None:
        object_id, name, kind = key
        totals = Totals.of(points, axes.bounds(points) if len(points) > 1 else None)
        row = connection.execute(
            f"SELECT id, {_TOTALS} FROM series WHERE object_id = ? AND key = ? AND kind = ?", (object_id, name, _KINDS.index(kind))
        ).fetchone()
        if row is None:
            id_ = connection.execute(
                f"INSERT INTO series (object_id, key, kind, {_TOTALS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (object_id, name, _KINDS.index(kind), *_totals_to_row(totals)),
            ).lastrowid
            assert id_ is not None  # an insert that returns has made a row  # noqa: S101
            before = 0
        else:
            id_, stored = row[0], _totals_from_row(kind, row[1:])
            connection.execute(
                "UPDATE series SET points = ?, first_step = ?, last_step = ?, last_clock_us = ?, last = ?, numbers = ?, low = ?, high = ?, "
                "mean = ? WHERE id = ?",
                (*_totals_to_row(stored.plus(totals)), id_),
            )
            before = stored.count
        self._add_chunks(connection, id_, key, before, points, axes)

    def _add_chunks(self, connection: sqlite3.Connection, id_: int, key: SeriesKey, start: int, points: Points, axes: Axes) -> None:
        tail = [
            Tail(*row)
            for row in connection.execute(
                "SELECT id, start, points, length(data) FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 16", _id_range(id_)
            )
        ]
        next_id = tail[0].id + 1 if tail else _id_range(id_)[0]
        joined = joining(tail, len(points))
        if joined:
            oldest = joined[-1]
            rows = connection.execute(
                "SELECT id, start, points, data FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id", (oldest.id, tail[0].id)
            )
            try:
                points = axes.joined([chunk for _, chunk in self._opened(rows, key, oldest.start)], points)
            except DamagedChunk as error:
                raise self._damaged(key, str(error)) from error
            if len(joined) > 1:  # the oldest one is replaced below
                connection.execute("DELETE FROM chunks WHERE id BETWEEN ? AND ?", (oldest.id + 1, tail[0].id))
            next_id, start = oldest.id, oldest.start
        for part in parts(points):
            bounds = axes.bounds(part)
            row = (next_id, start, len(part), bounds.first_step, bounds.last_step, packed(part, axes.packed(part)))
            connection.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", row)
            next_id, start = next_id + 1, start + len(part)

    # --- reading -------------------------------------------------------------------------------------------------------------------------

    def _chunks(
        self, connection: sqlite3.Connection, id_: int, key: SeriesKey, seen: int, count: int, steps: tuple[int, int] | None
    ) -> list[tuple[int, PackedChunk]]:
        """Return the chunks of a series that have points after the first `seen` and among `steps`, each with how many came before it."""
        # A chunk has at least one point, so `start + points` grows with the id and the scan touches no data of chunks that were seen.
        data = "data" if steps is None else "CASE WHEN first_step > ? OR last_step < ? THEN NULL ELSE data END"
        rows = connection.execute(
            f"SELECT id, start, points, {data} FROM chunks WHERE id BETWEEN ? AND ? AND start + points > ? ORDER BY id",
            ((steps[1], steps[0]) if steps is not None else ()) + (*_id_range(id_), seen),
        ).fetchall()
        if not rows or rows[0][1] > seen or rows[-1][1] + rows[-1][2] != count:
            raise self._damaged(key, "some of its chunks are missing")
        return self._opened(rows, key, rows[0][1])

    def _opened(self, rows: Iterable[ChunkRow], key: SeriesKey, start: int) -> list[tuple[int, PackedChunk]]:
        try:
            return opened_chunks(rows, key[2], start, lambda id_: id_ % (1 << _NUMBER_BITS))
        except DamagedChunk as error:
            raise self._damaged(key, str(error)) from error

    def _damaged(self, key: SeriesKey, what: str) -> StorageError:
        return StorageError(
            f"The series {shortened(key[1])} of {key[0]} in {self._path.name} is damaged: {what}. Put back a copy of the file."
        )


def _id_range(series_id: int) -> tuple[int, int]:
    first = series_id << _NUMBER_BITS
    return first, first + (1 << _NUMBER_BITS) - 1


_TotalsRow = tuple[int, int, int, int, float | str | None, int, float | None, float | None, float | None]
_SeriesRow = tuple[int, str, str, int, int, int, int, int, float | str | None, int, float | None, float | None, float | None]


def _totals_to_row(totals: Totals) -> _TotalsRow:
    bounds = (totals.count, totals.first_step, totals.last_step, totals.last_clock_us)
    return (*bounds, totals.last, totals.numbers, totals.low, totals.high, totals.mean)


def _totals_from_row(kind: ValueKind, row: _TotalsRow) -> Totals:
    count, first_step, last_step, last_clock_us, last, numbers, low, high, mean = row
    if kind is ValueKind.FLOAT and last is None:
        last = math.nan
    if numbers and mean is None:
        mean = math.nan
    return Totals(count, first_step, last_step, last_clock_us, last, numbers, low, high, mean)


def _series(connection: sqlite3.Connection, object_ids: Sequence[str], keys: Sequence[str] | None) -> list[tuple[int, SeriesKey, Totals]]:
    """Return id, key and totals of the series of these objects, by object as asked, then by key, then by kind."""
    return [
        (row[0], (row[1], row[2], _KINDS[row[3]]), _totals_from_row(_KINDS[row[3]], row[4:]))
        for row in _series_rows(connection, object_ids, keys)
    ]


def _series_rows(connection: sqlite3.Connection, object_ids: Sequence[str], keys: Sequence[str] | None) -> list[_SeriesRow]:
    """Return the rows of the series of these objects in the order of :func:`_series`."""
    of_object: dict[str, list[_SeriesRow]] = {}
    for ids in _groups(object_ids):
        for names in _groups(keys) if keys is not None else [None]:
            # The index of the unique set has the rows in this order: no sorting.
            for row in connection.execute(
                f"SELECT id, object_id, key, kind, {_TOTALS} FROM series WHERE object_id IN ({_marks(ids)})"
                + ("" if names is None else f" AND key IN ({_marks(names)})")
                + " ORDER BY object_id, key, kind",
                ids if names is None else ids + names,
            ):
                of_object.setdefault(row[1], []).append(row)
    if keys is not None and len(keys) > _IN_ONE_QUERY:
        for rows in of_object.values():
            rows.sort(key=lambda row: row[2:4])
    return [row for object_id in dict.fromkeys(object_ids) for row in of_object.get(object_id, ())]


def _summary(row: _SeriesRow) -> SeriesSummary:
    """Return what a row says of its series. A table of runs asks for tens of thousands, so this takes no detour over :class:`Totals`."""
    _, object_id, key, number, count, first_step, last_step, last_clock_us, last, numbers, low, high, mean = row
    kind = _KINDS[number]
    if kind is ValueKind.FLOAT:
        last = math.nan if last is None else last
        mean = math.nan if numbers and mean is None else mean
    return SeriesSummary(
        object_id=object_id,
        key=key,
        kind=kind,
        count=count,
        first_step=first_step,
        last_step=last_step,
        last_wall_time_us=last_clock_us,
        last=None if kind is ValueKind.BYTES else last,
        min=low,
        max=high,
        mean=mean,
    )


def _groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    unique = iter(dict.fromkeys(names))
    return list(iter(lambda: tuple(islice(unique, _IN_ONE_QUERY)), ()))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
