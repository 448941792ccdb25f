"""The live chart as plain data: a hand-made Vega-Lite specification and static pictures of the same rows.

Made without Altair, whose import takes longer than many a training cell. The data source is called ``points`` and its fields are those of
:class:`~modelbox_widgets.points.PointRow`; whoever draws the chart follows a run by adding rows to that source. Names of runs and metrics
are only ever data.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter

from modelbox.entities.records import ExperimentRecord, Json
from modelbox_widgets.points import PointRow
from modelbox_widgets.text import clipped, html_row, html_table, html_view, value_text

__all__ = ["COLOURS", "SCHEMA", "VEGALITE", "labels_of", "live_spec", "run_table", "static_html", "static_text"]

VEGALITE = "application/vnd.vegalite.v6+json"
"""Media type of a Vega-Lite 6 specification; valid in a notebook file, unlike the one that Altair 6 uses."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

COLOURS = ("#2f7ed8", "#f58518", "#8000ff", "#bfb47c", "#bf0000", "#73584b", "#e695bd", "#4b5873", "#95a3e6", "#7f66ff")
"""Colours of runs, in order: readable on light and on dark pages, and told apart by colour-blind eyes (a test measures both)."""

NEUTRAL: dict[str, Json] = {
    "axis": {
        "labelColor": "#808080",
        "titleColor": "#808080",
        "domainColor": "#808080",
        "tickColor": "#808080",
        "gridColor": "#808080",
        "gridOpacity": 0.2,
        "titleFontWeight": "normal",
        "labelLimit": 120,
    },
    "legend": {"labelColor": "#808080", "titleColor": "#808080", "labelLimit": 220, "symbolLimit": 20, "titleFontWeight": "normal"},
    "header": {"labelColor": "#808080", "titleColor": "#808080", "labelFontSize": 12, "labelFontWeight": "bold", "labelLimit": 240},
    "title": {"color": "#808080", "subtitleColor": "#808080", "fontSize": 13},
    "view": {"stroke": None},
}
"""Configuration of every chart: transparent ground and mid-grey ink, so that one picture serves light and dark pages."""

_HEIGHT, _WIDTH, _COLUMNS = 150, 250, 3
_PLOT = (260, 110)
_FEW_ROWS = 40


def labels_of(records: Sequence[ExperimentRecord]) -> dict[str, str]:
    """Return what each experiment is called, by id: its name, with the start of its id where several share it (as the page does it)."""
    counts = Counter(record.name for record in records)
    return {record.id: record.name if counts[record.name] == 1 else f"{record.name} ({record.id[:8]})" for record in records}


def live_spec(rows: Sequence[PointRow], *, runs: Sequence[str]) -> dict[str, Json]:
    """Return the chart of some runs: one small plot per metric, each with its own scale, one line per run.

    Parameters
    ----------
    rows
        What is known so far; may be empty.
    runs
        Labels of the runs, in the order of their colours. A legend appears when there are several, and not too many.
    """
    step: dict[str, Json] = {
        "field": "step",
        "type": "quantitative",
        "axis": {"title": "step", "tickMinStep": 1, "tickCount": 5, "format": ",d"},
    }
    tooltip: list[Json] = [
        {"field": "run", "type": "nominal"},
        {"field": "step", "type": "quantitative"},
        {"field": "value", "type": "quantitative", "format": ".5~g"},
    ]
    colour: dict[str, Json] = {
        "field": "run",
        "type": "nominal",
        "scale": {"domain": list(runs), "range": [COLOURS[i % len(COLOURS)] for i in range(len(runs))]},
        "legend": {"title": None, "orient": "top", "columns": 4} if 1 < len(runs) <= len(COLOURS) else None,
    }
    line: dict[str, Json] = {
        # A point mark under each value makes single points visible and gives the pointer something to find.
        "mark": {"type": "line", "strokeWidth": 1.8, "point": {"size": 40 if len(rows) <= _FEW_ROWS else 12, "opacity": 0.7}, "clip": True},
        "encoding": {
            "x": step,
            "y": {"field": "value", "type": "quantitative", "scale": {"zero": False}, "axis": {"title": None, "tickCount": 5}},
            "color": colour,
            "tooltip": tooltip,
        },
    }
    # NaN and infinities have no place on the scale: a red tick on the ground line says at which step they were logged.
    not_finite: dict[str, Json] = {
        "transform": [{"filter": {"not": {"field": "value", "valid": True}}}],
        "mark": {"type": "tick", "color": "#e45756", "thickness": 2, "height": 10, "orient": "vertical"},
        "encoding": {"x": step, "y": {"value": _HEIGHT}, "tooltip": tooltip[:2]},
    }
    return {
        "$schema": SCHEMA,
        "background": "transparent",
        "config": NEUTRAL,
        "data": {"name": "points", "values": list(rows)},
        "facet": {"field": "key", "type": "nominal", "header": {"title": None}},
        "columns": _COLUMNS,
        "resolve": {"scale": {"y": "independent", "x": "independent"}},
        "spec": {"width": _WIDTH, "height": _HEIGHT, "layer": [line, not_finite]},
    }


