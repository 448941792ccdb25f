"""Transactions of the metrics stores on database servers: on connections of the driver, without the layers that cost more than the points.

Thread safety: everything here may be called from any thread; a connection is used by one thread at a time. A fork waits for transactions
that are under way, and the child opens connections of its own.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from modelbox.errors import ModelBoxError, StorageUnavailable
from modelbox_server.storage.databases.pools import pool_status
from modelbox_server.storage.databases.readiness import Readiness
from modelbox_server.storage.forks import ForkGuard
from modelbox_server.storage.migrations.runner import Migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import sqlalchemy as sa

    from modelbox_server.storage.databases.settings import DatabaseSettings
    from modelbox_server.storage.migrations.runner import Migration

__all__ = ["Collision", "Cursor", "Engine", "Transactions"]

R = TypeVar("R")

_MIGRATIONS = "modelbox_metrics_migrations"
_TRIES = 12
_LONGEST_PAUSE_S = 0.5


class Collision(Exception):
    """Another transaction changed what this one had found; it is to be run again."""


class Cursor(Protocol):
    """What PEP 249 and both drivers have."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def close(self) -> None:
        """End its use."""
        ...

    def execute(self, statement: str, values: Sequence[object] | None = None, /) -> object:
        """Run a statement."""
        ...

    def executemany(self, statement: str, rows: Sequence[Sequence[object]], /) -> object:
        """Run a statement for each row."""
        ...

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row."""
        ...

    def fetchall(self) -> Iterable[tuple[Any, ...]]:
        """Return all rows that are left."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of server, as far as transactions have to know it.

    Parameters
    ----------
    pool
        Where connections come from.
    errors
        What the driver raises.
    translated
        Makes an error of ours of one of the driver's.
    is_collision
        Tells whether transactions that ran at once got into each other's way.
    begin_reading
        Statements that open one consistent view which changes nothing.
    steps
        What makes the tables.
    migrating
        Keeps every other server from running a step meanwhile.
    prepare
        What else is to be done at the start, also alone.
    """

    pool: sa.Engine
    errors: tuple[type[Exception], ...]
    translated: Callable[[BaseException | None], ModelBoxError]
    is_collision: Callable[[BaseException | None], bool]
    begin_reading: tuple[str, ...]
    steps: Sequence[Migration]
    migrating: Callable[[sa.Connection], AbstractContextManager[None]]
    prepare: Callable[[sa.Connection], None] | None = None


def _together(_connection: sa.Connection) -> AbstractContextManager[None]:
    return nullcontext()


class Transactions:
    """Opens transactions of one database, which may be away now and then.

    Parameters
    ----------
    engine
        How to reach it.
    settings
        Where it is.

    Raises
    ------
    SchemaTooNew, StorageError
        The database is not one for this program.
    """

    def __init__(self, engine: Engine, settings: DatabaseSettings) -> None:
        self._engine = engine
        self.migrations = Migrations(engine.steps, self._schema, partial(self._schema, engine.migrating), table=_MIGRATIONS)
        self._readiness = Readiness(settings, self.migrations, self._prepare)
        self._guard = ForkGuard(engine.pool.dispose, self._renew)
        try:
            self._readiness.begin()
        except BaseException:
            engine.pool.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Cursor]:
        """Open a transaction that sees everything committed before, and nothing that is committed while it runs."""
        self._readiness.require()
        with self._guard.use(), self._translated(), self._cursor() as (cursor, _):
            for statement in self._engine.begin_reading:
                cursor.execute(statement)
            yield cursor

    def write(self, work: Callable[[Cursor], R]) -> R:
        """Run `work` in a transaction that is durable when this returns, and return what it returned.

        It may be run several times, each time on what the others left, where transactions that ran at once got into each other's way.
        """
        self._readiness.require()
        with self._guard.use():
            for attempt in range(_TRIES):
                try:
                    with self._cursor() as (cursor, connection):
                        result = work(cursor)
                        connection.commit()
                        return result
                except self._engine.errors as error:
                    if attempt == _TRIES - 1 or not self._engine.is_collision(error):
                        raise self._engine.translated(error) from error
                except (DBAPIError, NoConnectionLeft) as error:
                    raise self._translation(error) from error
                except Collision:
                    pass
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.005 * 2**attempt)))  # noqa: S311
        raise StorageUnavailable("Other writers changed the same series again and again: try again.", retry_after_s=1.0)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._engine.errors as error:
            raise self._engine.translated(error) from error
        except (DBAPIError, NoConnectionLeft) as error:
            raise self._translation(error) from error

    def pool_status(self) -> Mapping[str, int]:
        """Return how many connections there may be, are open, and are in use now; costs nothing."""
        return pool_status(self._engine.pool)

    def close(self) -> None:
        """Close every connection that nobody uses; the others when they are given back."""
        self._engine.pool.dispose()

    def _renew(self) -> None:
        self._engine.pool.dispose(close=False)
        self._readiness.renew()

    def _prepare(self) -> None:
        if self._engine.prepare is not None:
            with self._schema(self._engine.migrating) as connection:
                self._engine.prepare(connection)

    @contextmanager
    def _schema(self, alone: Callable[[sa.Connection], AbstractContextManager[None]] = _together) -> Iterator[sa.Connection]:
        with self._guard.use(), self._translated(), self._engine.pool.connect() as connection, alone(connection):
            yield connection
            connection.commit()

    @contextmanager
    def _cursor(self) -> Iterator[tuple[Cursor, Any]]:
        connection = self._engine.pool.raw_connection()
        try:
            cursor = cast("Cursor", connection.cursor())
            try:
                yield cursor, connection
            finally:
                with suppress(*self._engine.errors):
                    cursor.close()
            connection.rollback()  # what was read, or nothing
        except self._engine.errors as error:
            self._undo(connection, error)
            raise
        except BaseException:
            self._undo(connection, None)
            raise
        finally:
            connection.close()

    def _undo(self, connection: Any, cause: Exception | None) -> None:
        """End the transaction; a connection that cannot even do that is not used again."""
        try:
            connection.rollback()
        except self._engine.errors as error:
            connection.invalidate(cause or error)

    def _translation(self, error: DBAPIError | NoConnectionLeft) -> ModelBoxError:
        if isinstance(error, DBAPIError):
            return self._engine.translated(error.orig)
        return StorageUnavailable("All connections to the metrics database are in use: try again, or raise pool_size.", retry_after_s=1.0)
