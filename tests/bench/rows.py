"""Rows of the comparison: one figure of ours beside the best peer and the physical limit of the same run, and the mark it should reach.

`ratio` and `limit_ratio` say how many times better ours is, whether more or less of the unit is better: 2 is twice as good, 0.5 half.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).resolve().parent / "results.json"


@dataclass
class Samples:
    """What was measured of each tracker, time after time; the median counts."""

    of: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, tracker: str, figures: Mapping[str, object]) -> None:
        """Keep the numbers among `figures`."""
        for name, value in figures.items():
            if isinstance(value, int | float):
                self.of.setdefault((tracker, name), []).append(value)

    def medians(self, figure: str, factor: float = 1.0) -> dict[str, float]:
        """Return the median of one figure for every tracker that has it."""
        return {tracker: median(values) * factor for (tracker, name), values in self.of.items() if name == figure}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a row should reach: so many times the best peer, or an absolute figure where that is what was promised."""

    ratio: float | None = None
    absolute: float | None = None
    text: str = ""

    def __str__(self) -> str:
        if self.text:
            return self.text
        return f"{self.ratio:g}x the best peer" if self.ratio is not None else f"{self.absolute:g}"


class Results:
    """Prints rows as they come, and keeps those of earlier runs that this one did not measure again."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._rows: dict[str, dict[str, object]] = {}
        if RESULTS.exists():
            self._rows = {row["row"]: row for row in json.loads(RESULTS.read_text())["rows"]}

    def row(
        self,
        name: str,
        unit: str,
        figures: Mapping[str, float],
        *,
        ours: str = "modelbox",
        lower: bool = True,
        mark: Mark | None = None,
        note: str = "",
    ) -> None:
        """Print and keep one row.

        Parameters
        ----------
        name, unit
            What was measured.
        figures
            Medians by tracker; ``limits`` is the physical limit, what begins with ``modelbox`` is ours, the rest are peers.
        ours
            Which one of ours stands in this row.
        lower
            Whether less is better.
        mark
            What should be reached.
        note
            What a reader has to know.
        """
        if ours not in figures:
            print(f"{name}: not measured", file=sys.stderr)
            return
        value, limit = figures[ours], figures.get("limits")
        peers = {tracker: number for tracker, number in figures.items() if not tracker.startswith("modelbox") and tracker != "limits"}
        best = (min if lower else max)(peers, key=lambda tracker: peers[tracker], default=None)

        def times(other: float | None) -> float | None:
            if other is None or not other or not value:
                return None
            return _short(other / value if lower else value / other)

        ratio = times(peers[best]) if best is not None else None
        row: dict[str, object] = {
            "bench": "peers",
            "row": name,
            "ours": _short(value),
            "unit": unit,
            "best_peer": best,
            "peer_value": None if best is None else _short(peers[best]),
            "ratio": ratio,
            "limit": None if limit is None else _short(limit),
            "limit_ratio": times(limit),
            "mark": str(mark) if mark else None,
            "met": None if mark is None else _met(mark, value, ratio, lower=lower),
            "note": note,
        }
        print(json.dumps(row), flush=True)
        all_figures = {tracker: _short(number) for tracker, number in figures.items()}
        self._rows[name] = row | {"lower_is_better": lower, "figures": all_figures, "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}

    def save(self, peers: Mapping[str, str]) -> None:
        """Write all rows, with the machine and the versions they were measured with."""
        if self._keep:
            machine = {"processors": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
            content = {"machine": machine, "versions": {"modelbox": _our_version(), **peers}, "rows": list(self._rows.values())}
            RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _met(mark: Mark, value: float, ratio: float | None, *, lower: bool) -> bool | None:
    if mark.ratio is not None:
        return None if ratio is None else ratio >= mark.ratio
    assert mark.absolute is not None
    return value <= mark.absolute if lower else value >= mark.absolute


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _our_version() -> str:
    try:
        return metadata.version("modelbox-jupyter")
    except metadata.PackageNotFoundError:
        return "source tree"
