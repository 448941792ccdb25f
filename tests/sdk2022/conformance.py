"""What the wire of 2022 promises, one function per promise, over stubs that protoc made from our file: ``conformance.py ADDRESS``.

It prints one JSON document: the name of each check, and ``ok`` or what went wrong. The stubs are in the folder that it is run
in. The SDK of 2022 cannot say all of this: it loses the kind of a metric's value, never sends metadata with a model, knows no actions.
"""

import hashlib
import json
import math
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

address = sys.argv[1]
sys.path.insert(0, str(Path.cwd()))
import modelbox_pb2 as pb  # noqa: E402
import modelbox_pb2_grpc as rpcs  # noqa: E402

NOWHERE = "0" * 40
HUGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
Check = Callable[[Any], None]
CHECKS: list[Check] = []
code = grpc.StatusCode


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def refused(call: Callable[[], Any], *codes: grpc.StatusCode) -> str:
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as error:
        found, detail = error.code(), str(error.details())
    else:
        found, detail = code.OK, ""
    assert found in codes, (found, detail)
    assert detail.endswith("."), detail
    return detail


def namespace() -> str:
    return f"équipe/{uuid.uuid4().hex[:12]}"


def experiment(box: Any, name: str = "e", where: str = "") -> str:
    return str(box.CreateExperiment(pb.CreateExperimentRequest(name=name, namespace=where or namespace())).experiment_id)


def model(box: Any, name: str = "m", where: str = "") -> str:
    return str(box.CreateModel(pb.CreateModelRequest(name=name, namespace=where or namespace())).id)


def metadata(**values: Any) -> Any:
    made = pb.Metadata()
    for key, value in values.items():
        if isinstance(value, str):
            made.metadata[key].string_value = value
        else:
            made.metadata[key].number_value = value
    return made


def log(box: Any, parent: str, key: str, step: int = 0, at: int = 0, **value: Any) -> None:
    box.LogMetrics(pb.LogMetricsRequest(parent_id=parent, key=key, value=pb.MetricsValue(step=step, wallclock_time=at, **value)))


def points(box: Any, parent: str) -> dict[str, list[Any]]:
    return {one.key: list(one.values) for one in box.GetMetrics(pb.GetMetricsRequest(parent_id=parent)).metrics}


def event(box: Any, parent: str, name: str, at: float = 1.0, source: str = "trainer", **values: Any) -> None:
    stamp = Timestamp(seconds=int(at), nanos=int(at % 1 * 1e9))
    made = pb.Event(name=name, source=pb.EventSource(name=source), wallclock_time=stamp, metadata=metadata(**values))
    box.LogEvent(pb.LogEventRequest(parent_id=parent, event=made))


def events(box: Any, parent: str, **fields: Any) -> list[Any]:
    return list(box.ListEvents(pb.ListEventsRequest(parent_id=parent, **fields)).events)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def frames(parent: str, content: bytes, size: int = 1024, **fields: Any) -> Iterator[Any]:
    yield pb.UploadFileRequest(metadata=pb.FileMetadata(parent_id=parent, **{"path": "/home/me/w.bin", **fields}))
    for start in range(0, len(content), size):
        yield pb.UploadFileRequest(chunks=content[start : start + size])


def upload(box: Any, parent: str, content: bytes, size: int = 1024, **fields: Any) -> str:
    return str(box.UploadFile(frames(parent, content, size, **fields)).file_id)


def download(box: Any, file_id: str) -> tuple[Any, bytes]:
    first, *rest = box.DownloadFile(pb.DownloadFileRequest(file_id=file_id))
    assert first.WhichOneof("stream_frame") == "metadata"
    assert all(one.WhichOneof("stream_frame") == "chunks" for one in rest)
    return first.metadata, b"".join(one.chunks for one in rest)


def files(box: Any, parent: str) -> list[Any]:
    return list(box.ListArtifacts(pb.ListArtifactsRequest(parent_id=parent)).files)


# --- ids ---------------------------------------------------------------------------------------------------------------------------------


