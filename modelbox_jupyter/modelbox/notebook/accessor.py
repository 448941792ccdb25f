"""``df.modelbox`` on every DataFrame that holds runs. Importing this module registers it.

Each method is one line over a function that takes frames, for use without the accessor and for type checkers. pandas makes a new accessor
at each access, so it keeps no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pandas.api.extensions import register_dataframe_accessor

from modelbox import frames
from modelbox.errors import nearest
from modelbox.notebook.notes import quietly

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from modelbox_widgets.comparison import Comparison
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
        x: Literal["step", "time"] = "step",
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
            Steps, or seconds since a run's first point.
        """
        from modelbox_widgets.charts import curves

        return curves(self._points([metric]), self._frame, metric=metric, group=group, band=band, x=x)

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

    def metrics(self, keys: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return every point of these runs as a long frame: ``experiment_id, key, step, wall_time, value``."""
        return frames.metrics(self._frame, keys)

    def _points(self, keys: Sequence[str]) -> pd.DataFrame:
        # Charts keep some thousand points; what they leave out need not travel. Minima and maxima are kept by the store.
        return frames.metrics(self._frame, list(keys), max_points=_CHART_POINTS)


_CHART_POINTS = 2000

if not hasattr(pd.DataFrame, "modelbox"):
    register_dataframe_accessor("modelbox")(RunsAccessor)
