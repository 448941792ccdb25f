"""Artifacts: bytes by content, names as labels, references that are never followed."""

import hashlib
from itertools import islice
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from modelbox.entities.ids import random_id
from modelbox.entities.records import ArtifactRecord, ArtifactStorage, FileType
from modelbox.errors import (
    BlobMissing,
    ChecksumMismatch,
    InvalidName,
    InvalidRequest,
    NoContent,
    NotFound,
    RangeNotSatisfiable,
    StorageUnavailable,
)
from modelbox.wire.messages import (
    ArtifactQuery,
    ArtifactsQuery,
    ArtifactUploadQuery,
    ChangesQuery,
    ExperimentCreate,
    ModelCreate,
    ModelVersionCreate,
    TrackArtifacts,
    TrackedFile,
)
from modelbox_server.service.context import Caller
from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.wiring import Services

NULS = bytes(100_000)
NULS_MD5 = "0019d23bef56a136a1891211d7007f6f"
LARGE_BYTES = (32 << 20) + 1
"""From here on uploads go without an MD5 that nobody declared."""


@pytest.fixture
def experiment(services: Services, caller: Caller) -> str:
    return services.experiments.create(caller, ExperimentCreate(name="wav2vec", namespace="langtech")).item.id


def blob_store(services: Services) -> FilesystemBlobStore:
    return cast(FilesystemBlobStore, services.stores.blobs)


def upload(services: Services, caller: Caller, parent: str, content: bytes, name: str = "é/w.bin", **declared: object) -> ArtifactRecord:
    query = ArtifactUploadQuery(name=name, **declared)  # type: ignore[arg-type]
    with services.artifacts.begin_upload(caller, parent, query) as started:
        for start in range(0, len(content), 33_000):
            started.write(memoryview(content)[start : start + 33_000])
        return started.commit()


def track(services: Services, caller: Caller, parent: str, **file: object) -> ArtifactRecord:
    tracked = TrackedFile(**{"name": "t.txt", "uri": "/data/t.txt", **file})  # type: ignore[arg-type]
    return services.artifacts.track(caller, parent, TrackArtifacts(files=[tracked])).items[0]


