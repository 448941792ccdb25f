"""Checkpoints: the state of an experiment at an epoch."""

from modelbox.entities.checks import MAX_METADATA_KEYS, checked_count, checked_metadata
from modelbox.entities.ids import checkpoint_id, salted_id
from modelbox.entities.names import checked_key
from modelbox.entities.records import ChangeKind, CheckpointRecord, ExperimentRecord, ObjectRef, ObjectType
from modelbox.entities.values import float_from_wire
from modelbox.wire.messages import CheckpointCreate, Created, Deleted, Page, PageQuery
from modelbox_server.service.again import again
from modelbox_server.service.changes import fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.metadata import set_metadata
from modelbox_server.service.objects import Objects, free_id, require, require_deletable
from modelbox_server.service.once import once
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Condition, Order

__all__ = ["CheckpointsService"]


class CheckpointsService:
    """Create, find and delete checkpoints."""

    def __init__(self, records: Records, objects: Objects, clock: Clock) -> None:
        self._records = records
        self._objects = objects
        self._clock = clock

    @again
    def create(self, caller: Caller, experiment: str, request: CheckpointCreate) -> Created[CheckpointRecord]:
        """Create the checkpoint of an epoch, or return it; a repeat sets the metadata that it brings and nothing else."""
        checked_count(request.metrics, MAX_METADATA_KEYS, "metrics", field="metrics")
        metrics = {checked_key(key, "metric", field="metrics"): float_from_wire(value) for key, value in request.metrics.items()}
        metadata = checked_metadata(request.metadata)
        derived, salted = checkpoint_id(experiment, request.epoch), salted_id("checkpoint", experiment, str(request.epoch))
        with self._records.write(caller, experiment, derived, salted) as tx:
            owner = require(tx, ExperimentRecord, "experiment", experiment)
            at = self._clock()
            once(tx, caller, at)
            found = tx.select(
                CheckpointRecord, [Condition("experiment_id", "eq", owner.id), Condition("epoch", "eq", request.epoch)], limit=1
            )
            object_id = found[0].id if found else free_id(tx, derived, salted)
            subject = ObjectRef(id=object_id, type=ObjectType.CHECKPOINT, namespace=owner.namespace, parent_id=owner.id)
            if found:
                set_metadata(tx, caller, subject, metadata, at)
                return Created(item=found[0], exists=True)
            record = CheckpointRecord(
                id=object_id, experiment_id=owner.id, epoch=request.epoch, metrics=metrics, created_at=at, updated_at=at
            )
            self._objects.claim(tx, subject, at)
            tx.insert(record)
            set_metadata(tx, caller, subject, metadata, at, fresh=True)
            note(tx, caller, ChangeKind.CREATED, subject, at, payload={"new": fields_of(record), "metadata": metadata})
        return Created(item=record)

    def get(self, caller: Caller, object_id: str) -> CheckpointRecord:
        """Return one checkpoint."""
        with self._records.read(caller) as tx:
            return require(tx, CheckpointRecord, "checkpoint", object_id)

    def list(self, caller: Caller, experiment: str, query: PageQuery) -> Page[CheckpointRecord]:
        """Return the checkpoints of an experiment by epoch."""
        with self._records.read(caller) as tx:
            require(tx, ExperimentRecord, "experiment", experiment)
            where = [Condition("experiment_id", "eq", experiment)]
            return page_of(tx, CheckpointRecord, where, order=Order("epoch"), limit=query.limit, page_token=query.page_token)

    @again
    def delete(self, caller: Caller, object_id: str) -> Deleted:
        """Delete a checkpoint with its metadata, points, events and artifacts."""
        with self._records.write(caller) as tx:
            record = require(tx, CheckpointRecord, "checkpoint", object_id)
            ref = require(tx, ObjectRef, "checkpoint", record.id)
            experiment = tx.get(ExperimentRecord, record.experiment_id)
            require_deletable(caller, ref.namespace, experiment.owner if experiment else "")
            erased = self._objects.erase(tx, caller, ref, self._clock())
        self._objects.sweep(erased)
        return Deleted(deleted=erased.count)
