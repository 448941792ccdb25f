"""Thinning keeps what the eye would miss, and rows carry names as values only."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox_widgets.points import kept, rows_of, rows_within
from modelbox_widgets.testing import float_block, run_id_of


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=300), st.integers(min_value=4, max_value=60))
def test_ends_and_extremes_survive_thinning(values: list[float], limit: int) -> None:
    array = np.array(values)
    at = kept(array, limit)
    assert len(at) <= max(limit, 4)
    assert sorted(set(at.tolist())) == at.tolist()
    assert at[0] == 0
    assert at[-1] == len(values) - 1
    if not np.isnan(array).all():
        assert np.nanmin(array[at]) == np.nanmin(array)
        assert np.nanmax(array[at]) == np.nanmax(array)


def test_a_single_spike_among_a_million_points_is_kept() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 1.0
    assert 654_321 in kept(values, 100)


def test_numbers_that_json_has_no_word_for_are_rows_without_a_value() -> None:
    rows = rows_of([float_block("r", "loss", [1.0, float("nan"), float("-inf")])], {"r": "run"}, limit_points=10)
    assert [row["value"] for row in rows] == [1.0, None, None]
    assert rows[0] == {"run": "run", "run_id": "r", "key": "loss", "step": 0, "wall_ms": 0.0, "value": 1.0}


def test_text_and_bytes_are_not_drawn() -> None:
    steps = np.arange(2, dtype=np.int64)
    block = SeriesBlock(object_id="r", key="words", kind=ValueKind.TEXT, steps=steps, wall_times_us=steps, values=["a", "b"])
    assert rows_of([block], {}, limit_points=10) == []


def test_an_output_stays_small_however_much_was_logged() -> None:
    blocks = [float_block(run_id_of(run), "loss", [0.0] * 5000) for run in range(20)]
    assert len(rows_within(blocks, {})) <= 3000
    assert len(rows_within(blocks[:1], {})) <= 1000
