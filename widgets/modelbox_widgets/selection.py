"""Widgets that show runs and know which of them are selected, in the page and in Python."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import traitlets

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.base import Answer, NotebookWidget
from modelbox_widgets.columns import Head, packed, table_columns
from modelbox_widgets.runs import ID, column_of

__all__ = ["RunsWidget"]


class RunsWidget(NotebookWidget):
    """A widget over a frame of runs.

    ``selected_ids`` are the experiment ids that are selected. It may be set, and observed like every trait; `on_select` gives the frame.
    The page gets ids, what columns there are, and the values of those that it shows; for more columns it asks.
    """

    selected_ids = traitlets.List(traitlets.Unicode()).tag(sync=True)

    _data = traitlets.Dict().tag(sync=True)

    def __init__(self, runs: pd.DataFrame, **traits: Any) -> None:
        self._version = 0
        self._take(runs)
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

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Answer with the values of columns that the page names."""
        match question, dict(content):
            case "columns", {"names": list(names)}:
                wanted = [name for name in dict.fromkeys(names) if isinstance(name, str) and name in self._heads]
                parts = [packed(self._runs[name], self._heads[name]["kind"]) for name in wanted]
                described = [{"name": name, "values": part["values"]} for name, part in zip(wanted, parts, strict=True)]
                return {"version": self._version, "columns": described}, [part["data"] for part in parts]
            case _:
                return super().answer(question, content)

    def _take(self, runs: pd.DataFrame) -> None:
        self._runs = runs
        self._heads: dict[str, Head] = {head["name"]: head for head in table_columns(runs)}

    def _send_data(self, columns: Iterable[str]) -> None:
        """Send the page everything, with the values of some columns."""
        self._version += 1
        self._data = {
            "version": self._version,
            "ids": [str(run_id) for run_id in self._runs[ID]],
            "heads": list(self._heads.values()),
            "columns": {name: packed(self._runs[name], self._heads[name]["kind"]) for name in dict.fromkeys(columns)},
        }

    def _known_column(self, name: str) -> str:
        if name in self._heads:
            return name
        column = column_of(self._runs, name, type(self).__name__)
        if column not in self._heads:
            raise InvalidRequest(f"{type(self).__name__} has no place for the column {shortened(name)}: it says the same as another one.")
        return column

    @traitlets.validate("selected_ids")
    def _check_selected(self, proposal: dict[str, Any]) -> list[str]:
        known = set(self._runs[ID].astype(str))
        unknown = [run_id for run_id in proposal["value"] if run_id not in known]
        if unknown:
            raise InvalidRequest(f"There is no run {shortened(unknown[0])} here: select some of the {len(known)} runs that are shown.")
        return list(proposal["value"])
