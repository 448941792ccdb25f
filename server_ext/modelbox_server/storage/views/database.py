"""A database that has the views: over the files of the stores where they are SQLite, over a copy of what is needed where they are not.

Either way the SQL is SQLite's, so that a statement means the same on every storage. Files are opened for reading only.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from modelbox.entities.records import ObjectRef
from modelbox.entities.series import ValueKind
from modelbox.errors import StorageUnavailable
from modelbox.wire.views import VIEWS
from modelbox_server.storage.rows import codec
from modelbox_server.storage.schema import TABLES
from modelbox_server.storage.views.definitions import FIRST_VALUE, create_statements
from modelbox_server.storage.views.guard import Guard, recorded_reads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from modelbox.entities.series import SeriesSummary
    from modelbox_server.storage.interfaces import MetadataStore, MetricsStore
    from modelbox_server.storage.views.guard import Readable

__all__ = ["ViewDatabase", "open_views"]

_KINDS = list(ValueKind)
_SERIES = (*("object_id", "key", "kind", "points", "first_step", "last_step", "last_clock_us", "last", "low", "high", "mean"),)
_MAX_VALUE_BYTES = 16 << 20
_MAX_LIKE_BYTES = 1_000
_STEPS_BETWEEN_LOOKS = 100_000


class ViewDatabase:
    """One connection that has the views; it belongs to the thread that opened it.

    Parameters
    ----------
    connection
        The connection, with the databases ``records`` and ``points``.
    metadata, metrics
        What the views show.
    copied
        Which of the two databases are copies yet to be filled.
    """

    def __init__(self, connection: sqlite3.Connection, metadata: MetadataStore, metrics: MetricsStore, copied: Collection[str]) -> None:
        self._connection = connection
        self._metadata = metadata
        self._metrics = metrics
        self._copied = copied
        self._failure: BaseException | None = None
        self.guard = Guard(_readable())
        connection.create_function(FIRST_VALUE, 4, self._first, deterministic=True)
        # Python looks for Ctrl-C in Python code only. An exception in there ends the statement with SQLITE_INTERRUPT.
        connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)

    def execute(self, statement: str, parameters: object) -> sqlite3.Cursor:
        """Carry out a statement under the guard; rows are computed as they are fetched.

        Raises
        ------
        sqlite3.Error
            The guard refused it, or SQLite could not carry it out.
        """
        if self._copied:
            self._connection.set_authorizer(self.guard)
            # Compiling tells which tables are needed, and whether the guard lets the statement through at all.
            self._connection.execute(f"EXPLAIN {statement}", cast("list[str]", parameters))
            self._connection.set_authorizer(None)
            self._fill(self.guard.tables)
        # The guard lets no statement take this back.
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.set_authorizer(self.guard)
        return self._connection.execute(statement, cast("list[str]", parameters))

    def interrupt(self) -> None:
        """End what is being carried out; may be called from another thread."""
        self._connection.interrupt()

    @property
    def failure(self) -> BaseException | None:
        """What went wrong in the stores while rows were computed."""
        return self._failure

    def _fill(self, tables: Collection[tuple[str, str]]) -> None:
        if "records" in self._copied:
            with self._metadata.read() as tx:
                for kind, table in TABLES.items():
                    if ("records", table.name) in tables:
                        width = len(table.columns)
                        encode = codec(kind).encode
                        self._insert(f"records.{table.name}", width, (encode(record)[:width] for record in tx.select(kind)))
        if "points" in self._copied and ("points", "series") in tables:
            with self._metadata.read() as tx:
                ids = [ref.id for ref in tx.select(ObjectRef)]
            self._insert("points.series", len(_SERIES), map(_series_row, self._metrics.summaries(ids)))

    def _insert(self, table: str, width: int, rows: Iterator[tuple[object, ...]]) -> None:
        self._connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", cast("Iterator[tuple[str]]", rows))

    def _first(self, object_id: object, key: object, kind: object, step: object) -> float | str | None:
        """Return the first value of a series, whose least step is `step`; a statement may also call it with anything else."""
        if not (isinstance(object_id, str) and isinstance(key, str) and isinstance(step, int) and kind in range(len(_KINDS))):
            return None
        try:
            blocks = self._metrics.read([object_id], [key], steps=(step, step))
            values = next((block.values for block in blocks if block.kind is _KINDS[cast("int", kind)]), ())
            value = cast("list[float | str | bytes]", values)[0] if len(cast("list[object]", values)) else None
        except (Exception, KeyboardInterrupt) as error:  # SQLite would only say that a function failed
            self._failure = error
            raise
        return value if isinstance(value, str) else None if value is None or isinstance(value, bytes) else float(value)


@contextmanager
def open_views(metadata: MetadataStore, metrics: MetricsStore) -> Iterator[ViewDatabase]:
    """Open a database with the views of these stores.

    Raises
    ------
    StorageUnavailable
        A file of the stores cannot be opened.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None, uri=True)) as connection:
        copied: list[str] = []
        for database, store in (("records", metadata), ("points", metrics)):
            path: Path | None = getattr(store, "sqlite_path", None)
            try:
                connection.execute(f"ATTACH ? AS {database}", (":memory:" if path is None else f"{path.as_uri()}?mode=ro",))
            except sqlite3.Error as error:
                raise StorageUnavailable(f"The database {path} cannot be read now ({error}): try again.", retry_after_s=1) from error
            if path is None:
                copied.append(database)
        _make_tables(connection, copied)
        _make_views(connection)
        yield ViewDatabase(connection, metadata, metrics, copied)


def _make_tables(connection: sqlite3.Connection, databases: Collection[str]) -> None:
    if "records" in databases:
        for table in TABLES.values():
            columns = ", ".join(f'"{column.field}"' for column in table.columns)
            connection.execute(f"CREATE TABLE records.{table.name} ({columns}, PRIMARY KEY ({', '.join(table.kind.KEY)}))")
    if "points" in databases:
        connection.execute(f"CREATE TABLE points.series ({', '.join(_SERIES)}, PRIMARY KEY (object_id, key, kind))")


def _make_views(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _MAX_LIKE_BYTES)
    for statement in create_statements():
        connection.execute(statement)
    for function in ("json_each", "json_tree"):
        # SQLite registers these with its schema at first use, which the guard would take for a change.
        connection.execute(f"SELECT value FROM {function}('[]')")


@cache
def _readable() -> Readable:
    """Return what the views read; the same for all stores."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("ATTACH ':memory:' AS records")
        connection.execute("ATTACH ':memory:' AS points")
        connection.create_function(FIRST_VALUE, 4, lambda *_: None)
        _make_tables(connection, ("records", "points"))
        _make_views(connection)
        return recorded_reads(connection, [f"SELECT * FROM {name}" for name in VIEWS])


def _series_row(summary: SeriesSummary) -> tuple[object, ...]:
    last = summary.last
    return (
        summary.object_id,
        summary.key,
        _KINDS.index(summary.kind),
        summary.count,
        summary.first_step,
        summary.last_step,
        summary.last_wall_time_us,
        None if isinstance(last, float) and math.isnan(last) else last,
        summary.min,
        summary.max,
        summary.mean,
    )
