"""Which parameters a metric depends on, as far as these runs can tell."""

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from modelbox.errors import InvalidRequest, MissingExtra, shortened
from modelbox_widgets.points import Floats
from modelbox_widgets.runs import (
    Mode,
    checked_runs,
    column_of,
    comparable,
    differing_settings,
    is_missing,
    known_polarity,
    numeric,
    polarity,
    scores_of,
    setting_name,
)
from modelbox_widgets.style import INK, Rows, chart_of, finite, heading, themed
from modelbox_widgets.text import middle, unique_middle

__all__ = ["importance", "importances"]

Method = Literal["ranks", "forest"]
"""``"ranks"``: each parameter by itself; ``"forest"``: all together, needs scikit-learn."""

_MIN_RUNS = 4
_SHUFFLES = 2000
_CHANCE = 0.05
_MAX_BARS = 20
_RANKS = "share of the variance of ranks that one parameter explains alone (adjusted)"
_FOREST = "permutation importance in a random forest, out of bag, as a share of its sum"
_COLOURS = {
    "greater is better": "#0077bb",
    "smaller is better": "#ee7733",
    "no clear direction": "#8a8a8a",
    "greater values rise": "#0077bb",
    "greater values fall": "#ee7733",
}


def importances(
    runs: pd.DataFrame,
    metric: str,
    *,
    params: list[str] | None = None,
    mode: Mode | None = None,
    score: Literal["last", "reached"] = "last",
    method: Method = "ranks",
) -> pd.DataFrame:
    """Return how much of the differences in a metric each parameter explains, the most important first.

    Parameters
    ----------
    runs
        A frame of runs, of which at least four have a number for the metric.
    metric
        Key of the metric.
    params
        Columns to look at; by default the parameters that differ.
    mode
        Needed with ``score="reached"`` where the metric's name does not tell what is better.
    score
        Judge a run by its last value, or by the best one that it reached at any step.
    method
        ``"ranks"`` looks at each parameter by itself: runs are put into groups of equal (or, for many numbers, similar) values, and the
        share of the variance of the metric's ranks between groups, less what chance would give, is the importance. ``"forest"`` lets
        scikit-learn learn the metric from all parameters and measures how much worse it predicts when one is shuffled; it sees
        interactions, and wants some dozens of runs.

    Returns
    -------
    pandas.DataFrame
        ``parameter`` (the column), ``importance`` (0 to 1), ``correlation`` (Spearman's, of numbers; NaN for text), ``p_value`` (how often
        chance alone explains as much, by 2000 shuffles), ``values`` (distinct ones), ``runs`` and ``method``.

    Raises
    ------
    InvalidRequest
        Too few runs have the metric, all have the same value, or no parameter differs.
    MissingExtra
        ``"forest"`` without scikit-learn.
    """
    frame = checked_runs(runs, "importance()")
    direction = known_polarity(metric, mode) if score == "reached" else mode
    numbers = np.asarray(scores_of(frame, metric, direction, score), dtype=np.float64)
    usable = np.isfinite(numbers)
    frame, numbers = frame[usable], numbers[usable]
    if len(frame) < _MIN_RUNS:
        raise InvalidRequest(
            f"importance() needs at least {_MIN_RUNS} runs with a finite {shortened(metric)}, and this frame has {len(frame)}: "
            "run more of them, with different parameters."
        )
    if len(np.unique(numbers)) < 2:
        raise InvalidRequest(f"All runs end with the same {shortened(metric)}: there is no difference that a parameter could explain.")
    columns = _columns(frame, params)
    if method == "ranks":
        shares = [_explained(_grouped(frame[column]), numbers) for column in columns]
    elif method == "forest":
        shares = _forest(frame, columns, numbers)
    else:
        raise InvalidRequest(f"method is {shortened(method)}: it must be 'ranks' or 'forest'.", field="method")
    table = pd.DataFrame(
        {
            "parameter": pd.Series(columns, dtype="str"),
            "importance": [share for share, _ in shares],
            "correlation": [_correlation(frame[column], numbers) for column in columns],
            "p_value": [p_value for _, p_value in shares],
            "values": [frame[column].map(comparable).nunique() for column in columns],
            "runs": len(frame),
            "method": _RANKS if method == "ranks" else _FOREST,
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def importance(
    runs: pd.DataFrame,
    metric: str,
    *,
    params: list[str] | None = None,
    mode: Mode | None = None,
    score: Literal["last", "reached"] = "last",
    method: Method = "ranks",
) -> alt.LayerChart:
    """Draw which parameters a metric depends on; :func:`importances` has the parameters, the numbers and what they mean.

    Bars say how much, colours in which direction. Bars that chance alone explains in more than one of twenty cases are pale.
    """
    table = importances(runs, metric, params=params, mode=mode, score=score, method=method)
    direction = mode or polarity(metric)
    shown = table.head(_MAX_BARS).to_dict("records")
    short = unique_middle([setting_name(row["parameter"]) for row in shown], 30)
    rows: Rows = [
        {
            "parameter": label,
            "name": setting_name(row["parameter"]),
            "at": at,
            "share": row["importance"],
            "says": f"{row['importance']:.0%}" if row["importance"] >= 0.005 else "none",
            "direction": _direction(row["correlation"], direction),
            "sure": not row["p_value"] > _CHANCE,
            "correlation": finite(row["correlation"]),
            "p": finite(row["p_value"]),
            "values": row["values"],
        }
        for at, (label, row) in enumerate(zip(short, shown, strict=True))
    ]
    named = [name for name in _COLOURS if name in {row["direction"] for row in rows}]
    y = alt.Y(
        "parameter:N", title=None, sort=alt.EncodingSortField("at", op="min"), axis=alt.Axis(labelLimit=220, domain=False, ticks=False)
    )
    base = chart_of(rows).encode(
        y=y,
        x=alt.X("share:Q", title="importance", axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
        tooltip=[
            alt.Tooltip("name:N", title="parameter"),
            alt.Tooltip("share:Q", title="importance", format=".1%"),
            alt.Tooltip("correlation:Q", title="Spearman's correlation", format=".2f"),
            alt.Tooltip("p:Q", title="p, of chance", format=".2~g"),
            alt.Tooltip("values:Q", title="distinct values"),
        ],
    )
    colour = alt.Color(
        "direction:N",
        title=None,
        scale=alt.Scale(domain=named, range=[_COLOURS[name] for name in named]),
        legend=alt.Legend(orient="bottom", symbolType="square", symbolOpacity=1),
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.62}).encode(
        color=colour, opacity=alt.condition("datum.sure", alt.value(0.95), alt.value(0.35))
    )
    text = base.mark_text(align="left", dx=5, color=INK).encode(text="says:N")
    title = heading(f"What {middle(metric, 60)} depends on, in {table['runs'].iloc[0]} runs")
    title.subtitle = _short_method(method)
    top = ", ".join(f"{middle(setting_name(row['name']), 30)} {row['says']}" for row in rows[:3])
    layers = alt.LayerChart(layer=[bars, text]).properties(width=440, height=alt.Step(27), title=title)
    return themed(layers, f"Bar chart of the importance of {len(table)} parameters for {metric}: {top}.")


def _short_method(method: Method) -> str:
    if method == "ranks":
        return "share of the variance of ranks explained by each alone; pale: may well be chance"
    return "permutation importance in a random forest (scikit-learn), share of the sum"


def _direction(correlation: float, direction: Mode | None) -> str:
    if np.isnan(correlation) or abs(correlation) < 0.2:
        return "no clear direction"
    if direction is None:
        return "greater values rise" if correlation > 0 else "greater values fall"
    return "greater is better" if (correlation > 0) == (direction == "max") else "smaller is better"


def _columns(frame: pd.DataFrame, params: list[str] | None) -> list[str]:
    if params is not None:
        columns = [column_of(frame, name, "importance(params=…)") for name in params]
        columns = [column for column in columns if frame[column].map(comparable).nunique() > 1]
    else:
        differing = differing_settings(frame)
        columns = [column for column in differing if column.startswith("params.")]
    if not columns:
        raise InvalidRequest(
            "importance() compares parameters that differ, and those of these runs are all the same: log them with start(params={…})."
        )
    return columns


def _is_number(column: "pd.Series[float]") -> bool:
    return bool((numeric(column).notna() | column.map(is_missing)).all())


def _grouped(column: "pd.Series[float]") -> list[str]:
    """Return the group of each run: its value, or for numbers that hardly repeat a range of them with as many runs as the others."""
    values = [comparable(value) for value in column]
    distinct = len(set(values))
    if distinct <= max(2, len(values) // 3) or not _is_number(column):
        return values
    groups = min(6, max(2, len(values) // 4))
    ranks = numeric(column).rank(method="average").to_numpy()
    return ["" if np.isnan(rank) else str(int((rank - 0.5) * groups // len(values))) for rank in ranks.tolist()]


def _explained(groups: list[str], numbers: Floats) -> tuple[float, float]:
    """Return the adjusted share of the variance of ranks between groups (epsilon squared), and how often shuffles reach it."""
    count = len(numbers)
    codes, names = pd.factorize(np.asarray(groups, dtype=object))
    if len(names) < 2 or len(names) >= count:
        return 0.0, 1.0  # every run is a group of its own: any metric would be explained completely
    ranks = pd.Series(numbers).rank().to_numpy()
    ranks = ranks - ranks.mean()
    members = np.eye(len(names))[codes]
    sizes = members.sum(axis=0)
    random = np.random.default_rng(0)
    shuffled = random.permuted(np.broadcast_to(ranks, (_SHUFFLES, count)), axis=1)
    between = ((np.vstack([ranks, shuffled]) @ members) ** 2 / sizes).sum(axis=1)
    share = float(between[0] / (ranks**2).sum())
    adjusted = 1 - (1 - share) * (count - 1) / (count - len(names))
    reached = int((between[1:] >= between[0] - 1e-9).sum())
    return max(0.0, adjusted), (reached + 1) / (_SHUFFLES + 1)


def _correlation(column: "pd.Series[float]", numbers: Floats) -> float:
    if not _is_number(column):
        return float("nan")
    mine = np.asarray(numeric(column), dtype=np.float64)
    known = np.isfinite(mine)
    if known.sum() < 3 or len(np.unique(mine[known])) < 2 or len(np.unique(numbers[known])) < 2:
        return float("nan")
    return float(np.corrcoef(pd.Series(mine[known]).rank(), pd.Series(numbers[known]).rank())[0, 1])


def _forest(frame: pd.DataFrame, columns: list[str], numbers: Floats) -> list[tuple[float, float]]:
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise MissingExtra(
            "importance(method='forest') needs scikit-learn, which is not installed: pip install scikit-learn, or use method='ranks'."
        ) from None
    features = np.column_stack([_feature(frame[column]) for column in columns])
    targets = pd.Series(numbers).rank().to_numpy()
    random = np.random.default_rng(0)
    losses = np.zeros(len(columns))
    for tree in range(40):
        rows = random.integers(0, len(targets), len(targets))
        outside = np.setdiff1d(np.arange(len(targets)), rows)
        if len(outside) < 2:
            continue
        forest = RandomForestRegressor(n_estimators=5, random_state=tree).fit(features[rows], targets[rows])
        unchanged = float(((forest.predict(features[outside]) - targets[outside]) ** 2).mean())
        for at in range(len(columns)):
            changed = features[outside].copy()
            changed[:, at] = random.permutation(changed[:, at])
            losses[at] += float(((forest.predict(changed) - targets[outside]) ** 2).mean()) - unchanged
    losses = np.maximum(losses, 0.0)
    shares = losses / losses.sum() if losses.sum() > 0 else losses
    return [(float(share), float("nan")) for share in shares]


def _feature(column: "pd.Series[float]") -> Floats:
    if _is_number(column):
        return np.asarray(numeric(column).rank().fillna(0.0), dtype=np.float64)
    codes, _ = pd.factorize(np.asarray([comparable(value) for value in column], dtype=object), sort=True)
    return np.asarray(codes, dtype=np.float64)
