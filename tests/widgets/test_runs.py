"""What a frame of runs is understood to hold."""

import numpy as np
import pandas as pd
import pytest

from modelbox.errors import InvalidRequest
from modelbox_widgets.runs import checked_runs, comparable, metric_columns, numeric, polarity, run_labels, setting_columns
from modelbox_widgets.testing import run_id_of, search


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val/loss @1", "min"),
        ("testAccuracy", "max"),
        ("top5_acc", "max"),
        ("val_f1", "max"),
        ("R2", "max"),
        ("MSE", "min"),
        ("word error rate", "min"),
        ("lr", None),
        ("", None),
        ("東京", None),
    ],
)
def test_the_name_of_a_metric_tells_which_way_is_better(metric: str, expected: str | None) -> None:
    assert polarity(metric) == expected


def test_summaries_of_a_metric_are_not_metrics_of_their_own() -> None:
    runs, _ = search()
    assert list(metric_columns(runs)) == ["val/loss @1", "accuracy"]
    assert metric_columns(runs)["accuracy"].max == "metrics.accuracy.max"


def test_a_metric_that_is_called_like_a_summary_is_one_when_the_frame_says_so() -> None:
    frame = pd.DataFrame({"experiment_id": ["a"], "metrics.loss": [1.0], "metrics.loss.max": [2.0]})
    assert list(metric_columns(frame)) == ["loss"]
    frame.attrs["modelbox"] = {"metrics": ["loss", "loss.max"]}
    assert list(metric_columns(frame)) == ["loss", "loss.max"]


def test_columns_that_are_no_text_are_left_alone() -> None:
    frame = pd.DataFrame({"experiment_id": ["a"], 7: [1], ("params", "lr"): [2], "params.lr": [3]})
    assert setting_columns(frame) == ["params.lr"]


def test_runs_of_one_name_are_told_apart_by_their_id() -> None:
    frame = pd.DataFrame({"experiment_id": [run_id_of(0), run_id_of(1), run_id_of(2)], "name": ["a", "a", "b"]})
    assert list(run_labels(frame).values()) == [f"a ({run_id_of(0)[:8]})", f"a ({run_id_of(1)[:8]})", "b"]


def test_a_frame_without_ids_is_refused_with_the_column_that_was_probably_meant() -> None:
    with pytest.raises(InvalidRequest, match="Did you mean 'experiment_ids'"):
        checked_runs(pd.DataFrame({"experiment_ids": ["a"]}), "compare()")


def test_a_column_that_exists_twice_is_named() -> None:
    frame = pd.DataFrame([["a", 1, 2]], columns=["experiment_id", "params.lr", "params.lr"])
    with pytest.raises(InvalidRequest, match=r"params\.lr"):
        checked_runs(frame, "compare()")


def test_values_are_equal_when_people_would_say_so() -> None:
    assert comparable(1) == comparable(1.0) == comparable(np.int64(1))
    assert comparable(True) != comparable(1)
    assert comparable("1") != comparable(1)
    assert comparable({"a": 1, "b": [2]}) == comparable({"b": [2], "a": 1})
    assert comparable(None) == comparable(float("nan")) == comparable(pd.NA)


def test_text_and_booleans_are_not_numbers() -> None:
    assert numeric(pd.Series(["a", "2", None], dtype=object)).tolist()[1] == 2.0
    assert numeric(pd.Series([True, False])).isna().all()
