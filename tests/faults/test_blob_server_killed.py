"""Two blob servers and a metadata server, each a process of its own: one blob server is killed in the middle of a transfer."""

import hashlib
import os
from io import BytesIO
from pathlib import Path

from modelbox.testing.blob_cluster import BlobCluster, blob_cluster, memory_bytes
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox.wire.routes import CREATE_EXPERIMENT

MIB = 1 << 20
CONTENT_BYTES = 100 * MIB
GROWTH_BYTES = 64 * MIB


class Interrupted(BytesIO):
    """Has a server killed once, when half of it was read."""

    def __init__(self, content: bytes, cluster: BlobCluster) -> None:
        super().__init__(content)
        self._cluster: BlobCluster | None = cluster
        self._half = len(content) // 2

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if self._cluster is not None and self.tell() >= self._half:
            cluster, self._cluster = self._cluster, None
            cluster.kill_whoever_is_at_work()
        return super().readinto(buffer)


def test_transfers_survive_the_death_of_the_blob_server_that_carries_them(tmp_path: Path) -> None:
    """Another one goes on, at last the server itself; the digests are right, and nobody needs more memory for more bytes."""
    content = os.urandom(MIB) * (CONTENT_BYTES // MIB)
    digest = hashlib.sha256(content).hexdigest()
    with blob_cluster(tmp_path) as cluster:
        transport = cluster.transport
        experiment = transport.call(CREATE_EXPERIMENT, body=ExperimentCreate(name="e")).item.id
        server_bytes = memory_bytes(cluster.server)
        record = transport.upload(experiment, ArtifactUploadQuery(name="w.bin"), Interrupted(content, cluster))
        assert (record.sha256, record.size_bytes) == (digest, CONTENT_BYTES)
        (alive,) = (blob for blob in cluster.blobs if blob.is_alive)
        assert hashlib.sha256(b"".join(transport.download(record.id))).hexdigest() == digest
        assert alive.growth_bytes < GROWTH_BYTES, f"{alive.growth_bytes / MIB:.0f} MiB"

        received, killed = hashlib.sha256(), False
        for chunk in transport.download(record.id):
            received.update(chunk)
            if not killed:
                killed = True
                cluster.kill_whoever_is_at_work()
        assert received.hexdigest() == digest
        growth_bytes = memory_bytes(cluster.server, "VmHWM") - server_bytes
        assert growth_bytes < GROWTH_BYTES, f"{growth_bytes / MIB:.0f} MiB"
