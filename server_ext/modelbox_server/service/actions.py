"""Actions: work on objects that agents are asked for, take, and report on.

There is no scheduler to run: whoever asks what waits for an agent first lets the predicates of actions see the changes since the last time,
in one transaction. So any number of servers over one store ask for each action once.
"""

from datetime import datetime

import msgspec

from modelbox.entities.checks import checked_label, checked_metadata, checked_prose
from modelbox.entities.ids import action_id, action_instance_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionOutcome,
    ActionRecord,
    ActionStatus,
    ChangeEvent,
    ChangeKind,
    Json,
    ObjectRef,
)
from modelbox.entities.values import json_to_wire
from modelbox.errors import InvalidRequest, NotFound, PreconditionFailed, shortened
from modelbox.wire.messages import (
    MAX_PAGE,
    ActionCreate,
    ActionInstanceUpdate,
    ActionState,
    Created,
    Page,
    PageQuery,
    RunnableAction,
    RunnableQuery,
)
from modelbox_server.service.again import again
from modelbox_server.service.changes import difference, fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records, trusted
from modelbox_server.service.objects import in_parts, resolve
from modelbox_server.service.once import once
from modelbox_server.service.paging import page_of, shown_limit
from modelbox_server.service.triggers import change_fields, parsed_predicate
from modelbox_server.storage.interfaces import Condition, MetadataTransaction, Order

__all__ = ["ActionsService"]

# Of themselves actions must not be a cause: one that asked for itself would never end.
_OWN_CHANGES = {"action", "action_instance"}


