"""One promise, two transports: whatever the client does, in process and over HTTP it is the same."""

import hashlib
import io
import math
from array import array
from collections.abc import Iterator

import pytest

from modelbox.client.address import ServerAddress, parse_address
from modelbox.client.http import HttpTransport
from modelbox.client.transport import Transport
from modelbox.entities.ids import random_id
from modelbox.entities.records import ExperimentRecord, FileType, Status
from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.entities.times import to_us
from modelbox.entities.values import json_from_wire
from modelbox.errors import BatchConflict, ChecksumMismatch, InvalidName, InvalidQuery, NoContent, NotFound, TagTaken
from modelbox.wire import routes
from modelbox.wire.messages import (
    ArtifactUploadQuery,
    CheckpointCreate,
    EventCreate,
    ExperimentCreate,
    ExperimentFrameQuery,
    ExperimentsQuery,
    ExperimentUpdate,
    MetadataDocument,
    MetricsQuery,
    ModelCreate,
    ModelVersionCreate,
    SqlRequest,
    SummariesQuery,
    TrackArtifacts,
    TrackedFile,
)
from modelbox_server.embedded import EmbeddedTransport
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import ephemeral_services

NAMESPACE = "équipe/vision"


@pytest.fixture(scope="module")
def over_http() -> Iterator[Transport]:
    with live_server() as server:
        address = parse_address(server.url)
        assert isinstance(address, ServerAddress)
        transport = HttpTransport(address, server.token)
        yield transport
        transport.close()


@pytest.fixture(scope="module")
def in_process() -> Iterator[Transport]:
    services = ephemeral_services()
    yield EmbeddedTransport(services)
    services.close()


@pytest.fixture(params=["over_http", "in_process"])
def transport(request: pytest.FixtureRequest) -> Transport:
    value: Transport = request.getfixturevalue(request.param)
    return value


@pytest.fixture
def experiment(transport: Transport) -> ExperimentRecord:
    body = ExperimentCreate(name="démo #1", namespace=NAMESPACE, id=random_id(), metadata={"params.lr": 0.1, "odd": {"$float": "NaN"}})
    return transport.call(routes.CREATE_EXPERIMENT, body=body).item


def _block(object_id: str, key: str = "val/loss @1", *values: float) -> SeriesBlock:
    return SeriesBlock(
        object_id=object_id,
        key=key,
        steps=array("q", range(len(values))),
        wall_times_us=array("q", range(len(values))),
        values=array("d", values),
    )


def test_records_come_back_as_they_were_stored(transport: Transport, experiment: ExperimentRecord) -> None:
    assert experiment.namespace == NAMESPACE
    assert transport.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment.id}) == experiment
    ended = transport.call(routes.UPDATE_EXPERIMENT, path={"experiment_id": experiment.id}, body=ExperimentUpdate(status=Status.FAILED))
    assert ended.status is Status.FAILED
    assert ended.finished_at is not None
    assert ended.name == experiment.name


def test_lists_have_pages(transport: Transport) -> None:
    namespace = f"pages/{random_id()}"
    for i in range(5):
        transport.call(routes.CREATE_EXPERIMENT, body=ExperimentCreate(name=f"run {i}", namespace=namespace))
    names: list[str] = []
    token: str | None = None
    while True:
        page = transport.call(routes.LIST_EXPERIMENTS, query=ExperimentsQuery(namespace=namespace, limit=2, page_token=token))
        names += [record.name for record in page.items]
        token = page.next_page_token
        if token is None:
            break
    assert sorted(names) == [f"run {i}" for i in range(5)]


def test_floats_that_json_has_no_word_for_come_back(transport: Transport, experiment: ExperimentRecord) -> None:
    metrics = {"nan": "NaN", "inf": "Infinity", "x": 0.5}
    body = CheckpointCreate(epoch=1, metrics=metrics)  # type: ignore[arg-type]
    made = transport.call(routes.CREATE_CHECKPOINT, path={"experiment_id": experiment.id}, body=body).item
    assert math.isnan(made.metrics["nan"])
    assert made.metrics["inf"] == math.inf
    assert type(made.metrics["x"]) is float