@check
def golden_ids(box: Any) -> None:
    made = experiment(box, "wav2vec", "langtech")
    assert made == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
    checkpoint = box.CreateCheckpoint(pb.CreateCheckpointRequest(experiment_id=made, epoch=1)).checkpoint_id
    assert checkpoint == "97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38"
    asr = model(box, "asr_en", "langtech")
    assert asr == "93b7cf0bec10ff6d500a9273bc34ab7eff02eeca"
    version = box.CreateModelVersion(pb.CreateModelVersionRequest(model=asr, version="1", name="asr_en_july")).model_version
    assert version == "0ae662556996e18f364a41b82cd1a4e043062687"
    zeros = {"path": "test_artifact.txt", "checksum": "0019d23bef56a136a1891211d7007f6f"}
    tracked = [pb.FileMetadata(parent_id=made, **zeros), pb.FileMetadata(parent_id=asr, file_type=pb.TEXT, **zeros)]
    assert box.TrackArtifacts(pb.TrackArtifactsRequest(files=tracked)).num_files_tracked == 2
    assert [one.id for one in files(box, made)] == ["3732697ec8c3808753130b69197b6289e88b4c96"]
    assert [one.id for one in files(box, asr)] == ["c0591638c4a3111bfbf84324761cad0de56592ec"]


@check
def uploading_what_is_tracked_under_the_same_id_keeps_the_bytes(box: Any) -> None:
    parent, content = experiment(box), b"\0" * 1000
    file = pb.FileMetadata(parent_id=parent, path="/nowhere/w.bin", checksum=md5(content))
    box.TrackArtifacts(pb.TrackArtifactsRequest(files=[file]))
    assert download(box, upload(box, parent, content))[1] == content


@check
def an_experiment_and_a_model_of_one_name_are_two(box: Any) -> None:
    where = namespace()
    ids = [experiment(box, "same", where), model(box, "same", where)]
    assert ids[0] != ids[1]
    box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=ids[0], metadata=metadata(a=1)))
    assert not box.ListMetadata(pb.ListMetadataRequest(parent_id=ids[1])).metadata


@check
def names_that_are_one_text_when_joined_are_two(box: Any) -> None:
    ids = {
        box.CreateExperiment(pb.CreateExperimentRequest(name=name, namespace=where)).experiment_id
        for name, where in (("ab", "c"), ("a", "bc"))
    }
    assert len(ids) == 2


# --- experiments and checkpoints ---------------------------------------------------------------------------------------------------------


@check
def an_experiment_comes_back_as_it_was_created(box: Any) -> None:
    where = namespace()
    fields = {"name": "é" * 512, "owner": "a.very.long.owner.name@an.even.longer.company.example", "external_id": "x" * 500, "framework": 2}
    made = box.CreateExperiment(pb.CreateExperimentRequest(namespace=where, task="asr", metadata=metadata(lr=0.5), **fields))
    assert not made.experiment_exists
    assert made.created_at.seconds == made.updated_at.seconds > 1_700_000_000
    (listed,) = box.ListExperiments(pb.ListExperimentsRequest(namespace=where)).experiments
    got = box.GetExperiment(pb.GetExperimentRequest(id=made.experiment_id)).experiment
    assert listed == got
    assert {name: getattr(got, name) for name in fields} == fields
    assert (got.namespace, got.created_at) == (where, made.created_at)
    assert box.ListMetadata(pb.ListMetadataRequest(parent_id=got.id)).metadata["lr"].number_value == 0.5


@check
def creating_twice_changes_nothing_and_says_so(box: Any) -> None:
    where = namespace()
    first = box.CreateExperiment(pb.CreateExperimentRequest(name="e", owner="a", namespace=where))
    again = box.CreateExperiment(pb.CreateExperimentRequest(name="e", owner="b", namespace=where))
    assert (again.experiment_id, again.experiment_exists, again.created_at) == (first.experiment_id, True, first.created_at)
    assert [one.owner for one in box.ListExperiments(pb.ListExperimentsRequest(namespace=where)).experiments] == ["a"]


@check
def many_creators_at_once_make_one(box: Any) -> None:
    where = namespace()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: box.CreateExperiment(pb.CreateExperimentRequest(name="e", namespace=where)), range(24)))
    assert len({one.experiment_id for one in made}) == 1
    assert sum(not one.experiment_exists for one in made) == 1
    assert len(box.ListExperiments(pb.ListExperimentsRequest(namespace=where)).experiments) == 1


