"""One live chart: the experiments of one cell, their display, and the thread that keeps it up to date."""

from __future__ import annotations

import contextvars
import math
import threading
import time
from typing import TYPE_CHECKING

from modelbox.entities.own_keys import is_own_series
from modelbox.entities.records import Status
from modelbox.errors import NotFound
from modelbox.notebook.display import Output
from modelbox.notebook.live_bundle import live_bundle
from modelbox.notebook.notes import notices, quietly
from modelbox.wire.messages import MetricsQuery
from modelbox_widgets.live_spec import labels_of
from modelbox_widgets.points import rows_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.client.experiment import Experiment
    from modelbox.client.session import Session
    from modelbox.entities.series import SeriesBlock
    from modelbox_widgets.cell_chart import CellChart

__all__ = ["LiveGroup"]

# More lines than this tell nothing; the runs that started last are shown.
_MAX_RUNS = 20
_MAX_POINTS = 1000
_FIRST_SNAPSHOT_S, _LAST_SNAPSHOT_S = 2.0, 60.0
_ASKING_S = 2.0
_WIDGET_PAUSE_S = 0.5


class LiveGroup:
    """The experiments of one cell in one display.

    Parameters
    ----------
    shell
        Where to display.
    session
        The connection that the experiments belong to.
    running
        Returns the experiments that run now, from time to time. Given where others run them: who runs them here is heard without asking.
    """

    def __init__(self, shell: InteractiveShell, session: Session, *, running: Callable[[], Iterable[Experiment]] | None = None) -> None:
        self.session = session
        self.is_open = True
        self.is_closed = False
        self._running = running
        self._ask_s = math.inf if running is None else 0.0
        self._output = Output(shell)
        self._experiments: list[Experiment] = []
        self._met: set[str] = set()
        self._blocks: list[SeriesBlock] = []
        self._widget: CellChart | None = None
        self._seen: dict[str, dict[str, int]] = {}
        self._wake = threading.Event()
        self._lock = threading.RLock()
        self._settle_soon = False
        self._is_new = False
        # The display publisher finds the cell that an output belongs to in its context.
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._work,), name="modelbox-live-chart", daemon=True)

    def __contains__(self, experiment: Experiment) -> bool:
        return any(known is experiment for known in self._experiments)

    def add(self, experiment: Experiment) -> None:
        """Show one more experiment. The first is displayed at once, later ones by the thread."""
        with self._lock:
            self._note([experiment])
            first = not self._thread.is_alive()
            if first:
                self._show(final=False)
                self._thread.start()
            else:
                self._is_new = True
        if not first:
            self._wake.set()

    def note_finished(self, experiment: Experiment, *, settle_soon: bool) -> None:
        """Hear that an experiment is over; with `settle_soon` the thread draws the last picture without waiting for a cell to end."""
        if settle_soon and experiment in self:
            self._settle_soon = True
            self._wake.set()

    def settle(self) -> None:
        """Show what is known now: the last picture when all experiments are over."""
        with self._lock:
            if self.is_closed:
                return
            final = all(experiment.status is not Status.RUNNING for experiment in self._experiments)
            self._read()
            self._show(final=final)
            if final:
                self._end()

    def close(self) -> None:
        """Show the last picture, whatever the state of the experiments, and stop."""
        with self._lock:
            if not self.is_closed:
                self._read()
                self._show(final=True)
                self._end()

    def _end(self) -> None:
        self.is_closed = True
        self._wake.set()

    def _work(self) -> None:
        """Publish snapshots 2, 4, 8 … 60 s after the start and when experiments were added; feed the widget, if there is one."""
        begin_s = time.monotonic()
        pause_s = _FIRST_SNAPSHOT_S
        due_s = begin_s + pause_s
        while not self.is_closed:
            rest_s = max(0.0, min(due_s, self._ask_s) - time.monotonic())
            self._wake.wait(min(rest_s, _WIDGET_PAUSE_S) if self._widget is not None else rest_s)
            self._wake.clear()
            try:
                if self._settle_soon:
                    self._settle_soon = False
                    self.settle()
                elif time.monotonic() >= self._ask_s and not self._go_on():
                    self.settle()
                elif time.monotonic() >= due_s or self._is_new:
                    self._snapshot()
                    if time.monotonic() >= due_s:
                        pause_s = min(2 * pause_s, _LAST_SNAPSHOT_S)
                        due_s = time.monotonic() + pause_s
                elif self._widget is not None:
                    self._feed(self._widget)
            except Exception as error:  # noqa: BLE001 - a picture that fails must not put a traceback into training output
                notices.log("live chart", f"ModelBox: the live chart stopped: {type(error).__name__}: {error}")
                return

    def _snapshot(self) -> None:
        with self._lock:
            if not self.is_closed:
                self._is_new = False
                self._read()
                self._show(final=False)
        if self._widget is not None:
            self._feed(self._widget)
            self._widget.publish_snapshot()

    def _note(self, experiments: Iterable[Experiment]) -> None:
        self._experiments = [*self._experiments, *experiments][-_MAX_RUNS:]
        self._met.update(experiment.id for experiment in self._experiments)

    def _go_on(self) -> bool:
        """Ask how the experiments are, and which are new; tell whether any of them runs."""
        self._ask_s = time.monotonic() + _ASKING_S
        with quietly("The live chart cannot ask how its runs are"):
            self._experiments = [experiment for experiment in self._experiments if self._exists(experiment)]
            new = [experiment for experiment in (self._running() if self._running else ()) if experiment.id not in self._met]
            if new:
                self._note(new)
                self._is_new = True
        return any(experiment.status is Status.RUNNING for experiment in self._experiments)

    def _read(self) -> None:
        """Read the points; where the store does not answer, those that were known stay."""
        with quietly("The live chart cannot read its points"):
            self._read_or_raise()

    def _read_or_raise(self) -> None:
        ids = [experiment.id for experiment in self._experiments]
        try:
            blocks = self.session.transport.read_metrics(MetricsQuery(objects=ids, max_points=_MAX_POINTS))
            self._blocks = [block for block in blocks if not is_own_series(block.key)]
        except NotFound:
            # One was deleted. It leaves the chart, and the last one takes the chart's further life with it.
            self._experiments = [experiment for experiment in self._experiments if self._exists(experiment)]
            if not self._experiments:
                self._end()

    def _exists(self, experiment: Experiment) -> bool:
        try:
            experiment.refresh()
        except NotFound:
            return False
        return True

    def _feed(self, widget: CellChart) -> None:
        """Send the widget what came since the last time."""
        with quietly("The live chart cannot read its points"):
            ids = [experiment.id for experiment in self._experiments]
            blocks = self.session.transport.read_metrics(MetricsQuery(objects=ids, skip=self._seen))
            for block in blocks:
                counts = self._seen.setdefault(block.object_id, {})
                counts[block.key] = counts.get(block.key, 0) + len(block)
            widget.extend([block for block in blocks if not is_own_series(block.key)])

    def _show(self, *, final: bool) -> None:
        if not self._experiments:
            return
        records = [experiment.record for experiment in self._experiments]
        labels = labels_of(records)
        rows = rows_within(self._blocks, labels)
        by_page = self.session.where.kind == "jupyter"
        if not final and not by_page:
            self._widget = _widget(self._widget, labels)
        widget = None if final else self._widget
        bundle, metadata = live_bundle(rows, records, labels, final=final, follow=by_page and not final, widget=widget)
        self._output.show(bundle, metadata)


def _widget(known: CellChart | None, labels: Mapping[str, str]) -> CellChart:
    if known is None:
        from modelbox_widgets.cell_chart import CellChart  # ipywidgets and anywidget, only where a widget is needed

        return CellChart(labels)
    if known.labels != labels:
        known.name_runs(labels)
    return known
