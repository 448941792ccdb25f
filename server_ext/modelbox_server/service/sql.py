"""SQL that reads: one statement over the views of :mod:`modelbox.wire.views`, within limits of time and size.

A statement occupies a thread until it ends, so only a few may run at once; more are asked to come back.
"""

import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from modelbox.entities.records import Json
from modelbox.errors import InvalidQuery, ModelBoxError, PermissionDenied, RateLimited, StorageUnavailable, TooLarge, nearest, shortened
from modelbox.wire.messages import SqlColumn, SqlRequest, SqlResult
from modelbox.wire.views import VIEWS
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import MetadataStore, MetricsStore
from modelbox_server.storage.views.database import ViewDatabase, open_views

__all__ = ["MAX_CELLS", "MAX_ROWS", "MAX_STATEMENT_CHARS", "SqlService"]

MAX_ROWS: Final = 100_000
"""How many rows a statement may return."""

MAX_CELLS: Final = 2_000_000
"""How many values a statement may return."""

MAX_STATEMENT_CHARS: Final = 20_000
"""How long a statement may be."""

_MAX_TEXT_CHARS: Final = 64_000_000
_MAX_PARAMETERS: Final = 10_000
_TIME_LIMIT_S: Final = 30.0
_INTERRUPT_S: Final = 0.02
_AT_ONCE: Final = 2
_FETCHED_ROWS: Final = 1_000
_STORAGE_ERRORS: Final = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB),
    }
)
_UNKNOWN = re.compile(r"no such (table|column|function): (?:\w+\.)?(.+)", re.DOTALL)


