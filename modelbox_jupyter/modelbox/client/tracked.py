"""What experiments, checkpoints, models and model versions have in common: metrics, metadata, events and artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.client.artifacts import ArtifactsMixin
from modelbox.client.events import EventsMixin
from modelbox.client.metadata import MetadataMixin
from modelbox.client.metrics import MetricsMixin

if TYPE_CHECKING:
    from modelbox.client.session import Session

__all__ = ["TrackedObject"]


class TrackedObject(MetricsMixin, MetadataMixin, EventsMixin, ArtifactsMixin):
    """An object of a store, by its id.

    Parameters
    ----------
    session
        The connection it belongs to.
    object_id
        Its id.
    """

    def __init__(self, session: Session, object_id: str) -> None:
        self._session = session
        self._id = object_id
        self._start_steps()

    @property
    def id(self) -> str:
        """Id of the object: 40 hex digits. Whoever is told it will find the object: the store knows it by then, unless it is away."""
        self._session.introduce()
        return self._id

    @property
    def session(self) -> Session:
        """The connection it belongs to."""
        return self._session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrackedObject) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)
