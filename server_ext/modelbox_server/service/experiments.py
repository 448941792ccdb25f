"""Experiments: create or find, list, change, finish, delete."""

from datetime import datetime

import msgspec
from msgspec import UNSET

from modelbox.entities.checks import checked_id, checked_label, checked_metadata, checked_moment
from modelbox.entities.ids import experiment_id, salted_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import (
    ChangeKind,
    ExperimentRecord,
    ModelVersionRecord,
    ObjectRef,
    ObjectType,
    Role,
    Status,
)
from modelbox.errors import Conflict, InvalidRequest, shortened
from modelbox.wire.messages import Created, Deleted, ExperimentCreate, ExperimentsQuery, ExperimentUpdate, Page
from modelbox_server.service.again import again
from modelbox_server.service.changes import difference, fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.fair_use import FairUse
from modelbox_server.service.guarded import Records, trusted
from modelbox_server.service.metadata import set_metadata
from modelbox_server.service.objects import Objects, is_taken, owner_of, require, require_deletable
from modelbox_server.service.once import once
from modelbox_server.service.search import ExperimentSearch
from modelbox_server.storage.interfaces import Condition, MetadataTransaction

__all__ = ["ExperimentsService"]

_MAX_ANCESTORS = 1_000


class ExperimentsService:
    """Create, find and change experiments, whatever stores them."""

    def __init__(self, records: Records, objects: Objects, search: ExperimentSearch, fair_use: FairUse, clock: Clock) -> None:
        self._records = records
        self._objects = objects
        self._search = search
        self._fair_use = fair_use
        self._clock = clock

    @again
    def create(self, caller: Caller, request: ExperimentCreate) -> Created[ExperimentRecord]:
        """Create an experiment, or return the one that is meant.

        With an id made by the client, a repeat returns what the first call created and changes nothing. Without, (name, namespace) means
        one experiment forever: it is created by the first call; later calls return it as it is, and set the metadata they bring.

        Raises
        ------
        Conflict
            The id made by the client already stands for something else.
        NotFound
            There is no experiment `parent_id`.
        QuotaExceeded
            There are as many experiments as there may be.
        """
        at = self._clock()
        wanted = ExperimentRecord(
            id="" if request.id is None else checked_id(request.id, "experiment id", field="id"),
            name=checked_name(request.name, "experiment name", field="name"),
            namespace=caller.namespace(request.namespace),
            owner=owner_of(caller, request.owner),
            framework=checked_label(request.framework, "framework", field="framework"),
            external_id=checked_label(request.external_id, "external id", field="external_id"),
            group=checked_label(request.group, "group", field="group"),
            parent_id=request.parent_id,
            created_at=at,
            updated_at=at,
            started_at=at if request.started_at is None else checked_moment(request.started_at, field="started_at"),
        )
        metadata = checked_metadata(request.metadata)
        self._fair_use.refresh()
        about = [wanted.id] if wanted.id else _derived(wanted.name, wanted.namespace)
        with self._records.write(caller, *about) as tx:
            once(tx, caller, at)
            if wanted.id:
                found = self._same_call(tx, wanted)
                object_id = wanted.id
            else:
                object_id, found = _meant_by_name(tx, wanted.name, wanted.namespace)
                if found is not None:
                    set_metadata(tx, caller, _ref(found), metadata, at)
            if found is not None:
                return Created(item=found, exists=True)
            if wanted.parent_id is not None:
                require(tx, ExperimentRecord, "parent experiment", wanted.parent_id)
            self._fair_use.admit_experiment(tx, caller, wanted.namespace, wanted.owner)
            record = msgspec.structs.replace(wanted, id=object_id)
            self._objects.claim(tx, _ref(record), at)
            tx.insert(record)
            set_metadata(tx, caller, _ref(record), metadata, at, fresh=True)
            note(tx, caller, ChangeKind.CREATED, _ref(record), at, payload={"new": fields_of(record), "metadata": metadata})
        return Created(item=record)

    @staticmethod
    def _same_call(tx: MetadataTransaction, wanted: ExperimentRecord) -> ExperimentRecord | None:
        """Return what an earlier call with this id made."""
        ref = tx.get(ObjectRef, wanted.id)
        if ref is None:
            return None
        found = tx.get(ExperimentRecord, wanted.id)
        # The name is not compared: the experiment may have been renamed between a call and its repeat.
        if found is None or found.namespace != wanted.namespace:
            raise Conflict(f"The id {wanted.id} already stands for another {ref.type.replace('_', ' ')}: make a new random id.", field="id")
        return found

    def get(self, caller: Caller, object_id: str) -> ExperimentRecord:
        """Return one experiment."""
        with self._records.read(caller) as tx:
            return require(tx, ExperimentRecord, "experiment", object_id)

    def list(self, caller: Caller, query: ExperimentsQuery) -> Page[ExperimentRecord]:
        """Return the experiments that a request asks for: newest first, or in the order of its query."""
        with self._records.read(caller) as tx:
            return self._search.page(tx, caller.meant(query))

    @again
    def update(self, caller: Caller, object_id: str, request: ExperimentUpdate) -> ExperimentRecord:
        """Change the fields that are given.

        A status that ends the run sets `finished_at` unless the request does; going back to ``running`` clears it. Clocks jump: a run never
        ends before it began.
        """
        # Whose parent changes must not become an ancestor of its own meanwhile.
        about = [object_id] if request.parent_id is UNSET else []
        with self._records.write(caller, *about) as tx:
            old = require(tx, ExperimentRecord, "experiment", object_id)
            at = self._clock()
            once(tx, caller, at)
            if request.owner is not UNSET and request.owner != old.owner:
                caller.access.require(Role.ADMIN, old.namespace, "give something to another owner")
            new = self._changed(tx, old, request, at)
            if new == old:
                return old
            new = msgspec.structs.replace(new, updated_at=at)
            tx.put([new])
            note(tx, caller, ChangeKind.UPDATED, _ref(new), at, payload=difference(old, new))
        return new

    @staticmethod
    def _changed(tx: MetadataTransaction, old: ExperimentRecord, request: ExperimentUpdate, at: datetime) -> ExperimentRecord:
        parent_id = old.parent_id if request.parent_id is UNSET else request.parent_id
        if parent_id is not None and parent_id != old.parent_id:
            _check_ancestors(tx, old.id, parent_id)
        return msgspec.structs.replace(
            old,
            name=old.name if request.name is UNSET else checked_name(request.name, "experiment name", field="name"),
            owner=old.owner if request.owner is UNSET else checked_label(request.owner, "owner", field="owner"),
            framework=old.framework if request.framework is UNSET else checked_label(request.framework, "framework", field="framework"),
            external_id=(
                old.external_id if request.external_id is UNSET else checked_label(request.external_id, "external id", field="external_id")
            ),
            group=old.group if request.group is UNSET else checked_label(request.group, "group", field="group"),
            parent_id=parent_id,
            status=old.status if request.status is UNSET else request.status,
            finished_at=_finished_at(old, request, at),
        )

    @again
    def delete(self, caller: Caller, object_id: str) -> Deleted:
        """Delete an experiment with its checkpoints, metadata, points, events and artifacts.

        Experiments that name it as their parent, and model versions that it trained, stay and forget it.
        """
        with self._records.write(caller) as tx:
            record = require(tx, ExperimentRecord, "experiment", object_id)
            require_deletable(caller, record.namespace, record.owner)
            at = self._clock()
            _forget(trusted(tx), caller, record, at)
            erased = self._objects.erase(tx, caller, _ref(record), at)
        self._objects.sweep(erased)
        return Deleted(deleted=erased.count)


