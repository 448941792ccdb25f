"""Points of metrics on their way into a chart: thinned so that no spike is lost, as rows whose field names never come from a user."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast

import numpy as np

from modelbox.entities.series import SeriesBlock, ValueKind

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["Floats", "Ints", "PointRow", "float_blocks", "kept", "rows_of", "rows_within"]

Floats: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.int64]"


class PointRow(TypedDict):
    """One point of a chart. Labels are values here, never names of fields; `value` is ``None`` where it is no finite number."""

    run: str
    run_id: str
    key: str
    step: int
    wall_ms: float
    value: float | None


def kept(values: Floats, limit_points: int) -> Ints:
    """Return the positions of at most `limit_points` values that draw the same line: ends, and minimum and maximum of each stretch.

    NaN is kept only where a whole stretch is NaN.
    """
    count = len(values)
    if count <= limit_points:
        return np.arange(count)
    buckets = max(1, (limit_points - 2) // 2)
    width = -(-count // buckets)
    unknown = np.isnan(values)
    low, high = np.full(buckets * width, np.inf), np.full(buckets * width, -np.inf)
    low[:count], high[:count] = np.where(unknown, np.inf, values), np.where(unknown, -np.inf, values)
    starts = np.arange(buckets) * width
    extremes = [starts + low.reshape(buckets, width).argmin(axis=1), starts + high.reshape(buckets, width).argmax(axis=1)]
    positions = np.concatenate([[0, count - 1], *extremes])
    return np.unique(positions[positions < count])


def float_blocks(blocks: Iterable[SeriesBlock]) -> list[SeriesBlock]:
    """Return the blocks that can be drawn: float series that have points."""
    return [block for block in blocks if block.kind is ValueKind.FLOAT and len(block)]


def rows_of(blocks: Sequence[SeriesBlock], labels: Mapping[str, str], *, limit_points: int) -> list[PointRow]:
    """Return chart rows of float series, each thinned to `limit_points`; runs without a label go by the start of their id."""
    rows: list[PointRow] = []
    for block in float_blocks(blocks):
        steps = np.frombuffer(memoryview(block.steps), dtype=np.int64)
        values = np.frombuffer(memoryview(cast("Buffer", block.values)), dtype=np.float64)
        wall_ms = np.frombuffer(memoryview(block.wall_times_us), dtype=np.int64) / 1000
        at = kept(values, limit_points)
        finite = np.isfinite(values)
        label = labels.get(block.object_id, block.object_id[:8])
        rows.extend(
            PointRow(run=label, run_id=block.object_id, key=block.key, step=step, wall_ms=wall, value=value if ok else None)
            for step, wall, value, ok in zip(
                steps[at].tolist(), wall_ms[at].tolist(), values[at].tolist(), finite[at].tolist(), strict=True
            )
        )
    return rows


def rows_within(blocks: Sequence[SeriesBlock], labels: Mapping[str, str], *, limit_rows: int = 3000) -> list[PointRow]:
    """Return chart rows of float series, thinned to about `limit_rows` in all and 1000 per series: an output is saved with its notebook."""
    drawn = float_blocks(blocks)
    return rows_of(drawn, labels, limit_points=min(1000, max(24, limit_rows // max(len(drawn), 1))))
