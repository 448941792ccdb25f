"""Parallel coordinates: one line per run across its settings to its metric."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from modelbox.errors import InvalidRequest
from modelbox_widgets.points import Floats
from modelbox_widgets.runs import (
    ID,
    checked_runs,
    column_of,
    differing_settings,
    is_missing,
    main_metrics,
    numeric,
    require_metric,
    run_labels,
    setting_name,
)
from modelbox_widgets.style import INK, Rows, by_name, by_score, chart_of, finite, heading, themed
from modelbox_widgets.text import clipped, middle, short_labels, value_text

__all__ = ["layer_of", "parallel"]

_MAX_AXES = 12
_MAX_CATEGORIES = 12
_FEW, _TICK_GAP = 6, 0.06
_AXIS_WIDTH, _HEIGHT = 130, 240


@dataclass(frozen=True, slots=True)
class _Axis:
    """One column on a scale from 0 to 1; a value is ``None`` where a run has none. `ticks` are places and their labels."""

    name: str
    values: list[float | None]
    texts: list[str]
    ticks: list[tuple[float, str]]

    @property
    def usable(self) -> bool:
        """Whether there is anything to see: at least two places."""
        return len({value for value in self.values if value is not None}) > 1


def parallel(runs: pd.DataFrame, *, metric: str | None = None, settings: Sequence[str] | None = None) -> alt.LayerChart:
    """Draw each run as a line across its settings to its metric (parallel coordinates).

    Parameters
    ----------
    runs
        A frame of runs.
    metric
        The last axis, and the colour of the lines; by default the metric that tells most.
    settings
        Columns for the axes; by default the parameters that differ. Numbers that span two orders of magnitude are drawn on a log scale.

    Raises
    ------
    InvalidRequest
        The runs differ in fewer than two of these columns, so that there is no line to draw.
    """
    frame = checked_runs(runs, "parallel()", at_least=2)
    metric = metric or next(iter(main_metrics(frame)), None)
    layer = layer_of(frame, metric=metric, settings=settings)
    if layer is None:
        raise InvalidRequest(
            "parallel() needs at least two columns in which these runs differ, and they have fewer: select runs with different parameters."
        )
    title = f"{len(frame)} runs" + ("" if metric is None else f", coloured by {middle(metric, 60)}")
    return themed(layer.properties(title=heading(title)), f"Parallel coordinates of {title}.")


def layer_of(frame: pd.DataFrame, *, metric: str | None = None, settings: Sequence[str] | None = None) -> alt.LayerChart | None:
    """Return the chart of :func:`parallel` without title and configuration, for use as a part of another one; ``None`` below two axes."""
    if settings is None:
        differing = differing_settings(frame)
        settings = [column for column in differing if column.startswith("params.")] or differing
    else:
        settings = [column_of(frame, name, "parallel(settings=…)") for name in settings]
    axes = [_axis(setting_name(column), frame[column]) for column in settings[:_MAX_AXES]]
    if metric is not None:
        axes.append(_axis(metric, frame[require_metric(frame, metric).last]))
    axes = [axis for axis in axes if axis.usable]
    return None if len(axes) < 2 else _drawn(frame, axes, metric)


def _axis(name: str, column: "pd.Series[float]") -> _Axis:
    raw = list(column)
    texts = [value if isinstance(value, str) else value_text(value) for value in raw]
    numbers = numeric(column)
    if numbers.notna().any() and all(is_missing(value) for value, number in zip(raw, numbers.isna(), strict=True) if number):
        return _number_axis(name, np.asarray(numbers, dtype=np.float64), texts)
    categories = list(dict.fromkeys(text for text, value in zip(texts, raw, strict=True) if not is_missing(value)))
    if len(categories) > _MAX_CATEGORIES:
        return _Axis(name, [None] * len(raw), texts, [])
    places = {text: i / max(len(categories) - 1, 1) for i, text in enumerate(sorted(categories))}
    return _Axis(name, [places.get(text) for text in texts], texts, [(place, text) for text, place in places.items()])


def _number_axis(name: str, values: Floats, texts: list[str]) -> _Axis:
    known = values[np.isfinite(values)]
    if not len(known):
        return _Axis(name, [None] * len(values), texts, [])
    low, high = float(known.min()), float(known.max())
    logarithmic = low > 0 and high / low >= 100
    # Halved, so that the span of two huge values of opposite sign does not overflow.
    bottom, span = (np.log(low), np.log(high) - np.log(low)) if logarithmic else (low / 2, high / 2 - low / 2)
    span = span or 1.0

    def place(value: float) -> float:
        return float(((np.log(value) if logarithmic else value / 2) - bottom) / span)

    distinct = np.unique(known)
    if len(distinct) <= _FEW and np.diff([place(value) for value in distinct.tolist()], prepend=-1).min() > _TICK_GAP:
        ticks = [(place(value), value_text(value)) for value in distinct.tolist()]
    else:
        shares = np.linspace(0, 1, 5).tolist()
        at = [float(np.exp(bottom + share * span)) if logarithmic else 2 * (bottom + share * span) for share in shares]
        ticks = [(share, value_text(float(f"{value:.3g}"))) for share, value in zip(shares, at, strict=True)]
    return _Axis(name, [place(value) if np.isfinite(value) else None for value in values.tolist()], texts, ticks)


def _drawn(frame: pd.DataFrame, axes: list[_Axis], metric: str | None) -> alt.LayerChart:
    ids = [str(run_id) for run_id in frame[ID]]
    labels, names = short_labels(frame), run_labels(frame)
    scores = [None] * len(ids) if metric is None else [finite(v) for v in numeric(frame[require_metric(frame, metric).last]).tolist()]
    lines: Rows = []
    for row, run_id in enumerate(ids):
        about = ", ".join(f"{middle(axis.name, 24)} = {axis.texts[row]}" for axis in axes)
        lines.extend(
            {
                "run": labels[run_id],
                "name": names[run_id],
                "run_id": run_id,
                "at": at,
                "y": axis.values[row],
                "score": scores[row],
                "about": clipped(about, 240),
            }
            for at, axis in enumerate(axes)
        )
    ticks: Rows = [{"at": at, "y": y, "text": middle(text, 16)} for at, axis in enumerate(axes) for y, text in axis.ticks]
    heads: Rows = [{"at": at, "text": middle(axis.name, 20)} for at, axis in enumerate(axes)]
    x = alt.X("at:Q", axis=None, scale=alt.Scale(domain=[-0.35, len(axes) - 0.7], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    near = alt.selection_point(name="near_line", fields=["run_id"], on="pointerover", clear="pointerout", empty=False)
    colour = by_name("run:N", list(labels.values())) if metric is None else by_score("score:Q", legend=False)
    runs = chart_of(lines).encode(
        x=x, y=y, detail="run_id:N", color=colour, tooltip=[alt.Tooltip("name:N", title="run"), alt.Tooltip("about:N")]
    )
    drawn = (
        runs.mark_line(interpolate="monotone")
        .add_params(near)
        .encode(
            strokeWidth=alt.when(near).then(alt.value(3.5)).otherwise(alt.value(1.6)),
            strokeOpacity=alt.when(near).then(alt.value(1)).otherwise(alt.value(0.7)),
        )
    )
    target = runs.mark_line(strokeWidth=12, opacity=0, aria=False)
    rules = chart_of(heads).mark_rule(color=INK, opacity=0.5).encode(x=x)
    names = chart_of(heads).mark_text(color=INK, fontWeight="bold", dy=-20).encode(x=x, y=alt.value(0), text="text:N")
    # Above the end of the lines, and to the right of the last axis, where no line runs.
    inner = chart_of([tick for tick in ticks if tick["at"] < len(axes) - 1]).mark_text(color=INK, align="right", dx=-5, dy=-7, fontSize=10)
    outer = chart_of([tick for tick in ticks if tick["at"] == len(axes) - 1]).mark_text(color=INK, align="left", dx=7, fontSize=10)
    marks = [layer.encode(x=x, y=y, text="text:N") for layer in (inner, outer)]
    return alt.LayerChart(layer=[drawn, rules, *marks, names, target]).properties(width=_AXIS_WIDTH * len(axes), height=_HEIGHT)