def test_metadata_and_events_come_back(transport: Transport, experiment: ExperimentRecord) -> None:
    path = {"object_id": experiment.id}
    transport.call(routes.UPDATE_METADATA, path=path, body=MetadataDocument(metadata={"a/b": [1, 1.0, True, None, "x"]}))
    document = transport.call(routes.GET_METADATA, path=path).metadata
    assert document == {"a/b": [1, 1.0, True, None, "x"], "params.lr": 0.1, "odd": {"$float": "NaN"}}
    assert [type(item) for item in document["a/b"]] == [int, float, bool, type(None), str]
    event = transport.call(routes.LOG_EVENT, path=path, body=EventCreate(name="epoch", source="me", id=random_id()))
    assert transport.call(routes.LIST_EVENTS, path=path).items == [event]


def test_long_metadata_comes_in_a_frame_that_asks_for_it(transport: Transport) -> None:
    body = ExperimentCreate(name="long", id=random_id(), metadata={"git.diff": "+x", "git.commit": "abc"})
    object_id = transport.call(routes.CREATE_EXPERIMENT, body=body).item.id
    for long, keys in ((False, ["git.commit"]), (True, ["git.commit", "git.diff"])):
        frame = transport.call(routes.FRAME_EXPERIMENTS, query=ExperimentFrameQuery(ids=object_id, long=long))
        assert sorted(frame.metadata.key) == keys


def test_what_a_query_shows_and_sql_selects_comes_back(transport: Transport, experiment: ExperimentRecord) -> None:
    transport.append_metrics([_block(experiment.id, "loss", math.inf, math.nan, 0.5)], client=random_id(), batch=1)
    q = "show name, created, metrics.loss.first, metrics.loss.at(1), metrics.loss.last, params.none"
    frame = transport.call(routes.FRAME_EXPERIMENTS, query=ExperimentFrameQuery(q=q, ids=experiment.id))
    assert [column.label for column in frame.shown] == [
        *("name", "created_at", "metrics.loss.first", "metrics.loss.at(1)", "metrics.loss.last", "params.none"),
    ]
    values = [json_from_wire(column.values[0]) for column in frame.shown]
    assert values[:3] == [experiment.name, to_us(experiment.created_at), math.inf]
    assert math.isnan(values[3])
    assert values[4:] == [0.5, None]

    statement = "select first, last, max, key from metrics where object_id = :id and key = 'loss'"
    result = transport.call(routes.RUN_SQL, body=SqlRequest(sql=statement, parameters={"id": experiment.id}))
    assert {column.name: json_from_wire(column.values[0]) for column in result.columns} == {
        "first": math.inf,
        "last": 0.5,
        "max": math.inf,
        "key": "loss",
    }
    with pytest.raises(InvalidQuery, match="INSERT is not allowed"):
        transport.call(routes.RUN_SQL, body=SqlRequest(sql="insert into experiments values (1)"))


def test_points_come_back_bit_exact(transport: Transport, experiment: ExperimentRecord) -> None:
    values = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308)
    text = SeriesBlock(
        object_id=experiment.id, key="note", kind=ValueKind.TEXT, steps=array("q", [1]), wall_times_us=array("q", [1]), values=["é\n"]
    )
    blob = SeriesBlock(
        object_id=experiment.id, key="blob", kind=ValueKind.BYTES, steps=array("q", [1]), wall_times_us=array("q", [1]), values=[b"\0\xff"]
    )
    blocks = [_block(experiment.id, "val/loss @1", *values), text, blob]
    result = transport.append_metrics(blocks, client=random_id(), batch=0)
    assert (result.points, result.duplicate) == (8, False)
    back = {block.key: block for block in transport.read_metrics(MetricsQuery(objects=[experiment.id]))}
    assert bytes(memoryview(back["val/loss @1"].values).cast("B")) == array("d", values).tobytes()  # type: ignore[arg-type]
    assert list(back["note"].values) == ["é\n"]  # type: ignore[arg-type]
    assert list(back["blob"].values) == [b"\0\xff"]  # type: ignore[arg-type]
    summaries = transport.call(routes.SUMMARIZE_METRICS, body=SummariesQuery(objects=[experiment.id])).series
    assert {(summary.key, summary.count) for summary in summaries} == {("val/loss @1", 6), ("note", 1), ("blob", 1)}
    assert next(summary.max for summary in summaries if summary.key == "val/loss @1") == math.inf


def test_a_batch_counts_once_and_its_number_is_taken(transport: Transport, experiment: ExperimentRecord) -> None:
    client = random_id()
    blocks = [_block(experiment.id, "loss", 1.0, 2.0)]
    assert not transport.append_metrics(blocks, client=client, batch=7).duplicate
    assert transport.append_metrics(blocks, client=client, batch=7).duplicate
    with pytest.raises(BatchConflict):
        transport.append_metrics([_block(experiment.id, "loss", 3.0)], client=client, batch=7)
    assert len(transport.read_metrics(MetricsQuery(objects=[experiment.id]))[0]) == 2


