"""Curves of several runs made into one: the mean of repetitions with a band around it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.points import Floats
from modelbox_widgets.student import t_critical

__all__ = ["EPOCH", "Axis", "Band", "aggregated", "checked_axis", "checked_band", "checked_smoothing", "smoothed", "x_values"]

Band = Literal["std", "minmax", "ci"]
"""What a band shows: one standard deviation, the smallest and greatest run, or the 95 % confidence interval of the mean (Student's t)."""

Axis = Literal["step", "time", "epoch"]
"""What runs along the x axis: the step, seconds since a run's first point, or the value that its metric ``epoch`` had then."""

EPOCH = "epoch"
"""The metric that says which epoch a step belongs to."""

_TIME_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """A mean with its band; `runs` counts how many runs have a value there."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    runs: Floats


def checked_band(band: str) -> Band:
    """Return `band`, or say which there are."""
    known: dict[str, Band] = {"std": "std", "minmax": "minmax", "ci": "ci"}
    if band in known:
        return known[band]
    raise InvalidRequest(f"band is {shortened(band)}: it must be 'std', 'minmax' or 'ci'.", field="band")


def checked_axis(x: str) -> Axis:
    """Return `x`, or say which axes there are."""
    known: dict[str, Axis] = {"step": "step", "time": "time", "epoch": "epoch"}
    if x in known:
        return known[x]
    raise InvalidRequest(f"x is {shortened(x)}: it must be 'step', 'time' or 'epoch'.", field="x")


def checked_smoothing(smooth: float) -> float:
    """Return `smooth`, or say what it may be."""
    if isinstance(smooth, int | float) and 0 <= smooth < 1:
        return float(smooth)
    raise InvalidRequest(f"smooth is {shortened(smooth)}: it must be a number from 0 to less than 1, such as 0.9.", field="smooth")


def smoothed(points: pd.DataFrame, smooth: float) -> "pd.Series[float]":
    """Return the values of each run as an exponential moving average without the pull of its first value; gaps stay gaps."""
    values = points["value"].where(np.isfinite(points["value"]))
    mean = values.groupby(points["experiment_id"], sort=False).transform(
        lambda one: one.ewm(alpha=1 - smooth, adjust=True, ignore_na=True).mean()
    )
    return mean.where(values.notna())


def x_values(points: pd.DataFrame, x: Axis, everything: pd.DataFrame) -> "pd.Series[float]":
    """Return the position of each point along the x axis; `everything` holds the points of the metric ``epoch`` where `x` is that.

    Several points of one epoch are spread over it; points before the first epoch have no position (NaN).

    Raises
    ------
    InvalidRequest
        The axis is the epoch, and none of the runs logged it.
    """
    if x == "step":
        return points["step"].astype("float64")
    if x == "epoch":
        return _epochs(points, everything)
    begin = points.groupby("experiment_id", sort=False)["wall_time"].transform("min")
    return (points["wall_time"] - begin).dt.total_seconds()


def _epochs(points: pd.DataFrame, everything: pd.DataFrame) -> "pd.Series[float]":
    epochs = everything.loc[everything["key"] == EPOCH, ["experiment_id", "step", "value"]]
    epochs = epochs.assign(value=pd.to_numeric(epochs["value"], errors="coerce").astype("float64")).dropna()
    if not epochs["experiment_id"].isin(points["experiment_id"]).any():
        raise InvalidRequest(
            "x='epoch' needs the metric 'epoch', which none of these runs logged: log it with the others, as in run.log(loss=…, epoch=3).",
            field="x",
        )
    ours = points[["experiment_id", "step"]].assign(row=np.arange(len(points))).sort_values("step", kind="stable")
    matched = pd.merge_asof(ours, epochs.sort_values("step", kind="stable"), on="step", by="experiment_id")
    matched = matched.sort_values("row")
    # Points of one epoch are spread over it, in their order: drawn on top of each other they would be an upright line.
    within = matched.groupby(["experiment_id", "value"], sort=False)["step"]
    epochs_passed = matched["value"] + (within.rank(method="first") - 1) / within.transform("size")
    return pd.Series(epochs_passed.to_numpy(), index=points.index)


def aggregated(runs: list[tuple[Floats, Floats]], band: Band, x: Axis) -> Curve:
    """Return the mean curve of runs, each given as its (x, value) points.

    Steps are matched exactly; a step that some runs lack is averaged over those that have it, and only finite values count. Times never
    match exactly: each run is first read off, by straight lines between its points, at 200 moments of its own span.
    """
    matched = [_on_grid(runs_x, values, runs) if x == "time" else (runs_x, values) for runs_x, values in runs]
    xs, values = np.concatenate([run_x for run_x, _ in matched]), np.concatenate([run_values for _, run_values in matched])
    finite = np.isfinite(values)
    frame = (
        pd.DataFrame({"x": xs[finite], "value": values[finite]})
        .groupby("x", sort=True)["value"]
        .agg(["mean", "std", "min", "max", "count"])
    )
    mean, count = frame["mean"].to_numpy(), frame["count"].to_numpy(dtype="float64")
    spread = frame["std"].fillna(0.0).to_numpy()
    match band:
        case "minmax":
            low, high = frame["min"].to_numpy(), frame["max"].to_numpy()
        case "std":
            low, high = mean - spread, mean + spread
        case "ci":
            half = np.array([t_critical(n - 1) / math.sqrt(n) if n > 1 else 0.0 for n in count.tolist()]) * spread
            low, high = mean - half, mean + half
    return Curve(frame.index.to_numpy(dtype="float64"), mean, low, high, count)


def _on_grid(run_x: Floats, values: Floats, runs: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    grid = np.linspace(0.0, max(float(xs.max()) for xs, _ in runs), _TIME_POINTS)
    inside = grid[grid <= run_x.max()]
    finite = np.isfinite(values)
    return (inside, np.interp(inside, run_x[finite], values[finite])) if finite.any() else (inside, np.full(len(inside), np.nan))
