"""Runs and points for tests of charts and tables, with names that nobody sane would choose, and a look for user text in expressions."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import vl_convert

from modelbox.entities.records import Json
from modelbox.entities.series import SeriesBlock, ValueKind

__all__ = ["HOSTILE_NAMES", "code_in", "compiled", "float_block", "misplaced", "run_id_of", "search"]

HOSTILE_NAMES = (
    "val/loss @1",
    "a.b",
    "a[0]",
    "a'b",
    'a"b',
    "a:b",
    "a\\b",
    "</script><img src=x onerror=alert(1)>",
    "datum.value",
    "${1+1}",
    "🎉 naïve 東京",
    "__proto__",
    "=cmd()",
    "x" * 500,
)
"""Names that a person may give, and that have broken other programs."""

# Where Vega and Vega-Lite expect code, or an address to load.
_CODE_KEYS = frozenset({"expr", "signal", "test", "filter", "update", "calculate", "init", "href", "url", "labelExpr"})

# Texts that Vega shows as they are, and the values of a scale.
_LITERAL_KEYS = frozenset({"text", "title", "subtitle", "description", "domain"})


def run_id_of(number: int) -> str:
    """Return an experiment id."""
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


def search(
    runs: int = 4, steps: int = 20, *, name: str = "digits-mlp", loss: str = "val/loss @1", score: str = "accuracy", param: str = "lr"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a frame of runs and the long frame of their points, as modelbox.experiments() and modelbox.metrics() would.

    Learning rates of 0.001, 0.01 … repeat for two seeds each; one loss is NaN, one infinite.
    """
    records: list[dict[str, Json]] = []
    parts: list[pd.DataFrame] = []
    random = np.random.default_rng(0)
    for number in range(runs):
        run_id = run_id_of(number)
        rate = 10.0 ** -(3 - number // 2 % 3)
        losses = np.exp(-np.arange(steps) * (0.05 + 3 * rate)) + 0.01 * random.random(steps)
        scores = 1 - losses / 2
        if number == 1 and steps > 6:
            losses[3], losses[5] = np.nan, np.inf
        records.append(
            {
                "experiment_id": run_id,
                "name": name,
                "namespace": "équipe/vision",
                "status": "finished",
                "owner": "Zoë",
                f"params.{param}": rate,
                "params.seed": number % 2,
                "params.epochs": steps,
                "tags.search": True,
                "packages": {"numpy": "2.4", "torch": f"2.{number // 2}"},
                **_summary(loss, losses),
                **_summary(score, scores),
            }
        )
        begin = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(hours=number)
        moments = begin + pd.to_timedelta(np.arange(steps) * (1 + 0.1 * number), unit="s")
        parts += [
            pd.DataFrame({"experiment_id": run_id, "key": key, "step": np.arange(steps), "wall_time": moments, "value": values})
            for key, values in ((loss, losses), (score, scores))
        ]
    frame = pd.DataFrame(records)
    frame.attrs["modelbox"] = {"metrics": [loss, score]}
    return frame, pd.concat(parts, ignore_index=True)


def float_block(run_id: str, key: str, values: Sequence[float], *, first_step: int = 0) -> SeriesBlock:
    """Return a float series, one second per step."""
    steps = array("q", range(first_step, first_step + len(values)))
    wall_times_us = array("q", [step * 1_000_000 for step in steps])
    return SeriesBlock(object_id=run_id, key=key, kind=ValueKind.FLOAT, steps=steps, wall_times_us=wall_times_us, values=array("d", values))


def compiled(spec: dict[str, Json]) -> dict[str, Json]:
    """Return the Vega that Vega-Lite makes of a specification."""
    return vl_convert.vegalite_to_vega(spec, vl_version="6.4")


def code_in(vega: Json, key: str = "") -> Iterator[str]:
    """Yield every text of a specification that is run as an expression, or loaded; the data is left out."""
    if isinstance(vega, str):
        if key in _CODE_KEYS:
            yield vega
    elif isinstance(vega, dict):
        for name, value in vega.items():
            if name not in {"values", "datasets"}:
                yield from code_in(value, name)
    elif isinstance(vega, list):
        for value in vega:
            yield from code_in(value, key)


def misplaced(vega: Json, mark: str, key: str = "") -> Iterator[str]:
    """Yield every place of a specification that holds the text `mark` and is neither data nor shown literally, as ``key: text``.

    What remains are expressions, names and paths of fields, addresses, formats: nothing of a user's belongs there.
    """
    if isinstance(vega, str):
        if mark in vega and key not in _LITERAL_KEYS:
            yield f"{key}: {vega}"
    elif isinstance(vega, dict):
        for name, value in vega.items():
            if mark in name:
                yield name
            if name not in {"values", "datasets"}:
                yield from misplaced(value, mark, name)
    elif isinstance(vega, list):
        for value in vega:
            yield from misplaced(value, mark, key)


def _summary(key: str, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, Json]:
    known = values[~np.isnan(values)]
    last = values[-1]
    return {f"metrics.{key}": last, f"metrics.{key}.last": last, f"metrics.{key}.min": known.min(), f"metrics.{key}.max": known.max()}
