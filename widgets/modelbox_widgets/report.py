"""A comparison of runs as one HTML file that needs nothing else: no network, no server, no notebook.

The page holds Vega once, the charts as JSON beside it, and everything else as plain HTML that reads without any script. A content security
policy in the page allows exactly the two scripts that it brings, and no address at all.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from itertools import count

import altair as alt
import pandas as pd

from modelbox.errors import InvalidRequest
from modelbox_widgets.charts import overview
from modelbox_widgets.coordinates import parallel
from modelbox_widgets.explanation import importance
from modelbox_widgets.picture import VEGALITE_VERSION, png_of
from modelbox_widgets.report_parts import code_sections, differences_table, overview_table, run_details
from modelbox_widgets.runs import checked_runs, main_metrics, polarity
from modelbox_widgets.style import themed
from modelbox_widgets.tables import leaderboard
from modelbox_widgets.text import middle
from modelbox_widgets.time_use import timeline
from modelbox_widgets.trade_offs import pareto

__all__ = ["ARTIFACT_COLUMNS", "report_html"]

ARTIFACT_COLUMNS = ("experiment_id", "name", "storage", "size_bytes", "sha256", "md5", "uri")
"""Columns of the frame of artifacts that :func:`report_html` takes."""

_Drawing = Callable[[], "alt.Chart | alt.LayerChart | alt.VConcatChart | None"]


def report_html(
    runs: pd.DataFrame,
    points: pd.DataFrame,
    *,
    moments: pd.DataFrame,
    artifacts: pd.DataFrame,
    title: str,
    created_at: datetime,
    store: str = "",
    metrics: Sequence[str] | None = None,
) -> str:
    """Return a report about runs as one HTML page.

    Parameters
    ----------
    runs
        A frame of runs, with packages and patches where they are to be shown.
    points
        Long frame of their metric points.
    moments
        Events and checkpoints: the columns of :data:`modelbox_widgets.time_use.MOMENT_COLUMNS`.
    artifacts
        Files of the runs: :data:`ARTIFACT_COLUMNS`.
    title
        Heading of the page.
    created_at
        When the report was made.
    store
        Where the runs are kept, for the foot of the page.
    metrics
        Metrics to show, the one to judge by first; by default those that tell most.
    """
    frame = checked_runs(runs, "report()")
    chosen = main_metrics(frame) if metrics is None else list(metrics)
    if chosen and polarity(chosen[0]) is not None:
        frame = leaderboard(frame, chosen[0])
    sections = [
        ("overview", "Runs", overview_table(frame, chosen)),
        ("differences", "What differs", differences_table(frame)),
        ("charts", "Charts", _figures(frame, points, moments, chosen)),
        ("runs", "Every run", _RUN_TOOLS + "".join(run_details(frame, artifacts))),
        *code_sections(frame),
    ]
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading, _ in sections)
    facts = f"{len(frame)} run{'s' * (len(frame) != 1)} · {created_at:%Y-%m-%d %H:%M} UTC"
    scripts = (_vega(), _static("report.js"))
    return _PAGE.format(
        policy=escape(_policy(scripts)),
        title=escape(middle(title, 120)),
        style=_static("report.css"),
        heading=escape(title),
        facts=escape(facts),
        links=links,
        sections="\n".join(f'<section id="{name}"><h2>{heading}</h2>{body}</section>' for name, heading, body in sections),
        store=escape(f"Made by ModelBox from {store}." if store else "Made by ModelBox."),
        vega=scripts[0],
        script=scripts[1],
    )


_RUN_TOOLS = '<p class="tools" data-needs-script hidden><button id="open-all" aria-pressed="false">open or close all</button></p>'
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{heading}</h1><div class="dim">{facts}</div></header>
<nav><ul>{links}</ul></nav>
<main>
{sections}
</main>
<footer class="dim">{store}</footer>
<script>{vega}</script>
<script>{script}</script>
</body>
</html>
"""


def _figures(frame: pd.DataFrame, points: pd.DataFrame, moments: pd.DataFrame, metrics: list[str]) -> str:
    main = metrics[0] if metrics else None
    judged = [metric for metric in metrics if polarity(metric) is not None]

    def curves() -> alt.VConcatChart | None:
        chart = overview(points, frame, metrics=metrics, colour_by=main)
        words = f"Curves of {', '.join(middle(metric) for metric in metrics)} of {len(frame)} runs."
        return None if chart is None else themed(alt.vconcat(chart), words)

    several = len(frame) > 1
    drawings: list[tuple[str, bool, _Drawing]] = [
        ("Curves", bool(metrics), curves),
        ("Parallel coordinates", several, lambda: parallel(frame, metric=main)),
        ("Importance", several and main is not None, lambda: importance(frame, main or "")),
        ("Trade-off", several and len(judged) > 1, lambda: pareto(frame, judged[1], judged[0])),
        ("Timeline", True, lambda: timeline(frame, moments, points)),
    ]
    numbers = count()
    figures = [_figure(heading, drawing, numbers) for heading, wanted, drawing in drawings if wanted]
    return "".join(figures)


def _figure(heading: str, drawing: _Drawing, numbers: "count[int]") -> str:
    try:
        chart = drawing()
    except InvalidRequest as problem:
        return f'<h3>{heading}</h3><p class="dim">{escape(problem.detail)}</p>'
    if chart is None:
        return f'<h3>{heading}</h3><p class="dim">These runs logged no numbers.</p>'
    spec = chart.to_dict()
    name = f"chart-{next(numbers)}"
    words = escape(str(spec.get("description", heading)))
    png = png_of(spec)
    picture = "" if png is None else f'<img alt="{words}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
    return (
        f'<h3>{heading}</h3><figure><div class="plot" data-spec="{name}" role="img" aria-label="{words}"></div>'
        f'<noscript>{picture}</noscript></figure><script type="application/json" id="{name}">{_json(spec)}</script>'
    )


def _json(spec: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(spec, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _policy(scripts: Sequence[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'" for text in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


@cache
def _static(name: str) -> str:
    return (files("modelbox_widgets") / "static" / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, from the program that also draws our pictures; it takes two seconds, once."""
    import vl_convert

    script = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGALITE_VERSION))
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
