"""Bytes of artifacts in and out, on real sockets."""

import base64
import hashlib
import http.client
import os
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import pytest

from modelbox.wire.messages import ArtifactUploadQuery
from modelbox_server.http.uploads import UploadExchange
from modelbox_server.service.artifacts import Upload
from modelbox_server.testing.api_client import Answer, ApiClient
from modelbox_server.testing.jupyter_process import JupyterProcess, jupyter_process
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import local_services

DATA = bytes(range(256)) * 40
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


@pytest.fixture
def experiment(client: ApiClient) -> str:
    return client.create_experiment(str(uuid.uuid4()))


def upload(client: ApiClient, experiment: str, data: bytes = DATA, *, query: str = "", **headers: str) -> Answer:
    path = f"/api/v1/objects/{experiment}/artifacts?name={quote('modèles/w 1.bin', safe='')}{query}"
    return client.request("PUT", path, body=data, headers={name.replace("_", "-"): value for name, value in headers.items()})


def content(client: ApiClient, artifact: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, f"/api/v1/artifacts/{artifact}/content", headers=sent)


@pytest.fixture
def artifact(client: ApiClient, experiment: str) -> str:
    answer = upload(client, experiment)
    assert answer.status == 201
    return str(answer.json["id"])


def test_bytes_come_back_as_an_attachment_that_no_browser_renders(client: ApiClient, artifact: str) -> None:
    answer = content(client, artifact)
    assert (answer.status, answer.body) == (200, DATA)
    headers = answer.headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment; filename=\"w 1.bin\"; filename*=UTF-8''w%201.bin"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert headers["content-length"] == str(len(DATA))
    assert headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=10000-", 10000, 10240), ("bytes=-5", 10235, 10240)]
)
def test_one_range_of_bytes(client: ApiClient, artifact: str, asked: str, start: int, stop: int) -> None:
    answer = content(client, artifact, Range=asked)
    assert (answer.status, answer.body) == (206, DATA[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=10240-", "bytes=0-1,5-6", "garbage"])
def test_a_range_that_cannot_be_had(client: ApiClient, artifact: str, asked: str) -> None:
    answer = content(client, artifact, Range=asked)
    assert (answer.status, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_a_range_of_changed_content_is_the_whole(client: ApiClient, artifact: str) -> None:
    etag = content(client, artifact, "HEAD").headers["etag"]
    assert content(client, artifact, Range="bytes=0-0", If_Range=etag).status == 206
    assert content(client, artifact, Range="bytes=0-0", If_Range='"other"').body == DATA


def test_a_caller_who_has_the_bytes_is_spared_them(client: ApiClient, artifact: str) -> None:
    etag = content(client, artifact).headers["etag"]
    answer = content(client, artifact, If_None_Match=f'"x", {etag}')
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)


def test_head_says_what_get_would(client: ApiClient, artifact: str) -> None:
    head, get = content(client, artifact, "HEAD"), content(client, artifact)
    assert (head.status, head.body) == (200, b"")
    own = {"date", "x-request-id", "set-cookie"}
    assert {name: value for name, value in head.headers.items() if name not in own} == {
        name: value for name, value in get.headers.items() if name not in own
    }


@pytest.mark.parametrize(
    ("media", "data", "served"),
    [
        ("image/png", PNG, "image/png"),
        ("image/png", b"<script>alert(1)</script>", "application/octet-stream"),
        ("image/svg+xml", b"<svg onload='alert(1)'/>", "application/octet-stream"),
        ("text/html", b"<h1>", "application/octet-stream"),
        ("text/html", PNG, "application/octet-stream"),
        ("application/pdf", b"%PDF-1.7", "application/octet-stream"),
    ],
)
def test_only_bitmaps_keep_their_type(client: ApiClient, experiment: str, media: str, data: bytes, served: str) -> None:
    answer = upload(client, experiment, data, query=f"&media_type={quote(media, safe='')}")
    assert answer.json["media_type"] == media
    got = content(client, answer.json["id"])
    assert got.headers["content-type"] == served
    assert got.headers["content-disposition"].startswith("attachment")


def test_an_empty_artifact_is_one(client: ApiClient, experiment: str) -> None:
    answer = upload(client, experiment, b"", query="&size_bytes=0")
    assert answer.json["size_bytes"] == 0
    got = content(client, answer.json["id"])
    assert (got.status, got.body) == (200, b"")
    assert content(client, answer.json["id"], Range="bytes=0-").status == 416


def test_declared_properties_are_verified(client: ApiClient, experiment: str) -> None:
    digest = hashlib.sha256(DATA)
    right = "sha-256=:" + base64.b64encode(digest.digest()).decode() + ":"
    wrong = "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"
    assert upload(client, experiment, query=f"&sha256={'0' * 64}").status == 422
    assert upload(client, experiment, query=f"&md5={'0' * 32}").status == 422
    assert upload(client, experiment, Content_Digest=wrong).json["code"] == "checksum_mismatch"
    assert upload(client, experiment, query="&size_bytes=1").status == 400
    assert upload(client, experiment, query="&sha256=abc").status == 400
    assert upload(client, experiment, Content_Digest="sha-256=:AAAA:").status == 400
    assert upload(client, experiment, query=f"&sha256={'0' * 64}", Content_Digest=right).status == 400
    assert client.api("GET", f"/objects/{experiment}/artifacts").json["items"] == []
    accepted = upload(client, experiment, query=f"&sha256={digest.hexdigest()}&size_bytes={len(DATA)}", Content_Digest=right)
    assert accepted.status == 201


def test_the_digest_may_follow_the_content(client: ApiClient, experiment: str) -> None:
    size, digest = f"&size_bytes={len(DATA)}&sha256_follows=true", hashlib.sha256(DATA)
    refused = [
        upload(client, experiment, DATA + bytes(32), query=size),
        upload(client, experiment, DATA + digest.digest()[:-1], query=size),
        upload(client, experiment, DATA + digest.digest() + b"x", query=size),
        upload(client, experiment, DATA, query=size),
        upload(client, experiment, DATA + digest.digest(), query="&sha256_follows=true"),
    ]
    assert [answer.status for answer in refused] == [422, 400, 400, 400, 400]
    path = f"/api/v1/objects/{experiment}/artifacts?name=chunks{size}"
    assert client.request("PUT", path, body=iter([DATA])).json["code"] == "checksum_mismatch"
    assert client.request("PUT", path, body=iter([DATA, digest.digest(), bytes(9)])).status == 400
    assert client.api("GET", f"/objects/{experiment}/artifacts").json["items"] == []
    assert client.request("PUT", path, body=iter([DATA, digest.digest()])).json["sha256"] == digest.hexdigest()
    accepted = upload(client, experiment, DATA + digest.digest(), query=size)
    assert (accepted.status, accepted.json["sha256"]) == (201, digest.hexdigest())
    assert content(client, accepted.json["id"]).body == DATA


def test_a_chunked_upload_of_another_length_than_declared_is_refused(client: ApiClient, experiment: str) -> None:
    path = f"/api/v1/objects/{experiment}/artifacts?name=x&size_bytes=10"
    assert client.request("PUT", path, body=iter([b"x" * 9])).status == 400
    assert client.request("PUT", path, body=iter([b"x" * 11])).status == 400
    for size in ("0", "-5"):
        assert client.request("PUT", path.replace("=10", f"={size}"), body=iter([b"x"])).status == 400
    assert client.request("PUT", path, body=iter([b"x" * 11])).status == 400
    assert client.request("PUT", path, body=iter([b"x" * 4, b"x" * 6])).status == 201


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "a//b", "C:\\x", "", ".", "a\x00b"])
def test_a_label_that_would_climb_out_of_a_folder_is_refused(client: ApiClient, experiment: str, name: str) -> None:
    answer = client.request("PUT", f"/api/v1/objects/{experiment}/artifacts?name={quote(name, safe='')}", body=b"x")
    assert (answer.status, answer.json["code"]) == (400, "invalid_name")


