"""Metadata in MySQL or MariaDB (``mysql``): only what they do in their own way.

Readers see one state (REPEATABLE READ) and wait for nobody. Writers are kept from each other by locks on the rows of a table of their own,
taken when they begin: all lock its first row, shared by those that named their objects and alone by those that did not, and one of many
others for each object that they named.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from modelbox.errors import ModelBoxError, StorageUnavailable
from modelbox_server.storage.databases.mysql import is_collision, mysql_engine, mysql_error
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.servers import ServerMetadataStore, collided, lock_numbers
from modelbox_server.storage.metadata.sql import ALONE, MIGRATES, WAIT_S, WRITES
from modelbox_server.storage.metadata.statements import Column
from modelbox_server.storage.migrations.m0005_locks import LOCKS, OBJECT_LOCKS

__all__ = ["MysqlDialect", "MysqlMetadataStore"]

_EVERYBODY, _EVENTS, _FIRST_OBJECT = 0, 1, 2


class MysqlMetadataStore(ServerMetadataStore):
    """A metadata store in a database of a MySQL or MariaDB server.

    Parameters
    ----------
    settings
        Where the database is.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        dialect, engine = MysqlDialect(settings), mysql_engine(settings)
        event.listen(engine, "begin", dialect.begin)
        super().__init__(engine, dialect, settings)


class MysqlDialect(SqlDialect):
    """The ways of MySQL and MariaDB.

    Parameters
    ----------
    settings
        Where the database is.
    """

    name = "mysql"
    undoes_failed_statements = True
    upserts_by_any_key = True

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def begin(self, connection: sa.Connection) -> None:
        """Begin a transaction, a writing one with its locks."""
        options = connection.get_execution_options()
        if not options[WRITES]:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return
        wait_s = max(1, int(options[WAIT_S]))
        if connection.info.get(WAIT_S, int(self._settings.lock_wait_s)) != wait_s:
            connection.exec_driver_sql(f"SET innodb_lock_wait_timeout = {wait_s}")
            connection.info[WAIT_S] = wait_s
        if options.get(MIGRATES, False):
            return  # the table of locks may not be there yet: see migrating
        alone = sorted({_FIRST_OBJECT + number % OBJECT_LOCKS for number in lock_numbers(options.get(ALONE, ()))})
        connection.exec_driver_sql(f"SELECT id FROM {LOCKS.name} WHERE id = {_EVERYBODY} {'LOCK IN SHARE MODE' if alone else 'FOR UPDATE'}")
        if alone:
            connection.exec_driver_sql(f"SELECT id FROM {LOCKS.name} WHERE id IN ({', '.join(map(str, alone))}) ORDER BY id FOR UPDATE")

    @contextmanager
    def migrating(self, connection: sa.Connection) -> Iterator[None]:
        """Hold a lock of the session: those of transactions end with the first statement that changes the schema."""
        # Names of such locks are those of the whole server, and 64 characters at most.
        name = f"modelbox:{hashlib.sha256(self._settings.dbname.encode()).hexdigest()[:40]}"
        wait_s = connection.get_execution_options()[WAIT_S]
        if connection.execute(sa.select(sa.func.get_lock(name, wait_s))).scalar_one() != 1:
            raise StorageUnavailable(
                f"Another server migrates the database {self._settings} for more than {wait_s:g} s: wait for it.", retry_after_s=5
            )
        # What other servers did while we waited is to be seen.
        connection.commit()
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.execute(sa.select(sa.func.release_lock(name)))

    def upsert(self, table: sa.Table) -> sa.Insert:
        """Return ``INSERT … ON DUPLICATE KEY UPDATE``."""
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update(
            {column.name: insert.inserted[column.name] for column in table.columns if not column.primary_key}
        )

    def before_events(self) -> sa.Executable:
        """Return a lock that holds until the transaction is visible to others."""
        return sa.select(LOCKS.c.id).where(LOCKS.c.id == _EVENTS).with_for_update()

    def document(self, key: Column, value: Column) -> sa.ColumnElement[str]:
        """Return a concatenation: ``JSON_OBJECTAGG`` would read and write every value once more."""
        pairs = sa.func.group_concat(sa.func.concat(sa.func.json_quote(key), ":", value), type_=sa.Text())
        return sa.func.concat("{", pairs, "}", type_=sa.Text())

    def translated(self, error: DBAPIError) -> ModelBoxError:
        """Return an error of the driver as one of ours."""
        return collided(self._settings) if is_collision(error.orig) else mysql_error(error.orig, self._settings)
