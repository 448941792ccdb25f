"""Files on their way up and down: what may be read, what was read, and where a download may be put."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.client import progress
from modelbox.entities.names import checked_artifact_name
from modelbox.errors import ChecksumMismatch, Conflict, InvalidRequest, StorageFull, shortened

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Digests", "SteadyFile", "digests_of", "files_below", "open_steady", "save_verified", "size_of", "target_path", "verified"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file holds."""

    size_bytes: int
    sha256: str
    md5: str


class SteadyFile(io.RawIOBase):
    """A file that must not change while it is read: every read checks, and raises :class:`ChecksumMismatch` if it did."""

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__()
        self._path = path
        self._file = io.FileIO(descriptor)
        self._stamp = self._look()

    def _look(self) -> tuple[int, int]:
        info = os.fstat(self._file.fileno())
        return info.st_size, info.st_mtime_ns

    @property
    def size_bytes(self) -> int:
        """Size when it was opened."""
        return self._stamp[0]

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a place."""
        before = self._file.tell()
        place = self._file.seek(offset, whence)
        progress.advance(place - before)
        return place

    def tell(self) -> int:
        """Return the current place."""
        return self._file.tell()

    def readinto(self, buffer: Buffer, /) -> int:
        """Read the next bytes."""
        count = self._file.readinto(buffer) or 0
        if self._look() != self._stamp:
            raise ChecksumMismatch(f"{self._path} changed while it was read, so nothing was stored: upload it when it is complete.")
        progress.advance(count)
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def open_steady(path: Path, *, follow_symlinks: bool = False) -> SteadyFile:
    """Open a regular file for reading.

    Raises
    ------
    InvalidRequest
        It does not exist, may not be read, is a folder, a link, a device, a pipe or a socket.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait forever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if follow_symlinks else getattr(os, "O_NOFOLLOW", 0))
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise InvalidRequest(_why_not(path, error), field="path") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise InvalidRequest(f"{path} is a folder: pass recursive=True to take every file in it.", field="path")
        raise InvalidRequest(f"{path} is a {_kind(mode)}: only regular files can be kept.", field="path")
    return SteadyFile(path, descriptor)


def _why_not(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.ELOOP:
            return f"{path} is a symbolic link: pass follow_symlinks=True to take the file it leads to, or name that file."
        case errno.ENOENT | errno.ENOTDIR:
            return f"There is no file {path}: check the path."
        case errno.ENXIO:
            return f"{path} is a socket or a pipe: only regular files can be kept."
        case _:
            return f"{path} cannot be read: {error.strerror}."


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))
    return next((name for test, name in kinds if test(mode)), "special file")


def digests_of(file: SteadyFile) -> Digests:
    """Read `file` to its end and return what it holds. The file is at its start afterwards."""
    sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    file.seek(0)
    while count := file.readinto(buffer):
        sha256.update(buffer[:count])
        md5.update(buffer[:count])
        size_bytes += count
    file.seek(0)
    return Digests(size_bytes, sha256.hexdigest(), md5.hexdigest())


def size_of(path: Path) -> int:
    """Return the size of a file; 0 where that cannot be told, which whoever opens it will say."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def files_below(folder: Path, *, follow_symlinks: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield (path below `folder` with ``/``, path) of every file in it, in order; links are an error that names them.

    Raises
    ------
    InvalidRequest
        A link or a special file is in it, or a part of it cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidRequest(_why_not(folder, error), field="path") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink() and not follow_symlinks:
            raise InvalidRequest(f"{path} is a symbolic link: pass follow_symlinks=True, or remove it from the folder.", field="path")
        if entry.is_dir():
            if entry.is_symlink() and path.resolve() in [path.parent.resolve(), *path.parent.resolve().parents]:
                raise InvalidRequest(f"{path} is a symbolic link to a folder that it lies in: that would never end.", field="path")
            yield from ((f"{entry.name}/{name}", file) for name, file in files_below(path, follow_symlinks=follow_symlinks))
        else:
            yield entry.name, path


def target_path(name: str, path: str | os.PathLike[str] | None) -> Path:
    """Return where the artifact `name` goes: `path` if it is a file path, below it if it is a folder (or ends with ``/``).

    Raises
    ------
    InvalidName
        The name would climb out of the folder.
    """
    if path is None:
        return Path.cwd() / checked_artifact_name(name)
    target = Path(path).expanduser()
    if target.is_dir() or os.fspath(path).endswith(("/", os.sep)):
        return target / checked_artifact_name(name)
    return target


def verified(chunks: Iterable[bytes], *, sha256: str, name: str) -> Iterator[bytes]:
    """Yield `chunks`, but hold the last one back until the digest of all is right; each is hashed while the one before is put to use.

    Raises
    ------
    ChecksumMismatch
        It is not right.
    """
    from concurrent.futures import ThreadPoolExecutor  # only who downloads waits for it

    digest = hashlib.sha256()
    held: bytes | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="modelbox-digest") as helper:
        for chunk in chunks:
            hashing = helper.submit(digest.update, chunk)
            if held is not None:
                yield held
            hashing.result()
            held = chunk
    if digest.hexdigest() != sha256:
        raise ChecksumMismatch(f"The bytes that arrived for {shortened(name)} are not those that were stored: nothing was kept, try again.")
    if held is not None:
        yield held


def save_verified(chunks: Iterable[bytes], target: Path, *, sha256: str, overwrite: bool) -> Path:
    """Write `chunks` to `target` and return it; a file appears there only whole and verified.

    Raises
    ------
    Conflict
        `target` exists, and `overwrite` is false.
    ChecksumMismatch
        The bytes are not those that `sha256` names (left empty: somebody else has verified them); nothing is left behind.
    StorageFull
        No space is left; nothing is left behind.
    """
    if not overwrite and os.path.lexists(target):
        raise _taken(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise InvalidRequest(f"{target} cannot be written: {error.strerror}.", field="path") from error
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in verified(chunks, sha256=sha256, name=target.name) if sha256 else chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            kind = StorageFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else InvalidRequest
            raise kind(f"{target} could not be written: {error.strerror}. Nothing was left behind.") from error
        _move(part, target, overwrite=overwrite)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return target


def _taken(target: Path) -> Conflict:
    return Conflict(f"{target} exists: give another path, or overwrite=True (--overwrite in a shell) to replace it.", field="path")


def _move(part: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(target)
        return
    try:
        # Unlike a rename, a link never replaces a file that appeared meanwhile.
        os.link(part, target)
    except FileExistsError as error:
        raise _taken(target) from error
    except OSError:  # a file system without hard links
        part.rename(target)
