"""What each RPC of ``modelbox.ModelStore`` means: one small function each, over the services that HTTP uses as well.

The functions block while the stores work; :mod:`modelbox_server.grpc.server` calls them in worker threads. Lists have no pages here, as the
messages of 2022 have no room for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from msgspec import Struct, structs

from modelbox.entities.records import ArtifactStorage
from modelbox.entities.times import now
from modelbox.errors import InvalidRequest, NotFound
from modelbox.wire import messages as m
from modelbox_server.grpc import convert
from modelbox_server.grpc.points import metrics_messages
from modelbox_server.grpc.schema import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelbox.entities.records import ArtifactRecord
    from modelbox_server.grpc.convert import Message
    from modelbox_server.service.artifacts import ArtifactUpload
    from modelbox_server.service.context import Caller
    from modelbox_server.wiring import Services

__all__ = ["UNARY", "Call", "begin_upload", "download", "uploaded"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: to which services, by whom."""

    services: Services
    caller: Caller
    request: Message


Function: TypeAlias = "Callable[[Call], Message]"
_unary: dict[str, Function] = {}
UNARY: Mapping[str, Function] = MappingProxyType(_unary)
"""The function of every RPC without a stream, by name, but for LogMetrics: :mod:`modelbox_server.grpc.gathering` stores points."""


