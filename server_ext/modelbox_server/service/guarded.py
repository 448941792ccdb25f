"""Transactions that obey access: whoever may not read a namespace finds nothing of it, whatever a service asks for.

The check sits below the services, on the one way to the records, and not on routes: a route that is added later cannot forget it. Lists are
narrowed in the store's own question, never after a page was cut. A kind of record that is not in the tables below is refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionRecord,
    AgentRecord,
    ArtifactRecord,
    ChangeEvent,
    CheckpointRecord,
    DoneOperation,
    EventRecord,
    ExperimentRecord,
    MetadataEntry,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    ObjectRef,
    Record,
    Role,
)
from modelbox_server.storage.interfaces import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelbox.entities.records import Json
    from modelbox_server.service.access import Access
    from modelbox_server.service.context import Caller
    from modelbox_server.storage.interfaces import MetadataStore, MetadataTransaction, Order

__all__ = ["GUARDED_KINDS", "GuardedTransaction", "Records", "trusted"]

R = TypeVar("R", bound=Record)

_NAMESPACED: Final[dict[type[Record], str]] = {
    NamespaceRecord: "name",
    ObjectRef: "namespace",
    ExperimentRecord: "namespace",
    ModelRecord: "namespace",
    ModelVersionRecord: "namespace",
    ArtifactRecord: "namespace",
    ActionRecord: "namespace",
    ChangeEvent: "namespace",
}
_HANGING: Final[dict[type[Record], str]] = {
    CheckpointRecord: "experiment_id",
    MetadataEntry: "object_id",
    EventRecord: "parent_id",
    ActionInstanceRecord: "object_id",
}
# They tell nothing about anybody's experiments.
_COMMON: Final = frozenset({DoneOperation, AgentRecord})

GUARDED_KINDS = frozenset({*_NAMESPACED, *_HANGING, *_COMMON})
"""The kinds of records that services reach on behalf of callers."""

_BATCH = 200


class Records:
    """The records of a store as one caller may see and change them.

    Parameters
    ----------
    metadata
        Where they are.
    """

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    @contextmanager
    def read(self, caller: Caller) -> Iterator[MetadataTransaction]:
        """Open a view for reading."""
        with self._metadata.read() as tx:
            yield _guarded(tx, caller.access)

    @contextmanager
    def write(self, caller: Caller, *alone: str) -> Iterator[MetadataTransaction]:
        """Open a transaction for writing, which is about the objects `alone` only, or runs alone when none are named."""
        with self._metadata.write(*alone) as tx:
            yield _guarded(tx, caller.access)


def trusted(tx: MetadataTransaction) -> MetadataTransaction:
    """Return the transaction without its guard: for what the service itself has to know or to note, and tells no caller."""
    return tx.inside if isinstance(tx, GuardedTransaction) else tx


def _guarded(tx: MetadataTransaction, access: Access) -> MetadataTransaction:
    return tx if access.is_everything else GuardedTransaction(tx, access)


class GuardedTransaction:
    """A :class:`~modelbox_server.storage.interfaces.MetadataTransaction` in which nothing is there that may not be read.

    Parameters
    ----------
    inside
        The transaction of the store.
    access
        What may be read and written.
    """

    def __init__(self, inside: MetadataTransaction, access: Access) -> None:
        self.inside = inside
        self._access = access
        self._namespaces: dict[str, str | None] = {}  # of objects that were looked at, None where there is no such object

    # --- reading -------------------------------------------------------------------------------------------------------------------------

    def get(self, kind: type[R], *key: object) -> R | None:
        """Return the record with this primary key, unless it may not be read."""
        record = self.inside.get(kind, *key)
        return record if record is not None and self._reads([record]) else None

    def select(
        self,
        kind: type[R],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[R]:
        """Return the records that may be read for which every condition holds."""
        if kind not in _HANGING:
            return self.inside.select(kind, [*where, *self._readable(kind)], order=order, limit=limit, after=after)
        found: list[R] = []
        while True:
            # What hangs on objects has no namespace of its own to ask for; most of it may be read, as its object was found before.
            batch = self.inside.select(kind, where, order=order, limit=None if limit is None else max(limit, _BATCH), after=after)
            found += self._reads(batch)
            if limit is None or len(found) >= limit or len(batch) < max(limit, _BATCH):
                return found if limit is None else found[:limit]
            after = [getattr(batch[-1], field) for field in ([order.field] if order else []) + list(kind.KEY)]

    def keys(
        self,
        kind: type[Record],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[tuple[str | int, ...]]:
        """Return the primary keys of the records that may be read for which every condition holds."""
        if kind in _HANGING:
            records = self.select(kind, where, order=order, limit=limit, after=after)
            return [tuple(getattr(record, field) for field in kind.KEY) for record in records]
        return self.inside.keys(kind, [*where, *self._readable(kind)], order=order, limit=limit, after=after)

    def documents(
        self, object_ids: Sequence[str], keys: Sequence[str] | None = None, *, without: Sequence[str] = ()
    ) -> list[dict[str, Json]]:
        """Return the metadata of each of these objects, in their order; none of those that may not be read."""
        self._look_at(object_ids)
        known = [object_id for object_id in object_ids if self._reads_object(object_id)]
        found = dict(zip(known, self.inside.documents(known, keys, without=without), strict=True))
        return [found.get(object_id, {}) for object_id in object_ids]

    def count(self, kind: type[Record], where: Sequence[Condition] = ()) -> int:
        """Return how many records that may be read meet every condition."""
        if kind in _HANGING:
            return len(self.select(kind, where))
        return self.inside.count(kind, [*where, *self._readable(kind)])

    def total(self, kind: type[Record], field: str, where: Sequence[Condition] = ()) -> int:
        """Return the sum of a field over the records that may be read and meet every condition."""
        if kind in _HANGING:
            return sum(getattr(record, field) or 0 for record in self.select(kind, where))
        return self.inside.total(kind, field, [*where, *self._readable(kind)])

    def _readable(self, kind: type[Record]) -> list[Condition]:
        if kind in _COMMON:
            return []
        return self._limited(_NAMESPACED[kind], self._access.readable)

    @staticmethod
    def _limited(field: str, paths: Sequence[str]) -> list[Condition]:
        return [] if "" in paths else [Condition(field, "within", list(paths))]

    def _reads(self, records: Sequence[R]) -> list[R]:
        """Return those of the records, all of one kind, that may be read."""
        if not records or type(records[0]) in _COMMON:
            return list(records)
        kind = type(records[0])
        if kind in _NAMESPACED:
            return [record for record in records if self._access.has(Role.READER, getattr(record, _NAMESPACED[kind]))]
        owner = _HANGING[kind]
        self._look_at([getattr(record, owner) for record in records])
        return [record for record in records if self._reads_object(getattr(record, owner))]

    def _reads_object(self, object_id: str) -> bool:
        namespace = self._namespaces.get(object_id)
        return namespace is not None and self._access.has(Role.READER, namespace)

    def _look_at(self, object_ids: Sequence[str]) -> None:
        unknown = list(dict.fromkeys(object_id for object_id in object_ids if object_id not in self._namespaces))
        for start in range(0, len(unknown), _BATCH):
            part = unknown[start : start + _BATCH]
            self._namespaces |= dict.fromkeys(part)
            self._namespaces |= {ref.id: ref.namespace for ref in self.inside.select(ObjectRef, [Condition("id", "in", part)])}

    # --- writing -------------------------------------------------------------------------------------------------------------------------

    def insert(self, record: R) -> R:
        """Add a record where that is allowed.

        Raises
        ------
        NotFound
            The namespace may not be read.
        PermissionDenied
            It may be read only.
        """
        self._require_writable(record)
        if isinstance(record, ObjectRef):
            self._namespaces[record.id] = record.namespace
        return self.inside.insert(record)

    def put(self, records: Sequence[Record]) -> None:
        """Add or replace records where that is allowed; as :meth:`insert`."""
        for record in records:
            self._require_writable(record)
            # An entry of metadata is known by its object, which was asked about just now.
            if _HANGING.get(type(record)) not in record.KEY:
                old = self.inside.get(type(record), *(getattr(record, field) for field in record.KEY))
                if old is not None:
                    self._require_writable(old)
        self.inside.put(records)

    def delete(self, kind: type[Record], where: Sequence[Condition]) -> int:
        """Delete the records for which every condition holds, all of which must be writable; as :meth:`insert`."""
        for record in self.inside.select(kind, where):
            self._require_writable(record)
        return self.inside.delete(kind, where)

    def _require_writable(self, record: Record) -> None:
        kind = type(record)
        if kind in _COMMON:
            return
        if kind in _NAMESPACED:
            namespace: str | None = getattr(record, _NAMESPACED[kind])
        else:
            object_id = getattr(record, _HANGING[kind])
            self._look_at([object_id])
            namespace = self._namespaces[object_id]
        self._access.require(Role.WRITER, namespace or "", "write")
