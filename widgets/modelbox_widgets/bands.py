"""Curves of several runs made into one: the mean of repetitions with a band around it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.points import Floats

__all__ = ["Axis", "Band", "aggregated", "checked_axis", "checked_band", "x_values"]

Band = Literal["std", "minmax", "ci"]
"""What a band shows: one standard deviation, the smallest and greatest run, or the 95 % confidence interval of the mean (Student's t)."""

Axis = Literal["step", "time"]
"""What runs along the x axis: the step, or seconds since a run's first point."""

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond, 1.96 is close enough for a picture.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
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
    known: dict[str, Axis] = {"step": "step", "time": "time"}
    if x in known:
        return known[x]
    raise InvalidRequest(f"x is {shortened(x)}: it must be 'step' or 'time'.", field="x")


def x_values(points: pd.DataFrame, x: Axis) -> "pd.Series[float]":
    """Return the position of each point along the x axis."""
    if x == "step":
        return points["step"].astype("float64")
    begin = points.groupby("experiment_id", sort=False)["wall_time"].transform("min")
    return (points["wall_time"] - begin).dt.total_seconds()


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
            half = np.array([_t95(n) / math.sqrt(n) for n in count.tolist()]) * spread
            low, high = mean - half, mean + half
    return Curve(frame.index.to_numpy(dtype="float64"), mean, low, high, count)


def _t95(count: float) -> float:
    freedom = int(count) - 1
    return 0.0 if freedom < 1 else _T95[freedom - 1] if freedom <= len(_T95) else 1.96


def _on_grid(run_x: Floats, values: Floats, runs: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    grid = np.linspace(0.0, max(float(xs.max()) for xs, _ in runs), _TIME_POINTS)
    inside = grid[grid <= run_x.max()]
    finite = np.isfinite(values)
    return (inside, np.interp(inside, run_x[finite], values[finite])) if finite.any() else (inside, np.full(len(inside), np.nan))
