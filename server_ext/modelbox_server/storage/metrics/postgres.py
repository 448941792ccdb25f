"""Points in PostgreSQL, a row each: the ``timescaledb`` metrics store.

Whoever runs TimescaleDB wants to ask about points in SQL, to have old ones compressed, and to drop those that are too old: all of that
needs rows. They are written and read by binary COPY. With the extension the tables of points are hypertables, cut by the time at which
points *arrived*: late points, or clocks that are wrong, then never open a chunk that was compressed, nor thousands of new ones. Without it
the same statements work on plain tables.
"""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import psycopg2

from modelbox.entities.series import ValueKind
from modelbox_server.storage.databases.postgres import is_collision, postgres_engine, postgres_error
from modelbox_server.storage.metrics.columns import Points
from modelbox_server.storage.metrics.postgres_copy import (
    RowStream,
    content_rows,
    number_rows,
    read_content_rows,
    read_number_rows,
    read_rows_of_four,
)
from modelbox_server.storage.metrics.postgres_tables import POSTGRES_STEPS
from modelbox_server.storage.metrics.server import KINDS, ServerMetricsStore, StoredSeries
from modelbox_server.storage.metrics.timescale import Policies, TimescaleSettings, use_extension
from modelbox_server.storage.metrics.totals import Totals
from modelbox_server.storage.metrics.transactions import Collision, Engine, Transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from modelbox_server.storage.databases.settings import DatabaseSettings
    from modelbox_server.storage.interfaces import BatchKey
    from modelbox_server.storage.metrics.axes import Axes
    from modelbox_server.storage.metrics.columns import Floats, SeriesKey
    from modelbox_server.storage.metrics.overviews import Overview
    from modelbox_server.storage.metrics.server import Addition, WantedSeries
    from modelbox_server.storage.metrics.transactions import Cursor

__all__ = ["PostgresMetricsStore"]

_MIGRATING = 0x6D626D31  # of the lock that only one of the servers which start at once can have
_BEGIN_READING = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",)
_TOTALS = "points, first_step, last_step, last_clock_us, last, last_text, numbers, low, high, mean, is_rising"
_ARRAYS = (
    "%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::float8[], %s::bytea[], "
    "%s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s"
)


