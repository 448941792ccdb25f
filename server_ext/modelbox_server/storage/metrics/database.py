"""The SQLite file below the ``integrated`` metrics store: connections, transactions, schema steps, and what can go wrong with them.

Many processes and threads may use one file at once. Writers queue: by a lock inside a process, by SQLite's busy handler between processes.
Readers never wait for writers (write-ahead log). Every commit is flushed to the disk before it is acknowledged.

Thread safety: everything here may be called from any thread; a connection is used by one thread at a time. A fork waits for transactions
that are under way, and the child opens connections of its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from modelbox.errors import ModelBoxError, SchemaTooNew, StorageError, StorageFull, StorageUnavailable
from modelbox_server.storage.forks import ForkGuard
from modelbox_server.storage.journal_mode import journal_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    Step: TypeAlias = Sequence[str | Callable[[sqlite3.Connection], None]]

__all__ = ["Database"]

_BUSY_S = 30.0
_IDLE_READERS = 8
_PAGE_BYTES = 8192
_READER_CACHE_KIB, _WRITER_CACHE_KIB = 16_384, 4096
_WAL_PAGES = 2048
_WAL_KEPT_BYTES = 64 << 20
_SWITCH_PAUSE_S = 0.02

# Connections of a parent process. Closing one in a child would release file locks and remove the log that the parent still writes to.
_left_open: list[sqlite3.Connection] = []


class Database:
    """One SQLite file whose schema is made by numbered steps.

    Parameters
    ----------
    path
        The file; it is made with its folder, readable for the owner only.
    steps
        Statements of each schema step, in order, and functions where statements are not enough. A step is never changed once it was
        released.
    application_id
        Marks the file as ours; a file that carries another mark is refused.
    """

    def __init__(self, path: Path, steps: Sequence[Step], application_id: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._guard = ForkGuard(self._close_idle, self._renew)
        with self._guard.use(), _translated(path):
            self._prepare(steps, application_id)

    # --- transactions --------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that sees everything committed before, and nothing that is committed while it runs."""
        with self._guard.use(), _translated(self._path):
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect()
            is_sound = False
            try:
                connection.execute("BEGIN")
                yield connection
                is_sound = True
            finally:
                _end(connection)
                if is_sound and len(self._readers) < _IDLE_READERS:
                    self._readers.append(connection)
                else:
                    connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is durable when the block ends, and undone when the block raises."""
        with self._guard.use(), _translated(self._path):
            if not self._lock.acquire(timeout=_BUSY_S):
                raise _busy(self._path)
            try:
                if self._writer is None:
                    self._writer = self._connect(_WRITER_CACHE_KIB)
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                finally:
                    _end(self._writer)
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            self._close_idle()

    # --- connections ---------------------------------------------------------------------------------------------------------------------

    def _connect(self, cache_kib: int = _READER_CACHE_KIB) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        return connection

    def _close_idle(self) -> None:
        if self._writer is not None and not self._writer.in_transaction:
            self._writer.close()
            self._writer = None
        while self._readers:
            self._readers.pop().close()

    def _renew(self) -> None:
        _left_open.extend(self._readers)
        if self._writer is not None:
            _left_open.append(self._writer)
        self._readers, self._writer, self._lock = [], None, threading.Lock()

    # --- schema --------------------------------------------------------------------------------------------------------------------------

    def _prepare(self, steps: Sequence[Step], application_id: int) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log files the mode of the database, so making that first is enough for all.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._connect()
        try:
            self._check_mark(connection, application_id)
            _choose_journal(connection, self._path)
            self._migrate(connection, steps, application_id)
        finally:
            connection.close()

    def _check_mark(self, connection: sqlite3.Connection, application_id: int) -> None:
        mark, tables = connection.execute(
            "SELECT application_id, (SELECT count(*) FROM sqlite_master) FROM pragma_application_id"
        ).fetchone()
        if mark != application_id and (mark or tables):
            raise StorageError(f"{self._path.name} is a database of another program: give the metrics store a file of its own.")

    def _migrate(self, connection: sqlite3.Connection, steps: Sequence[Step], application_id: int) -> None:
        while (version := _version(connection)) != len(steps):
            if version > len(steps):
                raise SchemaTooNew(
                    f"{self._path.name} has schema {version}, and this ModelBox knows up to {len(steps)}: start a newer one."
                )
            connection.execute("BEGIN IMMEDIATE")
            try:
                # Another process may have taken the step while this one waited for the lock.
                if _version(connection) == version:
                    for statement in steps[version]:
                        if isinstance(statement, str):
                            connection.execute(statement)
                        else:
                            statement(connection)
                    connection.execute(f"PRAGMA user_version = {version + 1}")
                    connection.execute(f"PRAGMA application_id = {application_id}")
                connection.execute("COMMIT")
            finally:
                _end(connection)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _choose_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Turn the write-ahead log on, once in the life of a file, where the file system allows it."""
    wanted = journal_mode(path)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == wanted:
        return
    deadline_s = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            mode = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # The busy handler is not asked for this one: two processes that start at once would fail instead of wait.
            if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(_SWITCH_PAUSE_S)
    if mode != wanted:
        raise StorageError(f"The file system of {path.name} has no shared memory, which many writers need: use a local disk.")


def _end(connection: sqlite3.Connection) -> None:
    """Undo what was not committed; a connection that cannot is of no use, and the next error will say why."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


# --- errors ------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(error, path) from error
    except OSError as error:
        raise StorageUnavailable(f"{path.name} cannot be used ({error.strerror}): see to its folder and permissions.") from error


def _primary_code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _busy(path: Path) -> StorageUnavailable:
    return StorageUnavailable(f"Other writers kept {path.name} busy for {_BUSY_S:g} s: try again.", retry_after_s=1.0)


def _translation(error: sqlite3.Error, path: Path) -> ModelBoxError:
    match _primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _busy(path)
        case sqlite3.SQLITE_FULL:
            return StorageFull(f"No space is left for {path.name}: free some; nothing of this batch was kept.", retry_after_s=30.0)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_IOERR:
            return StorageUnavailable(f"{path.name} cannot be used ({error}): see to its disk and permissions.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageError(f"{path.name} is damaged ({error}): put back a copy of it.")
    return StorageError(f"SQLite failed on {path.name}: {error}.")
