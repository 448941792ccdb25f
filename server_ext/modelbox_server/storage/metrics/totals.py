"""What is known of a series without reading its points: made for a batch with numpy, then merged batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from modelbox.entities.series import SeriesSummary, ValueKind

if TYPE_CHECKING:
    from modelbox_server.storage.metrics.columns import Floats, Points, SeriesKey

__all__ = ["Bounds", "Totals"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and the last step of some points, and which of them is the latest: where in order of arrival, and its wall clock."""

    first_step: int
    last_step: int
    latest: int
    last_clock_us: int

    @classmethod
    def of(cls, points: Points) -> Bounds:
        """Return the bounds of `points`, at least one, in order of arrival."""
        steps, clocks_us = points.steps, points.clocks_us
        last_step = steps.max()
        latest = np.flatnonzero(steps == last_step)
        clocks_of_latest = clocks_us[latest]
        at = int(latest[np.flatnonzero(clocks_of_latest == clocks_of_latest.max())[-1]])
        return cls(int(steps.min()), int(last_step), at, int(clocks_us[at]))


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals of one series.

    `last` is the value at the greatest (step, wall clock), the later arrival where both are equal. `numbers` counts the values that are not
    NaN; `low`, `high` and `mean` are over those. The mean is kept instead of a sum, which could overflow.
    """

    count: int
    first_step: int
    last_step: int
    last_clock_us: int
    last: float | str | None
    numbers: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None

    @classmethod
    def of(cls, points: Points, bounds: Bounds | None = None) -> Totals:
        """Return the totals of `points`, at least one, in order of arrival; `bounds` are theirs, if known."""
        values = points.values
        if len(points) == 1:  # the usual batch of a slow training; numpy would take twenty times as long
            return cls._of_one(int(points.steps[0]), int(points.clocks_us[0]), values[0])
        bounds = bounds or Bounds.of(points)
        last = values[bounds.latest]
        first_fields = (len(points), bounds.first_step, bounds.last_step, bounds.last_clock_us)
        if isinstance(values, np.ndarray):
            return cls(*first_fields, float(last), *_statistics(values))
        return cls(*first_fields, last if isinstance(last, str) else None)

    @classmethod
    def _of_one(cls, step: int, clock_us: int, value: float | str | bytes) -> Totals:
        if isinstance(value, str | bytes):
            return cls(1, step, step, clock_us, value if isinstance(value, str) else None)
        number = float(value)
        if math.isnan(number):
            return cls(1, step, step, clock_us, number)
        return cls(1, step, step, clock_us, number, 1, number, number, number)

    def plus(self, later: Totals) -> Totals:
        """Return the totals of these points followed by those of `later`."""
        newest = later if (later.last_step, later.last_clock_us) >= (self.last_step, self.last_clock_us) else self
        return Totals(
            self.count + later.count,
            min(self.first_step, later.first_step),
            newest.last_step,
            newest.last_clock_us,
            newest.last,
            self.numbers + later.numbers,
            _least(self.low, later.low),
            _greatest(self.high, later.high),
            _mean_of_both(self, later),
        )

    def summary(self, series: SeriesKey) -> SeriesSummary:
        """Return these totals as the summary of `series`."""
        object_id, key, kind = series
        return SeriesSummary(
            object_id=object_id,
            key=key,
            kind=kind,
            count=self.count,
            first_step=self.first_step,
            last_step=self.last_step,
            last_wall_time_us=self.last_clock_us,
            last=self.last if kind is not ValueKind.BYTES else None,
            min=self.low,
            max=self.high,
            mean=self.mean,
        )


def _statistics(values: Floats) -> tuple[int, float | None, float | None, float | None]:
    missing = np.isnan(values)
    numbers = values[~missing] if missing.any() else values
    if not len(numbers):
        return 0, None, None, None
    with np.errstate(all="ignore"):  # inf - inf is NaN, which is the mean then
        mean = float(numbers.mean())
        if math.isinf(mean) and np.isfinite(numbers).all():
            mean = float((numbers / len(numbers)).sum())
    return len(numbers), float(numbers.min()), float(numbers.max()), mean


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _greatest(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def _mean_of_both(one: Totals, other: Totals) -> float | None:
    if one.mean is None or other.mean is None:
        return other.mean if one.mean is None else one.mean
    numbers = one.numbers + other.numbers
    return one.mean * (one.numbers / numbers) + other.mean * (other.numbers / numbers)
