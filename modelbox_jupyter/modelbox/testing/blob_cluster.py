"""A metadata server and some blob servers, each a process of its own started by the command that people use, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.client.address import ServerAddress
from modelbox.client.http import HttpTransport
from modelbox.errors import ModelBoxError
from modelbox.testing.server_process import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BlobCluster", "BlobProcess", "blob_cluster", "memory_bytes"]

_START_S = 60.0
_STOP_S = 30.0


@dataclass
class BlobProcess:
    """A blob server that runs.

    Parameters
    ----------
    url
        Where it listens.
    process
        The process.
    before_bytes
        Its memory before it moved anything.
    """

    url: str
    process: subprocess.Popen[bytes]
    before_bytes: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def growth_bytes(self) -> int:
        """How much more memory it had at its peak than before it moved anything."""
        return memory_bytes(self.process.pid, "VmHWM") - self.before_bytes

    def is_at_work(self) -> bool:
        """Tell whether it has a content open at this moment."""
        if not self.is_alive:
            return False
        for handle in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                target = handle.readlink()
            except FileNotFoundError:
                continue
            if target.suffix == ".part" or len(target.name) == 64:
                return True
        return False

    def kill(self) -> None:
        """End it without any notice."""
        self.process.kill()
        self.process.wait()


@dataclass
class BlobCluster:
    """Servers that share one folder of artifacts.

    Parameters
    ----------
    transport
        To the server that keeps the metadata.
    server
        Process id of that server.
    blobs
        The blob servers.
    """

    transport: HttpTransport
    server: int
    blobs: list[BlobProcess]

    def kill_whoever_is_at_work(self) -> None:
        """Kill the blob server that moves something, as soon as one does."""
        until_s = time.monotonic() + _START_S
        while not (busy := [blob for blob in self.blobs if blob.is_at_work()]):
            assert time.monotonic() < until_s, "no blob server works on it"
            time.sleep(0.005)
        busy[0].kill()


@contextmanager
def blob_cluster(folder: Path, count: int = 2) -> Iterator[BlobCluster]:
    """Run servers until the block is left; what they keep, and their logs, lie in `folder`."""
    shared = folder / "shared.toml"
    shared.write_text(
        f"""
        metadata_storage = "integrated"
        listen_addr = "127.0.0.1:0"
        [metadata_storage_integrated]
        path = "{folder / "metadata.db"}"
        [artifact_storage_filesystem]
        base_dir = "{folder / "blobs"}"
        [tickets]
        key = "{os.urandom(16).hex()}"
        """
    )
    shared.chmod(0o600)
    with ExitStack() as stack:
        blobs = [stack.enter_context(_blob_process(shared)) for _ in range(count)]
        urls = ", ".join(f'"{blob.url}"' for blob in blobs)
        main = folder / "metadata.toml"
        main.write_text(f'mode = "metadata"\nblob_servers = [{urls}]\n{shared.read_text()}')
        main.chmod(0o600)
        started = stack.enter_context(running_server(main))
        transport = HttpTransport(_address(started["url"]), started["token"])
        stack.callback(transport.close)
        yield BlobCluster(transport, int(started["pid"]), blobs)


def memory_bytes(pid: int, what: str = "VmRSS") -> int:
    """Return the memory of a process, or with ``VmHWM`` the most that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024


@contextmanager
def _blob_process(config: Path) -> Iterator[BlobProcess]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    env = {**os.environ, "MODELBOX_LISTEN_ADDR": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "modelbox.cli.main", "server", "start", "--mode", "blob", "--config-path", str(config)]
    log_path = config.with_name(f"blob-{port}.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)  # noqa: S603
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process, log_path)
        yield BlobProcess(url, process, memory_bytes(process.pid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(_STOP_S) in {0, -signal.SIGKILL}, log_path.read_text()
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    transport = HttpTransport(_address(url))
    until_s = time.monotonic() + _START_S
    while True:
        try:
            assert b"".join(transport.pieces("/readyz", 0, None, {}))
            transport.close()
            return
        except ModelBoxError:
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < until_s, log_path.read_text()
            time.sleep(0.05)


def _address(url: str) -> ServerAddress:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return ServerAddress("http", host, int(port))