class SqlService:
    """Carry out statements.

    Parameters
    ----------
    metadata, metrics
        What the views show.
    time_limit_s
        How long a statement may take.
    """

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore, *, time_limit_s: float = _TIME_LIMIT_S) -> None:
        self._metadata = metadata
        self._metrics = metrics
        self._time_limit_s = time_limit_s
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def run(self, caller: Caller, request: SqlRequest) -> SqlResult:
        """Return the rows of a statement, column by column.

        Raises
        ------
        PermissionDenied
            Something is denied to the caller.
        InvalidQuery
            It is no SQL, does more than read the views, or takes too long.
        TooLarge
            It is too long, or returns too much.
        RateLimited
            Others are running.
        """
        if not caller.access.is_everything:
            raise PermissionDenied("SQL reads across all namespaces, which you may not: use a query, or ask the operator of the server.")
        statement, parameters = _checked(request)
        if not self._places.acquire(blocking=False):
            raise RateLimited(f"{_AT_ONCE} SQL statements are running already: try again when one has ended.", retry_after_s=1)
        try:
            with open_views(self._metadata, self._metrics) as views, self._timed(views) as out_of_time:
                try:
                    return _fetched(views.execute(statement, parameters))
                except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
                    raise self._trouble(error, statement, views, timed_out=out_of_time.is_set()) from error
        finally:
            self._places.release()

    def _trouble(self, error: Exception, statement: str, views: ViewDatabase, *, timed_out: bool) -> BaseException:
        """Return what to raise for an error of SQLite."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if views.failure is not None:
            return views.failure
        if timed_out:
            limit = f"{self._time_limit_s:g} s"
            return InvalidQuery(
                f"This statement took longer than {limit} and was ended: narrow it, or join on ids.", field="sql", limit=limit
            )
        if code == sqlite3.SQLITE_INTERRUPT:
            return KeyboardInterrupt()  # nothing else interrupts it
        if code in _STORAGE_ERRORS:
            return StorageUnavailable(f"The storage cannot be read now ({error}): try again.", retry_after_s=1)
        return _explained(error, statement, views.guard.refused)

    @contextmanager
    def _timed(self, views: ViewDatabase) -> Iterator[threading.Event]:
        """Interrupt what takes too long; the event that is yielded tells whether that happened."""
        done, out_of_time = threading.Event(), threading.Event()

        def watch() -> None:
            if not done.wait(self._time_limit_s):
                out_of_time.set()
                # SQLite forgets an interruption that comes between two statements.
                while not done.wait(_INTERRUPT_S):
                    views.interrupt()

        watcher = threading.Thread(target=watch, name="modelbox-sql-watch", daemon=True)
        watcher.start()
        try:
            yield out_of_time
        finally:
            done.set()
            # It must not interrupt a connection that is closed by then.
            watcher.join()


def _checked(request: SqlRequest) -> tuple[str, list[Json] | dict[str, Json]]:
    statement, parameters = request.sql.strip(), request.parameters
    if len(statement) > MAX_STATEMENT_CHARS:
        raise TooLarge(
            f"The statement has {len(statement)} characters: at most {MAX_STATEMENT_CHARS} are read; pass values as parameters.",
            field="sql",
            limit=f"{MAX_STATEMENT_CHARS} characters",
        )
    if not statement or re.match(r"explain\b", statement, re.IGNORECASE):
        raise InvalidQuery("Write a statement that begins with SELECT, WITH or VALUES, as in: select * from experiments.", field="sql")
    if "\0" in statement or any("\ud800" <= char <= "\udfff" for char in statement):
        raise InvalidQuery("The statement has a NUL or a lone surrogate, which nothing stored here ever has.", field="sql")
    if len(parameters) > _MAX_PARAMETERS:
        raise TooLarge(f"{len(parameters)} parameters are too many: at most {_MAX_PARAMETERS}.", field="parameters")
    for value in parameters.values() if isinstance(parameters, dict) else parameters:
        if not isinstance(value, str | int | float | None):
            raise InvalidQuery(f"A parameter is a number, text or null, not {shortened(value, 40)}.", field="parameters")
    return statement, parameters


def _fetched(cursor: sqlite3.Cursor) -> SqlResult:
    if cursor.description is None:
        raise InvalidQuery("There is no SELECT in this statement: write select … from experiments.", field="sql")
    names: list[str] = [item[0] for item in cursor.description]
    rows: list[tuple[Json, ...]] = []
    chars = 0
    most = min(MAX_ROWS, MAX_CELLS // len(names))
    while part := cursor.fetchmany(_FETCHED_ROWS):
        rows += part
        chars += sum(len(value) for row in part for value in row if isinstance(value, str | bytes))
        if len(rows) > most:
            raise TooLarge(
                f"This statement returns more than {most} rows of {len(names)} columns: add limit {most}, a condition, or group by.",
                field="sql",
                limit=f"{most} rows",
            )
        if chars > _MAX_TEXT_CHARS:
            raise TooLarge(
                f"This statement returns more than {_MAX_TEXT_CHARS // 1_000_000} MB of text: leave long columns out.",
                field="sql",
                limit=f"{_MAX_TEXT_CHARS} characters",
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return SqlResult(columns=[_column(name, values) for name, values in zip(names, columns, strict=True)])


def _column(name: str, values: Sequence[Json]) -> SqlColumn:
    if any(isinstance(value, bytes) for value in values):
        raise InvalidQuery(f"The column {shortened(name, 60)} has bytes: select hex(…) of it.", field="sql")
    return SqlColumn(name=name, values=list(values))


# --- errors ------------------------------------------------------------------------------------------------------------------------------


def _explained(error: Exception, statement: str, refused: str) -> ModelBoxError:
    """Return what is wrong with a statement, in our words."""
    if refused:
        return InvalidQuery(f"SQL only reads the views here: {refused} is not allowed. There is: {', '.join(VIEWS)}.", field="sql")
    text = str(error).rstrip(".")
    unknown = _UNKNOWN.match(text)
    if unknown is None:
        return InvalidQuery(f"SQLite does not take this statement: {shortened(text, 200)[1:-1]}.", field="sql")
    what, name = unknown.groups()
    shown = shortened(name, 60)
    if what == "table":
        if name.lower() in {"points", "point"}:
            return InvalidQuery(
                "There is no view of points: read them with modelbox.metrics(runs, keys), whose answer DuckDB and polars query as well "
                '(format="arrow"); the view metrics has one row per series.',
                field="sql",
            )
        hint = nearest(name.lower(), VIEWS) or f"There is: {', '.join(VIEWS)}."
        return InvalidQuery(f"There is no view {shown}. {hint}", field="sql")
    if what == "column":
        return InvalidQuery(f"There is no column {shown}. {_columns_hint(name, statement)}", field="sql")
    return InvalidQuery(f"There is no function {shown}: the functions are those of SQLite that compute.", field="sql")


def _columns_hint(name: str, statement: str) -> str:
    """Return which columns there are, those of the views that the statement mentions."""
    words = set(re.findall(r"\w+", statement.lower()))
    views = [view for view in VIEWS.values() if view.name in words] or list(VIEWS.values())
    if hint := nearest(name.lower(), {column for view in views for column in view.columns}):
        return hint
    if len(views) > 2:
        return "modelbox.sql() lists the columns of each view in its help."
    return " ".join(f"{view.name} has {', '.join(view.columns)}." for view in views)