@check
def a_namespace_is_matched_exactly_and_an_empty_one_is_the_default(box: Any) -> None:
    where = namespace()
    for name in (where, f"{where}/below", f"{where}2"):
        experiment(box, "e", name)
    assert len(box.ListExperiments(pb.ListExperimentsRequest(namespace=where)).experiments) == 1
    assert len(box.ListExperiments(pb.ListExperimentsRequest(namespace=namespace())).experiments) == 0
    made = box.CreateExperiment(pb.CreateExperimentRequest(name=uuid.uuid4().hex)).experiment_id
    assert made in {one.id for one in box.ListExperiments(pb.ListExperimentsRequest(namespace="default")).experiments}


@check
def lists_are_whole(box: Any) -> None:
    where = namespace()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: experiment(box, f"e{number}", where), range(120)))
    assert len(box.ListExperiments(pb.ListExperimentsRequest(namespace=where)).experiments) == 120


@check
def checkpoints_keep_metrics_times_and_files_and_come_by_epoch(box: Any) -> None:
    parent = experiment(box)
    for epoch in (10, 9, 2**40):
        file = pb.FileMetadata(path=f"/nfs/{epoch}.ckpt", file_type=pb.CHECKPOINT)
        fields = {"metrics": {"loss": 0.5, "val/é": math.inf}, "files": [file], "metadata": metadata(k="v")}
        ids = {box.CreateCheckpoint(pb.CreateCheckpointRequest(experiment_id=parent, epoch=epoch, **fields)).checkpoint_id for _ in "12"}
        assert len(ids) == 1
    found = box.ListCheckpoints(pb.ListCheckpointsRequest(experiment_id=parent)).checkpoints
    assert [one.epoch for one in found] == [9, 10, 2**40]
    assert all(dict(one.metrics) == {"loss": 0.5, "val/é": math.inf} and one.created_at.seconds for one in found)
    assert [(file.path, file.file_type, file.parent_id) for file in found[0].files] == [("/nfs/9.ckpt", 2, found[0].id)]
    got = box.GetCheckpoint(pb.GetCheckpointRequest(experiment_id=parent, epoch=10)).checkpoint
    assert got == found[1]
    assert box.ListMetadata(pb.ListMetadataRequest(parent_id=got.id)).metadata["k"].string_value == "v"
    refused(lambda: box.GetCheckpoint(pb.GetCheckpointRequest(experiment_id=parent, epoch=11)), code.NOT_FOUND)


# --- models and versions -----------------------------------------------------------------------------------------------------------------


@check
def a_model_comes_back_as_it_was_created(box: Any) -> None:
    where = namespace()
    fields = {"name": "m", "owner": "o@x.org", "task": "t" * 300, "description": "long\n" * 500}
    file = pb.FileMetadata(path="/nfs/a.png", file_type=pb.IMAGE, checksum=md5(b"a"))
    made = box.CreateModel(pb.CreateModelRequest(namespace=where, metadata=metadata(k=1), files=[file], **fields))
    assert made.created_at.seconds > 1_700_000_000
    (got,) = box.ListModels(pb.ListModelsRequest(namespace=where)).models
    assert {name: getattr(got, name) for name in fields} == fields
    assert (got.id, got.created_at) == (made.id, made.created_at)
    assert [(one.path, one.file_type, one.parent_id, one.checksum) for one in got.files] == [("/nfs/a.png", 4, made.id, md5(b"a"))]
    assert box.ListMetadata(pb.ListMetadataRequest(parent_id=made.id)).metadata["k"].number_value == 1


@check
def versions_are_listed_with_everything(box: Any) -> None:
    parent = model(box)
    fields = {"name": "july", "version": "1.0.0-rc.1+build.5", "description": "d", "framework": 1, "unique_tags": ["prod", "β"]}
    file = pb.FileMetadata(path="/nfs/a.pt", file_type=pb.MODEL)
    first = box.CreateModelVersion(pb.CreateModelVersionRequest(model=parent, metadata=metadata(k="v"), files=[file], **fields))
    box.CreateModelVersion(pb.CreateModelVersionRequest(model=parent, version="2"))
    found = {one.version: one for one in box.ListModelVersions(pb.ListModelVersionsRequest(model=parent)).models}
    assert found.keys() == {fields["version"], "2"}
    got = found[str(fields["version"])]
    assert (got.name, got.description, got.framework, sorted(got.unique_tags)) == ("july", "d", 1, ["prod", "β"])
    assert (got.id, got.model_id, got.created_at) == (first.model_version, parent, first.created_at)
    assert got.metadata.metadata["k"].string_value == "v"
    assert [(one.path, one.parent_id) for one in got.files] == [("/nfs/a.pt", got.id)]


