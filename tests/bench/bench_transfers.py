"""One large file up and down, over gRPC and HTTP, beside a bare copy over loopback: ``python tests/bench/bench_transfers.py [MIB]``.

It prints one JSON line per row: MB/s, the CPU that the server and the client took, and by how much the server's memory grew at its highest.
The server is a process of its own on SQLite and files; the bare copy is a process that reads from a socket into a file, or from a
file into a socket, with the same fsync that an upload ends with. The SDK of 2022 sends 1 KiB a frame, the command line of then 1 MB.
"""

import hashlib
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from modelbox_server.grpc.schema import message

PIECE_BYTES = 1_024_000
SDK_FRAME_BYTES = 1024
TOKEN = "bench"
CREDENTIAL = [("authorization", f"Bearer {TOKEN}")]

SERVER = """
import sys
from functools import partial
from pathlib import Path
from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import local_services
server = StandaloneServer(partial(local_services, Path(sys.argv[1])), port=0, token="bench")
serve(server, on_start=lambda server: print(server.port, flush=True))
"""

COPIER = """
import os, socket, sys
path = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
buffer = memoryview(bytearray(1 << 20))
while True:
    connection, _ = listener.accept()
    with connection:
        if connection.recv(1) == b"u":
            with open(path, "wb") as file:
                while size := connection.recv_into(buffer):
                    file.write(buffer[:size])
                file.flush()
                os.fsync(file.fileno())
            connection.sendall(b"k")
        else:
            with open(path, "rb") as file:
                while size := file.readinto(buffer):
                    connection.sendall(buffer[:size])
"""


