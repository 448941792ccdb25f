"""Runs as points: one number against another, and which runs no other run beats in both."""

import math
from dataclasses import dataclass
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.points import Floats
from modelbox_widgets.runs import (
    ID,
    Mode,
    checked_runs,
    column_of,
    is_missing,
    known_polarity,
    numeric,
    run_labels,
    scores_of,
    setting_name,
)
from modelbox_widgets.style import Rows, by_name, by_score, chart_of, heading, themed
from modelbox_widgets.text import abouts, middle, unique_middle, value_text

__all__ = ["pareto", "pareto_front", "scatter"]

_MAX_CATEGORIES = 24
_SIZE = (460, 320)


@dataclass(frozen=True, slots=True)
class _Dimension:
    """One column of a scatter plot: its title, the place of each run (``None`` where it has none) and the kind of scale."""

    title: str
    places: list[Json]
    texts: list[str]
    is_number: bool
    is_logarithmic: bool

    def x(self) -> alt.X:
        """Return the encoding across; its title stands on the axis only, as Vega-Lite copies titles of encodings into expressions."""
        longest = max((len(str(place)) for place in self.places if place is not None), default=0)
        axis = self._axis()
        if not self.is_number:
            axis.labelAngle = 0 if longest * len(set(self.places)) < 60 else -30
        return alt.X("x:Q", title=None, scale=self._scale(), axis=axis) if self.is_number else alt.X("x:N", title=None, axis=axis)

    def y(self) -> alt.Y:
        """Return the encoding upwards."""
        axis = self._axis()
        return alt.Y("y:Q", title=None, scale=self._scale(), axis=axis) if self.is_number else alt.Y("y:N", title=None, axis=axis)

    def _axis(self) -> alt.Axis:
        axis = alt.Axis(title=self.title, labelLimit=140)
        if self.is_logarithmic:  # the marks that Vega chooses would be dense between the powers of ten
            numbers = [number for number in self.places if number is not None]
            axis.values, axis.format, axis.labelOverlap = powers_of_ten(min(numbers), max(numbers)), "~g", True
        return axis

    def _scale(self) -> alt.Scale:
        return alt.Scale(type="log" if self.is_logarithmic else "linear", zero=False, nice=not self.is_logarithmic, padding=14)


def scatter(runs: pd.DataFrame, x: str, y: str, *, colour: str | None = None) -> alt.Chart:
    """Draw each run as a point, one number or category against another.

    Parameters
    ----------
    runs
        A frame of runs.
    x, y
        Each a parameter (``"lr"``), a metric (``"accuracy"``, its last value) or any column (``"metrics.loss.min"``, ``"duration_s"``).
        Positive numbers that span two orders of magnitude are drawn on a log scale.
    colour
        The same for the colour of the points.

    Raises
    ------
    InvalidRequest
        There is no such column, or no run has a value in both.
    """
    frame = checked_runs(runs, "scatter()")
    across, up = _dimension(frame, x, "scatter(x=…)"), _dimension(frame, y, "scatter(y=…)")
    by = None if colour is None else _dimension(frame, colour, "scatter(colour=…)")
    rows = _rows(frame, across, up, by)
    if not rows:
        raise InvalidRequest(f"No run has a value of both {shortened(x)} and {shortened(y)}: there is nothing to draw.")
    title = f"{up.title} by {across.title}" + ("" if by is None else f", coloured by {by.title}")
    chart = _points(rows, across, up).properties(width=_SIZE[0], height=_SIZE[1], title=heading(title))
    if by is not None:
        categories = sorted({row["colour"] for row in rows if row["colour"] is not None}, key=str)
        chart = chart.encode(color=by_score("colour:Q") if by.is_number else by_name("colour:N", categories))
    return themed(chart, f"Scatter plot of {len(rows)} runs: {title}.")


def pareto_front(
    runs: pd.DataFrame,
    metrics: tuple[str, ...] | list[str],
    *,
    mode: tuple[Mode | None, ...] | list[Mode | None] | None = None,
    score: Literal["last", "reached"] = "last",
) -> pd.DataFrame:
    """Return the runs that no other run beats in all metrics (the Pareto front), the best in the first metric first.

    Parameters
    ----------
    runs
        A frame of runs.
    metrics
        Two metrics or more.
    mode
        What is better in each of them, ``"min"`` or ``"max"``; ``None`` where the name tells.
    score
        Judge a run by its last value, or by the best one that it reached at any step.
    """
    frame = checked_runs(runs, "pareto()")
    modes = _modes(metrics, mode)
    losses = _losses(frame, metrics, modes, score)
    front = np.flatnonzero(_on_front(losses))
    order = front[np.lexsort(losses[front].T[::-1])]
    return frame.iloc[order]


