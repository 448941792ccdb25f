"""What the bucket of the S3 blob store looks like: before, during and after a write, and when the service fails."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from modelbox.errors import ChecksumMismatch, StorageUnavailable
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox_server.config.loading import read_config
from modelbox_server.config.stores import configured_services
from modelbox_server.service.context import Caller
from modelbox_server.storage.blobs.s3 import S3BlobStore
from modelbox_server.storage.blobs.s3_settings import S3Settings
from modelbox_server.testing.blob_suite import stored
from modelbox_server.testing.s3_engine import S3Engine, s3_engine

PART_BYTES = 5 << 20
LARGE = os.urandom(1 << 20) * 12
KEY = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def settings(s3: S3Engine) -> Iterator[S3Settings]:
    with s3.bucket(prefix="box", part_bytes=PART_BYTES) as settings:
        yield settings


@pytest.fixture
def store(settings: S3Settings) -> Iterator[S3BlobStore]:
    store = S3BlobStore(settings)
    yield store
    store.close()


@pytest.fixture
def client(s3: S3Engine) -> Any:
    return s3.client


def objects(client: Any, settings: S3Settings) -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket=settings.bucket).get("Contents", [])]


def uploads(client: Any, settings: S3Settings) -> list[str]:
    return [found["Key"] for found in client.list_multipart_uploads(Bucket=settings.bucket).get("Uploads", [])]


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_parts_have_the_checksums_that_their_upload_was_begun_with(
    settings: S3Settings, monkeypatch: pytest.MonkeyPatch, checksums: Literal["when_supported", "when_required"]
) -> None:
    """Amazon's service refuses others."""
    store = S3BlobStore(replace(settings, checksums=checksums))
    sent: list[tuple[str, bool]] = []

    def remember(request: Any, **_: Any) -> None:
        names = {name.lower() for name in request.headers}
        if request.method == "POST" and request.url.endswith("?uploads"):
            sent.append(("begin", "x-amz-checksum-algorithm" in names))
        elif "partNumber=" in request.url:
            sent.append(("part", "x-amz-checksum-crc32" in names))

    store.connection.client.meta.events.register("before-send.s3", remember)
    assert stored(store, LARGE).key == KEY
    assert sent == [("begin", checksums == "when_supported"), *[("part", checksums == "when_supported")] * 3]
    store.close()


def test_what_is_larger_than_a_part_comes_back_and_leaves_nothing_else(store: S3BlobStore, settings: S3Settings, client: Any) -> None:
    assert stored(store, LARGE, piece_bytes=(1 << 20) + 1).key == KEY
    assert objects(client, settings) == [f"box/{KEY[:2]}/{KEY}"]
    assert uploads(client, settings) == []
    assert b"".join(store.read(KEY)) == LARGE
    assert b"".join(store.read(KEY, PART_BYTES - 3, PART_BYTES + 3)) == LARGE[PART_BYTES - 3 : PART_BYTES + 3]


def test_with_a_known_digest_the_parts_go_under_their_name_at_once(store: S3BlobStore, settings: S3Settings, client: Any) -> None:
    with store.writer(sha256=KEY) as writer:
        writer.write(LARGE)
        assert uploads(client, settings) == [f"box/{KEY[:2]}/{KEY}"]
        assert objects(client, settings) == []
        assert writer.commit().key == KEY
    assert objects(client, settings) == [f"box/{KEY[:2]}/{KEY}"]


def test_an_upload_that_is_broken_off_or_wrong_leaves_nothing(store: S3BlobStore, settings: S3Settings, client: Any) -> None:
    with store.writer() as writer:
        writer.write(LARGE)
    with store.writer(sha256="0" * 64) as writer:
        writer.write(LARGE)
        with pytest.raises(ChecksumMismatch):
            writer.commit()
    assert objects(client, settings) == []
    assert uploads(client, settings) == []


def test_what_a_killed_server_left_is_cleaned_up(store: S3BlobStore, settings: S3Settings, client: Any) -> None:
    writer = store.writer().__enter__()
    writer.write(LARGE)
    client.put_object(Bucket=settings.bucket, Key="box/incoming/0123", Body=b"left")
    client.put_object(Bucket=settings.bucket, Key="another/incoming/0123", Body=b"not ours")
    kept = stored(store, b"kept")
    assert store.clean(3600.0).count == 0
    found = store.clean(-60.0, dry_run=True)
    assert found.count == 2
    assert found.size_bytes >= 4
    assert uploads(client, settings)
    assert store.clean(-60.0) == found
    assert uploads(client, settings) == []
    assert sorted(objects(client, settings)) == ["another/incoming/0123", f"box/{kept.key[:2]}/{kept.key}"]


