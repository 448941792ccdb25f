"""What comes new of some experiments: their points and how they stand, read by increments from any store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelbox.client.experiment import Experiment
from modelbox.entities.own_keys import is_own_series
from modelbox.entities.records import Status
from modelbox.entities.series import SeriesBlock, SeriesSummary, ValueKind
from modelbox.errors import NotFound
from modelbox.wire import routes
from modelbox.wire.messages import MetricsQuery, SummariesQuery
from modelbox_widgets.points import float_blocks

if TYPE_CHECKING:
    from modelbox_widgets.overview import SeriesName

__all__ = ["Tail"]


class Tail:
    """Follows experiments of one store. Not for several threads at once.

    Parameters
    ----------
    experiments
        Which ones; those that are deleted leave.
    keys
        Which metrics; what users logged, without what ModelBox logs by itself, when ``None``.
    thin_points
        The first read brings longer series thinned to about so many points: only what comes later is needed point by point.
    """

    def __init__(self, experiments: Sequence[Experiment], keys: Sequence[str] | None, *, thin_points: int) -> None:
        # Of their own: the thread that trains ends its experiments before the last points of them were read here.
        self.experiments = [Experiment(experiment.session, experiment.record) for experiment in experiments]
        self._keys = None if keys is None else list(keys)
        self._thin_points = thin_points
        self._seen: dict[str, dict[str, int]] = {}
        self._numbers: set[SeriesName] = set()
        self.counts: dict[SeriesName, int] = {}
        """How many points the series had that the last :meth:`read` brought thinned."""

    @property
    def is_over(self) -> bool:
        """Whether no experiment runs any more, as last heard."""
        return all(experiment.status is not Status.RUNNING for experiment in self.experiments)

    def read(self) -> list[SeriesBlock]:
        """Return the points that came since the last call, or at the first call all of them, long series thinned (see :attr:`counts`)."""
        if not self.experiments:
            return []
        try:
            blocks = self._first() if not self._seen else self._next()
        except NotFound:
            if not self._drop_deleted():
                raise
            return self.read()
        return [block for block in float_blocks(blocks) if self._keys is not None or not is_own_series(block.key)]

    def refresh(self) -> bool:
        """Ask how the running experiments stand, and tell whether something changed. To ask before reading misses no point."""
        before = [(experiment.id, experiment.status) for experiment in self.experiments]
        for experiment in list(self.experiments):
            if experiment.status is Status.RUNNING and not _exists(experiment):
                self.experiments.remove(experiment)
        return before != [(experiment.id, experiment.status) for experiment in self.experiments]

    def _first(self) -> list[SeriesBlock]:
        # Counted before reading: a point that comes in between is read again, which draws the same; none is missed.
        summaries = self._summaries()
        self._seen = {experiment.id: {} for experiment in self.experiments}
        for one in summaries:
            self._count(one.object_id, one.key, one.kind, one.count)
        numbers = {(one.object_id, one.key): one.count for one in summaries if one.kind is ValueKind.FLOAT}
        self.counts = {name: count for name, count in numbers.items() if count > self._thin_points}
        return self._query(max_points=self._thin_points if self.counts else None, skip={})

    def _next(self) -> list[SeriesBlock]:
        self.counts = {}
        blocks = self._query(max_points=None, skip=self._seen)
        for block in blocks:
            self._count(block.object_id, block.key, block.kind, len(block))
        return blocks

    def _count(self, object_id: str, key: str, kind: ValueKind, points: int) -> None:
        """Note that so many points are there. What is skipped is said per key: where one has numbers and text, the numbers decide."""
        name = (object_id, key)
        seen = self._seen.setdefault(object_id, {})
        if kind is ValueKind.FLOAT:
            seen[key] = points + (seen.get(key, 0) if name in self._numbers else 0)
            self._numbers.add(name)
        elif name not in self._numbers:
            seen[key] = seen.get(key, 0) + points

    def _summaries(self) -> list[SeriesSummary]:
        body = SummariesQuery(objects=[experiment.id for experiment in self.experiments])
        return self.experiments[0].session.call(routes.SUMMARIZE_METRICS, body=body).series

    def _query(self, *, max_points: int | None, skip: dict[str, dict[str, int]]) -> list[SeriesBlock]:
        ids = [experiment.id for experiment in self.experiments]
        query = MetricsQuery(objects=ids, keys=self._keys, max_points=max_points, skip=skip)
        return self.experiments[0].session.transport.read_metrics(query)

    def _drop_deleted(self) -> bool:
        left = [experiment for experiment in self.experiments if _exists(experiment)]
        dropped = len(left) < len(self.experiments)
        self.experiments = left
        return dropped


def _exists(experiment: Experiment) -> bool:
    try:
        experiment.refresh()
    except NotFound:
        return False
    return True
