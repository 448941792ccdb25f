"""Series in bounded memory, against all their points."""

import numpy as np
import pytest

from modelbox_widgets.overview import Overview, ThinSeries
from modelbox_widgets.testing import float_block


def columns(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", first: int) -> tuple:  # type: ignore[type-arg]
    steps = np.arange(first, first + len(values), dtype=np.float64)
    return steps, steps * 1000, values


def grown(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", parts: list[int], limit: int) -> ThinSeries:
    series = ThinSeries(limit)
    for begin, end in zip([0, *parts], [*parts, len(values)], strict=True):
        series.extend(columns(values[begin:end], begin))
    return series


@pytest.mark.parametrize("length", [10, 199, 200, 201, 5000, 65_536, 100_001])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_extreme_of_any_stretch_is_lost_however_the_points_came(length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_normal(length).cumsum()
    parts = sorted(set(random.integers(1, length, size=37).tolist()))
    series = grown(values, parts, limit=100)
    assert len(series) <= 200
    assert series.count == length
    stretch = series._stretch()
    kept = dict(zip(series.steps.astype(int).tolist(), series.values.tolist(), strict=True))
    for begin in range(0, length, stretch):
        if stretch == 1:
            break
        part = values[begin : begin + stretch]
        assert begin + int(part.argmin()) in kept
        assert begin + int(part.argmax()) in kept
    assert all(values[step] == value for step, value in kept.items())
    assert {0, length - 1} <= kept.keys() or len(series) == length


def test_old_points_stay_as_dense_as_new_ones() -> None:
    series = grown(np.random.default_rng(0).standard_normal(100_000), list(range(500, 100_000, 500)), limit=1000)
    *settled, newest = np.histogram(series.steps, bins=10, range=(0, 100_000))[0]
    assert max(settled) < 1.2 * min(settled)
    assert newest < 2000


def test_nan_hides_no_extreme_and_is_kept_where_there_is_nothing_else() -> None:
    values = np.full(4096, np.nan)
    values[1024:2048] = 0.5
    values[1500], values[1700] = np.inf, -np.inf
    series = grown(values, [100, 1600], limit=64)
    assert np.isinf(series.values).sum() == 2
    assert np.isnan(series.values[series.steps > 3000]).all()
    assert len(series.values[series.steps > 3000]) > 4


def test_points_that_the_store_thinned_count_as_many() -> None:
    series = ThinSeries(100)
    series.extend(columns(-np.random.default_rng(0).random(100), 0), standing_for=1_000_000)
    series.extend(columns(np.ones(150), 1_000_000))
    assert series.count == 1_000_150
    # The new points are a sliver of the whole: they may not push out what stands for a million.
    assert (series.values <= 0).sum() >= 50


def test_many_series_share_the_room() -> None:
    overview = Overview(limit_points=1000, total_points=10_000)
    overview.extend([float_block(f"run {i}", "loss", np.random.default_rng(i).random(5000).tolist()) for i in range(100)])
    assert len(overview.series) == 100
    assert sum(map(len, overview.series.values())) <= 20_000
    overview.forget("run 7")
    assert len(overview.series) == 99