def test_an_upload_whose_completion_was_answered_by_nobody_is_complete(
    store: S3BlobStore, settings: S3Settings, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second request finds no upload, because the first had completed it."""
    real = store.connection.client.complete_multipart_upload

    def twice(**parameters: Any) -> Any:
        real(**parameters)
        return real(**parameters)

    monkeypatch.setattr(store.connection.client, "complete_multipart_upload", twice)
    assert stored(store, LARGE).key == KEY
    assert objects(client, settings) == [f"box/{KEY[:2]}/{KEY}"]
    assert b"".join(store.read(KEY)) == LARGE


def test_an_upload_that_s3_forgot_has_to_be_sent_again(store: S3BlobStore, settings: S3Settings, client: Any) -> None:
    with store.writer() as writer:
        writer.write(LARGE)
        for upload in client.list_multipart_uploads(Bucket=settings.bucket)["Uploads"]:
            client.abort_multipart_upload(Bucket=settings.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        with pytest.raises(StorageUnavailable):
            writer.commit()
    assert objects(client, settings) == []


def test_a_read_that_breaks_off_goes_on_from_there(store: S3BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, LARGE)
    real, broken = store.connection.client.get_object, []

    def breaking(**parameters: Any) -> Any:
        answer = real(**parameters)
        if len(broken) < 3:
            broken.append(parameters.get("Range"))
            answer["Body"] = Short(answer["Body"], (2 << 20) + 5)
        return answer

    monkeypatch.setattr(store.connection.client, "get_object", breaking)
    assert b"".join(store.read(KEY)) == LARGE
    assert broken == [None, f"bytes={(2 << 20) + 5}-{len(LARGE) - 1}", f"bytes={(4 << 20) + 10}-{len(LARGE) - 1}"]
    broken.clear()
    assert b"".join(store.read(KEY, 7, 5 << 20)) == LARGE[7 : 5 << 20]


class Short:
    """A body that ends too early."""

    def __init__(self, body: Any, left_bytes: int) -> None:
        self._body, self._left_bytes = body, left_bytes

    def read(self, count: int) -> bytes:
        data: bytes = self._body.read(min(count, self._left_bytes))
        self._left_bytes -= len(data)
        return data

    def close(self) -> None:
        self._body.close()


def test_encryption_is_asked_for_with_every_object(s3: S3Engine) -> None:
    if s3.name != "moto":
        pytest.skip("whether an engine other than moto has keys to encrypt with is not known")
    with s3.bucket(sse="AES256", part_bytes=PART_BYTES) as settings:
        store, client = S3BlobStore(settings), s3.client
        for content in (b"small", LARGE):
            key = stored(store, content).key
            assert client.head_object(Bucket=settings.bucket, Key=f"{key[:2]}/{key}")["ServerSideEncryption"] == "AES256"


def test_a_forked_child_has_connections_of_its_own(store: S3BlobStore) -> None:
    stored(store, LARGE)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if stored(store, LARGE).key == KEY else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"".join(store.read(KEY)) == LARGE


def test_a_service_that_is_away_is_said_with_a_time_to_wait_and_used_again_when_it_is_back() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    settings = S3Settings(
        "away-bucket",
        endpoint_url=f"http://127.0.0.1:{port}",
        path_style=True,
        access_key="test",
        secret_key="hunter2",
        part_bytes=PART_BYTES,
    )
    store = S3BlobStore(settings)
    attempts: list[Callable[[], object]] = [store.check, lambda: store.size(KEY), lambda: stored(store, b"x"), lambda: list(store.keys())]
    for attempt in attempts:
        with pytest.raises(StorageUnavailable, match=rf"bucket 'away-bucket' \(http://127.0.0.1:{port}\) (does|did) not answer") as caught:
            attempt()
        assert caught.value.retry_after_s
        assert "hunter2" not in caught.value.detail
    with s3_engine(port) as returned:
        returned.client.create_bucket(Bucket="away-bucket")
        while True:
            try:
                key = stored(store, LARGE).key
                break
            except StorageUnavailable:
                continue
        assert b"".join(store.read(key)) == LARGE


def test_a_bucket_that_is_not_there_is_said(settings: S3Settings) -> None:
    store = S3BlobStore(replace(settings, bucket="no-such-bucket-of-ours"))
    with pytest.raises(StorageUnavailable, match="is not there: make it, or name another"):
        store.check()


def test_secrets_do_not_show() -> None:
    shown = repr(S3Settings("b", access_key="AKIAIOSFODNN7", secret_key="hunter2", sse_kms_key="arn:key"))
    assert not any(secret in shown for secret in ("AKIAIOSFODNN7", "hunter2", "arn:key"))


def test_credentials_may_come_from_the_environment(settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.access_key or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.secret_key or "")
    store = S3BlobStore(replace(settings, access_key=None, secret_key=None))
    assert b"".join(store.read(stored(store, b"x").key)) == b"x"


def test_a_server_keeps_its_artifacts_in_the_bucket_that_its_configuration_names(settings: S3Settings, client: Any) -> None:
    config = read_config(
        f"""
        artifact_storage = "s3"
        [artifact_storage_s3]
        region = "us-east-1"
        bucket = "{settings.bucket}"
        prefix = "/box/"
        endpoint_url = "{settings.endpoint_url}"
        path_style = true
        access_key = "{settings.access_key}"
        secret_key = "{settings.secret_key}"
        """,
        {},
    )
    assert settings.secret_key not in [config.shown()[f"artifact_storage_s3.{name}"] for name in ("access_key", "secret_key")]
    services = configured_services(config)
    caller = Caller("ana", "embedded")
    experiment = services.experiments.create(caller, ExperimentCreate(name="e")).item.id
    with services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name="w.bin")) as upload:
        upload.write(LARGE)
        artifact = upload.commit()
    assert objects(client, settings) == [f"box/{KEY[:2]}/{KEY}"]
    assert b"".join(services.artifacts.open(caller, artifact.id).chunks) == LARGE
    services.check()
    services.close()
