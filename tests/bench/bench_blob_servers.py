"""Two blob servers beside a raw copy over loopback: ``python tests/bench/bench_blob_servers.py [MIB]``.

It prints one JSON line per row. 2 GiB go up and come down by way of two blob servers, half of it through each, with the metadata server
handing out the tickets: rates, and how much the memory of every server grew. Beside it: the same bytes from one process to another through
a socket of loopback, without and with what every transfer cannot do without, SHA-256 on both sides and a file that is on the disk.
"""

import hashlib
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelbox.testing.blob_cluster import BlobCluster, blob_cluster, memory_bytes
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox.wire.routes import CREATE_EXPERIMENT
from modelbox_server.testing.bench import print_row

MIB = 1 << 20
TRANSFERS = 2


class Pattern:
    """A file of so many bytes that takes no memory: one random mebibyte, again and again, each marked with its number."""

    def __init__(self, size_bytes: int, seed: int) -> None:
        self._size_bytes = size_bytes
        self._piece = bytearray(os.urandom(MIB))
        self._seed = seed
        self._place = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._place = offset if whence == 0 else self._size_bytes + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:
        index, inside = divmod(self._place, MIB)
        self._piece[:16] = self._seed.to_bytes(8, "big") + index.to_bytes(8, "big")
        count = min(len(buffer), MIB - inside, self._size_bytes - self._place)
        buffer[:count] = memoryview(self._piece)[inside : inside + count]
        self._place += count
        return count

    def sha256(self) -> str:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(MIB))
        self.seek(0)
        while count := self.readinto(buffer):
            digest.update(buffer[:count])
        self.seek(0)
        return digest.hexdigest()


def receive(port: int, path: str) -> None:
    """Take what comes, and with a `path` hash it and put it on the disk."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        buffer = memoryview(bytearray(MIB))
        digest = hashlib.sha256()
        with Path(path or os.devnull).open("wb") as file:
            while count := connection.recv_into(buffer):
                if path:
                    digest.update(buffer[:count])
                    file.write(buffer[:count])
            if path:
                file.flush()
                os.fsync(file.fileno())


def raw_s(content: Pattern, path: str) -> float:
    """Return how long a bare copy to another process takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(listener.getsockname()[1], path))
        receiver.start()
        connection, _ = listener.accept()
        started_s = time.perf_counter()
        digest, buffer = hashlib.sha256(), memoryview(bytearray(MIB))
        with connection:
            content.seek(0)
            while count := content.readinto(buffer):
                if path:
                    digest.update(buffer[:count])
                connection.sendall(buffer[:count])
        receiver.join()
        return time.perf_counter() - started_s


def at_once_s(*actions: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()
    return time.perf_counter() - started_s


def measure(cluster: BlobCluster, contents: list[Pattern], digests: list[str]) -> dict[str, float]:
    experiment = cluster.transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="bench")).item.id
    before_bytes = memory_bytes(cluster.server)
    ids = [""] * len(contents)

    def up(index: int) -> None:
        contents[index].seek(0)
        record = cluster.transport.upload(experiment, ArtifactUploadQuery(name=f"{index}.bin"), contents[index])
        assert record.sha256 == digests[index]
        ids[index] = record.id

    def down(index: int) -> None:
        received = hashlib.sha256()
        for chunk in cluster.transport.download(ids[index]):
            received.update(chunk)
        assert received.hexdigest() == digests[index]

    up_s = at_once_s(*(lambda index=index: up(index) for index in range(len(contents))))
    down_s = at_once_s(*(lambda index=index: down(index) for index in range(len(contents))))
    growth = {f"blob_server_{index}_growth_mib": blob.growth_bytes / MIB for index, blob in enumerate(cluster.blobs)}
    return {
        "up_s": up_s,
        "down_s": down_s,
        **growth,
        "metadata_server_growth_mib": (memory_bytes(cluster.server, "VmHWM") - before_bytes) / MIB,
    }


def main(total_mib: int) -> None:
    size_bytes = total_mib * MIB // TRANSFERS
    contents = [Pattern(size_bytes, seed) for seed in range(TRANSFERS)]
    digests = [content.sha256() for content in contents]
    with tempfile.TemporaryDirectory() as folder:
        # The runtime files of these servers are nobody else's business.
        os.environ["MODELBOX_STATE_DIR"] = folder
        copy_s = sum(raw_s(content, "") for content in contents)
        print_row("raw copy over loopback", total_mib=total_mib, mib_per_s=total_mib / copy_s)
        kept_s = sum(raw_s(content, str(Path(folder) / "raw.bin")) for content in contents)
        print_row("raw copy, hashed on both sides, on the disk", total_mib=total_mib, mib_per_s=total_mib / kept_s)
        (Path(folder) / "raw.bin").unlink()
        with blob_cluster(Path(folder)) as cluster:
            figures = measure(cluster, contents, digests)
        up_s, down_s = figures.pop("up_s"), figures.pop("down_s")
        print_row("upload by two blob servers", total_mib=total_mib, mib_per_s=total_mib / up_s, of_raw_hashed=kept_s / up_s)
        print_row("download by two blob servers", total_mib=total_mib, mib_per_s=total_mib / down_s, of_raw_hashed=kept_s / down_s)
        print_row("memory of the servers", **figures)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2048)
