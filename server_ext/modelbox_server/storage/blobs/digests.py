"""Digests of bytes that pass by, made in a thread beside whatever else is done with them (``hashlib`` lets go of the interpreter lock).

SHA-256 is what everything is stored under and verified with. MD5 is there because ids of files are derived from it since 2022; it takes
more than twice as long, so whoever can do without leaves it out.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from modelbox.errors import ChecksumMismatch
from modelbox_server.storage.interfaces import BlobInfo

__all__ = ["Digests", "beside"]

_HELPER_FROM_BYTES = 1 << 16
_HELPERS = 4


class Digests:
    """Running digests of one stream of bytes; used by one thread at a time.

    Parameters
    ----------
    md5
        Make an MD5 too.
    sha256
        What the bytes are going to have, where that is known before the first of them.
    """

    def __init__(self, *, md5: bool, sha256: str | None = None) -> None:
        self._expected = sha256
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._size_bytes = 0

    @contextmanager
    def taking(self, data: bytes | bytearray | memoryview) -> Iterator[None]:
        """Add `data` while the block runs; afterwards its buffer may be used for something else."""
        hashing = beside(self._update, data) if len(data) >= _HELPER_FROM_BYTES else None
        try:
            yield
        finally:
            if hashing is None:
                self._update(data)
            else:
                hashing.result()

    def _update(self, data: bytes | bytearray | memoryview) -> None:
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        self._size_bytes += len(data)

    def checked(self, *, sha256: str | None, md5: str | None, size_bytes: int | None) -> BlobInfo:
        """Return what the bytes are; the key is their SHA-256.

        Raises
        ------
        ChecksumMismatch
            They are not what was declared.
        """
        found = BlobInfo(
            key=self._sha256.hexdigest(),
            size_bytes=self._size_bytes,
            sha256=self._sha256.hexdigest(),
            md5="" if self._md5 is None else self._md5.hexdigest(),
        )
        if size_bytes is not None and size_bytes != found.size_bytes:
            raise ChecksumMismatch(
                f"{found.size_bytes} bytes arrived where {size_bytes} were declared, and nothing was stored: send them again.",
                field="size_bytes",
            )
        for name, declared, actual in (("sha256", self._expected if sha256 is None else sha256, found.sha256), ("md5", md5, found.md5)):
            if declared is not None and declared.lower() != actual:
                raise ChecksumMismatch(
                    f"The {name} of what arrived is {actual}, not {declared[:128]!r} as declared, and nothing was stored: send it again.",
                    field=name,
                )
        return found


def beside(function: Callable[[bytes | bytearray | memoryview], None], data: bytes | bytearray | memoryview) -> "Future[None]":
    """Call `function` with `data` in a helper thread; both are short work that waits for nothing."""
    return _executor().submit(function, data)


_shared: ThreadPoolExecutor | None = None


def _executor() -> ThreadPoolExecutor:
    global _shared
    if _shared is None:
        _shared = ThreadPoolExecutor(_HELPERS, thread_name_prefix="modelbox-digest")
    return _shared


def _forget_executor() -> None:
    """Threads do not survive a fork, and waiting for them would last for ever."""
    global _shared
    _shared = None


if hasattr(os, "register_at_fork"):  # not on Windows, which never forks
    os.register_at_fork(after_in_child=_forget_executor)
