"""Requests and responses of the HTTP API that are not records themselves.

The same types validate requests, fill the OpenAPI document and type the client. A field of an update that is left out
(:data:`msgspec.UNSET`) stays as it is.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionOutcome,
    ActionRecord,
    ActionStatus,
    ExperimentRecord,
    FileType,
    Json,
    Status,
)
from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.entities.values import WireFloat

__all__ = [
    "MAX_PAGE",
    "ActionCreate",
    "ActionInstanceUpdate",
    "ActionState",
    "AgentRegister",
    "AppendResult",
    "ArtifactUploadQuery",
    "ArtifactsQuery",
    "BlobStored",
    "BlobUploadQuery",
    "ChangesQuery",
    "CheckpointCreate",
    "Created",
    "Deleted",
    "Empty",
    "EventCreate",
    "EventsQuery",
    "ExperimentCreate",
    "ExperimentFrame",
    "ExperimentFrameQuery",
    "ExperimentUpdate",
    "ExperimentsQuery",
    "Member",
    "MetadataColumns",
    "MetadataDelete",
    "MetadataDocument",
    "MetricsIngestQuery",
    "MetricsJson",
    "MetricsQuery",
    "ModelCreate",
    "ModelUpdate",
    "ModelVersionCreate",
    "ModelVersionUpdate",
    "ModelsQuery",
    "OfObjectsQuery",
    "Page",
    "PageQuery",
    "Problem",
    "RunnableAction",
    "RunnableQuery",
    "SeriesJson",
    "SeriesSummaries",
    "ServerInfo",
    "ShownColumn",
    "SqlColumn",
    "SqlRequest",
    "SqlResult",
    "SummariesQuery",
    "SummaryColumns",
    "TrackArtifacts",
    "TrackedFile",
    "TransferTicket",
    "UploadFinish",
]

MAX_PAGE = 1000
"""Most items that one page holds; a greater `limit` is lowered to it."""

T = TypeVar("T")
Limit = Annotated[int, Meta(ge=1, description=f"Most items to return; values above {MAX_PAGE} are lowered to it.")]
Epoch = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Empty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; ask again with `next_page_token` until it is null."""

    items: list[T]
    next_page_token: str | None = None
    limit: int = MAX_PAGE


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 100
    page_token: str | None = None


class Created(Struct, Generic[T], frozen=True, kw_only=True):
    """What was created, and whether it was already there (`exists`)."""

    item: T
    exists: bool = False


class Deleted(Struct, frozen=True, kw_only=True):
    """How many objects were deleted, the asked-for one and everything that hung on it."""

    deleted: int


class Problem(Struct, frozen=True, kw_only=True):
    """An error as ``application/problem+json`` (RFC 9457); `code` names the class of :mod:`modelbox.errors`.

    `stored_points` says how many points there are under the number of a batch that came again with other content.
    """

    status: int
    code: str
    title: str
    detail: str
    field: str | None = None
    limit: str | None = None
    retry_after_s: float | None = None
    stored_points: int | None = None
    request_id: str = ""


class ServerInfo(Struct, frozen=True, kw_only=True):
    """Which ModelBox answers, what it stores in, and as whom it sees the caller."""

    version: str
    api: str
    face: str
    metadata_storage: str
    metrics_storage: str
    artifact_storage: str
    user: str


# --- experiments -------------------------------------------------------------------------------------------------------------------------


class ExperimentCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new experiment.

    With an `id` (40 hex digits made by the client) it is a fresh one, and sending it again changes nothing. Without, the experiment is the
    one that `name` always means in `namespace`, made by its first use.
    """

    name: str
    id: str | None = None
    namespace: str = ""
    owner: str = ""
    framework: str = ""
    external_id: str = ""
    group: str = ""
    parent_id: str | None = None
    started_at: datetime | None = None
    metadata: dict[str, Json] = {}


class ExperimentUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of an experiment to change. `finished_at` is set by the server when `status` ends the run and none is given."""

    name: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    framework: str | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    group: str | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    finished_at: datetime | UnsetType | None = UNSET


class ExperimentsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which experiments, newest first unless the query `q` says otherwise.

    All that is given must hold; `namespace` includes everything below it. :mod:`modelbox.wire.query` has the language of `q`.
    """

    q: Annotated[str, Meta(description="Query, as in metrics.loss.min < 0.1 and params.lr < 0.01 order by created limit 20.")] | None = None
    namespace: str | None = None
    name: str | None = None
    status: Status | None = None
    owner: str | None = None
    group: str | None = None
    parent_id: str | None = None
    ids: Annotated[str, Meta(description="Comma-separated experiment ids.")] | None = None
    limit: Limit = 100
    page_token: str | None = None


class ExperimentFrameQuery(ExperimentsQuery, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which experiments a table has. With `long` it has metadata that is too long for most tables as well: packages and patches."""

    long: Annotated[bool, Meta(description="Bring environment.packages and git.diff too.")] = False


