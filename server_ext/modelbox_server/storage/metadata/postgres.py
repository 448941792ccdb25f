"""Metadata in PostgreSQL (``postgres``): only what it does in its own way.

Readers see one state (REPEATABLE READ) and wait for nobody. Writers are kept from each other by advisory locks, taken when they begin:
all hold one of them, shared by those that named their objects and alone by those that did not, and one for each object that they named.
"""

import select
import time
from contextlib import suppress
from typing import cast

import psycopg2
import psycopg2.extensions
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from modelbox.errors import ModelBoxError
from modelbox_server.storage.databases.postgres import is_collision, postgres_engine, postgres_error
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.servers import ServerMetadataStore, collided, lock_numbers
from modelbox_server.storage.metadata.sql import ALONE, WAIT_S, WRITES
from modelbox_server.storage.metadata.statements import Column, Test
from modelbox_server.storage.rows import Cell

__all__ = ["PostgresDialect", "PostgresListener", "PostgresMetadataStore"]

# Advisory locks are named by two numbers of 32 bits, or by one of 64: objects have the latter.
_OURS = 0x4D42584A
_EVERYBODY, _EVENTS = 0, 1
_CHANNEL = "modelbox_changes"


class PostgresMetadataStore(ServerMetadataStore):
    """A metadata store in a database of a PostgreSQL server.

    Parameters
    ----------
    settings
        Where the database is.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        dialect, engine = PostgresDialect(settings), postgres_engine(settings)
        event.listen(engine, "begin", dialect.begin)
        super().__init__(engine, dialect, settings)

    def listener(self) -> "PostgresListener":
        """Return word of change events, by a connection of its own."""
        return PostgresListener(self._engine)


class PostgresListener:
    """See :class:`~modelbox_server.storage.interfaces.ChangeListener`.

    Parameters
    ----------
    engine
        Where to take connections from; one is kept.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: psycopg2.extensions.connection | None = None

    def wait(self, timeout_s: float) -> None:
        """Wait for word; without a connection, for the time alone."""
        try:
            connection = self._connected()
            if select.select([connection], [], [], timeout_s)[0]:
                connection.poll()
                connection.notifies.clear()
        except (psycopg2.Error, DBAPIError, PoolTimeoutError, OSError, ValueError):
            self.close()
            time.sleep(timeout_s)

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()

    def _connected(self) -> psycopg2.extensions.connection:
        if self._connection is None:
            taken = self._engine.raw_connection()
            self._connection = connection = cast(psycopg2.extensions.connection, taken.dbapi_connection)
            taken.detach()  # the pool makes another one in its place
            connection.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=True)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {_CHANNEL}")
        return self._connection


class PostgresDialect(SqlDialect):
    """The ways of PostgreSQL.

    Parameters
    ----------
    settings
        Where the database is.
    """

    name = "postgres"

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def begin(self, connection: sa.Connection) -> None:
        """Begin a transaction, a writing one with its locks."""
        options = connection.get_execution_options()
        writes = bool(options[WRITES])
        # The driver sends this along with BEGIN.
        driver = cast(psycopg2.extensions.connection, connection.connection.dbapi_connection)
        driver.set_session(isolation_level="READ COMMITTED" if writes else "REPEATABLE READ", readonly=not writes)
        if not writes:
            return
        alone = lock_numbers(options.get(ALONE, ()))
        locks = [
            f"pg_advisory_xact_lock{'_shared' if alone else ''}({_OURS}, {_EVERYBODY})",
            *(f"pg_advisory_xact_lock({number})" for number in alone),
        ]
        wait = f"SET LOCAL lock_timeout = {int(options[WAIT_S] * 1000)}"
        connection.exec_driver_sql("; ".join([wait, *(f"SELECT {lock}" for lock in locks)]))

    def insert(self, table: sa.Table) -> sa.Insert:
        """Return ``INSERT … ON CONFLICT DO NOTHING``: an error would end the transaction."""
        return postgresql.insert(table).on_conflict_do_nothing()

    def upsert(self, table: sa.Table) -> sa.Insert:
        """Return ``INSERT … ON CONFLICT (primary key) DO UPDATE``."""
        insert = postgresql.insert(table)
        new = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        return insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=new)

    def before_events(self) -> sa.Executable:
        """Return a lock that holds until the transaction is visible to others."""
        lock = sa.func.pg_advisory_xact_lock(sa.literal_column(str(_OURS)), sa.literal_column(str(_EVENTS)))
        # Word goes out with the commit, once however often it is asked for.
        return sa.select(lock, sa.func.pg_notify(_CHANNEL, ""))

    def document(self, key: Column, value: Column) -> sa.ColumnElement[str]:
        """Return a concatenation: ``json_object_agg`` would write floats anew, and blanks between."""
        pair = sa.cast(sa.func.to_json(key), sa.Text()) + ":" + value
        return "{" + sa.func.string_agg(pair, ",", type_=sa.Text()) + "}"

    def is_in(self, column: Column, values: tuple[Cell, ...]) -> Test:
        """Send all values as one array: one text compiles once."""
        return column == sa.any_(sa.literal(list(values), sa.ARRAY(sa.BigInteger() if isinstance(column.type, sa.Integer) else sa.Text())))

    def translated(self, error: DBAPIError) -> ModelBoxError:
        """Return an error of the driver as one of ours."""
        return collided(self._settings) if is_collision(error.orig) else postgres_error(error.orig, self._settings)
