"""Events: kept with all they say, once, in the order of their own clock."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelbox.entities.ids import random_id
from modelbox.errors import Conflict, InvalidName, InvalidRequest, NotFound, TooLarge
from modelbox.wire.messages import ChangesQuery, EventCreate, EventsQuery, ExperimentCreate
from modelbox_server.service.context import Caller
from modelbox_server.wiring import Services

AT = datetime(2026, 3, 29, 1, 0, 0, 123_456, tzinfo=UTC)


@pytest.fixture
def experiment(services: Services, caller: Caller) -> str:
    return services.experiments.create(caller, ExperimentCreate(name="e")).item.id


def test_nothing_of_an_event_is_lost(services: Services, caller: Caller, experiment: str) -> None:
    request = EventCreate(name="ckpt saved", source="trainer/é", wall_time=AT, metadata={"lr": 0.1, "nested": {"x": [1, math.inf]}})
    logged = services.events.log(caller, experiment, request)
    assert (logged.name, logged.source, logged.wall_time, logged.metadata) == (request.name, request.source, AT, request.metadata)
    assert services.events.list(caller, experiment, EventsQuery()).items == [logged]


def test_the_same_event_again_is_the_same_event(services: Services, caller: Caller, experiment: str) -> None:
    request = EventCreate(name="n", source="s", wall_time=AT, metadata={"b": 1, "a": 2})
    first = services.events.log(caller, experiment, request)
    again = services.events.log(caller, experiment, EventCreate(name="n", source="s", wall_time=AT, metadata={"a": 2, "b": 1}))
    assert first == again
    assert len(services.changes.list(caller, ChangesQuery(object_id=first.id)).items) == 1


def test_events_of_one_moment_stay_apart(services: Services, caller: Caller, experiment: str) -> None:
    ids = {
        services.events.log(caller, experiment, EventCreate(name=name, source=source, wall_time=AT, metadata=metadata)).id
        for name, source in (("n", "s"), ("ns", "s"), ("n", "ss"))
        for metadata in ({}, {"a": 1}, {"a": 1.0})
    }
    assert len(ids) == 9


def test_an_event_without_a_clock_happens_now_and_is_always_new(services: Services, caller: Caller, experiment: str) -> None:
    first, second = (services.events.log(caller, experiment, EventCreate(name="n", source="s")) for _ in range(2))
    assert first.id != second.id
    assert first.wall_time == first.created_at


def test_an_id_of_the_client_makes_a_repeat_harmless(services: Services, caller: Caller, experiment: str) -> None:
    event_id = random_id()
    request = EventCreate(name="n", source="s", id=event_id)
    first = services.events.log(caller, experiment, request)
    assert services.events.log(caller, experiment, request) == first
    with pytest.raises(Conflict, match="another event"):
        services.events.log(caller, experiment, EventCreate(name="other", source="s", id=event_id))
    with pytest.raises(InvalidRequest, match="no id"):
        services.events.log(caller, experiment, EventCreate(name="n", source="s", id="7"))


def test_they_come_oldest_first_and_since_is_heeded(services: Services, caller: Caller, experiment: str) -> None:
    other = services.experiments.create(caller, ExperimentCreate(name="other")).item.id
    for offset in (3, 1, 2):
        moment = (AT + timedelta(microseconds=offset)).astimezone(timezone(timedelta(hours=5, minutes=45)))
        services.events.log(caller, experiment, EventCreate(name=f"n{offset}", source="s", wall_time=moment))
        services.events.log(caller, other, EventCreate(name="n", source="s", wall_time=moment))
    everything = services.events.list(caller, experiment, EventsQuery()).items
    assert [event.name for event in everything] == ["n1", "n2", "n3"]
    since = services.events.list(caller, experiment, EventsQuery(since=AT + timedelta(microseconds=2))).items
    assert [event.name for event in since] == ["n2", "n3"]
    page = services.events.list(caller, experiment, EventsQuery(limit=2))
    rest = services.events.list(caller, experiment, EventsQuery(limit=2, page_token=page.next_page_token))
    assert page.items + rest.items == everything


@pytest.mark.parametrize(("name", "source"), [("", "s"), ("n", ""), ("n\n", "s"), ("n", "\ud800")])
def test_name_and_source_are_names(services: Services, caller: Caller, experiment: str, name: str, source: str) -> None:
    with pytest.raises(InvalidName):
        services.events.log(caller, experiment, EventCreate(name=name, source=source))


def test_metadata_of_an_event_is_limited_as_a_whole(services: Services, caller: Caller, experiment: str) -> None:
    with pytest.raises(TooLarge, match="1 MiB"):
        services.events.log(caller, experiment, EventCreate(name="n", source="s", metadata={"a": "x" * 600_000, "b": "x" * 600_000}))


def test_an_object_must_be_there(services: Services, caller: Caller) -> None:
    with pytest.raises(NotFound):
        services.events.log(caller, random_id(), EventCreate(name="n", source="s"))
    with pytest.raises(NotFound):
        services.events.list(caller, random_id(), EventsQuery())
