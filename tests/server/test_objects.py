"""Records, points and bytes vanish together, whatever happens between the stores."""

import threading
from pathlib import Path

import pytest

from modelbox.entities.records import ArtifactRecord
from modelbox.errors import StorageUnavailable
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate, MetricsQuery
from modelbox_server.service.context import Caller
from modelbox_server.service.garbage import Garbage
from modelbox_server.service.objects import Erased, Objects
from modelbox_server.testing.samples import float_block
from modelbox_server.wiring import Services, local_services


def upload(services: Services, caller: Caller, parent: str, content: bytes, name: str = "a") -> ArtifactRecord:
    with services.artifacts.begin_upload(caller, parent, ArtifactUploadQuery(name=name)) as started:
        started.write(content)
        return started.commit()


def test_a_crash_after_the_records_leaves_garbage_that_is_collected(
    services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed, kept = (services.experiments.create(caller, ExperimentCreate(name=name)).item.id for name in "ab")
    for object_id in (doomed, kept):
        services.metrics.append(caller, [float_block(object_id, [1.0, 2.0])])
        upload(services, caller, object_id, object_id.encode())
    with monkeypatch.context() as crash:
        crash.setattr(Objects, "sweep", lambda self, erased: None)
        services.experiments.delete(caller, doomed)
    assert len(services.stores.metrics.read([doomed])) == 1
    assert services.collect_garbage() == Garbage(points=2, blobs=1, blob_bytes=40)
    assert services.stores.metrics.read([doomed]) == []
    assert len(services.stores.metrics.read([kept])) == 1
    assert len(list(services.stores.blobs.keys())) == 1
    assert services.collect_garbage() == Garbage(points=0, blobs=0)


def test_an_experiment_that_comes_back_after_a_crash_is_empty(services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExperimentCreate(name="a")
    object_id = services.experiments.create(caller, request).item.id
    services.metrics.append(caller, [float_block(object_id)])
    with monkeypatch.context() as crash:
        crash.setattr(Objects, "sweep", lambda self, erased: None)
        services.experiments.delete(caller, object_id)
    assert services.experiments.create(caller, request).item.id == object_id
    assert services.metrics.read(caller, MetricsQuery(objects=[object_id])) == []


def test_a_late_sweep_spares_an_experiment_that_came_back(services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Erased] = []
    request = ExperimentCreate(name="a")
    object_id = services.experiments.create(caller, request).item.id
    content = upload(services, caller, object_id, b"x").content
    with monkeypatch.context() as slow:
        slow.setattr(Objects, "sweep", lambda self, erased: swept.append(erased))
        services.experiments.delete(caller, object_id)
    services.experiments.create(caller, request)
    services.metrics.append(caller, [float_block(object_id)])
    upload(services, caller, object_id, b"x")
    Objects(services.stores.metadata, services.stores.metrics, services.stores.blobs).sweep(swept[0])
    assert len(services.metrics.read(caller, MetricsQuery(objects=[object_id]))) == 1
    assert list(services.stores.blobs.keys()) == [content]


def test_a_store_that_is_away_does_not_undo_a_deletion(
    services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    object_id = services.experiments.create(caller, ExperimentCreate(name="a")).item.id
    services.metrics.append(caller, [float_block(object_id)])

    def away(object_ids: object) -> int:
        raise StorageUnavailable("The metrics store is away.")

    with monkeypatch.context() as outage:
        outage.setattr(services.stores.metrics, "delete", away)
        assert services.experiments.delete(caller, object_id).deleted == 1
    assert "The metrics store is away" in caplog.text
    assert services.collect_garbage().points > 0


def test_threads_that_make_the_same_experiment_make_one(services: Services, caller: Caller) -> None:
    made: list[tuple[str, bool]] = []

    def make() -> None:
        created = services.experiments.create(caller, ExperimentCreate(name="a", metadata={"x": 1}))
        made.append((created.item.id, created.exists))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({object_id for object_id, _ in made}) == 1
    assert sorted(exists for _, exists in made) == [False] + [True] * 7


def test_everything_is_there_after_a_restart(caller: Caller, tmp_path: Path) -> None:
    first = local_services(tmp_path)
    object_id = first.experiments.create(caller, ExperimentCreate(name="a", metadata={"x": [1, 2.5]})).item.id
    first.metrics.append(caller, [float_block(object_id)])
    artifact = upload(first, caller, object_id, b"bytes")
    first.close()
    second = local_services(tmp_path)
    assert second.metadata.get(caller, object_id).metadata == {"x": [1, 2.5]}
    assert len(second.metrics.read(caller, MetricsQuery(objects=[object_id]))) == 1
    assert b"".join(second.artifacts.open(caller, artifact.id).chunks) == b"bytes"
    second.close()
