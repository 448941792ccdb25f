"""What a live chart is displayed as: one bundle for pages that follow it, for widgets, and for viewers that only know HTML or pictures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelbox.entities.records import ExperimentRecord, Json
from modelbox_widgets.live_spec import VEGALITE, live_spec, static_html, static_text
from modelbox_widgets.picture import PNG, png_metadata, png_of
from modelbox_widgets.points import PointRow

if TYPE_CHECKING:
    from modelbox_widgets.cell_chart import CellChart

__all__ = ["live_bundle"]

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_INTERVAL_MS = 500


def live_bundle(
    rows: Sequence[PointRow],
    records: Sequence[ExperimentRecord],
    labels: Mapping[str, str],
    *,
    final: bool,
    follow: bool,
    widget: "CellChart | None",
) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the bundle of a chart and its metadata.

    Parameters
    ----------
    rows
        Points that are known; they are inlined.
    records, labels
        The experiments, in the order of their colours, and what they are called.
    final
        Add a picture. It holds up the interpreter for 0.2 s, so running experiments have none.
    follow
        Ask the page to keep the chart up to date by itself, from the server that it comes from.
    widget
        Draws while the experiments run, where no page can follow them. The specification is then left out: JupyterLab would draw that
        instead, and it would stand still.
    """
    bundle: dict[str, Json] = {"text/plain": static_text(rows, records, labels), "text/html": static_html(rows, records, labels)}
    metadata: dict[str, Json] = {}
    if widget is not None:
        bundle[_WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        return bundle, metadata
    if final and not rows:  # nothing was logged: an empty frame would say less than the line of the table
        return bundle, metadata
    spec = live_spec(rows, runs=list(labels.values()))
    bundle[VEGALITE] = spec
    if follow:
        live = {"objects": [record.id for record in records], "keys": None, "interval_ms": _INTERVAL_MS}
        metadata[VEGALITE] = {"modelbox": {"live": live}}
    png = png_of(spec) if final else None
    if png is not None:
        bundle[PNG] = png
        metadata[PNG] = png_metadata(png)
    return bundle, metadata
