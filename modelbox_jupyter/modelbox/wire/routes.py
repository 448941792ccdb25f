"""The HTTP API as a table: one :class:`Route` per operation, from which the server makes handlers and OpenAPI, and the client its calls.

Paths are below ``/api/v1``. A route says what it does (`summary`), what it takes and returns, and which permission it needs (`action`);
how it is carried out is the server's business (`modelbox_server.operations`).
"""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionRecord,
    AgentRecord,
    ArtifactRecord,
    ChangeEvent,
    CheckpointRecord,
    EventRecord,
    ExperimentRecord,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
)
from modelbox.wire import access as a
from modelbox.wire import limits as lim
from modelbox.wire import messages as m

__all__ = ["API_PREFIX", "BLOB_ROUTES", "DIRECT_FROM_HEADER", "ROUTES", "Action", "Route"]

API_PREFIX = "/api/v1"

DIRECT_FROM_HEADER = "ModelBox-Direct-From"
"""On the answers of a server that hands out tickets for transfers: from how many bytes on a client should ask for one."""

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

Action = Literal["read", "write", "sql"]
Stream = Literal["upload", "download", "metrics-in", "metrics-out"]


@dataclass(frozen=True, slots=True)
class Route(Generic[Q, B, R]):
    """One operation of the API.

    Parameters
    ----------
    name
        Stable name, also the OpenAPI ``operationId``.
    method, path
        HTTP verb, and path with ``{parameters}``.
    query, body, response
        Types of the query parameters, the JSON body (``None`` for none) and the JSON answer.
    summary
        One line for people.
    action
        Permission that it needs: ``read``, ``write``, or ``sql``, which reads across everything.
    stream
        Set where body or answer is not (only) JSON: raw bytes of an artifact, or metric columns as Arrow IPC beside JSON.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    path: str
    query: type[Q]
    body: type[B] | None
    response: type[R]
    summary: str
    action: Action
    stream: Stream | None = None

    def url(self, **parameters: str) -> str:
        """Return the path below the server's root with its `parameters` filled in and escaped."""
        return API_PREFIX + self.path.format(**{name: quote(value, safe="") for name, value in parameters.items()})

    @property
    def tag(self) -> str:
        """First part of the path: the group that the operation belongs to."""
        return self.path.split("/")[1]


def _read(name: str, path: str, query: type[Q], response: type[R], summary: str) -> Route[Q, None, R]:
    return Route(name, "GET", path, query, None, response, summary, "read")


def _delete(name: str, path: str, query: type[Q], summary: str) -> Route[Q, None, m.Deleted]:
    return Route(name, "DELETE", path, query, None, m.Deleted, summary, "write")


def _write(name: str, method: Literal["POST", "PATCH"], path: str, body: type[B], response: type[R], summary: str) -> Route[m.Empty, B, R]:
    return Route(name, method, path, m.Empty, body, response, summary, "write")


INFO = _read("info", "/info", m.Empty, m.ServerInfo, "Version, storage and identity")
LIST_NAMESPACES = _read("list_namespaces", "/namespaces", m.PageQuery, m.Page[NamespaceRecord], "List namespaces by name")
LIST_CHANGES = _read("list_changes", "/changes", m.ChangesQuery, m.Page[ChangeEvent], "List change events: the audit log")

ACCESS = _read("access", "/access", m.Empty, a.AccessShown, "Who the caller is, and what they may do")
LIST_GRANTS = _read("list_grants", "/grants", a.GrantsQuery, m.Page[a.GrantShown], "List roles where the caller is admin")
GRANT = _write("grant", "POST", "/grants", a.GrantRequest, a.GrantShown, "Give a user or a group a role on a namespace")
REVOKE = _delete("revoke", "/grants", a.GrantRevoke, "Take a role on a namespace away from a user or a group")
LIST_TOKENS = _read("list_tokens", "/tokens", m.PageQuery, m.Page[a.TokenShown], "List tokens, newest first")
CREATE_TOKEN = _write("create_token", "POST", "/tokens", a.TokenCreate, a.TokenCreated, "Make a token for a script or a service")
REVOKE_TOKEN = _delete("revoke_token", "/tokens/{token_id}", m.Empty, "Let a token open nothing any more")

LIST_LIMITS = _read("list_limits", "/limits", lim.LimitsQuery, m.Page[lim.LimitShown], "List limits of users and namespaces, and their use")
SET_LIMIT = _write("set_limit", "POST", "/limits", lim.LimitSet, lim.LimitShown, "Limit what a user or a namespace may have or do")

