"""Groups of repetitions, held against what SciPy says."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.statistics import stats
from modelbox_widgets.student import t_critical, t_p_value
from modelbox_widgets.testing import HOSTILE_NAMES


def frame(groups: dict[Json, list[float]], *, metric: str = "accuracy", seeds: bool = True) -> pd.DataFrame:
    rows = [
        {"experiment_id": f"{lr}-{seed}", "params.lr": lr, f"metrics.{metric}": value} | ({"params.seed": seed} if seeds else {})
        for lr, values in groups.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@given(st.floats(-50, 50), st.floats(0.5, 1e6))
def test_p_values_are_those_of_scipy(t: float, freedom: float) -> None:
    assert t_p_value(t, freedom) == pytest.approx(2 * scipy.stats.t.sf(abs(t), freedom), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("freedom", [1, 2, 3.7, 10, 29, 1000, 1e6])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_critical_values_are_those_of_scipy(freedom: float, level: float) -> None:
    assert t_critical(freedom, level) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


def test_nothing_follows_from_no_freedom() -> None:
    assert math.isnan(t_p_value(1.0, 0))
    assert math.isnan(t_critical(0))
    assert t_p_value(math.inf, 3) == 0


@given(st.lists(st.lists(st.integers(-100_000, 100_000).map(lambda n: n / 1000), min_size=3, max_size=6), min_size=2, max_size=2))
def test_groups_without_partners_get_the_test_of_welch(groups: list[list[float]]) -> None:
    table = stats(frame({0.1: groups[0], 0.2: groups[1]}, seeds=False), "accuracy")
    row = table.iloc[1]
    first, second = (groups[0] if lr == 0.1 else groups[1] for lr in table["params.lr"])
    if row["test"] != "Welch's t-test":
        assert np.std(first) < 1e-6
        assert np.std(second) < 1e-6
        return
    if min(np.std(first), np.std(second)) < 1e-6:
        return  # SciPy warns there
    assert row["p_value"] == pytest.approx(scipy.stats.ttest_ind(second, first, equal_var=False).pvalue, rel=1e-6, abs=1e-9)
    half = scipy.stats.t.ppf(0.975, len(second) - 1) * scipy.stats.sem(second)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((np.mean(second) - half, np.mean(second) + half), rel=1e-6, abs=1e-9)


def test_runs_with_the_same_seed_are_compared_in_pairs() -> None:
    """Seeds differ far more than the learning rates do: only pairs show that one of them is better every time."""
    worse, better = [0.50, 0.70, 0.90, 0.60], [0.52, 0.71, 0.92, 0.61]
    table = stats(frame({0.1: worse, 0.2: better}), "accuracy")
    assert table["params.lr"].tolist() == [0.2, 0.1]
    row = table.iloc[1]
    assert (row["test"], row["pairs"]) == ("paired t-test", 4)
    assert row["p_value"] == pytest.approx(scipy.stats.ttest_rel(worse, better).pvalue)
    assert row["effect"] == "Cohen's dz"
    assert row["versus"] == "lr = 0.2"
    assert row["difference"] == pytest.approx(-0.015)
    assert stats(frame({0.1: worse, 0.2: better}, seeds=False), "accuracy")["p_value"].iloc[1] > 0.5


def test_many_comparisons_are_corrected_as_holm_did() -> None:
    random = np.random.default_rng(1)
    groups = {float(lr): (random.normal(lr / 4, 1, 6)).tolist() for lr in range(4)}
    table = stats(frame(groups, seeds=False), "accuracy")
    raw = sorted(table["p_value"].dropna())
    expected = np.maximum.accumulate([min(1.0, p * (3 - rank)) for rank, p in enumerate(raw)])
    assert sorted(table["p_holm"].dropna()) == pytest.approx(expected.tolist())


def test_losses_are_better_when_smaller_unless_somebody_says_otherwise() -> None:
    runs = frame({0.1: [0.3, 0.31], 0.2: [0.2, 0.21]}, metric="loss")
    assert stats(runs, "loss")["params.lr"].tolist() == [0.2, 0.1]
    assert stats(runs, "loss", mode="max")["params.lr"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("groups", "test"),
    [
        ({0.1: [0.5], 0.2: [0.6, 0.7]}, "one run says nothing about luck"),
        ({0.1: [0.5, 0.5], 0.2: [0.6, 0.6]}, "differ by the same amount"),
        ({0.1: [0.5, 0.5, 0.5], 0.2: [0.6, 0.6]}, "differ by the same amount"),
        ({0.1: [math.nan], 0.2: [0.6, 0.6]}, "no run has a number"),
    ],
)
def test_where_nothing_can_be_tested_the_table_says_why(groups: dict[Json, list[float]], test: str) -> None:
    row = stats(frame(groups), "accuracy").iloc[1]
    assert test in row["test"]
    assert math.isnan(row["p_value"])


def test_runs_that_differ_in_nothing_but_the_seed_are_one_group() -> None:
    table = stats(frame({0.1: [0.5, 0.6, 0.7]}), "accuracy")
    assert table["group"].tolist() == ["all runs"]
    assert table[["n", "mean"]].iloc[0].tolist() == [3, pytest.approx(0.6)]


def test_one_run_has_a_mean_and_no_interval() -> None:
    row = stats(frame({0.1: [0.5]}), "accuracy").iloc[0]
    assert row["mean"] == 0.5
    assert math.isnan(row["ci_low"])
    assert math.isnan(row["std"])


def test_numbers_at_the_end_of_what_floats_hold_are_no_error() -> None:
    table = stats(frame({0.1: [1e308, -1e308, 1e308], 0.2: [1e-300, 2e-300, 0.0]}, seeds=False), "accuracy")
    assert table["n"].tolist() == [3, 3]
    assert "none" in table["test"].iloc[1]


def test_infinities_and_text_do_not_count() -> None:
    runs = frame({0.1: [0.5, 0.6, math.inf], "a": [0.4, 0.5, 0.6]})
    table = stats(runs, "accuracy", by="lr")
    assert dict(zip(table["params.lr"], table["n"], strict=True)) == {0.1: 2, "a": 3}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"metric": "accuracy", "by": "lrr"}, "has no column, parameter or metric 'lrr'"),
        ({"metric": "accuracy", "level": 95}, "between 0 and 1"),
        ({"metric": "accuracy", "mode": "up"}, "'min' or 'max'"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: dict[str, Json], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        stats(frame({0.1: [0.5, 0.6]}), **arguments)


def test_a_metric_without_numbers_is_one_sentence() -> None:
    with pytest.raises(InvalidRequest, match="nothing to average"):
        stats(frame({0.1: [math.nan, math.inf]}), "accuracy")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_stay_as_they_are(name: str) -> None:
    runs = frame({name: [0.1, 0.2], f"{name}2": [0.3, 0.4]}, metric=name).rename(columns={"params.lr": f"params.{name}"})
    table = stats(runs, name, mode="max")
    assert set(table[f"params.{name}"]) == {name, f"{name}2"}