def download(services: Services, caller: Caller, artifact_id: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(services.artifacts.open(caller, artifact_id, start, stop).chunks)


def names(services: Services, caller: Caller, parent: str, name: str | None = None) -> list[str]:
    return [record.name for record in services.artifacts.list(caller, parent, ArtifactsQuery(name=name)).items]


def test_the_published_ids_of_2022_come_out(services: Services, caller: Caller, experiment: str) -> None:
    model = services.models.create(caller, ModelCreate(name="asr_en", namespace="langtech")).item.id
    services.versions.create(caller, model, ModelVersionCreate(version="1", name="asr_en_july"))
    on_experiment = track(services, caller, experiment, name="test_artifact.txt", md5=NULS_MD5)
    on_model = track(services, caller, model, name="test_artifact.txt", md5=NULS_MD5, file_type=FileType.TEXT)
    assert on_experiment.id == "3732697ec8c3808753130b69197b6289e88b4c96"
    assert on_model.id == "c0591638c4a3111bfbf84324761cad0de56592ec"
    assert upload(services, caller, experiment, NULS, "test_artifact.txt").id == on_experiment.id


def test_bytes_come_back_with_their_digests(services: Services, caller: Caller, experiment: str) -> None:
    content = bytes(range(256)) * 500
    record = upload(services, caller, experiment, content, file_type=FileType.IMAGE, media_type="image/png")
    assert (record.size_bytes, record.media_type, record.file_type) == (len(content), "image/png", FileType.IMAGE)
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert record.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert download(services, caller, record.id) == content
    assert services.artifacts.get(caller, record.id, ArtifactQuery()) == record


def test_an_empty_file_is_a_file(services: Services, caller: Caller, experiment: str) -> None:
    record = upload(services, caller, experiment, b"", size_bytes=0)
    assert record.size_bytes == 0
    assert download(services, caller, record.id) == b""


def test_ranges_are_parts_of_the_whole(services: Services, caller: Caller, experiment: str) -> None:
    record = upload(services, caller, experiment, b"0123456789")
    assert download(services, caller, record.id, 3, 6) == b"345"
    assert download(services, caller, record.id, 8, 99) == b"89"
    assert download(services, caller, record.id, 9) == b"9"
    for start, stop in ((10, None), (5, 2), (-1, 3)):
        with pytest.raises(RangeNotSatisfiable, match="10 bytes"):
            services.artifacts.open(caller, record.id, start, stop)


def test_the_same_file_again_is_the_same_artifact(services: Services, caller: Caller, experiment: str) -> None:
    assert upload(services, caller, experiment, b"same") == upload(services, caller, experiment, b"same")
    assert names(services, caller, experiment) == ["é/w.bin"]


def test_the_same_bytes_under_another_name_are_another_artifact(services: Services, caller: Caller, experiment: str) -> None:
    one, two, again = (upload(services, caller, experiment, b"same", name) for name in ("a", "b", "b"))
    assert one.id != two.id
    assert two == again
    assert one.content == two.content
    assert names(services, caller, experiment) == ["a", "b"]


def test_other_bytes_under_the_same_name_leave_the_first_in_place(services: Services, caller: Caller, experiment: str) -> None:
    first, second = (upload(services, caller, experiment, content, "a") for content in (b"1", b"2"))
    assert first.id != second.id
    assert download(services, caller, first.id) == b"1"
    assert len(names(services, caller, experiment, "a")) == 2


def test_the_md5_of_a_large_file_is_made_when_it_is_asked_for(services: Services, caller: Caller, experiment: str) -> None:
    content = bytes(LARGE_BYTES)
    record = upload(services, caller, experiment, content, size_bytes=len(content))
    assert record.md5 == ""
    assert services.artifacts.get(caller, record.id, ArtifactQuery()) == record
    changes = services.changes.list(caller, ChangesQuery(limit=1000)).items
    asked = services.artifacts.get(caller, record.id, ArtifactQuery(md5=True))
    assert asked.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert services.artifacts.get(caller, record.id, ArtifactQuery()) == asked
    assert services.changes.list(caller, ChangesQuery(limit=1000)).items == changes


def test_a_large_file_is_one_artifact_with_and_without_its_md5(services: Services, caller: Caller, experiment: str) -> None:
    content = bytes(LARGE_BYTES)
    size, md5 = len(content), hashlib.md5(content, usedforsecurity=False).hexdigest()
    plain = upload(services, caller, experiment, content, "plain first", size_bytes=size)
    again = upload(services, caller, experiment, content, "plain first", size_bytes=size, md5=md5)
    assert again == replace(plain, md5=md5, updated_at=again.updated_at)
    declared = upload(services, caller, experiment, content, "declared first", size_bytes=size, md5=md5)
    assert declared.md5 == md5
    assert upload(services, caller, experiment, content, "declared first", size_bytes=size) == declared
    assert names(services, caller, experiment) == ["declared first", "plain first"]


def test_leaving_without_commit_leaves_nothing(services: Services, caller: Caller, experiment: str) -> None:
    with services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name="a")) as started:
        started.write(b"half")
    assert names(services, caller, experiment) == []
    assert list(blob_store(services).keys()) == []


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ({"sha256": "0" * 64}, ChecksumMismatch),
        ({"md5": "0" * 32}, ChecksumMismatch),
        ({"size_bytes": 3}, InvalidRequest),
        ({"size_bytes": 6}, InvalidRequest),
        ({"size_bytes": -1}, InvalidRequest),
        ({"sha256": "xyz"}, InvalidRequest),
        ({"md5": "0" * 33}, InvalidRequest),
        ({"media_type": "text"}, InvalidRequest),
        ({"media_type": "text/html\r\nX: y"}, InvalidRequest),
    ],
)
def test_what_was_declared_wrong_is_refused_and_leaves_nothing(
    services: Services, caller: Caller, experiment: str, declared: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        upload(services, caller, experiment, b"bytes", **declared)
    assert names(services, caller, experiment) == []
    assert list(blob_store(services).keys()) == []


def test_digests_may_be_declared_in_capitals(services: Services, caller: Caller, experiment: str) -> None:
    sha256 = hashlib.sha256(b"bytes").hexdigest()
    assert upload(services, caller, experiment, b"bytes", sha256=sha256.upper(), size_bytes=5).sha256 == sha256


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "..", "C:\\x", "a\\..\\b", "a\x00", "a\n", "\u202e", "\ud800", "é" * 513],
)
def test_a_name_is_a_relative_label(services: Services, caller: Caller, experiment: str, name: str) -> None:
    with pytest.raises(InvalidName):
        services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name=name))
    with pytest.raises(InvalidName):
        track(services, caller, experiment, name=name)


@pytest.mark.parametrize("name", ["%2e%2e/x", "ab:c", "~", "x" * 512, "💥.png", "' OR 1=1 --", "<img src=x>", "_%"])
def test_every_other_name_is_kept_literally(services: Services, caller: Caller, experiment: str, name: str) -> None:
    upload(services, caller, experiment, b"1", name)
    upload(services, caller, experiment, b"2", "other")
    assert names(services, caller, experiment, name) == [name]


def test_a_directory_is_a_common_beginning(services: Services, caller: Caller, experiment: str) -> None:
    for i, name in enumerate(["model/b", "model/a/c", "model.txt", "model-2/a", "model_"]):
        upload(services, caller, experiment, bytes([i]), name)
    assert names(services, caller, experiment, "model") == ["model/a/c", "model/b"]
    assert names(services, caller, experiment) == sorted(["model/b", "model/a/c", "model.txt", "model-2/a", "model_"])


