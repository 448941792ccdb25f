"""A table of runs to operate: sort, filter by the query language, choose columns, select."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, cast

import numpy as np
import pandas as pd
import traitlets

from modelbox import frames
from modelbox.client.connection import ModelBox
from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, ModelBoxError, shortened
from modelbox_widgets.base import Answer, Bundle
from modelbox_widgets.columns import default_columns
from modelbox_widgets.points import kept
from modelbox_widgets.run_filter import ids_in_store, rows_in_frame
from modelbox_widgets.runs import ID, checked_runs, require_metric
from modelbox_widgets.selection import RunsWidget
from modelbox_widgets.text import html_row, html_table, html_view, text_table, value_text

__all__ = ["RunTable"]

_STATIC_ROWS = 50
_STATIC_COLUMNS = 14
_SPARK_POINTS = 40
_SPARK_RUNS = 200


class RunTable(RunsWidget, parts=["runs_data", "rows", "grid", "columns_menu", "run_table"]):
    """Runs as a table in which 10,000 of them stay fluid.

    Parameters
    ----------
    runs
        A frame of runs, as :func:`modelbox.experiments` returns it; any frame with the column ``experiment_id`` will do.
    connection
        Answers the queries of the filter box and gives points for `sparkline`; without it queries are decided from the frame itself.
    reload
        Reads the runs again, for the button that does so; without it there is none.
    query
        What the filter box says at first.
    columns
        Columns of the frame to show, in order; by default what differs and what tells most.
    sort_by, ascending
        Column to sort by; ``""`` for the order of the frame, or of the query.
    baseline
        Id of the run that metrics are compared with.
    sparkline
        Key of the metric whose curve is drawn in each row; ``""`` for none.
    height
        Height of the table in CSS pixels.

    Raises
    ------
    InvalidRequest
        The frame holds no runs, or a column, a run or a metric is not in it.
    InvalidQuery
        `query` is not of the query language.

    Examples
    --------
    >>> table = RunTable(modelbox.experiments(), sort_by="metrics.loss")  # doctest: +SKIP
    >>> table.selected[["name", "params.lr"]]                             # doctest: +SKIP
    """

    query = traitlets.Unicode().tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sort_by = traitlets.Unicode().tag(sync=True)
    ascending = traitlets.Bool(default_value=True).tag(sync=True)
    baseline = traitlets.Unicode().tag(sync=True)
    sparkline = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(420, min=120, max=4000).tag(sync=True)

    _found = traitlets.Dict().tag(sync=True)
    _can = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        runs: pd.DataFrame,
        *,
        connection: ModelBox | None = None,
        reload: Callable[[], pd.DataFrame] | None = None,
        **settings: Any,
    ) -> None:
        self._box = connection
        self._reload = reload
        self._rows: list[int] | None = None
        checked_runs(runs, "A table of runs", at_least=0)
        super().__init__(runs, **{"columns": default_columns(runs), **settings})
        self._can = {"reload": reload is not None, "spark": connection is not None}
        self._send_shown()
        self._filter(self.query)

    @property
    def shown(self) -> pd.DataFrame:
        """The runs that the query leaves, sorted as the page shows them."""
        frame = self._runs if self._rows is None else self._runs.iloc[self._rows]
        if not self.sort_by or self.sort_by not in frame.columns:
            return frame
        try:
            return frame.sort_values(self.sort_by, ascending=self.ascending, kind="stable", na_position="last")
        except TypeError:  # numbers and text in one column
            return frame.sort_values(self.sort_by, ascending=self.ascending, kind="stable", key=lambda column: column.map(value_text))

    def refresh(self) -> None:
        """Read the runs again, where they came from a store."""
        if self._reload is None:
            raise InvalidRequest("This table was made from a frame: make another from a new frame, or use modelbox.run_table().")
        runs = checked_runs(self._reload(), "A table of runs", at_least=0)
        self._take(runs)
        known = set(runs[ID].astype(str))
        with self.hold_trait_notifications():
            self.selected_ids = [run_id for run_id in self.selected_ids if run_id in known]
            self.columns = [column for column in self.columns if column in self._heads] or default_columns(runs)
            self.sort_by = self.sort_by if self.sort_by in self._heads else ""
            self.baseline = self.baseline if self.baseline in known else ""
        self._send_shown()
        self._filter(self.query)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return the first rows as a table."""
        runs = self.shown
        names = [name for name in self.columns if name in self._heads][:_STATIC_COLUMNS]
        heads = [self._heads[name] for name in names]
        first = runs.head(_STATIC_ROWS)
        cells = [[value_text(value) for value in first[name]] for name in names]
        rows = [list(row) for row in zip(*cells, strict=True)]
        title = f"{len(runs)} run{'s' * (len(runs) != 1)}" + (f" of {len(self._runs)}: {self.query}" if self.query else "")
        more = f"The first {_STATIC_ROWS} of {len(runs)} runs." if len(runs) > _STATIC_ROWS else ""
        kinds = ["" if head["kind"] == "text" else "modelbox-num" for head in heads]
        body = [html_row(list(zip(row, kinds, strict=True))) for row in rows]
        labels = [head["label"] for head in heads]
        html = html_view(
            f'<div class="modelbox-head">{escape(title)}</div>',
            html_table(list(zip(labels, kinds, strict=True)), body),
            f'<p class="modelbox-dim">{more}</p>' if more else "",
        )
        text = "\n".join([title, "", text_table(labels, rows[:20])])
        return {"text/plain": text, "text/html": html}, {}

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Answer what the page asks: curves of some runs, fresh runs, more columns."""
        match question, dict(content):
            case "sparks", {"ids": list(ids)}:
                return self._sparks([run_id for run_id in ids if isinstance(run_id, str)][:_SPARK_RUNS])
            case "reload", _:
                self.refresh()
                return {}, ()
            case _:
                return super().answer(question, content)

    def _send_shown(self) -> None:
        self._send_data([*self.columns, *([self.sort_by] if self.sort_by else [])])

    def _sparks(self, ids: Sequence[str]) -> Answer:
        known = set(self._runs[ID].astype(str))
        wanted = [run_id for run_id in ids if run_id in known]
        if self._box is None or not self.sparkline or not wanted:
            return {"ids": []}, ()
        points = frames.metrics(wanted, self.sparkline, max_points=4 * _SPARK_POINTS, connection=self._box)
        found: list[str] = []
        curves: list[bytes] = []
        for run_id, part in points.groupby(ID, sort=False):
            values = pd.to_numeric(part["value"], errors="coerce").to_numpy(dtype="<f8")
            found.append(str(run_id))
            curves.append(values[kept(values, _SPARK_POINTS)].tobytes())
        return {"ids": found, "metric": self.sparkline}, curves

    # --- settings that change ------------------------------------------------------------------------------------------------------------

    @traitlets.observe("query")
    def _query_changed(self, change: dict[str, Any]) -> None:
        if self._version:
            try:
                self._filter(change["new"])
            except ModelBoxError as error:
                # The page shows the sentence below the box, and goes on showing the rows that it has.
                self._found = {**self._found, "query": change["new"], "trouble": error.detail}

    def _filter(self, query: str) -> None:
        """Find the rows that `query` means."""
        rows = self._matching(query) if query.strip() else None
        self._rows = rows
        data = None if rows is None else np.asarray(rows, dtype="<i4").tobytes()
        self._found = {"version": self._version, "query": query, "trouble": "", "rows": data}

    def _matching(self, query: str) -> list[int]:
        if self._box is None:
            return rows_in_frame(query, self._runs)
        rows = {str(run_id): at for at, run_id in enumerate(self._runs[ID])}
        return [rows[run_id] for run_id in ids_in_store(query, self._box) if run_id in rows]

    @traitlets.validate("columns")
    def _check_columns(self, proposal: dict[str, Any]) -> list[str]:
        return [self._known_column(name) for name in dict.fromkeys(cast("list[str]", proposal["value"]))]

    @traitlets.validate("sort_by")
    def _check_sort(self, proposal: dict[str, Any]) -> str:
        return self._known_column(proposal["value"]) if proposal["value"] else ""

    @traitlets.validate("baseline")
    def _check_baseline(self, proposal: dict[str, Any]) -> str:
        run_id: str = proposal["value"]
        if run_id and not self._runs[ID].astype(str).eq(run_id).any():
            raise InvalidRequest(f"There is no run {shortened(run_id)} here to compare with: give the id of one that is shown.")
        return run_id

    @traitlets.validate("sparkline")
    def _check_sparkline(self, proposal: dict[str, Any]) -> str:
        if proposal["value"]:
            require_metric(self._runs, proposal["value"])
        return str(proposal["value"])
