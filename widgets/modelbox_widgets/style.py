"""What all Altair charts share: neutral ink, colours, and numbers that JSON can carry."""

import math
from typing import TypeVar

import altair as alt

from modelbox.entities.records import Json
from modelbox_widgets.live_spec import COLOURS, NEUTRAL
from modelbox_widgets.text import middle

__all__ = ["INK", "Rows", "by_name", "by_score", "chart_of", "finite", "heading", "themed"]

INK = "#808080"

# Of blue over violet to orange: every part of it can be told from a white page and from a black one.
_GRADIENT = ("#3b82f6", "#8b5cf6", "#d946ef", "#f43f5e", "#f97316")

Rows = list[dict[str, Json]]
"""Rows of a chart; field names are ours, labels of users are values."""


_C = TypeVar("_C", alt.Chart, alt.LayerChart, alt.VConcatChart)


def themed(chart: _C, description: str) -> _C:
    """Return `chart` with transparent ground and mid-grey ink, readable on light and on dark pages, and with its content in words."""
    return chart.properties(background="transparent", config=alt.Config.from_dict(NEUTRAL), description=middle(description, 400))


def chart_of(rows: Rows) -> alt.Chart:
    """Return an empty chart over `rows`, which are taken as they are: Altair's limit on rows is for frames.

    A plain dict, not ``alt.InlineData``: that would check every row against the schema of Vega-Lite, three times.
    """
    return alt.Chart({"values": rows})


def by_name(field: str, names: list[str]) -> alt.Color:
    """Return a colour per name, in order; names beyond the palette begin it again. One name needs no legend."""
    legend = None if len(names) < 2 else alt.Legend(orient="right", symbolLimit=20, symbolType="circle", symbolOpacity=1)
    scale = alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    return alt.Color(field, title=None, scale=scale, legend=legend)


def by_score(field: str, *, legend: bool = True) -> alt.Color:
    """Return a colour by a number.

    It has no title: Vega-Lite copies titles of encodings into the expressions of its descriptions for screen readers, and this one would be
    a user's text. Say in the title of the chart what the colour means.
    """
    shown = alt.Legend(gradientThickness=10, format=".3~g") if legend else None
    return alt.Color(field, title=None, scale=alt.Scale(range=list(_GRADIENT)), legend=shown)


def heading(text: str) -> alt.Title:
    """Return a chart title; the place for text of users, which titles of axes and legends are not."""
    return alt.Title(text, anchor="start", fontSize=12, fontWeight="normal", offset=10)


def finite(value: float) -> float | None:
    """Return `value` as JSON can carry it: ``None`` for NaN and infinities."""
    return value if math.isfinite(value) else None