CREATE_EXPERIMENT = _write(
    "create_experiment", "POST", "/experiments", m.ExperimentCreate, m.Created[ExperimentRecord], "Create or find an experiment"
)
LIST_EXPERIMENTS = _read("list_experiments", "/experiments", m.ExperimentsQuery, m.Page[ExperimentRecord], "List experiments, newest first")
FRAME_EXPERIMENTS = _read(
    "frame_experiments",
    "/frames/experiments",
    m.ExperimentFrameQuery,
    m.ExperimentFrame,
    "Experiments with their metadata and metric summaries, as columns",
)
GET_EXPERIMENT = _read("get_experiment", "/experiments/{experiment_id}", m.Empty, ExperimentRecord, "Get an experiment")
UPDATE_EXPERIMENT = _write(
    "update_experiment", "PATCH", "/experiments/{experiment_id}", m.ExperimentUpdate, ExperimentRecord, "Change an experiment"
)
DELETE_EXPERIMENT = _delete(
    "delete_experiment", "/experiments/{experiment_id}", m.Empty, "Delete an experiment and everything that hangs on it"
)

RUN_SQL: Route[m.Empty, m.SqlRequest, m.SqlResult] = Route(
    "run_sql", "POST", "/sql", m.Empty, m.SqlRequest, m.SqlResult, "Carry out an SQL statement that reads the views", "sql"
)

CREATE_CHECKPOINT = _write(
    "create_checkpoint",
    "POST",
    "/experiments/{experiment_id}/checkpoints",
    m.CheckpointCreate,
    m.Created[CheckpointRecord],
    "Create or find the checkpoint of an epoch",
)
LIST_CHECKPOINTS = _read(
    "list_checkpoints",
    "/experiments/{experiment_id}/checkpoints",
    m.PageQuery,
    m.Page[CheckpointRecord],
    "List checkpoints by epoch",
)
FIND_CHECKPOINTS = _read(
    "find_checkpoints", "/checkpoints", m.OfObjectsQuery, m.Page[CheckpointRecord], "List checkpoints of many experiments"
)
GET_CHECKPOINT = _read("get_checkpoint", "/checkpoints/{checkpoint_id}", m.Empty, CheckpointRecord, "Get a checkpoint")
DELETE_CHECKPOINT = _delete("delete_checkpoint", "/checkpoints/{checkpoint_id}", m.Empty, "Delete a checkpoint")

CREATE_MODEL = _write("create_model", "POST", "/models", m.ModelCreate, m.Created[ModelRecord], "Create or find a model")
LIST_MODELS = _read("list_models", "/models", m.ModelsQuery, m.Page[ModelRecord], "List models, newest first")
GET_MODEL = _read("get_model", "/models/{model_id}", m.Empty, ModelRecord, "Get a model")
UPDATE_MODEL = _write("update_model", "PATCH", "/models/{model_id}", m.ModelUpdate, ModelRecord, "Change a model")
DELETE_MODEL = _delete("delete_model", "/models/{model_id}", m.Empty, "Delete a model and its versions")

CREATE_MODEL_VERSION = _write(
    "create_model_version",
    "POST",
    "/models/{model_id}/versions",
    m.ModelVersionCreate,
    m.Created[ModelVersionRecord],
    "Create or find a version of a model",
)
LIST_MODEL_VERSIONS = _read(
    "list_model_versions", "/models/{model_id}/versions", m.PageQuery, m.Page[ModelVersionRecord], "List versions, newest first"
)
FIND_MODEL_VERSIONS = _read(
    "find_model_versions", "/versions", m.OfObjectsQuery, m.Page[ModelVersionRecord], "List versions of many models"
)
GET_MODEL_VERSION = _read("get_model_version", "/versions/{version_id}", m.Empty, ModelVersionRecord, "Get a model version")
UPDATE_MODEL_VERSION = _write(
    "update_model_version", "PATCH", "/versions/{version_id}", m.ModelVersionUpdate, ModelVersionRecord, "Change a model version"
)
DELETE_MODEL_VERSION = _delete("delete_model_version", "/versions/{version_id}", m.Empty, "Delete a model version")

GET_METADATA = _read("get_metadata", "/objects/{object_id}/metadata", m.Empty, m.MetadataDocument, "Metadata of an object")
UPDATE_METADATA = _write(
    "update_metadata", "PATCH", "/objects/{object_id}/metadata", m.MetadataDocument, m.MetadataDocument, "Set metadata keys"
)
DELETE_METADATA = _delete("delete_metadata", "/objects/{object_id}/metadata", m.MetadataDelete, "Delete a metadata key")

LOG_EVENT = _write("log_event", "POST", "/objects/{object_id}/events", m.EventCreate, EventRecord, "Log an event")
LIST_EVENTS = _read("list_events", "/objects/{object_id}/events", m.EventsQuery, m.Page[EventRecord], "List events, oldest first")

FIND_EVENTS = _read("find_events", "/events", m.OfObjectsQuery, m.Page[EventRecord], "List events of many objects")

APPEND_METRICS: Route[m.MetricsIngestQuery, m.MetricsJson, m.AppendResult] = Route(
    "append_metrics",
    "POST",
    "/metrics",
    m.MetricsIngestQuery,
    m.MetricsJson,
    m.AppendResult,
    "Append points to series of any objects; all of them or none",
    "write",
    "metrics-in",
)
READ_METRICS: Route[m.Empty, m.MetricsQuery, m.MetricsJson] = Route(
    "read_metrics",
    "POST",
    "/metrics/read",
    m.Empty,
    m.MetricsQuery,
    m.MetricsJson,
    "Read points of many series, ordered by (step, wall clock)",
    "read",
    "metrics-out",
)
SUMMARIZE_METRICS: Route[m.Empty, m.SummariesQuery, m.SeriesSummaries] = Route(
    "summarize_metrics",
    "POST",
    "/metrics/summaries",
    m.Empty,
    m.SummariesQuery,
    m.SeriesSummaries,
    "Count, bounds and last value of every series of some objects",
    "read",
)

