"""Live charts: a picture of the experiments that a cell runs, under that cell.

All experiments that start in one cell share a display. In JupyterLab with our server extension the page follows them by itself (the bundle
only names them), so the chart is live even with the kernel dead; everywhere else a widget is fed from here. At geometric intervals the
output is replaced by a snapshot with its data inlined, and at the end of the cell by a final one with a picture: what was seen stays in the
notebook whatever becomes of the kernel.

Thread safety: observers may call from any thread. One daemon thread per display reads and publishes; it carries the context of the cell,
by which the kernel knows which cell an output belongs to.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from modelbox.client.observers import subscribe
from modelbox.notebook.live_group import LiveGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.client.experiment import Experiment

__all__ = ["LiveCharts"]


class LiveCharts:
    """Shows a live chart for every experiment that starts while a cell of `shell` runs.

    Parameters
    ----------
    shell
        The shell to display in. In a terminal there is nothing to draw on, and nothing is displayed.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._lock = threading.RLock()
        self._groups: list[LiveGroup] = []
        self._in_cell = False
        self._pid = os.getpid()
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to listen."""
        if not hasattr(self._shell, "kernel"):
            return
        # The extension is loaded from a cell, and that cell may start experiments too.
        self._in_cell = True
        events = self._shell.events
        events.register("pre_run_cell", self._before_cell)
        events.register("post_run_cell", self._after_cell)
        self._undo = [
            subscribe("started", self._on_started),
            subscribe("finished", self._on_finished),
            lambda: events.unregister("pre_run_cell", self._before_cell),
            lambda: events.unregister("post_run_cell", self._after_cell),
        ]

    def stop(self) -> None:
        """Stop listening; charts that are shown get their last picture."""
        for undo in self._undo:
            undo()
        self._undo = []
        with self._lock:
            groups, self._groups = self._groups, []
        for group in groups:
            group.close()

    def _before_cell(self, _info: object = None) -> None:
        with self._lock:
            self._in_cell = True
            for group in self._groups:
                group.is_open = False

    def _after_cell(self, _result: object = None) -> None:
        """Give each chart its picture of now, the last one when its runs are over. Runs before the cell counts as done."""
        with self._lock:
            self._in_cell = False
            groups = list(self._groups)
        for group in groups:
            group.is_open = False
            group.settle()
        with self._lock:
            self._groups = [group for group in self._groups if not group.is_closed]

    def _on_started(self, experiment: Experiment) -> None:
        if os.getpid() != self._pid or experiment.session.is_offline:  # a forked worker has no front end, an offline run no store to follow
            return
        experiment.session.introduce()  # the page asks the server for it at once
        with self._lock:
            group = next((g for g in self._groups if g.is_open and g.session is experiment.session), None)
            if group is None:
                group = LiveGroup(self._shell, experiment.session)
                self._groups.append(group)
                group.is_open = self._in_cell
        group.add(experiment)

    def _on_finished(self, experiment: Experiment) -> None:
        with self._lock:
            group = next((g for g in self._groups if experiment in g), None)
            in_cell = self._in_cell
        # At the end of a cell everything is drawn anyway; drawing here would hold up the next experiment of a loop.
        if group is not None and os.getpid() == self._pid:
            group.note_finished(experiment, settle_soon=not in_cell)
