"""Metadata in a SQL database: everything that engines have in common.

A backend is a :class:`~modelbox_server.storage.metadata.dialect.SqlDialect` with the differences, and a function or class that makes the
engine; :mod:`.sqlite` is the pattern.

Thread safety: a store may be used from any thread. Where the engine lets one transaction write at a time, threads of a process queue
fairly here rather than poll for each other's lock in the database. Forks are safe: see :mod:`modelbox_server.storage.forks`.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import Json, MetadataEntry, Record
from modelbox.errors import ModelBoxError, StorageError, StorageUnavailable
from modelbox_server.storage.forks import ForkGuard
from modelbox_server.storage.interfaces import Condition, Order
from modelbox_server.storage.metadata.conditions import clauses, page
from modelbox_server.storage.metadata.conflicts import already_there, read_only
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.documents import made_anew, stored
from modelbox_server.storage.metadata.statements import Test, condition, paged
from modelbox_server.storage.metadata.tables import SQL_TABLES
from modelbox_server.storage.migrations.runner import APPLIED, Migrations
from modelbox_server.storage.migrations.steps import METADATA_STEPS
from modelbox_server.storage.rows import Cell, RowCodec, codec, document_from_text

__all__ = ["ALONE", "MIGRATES", "WAIT_S", "WRITES", "SqlMetadataStore", "SqlTransaction"]

R = TypeVar("R", bound=Record)
Values: TypeAlias = Mapping[str, Cell] | Sequence[Mapping[str, Cell]]

WRITES = "modelbox_writes"
"""Execution option of a connection: whether its transaction is going to write."""

WAIT_S = "modelbox_wait_s"
"""Execution option of a connection: how long its transaction waits for the locks of others."""

ALONE = "modelbox_alone"
"""Execution option of a connection: the ids of the objects that its transaction is about; none when it must run alone."""

MIGRATES = "modelbox_migrates"
"""Execution option of a connection: whether its transaction changes the schema."""

_CHECK_WAIT_S = 2.0
_CHECKED = "check"
"""Stands for no object: checks wait for those transactions only that run alone."""


class SqlMetadataStore:
    """A metadata store over SQLAlchemy Core.

    Opening one brings the schema up to date.

    Parameters
    ----------
    engine
        Connections to the database; their isolation must make writers serialisable among each other.
    dialect
        Ways of the engine.
    wait_s
        How long a writing transaction waits for others before it gives up.

    Raises
    ------
    SchemaTooNew
        A newer program has migrated the database.
    StorageUnavailable
        The database is away or busy.
    """

    def __init__(self, engine: sa.Engine, dialect: SqlDialect, *, wait_s: float) -> None:
        self.name = dialect.name
        self._engine = engine
        self._dialect = dialect
        self._wait_s = wait_s
        self._closed = False
        self._one_writer = threading.RLock()
        self._writers: set[int] = set()
        self._guard = ForkGuard(self._engine.dispose, self._renew)
        self.migrations = Migrations(METADATA_STEPS, self._read_connection, self._migration_connection)
        try:
            self._begin()
        except BaseException:
            self._engine.dispose()
            raise

    def _begin(self) -> None:
        """Make the store ready for use."""
        self.migrations.apply()

    @contextmanager
    def read(self) -> Iterator["SqlTransaction"]:
        """Open a view for reading."""
        self._require_ready()
        with self._read_connection() as connection:
            yield SqlTransaction(connection, self._dialect, writable=False)

    @contextmanager
    def write(self, *alone: str) -> Iterator["SqlTransaction"]:
        """Open a transaction for writing."""
        self._require_ready()
        with self._write_connection(*alone) as connection:
            transaction = SqlTransaction(connection, self._dialect, writable=True)
            yield transaction
            transaction.complete()

    def check(self) -> None:
        """Return if the store can be written to now; a change that changes nothing is really committed."""
        self._require_ready()
        with self._write_connection(_CHECKED, wait_s=_CHECK_WAIT_S) as connection:
            connection.execute(sa.update(APPLIED).values(number=APPLIED.c.number).where(APPLIED.c.number == 1))

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._engine.dispose()

    def _renew(self) -> None:
        self._engine.dispose(close=False)
        self._one_writer = threading.RLock()
        self._writers = set()

    def _require_ready(self) -> None:
        """Return if the schema is that of this program."""

    @contextmanager
    def _read_connection(self) -> Iterator[sa.Connection]:
        with self._connection({WRITES: False, WAIT_S: self._wait_s}) as connection:
            try:
                yield connection
            finally:
                # Nothing was written: this only ends the view.
                connection.rollback()

    @contextmanager
    def _write_connection(self, *alone: str, wait_s: float | None = None) -> Iterator[sa.Connection]:
        wait_s = self._wait_s if wait_s is None else wait_s
        with self._as_writer(wait_s), self._connection({WRITES: True, WAIT_S: wait_s, ALONE: alone}) as connection:
            yield connection
            connection.commit()

    @contextmanager
    def _migration_connection(self) -> Iterator[sa.Connection]:
        options = {WRITES: True, WAIT_S: self._wait_s, MIGRATES: True}
        with self._as_writer(self._wait_s), self._connection(options) as connection, self._dialect.migrating(connection):
            yield connection
            connection.commit()

    @contextmanager
    def _as_writer(self, wait_s: float) -> Iterator[None]:
        me = threading.get_ident()
        if me in self._writers:
            # The database would let this thread wait for itself until its time is over.
            raise StorageUnavailable("This thread writes already: end its first transaction before opening the second.")
        lock = self._one_writer if self._dialect.one_writer else None
        try:
            if lock is not None and not lock.acquire(timeout=wait_s):
                raise StorageUnavailable(f"Other writers did not finish within {wait_s:g} s: try again.", retry_after_s=1)
            self._writers.add(me)
            yield
        finally:
            self._writers.discard(me)
            if lock is not None:
                # Ctrl-C may come right after the lock was taken. A lock of this kind knows its thread and refuses to be released by others.
                with suppress(RuntimeError):
                    lock.release()

    @contextmanager
    def _connection(self, options: Mapping[str, object]) -> Iterator[sa.Connection]:
        if self._closed:
            raise StorageError("The metadata store is closed: open a new one.")
        with self._guard.use(), _ours(self._dialect), self._engine.connect() as connection:
            connection.execution_options(**options)
            try:
                connection.begin()
                yield connection
            except Exception:
                raise
            except BaseException:
                # Ctrl-C may have come anywhere inside the driver or SQLAlchemy: this connection cannot be trusted with another transaction.
                connection.invalidate()
                raise


class SqlTransaction:
    """See :class:`~modelbox_server.storage.interfaces.MetadataTransaction`.

    Parameters
    ----------
    connection
        A connection in a transaction; committed, or not, by the store.
    dialect
        Ways of the engine.
    writable
        Whether changes are allowed.
    """

    def __init__(self, connection: sa.Connection, dialect: SqlDialect, *, writable: bool) -> None:
        self._connection = connection
        self._dialect = dialect
        self._writable = writable
        self._failure: ModelBoxError | None = None
        self._described: set[str] = set()  # the objects whose metadata has changed
        self._in_order = False  # whether change events may be added

    def complete(self) -> None:
        """Make what follows from the changes; to be called before they are committed.

        Raises
        ------
        ModelBoxError
            Something went wrong in the transaction that was not a mere conflict.
        """
        self.require_whole()
        self._describe()

    def _describe(self) -> None:
        """Make the documents of the objects whose metadata has changed anew."""
        if self._described:
            for statement in made_anew(self._described, self._dialect.is_in, self._dialect.documents):
                self._execute(statement)
            self._described.clear()

    def require_whole(self) -> None:
        """Raise what went wrong in the transaction, unless it was a mere conflict.

        A disk that is full, for example, makes SQLite undo the whole transaction at once: what somebody who caught the error did
        afterwards would otherwise be kept without what was done before.
        """
        if self._failure is not None:
            raise self._failure

    def get(self, kind: type[R], *key: object) -> R | None:
        """Return the record with this primary key, or ``None``."""
        of = codec(kind)
        statement, names = _by_key(kind)
        found = of.decode(self._rows(statement, dict(zip(names, of.key_of(key), strict=True))))
        return found[0] if found else None

    def select(
        self,
        kind: type[R],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[R]:
        """Return the records for which every condition holds."""
        of, table = codec(kind), SQL_TABLES[kind]
        shared = cast(RowCodec[Record], of)
        statement = _all(kind).where(*self._tests(kind, where))
        statement = paged(statement, table, page(shared, order, after))
        return of.decode(self._rows(statement if limit is None else statement.limit(limit)))

    def keys(
        self,
        kind: type[Record],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[tuple[str | int, ...]]:
        """Return the primary keys of the records for which every condition holds."""
        table = SQL_TABLES[kind]
        columns: list[sa.ColumnElement[Any]] = [table.c[field] for field in kind.KEY]
        statement = paged(sa.select(*columns).where(*self._tests(kind, where)), table, page(codec(kind), order, after))
        return cast("list[tuple[str | int, ...]]", [tuple(row) for row in self._rows(statement.limit(limit))])

    def documents(
        self, object_ids: Sequence[str], keys: Sequence[str] | None = None, *, without: Sequence[str] = ()
    ) -> list[dict[str, Json]]:
        """Return the metadata of each of these objects, in their order.

        The database puts the documents together: a row per entry would cost ten times as much, most of it for objects of Python.
        """
        if not object_ids:
            return []
        found: dict[str, str | None] = {}
        missing = object_ids
        if keys is None and set(without) == set(LONG_METADATA) and not self._described:
            found = self._texts(stored(codec(MetadataEntry).cells("object_id", object_ids), self._dialect.is_in))
            missing = [object_id for object_id in object_ids if object_id not in found]
        if missing:
            conditions = [Condition("object_id", "in", missing)]
            conditions += [] if keys is None else [Condition("key", "in", keys)]
            conditions += [Condition("key", "ne", key) for key in without]
            found |= self._texts(self._dialect.documents.where(*self._tests(MetadataEntry, conditions)))
        return [self._document(object_id, found[object_id], keys, without) if object_id in found else {} for object_id in object_ids]

    def _document(self, object_id: str, text: str | None, keys: Sequence[str] | None, without: Sequence[str]) -> dict[str, Json]:
        if text is not None:
            return document_from_text(text)
        # It has more bytes than MySQL sends as one text.
        entries = self.select(MetadataEntry, [Condition("object_id", "eq", object_id)])
        return {entry.key: entry.value for entry in entries if (keys is None or entry.key in keys) and entry.key not in without}

    def _texts(self, statement: sa.Select[Any]) -> dict[str, str | None]:
        return {cast(str, object_id): cast("str | None", text) for object_id, text in self._rows(statement)}

    def count(self, kind: type[Record], where: Sequence[Condition] = ()) -> int:
        """Return how many records meet every condition."""
        statement = sa.select(sa.func.count()).select_from(SQL_TABLES[kind]).where(*self._tests(kind, where))
        return cast(int, self._rows(statement)[0][0])

    def total(self, kind: type[Record], field: str, where: Sequence[Condition] = ()) -> int:
        """Return the sum of a field over the records that meet every condition."""
        statement = sa.select(sa.func.sum(SQL_TABLES[kind].c[field])).where(*self._tests(kind, where))
        return int(self._rows(statement)[0][0] or 0)

    def insert(self, record: R) -> R:
        """Add a record and return it as stored."""
        self._require_writable()
        of, table = codec(type(record)), SQL_TABLES[type(record)]
        row = of.encode(record)
        serial = of.table.serial()
        if serial is None:
            self._described.update([record.object_id] if isinstance(record, MetadataEntry) else [])
            try:
                result = self._execute(self._dialect.insert(table), dict(zip(table.c.keys(), row, strict=True)))
            except IntegrityError as error:
                raise self._conflict([record], error) from error
            if result.rowcount == 0:
                raise self._conflict([record])
        else:
            self._keep_order()
            values = {name: cell for name, cell in zip(table.c.keys(), row, strict=True) if name != serial}
            number = cast(Sequence[int], self._execute(_insert(table), values).inserted_primary_key)[0]
            row = tuple([number if name == serial else cell for name, cell in zip(of.names, row, strict=False)])
        return of.decode([row])[0]

    def put(self, records: Sequence[Record]) -> None:
        """Add records, or replace those with the same primary key."""
        self._require_writable()
        if not records:
            return
        of, table = codec(type(records[0])), SQL_TABLES[type(records[0])]
        serial = of.table.serial()
        columns = table.c.keys()
        numbered: list[dict[str, Cell]] = []
        unnumbered: list[dict[str, Cell]] = []
        for record in records:
            values = dict(zip(columns, of.encode(record), strict=True))
            if serial is None or values[serial]:
                numbered.append(values)
            else:
                del values[serial]
                unnumbered.append(values)
        if serial is not None:
            self._keep_order()
        if self._dialect.upserts_by_any_key and of.table.uniques:
            self._change(records, [step for values in numbered for step in self._replacing(table, values)])
        else:
            self._change(records, [step for step in ((self._dialect.upsert(table), numbered), (_insert(table), unnumbered)) if step[1]])

    def _replacing(self, table: sa.Table, values: Mapping[str, Cell]) -> Iterator[tuple[sa.Executable, Values]]:
        """Yield what adds a row, or replaces the one with the same primary key, and violates every other constraint there is."""
        here = sa.and_(*(column == values[column.name] for column in table.primary_key.columns))
        known = self._execute(sa.select(sa.func.count()).select_from(table).where(here)).scalar_one()
        yield (sa.update(table).where(here), values) if known else (_insert(table), values)

    def _keep_order(self) -> None:
        """See to it that change events become visible in the order of their numbers."""
        statement = None if self._in_order else self._dialect.before_events()
        if statement is not None:
            # Others wait from here on: what can be done before is done before.
            self._describe()
            self._execute(statement)
        self._in_order = True

    def delete(self, kind: type[Record], where: Sequence[Condition]) -> int:
        """Delete the records for which every condition holds."""
        self._require_writable()
        table, tests = SQL_TABLES[kind], self._tests(kind, where)
        if kind is MetadataEntry:
            self._described.update(cast(str, row[0]) for row in self._rows(sa.select(table.c.object_id).where(*tests).distinct()))
        return self._execute(sa.delete(table).where(*tests)).rowcount

    def _change(self, records: Sequence[Record], steps: Iterable[tuple[sa.Executable, Values]]) -> sa.CursorResult[Any]:
        """Take all the steps or none, and return the result of the last."""
        self._described.update(record.object_id for record in records if isinstance(record, MetadataEntry))
        # What cannot clash, or undoes itself then, needs no savepoint, which would cost two more questions.
        uniques = codec(type(records[0])).table.uniques
        single = len(records) == 1 and self._dialect.undoes_failed_statements
        savepoint = self._connection.begin_nested() if uniques and not single else None
        try:
            *_, result = [self._execute(statement, values) for statement, values in steps]
        except IntegrityError as error:
            if savepoint is not None:
                savepoint.rollback()
            raise self._conflict(records, error) from error
        if savepoint is not None:
            savepoint.commit()
        return result

    def _tests(self, kind: type[Record], where: Sequence[Condition]) -> list[Test]:
        table = SQL_TABLES[kind]
        return [condition(table, clause, self._dialect.is_in) for clause in clauses(codec(kind), where)]

    def _rows(self, statement: sa.Select[Any], values: Mapping[str, Cell] | None = None) -> Sequence[Sequence[Cell]]:
        return self._execute(statement, values).all()

    def _execute(self, statement: sa.Executable, values: Values | None = None) -> sa.CursorResult[Any]:
        self.require_whole()
        try:
            return self._connection.execute(statement, values)
        except IntegrityError:
            raise  # the caller knows the records, and that the transaction can go on
        except DBAPIError as error:
            self._failure = self._dialect.translated(error)
            raise self._failure from error

    def _conflict(self, records: Sequence[Record], error: IntegrityError | None = None) -> ModelBoxError:
        """Say which of the records clashes with what is stored; the text of the driver's error is not for machines."""
        for record in records:
            kind = type(record)
            if len(records) == 1 and self.get(kind, *(getattr(record, field) for field in kind.KEY)) is not None:
                return already_there(record, same_key=True)
            for unique in codec(kind).table.uniques:
                same = [Condition(field, "eq", getattr(record, field)) for field in unique.fields]
                other = [Condition(field, "ne", getattr(record, field)) for field in kind.KEY]
                if self.count(kind, [*same, *other]):
                    return already_there(record, same_key=False)
        if codec(type(records[0])).table.uniques:
            return already_there(records[0], same_key=False)  # two of the records clash with each other
        if error is None:
            return already_there(records[0], same_key=True)
        self._failure = self._dialect.translated(error)
        return self._failure

    def _require_writable(self) -> None:
        if not self._writable:
            raise read_only()


@contextmanager
def _ours(dialect: SqlDialect) -> Iterator[None]:
    """Translate what goes wrong between statements: connecting, beginning, committing."""
    try:
        yield
    except DBAPIError as error:
        raise dialect.translated(error) from error
    except PoolTimeoutError as error:
        raise StorageUnavailable("Too many transactions are open at once: try again.", retry_after_s=1) from error


@cache
def _all(kind: type[Record]) -> sa.Select[Any]:
    table = SQL_TABLES[kind]
    # Without the digests, which no record has.
    return sa.select(*(table.c[name] for name in codec(kind).names))


@cache
def _by_key(kind: type[Record]) -> tuple[sa.Select[Any], tuple[str, ...]]:
    table, names = SQL_TABLES[kind], tuple(f"key_{field}" for field in kind.KEY)
    return _all(kind).where(*(table.c[field] == sa.bindparam(name) for field, name in zip(kind.KEY, names, strict=True))), names


@cache
def _insert(table: sa.Table) -> sa.Insert:
    return sa.insert(table)
