"""Events: what a trainer or another system says happened, with its own clock."""

import msgspec

from modelbox.entities.checks import MAX_METADATA_VALUE_BYTES, checked_id, checked_metadata, checked_moment
from modelbox.entities.ids import salted_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import ChangeKind, EventRecord, ObjectRef
from modelbox.entities.times import to_us
from modelbox.errors import Conflict, TooLarge
from modelbox.wire.messages import EventCreate, EventsQuery, Page
from modelbox_server.service.again import again
from modelbox_server.service.changes import note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.objects import resolve
from modelbox_server.service.once import once
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Condition, Order

__all__ = ["EventsService"]


class EventsService:
    """Log and list events of objects."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    @again
    def log(self, caller: Caller, object_id: str, request: EventCreate) -> EventRecord:
        """Keep an event; a repeat returns the one that is there.

        Without an id made by the client, an event with the same object, name, source, wall clock and metadata is the same event. One that
        brings no wall clock happens now, and is therefore always new.

        Raises
        ------
        Conflict
            The id made by the client belongs to another event.
        """
        at = self._clock()
        name = checked_name(request.name, "event name", field="name")
        source = checked_name(request.source, "event source", field="source")
        wall_time = at if request.wall_time is None else checked_moment(request.wall_time, field="wall_time")
        metadata = checked_metadata(request.metadata)
        content = msgspec.json.encode(metadata, order="sorted")
        if len(content) > MAX_METADATA_VALUE_BYTES:
            raise TooLarge(
                f"The metadata of the event takes {len(content)} bytes as JSON: at most 1 MiB is kept.", field="metadata", limit="1 MiB"
            )
        if request.id is not None:
            event_id = checked_id(request.id, "event id", field="id")
        else:
            event_id = salted_id("event", object_id, name, source, str(to_us(wall_time)), content.decode())
        with self._records.write(caller, object_id) as tx:
            parent = resolve(tx, object_id)
            once(tx, caller, at)
            found = tx.get(EventRecord, event_id)
            if found is not None:
                if (found.parent_id, found.name, found.source) != (object_id, name, source):
                    raise Conflict(f"The id {event_id} belongs to another event: make a new random id.", field="id")
                return found
            record = EventRecord(
                id=event_id, parent_id=object_id, name=name, source=source, wall_time=wall_time, metadata=metadata, created_at=at
            )
            tx.insert(record)
            subject = ObjectRef(id=event_id, type=parent.type, namespace=parent.namespace, parent_id=object_id)
            payload = {"new": {"name": name, "source": source, "wall_time": wall_time.isoformat()}}
            note(tx, caller, ChangeKind.CREATED, subject, at, object_type="event", payload=payload)
        return record

    def list(self, caller: Caller, object_id: str, query: EventsQuery) -> Page[EventRecord]:
        """Return the events of an object by their wall clock, oldest first; `since` leaves out those before it."""
        where = [Condition("parent_id", "eq", object_id)]
        if query.since is not None:
            where.append(Condition("wall_time", "ge", checked_moment(query.since, field="since")))
        with self._records.read(caller) as tx:
            resolve(tx, object_id)
            return page_of(tx, EventRecord, where, order=Order("wall_time"), limit=query.limit, page_token=query.page_token)
