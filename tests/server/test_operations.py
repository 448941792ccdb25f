"""The table of operations is complete, and everything it answers survives the wire."""

import math
from typing import TypeVar

import pytest

from modelbox.entities.records import ActionStatus, Role, Status
from modelbox.entities.values import json_from_wire, json_to_wire
from modelbox.errors import InvalidRequest, NoContent
from modelbox.wire import access as a
from modelbox.wire import limits as lim
from modelbox.wire import messages as m
from modelbox.wire import routes
from modelbox.wire.json import decode, decode_trusted, encode
from modelbox.wire.routes import ROUTES, Route
from modelbox_server.operations import OPERATIONS, run
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import METRIC, NAMESPACE, float_block, text_block
from modelbox_server.wiring import Services

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

FREE = {"a": math.nan, "b": [1, 1.0, -math.inf, "NaN"], "c": {"$float": "NaN"}, "d": {"$plain": 1}, "é": None}
WIRE = {key: json_to_wire(value) for key, value in FREE.items()}


class Wire:
    """Carries calls as HTTP does: bodies and responses go through JSON."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._caller = caller
        self.carried: set[str] = set()

    def __call__(self, route: Route[Q, B, R], query: Q | None = None, body: B | None = None, **path: str) -> R:
        self.carried.add(route.name)
        sent = None if body is None or route.body is None else decode(encode(body), route.body)
        response = run(self._services, self._caller, route, path, query if query is not None else route.query(), sent)
        received = decode_trusted(encode(response), route.response)
        assert encode(received) == encode(response)
        return received


def test_every_route_without_a_stream_has_an_operation() -> None:
    assert set(OPERATIONS) == {route.name for route in ROUTES if route.stream is None}


def test_every_operation_is_carried_over_the_wire_without_loss(services: Services, caller: Caller) -> None:
    call = Wire(services, caller)
    assert call(routes.INFO).user == "Zoë"
    experiment = call(routes.CREATE_EXPERIMENT, body=m.ExperimentCreate(name="e", namespace=NAMESPACE, metadata=WIRE)).item
    checkpoint = call(
        routes.CREATE_CHECKPOINT,
        body=m.CheckpointCreate(epoch=1, metrics={METRIC: "NaN", "x": "-Infinity", "y": 1.5}),
        experiment_id=experiment.id,
    ).item
    assert math.isnan(checkpoint.metrics[METRIC])
    assert checkpoint.metrics["x"] == -math.inf
    services.metrics.append(caller, [float_block(experiment.id), text_block(experiment.id, ["NaN"], key="text")])
    model = call(routes.CREATE_MODEL, body=m.ModelCreate(name="m", namespace=NAMESPACE, metadata=WIRE)).item
    version = call(
        routes.CREATE_MODEL_VERSION, body=m.ModelVersionCreate(version="1", tags=("a", "é"), metadata=WIRE), model_id=model.id
    ).item
    event = call(routes.LOG_EVENT, body=m.EventCreate(name="n", source="s", metadata=WIRE), object_id=experiment.id)
    assert repr({key: json_from_wire(value) for key, value in event.metadata.items()}) == repr(FREE)
    tracked = m.TrackedFile(name="t", uri="s3://b/t")
    (artifact,) = call(routes.TRACK_ARTIFACTS, body=m.TrackArtifacts(files=[tracked]), object_id=model.id).items

    assert (
        call(routes.UPDATE_EXPERIMENT, body=m.ExperimentUpdate(status=Status.FAILED), experiment_id=experiment.id).finished_at is not None
    )
    assert call(routes.UPDATE_MODEL, body=m.ModelUpdate(task="t"), model_id=model.id).task == "t"
    assert call(routes.UPDATE_MODEL_VERSION, body=m.ModelVersionUpdate(tags=("b",)), version_id=version.id).tags == ("b",)
    document = call(routes.UPDATE_METADATA, body=m.MetadataDocument(metadata=WIRE), object_id=checkpoint.id)
    assert document == call(routes.GET_METADATA, object_id=experiment.id) == m.MetadataDocument(metadata=WIRE)
    assert repr({key: json_from_wire(value) for key, value in document.metadata.items()}) == repr(dict(sorted(FREE.items())))

    assert call(routes.GET_EXPERIMENT, experiment_id=experiment.id).status is Status.FAILED
    assert call(routes.GET_CHECKPOINT, checkpoint_id=checkpoint.id).epoch == 1
    assert call(routes.GET_MODEL, model_id=model.id).name == "m"
    assert call(routes.GET_MODEL_VERSION, version_id=version.id).version == "1"
    assert call(routes.GET_ARTIFACT, artifact_id=artifact.id) == artifact
    assert [record.name for record in call(routes.LIST_NAMESPACES).items] == [NAMESPACE]
    assert len(call(routes.LIST_EXPERIMENTS).items) == 1
    assert len(call(routes.LIST_CHECKPOINTS, experiment_id=experiment.id).items) == 1
    assert len(call(routes.LIST_MODELS).items) == 1
    assert len(call(routes.LIST_MODEL_VERSIONS, model_id=model.id).items) == 1
    assert call(routes.LIST_EVENTS, object_id=experiment.id).items == [event]
    assert call(routes.LIST_ARTIFACTS, object_id=model.id).items == [artifact]
    assert [found.id for found in call(routes.FIND_CHECKPOINTS, m.OfObjectsQuery(objects=experiment.id)).items] == [checkpoint.id]
    assert [found.tags for found in call(routes.FIND_MODEL_VERSIONS).items] == [("b",)]
    assert call(routes.FIND_EVENTS).items == [event]
    assert call(routes.FIND_ARTIFACTS, m.OfObjectsQuery(objects=f"x, {model.id}")).items == [artifact]
    asked = m.SqlRequest(sql="select max, :x as text, null as missing from metrics order by kind", parameters={"x": "NaN"})
    assert [json_from_wire(column.values) for column in call(routes.RUN_SQL, body=asked).columns] == [
        [math.inf, None],
        ["NaN", "NaN"],
        [None, None],
    ]
    text, floats = call(routes.SUMMARIZE_METRICS, body=m.SummariesQuery(objects=[experiment.id, checkpoint.id])).series
    assert (floats.min, floats.max, text.last) == (-math.inf, math.inf, "NaN")
    frame = call(routes.FRAME_EXPERIMENTS)
    assert dict(zip(frame.metadata.key, frame.metadata.value, strict=True)) == WIRE
    assert frame.metrics.key == ["text", METRIC]

    asked_for = m.ActionCreate(name="bench", arch="arm64", params=WIRE, predicate='event.ObjectType == "event"')
    action = call(routes.CREATE_ACTION, body=asked_for, object_id=model.id).item
    assert repr({key: json_from_wire(value) for key, value in action.params.items()}) == repr(FREE)
    services.events.log(caller, model.id, m.EventCreate(name="n", source="s"))
    (waiting,) = call(routes.LIST_RUNNABLE, m.RunnableQuery(name="bench", arch="arm64")).items
    assert (waiting.action.id, waiting.instance.cause["Name"]) == (action.id, "n")
    running = m.ActionInstanceUpdate(status=ActionStatus.RUNNING)
    assert call(routes.UPDATE_ACTION_INSTANCE, body=running, instance_id=waiting.instance.id).status is ActionStatus.RUNNING
    assert [state.instances[0].status for state in call(routes.LIST_ACTIONS, object_id=model.id).items] == [ActionStatus.RUNNING]
    agent = call(routes.REGISTER_AGENT, body=m.AgentRegister(name="a", host_name="h", arch="arm64")).item
    assert call(routes.HEARTBEAT, body=m.Empty(), agent_id=agent.id).id == agent.id
    assert [found.id for found in call(routes.LIST_AGENTS).items] == [agent.id]
    assert call(routes.LIST_MEMBERS).items == []

    assert call(routes.ACCESS).roles == {"/": Role.ADMIN}
    granted = call(routes.GRANT, body=a.GrantRequest(namespace="ns", principal="group:g", role=Role.WRITER))
    assert call(routes.LIST_GRANTS).items == [granted]
    assert call(routes.REVOKE, a.GrantRevoke(namespace="ns", principal="group:g")).deleted == 1
    made = call(routes.CREATE_TOKEN, body=a.TokenCreate(name="ci", user="eve", groups=["g"], namespaces=["ns"]))
    assert call(routes.LIST_TOKENS).items == [made.item]
    assert call(routes.REVOKE_TOKEN, token_id=made.item.id).deleted == 1

    limited = call(routes.SET_LIMIT, body=lim.LimitSet(subject="user:eve", points=2**62, requests_per_s=0))
    assert (limited.points, limited.used_points) == (2**62, 0)
    assert call(routes.LIST_LIMITS, lim.LimitsQuery(subject="user:eve")).items == [limited]

    large = m.ArtifactUploadQuery(name="large.bin", size_bytes=1 << 30)
    assert call(routes.BEGIN_UPLOAD, body=large, object_id=model.id).how == "server"
    with pytest.raises(InvalidRequest, match="hands out no tickets"):
        call(routes.FINISH_UPLOAD, body=m.UploadFinish(artifact=large, receipt="none"), object_id=model.id)
    with pytest.raises(NoContent):
        call(routes.BEGIN_DOWNLOAD, artifact_id=artifact.id)
    assert call(routes.DELETE_METADATA, m.MetadataDelete(key="a"), object_id=experiment.id).deleted == 1
    assert call(routes.DELETE_ARTIFACT, artifact_id=artifact.id).deleted == 1
    assert call(routes.DELETE_MODEL_VERSION, version_id=version.id).deleted == 1
    assert call(routes.DELETE_MODEL, model_id=model.id).deleted == 1
    assert call(routes.DELETE_CHECKPOINT, checkpoint_id=checkpoint.id).deleted == 1
    assert call(routes.DELETE_EXPERIMENT, experiment_id=experiment.id).deleted == 1
    changes = call(routes.LIST_CHANGES).items
    assert next(change.payload["metadata"] for change in changes if "metadata" in change.payload) == json_to_wire(FREE)
    assert call.carried == set(OPERATIONS)


@pytest.mark.parametrize("value", [math.nan, [math.inf]])
def test_a_bare_nan_in_metadata_is_taken_as_well(services: Services, caller: Caller, value: object) -> None:
    call = Wire(services, caller)
    experiment = call(routes.CREATE_EXPERIMENT, body=m.ExperimentCreate(name="e")).item
    body = m.MetadataDocument(metadata={"x": value})
    answer = run(services, caller, routes.UPDATE_METADATA, {"object_id": experiment.id}, m.Empty(), body)
    assert answer.metadata == {"x": json_to_wire(value)}
