"""Widgets that show runs and know which of them are selected, in the page and in Python."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import traitlets

from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.base import NotebookWidget
from modelbox_widgets.runs import ID

__all__ = ["RunsWidget"]


class RunsWidget(NotebookWidget):
    """A widget over a frame of runs.

    ``selected_ids`` are the experiment ids that are selected. It may be set, and observed like every trait; `on_select` gives the frame.
    """

    selected_ids = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, runs: pd.DataFrame, **traits: Any) -> None:
        self._runs = runs
        super().__init__(**traits)

    @property
    def runs(self) -> pd.DataFrame:
        """The runs of this widget, one row each."""
        return self._runs

    @property
    def selected(self) -> pd.DataFrame:
        """The selected runs as a DataFrame, in the order of `runs`; may be set to a frame of runs, or to ids."""
        return self._runs[self._runs[ID].astype(str).isin(self.selected_ids)]

    @selected.setter
    def selected(self, runs: pd.DataFrame | Iterable[str] | None) -> None:
        if isinstance(runs, pd.DataFrame):
            if ID not in runs.columns:
                raise InvalidRequest("selected must be a frame with the column 'experiment_id', or experiment ids.", field="selected")
            wanted = [str(run_id) for run_id in runs[ID]]
        else:
            wanted = [runs] if isinstance(runs, str) else [str(run_id) for run_id in runs or ()]
        self.selected_ids = list(dict.fromkeys(wanted))

    def on_select(self, callback: Callable[[pd.DataFrame], object]) -> Callable[[], None]:
        """Call back with the selected runs whenever the selection changes; returns how to stop that."""

        def changed(_change: object) -> None:
            callback(self.selected)

        self.observe(changed, "selected_ids")
        return lambda: self.unobserve(changed, "selected_ids")

    @traitlets.validate("selected_ids")
    def _check_selected(self, proposal: dict[str, Any]) -> list[str]:
        known = set(self._runs[ID].astype(str))
        unknown = [run_id for run_id in proposal["value"] if run_id not in known]
        if unknown:
            raise InvalidRequest(f"There is no run {shortened(unknown[0])} here: select some of the {len(known)} runs that are shown.")
        return list(proposal["value"])