def _rpc(name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        _unary[name] = function
        return function

    return register


_Query = TypeVar("_Query", bound=Struct)


def _every(read: Callable[[_Query], m.Page[T]], query: _Query) -> Iterator[T]:
    """Yield all items of a paged list."""
    page = read(structs.replace(query, limit=m.MAX_PAGE))
    yield from page.items
    while page.next_page_token is not None:
        page = read(structs.replace(query, limit=m.MAX_PAGE, page_token=page.next_page_token))
        yield from page.items


def _files(call: Call, object_id: str) -> list[ArtifactRecord]:
    """Return the files of an object, each uploaded one with its MD5: the SDK of 2022 looks for a file of its own where that is missing."""
    artifacts = call.services.artifacts
    return [
        record
        if record.md5 or record.storage is ArtifactStorage.TRACKED
        else artifacts.get(call.caller, record.id, m.ArtifactQuery(md5=True))
        for record in _every(lambda query: artifacts.list(call.caller, object_id, query), m.ArtifactsQuery())
    ]


def _track(call: Call, object_id: str, files: list[Message]) -> None:
    if files:
        tracked = [convert.tracked_file(file, f"files[{index}]") for index, file in enumerate(files)]
        call.services.artifacts.track(call.caller, object_id, m.TrackArtifacts(files=tracked))


# --- experiments and checkpoints ---------------------------------------------------------------------------------------------------------


@_rpc("CreateExperiment")
def _create_experiment(call: Call) -> Message:
    asked = call.request
    metadata = convert.plain_metadata(asked.metadata.metadata)
    if asked.task:
        metadata.setdefault("task", asked.task)  # experiments have no task of their own
    body = m.ExperimentCreate(
        name=asked.name,
        owner=asked.owner,
        namespace=asked.namespace,
        framework=convert.framework_name(asked.framework),
        external_id=asked.external_id,
        metadata=metadata,
    )
    created = call.services.experiments.create(call.caller, body)
    made = message("CreateExperimentResponse")(experiment_id=created.item.id, experiment_exists=created.exists)
    return convert.stamped(made, created.item)


@_rpc("ListExperiments")
def _list_experiments(call: Call) -> Message:
    namespace = call.caller.namespace(call.request.namespace)
    found = _every(lambda query: call.services.experiments.list(call.caller, query), m.ExperimentsQuery(namespace=namespace))
    # A namespace meant itself in 2022, without those below it.
    experiments = [convert.experiment_message(record) for record in found if record.namespace == namespace]
    return message("ListExperimentsResponse")(experiments=experiments)


@_rpc("GetExperiment")
def _get_experiment(call: Call) -> Message:
    record = call.services.experiments.get(call.caller, call.request.id)
    return message("GetExperimentResponse")(experiment=convert.experiment_message(record))


@_rpc("CreateCheckpoint")
def _create_checkpoint(call: Call) -> Message:
    asked = call.request
    if asked.epoch >= 2**63:
        raise InvalidRequest(f"The epoch {asked.epoch} must be below 2^63.", field="epoch")
    body = m.CheckpointCreate(epoch=asked.epoch, metrics=dict(asked.metrics), metadata=convert.plain_metadata(asked.metadata.metadata))
    record = call.services.checkpoints.create(call.caller, asked.experiment_id, body).item
    _track(call, record.id, asked.files)
    return convert.stamped(message("CreateCheckpointResponse")(checkpoint_id=record.id), record)


@_rpc("ListCheckpoints")
def _list_checkpoints(call: Call) -> Message:
    experiment = call.request.experiment_id
    found = _every(lambda query: call.services.checkpoints.list(call.caller, experiment, query), m.PageQuery())
    checkpoints = [convert.checkpoint_message(record, _files(call, record.id)) for record in found]
    return message("ListCheckpointsResponse")(checkpoints=checkpoints)


@_rpc("GetCheckpoint")
def _get_checkpoint(call: Call) -> Message:
    asked = call.request
    found = _every(lambda query: call.services.checkpoints.list(call.caller, asked.experiment_id, query), m.PageQuery())
    record = next((record for record in found if record.epoch == asked.epoch), None)
    if record is None:
        raise NotFound(f"The experiment has no checkpoint of epoch {asked.epoch}: list its checkpoints.", field="epoch")
    return message("GetCheckpointResponse")(checkpoint=convert.checkpoint_message(record, _files(call, record.id)))


# --- models ------------------------------------------------------------------------------------------------------------------------------


@_rpc("CreateModel")
def _create_model(call: Call) -> Message:
    asked = call.request
    body = m.ModelCreate(
        name=asked.name,
        namespace=asked.namespace,
        owner=asked.owner,
        task=asked.task,
        description=asked.description,
        metadata=convert.plain_metadata(asked.metadata.metadata),
    )
    created = call.services.models.create(call.caller, body)
    _track(call, created.item.id, asked.files)
    return convert.stamped(message("CreateModelResponse")(id=created.item.id, exists=created.exists), created.item)


@_rpc("ListModels")
def _list_models(call: Call) -> Message:
    namespace = call.caller.namespace(call.request.namespace)
    found = _every(lambda query: call.services.models.list(call.caller, query), m.ModelsQuery(namespace=namespace))
    models = [convert.model_message(record, _files(call, record.id)) for record in found if record.namespace == namespace]
    return message("ListModelsResponse")(models=models)


@_rpc("CreateModelVersion")
def _create_model_version(call: Call) -> Message:
    asked = call.request
    body = m.ModelVersionCreate(
        version=asked.version,
        name=asked.name,
        description=asked.description,
        framework=convert.framework_name(asked.framework),
        tags=tuple(asked.unique_tags),
        metadata=convert.plain_metadata(asked.metadata.metadata),
    )
    created = call.services.versions.create(call.caller, asked.model, body)
    _track(call, created.item.id, asked.files)
    return convert.stamped(message("CreateModelVersionResponse")(model_version=created.item.id, exists=created.exists), created.item)


@_rpc("ListModelVersions")
def _list_model_versions(call: Call) -> Message:
    found = _every(lambda query: call.services.versions.list(call.caller, call.request.model, query), m.PageQuery())
    versions = [
        convert.version_message(record, _files(call, record.id), call.services.metadata.get(call.caller, record.id).metadata)
        for record in found
    ]
    return message("ListModelVersionsResponse")(models=versions)


# --- metadata, metrics, events -----------------------------------------------------------------------------------------------------------


@_rpc("UpdateMetadata")
def _update_metadata(call: Call) -> Message:
    document = m.MetadataDocument(metadata=convert.plain_metadata(call.request.metadata.metadata))
    call.services.metadata.update(call.caller, call.request.parent_id, document)
    made = message("UpdateMetadataResponse")(num_keys_written=len(document.metadata))
    convert.set_time(made.updated_at, now())
    return made


@_rpc("ListMetadata")
def _list_metadata(call: Call) -> Message:
    made = message("ListMetadataResponse")()
    convert.set_metadata(made.metadata, call.services.metadata.get(call.caller, call.request.parent_id).metadata)
    return made


@_rpc("GetMetrics")
def _get_metrics(call: Call) -> Message:
    blocks = call.services.metrics.read(call.caller, m.MetricsQuery(objects=[call.request.parent_id]))
    return message("GetMetricsResponse")(metrics=metrics_messages(blocks))


@_rpc("LogEvent")
def _log_event(call: Call) -> Message:
    asked = call.request.event
    body = m.EventCreate(
        name=asked.name,
        source=asked.source.name,
        wall_time=convert.time_of(asked.wallclock_time, "event.wallclock_time") if asked.HasField("wallclock_time") else None,
        metadata=convert.plain_metadata(asked.metadata.metadata),
    )
    record = call.services.events.log(call.caller, call.request.parent_id, body)
    made = message("LogEventResponse")()
    convert.set_time(made.created_at, record.created_at)
    return made


@_rpc("ListEvents")
def _list_events(call: Call) -> Message:
    asked = call.request
    since = convert.time_of(asked.since, "since") if asked.HasField("since") else None
    found = _every(lambda query: call.services.events.list(call.caller, asked.parent_id, query), m.EventsQuery(since=since))
    return message("ListEventsResponse")(events=[convert.event_message(record) for record in found])


# --- files -------------------------------------------------------------------------------------------------------------------------------


@_rpc("TrackArtifacts")
def _track_artifacts(call: Call) -> Message:
    by_parent: dict[str, list[m.TrackedFile]] = {}
    for index, file in enumerate(call.request.files):
        if not file.parent_id:
            raise InvalidRequest(
                f"files[{index}].parent_id is empty: say which object the file belongs to.", field=f"files[{index}].parent_id"
            )
        by_parent.setdefault(file.parent_id, []).append(convert.tracked_file(file, f"files[{index}]"))
    if len(by_parent) > 1:
        for parent in by_parent:  # each is a transaction of its own: refuse before the first what is refused at all
            call.services.artifacts.list(call.caller, parent, m.ArtifactsQuery(limit=1))
    for parent, files in by_parent.items():
        call.services.artifacts.track(call.caller, parent, m.TrackArtifacts(files=files))
    made = message("TrackArtifactsResponse")(num_files_tracked=sum(map(len, by_parent.values())))
    convert.set_time(made.created_at, now())
    return made


@_rpc("ListArtifacts")
def _list_artifacts(call: Call) -> Message:
    return message("ListArtifactsResponse")(files=[convert.file_message(record) for record in _files(call, call.request.parent_id)])


def begin_upload(services: Services, caller: Caller, file: Message) -> ArtifactUpload:
    """Open an upload from the first frame of its stream; a checksum that it declares is verified at the end."""
    if not file.parent_id:
        raise InvalidRequest("metadata.parent_id is empty: say which object the file belongs to.", field="metadata.parent_id")
    query = m.ArtifactUploadQuery(name=convert.label_of(file.path), file_type=convert.file_type(file.file_type), md5=file.checksum or None)
    return services.artifacts.begin_upload(caller, file.parent_id, query)


def uploaded(record: ArtifactRecord) -> Message:
    """Return the answer to an upload."""
    return message("UploadFileResponse")(file_id=record.id)


def download(call: Call) -> Iterator[Message]:
    """Yield what the file is, then its bytes, verified. The content of a tracked file is not here, and its path is not opened."""
    content = call.services.artifacts.open(call.caller, call.request.file_id)
    # Clients of 2022 verify by MD5, which large uploads over HTTP went without.
    record = call.services.artifacts.get(call.caller, call.request.file_id, m.ArtifactQuery(md5=True))
    frame = message("DownloadFileResponse")
    yield frame(metadata=convert.file_message(record))
    for chunk in content.chunks:
        yield frame(chunks=bytes(chunk))


# --- actions, agents, members ------------------------------------------------------------------------------------------------------------


@_rpc("CreateActions")
def _create_actions(call: Call) -> Message:
    asked = call.request
    body = m.ActionCreate(
        name=asked.name,
        object_type=asked.object_type,
        arch=asked.arch,
        params=convert.plain_metadata(asked.params),
        predicate=asked.trigger.predicate,
    )
    created = call.services.actions.create(call.caller, asked.object_id, body)
    made = message("CreateActionResponse")()
    convert.set_time(made.created_at, created.item.created_at)
    return made


@_rpc("ListActions")
def _list_actions(call: Call) -> Message:
    found = _every(lambda query: call.services.actions.list(call.caller, call.request.object_id, query), m.PageQuery())
    return message("ListActionsResponse")(actions=[convert.action_message(state) for state in found])


@_rpc("RegisterAgent")
def _register_agent(call: Call) -> Message:
    node = call.request.node_info
    body = m.AgentRegister(name=call.request.agent_name, host_name=node.host_name, ip_addr=node.ip_addr, arch=node.arch)
    return message("RegisterAgentResponse")(node_id=call.services.agents.register(call.caller, body).item.id)


@_rpc("Heartbeat")
def _heartbeat(call: Call) -> Message:
    call.services.agents.heartbeat(call.caller, call.request.node_id)
    return message("HeartbeatResponse")()


@_rpc("GetRunnableActionInstances")
def _get_runnable_action_instances(call: Call) -> Message:
    query = m.RunnableQuery(name=call.request.action_name, arch=call.request.arch, limit=m.MAX_PAGE)
    waiting = call.services.actions.runnable(call.caller, query).items
    return message("GetRunnableActionInstancesResponse")(instances=[convert.runnable_message(one) for one in waiting])


@_rpc("UpdateActionStatus")
def _update_action_status(call: Call) -> Message:
    asked = call.request
    body = m.ActionInstanceUpdate(
        status=convert.action_status(asked.status), outcome=convert.action_outcome(asked.outcome), reason=asked.outcome_reason
    )
    call.services.actions.report(call.caller, asked.action_instance_id, body)
    return message("UpdateActionStatusResponse")()


@_rpc("GetClusterMembers")
def _get_cluster_members(call: Call) -> Message:
    member = message("ClusterMember")
    members = [
        member(id=one.id, host_name=one.host_name, rpc_addr=one.rpc_addr, http_addr=one.http_addr)
        for one in call.services.members.list(call.caller).items
    ]
    return message("GetClusterMembersResponse")(members=members)
