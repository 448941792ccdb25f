"""Three servers behind HAProxy on PostgreSQL and S3, killed in turn under eight clients, and the database restarted: nothing is lost.

Clients log points, set metadata and upload files, and go on when they are told that these are kept. Two watchers follow the changes:
one over HTTP through the balancer, one over gRPC at one server after the other.
"""

import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from tests.deploy.test_load_balancers import haproxy_config, running

from modelbox.client.address import ServerAddress
from modelbox.client.connection import ModelBox
from modelbox.client.http import answers
from modelbox.errors import ModelBoxError
from modelbox.testing.crash import Outcome
from modelbox_server.grpc.schema import message
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.certificates import make_certificate
from modelbox_server.testing.engines import PostgresServer
from modelbox_server.testing.s3_engine import s3_engine

pytestmark = pytest.mark.slow

CLIENTS = 8
SERVERS = 3
TOKEN = "the token of all three"
WRITER = """
import os, sys, time, modelbox
from modelbox.errors import ModelBoxError
url, name, ack_path, seconds = sys.argv[1:5]
ack = os.open(ack_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
box = modelbox.ModelBox(url)
run = box.start(name, namespace="cluster")
print(run.id, flush=True)
end, step, file = time.monotonic() + float(seconds), 0, 0
while time.monotonic() < end:
    for _ in range(25):
        run.log({"v": float(step)}, step=step)
        step += 1
    run.update_metadata({f"mark {step}": step})
    while not box.flush(120):
        pass
    os.write(ack, b"step %d\\n" % step)
    content = f"{name} {file}".encode() * 1000
    path = f"{ack_path}.bin"
    with open(path, "wb") as out:
        out.write(content)
    run.upload_artifact(path, name=f"file {file}")
    while not box.flush(120):
        pass
    os.write(ack, b"file %d\\n" % file)
    file += 1
    time.sleep(0.1)
run.finish()
box.close()
"""


@dataclass
class Cluster:
    """The servers, each of which can be killed and started again."""

    folder: Path
    configs: list[Path]
    ports: list[int]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    kills: int = 0

    def start(self, number: int) -> None:
        """Start a server and wait until it answers."""
        with (self.folder / f"{number}.log").open("ab") as log:
            command = [sys.executable, "-m", "modelbox.cli.main", "server", "start", "--config-path", str(self.configs[number])]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes[number : number + 1] = [process]
        self.wait(number)

    def wait(self, number: int) -> None:
        until_s = time.monotonic() + 60
        while not answers(ServerAddress("http", "127.0.0.1", self.ports[number]), timeout_s=0.5):
            assert self.processes[number].poll() is None, (self.folder / f"{number}.log").read_text()[-3000:]
            assert time.monotonic() < until_s, (self.folder / f"{number}.log").read_text()[-3000:]
            time.sleep(0.05)

    def kill(self, number: int) -> None:
        """Kill -9."""
        self.processes[number].send_signal(signal.SIGKILL)
        self.processes[number].wait()
        self.kills += 1

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def config_of(folder: Path, port: int, database: DatabaseSettings, bucket: str, endpoint: str) -> Path:
    def reached(section: str) -> str:
        return f"[{section}]\n" + "".join(
            f"{name} = {json.dumps(getattr(database, name))}\n" for name in ("host", "port", "username", "password", "dbname")
        )

    path = folder / f"{port}.toml"
    path.touch(0o600)
    path.write_text(
        f'listen_addr = "127.0.0.1:{port}"\nprometheus_addr = ""\nartifact_storage = "s3"\nmetadata_storage = "postgres"\n'
        'metrics_storage = "timescaledb"\n'
        f'[artifact_storage_s3]\nregion = "us-east-1"\nbucket = "{bucket}"\nendpoint_url = "{endpoint}"\npath_style = true\n'
        'access_key = "test"\nsecret_key = "test"\n'
        f"{reached('metadata_storage_postgres')}{reached('metrics_storage_timescaledb')}"
        f'[auth]\ntoken = "{TOKEN}"\n'
    )
    return path