class PostgresMetricsStore(ServerMetricsStore):
    """A metrics store in a PostgreSQL database; see :class:`modelbox_server.storage.interfaces.MetricsStore` for what it promises.

    Parameters
    ----------
    settings
        Where the database is, and as :class:`~modelbox_server.storage.metrics.timescale.TimescaleSettings` what becomes of old points. Its
        tables are made, or brought up to date.
    """

    name = "timescaledb"

    def __init__(self, settings: DatabaseSettings) -> None:
        self._policies = settings.policies if isinstance(settings, TimescaleSettings) else Policies()
        self._may_change = settings.auto_migrate
        self._has_chunks = False
        engine = Engine(
            postgres_engine(settings),
            errors=(psycopg2.Error,),
            translated=lambda error: postgres_error(error, settings),
            is_collision=is_collision,
            begin_reading=_BEGIN_READING,
            steps=POSTGRES_STEPS,
            migrating=_migrating,
            prepare=self._prepare,
        )
        super().__init__(Transactions(engine, settings))

    def _prepare(self, connection: sa.Connection) -> None:
        self._has_chunks = use_extension(connection, self._policies, change=self._may_change)

    # --- the ledger of batches -----------------------------------------------------------------------------------------------------------

    def _remember(self, cursor: Cursor, batch: BatchKey, points: int) -> tuple[bytes, int] | None:
        # Whoever sends the same batch at this moment waits here until this transaction ends.
        cursor.execute(
            "INSERT INTO metric_batches VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", (batch.client, batch.number, batch.digest, points)
        )
        if cursor.rowcount:
            return None
        cursor.execute("SELECT digest, points FROM metric_batches WHERE client = %s AND number = %s", (batch.client, batch.number))
        stored = cursor.fetchone()
        if stored is None:
            raise Collision
        return bytes(stored[0]), stored[1]

    # --- objects and series --------------------------------------------------------------------------------------------------------------

    def _lock_or_add(self, cursor: Cursor, object_ids: Sequence[str]) -> dict[str, int]:
        # No transaction ever waits here for a row while it holds one that comes later: new ones are added in order before any is locked in
        # order, and those that are added are nobody else's yet.
        ids = list(object_ids)
        cursor.execute(
            "INSERT INTO metric_objects SELECT id, 0, '', '', '' FROM unnest(%s) WITH ORDINALITY AS new (id, place) ORDER BY place "
            "ON CONFLICT DO NOTHING;"
            "SELECT object_id, series FROM metric_objects WHERE object_id = ANY(%s) ORDER BY object_id FOR UPDATE",
            (ids, ids),
        )
        widths = dict(cursor.fetchall())
        if len(widths) < len(ids):
            raise Collision
        return widths

    def _lock(self, cursor: Cursor, object_ids: Sequence[str]) -> list[str]:
        cursor.execute("SELECT object_id FROM metric_objects WHERE object_id = ANY(%s) ORDER BY object_id FOR UPDATE", (list(object_ids),))
        return [object_id for (object_id,) in cursor.fetchall()]

    def _series(self, cursor: Cursor, object_ids: Sequence[str], keys: Sequence[str] | None) -> Iterable[StoredSeries]:
        of_keys = "" if keys is None else " AND key = ANY(%s)"
        cursor.execute(
            f"SELECT id, object_id, key, kind, {_TOTALS} FROM metric_series WHERE object_id = ANY(%s){of_keys}",
            (list(object_ids),) if keys is None else (list(object_ids), list(keys)),
        )
        return (
            StoredSeries(row[0], (row[1], row[2], KINDS[row[3]]), _totals(KINDS[row[3]], row[4:-1]), is_rising=row[-1])
            for row in cursor.fetchall()
        )

    def _add_series(self, cursor: Cursor, new: Sequence[StoredSeries]) -> dict[SeriesKey, int]:
        cursor.execute(
            f"INSERT INTO metric_series (object_id, key, kind, {_TOTALS}) "
            f"SELECT * FROM unnest(%s, %s, %s::smallint[], {_ARRAYS}) RETURNING id, object_id, key, kind",
            (
                [one.key[0] for one in new],
                [one.key[1] for one in new],
                _integers(KINDS.index(one.key[2]) for one in new),
                *_columns(new),
            ),
        )
        return {(object_id, key, KINDS[kind]): id_ for id_, object_id, key, kind in cursor.fetchall()}

    def _change(self, cursor: Cursor, grown: Sequence[StoredSeries], objects: Sequence[tuple[str, int, Overview | None]]) -> None:
        # Both statements travel together.
        names = _TOTALS.split(", ")
        of_series = (
            f"UPDATE metric_series AS s SET {', '.join(f'{name} = new.{name}' for name in names)}, "
            "began_at = least(began_at, now()), grew_at = greatest(grew_at, now()) "
            f"FROM unnest(%s::bigint[], {_ARRAYS}) AS new (id, {_TOTALS}) WHERE s.id = new.id;"
        )
        cursor.execute(
            (of_series if grown else "")
            + "UPDATE metric_objects AS o SET series = new.series, layout = new.layout, numbers = new.numbers, texts = new.texts "
            "FROM unnest(%s, %s::bigint[], %s, %s::bytea[], %s) AS new (object_id, series, layout, numbers, texts) "
            "WHERE o.object_id = new.object_id",
            (
                *((_integers(one.id for one in grown), *_columns(grown)) if grown else ()),
                [object_id for object_id, _, _ in objects],
                _integers(width for _, width, _ in objects),
                [overview.layout if overview else "" for _, _, overview in objects],
                [psycopg2.Binary(overview.numbers if overview else b"") for _, _, overview in objects],
                [overview.texts if overview else "" for _, _, overview in objects],
            ),
        )

    def _overviews(self, cursor: Cursor, object_ids: Sequence[str]) -> Iterable[tuple[str, str, bytes, str]]:
        # In the usual way each blob would come as text of twice its size.
        driver, copied, known = cast("Any", cursor), BytesIO(), dict[bytes, str]()
        ids = driver.mogrify("%s", (list(object_ids),)).decode()
        driver.copy_expert(
            f"COPY (SELECT object_id, layout, numbers, texts FROM metric_objects WHERE object_id = ANY({ids})) TO STDOUT (FORMAT binary)",
            copied,
        )
        for object_id, layout, numbers, texts in read_rows_of_four(copied):
            # Runs of one kind have equal layouts, one text of which is enough.
            yield object_id.decode(), known.get(layout) or known.setdefault(layout, layout.decode()), numbers, texts.decode()

    def _delete_series(self, cursor: Cursor, object_ids: Sequence[str], series_ids: Sequence[int]) -> None:
        ids = _integers(series_ids)
        # TimescaleDB refuses to change much that is compressed, unless it is told to; others do not know the setting, and do not mind.
        cursor.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
        for table, column in (("metric_points", "series_id"), ("metric_contents", "series_id"), ("metric_series", "id")):
            cursor.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s::bigint[])", (ids,))
        cursor.execute("DELETE FROM metric_objects WHERE object_id = ANY(%s)", (list(object_ids),))

    def _probe(self, cursor: Cursor, at_us: int) -> None:
        cursor.execute("INSERT INTO metric_probe VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET at_us = EXCLUDED.at_us", (at_us,))

    # --- points --------------------------------------------------------------------------------------------------------------------------

    def _add_points(self, cursor: Cursor, additions: Sequence[Addition], axes: Axes) -> None:
        del axes
        numbers = [one for one in additions if one.key[2] is ValueKind.FLOAT]
        if numbers:
            columns = ((one.id, one.start, one.points.steps, one.points.clocks_us, cast("Floats", one.points.values)) for one in numbers)
            _copy_in(cursor, "metric_points", number_rows(columns, sum(len(one.points) for one in numbers)))
        contents = [one for one in additions if one.key[2] is not ValueKind.FLOAT]
        if contents:
            _copy_in(cursor, "metric_contents", content_rows(row for one in contents for row in _contents(one)))

    def _read_points(self, cursor: Cursor, wanted: Sequence[WantedSeries], steps: tuple[int, int] | None) -> Mapping[int, Points]:
        found: dict[int, Points] = {}
        for some in _readable_at_once(wanted):
            if some[0].series.key[2] is ValueKind.FLOAT:
                copied = self._copied(cursor, "metric_points", some, steps)
                found |= {id_: points.ordered() for id_, points in _number_series(copied)}
            else:
                kind_of = {one.series.id: one.series.key[2] for one in some}
                copied = self._copied(cursor, "metric_contents", some, steps)
                found |= {id_: points.ordered() for id_, points in _content_series(copied, kind_of)}
        return found

    def _copied(self, cursor: Cursor, table: str, wanted: Sequence[WantedSeries], steps: tuple[int, int] | None) -> BytesIO:
        """Return the rows of series in order of arrival: all of them, or where only some are wanted the places where these may be."""
        # COPY takes no values: all that stands in the statement are integers, and times that came from the database.
        ids = _integers(one.series.id for one in wanted)
        which = "true"
        if self._has_chunks:
            # So that no chunk is looked into that cannot have any of these points.
            cursor.execute("SELECT min(began_at)::text, max(grew_at)::text FROM metric_series WHERE id = ANY(%s::bigint[])", (ids,))
            began_at, grew_at = cursor.fetchone() or (None, None)
            which = f"arrived_at BETWEEN '{began_at}' AND '{grew_at}'"
        if steps is None and not wanted[0].seen:
            rows = f"{table} WHERE series_id = ANY('{ids}') AND {which}"
        else:
            if steps is not None:
                which += f" AND step BETWEEN {steps[0]:d} AND {steps[1]:d}"
            lows, highs = zip(*(one.places(steps) for one in wanted), strict=True)
            # OFFSET keeps the planner from joining in any other way than by looking up each series.
            rows = (
                f"unnest('{ids}'::bigint[], '{_integers(lows)}'::bigint[], '{_integers(highs)}'::bigint[]) AS wanted (id, low, high), "
                f"LATERAL (SELECT * FROM {table} WHERE series_id = id AND number BETWEEN low AND high AND {which} OFFSET 0) AS found"
            )
        copied = BytesIO()
        cast("Any", cursor).copy_expert(
            f"COPY (SELECT series_id, step, clock_us, value FROM {rows} ORDER BY series_id, number) TO STDOUT (FORMAT binary)",
            copied,
        )
        return copied


