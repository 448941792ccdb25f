"""``modelbox.ModelStore``: what is written is read, ids are those of 2022, and a mistake is a status and a sentence."""

import hashlib
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelbox.errors import ModelBoxError
from modelbox_server.grpc.complete import NEEDED
from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server

Caller = Callable[..., Any]
NOWHERE = "0" * 40
EVENT = message("Event")(name="e", source=message("EventSource")(name="s"))


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        list(answer) if hasattr(answer := call(), "__next__") else answer
    return caught.value.code().name, caught.value.details()


def value(step: int = 0, at_s: int = 0, **one: Any) -> Any:
    return message("MetricsValue")(step=step, wallclock_time=at_s, **one)


# --- experiments, checkpoints, models ----------------------------------------------------------------------------------------------------


def test_an_experiment_comes_back_as_it_was_created(rpc: Caller, experiment: str) -> None:
    found = rpc("GetExperiment", id=experiment).experiment
    assert (found.name, found.namespace, found.owner, found.framework, found.external_id) == (
        "val/loss @1",
        "équipe/vision",
        "o@x.org",
        1,
        "ext",
    )
    assert found.created_at.seconds > 1_700_000_000


def test_creating_twice_says_that_it_was_there(rpc: Caller, experiment: str) -> None:
    again = rpc("CreateExperiment", name="val/loss @1", namespace="équipe/vision")
    assert (again.experiment_id, again.experiment_exists) == (experiment, True)


def test_the_golden_ids_come_out(rpc: Caller) -> None:
    experiment = rpc("CreateExperiment", name="wav2vec", namespace="langtech").experiment_id
    model = rpc("CreateModel", name="asr_en", namespace="langtech").id
    version = rpc("CreateModelVersion", model=model, version="1", name="asr_en_july").model_version
    assert experiment == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
    assert rpc("CreateCheckpoint", experiment_id=experiment, epoch=1).checkpoint_id == "97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38"
    assert model == "93b7cf0bec10ff6d500a9273bc34ab7eff02eeca"
    assert version == "0ae662556996e18f364a41b82cd1a4e043062687"
    file = {"parent_id": experiment, "checksum": "0019d23bef56a136a1891211d7007f6f", "path": "/tmp/test_artifact.txt"}  # noqa: S108
    rpc("TrackArtifacts", files=[message("FileMetadata")(**file)])
    assert [one.id for one in rpc("ListArtifacts", parent_id=experiment).files] == ["3732697ec8c3808753130b69197b6289e88b4c96"]


def test_a_namespace_lists_itself_and_not_what_is_below(rpc: Caller) -> None:
    for namespace in ("lists", "lists/below"):
        rpc("CreateExperiment", name="x", namespace=namespace)
        rpc("CreateModel", name="x", namespace=namespace)
    assert [one.namespace for one in rpc("ListExperiments", namespace="lists").experiments] == ["lists"]
    assert [one.namespace for one in rpc("ListModels", namespace="lists").models] == ["lists"]


def test_no_namespace_is_the_default_one(rpc: Caller) -> None:
    created = rpc("CreateExperiment", name="no namespace").experiment_id
    assert rpc("GetExperiment", id=created).experiment.namespace == "default"
    assert created in [one.id for one in rpc("ListExperiments").experiments]


def test_more_objects_than_a_page_holds_are_all_listed(rpc: Caller) -> None:
    for number in range(1005):
        rpc("CreateExperiment", name=f"many {number}", namespace="many")
    assert len({one.id for one in rpc("ListExperiments", namespace="many").experiments}) == 1005


