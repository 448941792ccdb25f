"""One of several processes that log to an experiment: the same metrics, under a label of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from modelbox.client.metrics import MetricsMixin
from modelbox.entities.names import checked_name
from modelbox.errors import InvalidRequest

if TYPE_CHECKING:
    from modelbox.client.session import Session

__all__ = ["Labelled"]


class Labelled(MetricsMixin):
    """An experiment as one process sees it. Made by :meth:`modelbox.Experiment.labelled`.

    Parameters
    ----------
    session
        The connection.
    object_id
        Id of the experiment.
    label
        What its metrics are put under: ``"rank 3"`` makes ``loss`` the metric ``rank 3/loss``.
    """

    def __init__(self, session: Session, object_id: str, label: str) -> None:
        self._session = session
        self._id = object_id
        self.label = checked_name(label, "label", field="label")
        self._start_steps()

    def log(
        self,
        values: Mapping[str, object] | None = None,
        /,
        *,
        step: int | None = None,
        wall_time: float | datetime | None = None,
        **metrics: object,
    ) -> None:
        """Log metrics under the label; see :meth:`modelbox.Experiment.log`. Steps that are left out are counted by label.

        Examples
        --------
        >>> import modelbox.testing
        >>> with modelbox.testing.memory_connection() as box, box.start("demo") as run:
        ...     run.labelled("rank 3").log(loss=0.5)
        ...     list(run.all_metrics())
        ['rank 3/loss']
        """
        if values is not None and not isinstance(values, Mapping):
            raise InvalidRequest(f"log() takes a dict of metrics or keywords, not {type(values).__name__}: write log(loss=0.5).")
        every = {**(values or {}), **metrics}
        super().log({f"{self.label}/{key}": value for key, value in every.items()}, step=step, wall_time=wall_time)

    def __repr__(self) -> str:
        return f"Labelled({self.label!r}, id={self._id!r})"