def pareto(
    runs: pd.DataFrame,
    x: str,
    y: str,
    *,
    mode: tuple[Mode | None, Mode | None] | None = None,
    score: Literal["last", "reached"] = "last",
) -> alt.LayerChart:
    """Draw two metrics of each run against each other, and the front of the runs that no other run beats in both.

    Parameters
    ----------
    runs
        A frame of runs.
    x, y
        Metrics, or columns with numbers such as ``"duration_s"``.
    mode
        What is better in `x` and in `y`, ``"min"`` or ``"max"``; ``None`` where the name tells.
    score
        Judge a run by its last value, or by the best one that it reached at any step.

    Raises
    ------
    InvalidRequest
        No run has a number in both, or a name does not tell what is better.
    """
    frame = checked_runs(runs, "pareto()")
    modes = _modes((x, y), mode)
    losses = _losses(frame, (x, y), modes, score)
    front = _on_front(losses)
    numbers = losses * [1 if direction == "min" else -1 for direction in modes]
    titles = [
        f"{middle(setting_name(name), 50)} ({'less' if direction == 'min' else 'more'} is better)"
        for name, direction in zip((x, y), modes, strict=True)
    ]
    across, up = (_number_dimension(title, column) for title, column in zip(titles, numbers.T, strict=True))
    rows = [{**row, "kind": "on the front" if front[row["row"]] else "beaten"} for row in _rows(frame, across, up, None)]
    if not rows:
        raise InvalidRequest(f"No run has a finite number of both {shortened(x)} and {shortened(y)}: there is nothing to draw.")
    steps = sorted((row for row in rows if row["kind"] != "beaten"), key=lambda row: (row["x"], row["y"]))
    kind = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["on the front", "beaten"], range=[COLOURS[1], "#8a8a8a"]),
        legend=alt.Legend(orient="top-left" if modes == ("min", "min") else "bottom", symbolType="circle", symbolOpacity=1),
    )
    points = _points(rows, across, up).encode(color=kind, opacity=alt.condition("datum.kind == 'beaten'", alt.value(0.55), alt.value(1)))
    corner: Literal["step-after", "step-before"] = "step-after" if modes[0] == "min" else "step-before"
    line = (
        chart_of([{"x": row["x"], "y": row["y"]} for row in steps])
        .mark_line(interpolate=corner, color=COLOURS[1], strokeWidth=1.6, opacity=0.6, aria=False)
        .encode(x=across.x(), y=up.y(), order="x:Q")
    )
    what = f"{middle(setting_name(y), 40)} against {middle(setting_name(x), 40)}"
    title = heading(f"{what}: {len(steps)} of {len(rows)} runs are beaten by no other")
    names = ", ".join(middle(str(row["name"]), 30) for row in steps[:5])
    layers = alt.LayerChart(layer=[line, points]).properties(width=_SIZE[0], height=_SIZE[1], title=title)
    return themed(layers, f"Pareto front of {what} over {len(rows)} runs: {names}.")


