"""One small function per route: which service method carries it out.

Every face goes through :func:`run`, so a call means the same over HTTP and in process. Here is also the border between the two forms of
free JSON values: messages carry them in wire form (:func:`modelbox.entities.values.json_to_wire`), services and stores know plain data.
Routes with a `stream` are not in this table: their faces call the metrics and artifact services themselves.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar, cast

import msgspec

from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionRecord,
    AgentRecord,
    ArtifactRecord,
    ChangeEvent,
    CheckpointRecord,
    EventRecord,
    ExperimentRecord,
    Json,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
)
from modelbox.entities.values import json_from_wire, json_to_wire
from modelbox.wire import access as a
from modelbox.wire import limits as lim
from modelbox.wire import messages as m
from modelbox.wire import routes
from modelbox.wire.routes import Route
from modelbox_server.service.context import Caller
from modelbox_server.wiring import Services

__all__ = ["OPERATIONS", "Call", "Operation", "run"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, decoded: to which services, by whom, with which path parameters, query and body."""

    services: Services
    caller: Caller
    path: Mapping[str, str]
    query: Q
    body: B


Operation: TypeAlias = Callable[[Call[object, object]], object]
"""Carries out a call and returns the response message."""

_operations: dict[str, Operation] = {}

OPERATIONS: Mapping[str, Operation] = MappingProxyType(_operations)
"""The operation of every route without a stream, by the name of the route."""


def run(services: Services, caller: Caller, route: Route[Q, B, R], path: Mapping[str, str], query: Q, body: B | None) -> R:
    """Carry out a JSON route and return its response; blocks while the stores work.

    Parameters
    ----------
    path
        The parameters in the path of the route, unescaped.
    query, body
        Instances of ``route.query`` and ``route.body``.

    Raises
    ------
    ModelBoxError
        As the service raises it.
    """
    return cast(R, OPERATIONS[route.name](Call(services, caller, path, query, body)))


def _carries_out(route: Route[Q, B, R]) -> Callable[[Callable[[Call[Q, B]], R]], Callable[[Call[Q, B]], R]]:
    def register(function: Callable[[Call[Q, B]], R]) -> Callable[[Call[Q, B]], R]:
        _operations[route.name] = cast(Operation, function)
        return function

    return register


# --- the two forms of free JSON values ---------------------------------------------------------------------------------------------------

_SIMPLE = frozenset({str, int, bool, type(None)})


def _plain(message: S, metadata: Mapping[str, Json]) -> S:
    """Return a request with its metadata as plain data."""
    return msgspec.structs.replace(message, metadata={key: json_from_wire(value) for key, value in metadata.items()})


def _wire(values: Iterable[Json]) -> list[Json]:
    """Return values as messages carry them. Tables of runs have tens of thousands of them, nearly all simple."""
    listed = list(values)
    kinds = set(map(type, listed))
    # A sum is finite when all of its terms are; the rare one that grows too large is looked at piece by piece, like all that is not simple.
    if kinds <= _SIMPLE or (kinds <= _SIMPLE | {float} and isfinite(sum([value for value in listed if type(value) is float]))):
        return listed
    return [value if type(value) in _SIMPLE else json_to_wire(value) for value in listed]


def _document(document: m.MetadataDocument) -> m.MetadataDocument:
    return m.MetadataDocument(metadata=dict(zip(document.metadata, _wire(document.metadata.values()), strict=True)))


def _event(record: EventRecord) -> EventRecord:
    return msgspec.structs.replace(record, metadata={key: json_to_wire(value) for key, value in record.metadata.items()})


def _change(record: ChangeEvent) -> ChangeEvent:
    return msgspec.structs.replace(record, payload={key: json_to_wire(value) for key, value in record.payload.items()})


def _action(record: ActionRecord) -> ActionRecord:
    return msgspec.structs.replace(record, params={key: json_to_wire(value) for key, value in record.params.items()})


def _instance(record: ActionInstanceRecord) -> ActionInstanceRecord:
    return msgspec.structs.replace(record, cause={key: json_to_wire(value) for key, value in record.cause.items()})


# --- info, namespaces, changes -----------------------------------------------------------------------------------------------------------


@_carries_out(routes.INFO)
def _info(call: Call[m.Empty, None]) -> m.ServerInfo:
    return call.services.info.get(call.caller)


@_carries_out(routes.LIST_NAMESPACES)
def _list_namespaces(call: Call[m.PageQuery, None]) -> m.Page[NamespaceRecord]:
    return call.services.namespaces.list(call.caller, call.query)


@_carries_out(routes.LIST_CHANGES)
def _list_changes(call: Call[m.ChangesQuery, None]) -> m.Page[ChangeEvent]:
    page = call.services.changes.list(call.caller, call.query)
    return msgspec.structs.replace(page, items=[_change(record) for record in page.items])


