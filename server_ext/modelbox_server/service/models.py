"""Models: what solves a task. Their trained instances are in :mod:`modelbox_server.service.versions`."""

import msgspec
from msgspec import UNSET

from modelbox.entities.checks import checked_label, checked_metadata, checked_prose
from modelbox.entities.ids import model_id, salted_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import ChangeKind, ModelRecord, ObjectRef, ObjectType, Role
from modelbox.wire.messages import Created, Deleted, ModelCreate, ModelsQuery, ModelUpdate, Page
from modelbox_server.service.again import again
from modelbox_server.service.changes import difference, fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.metadata import set_metadata
from modelbox_server.service.objects import Objects, free_id, owner_of, require, require_deletable
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Condition, Order

__all__ = ["ModelsService"]


class ModelsService:
    """Create, find, change and delete models."""

    def __init__(self, records: Records, objects: Objects, clock: Clock) -> None:
        self._records = records
        self._objects = objects
        self._clock = clock

    @again
    def create(self, caller: Caller, request: ModelCreate) -> Created[ModelRecord]:
        """Create the model that a name means in a namespace, or return it; a repeat sets the metadata that it brings and nothing else."""
        at = self._clock()
        wanted = ModelRecord(
            id="",
            name=checked_name(request.name, "model name", field="name"),
            namespace=caller.namespace(request.namespace),
            owner=owner_of(caller, request.owner),
            task=checked_label(request.task, "task", field="task"),
            description=checked_prose(request.description, "description", field="description"),
            created_at=at,
            updated_at=at,
        )
        metadata = checked_metadata(request.metadata)
        derived, salted = model_id(wanted.name, wanted.namespace), salted_id("model", wanted.name, wanted.namespace)
        with self._records.write(caller, derived, salted) as tx:
            same = [Condition("name", "eq", wanted.name), Condition("namespace", "eq", wanted.namespace)]
            for found in tx.select(ModelRecord, same, limit=1):
                set_metadata(tx, caller, _ref(found), metadata, at)
                return Created(item=found, exists=True)
            # An experiment of the same name has the same digest.
            record = msgspec.structs.replace(wanted, id=free_id(tx, derived, salted))
            self._objects.claim(tx, _ref(record), at)
            tx.insert(record)
            set_metadata(tx, caller, _ref(record), metadata, at, fresh=True)
            note(tx, caller, ChangeKind.CREATED, _ref(record), at, payload={"new": fields_of(record), "metadata": metadata})
        return Created(item=record)

    def get(self, caller: Caller, object_id: str) -> ModelRecord:
        """Return one model."""
        with self._records.read(caller) as tx:
            return require(tx, ModelRecord, "model", object_id)

    def list(self, caller: Caller, query: ModelsQuery) -> Page[ModelRecord]:
        """Return models, newest first; `namespace` includes everything below it."""
        where: list[Condition] = []
        if query.namespace is not None:
            where.append(Condition("namespace", "under", caller.namespace(query.namespace)))
        if query.name is not None:
            where.append(Condition("name", "eq", checked_name(query.name, "model name", field="name")))
        newest = Order("created_at", descending=True)
        with self._records.read(caller) as tx:
            return page_of(tx, ModelRecord, where, order=newest, limit=query.limit, page_token=query.page_token)

    @again
    def update(self, caller: Caller, object_id: str, request: ModelUpdate) -> ModelRecord:
        """Change the fields that are given."""
        with self._records.write(caller, object_id) as tx:
            old = require(tx, ModelRecord, "model", object_id)
            if request.owner is not UNSET and request.owner != old.owner:
                caller.access.require(Role.ADMIN, old.namespace, "give something to another owner")
            new = msgspec.structs.replace(
                old,
                owner=old.owner if request.owner is UNSET else checked_label(request.owner, "owner", field="owner"),
                task=old.task if request.task is UNSET else checked_label(request.task, "task", field="task"),
                description=(
                    old.description
                    if request.description is UNSET
                    else checked_prose(request.description, "description", field="description")
                ),
            )
            if new == old:
                return old
            at = self._clock()
            new = msgspec.structs.replace(new, updated_at=at)
            tx.put([new])
            note(tx, caller, ChangeKind.UPDATED, _ref(new), at, payload=difference(old, new))
        return new

    @again
    def delete(self, caller: Caller, object_id: str) -> Deleted:
        """Delete a model with its versions and everything that hangs on them."""
        with self._records.write(caller) as tx:
            record = require(tx, ModelRecord, "model", object_id)
            require_deletable(caller, record.namespace, record.owner)
            erased = self._objects.erase(tx, caller, _ref(record), self._clock())
        self._objects.sweep(erased)
        return Deleted(deleted=erased.count)


def _ref(record: ModelRecord) -> ObjectRef:
    return ObjectRef(id=record.id, type=ObjectType.MODEL, namespace=record.namespace)