class HttpWatcher(threading.Thread):
    """Follows the changes through the balancer, as pages do."""

    def __init__(self, url: str, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self._url, self._ended = url, ended

    def run(self) -> None:
        box = ModelBox(self._url, token=TOKEN)
        after = 0
        is_last = False
        while not is_last:
            is_last = self._ended.is_set()
            with contextlib.suppress(ModelBoxError):  # away: the next try sees it
                for event in box.changes(namespace="cluster", after=after):
                    after = event.seq
                    self.seen.append(event.seq)
            time.sleep(0.2)
        box.close()


class GrpcWatcher(threading.Thread):
    """Watches at one server after the other: whenever one is gone, at the next."""

    def __init__(self, ports: list[int], ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self.streams = 0
        self._ports, self._ended = ports, ended
        self._channel: grpc.Channel | None = None

    def run(self) -> None:
        response = message("WatchNamespaceResponse").FromString
        while not self._ended.is_set():
            port = self._ports[self.streams % len(self._ports)]
            self.streams += 1
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                watch = channel.unary_stream("/modelbox.ModelStore/WatchNamespace", lambda sent: sent.SerializeToString(), response)
                stream = watch(
                    message("WatchNamespaceRequest")(namespace="cluster"), timeout=600, metadata=[("authorization", f"Bearer {TOKEN}")]
                )
                self._stream = stream
                with contextlib.suppress(grpc.RpcError):
                    for change in stream:
                        number = int(change.payload.struct_value.fields["Sequence"].number_value)
                        if not self.seen or number > self.seen[-1]:  # a new stream begins at the beginning
                            self.seen.append(number)
            time.sleep(0.1)

    def end(self) -> None:
        """Stop once nothing new comes."""
        size = -1
        while size != len(self.seen):
            size = len(self.seen)
            time.sleep(1.5)
        self._ended.set()
        self._stream.cancel()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, PostgresServer, str]]:
    """Yield the servers, their database, and the address of the balancer."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("MODELBOX_API_TOKEN", TOKEN)
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("MODELBOX_CA_FILE", str(certificate.certificate))
    with PostgresServer() as database, s3_engine() as engine, engine.bucket() as bucket:
        settings = database.create_database()
        *ports, balancer = free_ports(SERVERS + 1)
        configs = [config_of(tmp_path, port, settings, bucket.bucket, bucket.endpoint_url) for port in ports]
        servers = Cluster(tmp_path, configs, ports)
        try:
            for number in range(SERVERS):
                servers.start(number)
            command = haproxy_config(tmp_path, balancer, [f"127.0.0.1:{port}" for port in ports[:2]], certificate)
            add_server(tmp_path / "haproxy.cfg", ports[2])
            with running(command, balancer, tmp_path / "haproxy.log"):
                yield servers, database, f"https://localhost:{balancer}"
        finally:
            servers.stop()


def add_server(config: Path, port: int) -> None:
    """Give the file of the example, which has two servers, a third one."""
    text = config.read_text()
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if line.strip().startswith("server modelbox2"):
            lines.append(f"    server modelbox3 127.0.0.1:{port}{' track http/modelbox3' if 'track' in line else ''}")
    config.write_text("\n".join([*lines, ""]))


def test_servers_die_in_turn_and_nothing_is_lost(
    cluster: tuple[Cluster, PostgresServer, str], tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    servers, database, url = cluster
    outcome = Outcome(f"{SERVERS} servers on PostgreSQL and S3 behind HAProxy, {CLIENTS} clients", rounds(2, 6))
    every_s, seconds = rounds(5, 10), rounds(14, 60)
    ended = threading.Event()
    by_http, by_grpc = HttpWatcher(url, ended), GrpcWatcher(servers.ports, threading.Event())
    by_http.start()
    by_grpc.start()
    acks = [tmp_path / f"ack {number}" for number in range(CLIENTS)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, f"writer {number}", str(ack), str(seconds)], stdout=subprocess.PIPE, text=True)
        for number, ack in enumerate(acks)
    ]
    ids = [writer.stdout.readline().strip() for writer in writers if writer.stdout is not None]
    begun_s = time.monotonic()
    for turn in range(outcome.rounds):
        time.sleep(max(0.0, begun_s + (turn + 1) * every_s - time.monotonic()))
        number = turn % SERVERS
        servers.kill(number)
        if turn == outcome.rounds // 2:
            database.restart()
        servers.start(number)
    for writer in writers:
        writer.communicate(timeout=180)
        assert writer.returncode == 0
    took_s = time.monotonic() - begun_s

    box = ModelBox(url)
    files = marks = 0
    for object_id, ack in zip(ids, acks, strict=True):
        lines = [line.split() for line in ack.read_text().splitlines()]
        steps = max((int(number) for kind, number in lines if kind == "step"), default=0)
        run = box.experiment(object_id)
        (block,) = box.read_metrics([object_id], ["v"])
        stored = memoryview(block.steps).cast("B").cast("q").tolist()
        outcome.count(range(steps), stored)
        assert memoryview(block.values).cast("B").cast("d").tolist() == [float(step) for step in stored]  # type: ignore[arg-type]
        document = run.metadata()
        told = [25 * i for i in range(1, steps // 25 + 1)]
        assert [document.get(f"mark {step}") for step in told] == told
        marks += len(told)
        names = Counter(artifact.name for artifact in run.artifacts)
        uploaded = [f"file {number}" for kind, number in lines if kind == "file"]
        assert all(names[name] == 1 for name in uploaded), names
        for artifact in run.artifacts:
            number = int(artifact.name.removeprefix("file "))
            content = f"writer {ids.index(object_id)} {number}".encode() * 1000
            assert artifact.record.sha256 == hashlib.sha256(content).hexdigest()
        files += len(uploaded)
    assert run.download_artifact(f"file {number}", tmp_path / "again").read_bytes() == content
    box.close()

    by_grpc.end()
    ended.set()
    by_http.join(30)
    by_grpc.join(30)
    api = ApiClient(f"http://127.0.0.1:{servers.ports[0]}", {"Authorization": f"Bearer {TOKEN}"})
    everything: list[int] = []
    while page := api.api("GET", f"/changes?namespace=cluster&limit=1000&after={everything[-1] if everything else 0}").json["items"]:
        everything += [event["seq"] for event in page if event["kind"] != "downloaded"]
        if len(page) < 1000:
            break
    for seen in (by_http.seen, by_grpc.seen):
        assert sorted(seen) == seen
        assert len(set(seen)) == len(seen)
        assert set(everything) <= set(seen)
    members = api.api("GET", "/members").json["items"]
    assert {member["http_addr"].rpartition(":")[2] for member in members} == {str(port) for port in servers.ports}
    outcome.more |= {
        "seconds": round(took_s, 1), "kills": servers.kills, "database_restarts": 1, "metadata": marks, "files": files,
        "changes": len(everything), "streams_of_the_grpc_watcher": by_grpc.streams,
    }  # fmt: skip
    outcome.report()
