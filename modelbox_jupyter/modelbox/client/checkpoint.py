"""Checkpoints: a saved state of an experiment at an epoch, with files and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.client.tracked import TrackedObject
from modelbox.wire import routes

if TYPE_CHECKING:
    from datetime import datetime

    from modelbox.client.session import Session
    from modelbox.entities.records import CheckpointRecord
    from modelbox.wire.messages import Created

__all__ = ["Checkpoint"]


class Checkpoint(TrackedObject):
    """The state of an experiment at an epoch. Made by :meth:`modelbox.Experiment.new_checkpoint`.

    Parameters
    ----------
    session
        The connection it belongs to.
    record
        What the store knew of it last.
    """

    def __init__(self, session: Session, record: CheckpointRecord) -> None:
        super().__init__(session, record.id)
        self.record = record

    def hear(self, answer: Created[CheckpointRecord] | None) -> None:
        """Take what the store answered to its creation: it may have been there, with other metrics."""
        if answer is not None:
            self._id = answer.item.id
            self.record = answer.item

    @property
    def experiment_id(self) -> str:
        """Id of its experiment."""
        return self.record.experiment_id

    @property
    def epoch(self) -> int:
        """Its epoch."""
        return self.record.epoch

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that it was created with."""
        self._session.introduce()
        return dict(self.record.metrics)

    @property
    def created_at(self) -> datetime:
        """When it was created (UTC)."""
        self._session.introduce()
        return self.record.created_at

    def delete(self) -> None:
        """Delete it with everything that hangs on it."""
        self._session.settle()
        self._session.call(routes.DELETE_CHECKPOINT, path={"checkpoint_id": self._id})

    def __repr__(self) -> str:
        return f"Checkpoint(epoch={self.epoch}, id={self._id!r}, metrics={self.metrics})"
