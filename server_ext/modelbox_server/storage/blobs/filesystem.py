"""Bytes of artifacts as files: the ``filesystem`` blob store.

::

    FOLDER/incoming/<random>.part     being written, seen by nobody
    FOLDER/ab/ab34…                   whole, named after the SHA-256 of the content

A file appears under its name by one rename after its content is on the disk, so it is whole or absent. It works on NFS: it needs neither
locks nor links, asks again where a handle is stale, and knows that a rename whose answer was lost is reported as a failure.

Thread safety: a store may be used from any thread and process at once, a writer by one thread at a time.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from modelbox.errors import BlobMissing, StorageFull, StorageUnavailable, shortened
from modelbox_server.storage.blobs.digests import Digests
from modelbox_server.storage.interfaces import BlobEntry, Leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from modelbox_server.storage.interfaces import BlobInfo

__all__ = ["FilesystemBlobStore"]

_KEY = re.compile(r"[0-9a-f]{64}")
_INCOMING = "incoming"
_STALE_S = 24 * 3600.0
_CLEAN_EVERY_S = 3600.0
_BUFFER_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
_OWN_FILE = os.O_CLOEXEC | os.O_NOFOLLOW
_TRIES = 3

T = TypeVar("T")


class FilesystemBlobStore:
    """A blob store in one folder; see :class:`modelbox_server.storage.interfaces.BlobStore` for what it promises.

    Parameters
    ----------
    folder
        Where the files lie; it is made, for the owner only, if it is not there.
    """

    name = "filesystem"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING
        self._cleaned_at_s = -_CLEAN_EVERY_S
        with _translated(folder):
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clean_sometimes()

    def writer(self, *, md5: bool = True, sha256: str | None = None) -> FilesystemBlobWriter:
        """Start to store new bytes."""
        self._clean_sometimes()
        return FilesystemBlobWriter(self._folder, self._incoming / f"{secrets.token_hex(16)}.part", md5=md5, sha256=sha256)

    def size(self, key: str) -> int:
        """Return the size in bytes."""
        with _translated(self._folder, key):
            return _fresh(_place(self._folder, key).lstat).st_size

    def age_s(self, key: str) -> float:
        """Return how long ago the bytes were stored last, by the clock of whoever keeps the folder."""
        with _translated(self._folder, key):
            stored_at_s = _fresh(_place(self._folder, key).lstat).st_mtime
        return self._now_s() - stored_at_s

    def read(self, key: str, start: int = 0, stop: int | None = None, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`; the key is looked up at once."""
        self.size(key)
        return self._chunks(key, start, stop, chunk_bytes)

    def _chunks(self, key: str, start: int, stop: int | None, chunk_bytes: int) -> Iterator[bytes]:
        with _translated(self._folder, key):
            file = _fresh(lambda: os.open(_place(self._folder, key), os.O_RDONLY | _OWN_FILE))
        try:
            size_bytes = os.fstat(file).st_size
            end = size_bytes if stop is None else min(stop, size_bytes)
            while start < end:
                with _translated(self._folder, key):
                    chunk = os.pread(file, min(chunk_bytes, end - start), start)
                if not chunk:  # somebody truncated it under our hands
                    raise BlobMissing(f"The content {key} ends at byte {start} of {end}: put back a copy of the file.")
                start += len(chunk)
                yield chunk
        finally:
            os.close(file)

    def delete(self, key: str) -> bool:
        """Delete the bytes; return whether there were any."""
        try:
            with _translated(self._folder, key):
                _place(self._folder, key).unlink()
        except BlobMissing:
            return False
        return True

    def keys(self) -> Iterator[str]:
        """Yield the key of everything stored."""
        return (key for key, _ in self._files())

    def entries(self) -> Iterator[BlobEntry]:
        """Yield everything stored, with its size and its age by the clock of whoever keeps the folder."""
        now_s = self._now_s()
        for key, place in self._files():
            with suppress(BlobMissing):  # deleted meanwhile, or the list was a stale one
                with _translated(self._folder, key):
                    found = _fresh(place.lstat)
                yield BlobEntry(key=key, size_bytes=found.st_size, age_s=now_s - found.st_mtime)

    def _files(self) -> Iterator[tuple[str, Path]]:
        with _translated(self._folder):
            shards = list(self._folder.glob("[0-9a-f][0-9a-f]"))
        for shard in shards:
            with _translated(self._folder):
                paths = [path for path in shard.iterdir() if _KEY.fullmatch(path.name)]
            yield from ((path.name, path) for path in paths)

    def clean(self, older_than_s: float = _STALE_S, *, dry_run: bool = False) -> Leftovers:
        """Remove what writers that died left behind."""
        count = size_bytes = 0
        oldest_s = self._now_s() - older_than_s
        with _translated(self._folder):
            for part in self._incoming.glob("*.part"):
                with suppress(FileNotFoundError):  # another process cleans too
                    found = part.lstat()
                    if found.st_mtime <= oldest_s:
                        if not dry_run:
                            part.unlink()
                        count, size_bytes = count + 1, size_bytes + found.st_size
        return Leftovers(count=count, size_bytes=size_bytes)

    def _now_s(self) -> float:
        """Return the time by the clock that stamps the files: on NFS that of another machine."""
        probe = self._incoming / f"{secrets.token_hex(16)}.part"
        with _translated(self._folder):
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OWN_FILE, 0o600))
            try:
                return probe.lstat().st_mtime
            finally:
                probe.unlink(missing_ok=True)

    def check(self) -> None:
        """Return if a file can be written now, raise the reason otherwise."""
        with self.writer(md5=False) as writer:
            writer.write(b"probe")
            writer.flush()

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    def _clean_sometimes(self) -> None:
        """Remove what writers that died a day ago left behind."""
        if time.monotonic() < self._cleaned_at_s + _CLEAN_EVERY_S:
            return
        self._cleaned_at_s = time.monotonic()
        with suppress(StorageUnavailable):  # a full disk can still be read from
            self.clean()


