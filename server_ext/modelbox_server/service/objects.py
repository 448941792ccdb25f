"""What ids stand for, and the one place where objects appear and vanish.

Records, points and bytes lie in three stores, and no transaction spans them. The order is therefore fixed: bytes are written before the
record that names them, and records are deleted before the points and bytes that hung on them. A crash in between leaves points or bytes
that nothing refers to; :mod:`modelbox_server.service.garbage` removes them.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from modelbox.entities.checks import checked_label
from modelbox.entities.ids import is_id, random_id
from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionRecord,
    ArtifactRecord,
    ChangeEvent,
    ChangeKind,
    CheckpointRecord,
    EventRecord,
    ExperimentRecord,
    MetadataEntry,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    ObjectRef,
    ObjectType,
    Record,
    Role,
)
from modelbox.errors import BlobMissing, Conflict, ModelBoxError, NotFound, StorageUnavailable, shortened
from modelbox_server.service.changes import fields_of, note
from modelbox_server.service.context import Caller
from modelbox_server.service.garbage import GarbageCollector, in_parts
from modelbox_server.service.guarded import trusted
from modelbox_server.storage.interfaces import BlobStore, Condition, MetadataStore, MetadataTransaction, MetricsStore

__all__ = [
    "Erased",
    "Objects",
    "artifact_ref",
    "free_id",
    "in_parts",
    "is_taken",
    "missing_among",
    "namespaces_of",
    "owner_of",
    "require",
    "require_deletable",
    "resolve",
]

R = TypeVar("R", bound=Record)

_log = logging.getLogger(__name__)

_RECORDS: dict[ObjectType, type[Record]] = {
    ObjectType.EXPERIMENT: ExperimentRecord,
    ObjectType.CHECKPOINT: CheckpointRecord,
    ObjectType.MODEL: ModelRecord,
    ObjectType.MODEL_VERSION: ModelVersionRecord,
}


def resolve(tx: MetadataTransaction, object_id: str) -> ObjectRef:
    """Return what an id stands for.

    Raises
    ------
    NotFound
        There is no such object.
    """
    ref = tx.get(ObjectRef, object_id)
    if ref is None:
        raise _not_found("object", object_id)
    return ref


def require(tx: MetadataTransaction, kind: type[R], what: str, object_id: str) -> R:
    """Return the record of `kind` with this id.

    Raises
    ------
    NotFound
        There is none; when the id stands for an object of another kind, the message says so.
    """
    record = tx.get(kind, object_id)
    if record is not None:
        return record
    ref = tx.get(ObjectRef, object_id)
    if ref is not None:
        raise NotFound(f"There is no {what} {object_id}: this id stands for a {ref.type.replace('_', ' ')}.")
    raise _not_found(what, object_id)


def is_taken(tx: MetadataTransaction, object_id: str) -> bool:
    """Tell whether an id stands for an object, also for one that may not be read: no other can have it."""
    return trusted(tx).get(ObjectRef, object_id) is not None


def free_id(tx: MetadataTransaction, *wanted: str) -> str:
    """Return the first of the ids that stands for nothing yet, or a random one.

    Anybody may have claimed the ids that something of others will derive: clients make ids of their own.
    """
    return next((object_id for object_id in wanted if not is_taken(tx, object_id)), None) or random_id()


def missing_among(tx: MetadataTransaction, object_ids: Collection[str]) -> str | None:
    """Return the first of the ids that stands for nothing, or ``None``."""
    known = {ref.id for part in in_parts(object_ids) for ref in tx.select(ObjectRef, [Condition("id", "in", part)])}
    return next((object_id for object_id in object_ids if object_id not in known), None)


def require_deletable(caller: Caller, namespace: str, owner: str = "") -> None:
    """Return if `caller` may delete an object: its owner may where they may write, and an admin of its namespace.

    Raises
    ------
    PermissionDenied
        They may not.
    """
    role = Role.WRITER if owner and owner == caller.name else Role.ADMIN
    caller.access.require(role, namespace, "delete what others made")


def owner_of(caller: Caller, wanted: str) -> str:
    """Return the owner of what `caller` makes: whoever they say, where nothing is denied to them, and themselves otherwise."""
    owner = checked_label(wanted, "owner", field="owner")
    return owner if owner and caller.access.is_everything else caller.name


def namespaces_of(tx: MetadataTransaction, object_ids: Collection[str]) -> set[str]:
    """Return the namespaces that objects lie in."""
    return {ref.namespace for part in in_parts(object_ids) for ref in tx.select(ObjectRef, [Condition("id", "in", part)])}


def artifact_ref(artifact: ArtifactRecord, type_: ObjectType) -> ObjectRef:
    """Return the subject of a change event about an artifact; `type_` is that of its parent."""
    return ObjectRef(id=artifact.id, type=type_, namespace=artifact.namespace, parent_id=artifact.parent_id)


def _not_found(what: str, object_id: str) -> NotFound:
    hint = "it was never created, or it was deleted" if is_id(object_id) else "an id has 40 lower-case hex digits"
    return NotFound(f"There is no {what} {shortened(object_id, 60)}: {hint}.")


@dataclass(frozen=True, slots=True)
class Erased:
    """Records that a transaction deleted, and whose points and bytes must go once it is committed."""

    object_ids: list[str] = field(default_factory=list)
    contents: set[str] = field(default_factory=set)
    count: int = 0


class Objects:
    """Make objects appear and vanish in all three stores in the right order."""

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore, blobs: BlobStore, garbage: GarbageCollector | None = None) -> None:
        self._metrics = metrics
        self._blobs = blobs
        self._garbage = garbage or GarbageCollector(metadata, metrics, blobs)

    def claim(self, tx: MetadataTransaction, ref: ObjectRef, at: datetime) -> None:
        """Let an id stand for an object from now on, and its namespace exist.

        Derived ids come back: an experiment that was deleted can be created again under the same id. Points that the deleted one left
        behind must not become points of the new one.
        """
        tx.insert(ref)
        known = trusted(tx)
        if known.get(NamespaceRecord, ref.namespace) is None:
            # Objects of one namespace may be claimed at once.
            with suppress(Conflict):
                known.insert(NamespaceRecord(name=ref.namespace, created_at=at))
        if known.select(ChangeEvent, [Condition("object_id", "eq", ref.id), Condition("kind", "eq", ChangeKind.DESTROYED)], limit=1):
            self._metrics.delete([ref.id])

    def erase(self, tx: MetadataTransaction, caller: Caller, ref: ObjectRef, at: datetime) -> Erased:
        """Delete the records of an object and of everything that hangs on it; call :meth:`sweep` after the commit.

        Whether `caller` may is not asked here: see :func:`require_deletable`.
        """
        tx = trusted(tx)
        members = [ref, *tx.select(ObjectRef, [Condition("parent_id", "eq", ref.id)])]
        contents: set[str] = set()
        count = len(members)
        for part in in_parts(members):
            types = {member.id: member.type for member in part}
            on_them = [Condition("parent_id", "in", list(types))]
            artifacts = tx.select(ArtifactRecord, on_them)
            count += len(artifacts)
            contents.update(artifact.content for artifact in artifacts if artifact.content is not None)
            for artifact in artifacts:
                self._note_destroyed(tx, caller, artifact_ref(artifact, types[artifact.parent_id]), artifact, at, "artifact")
            for member in part:
                record = tx.get(_RECORDS[member.type], member.id)
                self._note_destroyed(tx, caller, member, record, at, member.type)
                tx.delete(_RECORDS[member.type], [Condition("id", "eq", member.id)])
            tx.delete(ArtifactRecord, on_them)
            tx.delete(EventRecord, on_them)
            for kind in (MetadataEntry, ActionInstanceRecord, ActionRecord):
                tx.delete(kind, [Condition("object_id", "in", list(types))])
            tx.delete(ObjectRef, [Condition("id", "in", list(types))])
        return Erased([member.id for member in members], contents, count)

    @staticmethod
    def _note_destroyed(
        tx: MetadataTransaction, caller: Caller, subject: ObjectRef, record: Record | None, at: datetime, object_type: str
    ) -> None:
        fields = {} if record is None else fields_of(record)
        note(tx, caller, ChangeKind.DESTROYED, subject, at, object_type=object_type, payload={"old": fields})

    def sweep(self, erased: Erased) -> None:
        """Remove points and bytes of records whose deletion is committed.

        The records are gone whatever happens here, so a store that is away is logged and left to the next collection of garbage.
        """
        try:
            self._garbage.remove(erased.object_ids, sorted(erased.contents))
        except ModelBoxError as error:
            _log.warning("Points or bytes of deleted objects stay until garbage is collected: %s", error)

    def hold_content(self, key: str) -> None:
        """Make sure, inside the writing transaction that records an artifact, that its bytes were not removed a moment ago.

        Raises
        ------
        StorageUnavailable
            They were: the last other artifact with the same bytes was deleted meanwhile. Sending them again mends it.
        """
        try:
            self._blobs.size(key)
        except BlobMissing as error:
            raise StorageUnavailable(
                "Another artifact with the same bytes was deleted at the same moment, and the bytes with it: upload them again.",
                retry_after_s=0.1,
            ) from error
