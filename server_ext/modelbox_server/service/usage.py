"""What users and namespaces have. It is measured, never counted: a count of its own would drift from what is there some day.

What is on the objects of an owner is the owner's, whoever put it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from modelbox.entities.records import ArtifactRecord, ArtifactStorage, ExperimentRecord, ModelRecord, ObjectRef
from modelbox_server.service.garbage import in_parts
from modelbox_server.storage.interfaces import Condition

if TYPE_CHECKING:
    from modelbox_server.storage.interfaces import MetadataStore, MetadataTransaction, MetricsStore

__all__ = ["Usage", "Used"]

_USER: Final = "user:"
_UPLOADED: Final = Condition("storage", "eq", ArtifactStorage.UPLOADED)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a user or a namespace."""

    size_bytes: int
    points: int
    experiments: int


class Usage:
    """Measure.

    Parameters
    ----------
    metadata, metrics
        Where everything lies.
    """

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore) -> None:
        self._metadata = metadata
        self._metrics = metrics

    def measured(self, subject: str) -> Used:
        """Return everything that a user or a namespace has."""
        with self._metadata.read() as tx:
            experiments, size_bytes = self.experiments(tx, subject), self.size_bytes(tx, subject)
        return Used(size_bytes=size_bytes, points=self.points(subject), experiments=experiments)

    def experiments(self, tx: MetadataTransaction, subject: str) -> int:
        """Return how many experiments there are."""
        return tx.count(ExperimentRecord, [_condition(subject)])

    def size_bytes(self, tx: MetadataTransaction, subject: str) -> int:
        """Return how many bytes the uploaded artifacts have."""
        if not subject.startswith(_USER):
            return tx.total(ArtifactRecord, "size_bytes", [_condition(subject), _UPLOADED])
        parts = in_parts(_objects(tx, subject))
        return sum(tx.total(ArtifactRecord, "size_bytes", [Condition("parent_id", "in", part), _UPLOADED]) for part in parts)

    def points(self, subject: str) -> int:
        """Return how many points there are."""
        with self._metadata.read() as tx:
            objects = _objects(tx, subject)
        return sum(sum(self._metrics.summary_columns(part).count) for part in in_parts(objects))


def _condition(subject: str) -> Condition:
    kind, _, name = subject.partition(":")
    return Condition("owner", "eq", name) if kind == "user" else Condition("namespace", "under", name)


def _objects(tx: MetadataTransaction, subject: str) -> list[str]:
    """Return the ids of everything that artifacts and points can hang on."""
    where = [_condition(subject)]
    if not subject.startswith(_USER):
        return [str(key[0]) for key in tx.keys(ObjectRef, where)]
    found = [str(key[0]) for kind in (ExperimentRecord, ModelRecord) for key in tx.keys(kind, where)]
    children = [key for part in in_parts(found) for key in tx.keys(ObjectRef, [Condition("parent_id", "in", part)])]
    return found + [str(key[0]) for key in children]