class ActionsService:
    """Ask for actions, hand them to agents, and keep how they ended."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    @again
    def create(self, caller: Caller, object_id: str, request: ActionCreate) -> Created[ActionRecord]:
        """Ask for work on an object; the same work again is the action that is there, and is asked for no second time."""
        name = checked_name(request.name, "action name", field="name")
        arch = checked_label(request.arch, "architecture", field="arch")
        params = checked_metadata(request.params, field="params")
        if request.predicate:
            parsed_predicate(request.predicate)
        sorted_params = msgspec.json.encode(json_to_wire(params), order="sorted").decode()
        record_id = action_id(name, object_id, arch, request.predicate, sorted_params)
        with self._records.write(caller) as tx:
            subject = resolve(tx, object_id)
            if request.object_type and _letters(request.object_type) != _letters(subject.type):
                raise InvalidRequest(
                    f"The object is of the type {subject.type}, not {shortened(request.object_type, 40)}: send that, or none.",
                    field="object_type",
                )
            at = self._clock()
            once(tx, caller, at)
            found = tx.get(ActionRecord, record_id)
            if found is not None:
                return Created(item=found, exists=True)
            record = ActionRecord(
                id=record_id,
                object_id=object_id,
                namespace=subject.namespace,
                name=name,
                arch=arch,
                params=params,
                predicate=request.predicate,
                seen_seq=_last_seq(tx) if request.predicate else 0,
                created_at=at,
            )
            tx.insert(record)
            note(tx, caller, ChangeKind.CREATED, _ref(record, subject), at, object_type="action", payload={"new": fields_of(record)})
            if not request.predicate:
                _ask(tx, record, 0, {}, at)
        return Created(item=record)

    def list(self, caller: Caller, object_id: str, query: PageQuery) -> Page[ActionState]:
        """Return the actions of an object, oldest first, each with the times that it was asked for."""
        with self._records.read(caller) as tx:
            resolve(tx, object_id)
            where = [Condition("object_id", "eq", object_id)]
            page = page_of(tx, ActionRecord, where, order=Order("created_at"), limit=query.limit, page_token=query.page_token)
            instances: dict[str, list[ActionInstanceRecord]] = {action.id: [] for action in page.items}
            for part in in_parts(instances):
                for instance in tx.select(ActionInstanceRecord, [Condition("action_id", "in", part)], order=Order("attempt")):
                    instances[instance.action_id].append(instance)
        states = [ActionState(action=action, instances=instances[action.id]) for action in page.items]
        return Page(items=states, next_page_token=page.next_page_token, limit=page.limit)

    @again
    def runnable(self, caller: Caller, query: RunnableQuery) -> Page[RunnableAction]:
        """Return what waits for an agent of this architecture, longest first; changes since the last call may ask for more."""
        limit = shown_limit(query.limit)
        with self._records.read(caller) as tx:
            is_behind = any(_unseen(tx, watching, 1) for watching in tx.select(ActionRecord, _WATCHING))
        if is_behind:
            with self._records.write(caller) as tx:
                for watching in tx.select(ActionRecord, _WATCHING):
                    # Whoever asks what waits for an agent changes nothing of their own.
                    self._let_see(trusted(tx), watching)
        found: list[RunnableAction] = []
        with self._records.read(caller) as tx:
            fitting: dict[str, ActionRecord | None] = {}
            pending = [Condition("status", "eq", ActionStatus.PENDING)]
            for instance in tx.select(ActionInstanceRecord, pending, order=Order("created_at")):
                if instance.action_id not in fitting:
                    fitting[instance.action_id] = _fitting(tx.get(ActionRecord, instance.action_id), query)
                action = fitting[instance.action_id]
                if action is not None:
                    found.append(RunnableAction(action=action, instance=instance))
                if len(found) == limit:
                    break
        return Page(items=found, limit=limit)

    def _let_see(self, tx: MetadataTransaction, action: ActionRecord) -> None:
        predicate = parsed_predicate(action.predicate)
        attempt = tx.count(ActionInstanceRecord, [Condition("action_id", "eq", action.id)])
        seen = action
        while unseen := _unseen(tx, seen, MAX_PAGE):
            for event in unseen:
                fields = change_fields(event)
                if event.object_type not in _OWN_CHANGES and predicate(fields):
                    _ask(tx, action, attempt, fields, self._clock())
                    attempt += 1
            seen = msgspec.structs.replace(seen, seen_seq=unseen[-1].seq)
        if seen is not action:
            tx.put([seen])

    @again
    def report(self, caller: Caller, instance_id: str, request: ActionInstanceUpdate) -> ActionInstanceRecord:
        """Take an action, or say how it ended; a status only moves forward.

        Of several agents that set an action to running, the first may do it. Saying once more how it ended changes nothing.

        Raises
        ------
        PreconditionFailed
            Another agent has it, or it ended in another way.
        """
        reason = checked_prose(request.reason, "reason", field="reason")
        if (request.status is ActionStatus.FINISHED) == (request.outcome is ActionOutcome.UNDEFINED):
            raise InvalidRequest(
                "An action that is finished has an outcome, success or failure, and no other has one: send both together.", field="outcome"
            )
        with self._records.write(caller) as tx:
            old = tx.get(ActionInstanceRecord, instance_id)
            action = None if old is None else tx.get(ActionRecord, old.action_id)
            if old is None or action is None:
                raise NotFound(f"There is no action instance {shortened(instance_id, 60)}: ask for the runnable ones.", field="instance_id")
            at = self._clock()
            once(tx, caller, at)
            if old.status is ActionStatus.FINISHED and (old.status, old.outcome) == (request.status, request.outcome):
                return old
            order = list(ActionStatus)
            if order.index(request.status) <= order.index(old.status):
                ended = f" with {old.outcome}" if old.status is ActionStatus.FINISHED else ""
                raise PreconditionFailed(
                    f"This action is {old.status}{ended} already and cannot become {request.status}: leave it, and ask for another one.",
                    field="status",
                )
            new = msgspec.structs.replace(old, status=request.status, outcome=request.outcome, reason=reason, updated_at=at)
            tx.put([new])
            subject = ObjectRef(id=new.id, type=resolve(tx, new.object_id).type, namespace=action.namespace, parent_id=new.object_id)
            payload = {**difference(old, new), "action": action.name}
            note(tx, caller, ChangeKind.UPDATED, subject, at, object_type="action_instance", payload=payload)
        return new


_WATCHING = [Condition("predicate", "ne", "")]


def _letters(text: str) -> str:
    """Return a type without case and signs: programs write ModelVersion, model-version and model_version."""
    return "".join(filter(str.isalpha, text)).lower()


def _fitting(action: ActionRecord | None, query: RunnableQuery) -> ActionRecord | None:
    """Return an action if it is one that was asked for."""
    if action is None or query.name not in {"", action.name}:
        return None
    return action if "" in {query.arch, action.arch} or query.arch == action.arch else None


def _ask(tx: MetadataTransaction, action: ActionRecord, attempt: int, cause: dict[str, Json], at: datetime) -> None:
    tx.insert(
        ActionInstanceRecord(
            id=action_instance_id(action.id, attempt),
            action_id=action.id,
            object_id=action.object_id,
            attempt=attempt,
            cause=cause,
            created_at=at,
            updated_at=at,
        )
    )


def _unseen(tx: MetadataTransaction, action: ActionRecord, limit: int) -> list[ChangeEvent]:
    where = [Condition("namespace", "eq", action.namespace), Condition("seq", "gt", action.seen_seq)]
    return tx.select(ChangeEvent, where, order=Order("seq"), limit=limit)


def _last_seq(tx: MetadataTransaction) -> int:
    newest = tx.select(ChangeEvent, order=Order("seq", descending=True), limit=1)
    return newest[0].seq if newest else 0


def _ref(action: ActionRecord, subject: ObjectRef) -> ObjectRef:
    return ObjectRef(id=action.id, type=subject.type, namespace=action.namespace, parent_id=action.object_id)
