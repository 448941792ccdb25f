"""Runs as points, and the front of those that no other beats."""

import math
from typing import Any

import pandas as pd
import pytest

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.testing import run_id_of, search
from modelbox_widgets.trade_offs import pareto, pareto_front, scatter


def frame(loss: list[float], seconds: list[float]) -> pd.DataFrame:
    ids = [run_id_of(i) for i in range(len(loss))]
    return pd.DataFrame({"experiment_id": ids, "name": list("abcdefgh")[: len(loss)], "metrics.loss": loss, "duration_s": seconds})


def points(chart: Any) -> list[dict[str, Json]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows if "run_id" in row]


def test_a_parameter_a_metric_and_a_column_are_meant_by_their_names() -> None:
    runs, _ = search(runs=6)
    spec = scatter(runs, "lr", "accuracy", colour="metrics.val/loss @1.min").to_dict()
    assert spec["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["encoding"]["x"]["axis"]["title"] == "lr"
    rows = points(scatter(runs, "lr", "accuracy", colour="seed"))
    assert [row["x"] for row in rows] == runs["params.lr"].tolist()
    assert {row["colour"] for row in rows} == {0, 1}


def test_categories_have_places_of_their_own() -> None:
    runs, _ = search(runs=6)
    runs["params.kind"] = ["relu", "tanh", None, "relu", "a" * 200 + "1", "a" * 200 + "2"]
    rows = points(scatter(runs, "kind", "accuracy"))
    assert len(rows) == 5
    assert len({row["x"] for row in rows}) == 4


def test_numbers_that_are_not_finite_have_no_point() -> None:
    assert len(points(scatter(frame([0.1, math.nan, math.inf], [1, 2, 3]), "duration_s", "loss"))) == 1


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ("lrr", "accuracy", "no column, parameter or metric 'lrr'"),
        ("created_at", "accuracy", "holds times"),
        ("note", "accuracy", "has 30 different texts"),
        ("empty", "accuracy", "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(x: str, y: str, sentence: str) -> None:
    runs, _ = search(runs=30, steps=2)
    times = pd.date_range("2026-01-01", periods=30, tz="UTC")
    runs = runs.assign(created_at=times, note=[f"n{i}" for i in range(30)], empty=None)
    with pytest.raises(InvalidRequest, match=sentence):
        scatter(runs, x, y)


def test_the_front_has_what_no_other_run_beats_in_both() -> None:
    runs = frame([0.5, 0.3, 0.2, 0.3, math.nan], [1, 2, 5, 9, 0.1])
    front = pareto_front(runs, ["loss", "duration_s"])
    assert front["name"].tolist() == ["c", "b", "a"]
    chart = points(pareto(runs, "duration_s", "loss"))
    assert {row["name"]: row["kind"] for row in chart} == {"a": "on the front", "b": "on the front", "c": "on the front", "d": "beaten"}


def test_equal_runs_are_on_the_front_together() -> None:
    assert len(pareto_front(frame([0.5, 0.5], [1, 1]), ["loss", "duration_s"])) == 2


def test_greater_is_better_where_the_name_or_somebody_says_so() -> None:
    runs = frame([0.5, 0.3], [1, 2]).rename(columns={"metrics.loss": "metrics.accuracy"})
    assert pareto_front(runs, ["accuracy", "duration_s"])["name"].tolist() == ["a"]
    assert pareto_front(runs, ["accuracy", "duration_s"], mode=["min", None])["name"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"x": "loss", "y": "loss"}, "two different metrics"),
        ({"x": "loss", "y": "duration_s", "mode": ("up", None)}, "'min', 'max' or None"),
        ({"x": "loss", "y": "magic"}, "cannot be told from its name"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: dict[str, Json], sentence: str) -> None:
    runs = frame([0.1, 0.2], [1, 2]).assign(**{"metrics.magic": 1.0})
    with pytest.raises(InvalidRequest, match=sentence):
        pareto(runs, **arguments)


def test_runs_without_numbers_are_one_sentence() -> None:
    with pytest.raises(InvalidRequest, match="nothing to draw"):
        pareto(frame([math.nan], [1]), "loss", "duration_s")
