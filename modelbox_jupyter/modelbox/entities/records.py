"""What ModelBox stores, one frozen record per kind of thing.

All times are aware UTC datetimes with microseconds. Every object has an `id` that is unique across all kinds of objects, so that metadata,
metrics, events and artifacts can hang on any of them by id alone.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

import msgspec

__all__ = [
    "ActionInstanceRecord",
    "ActionOutcome",
    "ActionRecord",
    "ActionStatus",
    "AgentRecord",
    "ArtifactRecord",
    "ArtifactStorage",
    "ChangeEvent",
    "ChangeKind",
    "CheckpointRecord",
    "DoneOperation",
    "EventRecord",
    "ExperimentRecord",
    "FileType",
    "GrantRecord",
    "Json",
    "LeaseRecord",
    "LimitRecord",
    "MemberRecord",
    "MetadataEntry",
    "ModelRecord",
    "ModelVersionRecord",
    "NamespaceRecord",
    "ObjectRef",
    "ObjectType",
    "Record",
    "Role",
    "Status",
    "TokenRecord",
]

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float (NaN and infinities included), str, list or dict with str keys."""


class Status(StrEnum):
    """Where an experiment stands. Only `RUNNING` is expected to change by itself."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class ObjectType(StrEnum):
    """The kinds of objects that can carry metadata, metrics, events and artifacts."""

    EXPERIMENT = "experiment"
    CHECKPOINT = "checkpoint"
    MODEL = "model"
    MODEL_VERSION = "model_version"


class FileType(StrEnum):
    """What an artifact is for. The member order is the numbering of the 2022 wire (``UNDEFINED`` = 0)."""

    UNDEFINED = "undefined"
    MODEL = "model"
    CHECKPOINT = "checkpoint"
    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"

    @property
    def number(self) -> int:
        """The number of this type on the 2022 wire."""
        return list(FileType).index(self)


class ArtifactStorage(StrEnum):
    """Whether ModelBox keeps the bytes (`UPLOADED`) or only a reference to them (`TRACKED`)."""

    UPLOADED = "uploaded"
    TRACKED = "tracked"


class ChangeKind(StrEnum):
    """What happened to an object."""

    CREATED = "created"
    UPDATED = "updated"
    DESTROYED = "destroyed"
    UPLOADED = "uploaded"
    DOWNLOADED = "downloaded"


class ActionStatus(StrEnum):
    """How far an agent is with an action; it only moves forward. The member order is the numbering of the 2022 wire, from 1."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"

    @property
    def number(self) -> int:
        """The number of this status on the 2022 wire."""
        return list(ActionStatus).index(self) + 1


class ActionOutcome(StrEnum):
    """How an action ended; `UNDEFINED` until then. The member order is the numbering of the 2022 wire."""

    UNDEFINED = "undefined"
    SUCCESS = "success"
    FAILURE = "failure"

    @property
    def number(self) -> int:
        """The number of this outcome on the 2022 wire."""
        return list(ActionOutcome).index(self)


class Role(StrEnum):
    """What somebody may do in a namespace and below it; each role includes those before it."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records; `KEY` names the fields that identify one."""

    KEY: ClassVar[tuple[str, ...]] = ("id",)


class NamespaceRecord(Record, frozen=True, kw_only=True):
    """A slash-separated path that groups experiments and models; made by its first use."""

    KEY: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    created_at: datetime


class ObjectRef(Record, frozen=True, kw_only=True):
    """What an object id stands for."""

    id: str
    type: ObjectType
    namespace: str
    parent_id: str | None = None


class ExperimentRecord(Record, frozen=True, kw_only=True):
    """One training job.

    `group` ties repetitions of one thing together (seeds, re-executions of a cell); `parent_id` is the experiment that started this one.
    """

    id: str
    name: str
    namespace: str
    owner: str = ""
    status: Status = Status.RUNNING
    framework: str = ""
    external_id: str = ""
    group: str = ""
    parent_id: str | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime
    finished_at: datetime | None = None


class CheckpointRecord(Record, frozen=True, kw_only=True):
    """A saved state of an experiment at an epoch, with the metrics it had then."""

    id: str
    experiment_id: str
    epoch: int
    metrics: dict[str, float] = {}
    created_at: datetime
    updated_at: datetime


class ModelRecord(Record, frozen=True, kw_only=True):
    """What solves a task; its trained instances are model versions."""

    id: str
    name: str
    namespace: str
    owner: str = ""
    task: str = ""
    description: str = ""
    created_at: datetime
    updated_at: datetime


class ModelVersionRecord(Record, frozen=True, kw_only=True):
    """One trained instance of a model. A tag belongs to at most one version of the model.

    `experiment_id` is the experiment that trained it, when known.
    """

    id: str
    model_id: str
    namespace: str
    version: str
    name: str = ""
    description: str = ""
    framework: str = ""
    tags: tuple[str, ...] = ()
    experiment_id: str | None = None
    created_at: datetime
    updated_at: datetime


