"""Runs compared by hand: parallel coordinates, curves and a table, in which a brush in one selects in all, and in Python."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import traitlets

from modelbox import frames
from modelbox.client.connection import ModelBox
from modelbox.client.shared import default_connection
from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.base import Answer, Bundle
from modelbox_widgets.comparison import Comparison
from modelbox_widgets.picture import svg_html
from modelbox_widgets.points import Floats, kept
from modelbox_widgets.runs import ID, checked_runs, comparable, main_metrics, polarity, require_metric, run_labels
from modelbox_widgets.selection import RunsWidget
from modelbox_widgets.still import StillAxis, StillCurves, colours_of, still_axis, still_svg

__all__ = ["CompareView"]

_MAX_SETTING_AXES, _MAX_METRIC_AXES = 8, 4
_MAX_CATEGORIES = 30
_MAX_TABLE_SETTINGS = 10
_READ_POINTS = 400
_ALL_POINTS, _RUN_POINTS = 40_000, 160
_FEWEST_POINTS = 16


class CompareView(
    RunsWidget,
    parts=["runs_data", "rows", "grid", "columns_menu", "axes", "parallel_view", "curves_view", "compare_view"],
):
    """Runs side by side, to find the good ones by hand.

    Brush an axis of the parallel coordinates, draw a box over curves, or click rows of the table: the runs are selected in all views, and
    ``selected`` is a DataFrame of them. Axes are operated by keyboard too: up and down move the upper end of a brush, with shift its lower
    end, with alt both; alt and left or right move the axis; escape takes the brush away.

    Parameters
    ----------
    runs
        A frame of runs with at least two rows.
    points
        Long frame of their metric points; read from the store when left out and :func:`modelbox.experiments` made the frame.
    metrics
        Metrics to show, the one to judge by first; by default those that tell most.
    connection
        Where to read points; the shared connection when left out.
    axes
        Columns that are axes, in order; by default the parameters that differ, and the metrics.
    colour_by
        Column that colours the lines where there are more than ten runs; by default the first metric.

    Raises
    ------
    InvalidRequest
        There are fewer than two runs, or a column or metric is not in the frame.

    Examples
    --------
    >>> view = CompareView(modelbox.experiments())                 # doctest: +SKIP
    >>> view.on_select(lambda runs: print(len(runs), "selected"))  # doctest: +SKIP
    >>> view.selected["params.lr"].describe()                      # doctest: +SKIP
    """

    axes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colour_by = traitlets.Unicode().tag(sync=True)

    _view = traitlets.Dict().tag(sync=True)
    _curves = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(
        self,
        runs: pd.DataFrame,
        points: pd.DataFrame | None = None,
        *,
        metrics: Sequence[str] | None = None,
        connection: ModelBox | None = None,
        **settings: Any,
    ) -> None:
        wanted = main_metrics(checked_runs(runs, "A comparison", at_least=2)) if metrics is None else list(metrics)
        if points is None:
            points = _read_points(runs, wanted, connection)
        self._comparison = Comparison(runs, points, metrics=wanted)
        ordered = self._comparison.runs
        last = [require_metric(ordered, metric).last for metric in wanted]
        chosen = {"axes": self._default_axes(ordered, last), "colour_by": last[0] if last else "", **settings}
        super().__init__(ordered, **chosen)
        differing = [name for name in self._comparison.differences.columns if name in self._heads]
        table = [*differing[:_MAX_TABLE_SETTINGS], *last]
        labels = run_labels(ordered)
        self._view = {
            "labels": [labels[str(run_id)] for run_id in ordered[ID]],
            "table": table,
            "headline": f"{len(ordered)} runs",
        }
        self._still_curves = [curves for metric in wanted if (curves := _curves_of(metric, ordered, points)).lines]
        self._curves = [_packed_curves(curves) for curves in self._still_curves]
        self._send_data([*table, *self.axes, *([self.colour_by] if self.colour_by else [])])

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return the table of differences with a picture of the curves and the parallel coordinates."""
        svg = self._still()
        picture = svg_html(svg, f"Parallel coordinates and curves of {len(self._runs)} runs") if svg else ""
        return {"text/plain": repr(self._comparison), "text/html": self._comparison._repr_html_() + picture}, {}

    def _still(self) -> str:
        def axis(name: str) -> StillAxis:
            head = self._heads[name]
            return still_axis(self._runs[name], head["label"], head["mode"])

        colouring = axis(self.colour_by).places if self.colour_by else None
        return still_svg([axis(name) for name in self.axes], self._still_curves, colours_of(len(self._runs), colouring))

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Answer what the page asks: the chart as Vega-Lite, more columns."""
        if question == "spec":
            chart = self._comparison.chart
            if chart is None:
                raise InvalidRequest("These runs logged no numbers, so there is no chart to save.")
            return {"spec": chart.to_dict()}, ()
        return super().answer(question, content)

    @staticmethod
    def _default_axes(runs: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
        settings = [name for name in runs.columns if isinstance(name, str) and name.startswith("params.")]
        differing = [name for name in settings if runs[name].map(comparable).nunique() > 1 and _fits(runs[name])]
        return [*differing[:_MAX_SETTING_AXES], *metrics[:_MAX_METRIC_AXES]]

    @traitlets.validate("axes")
    def _check_axes(self, proposal: dict[str, Any]) -> list[str]:
        return [self._known_column(name) for name in dict.fromkeys(cast("list[str]", proposal["value"]))]

    @traitlets.validate("colour_by")
    def _check_colour(self, proposal: dict[str, Any]) -> str:
        return self._known_column(proposal["value"]) if proposal["value"] else ""


def _fits(column: "pd.Series[Any]") -> bool:
    """Tell whether an axis can show a column: numbers always, text while there are not too many."""
    return pd.api.types.is_numeric_dtype(column.dtype) or column.map(comparable).nunique() <= _MAX_CATEGORIES


def _read_points(runs: pd.DataFrame, metrics: Sequence[str], connection: ModelBox | None) -> pd.DataFrame:
    if not metrics or (connection is None and "modelbox" not in runs.attrs):
        return pd.DataFrame({ID: [], "key": [], "step": [], "wall_time": [], "value": []})
    return frames.metrics(runs, list(metrics), max_points=_READ_POINTS, connection=connection or default_connection())


def _curves_of(metric: str, runs: pd.DataFrame, points: pd.DataFrame) -> StillCurves:
    """Return the curves of a metric, thinned so that all of them together stay drawable."""
    rows = {str(run_id): at for at, run_id in enumerate(runs[ID])}
    limit = max(_FEWEST_POINTS, min(_RUN_POINTS, _ALL_POINTS // max(len(runs), 1)))
    lines: list[tuple[int, Floats, Floats]] = []
    for run_id, part in points[points["key"] == metric].groupby(ID, sort=False):
        if str(run_id) in rows:
            values = pd.to_numeric(part["value"], errors="coerce").to_numpy(dtype=np.float64)
            at = kept(values, limit)
            lines.append((rows[str(run_id)], part["step"].to_numpy(dtype=np.float64)[at], values[at]))
    return StillCurves(metric, lines)


def _packed_curves(curves: StillCurves) -> dict[str, Json]:
    """Return curves for the page: which rows, where each ends, and all points one after the other."""
    rows, steps, values = zip(*curves.lines, strict=True)
    return {
        "key": curves.label,
        "mode": polarity(curves.label),
        "rows": np.asarray(rows, dtype="<i4").tobytes(),
        "ends": np.cumsum([len(one) for one in values]).astype("<i4").tobytes(),
        "steps": np.concatenate(steps).astype("<f8").tobytes(),
        "values": np.concatenate(values).astype("<f8").tobytes(),
    }
