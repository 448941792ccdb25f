"""Metadata in one SQLite file (``integrated``): only what SQLite does in its own way.

Any number of processes may use the file at once. Readers see the last commit and wait for nobody (write-ahead log); writers ask for the
write lock when they begin, where waiting is possible, instead of when they first write, where SQLite would have to refuse. A commit is
acknowledged after the log reached the disk (``synchronous = FULL``).
"""

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from modelbox.errors import ModelBoxError, StorageError, StorageFull, StorageUnavailable
from modelbox_server.storage.journal_mode import journal_mode
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.sql import WAIT_S, WRITES, SqlMetadataStore
from modelbox_server.storage.metadata.statements import Column, Test
from modelbox_server.storage.rows import Cell

__all__ = ["SqliteDialect", "SqliteMetadataStore"]

_WRITERS_WAIT_S = 30.0


class SqliteMetadataStore(SqlMetadataStore):
    """A metadata store in one file on a local disk.

    Parameters
    ----------
    path
        The file; it and its folder are made, readable by the user alone, when they are not there.
    wait_s
        How long a writer waits for writers of this and other processes before it gives up.
    """

    def __init__(self, path: Path, *, wait_s: float = _WRITERS_WAIT_S) -> None:
        path = path.resolve()
        self.sqlite_path = path
        """The file, for views over it (:mod:`modelbox_server.storage.views`)."""
        dialect = SqliteDialect(path)
        _create_privately(path)
        _choose_journal(path, wait_s)
        super().__init__(_engine(path, dialect), dialect, wait_s=wait_s)


class SqliteDialect(SqlDialect):
    """The ways of SQLite.

    Parameters
    ----------
    path
        The file, for messages.
    """

    name = "integrated"
    undoes_failed_statements = True
    one_writer = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, connection: sa.Connection) -> None:
        """Begin a transaction, a writing one with the write lock."""
        options = connection.get_execution_options()
        # Straight to the driver: through SQLAlchemy these two words would cost more than most questions that follow.
        driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        try:
            driver.execute(f"PRAGMA busy_timeout={int(options[WAIT_S] * 1000)}")
            driver.execute("BEGIN IMMEDIATE" if options[WRITES] else "BEGIN")
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error

    def upsert(self, table: sa.Table) -> sa.Insert:
        """Return ``INSERT … ON CONFLICT (primary key) DO UPDATE``."""
        insert = sqlite.insert(table)
        new = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        return insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=new)

    def document(self, key: Column, value: Column) -> sa.ColumnElement[str]:
        """Return a concatenation: ``json_group_object`` would read and write every value once more, and write floats anew."""
        return "{" + sa.func.group_concat(sa.func.json_quote(key, type_=sa.Text()) + ":" + value, type_=sa.Text()) + "}"

    def is_in(self, column: Column, values: tuple[Cell, ...]) -> Test:
        """Send all values as one parameter: SQLite limits the number of parameters, and one text compiles once."""
        items = sa.func.json_each(json.dumps(values)).table_valued("value")
        return column.in_(sa.select(items.c.value))

    def translated(self, error: DBAPIError) -> ModelBoxError:
        """Return an error of the driver as one of ours."""
        return _translated(error.orig, self._path)


def _translated(error: BaseException | None, path: Path) -> ModelBoxError:
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    # The lower byte is the kind of error, what is above tells its circumstances.
    match extended & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageUnavailable(f"The database {path} is busy with other writers: try again.", retry_after_s=1)
        case sqlite3.SQLITE_FULL:
            return StorageFull(f"No space is left for the database {path}: free some, then try again.", retry_after_s=30)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR:
            return StorageUnavailable(
                f"The database {path} cannot be opened or read ({error}): check its disk and folder.", retry_after_s=10
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StorageError(f"The database {path} is read-only: give this user the right to write to it and to its folder.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageError(f"The file {path} is damaged or no SQLite database: restore it from a backup, or name another file.")
        case sqlite3.SQLITE_TOOBIG:
            return StorageError(f"A value is larger than the database {path} can hold: make it smaller.")
        case _:
            return StorageError(f"The database {path} failed: {error}.")


def _create_privately(path: Path) -> None:
    """Make the file before SQLite does, since SQLite gives its log the same mode as the file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            f"The database {path} cannot be opened ({error.strerror}): choose a folder that this user can write to."
        ) from error


def _choose_journal(path: Path, wait_s: float) -> None:
    """Switch the file to a write-ahead log, for good, where its file system allows one.

    When many processes begin at once, all but one find the file locked for a moment.
    """
    wanted = journal_mode(path)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            connection = sqlite3.connect(path, timeout=wait_s)
            try:
                (mode,) = connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
            finally:
                connection.close()
        except sqlite3.Error as error:
            # SQLite does not wait for this lock by itself.
            trouble = _translated(error, path)
            if not isinstance(trouble, StorageUnavailable) or isinstance(trouble, StorageFull) or time.monotonic() > deadline:
                raise trouble from error
            time.sleep(0.02)
            continue
        if mode != wanted:
            raise StorageError(f"The disk of {path} does not allow a write-ahead log (it stays in mode {mode!r}): choose a local disk.")
        return


def _engine(path: Path, dialect: SqliteDialect) -> sa.Engine:
    # No limit on connections: a limit would make threads wait for each other where SQLite does not.
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False}, max_overflow=-1)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "invalidate", _release_locks)
    event.listen(engine, "begin", dialect.begin)
    return engine


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # From here on transactions begin when SqliteDialect.begin says so, not when the driver sees a first change.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _release_locks(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _error: BaseException | None) -> None:
    """End the transaction of a connection that is given up.

    Closing it is not enough: SQLite keeps it, with its locks, as long as a cursor is left, and after Ctrl-C the traceback that IPython
    remembers holds one.
    """
    connection.rollback()
