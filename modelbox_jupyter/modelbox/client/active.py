"""Which experiments of this process are running: what :func:`modelbox.log` writes to, and what the end of the process closes."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from modelbox.client.notices import Notices
from modelbox.client.process_end import EXIT_FLUSH_S, exit_time_left_s
from modelbox.entities.records import Status
from modelbox.errors import InvalidRequest, ModelBoxError

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment
    from modelbox.client.session import Session

__all__ = ["begin", "current", "end", "finish_open", "log", "status_after"]

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


def status_after(error: BaseException | None) -> Status:
    """Return how a run ended that `error` left: ``None`` when nothing was raised."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return Status.FINISHED
    return Status.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Status.FAILED


def finish_open(status: Status, session: Session | None = None) -> None:
    """End the runs that are still open (of one connection, or all of this process), so that none seems to go on forever."""
    for experiment in list(reversed(_running)):
        if experiment.pid != os.getpid() or (session is not None and experiment.session is not session):
            continue
        end(experiment)
        try:
            experiment.finish(status, timeout_s=exit_time_left_s() if session is None else EXIT_FLUSH_S)
        except ModelBoxError as error:
            sys.stderr.write(f"ModelBox: {experiment.name!r} could not be marked {status}: {error.detail}\n")


def _finish_at_exit() -> None:
    interactive = hasattr(sys, "ps1") or "IPython" in sys.modules
    failure = getattr(sys, "last_value", None)
    if interactive or isinstance(failure, KeyboardInterrupt):
        finish_open(Status.INTERRUPTED)
    else:
        finish_open(Status.FINISHED if failure is None else Status.FAILED)


atexit.register(_finish_at_exit)
