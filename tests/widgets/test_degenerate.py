"""Frames that nobody thought of: every question has an answer or one sentence that says why not, and never anything else."""

import json
import math
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from modelbox.errors import InvalidRequest
from modelbox_widgets import Comparison, best, curves, differences, importance, parallel, pareto, scatter, standings, stats, timeline
from modelbox_widgets.testing import compiled, search
from modelbox_widgets.time_use import MOMENT_COLUMNS

Frames = tuple[pd.DataFrame, pd.DataFrame]
NOTHING = pd.DataFrame(columns=list(MOMENT_COLUMNS))
BEGIN = pd.Timestamp("2026-01-01", tz="UTC")
METRICS = ("accuracy", "val/loss @1")


def some(runs: int = 6, **changes: Any) -> Frames:
    frame, points = search(runs=runs, steps=4)
    return frame.assign(started_at=BEGIN, finished_at=BEGIN, **changes), points


def without_rows() -> Frames:
    frame, points = some()
    return frame.iloc[:0], points.iloc[:0]


def without_points() -> Frames:
    frame, points = some()
    return frame, points.iloc[:0]


def all_nan() -> Frames:
    frame, points = some()
    columns = [column for column in frame.columns if column.startswith("metrics.")]
    return frame.assign(**dict.fromkeys(columns, math.nan)), points.assign(value=math.nan)


def infinite() -> Frames:
    frame, points = some()
    columns = [column for column in frame.columns if column.startswith("metrics.")]
    return frame.assign(**dict.fromkeys(columns, math.inf)), points.assign(value=-math.inf)


def in_categories() -> Frames:
    """As modelbox.metrics() returns points."""
    frame, points = some()
    return frame, points.astype({"experiment_id": "category", "key": "category"})


FRAMES: dict[str, Callable[[], Frames]] = {
    "no rows": without_rows,
    "one run": lambda: some(1),
    "one id twice": lambda: (pd.concat([some(2)[0]] * 2, ignore_index=True), some(2)[1]),
    "constant": lambda: some(6, **{"params.lr": 0.1, "params.seed": 0}),
    "constant metric": lambda: some(6, **{"metrics.accuracy": 0.5, "metrics.val/loss @1": 0.5}),
    "all NaN": all_nan,
    "infinite": infinite,
    "mixed types": lambda: some(6, **{"params.lr": [1, "a", None, 2.5, True, [1, 2]], "params.seed": [{"a": 1}, {}, None, 1, "x", 0.5]}),
    "huge numbers": lambda: some(6, **{"params.lr": [1e308, -1e308, 5e-324, 0, 1, 2], "metrics.accuracy": [1e308, -1e308, 0, 1, 2, 3.0]}),
    "no points": without_points,
    "points in categories": in_categories,
    "names of 500 characters": lambda: some(6, name=["n" * 499 + str(i) for i in range(6)]),
    "two hundred runs": lambda: some(200),
}
QUESTIONS: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Any]] = {
    "curves": lambda runs, points: curves(points, runs, metric="accuracy", smooth=0.5),
    "bands": lambda runs, points: curves(points, runs, metric="accuracy", group=["lr", "seed"], band="ci", x="time"),
    "parallel": lambda runs, points: parallel(runs),
    "scatter": lambda runs, points: scatter(runs, "lr", "accuracy", colour="seed"),
    "pareto": lambda runs, points: pareto(runs, *METRICS),
    "importance": lambda runs, points: importance(runs, "accuracy"),
    "timeline": lambda runs, points: timeline(runs, NOTHING, points),
    "compare": lambda runs, points: Comparison(runs, points).chart,
    "compare as a table": lambda runs, points: Comparison(runs, points)._repr_html_(),
    "leaderboard": lambda runs, points: standings(runs, "accuracy"),
    "stats": lambda runs, points: stats(runs, "accuracy"),
    "stats by one": lambda runs, points: stats(runs, "accuracy", by="lr"),
    "best": lambda runs, points: best(runs, "accuracy"),
    "diff": lambda runs, points: differences(runs),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_there_is_an_answer_or_one_sentence(question: str, kind: str) -> None:
    runs, points = FRAMES[kind]()
    before = runs.copy()
    answer, sentence = answered(QUESTIONS[question], runs, points)
    if isinstance(answer, alt.TopLevelMixin):
        spec = answer.to_dict()
        compiled(json.loads(json.dumps(spec, allow_nan=False)))
        assert spec["description"]
    else:
        assert answer is not None or (sentence.endswith((".", "…")) and len(sentence) < 400)
    pd.testing.assert_frame_equal(runs, before)


def answered(question: Callable[[pd.DataFrame, pd.DataFrame], Any], runs: pd.DataFrame, points: pd.DataFrame) -> tuple[Any, str]:
    try:
        return question(runs, points), ""
    except InvalidRequest as problem:
        return None, problem.detail