def _ref(record: ExperimentRecord) -> ObjectRef:
    # parent_id of a reference means ownership (what is deleted together); a parent experiment does not own its children.
    return ObjectRef(id=record.id, type=ObjectType.EXPERIMENT, namespace=record.namespace)


def _derived(name: str, namespace: str) -> tuple[str, str]:
    """Return the ids that (name, namespace) may mean."""
    return experiment_id(name, namespace), salted_id("experiment", name, namespace)


def _meant_by_name(tx: MetadataTransaction, name: str, namespace: str) -> tuple[str, ExperimentRecord | None]:
    """Return the id that (name, namespace) derives, and the experiment if it is there.

    The derived id may stand for something else: a model of the same name, another pair with the same concatenation, or an experiment that
    was renamed since. The salted id steps in then.
    """
    for object_id in _derived(name, namespace):
        found = tx.get(ExperimentRecord, object_id)
        if found is not None and (found.name, found.namespace) == (name, namespace):
            return object_id, found
        if found is None and not is_taken(tx, object_id):
            return object_id, None
    raise Conflict(
        f"Both ids that {shortened(name)} in {shortened(namespace)} derives stand for other objects: send a random id.",
        field="name",
    )


def _finished_at(old: ExperimentRecord, request: ExperimentUpdate, at: datetime) -> datetime | None:
    status = old.status if request.status is UNSET else request.status
    if request.finished_at is not UNSET:
        if request.finished_at is None:
            return None
        if status is Status.RUNNING:
            raise InvalidRequest("A running experiment has no finished_at: set its status as well.", field="finished_at")
        return max(checked_moment(request.finished_at, field="finished_at"), old.started_at)
    if status is Status.RUNNING:
        return None
    return old.finished_at if status is old.status else max(at, old.started_at)


def _check_ancestors(tx: MetadataTransaction, object_id: str, parent_id: str) -> None:
    """Refuse a parent that does not exist or descends from the experiment itself."""
    ancestor: str | None = parent_id
    for _ in range(_MAX_ANCESTORS):
        if ancestor is None:
            return
        if ancestor == object_id:
            raise InvalidRequest(f"{parent_id} descends from {object_id}: it cannot be its parent.", field="parent_id")
        ancestor = require(tx, ExperimentRecord, "parent experiment", ancestor).parent_id
    raise InvalidRequest(f"{parent_id} has more than {_MAX_ANCESTORS} ancestors: choose a parent nearer to the root.", field="parent_id")


def _forget(tx: MetadataTransaction, caller: Caller, record: ExperimentRecord, at: datetime) -> None:
    """Take an experiment that is about to go out of the records that mention it."""
    for child in tx.select(ExperimentRecord, [Condition("parent_id", "eq", record.id)]):
        orphan = msgspec.structs.replace(child, parent_id=None, updated_at=at)
        tx.put([orphan])
        note(tx, caller, ChangeKind.UPDATED, _ref(orphan), at, payload=difference(child, orphan))
    for version in tx.select(ModelVersionRecord, [Condition("experiment_id", "eq", record.id)]):
        kept = msgspec.structs.replace(version, experiment_id=None, updated_at=at)
        tx.put([kept])
        subject = ObjectRef(id=kept.id, type=ObjectType.MODEL_VERSION, namespace=kept.namespace, parent_id=kept.model_id)
        note(tx, caller, ChangeKind.UPDATED, subject, at, payload=difference(version, kept))
