"""Answers about runs as tables: what differs between them, what they share, and which is best. Pure functions from frame to frame."""

from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.runs import (
    ID,
    Mode,
    checked_runs,
    comparable,
    differing_settings,
    is_missing,
    known_polarity,
    require_metric,
    run_labels,
    scores_of,
    setting_columns,
)

__all__ = ["best", "best_position", "differences", "leaderboard", "shared", "standings"]

# A dict in a cell (the packages of a run, its git state) is compared key by key, down to this depth.
_EXPAND_DEPTH = 2


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return only the settings that are not the same for all runs.

    Parameters
    ----------
    runs
        A frame of runs with at least two rows.

    Returns
    -------
    pandas.DataFrame
        One row per run, indexed by what the run is called (``run``), and one column per setting that differs: parameters, then tags, then
        other metadata such as the git commit and the packages. A missing value differs from every value.
    """
    frame = _settings(checked_runs(runs, "diff()", at_least=2))
    return frame[[column for column in frame.columns if frame[column].map(comparable).nunique() > 1]]


def shared(runs: pd.DataFrame) -> dict[str, Json]:
    """Return the settings that all runs have in common, with their value."""
    frame = _settings(checked_runs(runs, "compare()"), depth=0)
    same = [column for column in frame.columns if frame[column].map(comparable).nunique() == 1]
    return {column: frame[column].iloc[0] for column in same if not is_missing(frame[column].iloc[0])}


def best(runs: pd.DataFrame, metric: str, mode: Mode | None = None, *, by: Literal["last", "reached"] = "last") -> "pd.Series[Any]":
    """Return the run with the best value of a metric.

    Parameters
    ----------
    runs
        A frame of runs.
    metric
        Key of the metric.
    mode
        Whether the smallest (``"min"``) or the greatest value (``"max"``) is best; by default judged by the metric's name.
    by
        Judge a run by its last value, or by the best one that it reached at any step.

    Returns
    -------
    pandas.Series
        The row of that run.

    Raises
    ------
    InvalidRequest
        No run has the metric, or `mode` is not given and the name does not tell.
    """
    frame = checked_runs(runs, "best()")
    require_metric(frame, metric)
    position = best_position(frame, metric, known_polarity(metric, mode), by=by)
    if position is None:
        raise InvalidRequest(f"None of these runs has a number for the metric {shortened(metric)}: they logged only NaN or text.")
    return frame.iloc[position]


def best_position(frame: pd.DataFrame, metric: str, mode: Mode, *, by: Literal["last", "reached"] = "last") -> int | None:
    """Return the position of the run with the best value; ``None`` where no run has a number."""
    values = scores_of(frame, metric, mode, by).to_numpy()
    if np.isnan(values).all():
        return None
    return int(np.nanargmin(values) if mode == "min" else np.nanargmax(values))


def leaderboard(runs: pd.DataFrame, metric: str, mode: Mode | None = None, *, by: Literal["last", "reached"] = "last") -> pd.DataFrame:
    """Return the runs ordered by a metric, best first; runs without a number come last."""
    frame = checked_runs(runs, "best()", at_least=0)
    require_metric(frame, metric)
    mode = known_polarity(metric, mode)
    order = scores_of(frame, metric, mode, by).to_numpy()
    ranked = np.argsort(order if mode == "min" else -order, kind="stable")  # NaN sorts last either way
    return frame.iloc[ranked]


def standings(
    runs: pd.DataFrame, metric: str, mode: Mode | None = None, *, by: Literal["last", "reached"] = "last", top: int | None = None
) -> pd.DataFrame:
    """Return a table of the runs ranked by a metric, best first.

    Parameters
    ----------
    runs
        A frame of runs.
    metric
        Key of the metric.
    mode
        Whether ``"min"`` or ``"max"`` is best; by default judged by the metric's name.
    by
        Judge a run by its last value, or by the best one that it reached at any step.
    top
        Keep the first so many.

    Returns
    -------
    pandas.DataFrame
        ``run`` (what it is called), the metric under its own name, ``behind`` (distance to the best), the parameters and tags that differ,
        ``status``, ``duration_s`` and ``experiment_id``, indexed by ``rank``: equal scores share one, runs without a number have none. It
        is a frame of runs again: ``.modelbox`` works on it.

    Raises
    ------
    InvalidRequest
        No run has the metric, or its name does not tell what is better and `mode` is not given.
    """
    frame = checked_runs(runs, "leaderboard()")
    mode = known_polarity(metric, mode)
    ordered = leaderboard(frame, metric, mode, by=by)
    scores = scores_of(ordered, metric, mode, by).reset_index(drop=True)
    labels = run_labels(ordered)
    rank = scores.rank(method="min", ascending=mode == "min").astype("Int64")
    columns: dict[str, object] = {
        "run": [labels[str(run_id)] for run_id in ordered[ID]],
        f"metrics.{metric}": scores.to_numpy(),
        "behind": (scores - scores.iloc[0]).abs().to_numpy(),
    }
    differing = [column for column in differing_settings(ordered) if column.startswith(("params.", "tags."))]
    for column in [*differing, *(name for name in ("status", "duration_s") if name in ordered.columns), ID]:
        columns[column] = ordered[column].array
    table = pd.DataFrame(columns, index=pd.Index(rank, name="rank"))
    return table if top is None else table.head(top)


def _settings(frame: pd.DataFrame, depth: int = _EXPAND_DEPTH) -> pd.DataFrame:
    """Return the settings of runs, dicts expanded to one column per key down to `depth`, indexed by what the runs are called."""
    labels = run_labels(frame)
    columns: dict[str, list[Json]] = {}
    for column in setting_columns(frame):
        columns.update(_expanded(column, list(frame[column]), depth))
    index = pd.Index([labels[str(run_id)] for run_id in frame[ID]], name="run", dtype=object)
    return pd.DataFrame({name: pd.Series(values, index=index, dtype=object) for name, values in columns.items()}, index=index)


def _expanded(name: str, values: list[Json], depth: int) -> dict[str, list[Json]]:
    if depth == 0 or not any(isinstance(value, dict) for value in values):
        return {name: values}
    keys = list(dict.fromkeys(key for value in values if isinstance(value, dict) for key in value))
    expanded: dict[str, list[Json]] = {}
    for key in keys:
        items = [cast("dict[str, Json]", value).get(key) if isinstance(value, dict) else None for value in values]
        expanded.update(_expanded(f"{name}.{key}", items, depth - 1))
    return expanded
