"""Columns of a frame of runs, packed for the page: numbers as doubles, text as numbers of distinct values."""

from typing import Literal, TypedDict, cast

import numpy as np
import pandas as pd

from modelbox.entities.own_keys import is_own_series
from modelbox_widgets.runs import (
    ID,
    Mode,
    differing_settings,
    is_missing,
    main_metrics,
    metric_columns,
    polarity,
    setting_columns,
    setting_name,
    text_columns,
)
from modelbox_widgets.text import clipped, value_text

__all__ = ["Head", "Kind", "Packed", "default_columns", "head_of", "packed", "table_columns"]

Kind = Literal["integer", "number", "seconds", "text", "time"]
"""How the page shows a column: times are milliseconds since 1970."""

_EXACT = 2**53
_LONGEST_TEXT = 300
_DEFAULT_SETTINGS, _DEFAULT_METRICS = 6, 4
_LEADING = ("name", "status", "started_at", "duration_s")
_TRAILING = ("namespace", "owner", "group", "framework", "created_at", "finished_at", "parent_id", ID)
_LABELS = {
    "started_at": "started",
    "duration_s": "took",
    "created_at": "created",
    "finished_at": "finished",
    "parent_id": "parent",
    ID: "id",
}


class Head(TypedDict):
    """What the page has to know of a column before it has its values."""

    name: str
    label: str
    kind: Kind
    group: Literal["run", "setting", "metric"]
    mode: Mode | None


class Packed(TypedDict):
    """The values of a column: `values` and numbers of them (int32, -1 for none) where it is text, else doubles (NaN for none)."""

    values: list[str] | None
    data: bytes


def table_columns(frame: pd.DataFrame) -> list[Head]:
    """Return the columns of a table of runs: what every run has, what was set, what was measured."""
    metrics = metric_columns(frame)
    summaries = {
        column: f"{key}{suffix}"
        for key, columns in metrics.items()
        for column, suffix in ((columns.max, " max"), (columns.min, " min"), (columns.last, ""))
    }
    modes: dict[str, Mode | None] = {
        column: polarity(key) for key, columns in metrics.items() for column in (columns.last, columns.min, columns.max)
    }
    present = set(text_columns(frame))
    settings = [column for column in setting_columns(frame) if column not in _TRAILING]
    ordered = [*(c for c in _LEADING if c in present), *settings, *summaries, *(c for c in _TRAILING if c in present)]
    return [head_of(frame, column, summaries.get(column), modes.get(column)) for column in dict.fromkeys(ordered)]


def head_of(frame: pd.DataFrame, column: str, metric: str | None = None, mode: Mode | None = None) -> Head:
    """Return the head of a column; `metric` is what it measures, if it does."""
    group: Literal["run", "setting", "metric"] = "metric" if metric else "run" if column in (*_LEADING, *_TRAILING) else "setting"
    label = metric or _LABELS.get(column) or setting_name(column)
    return {"name": column, "label": label, "kind": kind_of(frame[column], column), "group": group, "mode": mode}


def default_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns to show first: what the runs are called, what differs, and what tells most of how they ended."""
    present = set(text_columns(frame))
    metrics = metric_columns(frame)
    lead = [column for column in _LEADING[:3] if column in present] or [ID]
    settings = [column for column in differing_settings(frame) if column not in _TRAILING and not is_own_series(column)]
    chosen = [metrics[key].last for key in main_metrics(frame, _DEFAULT_METRICS)]
    return [*lead, *settings[:_DEFAULT_SETTINGS], *chosen, *(column for column in _LEADING[3:] if column in present)]


def kind_of(column: "pd.Series[float]", name: str = "") -> Kind:
    """Return how to show a column."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "time"
    if pd.api.types.is_bool_dtype(column.dtype) or not _is_numeric(column):
        return "text"
    if name.endswith("duration_s"):
        return "seconds"
    known = column.dropna()
    if not pd.api.types.is_float_dtype(column.dtype) and all(isinstance(value, int | np.integer) for value in known.iloc[:1000]):
        return "integer" if known.empty or known.abs().max() <= _EXACT else "text"
    return "number"


def _is_numeric(column: "pd.Series[float]") -> bool:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    if column.dtype != object:
        return False
    known = [value for value in column if not is_missing(value)]
    return bool(known) and all(isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) for value in known)


def packed(column: "pd.Series[float]", kind: Kind) -> Packed:
    """Return the values of a column."""
    if kind == "text":
        texts = column.map(_text_of)
        codes, values = pd.factorize(texts.astype(object))
        return {"values": [str(value) for value in values], "data": codes.astype("<i4").tobytes()}
    if kind == "time":
        missing = column.isna().to_numpy()
        moments = cast("pd.Series[pd.Timestamp]", column).dt.as_unit("ms").astype("int64").to_numpy(dtype="<f8")
        return {"values": None, "data": np.where(missing, np.nan, moments).astype("<f8").tobytes()}
    return {"values": None, "data": pd.to_numeric(column, errors="coerce").to_numpy(dtype="<f8", na_value=np.nan).tobytes()}


def _text_of(value: object) -> str | None:
    if is_missing(value):
        return None
    return clipped(value, _LONGEST_TEXT) if isinstance(value, str) else value_text(value)