def test_a_checkpoint_keeps_its_metrics_files_and_metadata(rpc: Caller, experiment: str) -> None:
    metadata = message("Metadata")()
    metadata.metadata["note"].string_value = "é"
    files = [message("FileMetadata")(path="s3://bucket/ckpt 3.pt", file_type=2, checksum="a" * 32)]
    created = rpc("CreateCheckpoint", experiment_id=experiment, epoch=3, metrics={"loss": 0.5}, files=files, metadata=metadata)
    (found,) = (one for one in rpc("ListCheckpoints", experiment_id=experiment).checkpoints if one.epoch == 3)
    assert (found.id, dict(found.metrics)) == (created.checkpoint_id, {"loss": 0.5})
    assert [(one.path, one.file_type, one.checksum) for one in found.files] == [("s3://bucket/ckpt 3.pt", 2, "a" * 32)]
    assert rpc("ListMetadata", parent_id=found.id).metadata["note"].string_value == "é"
    assert rpc("GetCheckpoint", experiment_id=experiment, epoch=3).checkpoint == found
    assert refused(lambda: rpc("GetCheckpoint", experiment_id=experiment, epoch=4))[0] == "NOT_FOUND"


def test_versions_of_a_model_are_listed_with_everything(rpc: Caller) -> None:
    metadata = message("Metadata")()
    metadata.metadata["n"].number_value = 3
    model = rpc("CreateModel", name="versions", task="asr", description="d", metadata=metadata).id
    assert rpc("ListMetadata", parent_id=model).metadata["n"].number_value == 3
    files = [message("FileMetadata")(path="m.onnx", file_type=1)]
    fields = {"version": "1.0.0-rc.1+build", "name": "n", "description": "dd", "framework": 2, "unique_tags": ["prod", "β"]}
    rpc("CreateModelVersion", model=model, files=files, metadata=metadata, **fields)
    rpc("CreateModelVersion", model=model, version="2")
    found = {one.version: one for one in rpc("ListModelVersions", model=model).models}
    first = found["1.0.0-rc.1+build"]
    assert (first.name, first.description, first.framework, sorted(first.unique_tags)) == ("n", "dd", 2, ["prod", "β"])
    assert (first.metadata.metadata["n"].number_value, first.files[0].path) == (3, "m.onnx")
    assert found.keys() == {"1.0.0-rc.1+build", "2"}
    assert refused(lambda: rpc("CreateModelVersion", model=model, version="3", unique_tags=["prod"]))[0] == "ALREADY_EXISTS"


# --- metadata, metrics, events -----------------------------------------------------------------------------------------------------------


def test_metadata_of_every_kind_comes_back(rpc: Caller, experiment: str) -> None:
    sent = message("Metadata")()
    sent.metadata["null"].null_value = 0
    sent.metadata["yes"].bool_value = True
    sent.metadata["whole"].number_value = 12
    sent.metadata["large"].number_value = 2.0**60
    sent.metadata["nan"].number_value = float("inf")
    sent.metadata["list"].list_value.values.add().string_value = "a"
    sent.metadata["empty list"].list_value.SetInParent()
    sent.metadata["struct"].struct_value.fields["a.b"].number_value = 0.5
    sent.metadata["empty struct"].struct_value.SetInParent()
    assert rpc("UpdateMetadata", parent_id=experiment, metadata=sent).num_keys_written == 9
    found = rpc("ListMetadata", parent_id=experiment).metadata
    assert {key: found[key] for key in sent.metadata} == dict(sent.metadata.items())


def test_all_three_kinds_of_values_come_back_in_the_order_of_their_steps(rpc: Caller, experiment: str) -> None:
    for step in (5, 1, 3):
        rpc("LogMetrics", parent_id=experiment, key="loss", value=value(step, 100 + step, f_val=step / 2))
    rpc("LogMetrics", parent_id=experiment, key="text", value=value(2, 7, s_tensor="héllo"))
    rpc("LogMetrics", parent_id=experiment, key="bytes", value=value(2, 8, b_tensor=b"\x00\xff"))
    rpc("LogMetrics", parent_id=experiment, key="zero", value=value(f_val=0.0))
    found = {one.key: list(one.values) for one in rpc("GetMetrics", parent_id=experiment).metrics}
    assert [(one.step, one.wallclock_time, one.f_val) for one in found["loss"]] == [(1, 101, 0.5), (3, 103, 1.5), (5, 105, 2.5)]
    assert (found["text"][0].s_tensor, found["bytes"][0].b_tensor, found["zero"][0].WhichOneof("value")) == ("héllo", b"\x00\xff", "f_val")


