"""What the folder of the filesystem blob store looks like: before, during and after a write, and when the disk fails."""

import errno
import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from modelbox.errors import BlobMissing, StorageFull, StorageUnavailable
from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.testing.blob_suite import stored

CONTENT = b"weights" * 1000
KEY = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "équipe" / "blobs"


@pytest.fixture
def store(folder: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(folder)


def incoming(folder: Path) -> list[Path]:
    return list((folder / "incoming").iterdir())


def test_everything_is_for_the_owner_only(store: FilesystemBlobStore, folder: Path) -> None:
    stored(store, CONTENT)
    modes = {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes == {"incoming": 0o700, KEY[:2]: 0o700, f"{KEY[:2]}/{KEY}": 0o600}


def test_content_lies_under_its_digest_and_no_part_is_left(store: FilesystemBlobStore, folder: Path) -> None:
    assert stored(store, CONTENT).key == KEY
    assert (folder / KEY[:2] / KEY).read_bytes() == CONTENT
    assert incoming(folder) == []


def test_storing_the_same_content_heals_a_damaged_file(store: FilesystemBlobStore, folder: Path) -> None:
    stored(store, CONTENT)
    (folder / KEY[:2] / KEY).write_bytes(b"damaged")
    stored(store, CONTENT)
    assert b"".join(store.read(KEY)) == CONTENT


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageUnavailable)])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails_leaves_nothing_behind(
    store: FilesystemBlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with store.writer() as writer:
        writer.write(CONTENT)
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            with pytest.raises(error, match="artifact folder 'blobs'"):
                writer.commit()
        assert incoming(folder) == []
    assert list(store.keys()) == []
    assert stored(store, CONTENT).key == KEY


def test_parts_of_writers_that_died_a_day_ago_are_removed(store: FilesystemBlobStore, folder: Path) -> None:
    with store.writer() as young:
        old = folder / "incoming" / "0123.part"
        old.write_bytes(CONTENT)
        yesterday = time.time() - 25 * 3600
        os.utime(old, (yesterday, yesterday))
        young.write(CONTENT)
        FilesystemBlobStore(folder)
        assert not old.exists()
        assert young.commit().key == KEY


def test_a_link_in_place_of_content_is_not_followed(store: FilesystemBlobStore, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / KEY[:2]).mkdir()
    (folder / KEY[:2] / KEY).symlink_to(secret)
    with pytest.raises(StorageUnavailable):
        list(store.read(KEY))


def test_a_file_that_shrinks_while_it_is_read_is_an_error(store: FilesystemBlobStore, folder: Path) -> None:
    stored(store, CONTENT)
    chunks = store.read(KEY, chunk_bytes=1000)
    next(chunks)
    os.truncate(folder / KEY[:2] / KEY, 1500)
    with pytest.raises(BlobMissing, match=r"ends at byte 1500 of 7000"):
        list(chunks)


def test_a_folder_that_went_away_is_an_error_with_a_sentence(store: FilesystemBlobStore, folder: Path) -> None:
    (folder / "incoming").rmdir()
    with pytest.raises(StorageUnavailable, match="artifact folder 'blobs' is gone"):
        store.check()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12 and later say so, rightly
def test_a_forked_child_can_store_too(store: FilesystemBlobStore) -> None:
    """The threads that hash in the parent do not exist in the child."""
    large = os.urandom(1 << 21)
    stored(store, large)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if stored(store, large).key == hashlib.sha256(large).hexdigest() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
