"""Charts of runs as pure functions: frames in, an Altair chart out.

Points come as a long frame with the columns ``experiment_id, key, step, wall_time, value`` (what ``modelbox.metrics()`` returns). Names
that users chose (runs, metrics, parameters) are only ever *values* of rows whose fields are called ``run``, ``key``, ``group`` …: a name
can neither break a field reference nor reach an expression.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.bands import Axis, Band, aggregated, checked_axis, checked_band, checked_smoothing, smoothed, x_values
from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.points import Floats, kept
from modelbox_widgets.runs import (
    ID,
    checked_runs,
    column_of,
    metric_columns,
    numeric,
    require_metric,
    run_labels,
    setting_name,
)
from modelbox_widgets.style import Rows, by_name, by_score, chart_of, finite, heading, themed
from modelbox_widgets.text import middle, short_labels, value_text

__all__ = ["curves", "overview"]

_ROW_BUDGET = 6000
_BANDS: dict[Band, str] = {"std": "standard deviation", "minmax": "range", "ci": "95 % confidence interval"}
_NAMED_COLOURS = len(COLOURS)
_SIZE = (620, 280)
_CROWDED = 6500


def curves(
    points: pd.DataFrame,
    runs: pd.DataFrame,
    *,
    metric: str,
    group: str | Sequence[str] | None = None,
    band: str = "std",
    x: str = "step",
    smooth: float = 0.0,
) -> alt.LayerChart:
    """Draw a metric over steps, time or epochs: one line per run, or the mean and a band per group of runs.

    Parameters
    ----------
    points
        Long frame of points.
    runs
        The frame of runs that they belong to.
    metric
        Which metric.
    group
        Column or columns of `runs`; runs with equal values in them are repetitions of one thing (``"params.lr"``; seeds differ).
    band
        Around the mean of a group: ``"std"``, ``"minmax"`` or ``"ci"`` (95 % of the mean).
    x
        ``"step"``, ``"time"`` for seconds since a run's first point, or ``"epoch"`` for the value that the metric ``epoch`` had then;
        `points` must hold it.
    smooth
        From 0 (as logged) to almost 1: how much of the mean so far goes into each next point (an exponential moving average, corrected at
        its begin). The values as logged stay visible behind it, faintly.

    Raises
    ------
    InvalidRequest
        The metric or the column does not exist, or an option is none of those above.
    """
    frame = checked_runs(runs, "curves()")
    axis, kind, factor = checked_axis(x), checked_band(band), checked_smoothing(smooth)
    chosen = _float_points(points, frame, [metric])
    if chosen.empty:
        require_metric(frame, metric)
        raise InvalidRequest(f"The metric {shortened(metric)} has no numbers in these runs: there is nothing to draw.")
    chosen = chosen.assign(x=x_values(chosen, axis, points))
    chosen = chosen[chosen["x"].notna()]
    if factor:
        chosen = chosen.sort_values([ID, "x"], kind="stable") if axis != "step" else chosen
        chosen = chosen.assign(raw=chosen["value"], value=smoothed(chosen, factor))
    position = _position(axis)
    suffix = f", smoothed by {factor:g}" if factor else ""
    named = f"{middle(metric)}{suffix}"
    if group is not None:
        return _grouped(chosen, frame, [group] if isinstance(group, str) else list(group), kind, axis, named)
    labels = short_labels(frame)
    names = list(labels.values())
    rows = _thinned(chosen, frame)
    raw = _thinned(chosen.assign(value=chosen["raw"]), frame) if factor else []
    many = len(names) > _NAMED_COLOURS
    colour = _coloured_by(rows + raw, frame, metric) if many else by_name("run:N", names)
    behind = _raw(raw, position, colour) if factor else None
    layer = _lines(rows, position, names, size=_SIZE, colour=colour, behind=behind)
    if many:
        named += ", coloured by where it ended"
    text = f"Curves of {metric} over {axis} of {len(labels)} runs{suffix}."
    return themed(layer.properties(title=heading(named)), text)


def overview(points: pd.DataFrame, runs: pd.DataFrame, *, metrics: Sequence[str], colour_by: str | None = None) -> alt.FacetChart | None:
    """Draw small plots of several metrics, one line per run in each; ``None`` where there is nothing to draw.

    Up to ten runs have a colour each. More are coloured by their value of the metric `colour_by`, as in parallel coordinates.
    """
    chosen = _float_points(points, runs, metrics)
    if chosen.empty:
        return None
    labels = short_labels(runs)
    ranks = {metric: rank for rank, metric in enumerate(metrics)}
    rows = [{**row, "rank": ranks[row["key"]]} for row in _thinned(chosen.assign(x=chosen["step"].astype("float64")), runs)]
    colour = _coloured_by(rows, runs, colour_by) if len(labels) > _NAMED_COLOURS and colour_by is not None else None
    layer = _lines(rows, _steps(), list(labels.values()), colour=colour, size=(250, 150))
    # Sorted by a field of ours: Vega-Lite turns a list of names to sort by into an expression with these names in it.
    chart = layer.facet(facet=alt.Facet("key:N", title=None, sort=alt.EncodingSortField(field="rank", op="min")), columns=3)
    if colour is not None and colour_by is not None:
        chart.title = heading(f"coloured by {middle(colour_by, 60)}")
    chart.resolve = alt.Resolve(scale=alt.ScaleResolveMap(x="independent", y="independent"))
    return chart


def _coloured_by(rows: Rows, runs: pd.DataFrame, metric: str) -> alt.Color:
    """Give each row the last value of `metric` of its run as its colour: there are more runs than colours with names."""
    last = metric_columns(runs).get(metric)
    if last is None:  # points of a metric that the frame of runs does not know
        return by_name("run:N", list(short_labels(runs).values()))
    scores = dict(zip(short_labels(runs).values(), numeric(runs[last.last]), strict=True))
    for row in rows:
        row["score"] = finite(scores[row["run"]])
    return by_score("score:Q")


def _position(axis: Axis) -> alt.X:
    if axis == "time":
        return alt.X("x:Q", title="seconds")
    return _steps() if axis == "step" else alt.X("x:Q", title="epoch", axis=alt.Axis(tickMinStep=1))


def _steps() -> alt.X:
    return alt.X("x:Q", title="step", axis=alt.Axis(tickMinStep=1, format=",d"))


# --- lines -------------------------------------------------------------------------------------------------------------------------------


def _lines(
    rows: Rows,
    position: alt.X,
    labels: list[str],
    *,
    size: tuple[int, int],
    colour: alt.Color | None = None,
    behind: alt.Chart | None = None,
) -> alt.LayerChart:
    """Return one line per run; pointing at one brings it to the front of the others."""
    near = alt.selection_point(name="near", fields=["run"], on="pointerover", clear="pointerout", empty=False)
    pinned = alt.selection_point(name="pinned", fields=["run"], bind="legend")
    many = len(labels) > _NAMED_COLOURS
    crowded = bool(rows) and "name" not in rows[0]
    base = chart_of(rows).encode(
        x=position,
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        detail="run:N",
        color=colour or by_name("run:N", labels),
        tooltip=[
            alt.Tooltip("run:N" if crowded else "name:N", title="run"),
            alt.Tooltip("x:Q", title="at", format=",.6~g"),
            alt.Tooltip("value:Q", format=".5~g"),
            *([] if crowded else [alt.Tooltip("about:N")]),
        ],
    )
    line = base.mark_line().encode(
        strokeWidth=alt.when(near).then(alt.value(3.2)).otherwise(alt.value(1.1 if many else 1.7)),
        # Of the stroke: an opacity of the whole makes each line a layer of its own, which takes a picture ten times as long.
        strokeOpacity=alt.when(pinned).then(alt.value(0.95)).otherwise(alt.value(0.12)),
    )
    # Invisible marks that are wide enough to be pointed at, and that show a run of a single point.
    target = base.mark_point(size=90, opacity=0, aria=False)
    if crowded:
        # Thousands of marks would make the page slow: only where lines end, and there they are seen.
        target = base.mark_point(size=9, filled=True, opacity=1, fillOpacity=0.65, strokeOpacity=0, aria=False).transform_filter(
            "datum.end"
        )
    dots = base.mark_point(size=9, filled=True, opacity=0.65, aria=False).transform_filter(pinned) if len(rows) <= 600 else None
    # Altair names views by their first layer, so that is where the selections have to be.
    first = line.add_params(near, pinned)
    layers = [first, *(layer for layer in (behind, dots, target) if layer is not None)]
    return alt.LayerChart(layer=layers).properties(width=size[0], height=size[1])


def _raw(rows: Rows, position: alt.X, colour: alt.Color) -> alt.Chart:
    """Return the values as logged, for behind a smoothed line."""
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    line = chart_of(rows).mark_line(strokeWidth=1, strokeOpacity=0.3, aria=False)
    encoded: alt.Chart = line.encode(x=position, y=y, detail="run:N", color=colour)
    return encoded


def _grouped(points: pd.DataFrame, runs: pd.DataFrame, columns: list[str], band: Band, x: Axis, metric: str) -> alt.LayerChart:
    columns = [column_of(runs, column, "curves(group=…)") for column in columns]
    group_of = {
        str(run_id): ", ".join(_equation(column, value) for column, value in zip(columns, values, strict=True))
        for run_id, *values in runs[[ID, *columns]].itertuples(index=False, name=None)
    }
    members: dict[str, list[tuple[Floats, Floats]]] = {}
    for run_id, part in points.groupby(ID, sort=False):
        one = (part["x"].to_numpy(dtype="float64"), part["value"].to_numpy(dtype="float64"))
        members.setdefault(group_of[str(run_id)], []).append(one)
    order = [name for name in _in_order(runs, columns, group_of) if name in members]
    limit = max(50, _ROW_BUDGET // len(order))
    rows: Rows = []
    for name in order:
        curve = aggregated(members[name], band, x)
        at = kept(curve.mean, limit)
        drawn = [column[at].tolist() for column in (curve.x, curve.mean, curve.low, curve.high, curve.runs)]
        rows.extend(
            {"group": name, "x": where, "mean": mean, "low": low, "high": high, "runs": count}
            for where, mean, low, high, count in zip(*drawn, strict=True)
        )
    pinned = alt.selection_point(name="pinned", fields=["group"], bind="legend")
    base = chart_of(rows).encode(x=_position(x), color=by_name("group:N", order))
    tooltip = [
        alt.Tooltip("group:N"),
        alt.Tooltip("x:Q", title="at"),
        *(alt.Tooltip(f"{field}:Q", format=".5~g") for field in ("mean", "low", "high")),
        alt.Tooltip("runs:Q"),
    ]
    area = base.mark_area().encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=False)),
        y2="high:Q",
        opacity=alt.when(pinned).then(alt.value(0.2)).otherwise(alt.value(0.03)),
    )
    line = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False)),
        opacity=alt.when(pinned).then(alt.value(1)).otherwise(alt.value(0.12)),
        tooltip=tooltip,
    )
    title = heading(f"{metric}: mean and {_BANDS[band]}")
    layer = alt.LayerChart(layer=[area.add_params(pinned), line]).properties(width=_SIZE[0], height=_SIZE[1], title=title)
    return themed(layer, f"Mean and {_BANDS[band]} of {metric} in {len(order)} groups: {'; '.join(order[:6])}.")


def _in_order(runs: pd.DataFrame, columns: list[str], group_of: Mapping[str, str]) -> list[str]:
    """Return the groups by their values where these can be sorted, else as they come."""
    try:
        ordered = runs.sort_values(columns, kind="stable")
    except TypeError:  # numbers and text in one column, dicts
        ordered = runs
    return list(dict.fromkeys(group_of[str(run_id)] for run_id in ordered[ID]))


def _equation(column: str, value: Json) -> str:
    return f"{middle(setting_name(column), 24)} = {middle(value_text(value), 24)}"


def _float_points(points: pd.DataFrame, runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the points of `metrics` of `runs` that are numbers, in the order of the runs."""
    wanted = points[points["key"].isin(list(metrics)) & points[ID].isin(runs[ID])]
    return wanted.assign(value=numeric(wanted["value"]))


