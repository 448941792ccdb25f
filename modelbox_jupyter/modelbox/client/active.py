"""Which experiments of this process are running: what :func:`modelbox.log` writes to, and what the end of the process closes."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from modelbox.client.notices import Notices
from modelbox.client.sender import exit_time_left_s
from modelbox.entities.records import Status
from modelbox.errors import InvalidRequest, ModelBoxError

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment

__all__ = ["begin", "current", "end", "log"]

_running: list[Experiment] = []
_notices = Notices()


def current() -> Experiment | None:
    """Return the experiment that this process started last and that is still running; ``None`` when there is none."""
    return _running[-1] if _running else None


def log(
    values: Mapping[str, object] | None = None,
    /,
    *,
    step: int | None = None,
    wall_time: float | datetime | None = None,
    **metrics: object,
) -> None:
    """Log metrics to the :func:`current` experiment; see :meth:`modelbox.Experiment.log`.

    Raises
    ------
    InvalidRequest
        No experiment is running.
    """
    experiment = current()
    if experiment is None:
        raise InvalidRequest("No experiment is running, so there is nothing to log to: begin one with modelbox.start(name).")
    if len(_running) > 1:
        _notices.warn(
            "several", f"{len(_running)} experiments are running; modelbox.log() writes to {experiment.name!r}, the one started last."
        )
    experiment.log(values, step=step, wall_time=wall_time, **metrics)


def begin(experiment: Experiment) -> None:
    """Make an experiment the current one."""
    _running.append(experiment)


def end(experiment: Experiment) -> None:
    """Note that an experiment is over."""
    _running[:] = [other for other in _running if other is not experiment]


def _finish_at_exit() -> None:
    """Close what is still open, so that a script without a ``with`` block does not leave a run that seems to go on forever."""
    interactive = hasattr(sys, "ps1") or "IPython" in sys.modules
    failure = getattr(sys, "last_value", None)
    if interactive or isinstance(failure, KeyboardInterrupt):
        status = Status.INTERRUPTED
    else:
        status = Status.FINISHED if failure is None else Status.FAILED
    for experiment in reversed(_running):
        # A store that does not take the points now would only hold up the end of the process.
        if experiment.pid == os.getpid() and experiment.flush(exit_time_left_s()):
            try:
                experiment.finish(status)
            except ModelBoxError as error:
                sys.stderr.write(f"ModelBox: {experiment.name!r} could not be marked {status}: {error.detail}\n")


atexit.register(_finish_at_exit)
