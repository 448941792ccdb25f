"""One line to the person, once per kind: what goes wrong in tracking never becomes an error in training.

What the caller did is told as a :class:`ModelBoxWarning` at the caller's line. What happens behind the caller's back, in the sender thread,
goes to the logger ``modelbox``, which Python prints to stderr unless logging is configured otherwise: a warning filter set to "error" must
not end the thread.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

__all__ = ["ModelBoxWarning", "Notices"]

_logger = logging.getLogger("modelbox")
_HERE = str(Path(__file__).parent.parent)


class ModelBoxWarning(UserWarning):
    """Something could not be logged as asked; training goes on."""


class Notices:
    """Remembers what was said already."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, kind: str, message: str) -> None:
        """Warn at the line outside of ModelBox that is being executed, the first time for this `kind`."""
        if self._is_news(kind):
            warnings.warn(message, ModelBoxWarning, stacklevel=_depth_of_caller())

    def log(self, kind: str, message: str) -> None:
        """Write a line to the log, the first time for this `kind`."""
        if self._is_news(kind):
            _logger.warning("%s", message)

    def forget(self, kind: str) -> None:
        """Let `kind` be said again: the trouble was over in between."""
        self._said.discard(kind)

    def _is_news(self, kind: str) -> bool:
        if kind in self._said:
            return False
        self._said.add(kind)
        return True


def _depth_of_caller() -> int:
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, depth = frame.f_back, depth + 1
    return depth