class Process:
    """A program that printed the port it listens on."""

    def __init__(self, program: str, argument: str) -> None:
        self.popen = subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout is not None
        self.port = int(self.popen.stdout.readline())
        self._folder = Path("/proc", str(self.popen.pid))

    def cpu_s(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, name: str) -> float:
        line = next(line for line in (self._folder / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    def forget_highest(self) -> None:
        """Let VmHWM begin anew from what is in use now."""
        (self._folder / "clear_refs").write_text("5")


def pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece


def row(name: str, process: Process, transfer: Callable[[], int], bare_mb_per_s: float | None = None) -> float:
    process.forget_highest()
    before_mib, server_s, own = process.memory_mib("VmRSS"), process.cpu_s(), resource.getrusage(resource.RUSAGE_SELF)
    begin_s = time.perf_counter()
    size_bytes = transfer()
    seconds = time.perf_counter() - begin_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    rate = size_bytes / seconds / 1e6
    figures = {
        "mb_per_s": round(rate, 1),
        "server_cpu_s": round(process.cpu_s() - server_s, 2),
        "client_cpu_s": round(after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime, 2),
        "server_rss_growth_mib": round(process.memory_mib("VmHWM") - before_mib, 1),
    }
    if bare_mb_per_s is not None:
        figures["share_of_bare_copy"] = round(rate / bare_mb_per_s, 3)
    print(json.dumps({"bench": "transfers", "row": name, "mib": size_bytes >> 20, **figures}), flush=True)
    return rate


# --- the bare copy -----------------------------------------------------------------------------------------------------------------------


def copy_up(port: int, path: Path) -> int:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"u")
        for piece in pieces(path, 1 << 20):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"k"
    return path.stat().st_size


def copy_down(port: int, to: Path) -> int:
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection(("127.0.0.1", port)) as connection, to.open("wb") as file:
        connection.sendall(b"d")
        while size := connection.recv_into(buffer):
            file.write(buffer[:size])
    return to.stat().st_size


# --- HTTP --------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def http_to(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    yield connection
    connection.close()


def http_up(port: int, experiment: str, path: Path, digest: str) -> str:
    with http_to(port) as connection, path.open("rb") as file:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Length": str(path.stat().st_size)}
        place = f"/api/v1/objects/{experiment}/artifacts?name={path.name}&sha256={digest}"
        connection.request("PUT", place, body=file, headers=headers)
        answer = json.loads(connection.getresponse().read())
        return str(answer["id"])


def http_down(port: int, artifact: str, to: Path) -> int:
    buffer = memoryview(bytearray(1 << 20))
    with http_to(port) as connection, to.open("wb") as file:
        connection.request("GET", f"/api/v1/artifacts/{artifact}/content", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        while size := answer.readinto(buffer):
            file.write(buffer[:size])
    return to.stat().st_size


# --- gRPC --------------------------------------------------------------------------------------------------------------------------------


def grpc_up(channel: grpc.Channel, experiment: str, path: Path, frame_bytes: int, checksum: str) -> str:
    frame = message("UploadFileRequest")

    def frames() -> Iterator[bytes]:
        yield frame(metadata=message("FileMetadata")(parent_id=experiment, path=str(path), checksum=checksum)).SerializeToString()
        for piece in pieces(path, frame_bytes):
            yield frame(chunks=piece).SerializeToString()

    answer = channel.stream_unary("/modelbox.ModelStore/UploadFile")(frames(), metadata=CREDENTIAL)
    return str(message("UploadFileResponse").FromString(answer).file_id)


def grpc_down(channel: grpc.Channel, artifact: str, to: Path) -> int:
    frame = message("DownloadFileResponse")
    asked = message("DownloadFileRequest")(file_id=artifact).SerializeToString()
    with to.open("wb") as file:
        for piece in channel.unary_stream("/modelbox.ModelStore/DownloadFile")(asked, metadata=CREDENTIAL):
            file.write(frame.FromString(piece).chunks)
    return to.stat().st_size


def digest_of(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for piece in pieces(path, 1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def measure(folder: Path, mib: int) -> None:
    path, small, back = folder / "sent.bin", folder / "small.bin", folder / "back.bin"
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    small.write_bytes(next(pieces(path, max(1, min(mib // 4, 64)) << 20)))
    sha256, md5 = digest_of(path, "sha256"), digest_of(path, "md5")

    copier = Process(COPIER, str(folder / "copy.bin"))
    bare_up = row("bare copy over loopback, up", copier, lambda: copy_up(copier.port, path))
    bare_down = row("bare copy over loopback, down", copier, lambda: copy_down(copier.port, back))
    copier.popen.kill()
    copier.popen.wait()
    (folder / "copy.bin").unlink()

    server = Process(SERVER, str(folder / "store"))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
            asked = message("CreateExperimentRequest")(name="transfers").SerializeToString()
            answer = channel.unary_unary("/modelbox.ModelStore/CreateExperiment")(asked, metadata=CREDENTIAL)
            experiment = message("CreateExperimentResponse").FromString(answer).experiment_id
            ids: dict[str, str] = {}

            def put(way: str, artifact: str, size_bytes: int) -> int:
                ids[way] = artifact
                return size_bytes

            size = path.stat().st_size
            for _ in range(2):  # what the first transfer of each kind loads is no growth
                http_down(server.port, http_up(server.port, experiment, Path(__file__), digest_of(Path(__file__), "sha256")), back)
                grpc_down(channel, grpc_up(channel, experiment, Path(__file__), PIECE_BYTES, ""), back)
            rows: list[tuple[str, float, Callable[[], int]]] = [
                ("HTTP, up", bare_up, lambda: put("http", http_up(server.port, experiment, path, sha256), size)),
                ("HTTP, down", bare_down, lambda: http_down(server.port, ids["http"], back)),
                ("gRPC, up, 1 MB a frame", bare_up, lambda: put("grpc", grpc_up(channel, experiment, path, PIECE_BYTES, md5), size)),
                ("gRPC, down", bare_down, lambda: grpc_down(channel, ids["grpc"], back)),
                (
                    "gRPC, up, 1 KiB a frame as the SDK of 2022 sends",
                    bare_up,
                    lambda: put("sdk", grpc_up(channel, experiment, small, SDK_FRAME_BYTES, ""), small.stat().st_size),
                ),
            ]
            for name, bare, transfer in rows:
                row(name, server, transfer, bare_mb_per_s=bare)
                if name.endswith("down"):
                    assert digest_of(back, "sha256") == sha256, name
    finally:
        server.popen.terminate()
        server.popen.wait()


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), mib)


if __name__ == "__main__":
    main()