@contextmanager
def _migrating(connection: sa.Connection) -> Iterator[None]:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
    # A large table takes its time to become a hypertable; waiting for locks stays bounded.
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    yield


# --- rows of points ----------------------------------------------------------------------------------------------------------------------


def _copy_in(cursor: Cursor, table: str, rows: Iterator[bytes]) -> None:
    cast("Any", cursor).copy_expert(f"COPY {table} (series_id, number, step, clock_us, value) FROM STDIN (FORMAT binary)", RowStream(rows))


def _readable_at_once(wanted: Sequence[WantedSeries]) -> Iterator[list[WantedSeries]]:
    """Yield series that one statement reads: of one table, and all of their points or some of each."""
    alike: dict[tuple[bool, bool], list[WantedSeries]] = {}
    for one in wanted:
        alike.setdefault((one.series.key[2] is ValueKind.FLOAT, one.seen > 0), []).append(one)
    yield from alike.values()


def _number_series(copied: BytesIO) -> Iterator[tuple[int, Points]]:
    ids, steps, clocks_us, values = read_number_rows(copied)
    for start, stop in _runs(ids):
        yield int(ids[start]), Points(ValueKind.FLOAT, steps[start:stop], clocks_us[start:stop], values[start:stop])


def _content_series(copied: BytesIO, kind_of: Mapping[int, ValueKind]) -> Iterator[tuple[int, Points]]:
    rows = read_content_rows(copied)
    for start, stop in _runs(np.array([row[0] for row in rows], np.int64)):
        series_id = rows[start][0]
        of_series = rows[start:stop]
        contents = [content for *_, content in of_series]
        is_text = kind_of[series_id] is ValueKind.TEXT
        yield (
            series_id,
            Points(
                kind_of[series_id],
                np.array([step for _, step, _, _ in of_series], np.int64),
                np.array([clock_us for _, _, clock_us, _ in of_series], np.int64),
                [content.decode() for content in contents] if is_text else contents,
            ),
        )


