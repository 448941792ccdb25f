"""The comparison of runs: a table of what differs and how it ended, curves of the metrics, parallel coordinates."""

from collections.abc import Sequence
from functools import cached_property
from html import escape

import altair as alt
import pandas as pd

from modelbox.entities.records import Json
from modelbox_widgets.charts import overview
from modelbox_widgets.coordinates import layer_of
from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.renderer import spec_bundle
from modelbox_widgets.runs import ID, checked_runs, main_metrics, polarity, require_metric, run_labels, setting_name
from modelbox_widgets.style import themed
from modelbox_widgets.tables import best_position, differences, leaderboard, shared
from modelbox_widgets.text import clipped, html_row, html_table, html_view, middle, text_table, value_text

__all__ = ["Comparison", "main_metrics"]

_MAX_ROWS = 200
_MAX_SETTINGS = 14


class Comparison:
    """Runs side by side, the best first where the first metric's name says what is better.

    Shown in a notebook it displays a table and, below it, a chart; both stay in the saved notebook. The parts can be used by themselves.

    Parameters
    ----------
    runs
        A frame of runs with at least two rows.
    points
        Long frame of their metric points (``experiment_id, key, step, wall_time, value``).
    metrics
        Metrics to show, the most important first; by default those that tell most, at most six.
    """

    def __init__(self, runs: pd.DataFrame, points: pd.DataFrame, *, metrics: Sequence[str] | None = None) -> None:
        self.runs = checked_runs(runs, "compare()", at_least=2)
        for metric in metrics or ():
            require_metric(runs, metric)
        self.metrics: list[str] = main_metrics(runs) if metrics is None else list(metrics)
        if self.metrics and polarity(self.metrics[0]) is not None:
            self.runs = leaderboard(runs, self.metrics[0])
        self._points = points

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Only the settings that differ, one row per run."""
        return differences(self.runs)

    @cached_property
    def shared(self) -> dict[str, Json]:
        """The settings that all runs have in common."""
        return shared(self.runs)

    @cached_property
    def chart(self) -> alt.VConcatChart | None:
        """Curves of the metrics above parallel coordinates; ``None`` when the runs logged no numbers."""
        main = self.metrics[0] if self.metrics else None
        parts = [
            overview(self._points, self.runs, metrics=self.metrics, colour_by=main),
            layer_of(self.runs, metric=main),
        ]
        drawn = [part for part in parts if part is not None]
        if not drawn:
            return None
        metrics = ", ".join(map(middle, self.metrics))
        chart: alt.VConcatChart = alt.vconcat(*drawn, spacing=34).resolve_scale(color="independent")
        return themed(chart, f"Curves of {metrics} and parallel coordinates of {len(self.runs)} runs.")

    def __repr__(self) -> str:
        """Return the table as text."""
        head, rows = self._cells()
        notes = "\n".join([self._headline(), *self._missing()])
        return f"{notes}\n\n{text_table(head, rows)}"

    def _repr_html_(self) -> str:
        head, rows = self._cells()
        return self._html(head, rows)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict[str, Json], dict[str, Json]]:
        """Return everything as one bundle, for programs that collect outputs; a notebook shows two, see `_ipython_display_`."""
        bundle, metadata = self._chart_bundle() or ({}, {})
        return {**bundle, "text/html": self._repr_html_(), "text/plain": repr(self)}, metadata

    def _ipython_display_(self) -> None:
        # A front end shows one part of a bundle. Table and chart belong together, so they are two outputs.
        from IPython.display import publish_display_data

        publish_display_data({"text/html": self._repr_html_(), "text/plain": repr(self)})  # type: ignore[no-untyped-call]
        bundle = self._chart_bundle()
        if bundle is not None:
            publish_display_data(*bundle)  # type: ignore[no-untyped-call]

    def _chart_bundle(self) -> tuple[dict[str, Json], dict[str, Json]] | None:
        if self.chart is None:
            return None
        return spec_bundle(self.chart.to_dict(), text=f"<curves and parallel coordinates of {len(self.runs)} runs>")

    def _headline(self) -> str:
        differing = len(self.differences.columns)
        text = f"{len(self.runs)} runs · {differing} setting{'s' * (differing != 1)} differ{'s' * (differing == 1)}"
        if self.metrics:
            mode = polarity(self.metrics[0])
            winner = None if mode is None else best_position(self.runs, self.metrics[0], mode)
            if winner is not None and mode is not None:
                score = self.runs[require_metric(self.runs, self.metrics[0]).last].iloc[winner]
                name = run_labels(self.runs)[str(self.runs[ID].iloc[winner])]
                text += f" · best {clipped(self.metrics[0], 40)} {value_text(score)} ({clipped(name, 40)})"
        return text

    def _missing(self) -> list[str]:
        notes = []
        if not self.metrics:
            notes.append("These runs logged no numeric metric, so there are no curves.")
        if self.differences.columns.empty:
            notes.append("Their settings are all the same.")
        return notes

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Return head and rows of the table: name, what differs, how the metrics ended."""
        settings = list(self.differences.columns)[:_MAX_SETTINGS]
        arrows = {"min": " ↓", "max": " ↑", None: ""}
        head = ["run", *map(setting_name, settings), *(f"{metric}{arrows[polarity(metric)]}" for metric in self.metrics)]
        labels = run_labels(self.runs)
        columns = [
            [labels[str(run_id)] for run_id in self.runs[ID]],
            *([value_text(value) for value in self.differences[name]] for name in settings),
            *([value_text(value) for value in self.runs[require_metric(self.runs, metric).last]] for metric in self.metrics),
        ]
        return head, [list(row) for row in zip(*columns, strict=True)]

    def _html(self, head: list[str], rows: list[list[str]]) -> str:
        first_metric = len(head) - len(self.metrics)
        winners = [None if (mode := polarity(m)) is None else best_position(self.runs, m, mode) for m in self.metrics]
        coloured = len(rows) <= len(COLOURS)
        body = []
        for at, row in enumerate(rows[:_MAX_ROWS]):
            kinds = ["", *("modelbox-num" if _is_number(text) else "" for text in row[1:])]
            for i, winner in enumerate(winners):
                kinds[first_metric + i] = "modelbox-num modelbox-best" if winner == at else "modelbox-num"
            swatch = f'<span class="modelbox-swatch" style="background:{COLOURS[at]}"></span>' if coloured else ""
            body.append(html_row(list(zip(row, kinds, strict=True)), lead=swatch))
        notes = self._missing()
        if len(rows) > _MAX_ROWS:
            notes.append(f"The first {_MAX_ROWS} of {len(rows)} runs are shown.")
        hidden = len(self.differences.columns) - _MAX_SETTINGS
        if hidden > 0:
            notes.append(f"{hidden} more settings differ: .diff() has them all.")
        return html_view(
            f'<div class="modelbox-head">{escape(self._headline())}</div>',
            html_table([(text, "modelbox-num" if i >= first_metric else "") for i, text in enumerate(head)], body),
            *(f'<p class="modelbox-dim">{escape(note)}</p>' for note in notes),
            self._shared_html(),
        )

    def _shared_html(self) -> str:
        if not self.shared:
            return ""
        rows = "".join(html_row([(setting_name(key), ""), (value_text(value), "")]) for key, value in self.shared.items())
        summary = f'<summary class="modelbox-dim">the same in all runs ({len(self.shared)})</summary>'
        return f'<details>{summary}<table class="modelbox-table"><tbody>{rows}</tbody></table></details>'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in {"∞", "-∞"}
    return True
