"""Models: one per name and namespace."""

import pytest

from modelbox.entities.ids import model_id, salted_id
from modelbox.errors import NotFound, TooLarge
from modelbox.wire.messages import ExperimentCreate, ModelCreate, ModelsQuery, ModelUpdate, ModelVersionCreate
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import NAMESPACE
from modelbox_server.wiring import Services


def test_the_published_id_of_2022_comes_out(services: Services, caller: Caller) -> None:
    created = services.models.create(caller, ModelCreate(name="asr_en", namespace="langtech"))
    assert (created.item.id, created.exists) == ("93b7cf0bec10ff6d500a9273bc34ab7eff02eeca", False)


def test_the_same_name_is_the_same_model_and_only_metadata_is_set(services: Services, caller: Caller) -> None:
    first = services.models.create(caller, ModelCreate(name="m", namespace=NAMESPACE, task="ASR", description="line\nline"))
    again = services.models.create(caller, ModelCreate(name="m", namespace=NAMESPACE, task="TTS", metadata={"x": [1]}))
    assert (again.exists, again.item) == (True, first.item)
    assert services.metadata.get(caller, first.item.id).metadata == {"x": [1]}


def test_an_experiment_of_the_same_name_came_first(services: Services, caller: Caller) -> None:
    experiment = services.experiments.create(caller, ExperimentCreate(name="net", namespace="x")).item
    model = services.models.create(caller, ModelCreate(name="net", namespace="x")).item
    assert experiment.id == model_id("net", "x")
    assert model.id == salted_id("model", "net", "x")
    # It keeps its id when the other one is gone, and when it is asked for again.
    services.experiments.delete(caller, experiment.id)
    assert services.models.create(caller, ModelCreate(name="net", namespace="x")).item == model


def test_lists_know_the_namespaces_below(services: Services, caller: Caller) -> None:
    for namespace in ("équipe", NAMESPACE, "équipe-b"):
        services.models.create(caller, ModelCreate(name="m", namespace=namespace))
    found = services.models.list(caller, ModelsQuery(namespace="équipe", name="m")).items
    assert {record.namespace for record in found} == {"équipe", NAMESPACE}


def test_fields_change_one_by_one(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m", task="ASR")).item
    changed = services.models.update(caller, model.id, ModelUpdate(description="ünicode"))
    assert (changed.task, changed.description) == ("ASR", "ünicode")
    assert services.models.update(caller, model.id, ModelUpdate(task="ASR")) == changed
    with pytest.raises(TooLarge):
        services.models.update(caller, model.id, ModelUpdate(description="x" * 70_000))


def test_deleting_takes_the_versions_along(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m")).item
    version = services.versions.create(caller, model.id, ModelVersionCreate(version="1")).item
    assert services.models.delete(caller, model.id).deleted == 2
    with pytest.raises(NotFound):
        services.versions.get(caller, version.id)
    assert services.models.list(caller, ModelsQuery()).items == []