def _runs(ids: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[tuple[int, int]]:
    if len(ids):
        yield from pairwise([0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)])


def _contents(one: Addition) -> Iterator[tuple[int, int, int, int, bytes]]:
    points = one.points
    for at, (step, clock_us, value) in enumerate(zip(points.steps.tolist(), points.clocks_us.tolist(), points.values, strict=True)):
        yield one.id, one.start + at, step, clock_us, value.encode() if isinstance(value, str) else cast("bytes", value)


# --- rows of series ----------------------------------------------------------------------------------------------------------------------


def _totals(kind: ValueKind, row: tuple[Any, ...]) -> Totals:
    count, first_step, last_step, last_clock_us, last, last_text, numbers, low, high, mean = row
    newest = bytes(last_text).decode() if kind is ValueKind.TEXT and last_text is not None else last
    return Totals(count, first_step, last_step, last_clock_us, newest, numbers, low, high, mean)


def _columns(series: Sequence[StoredSeries]) -> tuple[object, ...]:
    """Return what is known of series as arrays for :data:`_ARRAYS`."""
    totals = [one.totals for one in series]
    texts = [psycopg2.Binary(one.last.encode()) if isinstance(one.last, str) else None for one in totals]
    return (
        _integers(one.count for one in totals),
        _integers(one.first_step for one in totals),
        _integers(one.last_step for one in totals),
        _integers(one.last_clock_us for one in totals),
        _floats(None if isinstance(one.last, str) else one.last for one in totals),
        texts,
        _integers(one.numbers for one in totals),
        _floats(one.low for one in totals),
        _floats(one.high for one in totals),
        _floats(one.mean for one in totals),
        [one.is_rising for one in series],
    )


def _integers(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _floats(numbers: Iterable[float | None]) -> str:
    # As text of an array: a number in the statement itself would be a decimal one, which has no -0.
    return f"{{{','.join('NULL' if number is None else repr(float(number)) for number in numbers)}}}"
