"""Bodies of requests that are read from a file while they are sent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelbox.errors import ChecksumMismatch, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox.client.transport import Content

__all__ = ["CHUNK_BYTES", "FileBody"]

CHUNK_BYTES = 1 << 20
"""How much of a file is in memory at a time."""


class FileBody:
    """A body that is read from a file, from the same place again when it has to be sent twice, with its digest behind it if wanted."""

    def __init__(self, content: Content, begin: int, size_bytes: int, *, digest_follows: bool) -> None:
        self._content, self._begin, self._size_bytes, self._digest_follows = content, begin, size_bytes, digest_follows

    @property
    def length_bytes(self) -> int:
        """Return the length of the body."""
        return self._size_bytes + (hashlib.sha256().digest_size if self._digest_follows else 0)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the body piece by piece; each is good until the next is asked for."""
        if not self._digest_follows:
            yield from self._pieces()
            return
        from concurrent.futures import ThreadPoolExecutor  # only who uploads waits for it

        digest = hashlib.sha256()
        with ThreadPoolExecutor(1, thread_name_prefix="modelbox-digest") as helper:
            for piece in self._pieces():
                hashing = helper.submit(digest.update, piece)
                yield piece
                hashing.result()
        yield digest.digest()

    def _pieces(self) -> Iterator[memoryview]:
        self._content.seek(self._begin)
        left = self._size_bytes
        buffer = memoryview(bytearray(min(left, CHUNK_BYTES)))
        while left:
            try:
                count = self._content.readinto(buffer[: min(left, CHUNK_BYTES)])
            except OSError as error:
                raise InvalidRequest(f"The file could not be read to its end ({error.strerror}): nothing was stored.") from error
            if not count:
                raise ChecksumMismatch(f"The file ended {left} bytes early: it changed while it was read, and nothing was stored.")
            left -= count
            yield buffer[:count]
