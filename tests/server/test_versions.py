"""Model versions, and tags that are addresses: each belongs to one version of a model."""

import pytest

from modelbox.entities.ids import random_id
from modelbox.errors import InvalidName, NotFound, TagTaken
from modelbox.wire.messages import ChangesQuery, ExperimentCreate, ModelCreate, ModelVersionCreate, ModelVersionUpdate, PageQuery
from modelbox_server.service.context import Caller
from modelbox_server.wiring import Services


@pytest.fixture
def model(services: Services, caller: Caller) -> str:
    return services.models.create(caller, ModelCreate(name="asr_en", namespace="langtech")).item.id


def create(services: Services, caller: Caller, model: str, version: str, *tags: str, move_tags: bool = False) -> str:
    return services.versions.create(caller, model, ModelVersionCreate(version=version, tags=tags, move_tags=move_tags)).item.id


def test_the_published_id_of_2022_comes_out(services: Services, caller: Caller, model: str) -> None:
    created = services.versions.create(caller, model, ModelVersionCreate(version="1", name="asr_en_july"))
    assert created.item.id == "0ae662556996e18f364a41b82cd1a4e043062687"
    assert created.item.namespace == "langtech"


def test_version_and_name_that_run_together_stay_apart(services: Services, caller: Caller, model: str) -> None:
    one = services.versions.create(caller, model, ModelVersionCreate(version="1", name="0a"))
    ten = services.versions.create(caller, model, ModelVersionCreate(version="10", name="a"))
    assert not ten.exists
    assert one.item.id != ten.item.id
    assert services.versions.create(caller, model, ModelVersionCreate(version="10", name="a")).item == ten.item


def test_a_repeat_changes_nothing(services: Services, caller: Caller, model: str) -> None:
    request = ModelVersionCreate(version="2026.11.23+long-semantic-version", tags=("prod",), metadata={"a": 1})
    first = services.versions.create(caller, model, request)
    again = services.versions.create(caller, model, request)
    assert (again.exists, again.item) == (True, first.item)
    assert len(services.changes.list(caller, ChangesQuery(object_id=first.item.id)).items) == 1


def test_a_repeat_adds_the_tags_that_it_brings(services: Services, caller: Caller, model: str) -> None:
    create(services, caller, model, "1", "a")
    object_id = create(services, caller, model, "1", "b")
    assert services.versions.get(caller, object_id).tags == ("a", "b")


def test_a_tag_of_another_version_is_refused_with_its_holder(services: Services, caller: Caller, model: str) -> None:
    holder = create(services, caller, model, "1", "prod", "first")
    with pytest.raises(TagTaken, match=f"'prod' belongs to version '1' of this model, {holder}.*move_tags"):
        create(services, caller, model, "2", "fresh", "prod")
    assert [record.id for record in services.versions.list(caller, model, PageQuery()).items] == [holder]
    taker = create(services, caller, model, "2")
    with pytest.raises(TagTaken):
        services.versions.update(caller, taker, ModelVersionUpdate(tags=("prod",)))
    assert services.versions.get(caller, taker).tags == ()


def test_a_tag_moves_on_request_and_both_changes_are_logged(services: Services, caller: Caller, model: str) -> None:
    holder = create(services, caller, model, "1", "prod", "first")
    taker = create(services, caller, model, "2", "prod", move_tags=True)
    assert services.versions.get(caller, holder).tags == ("first",)
    assert services.versions.get(caller, taker).tags == ("prod",)
    lost = services.changes.list(caller, ChangesQuery(object_id=holder)).items[-1]
    assert (lost.kind, lost.payload) == ("updated", {"old": {"tags": ["prod", "first"]}, "new": {"tags": ["first"]}})


def test_another_model_may_use_the_same_tag(services: Services, caller: Caller, model: str) -> None:
    create(services, caller, model, "1", "prod")
    other = services.models.create(caller, ModelCreate(name="other")).item.id
    assert services.versions.get(caller, create(services, caller, other, "1", "prod")).tags == ("prod",)


def test_tags_are_names_and_repeats_count_once(services: Services, caller: Caller, model: str) -> None:
    assert services.versions.get(caller, create(services, caller, model, "1", "é", "e\u0301")).tags == ("é",)
    with pytest.raises(InvalidName, match="tag"):
        create(services, caller, model, "2", "a\nb")


def test_the_experiment_that_trained_it_must_be_there(services: Services, caller: Caller, model: str) -> None:
    with pytest.raises(NotFound):
        services.versions.create(caller, model, ModelVersionCreate(version="1", experiment_id=random_id()))
    experiment = services.experiments.create(caller, ExperimentCreate(name="e")).item.id
    version = services.versions.create(caller, model, ModelVersionCreate(version="1", experiment_id=experiment)).item
    assert version.experiment_id == experiment
    assert services.versions.update(caller, version.id, ModelVersionUpdate(experiment_id=None)).experiment_id is None


def test_a_model_must_be_there(services: Services, caller: Caller) -> None:
    with pytest.raises(NotFound, match="no model"):
        services.versions.create(caller, random_id(), ModelVersionCreate(version="1"))
    with pytest.raises(NotFound, match="no model"):
        services.versions.list(caller, random_id(), PageQuery())


def test_a_deleted_version_gives_its_tags_back(services: Services, caller: Caller, model: str) -> None:
    services.versions.delete(caller, create(services, caller, model, "1", "prod"))
    create(services, caller, model, "2", "prod")