def powers_of_ten(low: float, high: float) -> list[float]:
    """Return the powers of ten from `low` to `high`, at most about eight."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, 1 + (last - first) // 8)]


def _points(rows: Rows, across: _Dimension, up: _Dimension) -> alt.Chart:
    near = alt.selection_point(name="near", fields=["run_id"], on="pointerover", clear="pointerout", empty=False)
    tooltip = [alt.Tooltip("name:N", title="run"), alt.Tooltip("xy:N", title="at"), alt.Tooltip("about:N")]
    if rows and "colour" in rows[0]:
        tooltip.insert(2, alt.Tooltip("colour_text:N", title="colour"))
    points: alt.Chart = (
        chart_of(rows)
        .mark_circle(color=COLOURS[0], opacity=0.8, stroke="white", strokeWidth=0.5)
        .encode(
            x=across.x(),
            y=up.y(),
            size=alt.when(near).then(alt.value(220)).otherwise(alt.value(90)),
            tooltip=tooltip,
            description=alt.Description("says:N"),
        )
        .add_params(near)
    )
    return points


def _rows(frame: pd.DataFrame, across: _Dimension, up: _Dimension, by: _Dimension | None) -> Rows:
    labels = run_labels(frame)
    rows: Rows = []
    for row, (run_id, about) in enumerate(zip(frame[ID].astype(str), abouts(frame), strict=True)):
        if across.places[row] is None or up.places[row] is None:
            continue
        place = f"{across.texts[row]} / {up.texts[row]}"
        one = {"row": row, "run_id": run_id, "name": labels[run_id], "x": across.places[row], "y": up.places[row], "xy": place}
        if by is not None:
            one |= {"colour": by.places[row], "colour_text": by.texts[row]}
        rows.append({**one, "about": about, "says": f"{middle(labels[run_id], 60)}: {place}"})
    return rows


def _dimension(frame: pd.DataFrame, name: str, what: str) -> _Dimension:
    column = frame[column_of(frame, name, what)]
    title = middle(setting_name(name), 60)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise InvalidRequest(f"{what}: {shortened(name)} holds times; choose a number or a category, such as 'duration_s'.")
    numbers = numeric(column)
    missing = column.map(is_missing)
    if (numbers.notna() | missing).all() and numbers.notna().any():
        return _number_dimension(title, np.asarray(numbers, dtype=np.float64))
    texts = [value if isinstance(value, str) else value_text(value) for value in column]
    categories = {text for text, absent in zip(texts, missing, strict=True) if not absent}
    if len(categories) > _MAX_CATEGORIES:
        raise InvalidRequest(
            f"{what}: {shortened(name)} has {len(categories)} different texts, and a chart is readable with up to {_MAX_CATEGORIES}: "
            "choose a number, or filter the runs."
        )
    short = dict(zip(sorted(categories), unique_middle(sorted(categories), 30), strict=True))
    places = [None if absent else short[text] for text, absent in zip(texts, missing, strict=True)]
    return _Dimension(title, places, texts, is_number=False, is_logarithmic=False)


def _number_dimension(title: str, numbers: Floats) -> _Dimension:
    places = [number if np.isfinite(number) else None for number in numbers.tolist()]
    known = numbers[np.isfinite(numbers)]
    wide = bool(len(known)) and bool(known.min() > 0) and bool(known.max() / known.min() >= 100)
    return _Dimension(title, places, [value_text(number) for number in numbers.tolist()], is_number=True, is_logarithmic=wide)


def _modes(metrics: tuple[str, ...] | list[str], mode: tuple[Mode | None, ...] | list[Mode | None] | None) -> tuple[Mode, ...]:
    if len(metrics) < 2 or len(set(metrics)) < len(metrics):
        raise InvalidRequest("pareto() needs two different metrics to weigh against each other.")
    given = tuple(mode or (None,) * len(metrics))
    if len(given) != len(metrics) or any(one not in ("min", "max", None) for one in given):
        raise InvalidRequest(
            f"mode is {shortened(mode)}: it must have 'min', 'max' or None for each of the {len(metrics)} metrics.", field="mode"
        )
    return tuple(known_polarity(metric, one) for metric, one in zip(metrics, given, strict=True))


def _losses(frame: pd.DataFrame, names: tuple[str, ...] | list[str], modes: tuple[Mode, ...], score: Literal["last", "reached"]) -> Floats:
    """Return one column per metric in which less is better; NaN where a run has no finite number."""
    columns = []
    for name, mode in zip(names, modes, strict=True):
        is_column = name in frame.columns or f"params.{name}" in frame.columns
        numbers = numeric(frame[column_of(frame, name, "pareto()")]) if is_column else scores_of(frame, name, mode, score)
        finite = numbers.where(np.isfinite(numbers))
        columns.append(np.asarray(finite if mode == "min" else -finite, dtype=np.float64))
    return np.column_stack(columns)


def _on_front(losses: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Tell for each run whether no other is at least as good in everything and better in something."""
    known: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.array([not np.isnan(row).any() for row in losses], dtype=np.bool_)
    others = losses[known]
    front = [
        bool(ok) and not bool(((others <= mine).all(axis=1) & (others < mine).any(axis=1)).any())
        for ok, mine in zip(known, losses, strict=True)
    ]
    return np.array(front, dtype=np.bool_)