def test_an_upload_to_nothing_is_refused(client: ApiClient) -> None:
    assert upload(client, "0" * 40).status == 404
    assert upload(client, "0" * 40, b"x" * 10_000_000).status == 404


def test_a_tracked_artifact_has_no_bytes_here(client: ApiClient, experiment: str) -> None:
    files = [{"name": "passwd", "uri": "file:///etc/passwd"}]
    (tracked,) = client.api("POST", f"/objects/{experiment}/artifacts", {"files": files}).json["items"]
    answer = content(client, tracked["id"])
    assert (answer.status, answer.json["code"]) == (409, "no_content")
    assert content(client, tracked["id"], "HEAD").status == 409
    assert content(client, tracked["id"], Range="bytes=0-1").status == 409


def test_an_artifact_that_is_not_there(client: ApiClient) -> None:
    assert content(client, "0" * 40).status == 404


# --- the size of memory, and callers who go away -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    """A Jupyter server of this module's own, so that its memory and its files are those of these tests."""
    with jupyter_process(tmp_path_factory.mktemp("artifacts")) as server:
        yield server


@pytest.fixture
def own(process: JupyterProcess) -> ApiClient:
    return ApiClient(process.url, process.headers)


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_large_upload_and_download_take_constant_memory(process: JupyterProcess, own: ApiClient) -> None:
    experiment = own.create_experiment(str(uuid.uuid4()))
    block, blocks = os.urandom(1 << 20), 256
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(block)
    upload(own, experiment, b"warm")
    server = psutil.Process(process.pid)
    before_bytes = server.memory_info().rss
    peak_bytes = 0

    def body() -> Iterator[bytes]:
        nonlocal peak_bytes
        for i in range(blocks):
            yield block
            if i % 16 == 0:
                peak_bytes = max(peak_bytes, server.memory_info().rss)

    path = f"/api/v1/objects/{experiment}/artifacts?name=big&sha256={digest.hexdigest()}&size_bytes={blocks << 20}"
    answer = own.request("PUT", path, body=body(), headers={"Content-Length": str(blocks << 20)})
    assert answer.status == 201

    parts = urlsplit(own.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET", f"{parts.path}/api/v1/artifacts/{answer.json['id']}/content", headers=dict(own.headers))
    response = connection.getresponse()
    time.sleep(0.5)  # a slow reader must not make the server read ahead
    received = hashlib.sha256()
    while piece := response.read(1 << 20):
        received.update(piece)
        peak_bytes = max(peak_bytes, server.memory_info().rss)
    connection.close()
    assert received.hexdigest() == digest.hexdigest()
    assert peak_bytes - before_bytes < 64 << 20


@pytest.mark.parametrize("sent_bytes", [0, 1, 700_000, 5_000_000])
def test_half_an_upload_leaves_nothing(process: JupyterProcess, own: ApiClient, sent_bytes: int) -> None:
    experiment = own.create_experiment(str(uuid.uuid4()))
    store = process.folder / "store" / "blobs"
    before = files_below(store)
    parts = urlsplit(own.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.putrequest("PUT", f"{parts.path}/api/v1/objects/{experiment}/artifacts?name=half")
    for name, value in {**own.headers, "Content-Length": "10000000"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * sent_bytes)
    time.sleep(0.2)
    connection.close()
    until_s = time.monotonic() + 10
    while files_below(store) != before and time.monotonic() < until_s:
        time.sleep(0.05)
    assert files_below(store) == before
    assert own.api("GET", f"/objects/{experiment}/artifacts").json["items"] == []


def test_a_sender_who_goes_away_while_the_upload_is_opened_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, gone = threading.Event(), threading.Event()
    begin = UploadExchange.open

    def slowly(exchange: UploadExchange, query: ArtifactUploadQuery) -> Upload[object]:
        opening.set()
        gone.wait(20)
        return begin(exchange, query)

    monkeypatch.setattr(UploadExchange, "open", slowly)
    with live_server(partial(local_services, tmp_path)) as server:
        own = ApiClient(server.url, server.headers)
        experiment = own.create_experiment(str(uuid.uuid4()))
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.putrequest("PUT", f"/api/v1/objects/{experiment}/artifacts?name=a")
        for name, value in {**own.headers, "Content-Length": "10000000"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert opening.wait(20)
        connection.close()
        # The server hears of it before the upload is open.
        assert own.api("GET", "/info").status == 200
        gone.set()
        assert own.api("GET", "/info").status == 200
        until_s = time.monotonic() + 10
        while files_below(tmp_path / "blobs" / "incoming") and time.monotonic() < until_s:
            time.sleep(0.05)
        assert files_below(tmp_path / "blobs" / "incoming") == set()


@pytest.mark.parametrize("path", ["/objects/OBJECT/artifacts?name=stalled", "/metrics"])
def test_a_sender_who_goes_silent_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Neither a file nor a buffer waits for the rest; the request may be sent again, so it is not called wrong."""
    monkeypatch.setattr("modelbox_server.http.exchange._STALL_S", 0.5)
    with live_server(partial(local_services, tmp_path)) as server:
        own = ApiClient(server.url, server.headers)
        where = "/api/v1" + path.replace("OBJECT", own.create_experiment(str(uuid.uuid4())))
        before = files_below(tmp_path / "blobs")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.putrequest("PUT" if "artifacts" in path else "POST", where)
        media = "application/vnd.apache.arrow.stream"
        for name, value in {**own.headers, "Content-Length": "10000000", "Content-Type": media}.items():
            connection.putheader(name, value)
        connection.endheaders(b"x" * 700_000)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
        connection.close()
        until_s = time.monotonic() + 10
        while files_below(tmp_path / "blobs") != before and time.monotonic() < until_s:
            time.sleep(0.05)
        assert files_below(tmp_path / "blobs") == before
        assert own.api("GET", "/info").status == 200


def test_a_reader_who_goes_away_leaves_no_open_file(process: JupyterProcess, own: ApiClient) -> None:
    experiment = own.create_experiment(str(uuid.uuid4()))
    artifact = upload(own, experiment, os.urandom(20_000_000)).json["id"]
    server = psutil.Process(process.pid)
    parts = urlsplit(own.url)
    for _ in range(5):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", f"{parts.path}/api/v1/artifacts/{artifact}/content", headers=dict(own.headers))
        connection.getresponse().read(1000)
        connection.close()
    until_s = time.monotonic() + 10
    while any("blobs" in file.path for file in server.open_files()) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not [file.path for file in server.open_files() if "blobs" in file.path]
    assert len(content(own, artifact).body) == 20_000_000


def test_bytes_that_are_gone_or_changed_are_said_to_be(process: JupyterProcess, own: ApiClient) -> None:
    experiment = own.create_experiment(str(uuid.uuid4()))
    store = process.folder / "store" / "blobs"
    before = files_below(store)
    artifact = upload(own, experiment, os.urandom(3_000_000)).json["id"]
    (blob,) = files_below(store) - before
    blob.chmod(0o600)
    damaged = bytearray(blob.read_bytes())
    damaged[1_500_000] ^= 1
    blob.write_bytes(damaged)
    with pytest.raises(http.client.IncompleteRead):  # the last bytes are held back until the digest of all is right
        content(own, artifact)
    blob.unlink()
    answer = content(own, artifact)
    assert (answer.status, answer.json["code"]) == (500, "blob_missing")
    assert artifact in answer.json["detail"]
