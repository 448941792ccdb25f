"""deploy/haproxy.cfg and deploy/nginx.conf in front of running servers: uploads, downloads, streams and gRPC pass, strangers do not."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

import modelbox
from modelbox.errors import Unauthenticated
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.server_process import running_server
from modelbox_server.grpc.schema import message
from modelbox_server.testing.certificates import Certificate, make_certificate

__all__ = ["clean_modelbox_environment"]

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
TOKEN = "the token of both servers"
PROGRAMS = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("haproxy", "nginx")}


@dataclass(frozen=True)
class Balanced:
    """Servers behind a balancer."""

    port: int
    certificate: Certificate
    pid: int
    """The process of the first server."""

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.certificate.certificate)
        return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=context)

    @contextlib.contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        credentials = grpc.ssl_channel_credentials(self.certificate.certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{self.port}", credentials) as channel:
            yield channel


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def haproxy_config(folder: Path, port: int, servers: list[str], certificate: Certificate) -> list[str]:
    """Write the file of deploy/ with the places of this machine; return the command that runs it."""
    both = folder / "modelbox.pem"
    both.write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
    text = (
        (DEPLOY / "haproxy.cfg").read_text().replace("/etc/haproxy/modelbox.pem", str(both)).replace(":8085 ssl", f"127.0.0.1:{port} ssl")
    )
    (folder / "haproxy.cfg").write_text(with_servers(text, servers))
    return [PROGRAMS["haproxy"] or "haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def nginx_config(folder: Path, port: int, servers: list[str], certificate: Certificate) -> list[str]:
    text = (DEPLOY / "nginx.conf").read_text().replace("/etc/nginx/modelbox.crt", str(certificate.certificate))
    text = text.replace("/etc/nginx/modelbox.key", str(certificate.key)).replace("listen 8085", f"listen 127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(with_servers(text, servers))
    outside = f"daemon off; pid {folder}/nginx.pid;"
    return [PROGRAMS["nginx"] or "nginx", "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", outside]


def with_servers(text: str, servers: list[str]) -> str:
    for example, server in zip(("10.0.0.11:8085", "10.0.0.12:8085"), servers, strict=True):
        assert example in text
        text = text.replace(example, server)
    return text


@pytest.fixture(scope="module", params=["haproxy", "nginx"])
def balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    """Run two servers on one store, and a balancer with the file of deploy/ in front of them."""
    if PROGRAMS[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    certificate = make_certificate(folder)
    settings = (
        'listen_addr = "127.0.0.1:0"\nprometheus_addr = ""\nmetadata_storage = "integrated"\nmetrics_storage = "integrated"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{folder}/blobs"\n'
        f'[metadata_storage_integrated]\npath = "{folder}/m.db"\n[metrics_storage_integrated]\npath = "{folder}/p.db"\n'
    )
    configs = folder / "one.toml", folder / "two.toml"
    notice_s = 4 if request.param == "haproxy" else 0
    configs[0].write_text(f"shutdown_notice_s = {notice_s}\n{settings}")
    configs[1].write_text(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("MODELBOX_AUTH_TOKEN", TOKEN)
        with running_server(configs[0]) as one, running_server(configs[1]) as two:
            port = free_port()
            make: Callable[..., list[str]] = {"haproxy": haproxy_config, "nginx": nginx_config}[request.param]
            command = make(folder, port, [one["url"].removeprefix("http://"), two["url"].removeprefix("http://")], certificate)
            with running(command, port, folder / "balancer.log"):
                yield Balanced(port, certificate, int(one["pid"]))


@contextlib.contextmanager
def running(command: list[str], port: int, log_path: Path) -> Iterator[None]:
    """Run a balancer until the block is left; it is there when it listens."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + 30
        while True:
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < until_s, log_path.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def caller(channel: grpc.Channel) -> Callable[..., Any]:
    def call(kind: str, name: str, request: Any) -> Any:
        read = message(f"{name}Response").FromString
        method = getattr(channel, kind)(f"/modelbox.ModelStore/{name}", lambda sent: sent.SerializeToString(), read)
        return method(request, timeout=60, metadata=(("authorization", f"Bearer {TOKEN}"),))

    return call