def test_a_reader_gets_only_what_is_new(transport: Transport, experiment: ExperimentRecord) -> None:
    client = random_id()
    transport.append_metrics([_block(experiment.id, "loss", 1.0, 2.0)], client=client, batch=0)
    transport.append_metrics([_block(experiment.id, "loss", 3.0)], client=client, batch=1)
    (block,) = transport.read_metrics(MetricsQuery(objects=[experiment.id], skip={experiment.id: {"loss": 2}}))
    assert memoryview(block.values).cast("B").cast("d").tolist() == [3.0]  # type: ignore[arg-type]


def test_artifacts_travel_whole(transport: Transport, experiment: ExperimentRecord) -> None:
    data = b"\0\xff" * 1_500_000
    query = ArtifactUploadQuery(name="poids/modèle.bin", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    record = transport.upload(experiment.id, query, io.BytesIO(data))
    assert (record.name, record.size_bytes, record.sha256) == ("poids/modèle.bin", len(data), query.sha256)
    assert b"".join(transport.download(record.id)) == data
    assert b"".join(transport.download(record.id, start=5, stop=9)) == data[5:9]
    assert b"".join(transport.download(record.id, start=len(data) - 3)) == data[-3:]
    assert b"".join(transport.download(record.id, start=3, stop=3)) == b""


def test_an_empty_artifact_is_one(transport: Transport, experiment: ExperimentRecord) -> None:
    record = transport.upload(experiment.id, ArtifactUploadQuery(name="empty"), io.BytesIO(b""))
    assert record.size_bytes == 0
    assert b"".join(transport.download(record.id)) == b""


def test_an_upload_starts_where_the_file_stands(transport: Transport, experiment: ExperimentRecord) -> None:
    content = io.BytesIO(b"skip this")
    content.seek(5)
    record = transport.upload(experiment.id, ArtifactUploadQuery(name="rest"), content)
    assert b"".join(transport.download(record.id)) == b"this"


def test_wrong_digests_store_nothing(transport: Transport, experiment: ExperimentRecord) -> None:
    with pytest.raises(ChecksumMismatch):
        transport.upload(experiment.id, ArtifactUploadQuery(name="x", sha256="0" * 64), io.BytesIO(b"data"))
    assert transport.call(routes.LIST_ARTIFACTS, path={"object_id": experiment.id}).items == []


def test_tracked_files_have_no_content(transport: Transport, experiment: ExperimentRecord) -> None:
    files = [TrackedFile(name="passwd", uri="/etc/passwd", file_type=FileType.TEXT)]
    (record,) = transport.call(routes.TRACK_ARTIFACTS, path={"object_id": experiment.id}, body=TrackArtifacts(files=files)).items
    with pytest.raises(NoContent):
        list(transport.download(record.id))


def test_errors_have_one_class_and_one_sentence(in_process: Transport, over_http: Transport) -> None:
    def provoke(transport: Transport) -> Iterator[str]:
        with pytest.raises(NotFound) as missing:
            transport.call(routes.GET_EXPERIMENT, path={"experiment_id": "0" * 40})
        yield missing.value.detail
        with pytest.raises(InvalidName) as bad:
            transport.call(routes.CREATE_EXPERIMENT, body=ExperimentCreate(name=" x"))
        yield bad.value.detail
        assert bad.value.field == "name"
        with pytest.raises(NotFound) as points:
            transport.append_metrics([_block("0" * 40, "loss", 1.0)], client="c" * 40, batch=0)
        yield points.value.detail
        with pytest.raises(NotFound) as parent:
            transport.upload("0" * 40, ArtifactUploadQuery(name="x"), io.BytesIO(b"data" * 500_000))
        yield parent.value.detail

    assert list(provoke(in_process)) == list(provoke(over_http))


def test_a_tag_that_is_taken_says_by_whom(transport: Transport) -> None:
    model = transport.call(routes.CREATE_MODEL, body=ModelCreate(name=random_id())).item
    path = {"model_id": model.id}
    transport.call(routes.CREATE_MODEL_VERSION, path=path, body=ModelVersionCreate(version="1", tags=("best",)))
    with pytest.raises(TagTaken, match="best"):
        transport.call(routes.CREATE_MODEL_VERSION, path=path, body=ModelVersionCreate(version="2", tags=("best",)))