def test_a_message_of_more_than_four_mebibytes_passes(rpc: Caller, experiment: str) -> None:
    big = os.urandom(6 << 20)
    rpc("LogMetrics", parent_id=experiment, key="big", value=value(b_tensor=big))


def test_events_keep_their_metadata_and_order(rpc: Caller, experiment: str) -> None:
    for at_s in (30, 10, 20):
        event = message("Event")(name=f"e{at_s}")
        event.source.name = "trainer"
        event.wallclock_time.seconds = at_s
        event.metadata.metadata["at"].number_value = at_s
        rpc("LogEvent", parent_id=experiment, event=event)
    found = rpc("ListEvents", parent_id=experiment).events
    assert [(one.name, one.metadata.metadata["at"].number_value) for one in found] == [("e10", 10), ("e20", 20), ("e30", 30)]
    since = message("Timestamp")(seconds=20)
    assert [one.name for one in rpc("ListEvents", parent_id=experiment, since=since).events] == ["e20", "e30"]


# --- files -------------------------------------------------------------------------------------------------------------------------------


def frames(parent: str, content: bytes, **fields: Any) -> list[Any]:
    frame = message("UploadFileRequest")
    pieces = [content[start : start + 1024] for start in range(0, len(content), 1024)]
    return [frame(metadata=message("FileMetadata")(parent_id=parent, **fields)), *(frame(chunks=piece) for piece in pieces)]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_comes_back_whole_with_its_type_and_checksum(rpc: Caller, experiment: str, size: int) -> None:
    content = random.Random(size).randbytes(size)  # noqa: S311  (not a secret)
    sent = frames(experiment, content, path=f"/home/me/model {size}.bin", file_type=1, checksum=md5(content))
    uploaded = rpc("UploadFile", sent).file_id
    first, *rest = rpc("DownloadFile", file_id=uploaded)
    assert (first.metadata.path, first.metadata.file_type, first.metadata.checksum) == (f"model {size}.bin", 1, md5(content))
    assert b"".join(one.chunks for one in rest) == content


def test_a_large_file_that_came_over_http_has_its_checksum_when_it_goes(rpc: Caller, experiment: str, server: LiveServer) -> None:
    """Such an upload goes without an MD5, which is what clients of 2022 verify by."""
    content = bytes((32 << 20) + 1)
    client = ApiClient(server.url, server.headers)
    sent = client.request("PUT", f"/api/v1/objects/{experiment}/artifacts?name=large.bin", body=content).json
    assert sent["md5"] == ""
    assert {one.checksum for one in rpc("ListArtifacts", parent_id=experiment).files if one.id == sent["id"]} == {md5(content)}
    first = next(rpc("DownloadFile", file_id=sent["id"]))
    assert first.metadata.checksum == md5(content)


def test_bytes_that_are_not_those_that_were_declared_leave_nothing(rpc: Caller, experiment: str) -> None:
    before = len(rpc("ListArtifacts", parent_id=experiment).files)
    code, detail = refused(lambda: rpc("UploadFile", frames(experiment, b"other", path="a.bin", checksum="0" * 32)))
    assert code == "DATA_LOSS"
    assert "0" * 32 in detail
    assert len(rpc("ListArtifacts", parent_id=experiment).files) == before


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [message("UploadFileRequest")(chunks=b"x")],
        [message("UploadFileRequest")()],
        [message("UploadFileRequest")(metadata=message("FileMetadata")(parent_id="P", path="a"))] * 2,
        [message("UploadFileRequest")(metadata=message("FileMetadata")(parent_id="P"))],
    ],
)
def test_frames_in_a_wrong_order_are_refused(rpc: Caller, experiment: str, sent: list[Any]) -> None:
    for frame in sent:
        if frame.metadata.parent_id:
            frame.metadata.parent_id = experiment
    assert refused(lambda: rpc("UploadFile", sent))[0] == "INVALID_ARGUMENT"


