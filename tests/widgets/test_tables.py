"""Tables of differences, and the best run."""

import numpy as np
import pandas as pd
import pytest

from modelbox.errors import InvalidRequest
from modelbox_widgets.tables import best, differences, leaderboard, shared
from modelbox_widgets.testing import HOSTILE_NAMES, search


def test_only_what_differs_is_shown_and_dicts_are_looked_into() -> None:
    runs, _ = search()
    table = differences(runs)
    assert list(table.columns) == ["params.lr", "params.seed", "packages.torch"]
    assert table.index.name == "run"
    assert len(table) == len(runs)


def test_what_is_the_same_is_kept_apart() -> None:
    runs, _ = search()
    assert shared(runs)["params.epochs"] == 20
    assert shared(runs.iloc[:2])["packages"] == {"numpy": "2.4", "torch": "2.0"}
    assert "params.lr" not in shared(runs)


def test_a_missing_setting_differs_from_every_value() -> None:
    frame = pd.DataFrame({"experiment_id": ["a", "b"], "name": ["x", "y"], "params.lr": [np.nan, 0.1]})
    assert list(differences(frame).columns) == ["params.lr"]


def test_lists_and_hostile_names_can_be_compared() -> None:
    frame = pd.DataFrame({"experiment_id": ["a", "b"], **{f"params.{name}": [[1, 2], [1, 3]] for name in HOSTILE_NAMES}})
    assert len(differences(frame).columns) == len(HOSTILE_NAMES)


def test_one_run_cannot_be_compared() -> None:
    runs, _ = search(runs=1)
    with pytest.raises(InvalidRequest, match="at least 2 runs, and this frame has one row"):
        differences(runs)


def test_the_best_run_has_the_smallest_loss_and_the_greatest_accuracy() -> None:
    runs, _ = search(runs=6)
    assert best(runs, "val/loss @1")["experiment_id"] == runs.loc[runs["metrics.val/loss @1"].idxmin(), "experiment_id"]
    assert best(runs, "accuracy")["experiment_id"] == runs.loc[runs["metrics.accuracy"].idxmax(), "experiment_id"]


def test_a_run_can_be_judged_by_the_best_value_that_it_reached() -> None:
    frame = pd.DataFrame({"experiment_id": ["a", "b"], "metrics.f1": [0.5, 0.6], "metrics.f1.min": [0.1, 0.1]})
    frame["metrics.f1.max"] = [0.9, 0.7]
    assert best(frame, "f1")["experiment_id"] == "b"
    assert best(frame, "f1", by="reached")["experiment_id"] == "a"


def test_a_name_that_does_not_tell_needs_a_mode() -> None:
    frame = pd.DataFrame({"experiment_id": ["a", "b"], "metrics.lr": [0.5, 0.6]})
    with pytest.raises(InvalidRequest, match="pass mode='max' or mode='min'"):
        best(frame, "lr")
    assert best(frame, "lr", "min")["experiment_id"] == "a"


def test_an_unknown_metric_names_the_one_that_was_meant() -> None:
    runs, _ = search()
    with pytest.raises(InvalidRequest, match="Did you mean 'accuracy'"):
        best(runs, "acuracy")


def test_runs_without_a_number_come_last() -> None:
    frame = pd.DataFrame({"experiment_id": list("abc"), "metrics.loss": [np.nan, 0.2, 0.1]})
    assert leaderboard(frame, "loss")["experiment_id"].tolist() == ["c", "b", "a"]
    assert leaderboard(frame, "loss", "max")["experiment_id"].tolist() == ["b", "c", "a"]


def test_a_metric_of_nothing_but_nan_has_no_best_run() -> None:
    frame = pd.DataFrame({"experiment_id": ["a"], "metrics.loss": [np.nan]})
    with pytest.raises(InvalidRequest, match="only NaN or text"):
        best(frame, "loss")
