"""Means and bands over repetitions."""

import numpy as np
import pytest

from modelbox.errors import InvalidRequest
from modelbox_widgets.bands import aggregated, checked_axis, checked_band

STEPS = np.arange(3, dtype=np.float64)


def test_the_band_of_equal_runs_is_the_mean_itself() -> None:
    curve = aggregated([(STEPS, np.ones(3)), (STEPS, np.ones(3))], "ci", "step")
    assert curve.mean.tolist() == curve.low.tolist() == curve.high.tolist() == [1, 1, 1]
    assert curve.runs.tolist() == [2, 2, 2]


def test_the_range_holds_every_run() -> None:
    curve = aggregated([(STEPS, np.zeros(3)), (STEPS, np.full(3, 4.0))], "minmax", "step")
    assert (curve.low.tolist(), curve.mean.tolist(), curve.high.tolist()) == ([0, 0, 0], [2, 2, 2], [4, 4, 4])


def test_the_confidence_interval_is_that_of_student() -> None:
    """Of 1, 2, 3 the standard error is 1/sqrt(3), and t with two degrees of freedom is 4.302653."""
    runs = [(STEPS[:1], np.array([value])) for value in (1.0, 2.0, 3.0)]
    curve = aggregated(runs, "ci", "step")
    assert curve.high[0] - curve.mean[0] == pytest.approx(4.302653 / np.sqrt(3))


def test_a_step_that_some_runs_lack_is_averaged_over_the_others() -> None:
    curve = aggregated([(STEPS, np.array([1.0, 2.0, 3.0])), (STEPS[:2], np.array([3.0, 4.0]))], "std", "step")
    assert curve.mean.tolist() == [2, 3, 3]
    assert curve.runs.tolist() == [2, 2, 1]


def test_numbers_that_are_not_finite_do_not_count() -> None:
    curve = aggregated([(STEPS, np.array([1.0, np.nan, np.inf])), (STEPS, np.ones(3))], "std", "step")
    assert curve.mean.tolist() == [1, 1, 1]


def test_clocks_that_never_meet_are_read_off_at_common_moments() -> None:
    slow = (np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    fast = (np.array([0.0, 5.0]), np.array([0.0, 10.0]))
    curve = aggregated([slow, fast], "minmax", "time")
    middle = int(np.abs(curve.x - 2.5).argmin())
    assert curve.mean[middle] == pytest.approx((curve.x[middle] + 2 * curve.x[middle]) / 2)
    assert curve.runs[-1] == 1


@pytest.mark.parametrize("check", [checked_band, checked_axis])
def test_an_unknown_option_lists_those_that_there_are(check: object) -> None:
    with pytest.raises(InvalidRequest, match="must be"):
        check("median")  # type: ignore[operator]