class MetadataColumns(Struct, frozen=True, kw_only=True):
    """Metadata of many experiments, column by column; `row` is the index of the experiment."""

    row: list[int] = []
    key: list[str] = []
    value: list[Json] = []


class SummaryColumns(Struct, frozen=True, kw_only=True):
    """Metric summaries of many experiments, column by column; `row` is the index of the experiment."""

    row: list[int] = []
    key: list[str] = []
    count: list[int] = []
    last_step: list[int] = []
    last: list[WireFloat | str | None] = []
    min: list[WireFloat | None] = []
    max: list[WireFloat | None] = []
    mean: list[WireFloat | None] = []


class ShownColumn(Struct, frozen=True, kw_only=True):
    """A column that a query chose with ``show``; what an experiment does not have is null. Times and durations are microseconds."""

    label: str
    kind: Literal["text", "time", "duration", "tag", "number", "value"]
    values: list[Json]


class ExperimentFrame(Struct, frozen=True, kw_only=True):
    """Experiments with their metadata and metric summaries: what a table of runs is made of.

    Where the query chose columns, those are in `shown`, and `metadata` and `metrics` are empty.
    """

    experiments: list[ExperimentRecord]
    metadata: MetadataColumns
    metrics: SummaryColumns
    shown: list[ShownColumn] = []
    next_page_token: str | None = None


# --- SQL ---------------------------------------------------------------------------------------------------------------------------------


class SqlRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement over the views of :mod:`modelbox.wire.views`.

    `parameters` are the values of ``?`` in their order, or those of ``:name`` by name.
    """

    sql: str
    parameters: list[Json] | dict[str, Json] = []


class SqlColumn(Struct, frozen=True, kw_only=True):
    """A column of what a statement returns: numbers, text and null."""

    name: str
    values: list[Json]


class SqlResult(Struct, frozen=True, kw_only=True):
    """What a statement returns, column by column; two columns may share a name."""

    columns: list[SqlColumn]


# --- checkpoints, models, versions -------------------------------------------------------------------------------------------------------


class CheckpointCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of an experiment at `epoch`; the same epoch again is the same checkpoint."""

    epoch: Epoch
    metrics: dict[str, WireFloat] = {}
    metadata: dict[str, Json] = {}


class ModelCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that `name` means in `namespace`, made by its first use."""

    name: str
    namespace: str = ""
    owner: str = ""
    task: str = ""
    description: str = ""
    metadata: dict[str, Json] = {}


class ModelUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a model to change."""

    owner: str | UnsetType = UNSET
    task: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class ModelsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models, newest first."""

    namespace: str | None = None
    name: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class ModelVersionCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trained instance of a model. A tag that another version holds is refused unless `move_tags` is true."""

    version: str
    name: str = ""
    description: str = ""
    framework: str = ""
    tags: tuple[str, ...] = ()
    experiment_id: str | None = None
    metadata: dict[str, Json] = {}
    move_tags: bool = False


class ModelVersionUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a model version to change; `tags` replaces the whole set."""

    description: str | UnsetType = UNSET
    framework: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    experiment_id: str | UnsetType | None = UNSET
    move_tags: bool = False


class OfObjectsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What hangs on some objects, or on any; in no order that means anything."""

    objects: Annotated[str, Meta(description="Comma-separated ids of what it hangs on.")] | None = None
    limit: Limit = 100
    page_token: str | None = None


# --- metadata, events, changes -----------------------------------------------------------------------------------------------------------


class MetadataDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metadata of one object. In a request: the keys to set; other keys stay."""

    metadata: dict[str, Json]


class MetadataDelete(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which metadata key to delete."""

    key: str


class EventCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened; `id` (40 hex digits) makes sending it again harmless."""

    name: str
    source: str
    wall_time: datetime | None = None
    metadata: dict[str, Json] = {}
    id: str | None = None


class EventsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of an object, oldest first; `since` compares with their wall clock."""

    since: datetime | None = None
    limit: Limit = 100
    page_token: str | None = None


class ChangesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which change events, in the order they happened, after the sequence number `after`."""

    namespace: str | None = None
    object_id: str | None = None
    after: int = 0
    limit: Limit = 100


# --- metrics -----------------------------------------------------------------------------------------------------------------------------


class SeriesJson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points of one series as JSON columns of one length. Bytes travel as base64.

    `wall_times_us` left out means now, `steps` left out means 0, 1, 2 … In a request `object_id` may be left out where the path names it.
    """

    key: str
    values: list[WireFloat | str]
    steps: list[int] | None = None
    wall_times_us: list[int] | None = None
    kind: ValueKind = ValueKind.FLOAT
    object_id: str = ""


class MetricsJson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blocks of points."""

    series: list[SeriesJson]


class MetricsIngestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Identity of a batch. The same (client, batch) with the same content is stored once however often it is sent."""

    client: str | None = None
    batch: int | None = None


class AppendResult(Struct, frozen=True, kw_only=True):
    """How many points arrived; `duplicate` when the batch was already stored and nothing was written."""

    points: int
    duplicate: bool = False


class MetricsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which series to read: every object x every key (all keys when left out).

    `max_points` thins each float series to about so many points, keeping minima and maxima. `skip` leaves out, per ``object_id`` and
    ``key``, as many points as the caller already has (in order of arrival), for following a running experiment. `first_step` and
    `last_step` bound the steps that are wanted, both included: a chart that was zoomed in asks for what it shows, and `max_points` of that.
    `list_views` allows an Arrow answer whose steps and wall clocks are list views, so that series that share them carry them once.
    """

    objects: list[str]
    keys: list[str] | None = None
    max_points: Annotated[int, Meta(ge=4)] | None = None
    first_step: int | None = None
    last_step: int | None = None
    skip: dict[str, dict[str, int]] = {}
    list_views: bool = False


class SummariesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which objects to summarise the series."""

    objects: list[str]


class SeriesSummaries(Struct, frozen=True, kw_only=True):
    """Summaries of series, ordered by object as asked, then by key."""

    series: list[SeriesSummary]


# --- artifacts ---------------------------------------------------------------------------------------------------------------------------


class TrackedFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reference to a file that stays where it is. The server never opens `uri`."""

    name: str
    uri: str
    file_type: FileType = FileType.UNDEFINED
    md5: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    media_type: str = "application/octet-stream"


class TrackArtifacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to track."""

    files: list[TrackedFile]


class ArtifactUploadQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Label and declared properties of the bytes that follow; a declared digest or size that is wrong refuses them.

    A sender who reads the bytes only once learns their digest last: with `sha256_follows` the body is `size_bytes` of content and then
    the 32 bytes of its SHA-256.
    """

    name: str
    file_type: FileType = FileType.UNDEFINED
    media_type: str = "application/octet-stream"
    sha256: str | None = None
    md5: str | None = None
    size_bytes: int | None = None
    sha256_follows: Annotated[bool, Meta(description="The body ends with the 32 bytes of the SHA-256 of the content before.")] = False


class TransferTicket(Struct, frozen=True, kw_only=True):
    """Where the bytes of an artifact go or come from, and what opens the door there.

    `how` is ``server``: this server itself, by the routes without tickets; ``blob_server``: any of `urls`, which are servers that know
    nothing but tickets; ``storage``: the first of `urls`, which is the storage itself; or ``digest``: say the SHA-256 of the bytes and ask
    again.
    """

    how: Literal["server", "blob_server", "storage", "digest"]
    urls: list[str] = []
    headers: Annotated[dict[str, str], Meta(description="What has to be sent along, and is not told to anybody else.")] = {}
    receipt: Annotated[str, Meta(description="What finishes an upload to the storage; a blob server gives its own.")] = ""
    expires_at: datetime | None = None


class UploadFinish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes that were sent elsewhere become an artifact with these properties."""

    artifact: ArtifactUploadQuery
    receipt: str


class BlobUploadQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the bytes for a blob server come; everything else stands in the ticket."""

    sha256_follows: bool = False


class BlobStored(Struct, frozen=True, kw_only=True):
    """What a blob server keeps now; `receipt` is the proof for the server that makes an artifact of it."""

    sha256: str
    size_bytes: int
    receipt: str


class ArtifactQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to tell of an artifact."""

    md5: Annotated[bool, Meta(description="Make the MD5 now if the upload, being a large one, went without.")] = False


class ArtifactsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which artifacts of an object, by name."""

    name: str | None = None
    limit: Limit = 100
    page_token: str | None = None


# --- actions, agents, members ------------------------------------------------------------------------------------------------------------


class ActionCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work on an object that agents are asked for; the same work again is the same action.

    `object_type` may say what the object is taken for, and another one is refused. `arch` is the architecture that an agent must have,
    empty for any. A `predicate` says which changes ask for the action (:mod:`modelbox_server.service.triggers`); without one it is asked
    for once, now.
    """

    name: str
    object_type: str = ""
    arch: str = ""
    params: dict[str, Json] = {}
    predicate: str = ""


class ActionState(Struct, frozen=True, kw_only=True):
    """An action, and each time that it was asked for, oldest first."""

    action: ActionRecord
    instances: list[ActionInstanceRecord]


class RunnableQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent can do: actions of this name and for this architecture, of any where left out."""

    name: str = ""
    arch: str = ""
    limit: Limit = 100


class RunnableAction(Struct, frozen=True, kw_only=True):
    """Something that waits for an agent."""

    action: ActionRecord
    instance: ActionInstanceRecord


class ActionInstanceUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an agent is. It may do what it was the first to set to ``running``; ``finished`` needs an `outcome`."""

    status: ActionStatus
    outcome: ActionOutcome = ActionOutcome.UNDEFINED
    reason: str = ""


class AgentRegister(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that does actions, on a machine."""

    name: str
    host_name: str
    ip_addr: str = ""
    arch: str = ""


class Member(Struct, frozen=True, kw_only=True):
    """A server among those that share a store, and where it answers gRPC and HTTP."""

    id: str
    host_name: str
    rpc_addr: str
    http_addr: str
    mode: str
    version: str
    started_at: datetime
    seen_at: datetime
