"""Stores whose operations are timed: each wraps a store and is one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from modelbox.entities.series import SeriesBlock
    from modelbox_server.observing.meters import HasPool, Meters
    from modelbox_server.storage.interfaces import (
        AppendOutcome,
        BatchKey,
        BlobEntry,
        BlobInfo,
        BlobStore,
        BlobWriter,
        Leftovers,
        MetadataStore,
        MetadataTransaction,
        MetricsStore,
    )

__all__ = ["TimedBlobStore", "TimedMetadataStore", "TimedMetricsStore"]


class _Timed:
    """What all three share: the store inside, and everything of it that is not timed.

    Parameters
    ----------
    inside
        The store.
    meters
        Where the times go.
    """

    _role: str

    def __init__(self, inside: Any, meters: Meters) -> None:
        self._inside = inside
        self._meters = meters
        self.name: str = inside.name
        if hasattr(inside, "pool_status"):
            meters.watch_pool(self._role, self.name, cast("HasPool", inside))

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._inside, attribute)

    def check(self) -> None:
        """Return if the store can be written to now."""
        with self._timed("check"):
            self._inside.check()

    def close(self) -> None:
        """Close the store."""
        self._inside.close()

    def _timed(self, operation: str) -> AbstractContextManager[None]:
        return self._meters.storage(self._role, self.name, operation)


class TimedMetadataStore(_Timed):
    """A :class:`~modelbox_server.storage.interfaces.MetadataStore` whose transactions are timed, with their commit."""

    _role = "metadata"
    _inside: MetadataStore

    @contextmanager
    def read(self) -> Iterator[MetadataTransaction]:
        """Open a view for reading."""
        with self._timed("read"), self._inside.read() as transaction:
            yield transaction

    @contextmanager
    def write(self, *alone: str) -> Iterator[MetadataTransaction]:
        """Open a transaction for writing."""
        with self._timed("write"), self._inside.write(*alone) as transaction:
            yield transaction


class TimedMetricsStore(_Timed):
    """A :class:`~modelbox_server.storage.interfaces.MetricsStore` whose calls are timed."""

    _role = "metrics"
    _inside: MetricsStore

    def append(self, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendOutcome:
        """Append points, and count them unless they were there before."""
        with self._timed("append"):
            outcome = self._inside.append(blocks, batch)
        if not outcome.duplicate:
            self._meters.stored_points(outcome.points)
        return outcome

    def read(self, *args: Any, **kwargs: Any) -> list[SeriesBlock]:
        """Return points."""
        with self._timed("read"):
            return self._inside.read(*args, **kwargs)

    def summaries(self, *args: Any, **kwargs: Any) -> Any:
        """Return summaries of series."""
        with self._timed("summaries"):
            return self._inside.summaries(*args, **kwargs)

    def summary_columns(self, *args: Any, **kwargs: Any) -> Any:
        """Return summaries of series as columns."""
        with self._timed("summaries"):
            return self._inside.summary_columns(*args, **kwargs)

    def delete(self, object_ids: Sequence[str]) -> int:
        """Delete series."""
        with self._timed("delete"):
            return self._inside.delete(object_ids)


class TimedBlobStore(_Timed):
    """A :class:`~modelbox_server.storage.interfaces.BlobStore` whose calls are timed; of a read and a write, each piece by itself."""

    _role = "artifacts"
    _inside: BlobStore

    def writer(self, **kwargs: Any) -> BlobWriter:
        """Start to store bytes."""
        return _TimedWriter(self._inside.writer(**kwargs), self._timed)

    def size(self, key: str) -> int:
        """Return the size of bytes."""
        with self._timed("size"):
            return self._inside.size(key)

    def keys(self) -> Iterator[str]:
        """Yield all keys; how long that takes is up to who reads them."""
        return self._inside.keys()

    def entries(self) -> Iterator[BlobEntry]:
        """Yield everything that is stored, as :meth:`keys` does."""
        return self._inside.entries()

    def clean(self, *args: Any, **kwargs: Any) -> Leftovers:
        """Remove what abandoned uploads left behind."""
        with self._timed("clean"):
            return self._inside.clean(*args, **kwargs)

    def age_s(self, key: str) -> float:
        """Return the age of bytes."""
        with self._timed("age"):
            return self._inside.age_s(key)

    def read(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Yield bytes; the key is looked up at once."""
        with self._timed("open"):
            pieces = self._inside.read(*args, **kwargs)
        return self._pieces(pieces)

    def _pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            while True:
                with self._timed("read"):
                    piece = next(pieces, None)
                if piece is None:
                    return
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def delete(self, key: str) -> bool:
        """Delete bytes."""
        with self._timed("delete"):
            return self._inside.delete(key)


class _TimedWriter:
    """Bytes on their way into a store whose calls are timed."""

    def __init__(self, inside: BlobWriter, timed: Any) -> None:
        self._inside = inside
        self._timed = timed

    def __enter__(self) -> _TimedWriter:
        self._inside.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._inside.__exit__(*exc_info)

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        with self._timed("write"):
            self._inside.write(data)

    def commit(self, *, sha256: str | None = None, md5: str | None = None, size_bytes: int | None = None) -> BlobInfo:
        """Make the bytes durable and visible."""
        with self._timed("commit"):
            return self._inside.commit(sha256=sha256, md5=md5, size_bytes=size_bytes)