def _thinned(points: pd.DataFrame, runs: pd.DataFrame) -> Rows:
    """Return rows of all series within the budget of one chart, minima and maxima kept."""
    series = list(points.groupby([ID, "key"], sort=False))
    limit = max(12, _ROW_BUDGET // max(len(series), 1))
    crowded = sum(min(len(part), limit) for _, part in series) > _CROWDED
    labels, names = short_labels(runs), run_labels(runs)
    rows: Rows = []
    for (run_id, key), part in series:
        ordered = part if part["x"].is_monotonic_increasing else part.sort_values("x", kind="stable")
        where_all, values = ordered["x"].to_numpy(dtype="float64"), ordered["value"].to_numpy(dtype="float64")
        at = kept(values, limit)
        about = f"{len(at)} of {len(values)} points" if len(at) < len(values) else f"{len(values)} points"
        label, name = labels[str(run_id)], names[str(run_id)]
        # Rows are saved with the notebook: what all of a line share stands at its end only, where a crowded chart shows it.
        shared = {} if crowded else {"name": name, "run_id": run_id, "about": about}
        rows.extend(
            {"run": label, "key": key, "x": where, "value": finite(value), **shared}
            for where, value in zip(where_all[at].tolist(), values[at].tolist(), strict=True)
        )
        if len(at):
            rows[-1] = {**rows[-1], "name": name, "run_id": run_id, "about": about, "end": True}
    return rows
