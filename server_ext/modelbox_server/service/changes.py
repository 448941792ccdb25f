"""Change events: what happened to which object, and who did it. They are written in the transaction of the change itself."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from modelbox.entities.records import ChangeEvent, ChangeKind, Json, ObjectRef, ObjectType, Record
from modelbox.errors import InvalidQuery
from modelbox.wire.messages import ChangesQuery, Page
from modelbox_server.service.context import Caller
from modelbox_server.service.guarded import Records, trusted
from modelbox_server.service.paging import shown_limit
from modelbox_server.storage.interfaces import Condition, MetadataTransaction, Order

__all__ = ["ChangesService", "difference", "fields_of", "note"]

_MAX_VALUE_BYTES = 4_096
_INT64 = range(-(2**63), 2**63)


def note(
    tx: MetadataTransaction,
    caller: Caller,
    kind: ChangeKind,
    subject: ObjectRef,
    at: datetime,
    *,
    object_type: ObjectType | str | None = None,
    payload: Mapping[str, Json] | None = None,
) -> None:
    """Write a change event about `subject` into the transaction that changes it.

    Parameters
    ----------
    subject
        Id, namespace and parent of what changed. Events and artifacts are no objects of their own: they pass a reference made for the
        occasion, and their `object_type`.
    payload
        What changed, to which the name of the caller's token is added; a value of more than 4 KiB is replaced by its size, so that the log
        stays a log.
    """
    # Who downloads may not write, but leaves an event.
    trusted(tx).insert(
        ChangeEvent(
            kind=kind,
            object_type=str(object_type or subject.type),
            object_id=subject.id,
            parent_id=subject.parent_id,
            namespace=subject.namespace,
            actor=caller.name,
            face=caller.face,
            address=caller.address,
            at=at,
            payload={key: _brief(value) for key, value in (payload or {}).items()} | ({"token": caller.token} if caller.token else {}),
        )
    )


def difference(old: Record, new: Record) -> dict[str, Json]:
    """Return ``{"old": …, "new": …}`` with the fields in which two versions of a record differ, apart from `updated_at`."""
    before, after = fields_of(old), fields_of(new)
    changed = [field for field in after if field != "updated_at" and before[field] != after[field]]
    return {"old": {field: before[field] for field in changed}, "new": {field: after[field] for field in changed}}


def fields_of(record: Record) -> dict[str, Json]:
    """Return the fields of a record as JSON values; times become ISO text."""
    fields: dict[str, Json] = msgspec.to_builtins(record, str_keys=True)
    return fields


def _brief(value: Json) -> Json:
    """Return `value`, with each large part of it replaced by its size."""
    size_bytes = len(msgspec.json.encode(value))
    if size_bytes <= _MAX_VALUE_BYTES:
        return value
    if isinstance(value, dict) and len(value) <= 100:
        return {key: _brief(item) for key, item in value.items()}
    return {"omitted_bytes": size_bytes}


class ChangesService:
    """Read the audit log."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def list(self, caller: Caller, query: ChangesQuery) -> Page[ChangeEvent]:
        """Return change events after the sequence number ``query.after``, in the order they happened.

        `object_id` finds what happened to the object and to what hangs directly on it. There is no page token: go on with
        ``after`` = the `seq` of the last item.
        """
        if query.after not in _INT64:
            raise InvalidQuery("after lies outside 64 bits: pass the seq of the last event that you saw.", field="after")
        limit = shown_limit(query.limit)
        where = [Condition("seq", "gt", query.after)]
        if query.namespace is not None:
            where.append(Condition("namespace", "under", caller.namespace(query.namespace)))
        with self._records.read(caller) as tx:
            if query.object_id is None:
                return Page(items=tx.select(ChangeEvent, where, order=Order("seq"), limit=limit), limit=limit)
            found = {
                event.seq: event
                for field in ("object_id", "parent_id")
                for event in tx.select(ChangeEvent, [*where, Condition(field, "eq", query.object_id)], order=Order("seq"), limit=limit)
            }
        return Page(items=[found[seq] for seq in sorted(found)[:limit]], limit=limit)