def test_the_path_of_a_tracked_file_is_never_opened(rpc: Caller, experiment: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    file = message("FileMetadata")(parent_id=experiment, path=str(secret), checksum=md5(b"canary"))
    assert rpc("TrackArtifacts", files=[file]).num_files_tracked == 1
    (found,) = (one for one in rpc("ListArtifacts", parent_id=experiment).files if one.path == str(secret))
    code, detail = refused(lambda: rpc("DownloadFile", file_id=found.id))
    assert code == "FAILED_PRECONDITION"
    assert "canary" not in detail


# --- watching ----------------------------------------------------------------------------------------------------------------------------


def test_a_watcher_sees_every_change_of_its_namespace_from_its_start_on(rpc: Caller) -> None:
    first = rpc("CreateExperiment", name="first", namespace="watched").experiment_id
    seen: list[Any] = []
    stream = rpc("WatchNamespace", namespace="watched", since=0)

    def watch() -> None:
        for event in stream:
            seen.append(event)
            if len(seen) == 4:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    rpc("CreateExperiment", name="elsewhere", namespace="not watched")
    metadata = message("Metadata")()
    metadata.metadata["k"].string_value = "v"
    rpc("UpdateMetadata", parent_id=first, metadata=metadata)
    rpc("UploadFile", frames(first, b"x", path="a.bin"))
    rpc("CreateModel", name="m", namespace="watched")
    watcher.join(30)
    stream.cancel()
    assert [event.event for event in seen] == [1, 2, 4, 1]
    payloads = [event.payload.struct_value.fields for event in seen]
    assert payloads[0]["Id"].string_value == first
    assert payloads[0]["Name"].string_value == "first"
    assert [payload["ObjectType"].string_value for payload in payloads][-1] == "model"


def test_since_leaves_out_what_was_before(rpc: Caller) -> None:
    rpc("CreateExperiment", name="old", namespace="since")
    stream = rpc("WatchNamespace", namespace="since", since=2**40)
    timer = threading.Timer(1.0, stream.cancel)
    timer.start()
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    timer.join()
    assert caught.value.code() is grpc.StatusCode.CANCELLED


# --- mistakes ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("CreateExperiment", {}, "INVALID_ARGUMENT"),
        ("CreateExperiment", {"name": "a\nb"}, "INVALID_ARGUMENT"),
        ("GetExperiment", {}, "INVALID_ARGUMENT"),
        ("GetExperiment", {"id": NOWHERE}, "NOT_FOUND"),
        ("CreateCheckpoint", {}, "INVALID_ARGUMENT"),
        ("CreateCheckpoint", {"experiment_id": NOWHERE}, "NOT_FOUND"),
        ("ListCheckpoints", {"experiment_id": NOWHERE}, "NOT_FOUND"),
        ("GetCheckpoint", {"experiment_id": NOWHERE, "epoch": 1}, "NOT_FOUND"),
        ("CreateCheckpoint", {"experiment_id": NOWHERE, "epoch": 2**64 - 1}, "INVALID_ARGUMENT"),
        ("CreateModel", {}, "INVALID_ARGUMENT"),
        ("CreateModelVersion", {"version": "1"}, "INVALID_ARGUMENT"),
        ("CreateModelVersion", {"version": "1", "model": NOWHERE}, "NOT_FOUND"),
        ("ListModelVersions", {"model": NOWHERE}, "NOT_FOUND"),
        ("ListArtifacts", {"parent_id": NOWHERE}, "NOT_FOUND"),
        ("LogEvent", {"parent_id": NOWHERE, "event": EVENT}, "NOT_FOUND"),
        ("LogEvent", {"parent_id": NOWHERE, "event": message("Event")(name="no source")}, "INVALID_ARGUMENT"),
        ("ListEvents", {"parent_id": NOWHERE}, "NOT_FOUND"),
        ("TrackArtifacts", {"files": [message("FileMetadata")(parent_id=NOWHERE, path="x")]}, "NOT_FOUND"),
        ("UpdateMetadata", {"parent_id": NOWHERE}, "NOT_FOUND"),
        ("ListMetadata", {"parent_id": NOWHERE}, "NOT_FOUND"),
        ("LogMetrics", {"parent_id": NOWHERE, "key": "k", "value": value(f_val=1)}, "NOT_FOUND"),
        ("LogMetrics", {"parent_id": NOWHERE, "key": "k"}, "INVALID_ARGUMENT"),
        ("LogMetrics", {"parent_id": NOWHERE, "key": "k", "value": value(2**64 - 1, f_val=1)}, "INVALID_ARGUMENT"),
        ("LogMetrics", {"parent_id": NOWHERE, "key": "k", "value": value(0, 2**64 - 1, f_val=1)}, "INVALID_ARGUMENT"),
        ("GetMetrics", {"parent_id": NOWHERE}, "NOT_FOUND"),
        ("LogEvent", {"parent_id": NOWHERE}, "INVALID_ARGUMENT"),
        ("ListEvents", {"since": message("Timestamp")(seconds=2**62)}, "INVALID_ARGUMENT"),
        ("TrackArtifacts", {"files": [message("FileMetadata")(path="x")]}, "INVALID_ARGUMENT"),
        ("TrackArtifacts", {"files": [message("FileMetadata")(parent_id=NOWHERE)]}, "INVALID_ARGUMENT"),
        ("DownloadFile", {"file_id": NOWHERE}, "NOT_FOUND"),
        ("DownloadFile", {"file_id": "../../etc/passwd"}, "NOT_FOUND"),
        ("WatchNamespace", {"namespace": "a//b"}, "INVALID_ARGUMENT"),
        ("CreateActions", {"name": "x", "object_id": NOWHERE}, "NOT_FOUND"),
        ("ListActions", {"object_id": NOWHERE}, "NOT_FOUND"),
        ("RegisterAgent", {"agent_name": "a", "node_info": message("NodeInfo")(ip_addr="10.0.0.1")}, "INVALID_ARGUMENT"),
        ("Heartbeat", {"node_id": NOWHERE}, "NOT_FOUND"),
        ("UpdateActionStatus", {"action_instance_id": NOWHERE, "status": 2}, "NOT_FOUND"),
        ("UpdateActionStatus", {"action_instance_id": NOWHERE, "status": 7}, "INVALID_ARGUMENT"),
        ("UpdateActionStatus", {"action_instance_id": NOWHERE, "status": 3, "outcome": 7}, "INVALID_ARGUMENT"),
    ],
)
def test_a_mistake_is_a_status_and_a_sentence(rpc: Caller, name: str, fields: dict[str, Any], code: str) -> None:
    found, detail = refused(lambda: rpc(name, **fields))
    assert found == code, detail
    assert detail.endswith(".")