@check
def a_tag_belongs_to_one_version_of_a_model(box: Any) -> None:
    parent = model(box)
    box.CreateModelVersion(pb.CreateModelVersionRequest(model=parent, version="1", unique_tags=["prod"]))
    taken = pb.CreateModelVersionRequest(model=parent, version="2", unique_tags=["prod"])
    refused(lambda: box.CreateModelVersion(taken), code.ALREADY_EXISTS)
    assert len(box.ListModelVersions(pb.ListModelVersionsRequest(model=parent)).models) == 1
    box.CreateModelVersion(pb.CreateModelVersionRequest(model=model(box), version="2", unique_tags=["prod"]))


@check
def the_same_version_again_is_the_same(box: Any) -> None:
    parent = model(box)
    asked = pb.CreateModelVersionRequest(model=parent, version="1", name="n")
    assert len({box.CreateModelVersion(asked).model_version for _ in range(3)}) == 1
    assert len(box.ListModelVersions(pb.ListModelVersionsRequest(model=parent)).models) == 1


# --- metadata ----------------------------------------------------------------------------------------------------------------------------


@check
def metadata_is_kept_by_key(box: Any) -> None:
    parent = experiment(box)
    first = box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=parent, metadata=metadata(a=1, b="x")))
    assert (first.num_keys_written, first.updated_at.seconds > 1_700_000_000) == (2, True)
    box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=parent, metadata=metadata(b=2, c=3)))
    found = box.ListMetadata(pb.ListMetadataRequest(parent_id=parent)).metadata
    assert {key: value.number_value for key, value in found.items()} == {"a": 1, "b": 2, "c": 3}


@check
def metadata_of_every_kind_comes_back(box: Any) -> None:
    parent, sent = experiment(box), pb.Metadata()
    sent.metadata["null"].null_value = 0
    sent.metadata["no"].bool_value = False
    sent.metadata["empty"].string_value = ""
    sent.metadata["nan"].number_value = -math.inf
    sent.metadata["large"].number_value = 2.0**70
    sent.metadata["list"].list_value.values.add().struct_value.fields["x"].number_value = 0.5
    sent.metadata["empty struct"].struct_value.SetInParent()
    sent.metadata["a/b é"].string_value = "x" * 100_000
    box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=parent, metadata=sent))
    assert dict(box.ListMetadata(pb.ListMetadataRequest(parent_id=parent)).metadata) == dict(sent.metadata)


@check
def many_writers_of_metadata_lose_nothing(box: Any) -> None:
    parent = experiment(box)
    with ThreadPoolExecutor(8) as pool:
        asked = [pb.UpdateMetadataRequest(parent_id=parent, metadata=metadata(**{f"k{n}": n})) for n in range(64)]
        list(pool.map(box.UpdateMetadata, asked))
    assert len(box.ListMetadata(pb.ListMetadataRequest(parent_id=parent)).metadata) == 64


# --- metrics -----------------------------------------------------------------------------------------------------------------------------


@check
def values_of_all_three_kinds_come_back(box: Any) -> None:
    parent = experiment(box)
    log(box, parent, "f", 1, 2, f_val=0.1)
    log(box, parent, "s", 1, 2, s_tensor="héllo")
    log(box, parent, "b", 1, 2, b_tensor=bytes(range(256)))
    log(box, parent, "empty", 1, 2, s_tensor="")
    found = points(box, parent)
    assert math.isclose(found["f"][0].f_val, 0.1, rel_tol=1e-7)
    assert (found["s"][0].s_tensor, found["b"][0].b_tensor) == ("héllo", bytes(range(256)))
    assert found["empty"][0].WhichOneof("value") == "s_tensor"
    assert all((one.step, one.wallclock_time) == (1, 2) for values in found.values() for one in values)


