"""What every benchmark shares: one JSON object per measured row on standard output, and a clock that takes the best of several runs.

Absolute figures depend on the machine; rows therefore carry ratios to a limit that was measured in the same run.
"""

import sys
import time
from collections.abc import Callable

import msgspec

__all__ = ["best_s", "print_row"]


def best_s(action: Callable[[], object], *, runs: int = 5) -> float:
    """Return the shortest time that `action` took, in seconds: the one that was disturbed least."""
    times_s: list[float] = []
    for _ in range(runs):
        started_s = time.perf_counter()
        action()
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)


def print_row(name: str, **figures: float | str) -> None:
    """Print a row: its name, and figures whose names end in their unit; floats are cut to four digits."""
    row = {name_: float(f"{value:.4g}") if isinstance(value, float) else value for name_, value in figures.items()}
    sys.stdout.write(msgspec.json.encode({"row": name, **row}).decode() + "\n")
    sys.stdout.flush()
