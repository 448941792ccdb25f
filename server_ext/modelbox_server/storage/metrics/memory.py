"""Points in the memory of this process: the ``inmemory`` metrics store. They are gone when it ends.

Thread safety: one lock around everything; what is returned shares nothing that changes later.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from modelbox.entities.series import ValueKind
from modelbox_server.storage.interfaces import AppendOutcome
from modelbox_server.storage.metrics.columns import Points, grouped
from modelbox_server.storage.metrics.ledger import repeated
from modelbox_server.storage.metrics.summaries import summary_columns
from modelbox_server.storage.metrics.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelbox.entities.series import SeriesBlock, SeriesSummary
    from modelbox.wire.messages import SummaryColumns
    from modelbox_server.storage.interfaces import BatchKey
    from modelbox_server.storage.metrics.columns import SeriesKey

__all__ = ["MemoryMetricsStore"]

_KINDS = list(ValueKind)


@dataclass(slots=True)
class _Series:
    """The batches of one series in order of arrival."""

    parts: list[Points] = field(default_factory=list)
    totals: Totals | None = None

    def add(self, points: Points) -> None:
        totals = Totals.of(points)
        self.totals = totals if self.totals is None else self.totals.plus(totals)
        self.parts.append(points.copied())

    def after(self, skip: int) -> Points | None:
        """Return the points after the first `skip`, or ``None`` if there are none."""
        starts = accumulate(map(len, self.parts), initial=0)
        parts = [part.part(max(0, skip - start)) for start, part in zip(starts, self.parts, strict=False) if skip < start + len(part)]
        return Points.joined(parts) if parts else None


class MemoryMetricsStore:
    """A metrics store without a file; see :class:`modelbox_server.storage.interfaces.MetricsStore` for what it promises."""

    name = "inmemory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, dict[tuple[str, ValueKind], _Series]] = {}
        self._batches: dict[tuple[str, int], tuple[bytes, int]] = {}

    def append(self, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendOutcome:
        """Add points; all of them or none."""
        series = grouped(blocks)
        points = sum(map(len, series.values()))
        with self._lock:
            if batch is not None:
                if (batch.client, batch.number) in self._batches:
                    return repeated(batch, *self._batches[batch.client, batch.number])
                self._batches[batch.client, batch.number] = (batch.digest, points)
            for (object_id, key, kind), added in series.items():
                self._objects.setdefault(object_id, {}).setdefault((key, kind), _Series()).add(added)
        return AppendOutcome(points)

    def _found(self, object_ids: Sequence[str], keys: Sequence[str] | None = None) -> Iterator[tuple[SeriesKey, _Series]]:
        wanted = None if keys is None else set(keys)
        for object_id in dict.fromkeys(object_ids):
            series = self._objects.get(object_id, {})
            for key, kind in sorted(series, key=lambda name: (name[0], _KINDS.index(name[1]))):
                if wanted is None or key in wanted:
                    yield (object_id, key, kind), series[key, kind]

    def read(
        self,
        object_ids: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        skip: Mapping[tuple[str, str], int] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> list[SeriesBlock]:
        """Return the points of every series of these objects, ordered by (step, wall clock)."""
        skip = skip or {}
        with self._lock:
            found = [
                (object_id, key, series.after(skip.get((object_id, key), 0)))
                for (object_id, key, _), series in self._found(object_ids, keys)
            ]
        wanted = [(object_id, key, points.within(steps)) for object_id, key, points in found if points is not None]
        return [points.ordered().copied().block(object_id, key) for object_id, key, points in wanted if len(points)]

    def summaries(self, object_ids: Sequence[str], keys: Sequence[str] | None = None) -> list[SeriesSummary]:
        """Return what is known of every series of these objects."""
        with self._lock:
            return [series.totals.summary(key) for key, series in self._found(object_ids, keys) if series.totals is not None]

    def summary_columns(self, object_ids: Sequence[str]) -> SummaryColumns:
        """Return the summaries of every series of these objects as columns by key."""
        return summary_columns(object_ids, self.summaries(object_ids))

    def delete(self, object_ids: Sequence[str]) -> int:
        """Delete all series of these objects and return how many points they had."""
        with self._lock:
            deleted = [self._objects.pop(object_id, {}) for object_id in dict.fromkeys(object_ids)]
        return sum(len(part) for series in deleted for one in series.values() for part in one.parts)

    def check(self) -> None:
        """Return: memory can always be written to."""

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._objects.clear()
            self._batches.clear()