def test_a_tracked_file_is_never_opened(services: Services, caller: Caller, experiment: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    for uri in (str(secret), f"file://{secret}", "http://169.254.169.254/"):
        record = track(services, caller, experiment, name=f"n{len(uri)}", uri=uri)
        with pytest.raises(NoContent, match="never uploaded"):
            services.artifacts.open(caller, record.id)


def test_tracking_again_changes_nothing_and_a_file_may_move(services: Services, caller: Caller, experiment: str) -> None:
    first = track(services, caller, experiment, md5=NULS_MD5)
    assert track(services, caller, experiment, md5=NULS_MD5) == first
    moved = track(services, caller, experiment, md5=NULS_MD5, uri="s3://b/t.txt")
    assert (moved.id, moved.uri, moved.created_at) == (first.id, "s3://b/t.txt", first.created_at)


def test_files_without_a_digest_stay_apart(services: Services, caller: Caller, experiment: str) -> None:
    ids = {track(services, caller, experiment, name=name, uri=uri).id for name in "ab" for uri in ("/x", "/y")}
    assert len(ids) == 4
    assert len(names(services, caller, experiment)) == 4


def test_bytes_join_a_reference_and_are_never_given_up(services: Services, caller: Caller, experiment: str) -> None:
    tracked = track(services, caller, experiment, name="n", md5=NULS_MD5)
    uploaded = upload(services, caller, experiment, NULS, "n")
    assert (uploaded.id, uploaded.storage, uploaded.uri) == (tracked.id, ArtifactStorage.UPLOADED, tracked.uri)
    assert track(services, caller, experiment, name="n", md5=NULS_MD5, uri="/elsewhere") == uploaded
    assert download(services, caller, tracked.id) == NULS


@pytest.mark.parametrize("file", [{"md5": "x"}, {"sha256": "1" * 63}, {"size_bytes": -1}, {"uri": "a\x00"}, {"media_type": "nonsense"}])
def test_a_reference_that_cannot_be_right_is_refused(services: Services, caller: Caller, experiment: str, file: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        track(services, caller, experiment, **file)
    assert names(services, caller, experiment) == []


def test_all_files_of_a_call_are_tracked_or_none(services: Services, caller: Caller, experiment: str) -> None:
    files = [TrackedFile(name="a", uri="/a"), TrackedFile(name="../b", uri="/b")]
    with pytest.raises(InvalidName) as caught:
        services.artifacts.track(caller, experiment, TrackArtifacts(files=files))
    assert caught.value.field == "files[1].name"
    assert names(services, caller, experiment) == []


def test_deleting_keeps_bytes_that_another_artifact_has(services: Services, caller: Caller, experiment: str) -> None:
    one, two = (upload(services, caller, experiment, b"same", name) for name in "ab")
    assert services.artifacts.delete(caller, one.id).deleted == 1
    assert download(services, caller, two.id) == b"same"
    services.artifacts.delete(caller, two.id)
    assert list(blob_store(services).keys()) == []
    with pytest.raises(NotFound):
        services.artifacts.delete(caller, two.id)


def test_deleting_an_object_removes_its_bytes(services: Services, caller: Caller, experiment: str) -> None:
    other = services.experiments.create(caller, ExperimentCreate(name="other")).item.id
    upload(services, caller, experiment, b"mine")
    upload(services, caller, experiment, b"shared")
    kept = upload(services, caller, other, b"shared")
    services.experiments.delete(caller, experiment)
    assert list(blob_store(services).keys()) == [kept.content]


def test_an_object_must_be_there_before_and_after_the_bytes(services: Services, caller: Caller, experiment: str) -> None:
    with pytest.raises(NotFound):
        upload(services, caller, random_id(), b"x")
    with services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name="a")) as started:
        started.write(b"x")
        services.experiments.delete(caller, experiment)
        with pytest.raises(NotFound):
            started.commit()
    assert list(blob_store(services).keys()) == []


def test_bytes_that_vanish_between_arrival_and_record_are_asked_for_again(services: Services, caller: Caller, experiment: str) -> None:
    """Somebody deletes the last other artifact with the same bytes at the very moment."""
    blobs = blob_store(services)
    with services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name="a")) as started:
        started.write(b"x")
        info = started._open_writer().commit()
        blobs.delete(info.key)
        with pytest.raises(StorageUnavailable, match="upload them again"):
            started._record(info)
    assert names(services, caller, experiment) == []


def test_bytes_that_are_gone_or_damaged_are_never_handed_out(services: Services, caller: Caller, experiment: str) -> None:
    blobs = blob_store(services)
    gone = upload(services, caller, experiment, b"gone", "gone")
    assert gone.content is not None
    blobs.delete(gone.content)
    with pytest.raises(BlobMissing, match=gone.id):
        services.artifacts.open(caller, gone.id)
    damaged = upload(services, caller, experiment, bytes(3 << 20), "damaged")
    (path,) = [path for path in blob_store(services)._folder.rglob("*") if path.is_file() and path.stat().st_size == 3 << 20]
    path.chmod(0o600)
    path.write_bytes(b"1" + bytes((3 << 20) - 1))
    chunks = services.artifacts.open(caller, damaged.id).chunks
    assert [len(chunk) for chunk in islice(chunks, 2)] == [1 << 20, 1 << 20]
    with pytest.raises(ChecksumMismatch, match=damaged.id):
        next(chunks)
    path.write_bytes(b"short")
    with pytest.raises(ChecksumMismatch, match=damaged.id):
        services.artifacts.open(caller, damaged.id)