@check
def points_come_by_step_then_by_clock_and_repeats_are_kept(box: Any) -> None:
    parent = experiment(box)
    for step, at, value in ((5, 1, 0.0), (1, 9, 1.0), (5, 0, 2.0), (1, 9, 1.0), (2**62, 3, 4.0)):
        log(box, parent, "k", step, at, f_val=value)
    found = [(one.step, one.wallclock_time, one.f_val) for one in points(box, parent)["k"]]
    assert found == [(1, 9, 1.0), (1, 9, 1.0), (5, 0, 2.0), (5, 1, 0.0), (2**62, 3, 4.0)]


@check
def no_number_is_no_value(box: Any) -> None:
    parent = experiment(box)
    for step, value in enumerate((math.nan, math.inf, -math.inf, -0.0)):
        log(box, parent, "k", step, f_val=value)
    found = [one.f_val for one in points(box, parent)["k"]]
    assert math.isnan(found[0])
    assert found[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, found[3]) == -1


@check
def a_point_without_value_is_refused_and_the_server_lives(box: Any) -> None:
    parent = experiment(box)
    refused(lambda: box.LogMetrics(pb.LogMetricsRequest(parent_id=parent, key="k")), code.INVALID_ARGUMENT)
    refused(lambda: log(box, parent, "k"), code.INVALID_ARGUMENT)
    refused(lambda: log(box, parent, "k", 2**64 - 1, f_val=1), code.INVALID_ARGUMENT)
    refused(lambda: log(box, parent, "", f_val=1), code.INVALID_ARGUMENT)
    log(box, parent, "k", f_val=1)
    assert len(points(box, parent)["k"]) == 1


@check
def metrics_hang_on_every_kind_of_object(box: Any) -> None:
    made = experiment(box)
    checkpoint = box.CreateCheckpoint(pb.CreateCheckpointRequest(experiment_id=made, epoch=1)).checkpoint_id
    asr = model(box)
    version = box.CreateModelVersion(pb.CreateModelVersionRequest(model=asr, version="1")).model_version
    for number, parent in enumerate((made, checkpoint, asr, version)):
        log(box, parent, "k", f_val=number)
        assert [one.f_val for one in points(box, parent)["k"]] == [number]
        assert points(box, parent).keys() == {"k"}


@check
def many_writers_of_points_lose_and_double_nothing(box: Any) -> None:
    parent = experiment(box)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda step: log(box, parent, f"k{step % 3}", step, f_val=step), range(600)))
    found = points(box, parent)
    assert sorted(one.step for values in found.values() for one in values) == list(range(600))
    assert all(one.step == one.f_val for values in found.values() for one in values)


@check
def messages_above_four_mebibytes_pass_both_ways(box: Any) -> None:
    parent = experiment(box)
    big = bytes(range(256)) * (6 << 12)
    log(box, parent, "big", b_tensor=big)
    assert points(box, parent)["big"][0].b_tensor == big


# --- events ------------------------------------------------------------------------------------------------------------------------------


@check
def events_keep_source_clock_and_metadata_in_order(box: Any) -> None:
    first, second = experiment(box), experiment(box)
    for at in (30, 10.5, 20):
        event(box, first, f"e{at}", at, number=at)
        event(box, second, "other", at)
    found = events(box, first)
    assert [(one.name, one.source.name, one.metadata.metadata["number"].number_value) for one in found] == [
        ("e10.5", "trainer", 10.5),
        ("e20", "trainer", 20),
        ("e30", "trainer", 30),
    ]
    assert (found[0].wallclock_time.seconds, found[0].wallclock_time.nanos) == (10, 500_000_000)
    assert len(events(box, second)) == 3
    assert [one.name for one in events(box, first, since=Timestamp(seconds=20))] == ["e20", "e30"]


@check
def events_of_one_second_are_all_kept_and_the_same_is_kept_once(box: Any) -> None:
    parent = experiment(box)
    for number in (1, 2, 2):
        event(box, parent, "e", 5, number=number)
    assert sorted(one.metadata.metadata["number"].number_value for one in events(box, parent)) == [1, 2]


@check
def an_event_without_clock_happens_now(box: Any) -> None:
    parent = experiment(box)
    box.LogEvent(pb.LogEventRequest(parent_id=parent, event=pb.Event(name="e", source=pb.EventSource(name="s"))))
    assert abs(events(box, parent)[0].wallclock_time.seconds - time.time()) < 3600


# --- files -------------------------------------------------------------------------------------------------------------------------------


