"""Metadata: any JSON value under any key, on any object."""

import math

import pytest

from modelbox.entities.ids import random_id
from modelbox.entities.records import Json
from modelbox.errors import InvalidName, InvalidRequest, NotFound, TooLarge
from modelbox.wire.messages import ChangesQuery, CheckpointCreate, ExperimentCreate, MetadataDelete, MetadataDocument, ModelCreate
from modelbox_server.service.context import Caller
from modelbox_server.wiring import Services

VALUES: list[Json] = [
    None, True, 0, 1, 1.0, -0.0, 2**63 - 1, -(2**63), 5e-324, 0.1, math.inf, -math.inf, "", "NaN", "x\ny\tz", "💥", [], {}, [[1, [2.0]]],
    {"$float": "NaN"}, {"$plain": {"$float": 1}}, {"a": {"b": [None, math.inf]}}, "x" * 100_000,
]  # fmt: skip


@pytest.fixture
def experiment(services: Services, caller: Caller) -> str:
    return services.experiments.create(caller, ExperimentCreate(name="e")).item.id


def update(services: Services, caller: Caller, object_id: str, **metadata: Json) -> dict[str, Json]:
    return services.metadata.update(caller, object_id, MetadataDocument(metadata=metadata)).metadata


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_a_value_comes_back_as_it_was(services: Services, caller: Caller, experiment: str, value: Json) -> None:
    answered = update(services, caller, experiment, key=value)
    kept = services.metadata.get(caller, experiment).metadata
    assert repr(kept) == repr(answered) == repr({"key": value})


def test_nan_is_a_value(services: Services, caller: Caller, experiment: str) -> None:
    update(services, caller, experiment, a=math.nan, b=[math.nan])
    kept = services.metadata.get(caller, experiment).metadata
    assert math.isnan(kept["a"])
    assert math.isnan(kept["b"][0])


def test_other_keys_stay(services: Services, caller: Caller, experiment: str) -> None:
    update(services, caller, experiment, a=1, b=2)
    assert update(services, caller, experiment, b=3) == {"a": 1, "b": 3}


def test_numbers_of_another_type_are_another_value(services: Services, caller: Caller, experiment: str) -> None:
    for value in (1, 1.0, True):
        update(services, caller, experiment, a=value)
        assert repr(services.metadata.get(caller, experiment).metadata) == repr({"a": value})


def test_a_repeat_leaves_no_change_event(services: Services, caller: Caller, experiment: str) -> None:
    for _ in range(3):
        update(services, caller, experiment, a=math.nan, b=[1])
    events = services.changes.list(caller, ChangesQuery(object_id=experiment)).items
    assert [event.kind for event in events] == ["created", "updated"]


def test_changes_tell_old_and_new_and_leave_out_the_large(services: Services, caller: Caller, experiment: str) -> None:
    update(services, caller, experiment, a=1)
    update(services, caller, experiment, a=2, big="x" * 10_000)
    payload = services.changes.list(caller, ChangesQuery(object_id=experiment)).items[-1].payload
    assert payload == {"old": {"metadata": {"a": 1}}, "new": {"metadata": {"a": 2, "big": {"omitted_bytes": 10_002}}}}


def test_a_key_can_be_deleted_once(services: Services, caller: Caller, experiment: str) -> None:
    update(services, caller, experiment, **{"tags.é": True, "b": 2})
    assert services.metadata.delete(caller, experiment, MetadataDelete(key="tags.e\u0301")).deleted == 1
    assert services.metadata.delete(caller, experiment, MetadataDelete(key="tags.é")).deleted == 0
    assert services.metadata.get(caller, experiment).metadata == {"b": 2}


@pytest.mark.parametrize("key", ["", " ", "a ", "a\x00", "a\n", "\x1b", "\u202e", "\ud800", "x" * 513])
def test_a_key_that_cannot_be_shown_is_refused(services: Services, caller: Caller, experiment: str, key: str) -> None:
    with pytest.raises(InvalidName):
        update(services, caller, experiment, **{"good": 1, key: 1})
    assert services.metadata.get(caller, experiment).metadata == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (10**30, "64 bits"),
        (2**63, "64 bits"),
        ("a\x00b", "NUL"),
        ("\ud800", "surrogate"),
        ({"a": "\ud800"}, "surrogate"),
        (b"x", "bytes"),
        (1 + 2j, "complex"),
        ({1: 2}, "keys must be text"),
        (object, "only numbers"),
    ],
)
def test_what_is_no_json_is_refused(services: Services, caller: Caller, experiment: str, value: Json, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        update(services, caller, experiment, good=1, bad=value)
    assert services.metadata.get(caller, experiment).metadata == {}


def test_depth_size_and_number_have_limits(services: Services, caller: Caller, experiment: str) -> None:
    deep: Json = 1
    for _ in range(40):
        deep = [deep]
    for metadata in ({"deep": deep}, {"big": "x" * (1 << 20)}, {f"k{i}": i for i in range(10_001)}):
        with pytest.raises(TooLarge):
            update(services, caller, experiment, **metadata)
    update(services, caller, experiment, **{f"k{i}": i for i in range(10_000)})
    with pytest.raises(TooLarge, match="10001 metadata keys"):
        update(services, caller, experiment, one_more=1)
    assert len(update(services, caller, experiment, k0=7)) == 10_000


def test_one_key_in_two_spellings_is_refused(services: Services, caller: Caller, experiment: str) -> None:
    with pytest.raises(InvalidRequest, match="two Unicode forms"):
        services.metadata.update(caller, experiment, MetadataDocument(metadata={"\u00e9": 1, "e\u0301": 2}))


def test_every_kind_of_object_has_metadata_of_its_own(services: Services, caller: Caller, experiment: str) -> None:
    checkpoint = services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1)).item.id
    model = services.models.create(caller, ModelCreate(name="m")).item.id
    for object_id in (experiment, checkpoint, model):
        assert update(services, caller, object_id, id=object_id) == {"id": object_id}


def test_an_object_must_be_there(services: Services, caller: Caller) -> None:
    missing = random_id()
    with pytest.raises(NotFound, match=missing):
        services.metadata.get(caller, missing)
    with pytest.raises(NotFound, match=missing):
        update(services, caller, missing, a=1)
    with pytest.raises(NotFound, match=missing):
        services.metadata.delete(caller, missing, MetadataDelete(key="a"))
