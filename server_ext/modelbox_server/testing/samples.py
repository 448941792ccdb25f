"""Hostile but legal input for tests: names, clocks and points that break what is written carelessly."""

import math
import threading
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modelbox.entities.series import SeriesBlock, ValueKind

__all__ = ["FLOATS", "METRIC", "NAMESPACE", "JumpingClock", "float_block", "text_block"]

NAMESPACE = "équipe/vision"
METRIC = "val/loss @1"
FLOATS = (0.5, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1)

_START = datetime(2026, 3, 29, 0, 59, 58, 250_000, tzinfo=UTC)


class JumpingClock:
    """Tells a time that goes on by a little more than a second per look, and now and then jumps back by an hour.

    Every look gives another time, so that nothing depends on ties by accident. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._looks = 0
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Return the time."""
        with self._lock:
            self._looks += 1
            back = timedelta(hours=1) if self._looks % 7 == 0 else timedelta()
            return _START + timedelta(seconds=1, microseconds=1) * self._looks - back


def float_block(object_id: str, values: Sequence[float] = FLOATS, *, key: str = METRIC, steps: Sequence[int] | None = None) -> SeriesBlock:
    """Return points of a float series; steps count from 0, wall clocks go down."""
    points = len(values)
    return SeriesBlock(
        object_id=object_id,
        key=key,
        steps=array("q", range(points) if steps is None else steps),
        wall_times_us=array("q", range(points, 0, -1)),
        values=array("d", values),
    )


def text_block(object_id: str, values: Sequence[str], *, key: str = METRIC) -> SeriesBlock:
    """Return points of a text series."""
    points = len(values)
    return SeriesBlock(
        object_id=object_id,
        key=key,
        kind=ValueKind.TEXT,
        steps=array("q", range(points)),
        wall_times_us=array("q", range(points)),
        values=list(values),
    )
