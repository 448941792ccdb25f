"""Series of any length in bounded memory: what a chart needs of them at its full width, kept up to date by increments.

A series is cut into stretches of equally many points, in order of arrival. Of each stretch the least and the greatest value stay, so that
no spike is ever lost, and where there are too many stretches, two by two become one. The result is the same whether the points came one by
one or all at once.
"""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np

from modelbox.entities.series import SeriesBlock
from modelbox_widgets.points import Floats, Ints, float_blocks

__all__ = ["Overview", "SeriesName", "ThinSeries", "columns_of"]

SeriesName: TypeAlias = tuple[str, str]
"""Id of the object, and key."""


def columns_of(block: SeriesBlock) -> tuple[Floats, Floats, Floats]:
    """Return steps, wall clocks in ms and values of a float series as float64, which is what a browser computes with."""
    steps = np.frombuffer(memoryview(block.steps), dtype=np.int64).astype(np.float64)
    times_ms = np.frombuffer(memoryview(block.wall_times_us), dtype=np.int64) / 1000
    values = np.frombuffer(memoryview(cast("bytes", block.values)), dtype=np.float64)
    return steps, times_ms, values


class ThinSeries:
    """One series of which at most twice `limit_points` points are kept.

    Parameters
    ----------
    limit_points
        To about how many points it is thinned when it has grown to twice as many.
    """

    def __init__(self, limit_points: int) -> None:
        self._limit_points = limit_points
        self.count = 0
        self.steps: Floats = np.empty(0)
        self.times_ms: Floats = np.empty(0)
        self.values: Floats = np.empty(0)
        self._arrived: Ints = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, columns: tuple[Floats, Floats, Floats], *, standing_for: int | None = None) -> bool:
        """Add points, and tell whether the series had to be thinned.

        Parameters
        ----------
        columns
            Steps, wall clocks and values.
        standing_for
            How many points these were before a store thinned them; as many as there are when left out.
        """
        steps, times_ms, values = columns
        many = max(len(values), standing_for or 0)
        arrived = self.count + (np.arange(len(values)) if many == len(values) else np.linspace(0, many - 1, len(values)).astype(np.int64))
        self.count += many
        self.steps = np.concatenate([self.steps, steps])
        self.times_ms = np.concatenate([self.times_ms, times_ms])
        self.values = np.concatenate([self.values, values])
        self._arrived = np.concatenate([self._arrived, arrived])
        if len(self.values) <= 2 * self._limit_points:
            return False
        self._keep(_extremes(self._arrived // self._stretch(), self.values))
        return True

    def _stretch(self) -> int:
        """Return how many points a stretch has: a power of two, so that a longer stretch is always made of whole shorter ones."""
        stretch = 1
        while 2 * self.count > stretch * self._limit_points:
            stretch *= 2
        return stretch

    def _keep(self, at: Ints) -> None:
        self.steps, self.times_ms, self.values, self._arrived = self.steps[at], self.times_ms[at], self.values[at], self._arrived[at]


def _extremes(stretches: Ints, values: Floats) -> Ints:
    """Return the positions of the first and the last value, and of the least and the greatest of each stretch; NaN only where all are."""
    unknown = np.isnan(values)
    begins = np.flatnonzero(np.diff(stretches, prepend=stretches[0] - 1))
    # Sorted within each stretch, the least value is its first and the greatest its last.
    least = np.lexsort((np.where(unknown, np.inf, values), stretches))[begins]
    greatest = np.lexsort((np.where(unknown, -np.inf, values), stretches))[np.append(begins[1:], len(values)) - 1]
    return np.unique(np.concatenate([[0, len(values) - 1], least, greatest]))


class Overview:
    """Series by name, all together in bounded memory.

    Parameters
    ----------
    limit_points
        To about how many points a series is thinned while there are few.
    total_points
        About how many points all series together may have; with many series each is thinned more.
    """

    def __init__(self, limit_points: int = 2000, total_points: int = 200_000) -> None:
        self._limit_points = limit_points
        self._total_points = total_points
        self.series: dict[SeriesName, ThinSeries] = {}

    def plan(self, series: int) -> int:
        """Return to how many points each of so many series is thinned."""
        return max(100, min(self._limit_points, self._total_points // max(series, 1)))

    def extend(self, blocks: Sequence[SeriesBlock], *, counts: dict[SeriesName, int] | None = None) -> bool:
        """Add points of float series; text and bytes are left out. Tells whether one had to be thinned.

        Parameters
        ----------
        blocks
            Points in order of arrival.
        counts
            How many points there were of a series before the store thinned it.
        """
        thinned = False
        blocks = float_blocks(blocks)
        limit = self.plan(len(self.series.keys() | {(block.object_id, block.key) for block in blocks}))
        for block in blocks:
            name = (block.object_id, block.key)
            if name not in self.series:
                self.series[name] = ThinSeries(limit)
            thinned |= self.series[name].extend(columns_of(block), standing_for=(counts or {}).get(name))
        return thinned

    def forget(self, object_id: str) -> None:
        """Drop the series of one object."""
        self.series = {name: one for name, one in self.series.items() if name[0] != object_id}