class ArtifactRecord(Record, frozen=True, kw_only=True):
    """A named file of an object.

    `name` is a label with ``/`` between its parts, never a path on the server. `uri` says where a tracked file lies, in its owner's words.
    `size_bytes`, `md5` and `sha256` are empty for a tracked file whose owner did not tell them. `content` is the key of the bytes in the
    blob store, ``None`` for tracked files.
    """

    id: str
    parent_id: str
    namespace: str
    name: str
    file_type: FileType = FileType.UNDEFINED
    storage: ArtifactStorage
    media_type: str = "application/octet-stream"
    size_bytes: int | None = None
    md5: str = ""
    sha256: str = ""
    uri: str = ""
    content: str | None = None
    created_at: datetime
    updated_at: datetime


class MetadataEntry(Record, frozen=True, kw_only=True):
    """One key and its JSON value on one object. Hyperparameters have keys ``params.NAME``, tags ``tags.NAME``."""

    KEY: ClassVar[tuple[str, ...]] = ("object_id", "key")

    object_id: str
    key: str
    value: Json
    updated_at: datetime


class EventRecord(Record, frozen=True, kw_only=True):
    """Something that a trainer or another system says happened."""

    id: str
    parent_id: str
    name: str
    source: str
    wall_time: datetime
    metadata: dict[str, Json] = {}
    created_at: datetime


class GrantRecord(Record, frozen=True, kw_only=True):
    """A role that somebody has on a namespace and everything below it.

    `principal` is ``user:NAME``, ``group:NAME``, or ``everyone`` for all who have a name.
    """

    id: str
    namespace: str
    principal: str
    role: Role
    granted_by: str = ""
    created_at: datetime


class LimitRecord(Record, frozen=True, kw_only=True):
    """How much a user, or a namespace with everything below it, may have or do.

    `subject` is ``user:NAME`` or ``namespace:PATH``. What is ``None`` is as the settings of the server say; 0 stands for no limit.
    """

    id: str
    subject: str
    size_bytes: int | None = None
    points: int | None = None
    experiments: int | None = None
    requests_per_s: int | None = None
    points_per_s: int | None = None
    set_by: str = ""
    created_at: datetime


class TokenRecord(Record, frozen=True, kw_only=True):
    """A token for a script or a service. It acts as `user`, with no more than `role` (all that the user may do when empty) in `namespaces`.

    The token itself is kept nowhere; `digest` is its SHA-256 in hex.
    """

    id: str
    digest: str
    name: str
    user: str
    groups: tuple[str, ...] = ()
    role: str = ""
    namespaces: tuple[str, ...] = ()
    created_by: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class MemberRecord(Record, frozen=True, kw_only=True):
    """A server among those that share a store; `seen_at` is when it said so last."""

    id: str
    host_name: str
    rpc_addr: str
    http_addr: str
    mode: str = "all"
    version: str = ""
    started_at: datetime
    seen_at: datetime


class LeaseRecord(Record, frozen=True, kw_only=True):
    """Work that one server does at a time: who does it, and a number that goes up whenever that one says that it still does."""

    KEY: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    holder: str
    number: int = 0


class DoneOperation(Record, frozen=True, kw_only=True):
    """A call that was carried out, by the key that its caller gave it: it has no effect when it comes again."""

    KEY: ClassVar[tuple[str, ...]] = ("key",)

    key: str
    at: datetime


class ChangeEvent(Record, frozen=True, kw_only=True):
    """What ModelBox itself records when something is created, updated, destroyed, uploaded or downloaded.

    `seq` grows by at least one per event of a store and is never reused; the store assigns it. `actor` is who did it, `face` through which
    door (``jupyter``, ``http``, ``grpc``, ``embedded``), `address` from where; `payload` has the name of their token, if they came with
    one. The audit log is the list of change events.
    """

    KEY: ClassVar[tuple[str, ...]] = ("seq",)

    seq: int = 0
    kind: ChangeKind
    object_type: str
    object_id: str
    parent_id: str | None = None
    namespace: str
    actor: str = ""
    face: str = ""
    address: str = ""
    at: datetime
    payload: dict[str, Json] = {}


class ActionRecord(Record, frozen=True, kw_only=True):
    """Work on an object that agents are asked for, by its name: a benchmark, a conversion, an evaluation.

    Without a `predicate` it is to be done once. With one it is to be done whenever that holds for a change in the namespace of the object;
    `seen_seq` is the last change that was looked at.
    """

    id: str
    object_id: str
    namespace: str
    name: str
    arch: str = ""
    params: dict[str, Json] = {}
    predicate: str = ""
    seen_seq: int = 0
    created_at: datetime


class ActionInstanceRecord(Record, frozen=True, kw_only=True):
    """One time that an action is to be done, and how far that is.

    `cause` has the fields of the change that asked for it, and is empty for an action without predicate.
    """

    id: str
    action_id: str
    object_id: str
    attempt: int
    status: ActionStatus = ActionStatus.PENDING
    outcome: ActionOutcome = ActionOutcome.UNDEFINED
    reason: str = ""
    cause: dict[str, Json] = {}
    created_at: datetime
    updated_at: datetime


class AgentRecord(Record, frozen=True, kw_only=True):
    """A program somewhere that does actions; `seen_at` is when it was heard of last."""

    id: str
    name: str
    host_name: str
    ip_addr: str = ""
    arch: str = ""
    created_at: datetime
    seen_at: datetime
