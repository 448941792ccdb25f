"""Points in MySQL or MariaDB, as chunks: the ``mysql`` metrics store.

A row per point costs these servers ten times as much as a chunk does, DOUBLE cannot hold NaN and infinities, and there is no extension
that would make anything of rows. So this store keeps what the one on SQLite keeps; see :mod:`modelbox_server.storage.metrics.chunks` and,
for how small chunks become large ones, :mod:`modelbox_server.storage.metrics.tails`.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pymysql
from sqlalchemy.exc import DBAPIError

from modelbox.entities.series import ValueKind
from modelbox.errors import StorageError, StorageUnavailable, shortened
from modelbox_server.storage.databases.mysql import is_collision, mysql_engine, mysql_error
from modelbox_server.storage.metrics.assembly import Assembler
from modelbox_server.storage.metrics.chunks import MAX_CHUNK_POINTS, DamagedChunk, packed
from modelbox_server.storage.metrics.mysql_tables import MYSQL_STEPS
from modelbox_server.storage.metrics.server import KINDS, ServerMetricsStore, StoredSeries
from modelbox_server.storage.metrics.tails import FULL_POINTS, MAX_MERGED_BYTES, Tail, joining, opened_chunks, parts
from modelbox_server.storage.metrics.totals import Totals
from modelbox_server.storage.metrics.transactions import Collision, Engine, Transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from modelbox_server.storage.databases.settings import DatabaseSettings
    from modelbox_server.storage.interfaces import BatchKey
    from modelbox_server.storage.metrics.axes import Axes
    from modelbox_server.storage.metrics.columns import Points, SeriesKey
    from modelbox_server.storage.metrics.overviews import Overview
    from modelbox_server.storage.metrics.server import Addition, WantedSeries
    from modelbox_server.storage.metrics.tails import ChunkRow
    from modelbox_server.storage.metrics.transactions import Cursor

__all__ = ["MysqlMetricsStore"]

_BEGIN_READING = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
_MIGRATING_WAIT_S = 60
_TOTALS = ("points", "first_step", "last_step", "last_clock_us", "numbers", "floats", "last_text")
_SERIES = ("id", "object_id", "`key`", "kind", *_TOTALS)
_CHUNK = ("series_id", "start", "points", "first_step", "last_step", "bytes", "data")
_FLOATS = struct.Struct("<4d")
_IN_ONE_QUERY = 200


class MysqlMetricsStore(ServerMetricsStore):
    """A metrics store in a MySQL database; see :class:`modelbox_server.storage.interfaces.MetricsStore` for what it promises.

    Parameters
    ----------
    settings
        Where the database is. Its tables are made, or brought up to date.
    """

    name = "mysql"

    def __init__(self, settings: DatabaseSettings) -> None:
        self._database = str(settings)
        engine = Engine(
            mysql_engine(settings),
            errors=(pymysql.Error,),
            translated=lambda error: mysql_error(error, settings),
            is_collision=is_collision,
            begin_reading=_BEGIN_READING,
            steps=MYSQL_STEPS,
            migrating=_migrating,
        )
        super().__init__(Transactions(engine, settings))

    # --- the ledger of batches -----------------------------------------------------------------------------------------------------------

    def _remember(self, cursor: Cursor, batch: BatchKey, points: int) -> tuple[bytes, int] | None:
        # Whoever sends the same batch at this moment waits here until this transaction ends.
        try:
            cursor.execute("INSERT INTO metric_batches VALUES (%s, %s, %s, %s)", (batch.client, batch.number, batch.digest, points))
        except pymysql.err.IntegrityError:  # which undoes this statement alone
            pass
        else:
            return None
        cursor.execute("SELECT digest, points FROM metric_batches WHERE client = %s AND number = %s", (batch.client, batch.number))
        stored = cursor.fetchone()
        if stored is None:
            raise Collision
        return stored[0], stored[1]

    # --- objects and series --------------------------------------------------------------------------------------------------------------

    def _lock_or_add(self, cursor: Cursor, object_ids: Sequence[str]) -> dict[str, int]:
        # Rows that are there are locked by this too, one after the other in the order of their ids.
        cursor.executemany(
            "INSERT INTO metric_objects VALUES (%s, 0, '', '', '') ON DUPLICATE KEY UPDATE series = series", [(id_,) for id_ in object_ids]
        )
        cursor.execute("SELECT object_id, series FROM metric_objects WHERE object_id IN %s", (tuple(object_ids),))
        widths = {object_id.decode(): width for object_id, width in cursor.fetchall()}
        if len(widths) < len(object_ids):
            raise Collision
        return widths

    def _lock(self, cursor: Cursor, object_ids: Sequence[str]) -> list[str]:
        cursor.execute(
            "SELECT object_id FROM metric_objects WHERE object_id IN %s ORDER BY object_id FOR UPDATE",
            (tuple(object_ids),),
        )
        return [object_id.decode() for (object_id,) in cursor.fetchall()]

    def _series(self, cursor: Cursor, object_ids: Sequence[str], keys: Sequence[str] | None) -> Iterable[StoredSeries]:
        of_keys = "" if keys is None else " AND `key` IN %s"
        cursor.execute(
            f"SELECT {', '.join(_SERIES)} FROM metric_series WHERE object_id IN %s{of_keys}",
            (tuple(object_ids),) if keys is None else (tuple(object_ids), tuple(keys)),
        )
        return (
            StoredSeries(row[0], (row[1].decode(), row[2].decode(), KINDS[row[3]]), _totals(KINDS[row[3]], row[4:]))
            for row in cursor.fetchall()
        )

    def _add_series(self, cursor: Cursor, new: Sequence[StoredSeries]) -> dict[SeriesKey, int]:
        columns = _SERIES[1:]
        cursor.executemany(
            f"INSERT INTO metric_series ({', '.join(columns)}) VALUES ({_marks(columns)})",
            [(one.key[0], one.key[1], KINDS.index(one.key[2]), *_row(one.totals)) for one in new],
        )
        # Which numbers it gave is not to be relied on when other servers insert, too.
        ids, keys = {one.key[0] for one in new}, {one.key[1] for one in new}
        cursor.execute(
            "SELECT id, object_id, `key`, kind FROM metric_series WHERE object_id IN %s AND `key` IN %s", (tuple(ids), tuple(keys))
        )
        return {(object_id.decode(), key.decode(), KINDS[kind]): id_ for id_, object_id, key, kind in cursor.fetchall()}

    def _change(self, cursor: Cursor, grown: Sequence[StoredSeries], objects: Sequence[tuple[str, int, Overview | None]]) -> None:
        cursor.executemany(
            f"INSERT INTO metric_series ({', '.join(_SERIES)}) VALUES ({_marks(_SERIES)}) ON DUPLICATE KEY UPDATE {_replaced(_TOTALS)}",
            [(one.id, one.key[0], one.key[1], KINDS.index(one.key[2]), *_row(one.totals)) for one in grown],
        )
        cursor.executemany(
            "INSERT INTO metric_objects VALUES (%s, %s, %s, %s, %s) "
            f"ON DUPLICATE KEY UPDATE {_replaced(('series', 'layout', 'numbers', 'texts'))}",
            [
                (object_id, width, overview.layout, overview.numbers, overview.texts) if overview else (object_id, width, "", "", "")
                for object_id, width, overview in objects
            ],
        )

    def _overviews(self, cursor: Cursor, object_ids: Sequence[str]) -> Iterable[tuple[str, str, bytes, str]]:
        cursor.execute("SELECT object_id, layout, numbers, texts FROM metric_objects WHERE object_id IN %s", (tuple(object_ids),))
        return ((object_id.decode(), layout.decode(), numbers, texts.decode()) for object_id, layout, numbers, texts in cursor.fetchall())

    def _delete_series(self, cursor: Cursor, object_ids: Sequence[str], series_ids: Sequence[int]) -> None:
        if series_ids:
            cursor.execute("DELETE FROM metric_chunks WHERE series_id IN %s", (tuple(series_ids),))
            cursor.execute("DELETE FROM metric_series WHERE id IN %s", (tuple(series_ids),))
        cursor.execute("DELETE FROM metric_objects WHERE object_id IN %s", (tuple(object_ids),))

    def _probe(self, cursor: Cursor, at_us: int) -> None:
        cursor.execute("INSERT INTO metric_probe VALUES (1, %s) ON DUPLICATE KEY UPDATE at_us = VALUES(at_us)", (at_us,))

    # --- points --------------------------------------------------------------------------------------------------------------------------

    def _add_points(self, cursor: Cursor, additions: Sequence[Addition], axes: Axes) -> None:
        tails = _tails(cursor, [one for one in additions if one.start])
        written: list[tuple[object, ...]] = []
        gone: list[tuple[int, int]] = []
        for one in additions:
            tail, data = tails.get(one.id, ([], {}))
            start, points = one.start, one.points
            joined = joining(tail, len(points))
            if joined:
                start = joined[-1].start
                rows = [(chunk.start, chunk.start, chunk.points, data[chunk.start]) for chunk in reversed(joined)]
                points = axes.joined([chunk for _, chunk in self._opened(rows, one.key, start)], points)
                gone += [(one.id, chunk.start) for chunk in joined[:-1]]  # the oldest one is replaced below
            for part in parts(points):
                bounds, content = axes.bounds(part), packed(part, axes.packed(part))
                written.append((one.id, start, len(part), bounds.first_step, bounds.last_step, len(content), content))
                start += len(part)
        for some in _cut(gone):
            cursor.execute(f"DELETE FROM metric_chunks WHERE {_any('series_id = %s AND start = %s', some)}", _flat(some))
        cursor.executemany(
            f"INSERT INTO metric_chunks ({', '.join(_CHUNK)}) VALUES ({_marks(_CHUNK)}) ON DUPLICATE KEY UPDATE {_replaced(_CHUNK[2:])}",
            written,
        )

    def _read_points(self, cursor: Cursor, wanted: Sequence[WantedSeries], steps: tuple[int, int] | None) -> Mapping[int, Points]:
        rows_of: dict[int, list[ChunkRow]] = {}
        for series_id, *row in _chunks(cursor, wanted, steps):
            rows_of.setdefault(series_id, []).append((row[0], *row))
        found: dict[int, Points] = {}
        assembler, object_before = Assembler(), ""
        for one in wanted:
            id_, key = one.series.id, one.series.key
            if key[0] != object_before:
                assembler.next_object()
                object_before = key[0]
            rows = rows_of.get(id_, [])
            if not rows or rows[0][1] > one.seen or rows[-1][1] + rows[-1][2] != one.series.totals.count:
                raise self._damaged(key, "some of its chunks are missing")
            try:
                found[id_] = assembler.series(key[2], self._opened(rows, key, rows[0][1]), seen=one.seen, steps=steps)
            except DamagedChunk as error:
                raise self._damaged(key, str(error)) from error
        return found

    def _opened(self, rows: Iterable[ChunkRow], key: SeriesKey, start: int) -> list[tuple[int, Any]]:
        try:
            return opened_chunks(rows, key[2], start)
        except DamagedChunk as error:
            raise self._damaged(key, str(error)) from error

    def _damaged(self, key: SeriesKey, what: str) -> StorageError:
        return StorageError(
            f"The series {shortened(key[1])} of {key[0]} in the database {self._database} is damaged: {what}. Put back a copy of it."
        )


@contextmanager
def _migrating(connection: sa.Connection) -> Iterator[None]:
    # MySQL ends a transaction with each change of the schema, but this lock stays with the connection. Its name is that of the database.
    name = f"modelbox_metrics_{zlib.crc32((connection.engine.url.database or '').encode()):08x}"
    if connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, _MIGRATING_WAIT_S)).scalar() != 1:
        raise StorageUnavailable("Another server has been making the tables of metrics for a minute: try again.", retry_after_s=10)
    try:
        yield
    finally:
        # What failed before is what matters, and the lock goes with the connection at the latest.
        with suppress(DBAPIError):
            connection.rollback()
            connection.exec_driver_sql("SELECT RELEASE_LOCK(%s)", (name,))


# --- rows of chunks ----------------------------------------------------------------------------------------------------------------------


def _tails(cursor: Cursor, additions: Sequence[Addition]) -> dict[int, tuple[list[Tail], dict[int, bytes]]]:
    """Return of each series the last chunks, newest first, and by their start the data of those that may be rewritten."""
    tails: dict[int, tuple[list[Tail], dict[int, bytes]]] = {}
    for some in _cut([(one.id, max(0, one.start - MAX_CHUNK_POINTS)) for one in additions]):
        cursor.execute(
            f"SELECT series_id, start, points, bytes, IF(points < {FULL_POINTS} AND bytes <= {MAX_MERGED_BYTES}, data, NULL) "
            f"FROM metric_chunks WHERE {_any('series_id = %s AND start >= %s', some)} ORDER BY series_id, start DESC",
            _flat(some),
        )
        for series_id, rows in groupby(cursor.fetchall(), key=itemgetter(0)):
            found = list(rows)
            tails[series_id] = (
                [Tail(start, start, points, size_bytes) for _, start, points, size_bytes, _ in found],
                {start: data for _, start, _, _, data in found if data is not None},
            )
    return tails


def _chunks(cursor: Cursor, wanted: Sequence[WantedSeries], steps: tuple[int, int] | None) -> Iterable[tuple[Any, ...]]:
    """Return id of the series, start, points and data of chunks, in order of arrival; no data where no step is among those wanted."""
    data, values = "data", ()
    if steps is not None:
        data, values = "IF(first_step > %s OR last_step < %s, NULL, data)", (steps[1], steps[0])  # type: ignore[assignment]
    for some in _cut([(one.series.id, one.seen) for one in wanted]):
        cursor.execute(
            f"SELECT series_id, start, points, {data} FROM metric_chunks "
            f"WHERE {_any('series_id = %s AND start + points > %s', some)} ORDER BY series_id, start",
            (*values, *_flat(some)),
        )
        yield from cursor.fetchall()


def _cut(pairs: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    for begin in range(0, len(pairs), _IN_ONE_QUERY):
        yield pairs[begin : begin + _IN_ONE_QUERY]


def _any(condition: str, pairs: Sequence[tuple[int, int]]) -> str:
    return " OR ".join([f"({condition})"] * len(pairs))


def _flat(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return [number for pair in pairs for number in pair]


# --- rows of series ----------------------------------------------------------------------------------------------------------------------


def _totals(kind: ValueKind, row: tuple[Any, ...]) -> Totals:
    count, first_step, last_step, last_clock_us, numbers, floats, last_text = row
    last, low, high, mean = _FLOATS.unpack(floats)
    if kind is not ValueKind.FLOAT:
        last = None if last_text is None else last_text.decode()
    if not numbers:
        low = high = mean = None
    return Totals(count, first_step, last_step, last_clock_us, last, numbers, low, high, mean)


def _row(totals: Totals) -> tuple[object, ...]:
    text = totals.last if isinstance(totals.last, str) else None
    floats = (0.0 if isinstance(totals.last, str) else totals.last, totals.low, totals.high, totals.mean)
    return (
        *(totals.count, totals.first_step, totals.last_step, totals.last_clock_us, totals.numbers),
        _FLOATS.pack(*(0.0 if number is None else number for number in floats)),
        None if text is None else text.encode(),
    )


def _marks(columns: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(columns))


def _replaced(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = VALUES({column})" for column in columns)