@pytest.mark.parametrize("name", NEEDED)
def test_a_request_with_nothing_in_it_is_refused_by_the_name_of_what_it_lacks(rpc: Caller, name: str) -> None:
    code, detail = refused(lambda: rpc(name))
    assert code == "INVALID_ARGUMENT"
    assert detail.startswith(f"{NEEDED[name][0]} is empty")


def test_random_bytes_never_end_in_an_internal_error(channel: grpc.Channel) -> None:
    allowed = {
        "OK",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "UNIMPLEMENTED",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
    }
    chance = random.Random(7)  # noqa: S311  (not a secret)
    for _ in range(300):
        service = chance.choice(list(SERVICES))
        name = chance.choice([name for name in SERVICES[service] if name != "WatchNamespace"])
        stub = channel.unary_unary(f"/modelbox.{service}/{name}")
        length = chance.choice([0, 1, 3, 10, 60])
        call = stub.future(chance.randbytes(length), timeout=60)
        assert call.code().name in allowed, (name, call.code(), call.details())


def test_every_method_needs_a_credential(call_over: Callable[..., Caller]) -> None:
    with live_server() as strict, grpc.insecure_channel(f"127.0.0.1:{strict.port}") as channel:
        nobody = call_over(channel)
        wrong = call_over(channel, metadata=[("authorization", "Bearer wrong")])
        right = call_over(channel, metadata=[("authorization", f"Bearer {strict.token}")])
        for rpcs in SERVICES.values():
            for name, method in rpcs.items():
                sent = [[]] if method.takes_stream else []
                assert refused(lambda name=name, sent=sent: nobody(name, *sent))[0] == "UNAUTHENTICATED", name
        assert refused(lambda: wrong("ListExperiments"))[0] == "UNAUTHENTICATED"
        assert len(right("ListExperiments").experiments) == 0


