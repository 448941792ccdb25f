"""Bytes in the memory of this process, for tests and stores that keep nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from modelbox.errors import BlobMissing, shortened
from modelbox_server.storage.blobs.digests import Digests
from modelbox_server.storage.interfaces import BlobEntry, Leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.storage.interfaces import BlobInfo

__all__ = ["MemoryBlobStore"]


class MemoryBlobStore:
    """A blob store without files; see :class:`modelbox_server.storage.interfaces.BlobStore` for what it promises."""

    name = "inmemory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[str, bytes] = {}
        self._stored_at_s: dict[str, float] = {}

    def writer(self, *, md5: bool = True, sha256: str | None = None) -> MemoryBlobWriter:
        """Start to store new bytes."""
        return MemoryBlobWriter(self, md5=md5, sha256=sha256)

    def keep(self, key: str, content: bytes) -> None:
        """Show `content` under `key`."""
        with self._lock:
            self._contents[key] = content
            self._stored_at_s[key] = time.monotonic()

    def _content(self, key: str) -> bytes:
        with self._lock:
            if key not in self._contents:
                raise BlobMissing(f"The content {shortened(key)} is not stored: it was deleted, or never came.")
            return self._contents[key]

    def size(self, key: str) -> int:
        """Return the size in bytes."""
        return len(self._content(key))

    def age_s(self, key: str) -> float:
        """Return how long ago the bytes were stored last."""
        self._content(key)
        now_s = time.monotonic()
        return now_s - self._stored_at_s.get(key, now_s)

    def read(self, key: str, start: int = 0, stop: int | None = None, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`; the key is looked up at once."""
        view = memoryview(self._content(key))[start:stop]
        return (bytes(view[position : position + chunk_bytes]) for position in range(0, len(view), chunk_bytes))

    def delete(self, key: str) -> bool:
        """Delete the bytes; return whether there were any."""
        with self._lock:
            self._stored_at_s.pop(key, None)
            return self._contents.pop(key, None) is not None

    def keys(self) -> Iterator[str]:
        """Yield the key of everything stored."""
        with self._lock:
            return iter(list(self._contents))

    def entries(self) -> Iterator[BlobEntry]:
        """Yield everything stored, with its size and age."""
        with self._lock:
            now_s = time.monotonic()
            return iter([BlobEntry(key, len(content), now_s - self._stored_at_s[key]) for key, content in self._contents.items()])

    def clean(self, older_than_s: float = 86400.0, *, dry_run: bool = False) -> Leftovers:
        """Return: what a writer did not commit went with it."""
        del older_than_s, dry_run
        return Leftovers(count=0, size_bytes=0)

    def check(self) -> None:
        """Return: memory can always be written to."""

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._contents.clear()


class MemoryBlobWriter:
    """Bytes on their way into memory.

    Parameters
    ----------
    store
        Where they go.
    md5
        Make an MD5 too.
    sha256
        What the bytes are going to have, where that is known.
    """

    def __init__(self, store: MemoryBlobStore, *, md5: bool, sha256: str | None = None) -> None:
        self._store = store
        self._parts: list[bytes] = []
        self._digests = Digests(md5=md5, sha256=sha256)

    def __enter__(self) -> MemoryBlobWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Drop what was not committed."""
        self._parts.clear()

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        with self._digests.taking(data):
            self._parts.append(bytes(data))

    def commit(self, *, sha256: str | None = None, md5: str | None = None, size_bytes: int | None = None) -> BlobInfo:
        """Show the bytes under their key."""
        info = self._digests.checked(sha256=sha256, md5=md5, size_bytes=size_bytes)
        self._store.keep(info.key, b"".join(self._parts))
        return info
