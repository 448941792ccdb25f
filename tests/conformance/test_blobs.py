"""Every blob store keeps the promises of blob stores."""

from pathlib import Path

import pytest

from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.interfaces import BlobStore
from modelbox_server.testing.blob_suite import BlobStoreSuite


class TestFilesystemBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FilesystemBlobStore(tmp_path / "équipe" / "blobs")


class TestMemoryBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()
