"""The widget under a training cell where the page cannot follow its runs: the kernel feeds it, point by point, through its own comm.

Inside a Jupyter server with our extension the live chart needs no widget: the page follows the run by itself, even after the kernel is
gone. This one serves everything else: a remote ModelBox, a local store under VS Code, a kernel behind a gateway. In JupyterLab it draws
with the extension's Vega; elsewhere with a small drawing of its own. It loads nothing from the network.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import anywidget
import numpy as np
import traitlets

from modelbox.entities.records import Json
from modelbox.entities.series import SeriesBlock
from modelbox_widgets.live_spec import COLOURS, live_spec
from modelbox_widgets.points import Floats, float_blocks, kept

__all__ = ["CellChart"]

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).parent / "static"

# Points that a series keeps in the browser. Beyond twice as many, the kernel thins them and sends all of them again.
_KEPT_POINTS = 1000


class CellChart(anywidget.AnyWidget):
    """Curves that grow while experiments run.

    Parameters
    ----------
    labels
        What each run is called, by experiment id, in the order of the colours.

    Notes
    -----
    `extend` may be called from any thread. The browser gets increments with a running number; one that misses a number asks for everything
    again (``{"type": "resync"}``). Any other message from the browser is ignored and logged.
    """

    _esm = _STATIC / "cell_chart.js"
    _css = _STATIC / "cell_chart.css"

    _runs = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    _spec = traitlets.Dict().tag(sync=True)
    _snapshot = traitlets.Dict().tag(sync=True)

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._guard = threading.RLock()
        self._series: dict[tuple[str, str], tuple[Floats, Floats]] = {}
        self._number = 0
        # In the message that opens the widget already: a page must not have to wait for the kernel, which is busy training.
        super().__init__(_snapshot={"number": 0, "series": []}, _spec=_spec_of(labels), _runs=_runs_of(labels))
        self.on_msg(self._on_message)

    def name_runs(self, labels: Mapping[str, str]) -> None:
        """Set which runs there are, and what they are called."""
        self._spec = _spec_of(labels)
        self._runs = _runs_of(labels)

    @property
    def labels(self) -> dict[str, str]:
        """What each run is called, by experiment id."""
        return {run["id"]: run["label"] for run in self._runs}

    def extend(self, blocks: Sequence[SeriesBlock]) -> None:
        """Add new points; text and bytes are left out."""
        fresh = float_blocks(blocks)
        if not fresh:
            return
        with self._guard:
            self._number += 1
            heads: list[dict[str, str]] = []
            buffers: list[bytes] = []
            full = False
            for block in fresh:
                steps = np.frombuffer(memoryview(block.steps), dtype=np.int64).astype(np.float64)
                values = np.frombuffer(memoryview(cast("bytes", block.values)), dtype=np.float64)
                full |= self._append((block.object_id, block.key), steps, values)
                heads.append({"run": block.object_id, "key": block.key})
                buffers += [steps.tobytes(), values.tobytes()]
            if full:
                self.publish_snapshot()
            else:
                self.send({"type": "points", "number": self._number, "series": heads}, buffers)

    def publish_snapshot(self) -> None:
        """Send everything, for pages that opened late or missed an increment."""
        with self._guard:
            self._snapshot = {
                "number": self._number,
                "series": [
                    {"run": run, "key": key, "steps": steps.tobytes(), "values": values.tobytes()}
                    for (run, key), (steps, values) in self._series.items()
                ],
            }

    def _append(self, name: tuple[str, str], steps: Floats, values: Floats) -> bool:
        """Add points of a series, and tell whether it had to be thinned."""
        old_steps, old_values = self._series.get(name, (np.empty(0), np.empty(0)))
        all_steps, all_values = np.concatenate([old_steps, steps]), np.concatenate([old_values, values])
        thinned = len(all_values) > 2 * _KEPT_POINTS
        if thinned:
            at = kept(all_values, _KEPT_POINTS)
            all_steps, all_values = all_steps[at], all_values[at]
        self._series[name] = (all_steps, all_values)
        return thinned

    def _on_message(self, _widget: object, content: object, buffers: Sequence[Any]) -> None:
        if content == {"type": "resync"} and not buffers:
            self.publish_snapshot()
        else:
            _log.warning("A live chart got a message that it does not know and ignored it.")


def _spec_of(labels: Mapping[str, str]) -> dict[str, Json]:
    return live_spec([], runs=list(labels.values()))


def _runs_of(labels: Mapping[str, str]) -> list[dict[str, str]]:
    colours = cycle(COLOURS)
    return [{"id": run_id, "label": label, "colour": next(colours)} for run_id, label in labels.items()]
