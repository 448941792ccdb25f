"""Every blob store keeps the promises of blob stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.blobs.s3 import S3BlobStore
from modelbox_server.storage.interfaces import BlobStore
from modelbox_server.testing.blob_suite import BlobStoreSuite
from modelbox_server.testing.s3_engine import S3Engine, s3_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[S3Engine]:
    with s3_engine() as started:
        yield started


class TestFilesystemBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FilesystemBlobStore(tmp_path / "équipe" / "blobs")


class TestMemoryBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()


class TestS3Blobs(BlobStoreSuite):
    """With parts so large that everything goes up in one call."""

    @pytest.fixture
    def store(self, engine: S3Engine) -> Iterator[BlobStore]:
        with engine.bucket(prefix="équipe/modelbox") as settings:
            store = S3BlobStore(settings)
            yield store
            store.close()
