"""Points and bytes that no record refers to, and how they are removed without harm to what is being recorded at this moment.

Bytes are counted by the artifacts that refer to them. The last of those to go takes the bytes along, unless they were stored a short while
ago: the same bytes may be on their way to a record by another server, which wrote them before and looks whether they are still there when
it records them. Whatever stays behind, by that or by a crash between two stores, :meth:`GarbageCollector.collect` finds later.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from modelbox.entities.records import ArtifactRecord, ChangeEvent, ChangeKind, NamespaceRecord, ObjectRef
from modelbox.errors import BlobMissing, StorageError
from modelbox_server.service.again import again
from modelbox_server.storage.interfaces import BlobEntry, BlobStore, Condition, MetadataStore, MetadataTransaction, MetricsStore

__all__ = ["Garbage", "GarbageCollector", "in_parts"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Databases bound the number of parameters of one statement.
_PART = 500
_TOGETHER = 50
"""How many ids or contents are removed at once: whoever wants to make one of them waits meanwhile."""

_OBJECTS = {"experiment", "checkpoint", "model", "model_version"}


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was removed, or would be.

    Parameters
    ----------
    points
        Points of metrics of objects that are gone.
    blobs, blob_bytes
        Contents without an artifact.
    leftovers, leftover_bytes
        What uploads that nobody went on with left in the blob store.
    """

    points: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    leftovers: int = 0
    leftover_bytes: int = 0


class GarbageCollector:
    """Removes what nothing refers to.

    Parameters
    ----------
    metadata, metrics, blobs
        The stores.
    grace_s
        How long bytes are spared after they were stored last, by the clock of the blob store.
    """

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore, blobs: BlobStore, grace_s: float = 0.0) -> None:
        self._metadata = metadata
        self._metrics = metrics
        self._blobs = blobs
        self._grace_s = grace_s

    def remove(self, object_ids: Sequence[str], contents: Sequence[str]) -> None:
        """Remove what has just lost its records, as far as nothing else refers to it."""
        if object_ids:
            self._remove_points(object_ids, dry_run=False)
        if old := [key for key in contents if not self._grace_s or self._is_old(key)]:
            for few in in_parts(old, _TOGETHER):
                self._remove_contents([BlobEntry(key, 0, 0.0) for key in few])

    def collect(self, *, grace_s: float | None = None, dry_run: bool = False, may_go_on: Callable[[], bool] = lambda: True) -> Garbage:
        """Look through everything, and remove what nothing refers to.

        May run at any time, beside servers that work on the same stores, and in several of them at once. An upload that is between its
        bytes and its record for longer than the grace period is refused with :class:`~modelbox.errors.StorageUnavailable` and can be sent
        again.

        Parameters
        ----------
        grace_s
            Instead of the one that the servers keep to.
        dry_run
            Only say what would be removed.
        may_go_on
            Asked between small pieces of the work; the rest is left to the next time when it says no, as when a lease is lost.

        Raises
        ------
        StorageError
            The blob store holds something, but the metadata store was never used: one of them belongs to another server.
        """
        grace_s = self._grace_s if grace_s is None else grace_s
        points = blobs = blob_bytes = 0
        for part in in_parts(self._destroyed()):
            if not may_go_on():
                return Garbage(points, blobs, blob_bytes)
            points += self._remove_points(part, dry_run=dry_run)
        old = (entry for entry in self._blobs.entries() if entry.age_s >= grace_s)
        for entries in in_parts(old):
            if not may_go_on():
                return Garbage(points, blobs, blob_bytes)
            unused = self._unused(entries)
            for few in in_parts(unused, _TOGETHER):
                removed = few if dry_run else self._remove_contents(few)
                blobs += len(removed)
                blob_bytes += sum(entry.size_bytes for entry in removed)
        left = self._blobs.clean(dry_run=dry_run)
        found = Garbage(points, blobs, blob_bytes, left.count, left.size_bytes)
        _log.info("Garbage %s: %s", "found" if dry_run else "removed", found)
        return found

    def _destroyed(self) -> set[str]:
        with self._metadata.read() as tx:
            events = tx.select(ChangeEvent, [Condition("kind", "eq", ChangeKind.DESTROYED)])
        return {event.object_id for event in events if event.object_type in _OBJECTS}

    def _remove_points(self, object_ids: Sequence[str], *, dry_run: bool) -> int:
        if dry_run:
            with self._metadata.read() as tx:
                gone = _gone(tx, object_ids)
            return sum(summary.count for summary in self._metrics.summaries(gone)) if gone else 0
        points = 0
        for few in in_parts(object_ids, _TOGETHER):
            # Nobody can create an object under one of these ids between the look and the removal.
            with self._metadata.write(*few) as tx:
                gone = _gone(tx, few)
                points += self._metrics.delete(gone) if gone else 0
        return points

    def _unused(self, entries: Sequence[BlobEntry]) -> list[BlobEntry]:
        with self._metadata.read() as tx:
            if not tx.select(NamespaceRecord, limit=1):
                raise StorageError(
                    "The blob store holds contents, but the metadata store was never used: one of the two belongs to another server, so "
                    "nothing is removed. Give the configuration that the server runs with."
                )
            used = {
                artifact.content for artifact in tx.select(ArtifactRecord, [Condition("content", "in", [entry.key for entry in entries])])
            }
        return [entry for entry in entries if entry.key not in used]

    @again
    def _remove_contents(self, entries: Sequence[BlobEntry]) -> list[BlobEntry]:
        """Remove contents that are still unused; nobody can record an artifact with one of them between the look and the removal."""
        with self._metadata.write(*(entry.key for entry in entries)) as tx:
            unused = [entry for entry in entries if not tx.count(ArtifactRecord, [Condition("content", "eq", entry.key)])]
            return [entry for entry in unused if self._blobs.delete(entry.key)]

    def _is_old(self, key: str) -> bool:
        try:
            return self._blobs.age_s(key) >= self._grace_s
        except BlobMissing:
            return False


def in_parts(items: Collection[T] | Iterator[T], size: int = _PART) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _gone(tx: MetadataTransaction, object_ids: Sequence[str]) -> list[str]:
    alive = {ref.id for part in in_parts(object_ids) for ref in tx.select(ObjectRef, [Condition("id", "in", part)])}
    return [object_id for object_id in object_ids if object_id not in alive]