LIST_ARTIFACTS = _read(
    "list_artifacts", "/objects/{object_id}/artifacts", m.ArtifactsQuery, m.Page[ArtifactRecord], "List artifacts by name"
)
FIND_ARTIFACTS = _read("find_artifacts", "/artifacts", m.OfObjectsQuery, m.Page[ArtifactRecord], "List artifacts of many objects")
TRACK_ARTIFACTS = _write(
    "track_artifacts",
    "POST",
    "/objects/{object_id}/artifacts",
    m.TrackArtifacts,
    m.Page[ArtifactRecord],
    "Keep references to files that stay where they are",
)
UPLOAD_ARTIFACT: Route[m.ArtifactUploadQuery, None, ArtifactRecord] = Route(
    "upload_artifact",
    "PUT",
    "/objects/{object_id}/artifacts",
    m.ArtifactUploadQuery,
    None,
    ArtifactRecord,
    "Upload the bytes of an artifact",
    "write",
    "upload",
)
GET_ARTIFACT = _read("get_artifact", "/artifacts/{artifact_id}", m.ArtifactQuery, ArtifactRecord, "Get the record of an artifact")
DOWNLOAD_ARTIFACT: Route[m.Empty, None, ArtifactRecord] = Route(
    "download_artifact",
    "GET",
    "/artifacts/{artifact_id}/content",
    m.Empty,
    None,
    ArtifactRecord,
    "Download the bytes of an artifact; single ranges and ETags work",
    "read",
    "download",
)
BEGIN_UPLOAD = _write(
    "begin_upload",
    "POST",
    "/objects/{object_id}/uploads",
    m.ArtifactUploadQuery,
    m.TransferTicket,
    "Ask where the bytes of a large artifact should go",
)
FINISH_UPLOAD = _write(
    "finish_upload",
    "POST",
    "/objects/{object_id}/uploads/finish",
    m.UploadFinish,
    ArtifactRecord,
    "Make an artifact of bytes that were sent elsewhere",
)
BEGIN_DOWNLOAD = _read(
    "begin_download", "/artifacts/{artifact_id}/ticket", m.Empty, m.TransferTicket, "Ask where the bytes of an artifact come from"
)
DELETE_ARTIFACT = _delete("delete_artifact", "/artifacts/{artifact_id}", m.Empty, "Delete an artifact")

CREATE_ACTION = _write(
    "create_action", "POST", "/objects/{object_id}/actions", m.ActionCreate, m.Created[ActionRecord], "Ask agents for work on an object"
)
LIST_ACTIONS = _read(
    "list_actions", "/objects/{object_id}/actions", m.PageQuery, m.Page[m.ActionState], "List actions of an object, oldest first"
)
LIST_RUNNABLE = _read(
    "list_runnable_actions", "/runnable-actions", m.RunnableQuery, m.Page[m.RunnableAction], "List what waits for an agent"
)
UPDATE_ACTION_INSTANCE = _write(
    "update_action_instance",
    "PATCH",
    "/action-instances/{instance_id}",
    m.ActionInstanceUpdate,
    ActionInstanceRecord,
    "Take an action, or say how it ended",
)
REGISTER_AGENT = _write("register_agent", "POST", "/agents", m.AgentRegister, m.Created[AgentRecord], "Register an agent, or find it")
HEARTBEAT = _write("heartbeat", "POST", "/agents/{agent_id}/heartbeat", m.Empty, AgentRecord, "Say that an agent lives")
LIST_AGENTS = _read("list_agents", "/agents", m.PageQuery, m.Page[AgentRecord], "List agents, and when they were heard of last")

LIST_MEMBERS = _read("list_members", "/members", m.Empty, m.Page[m.Member], "List the servers that share this store")

ROUTES: tuple[Route[object, object, object], ...] = tuple(value for value in list(globals().values()) if isinstance(value, Route))
"""Every operation of the API."""

PUT_BLOB: Route[m.BlobUploadQuery, None, m.BlobStored] = Route(
    "put_blob", "PUT", "/blobs", m.BlobUploadQuery, None, m.BlobStored, "Store the bytes that a ticket is for", "write", "upload"
)
GET_BLOB: Route[m.Empty, None, m.BlobStored] = Route(
    "get_blob", "GET", "/blobs", m.Empty, None, m.BlobStored, "Send the bytes that a ticket is for; single ranges work", "read", "download"
)

BLOB_ROUTES: tuple[Route[m.BlobUploadQuery, None, m.BlobStored] | Route[m.Empty, None, m.BlobStored], ...] = (PUT_BLOB, GET_BLOB)
"""Every operation of a blob server, which knows no others, and no callers but tickets."""
