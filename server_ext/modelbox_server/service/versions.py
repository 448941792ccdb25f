"""Model versions: trained instances of a model. A tag belongs to at most one version of the model, so that it can be an address."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from modelbox.entities.checks import checked_label, checked_metadata, checked_prose, checked_tags
from modelbox.entities.ids import model_version_id, salted_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import ChangeKind, ExperimentRecord, ModelRecord, ModelVersionRecord, ObjectRef, ObjectType
from modelbox.errors import TagTaken, shortened
from modelbox.wire.messages import Created, Deleted, ModelVersionCreate, ModelVersionUpdate, Page, PageQuery
from modelbox_server.service.again import again
from modelbox_server.service.changes import difference, fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.metadata import set_metadata
from modelbox_server.service.objects import Objects, free_id, require, require_deletable
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Condition, MetadataTransaction, Order

__all__ = ["VersionsService"]


class VersionsService:
    """Create, find, change and delete versions of models."""

    def __init__(self, records: Records, objects: Objects, clock: Clock) -> None:
        self._records = records
        self._objects = objects
        self._clock = clock

    @again
    def create(self, caller: Caller, model: str, request: ModelVersionCreate) -> Created[ModelVersionRecord]:
        """Create the version that (version, name) means, or return it.

        A repeat sets the metadata and adds the tags that it brings; the other fields stay as they are.

        Raises
        ------
        TagTaken
            Another version of the model holds one of the tags, and `move_tags` is false.
        """
        version = checked_name(request.version, "version", field="version")
        name = checked_label(request.name, "version name", field="name")
        description = checked_prose(request.description, "description", field="description")
        framework = checked_label(request.framework, "framework", field="framework")
        tags = checked_tags(request.tags)
        metadata = checked_metadata(request.metadata)
        derived, salted = model_version_id(model, version, name), salted_id("model_version", model, version, name)
        # Tags of all versions of a model are one matter.
        with self._records.write(caller, model, derived, salted) as tx:
            parent = require(tx, ModelRecord, "model", model)
            at = self._clock()
            same = [Condition("model_id", "eq", parent.id), Condition("version", "eq", version), Condition("name", "eq", name)]
            for found in tx.select(ModelVersionRecord, same, limit=1):
                kept = self._save(tx, caller, found, _with_tags(found, tags), at, move_tags=request.move_tags)
                set_metadata(tx, caller, _ref(kept), metadata, at)
                return Created(item=kept, exists=True)
            if request.experiment_id is not None:
                require(tx, ExperimentRecord, "experiment", request.experiment_id)
            record = ModelVersionRecord(
                # ("1", "0a") and ("10", "a") have the same digest.
                id=free_id(tx, derived, salted),
                model_id=parent.id,
                namespace=parent.namespace,
                version=version,
                name=name,
                description=description,
                framework=framework,
                tags=tags,
                experiment_id=request.experiment_id,
                created_at=at,
                updated_at=at,
            )
            _take_tags(tx, caller, record, tags, at, move_tags=request.move_tags)
            self._objects.claim(tx, _ref(record), at)
            tx.insert(record)
            set_metadata(tx, caller, _ref(record), metadata, at, fresh=True)
            note(tx, caller, ChangeKind.CREATED, _ref(record), at, payload={"new": fields_of(record), "metadata": metadata})
        return Created(item=record)

    def get(self, caller: Caller, object_id: str) -> ModelVersionRecord:
        """Return one version."""
        with self._records.read(caller) as tx:
            return require(tx, ModelVersionRecord, "model version", object_id)

    def list(self, caller: Caller, model: str, query: PageQuery) -> Page[ModelVersionRecord]:
        """Return the versions of a model, newest first."""
        newest = Order("created_at", descending=True)
        with self._records.read(caller) as tx:
            require(tx, ModelRecord, "model", model)
            where = [Condition("model_id", "eq", model)]
            return page_of(tx, ModelVersionRecord, where, order=newest, limit=query.limit, page_token=query.page_token)

    @again
    def update(self, caller: Caller, object_id: str, request: ModelVersionUpdate) -> ModelVersionRecord:
        """Change the fields that are given; `tags` replaces the whole set.

        Raises
        ------
        TagTaken
            Another version of the model holds one of the tags, and `move_tags` is false.
        """
        with self._records.write(caller) as tx:
            old = require(tx, ModelVersionRecord, "model version", object_id)
            if request.experiment_id is not UNSET and request.experiment_id is not None:
                require(tx, ExperimentRecord, "experiment", request.experiment_id)
            new = msgspec.structs.replace(
                old,
                description=(
                    old.description
                    if request.description is UNSET
                    else checked_prose(request.description, "description", field="description")
                ),
                framework=old.framework if request.framework is UNSET else checked_label(request.framework, "framework", field="framework"),
                tags=old.tags if request.tags is UNSET else checked_tags(request.tags),
                experiment_id=old.experiment_id if request.experiment_id is UNSET else request.experiment_id,
            )
            return self._save(tx, caller, old, new, self._clock(), move_tags=request.move_tags)

    @staticmethod
    def _save(
        tx: MetadataTransaction, caller: Caller, old: ModelVersionRecord, new: ModelVersionRecord, at: datetime, *, move_tags: bool
    ) -> ModelVersionRecord:
        if new == old:
            return old
        _take_tags(tx, caller, new, [tag for tag in new.tags if tag not in old.tags], at, move_tags=move_tags)
        new = msgspec.structs.replace(new, updated_at=at)
        tx.put([new])
        note(tx, caller, ChangeKind.UPDATED, _ref(new), at, payload=difference(old, new))
        return new

    @again
    def delete(self, caller: Caller, object_id: str) -> Deleted:
        """Delete a version with its metadata, points, events and artifacts."""
        with self._records.write(caller) as tx:
            record = require(tx, ModelVersionRecord, "model version", object_id)
            model = tx.get(ModelRecord, record.model_id)
            require_deletable(caller, record.namespace, model.owner if model else "")
            erased = self._objects.erase(tx, caller, _ref(record), self._clock())
        self._objects.sweep(erased)
        return Deleted(deleted=erased.count)


def _ref(record: ModelVersionRecord) -> ObjectRef:
    return ObjectRef(id=record.id, type=ObjectType.MODEL_VERSION, namespace=record.namespace, parent_id=record.model_id)


def _with_tags(record: ModelVersionRecord, tags: Sequence[str]) -> ModelVersionRecord:
    return msgspec.structs.replace(record, tags=tuple(dict.fromkeys([*record.tags, *tags])))


def _take_tags(
    tx: MetadataTransaction, caller: Caller, taker: ModelVersionRecord, tags: Sequence[str], at: datetime, *, move_tags: bool
) -> None:
    """Make sure that no other version of the model holds one of the tags: take them away, or refuse."""
    if not tags:
        return
    for holder in tx.select(ModelVersionRecord, [Condition("model_id", "eq", taker.model_id)]):
        held = [tag for tag in tags if tag in holder.tags]
        if holder.id == taker.id or not held:
            continue
        if not move_tags:
            called = f" ({holder.name})" if holder.name else ""
            raise TagTaken(
                f"The tag {shortened(held[0])} belongs to version {shortened(holder.version)}{called} of this model, {holder.id}: "
                "pass move_tags=true to move it.",
                field="tags",
            )
        rest = msgspec.structs.replace(holder, tags=tuple(tag for tag in holder.tags if tag not in held), updated_at=at)
        tx.put([rest])
        note(tx, caller, ChangeKind.UPDATED, _ref(rest), at, payload=difference(holder, rest))