def test_uploads_downloads_and_points_pass(balanced: Balanced, clean_modelbox_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path = clean_modelbox_environment
    monkeypatch.setenv("MODELBOX_CA_FILE", str(balanced.certificate.certificate))
    content = os.urandom(1 << 20) * 24
    (tmp_path / "model.bin").write_bytes(content)
    with modelbox.ModelBox(f"https://localhost:{balanced.port}", token=TOKEN) as box:
        with box.start("behind a balancer", namespace="équipe/vision") as run:
            run.log(loss=0.5, step=1)
            run.upload_artifact(tmp_path / "model.bin")
        run.download_artifact("model.bin", tmp_path / "copy.bin")
        assert run.all_metrics()["loss"][0].value == 0.5
    assert (tmp_path / "copy.bin").read_bytes() == content


def test_grpc_calls_and_streams_pass_while_they_are_written(balanced: Balanced) -> None:
    create = message("CreateExperimentRequest")
    with balanced.channel() as channel:
        rpc = caller(channel)
        first = rpc("unary_unary", "CreateExperiment", create(name="first", namespace="watched"))
        events = rpc("unary_stream", "WatchNamespace", message("WatchNamespaceRequest")(namespace="watched", since=0))
        assert next(events), "the stream is open, and stays so"
        rpc("unary_unary", "CreateExperiment", create(name="second", namespace="watched"))
        assert next(events)
        events.cancel()

        frame, piece = message("UploadFileRequest"), os.urandom(1 << 20)
        metadata = message("FileMetadata")(parent_id=first.experiment_id, file_type=1, path="model.bin")
        sent = rpc("stream_unary", "UploadFile", iter([frame(metadata=metadata), *[frame(chunks=piece)] * 5]))
        _, *received = rpc("unary_stream", "DownloadFile", message("DownloadFileRequest")(file_id=sent.file_id))
        assert b"".join(one.chunks for one in received) == piece * 5


def test_pages_speak_grpc_web_through_it_and_hear_of_changes_at_once(balanced: Balanced) -> None:
    sent = {"Content-Type": "application/grpc-web+proto", "Authorization": f"Bearer {TOKEN}"}
    with balanced.channel() as channel:
        create = message("CreateExperimentRequest")
        caller(channel)("unary_unary", "CreateExperiment", create(name="first", namespace="on a page"))
        request = message("WatchNamespaceRequest")(namespace="on a page", since=0).SerializeToString()
        connection = balanced.connect()
        connection.request("POST", "/modelbox.ModelStore/WatchNamespace", struct.pack(">BI", 0, len(request)) + request, sent)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/grpc-web+proto")
        for name in ("second", "third"):
            flag, size = struct.unpack(">BI", answer.read(5))
            assert flag == 0
            assert message("WatchNamespaceResponse").FromString(answer.read(size))
            caller(channel)("unary_unary", "CreateExperiment", create(name=name, namespace="on a page"))
        connection.close()


def test_whoever_comes_through_a_balancer_needs_a_token(balanced: Balanced, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on the machine of the servers, as the same user: what it adds to calls tells that they are not its own."""
    monkeypatch.setenv("MODELBOX_CA_FILE", str(balanced.certificate.certificate))
    with pytest.raises(Unauthenticated), modelbox.ModelBox(f"https://localhost:{balanced.port}", token="") as box:
        box.info()
    with balanced.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/modelbox.ModelStore/ListModels")(b"", timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("balanced", ["haproxy"], indirect=True)
def test_no_call_fails_while_a_server_stops(balanced: Balanced) -> None:
    """The last test of its balancer: one of the two servers is gone afterwards."""
    statuses: list[int] = []

    def call() -> None:
        connection = balanced.connect()
        connection.request("GET", "/api/v1/info", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        statuses.append(answer.status)
        with balanced.channel() as channel:
            caller(channel)("unary_unary", "ListModels", message("ListModelsRequest")(namespace="any"))

    call()
    os.kill(balanced.pid, signal.SIGTERM)
    until_s = time.monotonic() + 60
    while "State:\tZ" not in Path(f"/proc/{balanced.pid}/status").read_text():  # ended, and not yet waited for
        assert time.monotonic() < until_s
        call()
    for _ in range(10):
        call()
    assert len(statuses) > 11, "calls went through while it stopped"
    assert set(statuses) == {200}
