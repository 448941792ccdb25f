"""How a server stops: what is under way ends, what is new is told to come back, and whoever asks knows it first."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.wiring import local_services

PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import local_services
folder, grace_s, notice_s = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
server = StandaloneServer(
    partial(local_services, folder / "store"), port=0, runtime_folder=folder / "servers", grace_s=grace_s, notice_s=notice_s
)
serve(server, on_start=lambda server: (folder / "started").write_text(server.url))
"""
HALF = 1_000_000


@dataclass
class Server:
    """A server of its own process."""

    process: subprocess.Popen[bytes]
    url: str
    token: str

    @property
    def client(self) -> ApiClient:
        return ApiClient(self.url, {"Authorization": f"Bearer {self.token}"})

    def connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def status(self, path: str, connection: http.client.HTTPConnection | None = None) -> int:
        """Ask over a new connection, or over one that is there."""
        asked = connection or self.connection()
        try:
            asked.request("GET", path, headers=self.client.headers)
            answer = asked.getresponse()
            answer.read()
            return answer.status
        finally:
            if connection is None:
                asked.close()

    def half_an_upload(self, name: str) -> http.client.HTTPConnection:
        experiment = self.client.create_experiment()
        connection = self.connection()
        connection.putrequest("PUT", f"/api/v1/objects/{experiment}/artifacts?name={name}")
        for key, value in {**self.client.headers, "Content-Length": str(2 * HALF)}.items():
            connection.putheader(key, value)
        connection.endheaders(b"x" * HALF)
        return connection

    def stub(self, channel: grpc.Channel, name: str) -> Callable[..., Any]:
        rpc = SERVICES["ModelStore"][name]
        kind = f"{'stream' if rpc.takes_stream else 'unary'}_{'stream' if rpc.gives_stream else 'unary'}"
        response = message(rpc.response)
        call = getattr(channel, kind)(f"/modelbox.ModelStore/{name}", lambda sent: sent.SerializeToString(), response.FromString)
        return lambda sent: call(sent, metadata=[("authorization", f"Bearer {self.token}")], timeout=120)


@contextlib.contextmanager
def started(folder: Path, *, grace_s: float, notice_s: float = 0.0) -> Iterator[Server]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(grace_s), str(notice_s)])
    try:
        wait_for(lambda: (folder / "started").exists() and (folder / "started").read_text() != "")
        (record,) = (json.loads(path.read_text()) for path in (folder / "servers").glob("*.json"))
        yield Server(process, record["url"], record["token"])
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_over_http_ends_and_new_work_is_told_to_come_back(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, grace_s=120) as server:
        upload, idle = server.half_an_upload("late"), server.connection()
        assert server.status("/api/v1/info", idle) == 200
        server.process.send_signal(number)
        wait_for(lambda: server.status("/readyz") == 503)
        assert list((tmp_path / "servers").iterdir()) == []
        for path, status in (("/healthz", 503), ("/livez", 200), ("/version", 200), ("/api/v1/info", 503)):
            assert server.status(path) == server.status(path, idle) == status
        answer = server.client.api("GET", "/info")
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "storage_unavailable", "5")
        assert "shutting down" in answer.json["detail"]
        upload.send(b"x" * HALF)
        assert upload.getresponse().status == 201
        upload.close()
        idle.close()
        assert server.process.wait(60) == 0
    services = local_services(tmp_path / "store")
    try:
        services.check()
    finally:
        services.close()


def test_streams_over_grpc_end_as_well(tmp_path: Path) -> None:
    content = os.urandom(16 * HALF)
    ended: list[grpc.RpcError] = []
    seen: list[Any] = []
    go_on = threading.Event()
    with started(tmp_path, grace_s=120) as server, grpc.insecure_channel(urlsplit(server.url).netloc) as channel:
        experiment = server.client.create_experiment(namespace="stopping")
        frame, metadata = message("UploadFileRequest"), message("FileMetadata")

        def frames(name: str, pause: threading.Event | None) -> Iterator[Any]:
            yield frame(metadata=metadata(parent_id=experiment, path=name))
            for start in range(0, len(content), HALF):
                yield frame(chunks=content[start : start + HALF])
                if pause is not None:
                    pause.wait(60)

        file_id = server.stub(channel, "UploadFile")(frames("first.bin", None)).file_id
        uploaded: list[str] = []
        upload = threading.Thread(target=lambda: uploaded.append(server.stub(channel, "UploadFile")(frames("late.bin", go_on)).file_id))
        upload.start()
        download = server.stub(channel, "DownloadFile")(message("DownloadFileRequest")(file_id=file_id))
        first = [next(download), next(download)]

        def watch() -> None:
            try:
                for event in server.stub(channel, "WatchNamespace")(message("WatchNamespaceRequest")(namespace="stopping")):
                    seen.append(event)  # noqa: PERF402  (one by one: the test waits for the first)
            except grpc.RpcError as error:
                ended.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        wait_for(lambda: bool(seen))
        server.process.send_signal(signal.SIGTERM)
        health = health_pb2_grpc.HealthStub(channel)
        wait_for(lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == health_pb2.HealthCheckResponse.NOT_SERVING)
        wait_for(lambda: server.status("/api/v1/info") == 503)
        with pytest.raises(grpc.RpcError) as caught:
            server.stub(channel, "ListExperiments")(message("ListExperimentsRequest")())
        assert (caught.value.code(), dict(caught.value.trailing_metadata())["retry-after"]) == (grpc.StatusCode.UNAVAILABLE, "5")
        watcher.join(60)
        assert [error.code() for error in ended] == [grpc.StatusCode.UNAVAILABLE]
        assert "watch again" in str(ended[0].details())
        go_on.set()
        received = b"".join(frame.chunks for frame in [*first[1:], *download])
        upload.join(60)
        assert received == content
        assert len(uploaded) == 1
        assert server.process.wait(60) == 0


def test_a_second_signal_cuts_the_grace_period_short(tmp_path: Path) -> None:
    with started(tmp_path, grace_s=3600) as server:
        upload = server.half_an_upload("never")
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.status("/readyz") == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        upload.close()


def test_what_does_not_end_within_the_grace_period_is_cut(tmp_path: Path) -> None:
    with started(tmp_path, grace_s=0.2) as server:
        upload = server.half_an_upload("never")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        upload.close()
    services = local_services(tmp_path / "store")
    try:
        services.check()
    finally:
        services.close()


def test_load_balancers_can_be_given_notice(tmp_path: Path) -> None:
    with started(tmp_path, grace_s=60, notice_s=3600) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.status("/readyz") == 503)
        assert server.status("/api/v1/info") == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
