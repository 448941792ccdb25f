"""Metadata: JSON values by key on any object. Setting a key again replaces its value, the other keys stay."""

from collections.abc import Mapping
from datetime import datetime

from modelbox.entities.checks import MAX_METADATA_KEYS, checked_metadata
from modelbox.entities.names import checked_key
from modelbox.entities.records import ChangeKind, Json, MetadataEntry, ObjectRef
from modelbox.errors import TooLarge
from modelbox.wire.messages import Deleted, MetadataDelete, MetadataDocument
from modelbox_server.service.again import again
from modelbox_server.service.changes import note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.objects import resolve
from modelbox_server.service.once import once
from modelbox_server.storage.interfaces import Condition, MetadataTransaction

__all__ = ["MetadataService", "set_metadata"]


def set_metadata(
    tx: MetadataTransaction, caller: Caller, subject: ObjectRef, metadata: Mapping[str, Json], at: datetime, *, fresh: bool = False
) -> dict[str, Json]:
    """Set checked metadata on an object and return all that it has now.

    Values that are already there are not written again, so a repeat leaves no change event. With `fresh` the object was made in this very
    transaction, and its creation is event enough.
    """
    old = {} if fresh else _document(tx, subject.id)
    changed = {key: value for key, value in metadata.items() if key not in old or not _same(old[key], value)}
    if not changed:
        return old
    merged = {**old, **changed}
    if len(merged) > MAX_METADATA_KEYS:
        raise TooLarge(
            f"{subject.id} would have {len(merged)} metadata keys: at most {MAX_METADATA_KEYS} are kept on one object.",
            field="metadata",
            limit=f"{MAX_METADATA_KEYS} keys",
        )
    tx.put([MetadataEntry(object_id=subject.id, key=key, value=value, updated_at=at) for key, value in changed.items()])
    if not fresh:
        before = {key: old[key] for key in changed if key in old}
        note(tx, caller, ChangeKind.UPDATED, subject, at, payload={"old": {"metadata": before}, "new": {"metadata": changed}})
    return merged


def _same(old: Json, new: Json) -> bool:
    """Tell whether two JSON values are one: 1, 1.0 and true are three different ones, and so are 0.0 and -0.0."""
    return repr(old) == repr(new)


def _document(tx: MetadataTransaction, object_id: str) -> dict[str, Json]:
    return {entry.key: entry.value for entry in tx.select(MetadataEntry, [Condition("object_id", "eq", object_id)])}


class MetadataService:
    """Read and change the metadata of objects."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def get(self, caller: Caller, object_id: str) -> MetadataDocument:
        """Return all metadata of an object."""
        with self._records.read(caller) as tx:
            resolve(tx, object_id)
            return MetadataDocument(metadata=_document(tx, object_id))

    @again
    def update(self, caller: Caller, object_id: str, request: MetadataDocument) -> MetadataDocument:
        """Set keys and return all metadata that the object has now; all keys are set or none."""
        checked = checked_metadata(request.metadata)
        with self._records.write(caller, object_id) as tx:
            subject = resolve(tx, object_id)
            at = self._clock()
            once(tx, caller, at)
            return MetadataDocument(metadata=set_metadata(tx, caller, subject, checked, at))

    @again
    def delete(self, caller: Caller, object_id: str, request: MetadataDelete) -> Deleted:
        """Delete one key; deleting what is not there deletes 0."""
        key = checked_key(request.key, "metadata key", field="key")
        with self._records.write(caller, object_id) as tx:
            subject = resolve(tx, object_id)
            once(tx, caller, self._clock())
            entry = tx.get(MetadataEntry, object_id, key)
            if entry is None:
                return Deleted(deleted=0)
            tx.delete(MetadataEntry, [Condition("object_id", "eq", object_id), Condition("key", "eq", key)])
            note(
                tx,
                caller,
                ChangeKind.UPDATED,
                subject,
                self._clock(),
                payload={"old": {"metadata": {key: entry.value}}, "new": {"metadata": {}}},
            )
        return Deleted(deleted=1)