# --- access -----------------------------------------------------------------------------------------------------------------------------


@_carries_out(routes.ACCESS)
def _access(call: Call[m.Empty, None]) -> a.AccessShown:
    return call.services.grants.me(call.caller)


@_carries_out(routes.LIST_GRANTS)
def _list_grants(call: Call[a.GrantsQuery, None]) -> m.Page[a.GrantShown]:
    return call.services.grants.list(call.caller, call.query)


@_carries_out(routes.GRANT)
def _grant(call: Call[m.Empty, a.GrantRequest]) -> a.GrantShown:
    return call.services.grants.grant(call.caller, call.body)


@_carries_out(routes.REVOKE)
def _revoke(call: Call[a.GrantRevoke, None]) -> m.Deleted:
    return call.services.grants.revoke(call.caller, call.query)


@_carries_out(routes.LIST_TOKENS)
def _list_tokens(call: Call[m.PageQuery, None]) -> m.Page[a.TokenShown]:
    return call.services.tokens.list(call.caller, call.query)


@_carries_out(routes.CREATE_TOKEN)
def _create_token(call: Call[m.Empty, a.TokenCreate]) -> a.TokenCreated:
    return call.services.tokens.create(call.caller, call.body)


@_carries_out(routes.REVOKE_TOKEN)
def _revoke_token(call: Call[m.Empty, None]) -> m.Deleted:
    gone = call.services.tokens.revoke(call.caller, call.path["token_id"])
    call.services.people.forget()
    return gone


@_carries_out(routes.LIST_LIMITS)
def _list_limits(call: Call[lim.LimitsQuery, None]) -> m.Page[lim.LimitShown]:
    return call.services.limits.list(call.caller, call.query)


@_carries_out(routes.SET_LIMIT)
def _set_limit(call: Call[m.Empty, lim.LimitSet]) -> lim.LimitShown:
    return call.services.limits.set(call.caller, call.body)


# --- experiments -------------------------------------------------------------------------------------------------------------------------


@_carries_out(routes.CREATE_EXPERIMENT)
def _create_experiment(call: Call[m.Empty, m.ExperimentCreate]) -> m.Created[ExperimentRecord]:
    return call.services.experiments.create(call.caller, _plain(call.body, call.body.metadata))


@_carries_out(routes.LIST_EXPERIMENTS)
def _list_experiments(call: Call[m.ExperimentsQuery, None]) -> m.Page[ExperimentRecord]:
    return call.services.experiments.list(call.caller, call.query)


@_carries_out(routes.FRAME_EXPERIMENTS)
def _frame_experiments(call: Call[m.ExperimentFrameQuery, None]) -> m.ExperimentFrame:
    frame = call.services.frames.experiments(call.caller, call.query, long=call.query.long)
    metadata = msgspec.structs.replace(frame.metadata, value=_wire(frame.metadata.value))
    shown = [msgspec.structs.replace(column, values=_wire(column.values)) for column in frame.shown]
    return msgspec.structs.replace(frame, metadata=metadata, shown=shown)


@_carries_out(routes.RUN_SQL)
def _run_sql(call: Call[m.Empty, m.SqlRequest]) -> m.SqlResult:
    result = call.services.sql.run(call.caller, call.body)
    return m.SqlResult(columns=[msgspec.structs.replace(column, values=_wire(column.values)) for column in result.columns])


@_carries_out(routes.GET_EXPERIMENT)
def _get_experiment(call: Call[m.Empty, None]) -> ExperimentRecord:
    return call.services.experiments.get(call.caller, call.path["experiment_id"])


@_carries_out(routes.UPDATE_EXPERIMENT)
def _update_experiment(call: Call[m.Empty, m.ExperimentUpdate]) -> ExperimentRecord:
    return call.services.experiments.update(call.caller, call.path["experiment_id"], call.body)


@_carries_out(routes.DELETE_EXPERIMENT)
def _delete_experiment(call: Call[m.Empty, None]) -> m.Deleted:
    return call.services.experiments.delete(call.caller, call.path["experiment_id"])


# --- checkpoints -------------------------------------------------------------------------------------------------------------------------


@_carries_out(routes.CREATE_CHECKPOINT)
def _create_checkpoint(call: Call[m.Empty, m.CheckpointCreate]) -> m.Created[CheckpointRecord]:
    return call.services.checkpoints.create(call.caller, call.path["experiment_id"], _plain(call.body, call.body.metadata))


@_carries_out(routes.LIST_CHECKPOINTS)
def _list_checkpoints(call: Call[m.PageQuery, None]) -> m.Page[CheckpointRecord]:
    return call.services.checkpoints.list(call.caller, call.path["experiment_id"], call.query)


