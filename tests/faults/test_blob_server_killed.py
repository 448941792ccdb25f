"""Two blob servers and a metadata server, each a process of its own: one blob server is killed in the middle of a transfer."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from modelbox.client.address import ServerAddress
from modelbox.client.http import HttpTransport
from modelbox.errors import ModelBoxError
from modelbox.testing.server_process import running_server
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox.wire.routes import CREATE_EXPERIMENT

MIB = 1 << 20
CONTENT_BYTES = 100 * MIB
GROWTH_BYTES = 64 * MIB


@dataclass
class BlobProcess:
    url: str
    process: "subprocess.Popen[bytes]"
    before_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        return memory(self.process.pid, "VmHWM")


def memory(pid: int, what: str) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


@contextmanager
def blob_process(config: Path) -> Iterator[BlobProcess]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    env = {**os.environ, "MODELBOX_LISTEN_ADDR": f"127.0.0.1:{port}", "MODELBOX_METRICS_ADDR": ""}
    command = [sys.executable, "-m", "modelbox.cli.main", "server", "start", "--mode", "blob", "--config-path", str(config)]
    with (config.parent / f"blob-{port}.log").open("wb") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as process:
        try:
            transport = HttpTransport(ServerAddress("http", "127.0.0.1", port))
            until_s = time.monotonic() + 60
            while not ready(transport):
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < until_s, Path(log.name).read_text()
                time.sleep(0.05)
            transport.close()
            yield BlobProcess(f"http://127.0.0.1:{port}", process, memory(process.pid, "VmRSS"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in {0, -signal.SIGKILL}, Path(log.name).read_text()
        finally:
            process.kill()


def ready(transport: HttpTransport) -> bool:
    try:
        return bool(b"".join(transport.pieces("/readyz", 0, None, {})))
    except ModelBoxError:
        return False


@dataclass
class Cluster:
    transport: HttpTransport
    blobs: list[BlobProcess]
    experiment: str

    def at_work(self) -> BlobProcess | None:
        """The blob server that has a content open at this moment."""
        for blob in self.blobs:
            if blob.process.poll() is None:
                for handle in Path(f"/proc/{blob.process.pid}/fd").iterdir():
                    try:
                        target = handle.readlink()
                    except FileNotFoundError:
                        continue
                    if target.suffix == ".part" or len(target.name) == 64:
                        return blob
        return None

    def kill_whoever_is_at_work(self) -> None:
        until_s = time.monotonic() + 30
        while (blob := self.at_work()) is None:
            assert time.monotonic() < until_s, "no blob server works on it"
            time.sleep(0.005)
        blob.process.kill()
        blob.process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    config = tmp_path / "box.toml"
    config.write_text(
        f"""
        metadata_storage = "integrated"
        listen_addr = "127.0.0.1:0"
        [metadata_storage_integrated]
        path = "{tmp_path / "meta.db"}"
        [artifact_storage_filesystem]
        base_dir = "{tmp_path / "blobs"}"
        [tickets]
        key = "{os.urandom(16).hex()}"
        """
    )
    config.chmod(0o600)
    with ExitStack() as stack:
        blobs = [stack.enter_context(blob_process(config)) for _ in range(2)]
        urls = ", ".join(f'"{blob.url}"' for blob in blobs)
        main = tmp_path / "main.toml"
        main.write_text(f'mode = "metadata"\nblob_servers = [{urls}]\n' + config.read_text())
        main.chmod(0o600)
        started = stack.enter_context(running_server(main))
        port = int(started["url"].rpartition(":")[2])
        transport = HttpTransport(ServerAddress("http", "127.0.0.1", port), started["token"])
        experiment = transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="e")).item.id
        yield Cluster(transport, blobs, experiment)
        transport.close()


class Interrupted(BytesIO):
    """Runs something once, when half of it was read."""

    def __init__(self, content: bytes, cluster: Cluster) -> None:
        super().__init__(content)
        self._cluster: Cluster | None = cluster
        self._half = len(content) // 2

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if self._cluster is not None and self.tell() >= self._half:
            cluster, self._cluster = self._cluster, None
            cluster.kill_whoever_is_at_work()
        return super().readinto(buffer)


def test_an_upload_and_a_download_survive_the_death_of_the_blob_server_that_carries_them(cluster: Cluster) -> None:
    """The other one goes on, the digests are right, and neither needs more memory for more bytes."""
    content = os.urandom(MIB) * (CONTENT_BYTES // MIB)
    digest = hashlib.sha256(content).hexdigest()
    record = cluster.transport.upload(cluster.experiment, ArtifactUploadQuery(name="w.bin"), Interrupted(content, cluster))
    assert (record.sha256, record.size_bytes) == (digest, CONTENT_BYTES)
    alive = [blob for blob in cluster.blobs if blob.process.poll() is None]
    assert len(alive) == 1
    assert hashlib.sha256(b"".join(cluster.transport.download(record.id))).hexdigest() == digest
    growth_bytes = alive[0].peak_bytes - alive[0].before_bytes
    assert growth_bytes < GROWTH_BYTES, f"{growth_bytes / MIB:.0f} MiB"

    # The last blob server goes in the middle of a download: the server of the metadata gives the rest.
    received, killed = hashlib.sha256(), False
    for chunk in cluster.transport.download(record.id):
        received.update(chunk)
        if not killed:
            killed = True
            cluster.kill_whoever_is_at_work()
    assert received.hexdigest() == digest