def static_html(rows: Sequence[PointRow], records: Sequence[ExperimentRecord], labels: Mapping[str, str], *, picture: str = "") -> str:
    """Return the same picture without any script: last values as a table, and each metric as a small drawing, or else `picture`, HTML."""
    colours = {record.id: COLOURS[i % len(COLOURS)] for i, record in enumerate(records)}
    head, body = run_table(rows, records, labels)
    table = html_table([(text, "") for text in head], [html_row([(text, "") for text in row]) for row in body])
    if picture:
        return html_view(table, picture)
    plots = "".join(_plot(key, list(points), colours) for key, points in groupby(sorted(rows, key=itemgetter("key")), itemgetter("key")))
    return html_view(table, f'<div class="modelbox-plots modelbox-picture">{plots}</div>')


def static_text(rows: Sequence[PointRow], records: Sequence[ExperimentRecord], labels: Mapping[str, str]) -> str:
    """Return one line per run: name, status, and the last value of each metric."""
    head, body = run_table(rows, records, labels)
    lines = []
    for name, status, *values in body:
        shown = [f"{clipped(key, 40)}={value}" for key, value in zip(head[2:], values, strict=True) if value]
        lines.append(", ".join([f"{clipped(name)}: {status}", *shown]))
    return "\n".join(lines)


def run_table(
    rows: Sequence[PointRow], records: Sequence[ExperimentRecord], labels: Mapping[str, str]
) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table with a line per run: its label, its status and the last value of each metric."""
    last: dict[tuple[str, str], float | None] = {(row["run_id"], row["key"]): row["value"] for row in rows}
    keys = sorted({key for _, key in last})
    body = [
        [
            labels.get(record.id, record.id[:8]),
            str(record.status),
            *("" if (record.id, key) not in last else _number(last[record.id, key]) for key in keys),
        ]
        for record in records
    ]
    return ["run", "status", *keys], body


def _number(value: float | None) -> str:
    return "not finite" if value is None else value_text(value)


def _plot(key: str, rows: Sequence[PointRow], colours: Mapping[str, str]) -> str:
    """Return one metric as an inline SVG with a line per run."""
    points = [(row["run_id"], row["step"], row["value"]) for row in rows if row["value"] is not None]
    if not points:
        return ""
    steps, values = [step for _, step, _ in points], [value for _, _, value in points]
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    width, height = _PLOT
    # Scaled before subtracting: two huge values of opposite sign must not overflow to infinity.
    half = max(high / 2 - low / 2, 5e-324)

    def place(step: int, value: float) -> str:
        x = (step - left) / max(right - left, 1) * (width - 8) + 4
        y = (height - 4) - (value / 2 - low / 2) / half * (height - 8)
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<polyline fill="none" stroke-width="1.6" stroke-linejoin="round" stroke="{colours.get(run, COLOURS[0])}" '
        f'points="{" ".join(place(step, value) for _, step, value in line)}"/>'
        for run, line in ((run, list(line)) for run, line in groupby(sorted(points, key=itemgetter(0)), itemgetter(0)))
    ]
    caption = f"{escape(clipped(key))} <span class='modelbox-dim'>{value_text(low)} … {value_text(high)}</span>"
    frame = f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="4" fill="none" stroke="rgba(128,128,128,.3)"/>'
    return (
        f'<figure><figcaption>{caption}</figcaption><svg width="{width}" height="{height}" role="img" aria-label="{escape(clipped(key))}">'
        f"{frame}{''.join(lines)}</svg></figure>"
    )