@_carries_out(routes.FIND_CHECKPOINTS)
def _find_checkpoints(call: Call[m.OfObjectsQuery, None]) -> m.Page[CheckpointRecord]:
    return call.services.hanging.find(call.caller, CheckpointRecord, call.query)


@_carries_out(routes.GET_CHECKPOINT)
def _get_checkpoint(call: Call[m.Empty, None]) -> CheckpointRecord:
    return call.services.checkpoints.get(call.caller, call.path["checkpoint_id"])


@_carries_out(routes.DELETE_CHECKPOINT)
def _delete_checkpoint(call: Call[m.Empty, None]) -> m.Deleted:
    return call.services.checkpoints.delete(call.caller, call.path["checkpoint_id"])


# --- models and versions -----------------------------------------------------------------------------------------------------------------


@_carries_out(routes.CREATE_MODEL)
def _create_model(call: Call[m.Empty, m.ModelCreate]) -> m.Created[ModelRecord]:
    return call.services.models.create(call.caller, _plain(call.body, call.body.metadata))


@_carries_out(routes.LIST_MODELS)
def _list_models(call: Call[m.ModelsQuery, None]) -> m.Page[ModelRecord]:
    return call.services.models.list(call.caller, call.query)


@_carries_out(routes.GET_MODEL)
def _get_model(call: Call[m.Empty, None]) -> ModelRecord:
    return call.services.models.get(call.caller, call.path["model_id"])


@_carries_out(routes.UPDATE_MODEL)
def _update_model(call: Call[m.Empty, m.ModelUpdate]) -> ModelRecord:
    return call.services.models.update(call.caller, call.path["model_id"], call.body)


@_carries_out(routes.DELETE_MODEL)
def _delete_model(call: Call[m.Empty, None]) -> m.Deleted:
    return call.services.models.delete(call.caller, call.path["model_id"])


@_carries_out(routes.CREATE_MODEL_VERSION)
def _create_model_version(call: Call[m.Empty, m.ModelVersionCreate]) -> m.Created[ModelVersionRecord]:
    return call.services.versions.create(call.caller, call.path["model_id"], _plain(call.body, call.body.metadata))


@_carries_out(routes.LIST_MODEL_VERSIONS)
def _list_model_versions(call: Call[m.PageQuery, None]) -> m.Page[ModelVersionRecord]:
    return call.services.versions.list(call.caller, call.path["model_id"], call.query)


@_carries_out(routes.FIND_MODEL_VERSIONS)
def _find_model_versions(call: Call[m.OfObjectsQuery, None]) -> m.Page[ModelVersionRecord]:
    return call.services.hanging.find(call.caller, ModelVersionRecord, call.query)


@_carries_out(routes.GET_MODEL_VERSION)
def _get_model_version(call: Call[m.Empty, None]) -> ModelVersionRecord:
    return call.services.versions.get(call.caller, call.path["version_id"])


@_carries_out(routes.UPDATE_MODEL_VERSION)
def _update_model_version(call: Call[m.Empty, m.ModelVersionUpdate]) -> ModelVersionRecord:
    return call.services.versions.update(call.caller, call.path["version_id"], call.body)


@_carries_out(routes.DELETE_MODEL_VERSION)
def _delete_model_version(call: Call[m.Empty, None]) -> m.Deleted:
    return call.services.versions.delete(call.caller, call.path["version_id"])


# --- metadata and events -----------------------------------------------------------------------------------------------------------------


@_carries_out(routes.GET_METADATA)
def _get_metadata(call: Call[m.Empty, None]) -> m.MetadataDocument:
    return _document(call.services.metadata.get(call.caller, call.path["object_id"]))


@_carries_out(routes.UPDATE_METADATA)
def _update_metadata(call: Call[m.Empty, m.MetadataDocument]) -> m.MetadataDocument:
    return _document(call.services.metadata.update(call.caller, call.path["object_id"], _plain(call.body, call.body.metadata)))


@_carries_out(routes.DELETE_METADATA)
def _delete_metadata(call: Call[m.MetadataDelete, None]) -> m.Deleted:
    return call.services.metadata.delete(call.caller, call.path["object_id"], call.query)


@_carries_out(routes.LOG_EVENT)
def _log_event(call: Call[m.Empty, m.EventCreate]) -> EventRecord:
    return _event(call.services.events.log(call.caller, call.path["object_id"], _plain(call.body, call.body.metadata)))


@_carries_out(routes.LIST_EVENTS)
def _list_events(call: Call[m.EventsQuery, None]) -> m.Page[EventRecord]:
    page = call.services.events.list(call.caller, call.path["object_id"], call.query)
    return msgspec.structs.replace(page, items=[_event(record) for record in page.items])


@_carries_out(routes.FIND_EVENTS)
def _find_events(call: Call[m.OfObjectsQuery, None]) -> m.Page[EventRecord]:
    page = call.services.hanging.find(call.caller, EventRecord, call.query)
    return msgspec.structs.replace(page, items=[_event(record) for record in page.items])


