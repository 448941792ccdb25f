"""Who wants to know that an experiment started or finished: the notebook, to show a live chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from modelbox.client.notices import Notices

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment

__all__ = ["notify", "subscribe"]

Moment = Literal["started", "finished"]

_observers: dict[Moment, list[Callable[[Experiment], None]]] = {"started": [], "finished": []}
_notices = Notices()


def subscribe(event: Moment, callback: Callable[[Experiment], None]) -> Callable[[], None]:
    """Call `callback` with every experiment that starts or finishes in this process; call what is returned to stop that.

    A callback that fails is one line in the log, never an error in training.
    """
    # A callback subscribed twice is called twice, and each stop ends one of them.
    entry = _Entry(callback)
    _observers[event].append(entry)

    def unsubscribe() -> None:
        if entry in _observers[event]:
            _observers[event].remove(entry)

    return unsubscribe


class _Entry:
    """One subscription; equal to itself only."""

    def __init__(self, callback: Callable[[Experiment], None]) -> None:
        self._callback = callback

    def __call__(self, experiment: Experiment) -> None:
        self._callback(experiment)


def notify(event: Moment, experiment: Experiment) -> None:
    """Tell the observers."""
    for observer in list(_observers[event]):
        try:
            observer(experiment)
        except Exception as error:  # noqa: BLE001  (a display that fails must not end a training run)
            _notices.log(
                f"observer {event} {type(error).__name__}", f"ModelBox: an observer of experiments failed: {type(error).__name__}: {error}"
            )
