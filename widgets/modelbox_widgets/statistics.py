"""Repetitions of one thing (seeds, folds) as numbers: means with their confidence, and whether a difference is more than luck."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, shortened
from modelbox_widgets.points import Floats
from modelbox_widgets.runs import (
    Mode,
    checked_runs,
    column_of,
    comparable,
    differing_settings,
    known_polarity,
    polarity,
    scores_of,
    setting_name,
)
from modelbox_widgets.student import t_critical, t_p_value
from modelbox_widgets.text import middle, value_text

__all__ = ["stats"]

_REPEATED = ("seed", "random_state", "random_seed", "fold", "split", "repetition", "repeat", "trial")
_ALL = "all runs"


@dataclass(frozen=True, slots=True)
class _Group:
    """The runs of one setting: its name, the values of the columns that make it, and the number of each run by what pairs it."""

    name: str
    setting: tuple[Json, ...]
    numbers: Floats
    partners: tuple[str, ...]

    @property
    def mean(self) -> float:
        return float(self.numbers.mean()) if len(self.numbers) else math.nan

    @property
    def std(self) -> float:
        return float(self.numbers.std(ddof=1)) if len(self.numbers) > 1 else math.nan


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How a group compares with the one it is held against."""

    difference: float = math.nan
    effect_size: float = math.nan
    effect: str = ""
    p_value: float = math.nan
    pairs: int = 0
    test: str = ""


def stats(
    runs: pd.DataFrame,
    metric: str,
    *,
    by: str | list[str] | None = None,
    pair: str | None = None,
    mode: Mode | None = None,
    score: Literal["last", "reached"] = "last",
    level: float = 0.95,
) -> pd.DataFrame:
    """Return mean, spread and confidence of a metric per group of repetitions, and how each group compares with the best one.

    Parameters
    ----------
    runs
        A frame of runs.
    metric
        Key of the metric.
    by
        Column or columns that repetitions share, such as ``"params.lr"``; by default the parameters that differ, except `pair`.
    pair
        Column that tells which runs of two groups belong together; by default a parameter called seed, fold or alike. Where every run of
        the smaller group has a partner, differences within pairs are tested, which finds smaller effects.
    mode
        Whether ``"min"`` or ``"max"`` is best; by default judged by the metric's name.
    score
        Judge a run by its last value, or by the best one that it reached at any step.
    level
        Of the confidence interval.

    Returns
    -------
    pandas.DataFrame
        One row per group, the best mean first: the columns of `by`; ``n`` (runs with a finite number), ``mean``, ``std``, ``ci_low`` and
        ``ci_high`` (of the mean, Student's t), ``min``, ``max``; ``versus`` (the best group), ``difference`` of the means,
        ``effect_size`` in standard deviations and what it is called (``effect``), ``p_value`` (two-sided), ``p_holm`` (the same, corrected
        for the number of comparisons), ``pairs`` (0 for unpaired runs), and ``test``, which names the test or says why there is none.

    Raises
    ------
    InvalidRequest
        A column or the metric does not exist, or no run has a number for it.
    """
    frame = checked_runs(runs, "stats()")
    if not 0 < level < 1:
        raise InvalidRequest(f"level is {shortened(level)}: it must lie between 0 and 1, such as 0.95.", field="level")
    direction = known_polarity(metric, mode) if score == "reached" else mode or polarity(metric)
    numbers = np.asarray(scores_of(frame, metric, direction, score), dtype=np.float64)
    partner_column = _partner_column(frame, pair)
    columns = _group_columns(frame, by, partner_column)
    groups = _groups(frame, columns, partner_column, numbers)
    if not any(len(group.numbers) for group in groups):
        raise InvalidRequest(f"None of these runs has a finite number for the metric {shortened(metric)}: there is nothing to average.")
    if direction is not None:
        groups.sort(key=lambda group: (math.isnan(group.mean), group.mean if direction == "min" else -group.mean))
    best = groups[0]
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of what floats can hold
        verdicts = [_Verdict() if group is best else _compared(group, best, partner_column) for group in groups]
        summaries = [_summary(group, level) for group in groups]
    settings = [dict(zip(columns or ["group"], group.setting, strict=True)) for group in groups]
    table = pd.DataFrame([{**setting, **summary} for setting, summary in zip(settings, summaries, strict=True)])
    table["versus"] = ["" if group is best else best.name for group in groups]
    for field in ("difference", "effect_size", "effect", "p_value"):
        table[field] = [getattr(verdict, field) for verdict in verdicts]
    table["p_holm"] = _holm([verdict.p_value for verdict in verdicts])
    table["pairs"] = [verdict.pairs for verdict in verdicts]
    table["test"] = [verdict.test for verdict in verdicts]
    return table


def _partner_column(frame: pd.DataFrame, pair: str | None) -> str | None:
    if pair is not None:
        return column_of(frame, pair, "stats(pair=…)")
    return next((f"params.{name}" for name in _REPEATED if f"params.{name}" in frame.columns), None)