@check
def files_of_every_type_come_back_with_type_and_checksum(box: Any) -> None:
    parent = experiment(box)
    for number in range(7):
        content = bytes([number]) * (number * 5000)
        uploaded = upload(box, parent, content, file_type=number, checksum=md5(content))
        found, got = download(box, uploaded)
        assert (got, found.file_type, found.checksum, found.parent_id) == (content, number, md5(content), parent)
    tracked = [pb.FileMetadata(parent_id=parent, path=f"/t/{number}", file_type=number) for number in range(7)]
    box.TrackArtifacts(pb.TrackArtifactsRequest(files=tracked))
    assert {one.path: one.file_type for one in files(box, parent) if one.path.startswith("/t/")} == {f"/t/{n}": n for n in range(7)}


@check
def large_files_pass_in_frames_of_any_size(box: Any) -> None:
    parent = model(box)
    for size, length in ((1 << 10, 3 << 20), (1_024_000, 9 << 20), (7 << 20, 20 << 20)):
        content = bytes(range(256)) * (length >> 8)
        assert download(box, upload(box, parent, content, size, checksum=md5(content), path=f"{size}"))[1] == content


@check
def a_file_that_is_uploaded_again_is_whole(box: Any) -> None:
    parent, content = experiment(box), b"weights" * 10_000
    ids = {upload(box, parent, content) for _ in range(3)}
    assert len(ids) == 1
    assert download(box, ids.pop())[1] == content
    assert len(files(box, parent)) == 1


@check
def a_wrong_checksum_and_a_broken_upload_leave_nothing(box: Any) -> None:
    parent = experiment(box)
    refused(lambda: upload(box, parent, b"x", checksum="0" * 32), code.DATA_LOSS)

    def broken() -> Iterator[Any]:
        yield from frames(parent, b"x" * 100_000)
        raise OSError("the network went away")

    with suppress(grpc.RpcError):
        box.UploadFile(broken())
    assert files(box, parent) == []


@check
def frames_out_of_order_are_refused(box: Any) -> None:
    parent = experiment(box)
    head, *rest = frames(parent, b"x" * 3000)
    for sent in ([], rest, [head, head], [*rest, head]):
        refused(lambda sent=sent: box.UploadFile(iter(sent)), code.INVALID_ARGUMENT)


@check
def a_tracked_file_is_never_opened(box: Any) -> None:
    parent = experiment(box)
    for path in (__file__, "/etc/passwd", "s3://bucket/key", "../../etc/passwd"):
        box.TrackArtifacts(pb.TrackArtifactsRequest(files=[pb.FileMetadata(parent_id=parent, path=path)]))
    assert len(files(box, parent)) == 4
    for one in files(box, parent):
        assert "root" not in refused(lambda one=one: box.DownloadFile(pb.DownloadFileRequest(file_id=one.id)), code.FAILED_PRECONDITION)


@check
def tracking_is_all_or_nothing(box: Any) -> None:
    parent = experiment(box)
    for wrong in (pb.FileMetadata(parent_id=NOWHERE, path="x"), pb.FileMetadata(path="x"), pb.FileMetadata(parent_id=parent)):
        asked = pb.TrackArtifactsRequest(files=[pb.FileMetadata(parent_id=parent, path="/a"), wrong])
        refused(lambda asked=asked: box.TrackArtifacts(asked), code.NOT_FOUND, code.INVALID_ARGUMENT)
    assert files(box, parent) == []


# --- watching ----------------------------------------------------------------------------------------------------------------------------


class Watcher:
    """Collects what a stream of changes says, and when."""

    def __init__(self, box: Any, where: str, since: int = 0) -> None:
        self.stream = box.WatchNamespace(pb.WatchNamespaceRequest(namespace=where, since=since))
        self.seen: list[tuple[float, Any]] = []
        self.more = threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        try:
            for one in self.stream:
                with self.more:
                    self.seen.append((time.monotonic(), one))
                    self.more.notify_all()
        except grpc.RpcError:
            pass

    def first(self, count: int) -> list[tuple[float, int, str, str]]:
        with self.more:
            assert self.more.wait_for(lambda: len(self.seen) >= count, 30), [str(one) for _, one in self.seen]
            return [
                (at, one.event, *(one.payload.struct_value.fields[key].string_value for key in ("ObjectType", "Id")))
                for at, one in self.seen
            ]