class FilesystemBlobWriter:
    """Bytes on their way into the folder.

    Parameters
    ----------
    folder
        Folder of the store.
    part
        Where to write until the content is whole.
    md5
        Make an MD5 too.
    sha256
        What the bytes are going to have, where that is known.
    """

    def __init__(self, folder: Path, part: Path, *, md5: bool, sha256: str | None = None) -> None:
        self._folder = folder
        self._part = part
        self._digests = Digests(md5=md5, sha256=sha256)
        self._buffer = bytearray()
        with _translated(folder):
            self._file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OWN_FILE, 0o600)

    def __enter__(self) -> FilesystemBlobWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Drop what was not committed."""
        self._drop()

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        if not self._buffer and len(data) >= _BUFFER_BYTES:
            self._store(data)
            return
        self._buffer += data
        if len(self._buffer) >= _BUFFER_BYTES:
            self._store_buffer()

    def commit(self, *, sha256: str | None = None, md5: str | None = None, size_bytes: int | None = None) -> BlobInfo:
        """Put the bytes on the disk, then under their name."""
        self._store_buffer()
        info = self._digests.checked(sha256=sha256, md5=md5, size_bytes=size_bytes)
        place = _place(self._folder, info.key)
        with self._dropping(), _translated(self._folder):
            os.fsync(self._file)
            self._close()
            if not place.parent.is_dir():
                place.parent.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(self._folder)
            # The same content may be there already; putting this one in its place also heals a damaged file.
            _rename(self._part, place, info.size_bytes)
            _sync_folder(place.parent)
        return info

    def flush(self) -> None:
        """Put what was written so far on the disk, without showing it to anybody."""
        self._store_buffer()
        with self._dropping(), _translated(self._folder):
            os.fsync(self._file)

    def _store_buffer(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        self._store(memoryview(data))

    def _store(self, data: bytes | memoryview) -> None:
        with self._dropping(), self._digests.taking(data), _translated(self._folder):
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Drop the part when the block fails: half of it is of no use, and its space may be what is missing."""
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._drop()

    def _drop(self) -> None:
        with suppress(OSError):  # what cannot be dropped now is cleaned up a day later
            self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


def _place(folder: Path, key: str) -> Path:
    """Return where the content `key` lies; nothing that is not a key ever becomes a path."""
    if _KEY.fullmatch(key) is None:
        raise BlobMissing(f"There is no content {shortened(key)}: keys are 64 hexadecimal digits.")
    return folder / key[:2] / key


def _rename(part: Path, place: Path, size_bytes: int) -> None:
    """Give a whole file its name."""
    try:
        part.replace(place)
    except FileNotFoundError:
        # The answer of an NFS server may be lost; the client's second request then finds nothing to rename.
        if _fresh(place.lstat).st_size != size_bytes:
            raise


def _fresh(look: Callable[[], T]) -> T:
    """Return what `look` finds; where NFS remembers a file that was replaced, looking again gets the new one."""
    for _ in range(_TRIES - 1):
        try:
            return look()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
    return look()


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the file system can do that for folders."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


@contextmanager
def _translated(folder: Path, key: str | None = None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if key is None:
            raise StorageUnavailable(f"The artifact folder {folder.name!r} is gone: put it back.") from error
        raise BlobMissing(f"The content {key} is not stored: it was deleted, or its file is lost.") from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull(f"No space is left in the artifact folder {folder.name!r}: free some.", retry_after_s=30.0) from error
        raise StorageUnavailable(f"The artifact folder {folder.name!r} cannot be used: {error.strerror}.") from error
