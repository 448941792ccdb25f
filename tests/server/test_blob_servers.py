"""Two blob servers move bytes for a metadata server: whole, to whoever has a ticket, and whichever of them is away."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import grpc
import pytest

import modelbox
from modelbox.client.address import ServerAddress
from modelbox.client.http import HttpTransport
from modelbox.entities.times import now
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox.wire.routes import API_PREFIX, CREATE_EXPERIMENT, DIRECT_FROM_HEADER, ROUTES
from modelbox_server.blob_server import BlobServer
from modelbox_server.grpc.schema import message
from modelbox_server.http.blobs import UNKNOWN_HERE
from modelbox_server.service.tickets import DownloadClaims, ReceiptClaims, TicketDesk, UploadClaims
from modelbox_server.service.transfers import DIRECT_FROM_BYTES
from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore, FilesystemBlobWriter
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server, serving
from modelbox_server.wiring import StorageSettings, build_services

KEY = "a key that only these servers have"
LARGE = os.urandom(1 << 20) * 5 + b"end"
DIGEST = hashlib.sha256(LARGE).hexdigest()


class CountingStore(FilesystemBlobStore):
    """Knows how many contents came and went by way of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written = self.read_ = 0

    def writer(self, *, md5: bool = True, sha256: str | None = None) -> FilesystemBlobWriter:
        self.written += 1
        return super().writer(md5=md5, sha256=sha256)

    def read(self, key: str, start: int = 0, stop: int | None = None, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        self.read_ += 1
        return super().read(key, start, stop, chunk_bytes=chunk_bytes)


@dataclass
class Cluster:
    metadata: LiveServer
    blobs: list[tuple[BlobServer, CountingStore, ExitStack]]
    folder: Path

    @property
    def written(self) -> int:
        return sum(store.written for _, store, _ in self.blobs)

    @property
    def read(self) -> int:
        return sum(store.read_ for _, store, _ in self.blobs)

    def client(self) -> ApiClient:
        return ApiClient(self.metadata.url, self.metadata.headers)

    def transport(self) -> HttpTransport:
        return HttpTransport(ServerAddress("http", "127.0.0.1", self.metadata.port), self.metadata.token)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "blobs"
    blobs = []
    with ExitStack() as all_of_them:
        for _ in range(2):
            store = CountingStore(folder)
            server = BlobServer(lambda store=store: store, TicketDesk(KEY, now), port=0)  # type: ignore[misc]
            running = all_of_them.enter_context(ExitStack())
            running.enter_context(serving(server))
            blobs.append((server, store, running))
        settings = StorageSettings(
            tmp_path / "metadata", artifact_folder=folder, blob_servers=tuple(server.url for server, _, _ in blobs), ticket_key=KEY
        )
        metadata = all_of_them.enter_context(live_server(lambda: build_services(settings)))
        yield Cluster(metadata, blobs, folder)


@pytest.fixture
def experiment(cluster: Cluster) -> str:
    return cluster.client().create_experiment()


def upload(cluster: Cluster, parent: str, content: bytes = LARGE, name: str = "w.bin") -> str:
    """Upload by a client that has heard from the server before, and return the id."""
    transport = cluster.transport()
    transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="hello"))
    record = transport.upload(parent, ArtifactUploadQuery(name=name), BytesIO(content))  # type: ignore[arg-type]
    assert (record.sha256, record.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    transport.close()
    return record.id


def download(cluster: Cluster, artifact_id: str) -> bytes:
    transport = cluster.transport()
    transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="hello"))
    content = b"".join(transport.download(artifact_id))
    transport.close()
    return content


