"""How fast somebody may go: buckets of tokens, one for each user, in this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Buckets"]

_FULL_S: Final = 2.0
_ALMOST_ONE: Final = 1 - 1e-6  # sums of fractions are inexact, and nobody should come back for a billionth
_MAX_BUCKETS: Final = 10_000


class Buckets:
    """Buckets that fill at the rate of each user, and hold what is allowed in two seconds.

    Whoever has anything left may take more than that, and waits the longer afterwards: a batch is never too large for a bucket.

    Parameters
    ----------
    monotonic_s
        Seconds that never run backwards.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._buckets: dict[str, tuple[float, float]] = {}  # what was left, and when
        self._lock = threading.Lock()

    def take(self, user: str, count: int, per_s: int) -> float:
        """Take `count`, or nothing; return after how many seconds to try again, 0 where they were taken."""
        now_s = self._monotonic_s()
        full = per_s * _FULL_S
        with self._lock:
            left, at_s = self._buckets.get(user, (full, now_s))
            left = min(full, left + (now_s - at_s) * per_s)
            if left < _ALMOST_ONE:
                return (1 - left) / per_s
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets.clear()
            self._buckets[user] = (left - count, now_s)
        return 0.0
