"""The face in this process says what HTTP says, checks what HTTP checks, and shares one store per folder."""

import io
import math
import multiprocessing
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelbox.client.transport import Transport, local_transport
from modelbox.errors import BatchConflict, InvalidRequest, ModelBoxError, NotFound, TooLarge
from modelbox.wire import messages as m
from modelbox.wire import routes
from modelbox_server.embedded import EmbeddedTransport, open_embedded
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import FLOATS, METRIC, float_block
from modelbox_server.wiring import Services

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def transport(services: Services, caller: Caller) -> "Iterator[Transport]":
    opened = EmbeddedTransport(services, caller)
    yield opened
    opened.close()


def create(transport: Transport, name: str = "e", **fields: object) -> str:
    return transport.call(routes.CREATE_EXPERIMENT, body=m.ExperimentCreate(name=name, **fields)).item.id  # type: ignore[arg-type]


def test_everything_a_transport_does_works(transport: Transport) -> None:
    experiment = create(transport)
    assert transport.append_metrics([float_block(experiment)], client="c", batch=0).points == len(FLOATS)
    assert transport.append_metrics([float_block(experiment)], client="c", batch=0).duplicate
    with pytest.raises(BatchConflict):
        transport.append_metrics([float_block(experiment, [1.0])], client="c", batch=0)
    (block,) = transport.read_metrics(m.MetricsQuery(objects=[experiment]))
    assert isinstance(block.values, np.ndarray)
    assert block.key == METRIC
    content = os.urandom(3 << 20)
    artifact = transport.upload(experiment, m.ArtifactUploadQuery(name="w", size_bytes=len(content)), io.BytesIO(content))
    assert b"".join(transport.download(artifact.id)) == content
    assert b"".join(transport.download(artifact.id, start=5, stop=9)) == content[5:9]
    with pytest.raises(NotFound):
        transport.download("0" * 40)
    assert transport.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment}).name == "e"
    assert transport.call(routes.INFO).face == "embedded"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (m.ExperimentCreate(name=5), InvalidRequest),  # type: ignore[arg-type]
        (m.ExperimentCreate(name="e", started_at="yesterday"), InvalidRequest),  # type: ignore[arg-type]
        (m.ExperimentCreate(name="e", metadata={"a": b"bytes"}), InvalidRequest),
        (m.ExperimentCreate(name="e", metadata={"a": datetime.now(UTC)}), InvalidRequest),
        (m.ExperimentCreate(name="e", metadata={"a": np.float64(1.0).reshape(1)}), InvalidRequest),
        (m.ExperimentCreate(name="e", metadata={"a": 10**30}), InvalidRequest),
        (m.ExperimentCreate(name="e", metadata={1: 2}), InvalidRequest),  # type: ignore[dict-item]
    ],
)
def test_a_body_of_the_wrong_type_is_refused_as_over_http(
    transport: Transport, body: m.ExperimentCreate, error: type[ModelBoxError]
) -> None:
    with pytest.raises(error):
        transport.call(routes.CREATE_EXPERIMENT, body=body)
    assert transport.call(routes.LIST_EXPERIMENTS).items == []


def test_a_body_that_nests_without_end_is_refused(transport: Transport) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TooLarge, match="nests deeper"):
        transport.call(routes.CREATE_EXPERIMENT, body=m.ExperimentCreate(name="e", metadata={"a": deep}))


def test_bounds_of_a_query_hold(transport: Transport) -> None:
    with pytest.raises(InvalidRequest):
        transport.call(routes.LIST_EXPERIMENTS, query=m.ExperimentsQuery(limit=0))
    with pytest.raises(InvalidRequest):
        transport.read_metrics(m.MetricsQuery(objects=[], max_points=1))


def test_values_are_not_shared_with_the_sender(transport: Transport) -> None:
    value: list[object] = [1]
    experiment = create(transport, metadata={"a": value})
    value.append(2)
    assert transport.call(routes.GET_METADATA, path={"object_id": experiment}).metadata == {"a": [1]}


def test_nan_travels_in_wire_form(transport: Transport) -> None:
    experiment = create(transport, metadata={"a": {"$float": "NaN"}, "b": math.inf})
    document = transport.call(routes.GET_METADATA, path={"object_id": experiment})
    assert document.metadata == {"a": {"$float": "NaN"}, "b": {"$float": "Infinity"}}


def test_one_folder_is_one_store_until_the_last_transport_closes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "store")
    first, second = open_embedded(tmp_path / "store"), open_embedded(tmp_path / "link")
    assert first._services is second._services
    experiment = create(first)
    first.close()
    first.close()
    assert second.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment}).owner != ""
    second.close()
    third = local_transport(tmp_path / "store")
    assert third.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment}).id == experiment
    third.close()


def test_threads_that_open_one_folder_share_it(tmp_path: Path) -> None:
    opened: list[EmbeddedTransport] = []
    threads = [threading.Thread(target=lambda: opened.append(open_embedded(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(transport._services) for transport in opened}) == 1
    for transport in opened:
        transport.close()


def _log_from_a_child(transport: EmbeddedTransport, folder: Path, experiment: str, number: int) -> None:
    inherited = transport.append_metrics([float_block(experiment, [1.0] * 10)], client=f"inherited{number}", batch=0)
    opened = open_embedded(folder)
    fresh = opened.append_metrics([float_block(experiment, [2.0] * 10)], client=f"opened{number}", batch=0)
    opened.close()
    os._exit(0 if inherited.points == fresh.points == 10 else 1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_children_log_through_what_they_inherited(tmp_path: Path) -> None:
    transport = open_embedded(tmp_path)
    experiment = create(transport)
    transport.append_metrics([float_block(experiment, [0.0])], client="parent", batch=0)
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_log_from_a_child, args=(transport, tmp_path, experiment, number)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    (block,) = transport.read_metrics(m.MetricsQuery(objects=[experiment]))
    assert len(block) == 1 + 4 * 20
    transport.close()


def test_the_caller_is_the_user_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ann")
    transport = open_embedded(tmp_path)
    info = transport.call(routes.INFO)
    assert (info.user, info.metadata_storage, info.metrics_storage) == ("ann", "integrated", "integrated")
    transport.close()


def test_a_caller_can_be_given(services: Services) -> None:
    assert EmbeddedTransport(services, Caller("bob", "jupyter", "::1")).call(routes.INFO).user == "bob"
