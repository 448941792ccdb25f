"""What a frame of runs holds: which columns are settings, which are metrics, and what each run is called in a table or chart.

A *frame of runs* has one row per experiment: what ``modelbox.experiments()`` returns, or any part of it. Only the column ``experiment_id``
is required. Columns ``params.NAME``, ``tags.NAME`` and ``metrics.KEY`` (the last value, with ``metrics.KEY.min`` and ``metrics.KEY.max``
beside it) are understood; every other column is a setting by its own name.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from modelbox.entities.own_keys import is_own_series
from modelbox.errors import InvalidRequest, nearest, shortened

__all__ = [
    "ID",
    "MetricColumns",
    "Mode",
    "checked_runs",
    "column_of",
    "comparable",
    "differing_settings",
    "is_missing",
    "known_polarity",
    "main_metrics",
    "metric_columns",
    "numeric",
    "polarity",
    "require_metric",
    "run_labels",
    "scores_of",
    "setting_columns",
    "setting_name",
]

ID = "experiment_id"
"""The column that makes a frame a frame of runs."""

Mode = Literal["min", "max"]
"""Whether smaller or greater values of a metric are better."""

# What describes the row itself, not how the run was set up.
_IDENTITY = frozenset(
    {ID, "name", "external_id", "parent_id", "created_at", "updated_at", "started_at", "finished_at", "duration_s", "status"}
    | {"cell.duration_s", "cell.error", "environment.pid"},
)
_SUMMARIES = ("last", "min", "max", "mean", "count")

_SMALLER_IS_BETTER = re.compile(
    r"loss|losses|err|errors?|mse|rmse|mae|mape|nll|perplexity|ppl|wer|cer|fid|brier|regret|cost|latency|time|duration|seconds"
)
_GREATER_IS_BETTER = re.compile(
    r"accuracy|acc|f1|fbeta|auc|auroc|auprc|precision|recall|sensitivity|specificity|score|r2|bleu|rouge|map|ndcg|iou|dice|reward|return"
    r"|throughput|likelihood|psnr|ssim"
)


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """The columns of one metric; `min` and `max` fall back to `last` in a frame without them."""

    last: str
    min: str
    max: str


def checked_runs(frame: pd.DataFrame, what: str, *, at_least: int = 1) -> pd.DataFrame:
    """Return `frame`, or say why `what` cannot be made from it.

    Raises
    ------
    InvalidRequest
        The column ``experiment_id`` is missing, a column of runs exists twice, or there are fewer than `at_least` rows.
    """
    if ID not in frame.columns:
        columns = [str(column) for column in frame.columns]
        guess = nearest(ID, columns) or f"Its columns are: {', '.join(columns[:10]) or 'none'}."
        raise InvalidRequest(f"{what} needs the column 'experiment_id', which this frame does not have. {guess}")
    twice = [str(column) for column in frame.columns[frame.columns.duplicated()]]
    if twice:
        raise InvalidRequest(f"{what} cannot tell the columns {shortened(', '.join(twice))} apart: each of them exists twice; rename one.")
    if len(frame) < at_least:
        there = {0: "no rows", 1: "one row"}.get(len(frame), f"{len(frame)} rows")
        needed = "one run" if at_least == 1 else f"{at_least} runs"
        raise InvalidRequest(f"{what} needs at least {needed}, and this frame has {there}: select more with modelbox.experiments().")
    return frame


def text_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that have text as their name; others (numbers, tuples) are never ours."""
    return [column for column in frame.columns if isinstance(column, str)]


def metric_columns(frame: pd.DataFrame) -> dict[str, MetricColumns]:
    """Return the columns of each metric of a frame of runs, by metric key."""
    columns = text_columns(frame)
    present = frozenset(columns)
    # modelbox.experiments() says which keys there are; without it, "metrics.loss.min" beside "metrics.loss" is taken for a summary.
    origin = frame.attrs.get("modelbox")
    keys = frozenset(origin.get("metrics", ())) if isinstance(origin, dict) else frozenset[str]()
    found: dict[str, MetricColumns] = {}
    for column in columns:
        if not column.startswith("metrics."):
            continue
        stem, _, summary = column.rpartition(".")
        if column.removeprefix("metrics.") in keys:
            summary = ""
        if summary in _SUMMARIES and stem in present:
            continue
        if summary == "last" and stem != "metrics":
            column, last = stem, column
        else:
            last = column
        low, high = f"{column}.min", f"{column}.max"
        found[column.removeprefix("metrics.")] = MetricColumns(last, low if low in present else last, high if high in present else last)
    return found


def require_metric(frame: pd.DataFrame, metric: str) -> MetricColumns:
    """Return the columns of `metric`, or say which metrics there are."""
    known = metric_columns(frame)
    if metric in known:
        return known[metric]
    listed = ", ".join(list(known)[:10])
    tail = nearest(metric, known) or (f"They logged: {listed}." if known else "They logged no metric at all.")
    raise InvalidRequest(f"None of these runs has the metric {shortened(metric)}. {tail}")


