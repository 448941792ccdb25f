"""One call of every kind on things of one team, for the matrix of who may do what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from modelbox.entities.ids import random_id
from modelbox.entities.records import Role
from modelbox.wire import access as a
from modelbox.wire import messages as m
from modelbox.wire.limits import LimitSet
from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.service.context import Caller
from modelbox_server.service.tickets import PassingClaims, ReceiptClaims, TicketDesk
from modelbox_server.testing.samples import float_block
from modelbox_server.wiring import Services

OPERATOR = Caller("root", "http")
NAMESPACE = "team/okapi"
NAME = "zebra"
CONTENT = b"zebra bytes"
_numbers = count()


class Scene:
    """One object of each kind in the namespace of a team, and what hangs on them, made by somebody who leaves nothing to its writers."""

    def __init__(self, services: Services, desk: TicketDesk) -> None:
        s, c, number = services, OPERATOR, next(_numbers)
        self.number = number
        run = m.ExperimentCreate(name=f"{NAME}{number}", namespace=NAMESPACE, metadata={"params.k": NAME})
        self.experiment_id = s.experiments.create(c, run).item.id
        self.checkpoint_id = s.checkpoints.create(c, self.experiment_id, m.CheckpointCreate(epoch=1)).item.id
        self.model_id = s.models.create(c, m.ModelCreate(name=f"{NAME}-model{number}", namespace=NAMESPACE)).item.id
        self.version_id = s.versions.create(c, self.model_id, m.ModelVersionCreate(version="1", name=NAME)).item.id
        self.object_id = self.experiment_id
        s.events.log(c, self.experiment_id, m.EventCreate(name=NAME, source="s"))
        s.metrics.append(c, [float_block(self.experiment_id, [1.0], key=NAME)])
        with s.artifacts.begin_upload(c, self.experiment_id, m.ArtifactUploadQuery(name=NAME)) as writer:
            writer.write(CONTENT)
            artifact = writer.commit()
        self.artifact_id, self.sha256 = artifact.id, artifact.sha256
        s.actions.create(c, self.experiment_id, m.ActionCreate(name=NAME))
        self.instance_id = s.actions.list(c, self.experiment_id, m.PageQuery()).items[0].instances[0].id
        self.agent_id = s.agents.register(c, m.AgentRegister(name="worker", host_name="node")).item.id
        self.token_id = s.tokens.create(c, a.TokenCreate(name="of the operator")).item.id
        s.grants.grant(c, a.GrantRequest(namespace=NAMESPACE, principal="group:gnu", role=Role.READER))
        s.limits.set(c, LimitSet(subject=f"namespace:{NAMESPACE}", points=10**12))
        self.passing = desk.write(
            PassingClaims(passing="x", object_id=self.experiment_id, namespace=NAMESPACE, sha256=self.sha256, size_bytes=len(CONTENT)), 60
        )
        self.receipt = desk.write(
            ReceiptClaims(
                upload_id="x",
                object_id=self.experiment_id,
                namespace=NAMESPACE,
                key=str(artifact.content),
                sha256=self.sha256,
                md5=artifact.md5,
                size_bytes=len(CONTENT),
            ),
            60,
        )

    @property
    def path(self) -> dict[str, str]:
        """What the parameters of paths mean here."""
        return {key: value for key, value in vars(self).items() if key.endswith("_id")}

    @property
    def marks(self) -> set[str]:
        """What nobody may see who may not read this: if it is in an answer, the answer shows something."""
        return {NAMESPACE, NAME, "group:gnu", *self.path.values()} - {self.agent_id}

    def elsewhere(self) -> "Scene":
        """Return the same with ids of nothing."""
        other = object.__new__(Scene)
        other.__dict__.update(vars(self) | {name: random_id() for name in self.path})
        other.object_id = other.experiment_id
        return other


@dataclass(frozen=True)
class Sent:
    """What a request brings beside its path."""

    query: str = ""
    json: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


_LARGE = {"name": NAME, "size_bytes": 4 << 20}

HTTP_CALLS: dict[str, Callable[[Scene], Sent]] = {
    "GET /changes": lambda t: Sent("?limit=1000"),
    "GET /grants": lambda t: Sent(),
    "POST /limits": lambda t: Sent(json={"subject": f"namespace:{NAMESPACE}", "points": 10**12}),
    "POST /grants": lambda t: Sent(json={"namespace": NAMESPACE, "principal": "user:nobody", "role": "reader"}),
    "DELETE /grants": lambda t: Sent(f"?namespace={NAMESPACE}&principal=user:nobody"),
    "POST /tokens": lambda t: Sent(json={"name": "x"}),
    "POST /experiments": lambda t: Sent(json={"name": f"made{t.number}", "namespace": NAMESPACE}),
    "GET /experiments": lambda t: Sent(f"?namespace={NAMESPACE}"),
    "GET /frames/experiments": lambda t: Sent("?q=params.k != 1 or not params.k = 1".replace(" ", "%20")),
    "PATCH /experiments/{experiment_id}": lambda t: Sent(json={"group": "g"}),
    "POST /sql": lambda t: Sent(json={"sql": "select * from experiments"}),
    "POST /experiments/{experiment_id}/checkpoints": lambda t: Sent(json={"epoch": 2}),
    "GET /checkpoints": lambda t: Sent(f"?objects={t.experiment_id}"),
    "POST /models": lambda t: Sent(json={"name": f"made{t.number}", "namespace": NAMESPACE}),
    "PATCH /models/{model_id}": lambda t: Sent(json={"task": "g"}),
    "POST /models/{model_id}/versions": lambda t: Sent(json={"version": "2"}),
    "GET /versions": lambda t: Sent(f"?objects={t.model_id}"),
    "PATCH /versions/{version_id}": lambda t: Sent(json={"description": "g"}),
    "PATCH /objects/{object_id}/metadata": lambda t: Sent(json={"metadata": {"a": 1}}),
    "DELETE /objects/{object_id}/metadata": lambda t: Sent("?key=params.k"),
    "POST /objects/{object_id}/events": lambda t: Sent(json={"name": "n", "source": "s"}),
    "GET /events": lambda t: Sent(f"?objects={t.experiment_id}"),
    "POST /metrics": lambda t: Sent(json={"series": [{"object_id": t.experiment_id, "key": "k", "values": [1.0]}]}),
    "POST /metrics/read": lambda t: Sent(json={"objects": [t.experiment_id]}),
    "POST /metrics/summaries": lambda t: Sent(json={"objects": [t.experiment_id]}),
    "GET /artifacts": lambda t: Sent(f"?objects={t.experiment_id}"),
    "POST /objects/{object_id}/artifacts": lambda t: Sent(json={"files": [{"name": "f", "uri": "/f"}]}),
    "PUT /objects/{object_id}/artifacts": lambda t: Sent("?name=new", body=b"new"),
    "POST /objects/{object_id}/uploads": lambda t: Sent(json=_LARGE),
    "POST /objects/{object_id}/uploads/finish": lambda t: Sent(json={"artifact": {"name": "f"}, "receipt": t.receipt}),
    "POST /objects/{object_id}/actions": lambda t: Sent(json={"name": "new"}),
    "PATCH /action-instances/{instance_id}": lambda t: Sent(json={"status": "running"}),
    "POST /agents/{agent_id}/heartbeat": lambda t: Sent(json={}),
    "POST /agents": lambda t: Sent(json={"name": "worker", "host_name": "node"}),
}
"""What a route needs beside its path, by verb and path below the prefix of the API; a route that is missing here needs nothing."""


def grpc_requests(name: str, t: Scene) -> list[Any]:
    """Return the messages of a call: one, or those of a stream."""
    one_value = message("Metadata")()
    one_value.metadata["a"].number_value = 1
    fields: dict[str, Any] = {
        "CreateExperiment": {"name": f"rpc{t.number}", "namespace": NAMESPACE},
        "ListExperiments": {"namespace": NAMESPACE},
        "GetExperiment": {"id": t.experiment_id},
        "CreateCheckpoint": {"experiment_id": t.experiment_id, "epoch": 3},
        "ListCheckpoints": {"experiment_id": t.experiment_id},
        "GetCheckpoint": {"experiment_id": t.experiment_id, "epoch": 1},
        "CreateModel": {"name": f"rpc{t.number}", "namespace": NAMESPACE},
        "ListModels": {"namespace": NAMESPACE},
        "CreateModelVersion": {"model": t.model_id, "version": "3"},
        "ListModelVersions": {"model": t.model_id},
        "UpdateMetadata": {"parent_id": t.experiment_id, "metadata": one_value},
        "ListMetadata": {"parent_id": t.experiment_id},
        "LogMetrics": {"parent_id": t.experiment_id, "key": "k", "value": message("MetricsValue")(step=1, f_val=0.5)},
        "GetMetrics": {"parent_id": t.experiment_id},
        "LogEvent": {"parent_id": t.experiment_id, "event": message("Event")(name="n", source=message("EventSource")(name="s"))},
        "ListEvents": {"parent_id": t.experiment_id},
        "TrackArtifacts": {"files": [message("FileMetadata")(parent_id=t.experiment_id, path="/f", checksum="")]},
        "ListArtifacts": {"parent_id": t.experiment_id},
        "DownloadFile": {"file_id": t.artifact_id},
        "CreateActions": {"object_id": t.experiment_id, "name": "new"},
        "ListActions": {"object_id": t.experiment_id},
        "RegisterAgent": {"agent_name": "worker", "node_info": message("NodeInfo")(host_name="node")},
        "Heartbeat": {"node_id": t.agent_id},
        "GetRunnableActionInstances": {},
        "UpdateActionStatus": {"action_instance_id": t.instance_id, "status": 2},
        "WatchNamespace": {"namespace": NAMESPACE},
        "GetClusterMembers": {},
    }
    if name == "UploadFile":
        frame = message("UploadFileRequest")
        return [frame(metadata=message("FileMetadata")(parent_id=t.experiment_id, path="new")), frame(chunks=b"new")]
    rpc = next(rpcs[name] for rpcs in SERVICES.values() if name in rpcs)
    return [message(rpc.request)(**fields[name])]
