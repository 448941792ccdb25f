"""Charts are expressions over data: they compile, they show what they should, and no name of a user gets into one."""

import json

import altair as alt
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.charts import curves, overview
from modelbox_widgets.coordinates import layer_of, parallel
from modelbox_widgets.explanation import importance
from modelbox_widgets.live_spec import live_spec
from modelbox_widgets.points import rows_of
from modelbox_widgets.style import themed
from modelbox_widgets.testing import HOSTILE_NAMES, code_in, compiled, float_block, misplaced, run_id_of, search
from modelbox_widgets.trade_offs import pareto, scatter

CANARY = "kanarienvogel"


def rows(spec: dict[str, Json]) -> list[dict[str, Json]]:
    return [row for rows in spec["datasets"].values() for row in rows]


def test_each_run_has_a_line_of_its_own() -> None:
    runs, points = search()
    spec = curves(points, runs, metric="accuracy").to_dict()
    assert {row["run_id"] for row in rows(spec)} == set(runs["experiment_id"])
    assert len(rows(spec)) == 80


def test_groups_have_a_mean_and_a_band_in_the_order_of_their_values() -> None:
    runs, points = search(runs=6)
    spec = curves(points, runs.iloc[::-1], metric="accuracy", group="params.lr").to_dict()
    assert list(dict.fromkeys(row["group"] for row in rows(spec))) == ["lr = 0.001", "lr = 0.01", "lr = 0.1"]
    assert all(row["low"] <= row["mean"] <= row["high"] and row["runs"] == 2 for row in rows(spec))


def test_time_begins_with_each_run() -> None:
    runs, points = search()
    spec = curves(points, runs, metric="accuracy", x="time").to_dict()
    begins = {run_id: min(row["x"] for row in rows(spec) if row["run_id"] == run_id) for run_id in runs["experiment_id"]}
    assert set(begins.values()) == {0.0}


def test_a_million_points_become_a_chart_of_some_thousands() -> None:
    ids = [run_id_of(number) for number in range(20)]
    runs = pd.DataFrame({"experiment_id": ids, "name": "big", "metrics.loss": 0.0})
    points = pd.DataFrame(
        {"experiment_id": [run_id for run_id in ids for _ in range(50_000)], "key": "loss", "step": list(range(50_000)) * 20}
    )
    points["wall_time"] = pd.Timestamp("2026-01-01", tz="UTC")
    points["value"] = 0.0
    points.loc[777_777, "value"] = 5.0
    spec = curves(points, runs, metric="loss").to_dict()
    assert len(rows(spec)) <= 7000
    assert max(row["value"] for row in rows(spec)) == 5.0
    assert "of 50000 points" in rows(spec)[0]["about"]


def test_many_lines_of_many_metrics_are_a_chart_that_a_notebook_can_keep() -> None:
    """A thousand lines have marks to point at where they end, and their names are in the chart once each."""
    runs, points = search(runs=200, steps=30)
    more = pd.concat([points.assign(key=points["key"] + suffix) for suffix in ("", "2", "3")], ignore_index=True)
    chart = overview(more, runs, metrics=sorted(more["key"].unique()), colour_by="accuracy")
    assert chart is not None
    drawn = rows(chart.to_dict())
    assert len(drawn) < 15_000
    assert len([row for row in drawn if row.get("end")]) == len([row for row in drawn if "name" in row]) == 200 * 6
    assert len(json.dumps(drawn)) < 2_000_000


def test_settings_that_span_orders_of_magnitude_are_spread_evenly() -> None:
    runs, _ = search(runs=6)
    chart = parallel(runs, metric="accuracy")
    assert chart is not None
    places = {row["y"] for row in rows(chart.to_dict()) if row.get("at") == 0 and "run_id" in row}
    assert sorted(places) == pytest.approx([0, 0.5, 1])


def test_runs_that_differ_in_nothing_have_no_parallel_coordinates() -> None:
    runs, _ = search(runs=2)
    assert layer_of(runs, settings=["params.epochs"]) is None
    with pytest.raises(InvalidRequest, match="two columns in which these runs differ"):
        parallel(runs, settings=["params.epochs"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"metric": "accuracy", "group": "params.lrr"}, "Did you mean 'params.lr'"),
        ({"metric": "accuracy", "band": "median"}, "'std', 'minmax' or 'ci'"),
        ({"metric": "accuracy", "x": "wall"}, "'step', 'time' or 'epoch'"),
        ({"metric": "accuracy", "x": "epoch"}, "none of these runs logged"),
        ({"metric": "accuracy", "smooth": 1.0}, "less than 1"),
    ],
)
def test_a_mistake_names_what_would_be_right(arguments: dict[str, str], sentence: str) -> None:
    runs, points = search()
    with pytest.raises(InvalidRequest, match=sentence):
        curves(points, runs, **arguments)  # type: ignore[arg-type]


def every_chart(name: str) -> list[dict[str, Json]]:
    """Return all kinds of charts, with `name` wherever a user chooses one."""
    loss, score = f"{name} loss", f"{name} accuracy"
    some, some_points = search(runs=3, steps=5, name=name, loss=loss, score=score, param=name)
    many, many_points = search(runs=12, steps=3, name=name, loss=loss, score=score, param=name)
    some["params.kind"] = [f"{name}{i}" for i in range(3)]
    small = overview(some_points, some, metrics=[score, loss], colour_by=score)
    large = overview(many_points, many, metrics=[score, loss], colour_by=score)
    lines = layer_of(some, metric=score)
    assert small is not None
    assert large is not None
    assert lines is not None
    live_rows = rows_of([float_block("r", loss, [1.0, 2.0])], {"r": name}, limit_points=10)
    charts = [
        curves(some_points, some, metric=loss, smooth=0.5),
        curves(pd.concat([some_points, some_points[some_points["key"] == loss].assign(key="epoch")]), some, metric=score, x="epoch"),
        parallel(many, metric=score, settings=[name, "seed"]),
        scatter(some, name, score, colour="params.kind"),
        scatter(some, "params.kind", loss, colour=score),
        pareto(many, loss, score),
        importance(many, score, params=[name, "seed"]),
        curves(some_points, some, metric=loss, group=["params.kind", f"params.{name}"]),
        themed(alt.vconcat(small, lines), name),
        large,
    ]
    return [*(chart.to_dict() for chart in charts), live_spec(live_rows, runs=[name, f"{name}2"])]


@pytest.mark.parametrize("name", [" ".join(HOSTILE_NAMES[:-1]), HOSTILE_NAMES[-1]], ids=["all together", "very long"])
def test_hostile_names_are_drawn_and_get_into_no_expression(name: str) -> None:
    for spec in every_chart(name + CANARY):
        vega = compiled(json.loads(json.dumps(spec, allow_nan=False)))
        assert not [code for code in (*code_in(spec), *code_in(vega)) if CANARY in code]
        assert list(misplaced(vega, CANARY)) == []


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_no_name_at_all_gets_into_an_expression(text: str) -> None:
    for spec in every_chart(CANARY + text):
        vega = compiled(spec)
        assert not [code for code in (*code_in(spec), *code_in(vega)) if CANARY in code]
        assert list(misplaced(vega, CANARY)) == []