def main_metrics(runs: pd.DataFrame, limit: int = 6) -> list[str]:
    """Return the metrics that tell most about runs, the one to judge by first.

    Metrics whose name says what is better come first, those measured on held-out data before the others, and greater-is-better before
    losses. Metrics without numbers are left out, and those of the machine, which ModelBox logs by itself.
    """
    chosen = {key: columns for key, columns in metric_columns(runs).items() if not is_own_series(key)}
    found = [key for key, columns in chosen.items() if numeric(runs[columns.last]).notna().any()]

    def rank(key: str) -> tuple[int, int, int]:
        held_out = any(word in key.lower() for word in ("val", "test", "eval", "dev"))
        return ({"max": 0, "min": 1, None: 2}[polarity(key)], 0 if held_out else 1, found.index(key))

    return sorted(found, key=rank)[:limit]


def setting_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that say how runs were set up: parameters first, then tags, then everything else but metrics and times."""
    columns = [column for column in text_columns(frame) if column not in _IDENTITY and not column.startswith("metrics.")]
    return sorted(columns, key=lambda column: 0 if column.startswith("params.") else 1 if column.startswith("tags.") else 2)


def differing_settings(frame: pd.DataFrame) -> list[str]:
    """Return the settings that are not the same for all runs: parameters first, then tags, then the rest."""
    return [column for column in setting_columns(frame) if frame[column].map(comparable).nunique() > 1]


def column_of(frame: pd.DataFrame, name: str, what: str) -> str:
    """Return the column that a person means by `name`: a column, a parameter without its prefix, or the last value of a metric.

    Raises
    ------
    InvalidRequest
        There is none; the message begins with `what` was to be done with it and names one that is spelled alike.
    """
    columns = text_columns(frame)
    metrics = metric_columns(frame)
    for candidate in (name, f"params.{name}", f"tags.{name}"):
        if candidate in columns:
            return candidate
    if name in metrics:
        return metrics[name].last
    guess = nearest(name, [*columns, *metrics]) or f"It has: {', '.join(columns[:10])}."
    raise InvalidRequest(f"{what}: the frame has no column, parameter or metric {shortened(name)}. {guess}")


def scores_of(frame: pd.DataFrame, metric: str, mode: Mode | None, by: str = "last") -> "pd.Series[float]":
    """Return the number to judge each run by: the last value of a metric, or the best one that the run reached in the sense of `mode`."""
    if mode not in ("min", "max", None):
        raise InvalidRequest(f"mode is {shortened(mode)}: it must be 'min' or 'max'.", field="mode")
    if by not in ("reached", "last"):
        raise InvalidRequest(f"by is {shortened(by)}: it must be 'reached' or 'last'.", field="by")
    columns = require_metric(frame, metric)
    return numeric(frame[columns.last if by == "last" else columns.min if mode == "min" else columns.max])


def known_polarity(metric: str, mode: Mode | None = None) -> Mode:
    """Return `mode`, else what the name of the metric says; refuse to guess where it says nothing."""
    mode = mode or polarity(metric)
    if mode is None:
        raise InvalidRequest(
            f"Whether a greater {shortened(metric)} is better cannot be told from its name: pass mode='max' or mode='min'."
        )
    return mode


def setting_name(column: str) -> str:
    """Return what a setting is called for people: ``params.lr`` is ``lr``."""
    return column.removeprefix("params.") or column


def polarity(metric: str) -> Mode | None:
    """Return whether smaller or greater values of `metric` are better, judged by its name; ``None`` when the name does not tell.

    >>> polarity("val/loss @1"), polarity("testAccuracy"), polarity("lr")
    ('min', 'max', None)
    """
    words = re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*", metric)
    for word in reversed([word.lower() for word in words]):
        if _SMALLER_IS_BETTER.fullmatch(word):
            return "min"
        if _GREATER_IS_BETTER.fullmatch(word):
            return "max"
    return None


def run_labels(frame: pd.DataFrame) -> dict[str, str]:
    """Return what each run is called, by experiment id: its name, with the first digits of its id where a name is not unique."""
    ids = [str(value) for value in frame[ID]]
    names = [str(value) for value in frame["name"]] if "name" in frame.columns else [""] * len(ids)
    unique = dict(zip(ids, names, strict=True))
    shared = {name for name, count in pd.Series(list(unique.values()), dtype=object).value_counts().items() if count > 1}
    return {
        run_id: (f"{name} ({run_id[:8]})" if name in shared else name) if name and not is_missing(name) else run_id[:8]
        for run_id, name in unique.items()
    }


def is_missing(value: object) -> bool:
    """Tell whether `value` is what pandas puts where there is none (``None``, ``NaN``, ``NaT``, ``NA``)."""
    return bool(np.ndim(cast("float", value)) == 0 and pd.isna(cast("float", value)))


def comparable(value: object) -> str:
    """Return text that is equal for equal settings, whatever their type: lists and dicts can be compared, and ``True`` is not ``1``."""
    if is_missing(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return f"bool:{bool(value)}"
    if isinstance(value, int | float | np.number):
        return f"number:{float(value)!r}"
    if isinstance(value, dict | list | tuple):
        return "json:" + json.dumps(value, sort_keys=True, default=str)
    return f"{type(value).__name__}:{value}"


def numeric(column: "pd.Series[float]") -> "pd.Series[float]":
    """Return a column as floats, with NaN where a value is no number."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index, dtype="float64")
    return pd.to_numeric(column, errors="coerce").astype("float64")