def test_the_client_of_people_moves_large_files_by_way_of_blob_servers(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(LARGE)
    with modelbox.ModelBox(cluster.metadata.url, token=cluster.metadata.token) as box:
        run = box.new_experiment("e")
        artifact = run.upload_artifact(path)
        assert artifact.download(tmp_path / "back.bin").read_bytes() == LARGE
    assert (cluster.written, cluster.read) == (1, 1)


def test_small_files_go_through_the_server_that_keeps_the_metadata(cluster: Cluster, experiment: str) -> None:
    artifact = upload(cluster, experiment, b"small")
    assert cluster.written == 0
    assert download(cluster, artifact) == b"small"


def test_the_server_says_on_its_answers_that_it_has_blob_servers(cluster: Cluster) -> None:
    assert cluster.client().request("GET", "/api/v1/info").headers[DIRECT_FROM_HEADER.lower()] == str(DIRECT_FROM_BYTES)


@pytest.mark.parametrize("away", [0, 1])
def test_another_blob_server_is_used_where_one_is_away(cluster: Cluster, experiment: str, away: int) -> None:
    artifact = upload(cluster, experiment)
    cluster.blobs[away][2].close()
    before = cluster.written
    for index in range(6):  # each begins with either of them
        upload(cluster, experiment, LARGE + bytes([index]), name=f"{index}")
        assert download(cluster, artifact) == LARGE
    assert cluster.written == before + 6


def test_the_server_itself_is_used_where_all_are_away(cluster: Cluster, experiment: str) -> None:
    for _, _, running in cluster.blobs:
        running.close()
    assert download(cluster, upload(cluster, experiment)) == LARGE


def test_what_the_server_of_the_metadata_was_asked_for_in_2022_still_works(cluster: Cluster, experiment: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{cluster.metadata.port}", options=[("grpc.max_receive_message_length", 1 << 26)]) as channel:
        credentials = (("authorization", f"Bearer {cluster.metadata.token}"),)
        file = message("UploadFileRequest")
        frames = [
            file(metadata=message("FileMetadata")(parent_id=experiment, path="w.bin", file_type=1)),
            *(file(chunks=LARGE[start : start + 65536]) for start in range(0, len(LARGE), 65536)),
        ]
        send = channel.stream_unary(
            "/modelbox.ModelStore/UploadFile",
            request_serializer=lambda frame: frame.SerializeToString(),
            response_deserializer=message("UploadFileResponse").FromString,
        )
        file_id = send(iter(frames), metadata=credentials).file_id
    assert download(cluster, file_id) == LARGE
    assert (cluster.written, cluster.read) == (0, 1)


# --- a blob server by itself -------------------------------------------------------------------------------------------------------------


def blob_client(cluster: Cluster, ticket: str = "") -> ApiClient:
    return ApiClient(cluster.blobs[0][0].url, {"Authorization": f"Bearer {ticket}"} if ticket else {})


def upload_ticket(object_id: str, content: bytes = LARGE, **changes: object) -> str:
    said = {"size_bytes": len(content), "sha256": None, "md5": None, **changes}
    claims = UploadClaims(upload_id="u", object_id=object_id, namespace="équipe/vision", **said)  # type: ignore[arg-type]
    return TicketDesk(KEY, now).write(claims, 60)


def test_everything_but_bytes_and_health_is_told_to_go_elsewhere(cluster: Cluster) -> None:
    stranger = blob_client(cluster)
    paths = {API_PREFIX + re.sub(r"\{\w+\}", "0" * 40, route.path) for route in ROUTES}
    for path in {*paths, "/", "/metrics", "/api/v1/openapi.json", "/api/v1/blobs/", "/api/v1/blobs/../info", "//livez"}:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = stranger.request(method, path, body=b"{}" if method in {"POST", "PUT"} else None)
            assert (answer.status, answer.json["code"]) == (404, "not_found"), (method, path)
            assert UNKNOWN_HERE in answer.json["detail"]
    assert {stranger.request("GET", path).status for path in ("/livez", "/readyz", "/healthz", "/version")} == {200}


def test_nothing_is_moved_without_a_ticket(cluster: Cluster, experiment: str) -> None:
    other_key = TicketDesk("k" * 32, now).write(
        UploadClaims(upload_id="u", object_id=experiment, namespace="n", size_bytes=1, sha256=None, md5=None), 60
    )
    for ticket in ("", "x", other_key, cluster.metadata.token):
        client = blob_client(cluster, ticket)
        for method in ("GET", "HEAD", "PUT"):
            answer = client.request(method, "/api/v1/blobs", body=b"x" if method == "PUT" else None)
            assert answer.status == 401
    assert {blob_client(cluster, upload_ticket(experiment)).request(method, "/api/v1/blobs").status for method in ("POST", "DELETE")} == {
        405
    }
    assert list(cluster.blobs[0][1].keys()) == []


def test_a_ticket_for_reading_does_not_write_and_the_other_way_round(cluster: Cluster, experiment: str) -> None:
    upload(cluster, experiment)
    reading = TicketDesk(KEY, now).write(DownloadClaims(key=DIGEST, namespace="n", name="w.bin", sha256=DIGEST, size_bytes=len(LARGE)), 60)
    assert blob_client(cluster, reading).request("PUT", "/api/v1/blobs", body=b"x").status == 401
    assert blob_client(cluster, upload_ticket(experiment)).request("GET", "/api/v1/blobs").status == 401
    whole = blob_client(cluster, reading).request("GET", "/api/v1/blobs")
    assert (whole.status, whole.body) == (200, LARGE)
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["content-type"] == "application/octet-stream"
    part = blob_client(cluster, reading).request("GET", "/api/v1/blobs", headers={"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, LARGE[5:10])


@pytest.mark.parametrize(
    ("said", "status"), [({"sha256": "0" * 64}, 422), ({"md5": "0" * 32}, 422), ({"size_bytes": 1}, 400), ({"size_bytes": 1 << 30}, 400)]
)
def test_other_bytes_than_those_of_the_ticket_are_refused(cluster: Cluster, experiment: str, said: dict[str, object], status: int) -> None:
    answer = blob_client(cluster, upload_ticket(experiment, **said)).request("PUT", "/api/v1/blobs", body=LARGE)
    assert answer.status == status
    assert list(cluster.blobs[0][1].keys()) == []
    until_s = time.monotonic() + 20  # what was refused is dropped after the answer
    while list((cluster.folder / "incoming").iterdir()) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert list((cluster.folder / "incoming").iterdir()) == []


def test_a_ticket_that_is_used_twice_stores_the_same_once(cluster: Cluster, experiment: str) -> None:
    client = blob_client(cluster, upload_ticket(experiment))
    receipts = [client.request("PUT", "/api/v1/blobs", body=LARGE).json["receipt"] for _ in range(2)]
    assert len(list(cluster.blobs[0][1].keys())) == 1
    finish = f"/objects/{experiment}/uploads/finish"
    records = [cluster.client().api("POST", finish, {"artifact": {"name": "w"}, "receipt": one}).json for one in (*receipts, *receipts)]
    assert len({record["id"] for record in records}) == 1


def test_grpc_is_told_to_go_elsewhere(cluster: Cluster) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{cluster.blobs[0][0].port}") as channel:
        for call in (channel.unary_unary, channel.unary_stream):
            with pytest.raises(grpc.RpcError) as caught:
                list(call("/modelbox.ModelStore/ListExperiments")(b""))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert caught.value.details() == UNKNOWN_HERE


# --- receipts ----------------------------------------------------------------------------------------------------------------------------


def receipt_for(object_id: str, **changes: object) -> str:
    said = {"namespace": "équipe/vision", "key": DIGEST, "sha256": DIGEST, "md5": "", "size_bytes": len(LARGE), **changes}
    return TicketDesk(KEY, now).write(ReceiptClaims(upload_id="u", object_id=object_id, **said), 60)  # type: ignore[arg-type]


def test_a_receipt_is_believed_for_its_object_and_its_bytes_only(cluster: Cluster, experiment: str) -> None:
    client = cluster.client()
    other = client.create_experiment("other")

    def finish(receipt: str, **artifact: object) -> tuple[int, str]:
        answer = client.api("POST", f"/objects/{experiment}/uploads/finish", {"artifact": {"name": "w", **artifact}, "receipt": receipt})
        return answer.status, answer.json.get("code", "")

    assert finish(receipt_for(experiment)) == (503, "storage_unavailable")  # the bytes never came
    upload(cluster, experiment)
    assert finish(receipt_for(other)) == (403, "permission_denied")
    assert finish(receipt_for(experiment, namespace="elsewhere")) == (403, "permission_denied")
    assert finish(receipt_for(experiment), sha256="0" * 64) == (422, "checksum_mismatch")
    assert finish(receipt_for(experiment), size_bytes=1) == (422, "checksum_mismatch")
    assert finish(receipt_for(experiment, size_bytes=1)) == (503, "storage_unavailable")
    assert finish(upload_ticket(experiment)) == (401, "unauthenticated")
    assert finish("x" + receipt_for(experiment)) == (401, "unauthenticated")
    assert finish(receipt_for(experiment))[0] == 200
