"""What nothing refers to is removed, and nothing else, whoever works on the same stores meanwhile."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelbox.entities.records import ArtifactRecord
from modelbox.errors import StorageError, StorageUnavailable
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox_server.service.context import Caller
from modelbox_server.service.garbage import Garbage, GarbageCollector
from modelbox_server.storage.interfaces import BlobEntry
from modelbox_server.testing.blob_suite import stored
from modelbox_server.testing.engines import mariadb_server, postgres_server
from modelbox_server.testing.samples import float_block
from modelbox_server.wiring import Services, StorageSettings, build_services, ephemeral_services

CONTENT = b"weights" * 100
HOUR_S = 3600.0


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[Services]:
    """Services of a server among others: it spares what is younger than an hour."""
    opened = build_services(StorageSettings(tmp_path / "store", grace_s=HOUR_S))
    yield opened
    opened.close()


def upload(services: Services, caller: Caller, parent: str, content: bytes = CONTENT, name: str = "a") -> ArtifactRecord:
    with services.artifacts.begin_upload(caller, parent, ArtifactUploadQuery(name=name)) as started:
        started.write(content)
        return started.commit()


def experiment(services: Services, caller: Caller, name: str = "e") -> str:
    return services.experiments.create(caller, ExperimentCreate(name=name)).item.id


def keys(services: Services) -> list[str]:
    return list(services.stores.blobs.keys())


def test_bytes_go_with_the_last_artifact_that_has_them(services: Services, caller: Caller) -> None:
    artifacts = [upload(services, caller, experiment(services, caller, name), name=name) for name in "ab"]
    assert keys(services) == [artifacts[0].content]
    services.artifacts.delete(caller, artifacts[0].id)
    assert keys(services) == [artifacts[0].content]
    services.artifacts.delete(caller, artifacts[1].id)
    assert keys(services) == []


def test_young_bytes_stay_until_their_grace_is_over(careful: Services, caller: Caller) -> None:
    artifact = upload(careful, caller, experiment(careful, caller))
    careful.artifacts.delete(caller, artifact.id)
    assert careful.garbage.collect() == Garbage()
    assert keys(careful) == [artifact.content]
    expected = Garbage(blobs=1, blob_bytes=len(CONTENT))
    assert careful.garbage.collect(grace_s=0, dry_run=True) == expected
    assert keys(careful) == [artifact.content]
    assert careful.garbage.collect(grace_s=0) == expected
    assert keys(careful) == []


def test_a_dry_run_counts_points_and_leftovers_and_removes_none(
    services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = experiment(services, caller)
    services.metrics.append(caller, [float_block(doomed, [1.0, 2.0])])
    with monkeypatch.context() as crash:
        crash.setattr(GarbageCollector, "remove", lambda self, object_ids, contents: None)
        services.experiments.delete(caller, doomed)
    assert services.garbage.collect(dry_run=True).points == 2
    assert services.garbage.collect(dry_run=True).points == 2
    assert services.garbage.collect().points == 2
    assert services.garbage.collect().points == 0


def test_bytes_that_another_server_is_about_to_record_are_spared(careful: Services, caller: Caller) -> None:
    parent = experiment(careful, caller)
    with careful.artifacts.begin_upload(caller, parent, ArtifactUploadQuery(name="a")) as started:
        started.write(CONTENT)
        key = stored(careful.stores.blobs, CONTENT).key  # as the upload does before it records
        careful.garbage.collect()
        assert keys(careful) == [key]
        assert started.commit().content == key


def test_bytes_whose_record_took_too_long_are_refused_and_can_be_sent_again(
    careful: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = experiment(careful, caller)
    resolve = careful.stores.metadata.write

    def late(*args: object) -> object:
        monkeypatch.undo()
        careful.garbage.collect(grace_s=0)
        return resolve()

    with careful.artifacts.begin_upload(caller, parent, ArtifactUploadQuery(name="a")) as started:
        started.write(CONTENT)
        monkeypatch.setattr(careful.stores.metadata, "write", late)
        with pytest.raises(StorageUnavailable, match="upload them again"):
            started.commit()
    artifact = upload(careful, caller, parent)
    assert b"".join(careful.artifacts.open(caller, artifact.id).chunks) == CONTENT


def test_what_is_recorded_between_the_look_and_the_removal_is_spared(
    services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = experiment(services, caller)
    stored(services.stores.blobs, CONTENT)
    look = GarbageCollector._unused

    def slow(self: GarbageCollector, entries: list[BlobEntry]) -> list[BlobEntry]:
        unused = look(self, entries)
        assert [entry.size_bytes for entry in unused] == [len(CONTENT)]
        upload(services, caller, parent)
        return unused

    monkeypatch.setattr(GarbageCollector, "_unused", slow)
    assert services.garbage.collect().blobs == 0
    assert keys(services) == [hashlib.sha256(CONTENT).hexdigest()]


def test_a_metadata_store_that_was_never_used_is_not_believed(tmp_path: Path, caller: Caller) -> None:
    """It is the wrong one, or it was ephemeral: nothing would be left of the artifacts of another server."""
    with_records = build_services(StorageSettings(tmp_path, artifact_folder=tmp_path / "shared"))
    upload(with_records, caller, experiment(with_records, caller))
    empty = build_services(StorageSettings(tmp_path, metadata_storage="ephemeral", artifact_folder=tmp_path / "shared"))
    with pytest.raises(StorageError, match="belongs to another server, so nothing is removed"):
        empty.garbage.collect()
    assert len(keys(with_records)) == 1
    for services in (with_records, empty):
        services.close()


def test_work_stops_where_the_lease_is_lost(caller: Caller) -> None:
    services = ephemeral_services()
    experiment(services, caller)
    stored(services.stores.blobs, CONTENT)
    assert services.garbage.collect(may_go_on=lambda: False) == Garbage()
    assert len(keys(services)) == 1
    services.close()


@pytest.fixture(params=["integrated", "postgres", "mysql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageSettings]:
    """What two servers over one metadata store have in common."""
    settings = StorageSettings(tmp_path / "store", metadata_storage=request.param)
    if request.param == "integrated":
        yield settings
        return
    with (postgres_server if request.param == "postgres" else mariadb_server)().database() as database:
        yield replace(settings, metadata_database=database)


def test_nothing_acknowledged_is_lost_while_two_servers_write_delete_and_collect(shared: StorageSettings, caller: Caller) -> None:
    """The same few contents again and again, without any grace: each artifact that was acknowledged and not deleted can be read."""
    servers = [build_services(shared) for _ in range(2)]
    parents = [experiment(servers[0], caller, str(index)) for index in range(4)]
    kept: dict[str, bytes] = {}
    refused: list[str] = []
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            servers[1].garbage.collect()

    collecting = threading.Thread(target=collect)
    writers = [
        threading.Thread(target=write_and_delete, args=(servers[index % 2], caller, parents[index], kept, refused)) for index in range(4)
    ]
    for thread in (collecting, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    collecting.join()
    assert kept
    for artifact_id, content in kept.items():
        assert b"".join(servers[0].artifacts.open(caller, artifact_id).chunks) == content
    print(f"{len(kept)} artifacts kept, {len(refused)} uploads asked to be sent again")
    for services in servers:
        services.close()


def write_and_delete(services: Services, caller: Caller, parent: str, kept: dict[str, bytes], refused: list[str]) -> None:
    for round_ in range(25):
        content = bytes([round_ % 3]) * 1000
        try:
            artifact = upload(services, caller, parent, content, name=f"{round_}")
        except StorageUnavailable as error:
            refused.append(error.detail)
            continue
        if round_ % 2:
            services.artifacts.delete(caller, artifact.id)
        else:
            kept[artifact.id] = content
