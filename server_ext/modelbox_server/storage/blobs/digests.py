"""SHA-256 and MD5 of bytes that pass by, at the speed of the slower one.

MD5 is here because the ids of files are derived from it since 2022; it is slower than SHA-256 on today's machines, so it runs beside it in
a helper thread (``hashlib`` lets go of the interpreter lock for large buffers).
"""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor

from modelbox.errors import ChecksumMismatch
from modelbox_server.storage.interfaces import BlobInfo

__all__ = ["Digests"]

_HELPER_FROM_BYTES = 1 << 16
_HELPERS = 4


class Digests:
    """Running digests of one stream of bytes; used by one thread at a time."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._pending: Future[None] | None = None
        self._size_bytes = 0

    def update(self, data: bytes) -> None:
        """Add `data`. It must not change afterwards: a part of the work may still be going on when this returns."""
        self._wait()
        if len(data) >= _HELPER_FROM_BYTES:
            self._pending = _executor().submit(self._md5.update, data)
        else:
            self._md5.update(data)
        self._sha256.update(data)
        self._size_bytes += len(data)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def checked(self, *, sha256: str | None, md5: str | None, size_bytes: int | None) -> BlobInfo:
        """Return what the bytes are; the key is their SHA-256.

        Raises
        ------
        ChecksumMismatch
            They are not what was declared.
        """
        self._wait()
        found = BlobInfo(self._sha256.hexdigest(), self._size_bytes, self._sha256.hexdigest(), self._md5.hexdigest())
        if size_bytes is not None and size_bytes != found.size_bytes:
            raise ChecksumMismatch(
                f"{found.size_bytes} bytes arrived where {size_bytes} were declared, and nothing was stored: send them again.",
                field="size_bytes",
            )
        for name, declared, actual in (("sha256", sha256, found.sha256), ("md5", md5, found.md5)):
            if declared is not None and declared.lower() != actual:
                raise ChecksumMismatch(
                    f"The {name} of what arrived is {actual}, not {declared[:128]!r} as declared, and nothing was stored: send it again.",
                    field=name,
                )
        return found


_shared: ThreadPoolExecutor | None = None


def _executor() -> ThreadPoolExecutor:
    global _shared
    if _shared is None:
        _shared = ThreadPoolExecutor(_HELPERS, thread_name_prefix="modelbox-md5")
    return _shared


def _forget_executor() -> None:
    """Threads do not survive a fork, and waiting for them would last for ever."""
    global _shared
    _shared = None


if hasattr(os, "register_at_fork"):  # not on Windows, which never forks
    os.register_at_fork(after_in_child=_forget_executor)