def _group_columns(frame: pd.DataFrame, by: str | list[str] | None, partner_column: str | None) -> list[str]:
    if by is not None:
        return [column_of(frame, name, "stats(by=…)") for name in ([by] if isinstance(by, str) else by)]
    return [column for column in differing_settings(frame) if column.startswith("params.") and column != partner_column]


def _groups(frame: pd.DataFrame, columns: list[str], partner_column: str | None, numbers: Floats) -> list[_Group]:
    settings = list(frame[columns].itertuples(index=False, name=None)) if columns else [(_ALL,)] * len(frame)
    partners = [""] * len(frame) if partner_column is None or partner_column in columns else [comparable(v) for v in frame[partner_column]]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, setting in enumerate(settings):
        rows.setdefault(tuple(map(comparable, setting)), []).append(row)
    groups = []
    for members in rows.values():
        setting = settings[members[0]]
        known = [row for row in members if np.isfinite(numbers[row])]
        name = ", ".join(f"{setting_name(column)} = {value_text(value)}" for column, value in zip(columns, setting, strict=False)) or _ALL
        groups.append(_Group(middle(name, 80), setting, numbers[known], tuple(partners[row] for row in known)))
    return groups


def _summary(group: _Group, level: float) -> dict[str, float]:
    count = len(group.numbers)
    half = t_critical(count - 1, level) * group.std / math.sqrt(count) if count > 1 else math.nan
    return {
        "n": count,
        "mean": group.mean,
        "std": group.std,
        "ci_low": group.mean - half,
        "ci_high": group.mean + half,
        "min": float(group.numbers.min()) if count else math.nan,
        "max": float(group.numbers.max()) if count else math.nan,
    }


def _compared(group: _Group, best: _Group, partner_column: str | None) -> _Verdict:
    if not len(group.numbers):
        return _Verdict(test="none: no run has a number")
    difference = group.mean - best.mean
    shared = _pairs(group, best)
    if shared is not None and partner_column is not None:
        return _paired(shared, difference)
    if len(group.numbers) < 2 or len(best.numbers) < 2:
        return _Verdict(difference, test="none: one run says nothing about luck")
    return _welch(group.numbers, best.numbers, difference)


def _pairs(group: _Group, best: _Group) -> "Floats | None":
    """Return the differences of partners; ``None`` unless all runs of the smaller group have one, and there are two."""
    mine, theirs = dict(zip(group.partners, group.numbers, strict=True)), dict(zip(best.partners, best.numbers, strict=True))
    if "" in mine or "" in theirs or len(mine) != len(group.numbers) or len(theirs) != len(best.numbers):
        return None
    both = sorted(mine.keys() & theirs.keys())
    return np.array([mine[key] - theirs[key] for key in both]) if 2 <= len(both) == min(len(mine), len(theirs)) else None


def _paired(differences: Floats, difference: float) -> _Verdict:
    count, mean, spread = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    if not abs(mean) * 1e-12 < spread < math.inf:
        return _Verdict(difference, pairs=count, test="none: all pairs differ by the same amount")
    return _Verdict(
        difference, mean / spread, "Cohen's dz", t_p_value(mean / (spread / math.sqrt(count)), count - 1), count, "paired t-test"
    )


def _welch(mine: Floats, theirs: Floats, difference: float) -> _Verdict:
    n, m = len(mine), len(theirs)
    mine_share, theirs_share = float(mine.var(ddof=1)) / n, float(theirs.var(ddof=1)) / m
    error = mine_share + theirs_share
    rounding = 1e-13 * max(abs(float(mine.mean())), abs(float(theirs.mean())))
    if not error > rounding * rounding:
        return _Verdict(difference, test="none: no spread within the groups")
    if not error < math.inf:
        return _Verdict(difference, test="none: the numbers are too large")
    freedom = 1 / ((mine_share / error) ** 2 / (n - 1) + (theirs_share / error) ** 2 / (m - 1))
    pooled = math.sqrt((float(mine.var(ddof=1)) * (n - 1) + float(theirs.var(ddof=1)) * (m - 1)) / (n + m - 2))
    small_samples = 1 - 3 / (4 * (n + m) - 9)
    p_value = t_p_value(difference / math.sqrt(error), freedom)
    return _Verdict(difference, difference / pooled * small_samples, "Hedges' g", p_value, test="Welch's t-test")


def _holm(p_values: list[float]) -> list[float]:
    """Return the p values corrected by Holm's method; NaN stays NaN."""
    known = sorted((p, at) for at, p in enumerate(p_values) if not math.isnan(p))
    corrected = list(p_values)
    so_far = 0.0
    for rank, (p, at) in enumerate(known):
        so_far = max(so_far, min(1.0, p * (len(known) - rank)))
        corrected[at] = so_far
    return corrected