# --- metrics and artifacts: what is not a stream -----------------------------------------------------------------------------------------


@_carries_out(routes.SUMMARIZE_METRICS)
def _summarize_metrics(call: Call[m.Empty, m.SummariesQuery]) -> m.SeriesSummaries:
    return call.services.metrics.summaries(call.caller, call.body)


@_carries_out(routes.LIST_ARTIFACTS)
def _list_artifacts(call: Call[m.ArtifactsQuery, None]) -> m.Page[ArtifactRecord]:
    return call.services.artifacts.list(call.caller, call.path["object_id"], call.query)


@_carries_out(routes.FIND_ARTIFACTS)
def _find_artifacts(call: Call[m.OfObjectsQuery, None]) -> m.Page[ArtifactRecord]:
    return call.services.hanging.find(call.caller, ArtifactRecord, call.query)


@_carries_out(routes.TRACK_ARTIFACTS)
def _track_artifacts(call: Call[m.Empty, m.TrackArtifacts]) -> m.Page[ArtifactRecord]:
    return call.services.artifacts.track(call.caller, call.path["object_id"], call.body)


@_carries_out(routes.GET_ARTIFACT)
def _get_artifact(call: Call[m.ArtifactQuery, None]) -> ArtifactRecord:
    return call.services.artifacts.get(call.caller, call.path["artifact_id"], call.query)


@_carries_out(routes.BEGIN_UPLOAD)
def _begin_upload(call: Call[m.Empty, m.ArtifactUploadQuery]) -> m.TransferTicket:
    return call.services.transfers.begin_upload(call.caller, call.path["object_id"], call.body)


@_carries_out(routes.FINISH_UPLOAD)
def _finish_upload(call: Call[m.Empty, m.UploadFinish]) -> ArtifactRecord:
    return call.services.transfers.finish_upload(call.caller, call.path["object_id"], call.body)


@_carries_out(routes.BEGIN_DOWNLOAD)
def _begin_download(call: Call[m.Empty, None]) -> m.TransferTicket:
    return call.services.transfers.begin_download(call.caller, call.path["artifact_id"])


@_carries_out(routes.DELETE_ARTIFACT)
def _delete_artifact(call: Call[m.Empty, None]) -> m.Deleted:
    return call.services.artifacts.delete(call.caller, call.path["artifact_id"])


# --- actions, agents, members ------------------------------------------------------------------------------------------------------------


@_carries_out(routes.CREATE_ACTION)
def _create_action(call: Call[m.Empty, m.ActionCreate]) -> m.Created[ActionRecord]:
    params = {key: json_from_wire(value) for key, value in call.body.params.items()}
    created = call.services.actions.create(call.caller, call.path["object_id"], msgspec.structs.replace(call.body, params=params))
    return m.Created(item=_action(created.item), exists=created.exists)


@_carries_out(routes.LIST_ACTIONS)
def _list_actions(call: Call[m.PageQuery, None]) -> m.Page[m.ActionState]:
    page = call.services.actions.list(call.caller, call.path["object_id"], call.query)
    states = [m.ActionState(action=_action(state.action), instances=list(map(_instance, state.instances))) for state in page.items]
    return msgspec.structs.replace(page, items=states)


@_carries_out(routes.LIST_RUNNABLE)
def _list_runnable(call: Call[m.RunnableQuery, None]) -> m.Page[m.RunnableAction]:
    page = call.services.actions.runnable(call.caller, call.query)
    waiting = [m.RunnableAction(action=_action(one.action), instance=_instance(one.instance)) for one in page.items]
    return msgspec.structs.replace(page, items=waiting)


@_carries_out(routes.UPDATE_ACTION_INSTANCE)
def _update_action_instance(call: Call[m.Empty, m.ActionInstanceUpdate]) -> ActionInstanceRecord:
    return _instance(call.services.actions.report(call.caller, call.path["instance_id"], call.body))


@_carries_out(routes.REGISTER_AGENT)
def _register_agent(call: Call[m.Empty, m.AgentRegister]) -> m.Created[AgentRecord]:
    return call.services.agents.register(call.caller, call.body)


@_carries_out(routes.HEARTBEAT)
def _heartbeat(call: Call[m.Empty, m.Empty]) -> AgentRecord:
    return call.services.agents.heartbeat(call.caller, call.path["agent_id"])


@_carries_out(routes.LIST_AGENTS)
def _list_agents(call: Call[m.PageQuery, None]) -> m.Page[AgentRecord]:
    return call.services.agents.list(call.caller, call.query)


@_carries_out(routes.LIST_MEMBERS)
def _list_members(call: Call[m.Empty, None]) -> m.Page[m.Member]:
    return call.services.members.list(call.caller)
