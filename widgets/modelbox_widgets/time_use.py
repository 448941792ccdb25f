"""What happened when, and where the time of training goes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.runs import ID, checked_runs, run_labels
from modelbox_widgets.style import INK, Rows, by_name, chart_of, heading, themed
from modelbox_widgets.text import middle, short_labels, unique_middle

__all__ = ["MOMENT_COLUMNS", "time_spent", "timeline"]

MOMENT_COLUMNS = ("experiment_id", "kind", "name", "source", "wall_time")
"""Columns of a frame of moments: `kind` is ``"event"`` or ``"checkpoint"``, `wall_time` an aware UTC time."""

_BEFORE = "before the first event"
_MAX_RUNS, _MAX_PHASES, _MAX_MARKS = 40, 8, 1500
_OTHER = "everything else"
_WIDTH = 560
_SHARES = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
_UNITS = ((2 * 86400.0, "days", 86400.0), (2 * 3600.0, "hours", 3600.0), (120.0, "minutes", 60.0), (0.0, "seconds", 1.0))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a run: from and to in seconds since the epoch."""

    run_id: str
    phase: str
    begin_s: float
    end_s: float


def time_spent(runs: pd.DataFrame, moments: pd.DataFrame, points: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how long each run spent in which phase.

    A phase begins with an event and is called like it, with digits as ``#`` (``epoch 3 ended`` and ``epoch 4 ended`` are one). A run
    without events has the phases that its points tell: setting up, logging metrics, and finishing.

    Parameters
    ----------
    runs
        A frame of runs with ``started_at``.
    moments
        What happened: the columns of :data:`MOMENT_COLUMNS`.
    points
        Long frame of points; only the first and the last of each run count.

    Returns
    -------
    pandas.DataFrame
        ``experiment_id``, ``run``, ``phase``, ``seconds`` and ``share`` of the run's time, the longest phase of each run first.
    """
    frame = checked_runs(runs, "timeline()")
    labels = run_labels(frame)
    stretches = pd.DataFrame(
        [(one.run_id, one.phase, one.end_s - one.begin_s) for one in _stretches(frame, moments, points)], columns=[ID, "phase", "seconds"]
    )
    table = stretches.groupby([ID, "phase"], sort=False)["seconds"].sum().reset_index()
    whole = table.groupby(ID)["seconds"].transform("sum")
    table["share"] = (table["seconds"] / whole.where(whole > 0)).fillna(0.0)
    table.insert(1, "run", [labels[run_id] for run_id in table[ID]])
    place = {run_id: at for at, run_id in enumerate(labels)}
    order = np.lexsort([-table["seconds"].to_numpy(), np.array([place[str(run_id)] for run_id in table[ID]])])
    return table.iloc[order].reset_index(drop=True)


def timeline(
    runs: pd.DataFrame, moments: pd.DataFrame, points: pd.DataFrame | None = None, *, x: Literal["elapsed", "clock"] = "elapsed"
) -> alt.VConcatChart:
    """Draw the runs as bars over time with their events and checkpoints, and below it what the time went into.

    Parameters
    ----------
    runs, moments, points
        As for :func:`time_spent`.
    x
        Time since each run began, or the clock (UTC).

    Raises
    ------
    InvalidRequest
        The frame has no ``started_at``, or no run has begun.
    """
    frame = checked_runs(runs, "timeline()")
    if x not in ("elapsed", "clock"):
        raise InvalidRequest(f"x is {shortened(x)}: it must be 'elapsed' or 'clock'.", field="x")
    shown = frame.head(_MAX_RUNS)
    stretches = _stretches(shown, moments, points)
    if not stretches:
        raise InvalidRequest("None of these runs has begun: there is no time to draw.")
    begins = {one.run_id: one.begin_s for one in reversed(stretches)}
    longest = max(one.end_s - begins[one.run_id] for one in stretches)
    unit, unit_s = next((name, size) for least, name, size in _UNITS if longest >= least)
    labels, names = short_labels(shown), run_labels(shown)
    phases = _main_phases(stretches)
    short = dict(zip(phases, unique_middle(phases, 34), strict=True))

    def place(run_id: str, moment_s: float) -> float:
        return (moment_s - begins[run_id]) / unit_s if x == "elapsed" else moment_s * 1000

    bars: Rows = [
        {
            "run": labels[one.run_id],
            "name": names[one.run_id],
            "phase": short.get(one.phase, _OTHER),
            "what": one.phase,
            "begin": place(one.run_id, one.begin_s),
            "end": place(one.run_id, one.end_s),
            "took": _duration(one.end_s - one.begin_s),
        }
        for one in _merged(stretches, phases)
    ]
    ends = {one.run_id: one.end_s for one in stretches}
    marks = _marks(moments, ends, place, labels, names)
    order = list(dict.fromkeys(row["run"] for row in bars))
    colours = [short[phase] for phase in phases] + ([_OTHER] if any(row["phase"] == _OTHER for row in bars) else [])
    colour = by_name("phase:N", colours)
    upper = _bars(bars, marks, colour, x, unit, len(order))
    lower = _totals(stretches, phases, short, by_name("phase:N", colours).copy())
    note = f"; the first {_MAX_RUNS} of {len(frame)}" if len(frame) > _MAX_RUNS else ""
    chart: alt.VConcatChart = alt.vconcat(upper, lower, spacing=30).resolve_scale(color="shared")
    chart.title = heading(f"What happened in {len(order)} runs{note}")
    if marks:
        chart.title.subtitle = "○ event   ◇ checkpoint"
    events, checkpoints = (sum(row["kind"] == kind for row in marks) for kind in ("event", "checkpoint"))
    most = ", ".join(phases[:3])
    return themed(chart, f"Timeline of {len(order)} runs with {events} events and {checkpoints} checkpoints; most time went into: {most}.")


def _bars(bars: Rows, marks: Rows, colour: alt.Color, x: str, unit: str, count: int) -> alt.LayerChart:
    kind = "Q" if x == "elapsed" else "T"
    scale = alt.Scale(nice=False, zero=x == "elapsed") if x == "elapsed" else alt.Scale(type="utc", nice=False)
    along = alt.X(f"begin:{kind}", title=f"{unit} since the run began" if x == "elapsed" else "time (UTC)", scale=scale)
    # By a field of ours: a list of names to sort by would become an expression with these names in it.
    up = alt.Y("run:N", title=None, sort=None, axis=alt.Axis(labelLimit=230, domain=False, ticks=False))
    body = (
        chart_of(bars)
        .mark_bar(height={"band": 0.62}, cornerRadius=2)
        .encode(
            x=along,
            x2="end:Q",
            y=up,
            color=colour,
            opacity=alt.value(0.85),
            tooltip=[alt.Tooltip("name:N", title="run"), alt.Tooltip("what:N", title="phase"), alt.Tooltip("took:N", title="took")],
            description=alt.Description("what:N"),
        )
    )
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=["event", "checkpoint"], range=["circle", "diamond"]), legend=None)
    ticks = (
        chart_of(marks)
        .mark_point(fill="white", stroke="#333333", strokeWidth=1, opacity=1, aria=False)
        .encode(
            x=alt.X(f"at:{kind}"),
            y=up,
            shape=shape,
            size=alt.condition("datum.kind == 'event'", alt.value(24), alt.value(70)),
            tooltip=[
                alt.Tooltip("kind:N"),
                alt.Tooltip("what:N", title="what"),
                alt.Tooltip("source:N"),
                alt.Tooltip("name:N", title="run"),
            ],
        )
    )
    layers: list[alt.Chart] = [body, ticks] if marks else [body]
    return alt.LayerChart(layer=layers).properties(width=_WIDTH, height=max(26 * count, 60))


def _totals(stretches: list[_Stretch], phases: list[str], short: dict[str, str], colour: alt.Color) -> alt.LayerChart:
    whole = sum(one.end_s - one.begin_s for one in stretches)
    seconds: dict[str, float] = {}
    for one in stretches:
        phase = short.get(one.phase, _OTHER)
        seconds[phase] = seconds.get(phase, 0.0) + one.end_s - one.begin_s
    order = [*(short[phase] for phase in phases), *([_OTHER] if _OTHER in seconds else [])]
    rows: Rows = [{"phase": phase, "share": seconds[phase] / whole if whole else 0.0, "took": _duration(seconds[phase])} for phase in order]
    for row in rows:
        row["says"] = f"{row['share']:.0%}, {row['took']}"
    base = chart_of(rows).encode(
        y=alt.Y("phase:N", title=None, sort=None, axis=alt.Axis(labelLimit=230, domain=False, ticks=False)),
        # Stacked bars would be ordered by an expression that lists the phases.
        x=alt.X("share:Q", stack=None, title="share of the time of these runs", axis=_SHARES, scale=alt.Scale(domain=[0, 1.15])),
        tooltip=[alt.Tooltip("phase:N"), alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("took:N", title="took")],
    )
    bar = base.mark_bar(height={"band": 0.62}, cornerRadiusEnd=3).encode(color=colour, opacity=alt.value(0.85))
    text = base.mark_text(align="left", dx=5, color=INK).encode(text="says:N")
    return alt.LayerChart(layer=[bar, text]).properties(width=_WIDTH, height=26 * len(rows))


def _marks(
    moments: pd.DataFrame, ends: dict[str, float], place: Callable[[str, float], Json], labels: dict[str, str], names: dict[str, str]
) -> Rows:
    ours = moments[moments[ID].isin(list(ends))]
    step = -(-len(ours) // _MAX_MARKS) or 1
    rows: Rows = []
    for run_id, kind, name, source, wall_time in ours.iloc[::step][list(MOMENT_COLUMNS)].itertuples(index=False, name=None):
        one = {"run": labels[str(run_id)], "name": names[str(run_id)], "kind": str(kind), "what": middle(str(name), 120)}
        # A checkpoint has the time at which the store heard of it, which may be after the run.
        moment_s = min(pd.Timestamp(wall_time).timestamp(), ends[str(run_id)])
        rows.append({**one, "source": middle(str(source), 60), "at": place(str(run_id), moment_s)})
    return rows


def _stretches(frame: pd.DataFrame, moments: pd.DataFrame, points: pd.DataFrame | None) -> list[_Stretch]:
    """Return the stretches of all runs that have begun, in the order of the frame."""
    if "started_at" not in frame.columns:
        raise InvalidRequest("timeline() needs the column 'started_at', which this frame does not have: start from modelbox.experiments().")
    happened: dict[str, list[tuple[float, str]]] = {}
    for run_id, kind, name, wall_time in moments[[ID, "kind", "name", "wall_time"]].itertuples(index=False, name=None):
        phase = re.sub(r"\d+", "#", str(name)) if kind == "event" else ""
        happened.setdefault(str(run_id), []).append((pd.Timestamp(wall_time).timestamp(), phase))
    spans = _spans(points)
    stretches: list[_Stretch] = []
    ends = frame["finished_at"] if "finished_at" in frame.columns else pd.Series(pd.NaT, index=frame.index)
    for run_id, begin, end in zip(frame[ID].astype(str), frame["started_at"], ends, strict=True):
        if pd.isna(begin):
            continue
        begin_s = pd.Timestamp(begin).timestamp()
        known = [moment_s for moment_s, _ in happened.get(run_id, [])] + list(spans.get(run_id, ()))
        end_s = max([begin_s, *known]) if pd.isna(end) else max(begin_s, pd.Timestamp(end).timestamp())
        events = sorted((moment_s, phase) for moment_s, phase in happened.get(run_id, []) if phase)
        if events:
            edges = [(begin_s, _BEFORE), *events]
        elif run_id in spans:
            first_s, last_s = spans[run_id]
            edges = [(begin_s, "setting up"), (first_s, "logging metrics"), (last_s, "finishing")]
        else:
            edges = [(begin_s, "running")]
        at = [min(max(moment_s, begin_s), end_s) for moment_s, _ in edges] + [end_s]
        parts = [_Stretch(run_id, phase, at[i], at[i + 1]) for i, (_, phase) in enumerate(edges) if at[i + 1] > at[i]]
        stretches += parts or [_Stretch(run_id, edges[-1][1], begin_s, end_s)]
    return stretches


def _spans(points: pd.DataFrame | None) -> dict[str, tuple[float, float]]:
    """Return when the first and the last point of each run were logged."""
    if points is None or points.empty:
        return {}
    bounds = points.groupby(ID, sort=False, observed=True)["wall_time"].agg(["min", "max"])
    return {str(run_id): (row["min"].timestamp(), row["max"].timestamp()) for run_id, row in bounds.iterrows()}


def _main_phases(stretches: list[_Stretch]) -> list[str]:
    """Return the phases that took longest in all runs together, at most as many as a chart can show, the longest first."""
    seconds: dict[str, float] = {}
    for one in stretches:
        seconds[one.phase] = seconds.get(one.phase, 0.0) + one.end_s - one.begin_s
    return sorted(seconds, key=lambda phase: -seconds[phase])[:_MAX_PHASES]


def _merged(stretches: list[_Stretch], phases: list[str]) -> list[_Stretch]:
    """Return the stretches with neighbours of one colour made one: a run may have thousands of events."""
    merged: list[_Stretch] = []
    for one in stretches:
        last = merged[-1] if merged else None
        same = last is not None and last.run_id == one.run_id and (last.phase == one.phase or {last.phase, one.phase}.isdisjoint(phases))
        if same and last is not None:
            merged[-1] = _Stretch(one.run_id, last.phase, last.begin_s, one.end_s)
        else:
            merged.append(one)
    return merged


def _duration(seconds: float) -> str:
    unit, size = next((unit, size) for least, unit, size in _UNITS if seconds >= least)
    return f"{seconds / size:.3g} {unit}"
