"""Events: something that a trainer or another system says happened."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from modelbox.client.metadata import wire_metadata
from modelbox.client.operations import operation
from modelbox.client.values import moment
from modelbox.entities.checks import checked_moment
from modelbox.entities.ids import random_id
from modelbox.entities.names import checked_name
from modelbox.entities.times import now, to_us
from modelbox.entities.values import json_from_wire
from modelbox.wire import routes
from modelbox.wire.messages import EventCreate, EventsQuery

if TYPE_CHECKING:
    from modelbox.client.session import Session
    from modelbox.entities.records import EventRecord, Json

__all__ = ["Event", "EventsMixin"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    name
        What happened: ``"dataset downloaded"``.
    source
        Who says so: ``"trainer"``. The user's name when left out.
    wall_time
        When: a datetime, or seconds since 1970; the time of the call when left out.
    metadata
        Any JSON values by key.
    id
        Set on events that were read back.
    """

    name: str
    source: str = ""
    wall_time: datetime | float | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    id: str = ""

    @property
    def wallclock_time(self) -> float:
        """When it happened, in seconds since 1970, as the SDK of 2022 had it."""
        return to_us(now() if self.wall_time is None else moment(self.wall_time)) / 1e6


class EventsMixin:
    """Events of an object."""

    _session: Session
    _id: str

    def log_event(
        self,
        event: Event | str,
        source: str = "",
        *,
        wall_time: datetime | float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Event:
        """Log an event, given as a whole or by its name, and return it. Never waits for the store, nor raises for outages.

        Examples
        --------
        >>> import modelbox.testing
        >>> with modelbox.testing.memory_connection() as box:
        ...     run = box.new_experiment("demo")
        ...     _ = run.log_event("epoch ended", source="trainer", metadata={"epoch": 1})
        ...     [event.name for event in run.events()]
        ['epoch ended']
        """
        if isinstance(event, str):
            event = Event(event, source, wall_time, metadata or {})
        # An EventSource of 2022 has its name inside.
        given_source = getattr(event.source, "name", event.source)
        at = now() if event.wall_time is None else moment(event.wall_time)
        body = EventCreate(
            name=checked_name(event.name, "event name", field="name"),
            source=checked_name(given_source or getpass.getuser(), "event source", field="source"),
            wall_time=checked_moment(at, field="wall_time"),
            metadata=wire_metadata(event.metadata),
            id=random_id(),
        )
        self._session.submit(operation(routes.LOG_EVENT, path={"object_id": self._id}, body=body))
        return Event(body.name, body.source, body.wall_time, _plain(body.metadata), body.id or "")

    def events(self, since: datetime | float | None = None) -> list[Event]:
        """Return the events, oldest first, from `since` on."""
        query = EventsQuery(since=None if since is None else moment(since))
        return [_event(record) for record in self._session.every(routes.LIST_EVENTS, query, path={"object_id": self._id})]


def _event(record: EventRecord) -> Event:
    return Event(record.name, record.source, record.wall_time, _plain(record.metadata), record.id)


def _plain(metadata: Mapping[str, Json]) -> dict[str, Json]:
    return {key: json_from_wire(value) for key, value in metadata.items()}