def test_the_mark_of_a_proxy_needs_a_credential(channel: grpc.Channel, call_over: Callable[..., Caller]) -> None:
    behind = call_over(channel, metadata=[("x-forwarded-for", "10.0.0.7")])
    assert refused(lambda: behind("ListExperiments"))[0] == "UNAUTHENTICATED"


def test_who_did_it_is_in_the_log_of_changes(rpc: Caller, server: LiveServer) -> None:
    made = rpc("CreateExperiment", name="by whom", namespace="audit").experiment_id
    (event,) = ApiClient(server.url, server.headers).api("GET", f"/changes?object_id={made}").json["items"]
    assert event["face"] == "grpc"
    assert event["actor"]


def test_every_error_class_has_a_status_of_grpc() -> None:
    def walk(cls: type[ModelBoxError]) -> list[type[ModelBoxError]]:
        return [cls, *(below for child in cls.__subclasses__() for below in walk(child))]

    assert all(hasattr(grpc.StatusCode, cls.grpc_code) for cls in walk(ModelBoxError))


def test_points_of_many_callers_at_once_are_all_stored_and_a_wrong_one_is_refused_alone(rpc: Caller, channel: grpc.Channel) -> None:
    experiment = rpc("CreateExperiment", name="many at once").experiment_id
    request, answer = message("LogMetricsRequest"), message("LogMetricsResponse")
    stub = channel.unary_unary("/modelbox.ModelStore/LogMetrics", request.SerializeToString, answer.FromString)
    asked = []
    for step in range(400):
        parent = NOWHERE if step % 40 == 7 else experiment
        one = {"s_tensor": f"é{step}"} if step % 4 == 1 else {"b_tensor": bytes([step % 256])} if step % 4 == 2 else {"f_val": step}
        key = f"{next(iter(one))} {step % 3}"
        asked.append((step, stub.future(request(parent_id=parent, key=key, value=value(step, step, **one)), timeout=60)))
    codes = {step: future.code().name for step, future in asked}
    assert {code for step, code in codes.items() if step % 40 == 7} == {"NOT_FOUND"}
    assert {code for step, code in codes.items() if step % 40 != 7} == {"OK"}
    found = [point for series in rpc("GetMetrics", parent_id=experiment).metrics for point in series.values]
    assert sorted(point.step for point in found) == [step for step in range(400) if step % 40 != 7]
    assert all(point.s_tensor == f"é{point.step}" for point in found if point.WhichOneof("value") == "s_tensor")
    assert all(point.f_val == point.step for point in found if point.WhichOneof("value") == "f_val")
