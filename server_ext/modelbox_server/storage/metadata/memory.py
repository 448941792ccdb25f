"""Metadata in the memory of this process (``ephemeral``): the reference for what every store does, gone when the process ends.

Rows are kept as the SQL stores keep them, so a value that goes in is a value that comes out, never the caller's own list or dict. One lock
lets one thread in at a time, readers included: their blocks are short, and a reader sees one state without copies being made.

Thread safety: everything here may be called from any thread; a transaction stays on the thread that opened it.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar, cast

from modelbox.entities.records import Json, MetadataEntry, Record
from modelbox.errors import StorageError, StorageUnavailable
from modelbox_server.storage.interfaces import Condition, Order
from modelbox_server.storage.metadata.conditions import Clause, Page, clauses, page
from modelbox_server.storage.metadata.conflicts import already_there, read_only
from modelbox_server.storage.rows import Cell, Row, RowCodec, codec
from modelbox_server.storage.schema import TABLES

__all__ = ["MemoryMetadataStore"]

R = TypeVar("R", bound=Record)
Undo: TypeAlias = list[Callable[[], None]]

_WAIT_S = 30.0


class MemoryMetadataStore:
    """A metadata store that keeps nothing beyond the process.

    Parameters
    ----------
    wait_s
        How long a transaction waits for others before it gives up.
    """

    name = "ephemeral"

    def __init__(self, *, wait_s: float = _WAIT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.RLock()
        self._writing = False
        self._closed = False
        self._tables = {kind: _Rows(codec(kind)) for kind in TABLES}

    @contextmanager
    def read(self) -> Iterator["MemoryTransaction"]:
        """Open a view for reading."""
        with self._alone():
            yield MemoryTransaction(self._tables, None)

    @contextmanager
    def write(self, *alone: str) -> Iterator["MemoryTransaction"]:
        """Open a transaction for writing; each is alone here."""
        del alone
        with self._alone():
            if self._writing:
                # The lock is this thread's own: a database would wait for itself here until its timeout.
                raise StorageUnavailable("This thread writes already: end its first transaction before opening the second.")
            undo: Undo = []
            self._writing = True
            try:
                yield MemoryTransaction(self._tables, undo)
            except BaseException:
                for step in reversed(undo):
                    step()
                raise
            finally:
                self._writing = False

    def check(self) -> None:
        """Return if the store can be written to now."""
        with self._alone():
            pass

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._tables.clear()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            if not self._lock.acquire(timeout=self._wait_s):
                raise StorageUnavailable(f"Other transactions did not end within {self._wait_s:g} s: try again.", retry_after_s=1)
            if self._closed:
                raise StorageError("The metadata store is closed: open a new one.")
            yield
        finally:
            # Ctrl-C may come right after the lock was taken; when it was not, it refuses.
            with suppress(RuntimeError):
                self._lock.release()


class MemoryTransaction:
    """See :class:`~modelbox_server.storage.interfaces.MetadataTransaction`.

    Parameters
    ----------
    tables
        The rows of each class of records.
    undo
        Takes, for each change, what reverts it; ``None`` refuses changes.
    """

    def __init__(self, tables: "Mapping[type[Record], _Rows]", undo: Undo | None) -> None:
        self._tables = tables
        self._undo = undo

    def get(self, kind: type[R], *key: object) -> R | None:
        """Return the record with this primary key, or ``None``."""
        of = codec(kind)
        row = self._tables[kind].by_key.get(of.key_of(key))
        return None if row is None else of.decode([row])[0]

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
        of = codec(kind)
        shared = cast(RowCodec[Record], of)
        rows = self._tables[kind].matching(clauses(shared, where))
        return of.decode(_paged(shared, rows, page(shared, order, after))[:limit])

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
        of = codec(kind)
        rows = self._tables[kind].matching(clauses(of, where))
        found = _paged(of, rows, page(of, order, after))[:limit]
        return cast("list[tuple[str | int, ...]]", [of.key(row) for row in found])

    def documents(
        self, object_ids: Sequence[str], keys: Sequence[str] | None = None, *, without: Sequence[str] = ()
    ) -> list[dict[str, Json]]:
        """Return the metadata of each of these objects, in their order."""
        named = [] if keys is None else [Condition("key", "in", keys)]
        left_out = [Condition("key", "ne", key) for key in without]
        entries = self.select(MetadataEntry, [Condition("object_id", "in", object_ids), *named, *left_out])
        documents: dict[str, dict[str, Json]] = {object_id: {} for object_id in object_ids}
        for entry in entries:
            documents[entry.object_id][entry.key] = entry.value
        return [documents[object_id] for object_id in object_ids]

    def count(self, kind: type[Record], where: Sequence[Condition] = ()) -> int:
        """Return how many records meet every condition."""
        return len(self._tables[kind].matching(clauses(codec(kind), where)))

    def total(self, kind: type[Record], field: str, where: Sequence[Condition] = ()) -> int:
        """Return the sum of a field over the records that meet every condition."""
        return sum(getattr(record, field) or 0 for record in self.select(kind, where))

    def insert(self, record: R) -> R:
        """Add a record and return it as stored."""
        undo, kind = self._changing(), type(record)
        of, rows = codec(kind), self._tables[kind]
        row = rows.numbered(of.encode(record))
        if of.key(row) in rows.by_key or rows.clashes(row):
            raise already_there(record, same_key=of.key(row) in rows.by_key)
        rows.store(row, undo)
        return of.decode([row])[0]

    def put(self, records: Sequence[Record]) -> None:
        """Add records, or replace those with the same primary key."""
        undo = self._changing()
        mark = len(undo)
        # Encoded first: a value that cannot be stored is found before anything has changed.
        encoded = [codec(type(record)).encode(record) for record in records]
        for record, row in zip(records, encoded, strict=True):
            rows = self._tables[type(record)]
            numbered = rows.numbered(row) if rows.is_unnumbered(row) else row
            if rows.clashes(numbered):
                for step in reversed(undo[mark:]):
                    step()
                del undo[mark:]
                raise already_there(record, same_key=False)
            rows.store(numbered, undo)

    def delete(self, kind: type[Record], where: Sequence[Condition]) -> int:
        """Delete the records for which every condition holds."""
        undo, rows = self._changing(), self._tables[kind]
        doomed = rows.matching(clauses(codec(kind), where))
        for row in doomed:
            rows.discard(row, undo)
        return len(doomed)

    def _changing(self) -> Undo:
        if self._undo is None:
            raise read_only()
        return self._undo


class _Rows:
    """The rows of one table by primary key, by the fields they are often asked for, and by what must be unique."""

    def __init__(self, of: RowCodec[Record]) -> None:
        table = of.table
        self.by_key: dict[Row, Row] = {}
        self._codec = of
        self._at = {field: at for at, field in enumerate(of.names)}
        leading = {table.kind.KEY[0], *(index.fields[0] for index in table.indexes), *(unique.fields[0] for unique in table.uniques)}
        self._groups: dict[str, dict[Cell, dict[Row, Row]]] = {field: {} for field in leading}
        self._uniques = [([self._at[field] for field in unique.fields], dict[Row, Row]()) for unique in table.uniques]
        serial = table.serial()
        self._serial_at = None if serial is None else self._at[serial]
        self._last_serial = 0

    def is_unnumbered(self, row: Row) -> bool:
        return self._serial_at is not None and not row[self._serial_at]

    def numbered(self, row: Row) -> Row:
        """Return the row with the next number, if its table has one. A number that is rolled back is not used again."""
        if self._serial_at is None:
            return row
        self._last_serial += 1
        return (*row[: self._serial_at], self._last_serial, *row[self._serial_at + 1 :])

    def clashes(self, row: Row) -> bool:
        """Tell whether another row has the same values in a unique set."""
        key = self._codec.key(row)
        return any(taken.get(tuple([row[at] for at in places]), key) != key for places, taken in self._uniques)

    def store(self, row: Row, undo: Undo) -> None:
        key = self._codec.key(row)
        if (old := self.by_key.get(key)) is not None:
            self.discard(old, undo)
        undo.append(lambda: self._remove(row))
        self._add(row)

    def discard(self, row: Row, undo: Undo) -> None:
        undo.append(lambda: self._add(row))
        self._remove(row)

    def matching(self, wanted: Sequence[Clause]) -> list[Row]:
        """Return the rows for which every clause holds, in no order."""
        tests = [(self._at[clause.field], _test(clause)) for clause in wanted]
        return [row for row in self._candidates(wanted) if all(test(row[at]) for at, test in tests)]

    def _candidates(self, wanted: Sequence[Clause]) -> Iterator[Row]:
        for clause in wanted:
            if clause.operator in {"eq", "in"} and clause.field in self._groups:
                group = self._groups[clause.field]
                values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
                return (row for value in values for row in group.get(value, {}).values())
        return iter(self.by_key.values())

    def _add(self, row: Row) -> None:
        key = self._codec.key(row)
        self.by_key[key] = row
        if self._serial_at is not None:
            self._last_serial = max(self._last_serial, cast(int, row[self._serial_at]))
        for field, group in self._groups.items():
            group.setdefault(row[self._at[field]], {})[key] = row
        for places, taken in self._uniques:
            taken[tuple([row[at] for at in places])] = key

    def _remove(self, row: Row) -> None:
        key = self._codec.key(row)
        # Ctrl-C may have come half-way through _add: what is not there needs no removing.
        self.by_key.pop(key, None)
        for field, group in self._groups.items():
            value = row[self._at[field]]
            members = group.get(value, {})
            members.pop(key, None)
            if not members:
                group.pop(value, None)
        for places, taken in self._uniques:
            taken.pop(tuple([row[at] for at in places]), None)


def _paged(of: RowCodec[Record], rows: list[Row], wanted: Page) -> list[Row]:
    places = [of.names.index(field) for field in wanted.fields]
    rank: Callable[..., Any] = itemgetter(*places)
    bound: Any = wanted.after if wanted.after is None or len(places) > 1 else wanted.after[0]
    if any(of.table.columns[at].nullable for at in places):
        # What is not set sorts first, and never meets a value that it cannot be compared with.
        rank = partial(_nullable_rank, places)
        bound = None if wanted.after is None else [(value is not None, value) for value in wanted.after]
    if bound is not None:
        rows = [row for row in rows if (rank(row) < bound if wanted.descending else rank(row) > bound)]
    return sorted(rows, key=rank, reverse=wanted.descending)


def _nullable_rank(places: Sequence[int], row: Row) -> list[tuple[bool, Cell]]:
    return [(row[at] is not None, row[at]) for at in places]


def _test(clause: Clause) -> Callable[[Cell], bool]:
    wanted = clause.value
    match clause.operator, wanted:
        case "eq", _:
            return lambda cell: cell == wanted
        case "ne", _:
            return lambda cell: cell != wanted
        case "in", tuple():
            members = frozenset(wanted)
            return lambda cell: cell in members
        case "prefix", str():
            return lambda cell: isinstance(cell, str) and cell.startswith(wanted)
        case "within", tuple():
            tests = [_test(Clause(clause.field, "under", path)) for path in wanted]
            return lambda cell: any(test(cell) for test in tests)
        case "under", str():
            below = f"{wanted}/"
            return lambda cell: cell == wanted or (isinstance(cell, str) and cell.startswith(below))
        case operator, _:
            return _range_test(operator, wanted)


def _range_test(operator: str, wanted: object) -> Callable[[Cell], bool]:
    compare = {"lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__"}[operator]

    def test(cell: Cell) -> bool:
        return cell is not None and bool(getattr(cell, compare)(wanted))

    return test
