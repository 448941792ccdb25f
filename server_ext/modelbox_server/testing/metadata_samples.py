"""Records for tests of metadata stores, one maker per kind: full of what careless storage changes."""

import math
from datetime import UTC, datetime, timedelta

from modelbox.entities.ids import random_id
from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionOutcome,
    ActionRecord,
    ActionStatus,
    AgentRecord,
    ArtifactRecord,
    ArtifactStorage,
    ChangeEvent,
    ChangeKind,
    CheckpointRecord,
    DoneOperation,
    EventRecord,
    ExperimentRecord,
    FileType,
    GrantRecord,
    Json,
    LeaseRecord,
    LimitRecord,
    MemberRecord,
    MetadataEntry,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    ObjectRef,
    ObjectType,
    Record,
    Role,
    Status,
    TokenRecord,
)
from modelbox_server.testing.samples import METRIC, NAMESPACE

__all__ = ["DAY", "change", "entry", "experiment", "model", "one_of_each"]

DAY = datetime(2026, 10, 25, 1, 30, 0, 123_457, tzinfo=UTC)
"""A time in the hour that many clocks live through twice, with every digit of its microseconds in use."""


def experiment(name: str = "digits-mlp", *, created_s: float = 0.0, record_id: str | None = None, **fields: object) -> ExperimentRecord:
    """Return an experiment that was created so many seconds after :data:`DAY`."""
    at = DAY + timedelta(seconds=created_s)
    times = {"created_at": at, "updated_at": at, "started_at": at}
    values: dict[str, Json] = {"namespace": NAMESPACE, **times, **fields}
    return ExperimentRecord(id=record_id or random_id(), name=name, **values)


def model(name: str = "asr_en", namespace: str = NAMESPACE, *, record_id: str | None = None) -> ModelRecord:
    """Return a model."""
    return ModelRecord(
        id=record_id or random_id(), name=name, namespace=namespace, description="a\n\N{GRINNING FACE} % _", created_at=DAY, updated_at=DAY
    )


def entry(object_id: str, key: str, value: Json = 1) -> MetadataEntry:
    """Return a key and its value."""
    return MetadataEntry(object_id=object_id, key=key, value=value, updated_at=DAY)


def change(object_id: str, kind: ChangeKind = ChangeKind.UPDATED) -> ChangeEvent:
    """Return a change event without a number."""
    return ChangeEvent(
        kind=kind,
        object_type=ObjectType.EXPERIMENT,
        object_id=object_id,
        namespace=NAMESPACE,
        actor="Zoë",
        face="embedded",
        address="::1",
        at=DAY,
        payload={"fields": ["status"], "loss": math.inf},
    )


def one_of_each() -> list[Record]:
    """Return a record of every kind but :class:`ChangeEvent`, all fields of which differ from their defaults."""
    parent = random_id()
    return [
        NamespaceRecord(name=f"{NAMESPACE}/'quoted' \"too\" \\ %_", created_at=DAY),
        ObjectRef(id=parent, type=ObjectType.MODEL_VERSION, namespace=NAMESPACE, parent_id=random_id()),
        experiment(
            METRIC,
            owner="Zoë",
            status=Status.INTERRUPTED,
            framework="torch",
            external_id="job/7 ",
            group="seeds",
            parent_id=parent,
            finished_at=DAY - timedelta(days=30_000),
        ),
        CheckpointRecord(
            id=random_id(),
            experiment_id=parent,
            epoch=2**63 - 1,
            metrics={METRIC: math.inf, "nan": -0.0, "$float": 5e-324},
            created_at=DAY,
            updated_at=DAY,
        ),
        DoneOperation(key=random_id(), at=DAY),
        ActionRecord(
            id=random_id(),
            object_id=parent,
            namespace=NAMESPACE,
            name="benchmark é",
            arch="arm64",
            params={"batch": [1, None], "at most": math.inf},
            predicate='event.Kind == "created"',
            seen_seq=2**63 - 1,
            created_at=DAY,
        ),
        ActionInstanceRecord(
            id=random_id(),
            action_id=random_id(),
            object_id=parent,
            attempt=7,
            status=ActionStatus.FINISHED,
            outcome=ActionOutcome.FAILURE,
            reason="no\nmemory",
            cause={"Name": "é"},
            created_at=DAY,
            updated_at=DAY,
        ),
        GrantRecord(id=random_id(), namespace="", principal="group:équipe", role=Role.WRITER, granted_by="alice", created_at=DAY),
        LimitRecord(id=random_id(), subject="namespace:équipe", size_bytes=2**62, points=0, set_by="alice", created_at=DAY),
        TokenRecord(
            id=random_id(),
            digest=random_id(),
            name="ci",
            user="alice",
            groups=("a", "b"),
            role="reader",
            namespaces=("x/y",),
            created_at=DAY,
            expires_at=DAY,
        ),
        MemberRecord(id=random_id(), host_name="höst", rpc_addr="[::1]:1", http_addr="h:2", version="1", started_at=DAY, seen_at=DAY),
        LeaseRecord(name="background", holder="höst:1", number=2**40),
        AgentRecord(id=random_id(), name="bench", host_name="höst", ip_addr="::1", arch="arm64", created_at=DAY, seen_at=DAY),
        model(),
        ModelVersionRecord(
            id=random_id(),
            model_id=parent,
            namespace=NAMESPACE,
            version="1",
            name="july",
            description="é\tü",
            framework="jax",
            tags=("prod", "candidat é"),
            experiment_id=parent,
            created_at=DAY,
            updated_at=DAY,
        ),
        ArtifactRecord(
            id=random_id(),
            parent_id=parent,
            namespace=NAMESPACE,
            name="plots/loss curve.png",
            file_type=FileType.IMAGE,
            storage=ArtifactStorage.UPLOADED,
            media_type="image/png",
            size_bytes=2**40,
            md5="0" * 32,
            sha256="f" * 64,
            uri="s3://bucket/é key",
            content="ff/ff",
            created_at=DAY,
            updated_at=DAY,
        ),
        entry(parent, "params.optimizer.lr", 1e-3),
        EventRecord(
            id=random_id(),
            parent_id=parent,
            name="epoch end",
            source="trainer",
            wall_time=datetime(1903, 1, 1, tzinfo=UTC),
            metadata={"why": None, "n": [1, 2.0]},
            created_at=DAY,
        ),
    ]
