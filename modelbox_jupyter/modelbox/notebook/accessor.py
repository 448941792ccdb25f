"""``df.modelbox`` on every DataFrame that holds runs. Importing this module registers it.

Each method is one line over a function that takes frames, for use without the accessor and for type checkers. pandas makes a new accessor
at each access, so it keeps no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pandas.api.extensions import register_dataframe_accessor

from modelbox import frames
from modelbox.entities.own_keys import is_own_series
from modelbox.errors import nearest
from modelbox.notebook.notes import quietly

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import altair as alt

    from modelbox_widgets.compare_view import CompareView
    from modelbox_widgets.comparison import Comparison
    from modelbox_widgets.run_table import RunTable
    from modelbox_widgets.runs import Mode

__all__ = ["RunsAccessor"]

_ID = "experiment_id"


class RunsAccessor:
    """Query and compare the runs of a DataFrame.

    Works on what :func:`modelbox.experiments` returns, and on any frame with the column ``experiment_id``: filtered, sorted, merged with
    other columns. On other frames ``df.modelbox`` is an :class:`AttributeError` that names what is missing.

    Examples
    --------
    >>> runs = modelbox.experiments()                            # doctest: +SKIP
    >>> runs[runs["params.lr"] < 0.1].modelbox.compare()         # doctest: +SKIP
    >>> runs.modelbox.curves("val/loss", group="params.lr")      # doctest: +SKIP
    >>> runs.modelbox.best("accuracy")["experiment_id"]          # doctest: +SKIP
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if _ID not in frame.columns:
            names = [str(name) for name in frame.columns[:50]]
            guess = nearest(_ID, names) or f"It has: {', '.join(names[:8]) or 'no columns'}."
            raise AttributeError(f"This frame has no column {_ID!r}, so it holds no runs: start from modelbox.experiments(). {guess}")
        self._frame = frame

    def compare(self, metrics: Sequence[str] | None = None) -> Comparison:
        """Return the runs side by side: what differs, how they ended, their curves, and parallel coordinates.

        Parameters
        ----------
        metrics
            Metrics to show, the one to judge by first; by default the six that tell most.

        Raises
        ------
        InvalidRequest
            There are fewer than two runs, or no run has one of the metrics.
        """
        from modelbox_widgets.comparison import Comparison, main_metrics
        from modelbox_widgets.runs import checked_runs

        wanted = main_metrics(checked_runs(self._frame, "compare()", at_least=2)) if metrics is None else list(metrics)
        return Comparison(self._frame, self._points(wanted), metrics=wanted)

    def diff(self) -> pd.DataFrame:
        """Return only the settings that are not the same for all runs: one row per run, parameters before tags before other metadata.

        Versions of packages and uncommitted changes are compared too; where the store does not answer, only what the frame has.
        """
        from modelbox_widgets.tables import differences

        frame = self._frame
        with quietly("Packages and uncommitted changes cannot be compared"):
            frame = frames.with_long_metadata(frame)
        return differences(frame)

    def curves(
        self,
        metric: str,
        group: str | Sequence[str] | None = None,
        band: Literal["std", "minmax", "ci"] = "std",
        x: Literal["step", "time", "epoch"] = "step",
        smooth: float = 0.0,
    ) -> alt.LayerChart:
        """Draw a metric: one line per run, or mean and band per group of runs.

        Parameters
        ----------
        metric
            Which metric.
        group
            Column or columns that repetitions share, such as ``"params.lr"`` when only seeds differ.
        band
            Around the mean: one standard deviation, the range, or the 95 % confidence interval of the mean.
        x
            Steps, seconds since a run's first point, or what was logged as ``epoch``.
        smooth
            From 0 (as logged) to almost 1: how much of the mean so far goes into each next point.
        """
        from modelbox_widgets.bands import EPOCH
        from modelbox_widgets.charts import curves

        keys = [metric, EPOCH] if x == "epoch" else [metric]
        # A mean over thinned points, which are the extremes, would not be the mean.
        points = frames.metrics(self._frame, keys) if smooth else self._points(keys)
        return curves(points, self._frame, metric=metric, group=group, band=band, x=x, smooth=smooth)

    def parallel(self, metric: str | None = None, settings: Sequence[str] | None = None) -> alt.LayerChart:
        """Draw each run as a line across its settings to its metric.

        Parameters
        ----------
        metric
            The last axis and the colour; by default the metric that tells most.
        settings
            Columns for the axes; by default the parameters that differ.
        """
        from modelbox_widgets.coordinates import parallel

        return parallel(self._frame, metric=metric, settings=settings)

    def scatter(self, x: str, y: str, *, colour: str | None = None) -> alt.Chart:
        """Draw each run as a point: `y` against `x`, each a parameter, a metric or any column; `colour` likewise."""
        from modelbox_widgets.trade_offs import scatter

        return scatter(self._frame, x, y, colour=colour)

    def pareto(
        self, x: str, y: str, *, mode: tuple[Mode | None, Mode | None] | None = None, by: Literal["last", "reached"] = "last"
    ) -> alt.LayerChart:
        """Draw two metrics of each run against each other, and the runs that no other run beats in both.

        Parameters
        ----------
        x, y
            Metrics, or columns with numbers such as ``"duration_s"``.
        mode
            What is better in each, ``"min"`` or ``"max"``; ``None`` where the name tells.
        by
            Judge a run by its last value, or by the best one that it reached at any step.
        """
        from modelbox_widgets.trade_offs import pareto

        return pareto(self._frame, x, y, mode=mode, score=by)

    def importance(
        self,
        metric: str,
        params: list[str] | None = None,
        *,
        mode: Mode | None = None,
        by: Literal["last", "reached"] = "last",
        method: Literal["ranks", "forest"] = "ranks",
    ) -> alt.LayerChart:
        """Draw which parameters a metric depends on, as far as these runs tell; :func:`modelbox_widgets.importances` has the numbers.

        Parameters
        ----------
        metric
            Which metric.
        params
            Columns to look at; by default the parameters that differ.
        mode
            What is better, ``"min"`` or ``"max"``; by default judged by the name.
        by
            Judge a run by its last value, or by the best one that it reached at any step.
        method
            Each parameter by itself (``"ranks"``), or all together by a random forest of scikit-learn (``"forest"``).
        """
        from modelbox_widgets.explanation import importance

        return importance(self._frame, metric, params=params, mode=mode, score=by, method=method)

    def best(self, metric: str, mode: Mode | None = None, *, by: Literal["last", "reached"] = "last") -> pd.Series[Any]:
        """Return the run with the best value of a metric, as a row.

        Parameters
        ----------
        metric
            Which metric.
        mode
            ``"min"`` or ``"max"``; by default judged by the name (losses and errors down, accuracies and scores up).
        by
            Judge a run by its last value, or by the best one that it reached at any step.
        """
        from modelbox_widgets.tables import best

        return best(self._frame, metric, mode, by=by)

    def leaderboard(
        self, metric: str, mode: Mode | None = None, *, by: Literal["last", "reached"] = "last", top: int | None = None
    ) -> pd.DataFrame:
        """Return the runs ranked by a metric, best first: rank, score, distance to the best, and the settings that differ.

        `mode` and `by` are those of :meth:`best`; `top` keeps the first so many.
        """
        from modelbox_widgets.tables import standings

        return standings(self._frame, metric, mode, by=by, top=top)

    def stats(
        self,
        metric: str,
        by: str | list[str] | None = None,
        *,
        pair: str | None = None,
        mode: Mode | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Return mean and confidence of a metric per group of repetitions (seeds), and how each group compares with the best one.

        Parameters
        ----------
        metric
            Which metric, by its last value.
        by
            Column or columns that repetitions share; by default the parameters that differ, except the seed.
        pair
            Column that tells which runs of two groups belong together, such as ``"params.seed"``; found by itself where it is called so.
        mode
            What is better, ``"min"`` or ``"max"``; by default judged by the name.
        level
            Of the confidence interval.
        """
        from modelbox_widgets.statistics import stats

        return stats(self._frame, metric, by=by, pair=pair, mode=mode, level=level)

    def compare_view(self, metrics: Sequence[str] | None = None, **settings: Any) -> CompareView:
        """Return the runs as parallel coordinates, curves and a table to brush in; ``.selected`` is a DataFrame.

        `metrics` are those of :meth:`compare`, and `settings` those of :class:`modelbox_widgets.CompareView`.
        """
        from modelbox_widgets.compare_view import CompareView

        return CompareView(self._frame, metrics=metrics, **settings)

    def table(self, **settings: Any) -> RunTable:
        """Return the runs as a table to sort, filter and select in; `settings` are those of :class:`modelbox_widgets.RunTable`."""
        from modelbox.notebook.widgets import table_of

        return table_of(self._frame, **settings)

    def timeline(self, x: Literal["elapsed", "clock"] = "elapsed") -> alt.VConcatChart:
        """Draw when the runs ran, their events and checkpoints, and what their time went into.

        `x` is the time since each run began, or the clock (UTC). Phases begin with events; of runs without events the points of their
        metrics tell them.
        """
        from modelbox.notebook.stored_runs import moments
        from modelbox_widgets.time_use import timeline

        shown = self._frame.head(_TIMELINE_RUNS)
        points = frames.metrics(shown, max_points=_ENDS)
        chosen = points[[not is_own_series(str(key)) for key in points["key"]]]
        return timeline(shown, moments(shown), chosen, x=x)

    def refresh(self) -> pd.DataFrame:
        """Return these runs as the store has them now, in the same order; runs that were deleted are left out."""
        from modelbox.notebook.stored_runs import refreshed

        return refreshed(self._frame)

    def tag(self, *names: str) -> pd.DataFrame:
        """Add tags to each of these runs, and return them as the store has them then."""
        from modelbox.notebook.stored_runs import tagged

        return tagged(self._frame, names)

    def delete(self) -> int:
        """Delete these runs with everything that hangs on them, for good, and return how many there were."""
        from modelbox.notebook.stored_runs import deleted

        return deleted(self._frame)

    def to_report(self, path: str | os.PathLike[str], *, title: str | None = None, metrics: Sequence[str] | None = None) -> Path:
        """Write these runs as one interactive HTML file that needs no network, and return its path; see :func:`modelbox.report`."""
        from modelbox.notebook.reports import report

        return report(path, self._frame, title=title, metrics=metrics)

    def metrics(self, keys: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return every point of these runs as a long frame: ``experiment_id, key, step, wall_time, value``."""
        return frames.metrics(self._frame, keys)

    def _points(self, keys: Sequence[str]) -> pd.DataFrame:
        # Charts keep some thousand points; what they leave out need not travel. Minima and maxima are kept by the store.
        return frames.metrics(self._frame, list(keys), max_points=_CHART_POINTS)


_CHART_POINTS = 2000
_TIMELINE_RUNS = 40
# Of a series that is thinned to this few points the first and the last stay.
_ENDS = 4

if not hasattr(pd.DataFrame, "modelbox"):
    register_dataframe_accessor("modelbox")(RunsAccessor)