@check
def a_watcher_sees_every_kind_of_change_and_soon(box: Any) -> None:
    where = namespace()
    parent = experiment(box, "e", where)
    watcher = Watcher(box, where)
    watcher.first(1)
    experiment(box, "elsewhere", namespace())
    latencies = []
    changes: list[tuple[int, str, Callable[[], Any]]] = [
        (1, "model", lambda: model(box, "m", where)),
        (2, "experiment", lambda: box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=parent, metadata=metadata(a=1)))),
        (1, "checkpoint", lambda: box.CreateCheckpoint(pb.CreateCheckpointRequest(experiment_id=parent, epoch=1))),
        (1, "event", lambda: event(box, parent, "e")),
        (4, "artifact", lambda: upload(box, parent, b"x")),
        (5, "artifact", lambda: download(box, files(box, parent)[0].id)),
        (1, "model_version", lambda: box.CreateModelVersion(pb.CreateModelVersionRequest(model=model(box, "m", where), version="1"))),
        (1, "action", lambda: box.CreateActions(pb.CreateActionRequest(name="a", object_id=parent))),
    ]
    for number, (kind, what, change) in enumerate(changes, 2):
        change()
        done = time.monotonic()
        seen = watcher.first(number)[number - 1]
        assert seen[1:3] == (kind, what), (seen, kind, what)
        latencies.append(seen[0] - done)
    watcher.stream.cancel()
    # On a machine that is busy with other things one of them may be late.
    assert sorted(latencies)[len(latencies) // 2] < 1, latencies


@check
def since_leaves_out_what_was_before(box: Any) -> None:
    where = namespace()
    experiment(box, "before", where)
    time.sleep(1.1)
    since = int(time.time())
    made = experiment(box, "after", where)
    watcher = Watcher(box, where, since)
    assert [seen[3] for seen in watcher.first(1)] == [made]
    watcher.stream.cancel()


@check
def a_watcher_says_what_was_created(box: Any) -> None:
    where = namespace()
    fields = {"name": "e", "owner": "o", "namespace": where, "external_id": "x"}
    made = box.CreateExperiment(pb.CreateExperimentRequest(**fields)).experiment_id
    watcher = Watcher(box, where)
    watcher.first(1)
    payload = watcher.seen[0][1].payload.struct_value.fields
    watcher.stream.cancel()
    assert {key: payload[key].string_value for key in ("Id", "Name", "Owner", "Namespace", "ExternalId")} == {
        "Id": made,
        "Name": "e",
        "Owner": "o",
        "Namespace": where,
        "ExternalId": "x",
    }


# --- actions, members, mistakes ----------------------------------------------------------------------------------------------------------


@check
def an_agent_completes_an_action(box: Any) -> None:
    parent, name = model(box), uuid.uuid4().hex
    node = pb.NodeInfo(host_name="h", ip_addr="10.0.0.1", arch="arm64")
    agents = {box.RegisterAgent(pb.RegisterAgentRequest(node_info=node, agent_name=name)).node_id for _ in range(2)}
    assert len(agents) == 1
    box.Heartbeat(pb.HeartbeatRequest(node_id=agents.pop()))
    asked = pb.CreateActionRequest(name=name, object_id=parent, arch="arm64", params={"n": Value(number_value=8)})
    for _ in range(2):
        box.CreateActions(asked)
    (waiting,) = box.GetRunnableActionInstances(pb.GetRunnableActionInstancesRequest(action_name=name, arch="arm64")).instances
    assert (waiting.command, waiting.params["n"].number_value) == (name, 8)
    box.UpdateActionStatus(pb.UpdateActionStatusRequest(action_instance_id=waiting.id, status=2))
    box.UpdateActionStatus(pb.UpdateActionStatusRequest(action_instance_id=waiting.id, status=3, outcome=1, outcome_reason="fine"))
    backwards = pb.UpdateActionStatusRequest(action_instance_id=waiting.id, status=2)
    refused(lambda: box.UpdateActionStatus(backwards), code.FAILED_PRECONDITION)
    (action,) = box.ListActions(pb.ListActionsRequest(object_id=parent)).actions
    assert [(one.status, one.outcome, one.reason) for one in action.states] == [(3, 1, "fine")]


@check
def the_server_is_a_member(box: Any) -> None:
    members = box.GetClusterMembers(pb.GetClusterMembersRequest()).members
    assert len(members) == 1
    assert members[0].id
    assert members[0].rpc_addr


@check
def what_is_not_there_is_not_found(box: Any) -> None:
    file = pb.FileMetadata(parent_id=NOWHERE, path="x")
    calls = [
        lambda: box.GetExperiment(pb.GetExperimentRequest(id=NOWHERE)),
        lambda: box.CreateCheckpoint(pb.CreateCheckpointRequest(experiment_id=NOWHERE)),
        lambda: box.ListCheckpoints(pb.ListCheckpointsRequest(experiment_id=NOWHERE)),
        lambda: box.CreateModelVersion(pb.CreateModelVersionRequest(model=NOWHERE, version="1")),
        lambda: box.ListModelVersions(pb.ListModelVersionsRequest(model=NOWHERE)),
        lambda: box.UpdateMetadata(pb.UpdateMetadataRequest(parent_id=NOWHERE, metadata=metadata(a=1))),
        lambda: box.ListMetadata(pb.ListMetadataRequest(parent_id=NOWHERE)),
        lambda: log(box, NOWHERE, "k", f_val=1),
        lambda: points(box, NOWHERE),
        lambda: event(box, NOWHERE, "e"),
        lambda: events(box, NOWHERE),
        lambda: box.TrackArtifacts(pb.TrackArtifactsRequest(files=[file])),
        lambda: files(box, NOWHERE),
        lambda: upload(box, NOWHERE, b"x"),
        lambda: box.DownloadFile(pb.DownloadFileRequest(file_id=NOWHERE)),
        lambda: box.CreateActions(pb.CreateActionRequest(name="a", object_id=NOWHERE)),
        lambda: box.ListActions(pb.ListActionsRequest(object_id=NOWHERE)),
        lambda: box.Heartbeat(pb.HeartbeatRequest(node_id=NOWHERE)),
        lambda: box.UpdateActionStatus(pb.UpdateActionStatusRequest(action_instance_id=NOWHERE, status=2)),
    ]
    for call in calls:
        refused(call, code.NOT_FOUND)


@check
def what_lacks_a_part_is_invalid(box: Any) -> None:
    parent = experiment(box)
    calls = [
        lambda: box.CreateExperiment(pb.CreateExperimentRequest(namespace="n")),
        lambda: box.GetExperiment(pb.GetExperimentRequest()),
        lambda: box.CreateModel(pb.CreateModelRequest()),
        lambda: box.CreateModelVersion(pb.CreateModelVersionRequest(model=model(box))),
        lambda: event(box, parent, ""),
        lambda: event(box, parent, "e", source=""),
        lambda: box.LogEvent(pb.LogEventRequest(parent_id=parent)),
        lambda: box.TrackArtifacts(pb.TrackArtifactsRequest()),
        lambda: upload(box, "", b"x"),
        lambda: upload(box, parent, b"x", path=""),
        lambda: box.CreateActions(pb.CreateActionRequest(object_id=parent)),
        lambda: box.RegisterAgent(pb.RegisterAgentRequest(agent_name="a")),
        lambda: box.Heartbeat(pb.HeartbeatRequest()),
    ]
    for call in calls:
        refused(call, code.INVALID_ARGUMENT)


@check
def a_method_that_is_not_there_is_unimplemented(box: Any) -> None:
    call = box.channel.unary_unary("/modelbox.ModelStore/DropEverything").future(b"", timeout=60)
    assert call.code() is code.UNIMPLEMENTED


class Box:
    """Both stubs as one, with a deadline on every call."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self._stubs = (rpcs.ModelStoreStub(channel), rpcs.ModelBoxAdminStub(channel))

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        stub = next(stub for stub in self._stubs if hasattr(stub, name))
        return lambda request: getattr(stub, name)(request, timeout=60)


def main() -> None:
    results = {}
    with grpc.insecure_channel(address, HUGE) as channel:
        for one in CHECKS:
            try:
                one(Box(channel))
            except Exception as error:  # noqa: BLE001  (the next check may still hold)
                results[one.__name__] = f"{type(error).__name__}: {error}"
            else:
                results[one.__name__] = "ok"
    json.dump(results, sys.stdout)


main()
