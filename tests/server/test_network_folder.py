"""What a folder on NFS does that a local one never does; the faults are injected where the operating system would report them."""

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from modelbox.errors import BlobMissing, StorageFull, StorageUnavailable
from modelbox_server.storage.blobs.filesystem import FilesystemBlobStore
from modelbox_server.testing.blob_suite import stored

CONTENT = b"weights" * 1000
KEY = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(folder: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(folder)


def failing(real: Callable[..., Any], code: int, times: int) -> Callable[..., Any]:
    """Fail the first `times` calls, then do as `real` does."""
    left = times

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    return call


def test_a_stale_handle_is_looked_up_again(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, CONTENT)
    monkeypatch.setattr(Path, "lstat", failing(Path.lstat, errno.ESTALE, 1))
    assert store.size(KEY) == len(CONTENT)
    monkeypatch.setattr(os, "open", failing(os.open, errno.ESTALE, 2))
    assert b"".join(store.read(KEY)) == CONTENT


def test_a_handle_that_stays_stale_is_an_error_that_says_to_wait(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, CONTENT)
    monkeypatch.setattr(Path, "lstat", failing(Path.lstat, errno.ESTALE, 100))
    with pytest.raises(StorageUnavailable, match="cannot be used: Stale file handle"):
        store.size(KEY)


@pytest.mark.parametrize(("code", "error"), [(errno.EIO, StorageUnavailable), (errno.EDQUOT, StorageFull)])
def test_what_was_not_written_by_the_time_it_is_closed_is_not_stored(
    store: FilesystemBlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    """NFS reports at close what it could not write before."""
    with store.writer() as writer:
        writer.write(CONTENT)
        real = os.close

        def close(file: int) -> None:
            real(file)
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patched:
            patched.setattr(os, "close", close)
            with pytest.raises(error):
                writer.commit()
    assert list(store.keys()) == []
    assert list((folder / "incoming").iterdir()) == []


def test_a_rename_whose_answer_was_lost_is_a_success(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The NFS client asks again, and is told that there is nothing of the old name."""
    real = Path.replace

    def replace(part: Path, place: Path) -> NoReturn:
        real(part, place)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(part))

    monkeypatch.setattr(Path, "replace", replace)
    assert stored(store, CONTENT).key == KEY
    assert b"".join(store.read(KEY)) == CONTENT


def test_a_part_that_vanished_is_not_stored(store: FilesystemBlobStore, folder: Path) -> None:
    with store.writer() as writer:
        writer.write(CONTENT)
        writer.flush()
        for part in (folder / "incoming").iterdir():
            part.unlink()
        with pytest.raises(StorageUnavailable):
            writer.commit()
    assert list(store.keys()) == []


def test_a_folder_that_cannot_be_synced_is_no_reason_to_fail(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{file}"):  # noqa: PTH112  (a descriptor is no path)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    assert stored(store, CONTENT).key == KEY


def test_neither_links_nor_locks_are_needed(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for module, name in ((os, "link"), (os, "symlink"), (fcntl, "flock"), (fcntl, "lockf")):
        monkeypatch.setattr(module, name, refuse)
    assert stored(store, CONTENT).key == KEY
    assert b"".join(store.read(KEY)) == CONTENT
    store.check()
    assert [entry.size_bytes for entry in store.entries()] == [len(CONTENT)]
    assert store.delete(KEY)


def test_a_listing_that_is_out_of_date_names_nothing_that_is_gone(store: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, CONTENT)
    monkeypatch.setattr(FilesystemBlobStore, "_files", lambda self: iter([(KEY, self._folder / "00" / KEY)]))
    assert list(store.entries()) == []


def test_content_that_went_while_it_was_read_is_said(store: FilesystemBlobStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine deletes without asking who reads."""
    stored(store, CONTENT)
    chunks = store.read(KEY, chunk_bytes=1000)
    (folder / KEY[:2] / KEY).unlink()
    with pytest.raises(BlobMissing):
        list(chunks)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_refuses_what_has_no_room_and_keeps_what_is_there(tiny: Path) -> None:
    store = FilesystemBlobStore(tiny / "blobs")
    stored(store, CONTENT)
    with pytest.raises(StorageFull, match="No space is left"):
        stored(store, os.urandom(1 << 20) * 3)
    assert list((tiny / "blobs" / "incoming").iterdir()) == []
    assert b"".join(store.read(KEY)) == CONTENT
    assert stored(store, b"small").size_bytes == 5
