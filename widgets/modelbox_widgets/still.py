"""The still picture of a comparison: parallel coordinates and curves, as an SVG made by hand.

A chart of 200 runs takes Vega some seconds to draw; this takes a tenth of a second. Ground is transparent and ink mid-grey, so that one
picture serves light and dark pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from modelbox_widgets.columns import kind_of
from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.points import Floats, kept
from modelbox_widgets.runs import Mode, is_missing
from modelbox_widgets.text import middle, value_text

__all__ = ["GRADIENT", "StillAxis", "StillCurves", "colours_of", "still_axis", "still_svg"]

GRADIENT = ((59, 130, 246), (139, 92, 246), (217, 70, 239), (244, 63, 94), (249, 115, 22))
"""From the worst to the best; the same as in ``static/axes.js``."""

_INK = "#808080"
_WIDTH, _PER_LINE, _GAP = 980, 3, 16
_TALL, _TOP, _LEFT, _RIGHT = 230, 44, 40, 80
_PLOT_HEIGHT, _PLOT_LEFT = 150, 44
_CURVE_POINTS, _FEW_TICKS = 32, 6
_FEW = 10
_WIDE = 100


@dataclass(frozen=True, slots=True)
class StillAxis:
    """An axis: a place from 0 to 1 per run (NaN for none), and texts at places."""

    label: str
    places: Floats
    ticks: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class StillCurves:
    """The curves of one metric: row, steps and values of each run."""

    label: str
    lines: list[tuple[int, Floats, Floats]]


def still_axis(column: "pd.Series[Any]", label: str, mode: Mode | None) -> StillAxis:
    """Return a column as an axis on which better is above."""
    if kind_of(column) == "text":
        texts = ["" if is_missing(value) else value_text(value) for value in column]
        known = sorted({text for text in texts if text})
        at = {text: i / max(len(known) - 1, 1) for i, text in enumerate(known)}
        places = np.array([at.get(text, np.nan) for text in texts], dtype=np.float64)
        return StillAxis(label, places, [(place, middle(text, 14)) for text, place in at.items()][:14])
    values = _numbers(column)
    known_values = values[np.isfinite(values)]
    if not len(known_values):
        return StillAxis(label, np.full(len(values), np.nan), [])
    low, high = float(known_values.min()), float(known_values.max())
    is_log = low > 0 and high / low >= _WIDE
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.log(values) if is_log else values / 2
    bottom, top = (np.log(low), np.log(high)) if is_log else (low / 2, high / 2)
    places = np.where(np.isfinite(values), (scaled - bottom) / ((top - bottom) or 1.0), np.nan)
    distinct = np.unique(known_values)
    if len(distinct) <= _FEW_TICKS:
        at_shares = distinct
        shares = ((np.log(distinct) if is_log else distinct / 2) - bottom) / ((top - bottom) or 1.0)
    else:
        shares = np.linspace(0, 1, 5)
        at_shares = np.exp(bottom + shares * (top - bottom)) if is_log else 2 * (bottom + shares * (top - bottom))
    is_time = pd.api.types.is_datetime64_any_dtype(column.dtype)
    texts = [f"{pd.Timestamp(value, unit='ms'):%m-%d %H:%M}" if is_time else value_text(float(f"{value:.3g}")) for value in at_shares]
    flipped = mode == "min"
    ticks = [(1 - share if flipped else float(share), text) for share, text in zip(shares.tolist(), texts, strict=True)]
    return StillAxis(label, 1 - places if flipped else places, ticks)


def _numbers(column: "pd.Series[Any]") -> Floats:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moments = column.dt.as_unit("ms").astype("int64").to_numpy(dtype=np.float64)
        return np.where(column.isna().to_numpy(), np.nan, moments)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def colours_of(count: int, places: "Floats | None") -> list[str]:
    """Return a colour per run: its own where there are few, else by its place from worst to best."""
    if count <= _FEW or places is None:
        return [COLOURS[i % len(COLOURS)] for i in range(count)]
    stops = np.linspace(0, 1, len(GRADIENT))
    red, green, blue = (np.interp(np.nan_to_num(places), stops, [stop[i] for stop in GRADIENT]).round().astype(int) for i in range(3))
    known = ~np.isnan(places)
    return [f"rgb({r},{g},{b})" if ok else _INK for r, g, b, ok in zip(red, green, blue, known, strict=True)]


def still_svg(axes: Sequence[StillAxis], curves: Sequence[StillCurves], colours: Sequence[str]) -> str:
    """Return parallel coordinates above curves as one SVG; empty text when there is neither."""
    parts: list[str] = []
    height = 0
    if len(axes) > 1:
        parts.append(_parallel(axes, colours))
        height = _TALL + 26
    per_line = max(1, min(len(curves), _PER_LINE))
    width = (_WIDTH - (per_line - 1) * _GAP) // per_line
    for i, one in enumerate(curves):
        x, y = i % per_line * (width + _GAP), height + i // per_line * (_PLOT_HEIGHT + _GAP + 20)
        parts.append(f'<g transform="translate({x},{y})">{_plot(one, colours, width)}</g>')
    height += -(-len(curves) // per_line) * (_PLOT_HEIGHT + _GAP + 20)
    if not parts:
        return ""
    style = f'font-family="system-ui, DejaVu Sans, sans-serif" font-size="11" fill="{_INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" {style}>'
        f"{''.join(parts)}</svg>"
    )


def _parallel(axes: Sequence[StillAxis], colours: Sequence[str]) -> str:
    bottom = _TALL - 14
    xs = np.linspace(_LEFT, _WIDTH - _RIGHT, len(axes))
    gap = float(xs[1] - xs[0])
    # What is not there lies below the axis.
    ys = np.array([np.where(np.isnan(axis.places), _TALL + 6, bottom - axis.places * (bottom - _TOP)) for axis in axes])
    lines = [_line(xs, ys[:, row], colour, len(colours)) for row, colour in enumerate(colours)]
    frame: list[str] = []
    for at, (x, axis) in enumerate(zip(xs.tolist(), axes, strict=True)):
        frame.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="{_INK}"/>')
        name = _text(axis.label, max(6, int(gap / 7)))
        anchor, left = ("middle", x) if at else ("start", 2.0)  # the first name may be longer than there is room left of its axis
        frame.append(f'<text x="{left:.1f}" y="26" text-anchor="{anchor}" font-weight="bold">{name}</text>')
        frame += [
            f'<text x="{x + 5:.1f}" y="{bottom - place * (bottom - _TOP) + 4:.1f}" font-size="10">{_text(text, 14)}</text>'
            for place, text in axis.ticks
        ]
    return "".join([*lines, *frame])


def _plot(curves: StillCurves, colours: Sequence[str], width: int) -> str:
    finite = [values[np.isfinite(values)] for _, _, values in curves.lines]
    known = np.concatenate(finite) if finite else np.empty(0)
    title = f'<text x="0" y="12" font-weight="bold">{_text(curves.label, 44)}</text>'
    if not len(known):
        return title
    low, high = float(known.min()), float(known.max())
    first = min(float(steps.min()) for _, steps, _ in curves.lines)
    last = max(float(steps.max()) for _, steps, _ in curves.lines)
    top, bottom = 22, _PLOT_HEIGHT
    half = (high / 2 - low / 2) or 1.0
    frame = ""
    for value in dict.fromkeys((low, low / 2 + high / 2, high)):
        y = bottom - (value / 2 - low / 2) / half * (bottom - top)
        frame += f'<line x1="{_PLOT_LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_INK}" stroke-opacity="0.25"/>'
        label = value_text(float(f"{value:.3g}"))
        frame += f'<text x="{_PLOT_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" font-size="10">{escape(label)}</text>'
    for at, anchor, step in ((_PLOT_LEFT, "start", first), (width, "end", last)):
        frame += f'<text x="{at}" y="{bottom + 14}" text-anchor="{anchor}" font-size="10">{escape(value_text(step))}</text>'
    lines = []
    for row, steps, values in curves.lines:
        chosen = kept(values, _CURVE_POINTS)
        steps, values = steps[chosen], values[chosen]
        known_here = np.isfinite(values)
        xs = _PLOT_LEFT + (steps[known_here] - first) / ((last - first) or 1.0) * (width - _PLOT_LEFT)
        ys = bottom - (values[known_here] / 2 - low / 2) / half * (bottom - top)
        lines.append(_line(xs, ys, colours[row], len(colours)))
    return title + frame + "".join(lines)


def _line(xs: Floats, ys: Floats, colour: str, count: int) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
    width, opacity = (1.6, 0.85) if count <= 60 else (1.1, 0.5)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
    )


def _text(text: str, limit_chars: int) -> str:
    return escape(middle(text, limit_chars))
